//! The policy decision point (PDP, NIST SP 800-162): policies, a request and its entities become a decision.
//!
//! Two layers. [`Engine`] gives exactly Cedar's answer – decision, determining policies, errors – however it gets there.
//! [`Decision`] is what the authorizer acts on: Cedar skips a policy that errors, so a failing `forbid` would vanish;
//! here any evaluation error makes the decision a Deny.

mod index;
mod pieces;
mod rules;

use std::fmt;

use cedar_policy as cedar;
use serde_json::Value;

use crate::bundle::built::{Damaged, Section};
#[cfg(feature = "cli")]
use crate::cedar_core::coded;
use crate::cedar_core::{self, Condition, Inquiry};
use crate::entities::{AccessRequest, OperationEntities, Principal};

use index::{Known, KnownTarget, ScopeIndex};
pub(crate) use pieces::Pieces;
pub(crate) use rules::Rule;
use rules::{BuiltRules, Rules};

/// A set of policies that can be asked.
#[derive(Debug)]
pub struct Engine {
    rules: Rules,
    index: ScopeIndex,
}

/// An operation, as the scopes of an [`Engine`] speak of it. Made once, not per request.
#[derive(Clone, Debug)]
pub struct OperationScope(KnownTarget);

/// A principal, as the scopes of an [`Engine`] speak of it. Made once for a caller that is known, not per request.
#[derive(Clone, Debug)]
pub struct PrincipalScope(Known);

/// The policies whose scope is true of a request. What of the request their conditions read is not put together yet.
#[derive(Clone, Debug)]
pub struct Candidates<'e> {
    engine: &'e Engine,
    rules: Vec<&'e Rule>,
}

/// The policies of an [`Engine`] that can apply to one action on one resource, whoever asks.
#[derive(Clone, Debug)]
pub struct PolicySlice {
    policies: cedar::PolicySet,
    reads_http: bool,
    /// By id, of those that have one: what a refused caller may read.
    deny_messages: Vec<(String, String)>,
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

/// Why an engine has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Cedar does not put the policies together.
    #[error("the policies cannot be put together: {0}")]
    Together(String),
    /// The built bundle that they are in was changed or damaged.
    #[error("the bundle is damaged: {0}")]
    Damaged(#[from] Damaged),
}

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

/// What the authorizer acts on. Only [`Candidates`] and [`PolicySlice`] make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    effect: Effect,
    determining: Vec<String>,
    errors: Vec<PolicyError>,
    deny_message: Option<String>,
}

impl Engine {
    /// An engine over a set of policies. Templates in it decide nothing.
    ///
    /// # Errors
    /// [`EngineError`] where there are more policies than can be numbered.
    pub fn new(policies: cedar::PolicySet) -> Result<Self, EngineError> {
        let mut ordered: Vec<&cedar::Policy> = policies.policies().collect();
        ordered.sort_by_cached_key(|policy| policy.id().to_string());
        let index = ScopeIndex::new(ordered.iter().copied())?;
        let rules = ordered.iter().map(|policy| Rule::of(policy)).collect();
        let ids = ordered.into_iter().map(|policy| policy.id().clone()).collect();
        Ok(Self { rules: Rules::Read { policies, ids, rules }, index })
    }

    /// An engine over the policies of a built bundle: their index, their records, and the section where their texts stand.
    ///
    /// # Errors
    /// [`EngineError::Damaged`].
    pub fn open(index: Section, records: Section, sources: Section) -> Result<Self, EngineError> {
        let index = ScopeIndex::open(index)?;
        Ok(Self { rules: Rules::Built(BuiltRules::open(index.len(), records, sources)?), index })
    }

