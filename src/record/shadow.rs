//! The line that says where a shadow version disagrees with the active one: one JSON object, beside the decision record of
//! the same request.

use serde::Serialize;

use super::DecisionRecord;
use crate::decision::{Decision, Effect};

/// A disagreement. What is not about the two decisions is copied from the decision record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShadowRecord {
    /// Always `shadow`: tells this line from others in the same log.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Always `WARN`: Lambda's log filter reads it.
    pub level: &'static str,
    /// The moment that both were decided for.
    pub timestamp: String,
    /// In what they disagree.
    pub disagreement: Disagreement,
    /// The id of the Lambda invocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation_id: Option<String>,
    /// The gateway's request id, where the event carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The API's alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The operation: the Cedar action's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The route's template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The roles that the issuer conferred.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What the active version said.
    pub active: Opinion,
    /// What the shadow said.
    pub shadow: Opinion,
    /// The digest of the bundle.
    pub bundle: String,
}

/// In what two versions disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Disagreement {
    /// The shadow allows what is denied.
    Wider,
    /// The shadow denies what is allowed.
    Narrower,
    /// Both deny, but a policy of the shadow cannot be evaluated, which no policy of the active version is.
    Errors,
    /// The shadow has no opinion: it could not be asked.
    Failed,
}

/// What a version says to a request, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Opinion {
    /// The version.
    pub version: String,
    /// Its digest.
    pub digest: String,
    /// `allow` or `deny`; nothing where it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<&'static str>,
    /// The policies that determined it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// The policies that could not be evaluated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy_errors: Vec<String>,
    /// Why it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Disagreement {
    /// In what a shadow's decision disagrees with the active version's; `None` where it does not.
    #[must_use]
    pub fn between(active: &Decision, shadow: &Decision) -> Option<Self> {
        match (active.effect(), shadow.effect()) {
            (Effect::Deny, Effect::Allow) => Some(Self::Wider),
            (Effect::Allow, Effect::Deny) => Some(Self::Narrower),
            (Effect::Allow, Effect::Allow) => None,
            (Effect::Deny, Effect::Deny) => {
                (active.errors().is_empty() && !shadow.errors().is_empty()).then_some(Self::Errors)
            }
        }
    }
}

impl Opinion {
    /// A decision.
    #[must_use]
    pub fn decided(version: &str, digest: &str, decision: &Decision) -> Self {
        Self {
            version: version.to_owned(),
            digest: digest.to_owned(),
            effect: Some(match decision.effect() {
                Effect::Allow => "allow",
                Effect::Deny => "deny",
            }),
            policies: decision.determining().to_vec(),
            policy_errors: decision.errors().iter().map(ToString::to_string).collect(),
            failure: None,
        }
    }

    /// None.
    #[must_use]
    pub fn failed(version: &str, digest: &str, failure: &str) -> Self {
        Self {
            version: version.to_owned(),
            digest: digest.to_owned(),
            effect: None,
            policies: Vec::new(),
            policy_errors: Vec::new(),
            failure: Some(failure.to_owned()),
        }
    }
}

impl ShadowRecord {
    /// A disagreement about the request that a decision record is about.
    #[must_use]
    pub fn new(
        record: &DecisionRecord,
        disagreement: Disagreement,
        active: Opinion,
        shadow: Opinion,
    ) -> Self {
        Self {
            kind: "shadow",
            level: "WARN",
            timestamp: record.timestamp.to_string(),
            disagreement,
            invocation_id: record.invocation_id.clone(),
            request_id: record.request_id.clone(),
            api: record.api.clone(),
            stage: record.stage.clone(),
            action: record.action.clone(),
            route: record.route.clone(),
            principal: record.principal.as_ref().map(ToString::to_string),
            roles: record.roles.clone(),
            tenant: record.tenant.clone(),
            active,
            shadow,
            bundle: record.bundle.clone(),
        }
    }
}
