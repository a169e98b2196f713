//! `identity_sources`: what the gateway's cache key is made of.

use std::ops::Range;

use toml::Spanned;

use super::{ApiKind, PATH};
use crate::bundle::finding::{Code, Findings};
use crate::credential::TokenSource;

/// A part of the request that the gateway's cache key holds.
///
/// | written for an HTTP API | for a REST API | is |
/// |---|---|---|
/// | `$request.header.NAME` | `method.request.header.NAME` | a header |
/// | `$request.querystring.NAME` | `method.request.querystring.NAME` | a parameter of the query string |
/// | `$stageVariables.NAME` | `stageVariables.NAME` | a stage variable |
/// | `$context.VARIABLE` | `context.VARIABLE` | a variable of the gateway, like `identity.sourceIp` |
///
/// A WebSocket API writes `route.request.…` where a REST API writes `method.request.…`. Path parameters cannot be identity
/// sources. (API Gateway developer guide, "Identity sources" of HTTP API Lambda authorizers and
/// "x-amazon-apigateway-authorizer object"; API references, `identitySource` of CreateAuthorizer. Which context variables a
/// REST API takes as identity sources was not tried on a live API.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// A header, by its name.
    Header(String),
    /// A parameter of the query string, by its name.
    Query(String),
    /// A stage variable, by its name.
    StageVariable(String),
    /// A variable of the gateway's `$context`, by its name without `$context.`.
    Context(String),
}

/// The variables of `$context` that can stand in a cache key: those that the developer guide documents for authorizers
/// ("API Gateway mapping template and access logging variable reference"; "Customizing HTTP API access logs"), without
/// those that the authorizer itself sets, those of callers with AWS credentials, and those that no two requests share.
const VARIABLES: [&str; 21] = [
    "accountId",
    "apiId",
    "domainName",
    "domainPrefix",
    "httpMethod",
    "identity.apiKey",
    "identity.apiKeyId",
    "identity.clientCert.clientCertPem",
    "identity.clientCert.issuerDN",
    "identity.clientCert.serialNumber",
    "identity.clientCert.subjectDN",
    "identity.clientCert.validity.notAfter",
    "identity.clientCert.validity.notBefore",
    "identity.sourceIp",
    "identity.userAgent",
    "path",
    "protocol",
    "resourceId",
    "resourcePath",
    "routeKey",
    "stage",
];

/// Those that REST APIs alone have.
const REST_ALONE: [&str; 4] = ["identity.apiKey", "identity.apiKeyId", "resourceId", "resourcePath"];

impl IdentitySource {
    /// `$context.routeKey`: the gateway's own name of the route (HTTP and WebSocket APIs).
    pub const ROUTE_KEY: &str = "routeKey";
    /// `$context.httpMethod`: the method of the request.
    pub const HTTP_METHOD: &str = "httpMethod";
    /// `$context.path`: the path of the request.
    pub const PATH: &str = "path";
    /// `$context.identity.sourceIp`: the address that the request comes from.
    pub const SOURCE_IP: &str = "identity.sourceIp";
    /// `$context.identity.clientCert.subjectDN`: the subject of the client's certificate (mutual TLS).
    pub const CLIENT_CERT_SUBJECT: &str = "identity.clientCert.subjectDN";

    /// The part of a request in which a token stands.
    #[must_use]
    pub fn of_token(place: &TokenSource) -> Self {
        match place {
            TokenSource::Header { name, .. } => Self::Header(name.clone()),
            TokenSource::Cookie { .. } => Self::Header("Cookie".to_owned()),
            TokenSource::Query { name } => Self::Query(name.clone()),
            TokenSource::Subprotocol { .. } => Self::Header("Sec-WebSocket-Protocol".to_owned()),
        }
    }

