//! A principal's row of the access matrix: for every operation of the route table allow, deny, a condition over the path,
//! or unknown together with the facts it would need.
//!
//! The whole-API document ([`iam`](crate::iam)) comes from here, and so does whatever else states what a principal may do.

mod condition;
mod formula;
mod plan;
mod reads;
mod residual;
mod test;

pub use formula::{Formula, Outcomes};
pub use plan::{GrantError, GrantPlan, MakeSchema, VolatileRead};
pub use reads::PrincipalReads;
#[cfg(feature = "cli")]
pub(crate) use residual::visit_reads;
pub use test::{Glob, GlobPart, Subject, Test};

use std::collections::BTreeSet;

use crate::route::OperationId;

/// What a principal may do, operation by operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    operations: Vec<Grant>,
}

/// What a principal may do with one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The permits that can apply.
    pub permits: Vec<Clause>,
    /// The forbids that can apply.
    pub forbids: Vec<Clause>,
    /// The questions about the path that their formulas ask, each once.
    pub tests: Vec<Test>,
    /// Whether partial evaluation had a part in it: else scopes alone decided.
    pub is_partially_evaluated: bool,
}

/// A policy that can apply to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// The policy's id.
    pub policy: String,
    /// When it applies.
    pub formula: Formula,
}

/// What [`Grant::answer`] says about one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GrantAnswer {
    /// Cedar allows it, whatever else the request carries.
    Allow,
    /// Cedar does not allow it, whatever else the request carries.
    Deny,
    /// It depends on what the path does not tell.
    Unknown,
}

impl Grants {
    /// One grant for each operation, in the order of the route table.
    #[must_use]
    pub fn new(operations: Vec<Grant>) -> Self {
        Self { operations }
    }

    /// The grant of an operation. An operation that the table has and the grants have not is one that nothing permits.
    #[must_use]
    pub fn of(&self, operation: OperationId) -> Option<&Grant> {
        self.operations.get(operation.index())
    }

    /// The grants in the order of the route table.
    #[must_use]
    pub fn operations(&self) -> &[Grant] {
        &self.operations
    }
}

impl Grant {
    /// The answer for a path, given how the tests come out on it.
    ///
    /// As [`Decision`](crate::decision::Decision) has it, an evaluation error makes the answer a deny: Cedar skips a policy
    /// that errors, and so a forbid would vanish.
    pub fn answer(&self, test: &dyn Fn(usize) -> bool) -> GrantAnswer {
        let refuses = Outcomes::TRUE.or(Outcomes::ERROR);
        let (mut may_refuse, mut may_permit, mut does_permit) = (false, false, false);
        for forbid in &self.forbids {
            let outcomes = forbid.formula.outcomes(test);
            if !outcomes.may_be(Outcomes::FALSE) {
                return GrantAnswer::Deny;
            }
            may_refuse |= outcomes.may_be(refuses);
        }
        for permit in &self.permits {
            let outcomes = permit.formula.outcomes(test);
            if outcomes == Outcomes::ERROR {
                return GrantAnswer::Deny;
            }
            may_refuse |= outcomes.may_be(Outcomes::ERROR);
            may_permit |= outcomes.may_be(Outcomes::TRUE);
            does_permit |= outcomes == Outcomes::TRUE;
        }
        match (may_permit, does_permit && !may_refuse) {
            (false, _) => GrantAnswer::Deny,
            (true, true) => GrantAnswer::Allow,
            (true, false) => GrantAnswer::Unknown,
        }
    }

    /// The facts beyond the path that a clause reads, sorted.
    #[must_use]
    pub fn facts(&self) -> BTreeSet<&str> {
        let mut facts = BTreeSet::new();
        for clause in self.permits.iter().chain(&self.forbids) {
            clause.formula.visit_facts(&mut |fact| {
                facts.insert(fact);
            });
        }
        facts
    }

    /// Whether the answer is the same for every request with one path, though a pattern may not be able to say it: two
    /// parameters that are compared, for instance.
    #[must_use]
    pub fn is_determined_by_path(&self) -> bool {
        !self.facts().into_iter().any(is_volatile)
    }
}

/// Whether a fact can change while principal, method and path stay the same. What cannot be read may.
fn is_volatile(fact: &str) -> bool {
    const FIXED: [&str; 5] = ["principal", "action", "resource", "context.path", "context.params"];
    !FIXED
        .iter()
        .any(|fixed| fact.strip_prefix(fixed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}
