//! `[[api]]`: one API that may ask.

use serde::Deserialize;
use toml::Spanned;

use super::caching::Answers;
use super::{AnswerScope, Api, ApiKind, PATH, ResourcePolicy, ResponseForm, UnauthorizedForm};
use crate::arn::{AccountId, ApiId, Stage};
use crate::bundle::finding::{Code, Findings};
use crate::bundle::is_name;
use crate::credential::TokenSource;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiFile {
    name: Spanned<String>,
    kind: ApiKind,
    account: AccountId,
    id: ApiId,
    #[serde(default)]
    stages: Vec<Stage>,
    resource_policy: Option<bool>,
    scope: Option<Spanned<AnswerScope>>,
    result_ttl_seconds: Option<Spanned<i64>>,
    identity_sources: Option<Spanned<Vec<Spanned<String>>>>,
    response: Option<Spanned<ResponseForm>>,
    unauthorized: Option<Spanned<UnauthorizedForm>>,
    #[serde(default)]
    token: Vec<TokenSource>,
    #[serde(default)]
    base_paths: Vec<Spanned<String>>,
    #[serde(default)]
    usage_keys: Option<Spanned<bool>>,
}

/// Reads one `[[api]]`; `has_routes` tells whether the bundle has a route table.
pub(super) fn read(file: Spanned<ApiFile>, has_routes: bool, findings: &mut Findings<'_>) -> Option<Api> {
    let before = findings.len();
    let span = file.span();
    let file = file.into_inner();
    let api = file.name.get_ref().clone();
    if !is_name(&api) {
        let message = format!("`{}` cannot be an API's name", api.escape_debug());
        findings.note(
            Code::ApiName,
            PATH,
            Some(file.name.span()),
            message,
            "use 1 to 64 of A-Z a-z 0-9 . _ -".to_owned(),
        );
    }
    if file.stages.is_empty() != (file.kind == ApiKind::AppSync) {
        let message = match file.kind {
            ApiKind::AppSync => format!("API `{api}` is of kind appsync, which has no stages"),
            ApiKind::Rest | ApiKind::Http | ApiKind::WebSocket => format!("API `{api}` names no stages"),
        };
        findings.note(
            Code::ApiStages,
            PATH,
            Some(file.name.span()),
            message,
            "write stages = [\"prod\"], or none for appsync".to_owned(),
        );
    }
    let resource_policy = match (file.resource_policy, file.kind) {
        (Some(true), ApiKind::Rest) => ResourcePolicy::Present,
        (Some(true), ApiKind::Http | ApiKind::WebSocket | ApiKind::AppSync) => {
            let message = format!("API `{api}` cannot have a resource policy: only REST APIs have one");
            findings.note(
                Code::ResourcePolicy,
                PATH,
                Some(file.name.span()),
                message,
                "write resource_policy = false".to_owned(),
            );
            ResourcePolicy::Present
        }
        (Some(false), _) | (None, ApiKind::Http | ApiKind::WebSocket | ApiKind::AppSync) => {
            ResourcePolicy::Absent
        }
        (None, ApiKind::Rest) => {
            let message = format!("API `{api}` does not say whether it has a resource policy");
            let help = "write resource_policy = true or false: where a resource policy allows, a silent authorizer is an Allow";
            findings.note(Code::ResourcePolicy, PATH, Some(span), message, help.to_owned());
            ResourcePolicy::Present
        }
    };
    let response = match file.response {
        Some(response) if *response.get_ref() == ResponseForm::Simple && file.kind != ApiKind::Http => {
            let message = format!("API `{api}` cannot have simple responses: only HTTP APIs have them");
            findings.note(
                Code::ResponseForm,
                PATH,
                Some(response.span()),
                message,
                "write response = \"iam\", or leave it out".to_owned(),
            );
            ResponseForm::Iam
        }
        Some(response) => response.into_inner(),
        None if file.kind == ApiKind::Http => {
            let message = format!("API `{api}` does not say which form its answers have");
            let help = "write response = \"simple\" (with EnableSimpleResponses) or \"iam\", as the authorizer is set";
            findings.note(Code::ResponseForm, PATH, Some(file.name.span()), message, help.to_owned());
            ResponseForm::Iam
        }
        None => ResponseForm::Iam,
    };
    let unauthorized = match (file.unauthorized, file.kind) {
        (Some(form), ApiKind::Http | ApiKind::AppSync) if *form.get_ref() == UnauthorizedForm::Error => {
            let message = format!(
                "API `{api}` cannot answer 401 by an error: only REST and WebSocket APIs are known to do so"
            );
            findings.note(
                Code::UnauthorizedForm,
                PATH,
                Some(form.span()),
                message,
                "leave unauthorized out".to_owned(),
            );
            UnauthorizedForm::Deny
        }
        (Some(form), _) => form.into_inner(),
        (None, ApiKind::Rest | ApiKind::WebSocket) => UnauthorizedForm::Error,
        (None, ApiKind::Http | ApiKind::AppSync) => UnauthorizedForm::Deny,
    };
    for base_path in &file.base_paths {
        let name = base_path.get_ref();
        if name.is_empty() || !name.chars().all(|char| char.is_ascii_alphanumeric() || "-_.~/".contains(char))
        {
            let message = format!("`{}` cannot be a base path", name.escape_debug());
            findings.note(
                Code::BasePath,
                PATH,
                Some(base_path.span()),
                message,
                "write it without a leading slash, like \"v1\"".to_owned(),
            );
        }
    }
    let usage_keys = file.usage_keys.as_ref().is_some_and(|named| *named.get_ref());
    if let Some(named) = file.usage_keys.filter(|named| *named.get_ref() && file.kind != ApiKind::Rest) {
        let message = format!("API `{api}` cannot use usage plan keys: only REST APIs have them");
        findings.note(Code::UsageKeys, PATH, Some(named.span()), message, "leave usage_keys out".to_owned());
    }
    refuse_token_sources(&api, file.kind, &file.token, file.name.span(), findings);
    let token = if file.token.is_empty() { vec![TokenSource::authorization()] } else { file.token };
    let answers = Answers { api: &api, kind: file.kind, response, has_routes };
    let scope = answers.scope(file.scope, findings);
    let result_ttl_seconds = answers.result_ttl(file.result_ttl_seconds.as_ref(), findings);
    let identity_sources = answers.identity_sources(file.identity_sources.as_ref(), &token, findings);
    if let Some(ttl) = file.result_ttl_seconds.filter(|_| result_ttl_seconds > 0) {
        answers.refuse_unsafe_cache(
            scope,
            &ttl,
            file.identity_sources.map(|named| named.span()),
            &token,
            &identity_sources,
            findings,
        );
    }
    (findings.len() == before).then(|| Api {
        name: api,
        kind: file.kind,
        account: file.account,
        id: file.id,
        stages: file.stages,
        resource_policy,
        response,
        unauthorized,
        scope,
        result_ttl_seconds,
        identity_sources,
        token,
        base_paths: file.base_paths.into_iter().map(Spanned::into_inner).collect(),
        usage_keys,
    })
}

