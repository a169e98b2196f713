//! The policy decision point (PDP, NIST SP 800-162): policies, a request and its entities become a decision.
//!
//! Two layers. [`Engine`] gives exactly Cedar's answer – decision, determining policies, errors – however it gets there.
//! [`Decision`] is what the authorizer acts on: Cedar skips a policy that errors, so a failing `forbid` would vanish;
//! here any evaluation error makes the decision a Deny.

use std::collections::HashSet;

use cedar_policy as cedar;

use crate::bundle::policies::PolicyVersion;
use crate::entities::{AccessRequest, OperationEntities};

/// A set of policies that can be asked.
#[derive(Clone, Debug)]
pub struct Engine {
    policies: cedar::PolicySet,
}

/// The policies of an [`Engine`] that can apply to one action on one resource, whoever asks.
#[derive(Clone, Debug)]
pub struct PolicySlice {
    policies: cedar::PolicySet,
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
        Self { policies }
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
            (Some(action), Some(resource)) => {
                let lineage = |uid: &cedar::EntityUid| {
                    let ancestors = entities.ancestors(uid).into_iter().flatten().cloned();
                    Lineage::new(uid.clone(), ancestors)
                };
                self.slice(&lineage(action), &lineage(resource))?
            }
            (None, _) | (_, None) => PolicySlice { policies: self.policies.clone() },
        };
        Ok(slice.evaluate(request, entities))
    }

    /// The policies that can apply to an operation, whoever asks: those whose action and resource scope match.
    ///
    /// # Errors
    /// As [`Engine::evaluate`].
    pub fn slice_for(&self, operation: &OperationEntities) -> Result<PolicySlice, EngineError> {
        self.slice(&Lineage::of(&operation.action), &Lineage::of(&operation.route))
    }

    /// A policy outside the slice has a scope that is false for this action or this resource. Evaluating a scope cannot
    /// fail and a policy with a false scope is neither determining nor in error, so leaving it out changes nothing.
    fn slice(&self, action: &Lineage, resource: &Lineage) -> Result<PolicySlice, EngineError> {
        let candidates = self.policies.policies().filter(|policy| {
            action.satisfies_action(&policy.action_constraint())
                && resource.satisfies_resource(&policy.resource_constraint())
        });
        let mut policies = cedar::PolicySet::new();
        for policy in candidates {
            // A linked policy cannot be added without its template; a slice that would need one is the whole set.
            if !policy.is_static() {
                return Ok(PolicySlice { policies: self.policies.clone() });
            }
            policies.add(policy.clone()).map_err(|error| EngineError(error.to_string()))?;
        }
        Ok(PolicySlice { policies })
    }
}

impl PolicySlice {
    /// How many policies can apply.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.num_of_policies()
    }

    /// Whether no policy can apply: the answer is a deny, whoever asks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
        let effect = match (answer.decision, answer.errors.is_empty()) {
            (Effect::Allow, true) => Effect::Allow,
            (Effect::Allow, false) | (Effect::Deny, true | false) => Effect::Deny,
        };
        let deny_message = match effect {
            Effect::Allow => None,
            Effect::Deny => answer.reasons.iter().find_map(|id| version.note(id)?.deny_message.clone()),
        };
        // What allowed before the error did not determine the Deny that the error made.
        let determining = match (answer.decision, effect) {
            (Effect::Allow, Effect::Deny) => Vec::new(),
            (Effect::Allow, Effect::Allow) | (Effect::Deny, Effect::Allow | Effect::Deny) => answer.reasons,
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
struct Lineage {
    uid: cedar::EntityUid,
    all: HashSet<cedar::EntityUid>,
}

impl Lineage {
    fn new(uid: cedar::EntityUid, ancestors: impl Iterator<Item = cedar::EntityUid>) -> Self {
        let all = ancestors.chain([uid.clone()]).collect();
        Self { uid, all }
    }

    /// The lineage of an entity that names its whole closure as parents.
    fn of(entity: &cedar::Entity) -> Self {
        let (uid, _, parents) = entity.clone().into_inner();
        Self::new(uid, parents.into_iter())
    }

    fn satisfies_action(&self, constraint: &cedar::ActionConstraint) -> bool {
        match constraint {
            cedar::ActionConstraint::Any => true,
            cedar::ActionConstraint::Eq(uid) => self.uid == *uid,
            cedar::ActionConstraint::In(uids) => uids.iter().any(|uid| self.all.contains(uid)),
        }
    }

    fn satisfies_resource(&self, constraint: &cedar::ResourceConstraint) -> bool {
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
