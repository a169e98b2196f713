//! From a principal to its [`Grants`]. What does not depend on who asks is prepared once for each stage of an API.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy as cedar;

use super::formula::Formula;
use super::reads::PrincipalReads;
use super::residual::{PartialPrincipal, PartialStore};
use super::{Clause, Grant, Grants, is_volatile};
use crate::decision::{Lineage, PolicySlice};
use crate::entities::OperationEntities;
use crate::route::{Operation, OperationId, RouteTable};

/// What stands between a principal and its grants in one stage: its operations, and the policies that can apply to each.
#[derive(Debug)]
pub struct GrantPlan {
    operations: Vec<PlannedOperation>,
    /// The entities of the routes, each with everything it is in.
    routes: Vec<cedar::Entity>,
    reads: PrincipalReads,
}

#[derive(Debug)]
struct PlannedOperation {
    action: cedar::EntityUid,
    route: cedar::EntityUid,
    policies: Vec<Arc<PlannedPolicy>>,
}

/// The most conditions that are evaluated for one principal, each once for each operation that it can apply to: about a
/// twentieth of a second. Beyond that there are no grants, and so no document for a whole API.
const MOST_CONDITIONS: usize = 2_000;

/// A policy whose action and resource scope match the operation.
#[derive(Debug)]
struct PlannedPolicy {
    policy: cedar::Policy,
    principal: cedar::PrincipalConstraint,
    /// Whether it has a condition; else its scope alone decides.
    is_conditional: bool,
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
        let mut reads = PrincipalReads::default();
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
            let mut plan = |policy: &cedar::Policy| {
                let planned = known.entry(policy.id().clone()).or_insert_with(|| {
                    reads.add(policy);
                    Arc::new(PlannedPolicy::new(policy))
                });
                Arc::clone(planned)
            };
            let mut policies: Vec<Arc<PlannedPolicy>> = slice.policies().map(&mut plan).collect();
            policies.sort_by(|one, other| one.policy.id().cmp(other.policy.id()));
            planned.push(PlannedOperation { action, route, policies });
        }
        Ok(Self { operations: planned, routes: routes.into_values().collect(), reads })
    }

    /// What the grants can depend on: two principals of one type, with the same roles, the same tenant and the same
    /// [`PrincipalReads::of`] have the same grants.
    #[must_use]
    pub fn reads(&self) -> &PrincipalReads {
        &self.reads
    }

    /// The grants of a principal, whose entity must conform to the schema.
    ///
    /// A policy whose principal scope is false for it is left out, as
    /// [`Engine::slice`](crate::decision::Engine::slice) leaves out those whose action or resource scope is: evaluating a
    /// scope cannot fail. One without conditions is then true. The others are evaluated with an unknown context.
    ///
    /// # Errors
    /// [`GrantError`]
    pub fn grants(
        &self,
        routes: &RouteTable,
        schema: &cedar::Schema,
        principal: &cedar::Entity,
    ) -> Result<Grants, GrantError> {
        let uid = principal.uid();
        let store = |entities: Vec<cedar::Entity>| {
            cedar::Entities::from_entities(entities, None).map_err(|error| GrantError {
                operation: uid.type_name().to_string(),
                message: error.to_string(),
            })
        };
        let lineage = Lineage::of(&uid, &store(vec![principal.clone()])?);
        // Made when the first condition is met: a principal whose policies have none needs no partial evaluation.
        let mut partial: Option<PartialStore<'_>> = None;
        let mut grants = Vec::with_capacity(self.operations.len());
        let mut conditions = 0;
        for (operation, planned) in routes.operations().iter().zip(&self.operations) {
            let failed = |message: String| GrantError { operation: operation.name().to_owned(), message };
            let (conditional, certain): (Vec<&PlannedPolicy>, Vec<&PlannedPolicy>) = planned
                .policies
                .iter()
                .map(Arc::as_ref)
                .filter(|planned| lineage.satisfies_principal(&planned.principal))
                .partition(|planned| planned.is_conditional);
            let mut grant = Grant::default();
            for policy in certain {
                grant.push(policy.policy.id(), policy.policy.effect(), Formula::TRUE);
            }
            conditions += conditional.len();
            if conditions > MOST_CONDITIONS {
                return Err(failed(format!(
                    "the policies have more than {MOST_CONDITIONS} conditions to evaluate"
                )));
            }
            if !conditional.is_empty() {
                let partial = match &mut partial {
                    Some(partial) => partial,
                    none => {
                        let entities = self.routes.iter().cloned().chain([principal.clone()]).collect();
                        let made = PartialStore::new(schema, store(entities)?).map_err(&failed)?;
                        none.insert(made)
                    }
                };
                planned
                    .evaluate(partial, &PartialPrincipal::Known(&uid), operation, conditional, &mut grant)
                    .map_err(&failed)?;
            }
            grants.push(grant);
        }
        Ok(Grants::new(grants))
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
        for (operation, planned) in routes.operations().iter().zip(&self.operations) {
            let failed = |message: String| GrantError { operation: operation.name().to_owned(), message };
            let conditional: Vec<&PlannedPolicy> =
                planned.policies.iter().map(Arc::as_ref).filter(|policy| policy.is_conditional).collect();
            if conditional.is_empty() {
                continue;
            }
            let entities = cedar::Entities::from_entities(self.routes.iter().cloned(), None)
                .map_err(|error| failed(error.to_string()))?;
            let store = PartialStore::new(schema, entities).map_err(&failed)?;
            for kind in principals {
                let mut grant = Grant::default();
                let anyone = PartialPrincipal::Anyone(kind);
                planned
                    .evaluate(&store, &anyone, operation, conditional.iter().copied(), &mut grant)
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
    fn new(policy: &cedar::Policy) -> Self {
        let has_conditions = |policy: cedar::pst::Policy| !policy.body().clauses().is_empty();
        Self {
            principal: policy.principal_constraint(),
            is_conditional: policy.to_pst().map_or(true, has_conditions),
            policy: policy.clone(),
        }
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