    /// Whether both are the same part of a request. The names of headers have no case.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Header(name), Self::Header(other)) => name.eq_ignore_ascii_case(other),
            (
                Self::Header(_) | Self::Query(_) | Self::StageVariable(_) | Self::Context(_),
                Self::Header(_) | Self::Query(_) | Self::StageVariable(_) | Self::Context(_),
            ) => self == other,
        }
    }

    /// Whether it is the gateway's own name of the route, under which an HTTP API keeps one answer a route.
    #[must_use]
    pub fn is_route_key(&self) -> bool {
        matches!(self, Self::Context(variable) if variable == Self::ROUTE_KEY)
    }

    /// As an API of a kind writes it.
    #[must_use]
    pub fn spelling(&self, kind: ApiKind) -> String {
        let [header, query, stage_variable, context] = prefixes(kind);
        match self {
            Self::Header(name) => format!("{header}{name}"),
            Self::Query(name) => format!("{query}{name}"),
            Self::StageVariable(name) => format!("{stage_variable}{name}"),
            Self::Context(variable) => format!("{context}{variable}"),
        }
    }

    fn parse(text: &str, kind: ApiKind) -> Option<Self> {
        let [header, query, stage_variable, context] = prefixes(kind);
        // The sources of a REST API stand in one text, with commas between them.
        let is_name =
            |name: &&str| !name.is_empty() && !name.contains([',', ' ']) && !name.contains(char::is_control);
        let named = |prefix: &str| text.strip_prefix(prefix).filter(is_name).map(str::to_owned);
        let source = named(header).map(Self::Header);
        let source = source.or_else(|| named(query).map(Self::Query));
        let source = source.or_else(|| named(stage_variable).map(Self::StageVariable));
        source.or_else(|| named(context).map(Self::Context))
    }
}

/// What stands before a header's name, a query parameter's, a stage variable's and a context variable's.
const fn prefixes(kind: ApiKind) -> [&'static str; 4] {
    match kind {
        ApiKind::Http => ["$request.header.", "$request.querystring.", "$stageVariables.", "$context."],
        ApiKind::Rest => {
            ["method.request.header.", "method.request.querystring.", "stageVariables.", "context."]
        }
        // AppSync has no identity sources; its one header is written as the other APIs write theirs.
        ApiKind::WebSocket | ApiKind::AppSync => {
            ["route.request.header.", "route.request.querystring.", "stageVariables.", "context."]
        }
    }
}

/// The context variables that an API of a kind has.
fn variables(kind: ApiKind) -> impl Iterator<Item = &'static str> {
    VARIABLES.into_iter().filter(move |variable| match kind {
        ApiKind::Rest => *variable != IdentitySource::ROUTE_KEY,
        ApiKind::Http | ApiKind::WebSocket | ApiKind::AppSync => !REST_ALONE.contains(variable),
    })
}

/// Reads the identity sources of an API; what is wrong with one of them is noted.
pub(super) fn read(
    api: &str,
    kind: ApiKind,
    written: &Spanned<Vec<Spanned<String>>>,
    findings: &mut Findings<'_>,
) -> Vec<IdentitySource> {
    if kind == ApiKind::AppSync {
        let message = format!("API `{api}` is of kind appsync, which has no identity sources");
        findings.note(
            Code::IdentitySource,
            PATH,
            Some(written.span()),
            message,
            "leave identity_sources out".to_owned(),
        );
        return Vec::new();
    }
    let mut sources: Vec<IdentitySource> = Vec::new();
    for text in written.get_ref() {
        let Some(source) = read_one(api, kind, text, findings) else { continue };
        if sources.iter().any(|earlier| earlier.is(&source)) {
            let message = format!("API `{api}` names the identity source `{}` twice", text.get_ref());
            findings.note(
                Code::IdentitySource,
                PATH,
                Some(text.span()),
                message,
                "name each source once".to_owned(),
            );
        }
        sources.push(source);
    }
    sources
}

