//! What one policy says about one operation, as far as a principal alone decides it: a formula over tests of the path.
//!
//! Cedar's rules for `&&`, `||`, `if` and errors (Cedar reference, "Operators and functions": short-circuit evaluation) are
//! kept, but over *sets* of outcomes: a part of a condition that reads what the path does not tell can come out true, false
//! or as an error. Reasoning with sets is sound and not complete: `x || !x` with an unknown `x` is not seen to be true.

use std::collections::BTreeSet;

/// The outcomes that an expression can have: a set of true, false and error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcomes(u8);

impl Outcomes {
    /// None: what cannot be.
    const NONE: Self = Self(0);
    /// Certainly true.
    pub const TRUE: Self = Self(1);
    /// Certainly false.
    pub const FALSE: Self = Self(2);
    /// Certainly an error.
    pub const ERROR: Self = Self(4);
    /// Whatever there is.
    pub const ANY: Self = Self(7);

    /// The outcome of a test.
    #[must_use]
    pub const fn certain(outcome: bool) -> Self {
        if outcome { Self::TRUE } else { Self::FALSE }
    }

    /// Whether one of `others` can come out.
    #[must_use]
    pub const fn may_be(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// What can come out of either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of `others` that can come out.
    const fn only(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// `then`, where one of `condition` can come out.
    fn when(self, condition: Self, then: impl FnOnce() -> Self) -> Self {
        if self.may_be(condition) { then() } else { Self::NONE }
    }
}

/// The condition of a policy on one operation, for one principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formula {
    /// The same for every path.
    Constant(Outcomes),
    /// It reads what a path does not tell: facts like `context.http.source_ip`, sorted. Anything can come out.
    Reads(BTreeSet<String>),
    /// A test of the path, by its number in [`Grant::tests`](super::Grant::tests).
    Test(usize),
    /// `!x`
    Not(Box<Formula>),
    /// `x && y`
    And(Box<Formula>, Box<Formula>),
    /// `x || y`
    Or(Box<Formula>, Box<Formula>),
    /// `if x then y else z`
    If(Box<Formula>, Box<Formula>, Box<Formula>),
}

impl Formula {
    /// Certainly true, certainly false.
    pub const TRUE: Self = Self::Constant(Outcomes::TRUE);
    /// Certainly false.
    pub const FALSE: Self = Self::Constant(Outcomes::FALSE);

    /// What can come out, given how the tests do.
    pub fn outcomes(&self, test: &dyn Fn(usize) -> bool) -> Outcomes {
        match self {
            Self::Constant(outcomes) => *outcomes,
            Self::Reads(_) => Outcomes::ANY,
            Self::Test(index) => Outcomes::certain(test(*index)),
            Self::Not(inner) => {
                let inner = inner.outcomes(test);
                let negated = inner
                    .when(Outcomes::TRUE, || Outcomes::FALSE)
                    .or(inner.when(Outcomes::FALSE, || Outcomes::TRUE));
                negated.or(inner.only(Outcomes::ERROR))
            }
            Self::And(left, right) => {
                let left = left.outcomes(test);
                left.only(Outcomes::FALSE.or(Outcomes::ERROR))
                    .or(left.when(Outcomes::TRUE, || right.outcomes(test)))
            }
            Self::Or(left, right) => {
                let left = left.outcomes(test);
                left.only(Outcomes::TRUE.or(Outcomes::ERROR))
                    .or(left.when(Outcomes::FALSE, || right.outcomes(test)))
            }
            Self::If(condition, then, otherwise) => {
                let condition = condition.outcomes(test);
                condition
                    .only(Outcomes::ERROR)
                    .or(condition.when(Outcomes::TRUE, || then.outcomes(test)))
                    .or(condition.when(Outcomes::FALSE, || otherwise.outcomes(test)))
            }
        }
    }

    /// `left && right`, shortened where one side settles it. An error on the right is not lost: `true && right` is `right`,
    /// and `false && right` is false in Cedar too.
    #[must_use]
    pub fn and(left: Self, right: Self) -> Self {
        match left {
            Self::TRUE => right,
            Self::FALSE => left,
            left => Self::And(Box::new(left), Box::new(right)),
        }
    }

    /// `left || right`, shortened in the same way.
    #[must_use]
    pub fn or(left: Self, right: Self) -> Self {
        match left {
            Self::FALSE => right,
            Self::TRUE => left,
            left => Self::Or(Box::new(left), Box::new(right)),
        }
    }

    /// `!inner`.
    #[must_use]
    pub fn negation(inner: Self) -> Self {
        match inner {
            Self::TRUE => Self::FALSE,
            Self::FALSE => Self::TRUE,
            inner => Self::Not(Box::new(inner)),
        }
    }

    /// Calls `visit` with every fact beyond the path that the formula reads.
    pub fn visit_facts<'f>(&'f self, visit: &mut dyn FnMut(&'f str)) {
        match self {
            Self::Constant(_) | Self::Test(_) => {}
            Self::Reads(facts) => facts.iter().for_each(|fact| visit(fact)),
            Self::Not(inner) => inner.visit_facts(visit),
            Self::And(left, right) | Self::Or(left, right) => {
                left.visit_facts(visit);
                right.visit_facts(visit);
            }
            Self::If(condition, then, otherwise) => {
                condition.visit_facts(visit);
                then.visit_facts(visit);
                otherwise.visit_facts(visit);
            }
        }
    }
}
