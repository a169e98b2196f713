//! All request paths, of any length, sorted into classes that a set of patterns does not tell apart.

use std::collections::BTreeMap;

use super::alphabet::{Alphabet, Class};
use super::automaton::Automaton;
use super::bits::{Bits, Interner, intersects};
use super::work::{Work, WorkLimit};

/// A class of paths: those that match the same patterns, and in which the same segments are literals of the table.
#[derive(Debug)]
pub(super) struct PathClass {
    /// The ends of the patterns that match: ask with [`Automaton::matches`].
    pub(super) ends: Vec<u64>,
    /// One bit for each segment that is one of the [`Literals`], where those are looked for.
    pub(super) collisions: u64,
    /// A shortest path of the class.
    pub(super) witness: String,
}

/// Where nothing is left to find.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Positions of the templates: beyond them no route serves a path.
    pub(super) routed: Bits,
    /// Positions of what can be granted and of what the document allows: beyond them nothing is granted or allowed.
    pub(super) relevant: Bits,
}

/// Explores all paths in normal form over an alphabet, shortest first.
///
/// A state is where the text so far has led every pattern, and the [`Shape`] of the text. Both decide how a text goes on,
/// so texts with one state are told apart by no continuation: the states are finitely many, and once all are seen,
/// all paths are. A path that is longer only goes through states again.
///
/// Not gone on from are texts outside the [`Bounds`], once they are paths. And from a state only those characters are tried for which some
/// pattern waits there, `/`, and one other: all others lead where that one does.
pub(super) fn explore(
    automaton: &Automaton,
    alphabet: &Alphabet,
    bounds: &Bounds,
    literals: Option<&Literals>,
    work: &mut Work,
) -> Result<Vec<PathClass>, WorkLimit> {
    let words = automaton.words();
    let mut states = Interner::new(words + 1);
    let mut origins: Vec<(usize, Class)> = Vec::new();
    let mut classes = Interner::new(words + 1);
    let mut first_of_class: Vec<usize> = Vec::new();
    let (mut row, mut next) = (automaton.read(alphabet, "/"), vec![0; words]);
    row.push(Shape::ROOT.packed());
    states.intern(&row);
    origins.push((0, alphabet.slash()));
    let mut tried = vec![false; alphabet.len()];
    let mut number = 0;
    while number < states.len() {
        row.clear();
        row.extend_from_slice(states.row(number));
        let Some((shape, state)) = row.split_last() else { break };
        let shape = Shape::unpacked(*shape);
        if let Some(collisions) = shape.collisions_at_end(literals) {
            let ends: Vec<u64> = automaton.ends_in(state).chain([collisions]).collect();
            if classes.intern(&ends).1 {
                first_of_class.push(number);
            }
        }
        let is_routed = intersects(state, bounds.routed.words()) || shape.collisions_at_end(None).is_none();
        if is_routed && intersects(state, bounds.relevant.words()) {
            tried.fill(false);
            let mut attempt = |class: Class| {
                if let Some(tried) = tried.get_mut(class.0) {
                    *tried = true;
                }
            };
            automaton.awaited(state, &mut attempt);
            literals
                .into_iter()
                .flat_map(|literals| literals.awaited(shape))
                .for_each(|char| attempt(alphabet.class_of(char)));
            attempt(alphabet.slash());
            let mut attempts = 0;
            // The other one first: it reads best in a witness.
            let mentioned =
                tried.iter().enumerate().filter(|(_, tried)| **tried).map(|(index, _)| Class(index));
            for class in [alphabet.other()].into_iter().chain(mentioned) {
                let Some(shape) = shape.followed_by(alphabet.char(class), literals) else { continue };
                attempts += 1;
                next.resize(words, 0);
                automaton.step(state, class, &mut next);
                next.push(shape.packed());
                if states.intern(&next).1 {
                    origins.push((number, class));
                }
                next.pop();
            }
            work.spend(alphabet.len() / 8 + attempts * (8 + 4 * words))?;
        }
        work.spend(8 + 2 * words)?;
        work.states += 1;
        number += 1;
    }
    let found = first_of_class.into_iter().enumerate().map(|(index, state)| {
        let mut ends = classes.row(index).to_vec();
        let collisions = ends.pop().unwrap_or_default();
        PathClass { ends, collisions, witness: witness(&origins, alphabet, state) }
    });
    Ok(found.collect())
}

/// The text that first led to a state.
fn witness(origins: &[(usize, Class)], alphabet: &Alphabet, state: usize) -> String {
    let steps =
        std::iter::successors(origins.get(state).map(|origin| (state, *origin)), |(_, (before, _))| {
            origins.get(*before).map(|origin| (*before, *origin))
        });
    let mut classes: Vec<Class> = Vec::new();
    for (state, (_, class)) in steps {
        classes.push(class);
        if state == 0 {
            break;
        }
    }
    classes.into_iter().rev().map(|class| alphabet.char(class)).collect()
}

/// Where a text stands in its last segment, and what its segments were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    place: Place,
    /// The number of the segment, at most [`Literals::last`].
    segment: u64,
    /// The node of [`Literals`] that the segment has led to, plus one; zero if none.
    node: u64,
    collisions: u64,
}

/// The place in a segment, as far as [`path`](crate::path) refuses some segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// After the first `/`.
    Root,
    /// After another `/`.
    Begin,
    /// After `.`, at the beginning of a segment.
    Dot,
    /// After `..`, at the beginning of a segment.
    Dots,
    /// After anything else.
    Inside,
}

