//! What a decision record carries so that the decision can be made once more, by other policies too: the request's path,
//! and every fact that the schema lets a policy read. `[log] facts` of `authorizer.toml` says in which form.
//!
//! | | path | text: e-mail, claims, headers, query, stage variables, address, certificate | whole numbers in claims | `sub`, client id, issuer, scopes, truth values |
//! |---|---|---|---|---|
//! | `none` | no | no | no | no |
//! | `hashed`, if nothing is written | yes, but for segments that tell something | hashed | hashed | yes |
//! | `plain` | yes | yes, but for what may hold a credential | yes | yes |
//!
//! A hash is `{"sha256": "…"}`: 128 bits of the SHA-256 over a fixed prefix and the text. It is the same for the same text,
//! so equality is kept, between facts and against what a policy writes. It is a pseudonym and no more: who has the log and
//! guesses a text can see whether the guess is right.
//!
//! A segment of the path tells something if it holds an `@` or is longer than [`MAX_PLAIN_SEGMENT`]. An API that takes
//! secrets in its path (`/reset/{code}`) wants `none`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::bundle::deployment::LogFacts;
use crate::entities::facts::{Fact, FactValue};
use crate::entities::{EntityFactory, HttpFacts};
use crate::jose::VerifiedClaims;

/// The longest segment of a path that is recorded as it is, in bytes. A UUID has 36; a token has more than this.
pub const MAX_PLAIN_SEGMENT: usize = 64;

/// Facts that may hold a credential whatever their declaration says, in lower case; hashed even where all else is plain.
const CREDENTIALS: [&str; 5] = [
    "context.http.headers.authorization",
    "context.http.headers.proxy-authorization",
    "context.http.headers.cookie",
    "context.http.headers.x-api-key",
    "context.http.headers.sec-websocket-protocol",
];

/// A text that may be told, or its hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RecordedText {
    /// The text.
    Plain(String),
    /// Its hash.
    Hashed {
        /// See [`pseudonym`].
        sha256: String,
    },
}

/// The value of a fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RecordedValue {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Long(i64),
    /// A text, or the hash of a text or a number.
    Text(RecordedText),
    /// A list of texts.
    List(Vec<RecordedText>),
}

/// The path of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RecordedPath {
    /// All of it.
    Plain(String),
    /// Its segments, of which some are not told.
    Segments(Vec<RecordedText>),
}

/// The facts of a request, as a record carries them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFacts {
    /// By name, as a policy names them (`principal.email`).
    #[serde(flatten)]
    pub there: BTreeMap<String, RecordedValue>,
    /// The names of those that the schema declares and that were not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
}

/// What the facts of a request are taken from. They take the form of the log, hashes and all, when the record is written:
/// a record that is not wanted costs nothing more.
#[derive(Clone)]
pub struct RequestFacts {
    factory: Arc<EntityFactory>,
    claims: Arc<VerifiedClaims>,
    http: HttpFacts,
    form: LogFacts,
}

/// The hash that stands for a text: the first 16 bytes of the SHA-256 over `cedar-gate/fact/1`, a zero byte and the text, in
/// base64url (RFC 4648 §5).
#[must_use]
pub fn pseudonym(text: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"cedar-gate/fact/1\0");
    context.update(text.as_bytes());
    URL_SAFE_NO_PAD.encode(context.finish().as_ref().get(..16).unwrap_or_default())
}

impl RecordedText {
    /// The hash of a text.
    #[must_use]
    pub fn hashed(text: &str) -> Self {
        Self::Hashed { sha256: pseudonym(text) }
    }
}

impl RecordedPath {
    /// The path in the form that the deployment wants; `None` where it wants none.
    #[must_use]
    pub fn new(path: &str, form: LogFacts) -> Option<Self> {
        let tells = |segment: &str| segment.contains('@') || segment.len() > MAX_PLAIN_SEGMENT;
        match form {
            LogFacts::None => None,
            LogFacts::Hashed if path.split('/').any(tells) => {
                let recorded = |segment: &str| match tells(segment) {
                    true => RecordedText::hashed(segment),
                    false => RecordedText::Plain(segment.to_owned()),
                };
                Some(Self::Segments(path.split('/').skip(1).map(recorded).collect()))
            }
            LogFacts::Hashed | LogFacts::Plain => Some(Self::Plain(path.to_owned())),
        }
    }
}

impl RequestFacts {
    /// The facts of the request of a caller; `http` has to hold all that the event carries of what the schema declares.
    #[must_use]
    pub fn new(
        factory: &Arc<EntityFactory>,
        claims: Arc<VerifiedClaims>,
        http: HttpFacts,
        form: LogFacts,
    ) -> Self {
        Self { factory: Arc::clone(factory), claims, http, form }
    }
}

/// As [`RecordedFacts`]; `null` where the deployment wants none.
impl Serialize for RequestFacts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Told { facts: &self.factory.facts(&self.claims, &self.http), form: self.form }.serialize(serializer)
    }
}

