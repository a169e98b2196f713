//! JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037): public keys, each bound to the algorithms it may verify. And, never
//! from JSON, the one secret that an issuer may share with us.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    VerificationAlgorithm,
};
#[cfg(debug_assertions)]
use jsonwebtoken::{DecodingKey, crypto::aws_lc::DEFAULT_PROVIDER as AWS_LC};

use super::error::Excerpt;
use super::json::{Json, JsonError, Object};
use super::jws::{Algorithm, CompactJws, Hmac, KeyId, base64url};
use crate::time::Timestamp;

/// The keys of an issuer: those that it publishes (RFC 7517 §5), as far as they can be used, or the one secret that it
/// shares with us. Never both.
#[derive(Debug, Default)]
pub struct JwkSet {
    keys: Vec<Jwk>,
    skipped: Vec<(Option<KeyId>, JwkError)>,
    /// INVARIANT: only [`Self::from_secret`] sets it. Nothing that was read as JSON can be a secret.
    mac_key: Option<MacKey>,
}

impl JwkSet {
    /// The largest set that is read, in bytes.
    pub const MAX_BYTES: usize = 512 * 1024;
    /// The most keys a set may have. Providers publish two to about twenty.
    pub const MAX_KEYS: usize = 100;

    /// Reads a JWK Set: an object with an array `keys`. A key that cannot be used is left out, so that one foreign
    /// key does not disable the others (RFC 7517 §5), and [`Self::skipped`] says why.
    ///
    /// # Errors
    /// When the text is too large, not strict JSON or not a set, has too many keys, or has two usable keys with the
    /// same `kid` and `kty`, of which a token cannot name one.
    pub fn from_json(text: &[u8]) -> Result<Self, JwkError> {
        if text.len() > Self::MAX_BYTES {
            return Err(JwkError::TooLarge { bytes: text.len() });
        }
        let Json::Object(set) = Json::parse(text).map_err(not_json)? else { return Err(JwkError::NotASet) };
        let Some(Json::Array(keys)) = set.member("keys") else { return Err(JwkError::NotASet) };
        if keys.len() > Self::MAX_KEYS {
            return Err(JwkError::TooManyKeys { count: keys.len() });
        }
        let mut read = Self::default();
        for key in keys {
            read.add(key)?;
        }
        Ok(read)
    }

    /// The set of an issuer that signs with a secret that it shares with us: the secret's bytes as they are, which verify
    /// MACs of this one algorithm and nothing else.
    ///
    /// # Errors
    /// When the secret has fewer bytes than the hash (RFC 7518 §3.2).
    pub fn from_secret(secret: &[u8], algorithm: Hmac) -> Result<Self, ShortSecret> {
        let backend = match algorithm {
            Hmac::Hs256 => hmac::HMAC_SHA256,
            Hmac::Hs384 => hmac::HMAC_SHA384,
            Hmac::Hs512 => hmac::HMAC_SHA512,
        };
        if secret.len() < backend.tag_len() {
            return Err(ShortSecret { algorithm, bytes: backend.tag_len() });
        }
        let mac_key = Some(MacKey { algorithm, key: hmac::Key::new(backend, secret) });
        Ok(Self { mac_key, ..Self::default() })
    }

    /// The secret of [`Self::from_secret`].
    pub(crate) fn mac_key(&self) -> Option<&MacKey> {
        self.mac_key.as_ref()
    }

    /// The keys that can be used, in their order.
    #[must_use]
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// The keys that were left out, and why: nothing to fail over, something to warn about.
    #[must_use]
    pub fn skipped(&self) -> &[(Option<KeyId>, JwkError)] {
        &self.skipped
    }

