//! Why a request is decided as it is: of every policy which scopes match and what each conjunct of its conditions comes to,
//! with the facts it read; and of a refusal the permit that came nearest.
//!
//! Each conjunct is evaluated by Cedar alone. What they come to together has to be the decision that the authorizer acts
//! on: a trace that tells another story is an error.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use cedar_policy as cedar;
use serde::Serialize;

use super::anatomy::{self, Anatomy, AnatomyError, ClauseKind};
use super::desk::Asked;
use super::lineage::Lineage;
use crate::bundle::policies::PolicyVersion;
use crate::bundle::source::SourceFiles;
use crate::decision::{Decision, Effect};
use crate::entities::AccessRequest;
use crate::grants;

/// The policies of one version, ready to be traced.
#[derive(Debug)]
pub struct Tracer {
    policies: Vec<TracedPolicy>,
}

/// A policy, cut into its parts.
#[derive(Debug)]
pub struct TracedPolicy {
    id: String,
    effect: PolicyEffect,
    place: Place,
    anatomy: Anatomy,
    constraints: (cedar::PrincipalConstraint, cedar::ActionConstraint, cedar::ResourceConstraint),
    scope: [(ScopePart, String, Place); 3],
    clause_places: Vec<Place>,
    conjuncts: Vec<TracedConjunct>,
}

/// A conjunct that can be evaluated.
#[derive(Debug)]
struct TracedConjunct {
    place: Place,
    expression: cedar::Expression,
    reads: Vec<Vec<String>>,
}

/// What a policy does where it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyEffect {
    /// It permits.
    Permit,
    /// It forbids.
    Forbid,
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, as a path in the bundle.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// What came of a request, policy by policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// Every policy of the version, in the order of their files.
    pub policies: Vec<PolicyTrace>,
}

/// What came of one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyTrace {
    /// Its id.
    pub policy: String,
    /// What it does where it applies.
    pub effect: PolicyEffect,
    /// Where it begins.
    pub place: Place,
    /// Principal, action and resource.
    pub scope: [ScopeTrace; 3],
    /// Its conditions.
    pub clauses: Vec<ClauseTrace>,
    /// What it came to.
    pub outcome: PolicyOutcome,
}

/// One of the three scopes of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScopeTrace {
    /// Which.
    pub part: ScopePart,
    /// Its text.
    pub text: String,
    /// Where it begins.
    pub place: Place,
    /// Whether the request is in it.
    pub matches: bool,
    /// What stands there in the request, with all that it is in.
    pub fact: Fact,
}

/// Which of the scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScopePart {
    /// Who asks.
    Principal,
    /// What they do.
    Action,
    /// To what.
    Resource,
}

/// A `when` or an `unless`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClauseTrace {
    /// Which of the two.
    pub kind: ClauseKind,
    /// Where it begins.
    pub place: Place,
    /// What `&&` joins at its top.
    pub conjuncts: Vec<ConjunctTrace>,
}

/// One conjunct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConjunctTrace {
    /// Its text.
    pub text: String,
    /// Where it begins.
    pub place: Place,
    /// What it comes to; where it is not reached, what it would.
    pub value: Value,
    /// Whether Cedar comes to it: all that stands before it matched and left the answer open.
    pub is_reached: bool,
    /// What it reads, in the order of the text, each once.
    pub facts: Vec<Fact>,
}

/// What a conjunct comes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// True.
    True,
    /// False.
    False,
    /// It cannot be evaluated; Cedar's message.
    Error(String),
}

/// What a policy comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyOutcome {
    /// It permits, or forbids.
    Applies,
    /// It says nothing about this request.
    DoesNotApply,
    /// It cannot be evaluated, which refuses the request; Cedar's message.
    Error(String),
}

/// A fact of the request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fact {
    /// As a policy names it: `context.params.orderId`.
    pub name: String,
    /// Its value as Cedar writes it; `None` where it is absent.
    pub value: Option<String>,
}

