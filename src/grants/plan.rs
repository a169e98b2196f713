//! From a principal to its [`Grants`]. What does not depend on who asks is prepared once for each stage of an API.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use cedar_policy as cedar;

use super::condition::{Condition, Known, Numbering, Question, Value};
use super::formula::Formula;
use super::reads::PrincipalReads;
use super::residual::{PartialPrincipal, PartialStore};
use super::{Clause, Grant, Grants, is_volatile};
use crate::bundle::built::Damaged;
use crate::cedar_core::{self, Node};
use crate::decision::{Engine, EngineError, OperationScope, Pieces, PrincipalScope, Rule};
use crate::entities::{OperationEntities, Principal};
use crate::route::{Operation, OperationId, RouteTable};

/// The schema, made where it is wanted.
pub type MakeSchema<'g> = &'g dyn Fn() -> Result<&'g cedar::Schema, Damaged>;

/// What stands between a principal and its grants in one stage: its operations, and the policies, each of which is looked
/// into when it first applies to a principal.
#[derive(Debug)]
pub struct GrantPlan {
    engine: Arc<Engine>,
    operations: Vec<PlannedOperation>,
    reads: PrincipalReads,
    numbering: Numbering,
    /// By the place of the policy: its conditions, taken apart; none where they want partial evaluation.
    conditions: Pieces<Option<Condition>>,
    // Made when a condition is evaluated first.
    known: OnceLock<Result<KnownEntities, String>>,
}

#[derive(Debug)]
struct PlannedOperation {
    entities: Arc<OperationEntities>,
    scope: OperationScope,
}

/// The entities that do not depend on who asks.
#[derive(Debug)]
struct KnownEntities {
    /// Those of the routes, each with everything it is in.
    routes: Vec<cedar::Entity>,
    /// The same, and those of the actions.
    all: cedar::Entities,
}

/// The most effort for one principal: each condition counts once for each operation that it can apply to. About a
/// thirtieth of a second. Beyond that there are no grants, and so no document for a whole API.
const MOST_EFFORT: usize = 15_000;
/// What partial evaluation of a condition takes, in evaluations of one that was taken apart beforehand.
const PARTIAL_EFFORT: usize = 20;

/// Why there are no grants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// More conditions than are evaluated for one answer; else a defect of ours, because what a bundle's author could get
    /// wrong is found when it is loaded.
    #[error("the grants of `{operation}` cannot be worked out: {message}")]
    Unworkable {
        /// The operation's name.
        operation: String,
        /// Cedar's message, or ours.
        message: String,
    },
    /// The built bundle was changed or damaged.
    #[error("the bundle is damaged: {0}")]
    Damaged(#[from] Damaged),
}

/// The same, before it is said of which operation.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Failure {
    #[error("{0}")]
    Message(String),
    Damaged(#[from] Damaged),
}

impl Failure {
    fn of(self, operation: &Operation) -> GrantError {
        match self {
            Self::Message(message) => {
                GrantError::Unworkable { operation: operation.name().to_owned(), message }
            }
            Self::Damaged(damaged) => GrantError::Damaged(damaged),
        }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Damaged(damaged) => Self::Damaged(damaged),
            EngineError::Together(message) => Self::Message(message),
        }
    }
}

/// A fact beyond principal and path that a policy's outcome on an operation can depend on, for some principal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolatileRead {
    /// The operation.
    pub operation: OperationId,
    /// The policy's id.
    pub policy: String,
    /// The fact, such as `context.http.source_ip`.
    pub fact: String,
}

impl GrantPlan {
    /// Prepares the operations of a stage, given in the order of the route table; `reads` are those of all policies of the
    /// engine.
    pub fn new(
        engine: Arc<Engine>,
        reads: PrincipalReads,
        operations: impl IntoIterator<Item = (Arc<OperationEntities>, OperationScope)>,
    ) -> Self {
        let planned = operations.into_iter().map(|(entities, scope)| PlannedOperation { entities, scope });
        let conditions = Pieces::of(engine.len());
        Self {
            operations: planned.collect(),
            reads,
            numbering: Numbering::default(),
            conditions,
            known: OnceLock::new(),
            engine,
        }
    }

    /// What the grants can depend on: two principals of one type, with the same roles, the same tenant and the same
    /// [`PrincipalReads::of`] have the same grants.
    #[must_use]
    pub fn reads(&self) -> &PrincipalReads {
        &self.reads
    }

    /// The grants of a principal, whose entity must conform to the schema and comes with everything it is in.
    ///
    /// A policy whose scope is false for it and the operation is left out: evaluating a scope cannot fail. One without
    /// conditions is then true. Of the others Cedar evaluates the parts without the context; what cannot be taken apart so
    /// is evaluated partially.
    ///
    /// # Errors
    /// [`GrantError`]
    pub fn grants(
        &self,
        routes: &RouteTable,
        schema: &cedar::Schema,
        principal: &Principal,
    ) -> Result<Grants, GrantError> {
        self.grants_by(routes, &|| Ok(schema), (principal, &self.engine.principal(principal)?))
    }

