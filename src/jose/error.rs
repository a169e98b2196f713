//! Why a token is refused: one closed list for logs, metrics and tests. The caller sees 401 and none of this.

use std::fmt;

use super::issuer::{TokenUse, TypRule};
use super::jws::{Algorithm, Hmac, KeyId, MAX_JWS_BYTES};
use super::revocation::RevokedBy;
use crate::credential::BearerToken;
use crate::time::Timestamp;

/// Why a token is refused. No message and no `Debug` form shows the token; of its text only `kid` and an unknown `iss` are shown,
/// escaped and cut (see [`Excerpt`]).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is no token.
    #[error("no token was presented")]
    Missing,
    /// The text is longer than is looked at.
    #[error("the token has {bytes} bytes: the limit is {MAX_JWS_BYTES}")]
    TooLarge {
        /// Length of the text.
        bytes: usize,
    },
    /// The text is not a compact JWS (RFC 7515 §7.1) or, for a JWT, its claims are not a JSON object (RFC 7519 §7.2).
    #[error("malformed token: {0}")]
    Malformed(Malformation),
    /// A header parameter that changes what the signature means, and that is not understood here.
    #[error("the token's header has `{parameter}`, which is not supported")]
    UnsupportedHeader {
        /// `crit`, `b64`, `zip` or `enc`.
        parameter: &'static str,
    },
    /// The header's `alg` is `none` or unknown, or an HMAC at an issuer that shares no secret with us.
    #[error("the token's `alg` is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA")]
    Algorithm,
    /// The issuer shares a secret with us, so the one algorithm of its tokens is known.
    #[error("the token's `alg` is not {expected}, the one accepted of issuer `{issuer}`")]
    IssuerAlgorithm {
        /// Alias of the issuer.
        issuer: String,
        /// What its file says.
        expected: Hmac,
    },
    /// The key that the token names is bound to other algorithms.
    #[error("the token's `alg` {algorithm} does not fit the key `{}`", Excerpt::of(.kid.as_str()))]
    KeyAlgorithm {
        /// The header's `alg`.
        algorithm: Algorithm,
        /// The header's `kid`.
        kid: KeyId,
    },
    /// No issuer file has this `iss`.
    #[error("issuer `{iss}` is not trusted")]
    UnknownIssuer {
        /// The token's `iss`: an attacker's text.
        iss: Excerpt,
    },
    /// The issuer's key set lacks the key. What a fetch of newer keys needs is here.
    #[error("{}", unknown_key(.key_set.as_deref(), .kid.as_ref()))]
    UnknownKeyId {
        /// The name of the issuer's key set: mostly its alias. `None` where a bare key set was given.
        key_set: Option<String>,
        /// The header's `kid`; `None` where the token names no key and none fits its `alg`.
        kid: Option<KeyId>,
    },
    /// The key says that it is another issuer's: Entra publishes keys of several in one set.
    #[error("{}", key_of_another(.issuer, .kid.as_ref()))]
    KeyOfAnotherIssuer {
        /// Alias of the token's issuer.
        issuer: String,
        /// The header's `kid`; `None` where the token names no key, and the one that fits is another's.
        kid: Option<KeyId>,
    },
    /// The token names no key, and several keys of the set fit its `alg`: trying each would be a guess.
    #[error("the token has no `kid`, and {count} keys fit its `alg`")]
    AmbiguousKey {
        /// How many keys fit.
        count: usize,
    },
    /// We trust the issuer and have no keys of it, or only such as are too old: our fault, not the caller's.
    #[error("no keys of issuer `{key_set}` are loaded")]
    KeysUnavailable {
        /// The name of the issuer's key set: mostly its alias.
        key_set: String,
    },
    /// The keys that we have lack the one that the token names, and newer ones could not be fetched: it may exist, so this is
    /// our fault too.
    #[error("{}, and newer keys could not be fetched", unknown_key(Some(.key_set), .kid.as_ref()))]
    KeysOutdated {
        /// The name of the issuer's key set: mostly its alias.
        key_set: String,
        /// The header's `kid`; `None` where the token names no key and none fits its `alg`.
        kid: Option<KeyId>,
    },
    /// The issuer's tokens are opaque, and this is a JWT.
    #[error("the token is a JWT, and the tokens accepted of issuer `{issuer}` are opaque")]
    NotOpaque {
        /// Alias of the issuer.
        issuer: String,
    },
    /// The issuer of an opaque token was not asked about it, could not be, or gave no answer: our fault or the issuer's,
    /// not the caller's.
    #[error("issuer `{issuer}` could not be asked about the token")]
    IntrospectionUnavailable {
        /// Alias of the issuer.
        issuer: String,
        /// What to ask about.
        token: BearerToken<'static>,
    },
    /// The issuer says that the token is not active (RFC 7662 §2.2): unknown to it, expired or revoked.
    #[error("issuer `{issuer}` does not say that the token is active")]
    Inactive {
        /// Alias of the issuer.
        issuer: String,
    },
    /// Only the holder of a key may present the token (`cnf`, RFC 7800), and nothing here asks for the key.
    #[error("the token is bound to its sender's key (`cnf`), which nothing checks for issuer `{issuer}`")]
    SenderConstrained {
        /// Alias of the issuer.
        issuer: String,
    },
    /// The signature does not verify with the key.
    #[error("the signature is not valid")]
    BadSignature,
    /// A claim that must be there is absent or null.
    #[error("the token has no claim `{claim}`")]
    MissingClaim {
        /// Name or path of the claim, from our configuration.
        claim: String,
    },
    /// A claim has a value it cannot have.
    #[error("claim `{claim}` is not {expected}")]
    InvalidClaim {
        /// Name or path of the claim, from our configuration.
        claim: String,
        /// What it must be.
        expected: &'static str,
    },
    /// `exp` has passed (RFC 7519 §4.1.4: on or after it the token is not accepted).
    #[error("the token expired at {expired_at}, and it is {now}")]
    Expired {
        /// The token's `exp`, without leeway.
        expired_at: Timestamp,
        /// The moment of the decision.
        now: Timestamp,
    },
    /// `nbf` or `iat` lies in the future (RFC 7519 §4.1.5, §4.1.6).
    #[error("the token's `{claim}` is {valid_from}, and it is {now}")]
    NotYetValid {
        /// `nbf` or `iat`.
        claim: &'static str,
        /// Its value, without leeway.
        valid_from: Timestamp,
        /// The moment of the decision.
        now: Timestamp,
    },
    /// The token is older than its issuer's file lets it become.
    #[error("the token was issued at {issued_at}, {max_age} seconds are its longest age, and it is {now}")]
    TooOld {
        /// The token's `iat`.
        issued_at: Timestamp,
        /// `max_token_age`, in seconds.
        max_age: i64,
        /// The moment of the decision.
        now: Timestamp,
    },
    /// The token is for somebody else.
    #[error("claim `{claim}` names no audience of issuer `{issuer}`")]
    WrongAudience {
        /// Alias of the issuer.
        issuer: String,
        /// The claim that carries the audience: `aud`, or for Cognito access tokens `client_id`.
        claim: String,
    },
    /// An ID token where an access token is wanted, or the other way round.
    #[error("the token is not {expected}, the kind accepted of issuer `{issuer}`")]
    WrongTokenUse {
        /// Alias of the issuer.
        issuer: String,
        /// What its file accepts.
        expected: TokenUse,
    },
    /// The header's `typ` is not what the issuer's tokens carry (RFC 8725 §3.11, RFC 9068 §4).
    #[error("the token's header `typ` is not {expected}, as required of issuer `{issuer}`")]
    WrongType {
        /// Alias of the issuer.
        issuer: String,
        /// What its file requires.
        expected: TypRule,
    },
    /// The client that got the token is none of those that the issuer's file lists beside the audience.
    #[error("claim `{claim}` names no client that issuer `{issuer}` lists")]
    WrongClient {
        /// Alias of the issuer.
        issuer: String,
        /// The claim that names the client.
        claim: String,
    },
    /// The token lacks a scope that the issuer's file requires of each.
    #[error("the token lacks scope `{scope}`, which issuer `{issuer}` requires")]
    MissingScope {
        /// Alias of the issuer.
        issuer: String,
        /// The scope, from our configuration.
        scope: String,
    },
    /// A claim that the issuer's file uses is kept elsewhere (OpenID Connect Core §5.6.2; Entra's groups overage). Read as
    /// absent, it would let a `forbid` by role vanish.
    #[error(
        "the token says that claim `{claim}` is to be asked for elsewhere, so what it says is not known here"
    )]
    ClaimsOverage {
        /// Name or path of the claim, from our configuration.
        claim: String,
    },
    /// The tenant claim names a tenant for which the issuer may not speak.
    #[error("claim `{claim}` names no tenant of issuer `{issuer}`")]
    WrongTenant {
        /// Alias of the issuer.
        issuer: String,
        /// The claim that carries the tenant.
        claim: String,
    },
    /// The token is good, and refused before it expires: by the bundle's deny list, or by its issuer's `not_before`.
    #[error("{}", .by.of_issuer(.issuer))]
    Revoked {
        /// Alias of the issuer.
        issuer: String,
        /// What refuses it.
        by: RevokedBy,
    },
}

