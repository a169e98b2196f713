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
struct PreparedVersion {
    factory: Arc<EntityFactory>,
    slices: Vec<Arc<PolicySlice>>,
}

impl Stages {
    pub(super) fn prepare(bundle: &Bundle) -> Result<Self, PrepareError> {
        let actions =
            bundle.schema().action_entities().map_err(|error| PrepareError::Actions(error.to_string()))?;
        let mut versions: HashMap<&str, PreparedVersion> = HashMap::new();
        let mut stages: HashMap<String, HashMap<String, Stage>> = HashMap::new();
        for api in &bundle.deployment().apis {
            for stage in api.stage_names() {
                let Some(version) = bundle.active(&api.name, stage) else { continue };
                let entity = |operation| {
                    OperationEntities::new(operation, &api.name, stage, bundle.vocabulary(), &actions)
                };
                let entities: Vec<OperationEntities> =
                    bundle.routes().operations().iter().map(entity).collect::<Result<_, _>>()?;
                let prepared = match versions.remove(version.name.as_str()) {
                    Some(prepared) => prepared,
                    None => PreparedVersion::new(bundle, version, &entities)?,
                };
                let operations: Vec<(OperationEntities, Arc<PolicySlice>)> =
                    entities.into_iter().zip(prepared.slices.iter().map(Arc::clone)).collect();
                let mut ready = Stage {
                    version: Arc::clone(version),
                    factory: Arc::clone(&prepared.factory),
                    operations,
                    whole: None,
                };
                if api.scope == AnswerScope::Api {
                    let (router, encoding) = (api.kind.router(), api.kind.path_encoding());
                    let prepared = PreparedRoutes::new(bundle.routes(), router, encoding);
                    ready.whole = Some(WholeStage { plan: ready.plan()?, prepared });
                }
                versions.insert(&version.name, prepared);
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