impl Shape {
    const ROOT: Self = Self { place: Place::Root, segment: 0, node: 1, collisions: 0 };

    const fn packed(self) -> u64 {
        let place = match self.place {
            Place::Root => 0,
            Place::Begin => 1,
            Place::Dot => 2,
            Place::Dots => 3,
            Place::Inside => 4,
        };
        place | self.segment << 3 | self.node << 8 | self.collisions << 32
    }

    const fn unpacked(word: u64) -> Self {
        let place = match word & 7 {
            0 => Place::Root,
            1 => Place::Begin,
            2 => Place::Dot,
            3 => Place::Dots,
            _ => Place::Inside,
        };
        Self { place, segment: word >> 3 & 31, node: word >> 8 & 0xff_ffff, collisions: word >> 32 }
    }

    /// `None` if no path in normal form begins so: an empty segment, `.`, `..`, or one of these before a `;`.
    fn followed_by(self, char: char, literals: Option<&Literals>) -> Option<Self> {
        let place = match (self.place, char) {
            (Place::Root | Place::Begin | Place::Dot | Place::Dots, '/' | ';') => return None,
            (Place::Inside, '/') => Place::Begin,
            (Place::Root | Place::Begin, '.') => Place::Dot,
            (Place::Dot, '.') => Place::Dots,
            (Place::Root | Place::Begin | Place::Dot | Place::Dots | Place::Inside, _) => Place::Inside,
        };
        let Some(literals) = literals else { return Some(Self { place, ..self }) };
        Some(match char {
            '/' => Self {
                place,
                segment: (self.segment + 1).min(literals.last),
                node: 1,
                collisions: self.with_segment(literals),
            },
            _ => Self { place, node: literals.after(self.node, char), ..self },
        })
    }

    /// The collisions of the text as a whole path; `None` if it is none in normal form.
    fn collisions_at_end(self, literals: Option<&Literals>) -> Option<u64> {
        match self.place {
            Place::Begin | Place::Dot | Place::Dots => None,
            Place::Root => Some(0),
            Place::Inside => Some(literals.map_or(0, |literals| self.with_segment(literals))),
        }
    }

    fn with_segment(self, literals: &Literals) -> u64 {
        self.collisions | (u64::from(literals.is_end(self.node)) << self.segment & literals.watched)
    }
}

/// Whether the segment of that number collides, or one after it.
pub(super) const fn collides(collisions: u64, segment: usize, or_later: bool) -> bool {
    let rest =
        collisions >> if segment < Literals::MOST_SEGMENTS { segment } else { Literals::MOST_SEGMENTS - 1 };
    if or_later { rest != 0 } else { rest & 1 == 1 }
}

/// The literal segments of a table, as a tree of characters, and where in a path they are looked for.
#[derive(Debug)]
pub(super) struct Literals {
    nodes: Vec<LiteralNode>,
    /// The segments that are looked at, one bit each.
    watched: u64,
    /// The last of them, which stands for all after it too. Each combination of collisions is a state of its own, so
    /// no more are told apart than the templates do.
    last: u64,
}

#[derive(Debug, Default)]
struct LiteralNode {
    next: BTreeMap<char, u64>,
    is_end: bool,
}

impl Literals {
    /// The most segments that are told apart; those after them count as the last.
    const MOST_SEGMENTS: usize = 32;

    /// `watched` are the numbers of the segments to look at. `None` if there are more characters than a state can number.
    pub(super) fn new<'t>(
        texts: impl IntoIterator<Item = &'t str>,
        watched: impl IntoIterator<Item = usize>,
    ) -> Option<Self> {
        let mut literals = Self { nodes: vec![LiteralNode::default()], watched: 0, last: 0 };
        for segment in watched {
            let segment = u64::try_from(segment.min(Self::MOST_SEGMENTS - 1)).ok()?;
            literals.watched |= 1 << segment;
            literals.last = literals.last.max(segment);
        }
        for text in texts {
            literals.insert(text)?;
        }
        (literals.nodes.len() < 0xff_ffff).then_some(literals)
    }

    fn insert(&mut self, text: &str) -> Option<()> {
        let mut node = 1;
        for char in text.chars() {
            let fresh = u64::try_from(self.nodes.len()).ok()? + 1;
            node = *self.node_mut(node)?.next.entry(char).or_insert(fresh);
            if node == fresh {
                self.nodes.push(LiteralNode::default());
            }
        }
        self.node_mut(node)?.is_end = true;
        Some(())
    }

    /// The collisions of a path in normal form.
    pub(super) fn collisions_of(&self, path: &str) -> u64 {
        let shape =
            path.chars().skip(1).try_fold(Shape::ROOT, |shape, char| shape.followed_by(char, Some(self)));
        shape.and_then(|shape| shape.collisions_at_end(Some(self))).unwrap_or_default()
    }

    fn node_mut(&mut self, number: u64) -> Option<&mut LiteralNode> {
        self.nodes.get_mut(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    fn get(&self, number: u64) -> Option<&LiteralNode> {
        self.nodes.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    fn after(&self, node: u64, char: char) -> u64 {
        self.get(node).and_then(|node| node.next.get(&char)).copied().unwrap_or_default()
    }

    fn is_end(&self, node: u64) -> bool {
        self.get(node).is_some_and(|node| node.is_end)
    }

    fn awaited(&self, shape: Shape) -> impl Iterator<Item = char> + '_ {
        self.get(shape.node).into_iter().flat_map(|node| node.next.keys().copied())
    }
}