impl TokenError {
    /// What could turn the refusal into an answer, where something could: newer keys, or a word of the issuer.
    #[must_use]
    pub fn need(&self) -> Option<Need> {
        match self {
            Self::UnknownKeyId { key_set: Some(key_set), .. }
            | Self::KeysUnavailable { key_set }
            | Self::KeysOutdated { key_set, .. } => Some(Need::Keys { key_set: key_set.clone() }),
            Self::IntrospectionUnavailable { issuer, token } => {
                Some(Need::Introspection { issuer: issuer.clone(), token: token.clone() })
            }
            Self::UnknownKeyId { key_set: None, .. }
            | Self::Missing
            | Self::TooLarge { .. }
            | Self::Malformed(_)
            | Self::UnsupportedHeader { .. }
            | Self::Algorithm
            | Self::IssuerAlgorithm { .. }
            | Self::KeyAlgorithm { .. }
            | Self::UnknownIssuer { .. }
            | Self::KeyOfAnotherIssuer { .. }
            | Self::AmbiguousKey { .. }
            | Self::NotOpaque { .. }
            | Self::Inactive { .. }
            | Self::SenderConstrained { .. }
            | Self::BadSignature
            | Self::MissingClaim { .. }
            | Self::InvalidClaim { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::TooOld { .. }
            | Self::WrongAudience { .. }
            | Self::WrongClient { .. }
            | Self::MissingScope { .. }
            | Self::ClaimsOverage { .. }
            | Self::WrongTokenUse { .. }
            | Self::WrongType { .. }
            | Self::WrongTenant { .. }
            | Self::Revoked { .. } => None,
        }
    }

    /// A stable word for logs, metrics and tests.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Missing => "missing_token",
            Self::TooLarge { .. } => "token_too_large",
            Self::Malformed(_) => "malformed_token",
            Self::UnsupportedHeader { .. } => "unsupported_header",
            Self::Algorithm | Self::IssuerAlgorithm { .. } | Self::KeyAlgorithm { .. } => "wrong_algorithm",
            Self::UnknownIssuer { .. } => "unknown_issuer",
            Self::UnknownKeyId { .. } | Self::KeyOfAnotherIssuer { .. } | Self::AmbiguousKey { .. } => {
                "unknown_key"
            }
            Self::KeysUnavailable { .. } | Self::KeysOutdated { .. } => "keys_unavailable",
            Self::IntrospectionUnavailable { .. } => "introspection_unavailable",
            Self::Inactive { .. } => "inactive_token",
            Self::SenderConstrained { .. } => "sender_constrained",
            Self::BadSignature => "bad_signature",
            Self::MissingClaim { .. } => "missing_claim",
            Self::InvalidClaim { .. } => "invalid_claim",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::TooOld { .. } => "too_old",
            Self::WrongAudience { .. } => "wrong_audience",
            Self::WrongClient { .. } => "wrong_client",
            Self::MissingScope { .. } => "missing_scope",
            Self::ClaimsOverage { .. } => "claims_overage",
            Self::WrongTokenUse { .. } | Self::WrongType { .. } | Self::NotOpaque { .. } => "wrong_token_use",
            Self::WrongTenant { .. } => "wrong_tenant",
            Self::Revoked { .. } => "revoked",
        }
    }
}