    /// The one key for a token: the one it names, if that fits `algorithm`; where it names none, the only key that
    /// fits `algorithm`. No key is ever tried.
    ///
    /// # Errors
    /// Why there is not exactly one such key.
    pub fn key_for(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&Jwk, KeyMiss> {
        let fitting = || self.keys.iter().filter(|key| key.fits(algorithm));
        let Some(kid) = kid else {
            let mut keys = fitting();
            return match (keys.next(), keys.count()) {
                (Some(key), 0) => Ok(key),
                (Some(_), others) => Err(KeyMiss::Ambiguous { count: others.saturating_add(1) }),
                (None, _) => Err(KeyMiss::NoneFits),
            };
        };
        let named = |key: &&Jwk| key.key_id.as_ref().is_some_and(|key_id| key_id.as_str() == kid);
        match fitting().find(named) {
            Some(key) => Ok(key),
            None if self.keys.iter().any(|key| named(&key)) => Err(KeyMiss::WrongAlgorithm),
            None => Err(KeyMiss::UnknownKeyId),
        }
    }

    fn add(&mut self, key: &Json<'_>) -> Result<(), JwkError> {
        let (key_id, jwk) = match key {
            Json::Object(key) => (key.member("kid").and_then(Json::as_str).and_then(KeyId::new), read(key)),
            _ => (None, Err(JwkError::NotAKey)),
        };
        match jwk {
            Ok(jwk) if self.keys.iter().any(|key| key.clashes_with(&jwk)) => {
                return Err(JwkError::DuplicateKeyId { kid: shown(jwk.key_id.as_ref()) });
            }
            Ok(jwk) => self.keys.push(jwk),
            Err(reason) => self.skipped.push((key_id, reason)),
        }
        Ok(())
    }
}

/// A public key and the algorithms it may verify.
#[derive(Clone)]
pub struct Jwk {
    key_id: Option<KeyId>,
    kind: KeyKind,
    /// The one algorithm that the key's `alg` names; without one, the key fits all of its kind.
    algorithm: Option<Algorithm>,
    bits: usize,
    /// The key's own `issuer`, where it has one.
    issuer: Option<String>,
    numbers: Numbers,
    /// The key for each algorithm that it has been asked about, parsed once: parsing an RSA key costs a seventh of verifying
    /// with it.
    parsed: [OnceLock<Option<ParsedPublicKey>>; Algorithm::ALL.len()],
    /// The same key as `jsonwebtoken` takes it, which parses it each time: builds with debug assertions ask it too.
    #[cfg(debug_assertions)]
    reference: DecodingKey,
}

impl Jwk {
    /// The key's `kid`.
    #[must_use]
    pub fn key_id(&self) -> Option<&KeyId> {
        self.key_id.as_ref()
    }

    /// The key's `issuer`, which Entra gives those of a common set: the one issuer whose tokens it signs, with `{tenantid}`
    /// for a tenant's id. Empty where it is no string.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Whether the key may verify signatures of `algorithm` (RFC 8725 §3.1: a key is used with one algorithm, its own).
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithm.map_or(self.kind == KeyKind::of(algorithm), |own| own == algorithm)
    }

