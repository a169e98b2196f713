//! The rules by which a token is believed. Only [`verify`] makes [`VerifiedClaims`].
//!
//! In this order, so that nothing is read before what protects it: form and size; `iss` exactly one of ours; `alg` one
//! that the issuer's file leaves open; the key, from that issuer's set alone, bound to `alg`; the signature; then the
//! claims: `exp`, `nbf`, `iat`, kind of token, audience and client, required claims and values, `sub`, whether the token
//! was revoked, tenant, and what becomes roles, scopes and attributes.

use std::fmt;
use std::sync::Arc;

use super::error::{Excerpt, TokenError};
use super::issuer::kind::{KindMark, TokenKind, TokenUse, is_access_token_typ};
use super::issuer::names::{ClaimPath, Name, ScopeName};
use super::issuer::rules::{CnfRule, Listed, RoleRule, Tenant};
use super::issuer::{ClientRule, Introspection, KeySource, TrustedIssuer, TrustedIssuers};
use super::json::{Json, Object};
use super::jwk::{Jwk, JwkSet, KeyMiss, KeyRing};
use super::jws::{Algorithm, CompactJws, JwsAlgorithm, KeyId};
use super::revocation::{Cutoff, Presented, RevokedBy};
use crate::credential::BearerToken;
use crate::time::Timestamp;

/// Verifies an access or ID token (a JWT, RFC 7519, in a compact JWS) at the moment `now`.
///
/// # Errors
/// The first reason not to believe it. [`TokenError::UnknownKeyId`], [`TokenError::KeysUnavailable`] and
/// [`TokenError::KeysOutdated`] may pass with newer keys; no other will.
pub fn verify(
    token: &BearerToken<'_>,
    issuers: &TrustedIssuers,
    keys: &KeyRing,
    now: Timestamp,
) -> Result<VerifiedClaims, TokenError> {
    let jws = CompactJws::parse(token.expose())?;
    let claims = jws.claims()?;
    let iss = string(&claims, "iss")?.ok_or_else(|| missing("iss"))?;
    let issuer = issuers.find(iss).ok_or_else(|| TokenError::UnknownIssuer { iss: Excerpt::of(iss) })?;
    check_algorithm(issuer, jws.algorithm())?;
    let set = keys
        .keys_of(issuer.key_set(), now)
        .ok_or_else(|| TokenError::KeysUnavailable { key_set: issuer.key_set().to_string() })?;
    check_signature(&jws, set, Some(issuer)).map_err(|error| match error {
        TokenError::UnknownKeyId { kid, .. } if keys.is_outdated(issuer.key_set()) => {
            TokenError::KeysOutdated { key_set: issuer.key_set().to_string(), kid }
        }
        error => error,
    })?;
    accept(issuer, Form::Jwt(&jws), &claims, now)
}

/// Verifies a compact JWS against a bare key set: form, header, key and signature as [`verify`] does, no claim rules.
/// The payload is any octets (RFC 7515 §2).
///
/// # Errors
/// The first reason not to believe it.
pub fn verify_jws(text: &str, keys: &JwkSet) -> Result<(), TokenError> {
    check_signature(&CompactJws::parse(text)?, keys, None)
}

/// What a verified token says, as far as its issuer's file gives it a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedClaims {
    issuer: Arc<str>,
    directory: Option<Arc<str>>,
    key_set: Option<Arc<str>>,
    kind: PrincipalKind,
    subject: String,
    client_id: Option<String>,
    tenant: Option<String>,
    roles: Vec<String>,
    refused_roles: Vec<String>,
    scopes: Vec<String>,
    email: Option<String>,
    email_verified: Option<bool>,
    attributes: Vec<(Arc<str>, ClaimValue)>,
    usage_key: Option<UsageKey>,
    token_id: Option<String>,
    key_id: Option<KeyId>,
    issued_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    valid_until: Timestamp,
}

/// The value of an API key of the caller's usage plan: a secret. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct UsageKey(String);

impl UsageKey {
    /// The value: for the answer only, never for a message or a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UsageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UsageKey(…)")
    }
}

