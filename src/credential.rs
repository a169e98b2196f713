//! The caller's credential: one bearer token, found in one place, never shown.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

use crate::event::{AuthorizerEvent, EventKind};

/// A bearer token as the caller sent it (RFC 6750), without the scheme; not checked yet. Where the event holds it without
/// escapes it is borrowed from there. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken<'e>(Cow<'e, str>);

impl<'e> BearerToken<'e> {
    /// The longest token that is looked at, in bytes. API Gateway passes at most 10,240 bytes of headers, so a real
    /// token is shorter.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// Takes a token of 1 to [`Self::MAX_BYTES`] bytes; `None` for any other.
    #[must_use]
    pub fn new(text: impl Into<Cow<'e, str>>) -> Option<Self> {
        let text = text.into();
        (1..=Self::MAX_BYTES).contains(&text.len()).then_some(Self(text))
    }

    /// The token by itself.
    #[must_use]
    pub fn into_owned(self) -> BearerToken<'static> {
        BearerToken(Cow::Owned(self.0.into_owned()))
    }

    /// The token's text: for verification only, never for a message or a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

/// A place where a caller may put the token; `authorizer.toml` lists the places of a deployment.
///
/// | written | means |
/// |---|---|
/// | `{ header = "Authorization" }` | `Authorization: Bearer <token>`; the scheme is required |
/// | `{ header = "X-Token", scheme = "none" }` | `X-Token: <token>`, nothing before it |
/// | `{ header = "X-Token", scheme = "bearer" }` | `X-Token: Bearer <token>` |
/// | `{ cookie = "session" }` | `Cookie: session=<token>` |
/// | `{ query = "token" }` | `?token=<token>`; it ends up in access logs |
/// | `{ subprotocol = "bearer" }` | `Sec-WebSocket-Protocol: bearer, <token>`: the element after the marker |
///
/// A header has one form: with `scheme = "none"` a value that begins with `Bearer ` is refused, and with
/// `scheme = "bearer"` a bare token is. Only for `Authorization` may `scheme` be left out, and then it is `bearer`
/// (RFC 6750 §2.1); for any other header it must be written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "TokenSourceTable")]
pub enum TokenSource {
    /// A request header, and the value that a TOKEN authorizer or AppSync hands over.
    Header {
        /// The header's name, compared without case.
        name: String,
        /// What stands before the token.
        scheme: Scheme,
    },
    /// A cookie; browsers send it without a script's help.
    Cookie {
        /// The cookie's name, case-sensitive.
        name: String,
    },
    /// A parameter of the query string.
    Query {
        /// The parameter's name, case-sensitive.
        name: String,
    },
    /// An element of `Sec-WebSocket-Protocol` (RFC 6455 §4.1), the one header of its handshake that a browser's script
    /// can write.
    Subprotocol {
        /// The element that stands before the token, case-sensitive.
        marker: String,
    },
}

impl TokenSource {
    /// `Authorization: Bearer <token>`, what a deployment gets that names no source.
    #[must_use]
    pub fn authorization() -> Self {
        Self::Header { name: "Authorization".to_owned(), scheme: Scheme::Bearer }
    }
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { name, .. } => write!(f, "header `{name}`"),
            Self::Cookie { name } => write!(f, "cookie `{name}`"),
            Self::Query { name } => write!(f, "query parameter `{name}`"),
            Self::Subprotocol { marker } => write!(f, "WebSocket subprotocol `{marker}`"),
        }
    }
}

/// What stands before the token in a header (RFC 9110 §11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// `Bearer` in any case, then one or more spaces.
    Bearer,
    /// Nothing.
    None,
}

/// Finds the caller's one token among the places where it may be.
///
/// TOKEN and AppSync events carry one header value without its name; it is read by the scheme of the first header
/// source. Everywhere else every source is looked at, and a second credential in any of them refuses the request:
/// gateway, authorizer and backend could each believe another one. An empty value in one place does not disturb a token
/// in another.
///
/// # Errors
/// No credential, more than one, or one that is not a bearer token in form. No message holds the value.
pub fn find<'e>(
    event: &'e AuthorizerEvent<'_>,
    sources: &[TokenSource],
) -> Result<BearerToken<'e>, CredentialError> {
    match event.kind() {
        EventKind::RestToken | EventKind::AppSync => in_authorization_token(event, sources),
        EventKind::RestRequest | EventKind::HttpV1 | EventKind::HttpV2 | EventKind::WebSocketConnect => {
            in_request(event, sources)
        }
    }
}