/// A place that is named twice would always hold two credentials; and some events carry a header's value alone.
fn refuse_token_sources(
    api: &str,
    kind: ApiKind,
    sources: &[TokenSource],
    span: std::ops::Range<usize>,
    findings: &mut Findings<'_>,
) {
    let place = |source: &TokenSource| match source {
        TokenSource::Header { name, .. } => format!("header {}", name.to_ascii_lowercase()),
        TokenSource::Cookie { .. } | TokenSource::Query { .. } | TokenSource::Subprotocol { .. } => {
            source.to_string()
        }
    };
    for (index, source) in sources.iter().enumerate() {
        if sources.iter().take(index).any(|earlier| place(earlier) == place(source)) {
            let message = format!("API `{api}` looks for its token in {source} twice");
            findings.note(
                Code::TokenSource,
                PATH,
                Some(span.clone()),
                message,
                "name each place once".to_owned(),
            );
        }
    }
    let has_header = sources.iter().any(|source| matches!(source, TokenSource::Header { .. }));
    if kind == ApiKind::AppSync && !sources.is_empty() && !has_header {
        let message = format!("API `{api}` is of kind appsync, whose events carry a header's value alone");
        findings.note(
            Code::TokenSource,
            PATH,
            Some(span),
            message,
            "write token = [{ header = \"Authorization\" }]".to_owned(),
        );
    }
}

/// Two entries for one API, or one name for two APIs, would make it a matter of order which of them counts.
pub(super) fn refuse_twins(apis: &[Api], findings: &mut Findings<'_>) {
    for (index, api) in apis.iter().enumerate() {
        for earlier in apis.iter().take(index) {
            if earlier.name == api.name {
                findings.note_text(
                    Code::ApiTwice,
                    PATH,
                    &api.name,
                    format!("two APIs are named `{}`", api.name),
                    None,
                );
            } else if earlier.account == api.account && earlier.id == api.id {
                let message =
                    format!("APIs `{}` and `{}` have the same account and id", earlier.name, api.name);
                findings.note_text(Code::ApiTwice, PATH, api.id.as_str(), message, None);
            }
        }
    }
}
