//! One stage of an API under one version of the policies, asked by hand: what a person wants to know before anything
//! ships, without an event of the gateway and without a token.
//!
//! It is put together of the same parts as the authorizer's own stages, and decides as they do.

use std::sync::Arc;

use crate::arn::Verb;
use crate::bundle::Bundle;
use crate::bundle::deployment::Api;
use crate::bundle::policies::PolicyVersion;
use crate::decision::{Decision, Engine, OperationScope, PolicySlice};
use crate::entities::{AccessRequest, EntityError, EntityFactory, HttpFacts, OperationEntities, Principal};
use crate::grants::{GrantError, GrantPlan, Grants, PrincipalReads};
use crate::path::RequestPath;
use crate::route::{Operation, OperationId, RouteMatch};

/// A stage of an API under a version of the policies, ready to be asked.
#[derive(Debug)]
pub struct Desk<'b> {
    bundle: &'b Bundle,
    api: &'b Api,
    stage: &'b str,
    version: &'b PolicyVersion,
    factory: EntityFactory,
    engine: Arc<Engine>,
    scopes: Vec<OperationScope>,
    operations: Vec<(Arc<OperationEntities>, PolicySlice)>,
    plan: GrantPlan,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Target<'t> {
    /// A method and a path.
    Method(&'t Verb, &'t RequestPath),
    /// A WebSocket API's `$connect`.
    Connect,
}

/// A request that was decided.
#[derive(Debug)]
pub struct Asked<'b, 't> {
    /// The operation that serves it, and the path's parameters.
    pub matched: RouteMatch<'b, 't>,
    /// Principal, action, resource and context, and their entities.
    pub request: AccessRequest,
    /// What the authorizer acts on.
    pub decision: Decision,
}

/// Why there is nobody to ask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// No such API.
    #[error("no API `{name}` stands in schema/authorizer.toml, which names {known}")]
    UnknownApi {
        /// What was asked for.
        name: String,
        /// The APIs that there are.
        known: String,
    },
    /// No such stage.
    #[error("API `{api}` has no stage `{name}` in schema/authorizer.toml, which names {known}")]
    UnknownStage {
        /// The API.
        api: String,
        /// What was asked for.
        name: String,
        /// The stages that there are.
        known: String,
    },
    /// No such version.
    #[error("no version `{name}` stands in policies/, which has {known}")]
    UnknownVersion {
        /// What was asked for.
        name: String,
        /// The versions that there are.
        known: String,
    },
    /// No version is active, and none was named.
    #[error("no version of the policies decides stage `{stage}` of API `{api}`: see policies/versions.toml")]
    NoVersion {
        /// The API.
        api: String,
        /// The stage.
        stage: String,
    },
    /// It cannot be prepared: a defect of ours, because what a bundle's author could get wrong is found when it is loaded.
    #[error("the policies cannot be prepared: {0}")]
    Prepare(String),
}

/// Why a request has no decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No operation serves it.
    #[error("the route table has no operation for this method and path")]
    NoRoute,
    /// Principal or facts cannot be put into Cedar's terms.
    #[error(transparent)]
    Entity(#[from] EntityError),
    /// The operation was not prepared: a defect of ours.
    #[error("the operation was not prepared")]
    NotPrepared,
}

