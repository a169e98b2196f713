//! What an event asks: which method of which stage of which API, all of it named in `authorizer.toml`.

use std::borrow::Cow;

use crate::arn::{ArnError, MethodArn, Target, Verb};
use crate::bundle::BundleFacts;
use crate::bundle::deployment::{Api, ApiKind};
use crate::event::{AuthorizerEvent, EventKind};
use crate::iam::StageWideArn;
use crate::path::{RequestPath, reconcile};

use super::rejection::Rejection;
use super::stages::{Stage, Stages};

/// What is asked: one method of one API's stage.
pub(super) struct Asked<'a> {
    pub(super) api: &'a Api,
    pub(super) stage: &'a Stage,
    pub(super) stage_name: &'a str,
    pub(super) verb: Verb,
    path: PathText,
    /// The method as it was asked for; `None` for AppSync, whose answers name no resource.
    pub(super) method: Option<MethodArn>,
}

/// The asked path, without its leading slash: text from outside that still has to be brought into its normal form, or a
/// fixed name.
#[derive(Clone, Copy)]
enum PathText {
    /// The ARN's.
    OfArn,
    /// The one of an AppSync API.
    GraphQl,
    /// A WebSocket's `$connect`, which has none.
    Connect,
}

impl<'a> Asked<'a> {
    /// Which API, stage and method are asked for. All of it must be what `authorizer.toml` names: a document computed
    /// for one API must never be an answer to another.
    pub(super) fn read(
        event: &AuthorizerEvent<'_>,
        bundle: &'a BundleFacts,
        stages: &'a Stages,
    ) -> Result<Self, Rejection> {
        if event.kind() == EventKind::AppSync {
            return Self::read_appsync(event, bundle, stages);
        }
        let malformed = |error: String| Rejection::fault("malformed_arn", error);
        let arn: MethodArn = event
            .method_arn()
            .unwrap_or_default()
            .parse()
            .map_err(|error: ArnError| malformed(error.to_string()))?;
        let api = api(bundle, event.kind(), arn.account_id(), arn.api_id())?;
        let (stage_name, stage) = stage(stages, api, arn.stage())?;
        let (verb, path) = match (arn.target(), api.kind) {
            (Target::Method { verb, .. }, ApiKind::Rest | ApiKind::Http) => (verb.clone(), PathText::OfArn),
            (Target::RouteKey("$connect"), ApiKind::WebSocket) => (verb("GET")?, PathText::Connect),
            (Target::Method { .. } | Target::RouteKey(_), _) => {
                return Err(malformed(format!(
                    "the ARN of API `{}` names no method that its kind has",
                    api.name
                )));
            }
        };
        Ok(Self { api, stage, stage_name, verb, path, method: Some(arn) })
    }

    /// AppSync names no method: its requests are what its one HTTP operation is, `POST /graphql`.
    fn read_appsync(
        event: &AuthorizerEvent<'_>,
        bundle: &'a BundleFacts,
        stages: &'a Stages,
    ) -> Result<Self, Rejection> {
        let account = event.account_id().unwrap_or_default();
        let id = event.api_id().unwrap_or_default();
        let api = api(bundle, event.kind(), &account, &id)?;
        let (stage_name, stage) = stage(stages, api, Api::APPSYNC_STAGE)?;
        let (verb, path) = (verb("POST")?, PathText::GraphQl);
        Ok(Self { api, stage, stage_name, verb, path, method: None })
    }

    /// The stage as a whole: the resource of a refusal, which repeats nothing that the client wrote.
    pub(super) fn stage_wide(&self) -> Option<StageWideArn> {
        self.method.as_ref().map(StageWideArn::of)
    }