/// Whom a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalKind {
    /// A person, through a client.
    User,
    /// A client by itself (RFC 6749 §4.4): its `sub` is its client id.
    Client,
}

/// A claim that an issuer file makes an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimValue {
    /// A JSON string.
    String(String),
    /// A JSON number that is an integer of 64 bits.
    Long(i64),
    /// A JSON boolean.
    Bool(bool),
    /// A JSON array of strings, sorted, each once.
    Set(Vec<String>),
}

impl VerifiedClaims {
    /// Alias of the issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The id of the Entra tenant in whose directory the subject is, where the issuer's file lists several: the same `sub`
    /// or client id in another directory is somebody else.
    #[must_use]
    pub fn directory(&self) -> Option<&str> {
        self.directory.as_deref()
    }

    /// The name of the key set that holds the key of its signature: [`TrustedIssuer::key_set`]; `None` for an opaque token.
    #[must_use]
    pub fn key_set(&self) -> Option<&Arc<str>> {
        self.key_set.as_ref()
    }

    /// Whom the token speaks for.
    #[must_use]
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// `sub`: 1 to 255 characters without control characters.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The client that got the token, where the token says.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// The tenant: fixed by the issuer's file, or from its claim and on its list.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The roles that the issuer may confer and the token names; sorted, each once.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// What the token names as roles and its issuer may not confer, as the token spells it; sorted, each once.
    #[must_use]
    pub fn refused_roles(&self) -> &[String] {
        &self.refused_roles
    }

    /// The scopes (RFC 6749 §3.3); sorted, each once.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// `email`. Not an identity unless [`Self::email_verified`] says so and the issuer can be trusted with it.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// `email_verified`.
    #[must_use]
    pub fn email_verified(&self) -> Option<bool> {
        self.email_verified
    }

    /// The attributes that the issuer's file takes from claims, sorted by name; a claim the token lacks is left out.
    pub fn claims(&self) -> impl Iterator<Item = (&str, &ClaimValue)> {
        self.attributes.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// The API key of the caller's usage plan, where the issuer's file maps a claim as `usage_key`.
    #[must_use]
    pub fn usage_key(&self) -> Option<&UsageKey> {
        self.usage_key.as_ref()
    }

    /// The token's own id, mostly `jti`: what a log may call it.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// The `kid` that the token names.
    #[must_use]
    pub fn key_id(&self) -> Option<&KeyId> {
        self.key_id.as_ref()
    }

    /// `iat`.
    #[must_use]
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.issued_at
    }

    /// `exp`, without leeway; `None` where the token has none and its issuer's file lets its age alone end it.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// The moment from which the claims are not believed any more: the sooner of `exp` and `iat` plus the longest age, each
    /// with the leeway; for an opaque token also the end of what its issuer said about it.
    #[must_use]
    pub fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    /// The same, believed for no longer than `end`.
    pub(super) fn valid_at_most_until(self, end: Timestamp) -> Self {
        Self { valid_until: self.valid_until.min(end), ..self }
    }
}

/// What the issuer's file leaves open, before any key is looked for: an issuer may have no JWTs at all; no key that can be
/// fetched is a secret, and a secret is all that its issuer signs with.
fn check_algorithm(issuer: &TrustedIssuer, algorithm: JwsAlgorithm) -> Result<(), TokenError> {
    match (issuer.keys(), algorithm) {
        (KeySource::Opaque, _) => Err(TokenError::NotOpaque { issuer: issuer.name().to_owned() }),
        (KeySource::Secret(secret), _) if algorithm != JwsAlgorithm::Mac(secret.algorithm) => {
            Err(TokenError::IssuerAlgorithm { issuer: issuer.name().to_owned(), expected: secret.algorithm })
        }
        (KeySource::Secret(_), _) | (_, JwsAlgorithm::Signature(_)) => Ok(()),
        (_, JwsAlgorithm::Mac(_)) => Err(TokenError::Algorithm),
    }
}