/// Facts in the form that the deployment wants.
struct Told<'f> {
    facts: &'f [Fact<'f>],
    form: LogFacts,
}

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { facts, form } = *self;
        if form == LogFacts::None {
            return serializer.serialize_none();
        }
        let there = |fact: &'_ Fact<'_>| fact.value.is_some();
        let mut told: Vec<&Fact<'_>> = facts.iter().filter(|fact| there(fact)).collect();
        told.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let mut map = serializer.serialize_map(None)?;
        for Fact { name, value } in told {
            map.serialize_entry(name, &ToldValue { value: value.as_ref(), is_told: is_told(name, form) })?;
        }
        let absent: Vec<&str> =
            facts.iter().filter(|fact| !there(fact)).map(|fact| fact.name.as_ref()).collect();
        if !absent.is_empty() {
            map.serialize_entry("absent", &absent)?;
        }
        map.end()
    }
}

/// The value of a fact, as it is or hashed.
struct ToldValue<'f> {
    value: Option<&'f FactValue<'f>>,
    is_told: bool,
}

/// As [`RecordedValue`].
impl Serialize for ToldValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_told = self.is_told;
        match self.value {
            None => serializer.serialize_none(),
            Some(FactValue::Bool(truth)) => serializer.serialize_bool(*truth),
            Some(FactValue::Long(number)) if is_told => serializer.serialize_i64(*number),
            Some(FactValue::Long(number)) => RecordedText::hashed(&number.to_string()).serialize(serializer),
            Some(FactValue::Text(text)) if is_told => serializer.serialize_str(text),
            Some(FactValue::Text(text)) => RecordedText::hashed(text).serialize(serializer),
            Some(FactValue::Texts(texts)) if is_told => texts.serialize(serializer),
            Some(FactValue::Texts(texts)) => {
                serializer.collect_seq(texts.iter().map(|text| RecordedText::hashed(text)))
            }
        }
    }
}

/// Whether a fact is told as it is. Who asks stands in the record anyway, and scopes are words of the API.
fn is_told(name: &str, form: LogFacts) -> bool {
    ["principal.sub", "principal.issuer", "principal.client_id", "principal.scopes"].contains(&name)
        || (form == LogFacts::Plain && !CREDENTIALS.contains(&name.to_lowercase().as_str()))
}

/// Tells nobody's facts.
impl fmt::Debug for RequestFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestFacts").field("form", &self.form).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts() -> Vec<Fact<'static>> {
        let text = |text: &'static str| Some(FactValue::Text(text.into()));
        let texts = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            Some(FactValue::Texts(texts.into()))
        };
        [
            ("principal.sub", text("alice")),
            ("principal.scopes", texts(&["orders/read"])),
            ("principal.email", text("alice@example.com")),
            ("principal.email_verified", Some(FactValue::Bool(true))),
            ("principal.claims.level", Some(FactValue::Long(7))),
            ("principal.claims.groups", texts(&["a", "b"])),
            ("context.http.headers.Authorization", text("Bearer secret")),
            ("context.http.source_ip", None),
        ]
        .map(|(name, value)| Fact { name: name.into(), value })
        .into()
    }

    fn recorded(form: LogFacts) -> serde_json::Value {
        serde_json::to_value(Told { facts: &facts(), form }).unwrap()
    }

    #[test]
    fn nothing_personal_is_told_unless_that_is_written() {
        let hash = |text: &str| json!({ "sha256": pseudonym(text) });
        assert_eq!(recorded(LogFacts::None), json!(null));
        assert_eq!(
            recorded(LogFacts::Hashed),
            json!({
                "principal.sub": "alice",
                "principal.scopes": ["orders/read"],
                "principal.email": hash("alice@example.com"),
                "principal.email_verified": true,
                "principal.claims.level": hash("7"),
                "principal.claims.groups": [hash("a"), hash("b")],
                "context.http.headers.Authorization": hash("Bearer secret"),
                "absent": ["context.http.source_ip"],
            })
        );
    }

    #[test]
    fn a_credential_is_never_told() {
        let plain = recorded(LogFacts::Plain);
        assert_eq!(plain["principal.email"], "alice@example.com");
        assert_eq!(plain["principal.claims.level"], 7);
        assert_eq!(
            plain["context.http.headers.Authorization"],
            json!({ "sha256": pseudonym("Bearer secret") })
        );
    }

    #[test]
    fn a_segment_that_tells_something_is_hashed() {
        let path = |path: &str, form| serde_json::to_value(RecordedPath::new(path, form)).unwrap();
        let long = "x".repeat(MAX_PLAIN_SEGMENT + 1);
        assert_eq!(path("/orders/42", LogFacts::Hashed), "/orders/42");
        assert_eq!(path("/", LogFacts::Hashed), "/");
        assert_eq!(
            path(&format!("/users/a@b.example/{long}/x"), LogFacts::Hashed),
            json!(["users", { "sha256": pseudonym("a@b.example") }, { "sha256": pseudonym(&long) }, "x"])
        );
        assert_eq!(path("/users/a@b.example", LogFacts::Plain), "/users/a@b.example");
        assert_eq!(path("/users", LogFacts::None), json!(null));
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        for form in [LogFacts::Hashed, LogFacts::Plain] {
            let text = serde_json::to_string(&Told { facts: &facts(), form }).unwrap();
            let read: RecordedFacts = serde_json::from_str(&text).unwrap();
            assert_eq!((read.there.len(), read.absent.len()), (7, 1), "{text}");
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
    }

    #[test]
    fn a_pseudonym_is_what_it_was_in_the_first_version() {
        assert_eq!(pseudonym("alice@example.com"), pseudonym("alice@example.com"));
        assert_eq!(pseudonym("").len(), 22);
    }
}
