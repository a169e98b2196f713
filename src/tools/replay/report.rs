//! What a replay found, counted.

use std::collections::BTreeMap;

use cedar_policy as cedar;
use serde::Serialize;

use super::{Redecided, Undecided, moment};
use crate::bundle::policies::PolicyVersion;
use crate::decision::Effect;
use crate::record::facts::RecordedPath;
use crate::time::Timestamp;
use crate::tools::decision_log::LoggedDecision;

/// The most kinds of flips that are told apart: a log of any length takes a bounded amount of memory.
const MAX_KINDS: usize = 10_000;

/// What came of replaying a log.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The first and the last moment of the decisions.
    pub period: Option<Period>,
    /// How many decision records there were.
    pub records: u64,
    /// How many lines looked like one and were none.
    pub broken: u64,
    /// How many were decided once more.
    pub decided: u64,
    /// Of these, how many alike.
    pub same: u64,
    /// Of these, how many by other policies than then.
    pub other_reasons: u64,
    /// How many would be allowed that were denied.
    pub wider: u64,
    /// How many would be denied that were allowed.
    pub narrower: u64,
    /// What would flip: the most frequent first.
    pub flips: Vec<Flip>,
    /// How many flips are of further kinds, which are not listed.
    pub unlisted: u64,
    /// How many flips each operation has.
    pub by_operation: BTreeMap<String, Flips>,
    /// How many flips each role has; who has several is counted for each.
    pub by_role: BTreeMap<String, Flips>,
    /// How many flips each policy has, that decided then or would now; the absence of a permit is `(no permit)`.
    pub by_policy: BTreeMap<String, Flips>,
    /// The records without a decision of policies, by reason.
    pub no_decision: BTreeMap<String, u64>,
    /// The decisions that cannot be made once more, by why.
    pub undecided: BTreeMap<String, u64>,
    /// The versions that were tried.
    pub versions: Vec<TriedVersion>,
    /// How often each policy of these versions determined a decision.
    pub policies: Vec<PolicyUse>,
    /// How many of the recorded decisions were allows: where a log keeps none, a permit that is not used says nothing.
    pub allows: u64,
    #[serde(skip)]
    kinds: BTreeMap<Kind, (u64, Example)>,
    #[serde(skip)]
    used: BTreeMap<(String, String), u64>,
}

/// From when to when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Period {
    /// The first moment.
    pub from: String,
    /// The last one.
    pub to: String,
    #[serde(skip)]
    range: (Timestamp, Timestamp),
}

/// A version that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedVersion {
    /// Its name.
    pub version: String,
    /// Its digest.
    pub digest: String,
}

/// How often one policy determined a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyUse {
    /// The version that it is of.
    pub version: String,
    /// The policy.
    pub policy: String,
    /// `permit` or `forbid`.
    pub effect: &'static str,
    /// How many decisions it determined.
    pub decisions: u64,
}

/// In which direction a decision flips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From deny to allow.
    Wider,
    /// From allow to deny.
    Narrower,
}

/// Flips in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Flips {
    /// From deny to allow.
    pub wider: u64,
    /// From allow to deny.
    pub narrower: u64,
}

/// Requests that would flip alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flip {
    /// In which direction.
    pub direction: Direction,
    /// How many.
    pub count: u64,
    /// The operation.
    pub operation: String,
    /// The roles of who asked.
    pub roles: Vec<String>,
    /// What decided then: policies, or the authorizer's word for why there was none.
    pub was: Vec<String>,
    /// What would decide now, likewise.
    pub now: Vec<String>,
    /// The first of them.
    pub example: Example,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// When it was decided.
    pub timestamp: String,
    /// Who asked.
    pub principal: String,
    /// For what: method and path, or the operation where the path is not told.
    pub request: String,
    /// The gateway's request id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    direction: Direction,
    operation: String,
    roles: Vec<String>,
    was: Vec<String>,
    now: Vec<String>,
}

/// What stands for the policies where none permits.
const NO_PERMIT: &str = "(no permit)";

/// What stands for the roles of who has none.
const NO_ROLE: &str = "(no role)";

impl Report {
    /// Whether a decision flips.
    #[must_use]
    pub fn has_flips(&self) -> bool {
        self.wider + self.narrower > 0
    }

    /// The permits that determined no decision.
    pub fn unused_permits(&self) -> impl Iterator<Item = &PolicyUse> {
        self.policies.iter().filter(|policy| policy.effect == "permit" && policy.decisions == 0)
    }

    pub(super) fn note_no_decision(&mut self, record: &LoggedDecision) {
        self.note(record);
        *self.no_decision.entry(record.reason.clone()).or_default() += 1;
    }

    pub(super) fn note_undecided(&mut self, record: &LoggedDecision, why: &Undecided) {
        self.note(record);
        *self.undecided.entry(why.to_string()).or_default() += 1;
    }

