//! The stages of the APIs, each prepared once: its entities, and for each operation the policies that can apply.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bundle::Bundle;
use crate::bundle::deployment::AnswerScope;
use crate::bundle::policies::PolicyVersion;
use crate::decision::{Engine, EngineError, OperationScope, PolicySlice};
use crate::entities::{EntityError, EntityFactory, OperationEntities};
use crate::grants::{GrantError, GrantPlan};
use crate::iam::PreparedRoutes;

/// Every stage that a policy version decides, by API and name.
#[derive(Debug)]
pub(super) struct Stages(HashMap<String, HashMap<String, Stage>>);

/// One stage of one API, ready to be asked.
#[derive(Debug)]
pub(super) struct Stage {
    /// The policies that decide.
    pub(super) version: Arc<PolicyVersion>,
    /// What makes principals and requests.
    pub(super) factory: Arc<EntityFactory>,
    /// The policies, ready to be asked.
    pub(super) engine: Arc<Engine>,
    /// Each operation's entities, in the order of the route table.
    pub(super) operations: Vec<PreparedOperation>,
    /// What makes documents, where answers speak of the whole API.
    pub(super) whole: Option<WholeStage>,
    /// What is asked beside, where versions.toml names it.
    pub(super) shadow: Option<ShadowStage>,
}

/// An operation of a stage, ready to be asked for.
#[derive(Debug)]
pub(super) struct PreparedOperation {
    pub(super) entities: OperationEntities,
    pub(super) scope: OperationScope,
}

/// What a shadow needs beside what the active version has: its operations are the same.
#[derive(Debug)]
pub(super) struct ShadowStage {
    /// Its policies.
    pub(super) version: Arc<PolicyVersion>,
    /// What makes principals: a role may include others than in the active version.
    pub(super) factory: Arc<EntityFactory>,
    /// Its policies, ready to be asked.
    pub(super) engine: Arc<Engine>,
    /// By operation: what its scopes can tell of it.
    pub(super) scopes: Vec<OperationScope>,
}

/// What the documents of a stage are made with.
#[derive(Debug)]
pub(super) struct WholeStage {
    /// What makes a principal's grants.
    pub(super) plan: GrantPlan,
    /// By operation: the policies that can apply, for Cedar's own authorizer to be asked.
    pub(super) slices: Vec<PolicySlice>,
    /// The routes, as the compiler of documents wants them.
    pub(super) prepared: PreparedRoutes,
}

/// Why a bundle cannot be prepared: a defect of ours, because what a bundle's author could get wrong is found when it is
/// loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The schema's actions cannot be read.
    #[error("the actions of the schema cannot be read: {0}")]
    Actions(String),
    /// An entity cannot be made.
    #[error(transparent)]
    Entity(#[from] EntityError),
    /// The policies of an operation cannot be put together.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The grants of an operation cannot be prepared.
    #[error(transparent)]
    Grants(#[from] GrantError),
}

/// What a policy version needs, whichever stages it decides.
#[derive(Clone)]
struct PreparedVersion {
    factory: Arc<EntityFactory>,
    engine: Arc<Engine>,
}

impl Stages {
    pub(super) fn prepare<'b>(bundle: &'b Bundle) -> Result<Self, PrepareError> {
        let actions =
            bundle.schema().action_entities().map_err(|error| PrepareError::Actions(error.to_string()))?;
        let mut versions: HashMap<&'b str, PreparedVersion> = HashMap::new();
        let mut stages: HashMap<String, HashMap<String, Stage>> = HashMap::new();
        for api in &bundle.deployment().apis {
            for stage in api.stage_names() {
                let Some(version) = bundle.active(&api.name, stage) else { continue };
                let entity = |operation| {
                    OperationEntities::new(operation, &api.name, stage, bundle.vocabulary(), &actions)
                };
                let entities: Vec<OperationEntities> =
                    bundle.routes().operations().iter().map(entity).collect::<Result<_, _>>()?;
                let mut prepare = |version: &'b Arc<PolicyVersion>| {
                    if let Some(prepared) = versions.get(version.name.as_str()) {
                        return Ok(prepared.clone());
                    }
                    let prepared = PreparedVersion::new(bundle, version)?;
                    versions.insert(&version.name, prepared.clone());
                    Ok::<_, PrepareError>(prepared)
                };
                let prepared = prepare(version)?;
                let shadow = bundle.shadow(&api.name, stage).map(|version| {
                    let PreparedVersion { factory, engine } = prepare(version)?;
                    let scopes = entities.iter().map(|operation| engine.scope(operation)).collect();
                    Ok::<_, PrepareError>(ShadowStage {
                        version: Arc::clone(version),
                        factory,
                        engine,
                        scopes,
                    })
                });
                let shadow = shadow.transpose()?;
                let PreparedVersion { factory, engine } = prepared;
                let operation = |entities| {
                    let scope = engine.scope(&entities);
                    PreparedOperation { entities, scope }
                };
                let operations = entities.into_iter().map(operation).collect();
                let mut ready =
                    Stage { version: Arc::clone(version), factory, engine, operations, whole: None, shadow };
                if api.scope == AnswerScope::Api {
                    let (router, encoding) = (api.kind.router(), api.kind.path_encoding());
                    let prepared = PreparedRoutes::new(bundle.routes(), router, encoding);
                    let slices = ready.slices()?;
                    ready.whole = Some(WholeStage { plan: ready.plan(&slices)?, slices, prepared });
                }
                stages.entry(api.name.clone()).or_default().insert(stage.to_owned(), ready);
            }
        }
        Ok(Self(stages))
    }

    pub(super) fn find(&self, api: &str, stage: &str) -> Option<&Stage> {
        self.0.get(api)?.get(stage)
    }
}

impl Stage {
    /// By operation: the policies that can apply.
    fn slices(&self) -> Result<Vec<PolicySlice>, EngineError> {
        // They are the same for every API and stage: their names are attributes, which no scope reads.
        let slice = |PreparedOperation { entities, .. }: &PreparedOperation| {
            self.engine.slice(entities.action(), entities.route(), entities.entities())
        };
        self.operations.iter().map(slice).collect()
    }

    /// What would make a principal's grants, where no documents are made.
    pub(super) fn fresh_plan(&self) -> Result<GrantPlan, PrepareError> {
        Ok(self.plan(&self.slices()?)?)
    }

    /// What makes a principal's grants.
    fn plan(&self, slices: &[PolicySlice]) -> Result<GrantPlan, GrantError> {
        GrantPlan::new(self.operations.iter().map(|operation| &operation.entities).zip(slices))
    }
}

impl PreparedVersion {
    fn new(bundle: &Bundle, version: &PolicyVersion) -> Result<Self, PrepareError> {
        let factory = Arc::new(EntityFactory::new(bundle.vocabulary(), &version.roles)?);
        Ok(Self { factory, engine: Arc::new(Engine::new(version.policies().clone())) })
    }
}