/// A part of a policy that would have to come out otherwise for the policy to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedPart<'t> {
    /// A scope that does not match.
    Scope(&'t ScopeTrace),
    /// A conjunct of a `when` that is not true.
    When(&'t ConjunctTrace),
    /// An `unless` that is not false.
    Unless(&'t ClauseTrace),
}

/// Why there is no trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// A policy's parts are not known.
    #[error("policy `{policy}` cannot be traced: {error}")]
    Anatomy {
        /// The policy's id.
        policy: String,
        /// Why.
        error: AnatomyError,
    },
    /// A conjunct is no expression: a defect of ours.
    #[error("policy `{policy}` cannot be traced: {message}")]
    Expression {
        /// The policy's id.
        policy: String,
        /// In Cedar's words.
        message: String,
    },
    /// The request does not say who asks for what: a defect of ours.
    #[error("the request has no {0}")]
    Incomplete(&'static str),
    /// What the parts come to is not what was decided: a defect of ours.
    #[error("the trace is not the decision: {0}")]
    Disagrees(String),
}

/// How a policy fares with a request: what [`Tracer::walk`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Whether principal, action and resource match.
    pub scope: [bool; 3],
    /// Of every conjunct, in the order of the text, what it comes to and whether Cedar reaches it.
    pub conjuncts: Vec<(Value, bool)>,
    /// What they come to together.
    pub outcome: PolicyOutcome,
}

/// Who asks for what, with all that they are in.
pub struct Asker<'r> {
    request: &'r AccessRequest,
    principal: Lineage,
    action: Lineage,
    resource: Lineage,
}

impl fmt::Debug for Asker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").field("request", self.request).finish_non_exhaustive()
    }
}

/// `policies/v1/orders.cedar:3:12`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// `context.params.orderId = "1"`, `principal.claims.department is absent`
impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value}", self.name),
            None => write!(f, "{} is absent", self.name),
        }
    }
}

impl PolicyEffect {
    /// As Cedar spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Forbid => "forbid",
        }
    }
}

impl Tracer {
    /// Cuts the policies of a version into their parts. `files` are those that the version was loaded from.
    ///
    /// # Errors
    /// [`TraceError`]
    pub fn new(version: &PolicyVersion, files: &SourceFiles) -> Result<Self, TraceError> {
        Self::of_policies(version, files, &|_| true)
    }

    /// The same of some policies, for requests to which no other can apply.
    ///
    /// # Errors
    /// [`TraceError`]
    pub fn of_policies(
        version: &PolicyVersion,
        files: &SourceFiles,
        is_one: &dyn Fn(&str) -> bool,
    ) -> Result<Self, TraceError> {
        let policies = version.policies().policies().filter(|policy| is_one(policy.id().as_ref()));
        let mut policies: Vec<TracedPolicy> =
            policies.map(|policy| TracedPolicy::new(policy, version, files)).collect::<Result<_, _>>()?;
        policies.sort_by(|one, other| one.place.cmp(&other.place));
        Ok(Self { policies })
    }

    /// The policies, in the order of their files.
    #[must_use]
    pub fn policies(&self) -> &[TracedPolicy] {
        &self.policies
    }

    /// What came of a request, policy by policy.
    ///
    /// # Errors
    /// [`TraceError::Disagrees`] where that is not what was decided.
    pub fn trace(&self, asked: &Asked<'_, '_>) -> Result<Trace, TraceError> {
        self.trace_request(&asked.request, &asked.decision)
    }

    /// The same for a request that was decided elsewhere.
    ///
    /// # Errors
    /// As [`Self::trace`].
    pub fn trace_request(&self, request: &AccessRequest, decision: &Decision) -> Result<Trace, TraceError> {
        let asker = Asker::new(request)?;
        let policies = self.policies.iter().map(|policy| policy.trace(&asker, policy.walk(&asker, true)));
        let trace = Trace { policies: policies.collect() };
        let outcomes = trace.policies.iter().map(|policy| (&*policy.policy, policy.effect, &policy.outcome));
        agree(outcomes, decision)?;
        Ok(trace)
    }

