//! `schema/authorizer.toml`: the facts of the deployment. Which APIs ask, how they ask, what they get back.
//!
//! ```toml
//! development = true              # may a development issuer be trusted? Left out: no
//!
//! [[api]]                         # one for each API that may ask; any other is refused
//! name    = "orders"              # its alias, in logs and in the `api` attribute of routes
//! kind    = "rest"                # rest | http | websocket | appsync
//! account = "123456789012"
//! id      = "a1b2c3d4e5"
//! stages  = ["prod"]              # an AppSync API has none
//! resource_policy = false         # REST: must be said, see `ResourcePolicy`
//! response        = "simple"      # HTTP: must be said: simple | iam, as EnableSimpleResponses is set
//! unauthorized    = "error"       # REST, WebSocket: error (401, not cached) | deny (403, cached). Left out: error
//! scope      = "api"              # what an answer speaks of: api | request, see below
//! result_ttl_seconds = 300        # AuthorizerResultTtlInSeconds: 0 to 3600. Left out: 0, not cached
//! identity_sources = ["method.request.header.Authorization"]   # the cache key. Left out: the places of `token`
//! token      = [{ header = "Authorization" }]    # see `TokenSource`; all places are looked at
//! base_paths = ["v1"]             # base path mappings of custom domain names
//! usage_keys = true               # REST with apiKeySource AUTHORIZER: see `usage_key` of an issuer
//!
//! [context]                       # $context.authorizer.<key> = what stands there
//! roles      = { source = "roles", list = "json" }
//! department = { source = "claim.department" }
//!
//! [tokens]
//! cache = 1000                    # how many verified tokens are remembered; 0: none. Left out: 1000
//!
//! [decisions]
//! cross_check = false             # each decision is made by Cedar's own authorizer, too, over all policies; another one is a fault
//!
//! [document]                      # of scope "api"; what stands here is what counts where it is left out
//! pattern_characters = 512        # 128 to 512, API Gateway's limit
//! bytes = 8192                    # 1024 to 65536
//! work = 20000000                 # the work of a document: 1 to 1000000000. Beyond it, one about the asked method
//! escape_wildcards = false        # a literal * ? $ as ${*} ${?} ${$}. Not verified on live AWS
//! expiry_condition = false        # an Allow ends with its token: DateLessThan aws:CurrentTime. Not verified on live AWS
//!
//! [log]
//! allow  = 100                    # which allows leave a decision record: "all" | "none" | one in so many
//! shadow = "all"                  # of which requests a shadow is asked: "all" | "none" | one in so many
//! facts  = "hashed"               # what of a request a record carries: "hashed" | "plain" | "none". See `record::facts`
//! ```
//!
//! # What an answer speaks of
//!
//! With `scope = "api"` an answer is a document about every operation of the API, so that the gateway may keep it for the
//! other requests of the caller. It is what a REST API gets, and an HTTP API with `response = "iam"`, where the bundle has a
//! route table and no scope is written. With `scope = "request"` it speaks of the asked method alone: always for WebSocket
//! APIs, AppSync, simple responses and bundles without a route table. Then the result TTL has to be 0, or the HTTP API names
//! `$context.routeKey` among its identity sources and so keeps one answer a route.
//!
//! A simple response that is kept by route allows all of the route, so the gateway's route has to be the operation: one that
//! stands for more (`$default`, `ANY …`, `/{proxy+}` in front of finer routes) is refused, unless `$context.httpMethod` and
//! `$context.path` are identity sources too.
//!
//! The identity sources are what the gateway's cache key is made of; how they are written is told at [`IdentitySource`]. A
//! TOKEN authorizer has one, its header. Where answers are kept, the place of the token has to be among them, and there is
//! one such place, because the gateway refuses a request that lacks an identity source. `result_ttl_seconds` has to be what
//! the authorizer is set to: API Gateway keeps answers for 300 s where it is told nothing.
//!
//! # Context values
//!
//! Sources of context values: `principal`, `roles`, `tenant`, `issuer`, `sub`, `client-id`, `scopes`, `email`,
//! `policy-version`, `policy-digest`, `bundle-digest`, and `claim.<name>` for a claim that the issuer files map. Lists are
//! written as a JSON array in a text (`json`), with a separator (one of `, ; | : /` and the space), or, where every API has
//! simple responses, as they are (`array`).
//!
//! By which policies a caller was judged stands in every context, also that of a refusal, and with that in the gateway's
//! access log: `policyVersion` and `policyDigest` are there without being written. `policyDigest = false` leaves one out.