    /// The algorithms of which it may verify signatures: one, or without an `alg` all of its kind.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(|algorithm| self.fits(*algorithm))
    }

    /// Its `kty`: `RSA`, `EC` or `OKP`.
    #[must_use]
    pub fn key_type(&self) -> &'static str {
        self.kind.key_type()
    }

    /// Its size: the bits of an RSA key's modulus, or of the field of a curve.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Whether the signature is this key's over the header and payload. The key is one that [`JwkSet::key_for`] gave
    /// for `algorithm`, which is the token's; a key is never asked about another algorithm than its own.
    pub(crate) fn verifies(&self, algorithm: Algorithm, jws: &CompactJws<'_>) -> bool {
        let verifies = self
            .parsed(algorithm)
            .is_some_and(|key| key.verify_sig(jws.signing_input().as_bytes(), jws.signature()).is_ok());
        #[cfg(debug_assertions)]
        assert_eq!(verifies, self.verifies_by_reference(algorithm, jws), "jsonwebtoken says otherwise");
        verifies
    }

    /// The key as it verifies `algorithm`; `None` where it does not.
    fn parsed(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        let index = Algorithm::ALL.iter().position(|known| *known == algorithm)?;
        let parse = || self.numbers.parse(algorithm).filter(|_| self.fits(algorithm));
        self.parsed.get(index)?.get_or_init(parse).as_ref()
    }

    /// What `jsonwebtoken` says. It is asked for its backend by name: the default one that `jsonwebtoken::decode` looks up
    /// panics when another crate switches on a second backend.
    #[cfg(debug_assertions)]
    fn verifies_by_reference(&self, algorithm: Algorithm, jws: &CompactJws<'_>) -> bool {
        let verifier = (AWS_LC.verifier_factory)(&algorithm.for_backend(), &self.reference);
        self.fits(algorithm)
            && verifier.is_ok_and(|verifier| {
                verifier.verify(jws.signing_input().as_bytes(), jws.signature()).is_ok()
            })
    }

    fn clashes_with(&self, other: &Self) -> bool {
        self.key_id.is_some() && self.key_id == other.key_id && self.kind.key_type() == other.kind.key_type()
    }
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<Algorithm> = self.algorithms().collect();
        f.debug_struct("Jwk")
            .field("key_id", &self.key_id)
            .field("algorithms", &algorithms)
            .field("bits", &self.bits)
            .finish_non_exhaustive()
    }
}

/// A secret and the one algorithm that it may be used with. `Debug` shows the algorithm alone.
#[derive(Debug)]
pub(crate) struct MacKey {
    algorithm: Hmac,
    key: hmac::Key,
}

impl MacKey {
    /// The one algorithm that it may be used with.
    pub(crate) fn algorithm(&self) -> Hmac {
        self.algorithm
    }

    /// Whether the token's MAC is this secret's over the header and payload, compared in constant time and in its whole
    /// length (RFC 7518 §3.2).
    pub(crate) fn verifies(&self, jws: &CompactJws<'_>) -> bool {
        hmac::verify(&self.key, jws.signing_input().as_bytes(), jws.signature()).is_ok()
    }
}

/// A secret that is too short to be one: whoever sees a token could try them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret is shorter than the {bytes} bytes that {algorithm} needs")]
pub struct ShortSecret {
    algorithm: Hmac,
    bytes: usize,
}

/// Why a set gives no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyMiss {
    /// The token names a key that is not in the set; newer keys may have it.
    UnknownKeyId,
    /// The token names no key, and none fits its algorithm; newer keys may.
    NoneFits,
    /// The token names no key, and `count` keys fit its algorithm.
    Ambiguous {
        /// How many.
        count: usize,
    },
    /// The token names a key that is bound to other algorithms.
    WrongAlgorithm,
}

/// Each trusted issuer's keys, by [`TrustedIssuer::key_set`](super::TrustedIssuer::key_set). A key of one issuer is never
/// found for another's token.
///
/// Sets are shared, so a ring with one set replaced costs a clone of the map.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    sets: HashMap<Arc<str>, HeldKeys>,
}

/// A key set, and when it is believed; pinned keys always are.
#[derive(Clone, Debug)]
struct HeldKeys {
    keys: Arc<JwkSet>,
    during: Option<Range<Timestamp>>,
    outdated: bool,
}

impl KeyRing {
    /// Puts pinned keys in, in place of those before: they are believed as long as the ring is.
    pub fn insert(&mut self, key_set: &str, keys: impl Into<Arc<JwkSet>>) {
        self.sets.insert(key_set.into(), HeldKeys { keys: keys.into(), during: None, outdated: false });
    }

    /// Puts fetched keys in, in place of those before: they are believed from the start of `during`, and no more at its
    /// end. There is a start because a clock that was set back says nothing about how old they are.
    pub fn insert_during(&mut self, key_set: &str, keys: impl Into<Arc<JwkSet>>, during: Range<Timestamp>) {
        let held = HeldKeys { keys: keys.into(), during: Some(during), outdated: false };
        self.sets.insert(key_set.into(), held);
    }

