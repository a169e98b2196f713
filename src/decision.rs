//! The policy decision point (PDP, NIST SP 800-162): policies, a request and its entities become a decision.
//!
//! Two layers. [`Engine`] gives exactly Cedar's answer – decision, determining policies, errors – however it gets there.
//! [`Decision`] is what the authorizer acts on: Cedar skips a policy that errors, so a failing `forbid` would vanish;
//! here any evaluation error makes the decision a Deny.

use std::collections::HashSet;
use std::fmt;

use cedar_policy as cedar;
use serde_json::Value;

use crate::bundle::policies::PolicyVersion;
use crate::entities::AccessRequest;

/// A set of policies that can be asked.
#[derive(Clone, Debug)]
pub struct Engine {
    policies: cedar::PolicySet,
    scopes: Vec<Scope>,
    http_readers: HashSet<cedar::PolicyId>,
}

/// A policy with the part of its scope that tells whom it cannot concern, taken out once and not for each operation.
#[derive(Clone, Debug)]
struct Scope {
    policy: cedar::Policy,
    action: cedar::ActionConstraint,
    resource: cedar::ResourceConstraint,
}

/// The policies of an [`Engine`] that can apply to one action on one resource, whoever asks.
#[derive(Clone, Debug)]
pub struct PolicySlice {
    policies: cedar::PolicySet,
    reads_http: bool,
}

/// Exactly Cedar's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineAnswer {
    /// Allow or deny.
    pub decision: Effect,
    /// The ids of the determining policies, sorted.
    pub reasons: Vec<String>,
    /// The policies that could not be evaluated, with the reason, sorted by id.
    pub errors: Vec<PolicyError>,
}

/// Policies that Cedar does not put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policies cannot be put together: {0}")]
pub struct EngineError(String);

/// A policy that could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyError {
    /// The policy's id.
    pub policy: String,
    /// Cedar's message.
    pub message: String,
}

/// `<policy>: <Cedar's message>`.
impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.policy, self.message)
    }
}

/// The two answers, of a policy set as of an IAM statement. Without a `Default`: nothing is allowed by leaving
/// something out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The request may go on.
    Allow,
    /// It may not.
    Deny,
}

impl Effect {
    /// As IAM spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

/// What the authorizer acts on. Only [`PolicySlice::decide`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    effect: Effect,
    determining: Vec<String>,
    errors: Vec<PolicyError>,
    deny_message: Option<String>,
}

impl Engine {
    /// An engine over a set of policies. Templates in it decide nothing.
    #[must_use]
    pub fn new(policies: cedar::PolicySet) -> Self {
        let readers = policies.policies().filter(|policy| reads_http(policy));
        let http_readers = readers.map(|policy| policy.id().clone()).collect();
        let scopes = policies.policies().map(|policy| Scope {
            action: policy.action_constraint(),
            resource: policy.resource_constraint(),
            policy: policy.clone(),
        });
        let scopes = scopes.collect();
        Self { policies, scopes, http_readers }
    }

    /// Cedar's answer to a request.
    ///
    /// # Errors
    /// [`EngineError`] where the policies that can apply cannot be put together (two of one id).
    pub fn evaluate(
        &self,
        request: &cedar::Request,
        entities: &cedar::Entities,
    ) -> Result<EngineAnswer, EngineError> {
        let slice = match (request.action(), request.resource()) {
            (Some(action), Some(resource)) => self.slice(action, resource, entities)?,
            (None, _) | (_, None) => self.whole(),
        };
        Ok(slice.evaluate(request, entities))
    }

    /// The policies that can apply to an action on a resource, whoever asks: those whose action and resource scope match,
    /// as `entities` tells what the two are in.
    ///
    /// A policy outside the slice has a scope that is false for this action or this resource. Evaluating a scope cannot
    /// fail and a policy with a false scope is neither determining nor in error, so leaving it out changes nothing.
    ///
    /// # Errors
    /// As [`Engine::evaluate`].
    pub fn slice(
        &self,
        action: &cedar::EntityUid,
        resource: &cedar::EntityUid,
        entities: &cedar::Entities,
    ) -> Result<PolicySlice, EngineError> {
        let (action, resource) = (Lineage::of(action, entities), Lineage::of(resource, entities));
        let candidates = self.scopes.iter().filter(|scope| {
            action.satisfies_action(&scope.action) && resource.satisfies_resource(&scope.resource)
        });
        let mut policies = cedar::PolicySet::new();
        for Scope { policy, .. } in candidates {
            // A linked policy cannot be added without its template; a slice that would need one is the whole set.
            if !policy.is_static() {
                return Ok(self.whole());
            }
            policies.add(policy.clone()).map_err(|error| EngineError(error.to_string()))?;
        }
        let reads_http = policies.policies().any(|policy| self.http_readers.contains(policy.id()));
        Ok(PolicySlice { policies, reads_http })
    }