mod api;
mod caching;
mod context;
mod document;
mod identity;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

pub use self::caching::{AnswerScope, MAX_RESULT_TTL_SECONDS};
pub use self::document::DocumentLimits;
pub use self::identity::IdentitySource;
use super::finding::{Code, Findings};
use super::source::SourceFiles;
use crate::arn::{AccountId, ApiId, Stage};
use crate::credential::TokenSource;
use crate::path::PathEncoding;
use crate::route::Router;

pub(crate) const PATH: &str = "schema/authorizer.toml";

/// The facts of the deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Whether a development issuer may be trusted.
    pub development: bool,
    /// The APIs that may ask.
    pub apis: Vec<Api>,
    /// What the integration is told about the caller.
    pub context: ContextContract,
    /// The limits of a document about a whole API.
    pub document: DocumentLimits,
    /// What is logged.
    pub log: Log,
    /// How many verified tokens a running authorizer remembers; 0: none.
    pub token_cache: usize,
    /// Whether each decision is made by Cedar's own authorizer, too, and refused with a fault where that one differs. It costs
    /// time with every policy of the version.
    pub cross_check: bool,
}

/// One API that may ask.
#[derive(Clone, Debug)]
pub struct Api {
    /// The API's alias, in logs and in the `api` attribute of routes.
    pub name: String,
    /// What kind of API it is.
    pub kind: ApiKind,
    /// The account that owns it.
    pub account: AccountId,
    /// Its id, as in `https://<id>.execute-api.…`.
    pub id: ApiId,
    /// Its stages. An AppSync API has none.
    pub stages: Vec<Stage>,
    /// Whether the API has a resource policy: where it has, a document that is silent about a method can be an
    /// Allow (developer guide, "Amazon API Gateway authorization workflow", table A).
    pub resource_policy: ResourcePolicy,
    /// The form of its answers.
    pub response: ResponseForm,
    /// What a caller without a valid token gets.
    pub unauthorized: UnauthorizedForm,
    /// What an answer speaks of.
    pub scope: AnswerScope,
    /// How long the gateway answers from its cache, in seconds, 0 to [`MAX_RESULT_TTL_SECONDS`].
    pub result_ttl_seconds: u32,
    /// What the gateway's cache key is made of.
    pub identity_sources: Vec<IdentitySource>,
    /// Where the caller's token stands.
    pub token: Vec<TokenSource>,
    /// Path prefixes that custom domain names put before the API's own paths.
    pub base_paths: Vec<String>,
    /// Whether the answer names the caller's usage plan key (`apiKeySource = AUTHORIZER`), from the claim that the
    /// issuer's file maps as `usage_key`.
    pub usage_keys: bool,
}

/// The kinds of API that ask Lambda authorizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiKind {
    /// A REST API (API Gateway v1).
    Rest,
    /// An HTTP API (API Gateway v2), payload format 1.0 or 2.0.
    Http,
    /// A WebSocket API, asked on `$connect`.
    WebSocket,
    /// An AppSync GraphQL API.
    AppSync,
}

impl ApiKind {
    /// Whose precedence decides between its routes.
    #[must_use]
    pub const fn router(self) -> Router {
        match self {
            Self::Rest | Self::WebSocket | Self::AppSync => Router::Rest,
            Self::Http => Router::Http,
        }
    }

    /// How the paths of its events and ARNs are written.
    #[must_use]
    pub const fn path_encoding(self) -> PathEncoding {
        match self {
            Self::Rest | Self::WebSocket | Self::AppSync => PathEncoding::Raw,
            Self::Http => PathEncoding::Decoded,
        }
    }
}

/// Whether the API has a resource policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourcePolicy {
    /// It has: every document also denies what it does not allow.
    Present,
    /// It has none: what a document does not allow is refused.
    Absent,
}

/// The form of an API's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResponseForm {
    /// A policy document.
    Iam,
    /// `isAuthorized` (HTTP API 2.0 with `EnableSimpleResponses`).
    Simple,
}

/// What a caller without a valid token gets from a REST or WebSocket API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnauthorizedForm {
    /// 401: an error, which the gateway does not cache.
    Error,
    /// 403: a Deny document, which it does.
    Deny,
}

/// What is logged: `[log]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Which allowed requests leave a decision record; a refused one always does.
    pub allow: LogShare,
    /// Of which decided requests a shadow version is asked.
    pub shadow: LogShare,
    /// What of a request a decision record carries, so that it can be decided once more.
    pub facts: LogFacts,
}

