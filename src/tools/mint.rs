//! Development tokens: a key pair of one's own, and tokens that a development issuer's file accepts.
//!
//! Nothing here reads a clock or writes a file. Making a key asks the operating system for randomness.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _, Curve25519SeedBin, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPairComponents, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::jose::issuer::kind::KindMark;
use crate::jose::issuer::rules::Listed;
use crate::jose::issuer::{ClientRule, TokenUse, TypRule};
use crate::jose::sign::{SignError, SigningKey};
use crate::jose::{Algorithm, TrustedIssuer};
use crate::time::Timestamp;

/// A key pair for development and tests. `Debug` shows its name and algorithm alone.
#[derive(Clone)]
pub struct DevelopmentKey {
    algorithm: Algorithm,
    key_id: String,
    /// The private key as a JWK (RFC 7517): every member that is used is a string.
    jwk: BTreeMap<String, String>,
    signing_key: SigningKey,
}

impl DevelopmentKey {
    /// Makes a key: RSA of 2048 bits, P-256, P-384 or Ed25519, as `algorithm` needs. Its `kid` is its thumbprint
    /// (RFC 7638).
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, MintError> {
        let members = match kind(algorithm) {
            Kind::Rsa => generate_rsa(),
            Kind::Ec(curve) => generate_ec(curve),
            Kind::Ed25519 => generate_ed25519(),
        };
        let mut jwk: BTreeMap<String, String> = members
            .ok_or(MintError::Generate)?
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        jwk.insert("alg".to_owned(), algorithm.as_str().to_owned());
        jwk.insert("kid".to_owned(), thumbprint(&jwk));
        Self::from_jwk(jwk)
    }

    /// Makes a key for ECDSA with P-256, the algorithm whose keys are made in no time.
    ///
    /// # Errors
    /// As [`Self::generate`].
    pub(super) fn es256() -> Result<Self, MintError> {
        Self::generate(Algorithm::Es256)
    }

    /// Reads what [`Self::to_private_json`] wrote: a private JWK with `alg` and `kid`.
    ///
    /// # Errors
    /// When it is something else, or its numbers are not a key pair.
    pub fn from_json(text: &str) -> Result<Self, MintError> {
        Self::from_jwk(serde_json::from_str(text).map_err(|_| MintError::NotAPrivateKey)?)
    }

    /// The private key as a JWK: a secret, for a file that only its owner can read.
    #[must_use]
    pub fn to_private_json(&self) -> String {
        format!("{:#}\n", json!(self.jwk))
    }

    /// The public key as a JWK Set: what goes into the issuer's key file.
    #[must_use]
    pub fn public_jwks(&self) -> Value {
        json!({ "keys": [self.public_jwk()] })
    }

    /// The public key as a JWK.
    #[must_use]
    pub fn public_jwk(&self) -> Value {
        let public = ["kty", "kid", "alg", "crv", "n", "e", "x", "y"];
        let members = self.jwk.iter().filter(|(name, _)| public.contains(&name.as_str()));
        let mut jwk: Map<String, Value> = members.map(|(name, value)| (name.clone(), json!(value))).collect();
        jwk.insert("use".to_owned(), json!("sig"));
        Value::Object(jwk)
    }

    /// The algorithm that it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its `kid`.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The private key, to sign something that [`mint`] would not.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    fn from_jwk(jwk: BTreeMap<String, String>) -> Result<Self, MintError> {
        let member = |name: &str| jwk.get(name).ok_or(MintError::NotAPrivateKey);
        let algorithm = Algorithm::named(member("alg")?).ok_or(MintError::NotAPrivateKey)?;
        let signing_key = match kind(algorithm) {
            Kind::Rsa => rsa_signing_key(&jwk),
            Kind::Ec(curve) => ec_signing_key(&jwk, curve),
            Kind::Ed25519 => ed25519_signing_key(&jwk),
        };
        let signing_key = signing_key.ok_or(MintError::NotAPrivateKey)?;
        Ok(Self { algorithm, key_id: member("kid")?.clone(), signing_key, jwk })
    }
}