/// The key is found by the header alone; it must be one of the issuer's, where there is one.
fn check_signature(
    jws: &CompactJws<'_>,
    keys: &JwkSet,
    issuer: Option<&TrustedIssuer>,
) -> Result<(), TokenError> {
    let verifies = match (jws.algorithm(), keys.mac_key()) {
        (JwsAlgorithm::Signature(algorithm), None) => {
            public_key(jws, algorithm, keys, issuer)?.verifies(algorithm, jws)
        }
        (JwsAlgorithm::Mac(algorithm), Some(key)) if key.algorithm() == algorithm => key.verifies(jws),
        (JwsAlgorithm::Signature(_) | JwsAlgorithm::Mac(_), _) => return Err(TokenError::Algorithm),
    };
    if verifies { Ok(()) } else { Err(TokenError::BadSignature) }
}

/// The one key of a published set that the token can mean, and that may sign its issuer's tokens.
fn public_key<'k>(
    jws: &CompactJws<'_>,
    algorithm: Algorithm,
    keys: &'k JwkSet,
    issuer: Option<&TrustedIssuer>,
) -> Result<&'k Jwk, TokenError> {
    let kid = jws.key_id();
    let unknown = |kid: Option<&KeyId>| TokenError::UnknownKeyId {
        key_set: issuer.map(|issuer| issuer.key_set().to_string()),
        kid: kid.cloned(),
    };
    let key = keys.key_for(kid.map(KeyId::as_str), algorithm).map_err(|miss| match (miss, kid) {
        (KeyMiss::WrongAlgorithm, Some(kid)) => TokenError::KeyAlgorithm { algorithm, kid: kid.clone() },
        (KeyMiss::Ambiguous { count }, _) => TokenError::AmbiguousKey { count },
        (KeyMiss::UnknownKeyId | KeyMiss::NoneFits | KeyMiss::WrongAlgorithm, kid) => unknown(kid),
    })?;
    match issuer {
        Some(issuer) if !issuer.may_use(key) => {
            Err(TokenError::KeyOfAnotherIssuer { issuer: issuer.name().to_owned(), kid: kid.cloned() })
        }
        Some(_) | None => Ok(key),
    }
}

/// In which form a token came; what it claims is held to the same rules.
#[derive(Clone, Copy)]
pub(super) enum Form<'a> {
    /// Its signature has been verified.
    Jwt(&'a CompactJws<'a>),
    /// Its issuer was asked about it and said that it is active.
    Opaque(&'a Introspection),
}

impl Form<'_> {
    fn is_signed(&self) -> bool {
        matches!(self, Self::Jwt(_))
    }

    fn key_id(&self) -> Option<&KeyId> {
        match self {
            Self::Jwt(jws) => jws.key_id(),
            Self::Opaque(_) => None,
        }
    }
}

/// The claim rules.
pub(super) fn accept(
    issuer: &TrustedIssuer,
    form: Form<'_>,
    claims: &Object<'_>,
    now: Timestamp,
) -> Result<VerifiedClaims, TokenError> {
    let times = check_times(issuer, claims, now)?;
    let kind = check_kind(issuer, form, claims)?;
    check_confirmation(issuer, claims)?;
    check_audience(issuer, issuer.audience_claim(kind), claims)?;
    refuse_claims_elsewhere(issuer, claims)?;
    let client_id = client_id(issuer, claims)?;
    check_required(issuer, claims)?;
    let subject = subject(form, client_id, claims)?;
    let token_id = identifier(issuer.token_id_claim.find(claims), issuer.token_id_claim.as_str())?;
    if issuer.revokes() {
        let presented = Presented {
            subject,
            clients: clients(client_id, issuer.audience_claim(kind), claims),
            token_id,
            issued_at: times.issued_at,
            signed_in_at: signed_in_at(claims, times.issued_at),
        };
        check_revoked(issuer, &presented)?;
    }
    let (roles, refused_roles) = roles(issuer.roles.as_ref(), claims)?;
    Ok(VerifiedClaims {
        issuer: Arc::clone(&issuer.name),
        directory: issuer.directory().cloned(),
        key_set: form.is_signed().then(|| Arc::clone(issuer.key_set())),
        kind: principal_kind(issuer.client_rule, kind, subject, client_id, claims),
        subject: subject.to_owned(),
        client_id: client_id.map(str::to_owned),
        tenant: tenant(issuer, claims)?,
        roles,
        refused_roles,
        scopes: scopes(issuer, claims)?,
        email: string(claims, "email")?.map(str::to_owned),
        email_verified: email_verified(claims)?,
        attributes: attributes(issuer, claims)?,
        usage_key: usage_key(issuer, claims)?,
        token_id: token_id.map(str::to_owned),
        key_id: form.key_id().cloned(),
        issued_at: times.issued_at,
        expires_at: times.expires_at,
        valid_until: times.valid_until,
    })
}