    /// The path in its normal form; `None` for a WebSocket's `$connect`, which has none.
    pub(super) fn normal_path(&self, event: &AuthorizerEvent<'_>) -> Result<Option<RequestPath>, Rejection> {
        let text = match (self.path, self.method.as_ref().map(MethodArn::target)) {
            (PathText::OfArn, Some(Target::Method { path, .. })) => path,
            (PathText::GraphQl, _) => "graphql",
            (PathText::Connect, _) => return Ok(None),
            (PathText::OfArn, Some(Target::RouteKey(_)) | None) => {
                return Err(Rejection::fault("internal", "the asked method has no path".to_owned()));
            }
        };
        let encoding = self.api.kind.path_encoding();
        // The path of an HTTP API's event begins with the stage, unless it is `$default`.
        let base_paths: Cow<'_, [String]> = match self.api.kind {
            ApiKind::Rest | ApiKind::WebSocket | ApiKind::AppSync => Cow::Borrowed(&self.api.base_paths),
            ApiKind::Http => {
                let stage = [self.stage_name.to_owned()];
                Cow::Owned(self.api.base_paths.iter().cloned().chain(stage).collect())
            }
        };
        reconcile(encoding, text, event.path(), &base_paths)
            .map(Some)
            .map_err(|error| Rejection::deny("path_refused", error.to_string()))
    }
}

/// The API of that account and id, if it is one that sends such events.
fn api<'a>(bundle: &'a BundleFacts, event: EventKind, account: &str, id: &str) -> Result<&'a Api, Rejection> {
    let api = bundle.deployment().api(account, id).ok_or_else(|| {
        let detail = format!(
            "API `{}` of account `{}` is not named in schema/authorizer.toml",
            id.escape_debug(),
            account.escape_debug()
        );
        Rejection::fault("unknown_api", detail)
    })?;
    if speaks(api.kind, event) {
        return Ok(api);
    }
    let detail = format!("API `{}` sent an event of kind {event}, which its kind does not send", api.name);
    Err(Rejection::fault("wrong_api_kind", detail))
}

fn stage<'a>(stages: &'a Stages, api: &'a Api, name: &str) -> Result<(&'a str, &'a Stage), Rejection> {
    let named = api.stage_names().find(|stage| *stage == name).ok_or_else(|| {
        let detail = format!("API `{}` has no stage `{name}` in schema/authorizer.toml", api.name);
        Rejection::fault("unknown_stage", detail)
    })?;
    let stage = stages.find(&api.name, named).ok_or_else(|| {
        let detail = format!(
            "no policy version decides stage `{name}` of API `{}`: see policies/versions.toml",
            api.name
        );
        Rejection::fault("no_policy_version", detail)
    })?;
    Ok((named, stage))
}

fn verb(text: &str) -> Result<Verb, Rejection> {
    text.parse().map_err(|error: ArnError| Rejection::fault("internal", error.to_string()))
}

/// Which events an API of a kind sends.
fn speaks(api: ApiKind, event: EventKind) -> bool {
    match (api, event) {
        // An event of payload format 1.0 is a REST event with a `version`; fixtures and tools write it for both.
        (ApiKind::Rest, EventKind::RestToken | EventKind::RestRequest | EventKind::HttpV1)
        | (ApiKind::Http, EventKind::HttpV1 | EventKind::HttpV2)
        | (ApiKind::WebSocket, EventKind::WebSocketConnect)
        | (ApiKind::AppSync, EventKind::AppSync) => true,
        (ApiKind::Rest, EventKind::HttpV2 | EventKind::WebSocketConnect | EventKind::AppSync)
        | (
            ApiKind::Http,
            EventKind::RestToken | EventKind::RestRequest | EventKind::WebSocketConnect | EventKind::AppSync,
        )
        | (
            ApiKind::WebSocket,
            EventKind::RestToken
            | EventKind::RestRequest
            | EventKind::HttpV1
            | EventKind::HttpV2
            | EventKind::AppSync,
        )
        | (
            ApiKind::AppSync,
            EventKind::RestToken
            | EventKind::RestRequest
            | EventKind::HttpV1
            | EventKind::HttpV2
            | EventKind::WebSocketConnect,
        ) => false,
    }
}