impl fmt::Debug for DevelopmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevelopmentKey")
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// Makes a compact JWS of `claims`. Its header is `alg` and `kid` of the key, and `header` (say, `typ`).
///
/// # Errors
/// When `header` sets `alg` or `kid`, or the key cannot sign.
pub fn mint(
    key: &DevelopmentKey,
    header: &Map<String, Value>,
    claims: &Map<String, Value>,
) -> Result<String, MintError> {
    let mut whole = Map::from_iter([
        ("alg".to_owned(), json!(key.algorithm.as_str())),
        ("kid".to_owned(), json!(key.key_id)),
    ]);
    for (parameter, value) in header {
        if whole.insert(parameter.clone(), value.clone()).is_some() {
            return Err(MintError::HeaderIsTheKeys { parameter: parameter.clone() });
        }
    }
    compact(&whole, claims, |message| Ok(key.signing_key.sign(key.algorithm, message)?))
}

/// The compact JWS of a header and claims (RFC 7515 §7.1).
pub(super) fn compact(
    header: &Map<String, Value>,
    claims: &Map<String, Value>,
    sign: impl FnOnce(&str) -> Result<Vec<u8>, MintError>,
) -> Result<String, MintError> {
    let part = |map: &Map<String, Value>| URL_SAFE_NO_PAD.encode(json!(map).to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = sign(&message)?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// What a development token shall say.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// `sub`; for a client's own token, its client id.
    pub subject: String,
    /// The client that gets the token; equal to `subject`, it makes a client's own token. It stands in the issuer's
    /// client claim, also where that is the audience (Cognito), which otherwise is the first in the issuer's file. `None`:
    /// the first of the clients that the issuer's file lists, where it does.
    pub client_id: Option<String>,
    /// Names for the roles claim.
    pub roles: Vec<String>,
    /// Scopes.
    pub scopes: Vec<String>,
    /// The tenant, where a claim says it.
    pub tenant: Option<String>,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// Further claims; they win over those above.
    pub claims: Map<String, Value>,
}

/// Makes a token in the form that `issuer`'s tokens have: its kind, audience, and the claims its file reads.
/// Claims inside objects are written under their whole path, which reads the same.
///
/// # Errors
/// As [`mint`].
pub fn mint_for(
    issuer: &TrustedIssuer,
    key: &DevelopmentKey,
    request: &TokenRequest,
) -> Result<String, MintError> {
    mint(key, &header_for(issuer), &claims_for(issuer, request))
}

/// What the header of an issuer's tokens says beside the key: `typ`.
pub(super) fn header_for(issuer: &TrustedIssuer) -> Map<String, Value> {
    let typ = match issuer.typ {
        TypRule::AccessTokenJwt => "at+jwt",
        TypRule::Jwt | TypRule::AccessTokenJwtOrJwt | TypRule::Any => "JWT",
    };
    Map::from_iter([("typ".to_owned(), json!(typ))])
}

/// The claims of such a token.
pub(super) fn claims_for(issuer: &TrustedIssuer, request: &TokenRequest) -> Map<String, Value> {
    let mut claims = Map::from_iter([
        ("iss".to_owned(), json!(issuer.issuer())),
        ("sub".to_owned(), json!(request.subject)),
        ("iat".to_owned(), json!(request.issued_at.unix_seconds())),
        ("exp".to_owned(), json!(request.expires_at.unix_seconds())),
    ]);
    let mut set = |claim: &str, value: Value| drop(claims.insert(claim.to_owned(), value));
    let (audience_claim, is_id_token) = match issuer.token_use {
        TokenUse::Access | TokenUse::Any => (&issuer.access_audience_claim, false),
        TokenUse::Id => (&issuer.id_audience_claim, true),
    };
    if let Listed::These(audiences) = &issuer.audience
        && let Some(audience) = audiences.first()
    {
        set(audience_claim.as_str(), json!(audience.as_ref()));
    }
    let listed = match &issuer.clients {
        Listed::These(clients) => clients.first().map(AsRef::as_ref),
        Listed::Any => None,
    };
    let client_id = request.client_id.as_deref().or(listed);
    if let (Some(claim), Some(client_id)) = (issuer.client_claims.first(), client_id) {
        set(claim.as_str(), json!(client_id));
    }
    match &issuer.kind_mark {
        KindMark::Nothing => {}
        KindMark::Value(rule) => {
            set(rule.claim.as_str(), json!(if is_id_token { &rule.id } else { &rule.access }))
        }
        // Null says as little as no member.
        KindMark::Presence(marks) if is_id_token => {
            marks.iter().for_each(|mark| set(mark.as_str(), Value::Null))
        }
        KindMark::Presence(marks) => {
            if let Some(mark) = marks.first() {
                set(mark.as_str(), json!(client_id.unwrap_or("cedar-gate")));
            }
        }
    }
    let subject = request.subject.as_str();
    match (issuer.client_rule, request.client_id.as_deref() == Some(subject)) {
        (ClientRule::SubjectIsClientIdWithout(of_users), false) => set(of_users, json!(subject)),
        (ClientRule::SubjectIsClientIdAnd(ending), true) => set("sub", json!(format!("{subject}{ending}"))),
        (ClientRule::KeycloakServiceAccount, true) => {
            set("client_id", json!(subject));
            set("preferred_username", json!(format!("service-account-{subject}")));
        }
        (ClientRule::EntraApplication, true) => set("idtyp", json!("app")),
        (ClientRule::SubjectIsClientId | ClientRule::SubjectIsClientIdWithout(_), _)
        | (
            ClientRule::SubjectIsClientIdAnd(_)
            | ClientRule::EntraApplication
            | ClientRule::KeycloakServiceAccount,
            false,
        ) => {}
    }
    if let Some(rule) = issuer.roles.as_ref().filter(|_| !request.roles.is_empty()) {
        set(rule.claim.as_str(), json!(request.roles));
    }
    if !request.scopes.is_empty() {
        set(issuer.scope_claim.as_str(), json!(request.scopes.join(" ")));
    }
    if let (Some(claim), Some(tenant)) = (issuer.tenant_claim(), &request.tenant) {
        set(claim, json!(tenant));
    }
    for required in issuer.required_values() {
        if let Some(value) = required.values.first() {
            set(required.claim.as_str(), json!(value));
        }
    }
    claims.extend(request.claims.clone());
    claims
}

/// Why a development key or token cannot be made. No message has anything of a key in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The cryptographic library made no key.
    #[error("the key cannot be generated")]
    Generate,
    /// The text is not a private JWK, or its numbers do not belong together.
    #[error(
        "the file is not a private key made by `cedar-gate token`: expected a JWK with `alg`, `kid` and its private members"
    )]
    NotAPrivateKey,
    /// `alg` and `kid` follow from the key.
    #[error("the header's `{parameter}` is the key's own and cannot be set")]
    HeaderIsTheKeys {
        /// `alg` or `kid`.
        parameter: String,
    },
    /// The key cannot sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

