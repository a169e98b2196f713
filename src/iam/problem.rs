//! What the document has to say about one verb, or about several for which it is the same.

use std::collections::{BTreeSet, HashMap};

use super::alphabet::Alphabet;
use super::bits::Bits;
use super::compile::{CompileError, VerbRoutes, WholeApi};
use super::explore::collides;
use super::pattern::{Pattern, Token};
use super::proof::VerbDocument;
use super::reading::Reading;
use crate::arn::Verb;
use crate::grants::{Clause, Formula, Glob, GlobPart, Grant, GrantAnswer, Outcomes, Subject};
use crate::path::{PathEncoding, RequestPath, reconcile};
use crate::route::{OperationId, RouteTable, Router, Segment};

/// Operations of one verb and what is granted of them.
#[derive(Debug)]
pub(super) struct Problem<'q> {
    routes: &'q RouteTable,
    router: Router,
    /// Verbs with the same templates and the same grants; the first one speaks for all.
    pub(super) verbs: Vec<&'q VerbRoutes>,
    /// In the order of the table.
    pub(super) operations: Vec<Asked<'q>>,
    /// The templates' patterns in the order of the operations, then those of the tests.
    pub(super) targets: Vec<Pattern>,
    pub(super) alphabet: Alphabet,
    /// Characters that no accepted path holds and every path that holds them must be denied for.
    pub(super) guarded: BTreeSet<char>,
    /// Whether values that collide with literals of the table may be denied.
    pub(super) spares_collisions: bool,
}

/// One operation, as a problem sees it.
#[derive(Debug)]
pub(super) struct Asked<'q> {
    pub(super) id: OperationId,
    pub(super) grant: &'q Grant,
    pub(super) readings: Vec<Reading>,
    tests: Vec<TestTargets>,
    /// It is left out for want of room.
    pub(super) is_dropped: bool,
    /// Whether some path may come out as Allow or Unknown.
    pub(super) is_grantable: bool,
}

/// The targets of one test.
#[derive(Debug)]
struct TestTargets {
    accepted: Option<usize>,
    unwritable: Vec<usize>,
}

/// What a document has to say about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Label {
    /// It must be allowed.
    Allow,
    /// It may be allowed, and is withheld if it is not: a value collides with a literal of the table.
    Collision,
    /// It may be allowed, and is withheld if it is not: there is no room.
    Dropped,
    /// It must not be allowed: Cedar denies it.
    Deny,
    /// It must not be allowed: Cedar's answer depends on other facts.
    Unknown,
    /// It must not be allowed: no document can tell it from a text that Cedar does not allow.
    Unwritable,
    /// No route serves it.
    Free,
}

impl Label {
    /// Whether a document that allows it is wrong.
    pub(super) const fn must_be_denied(self) -> bool {
        match self {
            Self::Deny | Self::Unknown | Self::Unwritable => true,
            Self::Allow | Self::Collision | Self::Dropped | Self::Free => false,
        }
    }

    /// Whether Cedar allows it.
    pub(super) const fn is_granted(self) -> bool {
        match self {
            Self::Allow | Self::Collision | Self::Dropped | Self::Unwritable => true,
            Self::Deny | Self::Unknown | Self::Free => false,
        }
    }
}

/// A label and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) label: Label,
    /// The operation that serves the path, by its place in the problem.
    pub(super) operation: Option<usize>,
    /// What its grant says.
    pub(super) answer: Option<GrantAnswer>,
}

impl<'q> Problem<'q> {
    /// The problem of one verb. `None` if nothing can be granted.
    pub(super) fn new(
        question: &WholeApi<'q>,
        verb: &'q VerbRoutes,
        grants: Vec<&'q Grant>,
    ) -> Result<Option<Self>, CompileError> {
        let mut targets: Vec<Pattern> = verb.templates.clone();
        let mut places: HashMap<Pattern, usize> = HashMap::new();
        let mut guarded = BTreeSet::new();
        let mut operations = Vec::new();
        for (id, grant) in verb.operations.iter().zip(grants) {
            let template = question.routes.operation(*id).ok_or(CompileError::OtherTable)?.template();
            let mut asked = Asked {
                id: *id,
                grant,
                readings: Vec::new(),
                tests: Vec::new(),
                is_dropped: false,
                is_grantable: is_grantable(grant),
            };
            let mut target = |pattern: &Pattern| {
                *places.entry(pattern.clone()).or_insert_with(|| {
                    targets.push(pattern.clone());
                    targets.len() - 1
                })
            };
            for test in asked.grant.tests.iter().filter(|_| asked.is_grantable) {
                let reading = Reading::new(test, template, verb.encoding, question.escape_wildcards)
                    .map_err(|_| CompileError::NoSuchParameter { operation: *id })?;
                asked.tests.push(TestTargets {
                    accepted: reading.accepted.as_ref().map(&mut target),
                    unwritable: reading.unwritable.iter().map(&mut target).collect(),
                });
                guarded.extend(reading.guarded.iter().copied());
                asked.readings.push(reading);
            }
            operations.push(asked);
        }
        if operations.iter().all(|asked| !asked.is_grantable) {
            return Ok(None);
        }
        let alphabet = Alphabet::of(&targets, verb.encoding).ok_or(CompileError::WorkLimit)?;
        Ok(Some(Self {
            routes: question.routes,
            router: question.router,
            verbs: vec![verb],
            operations,
            targets,
            alphabet,
            guarded,
            spares_collisions: false,
        }))
    }