/// When a token was issued, and when it ends.
struct Times {
    issued_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    valid_until: Timestamp,
}

/// `exp` is required, unless the issuer's file says that the age is to end a token; `nbf` and `iat` may be absent, and
/// must not lie in the future when they are there; where the age counts, `iat` is required.
fn check_times(issuer: &TrustedIssuer, claims: &Object<'_>, now: Timestamp) -> Result<Times, TokenError> {
    let leeway = issuer.leeway.millis();
    let is_over = |end: Timestamp| end.unix_millis().saturating_add(leeway) <= now.unix_millis();
    let expires_at = numeric_date(claims, "exp")?;
    if expires_at.is_none() && issuer.lifetime.requires_expiry() {
        return Err(missing("exp"));
    }
    // RFC 7519 §4.1.4: "on or after which the JWT MUST NOT be accepted".
    if let Some(expired_at) = expires_at.filter(|end| is_over(*end)) {
        return Err(TokenError::Expired { expired_at, now });
    }
    let not_in_the_future = |claim: &'static str| {
        let moment = numeric_date(claims, claim)?;
        match moment {
            Some(valid_from) if valid_from.unix_millis() > now.unix_millis().saturating_add(leeway) => {
                Err(TokenError::NotYetValid { claim, valid_from, now })
            }
            _ => Ok(moment),
        }
    };
    not_in_the_future("nbf")?;
    let issued_at = not_in_the_future("iat")?;
    let oldest = match issuer.lifetime.max_age() {
        None => None,
        Some(age) => {
            let issued_at = issued_at.ok_or_else(|| missing("iat"))?;
            let oldest = Timestamp::from_unix_millis(issued_at.unix_millis().saturating_add(age.millis()));
            if is_over(oldest) {
                return Err(TokenError::TooOld { issued_at, max_age: age.get(), now });
            }
            Some(oldest)
        }
    };
    let end = expires_at.into_iter().chain(oldest).min().ok_or_else(|| missing("exp"))?;
    let valid_until = Timestamp::from_unix_millis(end.unix_millis().saturating_add(leeway));
    Ok(Times { issued_at, expires_at, valid_until })
}

/// A NumericDate (RFC 7519 §2): a JSON number of seconds since the epoch, with or without a fraction, up to the end of
/// the year 9999; rounded down to the millisecond.
fn numeric_date(claims: &Object<'_>, claim: &'static str) -> Result<Option<Timestamp>, TokenError> {
    const LAST_SECOND: i64 = Timestamp::LAST_NUMERIC_DATE;
    let moment = match present(claims.member(claim)) {
        None => return Ok(None),
        Some(Json::Integer(seconds)) if (0..=LAST_SECOND).contains(seconds) => {
            Some(Timestamp::from_unix_seconds(*seconds))
        }
        Some(Json::Float(seconds)) if (0.0..=LAST_SECOND as f64).contains(seconds) => {
            Some(Timestamp::from_unix_millis((seconds * 1000.0).floor() as i64))
        }
        Some(_) => None,
    };
    moment.map(Some).ok_or_else(|| invalid(claim, "a number of seconds since 1970, up to the year 9999"))
}