    fn whole(&self) -> PolicySlice {
        PolicySlice { policies: self.policies.clone(), reads_http: !self.http_readers.is_empty() }
    }
}

impl PolicySlice {
    /// How many policies can apply.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.num_of_policies()
    }

    /// The policies.
    pub(crate) fn policies(&self) -> impl Iterator<Item = &cedar::Policy> {
        self.policies.policies()
    }

    /// Whether no policy can apply: the answer is a deny, whoever asks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a policy may read the volatile facts, `context.http`. Where none can, they need not be there: Cedar is
    /// slow to take in addresses and moments.
    #[must_use]
    pub fn reads_http(&self) -> bool {
        self.reads_http
    }

    /// Cedar's answer to a request for the slice's action and resource.
    #[must_use]
    pub fn evaluate(&self, request: &cedar::Request, entities: &cedar::Entities) -> EngineAnswer {
        let response = cedar::Authorizer::new().is_authorized(request, &self.policies, entities);
        let diagnostics = response.diagnostics();
        let mut reasons: Vec<String> = diagnostics.reason().map(ToString::to_string).collect();
        reasons.sort_unstable();
        let mut errors: Vec<PolicyError> = diagnostics
            .errors()
            .map(|cedar::AuthorizationError::PolicyEvaluationError(error)| PolicyError {
                policy: error.policy_id().to_string(),
                message: error.inner().to_string(),
            })
            .collect();
        errors.sort_unstable();
        let decision = match response.decision() {
            cedar::Decision::Allow => Effect::Allow,
            cedar::Decision::Deny => Effect::Deny,
        };
        EngineAnswer { decision, reasons, errors }
    }

    /// The decision about a request, by the policies of `version`.
    #[must_use]
    pub fn decide(&self, request: &AccessRequest, version: &PolicyVersion) -> Decision {
        let answer = self.evaluate(&request.request, &request.entities);
        let (effect, determining) = match (answer.decision, answer.errors.is_empty()) {
            (Effect::Allow, true) => (Effect::Allow, answer.reasons),
            // What allowed did not determine the Deny that the error made.
            (Effect::Allow, false) => (Effect::Deny, Vec::new()),
            (Effect::Deny, true | false) => (Effect::Deny, answer.reasons),
        };
        let deny_message = match effect {
            Effect::Allow => None,
            Effect::Deny => determining.iter().find_map(|id| version.note(id)?.deny_message.clone()),
        };
        Decision { effect, determining, errors: answer.errors, deny_message }
    }
}

impl Decision {
    /// Allow or deny.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The ids of the policies that determined it, sorted. A deny without one is the default: nothing permitted it.
    #[must_use]
    pub fn determining(&self) -> &[String] {
        &self.determining
    }

    /// The policies that could not be evaluated; where there is one, the effect is Deny.
    #[must_use]
    pub fn errors(&self) -> &[PolicyError] {
        &self.errors
    }

    /// What a refused caller may read.
    #[must_use]
    pub fn deny_message(&self) -> Option<&str> {
        self.deny_message.as_deref()
    }
}

/// An entity and everything it is in.
pub(crate) struct Lineage {
    uid: cedar::EntityUid,
    all: HashSet<cedar::EntityUid>,
}

impl Lineage {
    pub(crate) fn of(uid: &cedar::EntityUid, entities: &cedar::Entities) -> Self {
        let ancestors = entities.ancestors(uid).into_iter().flatten();
        Self { uid: uid.clone(), all: ancestors.chain([uid]).cloned().collect() }
    }

    pub(crate) fn satisfies_principal(&self, constraint: &cedar::PrincipalConstraint) -> bool {
        match constraint {
            cedar::PrincipalConstraint::Any => true,
            cedar::PrincipalConstraint::Eq(uid) => self.uid == *uid,
            cedar::PrincipalConstraint::In(uid) => self.all.contains(uid),
            cedar::PrincipalConstraint::Is(kind) => self.uid.type_name() == kind,
            cedar::PrincipalConstraint::IsIn(kind, uid) => {
                self.uid.type_name() == kind && self.all.contains(uid)
            }
        }
    }