type Members = Vec<(&'static str, String)>;

enum Kind {
    Rsa,
    Ec(Curve),
    Ed25519,
}

#[derive(Clone, Copy)]
struct Curve {
    name: &'static str,
    coordinate_bytes: usize,
    algorithm: &'static EcdsaSigningAlgorithm,
}

fn kind(algorithm: Algorithm) -> Kind {
    match algorithm {
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512 => Kind::Rsa,
        Algorithm::Es256 => Kind::Ec(Curve {
            name: "P-256",
            coordinate_bytes: 32,
            algorithm: &ECDSA_P256_SHA256_FIXED_SIGNING,
        }),
        Algorithm::Es384 => Kind::Ec(Curve {
            name: "P-384",
            coordinate_bytes: 48,
            algorithm: &ECDSA_P384_SHA384_FIXED_SIGNING,
        }),
        Algorithm::EdDsa => Kind::Ed25519,
    }
}

/// The members of `RSAPrivateKey` after its version (RFC 8017 §A.1.2), under their JWK names (RFC 7518 §6.3).
const RSA_MEMBERS: [&str; 8] = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];

fn generate_rsa() -> Option<Members> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().ok()?;
    let (sequence, _) = der(rsa_private_key(pkcs8.as_ref())?, SEQUENCE)?;
    let (_version, mut rest) = der(sequence, INTEGER)?;
    let mut members = vec![("kty", "RSA".to_owned())];
    for name in RSA_MEMBERS {
        let (integer, after) = der(rest, INTEGER)?;
        // A DER integer has a leading zero where its first bit is set; a JWK number has none.
        let unsigned: Vec<u8> = integer.iter().copied().skip_while(|byte| *byte == 0).collect();
        members.push((name, URL_SAFE_NO_PAD.encode(unsigned)));
        rest = after;
    }
    Some(members)
}

