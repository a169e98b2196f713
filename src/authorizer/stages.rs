//! The stages of the APIs, each prepared once: its entities, and for each operation the policies that can apply.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bundle::Bundle;
use crate::bundle::deployment::AnswerScope;
use crate::bundle::policies::PolicyVersion;
use crate::decision::{Engine, EngineError, PolicySlice};
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
    /// Each operation's entities and the policies that can apply to it, in the order of the route table.
    pub(super) operations: Vec<(OperationEntities, Arc<PolicySlice>)>,
    /// What makes documents, where answers speak of the whole API.
    pub(super) whole: Option<WholeStage>,
    /// What is asked beside, where versions.toml names it.
    pub(super) shadow: Option<ShadowStage>,
}

/// What a shadow needs beside what the active version has: its operations are the same.
#[derive(Debug)]
pub(super) struct ShadowStage {
    /// Its policies.
    pub(super) version: Arc<PolicyVersion>,
    /// What makes principals: a role may include others than in the active version.
    pub(super) factory: Arc<EntityFactory>,
    /// By operation: the policies that can apply.
    pub(super) slices: Vec<Arc<PolicySlice>>,
}

/// What the documents of a stage are made with.
#[derive(Debug)]
pub(super) struct WholeStage {
    /// What makes a principal's grants.
    pub(super) plan: GrantPlan,
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
    slices: Vec<Arc<PolicySlice>>,
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
                    let prepared = PreparedVersion::new(bundle, version, &entities)?;
                    versions.insert(&version.name, prepared.clone());
                    Ok::<_, PrepareError>(prepared)
                };
                let prepared = prepare(version)?;
                let shadow = bundle.shadow(&api.name, stage).map(|version| {
                    let PreparedVersion { factory, slices } = prepare(version)?;
                    Ok::<_, PrepareError>(ShadowStage { version: Arc::clone(version), factory, slices })
                });
                let shadow = shadow.transpose()?;
                let operations: Vec<(OperationEntities, Arc<PolicySlice>)> =
                    entities.into_iter().zip(prepared.slices).collect();
                let mut ready = Stage {
                    version: Arc::clone(version),
                    factory: prepared.factory,
                    operations,
                    whole: None,
                    shadow,
                };
                if api.scope == AnswerScope::Api {
                    let (router, encoding) = (api.kind.router(), api.kind.path_encoding());
                    let prepared = PreparedRoutes::new(bundle.routes(), router, encoding);
                    ready.whole = Some(WholeStage { plan: ready.plan()?, prepared });
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
    /// What makes a principal's grants.
    pub(super) fn plan(&self) -> Result<GrantPlan, GrantError> {
        GrantPlan::new(self.operations.iter().map(|(entities, slice)| (entities, &**slice)))
    }
}

impl PreparedVersion {
    fn new(
        bundle: &Bundle,
        version: &PolicyVersion,
        operations: &[OperationEntities],
    ) -> Result<Self, PrepareError> {
        let factory = Arc::new(EntityFactory::new(bundle.vocabulary(), &version.roles)?);
        let engine = Engine::new(version.policies().clone());
        // The slices are the same for every API and stage: their names are attributes, which no scope reads.
        let slice = |operation: &OperationEntities| {
            engine.slice(operation.action(), operation.route(), operation.entities()).map(Arc::new)
        };
        let slices = operations.iter().map(slice).collect::<Result<_, _>>()?;
        Ok(Self { factory, slices })
    }
}