/// Why a request has no usable credential: the caller is unauthenticated, except for [`Self::NoHeaderSource`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// None in any place.
    #[error("no credential: expected a token in {expected}")]
    Missing {
        /// The places, joined by "or".
        expected: String,
    },
    /// More than one, in one place or in two.
    #[error("more than one credential in {places}")]
    Several {
        /// The places, joined by "and".
        places: String,
    },
    /// Another scheme than `Bearer`, or none.
    #[error("credential in {place} is not of the scheme `Bearer`")]
    Scheme {
        /// The place.
        place: String,
    },
    /// A place without a token in it.
    #[error("credential in {place} is empty")]
    Empty {
        /// The place.
        place: String,
    },
    /// More than [`BearerToken::MAX_BYTES`].
    #[error("token in {place} is {bytes} bytes long: the limit is {} bytes", BearerToken::MAX_BYTES)]
    TooLong {
        /// The place.
        place: String,
        /// The token's length.
        bytes: usize,
    },
    /// A character that no bearer token has (RFC 6750 §2.1), such as a space before or inside it.
    #[error("token in {place} has a character outside `A-Z a-z 0-9 - . _ ~ + / =`")]
    Malformed {
        /// The place.
        place: String,
    },
    /// A TOKEN or AppSync event reached a deployment that takes tokens from cookies or queries only: a mistake in
    /// `authorizer.toml`, not the caller's.
    #[error("{kind} event carries a header value only, but no token source is a header")]
    NoHeaderSource {
        /// The event's kind.
        kind: EventKind,
    },
}

impl CredentialError {
    /// A stable word for logs, metrics and tests.
    #[must_use]
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Empty { .. } => "missing_token",
            Self::Several { .. } => "several_tokens",
            Self::Scheme { .. } => "wrong_scheme",
            Self::TooLong { .. } => "token_too_large",
            Self::Malformed { .. } => "malformed_token",
            Self::NoHeaderSource { .. } => "no_token_source",
        }
    }
}

fn in_authorization_token<'e>(
    event: &'e AuthorizerEvent<'_>,
    sources: &[TokenSource],
) -> Result<BearerToken<'e>, CredentialError> {
    let schemes = sources.iter().filter_map(|source| match source {
        TokenSource::Header { scheme, .. } => Some(*scheme),
        TokenSource::Cookie { .. } | TokenSource::Query { .. } | TokenSource::Subprotocol { .. } => None,
    });
    let Some(scheme) = schemes.into_iter().next() else {
        return Err(CredentialError::NoHeaderSource { kind: event.kind() });
    };
    let place = "`authorizationToken`";
    match event.authorization_token() {
        Some(value) => token(Cow::Borrowed(value), scheme, &place),
        None => Err(CredentialError::Missing { expected: place.to_owned() }),
    }
}

fn in_request<'e>(
    event: &'e AuthorizerEvent<'_>,
    sources: &[TokenSource],
) -> Result<BearerToken<'e>, CredentialError> {
    let mut found: Option<(&TokenSource, Cow<'e, str>)> = None;
    let mut empty = None;
    for source in sources {
        let mut values = source.values(event);
        let Some(value) = values.pop() else { continue };
        if !values.is_empty() {
            return Err(CredentialError::Several { places: source.to_string() });
        }
        if value.trim().is_empty() {
            empty = empty.or(Some(source));
        } else if let Some((first, _)) = found {
            return Err(CredentialError::Several { places: format!("{first} and {source}") });
        } else {
            found = Some((source, value));
        }
    }
    match (found, empty) {
        (Some((source, value)), _) => token(value, source.scheme(), source),
        (None, Some(source)) => Err(CredentialError::Empty { place: source.to_string() }),
        (None, None) => Err(CredentialError::Missing { expected: any_of(sources) }),
    }
}

impl TokenSource {
    fn values<'e>(&self, event: &'e AuthorizerEvent<'_>) -> Vec<Cow<'e, str>> {
        match self {
            Self::Header { name, .. } => event.header_values(name),
            Self::Cookie { name } => event.cookie_values(name),
            Self::Query { name } => event.query_values(name),
            Self::Subprotocol { marker } => {
                after_marker(marker, &event.header_values("Sec-WebSocket-Protocol"))
            }
        }
    }

