//! Opaque tokens: the issuer is asked about each (RFC 7662), and its answer is held to the rules that a JWT's claims are
//! held to. The asking itself is the shell's; here is what an answer is worth.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Digest, SHA256, digest};

use super::error::TokenError;
use super::issuer::{Introspection, TrustedIssuer, TrustedIssuers};
use super::json::{Json, JsonError, Object};
use super::jwk::KeyRing;
use super::verify::{Form, VerifiedClaims, accept, invalid, present, string, verify};
use crate::credential::BearerToken;
use crate::time::Timestamp;

/// Verifies a token of either form at the moment `now`: an opaque one by what its issuer said about it, any other by
/// [`verify`].
///
/// # Errors
/// The first reason not to believe it. [`TokenError::need`] says what could change that.
pub fn verify_token(
    token: &BearerToken<'_>,
    issuers: &TrustedIssuers,
    keys: &KeyRing,
    introspected: Option<&Introspected>,
    now: Timestamp,
) -> Result<VerifiedClaims, TokenError> {
    match issuers.introspecting(token).and_then(|issuer| Some((issuer, issuer.introspection()?))) {
        Some((issuer, rule)) => verify_opaque(token, issuer, rule, introspected, now),
        None => verify(token, issuers, keys, now),
    }
}

/// What an issuer said about one token at one moment (RFC 7662 §2.2): a JSON object, and not judged yet. It is about that
/// token alone and cannot be held against another. `Debug` shows whose it is.
#[derive(Clone)]
pub struct Introspected {
    issuer: Arc<str>,
    /// SHA-256 of all of the token's bytes.
    token: Digest,
    asked_at: Timestamp,
    answer: Vec<u8>,
}

/// How long one request may take: API Gateway waits no longer for the authorizer of an HTTP API. Who was asked for it has
/// spoken for it, however short `max_age` is.
const ONE_REQUEST_MILLIS: i64 = 10_000;

impl Introspected {
    /// The longest answer that is read, in bytes: four times the longest token.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Takes what `issuer`, asked at `asked_at` about `token`, answered.
    ///
    /// # Errors
    /// When it is too large, or no JSON object of which each member stands there once.
    pub fn new(
        issuer: &TrustedIssuer,
        token: &BearerToken<'_>,
        asked_at: Timestamp,
        answer: Vec<u8>,
    ) -> Result<Self, AnswerError> {
        if answer.len() > Self::MAX_BYTES {
            return Err(AnswerError::TooLarge { bytes: answer.len() });
        }
        object(&answer)?;
        Ok(Self { issuer: Arc::clone(&issuer.name), token: digest_of(token), asked_at, answer })
    }

    fn is_about(&self, token: &BearerToken<'_>, issuer: &TrustedIssuer) -> bool {
        self.issuer == issuer.name && self.token.as_ref() == digest_of(token).as_ref()
    }

    /// Whether it is recent enough to be held against a token: as old as it is believed, or asked for in the course of the
    /// same request.
    fn is_recent(&self, rule: &Introspection, now: Timestamp) -> bool {
        let age = now.unix_millis().saturating_sub(self.asked_at.unix_millis());
        (0..=rule.max_age_millis().max(ONE_REQUEST_MILLIS)).contains(&age)
    }

    /// The moment up to which other requests may believe it.
    fn believed_until(&self, rule: &Introspection) -> Timestamp {
        Timestamp::from_unix_millis(self.asked_at.unix_millis().saturating_add(rule.max_age_millis()))
    }
}

impl fmt::Debug for Introspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspected")
            .field("issuer", &self.issuer)
            .field("asked_at", &self.asked_at)
            .finish_non_exhaustive()
    }
}

/// Why a text is no answer about a token. No message has anything of the answer in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Longer than is read.
    #[error("the answer has {bytes} bytes: the limit is {}", Introspected::MAX_BYTES)]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON as RFC 8259 defines it.
    #[error("the answer is not JSON: line {line}, column {column}")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// JSON, but no object.
    #[error("the answer is not a JSON object")]
    NotAnObject,
    /// A member stands twice in an object, so that two readers could read two answers.
    #[error("the answer has a member twice")]
    DuplicateMember,
    /// Arrays and objects nest deeper than 16 levels.
    #[error("the answer nests too deep")]
    TooDeep,
}

fn verify_opaque(
    token: &BearerToken<'_>,
    issuer: &TrustedIssuer,
    rule: &Introspection,
    introspected: Option<&Introspected>,
    now: Timestamp,
) -> Result<VerifiedClaims, TokenError> {
    let unavailable = || TokenError::IntrospectionUnavailable {
        issuer: issuer.name().to_owned(),
        token: token.clone().into_owned(),
    };
    let said = introspected
        .filter(|said| said.is_about(token, issuer))
        .filter(|said| said.is_recent(rule, now))
        .ok_or_else(unavailable)?;
    let answer = object(&said.answer).map_err(|_| unavailable())?;
    // RFC 7662 §2.2: a boolean. The word "true" is something else.
    let Some(Json::Bool(true)) = answer.member("active") else {
        return Err(TokenError::Inactive { issuer: issuer.name().to_owned() });
    };
    if string(&answer, "iss")?.is_some_and(|iss| iss != issuer.issuer()) {
        return Err(invalid("iss", "the issuer that was asked"));
    }
    check_token_type(&answer)?;
    let claims = accept(issuer, Form::Opaque(rule), &answer, now)?;
    Ok(claims.valid_at_most_until(said.believed_until(rule)))
}

/// RFC 6749 §7.1: a client must not use a token of a type that it does not understand; nor must we.
fn check_token_type(answer: &Object<'_>) -> Result<(), TokenError> {
    match present(answer.member("token_type")) {
        None => Ok(()),
        Some(Json::String(token_type)) if token_type.eq_ignore_ascii_case("bearer") => Ok(()),
        Some(_) => Err(invalid("token_type", "`Bearer`")),
    }
}

fn object(answer: &[u8]) -> Result<Object<'_>, AnswerError> {
    match Json::parse(answer) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err(AnswerError::NotAnObject),
        Err(JsonError::Syntax { line, column }) => Err(AnswerError::NotJson { line, column }),
        Err(JsonError::DuplicateMember) => Err(AnswerError::DuplicateMember),
        Err(JsonError::TooDeep) => Err(AnswerError::TooDeep),
    }
}

fn digest_of(token: &BearerToken<'_>) -> Digest {
    digest(&SHA256, token.expose().as_bytes())
}
