//! Decisions of production, made once more by another version of the policies, or another bundle: which real requests would
//! be answered otherwise.
//!
//! A decision record names who asked for what, and carries the facts that policies can read, some of them as hashes
//! ([`record::facts`](crate::record::facts)). What can be decided exactly is; what cannot is counted, with the reason, and
//! never guessed:
//!
//! - A hash is looked up among all that it could be equal to: the texts that the policies and the route table write, and
//!   those that the record itself tells. If it is one of them, the fact is known after all. If not, the fact is a text that
//!   equals none of them, and equality with another hash still shows.
//! - A policy is left out where a fact that it reads is not known well enough for what it does with it: of a hash, a pattern,
//!   an order or an address range; of a fact that was not recorded, anything. What is left decides if no policy that was left
//!   out could change it: a deny if one that was evaluated forbids, or if those left out only forbid; an allow if those left
//!   out only permit and cannot fail.
//!
//! Tokens are not verified again: roles and tenant are those that the issuer conferred then. An event that was refused before
//! any policy was asked has nothing to decide anew. Where the gateway kept an answer for the whole API, requests that it
//! answered from its cache left no record.

mod facts;
mod reads;
mod report;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use cedar_policy as cedar;

pub use self::report::{Direction, Flip, PolicyUse, Report};
use crate::bundle::Bundle;
use crate::decision::{Effect, Engine};
use crate::record::facts::pseudonym;
use crate::time::Timestamp;
use crate::tools::decision_log::LoggedDecision;
use crate::tools::desk::{AskError, Asked, Desk, DeskError};

use facts::{Level, Resolved};
use reads::{Reads, Use, literals};

/// Replays records against a bundle, one after another, and keeps of them what the report needs.
#[derive(Debug)]
pub struct Replay<'b> {
    bundle: &'b Bundle,
    version: Option<String>,
    stages: BTreeMap<(String, String), Result<Stage<'b>, Undecided>>,
    report: Report,
}

/// A stage under the version that is tried.
#[derive(Debug)]
struct Stage<'b> {
    desk: Desk<'b>,
    /// By operation, what its policies read.
    reads: Vec<OnceCell<Vec<Reads>>>,
    /// What a hash can be the hash of.
    dictionary: HashMap<String, String>,
}

/// A decision that was made once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redecided {
    /// The version that was asked.
    pub version: String,
    /// What the version says.
    pub effect: Effect,
    /// The policies that determine it, as far as they were evaluated.
    pub policies: Vec<String>,
    /// Why, where no policy was asked: the authorizer's own word (`no_route`, `claims_do_not_fit`).
    pub reason: Option<&'static str>,
    /// Whether every policy that could apply was evaluated, so that no other determines it too.
    pub is_whole: bool,
}

/// Why a decision cannot be made once more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Undecided {
    /// There is nobody to ask.
    #[error("{0}")]
    NoStage(String),
    /// The record lacks what every record has had since records can be replayed.
    #[error("the record does not say {lacks}: it was written before records could be replayed")]
    Incomplete {
        /// What it lacks, in words.
        lacks: &'static str,
    },
    /// The record has no path.
    #[error("the record has no path: `facts` of [log] was \"none\"")]
    NoPath,
    /// A policy reads what the record does not tell.
    #[error("policy `{policy}` reads `{fact}`, which {lack}")]
    Fact {
        /// The policy.
        policy: String,
        /// The fact.
        fact: String,
        /// What the record says of it, in words.
        lack: &'static str,
    },
    /// A required claim is not told.
    #[error("the schema requires `{fact}`, which {lack}")]
    Required {
        /// The fact.
        fact: String,
        /// What the record says of it, in words.
        lack: &'static str,
    },
    /// The request cannot be put together.
    #[error("{0}")]
    Request(String),
}

impl<'b> Replay<'b> {
    /// Against the version with that name; without one, the version that is active in the stage that was asked.
    #[must_use]
    pub fn new(bundle: &'b Bundle, version: Option<&str>) -> Self {
        Self {
            bundle,
            version: version.map(str::to_owned),
            stages: BTreeMap::new(),
            report: Report::default(),
        }
    }