fn read_one(
    api: &str,
    kind: ApiKind,
    text: &Spanned<String>,
    findings: &mut Findings<'_>,
) -> Option<IdentitySource> {
    let [header, query, stage_variable, context] = prefixes(kind);
    let mut refuse = |span: Range<usize>, message: String, help: String| {
        findings.note(Code::IdentitySource, PATH, Some(span), message, help);
        None
    };
    match IdentitySource::parse(text.get_ref(), kind) {
        None => {
            let written = text.get_ref().escape_debug();
            let message = format!("`{written}` is no identity source of API `{api}`");
            let help = format!("write {header}NAME, {query}NAME, {stage_variable}NAME or {context}VARIABLE");
            refuse(text.span(), message, help)
        }
        Some(IdentitySource::Context(variable)) if !variables(kind).any(|known| known == variable) => {
            let message =
                format!("`{}` is no variable that a cache key can be made of", text.get_ref().escape_debug());
            let meant = variables(kind).find(|known| {
                let last = known.rsplit('.').next().unwrap_or_default();
                last.eq_ignore_ascii_case(&variable) || known.eq_ignore_ascii_case(&variable)
            });
            let help = match meant {
                Some(meant) => format!("did you mean `{context}{meant}`?"),
                None => format!("the variables are {}", variables(kind).collect::<Vec<_>>().join(", ")),
            };
            refuse(text.span(), message, help)
        }
        Some(source) => Some(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_spelled_as_it_is_read() {
        for (kind, text) in [
            (ApiKind::Http, "$request.header.Authorization"),
            (ApiKind::Http, "$request.querystring.token"),
            (ApiKind::Http, "$stageVariables.tier"),
            (ApiKind::Http, "$context.routeKey"),
            (ApiKind::Rest, "method.request.header.Authorization"),
            (ApiKind::Rest, "method.request.querystring.token"),
            (ApiKind::Rest, "stageVariables.tier"),
            (ApiKind::Rest, "context.identity.sourceIp"),
            (ApiKind::WebSocket, "route.request.querystring.token"),
        ] {
            assert_eq!(
                IdentitySource::parse(text, kind).map(|source| source.spelling(kind)).as_deref(),
                Some(text)
            );
        }
    }

    #[test]
    fn what_one_kind_of_api_writes_another_does_not_read() {
        for (kind, text) in [
            (ApiKind::Http, "method.request.header.Authorization"),
            (ApiKind::Http, "$request.path.orderId"),
            (ApiKind::Http, "$request.header."),
            (ApiKind::Rest, "$request.header.Authorization"),
            (ApiKind::Rest, "method.request.path.orderId"),
            (ApiKind::Rest, "method.request.header.A,method.request.header.B"),
            (ApiKind::Rest, "Authorization"),
            (ApiKind::WebSocket, "method.request.header.Authorization"),
        ] {
            assert_eq!(IdentitySource::parse(text, kind), None, "{text}");
        }
    }

    #[test]
    fn the_route_key_is_a_variable_of_http_apis_alone() {
        let has_route_key = |kind| variables(kind).any(|variable| variable == "routeKey");
        assert!(has_route_key(ApiKind::Http) && !has_route_key(ApiKind::Rest));
        assert!(variables(ApiKind::Rest).any(|variable| variable == "resourcePath"));
        for known in [
            IdentitySource::ROUTE_KEY,
            IdentitySource::PATH,
            IdentitySource::HTTP_METHOD,
            IdentitySource::SOURCE_IP,
            IdentitySource::CLIENT_CERT_SUBJECT,
        ] {
            assert!(VARIABLES.contains(&known), "{known}");
        }
    }

    #[test]
    fn a_cookie_is_in_the_cache_key_with_its_header() {
        let cookie = TokenSource::Cookie { name: "session".to_owned() };
        let named = IdentitySource::parse("$request.header.cookie", ApiKind::Http).unwrap();
        assert!(IdentitySource::of_token(&cookie).is(&named));
        assert!(!named.is(&IdentitySource::Query("cookie".to_owned())));
    }
}
