//! The decision record: one JSON line that says what was asked, what was answered, and why. Never a token.

pub mod facts;
pub mod shadow;

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use self::facts::{RecordedPath, RequestFacts};
use crate::bundle::deployment::LogShare;
use crate::entities::Principal;
use crate::event::EventKind;
use crate::time::Timestamp;

/// What one answer was, for the log.
#[derive(Clone, Debug, Serialize)]
pub struct DecisionRecord {
    /// Always `decision`: tells this line from others in the same log.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `INFO` for an allow, `WARN` for a refusal, `ERROR` for a fault: Lambda's log filter reads it.
    pub level: &'static str,
    /// The moment the decision was made for, RFC 3339; the name is the one that Lambda's JSON logs use.
    #[serde(serialize_with = "as_text")]
    pub timestamp: Timestamp,
    /// What the caller got.
    pub outcome: Outcome,
    /// Why, as a stable word (`policy`, `no_permit`, `expired`, …).
    pub reason: &'static str,
    /// Why, in words, where the word alone does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The id of the Lambda invocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation_id: Option<String>,
    /// The gateway's request id, where the event carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The kind of event.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_as_text")]
    pub event: Option<EventKind>,
    /// The API's alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The asked method (`GET`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// The asked path in its normal form, as far as it may be told, where it was decided on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<RecordedPath>,
    /// The operation: the Cedar action's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The route's template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Who asked: `User::"<issuer>|<sub>"` or `Client::"<issuer>|<client id>"`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_as_text")]
    pub principal: Option<Principal>,
    /// The roles that the issuer conferred.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What else the policies could read, as far as it may be told, where they were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<RequestFacts>,
    /// The policies that determined the decision.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// The policies that could not be evaluated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy_errors: Vec<String>,
    /// The version of the policies that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// The digest of that version: its policies and roles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<String>,
    /// The digest of the bundle that decided.
    pub bundle: String,
    /// How long ago the bundle's source last had it, in seconds, where it is asked from afar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle_age_s: Option<u64>,
    /// The token, by what names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenRecord>,
    /// The document for the whole API, where the answer is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentRecord>,
    /// How long the answer took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
}

/// What names a verified token without being one.
#[derive(Clone, Debug, Serialize)]
pub struct TokenRecord {
    /// The issuer's alias.
    pub issuer: String,
    /// `kid`: the key that verified it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// `jti`: the token's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// `exp`: seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// Whether its claims were known from an earlier request to the same process.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
}

/// The document for the whole API.
#[derive(Clone, Debug, Serialize)]
pub struct DocumentRecord {
    /// Whether it says what the policies say, for every request that a route serves.
    pub exact: bool,
    /// How many kinds of requests it refuses though the policies allow them, or could.
    pub withheld: usize,
    /// Its length in bytes.
    pub bytes: usize,
    /// Why there is none, where there is none: then the answer is about the asked request alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Whether it had been compiled for an earlier request to the same process.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
}

impl DocumentRecord {
    /// There is none.
    #[must_use]
    pub fn none(why: &str) -> Self {
        Self { exact: false, withheld: 0, bytes: 0, fallback: Some(why.to_owned()), cached: false }
    }
}

/// What the caller got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The request may go on.
    Allow,
    /// 403.
    Deny,
    /// No valid token: 401, or 403 where the deployment says so.
    Unauthorized,
    /// 500: our own fault.
    Fault,
}

fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn maybe_as_text<S: Serializer>(value: &Option<impl fmt::Display>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

impl DecisionRecord {
    /// The record of a fault that nothing is known of yet: what is not filled in later fails closed.
    #[must_use]
    pub fn new(bundle: &str, now: Timestamp) -> Self {
        Self {
            kind: "decision",
            level: "ERROR",
            timestamp: now,
            outcome: Outcome::Fault,
            reason: "internal",
            detail: None,
            invocation_id: None,
            request_id: None,
            event: None,
            api: None,
            stage: None,
            verb: None,
            path: None,
            action: None,
            route: None,
            principal: None,
            roles: Vec::new(),
            tenant: None,
            facts: None,
            policies: Vec::new(),
            policy_errors: Vec::new(),
            policy_version: None,
            policy_digest: None,
            bundle: bundle.to_owned(),
            bundle_age_s: None,
            token: None,
            document: None,
            duration_us: None,
        }
    }

    /// What the caller gets, and why.
    pub fn set_outcome(&mut self, outcome: Outcome, reason: &'static str) {
        self.outcome = outcome;
        self.reason = reason;
        self.level = match outcome {
            Outcome::Allow => "INFO",
            Outcome::Deny | Outcome::Unauthorized => "WARN",
            Outcome::Fault => "ERROR",
        };
    }

    /// The shell says which invocation this was; TOKEN events name no request.
    pub fn set_invocation_id(&mut self, id: &str) {
        self.invocation_id = Some(id.to_owned());
    }

    /// The shell says whether the token was known already: that depends on what was asked before.
    pub fn set_token_cached(&mut self, cached: bool) {
        if let Some(token) = &mut self.token {
            token.cached = cached;
        }
    }

    /// The shell says whether the document was there already, for the same reason.
    pub fn set_document_cached(&mut self, cached: bool) {
        if let Some(document) = &mut self.document {
            document.cached = cached;
        }
    }

    /// The shell says how old the bundle is: that depends on when it was asked for.
    pub fn set_bundle_age(&mut self, age: Option<Duration>) {
        self.bundle_age_s = age.map(|age| age.as_secs());
    }

    /// The shell says how long the answer took; the core has no clock.
    pub fn set_duration(&mut self, duration: Duration) {
        self.duration_us = Some(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Whether the record belongs in the log: a refusal always does; an allow as configured. `sample` counts allows
    /// or is drawn at random.
    #[must_use]
    pub fn wanted(&self, allow: LogShare, sample: u64) -> bool {
        match self.outcome {
            Outcome::Deny | Outcome::Unauthorized | Outcome::Fault => true,
            Outcome::Allow => allow.takes(sample),
        }
    }
}