/// In which form a decision record carries the path and the facts that policies can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFacts {
    /// Not at all.
    None,
    /// So that equality can be told, and nothing personal is.
    Hashed,
    /// As they are, credentials excepted.
    Plain,
}

/// A share of what could be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogShare {
    /// Every one.
    All,
    /// None.
    None,
    /// One in so many.
    OneIn(u32),
}

impl LogShare {
    /// Whether one belongs to the share. `sample` counts them or is drawn at random.
    #[must_use]
    pub fn takes(self, sample: u64) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::OneIn(count) => sample.is_multiple_of(u64::from(count.max(1))),
        }
    }
}

/// What the integration is told: context key → what stands there.
#[derive(Clone, Debug, Default)]
pub struct ContextContract {
    /// The entries, by key.
    pub entries: BTreeMap<Arc<str>, ContextEntry>,
}

/// One context key.
#[derive(Clone, Debug)]
pub struct ContextEntry {
    /// Where the value comes from.
    pub source: ContextSource,
    /// How a list is written; a single value ignores it.
    pub list: ListEncoding,
}

/// Where a context value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextSource {
    /// The principal's id: `<issuer>|<sub>`.
    Principal,
    /// The roles that the issuer conferred.
    Roles,
    /// The tenant.
    Tenant,
    /// The issuer's alias.
    Issuer,
    /// The token's `sub`.
    Subject,
    /// The token's client id.
    ClientId,
    /// The token's scopes.
    Scopes,
    /// The token's e-mail address.
    Email,
    /// The version of the policies that decided.
    PolicyVersion,
    /// The digest of that version: its policies and roles.
    PolicyDigest,
    /// The digest of the bundle that decided.
    BundleDigest,
    /// A claim that the issuer files map.
    Claim(String),
}

/// How a list becomes a context value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListEncoding {
    /// A JSON array, as text.
    Json,
    /// The items with a separator between them that none of them can contain.
    Separator(char),
    /// A JSON array: HTTP APIs with payload 2.0 alone take one.
    Array,
}

impl Api {
    /// What an AppSync API's one stage is called here: it has none.
    pub const APPSYNC_STAGE: &str = "$default";

    /// Whether the gateway gives an answer to all requests that it routes alike: a simple response, kept by route and not
    /// by the method and path of the request too. (An IAM document names the asked method, whatever it is kept for.)
    #[must_use]
    pub fn keeps_routes(&self) -> bool {
        let has_in_key = |variable: &str| {
            let variable = IdentitySource::Context(variable.to_owned());
            self.identity_sources.iter().any(|source| source.is(&variable))
        };
        self.result_ttl_seconds > 0
            && self.response == ResponseForm::Simple
            && !(has_in_key(IdentitySource::HTTP_METHOD) && has_in_key(IdentitySource::PATH))
    }

    /// The names of its stages; for an AppSync API, [`Self::APPSYNC_STAGE`].
    pub fn stage_names(&self) -> impl Iterator<Item = &str> {
        let appsync = (self.kind == ApiKind::AppSync).then_some(Self::APPSYNC_STAGE);
        self.stages.iter().map(Stage::as_str).chain(appsync)
    }
}

impl Deployment {
    /// The API with that account and id.
    #[must_use]
    pub fn api(&self, account: &str, id: &str) -> Option<&Api> {
        self.apis.iter().find(|api| api.account.as_str() == account && api.id.as_str() == id)
    }