    /// What [`Engine::open`] opens: the index and the records. `place_of` tells where a policy's text stands among the sources
    /// and how many bytes it has, by the policy's id.
    ///
    /// # Errors
    /// [`EngineError`] where a policy's text is nowhere.
    #[cfg(feature = "cli")]
    pub fn write(
        &self,
        place_of: impl Fn(&str) -> Option<[usize; 2]>,
    ) -> Result<(Vec<u8>, Vec<u8>), EngineError> {
        let records = match &self.rules {
            Rules::Read { policies, rules, .. } => {
                let code_of = |id: &str| coded::encode(policies.policy(&cedar::PolicyId::new(id))?);
                rules::write(rules, code_of, place_of)
            }
            Rules::Built(_) => None,
        };
        let records = records.ok_or_else(|| EngineError::Together("a policy has no place".to_owned()))?;
        Ok((self.index.to_bytes()?, records))
    }

    /// How many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none: every answer is a deny.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cedar's answer to a request.
    ///
    /// # Errors
    /// [`EngineError::Damaged`].
    pub fn evaluate(
        &self,
        request: &cedar::Request,
        entities: &cedar::Entities,
    ) -> Result<EngineAnswer, EngineError> {
        let (Some(principal), Some(action), Some(resource)) =
            (request.principal(), request.action(), request.resource())
        else {
            return Ok(cedars_answer(self.policies()?, request, entities));
        };
        let target = self.target(action, resource, entities)?;
        let candidates = self.having(self.index.candidates(&self.known(principal, entities)?, &target)?)?;
        let inquiry = Inquiry::new(request, entities, candidates.are_extended());
        Ok(candidates.answer(|condition| inquiry.satisfies(condition)))
    }

    /// What the scopes can tell of an operation.
    ///
    /// # Errors
    /// [`EngineError::Damaged`].
    pub fn scope(&self, operation: &OperationEntities) -> Result<OperationScope, EngineError> {
        self.target(operation.action(), operation.route(), operation.entities()).map(OperationScope)
    }

    fn target(
        &self,
        action: &cedar::EntityUid,
        resource: &cedar::EntityUid,
        entities: &cedar::Entities,
    ) -> Result<KnownTarget, EngineError> {
        Ok(self.index.known_target(self.known(action, entities)?, self.known(resource, entities)?))
    }

    fn known(&self, uid: &cedar::EntityUid, entities: &cedar::Entities) -> Result<Known, EngineError> {
        Ok(self.index.known(uid, entities.ancestors(uid).into_iter().flatten())?)
    }

