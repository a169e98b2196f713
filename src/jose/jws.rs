//! The compact JWS (RFC 7515 §7.1): taken apart strictly, trusted not at all.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::error::{Malformation, Part, TokenError};
use super::json::{Json, JsonError, Object};
use crate::credential::BearerToken;

/// The longest JWS that is looked at, in bytes.
pub const MAX_JWS_BYTES: usize = BearerToken::MAX_BYTES;

/// The longest `typ` that is read, in bytes: media type names have at most 127 characters (RFC 6838 §4.2), twice.
const MAX_TYP_BYTES: usize = 255;

/// A compact JWS in its parts. Nothing is verified yet, so the payload is only bytes. `Debug` shows `alg` and `kid`.
pub struct CompactJws<'a> {
    signing_input: &'a str,
    algorithm: JwsAlgorithm,
    key_id: Option<KeyId>,
    typ: Option<String>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> CompactJws<'a> {
    /// Takes `text` apart: three non-empty parts of base64url without padding, white space or left-over bits, of at
    /// most [`MAX_JWS_BYTES`] together; a JSON header without duplicate members.
    ///
    /// The parameters `jku`, `jwk`, `x5u` and `x5c`, by which a token would bring its own key, are never read.
    ///
    /// # Errors
    /// `Missing`, `TooLarge`, `Malformed`, `UnsupportedHeader` or `Algorithm` of [`TokenError`].
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        check_size(text)?;
        let (signing_input, signature) =
            text.rsplit_once('.').ok_or_else(|| malformed(Malformation::Parts))?;
        let (header, payload) =
            signing_input.split_once('.').ok_or_else(|| malformed(Malformation::Parts))?;
        if payload.contains('.') {
            return Err(malformed(Malformation::Parts));
        }
        let header = decode(header, Part::Header)?;
        let payload = decode(payload, Part::Payload)?;
        let signature = decode(signature, Part::Signature)?;
        let header = json_object(&header, Part::Header)?;
        refuse_extensions(&header)?;
        Ok(Self {
            signing_input,
            algorithm: algorithm(&header)?,
            key_id: key_id(&header)?,
            typ: typ(&header)?,
            payload,
            signature,
        })
    }

    /// The header's `alg`.
    #[must_use]
    pub fn algorithm(&self) -> JwsAlgorithm {
        self.algorithm
    }

    /// The header's `kid`.
    #[must_use]
    pub fn key_id(&self) -> Option<&KeyId> {
        self.key_id.as_ref()
    }

    /// The header's `typ`.
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// The payload's bytes, decoded and not verified.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What is signed: the first two parts as they were sent (RFC 7515 §5.2).
    pub(crate) fn signing_input(&self) -> &'a str {
        self.signing_input
    }

    /// The signature's bytes.
    pub(crate) fn signature(&self) -> &Vec<u8> {
        &self.signature
    }

    /// The payload as the claims of a JWT.
    pub(crate) fn claims(&self) -> Result<Object<'_>, TokenError> {
        json_object(&self.payload, Part::Payload)
    }
}

impl fmt::Debug for CompactJws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompactJws")
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// What a header's `alg` names. `none` is not here, so that no token can ask for it.
///
/// The two kinds are apart because their keys are: a signature is verified with a key that everybody may read, a MAC
/// with one that nobody else may. No key of one kind can be asked about the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwsAlgorithm {
    /// A signature.
    Signature(Algorithm),
    /// A message authentication code: accepted only of an issuer whose file says so.
    Mac(Hmac),
}

impl JwsAlgorithm {
    /// What a JOSE `alg` names; names are case-sensitive (RFC 7515 §4.1.1).
    #[must_use]
    pub fn named(alg: &str) -> Option<Self> {
        Algorithm::named(alg).map(Self::Signature).or_else(|| Hmac::named(alg).map(Self::Mac))
    }
}

/// A keyed hash (RFC 7518 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Hmac {
    /// HMAC using SHA-256.
    #[serde(rename = "HS256")]
    Hs256,
    /// HMAC using SHA-384.
    #[serde(rename = "HS384")]
    Hs384,
    /// HMAC using SHA-512.
    #[serde(rename = "HS512")]
    Hs512,
}

impl Hmac {
    /// The MAC that a JOSE `alg` names.
    #[must_use]
    pub fn named(alg: &str) -> Option<Self> {
        match alg {
            "HS256" => Some(Self::Hs256),
            "HS384" => Some(Self::Hs384),
            "HS512" => Some(Self::Hs512),
            _ => None,
        }
    }

    /// The JOSE name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }
}