    /// Reads `schema/authorizer.toml`; what is wrong goes to `findings`.
    pub(super) fn load(files: &SourceFiles, findings: &mut Findings<'_>) -> Option<Self> {
        let Some(text) = files.text(PATH) else {
            findings.note(
                Code::DeploymentMissing,
                PATH,
                None,
                "the file with the facts of the deployment is missing",
                None,
            );
            return None;
        };
        let file: DeploymentFile = findings.toml(PATH, text)?;
        let before = findings.len();
        let names_apis = !file.api.is_empty();
        let has_routes = files.contains(super::ROUTES);
        let apis: Vec<Api> =
            file.api.into_iter().filter_map(|api| api::read(api, has_routes, findings)).collect();
        api::refuse_twins(&apis, findings);
        if !names_apis {
            let help = "write an [[api]] for each API that may ask; any other is refused";
            findings.note(Code::NoApi, PATH, None, "the file names no API", help.to_owned());
        }
        let arrays_allowed =
            apis.iter().all(|api| api.kind == ApiKind::Http && api.response == ResponseForm::Simple);
        let context = context::read(file.context, arrays_allowed, findings);
        let document = document::read(&file.document, findings);
        let log = read_log(file.log, findings);
        let token_cache = read_token_cache(file.tokens.cache, findings);
        (findings.len() == before).then_some(Self {
            development: file.development,
            apis,
            context,
            document,
            log: log?,
            token_cache: token_cache?,
            cross_check: file.decisions.cross_check,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeploymentFile {
    #[serde(default)]
    development: bool,
    #[serde(default)]
    api: Vec<Spanned<api::ApiFile>>,
    #[serde(default)]
    context: BTreeMap<Spanned<String>, Spanned<context::ContextEntryFile>>,
    #[serde(default)]
    document: document::DocumentFile,
    #[serde(default)]
    tokens: TokensFile,
    #[serde(default)]
    decisions: DecisionsFile,
    #[serde(default)]
    log: LogFile,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensFile {
    cache: Option<Spanned<i64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DecisionsFile {
    cross_check: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogFile {
    allow: Option<Spanned<LogShareFile>>,
    shadow: Option<Spanned<LogShareFile>>,
    facts: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LogShareFile {
    Word(String),
    OneIn(u32),
}

/// The most tokens that can be remembered: a token of usual size takes about 1.5 KB, so this many take 150 MB.
const MAX_TOKEN_CACHE: usize = 100_000;

fn read_token_cache(cache: Option<Spanned<i64>>, findings: &mut Findings<'_>) -> Option<usize> {
    const DEFAULT: usize = 1_000;
    let Some(cache) = cache else { return Some(DEFAULT) };
    let read = usize::try_from(*cache.get_ref()).ok().filter(|cache| *cache <= MAX_TOKEN_CACHE);
    if read.is_none() {
        let message = format!("`{}` is not a number of tokens that can be remembered", cache.get_ref());
        let help = format!("write 0 to {MAX_TOKEN_CACHE}; 0 remembers none");
        findings.note(Code::SettingRange, PATH, Some(cache.span()), message, help);
    }
    read
}

fn read_log(log: LogFile, findings: &mut Findings<'_>) -> Option<Log> {
    let allow = read_share(log.allow, "which allows are logged", "allow", findings);
    let shadow = read_share(log.shadow, "of which requests a shadow is asked", "request", findings);
    let facts = read_log_facts(log.facts, findings);
    Some(Log { allow: allow?, shadow: shadow?, facts: facts? })
}

fn read_share(
    share: Option<Spanned<LogShareFile>>,
    what: &str,
    one: &str,
    findings: &mut Findings<'_>,
) -> Option<LogShare> {
    let Some(share) = share else { return Some(LogShare::All) };
    match share.get_ref() {
        LogShareFile::Word(word) if word == "all" => Some(LogShare::All),
        LogShareFile::Word(word) if word == "none" => Some(LogShare::None),
        LogShareFile::OneIn(count) if *count > 0 => Some(LogShare::OneIn(*count)),
        LogShareFile::Word(_) | LogShareFile::OneIn(_) => {
            let help = format!("write \"all\", \"none\", or a number n for one {one} in n");
            findings.note(
                Code::SettingRange,
                PATH,
                Some(share.span()),
                format!("this does not say {what}"),
                help,
            );
            None
        }
    }
}

fn read_log_facts(facts: Option<Spanned<String>>, findings: &mut Findings<'_>) -> Option<LogFacts> {
    let Some(facts) = facts else { return Some(LogFacts::Hashed) };
    match facts.get_ref().as_str() {
        "none" => Some(LogFacts::None),
        "hashed" => Some(LogFacts::Hashed),
        "plain" => Some(LogFacts::Plain),
        other => {
            let message = format!("`{}` is no form of a record's facts", other.escape_debug());
            let help = "write \"hashed\", \"plain\" or \"none\"";
            findings.note(Code::SettingRange, PATH, Some(facts.span()), message, help.to_owned());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The deployment of one API with these lines, in a bundle with or without a route table.
    fn load(lines: &str, has_routes: bool) -> Result<Deployment, String> {
        let mut files = SourceFiles::default();
        let api = "[[api]]\nname = \"a\"\naccount = \"123456789012\"\nid = \"a1b2c3d4e5\"\n";
        files.insert(PATH, format!("{api}{lines}"));
        if has_routes {
            files.insert("schema/routes.toml", "");
        }
        let mut findings = Findings::new(&files);
        let deployment = Deployment::load(&files, &mut findings);
        findings.finish(deployment).map_err(|errors| errors.to_string())
    }

    const REST: &str = "kind = \"rest\"\nstages = [\"prod\"]\nresource_policy = false\n";
    const HTTP: &str = "kind = \"http\"\nstages = [\"prod\"]\nresponse = \"iam\"\n";
    const SIMPLE: &str = "kind = \"http\"\nstages = [\"prod\"]\nresponse = \"simple\"\n";
    const SOCKET: &str = "kind = \"websocket\"\nstages = [\"prod\"]\n";
    const GRAPH: &str = "kind = \"appsync\"\n";

    #[test]
    fn an_answer_speaks_of_as_much_as_its_form_can_name() {
        for (lines, has_routes, expected) in [
            (REST, true, AnswerScope::Api),
            (REST, false, AnswerScope::Request),
            (HTTP, true, AnswerScope::Api),
            (HTTP, false, AnswerScope::Request),
            (SIMPLE, true, AnswerScope::Request),
            (SOCKET, true, AnswerScope::Request),
            (GRAPH, true, AnswerScope::Request),
        ] {
            assert_eq!(load(lines, has_routes).unwrap().apis[0].scope, expected, "{lines}, {has_routes}");
            let narrow = load(&format!("{lines}scope = \"request\""), has_routes).unwrap();
            assert_eq!(narrow.apis[0].scope, AnswerScope::Request);
            let wide = load(&format!("{lines}scope = \"api\""), has_routes);
            assert_eq!(wide.is_ok(), expected == AnswerScope::Api, "{lines}, {has_routes}");
        }
        assert_eq!(
            load(&format!("{REST}scope = \"api\""), false).unwrap_err(),
            "schema/authorizer.toml:8:9: CG0801: API `a` cannot have scope \"api\": the bundle has no schema/routes.toml (write the API's routes there, or leave scope out)"
        );
    }

    #[test]
    fn answers_are_kept_where_they_speak_of_what_they_are_kept_for() {
        let by_route = "identity_sources = [\"$request.header.Authorization\", \"$context.routeKey\"]\n";
        for (lines, has_routes, is_kept) in [
            (REST.to_owned(), true, true),
            (REST.to_owned(), false, false),
            (format!("{REST}scope = \"request\"\n"), true, false),
            (HTTP.to_owned(), true, true),
            (HTTP.to_owned(), false, false),
            (format!("{HTTP}{by_route}"), false, true),
            (SIMPLE.to_owned(), true, false),
            (format!("{SIMPLE}{by_route}"), true, true),
            (SOCKET.to_owned(), true, false),
            (GRAPH.to_owned(), true, false),
        ] {
            for ttl in [1, 300, MAX_RESULT_TTL_SECONDS] {
                let loaded = load(&format!("{lines}result_ttl_seconds = {ttl}"), has_routes);
                assert_eq!(loaded.is_ok(), is_kept, "{lines}, {has_routes}, {ttl}: {loaded:?}");
            }
            let uncached = load(&format!("{lines}result_ttl_seconds = 0"), has_routes).unwrap();
            assert_eq!(uncached.apis[0].result_ttl_seconds, 0);
        }
    }

    #[test]
    fn the_cache_key_has_the_token() {
        let sources =
            |lines: &str| load(lines, true).map(|deployment| deployment.apis[0].identity_sources.clone());
        let header = |name: &str| IdentitySource::Header(name.to_owned());
        assert_eq!(sources(REST).unwrap(), [header("Authorization")]);
        let cookies = "token = [{ cookie = \"a\" }, { cookie = \"b\" }]\nresult_ttl_seconds = 60\n";
        assert_eq!(sources(&format!("{REST}{cookies}")).unwrap(), [header("Cookie")]);
        for (written, is_taken) in [
            ("method.request.header.authorization", true),
            ("method.request.header.X-Tenant", false),
            ("context.identity.sourceIp", false),
        ] {
            let lines = format!("{REST}result_ttl_seconds = 60\nidentity_sources = [\"{written}\"]");
            assert_eq!(sources(&lines).is_ok(), is_taken, "{written}");
        }
    }

    #[test]
    fn a_document_has_limits_where_none_are_written() {
        let document =
            |lines: &str| load(&format!("{REST}{lines}"), true).map(|deployment| deployment.document);
        assert_eq!(document("").unwrap(), DocumentLimits::default());
        let written = "[document]\npattern_characters = 256\nbytes = 4096\nwork = 500\nescape_wildcards = true\nexpiry_condition = true\n";
        assert_eq!(
            document(written).unwrap(),
            DocumentLimits {
                pattern_characters: 256,
                bytes: 4_096,
                work: 500,
                escape_wildcards: true,
                expiry_condition: true
            }
        );
    }
}