    /// Notes that newer keys of that name were wanted and could not be fetched: a key that is not among them may exist.
    pub fn mark_outdated(&mut self, key_set: &str) {
        if let Some(held) = self.sets.get_mut(key_set) {
            held.outdated = true;
        }
    }

    /// Whether [`Self::mark_outdated`] was said of the keys of that name.
    #[must_use]
    pub fn is_outdated(&self, key_set: &str) -> bool {
        self.sets.get(key_set).is_some_and(|held| held.outdated)
    }

    /// Takes the keys of that name out.
    pub fn remove(&mut self, key_set: &str) {
        self.sets.remove(key_set);
    }

    /// The keys of that name; `None` where none were loaded, or where those that were are too old at `now`.
    #[must_use]
    pub fn keys_of(&self, key_set: &str, now: Timestamp) -> Option<&Arc<JwkSet>> {
        let held = self.sets.get(key_set)?;
        held.during.as_ref().is_none_or(|during| during.contains(&now)).then_some(&held.keys)
    }
}

/// Why a key set cannot be read, or why one key of it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// The set is larger than is read.
    #[error("the key set has {bytes} bytes: the limit is {}", JwkSet::MAX_BYTES)]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON as RFC 8259 defines it.
    #[error("the key set is not JSON: line {line}, column {column}")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// An object has a member twice (RFC 7517 §4).
    #[error("the key set has a member twice")]
    DuplicateMember,
    /// Nests deeper than 16 levels.
    #[error("the key set nests too deep")]
    TooDeep,
    /// No object with an array `keys`.
    #[error("the key set is not an object with an array `keys`")]
    NotASet,
    /// More keys than are read.
    #[error("the key set has {count} keys: the limit is {}", JwkSet::MAX_KEYS)]
    TooManyKeys {
        /// How many.
        count: usize,
    },
    /// Two usable keys of a type with the same name.
    #[error("the key set has two keys named `{kid}` of the same type")]
    DuplicateKeyId {
        /// Their `kid`.
        kid: Excerpt,
    },
    /// An element of `keys` is not an object.
    #[error("the key is not a JSON object")]
    NotAKey,
    /// A member is absent, not of its type, or not strict base64url.
    #[error("the key's `{member}` is missing or malformed")]
    Member {
        /// Name of the member.
        member: &'static str,
    },
    /// `kty` or `crv` is none of RSA, EC with P-256 or P-384, OKP with Ed25519. A symmetric key (`oct`) is among
    /// them: anybody who can read the set could sign with it.
    #[error("the key is not RSA, EC P-256, EC P-384 or OKP Ed25519")]
    UnsupportedType,
    /// The set publishes a private key (RFC 7518 §6.2.2, §6.3.2).
    #[error("the key has `{member}`: a private key was published, so anybody can sign with it")]
    PrivateKey {
        /// The private member.
        member: &'static str,
    },
    /// `use` is not `sig`, or `key_ops` lacks `verify` (RFC 7517 §4.2, §4.3).
    #[error("the key is not for verifying signatures: its `{member}` says so")]
    NotForVerifying {
        /// `use` or `key_ops`.
        member: &'static str,
    },
    /// `alg` is not a signature algorithm of this type of key.
    #[error("the key's `alg` is not a signature algorithm of its type")]
    WrongAlgorithm,
    /// RSA keys of 2048 to 8192 bits are accepted (RFC 7518 §3.3; the upper bound keeps verification cheap).
    #[error("the RSA key has {bits} bits: 2048 to 8192 are accepted")]
    RsaSize {
        /// Bits of the modulus.
        bits: usize,
    },
    /// An even modulus or exponent, an exponent below 3 or above 33 bits, or a point that is not on the curve.
    #[error("the key's numbers are not a public key of its type")]
    NotAPublicKey,
}