/// What the shell may fetch before it asks once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// The newest keys of an issuer.
    Keys {
        /// Their name in the [`KeyRing`](super::KeyRing).
        key_set: String,
    },
    /// What an issuer says about an opaque token: an [`Introspected`](super::Introspected).
    Introspection {
        /// Alias of the issuer that is asked.
        issuer: String,
        /// What it is asked about.
        token: BearerToken<'static>,
    },
}

/// What is wrong with the form of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformation {
    /// Not exactly two dots.
    #[error("it is not three parts separated by dots")]
    Parts,
    /// Nothing between two dots.
    #[error("its {0} is empty")]
    Empty(Part),
    /// Another alphabet, padding, white space, or bits left over (RFC 7515 §2, RFC 4648 §3.5).
    #[error("its {0} is not base64url without padding")]
    Base64(Part),
    /// Not JSON as RFC 8259 defines it.
    #[error("its {0} is not JSON")]
    Json(Part),
    /// JSON, but not an object.
    #[error("its {0} is not a JSON object")]
    NotObject(Part),
    /// A member stands twice in an object, at any depth (RFC 7515 §4, RFC 7519 §4).
    #[error("its {0} has a member twice")]
    DuplicateMember(Part),
    /// Arrays and objects nest deeper than 16 levels.
    #[error("its {0} nests too deep")]
    TooDeep(Part),
    /// `alg`, `kid` or `typ` is not a string, or too long; or there is no `alg`.
    #[error("its header parameter `{0}` is not a string of fitting length")]
    Parameter(&'static str),
}

