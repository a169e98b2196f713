//! The words of an issuer file: names, claims, seconds. Each is checked where it is read.

use std::fmt;

use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use toml::Spanned;

use crate::jose::json::{Json, Object};
use crate::time::{Timestamp, TimestampError};

/// A name of ours: alias, role, tenant. Names stand in entity ids, logs and mapping templates, so their letters are few.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Name(pub(super) String);

impl Name {
    pub(crate) const MAX_BYTES: usize = 64;

    /// Whether a text from outside is a name.
    pub(crate) fn is_valid(text: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(is_plain)
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if Self::is_valid(&text) {
            return Ok(Self(text));
        }
        Err(format!("`{text}` is not a name: expected 1 to 64 of the characters A-Z a-z 0-9 . _ -"))
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// An `iss` (RFC 7519 §4.1.1). Mostly an https URL; Google's has no scheme. Printable ASCII, so that no look-alike
/// letter and no stray white space can be in it.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Iss(pub(super) String);

impl TryFrom<String> for Iss {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{}` is not an issuer: expected 1 to 512 printable ASCII characters",
            text.escape_debug()
        ))
    }
}

/// Whether a text is the id of an Entra tenant: a GUID (RFC 9562 §4) in lower case, as it stands in tokens.
pub(super) fn is_tenant_id(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || is_digit(byte))
}

/// The tenants whose tokens are accepted. There is no word for all of them: anybody can have a tenant. Each is checked by
/// whoever can say where in the list it stands.
pub(super) struct TenantIds(pub(super) Vec<Spanned<String>>);

impl<'de> Deserialize<'de> for TenantIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TenantIdsVisitor;

        impl<'de> Visitor<'de> for TenantIdsVisitor {
            type Value = TenantIds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tenant ids that is not empty: anybody can have a tenant")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<TenantIds, A::Error> {
                let ids: Vec<Spanned<String>> = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
                if ids.is_empty() {
                    return Err(de::Error::invalid_length(0, &self));
                }
                Ok(TenantIds(ids))
            }
        }

        deserializer.deserialize_seq(TenantIdsVisitor)
    }
}

/// An audience or client id that is ours.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct AudienceName(String);

impl TryFrom<String> for AudienceName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if (1..=512).contains(&text.len()) && !text.chars().any(char::is_control) {
            return Ok(Self(text));
        }
        Err(format!("`{}` is not an audience: expected 1 to 512 printable characters", text.escape_debug()))
    }
}

impl AsRef<str> for AudienceName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The name of an attribute in `principal.claims`: a Cedar identifier, so that policies can write it after a dot.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct AttributeName(pub(super) String);

impl TryFrom<String> for AttributeName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let begins_well = text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if begins_well && text.len() <= Name::MAX_BYTES && text.bytes().all(is_plain) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{}` is not an attribute name: expected a letter or _, then up to 63 of A-Z a-z 0-9 _",
            text.escape_debug()
        ))
    }
}

/// A scope (RFC 6749 §3.3): printable ASCII without space, quotation mark and backslash.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ScopeName(String);