    pub(crate) fn satisfies_action(&self, constraint: &cedar::ActionConstraint) -> bool {
        match constraint {
            cedar::ActionConstraint::Any => true,
            cedar::ActionConstraint::Eq(uid) => self.uid == *uid,
            cedar::ActionConstraint::In(uids) => uids.iter().any(|uid| self.all.contains(uid)),
        }
    }

    pub(crate) fn satisfies_resource(&self, constraint: &cedar::ResourceConstraint) -> bool {
        match constraint {
            cedar::ResourceConstraint::Any => true,
            cedar::ResourceConstraint::Eq(uid) => self.uid == *uid,
            cedar::ResourceConstraint::In(uid) => self.all.contains(uid),
            cedar::ResourceConstraint::Is(kind) => self.uid.type_name() == kind,
            cedar::ResourceConstraint::IsIn(kind, uid) => {
                self.uid.type_name() == kind && self.all.contains(uid)
            }
        }
    }
}

/// Whether a policy may read `context.http`: it names that attribute, or uses the context otherwise than by naming an
/// attribute of it. A policy that cannot be looked into may.
pub(crate) fn reads_http(policy: &cedar::Policy) -> bool {
    policy.to_json().map_or(true, |json| mentions_http(&json))
}

fn mentions_http(expression: &Value) -> bool {
    match expression {
        Value::Object(members) => {
            is_context(expression)
                || members.iter().any(|(operator, operand)| match context_attribute(operator, operand) {
                    Some(attribute) => attribute == "http",
                    None => mentions_http(operand),
                })
        }
        Value::Array(items) => items.iter().any(mentions_http),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The attribute in `context.attribute` and `context has attribute`.
fn context_attribute<'e>(operator: &str, operand: &'e Value) -> Option<&'e str> {
    let names_one = matches!(operator, "." | "has") && operand.get("left").is_some_and(is_context);
    operand.get("attr").filter(|_| names_one)?.as_str()
}

/// The variable `context` in Cedar's JSON policy format.
fn is_context(expression: &Value) -> bool {
    expression.get("Var").and_then(Value::as_str) == Some("context")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(policies: &str) -> Engine {
        Engine::new(policies.parse().unwrap())
    }

    #[test]
    fn no_reader_of_the_volatile_facts_is_overlooked() {
        for (condition, expected) in [
            ("true", false),
            ("context.path == \"/orders\"", false),
            ("context.params.http == \"http\"", false),
            ("context.params has http && principal.http == resource", false),
            ("{ context: \"context\" }.context == \"http\"", false),
            ("context.http.source_ip.isLoopback()", true),
            ("context[\"http\"].time < datetime(\"2026-01-01\")", true),
            ("context[\"\\u{68}ttp\"] has time", true),
            ("context has http", true),
            ("context has http.headers", true),
            ("context.path like \"*\" && !(context.http has source_ip)", true),
            ("(if principal has x then context else context).path == \"\"", true),
            ("[context].contains({ http: {} })", true),
            ("{ all: context }.all.http has time", true),
            ("context == principal.last", true),
            ("principal.last == context", true),
            ("context has path && ip(\"127.0.0.1\") == context.http.source_ip", true),
        ] {
            for kind in ["when", "unless"] {
                let text = format!("forbid (principal, action, resource) {kind} {{ {condition} }};");
                assert_eq!(engine(&text).whole().reads_http(), expected, "{text}");
            }
        }
    }

    #[test]
    fn a_slice_reads_what_its_own_policies_read() {
        let engine = engine(
            r#"@id("a") permit (principal, action == Action::"a", resource);
               @id("b") permit (principal, action == Action::"b", resource) when { context.http has time };"#,
        );
        let slice = |action: &str| {
            let uid = |text: &str| text.parse::<cedar::EntityUid>().unwrap();
            let entities = cedar::Entities::empty();
            let (action, route) = (uid(&format!("Action::\"{action}\"")), uid("Route::\"/\""));
            engine.slice(&action, &route, &entities).unwrap()
        };
        assert_eq!((slice("a").len(), slice("a").reads_http()), (1, false));
        assert_eq!((slice("b").len(), slice("b").reads_http()), (1, true));
        assert_eq!((slice("c").len(), slice("c").reads_http()), (0, false));
    }
}