    /// The policies whose scope is true of a principal that asks for an operation.
    ///
    /// Any other policy's scope is false. Evaluating a scope cannot fail, and a policy with a false scope is neither
    /// determining nor in error, so leaving it out changes nothing.
    ///
    /// # Errors
    /// [`EngineError::Damaged`].
    pub fn candidates(
        &self,
        principal: &PrincipalScope,
        operation: &OperationScope,
    ) -> Result<Candidates<'_>, EngineError> {
        self.having(self.applying(principal, operation)?)
    }

    /// What the scopes can tell of a principal.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn principal(&self, principal: &Principal) -> Result<PrincipalScope, Damaged> {
        self.index.known(principal.uid(), principal.ancestors()).map(PrincipalScope)
    }

    /// The places of [`Engine::candidates`], in the order of the policies' ids.
    ///
    /// # Errors
    /// [`EngineError::Damaged`].
    pub(crate) fn applying(
        &self,
        principal: &PrincipalScope,
        operation: &OperationScope,
    ) -> Result<Vec<usize>, EngineError> {
        Ok(self.index.candidates(&principal.0, &operation.0)?)
    }

    /// The places of the policies that can apply to an operation, whoever asks, in the order of their ids.
    ///
    /// # Errors
    /// [`EngineError::Damaged`].
    pub(crate) fn reachable(&self, operation: &OperationScope) -> Result<Vec<usize>, EngineError> {
        Ok(self.index.reachable(&operation.0)?)
    }

    /// The policy at a place.
    ///
    /// # Errors
    /// [`EngineError::Damaged`].
    pub(crate) fn rule(&self, place: usize) -> Result<&Rule, EngineError> {
        self.rules.rule(place)
    }

    /// The same as Cedar's.
    ///
    /// # Errors
    /// [`EngineError::Damaged`].
    pub(crate) fn policy(&self, place: usize) -> Result<&cedar::Policy, EngineError> {
        self.rules.policy(place)
    }

    fn having(&self, places: Vec<usize>) -> Result<Candidates<'_>, EngineError> {
        let rules = places.into_iter().map(|place| self.rules.rule(place)).collect::<Result<_, _>>()?;
        Ok(Candidates { engine: self, rules })
    }

    /// The policies that can apply to an action on a resource, whoever asks: those whose action and resource scope match,
    /// as `entities` tells what the two are in. Those left out change no answer, as in [`Engine::candidates`].
    ///
    /// # Errors
    /// [`EngineError`], also where the policies that can apply cannot be put together (two of one id).
    pub fn slice(
        &self,
        action: &cedar::EntityUid,
        resource: &cedar::EntityUid,
        entities: &cedar::Entities,
    ) -> Result<PolicySlice, EngineError> {
        let target = self.target(action, resource, entities)?;
        self.slice_of(self.index.reachable(&target)?)
    }

    /// The same of the policies that can apply to a principal on an operation. Their scopes are true: one without conditions
    /// is put in as a policy that applies to everything.
    ///
    /// # Errors
    /// As of [`Engine::slice`].
    pub fn slice_for(
        &self,
        principal: &PrincipalScope,
        operation: &OperationScope,
    ) -> Result<PolicySlice, EngineError> {
        self.slice_by(self.applying(principal, operation)?, |place, rule| {
            let Rule { name, permits, condition, .. } = rule;
            match condition {
                Some(_) => self.rules.policy(place).cloned(),
                None => cedar_core::unconditional(name, *permits)
                    .ok_or_else(|| EngineError::Together(format!("policy `{name}` cannot be written"))),
            }
        })
    }

    fn slice_of(&self, places: impl IntoIterator<Item = usize>) -> Result<PolicySlice, EngineError> {
        self.slice_by(places, |place, _| self.rules.policy(place).cloned())
    }

    fn slice_by(
        &self,
        places: impl IntoIterator<Item = usize>,
        policy: impl Fn(usize, &Rule) -> Result<cedar::Policy, EngineError>,
    ) -> Result<PolicySlice, EngineError> {
        let mut slice =
            PolicySlice { policies: cedar::PolicySet::new(), reads_http: false, deny_messages: Vec::new() };
        for place in places {
            let rule = self.rules.rule(place)?;
            let policy = policy(place, rule)?;
            // A linked policy cannot be added without its template; a slice that would need one is the whole set.
            if !policy.is_static() {
                return self.whole();
            }
            slice.reads_http |= rule.reads_http;
            slice.deny_messages.extend(rule.deny_message.clone().map(|message| (rule.name.clone(), message)));
            slice.policies.add(policy).map_err(|error| EngineError::Together(error.to_string()))?;
        }
        Ok(slice)
    }

    /// The same of all policies, whatever their scope.
    ///
    /// # Errors
    /// As of [`Engine::slice`].
    pub fn whole(&self) -> Result<PolicySlice, EngineError> {
        let Rules::Read { policies, rules, .. } = &self.rules else { return self.slice_of(0..self.len()) };
        let messages = rules.iter().filter_map(|rule| Some((rule.name.clone(), rule.deny_message.clone()?)));
        Ok(PolicySlice {
            policies: policies.clone(),
            reads_http: rules.iter().any(|rule| rule.reads_http),
            deny_messages: messages.collect(),
        })
    }

    /// The set that it is over; of a built bundle all of it is parsed when it is first wanted.
    fn policies(&self) -> Result<&cedar::PolicySet, EngineError> {
        match &self.rules {
            Rules::Read { policies, .. } => Ok(policies),
            Rules::Built(built) => built.all().as_ref().map_err(Clone::clone),
        }
    }
}

