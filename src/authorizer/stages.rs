//! The stages of the APIs: what makes their entities, and the policies, ready to be asked. What speaks of one operation is
//! made when the operation is first asked for.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::ground::{Ground, LazySchema};
use crate::bundle::BundleFacts;
use crate::bundle::built::Damaged;
use crate::bundle::deployment::{AnswerScope, Api};
use crate::bundle::policies::VersionHead;
use crate::decision::{Engine, EngineError, OperationScope};
use crate::entities::{EntityError, EntityFactory, OperationEntities};
use crate::grants::{GrantError, GrantPlan};
use crate::iam::PreparedRoutes;
use crate::route::{Operation, OperationId};

/// Every stage that a policy version decides, by API and name.
#[derive(Debug)]
pub(super) struct Stages(HashMap<String, HashMap<String, Stage>>);

/// One stage of one API, ready to be asked.
#[derive(Debug)]
pub(super) struct Stage {
    /// The policies that decide.
    pub(super) version: Arc<VersionHead>,
    /// What makes principals and requests.
    pub(super) factory: Arc<EntityFactory>,
    /// The policies, ready to be asked.
    pub(super) engine: Arc<Engine>,
    /// What makes documents, where answers speak of the whole API.
    pub(super) whole: Option<WholeStage>,
    /// What is asked beside, where versions.toml names it.
    pub(super) shadow: Option<ShadowStage>,
    api: String,
    name: String,
    groups: Arc<[Vec<String>]>,
    /// Those that were asked for, in the order of the route table.
    operations: Vec<OnceLock<PreparedOperation>>,
}

/// An operation of a stage, ready to be asked for.
#[derive(Debug)]
pub(super) struct PreparedOperation {
    pub(super) entities: Arc<OperationEntities>,
    pub(super) scope: OperationScope,
}

/// What a shadow needs beside what the active version has: its operations are the same.
#[derive(Debug)]
pub(super) struct ShadowStage {
    /// Its policies.
    pub(super) version: Arc<VersionHead>,
    /// What makes principals: a role may include others than in the active version.
    pub(super) factory: Arc<EntityFactory>,
    /// Its policies, ready to be asked.
    pub(super) engine: Arc<Engine>,
    /// By operation: what its scopes can tell of it, where it was asked.
    scopes: Vec<OnceLock<OperationScope>>,
}

/// What the documents of a stage are made with.
#[derive(Debug)]
pub(super) struct WholeStage {
    /// What makes a principal's grants.
    pub(super) plan: GrantPlan,
    /// What they are held against.
    pub(super) schema: LazySchema,
    /// The routes, as the compiler of documents wants them.
    pub(super) prepared: PreparedRoutes,
}

/// Why a bundle cannot be prepared: a defect of ours or damage to a built bundle, because what a bundle's author could get
/// wrong is found when it is loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The schema's actions cannot be read.
    #[error("the actions of the schema cannot be read: {0}")]
    Actions(String),
    /// A version of the policies is not there.
    #[error("the version of the policies is not there")]
    Version,
    /// An operation is none of the route table.
    #[error("the operation is not in the route table")]
    Operation,
    /// An entity cannot be made.
    #[error(transparent)]
    Entity(#[from] EntityError),
    /// The policies cannot be put together, or read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The grants of an operation cannot be prepared.
    #[error(transparent)]
    Grants(#[from] GrantError),
    /// The built bundle was changed or damaged.
    #[error("the bundle is damaged: {0}")]
    Damaged(#[from] Damaged),
}

/// What a policy version needs, whichever stages it decides.
#[derive(Clone)]
struct PreparedVersion {
    head: Arc<VersionHead>,
    factory: Arc<EntityFactory>,
    engine: Arc<Engine>,
}

/// The versions that were prepared, by name.
struct PreparedVersions<'g> {
    ground: &'g Ground,
    prepared: HashMap<String, PreparedVersion>,
}

impl Stages {
    pub(super) fn prepare(ground: &Ground) -> Result<Self, PrepareError> {
        let facts = ground.facts();
        let groups = ground.action_groups()?;
        let mut versions = PreparedVersions { ground, prepared: HashMap::new() };
        let mut stages: HashMap<String, HashMap<String, Stage>> = HashMap::new();
        for api in &facts.deployment().apis {
            for name in api.stage_names() {
                let named = |version: Option<&str>, versions: &mut PreparedVersions<'_>| {
                    version.map_or(Ok(None), |version| versions.named(version))
                };
                let Some(active) = named(facts.versions().active(&api.name, name), &mut versions)? else {
                    continue;
                };
                let shadow = named(facts.versions().shadow(&api.name, name), &mut versions)?;
                let operations = facts.routes().operations().len();
                let shadow = shadow.map(|PreparedVersion { head, factory, engine }| ShadowStage {
                    version: head,
                    factory,
                    engine,
                    scopes: unasked(operations),
                });
                let PreparedVersion { head, factory, engine } = active;
                let mut stage = Stage {
                    version: head,
                    factory,
                    engine,
                    whole: None,
                    shadow,
                    api: api.name.clone(),
                    name: name.to_owned(),
                    groups: Arc::clone(&groups),
                    operations: unasked(operations),
                };
                if api.scope == AnswerScope::Api {
                    stage.whole = Some(stage.whole(ground, api)?);
                }
                stages.entry(api.name.clone()).or_default().insert(name.to_owned(), stage);
            }
        }
        Ok(Self(stages))
    }

    pub(super) fn find(&self, api: &str, stage: &str) -> Option<&Stage> {
        self.0.get(api)?.get(stage)
    }
}

