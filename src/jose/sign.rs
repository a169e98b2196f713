//! Signing, for development tokens and test vectors only; no part of the Lambda.

use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER as AWS_LC;

use super::jws::Algorithm;

/// A private key. `Debug` hides it.
#[derive(Clone, Debug)]
pub struct SigningKey(EncodingKey);

impl SigningKey {
    /// An RSA key from its `RSAPrivateKey` structure (RFC 8017 §A.1.2, DER).
    #[must_use]
    pub fn from_rsa_der(der: &[u8]) -> Self {
        Self(EncodingKey::from_rsa_der(der))
    }

    /// A P-256 or P-384 key from its `PrivateKeyInfo` structure (RFC 5208 §5, DER).
    #[must_use]
    pub fn from_ec_der(der: &[u8]) -> Self {
        Self(EncodingKey::from_ec_der(der))
    }

    /// An Ed25519 key from its `PrivateKeyInfo` structure (RFC 5208 §5, RFC 8410 §7, DER).
    #[must_use]
    pub fn from_ed_der(der: &[u8]) -> Self {
        Self(EncodingKey::from_ed_der(der))
    }

    /// Signs `message` with `algorithm` and gives the signature's bytes; for a JWS, `message` is the first two parts
    /// with the dot between (RFC 7515 §5.1).
    ///
    /// # Errors
    /// When the key is not for `algorithm`, or not a key.
    pub fn sign(&self, algorithm: Algorithm, message: &str) -> Result<Vec<u8>, SignError> {
        let signer = (AWS_LC.signer_factory)(&algorithm.for_backend(), &self.0)
            .map_err(|_| SignError { algorithm })?;
        signer.try_sign(message.as_bytes()).map_err(|_| SignError { algorithm })
    }
}

/// A key that cannot sign with an algorithm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key cannot sign with {algorithm}")]
pub struct SignError {
    algorithm: Algorithm,
}