impl TryFrom<String> for ScopeName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if (1..=256).contains(&text.len()) && text.bytes().all(is_plain) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{}` is not a scope: expected 1 to 256 printable ASCII characters without space, \" and \\",
            text.escape_debug()
        ))
    }
}

impl AsRef<str> for ScopeName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Seconds by which the clocks of issuer and authorizer may differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Leeway(i64);

impl Leeway {
    const MAX_SECONDS: i64 = 120;

    pub(crate) fn millis(self) -> i64 {
        self.0.saturating_mul(1000)
    }
}

impl TryFrom<i64> for Leeway {
    type Error = String;

    fn try_from(seconds: i64) -> Result<Self, String> {
        if (0..=Self::MAX_SECONDS).contains(&seconds) {
            return Ok(Self(seconds));
        }
        Err(format!("`{seconds}` is not a leeway: expected 0 to {} seconds", Self::MAX_SECONDS))
    }
}

/// A moment: a TOML datetime with its offset, an RFC 3339 text, or seconds since the epoch; from 1970 to 9999, as a
/// NumericDate is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) struct Moment(pub(crate) Timestamp);

impl TryFrom<toml::Value> for Moment {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let text = match value {
            toml::Value::String(text) => text,
            other => other.to_string(),
        };
        let moment: Timestamp = text.parse().map_err(|error: TimestampError| error.to_string())?;
        if moment.is_numeric_date() {
            return Ok(Self(moment));
        }
        Err(format!("`{text}` is not a time from the year 1970 to the year 9999"))
    }
}

/// Seconds from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "i64")]
pub struct Seconds<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Seconds<MIN, MAX> {
    /// `SECONDS`, which is between the limits, or it does not compile.
    #[must_use]
    pub const fn of<const SECONDS: i64>() -> Self {
        const { assert!(MIN <= SECONDS && SECONDS <= MAX) }
        Self(SECONDS)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The same in milliseconds.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.saturating_mul(1_000)
    }
}

impl<const MIN: i64, const MAX: i64> TryFrom<i64> for Seconds<MIN, MAX> {
    type Error = String;

    fn try_from(seconds: i64) -> Result<Self, String> {
        if (MIN..=MAX).contains(&seconds) {
            return Ok(Self(seconds));
        }
        Err(format!("`{seconds}` is not a number of seconds from {MIN} to {MAX}"))
    }
}

/// An address that is asked over the network: `https`, or, for development issuers alone, `http` on this machine's own
/// loopback. Without user information and fragment, at most 2,048 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct HttpUrl(String);

impl HttpUrl {
    const MAX_BYTES: usize = 2_048;

    /// Reads an address that may be a secret: the error says what is expected, and holds nothing of the text.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        Self::check(text).map(|()| Self(text.to_owned()))
    }

    fn check(text: &str) -> Result<(), &'static str> {
        if text.len() > Self::MAX_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("expected at most 2,048 printable ASCII characters");
        }
        let Some((scheme, _)) = text.split_once("://") else { return Err("expected an https URL") };
        let parsed: Option<http::Uri> = text.parse().ok();
        let Some(authority) = parsed.as_ref().and_then(http::Uri::authority) else {
            return Err("expected an https URL");
        };
        if authority.as_str().contains('@') || text.contains('#') {
            return Err("expected a URL without user information and fragment");
        }
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        if !port.is_empty() && authority.port_u16().is_none() {
            return Err("expected a port from 0 to 65535");
        }
        // As it is written, in lower case: what is said of the scheme later is said of this text.
        match scheme {
            "https" if !authority.host().is_empty() => Ok(()),
            "http" if is_loopback(authority.host()) => Ok(()),
            _ => Err("expected an https URL"),
        }
    }

    /// The address as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is plain HTTP, which only an address on this machine's loopback can be.
    #[must_use]
    pub fn is_plain_http(&self) -> bool {
        self.0.starts_with("http://")
    }

    /// The host, without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = authority(&self.0).unwrap_or_default();
        match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host,
            _ => authority,
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HttpUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match Self::check(&text) {
            Ok(()) => Ok(Self(text)),
            Err(why) => Err(format!("`{}` cannot be fetched: {why}", text.escape_debug())),
        }
    }
}

fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', '?']).next()
}

/// RFC 6761 §6.3, RFC 1122 §3.2.1.3, RFC 4291 §2.5.3.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Where a claim is: its name, or names joined by dots for a claim inside objects (`realm_access.roles`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ClaimPath(String);

impl ClaimPath {
    const MAX_BYTES: usize = 256;
    const MAX_DOTS: usize = 8;

    /// The value at this path; null counts as absent. A member whose name is the whole path wins (`custom:department`,
    /// `https://acme.example/roles`); then the longest name that is an object with the rest in it.
    pub(crate) fn find<'o, 'j>(&self, claims: &'o Object<'j>) -> Option<&'o Json<'j>> {
        find(claims, &self.0)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// A claim that a preset names.
    pub(super) fn preset(claim: &str) -> Self {
        Self(claim.to_owned())
    }
}

