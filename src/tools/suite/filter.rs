//! Which tests are run: globs over suites, cases, principals, routes and policies.

use std::fmt;
use std::str::FromStr;

use wildmatch::WildMatch;

/// A choice of tests: of several of one kind any, of several kinds each.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    terms: Vec<FilterTerm>,
}

/// One term: `case=clerks*`.
#[derive(Clone, Debug)]
pub struct FilterTerm {
    axis: Axis,
    glob: WildMatch,
    text: String,
}

/// What a term is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    Suite,
    Case,
    Principal,
    Route,
    Policy,
}

const AXES: [(&str, Axis); 5] = [
    ("suite", Axis::Suite),
    ("case", Axis::Case),
    ("principal", Axis::Principal),
    ("route", Axis::Route),
    ("policy", Axis::Policy),
];

/// Tells whether one of some names fits.
pub(super) type AnyFits<'s> = dyn Fn(&dyn Fn(&str) -> bool) -> bool + 's;

/// What a term is held against.
pub(super) struct Subject<'s> {
    pub(super) suite: &'s str,
    pub(super) case: &'s str,
    pub(super) principal: &'s str,
    /// The request, and the operation's name.
    pub(super) routes: &'s [&'s str],
    /// The policies that can apply, and those that the test names.
    pub(super) policies: &'s AnyFits<'s>,
}

impl Filter {
    /// Tests that fit each kind of these terms.
    #[must_use]
    pub fn new(terms: Vec<FilterTerm>) -> Self {
        Self { terms }
    }

    /// Whether nothing is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    pub(super) fn selects(&self, subject: &Subject<'_>) -> bool {
        AXES.iter().all(|(_, axis)| {
            let mut terms = self.terms.iter().filter(|term| term.axis == *axis).peekable();
            terms.peek().is_none() || terms.any(|term| term.selects(subject))
        })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms: Vec<&str> = self.terms.iter().map(|term| term.text.as_str()).collect();
        f.write_str(&terms.join(" "))
    }
}

impl FilterTerm {
    fn selects(&self, subject: &Subject<'_>) -> bool {
        let matches = |text: &str| self.glob.matches(text);
        match self.axis {
            Axis::Suite => matches(subject.suite),
            Axis::Case => matches(subject.case),
            Axis::Principal => matches(subject.principal),
            Axis::Route => subject.routes.iter().any(|route| matches(route)),
            Axis::Policy => (subject.policies)(&matches),
        }
    }
}

impl FromStr for FilterTerm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            let axes: Vec<String> = AXES.iter().map(|(name, _)| format!("{name}=GLOB")).collect();
            format!("expected {}", axes.join(", "))
        };
        let (name, glob) = text.split_once('=').ok_or_else(expected)?;
        let axis = AXES.iter().find(|(known, _)| *known == name).map(|(_, axis)| *axis);
        Ok(Self { axis: axis.ok_or_else(expected)?, glob: WildMatch::new(glob), text: text.to_owned() })
    }
}