    /// The same of a principal with what the scopes tell of it ([`Engine::principal`]), and with a schema that is made where it
    /// is wanted: for what is evaluated partially.
    ///
    /// # Errors
    /// [`GrantError`], also where there is no schema.
    pub fn grants_by<'g>(
        &'g self,
        routes: &RouteTable,
        schema: MakeSchema<'g>,
        asker: (&'g Principal, &'g PrincipalScope),
    ) -> Result<Grants, GrantError> {
        let mut granting = Granting::new(self, schema, asker);
        let operations = routes.operations().iter().zip(&self.operations);
        let grants = operations.map(|(operation, planned)| {
            granting.grant(operation, planned).map_err(|failure| failure.of(operation))
        });
        Ok(Grants::new(grants.collect::<Result<_, _>>()?))
    }

    /// What decisions can depend on beyond principal and path, whoever of these types asks; sorted.
    ///
    /// # Errors
    /// [`GrantError`]
    pub fn volatile_reads(
        &self,
        routes: &RouteTable,
        schema: &cedar::Schema,
        principals: &[cedar::EntityTypeName],
    ) -> Result<BTreeSet<VolatileRead>, GrantError> {
        let mut reads = BTreeSet::new();
        let mut store = None;
        for (operation, planned) in routes.operations().iter().zip(&self.operations) {
            let failed = |message: String| Failure::from(message).of(operation);
            let readers = self.readers(planned).map_err(|error| Failure::from(error).of(operation))?;
            if readers.is_empty() {
                continue;
            }
            if store.is_none() {
                let routes = self.known().map_err(failed)?.routes.iter().cloned();
                let entities = cedar::Entities::from_entities(routes, None)
                    .map_err(|error| failed(error.to_string()))?;
                store = Some(PartialStore::new(schema, entities).map_err(&failed)?);
            }
            let Some(store) = &store else { continue };
            for kind in principals {
                let mut grant = Grant::default();
                let anyone = PartialPrincipal::Anyone(kind);
                planned
                    .evaluate(store, &anyone, operation, readers.iter().copied(), &mut grant)
                    .map_err(&failed)?;
                for clause in grant.permits.iter().chain(&grant.forbids) {
                    clause.formula.visit_facts(&mut |fact| {
                        if is_volatile(fact) {
                            let (policy, fact) = (clause.policy.clone(), fact.to_owned());
                            reads.insert(VolatileRead { operation: operation.id(), policy, fact });
                        }
                    });
                }
            }
        }
        Ok(reads)
    }

    /// The policies that can apply to an operation and may read a volatile fact: most cannot, whatever is known.
    fn readers(&self, planned: &PlannedOperation) -> Result<Vec<&cedar::Policy>, EngineError> {
        let mut readers = Vec::new();
        for place in self.engine.reachable(&planned.scope)? {
            if self.engine.rule(place)?.reads_http {
                readers.push(self.engine.policy(place)?);
            }
        }
        Ok(readers)
    }

    fn known(&self) -> Result<&KnownEntities, String> {
        self.known.get_or_init(|| KnownEntities::of(&self.operations)).as_ref().map_err(Clone::clone)
    }

    /// The conditions of a policy, taken apart; `None` where they want partial evaluation.
    fn condition(
        &self,
        place: usize,
        condition: &cedar_core::Condition,
    ) -> Result<Option<&Condition>, String> {
        let take_apart = || {
            let condition = Condition::of(&condition.policy(), Known::Request, &self.numbering);
            Ok(if condition.is_mixed() { None } else { Some(condition) })
        };
        let found = self.conditions.get_or_make(place, take_apart);
        found.ok_or_else(|| "a policy has no place".to_owned())?.map(Option::as_ref)
    }
}

impl KnownEntities {
    fn of(operations: &[PlannedOperation]) -> Result<Self, String> {
        let mut routes: HashMap<&cedar::EntityUid, &cedar::Entity> = HashMap::new();
        let mut actions: Vec<&cedar::Entity> = Vec::new();
        for entities in operations.iter().map(|planned| &planned.entities) {
            let route = entities.entities().get(entities.route());
            routes.insert(entities.route(), route.ok_or("a route has no entity")?);
            actions.extend(entities.entities().get(entities.action()));
        }
        let nodes: Vec<Node> =
            routes.values().chain(&actions).map(|entity| Node::from((*entity).clone())).collect();
        let all = cedar_core::store(&nodes).map_err(|error| error.to_string())?;
        Ok(Self { routes: routes.into_values().cloned().collect(), all })
    }
}