fn find<'o, 'j>(object: &'o Object<'j>, path: &str) -> Option<&'o Json<'j>> {
    match object.member(path) {
        Some(Json::Null) => return None,
        Some(value) => return Some(value),
        None => {}
    }
    path.rmatch_indices('.').find_map(|(dot, _)| {
        let (name, rest) = path.split_at_checked(dot)?;
        match object.member(name)? {
            Json::Object(inner) => find(inner, rest.strip_prefix('.')?),
            _ => None,
        }
    })
}

impl TryFrom<String> for ClaimPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fits = (1..=Self::MAX_BYTES).contains(&text.len()) && text.matches('.').count() <= Self::MAX_DOTS;
        if fits && !text.chars().any(char::is_control) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{}` is not a claim: expected 1 to 256 printable characters with at most 8 dots",
            text.escape_debug()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_or_on_loopback() {
        let url = |text: &str| HttpUrl::try_from(text.to_owned());
        for (text, host, plain) in [
            ("https://a.example", "a.example", false),
            ("https://a.example:8443/jwks?a=b", "a.example", false),
            ("https://127.0.0.1/", "127.0.0.1", false),
            ("https://[2001:db8::1]:8443/", "[2001:db8::1]", false),
            ("http://127.0.0.1:8080/jwks", "127.0.0.1", true),
            ("http://localhost/", "localhost", true),
            ("http://[::1]:80/", "[::1]", true),
        ] {
            let url = url(text).unwrap();
            assert_eq!((url.as_str(), url.host(), url.is_plain_http()), (text, host, plain));
        }
        let https = "expected an https URL";
        let port = "expected a port from 0 to 65535";
        let no_more = "expected a URL without user information and fragment";
        let printable = "expected at most 2,048 printable ASCII characters";
        for (text, why) in [
            ("", https),
            ("a.example", https),
            ("/jwks", https),
            ("https://", https),
            ("https:///jwks", https),
            ("http://a.example/", https),
            ("http://localhost.a.example/", https),
            ("http://127.0.0.1.a.example/", https),
            ("http://0.0.0.0/", https),
            ("http://127.1/", https),
            // Not plain HTTP by its text, and plain HTTP to a client.
            ("HTTP://127.0.0.1/", https),
            ("hTTps://a.example/", https),
            ("ftp://a.example/", https),
            ("file:///etc/passwd", https),
            ("https://a.example:99999/", port),
            ("https://a.example:/", port),
            ("https://a.example:8o/", port),
            ("https://a@a.example/", no_more),
            ("http://a.example@127.0.0.1/", no_more),
            ("https://a.example/#keys", no_more),
            ("https://\u{e4}.example/", printable),
            ("https://a.example/ b", printable),
            ("https://a.example/\n", printable),
            (&format!("https://a.example/{}", "a".repeat(2_048)), printable),
        ] {
            let shown = text.escape_debug();
            assert_eq!(url(text).unwrap_err(), format!("`{shown}` cannot be fetched: {why}"));
        }
    }

    #[test]
    fn a_claim_path_prefers_the_whole_name() {
        let text = br#"{
            "a.b": 1, "a": {"b": 2, "c.d": 3, "c": {"e": 4, "f": null}}, "https://x.y/roles": 5,
            "l": {"m.n": 6}, "l.m": {"n": 7}
        }"#;
        let Ok(Json::Object(claims)) = Json::parse(text) else { panic!("not an object") };
        let at = |path: &str| match ClaimPath(path.to_owned()).find(&claims) {
            Some(Json::Integer(value)) => Some(*value),
            _ => None,
        };
        assert_eq!(at("a.b"), Some(1));
        assert_eq!(at("a.c.d"), Some(3));
        assert_eq!(at("a.c.e"), Some(4));
        assert_eq!(at("https://x.y/roles"), Some(5));
        assert_eq!(at("l.m.n"), Some(7));
        for absent in ["a.c.f", "a.x", "b", "a..b", ".a", "a."] {
            assert!(ClaimPath(absent.to_owned()).find(&claims).is_none(), "{absent}");
        }
    }
}