/// The kind of the token, `None` where it does not say and both are accepted. An opaque token has no header.
fn check_kind(
    issuer: &TrustedIssuer,
    form: Form<'_>,
    claims: &Object<'_>,
) -> Result<Option<TokenKind>, TokenError> {
    let typ = match form {
        Form::Jwt(jws) if !issuer.typ.accepts(jws.typ()) => {
            return Err(TokenError::WrongType { issuer: issuer.name().to_owned(), expected: issuer.typ });
        }
        Form::Jwt(jws) => jws.typ(),
        Form::Opaque(_) => None,
    };
    let said = match &issuer.kind_mark {
        KindMark::Nothing => {
            return Ok(match issuer.token_use {
                TokenUse::Access => Some(TokenKind::Access),
                TokenUse::Id => Some(TokenKind::Id),
                TokenUse::Any => is_access_token_typ(typ).then_some(TokenKind::Access),
            });
        }
        KindMark::Presence(marks) if marks.iter().any(|mark| mark.find(claims).is_some()) => {
            Some(TokenKind::Access)
        }
        KindMark::Presence(_) => Some(TokenKind::Id),
        KindMark::Value(rule) => {
            let said = rule.claim.find(claims).ok_or_else(|| missing(rule.claim.as_str()))?;
            match said.as_str() {
                Some(said) if said == rule.access => Some(TokenKind::Access),
                Some(said) if said == rule.id => Some(TokenKind::Id),
                Some(_) | None => None,
            }
        }
    };
    match said {
        Some(kind) if issuer.token_use.accepts(kind) => Ok(Some(kind)),
        Some(_) | None => {
            Err(TokenError::WrongTokenUse { issuer: issuer.name().to_owned(), expected: issuer.token_use })
        }
    }
}

/// RFC 9449 §7.2, RFC 8705 §3: a token that is bound to its sender's key is not a bearer token, and nothing here asks for
/// the key.
fn check_confirmation(issuer: &TrustedIssuer, claims: &Object<'_>) -> Result<(), TokenError> {
    match (present(claims.member("cnf")), issuer.cnf) {
        (None, _) | (Some(_), CnfRule::Any) => Ok(()),
        (Some(_), CnfRule::None) => Err(TokenError::SenderConstrained { issuer: issuer.name().to_owned() }),
    }
}

/// Whom the token is about. RFC 7662 §2.2 lets an issuer leave `sub` out where no user is behind the token; where its file
/// says so, such a token is its client's own.
fn subject<'c>(
    form: Form<'_>,
    client_id: Option<&'c str>,
    claims: &'c Object<'_>,
) -> Result<&'c str, TokenError> {
    if let Some(subject) = identifier(claims.member("sub"), "sub")? {
        return Ok(subject);
    }
    match form {
        Form::Opaque(rule) if rule.absent_sub_is_client() && !claims.contains("username") => {
            client_id.ok_or_else(|| missing("sub"))
        }
        Form::Opaque(_) | Form::Jwt(_) => Err(missing("sub")),
    }
}

/// RFC 7519 §4.1.3: a string, or an array of strings; one of them must be an audience of ours.
fn check_audience(issuer: &TrustedIssuer, claim: &ClaimPath, claims: &Object<'_>) -> Result<(), TokenError> {
    if matches!(issuer.audience, Listed::Any) {
        return Ok(());
    }
    let audience = claim.find(claims).ok_or_else(|| missing(claim.as_str()))?;
    let audiences =
        strings(audience).ok_or_else(|| invalid(claim.as_str(), "a string or an array of strings"))?;
    if audiences.into_iter().any(|audience| issuer.audience.accepts(audience)) {
        return Ok(());
    }
    Err(TokenError::WrongAudience { issuer: issuer.name().to_owned(), claim: claim.as_str().to_owned() })
}

fn check_required(issuer: &TrustedIssuer, claims: &Object<'_>) -> Result<(), TokenError> {
    if let Some(claim) = issuer.required_claims.iter().find(|claim| claim.find(claims).is_none()) {
        return Err(missing(claim.as_str()));
    }
    for rule in issuer.required_values() {
        let claim = rule.claim.as_str();
        if !rule.accepts(rule.claim.find(claims).ok_or_else(|| missing(claim))?) {
            return Err(invalid(claim, "a value that its issuer's file accepts"));
        }
    }
    Ok(())
}