    /// How each policy fares with a request, without the facts: for who has many requests. A conjunct that Cedar does not
    /// reach is not evaluated, and said to be false.
    ///
    /// # Errors
    /// As [`Self::trace`].
    pub fn walk(&self, asked: &Asked<'_, '_>) -> Result<Vec<(&TracedPolicy, Walk)>, TraceError> {
        let asker = Asker::new(&asked.request)?;
        let walks: Vec<(&TracedPolicy, Walk)> =
            self.policies.iter().map(|policy| (policy, policy.walk(&asker, false))).collect();
        let outcomes = walks.iter().map(|(policy, walk)| (&*policy.id, policy.effect, &walk.outcome));
        agree(outcomes, &asked.decision)?;
        Ok(walks)
    }
}

/// Checks that what the policies come to is what was decided, as [`Decision`] has it: an error refuses.
fn agree<'p>(
    outcomes: impl Iterator<Item = (&'p str, PolicyEffect, &'p PolicyOutcome)>,
    decision: &Decision,
) -> Result<(), TraceError> {
    let (mut permits, mut forbids, mut errors) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (policy, effect, outcome) in outcomes {
        let set = match (outcome, effect) {
            (PolicyOutcome::Applies, PolicyEffect::Permit) => &mut permits,
            (PolicyOutcome::Applies, PolicyEffect::Forbid) => &mut forbids,
            (PolicyOutcome::Error(_), _) => &mut errors,
            (PolicyOutcome::DoesNotApply, _) => continue,
        };
        set.insert(policy);
    }
    let (effect, determining) = match (forbids.is_empty(), permits.is_empty(), errors.is_empty()) {
        (true, false, true) => (Effect::Allow, permits),
        (true, false, false) | (true, true, _) => (Effect::Deny, BTreeSet::new()),
        (false, _, _) => (Effect::Deny, forbids),
    };
    let decided: BTreeSet<&str> = decision.determining().iter().map(String::as_str).collect();
    let failed: BTreeSet<&str> = decision.errors().iter().map(|error| error.policy.as_str()).collect();
    match (effect, &determining, &errors) == (decision.effect(), &decided, &failed) {
        true => Ok(()),
        false => Err(TraceError::Disagrees(format!(
            "its parts say {effect:?} by {determining:?}, errors in {errors:?}, and decided was {:?} by {decided:?}, errors in {failed:?}",
            decision.effect()
        ))),
    }
}

impl<'r> Asker<'r> {
    /// # Errors
    /// [`TraceError::Incomplete`]
    pub fn new(request: &'r AccessRequest) -> Result<Self, TraceError> {
        let lineage = |uid: Option<&cedar::EntityUid>, what| {
            uid.map(|uid| Lineage::of(uid, &request.entities)).ok_or(TraceError::Incomplete(what))
        };
        Ok(Self {
            request,
            principal: lineage(request.request.principal(), "principal")?,
            action: lineage(request.request.action(), "action")?,
            resource: lineage(request.request.resource(), "resource")?,
        })
    }

    fn evaluate(&self, expression: &cedar::Expression) -> Value {
        match cedar::eval_expression(&self.request.request, &self.request.entities, expression) {
            Ok(cedar::EvalResult::Bool(true)) => Value::True,
            Ok(cedar::EvalResult::Bool(false)) => Value::False,
            Ok(other) => Value::Error(format!("type error: expected bool, got {other}")),
            Err(error) => Value::Error(error.to_string()),
        }
    }

    /// The value of a fact, named by a variable and the attributes that are taken of it.
    fn fact(&self, names: &[String]) -> Fact {
        let name = names.join(".");
        let Some((variable, attributes)) = names.split_first() else {
            return Fact { name: "an expression that cannot be read".to_owned(), value: None };
        };
        let request = &self.request.request;
        let entity = |uid: Option<&cedar::EntityUid>| match attributes.split_first() {
            None => uid.map(|uid| self.with_ancestors(uid)),
            Some((first, rest)) => {
                let value = self.request.entities.get(uid?)?.attr(first)?.ok()?;
                within(value, rest).map(|value| value.to_string())
            }
        };
        let value = match variable.as_str() {
            "principal" => entity(request.principal()),
            "action" => entity(request.action()),
            "resource" => entity(request.resource()),
            _ => match attributes.split_first() {
                None => Some("the whole of it".to_owned()),
                Some((first, rest)) => request
                    .context()
                    .and_then(|context| context.get(first))
                    .and_then(|value| within(value, rest))
                    .map(|value| value.to_string()),
            },
        };
        Fact { name, value }
    }