    const fn scheme(&self) -> Scheme {
        match self {
            Self::Header { scheme, .. } => *scheme,
            Self::Cookie { .. } | Self::Query { .. } | Self::Subprotocol { .. } => Scheme::None,
        }
    }
}

/// RFC 6455 §11.3.4: the header may be repeated, which means the same as one header with all elements.
fn after_marker(marker: &str, headers: &[Cow<'_, str>]) -> Vec<Cow<'static, str>> {
    let mut elements = headers.iter().flat_map(|header| header.split(',')).map(str::trim);
    let mut tokens = Vec::new();
    while let Some(element) = elements.next() {
        if element == marker {
            tokens.push(Cow::Owned(elements.next().unwrap_or_default().to_owned()));
        }
    }
    tokens
}

fn token<'e>(
    value: Cow<'e, str>,
    scheme: Scheme,
    place: &dyn fmt::Display,
) -> Result<BearerToken<'e>, CredentialError> {
    match value {
        Cow::Borrowed(value) => token_of(value, scheme, place),
        Cow::Owned(value) => token_of(&value, scheme, place).map(BearerToken::into_owned),
    }
}

fn token_of<'v>(
    value: &'v str,
    scheme: Scheme,
    place: &dyn fmt::Display,
) -> Result<BearerToken<'v>, CredentialError> {
    let value = value.trim_matches([' ', '\t']);
    let text = match scheme {
        Scheme::None => value,
        Scheme::Bearer => without_bearer(value)
            .ok_or_else(|| if value.is_empty() { empty(place) } else { not_bearer(place) })?,
    };
    let is_b64token = is_b64token(text);
    // HTTP APIs join repeated headers and parameters by commas, and no token has a comma.
    if !is_b64token && text.contains(',') {
        return Err(CredentialError::Several { places: place.to_string() });
    }
    if text.is_empty() {
        return Err(empty(place));
    }
    let token = BearerToken::new(text)
        .ok_or_else(|| CredentialError::TooLong { place: place.to_string(), bytes: text.len() })?;
    if is_b64token { Ok(token) } else { Err(CredentialError::Malformed { place: place.to_string() }) }
}

fn empty(place: &dyn fmt::Display) -> CredentialError {
    CredentialError::Empty { place: place.to_string() }
}

fn not_bearer(place: &dyn fmt::Display) -> CredentialError {
    CredentialError::Scheme { place: place.to_string() }
}

/// RFC 6750 §2.1, RFC 9110 §11.1: `auth-scheme 1*SP token`, the scheme in any case.
fn without_bearer(value: &str) -> Option<&str> {
    let (scheme, text) = value.split_once(' ').unwrap_or((value, ""));
    scheme.eq_ignore_ascii_case("Bearer").then(|| text.trim_start_matches(' '))
}

/// RFC 6750 §2.1, `b64token`. Looks at every byte and branches at none: that is a few times faster on a real token.
fn is_b64token(text: &str) -> bool {
    let is_character = |byte: u8| {
        // In ASCII `-` `.` `/` are one row with the digits, and the case of a letter is one bit.
        let letter = byte | 0x20;
        (b'-'..=b'9').contains(&byte)
            | letter.is_ascii_lowercase()
            | (byte == b'_')
            | (byte == b'~')
            | (byte == b'+')
            | (byte == b'=')
    };
    text.bytes().fold(true, |is_token, byte| is_token & is_character(byte))
}

fn any_of(sources: &[TokenSource]) -> String {
    sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// A [`TokenSource`] as `authorizer.toml` writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenSourceTable {
    header: Option<String>,
    scheme: Option<Scheme>,
    cookie: Option<String>,
    query: Option<String>,
    subprotocol: Option<String>,
}

/// Why a token source of `authorizer.toml` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenSourceError {
    /// Not exactly one place.
    #[error("a token source has exactly one of `header`, `cookie`, `query` and `subprotocol`")]
    NotOnePlace,
    /// A scheme where only the bare token can stand.
    #[error("`scheme` goes with `header` only")]
    SchemeWithoutHeader,
    /// A header whose form is not stated.
    #[error("header `{name}` needs a `scheme`: `bearer` for `Bearer <token>`, `none` for the bare token")]
    NoScheme {
        /// The header's name.
        name: String,
    },
    /// A name that cannot stand in a request.
    #[error("`{name}` cannot be the name of a {what}")]
    Name {
        /// The name as written.
        name: String,
        /// What it was to name.
        what: &'static str,
    },
}

