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
//! result_ttl_seconds = 0          # the authorizer's result TTL; only 0, because an answer is about one method
//! scope      = "request"          # what an answer speaks of: the asked method
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
//! [log]
//! allow = 100                     # which allows leave a decision record: "all" | "none" | one in so many
//! ```
//!
//! Sources of context values: `principal`, `roles`, `tenant`, `issuer`, `sub`, `client-id`, `scopes`, `email`,
//! `policy-version`, `bundle-digest`, and `claim.<name>` for a claim that the issuer files map. Lists are written as a JSON
//! array in a text (`json`), with a separator (one of `, ; | : /` and the space), or, where every API has simple
//! responses, as they are (`array`).

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::finding::Findings;
use super::is_name;
use super::source::SourceFiles;
use crate::arn::{AccountId, ApiId, Stage};
use crate::credential::TokenSource;

pub(super) const PATH: &str = "schema/authorizer.toml";

/// The facts of the deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Whether a development issuer may be trusted.
    pub development: bool,
    /// The APIs that may ask.
    pub apis: Vec<Api>,
    /// What the integration is told about the caller.
    pub context: ContextContract,
    /// Which allowed requests leave a decision record; a refused one always does.
    pub log_allow: LogAllow,
    /// How many verified tokens a running authorizer remembers; 0: none.
    pub token_cache: usize,
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
    /// How long the gateway answers from its cache, in seconds. Only 0 loads.
    pub result_ttl_seconds: u32,
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

/// Which allowed requests leave a decision record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogAllow {
    /// Every one.
    All,
    /// None: refusals only.
    None,
    /// One in so many.
    OneIn(u32),
}