    /// `User::"dev|alice" in Role::"clerk", Tenant::"acme"`
    fn with_ancestors(&self, uid: &cedar::EntityUid) -> String {
        let ancestors = self.request.entities.ancestors(uid).into_iter().flatten();
        let mut ancestors: Vec<String> = ancestors.map(ToString::to_string).collect();
        ancestors.sort_unstable();
        match ancestors.is_empty() {
            true => uid.to_string(),
            false => format!("{uid} in {}", ancestors.join(", ")),
        }
    }
}

/// The attribute of an attribute of a record.
fn within(value: cedar::EvalResult, attributes: &[String]) -> Option<cedar::EvalResult> {
    attributes.iter().try_fold(value, |value, name| match value {
        cedar::EvalResult::Record(record) => record.get(name).cloned(),
        _ => None,
    })
}

impl TracedPolicy {
    fn new(policy: &cedar::Policy, version: &PolicyVersion, files: &SourceFiles) -> Result<Self, TraceError> {
        let id = policy.id().to_string();
        let (anatomy, file, text) = Anatomy::of_policy(&id, version, files)
            .map_err(|error| TraceError::Anatomy { policy: id.clone(), error })?;
        let place = |byte| {
            let (line, column) = anatomy::position(text, byte);
            Place { file: file.to_owned(), line, column }
        };
        let mut conjuncts = Vec::new();
        for (_, conjunct) in anatomy.conjuncts() {
            let failed = |message: String| TraceError::Expression { policy: id.clone(), message };
            let expression = conjunct.text.parse();
            conjuncts.push(TracedConjunct {
                place: place(conjunct.span.start),
                expression: expression.map_err(|error: cedar::ParseErrors| failed(error.to_string()))?,
                reads: reads(&conjunct.text).map_err(failed)?,
            });
        }
        let clauses = anatomy.clauses.iter();
        let scope = |part, span: &Range<usize>| {
            let written = text.get(span.clone()).unwrap_or_default();
            (part, written.to_owned(), place(span.start))
        };
        Ok(Self {
            effect: match policy.effect() {
                cedar::Effect::Permit => PolicyEffect::Permit,
                cedar::Effect::Forbid => PolicyEffect::Forbid,
            },
            place: place(anatomy.span.start),
            constraints: (
                policy.principal_constraint(),
                policy.action_constraint(),
                policy.resource_constraint(),
            ),
            scope: [
                scope(ScopePart::Principal, &anatomy.principal),
                scope(ScopePart::Action, &anatomy.action),
                scope(ScopePart::Resource, &anatomy.resource),
            ],
            clause_places: clauses.map(|clause| place(clause.span.start)).collect(),
            id,
            anatomy,
            conjuncts,
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it does where it applies.
    #[must_use]
    pub const fn effect(&self) -> PolicyEffect {
        self.effect
    }

    /// Where it begins.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Its parts.
    #[must_use]
    pub const fn anatomy(&self) -> &Anatomy {
        &self.anatomy
    }

    /// The facts that its conditions read: a variable and the attributes that are taken of it.
    pub fn reads(&self) -> impl Iterator<Item = &[String]> {
        self.conjuncts.iter().flat_map(|conjunct| conjunct.reads.iter().map(Vec::as_slice))
    }

    /// Where its conjuncts begin, in the order of the text.
    pub fn conjunct_places(&self) -> impl Iterator<Item = &Place> {
        self.conjuncts.iter().map(|conjunct| &conjunct.place)
    }

    /// How the policy fares with a request. With `beyond`, what Cedar does not reach is evaluated, too.
    fn walk(&self, asker: &Asker<'_>, beyond: bool) -> Walk {
        let (principal, action, resource) = &self.constraints;
        let scope = [
            asker.principal.satisfies_principal(principal),
            asker.action.satisfies_action(action),
            asker.resource.satisfies_resource(resource),
        ];
        let mut outcome = match scope {
            [true, true, true] => PolicyOutcome::Applies,
            _ => PolicyOutcome::DoesNotApply,
        };
        let mut walked = Vec::with_capacity(self.conjuncts.len());
        let mut conjuncts = self.conjuncts.iter();
        for clause in &self.anatomy.clauses {
            let is_open = outcome == PolicyOutcome::Applies;
            // What the conjuncts come to as far as they are reached.
            let mut body = Value::True;
            for conjunct in conjuncts.by_ref().take(clause.conjuncts.len()) {
                let is_reached = is_open && body == Value::True;
                let value = match is_reached || beyond {
                    true => asker.evaluate(&conjunct.expression),
                    false => Value::False,
                };
                if is_reached {
                    body.clone_from(&value);
                }
                walked.push((value, is_reached));
            }
            if is_open {
                outcome = match (body, clause.kind) {
                    (Value::Error(message), _) => PolicyOutcome::Error(message),
                    (Value::True, ClauseKind::When) | (Value::False, ClauseKind::Unless) => outcome,
                    (Value::False, ClauseKind::When) | (Value::True, ClauseKind::Unless) => {
                        PolicyOutcome::DoesNotApply
                    }
                };
            }
        }
        Walk { scope, conjuncts: walked, outcome }
    }

    fn trace(&self, asker: &Asker<'_>, walk: Walk) -> PolicyTrace {
        let scope = |[principal, action, resource]: [bool; 3]| {
            let [one, two, three] = &self.scope;
            [(one, principal), (two, action), (three, resource)].map(|((part, text, place), matches)| {
                let name = part.as_str().to_owned();
                ScopeTrace {
                    part: *part,
                    text: text.clone(),
                    place: place.clone(),
                    matches,
                    fact: asker.fact(&[name]),
                }
            })
        };
        let mut walked = self.conjuncts.iter().zip(walk.conjuncts);
        let clauses = self.anatomy.clauses.iter().zip(&self.clause_places).map(|(clause, place)| {
            let conjuncts = walked
                .by_ref()
                .take(clause.conjuncts.len())
                .zip(&clause.conjuncts)
                .map(|((traced, (value, is_reached)), conjunct)| ConjunctTrace {
                    text: conjunct.text.clone(),
                    place: traced.place.clone(),
                    value,
                    is_reached,
                    facts: traced.reads.iter().map(|names| asker.fact(names)).collect(),
                })
                .collect();
            ClauseTrace { kind: clause.kind, place: place.clone(), conjuncts }
        });
        PolicyTrace {
            policy: self.id.clone(),
            effect: self.effect,
            place: self.place.clone(),
            scope: scope(walk.scope),
            clauses: clauses.collect(),
            outcome: walk.outcome,
        }
    }
}

/// The facts that an expression reads, in the order of its text.
fn reads(expression: &str) -> Result<Vec<Vec<String>>, String> {
    let text = format!("permit (principal, action, resource) when {{ {expression} }};");
    let policy = cedar::Policy::parse(None, text).map_err(|error| error.to_string())?;
    let policy = policy.to_pst().map_err(|error| error.to_string())?;
    let mut reads: Vec<Vec<String>> = Vec::new();
    for clause in policy.body().clauses() {
        let (cedar::pst::Clause::When(expression) | cedar::pst::Clause::Unless(expression)) = clause;
        grants::visit_reads(expression, &mut |names| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            if !reads.contains(&names) {
                reads.push(names);
            }
        });
    }
    Ok(reads)
}

impl ScopePart {
    /// As Cedar spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Action => "action",
            Self::Resource => "resource",
        }
    }
}