    /// Decides a record once more, and notes what came of it.
    pub fn add(&mut self, record: &LoggedDecision) {
        let Some(was) = decided(record) else { return self.report.note_no_decision(record) };
        match self.redecide(record) {
            Ok(now) => self.report.note_decision(record, was, &now),
            Err(why) => self.report.note_undecided(record, &why),
        }
    }

    /// Notes a line that looks like a record and is none.
    pub fn add_broken(&mut self) {
        self.report.broken += 1;
    }

    /// What came of all of them.
    #[must_use]
    pub fn finish(self) -> Report {
        let mut report = self.report;
        let versions = self.stages.values().filter_map(|stage| stage.as_ref().ok());
        let versions: BTreeMap<&str, _> =
            versions.map(|stage| (stage.desk.version().name.as_str(), stage.desk.version())).collect();
        report.close(versions.into_values());
        report
    }

    /// Decides a record once more.
    ///
    /// # Errors
    /// Why that cannot be done exactly.
    pub fn redecide(&mut self, record: &LoggedDecision) -> Result<Redecided, Undecided> {
        let lacks = |lacks| Undecided::Incomplete { lacks };
        let (api, name) =
            record.api.as_ref().zip(record.stage.as_ref()).ok_or(lacks("which stage was asked"))?;
        let (bundle, version) = (self.bundle, self.version.as_deref());
        let stage = self
            .stages
            .entry((api.clone(), name.clone()))
            .or_insert_with(|| Stage::new(bundle, api, name, version));
        stage.as_ref().map_err(Clone::clone)?.redecide(record)
    }
}

/// What the policies said then; `None` where they were not asked.
#[must_use]
pub fn decided(record: &LoggedDecision) -> Option<Effect> {
    match (record.outcome.as_str(), record.reason.as_str()) {
        // Cedar allowed it; the document for the whole API could not say so.
        ("allow", "policy") | ("deny", "withheld") => Some(Effect::Allow),
        ("deny", "policy" | "no_permit" | "policy_error") => Some(Effect::Deny),
        _ => None,
    }
}

impl<'b> Stage<'b> {
    fn new(bundle: &'b Bundle, api: &str, stage: &str, version: Option<&str>) -> Result<Self, Undecided> {
        let desk = Desk::new(bundle, Some(api), Some(stage), version)
            .map_err(|error: DeskError| Undecided::NoStage(error.to_string()))?;
        let mut texts = BTreeSet::from([api.to_owned(), stage.to_owned()]);
        desk.version().policies().policies().for_each(|policy| literals(policy, &mut texts));
        for operation in desk.operations() {
            let template = operation.template().to_string();
            texts.extend(template.split('/').map(str::to_owned));
            texts.insert(template);
        }
        let parts: Vec<String> = texts.iter().flat_map(|text| text.split('/').map(str::to_owned)).collect();
        texts.extend(parts);
        let dictionary = texts.into_iter().map(|text| (pseudonym(&text), text)).collect();
        let reads = desk.operations().iter().map(|_| OnceCell::new()).collect();
        Ok(Self { desk, reads, dictionary })
    }

    fn redecide(&self, record: &LoggedDecision) -> Result<Redecided, Undecided> {
        let resolved = match Resolved::new(&self.desk, record, &self.dictionary)? {
            Ok(resolved) => resolved,
            Err(reason) => return Ok(self.refused(reason)),
        };
        let asked = match self.desk.ask(&resolved.principal, resolved.target(), resolved.http.clone()) {
            Ok(asked) => asked,
            Err(AskError::NoRoute) => return Ok(self.refused("no_route")),
            Err(error @ (AskError::Entity(_) | AskError::NotPrepared)) => {
                return Err(Undecided::Request(error.to_string()));
            }
        };
        if !resolved.is_for(record, &asked) {
            return Err(Undecided::NoPath);
        }
        let levels = resolved.levels(&asked);
        let unsure: Vec<(&Reads, Undecided)> =
            self.reads(&asked).iter().filter_map(|reads| Some((reads, lack(reads, &levels)?))).collect();
        match unsure.as_slice() {
            [] => Ok(Redecided {
                version: self.desk.version().name.clone(),
                effect: asked.decision.effect(),
                policies: asked.decision.determining().to_vec(),
                reason: None,
                is_whole: true,
            }),
            [(_, why), ..] => self.decide_without(&asked, &unsure).ok_or_else(|| why.clone()),
        }
    }

