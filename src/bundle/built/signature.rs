//! Who vouches for a built bundle: Ed25519 signatures (RFC 8032), and the keys that a deployment trusts.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{BuiltError, PRELUDE};

/// What stands before the prelude in what is signed, so that no other signature of the key can be taken for one.
const CONTEXT: &[u8] = b"cedar-gate bundle\0";

/// How a signature in a file begins.
const TAG: &[u8; 4] = b"SIG1";

/// A signature of a built bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    key: [u8; 32],
    bytes: [u8; 64],
}

/// A public key that bundles are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseKey([u8; 32]);

/// The keys that a deployment trusts; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKeys(Vec<ReleaseKey>);

/// A key pair that signs bundles. Its `Debug` shows the public half alone.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: ReleaseKey,
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No key is named where keys are asked for.
    #[error("no key is named: expected one or more public keys, as `cedar-gate bundle key` prints them")]
    NoKey,
    /// It is none.
    #[error(
        "`{0}` characters that are no Ed25519 public key: expected 43 of base64url, as `cedar-gate bundle key` prints them"
    )]
    NotAKey(usize),
    /// A private key that is none.
    #[error(
        "the private key is none: expected a JWK with kty \"OKP\", crv \"Ed25519\", x and d, as `cedar-gate bundle key` writes it"
    )]
    NotAPrivateKey,
    /// No key can be made.
    #[error("the key cannot be made")]
    NotMade,
}

impl Signature {
    /// The bytes of a signature in a file.
    pub const BYTES: usize = 100;
    /// The most signatures of one bundle.
    pub const MOST: usize = 16;

    /// Reads signatures as they stand one after another.
    ///
    /// # Errors
    /// [`BuiltError::Damaged`] where they are none.
    pub fn read_all(bytes: &[u8]) -> Result<Vec<Self>, BuiltError> {
        let (signatures, rest) = bytes.as_chunks::<{ Self::BYTES }>();
        let read = |bytes: &[u8; Self::BYTES]| {
            let (tag, rest) = bytes.split_first_chunk::<4>()?;
            let (key, rest) = rest.split_first_chunk::<32>()?;
            let bytes = rest.first_chunk::<64>()?;
            (tag == TAG).then_some(Self { key: *key, bytes: *bytes })
        };
        let read: Option<Vec<Self>> = signatures.iter().map(read).collect();
        match read.filter(|read| rest.is_empty() && read.len() <= Self::MOST) {
            Some(read) => Ok(read),
            None => Err(BuiltError::Damaged { what: "its signatures are none".to_owned() }),
        }
    }

    /// As it stands in a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [TAG.as_slice(), &self.key, &self.bytes].concat()
    }

    /// The id of the key that it says to be of.
    #[must_use]
    pub fn key_id(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key)
    }

    /// Whether it is of that key, and of the bundle with that prelude.
    fn is_of(&self, key: &ReleaseKey, prelude: &[u8; PRELUDE]) -> bool {
        let message = [CONTEXT, prelude].concat();
        UnparsedPublicKey::new(&ED25519, &key.0).verify(&message, &self.bytes).is_ok()
    }
}

impl ReleaseKey {
    /// Its id: the thumbprint of RFC 7638 with SHA-256, of the key as a JWK (RFC 8037).
    #[must_use]
    pub fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.id_bytes())
    }

    fn id_bytes(&self) -> [u8; 32] {
        let jwk = format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{self}\"}}");
        let mut id = [0; 32];
        id.copy_from_slice(digest::digest(&digest::SHA256, jwk.as_bytes()).as_ref());
        id
    }
}

/// In base64url: the member `x` of its JWK.
impl fmt::Display for ReleaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl std::str::FromStr for ReleaseKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let refuse = || KeyError::NotAKey(text.chars().count());
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refuse())?;
        bytes.try_into().map(Self).map_err(|_| refuse())
    }
}

/// Keys in base64url, with white space or commas between them. A text that is there and names none is an error: it would trust
/// everybody.
impl std::str::FromStr for TrustedKeys {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let keys = text.split(|char: char| char.is_whitespace() || char == ',').filter(|key| !key.is_empty());
        let keys: Vec<ReleaseKey> = keys.map(str::parse).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(KeyError::NoKey) } else { Ok(Self(keys)) }
    }
}

impl TrustedKeys {
    /// The trusted key that signed the bundle with that prelude.
    pub(super) fn check(
        &self,
        prelude: &[u8; PRELUDE],
        signatures: &[Signature],
    ) -> Result<ReleaseKey, BuiltError> {
        let mut wrong = None;
        for signature in signatures {
            for key in self.0.iter().filter(|key| key.id_bytes() == signature.key) {
                match signature.is_of(key, prelude) {
                    true => return Ok(key.clone()),
                    false => wrong = Some(key.id()),
                }
            }
        }
        let trusted = listed(self.0.iter().map(ReleaseKey::id));
        Err(match (wrong, signatures.is_empty()) {
            (Some(key), _) => BuiltError::WrongSignature { key },
            (None, true) => BuiltError::Unsigned { trusted },
            (None, false) => {
                BuiltError::OtherKey { found: listed(signatures.iter().map(Signature::key_id)), trusted }
            }
        })
    }
}

fn listed(ids: impl Iterator<Item = String>) -> String {
    ids.collect::<Vec<_>>().join(", ")
}

impl SigningKey {
    /// A new key pair, from its 32 random bytes.
    ///
    /// # Errors
    /// [`KeyError::NotAPrivateKey`], which no 32 bytes are.
    pub fn from_seed(seed: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::NotAPrivateKey)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::NotAPrivateKey)?;
        Ok(Self { pair, public: ReleaseKey(public) })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &ReleaseKey {
        &self.public
    }

    /// Signs the built bundle that begins with these bytes.
    ///
    /// # Errors
    /// [`BuiltError::NotABundle`] where there are too few of them.
    pub fn sign(&self, bundle: &[u8]) -> Result<Signature, BuiltError> {
        let prelude = bundle.first_chunk::<PRELUDE>().ok_or(BuiltError::NotABundle)?;
        let message = [CONTEXT, prelude].concat();
        let bytes = self.pair.sign(&message).as_ref().try_into().map_err(|_| BuiltError::NotABundle)?;
        Ok(Signature { key: self.public.id_bytes(), bytes })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public.id()).finish_non_exhaustive()
    }
}