/// A part of a compact JWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The JOSE header.
    Header,
    /// The payload: the claims of a JWT.
    Payload,
    /// The signature.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// The beginning of a text from outside, safe to show: at most 64 characters of it, everything but printable ASCII
/// escaped (so that look-alike letters are seen), back-ticks too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Takes the beginning of `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        const MAX_CHARS: usize = 64;
        let mut excerpt = String::new();
        for char in text.chars().take(MAX_CHARS) {
            match char {
                '`' => excerpt.push_str("\\u{60}"),
                ' '..='~' => excerpt.push(char),
                _ => excerpt.extend(char.escape_unicode()),
            }
        }
        if text.chars().nth(MAX_CHARS).is_some() {
            excerpt.push('…');
        }
        Self(excerpt)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn unknown_key(key_set: Option<&str>, kid: Option<&KeyId>) -> String {
    let whose = key_set.map_or_else(|| "the key set".to_owned(), |issuer| format!("issuer `{issuer}`"));
    match kid {
        Some(kid) => format!("{whose} has no key `{}`", Excerpt::of(kid.as_str())),
        None => format!("the token has no `kid`, and {whose} has no key that fits its `alg`"),
    }
}

fn key_of_another(issuer: &str, kid: Option<&KeyId>) -> String {
    let key = kid.map_or_else(
        || "the one key that fits".to_owned(),
        |kid| format!("key `{}`", Excerpt::of(kid.as_str())),
    );
    format!("{key} is published for another issuer than `{issuer}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_shown_escaped_and_cut() {
        let long = "a".repeat(65);
        for (text, shown) in [
            ("https://a.example", "https://a.example"),
            ("https://ex\u{430}mple.com", "https://ex\\u{430}mple.com"),
            ("a`b\n\u{1b}[31m", "a\\u{60}b\\u{a}\\u{1b}[31m"),
            (&long, &format!("{}…", "a".repeat(64))),
        ] {
            assert_eq!(Excerpt::of(text).to_string(), shown);
        }
    }

    #[test]
    fn a_missing_key_is_named_with_its_owner() {
        let error = |issuer: Option<&str>, kid| {
            TokenError::UnknownKeyId { key_set: issuer.map(str::to_owned), kid: KeyId::new(kid) }.to_string()
        };
        assert_eq!(error(Some("acme"), "k9"), "issuer `acme` has no key `k9`");
        assert_eq!(error(None, "../../dev/null"), "the key set has no key `../../dev/null`");
        assert_eq!(
            TokenError::UnknownKeyId { key_set: None, kid: None }.to_string(),
            "the token has no `kid`, and the key set has no key that fits its `alg`"
        );
        assert_eq!(
            TokenError::KeysOutdated { key_set: "acme".to_owned(), kid: KeyId::new("k9") }.to_string(),
            "issuer `acme` has no key `k9`, and newer keys could not be fetched"
        );
    }
}
