//! Facts that a request does not say, and on which its decision depends.
//!
//! A fact that nobody gives is absent, and a policy decides by that, too. A test that means it says so; one that does not
//! passes or fails for a reason that its author did not write.
//!
//! Whether a decision depends on a fact is asked conjunct by conjunct: what a policy comes to is open where a conjunct reads
//! a fact that is not said, and no other conjunct of its clause is false. Open policies count where the others leave the
//! decision to them.

use std::collections::BTreeSet;

use crate::bundle::source::SourceFiles;
use crate::route::OperationId;
use crate::tools::anatomy::ClauseKind;
use crate::tools::desk::{Asked, Desk};
use crate::tools::trace::{Fact, PolicyEffect, PolicyOutcome, PolicyTrace, Tracer, Value};

/// What stands before a volatile fact's name.
const HTTP: &str = "context.http.";

/// The volatile facts that are listed by name: headers, and what is like them.
pub(super) const LISTS: [&str; 3] = ["headers", "query", "stage_variables"];

/// A policy, and a fact that it reads: `source_ip`, `headers.x-forwarded-for`.
pub(super) type Unsaid = (String, String);

/// The policies of an operation of which one reads volatile facts.
pub(super) struct Readers(Tracer);

impl Readers {
    /// `None` where no policy of the operation reads one beside the time, of which a test has to say more.
    pub(super) fn of(desk: &Desk<'_>, operation: OperationId, files: &SourceFiles) -> Option<Self> {
        let (_, slice) = desk.operation(operation)?;
        if !slice.reads_http() {
            return None;
        }
        let ids: BTreeSet<String> = slice.policies().map(|policy| policy.id().to_string()).collect();
        let tracer = Tracer::of_policies(desk.version(), files, &|id| ids.contains(id)).ok()?;
        let reads = tracer.policies().iter().flat_map(|policy| policy.reads());
        let reads_one = reads.map(|names| names.join(".")).any(|name| is_volatile(&name));
        reads_one.then_some(Self(tracer))
    }

    /// What a decision depends on and is not there, without being said to be `absent`. Where it is `told` which policies
    /// decide, each of them counts.
    pub(super) fn unsaid(&self, asked: &Asked<'_, '_>, absent: &BTreeSet<String>, told: bool) -> Vec<Unsaid> {
        let Ok(trace) = self.0.trace(asked) else { return Vec::new() };
        let (mut open, mut permitted, mut refused) = (Vec::new(), false, false);
        for policy in &trace.policies {
            match (fate(policy, absent), policy.effect) {
                (Fate::Open(facts), effect) => open.push((policy, effect, facts)),
                (Fate::Applies, PolicyEffect::Permit) => permitted = true,
                // A policy that cannot be evaluated refuses.
                (Fate::Applies, PolicyEffect::Forbid) | (Fate::Error, _) => refused = true,
                (Fate::DoesNotApply, _) => {}
            }
        }
        let can_permit = permitted || open.iter().any(|(_, effect, _)| *effect == PolicyEffect::Permit);
        if !told {
            open.retain(|(_, effect, _)| {
                !refused && can_permit && (!permitted || *effect == PolicyEffect::Forbid)
            });
        }
        let unsaid = open.into_iter();
        unsaid
            .flat_map(|(policy, _, facts)| facts.into_iter().map(|fact| (policy.policy.clone(), fact)))
            .collect()
    }
}

fn is_volatile(fact: &str) -> bool {
    fact.strip_prefix(HTTP).is_some_and(|name| name != "time")
}

/// What a policy comes to, as far as it is said.
enum Fate {
    Applies,
    DoesNotApply,
    Error,
    /// That depends on facts that are not said.
    Open(BTreeSet<String>),
}

fn fate(policy: &PolicyTrace, absent: &BTreeSet<String>) -> Fate {
    if !policy.scope_matches() {
        return Fate::DoesNotApply;
    }
    if matches!(policy.outcome, PolicyOutcome::Error(_)) {
        return Fate::Error;
    }
    let unsaid = not_said(policy, absent);
    let mut open = BTreeSet::new();
    for clause in &policy.clauses {
        let (mut is_false, mut of_clause) = (false, BTreeSet::new());
        for conjunct in &clause.conjuncts {
            let names = conjunct.facts.iter().filter_map(missing);
            let names: Vec<&str> = names.filter(|name| unsaid.contains(name)).collect();
            is_false |= names.is_empty() && conjunct.value == Value::False;
            of_clause.extend(names.into_iter().map(str::to_owned));
        }
        match (clause.kind, is_false, of_clause.is_empty()) {
            (ClauseKind::When, true, _) | (ClauseKind::Unless, false, true) => return Fate::DoesNotApply,
            (ClauseKind::When, false, true) | (ClauseKind::Unless, true, _) => {}
            (ClauseKind::When | ClauseKind::Unless, false, false) => open.append(&mut of_clause),
        }
    }
    // Who reads a header asks first whether there are any: that is told with the header.
    for list in LISTS {
        if open.iter().any(|fact| is_of(fact, list)) {
            open.remove(list);
        }
    }
    match open.is_empty() {
        true => Fate::Applies,
        false => Fate::Open(open),
    }
}

/// The volatile facts that a policy reads, that are not there, and are not said to be absent. Whether there are headers
/// is said where each header that the policy reads is.
fn not_said<'t>(policy: &'t PolicyTrace, absent: &BTreeSet<String>) -> BTreeSet<&'t str> {
    let facts =
        || policy.clauses.iter().flat_map(|clause| &clause.conjuncts).flat_map(|conjunct| &conjunct.facts);
    let is_said = |name: &str| {
        let list = name.split_once('.').map_or(name, |(list, _)| list);
        absent.contains(name) || absent.contains(list)
    };
    let mut unsaid: BTreeSet<&str> = facts().filter_map(missing).filter(|name| !is_said(name)).collect();
    for list in LISTS {
        let reads_one = facts().filter_map(|fact| fact.name.strip_prefix(HTTP)).any(|name| is_of(name, list));
        if reads_one && !unsaid.iter().any(|name| is_of(name, list)) {
            unsaid.remove(list);
        }
    }
    unsaid
}

/// The name of a volatile fact that is not there.
fn missing(fact: &Fact) -> Option<&str> {
    let name = fact.name.strip_prefix(HTTP)?;
    (fact.value.is_none() && is_volatile(&fact.name)).then_some(name)
}

/// Whether a fact is one of a list: `headers.x-a` of `headers`.
fn is_of(fact: &str, list: &str) -> bool {
    fact.strip_prefix(list).is_some_and(|rest| rest.starts_with('.'))
}