impl Candidates<'_> {
    /// Whether a condition may read the volatile facts, `context.http`. Where none can, they need not be there: Cedar is
    /// slow to take in addresses and moments.
    #[must_use]
    pub fn read_http(&self) -> bool {
        self.rules.iter().any(|rule| rule.reads_http)
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none: the answer is a deny.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The decision. The request is put together only where a condition has to be evaluated.
    ///
    /// # Errors
    /// Those of putting it together.
    pub fn decide<E>(&self, request: impl FnOnce() -> Result<AccessRequest, E>) -> Result<Decision, E> {
        if self.rules.iter().any(|rule| rule.condition.is_some()) {
            return Ok(self.decide_on(&request()?));
        }
        Ok(self.decision(self.answer(|_| Ok(true))))
    }

    /// What Cedar's own authorizer decides about the same request, by all the policies of the set, whatever their scope.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn cedars_decision(&self, request: &AccessRequest) -> Result<Decision, EngineError> {
        let answer = cedars_answer(self.engine.policies()?, &request.request, &request.entities);
        // A policy that determines the answer has a scope that is true, and so it is among these, or the two differ.
        Ok(self.decision(answer))
    }

    /// The decision about a request that is put together already.
    #[must_use]
    pub fn decide_on(&self, request: &AccessRequest) -> Decision {
        let inquiry = Inquiry::new(&request.request, &request.entities, self.are_extended());
        self.decision(self.answer(|condition| inquiry.satisfies(condition)))
    }

    /// Whether a condition can be asked only by who knows Cedar's extensions.
    fn are_extended(&self) -> bool {
        self.rules.iter().filter_map(|rule| rule.condition.as_ref()).any(Condition::is_extended)
    }

    fn decision(&self, answer: EngineAnswer) -> Decision {
        Decision::by(answer, |id| self.rules.iter().find(|rule| rule.name == id)?.deny_message.clone())
    }

    /// The answer, by what each condition comes to.
    fn answer(&self, satisfies: impl Fn(&Condition) -> Result<bool, String>) -> EngineAnswer {
        let (mut permits, mut forbids, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for rule in &self.rules {
            match rule.condition.as_ref().map_or(Ok(true), &satisfies) {
                Ok(false) => {}
                Ok(true) if rule.permits => permits.push(rule.name.clone()),
                Ok(true) => forbids.push(rule.name.clone()),
                Err(message) => errors.push(PolicyError { policy: rule.name.clone(), message }),
            }
        }
        let (decision, reasons) = match (permits.is_empty(), forbids.is_empty()) {
            (false, true) => (Effect::Allow, permits),
            (true | false, _) => (Effect::Deny, forbids),
        };
        EngineAnswer { decision, reasons, errors }
    }
}

/// What Cedar's own authorizer answers, by a whole set of policies.
fn cedars_answer(
    policies: &cedar::PolicySet,
    request: &cedar::Request,
    entities: &cedar::Entities,
) -> EngineAnswer {
    let response = cedar::Authorizer::new().is_authorized(request, policies, entities);
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

impl PolicySlice {
    /// How many policies can apply.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.num_of_policies()
    }

    /// The policies.
    #[cfg(feature = "cli")]
    pub(crate) fn policies(&self) -> impl Iterator<Item = &cedar::Policy> {
        self.policies.policies()
    }

    /// Whether no policy can apply: the answer is a deny, whoever asks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a policy may read the volatile facts, `context.http`.
    #[must_use]
    pub fn reads_http(&self) -> bool {
        self.reads_http
    }

    /// Cedar's answer to a request for the slice's action and resource: by Cedar's own authorizer, and by nothing of ours
    /// but the choice of the policies.
    #[must_use]
    pub fn evaluate(&self, request: &cedar::Request, entities: &cedar::Entities) -> EngineAnswer {
        cedars_answer(&self.policies, request, entities)
    }

    /// The decision about a request.
    #[must_use]
    pub fn decide(&self, request: &AccessRequest) -> Decision {
        Decision::by(self.evaluate(&request.request, &request.entities), |id| {
            self.deny_messages.iter().find(|(policy, _)| policy == id).map(|(_, message)| message.clone())
        })
    }
}