/// OpenID Connect Core §5.6.2: `_claim_names` lists claims that somebody else is to be asked for. Entra does so where a
/// user is in too many groups, or, where the token came through a URL, sets `hasgroups` or `groups:src1`. A claim that
/// means something here is refused then, and not read as absent: a policy may forbid by what it says.
fn refuse_claims_elsewhere(issuer: &TrustedIssuer, claims: &Object<'_>) -> Result<(), TokenError> {
    let listed = match present(claims.member("_claim_names")) {
        None => None,
        Some(Json::Object(names)) => Some(names),
        Some(_) => return Err(invalid("_claim_names", "an object")),
    };
    let has_groups = match present(claims.member("hasgroups")) {
        None | Some(Json::Bool(false)) => claims.contains("groups:src1"),
        Some(_) => true,
    };
    let mut elsewhere = listed.into_iter().flat_map(Object::names).chain(has_groups.then_some("groups"));
    match elsewhere.find_map(|name| issuer.claims_read().find(|claim| stands_in(claim, name))) {
        None => Ok(()),
        Some(claim) => Err(TokenError::ClaimsOverage { claim: claim.to_owned() }),
    }
}

/// Whether the value at `path` is the token's member `name`, or stands inside of it.
fn stands_in(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn usage_key(issuer: &TrustedIssuer, claims: &Object<'_>) -> Result<Option<UsageKey>, TokenError> {
    let Some(claim) = &issuer.usage_key else { return Ok(None) };
    Ok(identifier(claim.find(claims), claim.as_str())?.map(|key| UsageKey(key.to_owned())))
}

/// The first of the issuer's client claims that the token has. Where the issuer's file lists clients, it is one of them:
/// the list narrows the audience to those who may use a token that is for us.
fn client_id<'c>(issuer: &TrustedIssuer, claims: &'c Object<'_>) -> Result<Option<&'c str>, TokenError> {
    let found = issuer.client_claims.iter().find_map(|claim| Some((claim.as_str(), claim.find(claims)?)));
    match (found, &issuer.clients) {
        (None, Listed::Any) => Ok(None),
        (None, Listed::These(_)) => {
            Err(missing(issuer.client_claims.first().map_or("client_id", ClaimPath::as_str)))
        }
        (Some((claim, value)), clients) => {
            let client_id = identifier(Some(value), claim)?;
            if client_id.is_some_and(|client_id| clients.accepts(client_id)) {
                return Ok(client_id);
            }
            Err(TokenError::WrongClient { issuer: issuer.name().to_owned(), claim: claim.to_owned() })
        }
    }
}

/// The clients that got the token: the one that it names; else, as for an ID token without `azp`, its audience.
fn clients<'c>(
    client_id: Option<&'c str>,
    audience_claim: &ClaimPath,
    claims: &'c Object<'_>,
) -> Vec<&'c str> {
    match client_id {
        Some(client_id) => vec![client_id],
        None => audience_claim.find(claims).and_then(strings).unwrap_or_default(),
    }
}

/// The moment of sign-in: `auth_time` (OpenID Connect Core §2), else `iat`. Nobody gets a token before signing in, so of
/// two the earlier counts; and an `auth_time` that cannot be read says nothing.
fn signed_in_at(claims: &Object<'_>, issued_at: Option<Timestamp>) -> Option<Timestamp> {
    match numeric_date(claims, "auth_time") {
        Ok(None) => issued_at,
        Ok(Some(auth_time)) => Some(issued_at.map_or(auth_time, |issued_at| issued_at.min(auth_time))),
        Err(_) => None,
    }
}

/// Refuses a token, good otherwise, that the issuer's file or the deny list refuses.
fn check_revoked(issuer: &TrustedIssuer, token: &Presented<'_>) -> Result<(), TokenError> {
    let by_file = issuer.not_before.filter(|moment| Cutoff::Before(*moment).refuses(token.issued_at));
    match by_file.map(RevokedBy::Issuer).or_else(|| issuer.revocations.refusal(token)) {
        None => Ok(()),
        Some(by) => Err(TokenError::Revoked { issuer: issuer.name().to_owned(), by }),
    }
}