impl Trace {
    /// The trace of a policy.
    #[must_use]
    pub fn policy(&self, id: &str) -> Option<&PolicyTrace> {
        self.policies.iter().find(|policy| policy.policy == id)
    }

    /// The policies that apply, of one effect.
    pub fn applying(&self, effect: PolicyEffect) -> impl Iterator<Item = &PolicyTrace> {
        let applies =
            move |policy: &&PolicyTrace| policy.effect == effect && policy.outcome == PolicyOutcome::Applies;
        self.policies.iter().filter(applies)
    }

    /// Of a request that nothing permits, the permit that came nearest.
    ///
    /// Permits that speak of what was asked for (their action and resource match) go before all others: else a permit for
    /// another route, to which nothing but the route is missing, would be near to everything. Of these it is the one with
    /// the fewest [failed parts](PolicyTrace::failed), and of several the first by its id.
    #[must_use]
    pub fn nearest_permit(&self) -> Option<&PolicyTrace> {
        if self.applying(PolicyEffect::Permit).next().is_some() {
            return None;
        }
        let permits = self.policies.iter().filter(|policy| policy.effect == PolicyEffect::Permit);
        permits.min_by_key(|policy| (!policy.speaks_of_it(), policy.failed().len(), &policy.policy))
    }
}

impl PolicyTrace {
    /// Whether all three scopes match.
    #[must_use]
    pub fn scope_matches(&self) -> bool {
        self.scope.iter().all(|part| part.matches)
    }