impl TryFrom<TokenSourceTable> for TokenSource {
    type Error = TokenSourceError;

    fn try_from(table: TokenSourceTable) -> Result<Self, TokenSourceError> {
        let TokenSourceTable { header, scheme, cookie, query, subprotocol } = table;
        if header.is_none() && scheme.is_some() {
            return Err(TokenSourceError::SchemeWithoutHeader);
        }
        match (header, cookie, query, subprotocol) {
            (Some(name), None, None, None) => header_source(name, scheme),
            (None, Some(name), None, None) => Ok(Self::Cookie { name: http_token(name, "cookie")? }),
            (None, None, Some(name), None) if name.is_empty() => {
                Err(TokenSourceError::Name { name, what: "query parameter" })
            }
            (None, None, Some(name), None) => Ok(Self::Query { name }),
            (None, None, None, Some(marker)) => {
                Ok(Self::Subprotocol { marker: http_token(marker, "WebSocket subprotocol")? })
            }
            (_, _, _, _) => Err(TokenSourceError::NotOnePlace),
        }
    }
}

fn header_source(name: String, scheme: Option<Scheme>) -> Result<TokenSource, TokenSourceError> {
    let name = http_token(name, "header")?;
    match scheme {
        Some(scheme) => Ok(TokenSource::Header { name, scheme }),
        None if name.eq_ignore_ascii_case("Authorization") => {
            Ok(TokenSource::Header { name, scheme: Scheme::Bearer })
        }
        None => Err(TokenSourceError::NoScheme { name }),
    }
}

