//! Tokens for tests: a claim set becomes a token as its issuer would give it, by keys that were made for the purpose.
//!
//! What is said of a caller goes the whole way that a real token goes – signature, claim rules, roles that the issuer may
//! confer, tenant – and nothing of it is skipped because it is a test. The keys live as long as the [`Claimant`]; no real
//! key of the bundle verifies anything here, and nothing that is signed here is worth anything elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::authorizer::Evidence;
use crate::bundle::Bundle;
use crate::credential::BearerToken;
use crate::jose::issuer::KeySource;
use crate::jose::{
    AnswerError, Hmac, Introspected, JwkSet, KeyRing, TokenError, TrustedIssuer, VerifiedClaims, verify_token,
};
use crate::time::Timestamp;

use super::mint::{DevelopmentKey, MintError, TokenRequest, claims_for, compact, header_for};

/// Signs as each issuer of a bundle, and holds the keys that verify it.
#[derive(Debug)]
pub struct Claimant<'b> {
    bundle: &'b Bundle,
    /// By [`TrustedIssuer::key_set`].
    signers: HashMap<Arc<str>, Signer>,
    keys: KeyRing,
    /// A key that nobody trusts.
    stranger: DevelopmentKey,
}

/// How an issuer's tokens are made.
enum Signer {
    /// By a key pair for ECDSA with P-256, which every issuer's file leaves open: a key set says its own algorithms.
    KeyPair(DevelopmentKey),
    /// By a secret that it shares.
    Secret(Hmac, Vec<u8>),
    /// Its tokens say nothing; it is asked about them.
    Opaque,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyPair(_) => "KeyPair(…)",
            Self::Secret(..) => "Secret(…)",
            Self::Opaque => "Opaque",
        })
    }
}

/// What a token shall say, and by whom.
#[derive(Clone, Debug)]
pub struct ClaimSet {
    /// The issuer's alias. Where `iss` stands in the request's claims and is another one of the same file, that one.
    pub issuer: String,
    /// What it says; what it does not say comes from the issuer's file. A claim that is null is left out.
    pub request: TokenRequest,
    /// Parameters of the header beside those that the key and the issuer's file ask for, and in their place; null leaves
    /// one out.
    pub header: Map<String, Value>,
    /// Who signs.
    pub signature: Signature,
}

/// Who signs a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Its issuer.
    Issuer,
    /// Somebody who has not the issuer's key, and names it.
    Forged,
    /// Somebody with a key that the issuer has not.
    UnknownKey,
    /// Another issuer of the bundle, by its alias.
    Of(String),
    /// Nobody: `alg` is `none`.
    None,
}

/// How long a token is valid that says nothing of it, in seconds.
pub const LIFETIME_SECONDS: i64 = 3_600;

impl ClaimSet {
    /// What an issuer says of a subject at `now`, for [`LIFETIME_SECONDS`].
    #[must_use]
    pub fn new(issuer: &str, subject: &str, now: Timestamp) -> Self {
        let request = TokenRequest {
            subject: subject.to_owned(),
            client_id: None,
            roles: Vec::new(),
            scopes: Vec::new(),
            tenant: None,
            issued_at: now,
            expires_at: Timestamp::from_unix_seconds(now.unix_seconds().saturating_add(LIFETIME_SECONDS)),
            claims: Map::new(),
        };
        Self { issuer: issuer.to_owned(), request, header: Map::new(), signature: Signature::Issuer }
    }
}

/// A token as a caller presents it, and what its issuer says where it is asked.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The token.
    pub token: BearerToken<'static>,
    /// The issuer's answer about an opaque one.
    pub introspected: Option<Introspected>,
}