/// What a key is, which says what it may verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyKind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl KeyKind {
    fn named(key_type: &str, curve: Option<&str>) -> Option<Self> {
        match (key_type, curve) {
            ("RSA", _) => Some(Self::Rsa),
            ("EC", Some("P-256")) => Some(Self::P256),
            ("EC", Some("P-384")) => Some(Self::P384),
            ("OKP", Some("Ed25519")) => Some(Self::Ed25519),
            _ => None,
        }
    }

    fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => Self::Rsa,
            Algorithm::Es256 => Self::P256,
            Algorithm::Es384 => Self::P384,
            Algorithm::EdDsa => Self::Ed25519,
        }
    }

    fn key_type(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::P256 | Self::P384 => "EC",
            Self::Ed25519 => "OKP",
        }
    }
}

fn read(key: &Object<'_>) -> Result<Jwk, JwkError> {
    let kind =
        KeyKind::named(string(key, "kty")?, optional_string(key, "crv")?).ok_or(JwkError::UnsupportedType)?;
    // `d` is private in all three types; the others are RSA's.
    if let Some(member) = ["d", "p", "q", "dp", "dq", "qi", "oth"].into_iter().find(|name| key.contains(name))
    {
        return Err(JwkError::PrivateKey { member });
    }
    refuse_other_purposes(key)?;
    let algorithm = match optional_string(key, "alg")?.map(Algorithm::named) {
        None => None,
        Some(Some(algorithm)) if KeyKind::of(algorithm) == kind => Some(algorithm),
        Some(_) => return Err(JwkError::WrongAlgorithm),
    };
    let key_id = match optional_string(key, "kid")? {
        None => None,
        Some(kid) => Some(KeyId::new(kid).ok_or(JwkError::Member { member: "kid" })?),
    };
    let issuer = key.member("issuer").map(|issuer| issuer.as_str().unwrap_or_default().to_owned());
    let (numbers, bits) = match kind {
        KeyKind::Rsa => rsa(key)?,
        KeyKind::P256 => (Numbers::Point(point(key, 32)?), 256),
        KeyKind::P384 => (Numbers::Point(point(key, 48)?), 384),
        // 2^255 - 19 needs 255 bits (RFC 8032 §5.1).
        KeyKind::Ed25519 => (Numbers::Point(ed25519(key)?), 255),
    };
    let jwk = Jwk {
        key_id,
        kind,
        algorithm,
        bits,
        issuer,
        #[cfg(debug_assertions)]
        reference: numbers.reference(kind),
        numbers,
        parsed: Default::default(),
    };
    let is_a_key = jwk.algorithms().next().is_some_and(|algorithm| jwk.parsed(algorithm).is_some());
    if is_a_key { Ok(jwk) } else { Err(JwkError::NotAPublicKey) }
}

/// The numbers of a key, as big-endian bytes.
#[derive(Clone)]
enum Numbers {
    /// Modulus and exponent.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// A point on the key's curve: uncompressed (SEC 1 §2.3.3), or as RFC 8032 §5.1.2 writes it.
    Point(Vec<u8>),
}

impl Numbers {
    /// The key, for one algorithm; `None` where the numbers are no key for it.
    fn parse(&self, algorithm: Algorithm) -> Option<ParsedPublicKey> {
        let rsa: &RsaParameters = match algorithm {
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
            Algorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
            Algorithm::Es256 => return self.parse_point(&ECDSA_P256_SHA256_FIXED),
            Algorithm::Es384 => return self.parse_point(&ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDsa => return self.parse_point(&ED25519),
        };
        match self {
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }.to_parsed_public_key(rsa).ok(),
            Self::Point(_) => None,
        }
    }

    fn parse_point(&self, parameters: &'static dyn VerificationAlgorithm) -> Option<ParsedPublicKey> {
        match self {
            Self::Rsa { .. } => None,
            Self::Point(point) => ParsedPublicKey::new(parameters, point).ok(),
        }
    }

    #[cfg(debug_assertions)]
    fn reference(&self, kind: KeyKind) -> DecodingKey {
        match self {
            Self::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
            Self::Point(point) if kind == KeyKind::Ed25519 => DecodingKey::from_ed_der(point),
            Self::Point(point) => DecodingKey::from_ec_der(point),
        }
    }
}