/// What the integration is told: context key → what stands there.
#[derive(Clone, Debug, Default)]
pub struct ContextContract {
    /// The entries, by key.
    pub entries: BTreeMap<String, ContextEntry>,
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
            findings.note(PATH, None, "the file with the facts of the deployment is missing", None);
            return None;
        };
        let file: DeploymentFile = findings.toml(PATH, text)?;
        let before = findings.len();
        let names_apis = !file.api.is_empty();
        let apis: Vec<Api> = file.api.into_iter().filter_map(|api| read_api(api, findings)).collect();
        refuse_twins(&apis, findings);
        if !names_apis {
            let help = "write an [[api]] for each API that may ask; any other is refused";
            findings.note(PATH, None, "the file names no API", help.to_owned());
        }
        let arrays_allowed =
            apis.iter().all(|api| api.kind == ApiKind::Http && api.response == ResponseForm::Simple);
        let entries = file
            .context
            .into_iter()
            .filter_map(|(key, entry)| read_context_entry(key, entry, arrays_allowed, findings))
            .collect();
        let log_allow = read_log(file.log, findings);
        let token_cache = read_token_cache(file.tokens.cache, findings);
        (findings.len() == before).then_some(Self {
            development: file.development,
            apis,
            context: ContextContract { entries },
            log_allow: log_allow?,
            token_cache: token_cache?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeploymentFile {
    #[serde(default)]
    development: bool,
    #[serde(default)]
    api: Vec<Spanned<ApiFile>>,
    #[serde(default)]
    context: BTreeMap<Spanned<String>, Spanned<ContextEntryFile>>,
    #[serde(default)]
    tokens: TokensFile,
    #[serde(default)]
    log: LogFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiFile {
    name: Spanned<String>,
    kind: ApiKind,
    account: AccountId,
    id: ApiId,
    #[serde(default)]
    stages: Vec<Stage>,
    resource_policy: Option<bool>,
    #[serde(default)]
    scope: Scope,
    result_ttl_seconds: Option<Spanned<u32>>,
    response: Option<Spanned<ResponseForm>>,
    unauthorized: Option<Spanned<UnauthorizedForm>>,
    #[serde(default)]
    token: Vec<TokenSource>,
    #[serde(default)]
    base_paths: Vec<Spanned<String>>,
    #[serde(default)]
    usage_keys: Option<Spanned<bool>>,
}

/// What one answer speaks of: the method that was asked.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    #[default]
    Request,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContextEntryFile {
    source: Spanned<String>,
    #[serde(default)]
    list: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensFile {
    cache: Option<Spanned<i64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogFile {
    allow: Option<Spanned<LogAllowFile>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LogAllowFile {
    Word(String),
    OneIn(u32),
}

fn read_api(file: Spanned<ApiFile>, findings: &mut Findings<'_>) -> Option<Api> {
    let before = findings.len();
    let span = file.span();
    let file = file.into_inner();
    let api = file.name.get_ref().clone();
    if !is_name(&api) {
        let message = format!("`{}` cannot be an API's name", api.escape_debug());
        findings.note(PATH, Some(file.name.span()), message, "use 1 to 64 of A-Z a-z 0-9 . _ -".to_owned());
    }
    if file.stages.is_empty() != (file.kind == ApiKind::AppSync) {
        let message = match file.kind {
            ApiKind::AppSync => format!("API `{api}` is of kind appsync, which has no stages"),
            ApiKind::Rest | ApiKind::Http | ApiKind::WebSocket => format!("API `{api}` names no stages"),
        };
        findings.note(
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
            findings.note(PATH, Some(file.name.span()), message, "write resource_policy = false".to_owned());
            ResourcePolicy::Present
        }
        (Some(false), _) | (None, ApiKind::Http | ApiKind::WebSocket | ApiKind::AppSync) => {
            ResourcePolicy::Absent
        }
        (None, ApiKind::Rest) => {
            let message = format!("API `{api}` does not say whether it has a resource policy");
            let help = "write resource_policy = true or false: where a resource policy allows, a silent authorizer is an Allow";
            findings.note(PATH, Some(span), message, help.to_owned());
            ResourcePolicy::Present
        }
    };
    let response = match file.response {
        Some(response) if *response.get_ref() == ResponseForm::Simple && file.kind != ApiKind::Http => {
            let message = format!("API `{api}` cannot have simple responses: only HTTP APIs have them");
            findings.note(
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
            findings.note(PATH, Some(file.name.span()), message, help.to_owned());
            ResponseForm::Iam
        }
        None => ResponseForm::Iam,
    };
    let unauthorized = match (file.unauthorized, file.kind) {
        (Some(form), ApiKind::Http | ApiKind::AppSync) if *form.get_ref() == UnauthorizedForm::Error => {
            let message = format!(
                "API `{api}` cannot answer 401 by an error: only REST and WebSocket APIs are known to do so"
            );
            findings.note(PATH, Some(form.span()), message, "leave unauthorized out".to_owned());
            UnauthorizedForm::Deny
        }
        (Some(form), _) => form.into_inner(),
        (None, ApiKind::Rest | ApiKind::WebSocket) => UnauthorizedForm::Error,
        (None, ApiKind::Http | ApiKind::AppSync) => UnauthorizedForm::Deny,
    };
    let Scope::Request = file.scope;
    let result_ttl_seconds = file.result_ttl_seconds.as_ref().map_or(0, |ttl| *ttl.get_ref());
    if let Some(ttl) = file.result_ttl_seconds.filter(|ttl| *ttl.get_ref() != 0) {
        let message = format!(
            "API `{api}` caches answers for {} s, but an answer speaks of the asked method alone",
            ttl.get_ref()
        );
        let help = "set the authorizer's result TTL to 0, and result_ttl_seconds = 0 here";
        findings.note(PATH, Some(ttl.span()), message, help.to_owned());
    }
    for base_path in &file.base_paths {
        let name = base_path.get_ref();
        if name.is_empty() || !name.chars().all(|char| char.is_ascii_alphanumeric() || "-_.~/".contains(char))
        {
            let message = format!("`{}` cannot be a base path", name.escape_debug());
            findings.note(
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
        findings.note(PATH, Some(named.span()), message, "leave usage_keys out".to_owned());
    }
    refuse_token_sources(&api, file.kind, &file.token, file.name.span(), findings);
    let token = if file.token.is_empty() { vec![TokenSource::authorization()] } else { file.token };
    (findings.len() == before).then(|| Api {
        name: api,
        kind: file.kind,
        account: file.account,
        id: file.id,
        stages: file.stages,
        resource_policy,
        response,
        unauthorized,
        result_ttl_seconds,
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
            findings.note(PATH, Some(span.clone()), message, "name each place once".to_owned());
        }
    }
    let has_header = sources.iter().any(|source| matches!(source, TokenSource::Header { .. }));
    if kind == ApiKind::AppSync && !sources.is_empty() && !has_header {
        let message = format!("API `{api}` is of kind appsync, whose events carry a header's value alone");
        findings.note(PATH, Some(span), message, "write token = [{ header = \"Authorization\" }]".to_owned());
    }
}

/// Two entries for one API, or one name for two APIs, would make it a matter of order which of them counts.
fn refuse_twins(apis: &[Api], findings: &mut Findings<'_>) {
    for (index, api) in apis.iter().enumerate() {
        for earlier in apis.iter().take(index) {
            if earlier.name == api.name {
                findings.note_text(PATH, &api.name, format!("two APIs are named `{}`", api.name), None);
            } else if earlier.account == api.account && earlier.id == api.id {
                let message =
                    format!("APIs `{}` and `{}` have the same account and id", earlier.name, api.name);
                findings.note_text(PATH, api.id.as_str(), message, None);
            }
        }
    }
}

fn read_context_entry(
    key: Spanned<String>,
    entry: Spanned<ContextEntryFile>,
    arrays_allowed: bool,
    findings: &mut Findings<'_>,
) -> Option<(String, ContextEntry)> {
    let before = findings.len();
    let name = key.get_ref();
    // The gateway uses these names itself in `$context.authorizer.*` (developer guide, "Mapping template and access
    // logging variable reference"); `messageString` is where the deny message travels.
    const TAKEN: [&str; 9] = [
        "principalId",
        "integrationLatency",
        "claims",
        "error",
        "latency",
        "status",
        "requestId",
        "integrationStatus",
        "messageString",
    ];
    if TAKEN.contains(&name.as_str()) {
        findings.note(
            PATH,
            Some(key.span()),
            format!("context key `{name}` is taken by the gateway or by cedar-gate"),
            None,
        );
    }
    let mut chars = name.chars();
    if !chars.next().is_some_and(|first| first.is_ascii_alphabetic())
        || !chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
        || name.len() > 64
    {
        let message = format!("`{}` cannot be a context key", name.escape_debug());
        let help = "use a letter, then letters, digits and _ : mapping templates cannot name others";
        findings.note(PATH, Some(key.span()), message, help.to_owned());
    }
    let entry = entry.into_inner();
    let source = read_context_source(&entry.source, findings);
    let list = match entry.list.as_deref() {
        None | Some("json") => ListEncoding::Json,
        Some("array") if arrays_allowed => ListEncoding::Array,
        Some("array") => {
            let message =
                format!("context key `{name}` cannot be an array: an API here takes single values only");
            findings.note(
                PATH,
                Some(key.span()),
                message,
                "write list = \"json\", or a separator like list = \",\"".to_owned(),
            );
            ListEncoding::Array
        }
        Some(separator) => {
            let mut chars = separator.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) if ",;|: /".contains(char) && !is_name(separator) => {
                    ListEncoding::Separator(char)
                }
                _ => {
                    let message =
                        format!("`{}` cannot separate the items of a list", separator.escape_debug());
                    let help = "write \"json\", \"array\", or one of , ; | : / and the space, which no role can contain";
                    findings.note(PATH, Some(key.span()), message, help.to_owned());
                    ListEncoding::Json
                }
            }
        }
    };
    let key = key.into_inner();
    (findings.len() == before).then_some(())?;
    Some((key, ContextEntry { source: source?, list }))
}

fn read_context_source(source: &Spanned<String>, findings: &mut Findings<'_>) -> Option<ContextSource> {
    Some(match source.get_ref().as_str() {
        "principal" => ContextSource::Principal,
        "roles" => ContextSource::Roles,
        "tenant" => ContextSource::Tenant,
        "issuer" => ContextSource::Issuer,
        "sub" => ContextSource::Subject,
        "client-id" => ContextSource::ClientId,
        "scopes" => ContextSource::Scopes,
        "email" => ContextSource::Email,
        "policy-version" => ContextSource::PolicyVersion,
        "bundle-digest" => ContextSource::BundleDigest,
        other => match other.strip_prefix("claim.") {
            Some(claim) => ContextSource::Claim(claim.to_owned()),
            None => {
                let message = format!("`{}` is not a source of context values", other.escape_debug());
                let help = "use principal, roles, tenant, issuer, sub, client-id, scopes, email, policy-version, bundle-digest or claim.<name>";
                findings.note(PATH, Some(source.span()), message, help.to_owned());
                return None;
            }
        },
    })
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
        findings.note(PATH, Some(cache.span()), message, help);
    }
    read
}

fn read_log(log: LogFile, findings: &mut Findings<'_>) -> Option<LogAllow> {
    let Some(allow) = log.allow else { return Some(LogAllow::All) };
    match allow.get_ref() {
        LogAllowFile::Word(word) if word == "all" => Some(LogAllow::All),
        LogAllowFile::Word(word) if word == "none" => Some(LogAllow::None),
        LogAllowFile::OneIn(count) if *count > 0 => Some(LogAllow::OneIn(*count)),
        LogAllowFile::Word(_) | LogAllowFile::OneIn(_) => {
            let help = "write \"all\", \"none\", or a number n for one allow in n";
            findings.note(
                PATH,
                Some(allow.span()),
                "this does not say which allows are logged",
                help.to_owned(),
            );
            None
        }
    }
}
