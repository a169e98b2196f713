//! The policies of an engine, each ready to be asked when its scope is true: from a set in memory, or from a built bundle,
//! where each is parsed when it is first asked.
//!
//! # In a built bundle
//! A section of records, one a policy in the order of the index, each of sixteen numbers of 32 bits (little-endian): what it is
//! ([`PERMITS`], [`HAS_CONDITION`], [`READS_HTTP`]), then where the id stands and how long it is, the same of the deny
//! message, of the [code](coded) of its condition, and of its text among the sources; zeros. Ids, deny messages and codes
//! stand behind the records. A condition without a code is read from the text.

use std::sync::OnceLock;

use cedar_policy as cedar;

use super::pieces::Pieces;
use super::{EngineError, reads_http};
use crate::bundle::built::{Damaged, Section};
use crate::cedar_core::{Condition, coded};

/// A policy, ready to be asked when its scope is true.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The id as answers write it.
    pub(crate) name: String,
    /// Whether it is a permit; else it is a forbid.
    pub(crate) permits: bool,
    /// Its conditions; `None` where its scope is all.
    pub(crate) condition: Option<Condition>,
    /// Whether they may read `context.http`.
    pub(crate) reads_http: bool,
    /// What a refused caller may read (`@deny_message`).
    pub(super) deny_message: Option<String>,
}

/// The policies in the order of their names, which is that of an answer's reasons.
#[derive(Debug)]
pub(super) enum Rules {
    /// All of them.
    Read {
        /// The set that they are of.
        policies: cedar::PolicySet,
        /// The ids in it.
        ids: Vec<cedar::PolicyId>,
        /// By place.
        rules: Vec<Rule>,
    },
    /// Those that have been asked.
    Built(BuiltRules),
}

/// The policies of a built bundle.
#[derive(Debug)]
pub(super) struct BuiltRules {
    policies: usize,
    records: Section,
    sources: Section,
    rules: Pieces<Rule>,
    /// Those that were wanted as Cedar's.
    parsed: Pieces<cedar::Policy>,
    /// All of them, where they were wanted.
    all: OnceLock<Result<cedar::PolicySet, EngineError>>,
}

const PERMITS: u32 = 1;
const HAS_CONDITION: u32 = 2;
const READS_HTTP: u32 = 4;

const RECORD: usize = 64;

impl Rule {
    pub(super) fn of(policy: &cedar::Policy) -> Self {
        let condition = Condition::of(policy);
        Self {
            name: policy.id().to_string(),
            permits: policy.effect() == cedar::Effect::Permit,
            reads_http: condition.is_some() && reads_http(policy),
            condition,
            deny_message: policy.annotation("deny_message").map(str::to_owned),
        }
    }
}

impl Rules {
    /// The policy at a place.
    pub(super) fn rule(&self, place: usize) -> Result<&Rule, EngineError> {
        match self {
            Self::Read { rules, .. } => Ok(rules.get(place).ok_or_else(missing)?),
            Self::Built(built) => built.rule(place),
        }
    }

    /// The same as Cedar's; of a built bundle it is parsed when it is first wanted.
    pub(super) fn policy(&self, place: usize) -> Result<&cedar::Policy, EngineError> {
        match self {
            // To leave one out could leave a forbid out.
            Self::Read { policies, ids, .. } => {
                Ok(ids.get(place).and_then(|id| policies.policy(id)).ok_or_else(missing)?)
            }
            Self::Built(built) => built.policy(place),
        }
    }
}

fn missing() -> Damaged {
    Damaged::new("its index names a policy that is not there")
}

impl BuiltRules {
    pub(super) fn open(policies: usize, records: Section, sources: Section) -> Result<Self, Damaged> {
        // Before there is room made for them.
        if policies.checked_mul(RECORD).is_none_or(|bytes| bytes > records.len()) {
            return Err(missing());
        }
        let (rules, parsed) = (Pieces::of(policies), Pieces::of(policies));
        Ok(Self { policies, records, sources, rules, parsed, all: OnceLock::new() })
    }

    fn rule(&self, place: usize) -> Result<&Rule, EngineError> {
        let make = || Ok(self.record(place)?.rule(&self.records, &self.sources)?);
        self.rules.get_or_make(place, make).ok_or_else(missing)?
    }

    fn policy(&self, place: usize) -> Result<&cedar::Policy, EngineError> {
        let make = || Ok(self.record(place)?.parse(&self.sources)?);
        self.parsed.get_or_make(place, make).ok_or_else(missing)?
    }