    /// Takes the characters of a document's patterns into the alphabet: those of the targets are in it already.
    pub(super) fn mention(&mut self, document: &VerbDocument) -> Result<(), CompileError> {
        let encoding = self.verbs.first().map_or(PathEncoding::Raw, |verb| verb.encoding);
        let all = self.targets.iter().chain(&document.allow).chain(&document.deny);
        self.alphabet = Alphabet::of(all, encoding).ok_or(CompileError::WorkLimit)?;
        Ok(())
    }

    /// The verb that speaks for all.
    pub(super) fn verb(&self) -> Option<&'q Verb> {
        self.verbs.first().map(|verb| &verb.verb)
    }

    /// What a document has to say about all paths of a class, by one of them.
    ///
    /// Two paths that match the same templates are served by the same operation: [`RouteTable::find`] depends on
    /// nothing else. If they also match the same tests, the grant says the same of both.
    ///
    /// `matches` tells of each of [`Problem::targets`] whether the path matches it.
    pub(super) fn judge(&self, path: &str, collisions: u64, matches: &dyn Fn(usize) -> bool) -> Judgement {
        let denied = Judgement { label: Label::Deny, operation: None, answer: None };
        // What cannot be asked for, because it is too long, cannot be granted.
        let (Some(path), Some(verb)) = (request_path(path), self.verb()) else { return denied };
        let Some(found) = self.routes.find(self.router, verb, &path) else {
            return Judgement { label: Label::Free, ..denied };
        };
        let id = found.operation().id();
        let Ok(place) = self.operations.binary_search_by_key(&id, |asked| asked.id) else { return denied };
        let Some(asked) = self.operations.get(place) else { return denied };
        if !asked.is_grantable {
            return Judgement { label: Label::Deny, operation: Some(place), answer: Some(GrantAnswer::Deny) };
        }
        let is_accepted =
            |test: usize| asked.tests.get(test).is_some_and(|targets| targets.accepted.is_some_and(matches));
        let answer = asked.grant.answer(&is_accepted);
        let label = match answer {
            GrantAnswer::Deny => Label::Deny,
            GrantAnswer::Unknown => Label::Unknown,
            GrantAnswer::Allow if !asked.is_allowed_however_written(&is_accepted, matches) => {
                Label::Unwritable
            }
            GrantAnswer::Allow if asked.is_dropped => Label::Dropped,
            GrantAnswer::Allow
                if self.spares_collisions && self.collides(asked, collisions, &is_accepted) =>
            {
                Label::Collision
            }
            GrantAnswer::Allow => Label::Allow,
        };
        Judgement { label, operation: Some(place), answer: Some(answer) }
    }

    /// Whether a parameter has a value that is a literal segment of the table, and that no test speaks of that is true
    /// of it.
    fn collides(&self, asked: &Asked<'_>, collisions: u64, is_accepted: &dyn Fn(usize) -> bool) -> bool {
        let Some(operation) = self.routes.operation(asked.id) else { return false };
        let speaks = |glob: &Glob| {
            glob.parts().iter().any(|part| !matches!(part, GlobPart::Any | GlobPart::Char('/')))
        };
        let is_named = |name: &str| {
            let mut tests = asked.grant.tests.iter().enumerate();
            tests.any(|(index, test)| match &test.subject {
                Subject::Param(param) => param == name && speaks(&test.glob) && is_accepted(index),
                Subject::Path => speaks(&test.glob) && is_accepted(index),
            })
        };
        let catches_all = operation.template().catches_all();
        let segments = operation.template().segments();
        segments.iter().enumerate().any(|(index, segment)| {
            let is_greedy = catches_all && index + 1 == segments.len();
            segment.param_name().is_some_and(|name| collides(collisions, index, is_greedy) && !is_named(name))
        })
    }

    /// The targets that are templates of operations that can be granted.
    pub(super) fn grantable_templates(&self) -> impl Iterator<Item = usize> + '_ {
        self.operations.iter().enumerate().filter(|(_, asked)| asked.is_grantable).map(|(index, _)| index)
    }

    /// The literal segments of the templates.
    pub(super) fn literal_segments(&self) -> impl Iterator<Item = &str> {
        self.segments(|_| true).filter_map(|(_, segment)| match segment {
            Segment::Literal(text) => Some(text.as_str()),
            Segment::Parameter(_) | Segment::Greedy(_) => None,
        })
    }

    /// The numbers of the segments that are parameters of something grantable.
    pub(super) fn bound_segments(&self) -> impl Iterator<Item = usize> {
        let longest = self.segments(|_| true).map(|(number, _)| number).max().unwrap_or_default();
        self.segments(|asked| asked.is_grantable).flat_map(move |(number, segment)| match segment {
            Segment::Literal(_) => 0..0,
            Segment::Parameter(_) => number..number + 1,
            // It takes the rest; what is as deep as no template is one with the deepest.
            Segment::Greedy(_) => number..longest.max(number) + 1,
        })
    }

    fn segments(&self, of: impl Fn(&Asked<'_>) -> bool) -> impl Iterator<Item = (usize, &Segment)> {
        let operations = self.operations.iter().filter(move |asked| of(asked));
        let operations = operations.filter_map(|asked| self.routes.operation(asked.id));
        operations.flat_map(|operation| operation.template().segments().iter().enumerate())
    }

    /// One path for each operation, and one for each test of it: what the document must surely get right.
    pub(super) fn first_paths(&self) -> Vec<String> {
        let other = self.alphabet.char(self.alphabet.other());
        let mut paths = BTreeSet::new();
        for pattern in &self.targets {
            let text = |any: &str| -> String {
                pattern.tokens().iter().fold(String::new(), |mut text, token| {
                    match token {
                        Token::Char(char) => text.push(*char),
                        Token::One | Token::OneInSegment => text.push(other),
                        Token::Any | Token::AnyInSegment => text.push_str(any),
                    }
                    text
                })
            };
            paths.insert(text(""));
            paths.insert(text(&other.to_string()));
        }
        paths.into_iter().filter(|path| request_path(path).is_some()).collect()
    }
}