    pub(super) fn note_decision(&mut self, record: &LoggedDecision, was: Effect, now: &Redecided) {
        self.note(record);
        self.decided += 1;
        for policy in &now.policies {
            *self.used.entry((now.version.clone(), policy.clone())).or_default() += 1;
        }
        let direction = match (was, now.effect) {
            (Effect::Deny, Effect::Allow) => Direction::Wider,
            (Effect::Allow, Effect::Deny) => Direction::Narrower,
            (Effect::Allow, Effect::Allow) | (Effect::Deny, Effect::Deny) => {
                self.same += 1;
                self.other_reasons += u64::from(now.is_whole && now.policies != record.policies);
                return;
            }
        };
        let count = |flips: &mut Flips| match direction {
            Direction::Wider => flips.wider += 1,
            Direction::Narrower => flips.narrower += 1,
        };
        let mut all = Flips { wider: self.wider, narrower: self.narrower };
        count(&mut all);
        (self.wider, self.narrower) = (all.wider, all.narrower);
        let kind = Kind::new(direction, record, now);
        count(self.by_operation.entry(kind.operation.clone()).or_default());
        let or = |names: &[String], none: &str| match names {
            [] => vec![none.to_owned()],
            names => names.to_vec(),
        };
        or(&kind.roles, NO_ROLE).into_iter().for_each(|role| count(self.by_role.entry(role).or_default()));
        for policy in kind.was.iter().chain(&kind.now) {
            count(self.by_policy.entry(policy.clone()).or_default());
        }
        let is_full = self.kinds.len() >= MAX_KINDS;
        match self.kinds.get_mut(&kind) {
            Some((count, _)) => *count += 1,
            None if is_full => self.unlisted += 1,
            None => {
                self.kinds.insert(kind, (1, Example::of(record)));
            }
        }
    }

    fn note(&mut self, record: &LoggedDecision) {
        self.records += 1;
        self.allows += u64::from(record.outcome == "allow");
        let Some(moment) = moment(record) else { return };
        let (from, to) = self.period.as_ref().map_or((moment, moment), |period| period.range);
        let (from, to) = (from.min(moment), to.max(moment));
        self.period = Some(Period { from: from.to_string(), to: to.to_string(), range: (from, to) });
    }

    pub(super) fn close<'v>(&mut self, versions: impl Iterator<Item = &'v PolicyVersion>) {
        let kinds = std::mem::take(&mut self.kinds);
        self.flips = kinds
            .into_iter()
            .map(|(kind, (count, example))| Flip {
                direction: kind.direction,
                count,
                operation: kind.operation,
                roles: kind.roles,
                was: kind.was,
                now: kind.now,
                example,
            })
            .collect();
        self.flips.sort_by(|one, other| (one.direction, other.count).cmp(&(other.direction, one.count)));
        for version in versions {
            self.versions
                .push(TriedVersion { version: version.name.clone(), digest: version.digest.clone() });
            let mut policies: Vec<PolicyUse> = version
                .policies()
                .policies()
                .map(|policy| (policy, (version.name.clone(), policy.id().to_string())))
                .map(|(policy, key)| PolicyUse {
                    decisions: self.used.get(&key).copied().unwrap_or(0),
                    version: key.0,
                    policy: key.1,
                    effect: match policy.effect() {
                        cedar::Effect::Permit => "permit",
                        cedar::Effect::Forbid => "forbid",
                    },
                })
                .collect();
            policies.sort_by(|one, other| one.policy.cmp(&other.policy));
            self.policies.append(&mut policies);
        }
    }
}

impl Kind {
    fn new(direction: Direction, record: &LoggedDecision, now: &Redecided) -> Self {
        let reasons = |policies: &[String], word: Option<&str>| match (policies, word) {
            ([], Some(word)) => vec![format!("({word})")],
            ([], None) => vec![NO_PERMIT.to_owned()],
            (policies, _) => policies.to_vec(),
        };
        let word = (record.reason == "policy_error").then_some("policy error");
        let mut roles = record.roles.clone();
        roles.sort_unstable();
        Self {
            direction,
            operation: record.action.clone().unwrap_or_default(),
            roles,
            was: reasons(&record.policies, word),
            now: reasons(&now.policies, now.reason),
        }
    }
}

impl Example {
    fn of(record: &LoggedDecision) -> Self {
        let operation = record.action.as_deref().unwrap_or_default();
        let request = match (&record.path, &record.verb) {
            (Some(RecordedPath::Plain(path)), Some(verb)) => format!("{verb} {path}"),
            _ => operation.to_owned(),
        };
        Self {
            timestamp: record.timestamp.clone(),
            principal: record.principal.clone().unwrap_or_default(),
            request,
            request_id: record.request_id.clone(),
        }
    }
}
