//! How an issuer is asked about its opaque tokens (RFC 7662), and which tokens those are.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use serde::Deserialize;

use super::keys::SecretSource;
use super::names::{AudienceName, HttpUrl, Seconds};
use super::{IssuerError, TrustedIssuer};

/// `introspection` of an issuer file: where the issuer is asked, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// The introspection endpoint.
    pub url: HttpUrl,
    client_id: AudienceName,
    /// Where the secret is that proves who asks; never in the bundle.
    pub client_secret: SecretSource,
    prefix: Option<TokenPrefix>,
    #[serde(default = "default_max_age")]
    max_age: AnswerAge,
    absent_sub: Option<AbsentSub>,
}

/// How long an answer is believed, in seconds; 0: for the one request alone.
type AnswerAge = Seconds<0, 60>;

fn default_max_age() -> AnswerAge {
    AnswerAge::of::<60>()
}

impl Introspection {
    /// The client id by which the authorizer is known to the issuer.
    #[must_use]
    pub fn client_id(&self) -> &str {
        self.client_id.as_ref()
    }

    /// How the tokens begin about which the issuer is asked; `None`: it is asked about all that are no JWT.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        self.prefix.as_ref().map(|prefix| prefix.0.as_str())
    }

    /// The longest time for which an answer is believed, in milliseconds: at most a minute.
    #[must_use]
    pub fn max_age_millis(&self) -> i64 {
        self.max_age.millis()
    }

    /// Whether a token without `sub` speaks for its client.
    pub(crate) fn absent_sub_is_client(&self) -> bool {
        self.absent_sub == Some(AbsentSub::Client)
    }
}

/// Whom a token without `sub` speaks for: nobody, unless the file says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AbsentSub {
    /// The client that got it by itself (RFC 6749 §4.4).
    Client,
}

/// How a token begins: characters of a bearer token (RFC 6750 §2.1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct TokenPrefix(String);

impl TokenPrefix {
    const MAX_BYTES: usize = 64;
    /// How a JWT begins: base64url of `{"`.
    const JWT: &str = "ey";
}

impl TryFrom<String> for TokenPrefix {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        if !(1..=Self::MAX_BYTES).contains(&text.len()) || !text.bytes().all(is_plain) {
            return Err(format!(
                "`{}` is not how a token begins: expected 1 to 64 of the characters A-Z a-z 0-9 - . _ ~ + /",
                text.escape_debug()
            ));
        }
        // `e` is as bad as `eyJ`: a JWT must not be sent to anybody.
        if text.starts_with(Self::JWT) || Self::JWT.starts_with(&text) {
            return Err(format!("`{text}` is how a JWT begins, which is verified and not asked about"));
        }
        Ok(Self(text))
    }
}

/// Which issuer is asked about which token, found in one lookup however many there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Introspecting {
    /// INVARIANT: no prefix begins another.
    by_prefix: BTreeMap<String, Arc<TrustedIssuer>>,
    /// The one that is asked about all others.
    others: Option<Arc<TrustedIssuer>>,
}

impl Introspecting {
    /// Builds the index.
    pub(super) fn new(issuers: impl Iterator<Item = Arc<TrustedIssuer>>) -> Result<Self, IssuerError> {
        let issuers: Vec<Arc<TrustedIssuer>> =
            issuers.filter(|issuer| issuer.introspection.is_some()).collect();
        if let Some((first, second)) = contested(issuers.iter().map(Arc::as_ref)).into_iter().next() {
            return Err(IssuerError::ContestedTokens {
                first: first.name().to_owned(),
                second: second.name().to_owned(),
                prefix: second.prefix().map(str::to_owned),
            });
        }
        let mut index = Self::default();
        for issuer in issuers {
            match issuer.prefix().map(str::to_owned) {
                Some(prefix) => drop(index.by_prefix.insert(prefix, issuer)),
                None => index.others = Some(issuer),
            }
        }
        Ok(index)
    }

    /// The issuer that is asked about this token: the one with whose prefix it begins; else, for what is not of the form
    /// of a JWT, the one without a prefix.
    pub(super) fn find(&self, token: &str) -> Option<&Arc<TrustedIssuer>> {
        // What stands between a prefix and a token that begins with it begins with it too, and no prefix begins another:
        // so the last one up to the token is the only one that can begin it.
        let up_to_token = (Bound::Unbounded, Bound::Included(token));
        let candidate = self.by_prefix.range::<str, _>(up_to_token).next_back();
        match candidate {
            Some((prefix, issuer)) if token.starts_with(prefix.as_str()) => Some(issuer),
            _ => self.others.as_ref().filter(|_| !is_jwt_formed(token)),
        }
    }
}