impl PlannedOperation {
    /// Adds to `grant` what `policies` come to.
    fn evaluate<'p>(
        &self,
        store: &PartialStore<'_>,
        principal: &PartialPrincipal<'_>,
        operation: &Operation,
        policies: impl IntoIterator<Item = &'p cedar::Policy>,
        grant: &mut Grant,
    ) -> Result<(), String> {
        let policies = cedar::PolicySet::from_policies(policies.into_iter().cloned());
        let policies = policies.map_err(|error| error.to_string())?;
        let asked = (self.entities.action(), self.entities.route());
        let residuals = store.residuals(principal, operation, asked, &policies, &mut grant.tests)?;
        grant.is_partially_evaluated = true;
        for residual in residuals {
            let permits = residual.effect == cedar::Effect::Permit;
            grant.push(residual.policy.to_string(), permits, residual.formula);
        }
        Ok(())
    }
}

/// The grants of one principal, while they are worked out.
struct Granting<'g> {
    plan: &'g GrantPlan,
    schema: MakeSchema<'g>,
    principal: &'g Principal,
    scope: &'g PrincipalScope,
    effort: usize,
    /// What conditions said that depend on the principal alone.
    of_principal: Vec<Option<Value>>,
    // Both are made when they are wanted first: most principals' policies have few conditions, if any.
    known: Option<cedar::Entities>,
    partial: Option<PartialStore<'g>>,
}

impl<'g> Granting<'g> {
    const fn new(
        plan: &'g GrantPlan,
        schema: MakeSchema<'g>,
        (principal, scope): (&'g Principal, &'g PrincipalScope),
    ) -> Self {
        let of_principal = Vec::new();
        Self { plan, schema, principal, scope, effort: 0, of_principal, known: None, partial: None }
    }

    fn grant(&mut self, operation: &Operation, planned: &PlannedOperation) -> Result<Grant, Failure> {
        let (plan, engine) = (self.plan, &self.plan.engine);
        let mut grant = Grant::default();
        let mut mixed: Vec<&cedar::Policy> = Vec::new();
        // Made when it is wanted first: what depends on the principal alone is mostly known by now.
        let request: OnceCell<Option<cedar::Request>> = OnceCell::new();
        for place in engine.applying(self.scope, &planned.scope)? {
            let Rule { name, permits, condition, .. } = engine.rule(place)?;
            let Some(condition) = condition else {
                grant.push(name.clone(), *permits, Formula::TRUE);
                continue;
            };
            let Some(condition) = plan.condition(place, condition)? else {
                self.spend(PARTIAL_EFFORT)?;
                mixed.push(engine.policy(place)?);
                continue;
            };
            self.spend(1)?;
            if self.known.is_none() {
                self.known = Some(self.with_principal()?);
            }
            let ground = || {
                let made = || Self::request(self.principal.uid(), planned).ok();
                request.get_or_init(made).as_ref().zip(self.known.as_ref())
            };
            let mut question = Question {
                operation,
                ground: &ground,
                of_principal: &mut self.of_principal,
                tests: &mut grant.tests,
            };
            let formula = condition.formula(&mut question);
            grant.is_partially_evaluated = true;
            if formula != Formula::FALSE {
                grant.push(name.clone(), *permits, formula);
            }
        }
        if !mixed.is_empty() {
            let partial = match &mut self.partial {
                Some(partial) => partial,
                none => {
                    let routes =
                        plan.known()?.routes.iter().cloned().chain([self.principal.entity().clone()]);
                    let known = cedar::Entities::from_entities(routes, None);
                    let known = known.map_err(|error| error.to_string())?;
                    none.insert(PartialStore::new((self.schema)()?, known)?)
                }
            };
            let principal = PartialPrincipal::Known(self.principal.uid());
            planned.evaluate(partial, &principal, operation, mixed, &mut grant)?;
        }
        Ok(grant)
    }

    fn spend(&mut self, effort: usize) -> Result<(), String> {
        self.effort += effort;
        match self.effort > MOST_EFFORT {
            true => Err("the policies have too many conditions to evaluate for one answer".to_owned()),
            false => Ok(()),
        }
    }

    /// The store is complete already, and the principal comes with everything it is in.
    fn with_principal(&self) -> Result<cedar::Entities, String> {
        self.principal.within(&self.plan.known()?.all).map_err(|error| error.to_string())
    }

    /// What is asked, without a context: nothing that is evaluated with it reads one.
    fn request(uid: &cedar::EntityUid, planned: &PlannedOperation) -> Result<cedar::Request, String> {
        let (action, route) = (planned.entities.action().clone(), planned.entities.route().clone());
        cedar::Request::new(uid.clone(), action, route, cedar::Context::empty(), None)
            .map_err(|error| error.to_string())
    }
}

impl Grant {
    fn push(&mut self, policy: String, permits: bool, formula: Formula) {
        let clause = Clause { policy, formula };
        match permits {
            true => self.permits.push(clause),
            false => self.forbids.push(clause),
        }
    }
}
