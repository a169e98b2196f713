//! What one answer speaks of, and whether the gateway may keep it.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::identity::{self, IdentitySource};
use super::{ApiKind, PATH, ResponseForm};
use crate::bundle::finding::{Code, Findings};
use crate::credential::TokenSource;

/// What one answer of the authorizer speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerScope {
    /// Every operation of the API: the gateway may apply it to other requests with the same identity sources.
    Api,
    /// The asked method alone.
    Request,
}

/// The longest time that API Gateway keeps an answer, in seconds (API reference, CreateAuthorizer:
/// `authorizerResultTtlInSeconds`).
pub const MAX_RESULT_TTL_SECONDS: u32 = 3_600;

/// What an API's answers can be.
pub(super) struct Answers<'a> {
    pub(super) api: &'a str,
    pub(super) kind: ApiKind,
    pub(super) response: ResponseForm,
    /// Whether the bundle has a route table.
    pub(super) has_routes: bool,
}

impl Answers<'_> {
    /// Why an answer can only speak of the asked method, and what to do about that.
    fn limit(&self) -> Option<(&'static str, &'static str)> {
        let leave_out = "leave scope out";
        match (self.kind, self.response, self.has_routes) {
            (ApiKind::WebSocket, _, _) => Some(("a WebSocket API asks for $connect alone", leave_out)),
            (ApiKind::AppSync, _, _) => Some(("an answer to AppSync names no operation", leave_out)),
            (ApiKind::Http, ResponseForm::Simple, _) => Some((
                "a simple response names no operation",
                "write response = \"iam\" (without EnableSimpleResponses), or leave scope out",
            )),
            (ApiKind::Rest | ApiKind::Http, _, false) => Some((
                "the bundle has no schema/routes.toml",
                "write the API's routes there, or leave scope out",
            )),
            (ApiKind::Rest | ApiKind::Http, _, true) => None,
        }
    }

    /// The scope: what is written, or the widest that there is.
    pub(super) fn scope(
        &self,
        written: Option<Spanned<AnswerScope>>,
        findings: &mut Findings<'_>,
    ) -> AnswerScope {
        match (written.as_ref().map(Spanned::get_ref), self.limit()) {
            (Some(AnswerScope::Request), _) | (None, Some(_)) => AnswerScope::Request,
            (None | Some(AnswerScope::Api), None) => AnswerScope::Api,
            (Some(AnswerScope::Api), Some((why, help))) => {
                let message = format!("API `{}` cannot have scope \"api\": {why}", self.api);
                findings.note(
                    Code::AnswerScope,
                    PATH,
                    written.map(|written| written.span()),
                    message,
                    help.to_owned(),
                );
                AnswerScope::Request
            }
        }
    }

    /// The result TTL in seconds; 0 where none is written.
    pub(super) fn result_ttl(&self, written: Option<&Spanned<i64>>, findings: &mut Findings<'_>) -> u32 {
        let Some(written) = written else { return 0 };
        let seconds = u32::try_from(*written.get_ref()).ok();
        seconds.filter(|seconds| *seconds <= MAX_RESULT_TTL_SECONDS).unwrap_or_else(|| {
            let message = format!("API `{}` cannot cache answers for {} s", self.api, written.get_ref());
            let help = format!("write 0 to {MAX_RESULT_TTL_SECONDS}, as AuthorizerResultTtlInSeconds is set");
            findings.note(Code::ResultTtl, PATH, Some(written.span()), message, help);
            0
        })
    }

    /// What the gateway's cache key is made of; where nothing is written, the places where a token can stand.
    pub(super) fn identity_sources(
        &self,
        written: Option<&Spanned<Vec<Spanned<String>>>>,
        token: &[TokenSource],
        findings: &mut Findings<'_>,
    ) -> Vec<IdentitySource> {
        match written {
            Some(written) => identity::read(self.api, self.kind, written, findings),
            None => token_places(token),
        }
    }

    /// Notes what would make an answer that the gateway keeps the answer to somebody else's request.
    pub(super) fn refuse_unsafe_cache(
        &self,
        scope: AnswerScope,
        ttl: &Spanned<i64>,
        written_sources: Option<Range<usize>>,
        token: &[TokenSource],
        sources: &[IdentitySource],
        findings: &mut Findings<'_>,
    ) {
        let (api, seconds) = (self.api, ttl.get_ref());
        let mut refuse = |span: Range<usize>, message: String, help: String| {
            findings.note(Code::UnsafeCache, PATH, Some(span), message, help);
        };
        if scope == AnswerScope::Request && !self.is_kept_by_route(sources) {
            let message = format!(
                "API `{api}` caches answers for {seconds} s, but an answer speaks of the asked method alone"
            );
            refuse(ttl.span(), message, self.without_cache(token));
        }
        let places = token_places(token);
        // Every identity source has to be in every request, or the gateway answers 401 (developer guide, "Identity
        // sources"), and a request has its token in one place.
        if let [first, second, ..] = places.as_slice() {
            let message = format!(
                "API `{api}` caches answers, so the gateway refuses a request that has not both `{}` and `{}`",
                first.spelling(self.kind),
                second.spelling(self.kind)
            );
            refuse(
                ttl.span(),
                message,
                "name one place in `token`, or write result_ttl_seconds = 0".to_owned(),
            );
        }
        let is_left_out = |place: &&IdentitySource| !sources.iter().any(|source| source.is(place));
        if self.kind == ApiKind::AppSync {
            return;
        }
        if let (Some(span), Some(place)) = (written_sources, places.iter().find(is_left_out)) {
            let place = place.spelling(self.kind);
            let message =
                format!("API `{api}` caches answers without `{place}`, so that callers would share them");
            refuse(span, message, format!("add \"{place}\", where the token stands"));
        }
    }

    fn is_kept_by_route(&self, sources: &[IdentitySource]) -> bool {
        self.kind == ApiKind::Http && sources.iter().any(IdentitySource::is_route_key)
    }

    /// What to do where an answer about one method must not be kept for others.
    fn without_cache(&self, token: &[TokenSource]) -> String {
        let none = "result_ttl_seconds = 0";
        let wider = match (self.limit(), self.kind) {
            (None, _) => Some("scope = \"api\"".to_owned()),
            (Some(_), ApiKind::Http) => {
                let places = token_places(token);
                let route_key = IdentitySource::Context(IdentitySource::ROUTE_KEY.to_owned());
                let sources = places
                    .iter()
                    .chain([&route_key])
                    .map(|source| format!("\"{}\"", source.spelling(self.kind)));
                Some(format!("identity_sources = [{}]", sources.collect::<Vec<_>>().join(", ")))
            }
            (Some(_), ApiKind::Rest) => Some("the routes in schema/routes.toml".to_owned()),
            (Some(_), ApiKind::WebSocket | ApiKind::AppSync) => None,
        };
        match wider {
            Some(wider) => format!("write {none}, or {wider}"),
            None => format!("write {none}"),
        }
    }
}

/// The parts of a request in which a token can stand, each once.
fn token_places(token: &[TokenSource]) -> Vec<IdentitySource> {
    let mut places: Vec<IdentitySource> = Vec::new();
    for place in token.iter().map(IdentitySource::of_token) {
        if !places.iter().any(|known| known.is(&place)) {
            places.push(place);
        }
    }
    places
}