fn rsa_signing_key(jwk: &BTreeMap<String, String>) -> Option<SigningKey> {
    let number = |name| bytes(jwk, name);
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n: number("n")?, e: number("e")? },
        d: number("d")?,
        p: number("p")?,
        q: number("q")?,
        dP: number("dp")?,
        dQ: number("dq")?,
        qInv: number("qi")?,
    };
    let pkcs8: Pkcs8V1Der<'_> = RsaKeyPair::from_components(&components).ok()?.as_der().ok()?;
    Some(SigningKey::from_rsa_der(rsa_private_key(pkcs8.as_ref())?))
}

fn generate_ec(curve: Curve) -> Option<Members> {
    let pair = EcdsaKeyPair::generate(curve.algorithm).ok()?;
    let private: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().ok()?;
    let (x, y) = pair.public_key().as_ref().split_first()?.1.split_at_checked(curve.coordinate_bytes)?;
    Some(vec![
        ("kty", "EC".to_owned()),
        ("crv", curve.name.to_owned()),
        ("x", URL_SAFE_NO_PAD.encode(x)),
        ("y", URL_SAFE_NO_PAD.encode(y)),
        ("d", URL_SAFE_NO_PAD.encode(private.as_ref())),
    ])
}

fn ec_signing_key(jwk: &BTreeMap<String, String>, curve: Curve) -> Option<SigningKey> {
    // SEC 1 §2.3.3: 4, then both coordinates, is an uncompressed point.
    let point = [vec![4], bytes(jwk, "x")?, bytes(jwk, "y")?].concat();
    let private = bytes(jwk, "d")?;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(curve.algorithm, &private, &point).ok()?;
    Some(SigningKey::from_ec_der(pair.to_pkcs8v1().ok()?.as_ref()))
}

fn generate_ed25519() -> Option<Members> {
    let pair = Ed25519KeyPair::generate().ok()?;
    let seed: Curve25519SeedBin<'_> = pair.seed().ok()?.as_be_bytes().ok()?;
    Some(vec![
        ("kty", "OKP".to_owned()),
        ("crv", "Ed25519".to_owned()),
        ("x", URL_SAFE_NO_PAD.encode(pair.public_key().as_ref())),
        ("d", URL_SAFE_NO_PAD.encode(seed.as_ref())),
    ])
}

fn ed25519_signing_key(jwk: &BTreeMap<String, String>) -> Option<SigningKey> {
    let pair = Ed25519KeyPair::from_seed_and_public_key(&bytes(jwk, "d")?, &bytes(jwk, "x")?).ok()?;
    Some(SigningKey::from_ed_der(pair.to_pkcs8v1().ok()?.as_ref()))
}

fn bytes(jwk: &BTreeMap<String, String>, member: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(jwk.get(member)?).ok()
}

