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
use serde::{Deserialize, Serialize, Serializer};

use crate::bundle::deployment::LogFacts;
use crate::entities::facts::Fact;
use crate::entities::{EntityFactory, HttpFacts};
use crate::jose::{ClaimValue, VerifiedClaims};

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

impl RecordedFacts {
    /// The facts in the form that the deployment wants; `None` where it wants none.
    #[must_use]
    pub fn new(facts: Vec<Fact>, form: LogFacts) -> Option<Self> {
        if form == LogFacts::None {
            return None;
        }
        let mut recorded = Self::default();
        for Fact { name, value } in facts {
            match value {
                None => recorded.absent.push(name),
                Some(value) => {
                    let value = record(&name, value, form);
                    recorded.there.insert(name, value);
                }
            }
        }
        Some(recorded)
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
        RecordedFacts::new(self.factory.facts(&self.claims, &self.http), self.form).serialize(serializer)
    }
}

/// Tells nobody's facts.
impl fmt::Debug for RequestFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestFacts").field("form", &self.form).finish_non_exhaustive()
    }
}

fn record(name: &str, value: ClaimValue, form: LogFacts) -> RecordedValue {
    // Who asks stands in the record anyway, and scopes are words of the API.
    let is_told = ["principal.sub", "principal.issuer", "principal.client_id", "principal.scopes"]
        .contains(&name)
        || (form == LogFacts::Plain && !CREDENTIALS.contains(&name.to_lowercase().as_str()));
    let text = |text: String| match is_told {
        true => RecordedText::Plain(text),
        false => RecordedText::hashed(&text),
    };
    match value {
        ClaimValue::Bool(truth) => RecordedValue::Bool(truth),
        ClaimValue::Long(number) if is_told => RecordedValue::Long(number),
        ClaimValue::Long(number) => RecordedValue::Text(text(number.to_string())),
        ClaimValue::String(value) => RecordedValue::Text(text(value)),
        ClaimValue::Set(items) => RecordedValue::List(items.into_iter().map(text).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts() -> Vec<Fact> {
        let text = |text: &str| Some(ClaimValue::String(text.to_owned()));
        [
            ("principal.sub", text("alice")),
            ("principal.scopes", Some(ClaimValue::Set(vec!["orders/read".to_owned()]))),
            ("principal.email", text("alice@example.com")),
            ("principal.email_verified", Some(ClaimValue::Bool(true))),
            ("principal.claims.level", Some(ClaimValue::Long(7))),
            ("principal.claims.groups", Some(ClaimValue::Set(vec!["a".to_owned(), "b".to_owned()]))),
            ("context.http.headers.Authorization", text("Bearer secret")),
            ("context.http.source_ip", None),
        ]
        .map(|(name, value)| Fact { name: name.to_owned(), value })
        .into()
    }

    fn recorded(form: LogFacts) -> serde_json::Value {
        serde_json::to_value(RecordedFacts::new(facts(), form)).unwrap()
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
            let recorded = RecordedFacts::new(facts(), form).unwrap();
            let text = serde_json::to_string(&recorded).unwrap();
            assert_eq!(serde_json::from_str::<RecordedFacts>(&text).unwrap(), recorded, "{text}");
        }
    }

    #[test]
    fn a_pseudonym_is_what_it_was_in_the_first_version() {
        assert_eq!(pseudonym("alice@example.com"), pseudonym("alice@example.com"));
        assert_eq!(pseudonym("").len(), 22);
    }
}