/// RFC 9110 §5.6.2 `token`: header names, cookie names (RFC 6265 §4.1.1) and subprotocols (RFC 6455 §4.1) are tokens.
fn http_token(name: String, what: &'static str) -> Result<String, TokenSourceError> {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.is_empty() && name.bytes().all(is_tchar) {
        Ok(name)
    } else {
        Err(TokenSourceError::Name { name, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_characters_of_a_token_are_those_of_the_rfc() {
        for character in (0..=0xff_u8).map(char::from) {
            let is_of_b64token = character.is_ascii_alphanumeric() || "-._~+/=".contains(character);
            assert_eq!(is_b64token(&format!("a{character}")), is_of_b64token, "{character:?}");
        }
    }
    use serde_json::json;

    fn sources(toml: &str) -> Vec<TokenSource> {
        #[derive(Deserialize)]
        struct Authorizer {
            sources: Vec<TokenSource>,
        }
        toml::from_str::<Authorizer>(&format!("sources = [{toml}]")).unwrap().sources
    }

    fn check(event: &serde_json::Value, toml: &str, expected: Result<&str, &str>) {
        let text = event.to_string();
        let event = AuthorizerEvent::parse(&text).unwrap();
        let found = find(&event, &sources(toml));
        match expected {
            Ok(token) => assert_eq!(found.as_ref().map(BearerToken::expose), Ok(token)),
            Err(message) => assert_eq!(found.unwrap_err().to_string(), message),
        }
    }

    fn http_v2(headers: serde_json::Value) -> serde_json::Value {
        json!({ "version": "2.0", "routeArn": "arn", "headers": headers })
    }

    fn rest(headers: serde_json::Value) -> serde_json::Value {
        json!({ "type": "REQUEST", "methodArn": "arn", "multiValueHeaders": headers })
    }

    const AUTHORIZATION: &str = r#"{ header = "Authorization" }"#;
    const X_TOKEN: &str = r#"{ header = "X-Token", scheme = "none" }"#;
    const SESSION: &str = r#"{ cookie = "session" }"#;
    const QUERY: &str = r#"{ query = "token" }"#;
    const SUBPROTOCOL: &str = r#"{ subprotocol = "bearer" }"#;

    #[test]
    fn authorization_is_a_scheme_spaces_and_a_token() {
        for (value, expected) in [
            ("Bearer abc.def-_~+/==", Ok("abc.def-_~+/==")),
            ("bEARER abc", Ok("abc")),
            ("Bearer    abc", Ok("abc")),
            (" Bearer abc\t", Ok("abc")),
            ("abc", Err("credential in header `Authorization` is not of the scheme `Bearer`")),
            ("Basic abc", Err("credential in header `Authorization` is not of the scheme `Bearer`")),
            ("Bearer\tabc", Err("credential in header `Authorization` is not of the scheme `Bearer`")),
            ("Bearerabc", Err("credential in header `Authorization` is not of the scheme `Bearer`")),
            ("Bearer", Err("credential in header `Authorization` is empty")),
            ("bearer   ", Err("credential in header `Authorization` is empty")),
            ("  ", Err("credential in header `Authorization` is empty")),
            (
                "Bearer a b",
                Err("token in header `Authorization` has a character outside `A-Z a-z 0-9 - . _ ~ + / =`"),
            ),
            (
                "Bearer aé",
                Err("token in header `Authorization` has a character outside `A-Z a-z 0-9 - . _ ~ + / =`"),
            ),
            ("Bearer a,Bearer b", Err("more than one credential in header `Authorization`")),
            ("Bearer a, b", Err("more than one credential in header `Authorization`")),
        ] {
            check(&http_v2(json!({ "authorization": value })), AUTHORIZATION, expected);
        }
    }

    #[test]
    fn the_scheme_of_a_header_is_what_is_written() {
        check(&http_v2(json!({ "x-token": "abc" })), X_TOKEN, Ok("abc"));
        check(
            &http_v2(json!({ "x-token": "Bearer abc" })),
            X_TOKEN,
            Err("token in header `X-Token` has a character outside `A-Z a-z 0-9 - . _ ~ + / =`"),
        );
        let bearer = r#"{ header = "X-Token", scheme = "bearer" }"#;
        check(&http_v2(json!({ "x-token": "Bearer abc" })), bearer, Ok("abc"));
        check(
            &http_v2(json!({ "x-token": "abc" })),
            bearer,
            Err("credential in header `X-Token` is not of the scheme `Bearer`"),
        );
        let bare = r#"{ header = "Authorization", scheme = "none" }"#;
        check(&http_v2(json!({ "authorization": "abc" })), bare, Ok("abc"));
    }

    #[test]
    fn a_repeated_header_is_refused() {
        let several = Err("more than one credential in header `Authorization`");
        check(&rest(json!({ "Authorization": ["Bearer a", "Bearer b"] })), AUTHORIZATION, several);
        check(&rest(json!({ "Authorization": ["Bearer a", "Bearer a"] })), AUTHORIZATION, several);
        check(&rest(json!({ "Authorization": ["", "Bearer a"] })), AUTHORIZATION, several);
        check(
            &rest(json!({ "Authorization": ["Bearer a"], "authorization": ["Bearer b"] })),
            AUTHORIZATION,
            several,
        );
        check(
            &http_v2(json!({ "Authorization": "Bearer a", "authorization": "Bearer b" })),
            AUTHORIZATION,
            several,
        );
    }

    #[test]
    fn a_json_name_that_stands_twice_is_refused() {
        let text = r#"{"type":"REQUEST","methodArn":"arn",
            "headers":{"Authorization":"Bearer a","Authorization":"Bearer b"}}"#;
        let error = find(&AuthorizerEvent::parse(text).unwrap(), &sources(AUTHORIZATION)).unwrap_err();
        assert_eq!(error.to_string(), "more than one credential in header `Authorization`");
    }

    #[test]
    fn headers_and_multi_value_headers_are_read_as_one() {
        let event = |last: &str| {
            json!({
                "type": "REQUEST", "methodArn": "arn",
                "headers": { "Authorization": last }, "multiValueHeaders": { "Authorization": ["Bearer a"] }
            })
        };
        check(&event("Bearer a"), AUTHORIZATION, Ok("a"));
        check(&event("Bearer b"), AUTHORIZATION, Err("more than one credential in header `Authorization`"));
    }

    #[test]
    fn a_cookie_is_found_in_the_list_and_in_the_header() {
        let listed = |cookies: &[&str]| json!({ "version": "2.0", "routeArn": "arn", "cookies": cookies, "headers": {} });
        check(&listed(&["theme=dark", "session=abc"]), SESSION, Ok("abc"));
        check(&rest(json!({ "cookie": ["theme=dark; session=abc; xsession=no"] })), SESSION, Ok("abc"));
        check(
            &rest(json!({ "cookie": ["Session=abc"] })),
            SESSION,
            Err("no credential: expected a token in cookie `session`"),
        );
        check(&listed(&["session="]), SESSION, Err("credential in cookie `session` is empty"));
        let several = Err("more than one credential in cookie `session`");
        check(&listed(&["session=a", "session=b"]), SESSION, several);
        check(&listed(&["session=a,session=b"]), SESSION, several);
        check(&rest(json!({ "cookie": ["session=a; session=a"] })), SESSION, several);
        check(&rest(json!({ "cookie": ["session=a", "session=b"] })), SESSION, several);
        check(
            &json!({
                "version": "2.0", "routeArn": "arn",
                "cookies": ["session=a"], "headers": { "cookie": "session=b" }
            }),
            SESSION,
            several,
        );
    }

    #[test]
    fn a_query_parameter_is_found_once() {
        let event = |all: serde_json::Value, last: serde_json::Value| {
            json!({
                "type": "REQUEST", "methodArn": "arn/$connect",
                "multiValueQueryStringParameters": all, "queryStringParameters": last
            })
        };
        check(&event(json!({ "token": ["abc"] }), json!({ "token": "abc" })), QUERY, Ok("abc"));
        check(&event(json!(null), json!({ "token": "abc" })), QUERY, Ok("abc"));
        check(
            &event(json!({ "Token": ["abc"] }), json!(null)),
            QUERY,
            Err("no credential: expected a token in query parameter `token`"),
        );
        let several = Err("more than one credential in query parameter `token`");
        check(&event(json!({ "token": ["a", "b"] }), json!({ "token": "b" })), QUERY, several);
        check(&event(json!({}), json!({ "token": "a,b" })), QUERY, several);
    }

    #[test]
    fn a_subprotocol_token_follows_its_marker() {
        let event = |elements: &[&str]| {
            json!({
                "type": "REQUEST", "methodArn": "arn/$connect",
                "multiValueHeaders": { "Sec-WebSocket-Protocol": elements }
            })
        };
        check(&event(&["bearer, abc, graphql-ws"]), SUBPROTOCOL, Ok("abc"));
        check(&event(&["graphql-ws", "bearer", "abc"]), SUBPROTOCOL, Ok("abc"));
        check(&event(&["bearer"]), SUBPROTOCOL, Err("credential in WebSocket subprotocol `bearer` is empty"));
        check(
            &event(&["graphql-ws, abc"]),
            SUBPROTOCOL,
            Err("no credential: expected a token in WebSocket subprotocol `bearer`"),
        );
        check(
            &event(&["bearer, a, bearer, b"]),
            SUBPROTOCOL,
            Err("more than one credential in WebSocket subprotocol `bearer`"),
        );
    }

    #[test]
    fn two_sources_with_a_credential_are_refused() {
        let both = format!("{AUTHORIZATION}, {SESSION}");
        let event = |authorization: &str, cookie: &str| {
            http_v2(json!({ "authorization": authorization, "cookie": cookie }))
        };
        let several = Err("more than one credential in header `Authorization` and cookie `session`");
        check(&event("Bearer a", "session=b"), &both, several);
        check(&event("Basic a", "session=b"), &both, several);
        check(&event("Bearer a", "session="), &both, Ok("a"));
        check(&event("", "session=b"), &both, Ok("b"));
        check(&event("", "session="), &both, Err("credential in header `Authorization` is empty"));
        check(
            &http_v2(json!({})),
            &both,
            Err("no credential: expected a token in header `Authorization` or cookie `session`"),
        );
    }

    #[test]
    fn token_and_appsync_events_use_the_first_header_sources_scheme() {
        let token = |value: &str| json!({ "type": "TOKEN", "methodArn": "arn", "authorizationToken": value });
        let appsync = |value: &str| json!({ "authorizationToken": value, "requestContext": { "queryString": "query { me }" } });
        for event in [&token, &appsync as &dyn Fn(&str) -> serde_json::Value] {
            check(&event("Bearer abc"), AUTHORIZATION, Ok("abc"));
            check(&event("abc"), &format!("{SESSION}, {X_TOKEN}, {AUTHORIZATION}"), Ok("abc"));
            check(
                &event("abc"),
                AUTHORIZATION,
                Err("credential in `authorizationToken` is not of the scheme `Bearer`"),
            );
            check(&event(""), X_TOKEN, Err("credential in `authorizationToken` is empty"));
            check(
                &event("Bearer a,Bearer b"),
                AUTHORIZATION,
                Err("more than one credential in `authorizationToken`"),
            );
        }
        check(
            &json!({ "type": "TOKEN", "methodArn": "arn" }),
            AUTHORIZATION,
            Err("no credential: expected a token in `authorizationToken`"),
        );
        check(
            &token("abc"),
            SESSION,
            Err("REST TOKEN event carries a header value only, but no token source is a header"),
        );
        check(
            &appsync("abc"),
            SESSION,
            Err("AppSync event carries a header value only, but no token source is a header"),
        );
    }

    #[test]
    fn a_token_longer_than_the_limit_is_refused_unread() {
        let longest = "a".repeat(BearerToken::MAX_BYTES);
        check(&http_v2(json!({ "x-token": longest })), X_TOKEN, Ok(&longest));
        check(
            &http_v2(json!({ "x-token": "a".repeat(16_385) })),
            X_TOKEN,
            Err("token in header `X-Token` is 16385 bytes long: the limit is 16384 bytes"),
        );
    }

    #[test]
    fn a_strange_header_beside_the_credential_does_not_matter() {
        let text = r#"{"version":"2.0","routeArn":"arn",
            "headers":{"x\ud800":"\ud800","n":1,"authorization":"Bearer abc","z":null,"l":[[{}]]}}"#;
        let event = AuthorizerEvent::parse(text).unwrap();
        let token = find(&event, &sources(AUTHORIZATION)).unwrap();
        assert_eq!(token.expose(), "abc");
    }

    #[test]
    fn no_error_and_no_debug_form_shows_the_credential() {
        let text = r#"{"version":"2.0","routeArn":"arn",
            "headers":{"authorization":"Basic hunter2","x-token":"hun ter2","cookie":"session=hunter2,hunter2"}}"#;
        let event = AuthorizerEvent::parse(text).unwrap();
        for source in [AUTHORIZATION, X_TOKEN, SESSION] {
            let error = find(&event, &sources(source)).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("ter2"), "{error:?}");
        }
        assert_eq!(format!("{event:?}"), "AuthorizerEvent { kind: HttpV2, .. }");
        assert_eq!(format!("{:?}", BearerToken::new("hunter2").unwrap()), "BearerToken(…)");
    }

    #[test]
    fn a_token_source_is_written_in_one_way() {
        assert_eq!(sources(AUTHORIZATION), [TokenSource::authorization()]);
        for (toml, message) in [
            (
                r#"{ header = "X-Token" }"#,
                "header `X-Token` needs a `scheme`: `bearer` for `Bearer <token>`, `none` for the bare token",
            ),
            (r#"{ cookie = "session", scheme = "none" }"#, "`scheme` goes with `header` only"),
            (
                r#"{ cookie = "session", query = "token" }"#,
                "a token source has exactly one of `header`, `cookie`, `query` and `subprotocol`",
            ),
            ("{}", "a token source has exactly one of `header`, `cookie`, `query` and `subprotocol`"),
            (r#"{ header = "Author ization" }"#, "`Author ization` cannot be the name of a header"),
            (r#"{ cookie = "a=b" }"#, "`a=b` cannot be the name of a cookie"),
            (r#"{ query = "" }"#, "`` cannot be the name of a query parameter"),
            (r#"{ subprotocol = "a,b" }"#, "`a,b` cannot be the name of a WebSocket subprotocol"),
            (
                r#"{ Header = "X" }"#,
                "unknown field `Header`, expected one of `header`, `scheme`, `cookie`, `query`, `subprotocol`",
            ),
            (r#"{ header = "X", scheme = "basic" }"#, "unknown variant `basic`, expected `bearer` or `none`"),
        ] {
            let error = toml::from_str::<toml::Table>(&format!("source = {toml}"))
                .unwrap()
                .remove("source")
                .unwrap()
                .try_into::<TokenSource>()
                .unwrap_err();
            assert_eq!(error.message(), message, "{toml}");
        }
    }
}