/// Why there is no token. No message has anything of a key or a token in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimantError {
    /// No such issuer.
    #[error("no issuer `{name}` stands in policies/issuers")]
    UnknownIssuer {
        /// The alias.
        name: String,
    },
    /// The cryptographic library gave no random bytes.
    #[error("the operating system gives no random bytes")]
    Random,
    /// A key cannot be made, or cannot sign.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// What an issuer would say of an opaque token cannot be read.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// A token that no caller can present.
    #[error("the token would have {bytes} bytes: the limit is {}", BearerToken::MAX_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl<'b> Claimant<'b> {
    /// Makes a key for each issuer of the bundle.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn new(bundle: &'b Bundle) -> Result<Self, ClaimantError> {
        let mut claimant = Self {
            bundle,
            signers: HashMap::new(),
            keys: KeyRing::default(),
            stranger: DevelopmentKey::es256()?,
        };
        for issuer in bundle.issuers().by_key_set() {
            claimant.make_key(issuer)?;
        }
        Ok(claimant)
    }

    fn make_key(&mut self, issuer: &TrustedIssuer) -> Result<(), ClaimantError> {
        let signer = match issuer.keys() {
            KeySource::Opaque => Signer::Opaque,
            KeySource::Secret(shared) => {
                let mut secret = vec![0; SECRET_BYTES];
                rand::fill(&mut secret).map_err(|_| ClaimantError::Random)?;
                // The secret is longer than any hash, so it is never too short.
                if let Ok(set) = JwkSet::from_secret(&secret, shared.algorithm) {
                    self.keys.insert(issuer.key_set(), set);
                }
                Signer::Secret(shared.algorithm, secret)
            }
            KeySource::Development | KeySource::File(_) | KeySource::Inline(_) | KeySource::Published(_) => {
                let key = DevelopmentKey::es256()?;
                if let Ok(set) = JwkSet::from_json(key.public_jwks().to_string().as_bytes()) {
                    self.keys.insert(issuer.key_set(), set);
                }
                Signer::KeyPair(key)
            }
        };
        self.signers.insert(Arc::clone(issuer.key_set()), signer);
        Ok(())
    }

    /// The keys that verify what is signed here, and nothing else.
    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// The token that a caller presents who was given this claim set at `now`.
    ///
    /// # Errors
    /// [`ClaimantError`]
    pub fn present(&self, set: &ClaimSet, now: Timestamp) -> Result<Presented, ClaimantError> {
        let issuer = self.issuer(set)?;
        let mut claims = claims_for(issuer, &set.request);
        claims.retain(|_, value| !value.is_null());
        match self.signer(issuer) {
            Some(Signer::Opaque) | None => self.opaque(issuer, claims, &set.signature, now),
            Some(own) => {
                let token = self.sign(issuer, own, set, &claims)?;
                Ok(Presented { token: bearer(&token)?, introspected: None })
            }
        }
    }

    /// What is believed of a token at `now`, by the authorizer's own rules.
    ///
    /// # Errors
    /// The first reason not to believe it.
    pub fn verify(&self, presented: &Presented, now: Timestamp) -> Result<VerifiedClaims, TokenError> {
        let said = presented.introspected.as_ref();
        verify_token(&presented.token, self.bundle.issuers(), &self.keys, said, now)
    }

    /// What an answer about an event with this token rests on.
    #[must_use]
    pub fn evidence<'a>(&'a self, presented: Option<&'a Presented>) -> Evidence<'a> {
        let introspected = presented.and_then(|presented| presented.introspected.as_ref());
        Evidence { keys: &self.keys, introspected }
    }

    /// The issuer that a claim set speaks for.
    fn issuer(&self, set: &ClaimSet) -> Result<&'b TrustedIssuer, ClaimantError> {
        let issuers = self.bundle.issuers();
        let named = issuers
            .named(&set.issuer)
            .ok_or_else(|| ClaimantError::UnknownIssuer { name: set.issuer.clone() })?;
        let written = set.request.claims.get("iss").and_then(Value::as_str);
        let of_the_same_file =
            written.and_then(|iss| issuers.find(iss)).filter(|of| of.name() == named.name());
        Ok(of_the_same_file.unwrap_or(named))
    }

    fn signer(&self, issuer: &TrustedIssuer) -> Option<&Signer> {
        self.signers.get(issuer.key_set())
    }

    fn sign(
        &self,
        issuer: &TrustedIssuer,
        own: &Signer,
        set: &ClaimSet,
        claims: &Map<String, Value>,
    ) -> Result<String, ClaimantError> {
        let other = match &set.signature {
            Signature::Of(name) => {
                let unknown = || ClaimantError::UnknownIssuer { name: name.clone() };
                let other = self.bundle.issuers().named(name).ok_or_else(unknown)?;
                self.signer(other)
            }
            Signature::Issuer | Signature::Forged | Signature::UnknownKey | Signature::None => None,
        };
        // Who is asked about its tokens signs none: what it would sign is by a key that nobody has.
        let by = match (&set.signature, other) {
            (Signature::Issuer, _) => Hand::Of(own),
            (Signature::Of(_), Some(other @ (Signer::KeyPair(_) | Signer::Secret(..)))) => Hand::Of(other),
            (Signature::Of(_), Some(Signer::Opaque) | None) | (Signature::UnknownKey, _) => Hand::Stranger,
            (Signature::Forged, _) => Hand::Forger(own),
            (Signature::None, _) => Hand::Nobody,
        };
        let mut header = header_for(issuer);
        header.extend(by.header(&self.stranger));
        header.extend(set.header.clone());
        header.retain(|_, value| !value.is_null());
        Ok(compact(&header, claims, |message| by.sign(message, &self.stranger))?)
    }

    /// A token that says nothing, and what its issuer says of it: that it is good, if it is the issuer's own.
    fn opaque(
        &self,
        issuer: &TrustedIssuer,
        mut answer: Map<String, Value>,
        signature: &Signature,
        now: Timestamp,
    ) -> Result<Presented, ClaimantError> {
        // A text that no other claim set has.
        let name = digest(&SHA256, json!([issuer.name(), answer]).to_string().as_bytes());
        let prefix = issuer.introspection().and_then(|rule| rule.prefix()).unwrap_or_default();
        let token = bearer(&format!("{prefix}{}", URL_SAFE_NO_PAD.encode(name)))?;
        answer.entry("active").or_insert_with(|| json!(*signature == Signature::Issuer));
        let answer = Value::Object(answer).to_string().into_bytes();
        let introspected = Introspected::new(issuer, &token, now, answer)?;
        Ok(Presented { token, introspected: Some(introspected) })
    }
}