fn refuse_other_purposes(key: &Object<'_>) -> Result<(), JwkError> {
    if optional_string(key, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(JwkError::NotForVerifying { member: "use" });
    }
    match key.member("key_ops") {
        None => Ok(()),
        Some(Json::Array(operations)) if operations.iter().any(|op| op.as_str() == Some("verify")) => Ok(()),
        Some(_) => Err(JwkError::NotForVerifying { member: "key_ops" }),
    }
}

/// The key's numbers, and the bits of its modulus.
fn rsa(key: &Object<'_>) -> Result<(Numbers, usize), JwkError> {
    let n = unsigned(&bytes(key, "n")?);
    let e = unsigned(&bytes(key, "e")?);
    let bits = bit_length(&n);
    if !(2048..=8192).contains(&bits) {
        return Err(JwkError::RsaSize { bits });
    }
    // An even exponent has no inverse, with 1 every message is its own signature, and a long one makes verifying slow:
    // 33 bits are what aws-lc takes for private keys.
    if !is_odd(&n) || !is_odd(&e) || e == [1] || bit_length(&e) > 33 {
        return Err(JwkError::NotAPublicKey);
    }
    Ok((Numbers::Rsa { n, e }, bits))
}

fn point(key: &Object<'_>, coordinate_bytes: usize) -> Result<Vec<u8>, JwkError> {
    // SEC 1 §2.3.3: 4, then both coordinates, is an uncompressed point.
    let mut point = vec![4];
    for member in ["x", "y"] {
        let coordinate = bytes(key, member)?;
        if coordinate.len() != coordinate_bytes {
            return Err(JwkError::Member { member });
        }
        point.extend(coordinate);
    }
    Ok(point)
}

fn ed25519(key: &Object<'_>) -> Result<Vec<u8>, JwkError> {
    let x = bytes(key, "x")?;
    if x.len() != 32 {
        return Err(JwkError::Member { member: "x" });
    }
    Ok(x)
}

fn optional_string<'k>(key: &'k Object<'_>, member: &'static str) -> Result<Option<&'k str>, JwkError> {
    let Some(value) = key.member(member) else { return Ok(None) };
    value.as_str().map(Some).ok_or(JwkError::Member { member })
}

fn string<'k>(key: &'k Object<'_>, member: &'static str) -> Result<&'k str, JwkError> {
    optional_string(key, member)?.ok_or(JwkError::Member { member })
}

fn bytes(key: &Object<'_>, member: &'static str) -> Result<Vec<u8>, JwkError> {
    let decoded = base64url(string(key, member)?).filter(|bytes| !bytes.is_empty());
    decoded.ok_or(JwkError::Member { member })
}

/// A big-endian number without its leading zeros. RFC 7518 §2 forbids them, and some providers send one.
fn unsigned(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|byte| *byte == 0).collect()
}

fn bit_length(unsigned: &[u8]) -> usize {
    let unused = unsigned.first().map_or(0, |first| first.leading_zeros() as usize);
    unsigned.len().saturating_mul(8).saturating_sub(unused)
}

fn is_odd(unsigned: &[u8]) -> bool {
    unsigned.last().is_some_and(|last| last % 2 == 1)
}

fn not_json(error: JsonError) -> JwkError {
    match error {
        JsonError::Syntax { line, column } => JwkError::NotJson { line, column },
        JsonError::DuplicateMember => JwkError::DuplicateMember,
        JsonError::TooDeep => JwkError::TooDeep,
    }
}

fn shown(key_id: Option<&KeyId>) -> Excerpt {
    Excerpt::of(key_id.map_or("", KeyId::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_measured_without_leading_zeros() {
        assert_eq!(unsigned(&[0, 0, 1, 0]), [1, 0]);
        assert_eq!(bit_length(&[1, 0]), 9);
        assert_eq!(bit_length(&[0x80]), 8);
        assert_eq!(bit_length(&[]), 0);
        assert!(is_odd(&[2, 3]) && !is_odd(&[3, 2]) && !is_odd(&[]));
    }
}