fn unasked<T>(operations: usize) -> Vec<OnceLock<T>> {
    (0..operations).map(|_| OnceLock::new()).collect()
}

impl Stage {
    /// An operation, ready to be asked for.
    pub(super) fn operation(
        &self,
        facts: &BundleFacts,
        id: OperationId,
    ) -> Result<&PreparedOperation, PrepareError> {
        let place = self.operations.get(id.index()).ok_or(PrepareError::Operation)?;
        if let Some(prepared) = place.get() {
            return Ok(prepared);
        }
        let operation = facts.routes().operation(id).ok_or(PrepareError::Operation)?;
        let groups = self.groups.get(id.index()).ok_or(PrepareError::Operation)?;
        let groups = groups.iter().map(String::as_str);
        let entities =
            OperationEntities::within(operation, &self.api, &self.name, facts.vocabulary(), groups)?;
        let scope = self.engine.scope(&entities)?;
        Ok(place.get_or_init(|| PreparedOperation { entities: Arc::new(entities), scope }))
    }

    /// What makes the documents of the stage.
    fn whole(&self, ground: &Ground, api: &Api) -> Result<WholeStage, PrepareError> {
        let routes = ground.facts().routes();
        Ok(WholeStage {
            plan: self.plan(ground)?,
            schema: ground.schema(),
            prepared: PreparedRoutes::new(routes, api.kind.router(), api.kind.path_encoding()),
        })
    }

    /// What makes a principal's grants.
    pub(super) fn plan(&self, ground: &Ground) -> Result<GrantPlan, PrepareError> {
        let operation = |operation: &Operation| {
            let PreparedOperation { entities, scope } = self.operation(ground.facts(), operation.id())?;
            Ok((Arc::clone(entities), scope.clone()))
        };
        let operations = ground.facts().routes().operations().iter().map(operation);
        let operations = operations.collect::<Result<Vec<_>, PrepareError>>()?;
        let reads = ground.principal_reads(&self.version.name)?;
        Ok(GrantPlan::new(Arc::clone(&self.engine), reads, operations))
    }
}

impl ShadowStage {
    /// What its scopes can tell of an operation.
    pub(super) fn scope(
        &self,
        id: OperationId,
        operation: &PreparedOperation,
    ) -> Result<&OperationScope, PrepareError> {
        let place = self.scopes.get(id.index()).ok_or(PrepareError::Operation)?;
        if let Some(scope) = place.get() {
            return Ok(scope);
        }
        let scope = self.engine.scope(&operation.entities)?;
        Ok(place.get_or_init(|| scope))
    }
}

impl PreparedVersions<'_> {
    fn named(&mut self, name: &str) -> Result<Option<PreparedVersion>, PrepareError> {
        if let Some(prepared) = self.prepared.get(name) {
            return Ok(Some(prepared.clone()));
        }
        let Some((head, engine)) = self.ground.version(name)? else { return Ok(None) };
        let factory = Arc::new(EntityFactory::new(self.ground.facts().vocabulary(), &head.roles)?);
        let prepared = PreparedVersion { head, factory, engine: Arc::new(engine) };
        self.prepared.insert(name.to_owned(), prepared.clone());
        Ok(Some(prepared))
    }
}