/// Longer than the longest hash: an HMAC's secret must be as long as its hash (RFC 7518 §3.2).
const SECRET_BYTES: usize = 64;

/// Whose hand signs.
enum Hand<'k> {
    Of(&'k Signer),
    /// Who names the key of another.
    Forger(&'k Signer),
    Stranger,
    Nobody,
}

impl Hand<'_> {
    /// `alg`, and `kid` where there is one.
    fn header(&self, stranger: &DevelopmentKey) -> Map<String, Value> {
        let (alg, kid) = match self {
            Self::Of(Signer::KeyPair(key)) | Self::Forger(Signer::KeyPair(key)) => {
                (key.algorithm().as_str(), Some(key.key_id()))
            }
            Self::Of(Signer::Secret(algorithm, _)) | Self::Forger(Signer::Secret(algorithm, _)) => {
                (algorithm.as_str(), None)
            }
            Self::Of(Signer::Opaque) | Self::Forger(Signer::Opaque) | Self::Stranger => {
                (stranger.algorithm().as_str(), Some(stranger.key_id()))
            }
            Self::Nobody => ("none", None),
        };
        let mut header = Map::from_iter([("alg".to_owned(), json!(alg))]);
        if let Some(kid) = kid {
            header.insert("kid".to_owned(), json!(kid));
        }
        header
    }

    fn sign(&self, message: &str, stranger: &DevelopmentKey) -> Result<Vec<u8>, MintError> {
        let by_pair =
            |key: &DevelopmentKey| key.signing_key().sign(key.algorithm(), message).map_err(MintError::from);
        match self {
            Self::Of(Signer::KeyPair(key)) => by_pair(key),
            Self::Of(Signer::Secret(algorithm, secret)) => Ok(mac(*algorithm, secret, message)),
            Self::Forger(Signer::Secret(algorithm, _)) => Ok(mac(*algorithm, &[0; SECRET_BYTES], message)),
            Self::Forger(Signer::KeyPair(_) | Signer::Opaque) | Self::Of(Signer::Opaque) | Self::Stranger => {
                by_pair(stranger)
            }
            Self::Nobody => Ok(Vec::new()),
        }
    }
}

fn mac(algorithm: Hmac, secret: &[u8], message: &str) -> Vec<u8> {
    let algorithm = match algorithm {
        Hmac::Hs256 => hmac::HMAC_SHA256,
        Hmac::Hs384 => hmac::HMAC_SHA384,
        Hmac::Hs512 => hmac::HMAC_SHA512,
    };
    hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes()).as_ref().to_vec()
}

fn bearer(text: &str) -> Result<BearerToken<'static>, ClaimantError> {
    BearerToken::new(text.to_owned()).ok_or(ClaimantError::TooLong { bytes: text.len() })
}