impl<'b> Desk<'b> {
    /// A stage of an API. Without an API, the first one that `schema/authorizer.toml` names; without a stage, the API's
    /// first; without a version, the one that is active there.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn new(
        bundle: &'b Bundle,
        api: Option<&str>,
        stage: Option<&str>,
        version: Option<&str>,
    ) -> Result<Self, DeskError> {
        let apis = &bundle.deployment().apis;
        let found = match api {
            None => apis.first(),
            Some(name) => apis.iter().find(|api| api.name == name),
        };
        let api = found.ok_or_else(|| DeskError::UnknownApi {
            name: api.unwrap_or_default().to_owned(),
            known: listed(apis.iter().map(|api| api.name.as_str())),
        })?;
        let found = match stage {
            None => api.stage_names().next(),
            Some(name) => api.stage_names().find(|stage| *stage == name),
        };
        let stage = found.ok_or_else(|| DeskError::UnknownStage {
            api: api.name.clone(),
            name: stage.unwrap_or_default().to_owned(),
            known: listed(api.stage_names()),
        })?;
        let version = match version {
            None => bundle
                .active(&api.name, stage)
                .map(AsRef::as_ref)
                .ok_or_else(|| DeskError::NoVersion { api: api.name.clone(), stage: stage.to_owned() })?,
            Some(name) => bundle.policy_versions().find(|version| version.name == name).ok_or_else(|| {
                DeskError::UnknownVersion {
                    name: name.to_owned(),
                    known: listed(bundle.policy_versions().map(|version| version.name.as_str())),
                }
            })?,
        };
        Self::prepare(bundle, api, stage, version)
    }

    fn prepare(
        bundle: &'b Bundle,
        api: &'b Api,
        stage: &'b str,
        version: &'b PolicyVersion,
    ) -> Result<Self, DeskError> {
        let failed = |error: &dyn std::fmt::Display| DeskError::Prepare(error.to_string());
        let factory =
            EntityFactory::new(bundle.vocabulary(), &version.roles).map_err(|error| failed(&error))?;
        let engine = Arc::new(Engine::new(version.policies().clone()).map_err(|error| failed(&error))?);
        let mut scopes = Vec::with_capacity(bundle.routes().operations().len());
        let actions = bundle.schema().action_entities().map_err(|error| failed(&error))?;
        let mut operations = Vec::with_capacity(bundle.routes().operations().len());
        for operation in bundle.routes().operations() {
            let entities = OperationEntities::new(operation, &api.name, stage, bundle.vocabulary(), &actions)
                .map_err(|error| failed(&error))?;
            let slice = engine
                .slice(entities.action(), entities.route(), entities.entities())
                .map_err(|error| failed(&error))?;
            scopes.push(engine.scope(&entities).map_err(|error| failed(&error))?);
            operations.push((Arc::new(entities), slice));
        }
        let planned = operations.iter().zip(&scopes);
        let planned = planned.map(|((entities, _), scope)| (Arc::clone(entities), scope.clone()));
        let plan =
            GrantPlan::new(Arc::clone(&engine), PrincipalReads::of_policies(version.policies()), planned);
        Ok(Self { bundle, api, stage, version, factory, engine, scopes, operations, plan })
    }

    /// The bundle.
    #[must_use]
    pub const fn bundle(&self) -> &'b Bundle {
        self.bundle
    }

    /// The API.
    #[must_use]
    pub const fn api(&self) -> &'b Api {
        self.api
    }

    /// The stage.
    #[must_use]
    pub const fn stage(&self) -> &'b str {
        self.stage
    }

    /// The version of the policies.
    #[must_use]
    pub const fn version(&self) -> &'b PolicyVersion {
        self.version
    }

    /// What makes principals of verified claims.
    #[must_use]
    pub const fn factory(&self) -> &EntityFactory {
        &self.factory
    }

    /// The entities of an operation, and the policies that can apply to it.
    #[must_use]
    pub fn operation(&self, id: OperationId) -> Option<(&OperationEntities, &PolicySlice)> {
        self.operations.get(id.index()).map(|(entities, slice)| (entities.as_ref(), slice))
    }

    /// The operation that serves a request, and the path's parameters.
    #[must_use]
    pub fn route<'t>(&self, target: Target<'t>) -> Option<RouteMatch<'b, 't>> {
        match target {
            Target::Method(verb, path) => self.bundle.routes().find(self.api.kind.router(), verb, path),
            Target::Connect => self.bundle.routes().find_connect(),
        }
    }

    /// Decides a request. Of `facts` a policy sees what is given, so they must be those that the schema declares.
    ///
    /// # Errors
    /// [`AskError`]
    pub fn ask<'t>(
        &self,
        principal: &Principal,
        target: Target<'t>,
        facts: HttpFacts,
    ) -> Result<Asked<'b, 't>, AskError> {
        let matched = self.route(target).ok_or(AskError::NoRoute)?;
        let id = matched.operation().id();
        let (entities, _) = self.operation(id).ok_or(AskError::NotPrepared)?;
        let scope = self.scopes.get(id.index()).ok_or(AskError::NotPrepared)?;
        let path = match target {
            Target::Method(_, path) => path.as_str(),
            Target::Connect => "",
        };
        let request = self.factory.request(principal, entities, &matched, path, &facts)?;
        // As the authorizer decides, but that the request is wanted afterwards.
        let asker = self.engine.principal(principal).map_err(|_| AskError::NotPrepared)?;
        let candidates = self.engine.candidates(&asker, scope).map_err(|_| AskError::NotPrepared)?;
        let decision = candidates.decide_on(&request);
        Ok(Asked { matched, request, decision })
    }

    /// What a principal may do, operation by operation.
    ///
    /// # Errors
    /// [`GrantError`]
    pub fn grants(&self, principal: &Principal) -> Result<Grants, GrantError> {
        self.plan.grants(self.bundle.routes(), self.bundle.schema(), principal)
    }

    /// Every operation, in the order of the route table.
    #[must_use]
    pub fn operations(&self) -> &'b [Operation] {
        self.bundle.routes().operations()
    }
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}
