//! Many patterns read one text at once.
//!
//! Each pattern has one position before each of its single-character signs and one at its end; a set of positions is a row
//! of bits. A `*` is no position but a loop at the one where it stands, so there is no step without a character, and one
//! step of all patterns is a shift and a few ANDs and ORs a word (Baeza-Yates and Gonnet, "A new approach to text
//! searching", 1992).

use super::alphabet::{Alphabet, Class};
use super::bits::{Bits, contains, mask};
use super::pattern::{Pattern, Token};

/// Patterns, ready to read.
#[derive(Debug)]
pub(super) struct Automaton {
    words: usize,
    slash: Class,
    /// By class: the positions whose sign is that character.
    chars: Vec<Vec<u64>>,
    /// The positions that a character leads on from, whichever it is; `/` apart.
    moves: Signs,
    /// The positions that a character leads back to.
    loops: Signs,
    start: Vec<u64>,
    /// The ends of the patterns.
    ends: Vec<u64>,
    end_of: Vec<usize>,
    start_of: Vec<usize>,
    /// By position: the class of the character that it waits for, if it waits for one.
    awaited: Vec<Option<Class>>,
    /// The positions that wait for one character.
    awaiting: Vec<u64>,
}

/// What holds for every character, and what holds for `/`.
#[derive(Debug)]
struct Signs {
    in_segment: Vec<u64>,
    slash: Vec<u64>,
}

impl Signs {
    fn new(words: usize) -> Self {
        Self { in_segment: vec![0; words], slash: vec![0; words] }
    }

    fn insert(&mut self, position: usize, slash_too: bool) {
        insert(&mut self.in_segment, position);
        if slash_too {
            insert(&mut self.slash, position);
        }
    }

    fn of(&self, is_slash: bool) -> &[u64] {
        if is_slash { &self.slash } else { &self.in_segment }
    }
}

impl Automaton {
    /// The patterns are numbered in their order. Each of `groups` begins a new word, so that the ends in the words of the
    /// first groups do not depend on the later ones.
    pub(super) fn new(alphabet: &Alphabet, groups: &[&[&Pattern]]) -> Self {
        let positions = |pattern: &Pattern| {
            1 + pattern
                .tokens()
                .iter()
                .filter(|token| !matches!(token, Token::Any | Token::AnyInSegment))
                .count()
        };
        let words =
            groups.iter().map(|group| words_of(group.iter().map(|pattern| positions(pattern)).sum())).sum();
        let mut automaton = Self {
            words,
            slash: alphabet.slash(),
            chars: vec![vec![0; words]; alphabet.len()],
            moves: Signs::new(words),
            loops: Signs::new(words),
            start: vec![0; words],
            ends: vec![0; words],
            end_of: Vec::new(),
            start_of: Vec::new(),
            awaited: Vec::new(),
            awaiting: vec![0; words],
        };
        for group in groups {
            let first = automaton.awaited.len().next_multiple_of(64);
            automaton.awaited.resize(first, None);
            for pattern in *group {
                automaton.add(pattern, alphabet);
            }
        }
        automaton
    }

    fn add(&mut self, pattern: &Pattern, alphabet: &Alphabet) {
        let first = self.awaited.len();
        insert(&mut self.start, first);
        self.start_of.push(first);
        for token in pattern.tokens() {
            let position = self.awaited.len();
            let class = match token {
                Token::Any | Token::AnyInSegment => {
                    self.loops.insert(position, *token == Token::Any);
                    continue;
                }
                Token::One | Token::OneInSegment => {
                    self.moves.insert(position, *token == Token::One);
                    None
                }
                Token::Char(char) => alphabet.mentioned(*char),
            };
            if let Some(class) = class {
                insert(&mut self.awaiting, position);
                if let Some(chars) = self.chars.get_mut(class.0) {
                    insert(chars, position);
                }
            }
            self.awaited.push(class);
        }
        let end = self.awaited.len();
        insert(&mut self.ends, end);
        self.end_of.push(end);
        self.awaited.push(None);
    }

    /// The number of words in a set of positions.
    pub(super) const fn words(&self) -> usize {
        self.words
    }

    /// Where a character leads; `next` has as many words as `state`.
    pub(super) fn step(&self, state: &[u64], class: Class, next: &mut [u64]) {
        let is_slash = class == self.slash;
        let empty: &[u64] = &[];
        let chars = self.chars.get(class.0).map_or(empty, Vec::as_slice);
        let signs = chars.iter().zip(self.moves.of(is_slash)).zip(self.loops.of(is_slash));
        let mut carry = 0;
        for ((next, state), ((chars, moves), loops)) in next.iter_mut().zip(state).zip(signs) {
            let moved = state & (chars | moves);
            *next = (moved << 1) | carry | (state & loops);
            carry = moved >> 63;
        }
    }

    /// Calls `visit` with the class of each character that a position waits for; of one class more than once.
    pub(super) fn awaited(&self, state: &[u64], mut visit: impl FnMut(Class)) {
        for (index, (state, awaiting)) in state.iter().zip(&self.awaiting).enumerate() {
            let mut rest = state & awaiting;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                let position = index * 64 + usize::try_from(bit).unwrap_or_default();
                if let Some(class) = self.awaited.get(position).copied().flatten() {
                    visit(class);
                }
            }
        }
    }

    /// The ends of the patterns that match the text that led to a state.
    pub(super) fn ends_in<'s>(&'s self, state: &'s [u64]) -> impl Iterator<Item = u64> + 's {
        state.iter().zip(&self.ends).map(|(state, ends)| state & ends)
    }

    /// Whether a pattern matches, given the state or its ends.
    pub(super) fn matches(&self, state: &[u64], pattern: usize) -> bool {
        self.end_of.get(pattern).is_some_and(|end| contains(state, *end))
    }

    /// The positions of some patterns.
    pub(super) fn positions(&self, patterns: impl IntoIterator<Item = usize>) -> Bits {
        let ranges = patterns
            .into_iter()
            .filter_map(|pattern| Some(*self.start_of.get(pattern)?..=*self.end_of.get(pattern)?));
        ranges.flatten().collect()
    }

    /// Where a text leads.
    pub(super) fn read(&self, alphabet: &Alphabet, text: &str) -> Vec<u64> {
        let (mut state, mut next) = (self.start.clone(), vec![0; self.words]);
        for char in text.chars() {
            self.step(&state, alphabet.class_of(char), &mut next);
            std::mem::swap(&mut state, &mut next);
        }
        state
    }
}

fn insert(words: &mut [u64], number: usize) {
    if let Some(word) = words.get_mut(number / 64) {
        *word |= mask(number);
    }
}

/// Words for that many positions.
fn words_of(positions: usize) -> usize {
    positions.div_ceil(64)
}
