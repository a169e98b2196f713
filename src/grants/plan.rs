//! From a principal to its [`Grants`]. What does not depend on who asks is prepared once for each stage of an API.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy as cedar;

use super::condition::{Condition, Known, Numbering, Question, Value};
use super::formula::Formula;
use super::reads::PrincipalReads;
use super::residual::{PartialPrincipal, PartialStore};
use super::{Clause, Grant, Grants, is_volatile};
use crate::cedar_core::{self, Node};
use crate::decision::{Lineage, PolicySlice, reads_http};
use crate::entities::OperationEntities;
use crate::route::{Operation, OperationId, RouteTable};

/// What stands between a principal and its grants in one stage: its operations, and the policies that can apply to each.
#[derive(Debug)]
pub struct GrantPlan {
    operations: Vec<PlannedOperation>,
    /// The entities of the routes, each with everything it is in.
    routes: Vec<cedar::Entity>,
    /// The same, and those of the actions.
    known: cedar::Entities,
    reads: PrincipalReads,
    numbering: Numbering,
}

#[derive(Debug)]
struct PlannedOperation {
    action: cedar::EntityUid,
    route: cedar::EntityUid,
    policies: Vec<Arc<PlannedPolicy>>,
}

/// The most effort for one principal: each condition counts once for each operation that it can apply to. About a
/// thirtieth of a second. Beyond that there are no grants, and so no document for a whole API.
const MOST_EFFORT: usize = 15_000;
/// What partial evaluation of a condition takes, in evaluations of one that was taken apart beforehand.
const PARTIAL_EFFORT: usize = 20;

/// A policy whose action and resource scope match the operation.
#[derive(Debug)]
struct PlannedPolicy {
    policy: cedar::Policy,
    principal: cedar::PrincipalConstraint,
    conditions: Conditions,
}

/// How the conditions of a policy are evaluated.
#[derive(Debug)]
enum Conditions {
    /// It has none: its scope alone decides.
    None,
    /// They are taken apart.
    Prepared(Condition),
    /// They want partial evaluation.
    Mixed,
}