impl Asked<'_> {
    /// Whether the grant also allows each text that the document cannot tell from this one: those that make some of the
    /// tests true whose literals no pattern can be written for.
    fn is_allowed_however_written(
        &self,
        is_accepted: &dyn Fn(usize) -> bool,
        matches: &dyn Fn(usize) -> bool,
    ) -> bool {
        let tests = self.tests.iter().enumerate();
        let open: Vec<usize> = tests
            .filter(|(index, test)| {
                !is_accepted(*index) && test.unwritable.iter().any(|target| matches(*target))
            })
            .map(|(index, _)| index)
            .collect();
        // Each of the open tests may be true or false of such a text, so every choice of them is asked.
        const MOST_OPEN: usize = 6;
        open.len() <= MOST_OPEN
            && (1..1_usize << open.len()).all(|choice| {
                let chosen: Bits = open
                    .iter()
                    .enumerate()
                    .filter(|(bit, _)| choice >> bit & 1 == 1)
                    .map(|(_, test)| *test)
                    .collect();
                self.grant.answer(&|test| is_accepted(test) || chosen.contains(test)) == GrantAnswer::Allow
            })
    }
}

/// Whether some path may come out as other than Deny, as far as that is plain to see.
fn is_grantable(grant: &Grant) -> bool {
    let surely_refuses = |clause: &Clause| match &clause.formula {
        Formula::Constant(outcomes) => !outcomes.may_be(Outcomes::FALSE),
        Formula::Reads(_)
        | Formula::Test(_)
        | Formula::Not(_)
        | Formula::And(..)
        | Formula::Or(..)
        | Formula::If(..) => false,
    };
    if grant.permits.is_empty() || grant.forbids.iter().any(surely_refuses) {
        return false;
    }
    !grant.tests.is_empty() || grant.answer(&|_| false) != GrantAnswer::Deny
}

/// A path of the automaton as a request's. It is read as decoded, so that it may hold any character.
pub(super) fn request_path(path: &str) -> Option<RequestPath> {
    reconcile(PathEncoding::Decoded, path.strip_prefix('/')?, None, &[]).ok()
}