impl fmt::Display for Hmac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A signature algorithm that is accepted (RFC 7518 §3.1, RFC 8037, RFC 9864).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 using SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 using SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 using SHA-512.
    Rs512,
    /// RSASSA-PSS using SHA-256.
    Ps256,
    /// RSASSA-PSS using SHA-384.
    Ps384,
    /// RSASSA-PSS using SHA-512.
    Ps512,
    /// ECDSA using P-256 and SHA-256.
    Es256,
    /// ECDSA using P-384 and SHA-384.
    Es384,
    /// Ed25519: `EdDSA` of RFC 8037, or `Ed25519` of RFC 9864.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The algorithm that a JOSE `alg` names; names are case-sensitive (RFC 7515 §4.1.1).
    #[must_use]
    pub fn named(alg: &str) -> Option<Self> {
        match alg {
            "RS256" => Some(Self::Rs256),
            "RS384" => Some(Self::Rs384),
            "RS512" => Some(Self::Rs512),
            "PS256" => Some(Self::Ps256),
            "PS384" => Some(Self::Ps384),
            "PS512" => Some(Self::Ps512),
            "ES256" => Some(Self::Es256),
            "ES384" => Some(Self::Es384),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// The JOSE name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The same, in the words of the crate that is asked for a second opinion.
    #[cfg(any(debug_assertions, feature = "cli"))]
    pub(crate) const fn for_backend(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Rs384 => jsonwebtoken::Algorithm::RS384,
            Self::Rs512 => jsonwebtoken::Algorithm::RS512,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Ps384 => jsonwebtoken::Algorithm::PS384,
            Self::Ps512 => jsonwebtoken::Algorithm::PS512,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a key (`kid`), compared exactly. It is a name and never a path or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// The longest key id, in bytes. Providers use 22 to 64.
    pub const MAX_BYTES: usize = 256;

    /// Takes a text of 1 to [`Self::MAX_BYTES`] bytes; `None` for any other.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (1..=Self::MAX_BYTES).contains(&text.len()).then(|| Self(text.to_owned()))
    }

    /// The text as it was sent; show it through [`Excerpt`](super::Excerpt).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Decodes base64url strictly: no padding, no white space, no bits left over, so that a text has one spelling.
pub(crate) fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn check_size(text: &str) -> Result<(), TokenError> {
    match text.len() {
        0 => Err(TokenError::Missing),
        1..=MAX_JWS_BYTES => Ok(()),
        bytes => Err(TokenError::TooLarge { bytes }),
    }
}

fn malformed(malformation: Malformation) -> TokenError {
    TokenError::Malformed(malformation)
}

fn decode(text: &str, part: Part) -> Result<Vec<u8>, TokenError> {
    if text.is_empty() {
        return Err(malformed(Malformation::Empty(part)));
    }
    base64url(text).ok_or_else(|| malformed(Malformation::Base64(part)))
}

fn json_object(bytes: &[u8], part: Part) -> Result<Object<'_>, TokenError> {
    match Json::parse(bytes) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err(malformed(Malformation::NotObject(part))),
        Err(JsonError::Syntax { .. }) => Err(malformed(Malformation::Json(part))),
        Err(JsonError::DuplicateMember) => Err(malformed(Malformation::DuplicateMember(part))),
        Err(JsonError::TooDeep) => Err(malformed(Malformation::TooDeep(part))),
    }
}

/// RFC 7515 §4.1.11: a recipient that does not understand an extension named in `crit` must reject the JWS; we
/// understand none. `b64` (RFC 7797) without `crit` would be read differently by others; `zip` and `enc` belong to JWE.
fn refuse_extensions(header: &Object<'_>) -> Result<(), TokenError> {
    match ["crit", "b64", "zip", "enc"].into_iter().find(|parameter| header.contains(parameter)) {
        Some(parameter) => Err(TokenError::UnsupportedHeader { parameter }),
        None => Ok(()),
    }
}

fn algorithm(header: &Object<'_>) -> Result<JwsAlgorithm, TokenError> {
    let alg = header.member("alg").and_then(Json::as_str);
    let alg = alg.ok_or_else(|| malformed(Malformation::Parameter("alg")))?;
    JwsAlgorithm::named(alg).ok_or(TokenError::Algorithm)
}

fn key_id(header: &Object<'_>) -> Result<Option<KeyId>, TokenError> {
    let Some(kid) = header.member("kid") else { return Ok(None) };
    let kid = kid.as_str().and_then(KeyId::new);
    kid.map(Some).ok_or_else(|| malformed(Malformation::Parameter("kid")))
}

fn typ(header: &Object<'_>) -> Result<Option<String>, TokenError> {
    let Some(typ) = header.member("typ") else { return Ok(None) };
    let typ = typ.as_str().filter(|typ| typ.len() <= MAX_TYP_BYTES);
    typ.map(|typ| Some(typ.to_owned())).ok_or_else(|| malformed(Malformation::Parameter("typ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_has_one_name() {
        for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
            assert_eq!(Algorithm::named(name).unwrap().as_str(), name);
        }
        assert_eq!(Algorithm::named("Ed25519"), Some(Algorithm::EdDsa));
        for name in ["none", "NONE", "", "hs256", "rs256", "RS256 ", "ES512", "ES256K", "Ed448", "RSA-OAEP"] {
            assert_eq!(JwsAlgorithm::named(name), None, "{name}");
        }
        // What verifies signatures cannot be asked for a MAC.
        for name in ["HS256", "HS384", "HS512"] {
            assert_eq!(Algorithm::named(name), None, "{name}");
            assert_eq!(Hmac::named(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn base64url_has_one_spelling() {
        assert_eq!(base64url("-_8"), Some(vec![0xfb, 0xff]));
        for text in ["-_9", "-_8=", "+/8", "-_ 8", "-_8\n", "-_8.", "A"] {
            assert_eq!(base64url(text), None, "{text:?}");
        }
    }

    #[test]
    fn debug_output_shows_neither_claims_nor_signature() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"k1"}"#);
        let text = format!("{header}.c2VjcmV0.c2VjcmV0");
        let jws = CompactJws::parse(&text).unwrap();
        assert_eq!(
            format!("{jws:?}"),
            r#"CompactJws { algorithm: Signature(Rs256), key_id: Some(KeyId("k1")), .. }"#
        );
    }
}