    /// Whether action and resource match: the policy speaks of what was asked for.
    #[must_use]
    pub fn speaks_of_it(&self) -> bool {
        self.scope.iter().all(|part| part.matches || part.part == ScopePart::Principal)
    }

    /// The parts that keep the policy from applying. A conjunct that Cedar does not reach counts if it is false there; if it
    /// cannot be evaluated, that is what the part before it is there to prevent.
    #[must_use]
    pub fn failed(&self) -> Vec<FailedPart<'_>> {
        let mut failed: Vec<FailedPart<'_>> =
            self.scope.iter().filter(|part| !part.matches).map(FailedPart::Scope).collect();
        for clause in &self.clauses {
            match clause.kind {
                ClauseKind::When => {
                    failed.extend(clause.conjuncts.iter().filter(|part| part.fails()).map(FailedPart::When));
                }
                ClauseKind::Unless if clause.body_is_not_false() => failed.push(FailedPart::Unless(clause)),
                ClauseKind::Unless => {}
            }
        }
        failed
    }
}

impl ConjunctTrace {
    fn fails(&self) -> bool {
        match self.value {
            Value::True => false,
            Value::False => true,
            Value::Error(_) => self.is_reached,
        }
    }
}

impl ClauseTrace {
    /// Whether Cedar would not come to a false conjunct before one that cannot be evaluated.
    fn body_is_not_false(&self) -> bool {
        let first = self.conjuncts.iter().find(|conjunct| conjunct.value != Value::True);
        first.is_none_or(|conjunct| matches!(conjunct.value, Value::Error(_)) && conjunct.is_reached)
    }
}

impl FailedPart<'_> {
    /// Where it stands.
    #[must_use]
    pub const fn place(&self) -> &Place {
        match self {
            Self::Scope(part) => &part.place,
            Self::When(conjunct) => &conjunct.place,
            Self::Unless(clause) => &clause.place,
        }
    }

    /// Its text; of an `unless`, all that it joins.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Scope(part) => part.text.clone(),
            Self::When(conjunct) => conjunct.text.clone(),
            Self::Unless(clause) => {
                let texts: Vec<&str> = clause.conjuncts.iter().map(|part| part.text.as_str()).collect();
                format!("unless {{ {} }}", texts.join(" && "))
            }
        }
    }

    /// The facts that made it fail.
    #[must_use]
    pub fn facts(&self) -> Vec<&Fact> {
        match self {
            Self::Scope(part) => vec![&part.fact],
            Self::When(conjunct) => conjunct.facts.iter().collect(),
            Self::Unless(clause) => clause.conjuncts.iter().flat_map(|part| &part.facts).collect(),
        }
    }
}