/// Whether a token has the form of a compact JWS, whatever stands in it.
fn is_jwt_formed(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// The issuers of which two would be asked about the same tokens, each with the one before: both have no prefix, or the
/// prefix of one begins the other's.
pub(crate) fn contested<'i>(
    issuers: impl Iterator<Item = &'i TrustedIssuer>,
) -> Vec<(&'i TrustedIssuer, &'i TrustedIssuer)> {
    let mut asked: Vec<&TrustedIssuer> = issuers.filter(|issuer| issuer.introspection.is_some()).collect();
    asked.sort_by_key(|issuer| (issuer.prefix(), issuer.name()));
    let pairs = asked.iter().zip(asked.iter().skip(1));
    let contested = pairs.filter(|(first, second)| match (first.prefix(), second.prefix()) {
        (None, None) => true,
        (Some(first), Some(second)) => second.starts_with(first),
        (None, Some(_)) | (Some(_), None) => false,
    });
    contested.map(|(first, second)| (*first, *second)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn issuer(name: &str, prefix: Option<&str>) -> TrustedIssuer {
        let prefix = prefix.map(|prefix| format!(", prefix = \"{prefix}\"")).unwrap_or_default();
        TrustedIssuer::from_toml(&format!(
            r#"
            name = "{name}"
            issuer = "https://{name}.example"
            provider = "oidc"
            token_use = "access"
            audience = "any"
            introspection = {{ url = "https://{name}.example/i", client_id = "g", client_secret = {{ env = "S" }}{prefix} }}
            "#
        ))
        .unwrap()
    }

    fn index(prefixes: &[Option<&str>]) -> Result<Introspecting, IssuerError> {
        let issuers =
            prefixes.iter().enumerate().map(|(i, prefix)| Arc::new(issuer(&format!("i{i}"), *prefix)));
        Introspecting::new(issuers)
    }

    #[test]
    fn a_token_finds_the_one_issuer_that_is_asked_about_it() {
        let both = index(&[Some("at_"), Some("b"), Some("at-x"), None]).unwrap();
        let prefixed = index(&[Some("at_"), Some("b"), Some("at-x")]).unwrap();
        for (token, expected) in [
            ("at_1", Some("i0")),
            ("at_", Some("i0")),
            ("at_1.2.3", Some("i0")),
            ("b", Some("i1")),
            ("bbb.c.d", Some("i1")),
            ("at-xy", Some("i2")),
            ("at-", Some("i3")),
            ("AT_1", Some("i3")),
            ("a", Some("i3")),
            ("zz", Some("i3")),
            ("1.2", Some("i3")),
            ("1.2.3.4.5", Some("i3")),
            ("1.2.3", None),
            ("..", None),
            ("eyJhbGciOiJub25lIn0.e30.", None),
        ] {
            let found = |index: &Introspecting| index.find(token).map(|issuer| issuer.name().to_owned());
            assert_eq!(found(&both).as_deref(), expected, "{token}");
            assert_eq!(found(&prefixed).as_deref(), expected.filter(|name| *name != "i3"), "{token}");
            assert_eq!(found(&Introspecting::default()), None);
        }
    }

    #[test]
    fn two_issuers_are_never_asked_about_one_token() {
        for (prefixes, message) in [
            ([None, None], "issuers `i0` and `i1` would both be asked about every token that is no JWT"),
            (
                [Some("at_"), Some("at_")],
                "issuers `i0` and `i1` would both be asked about tokens that begin with `at_`",
            ),
            (
                [Some("at_g"), Some("at_")],
                "issuers `i1` and `i0` would both be asked about tokens that begin with `at_g`",
            ),
        ] {
            assert_eq!(index(&prefixes).unwrap_err().to_string(), message);
        }
        for prefixes in [[None, Some("a")], [Some("a_"), Some("a-")], [Some("ab"), Some("b")]] {
            assert!(index(&prefixes).is_ok(), "{prefixes:?}");
        }
    }

    #[test]
    fn a_prefix_begins_no_jwt() {
        for prefix in ["at_", "E", "f", "Ey", "_ey", "a/b+c~d.e-f", &"x".repeat(64)] {
            assert!(TokenPrefix::try_from(prefix.to_owned()).is_ok(), "{prefix}");
        }
        for prefix in ["e", "ey", "eyJ", "", " a", "a b", "a=", "\u{e4}", "a\n", &"x".repeat(65)] {
            assert!(TokenPrefix::try_from(prefix.to_owned()).is_err(), "{prefix:?}");
        }
    }

    proptest! {
        /// The lookup is what a walk over all prefixes would find.
        #[test]
        fn the_lookup_is_what_a_scan_finds(
            prefixes in prop::collection::btree_set("[ab_~]{1,3}", 0..6),
            token in "[ab_~.]{1,6}",
        ) {
            let prefixes: Vec<Option<&str>> = prefixes.iter().map(|prefix| Some(prefix.as_str())).collect();
            let begins = |prefix: &&Option<&str>| prefix.is_some_and(|prefix| token.starts_with(prefix));
            match index(&prefixes) {
                Ok(index) => {
                    let found = index.find(&token).and_then(|issuer| issuer.prefix());
                    prop_assert_eq!(found, prefixes.iter().find(begins).copied().flatten());
                }
                Err(_) => {
                    let begins_another = |one: &str| prefixes.iter().flatten().any(|other| *other != one && other.starts_with(one));
                    prop_assert!(prefixes.iter().flatten().any(|one| begins_another(one)));
                }
            }
        }
    }
}