/// RFC 7638 §3: SHA-256 of the required members, sorted by name and without white space.
fn thumbprint(jwk: &BTreeMap<String, String>) -> String {
    let required: BTreeMap<_, _> =
        jwk.iter().filter(|(name, _)| ["crv", "e", "kty", "n", "x", "y"].contains(&name.as_str())).collect();
    URL_SAFE_NO_PAD.encode(digest(&SHA256, json!(required).to_string().as_bytes()))
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// The `RSAPrivateKey` inside a `PrivateKeyInfo` (RFC 5208 §5): version, algorithm, then the key in an octet string.
fn rsa_private_key(pkcs8: &[u8]) -> Option<&[u8]> {
    let (sequence, _) = der(pkcs8, SEQUENCE)?;
    let (_version, rest) = der(sequence, INTEGER)?;
    let (_algorithm, rest) = der(rest, SEQUENCE)?;
    Some(der(rest, OCTET_STRING)?.0)
}

/// The content of the DER element with this tag at the beginning (X.690 §8.1), and what follows it.
fn der(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = input.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length.checked_sub(0x80) {
        None => (usize::from(*length), rest),
        Some(count) => {
            let (length, rest) = rest.split_at_checked(usize::from(count))?;
            (
                length
                    .iter()
                    .try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))?,
                rest,
            )
        }
    };
    (*first == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::{JwkSet, verify_jws};

    fn claims() -> Map<String, Value> {
        Map::from_iter([("sub".to_owned(), json!("amal"))])
    }

    #[test]
    fn a_key_survives_its_file_and_its_tokens_verify() {
        for algorithm in
            [Algorithm::Rs256, Algorithm::Ps384, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa]
        {
            let made = DevelopmentKey::generate(algorithm).unwrap();
            let read = DevelopmentKey::from_json(&made.to_private_json()).unwrap();
            let keys = JwkSet::from_json(made.public_jwks().to_string().as_bytes()).unwrap();
            assert_eq!((keys.keys().len(), keys.skipped()), (1, &[][..]), "{algorithm}");
            for key in [made, read] {
                assert_eq!(
                    verify_jws(&mint(&key, &Map::new(), &claims()).unwrap(), &keys),
                    Ok(()),
                    "{algorithm}"
                );
            }
        }
    }

    #[test]
    fn the_private_key_is_in_no_output_but_its_file() {
        let key = DevelopmentKey::generate(Algorithm::Es256).unwrap();
        let private = &key.jwk["d"];
        assert!(key.to_private_json().contains(private));
        assert_eq!(
            format!("{key:?}"),
            format!("DevelopmentKey {{ algorithm: Es256, key_id: {:?}, .. }}", key.key_id)
        );
        assert!(!key.public_jwks().to_string().contains(private));
        assert!(!format!("{:?}", key.signing_key()).contains(private));
    }

    #[test]
    fn a_thumbprint_is_that_of_rfc_7638() {
        // RFC 7638 §3.1.
        let jwk = [
            ("kty", "RSA"),
            (
                "n",
                "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            ),
            ("e", "AQAB"),
            ("alg", "RS256"),
            ("kid", "2011-04-29"),
        ];
        let jwk = jwk.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(thumbprint(&jwk), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn what_is_not_a_key_pair_is_refused() {
        let key = DevelopmentKey::generate(Algorithm::Es256).unwrap();
        let other = DevelopmentKey::generate(Algorithm::Es256).unwrap();
        for text in [
            "",
            "{}",
            &key.public_jwk().to_string(),
            &key.to_private_json().replace(&key.jwk["d"], &other.jwk["d"]),
            &key.to_private_json().replace("ES256", "ES384"),
            &key.to_private_json().replace("ES256", "HS256"),
        ] {
            assert_eq!(
                DevelopmentKey::from_json(text).unwrap_err().to_string(),
                "the file is not a private key made by `cedar-gate token`: expected a JWK with `alg`, `kid` and its \
                 private members"
            );
        }
    }

    #[test]
    fn the_header_cannot_contradict_the_key() {
        let key = DevelopmentKey::generate(Algorithm::EdDsa).unwrap();
        let header = Map::from_iter([("alg".to_owned(), json!("none"))]);
        let error = mint(&key, &header, &claims()).unwrap_err();
        assert_eq!(error.to_string(), "the header's `alg` is the key's own and cannot be set");
    }
}