/// Whether the token is a client's own. Where that is in doubt it is a user's.
fn principal_kind(
    rule: ClientRule,
    kind: Option<TokenKind>,
    subject: &str,
    client_id: Option<&str>,
    claims: &Object<'_>,
) -> PrincipalKind {
    let Some(client_id) = client_id.filter(|_| kind != Some(TokenKind::Id)) else {
        return PrincipalKind::User;
    };
    let text = |claim: &str| claims.member(claim).and_then(Json::as_str);
    let is_client = match rule {
        // Only an opaque token can be without, and its issuer's file lets it speak for its client then.
        _ if present(claims.member("sub")).is_none() => true,
        ClientRule::SubjectIsClientId => subject == client_id,
        ClientRule::SubjectIsClientIdWithout(of_users) => subject == client_id && !claims.contains(of_users),
        ClientRule::SubjectIsClientIdAnd(ending) => subject.strip_suffix(ending) == Some(client_id),
        ClientRule::EntraApplication => match text("idtyp") {
            Some(kind) => kind == "app",
            None => !claims.contains("idtyp") && !claims.contains("scp") && text("oid") == Some(subject),
        },
        ClientRule::KeycloakServiceAccount => {
            // Older versions say `clientId`.
            let of_the_account = text("client_id").or_else(|| text("clientId"));
            let is_its_user = || text("preferred_username")?.strip_prefix("service-account-");
            of_the_account == Some(client_id)
                && (is_its_user() == Some(client_id) || !claims.contains("preferred_username"))
        }
    };
    if is_client { PrincipalKind::Client } else { PrincipalKind::User }
}

fn tenant(issuer: &TrustedIssuer, claims: &Object<'_>) -> Result<Option<String>, TokenError> {
    let rule = match &issuer.tenant {
        None => return Ok(None),
        Some(Tenant::Fixed(name)) => return Ok(Some(name.as_ref().to_owned())),
        Some(Tenant::Claimed(rule)) => rule,
    };
    let claim = rule.claim.as_str();
    let tenant = rule.claim.find(claims).ok_or_else(|| missing(claim))?;
    let tenant = tenant
        .as_str()
        .filter(|tenant| Name::is_valid(tenant))
        .ok_or_else(|| invalid(claim, "a tenant's name: 1 to 64 of the characters A-Z a-z 0-9 . _ -"))?;
    if rule.allow.accepts(tenant) {
        return Ok(Some(tenant.to_owned()));
    }
    Err(TokenError::WrongTenant { issuer: issuer.name().to_owned(), claim: claim.to_owned() })
}

/// What the token names as roles: those that the issuer may confer, and the rest.
fn roles(rule: Option<&RoleRule>, claims: &Object<'_>) -> Result<(Vec<String>, Vec<String>), TokenError> {
    let Some(rule) = rule else { return Ok((Vec::new(), Vec::new())) };
    let (mut granted, mut refused) = (Vec::new(), Vec::new());
    for theirs in words(claims, &rule.claim)? {
        match rule.role(theirs) {
            Some(role) => granted.push(role),
            None => refused.push(theirs),
        }
    }
    Ok((sorted(granted), sorted(refused)))
}

fn scopes(issuer: &TrustedIssuer, claims: &Object<'_>) -> Result<Vec<String>, TokenError> {
    let scopes = sorted(words(claims, &issuer.scope_claim)?);
    let lacks = |required: &&ScopeName| !scopes.iter().any(|scope| scope == required.as_ref());
    match issuer.required_scopes.iter().find(lacks) {
        None => Ok(scopes),
        Some(scope) => Err(TokenError::MissingScope {
            issuer: issuer.name().to_owned(),
            scope: scope.as_ref().to_owned(),
        }),
    }
}

/// Roles or scopes: an array of strings, or one string with spaces between (RFC 6749 §3.3); none where the claim is
/// absent.
fn words<'c>(claims: &'c Object<'_>, claim: &ClaimPath) -> Result<Vec<&'c str>, TokenError> {
    let words = match claim.find(claims) {
        None => return Ok(Vec::new()),
        Some(Json::String(text)) => Some(text.split(' ').filter(|word| !word.is_empty()).collect()),
        Some(other) => array_of_strings(other),
    };
    words.ok_or_else(|| invalid(claim.as_str(), "a string or an array of strings"))
}