    /// All of them as Cedar's, parsed when they are first wanted.
    pub(super) fn all(&self) -> &Result<cedar::PolicySet, EngineError> {
        self.all.get_or_init(|| {
            let mut all = cedar::PolicySet::new();
            for place in 0..self.policies {
                let policy = self.policy(place)?.clone();
                all.add(policy).map_err(|error| EngineError::Together(error.to_string()))?;
            }
            Ok(all)
        })
    }

    fn record(&self, place: usize) -> Result<Record, Damaged> {
        let at = place.checked_mul(RECORD).ok_or_else(missing)?;
        let [what, id, id_bytes, deny, deny_bytes, code, code_bytes, text, text_bytes] =
            self.records.numbers(at)?;
        let read = |at: u32, bytes: u32| self.records.text(at as usize, bytes as usize);
        Ok(Record {
            what,
            id: read(id, id_bytes)?,
            deny_message: if deny_bytes > 0 { Some(read(deny, deny_bytes)?) } else { None },
            code: [code as usize, code_bytes as usize],
            text: [text as usize, text_bytes as usize],
        })
    }
}

/// What is written of a policy.
struct Record {
    what: u32,
    id: String,
    deny_message: Option<String>,
    /// Where the code of its condition begins, and how many bytes it has.
    code: [usize; 2],
    /// The same of its text among the sources.
    text: [usize; 2],
}

impl Record {
    fn parse(&self, sources: &Section) -> Result<cedar::Policy, Damaged> {
        let [at, bytes] = self.text;
        let text = sources.text(at, bytes)?;
        cedar::Policy::parse(Some(cedar::PolicyId::new(&self.id)), text)
            .map_err(|error| Damaged::new(format!("policy `{}` is none: {error}", self.id)))
    }

    fn condition(&self, records: &Section, sources: &Section) -> Result<Option<Condition>, Damaged> {
        match self.code {
            [_, 0] => Ok(Condition::of(&self.parse(sources)?)),
            [at, bytes] => Ok(coded::decode(&self.id, self.is(PERMITS), &records.bytes(at, bytes)?)),
        }
    }

    const fn is(&self, what: u32) -> bool {
        self.what & what != 0
    }

    fn rule(self, records: &Section, sources: &Section) -> Result<Rule, Damaged> {
        // One without a condition is its scope alone, and that is in the index.
        let condition = match self.is(HAS_CONDITION) {
            true => Some(
                self.condition(records, sources)?
                    .ok_or_else(|| Damaged::new(format!("policy `{}` has lost its condition", self.id)))?,
            ),
            false => None,
        };
        Ok(Rule {
            permits: self.is(PERMITS),
            reads_http: self.is(READS_HTTP),
            condition,
            name: self.id,
            deny_message: self.deny_message,
        })
    }
}

/// The records of the policies of an engine; `code_of` gives the code of a policy's condition, and `place_of` tells where a policy's text stands among the sources, and how many
/// bytes it has.
#[cfg(feature = "cli")]
pub(super) fn write(
    rules: &[Rule],
    code_of: impl Fn(&str) -> Option<String>,
    place_of: impl Fn(&str) -> Option<[usize; 2]>,
) -> Option<Vec<u8>> {
    let (mut records, mut texts) = (Vec::new(), Vec::new());
    let texts_at = rules.len() * RECORD;
    for rule in rules {
        let mut add = |text: &str| {
            let at = u32::try_from(texts_at + texts.len()).ok()?;
            texts.extend_from_slice(text.as_bytes());
            Some([at, u32::try_from(text.len()).ok()?])
        };
        let [id, id_bytes] = add(&rule.name)?;
        let [deny, deny_bytes] = add(rule.deny_message.as_deref().unwrap_or_default())?;
        let code = rule.condition.as_ref().and_then(|_| code_of(&rule.name)).unwrap_or_default();
        let [code, code_bytes] = add(&code)?;
        let [text, text_bytes] = place_of(&rule.name)?;
        let what = [
            (rule.permits, PERMITS),
            (rule.condition.is_some(), HAS_CONDITION),
            (rule.reads_http, READS_HTTP),
        ];
        let what = what.iter().filter(|(is, _)| *is).map(|(_, what)| what).sum();
        let [text, text_bytes] = [u32::try_from(text).ok()?, u32::try_from(text_bytes).ok()?];
        let numbers = [what, id, id_bytes, deny, deny_bytes, code, code_bytes, text, text_bytes];
        for number in numbers.into_iter().chain([0; 7]) {
            records.extend_from_slice(&number.to_le_bytes());
        }
    }
    records.extend(texts);
    Some(records)
}