    fn reads(&self, asked: &Asked<'_, '_>) -> &[Reads] {
        let id = asked.matched.operation().id();
        let (Some((_, slice)), Some(cell)) = (self.desk.operation(id), self.reads.get(id.index())) else {
            return &[];
        };
        cell.get_or_init(|| {
            let mut reads: Vec<Reads> = slice.policies().map(Reads::of).collect();
            reads.sort_by(|one, other| one.policy.cmp(&other.policy));
            reads
        })
    }

    /// The decision of the policies that can be evaluated, if the others cannot change it.
    fn decide_without(&self, asked: &Asked<'_, '_>, unsure: &[(&Reads, Undecided)]) -> Option<Redecided> {
        let (_, slice) = self.desk.operation(asked.matched.operation().id())?;
        let is_sure = |policy: &cedar::Policy| {
            unsure.iter().all(|(reads, _)| *policy.id() != cedar::PolicyId::new(&reads.policy))
        };
        let sure =
            cedar::PolicySet::from_policies(slice.policies().filter(|policy| is_sure(policy)).cloned());
        let engine = Engine::new(sure.ok()?).ok()?;
        let answer = engine.evaluate(&asked.request.request, &asked.request.entities).ok()?;
        let all = |effect| unsure.iter().all(|(reads, _)| reads.effect == effect);
        let none_can_fail = unsure.iter().all(|(reads, _)| !reads.can_fail);
        let failed = !answer.errors.is_empty();
        let effect = match answer.decision {
            // One that failed makes it a deny, whatever the others say.
            Effect::Allow | Effect::Deny if failed => Effect::Deny,
            Effect::Deny if !answer.reasons.is_empty() || all(cedar::Effect::Forbid) => Effect::Deny,
            Effect::Allow if all(cedar::Effect::Permit) && none_can_fail => Effect::Allow,
            Effect::Allow | Effect::Deny => return None,
        };
        let policies = match (effect, answer.decision) {
            (Effect::Deny, Effect::Allow) => Vec::new(),
            _ => answer.reasons,
        };
        let version = self.desk.version().name.clone();
        Some(Redecided { version, effect, policies, reason: None, is_whole: false })
    }

    /// What the authorizer refuses before it asks a policy.
    fn refused(&self, reason: &'static str) -> Redecided {
        let version = self.desk.version().name.clone();
        Redecided {
            version,
            effect: Effect::Deny,
            policies: Vec::new(),
            reason: Some(reason),
            is_whole: true,
        }
    }
}

/// The first fact that is not known well enough for what a policy does with it.
fn lack(reads: &Reads, levels: &BTreeMap<String, Level>) -> Option<Undecided> {
    reads.names.iter().find_map(|(name, used)| {
        let inside = format!("{name}.");
        let all = levels.iter().filter(|(fact, _)| *fact == name || fact.starts_with(&inside));
        let (fact, lack) = all
            .filter_map(|(fact, level)| match (level, used) {
                (Level::Unknown, _) => Some((fact, "is not in the record")),
                (Level::Hashed, Use::Value) | (Level::HashedNumber, Use::Equality | Use::Value) => {
                    Some((fact, "the record has as a hash"))
                }
                (Level::Hashed, Use::Presence | Use::Equality)
                | (Level::HashedNumber, Use::Presence)
                | (Level::Known, _) => None,
            })
            .next()?;
        Some(Undecided::Fact { policy: reads.policy.clone(), fact: fact.clone(), lack })
    })
}

/// The moment of a record; `None` where it is not one.
fn moment(record: &LoggedDecision) -> Option<Timestamp> {
    record.timestamp.parse().ok()
}