fn email_verified(claims: &Object<'_>) -> Result<Option<bool>, TokenError> {
    match present(claims.member("email_verified")) {
        None => Ok(None),
        Some(Json::Bool(verified)) => Ok(Some(*verified)),
        // Cognito and Apple send the words in some tokens.
        Some(Json::String(text)) if text == "true" => Ok(Some(true)),
        Some(Json::String(text)) if text == "false" => Ok(Some(false)),
        Some(_) => Err(invalid("email_verified", "a boolean")),
    }
}

/// The attributes of `principal.claims`. A value of a kind that Cedar does not have is refused and not left out: a
/// policy may forbid by what it finds there.
fn attributes(
    issuer: &TrustedIssuer,
    claims: &Object<'_>,
) -> Result<Vec<(Arc<str>, ClaimValue)>, TokenError> {
    let mut attributes = Vec::with_capacity(issuer.attributes.len());
    for (name, claim) in &issuer.attributes {
        if let Some(value) = claim.find(claims) {
            let value = claim_value(value).ok_or_else(|| {
                invalid(claim.as_str(), "a string, a boolean, a 64-bit integer or an array of strings")
            })?;
            attributes.push((Arc::clone(name), value));
        }
    }
    Ok(attributes)
}

fn claim_value(value: &Json<'_>) -> Option<ClaimValue> {
    match value {
        Json::String(text) => Some(ClaimValue::String(text.clone().into_owned())),
        Json::Bool(value) => Some(ClaimValue::Bool(*value)),
        Json::Integer(value) => Some(ClaimValue::Long(*value)),
        Json::Array(_) => array_of_strings(value).map(|list| ClaimValue::Set(sorted(list))),
        Json::Null | Json::Float(_) | Json::Object(_) => None,
    }
}

/// One string, or an array of them.
fn strings<'j>(value: &'j Json<'_>) -> Option<Vec<&'j str>> {
    match value {
        Json::String(text) => Some(vec![text.as_ref()]),
        other => array_of_strings(other),
    }
}

fn array_of_strings<'j>(value: &'j Json<'_>) -> Option<Vec<&'j str>> {
    match value {
        Json::Array(elements) => elements.iter().map(Json::as_str).collect(),
        Json::Null
        | Json::Bool(_)
        | Json::Integer(_)
        | Json::Float(_)
        | Json::String(_)
        | Json::Object(_) => None,
    }
}

/// A string claim at the top.
pub(super) fn string<'c>(claims: &'c Object<'_>, claim: &'static str) -> Result<Option<&'c str>, TokenError> {
    match present(claims.member(claim)) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| invalid(claim, "a string")),
    }
}

/// Whether a text can identify somebody or something, and so stand in entity ids and logs. OpenID Connect Core §2 limits
/// `sub` to 255 characters.
pub(crate) fn is_identifier(text: &str) -> bool {
    let is_plain = |text: &str| text.bytes().fold(true, |plain, byte| plain & (0x20..0x7f).contains(&byte));
    match text.len() {
        0 => false,
        1..=255 if is_plain(text) => true,
        _ => text.chars().nth(255).is_none() && !text.chars().any(char::is_control),
    }
}

/// A string claim that identifies somebody or something.
pub(super) fn identifier<'c>(
    value: Option<&'c Json<'_>>,
    claim: &str,
) -> Result<Option<&'c str>, TokenError> {
    let Some(value) = present(value) else { return Ok(None) };
    let identifier = value.as_str().filter(|text| is_identifier(text));
    identifier
        .map(Some)
        .ok_or_else(|| invalid(claim, "a string of 1 to 255 characters without control characters"))
}

/// Null says as little as no member at all.
pub(super) fn present<'o, 'j>(value: Option<&'o Json<'j>>) -> Option<&'o Json<'j>> {
    value.filter(|value| !matches!(value, Json::Null))
}

fn sorted(mut texts: Vec<&str>) -> Vec<String> {
    texts.sort_unstable();
    texts.dedup();
    texts.into_iter().map(str::to_owned).collect()
}

pub(super) fn missing(claim: &str) -> TokenError {
    TokenError::MissingClaim { claim: claim.to_owned() }
}

pub(super) fn invalid(claim: &str, expected: &'static str) -> TokenError {
    TokenError::InvalidClaim { claim: claim.to_owned(), expected }
}