impl Decision {
    /// What is made of an answer; `deny_message` tells that of a policy.
    fn by(answer: EngineAnswer, deny_message: impl Fn(&str) -> Option<String>) -> Self {
        let (effect, determining) = match (answer.decision, answer.errors.is_empty()) {
            (Effect::Allow, true) => (Effect::Allow, answer.reasons),
            // What allowed did not determine the Deny that the error made.
            (Effect::Allow, false) => (Effect::Deny, Vec::new()),
            (Effect::Deny, true | false) => (Effect::Deny, answer.reasons),
        };
        let deny_message = match effect {
            Effect::Allow => None,
            Effect::Deny => determining.iter().find_map(|id| deny_message(id)),
        };
        Self { effect, determining, errors: answer.errors, deny_message }
    }

    /// A decision as a test wants it.
    #[cfg(test)]
    pub(crate) fn told(effect: Effect, determining: &[&str], errors: &[&str]) -> Self {
        let own = |text: &&str| (*text).to_owned();
        let error = |policy: &&str| PolicyError { policy: own(policy), message: String::new() };
        Self {
            effect,
            determining: determining.iter().map(own).collect(),
            errors: errors.iter().map(error).collect(),
            deny_message: None,
        }
    }

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
        Engine::new(policies.parse().unwrap()).unwrap()
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
                assert_eq!(engine(&text).whole().unwrap().reads_http(), expected, "{text}");
            }
        }
    }

    #[test]
    fn of_many_policies_those_are_looked_at_whose_scope_is_true() {
        let mut text = String::from(
            r#"permit (principal, action, resource);
               permit (principal is User, action, resource in Path::"/a");
               permit (principal in Role::"r1", action in [Action::"read", Action::"GET"], resource);
               permit (principal == User::"u", action == Action::"GET /a", resource);
               permit (principal is User in Role::"r1", action, resource is Route);
               permit (principal is Client in Role::"r1", action == Action::"GET /a", resource);
               permit (principal in Role::"r1", action == Action::"GET /a", resource == Route::"/b");
               permit (principal in Role::"r1", action in [], resource);
            "#,
        );
        for number in 0..500 {
            text += &format!(
                r#"permit (principal in Role::"x{number}", action, resource);
                   permit (principal, action == Action::"x{number}", resource);
                   permit (principal, action, resource in Path::"/x{number}");
                   forbid (principal == User::"x{number}", action in Action::"read", resource is Route);"#
            );
        }
        let engine = engine(&text);
        let uid = |text: &str| text.parse::<cedar::EntityUid>().unwrap();
        let entity = |name: &str, within: &[&str]| {
            cedar::Entity::new_no_attrs(uid(name), within.iter().map(|name| uid(name)).collect())
        };
        let principal = Principal::from(entity("User::\"u\"", &["Role::\"r1\"", "Tenant::\"t\""]));
        let action = entity("Action::\"GET /a\"", &["Action::\"read\"", "Action::\"GET\""]);
        let route = entity("Route::\"/a\"", &["Path::\"/a\"", "Path::\"/\""]);
        let entities = cedar::Entities::from_entities([action, route], None).unwrap();
        let target = engine.target(&uid("Action::\"GET /a\""), &uid("Route::\"/a\""), &entities).unwrap();
        let principal = engine.principal(&principal).unwrap();
        let candidates = engine.candidates(&principal, &OperationScope(target)).unwrap();
        let ids: Vec<String> = candidates.rules.iter().map(|rule| rule.name.clone()).collect();
        assert_eq!(ids, ["policy0", "policy1", "policy2", "policy3", "policy4"]);
        assert_eq!((candidates.len(), candidates.is_empty()), (5, false));
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