/// Why there are no grants: more conditions than are evaluated for one answer; else a defect of ours, because what a
/// bundle's author could get wrong is found when it is loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the grants of `{operation}` cannot be worked out: {message}")]
pub struct GrantError {
    /// The operation's name.
    pub operation: String,
    /// Cedar's message.
    pub message: String,
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
    /// Prepares the operations of a stage, given in the order of the route table.
    ///
    /// # Errors
    /// [`GrantError`]
    pub fn new<'o>(
        operations: impl IntoIterator<Item = (&'o OperationEntities, &'o PolicySlice)>,
    ) -> Result<Self, GrantError> {
        let mut routes: HashMap<cedar::EntityUid, cedar::Entity> = HashMap::new();
        let mut actions: Vec<cedar::Entity> = Vec::new();
        let (mut reads, mut numbering) = (PrincipalReads::default(), Numbering::default());
        // A policy can apply to many operations, and is looked into once.
        let mut known: HashMap<cedar::PolicyId, Arc<PlannedPolicy>> = HashMap::new();
        let mut planned = Vec::new();
        for (entities, slice) in operations {
            let (action, route) = (entities.action().clone(), entities.route().clone());
            let entity = entities.entities().get(&route).ok_or_else(|| GrantError {
                operation: action.to_string(),
                message: "the route has no entity".to_owned(),
            })?;
            routes.entry(route.clone()).or_insert_with(|| entity.clone());
            actions.extend(entities.entities().get(&action).cloned());
            let mut plan = |policy: &cedar::Policy| {
                let planned = known.entry(policy.id().clone()).or_insert_with(|| {
                    reads.add(policy);
                    Arc::new(PlannedPolicy::new(policy, &mut numbering))
                });
                Arc::clone(planned)
            };
            let mut policies: Vec<Arc<PlannedPolicy>> = slice.policies().map(&mut plan).collect();
            policies.sort_by(|one, other| one.policy.id().cmp(other.policy.id()));
            planned.push(PlannedOperation { action, route, policies });
        }
        let all = routes.values().cloned().chain(actions);
        let known = cedar::Entities::from_entities(all, None)
            .map_err(|error| GrantError { operation: String::new(), message: error.to_string() })?;
        Ok(Self { operations: planned, routes: routes.into_values().collect(), known, reads, numbering })
    }

    /// What the grants can depend on: two principals of one type, with the same roles, the same tenant and the same
    /// [`PrincipalReads::of`] have the same grants.
    #[must_use]
    pub fn reads(&self) -> &PrincipalReads {
        &self.reads
    }

    /// The grants of a principal, whose entity must conform to the schema and comes with everything it is in as its parents.
    ///
    /// A policy whose principal scope is false for it is left out, as
    /// [`Engine::slice`](crate::decision::Engine::slice) leaves out those whose action or resource scope is: evaluating a
    /// scope cannot fail. One without conditions is then true. Of the others Cedar evaluates the parts without the context;
    /// what cannot be taken apart so is evaluated partially.
    ///
    /// # Errors
    /// [`GrantError`]
    pub fn grants(
        &self,
        routes: &RouteTable,
        schema: &cedar::Schema,
        principal: &cedar::Entity,
    ) -> Result<Grants, GrantError> {
        self.grants_by(routes, &|| Ok(schema), principal)
    }

    /// The same with a schema that is made where it is wanted: for what is evaluated partially.
    ///
    /// # Errors
    /// [`GrantError`], also where there is no schema.
    pub fn grants_by<'g>(
        &'g self,
        routes: &RouteTable,
        schema: &'g dyn Fn() -> Result<&'g cedar::Schema, String>,
        principal: &'g cedar::Entity,
    ) -> Result<Grants, GrantError> {
        let mut granting = Granting::new(self, schema, principal)?;
        let operations = routes.operations().iter().zip(&self.operations);
        let grants = operations.map(|(operation, planned)| {
            granting
                .grant(operation, planned)
                .map_err(|message| GrantError { operation: operation.name().to_owned(), message })
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
        // Most policies cannot read such a fact, whatever is known. Each is looked into once for all operations.
        let mut readers: HashMap<&cedar::PolicyId, bool> = HashMap::new();
        let mut store = None;
        for (operation, planned) in routes.operations().iter().zip(&self.operations) {
            let failed = |message: String| GrantError { operation: operation.name().to_owned(), message };
            let mut may_read = |policy: &'_ PlannedPolicy, id| {
                *readers.entry(id).or_insert_with(|| policy.is_conditional() && reads_http(&policy.policy))
            };
            let policies = planned.policies.iter().map(Arc::as_ref);
            let conditional: Vec<&PlannedPolicy> =
                policies.filter(|policy| may_read(policy, policy.policy.id())).collect();
            if conditional.is_empty() {
                continue;
            }
            if store.is_none() {
                let entities = cedar::Entities::from_entities(self.routes.iter().cloned(), None)
                    .map_err(|error| failed(error.to_string()))?;
                store = Some(PartialStore::new(schema, entities).map_err(&failed)?);
            }
            let Some(store) = &store else { continue };
            for kind in principals {
                let mut grant = Grant::default();
                let anyone = PartialPrincipal::Anyone(kind);
                planned
                    .evaluate(store, &anyone, operation, conditional.iter().copied(), &mut grant)
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
}

impl PlannedOperation {
    /// Adds to `grant` what `policies` come to.
    fn evaluate<'p>(
        &self,
        store: &PartialStore<'_>,
        principal: &PartialPrincipal<'_>,
        operation: &Operation,
        policies: impl IntoIterator<Item = &'p PlannedPolicy>,
        grant: &mut Grant,
    ) -> Result<(), String> {
        let policies = policies.into_iter().map(|planned| planned.policy.clone());
        let policies = cedar::PolicySet::from_policies(policies).map_err(|error| error.to_string())?;
        let asked = (&self.action, &self.route);
        let residuals = store.residuals(principal, operation, asked, &policies, &mut grant.tests)?;
        grant.is_partially_evaluated = true;
        for residual in residuals {
            grant.push(&residual.policy, residual.effect, residual.formula);
        }
        Ok(())
    }
}

impl PlannedPolicy {
    fn new(policy: &cedar::Policy, numbering: &mut Numbering) -> Self {
        let has_none = policy.to_pst().is_ok_and(|policy| policy.body().clauses().is_empty());
        let conditions = match has_none {
            true => Conditions::None,
            false => match Condition::of(policy, Known::Request, numbering) {
                condition if condition.is_mixed() => Conditions::Mixed,
                condition => Conditions::Prepared(condition),
            },
        };
        Self { principal: policy.principal_constraint(), conditions, policy: policy.clone() }
    }

    fn is_conditional(&self) -> bool {
        match self.conditions {
            Conditions::None => false,
            Conditions::Prepared(_) | Conditions::Mixed => true,
        }
    }
}

/// The grants of one principal, while they are worked out.
struct Granting<'g> {
    plan: &'g GrantPlan,
    schema: &'g dyn Fn() -> Result<&'g cedar::Schema, String>,
    principal: &'g cedar::Entity,
    uid: cedar::EntityUid,
    lineage: Lineage,
    effort: usize,
    /// What conditions said that depend on the principal alone.
    of_principal: Vec<Option<Value>>,
    // Both are made when they are wanted first: most principals' policies have few conditions, if any.
    known: Option<cedar::Entities>,
    partial: Option<PartialStore<'g>>,
}

impl<'g> Granting<'g> {
    fn new(
        plan: &'g GrantPlan,
        schema: &'g dyn Fn() -> Result<&'g cedar::Schema, String>,
        principal: &'g cedar::Entity,
    ) -> Result<Self, GrantError> {
        let uid = principal.uid();
        let alone = cedar::Entities::from_entities([principal.clone()], None).map_err(|error| {
            GrantError { operation: uid.type_name().to_string(), message: error.to_string() }
        })?;
        let lineage = Lineage::of(&uid, &alone);
        let of_principal = vec![None; plan.numbering.len()];
        Ok(Self {
            plan,
            schema,
            principal,
            uid,
            lineage,
            effort: 0,
            of_principal,
            known: None,
            partial: None,
        })
    }

    fn grant(&mut self, operation: &Operation, planned: &PlannedOperation) -> Result<Grant, String> {
        let mut grant = Grant::default();
        let mut mixed: Vec<&PlannedPolicy> = Vec::new();
        // Made when it is wanted first: what depends on the principal alone is mostly known by now.
        let request: OnceCell<Option<cedar::Request>> = OnceCell::new();
        for policy in planned.policies.iter().map(Arc::as_ref) {
            if !self.lineage.satisfies_principal(&policy.principal) {
                continue;
            }
            let condition = match &policy.conditions {
                Conditions::None => {
                    grant.push(policy.policy.id(), policy.policy.effect(), Formula::TRUE);
                    continue;
                }
                Conditions::Mixed => {
                    self.spend(PARTIAL_EFFORT)?;
                    mixed.push(policy);
                    continue;
                }
                Conditions::Prepared(condition) => condition,
            };
            self.spend(1)?;
            if self.known.is_none() {
                self.known = Some(self.with_principal()?);
            }
            let ground = || {
                let made = || Self::request(&self.uid, planned).ok();
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
                grant.push(policy.policy.id(), policy.policy.effect(), formula);
            }
        }
        if !mixed.is_empty() {
            let partial = match &mut self.partial {
                Some(partial) => partial,
                none => {
                    let routes = self.plan.routes.iter().cloned().chain([self.principal.clone()]);
                    let known = cedar::Entities::from_entities(routes, None);
                    let known = known.map_err(|error| error.to_string())?;
                    none.insert(PartialStore::new((self.schema)()?, known)?)
                }
            };
            planned.evaluate(partial, &PartialPrincipal::Known(&self.uid), operation, mixed, &mut grant)?;
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
        let principal = Node::from(self.principal.clone());
        cedar_core::with_principal(&self.plan.known, &principal).map_err(|error| error.to_string())
    }

    /// What is asked, without a context: nothing that is evaluated with it reads one.
    fn request(uid: &cedar::EntityUid, planned: &PlannedOperation) -> Result<cedar::Request, String> {
        let (action, route) = (planned.action.clone(), planned.route.clone());
        cedar::Request::new(uid.clone(), action, route, cedar::Context::empty(), None)
            .map_err(|error| error.to_string())
    }
}

impl Grant {
    fn push(&mut self, policy: &cedar::PolicyId, effect: cedar::Effect, formula: Formula) {
        let clause = Clause { policy: policy.to_string(), formula };
        match effect {
            cedar::Effect::Permit => self.permits.push(clause),
            cedar::Effect::Forbid => self.forbids.push(clause),
        }
    }
}
