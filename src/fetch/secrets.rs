//! Secrets of the deployment: read from where an issuer file says that they are, and shown nowhere.

use std::env;
use std::fmt;
use std::fs;
use std::io::Read;

use crate::bundle::BundleFacts;
use crate::jose::issuer::{Introspection, KeySource, SecretSource};
use crate::jose::{JwkSet, ShortSecret, TrustedIssuer};

/// The longest secret that is read, in bytes; real ones have a hundred at most.
const MAX_BYTES: u64 = 64 * 1024;

/// A secret's bytes as they are, without line ends behind them, which an editor writes and nobody means. `Debug` hides them.
pub(super) struct Secret(Vec<u8>);

impl Secret {
    /// Reads a secret anew: it may have been replaced since.
    pub(super) fn read(source: &SecretSource) -> Result<Self, SecretError> {
        let mut bytes = match source {
            SecretSource::Env(name) => variable(name).ok_or_else(|| SecretError::NotSet(source.clone()))?,
            SecretSource::File(path) => {
                file(path).map_err(|reason| SecretError::Unreadable { place: source.clone(), reason })?
            }
        };
        while bytes.pop_if(|byte| matches!(byte, b'\n' | b'\r')).is_some() {}
        if bytes.is_empty() {
            return Err(SecretError::Empty(source.clone()));
        }
        Ok(Self(bytes))
    }

    /// The bytes: to make a key of, never for a message or a log.
    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[expect(clippy::disallowed_methods, reason = "this module is where secrets are read")]
fn variable(name: &str) -> Option<Vec<u8>> {
    env::var_os(name).map(std::ffi::OsString::into_encoded_bytes)
}

#[expect(clippy::disallowed_methods, reason = "this module is where secrets are read")]
fn file(path: &str) -> Result<Vec<u8>, String> {
    // Asked before it is opened: to open a pipe waits for somebody who writes to it.
    if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes"));
    }
    Ok(bytes)
}

/// Why a secret cannot be used. No message has anything of it but where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is no such variable.
    #[error("{0} is not set")]
    NotSet(SecretSource),
    /// The file cannot be read.
    #[error("cannot read {place}: {reason}")]
    Unreadable {
        /// Where the secret should be.
        place: SecretSource,
        /// The operating system's word.
        reason: String,
    },
    /// Nothing, or line ends alone.
    #[error("{0} is empty")]
    Empty(SecretSource),
    /// Fewer bytes than its algorithm needs.
    #[error("{place}: {error}")]
    Short {
        /// Where the secret is.
        place: SecretSource,
        /// What it lacks.
        error: ShortSecret,
    },
    /// A client secret (RFC 6749 §2.3.1) is text.
    #[error("{0} is not UTF-8 text")]
    NotText(SecretSource),
}

/// A secret that cannot be used. Only the issuer whose it is does without; others are not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("issuer `{issuer}` {}: {error}", .purpose.without())]
pub struct MissingSecret {
    /// Alias of the issuer.
    pub issuer: String,
    /// What the secret is for.
    pub purpose: SecretPurpose,
    /// Why it cannot be used.
    pub error: SecretError,
}

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretPurpose {
    /// The issuer signs with it.
    Shared,
    /// By it we are known to the issuer, when it is asked about opaque tokens.
    Client,
}

impl SecretPurpose {
    fn without(self) -> &'static str {
        match self {
            Self::Shared => "has no keys",
            Self::Client => "cannot be asked about tokens",
        }
    }
}

/// Gives the issuers that sign with a shared secret their keys, and looks whether the secrets are there by which others are
/// asked about tokens. An issuer whose secret is missing has no keys, and the rest goes on: the answer says which ones.
#[must_use]
pub fn read_secrets(bundle: &mut BundleFacts) -> Vec<MissingSecret> {
    let (mut shared, mut missing) = (Vec::new(), Vec::new());
    for issuer in bundle.issuers().by_name() {
        let mut miss = |purpose, error| {
            missing.push(MissingSecret { issuer: issuer.name().to_owned(), purpose, error });
        };
        match shared_keys(issuer) {
            Some(Ok(keys)) => shared.push((issuer.key_set().to_string(), keys)),
            Some(Err(error)) => miss(SecretPurpose::Shared, error),
            None => {}
        }
        if let Some(Err(error)) = issuer.introspection().map(client_secret) {
            miss(SecretPurpose::Client, error);
        }
    }
    for (key_set, keys) in shared {
        bundle.add_shared_secret(&key_set, keys);
    }
    missing.sort_by_cached_key(ToString::to_string);
    missing
}

/// The keys of an issuer that signs with a shared secret; `None` for any other.
fn shared_keys(issuer: &TrustedIssuer) -> Option<Result<JwkSet, SecretError>> {
    let KeySource::Secret(shared) = issuer.keys() else { return None };
    let source = &shared.source;
    Some(Secret::read(source).and_then(|secret| {
        JwkSet::from_secret(secret.expose(), shared.algorithm)
            .map_err(|error| SecretError::Short { place: source.clone(), error })
    }))
}

/// The secret by which an issuer is asked about tokens.
pub(super) fn client_secret(rule: &Introspection) -> Result<String, SecretError> {
    let source = &rule.client_secret;
    String::from_utf8(Secret::read(source)?.0).map_err(|_| SecretError::NotText(source.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A secret in a file with these bytes, and the file's path.
    #[expect(clippy::disallowed_methods, reason = "the test writes the file that it reads")]
    fn written(bytes: &[u8]) -> (Result<Vec<u8>, String>, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let secret = Secret::read(&SecretSource::File(path.clone()));
        (secret.map(|secret| secret.expose().to_vec()).map_err(|error| error.to_string()), path)
    }

    #[test]
    fn a_secret_is_its_bytes_without_line_ends_behind_them() {
        for (bytes, secret) in [
            (&b"hunter2"[..], &b"hunter2"[..]),
            (b"hunter2\n", b"hunter2"),
            (b"hunter2\r\n\r\n", b"hunter2"),
            (b"\nhun\nter2 \n", b"\nhun\nter2 "),
            (b"aHVudGVyMg==", b"aHVudGVyMg=="),
            (b"\xff\x00\n", b"\xff\x00"),
        ] {
            assert_eq!(written(bytes).0.as_deref(), Ok(secret), "{bytes:?}");
        }
    }

    #[test]
    fn a_secret_that_is_not_there_is_named_by_its_place() {
        for (bytes, message) in [
            (vec![], "file `…` is empty".to_owned()),
            (b"\n\r\n".to_vec(), "file `…` is empty".to_owned()),
            (vec![b'x'; 65_537], "cannot read file `…`: it has more than 65536 bytes".to_owned()),
        ] {
            let (read, path) = written(&bytes);
            assert_eq!(read.map_err(|error| error.replace(&path, "…")), Err(message));
        }
        let read = |source| Secret::read(&source).map(drop).map_err(|error| error.to_string());
        assert_eq!(
            read(SecretSource::File("/no/such/file".to_owned())),
            Err("cannot read file `/no/such/file`: No such file or directory (os error 2)".to_owned())
        );
        assert_eq!(
            read(SecretSource::File("/dev/zero".to_owned())),
            Err("cannot read file `/dev/zero`: it is not a regular file".to_owned())
        );
        assert_eq!(
            read(SecretSource::Env("CEDAR_GATE_TEST_NO_SUCH_VARIABLE".to_owned())),
            Err("environment variable `CEDAR_GATE_TEST_NO_SUCH_VARIABLE` is not set".to_owned())
        );
    }

    #[test]
    fn no_debug_form_shows_a_secret() {
        assert_eq!(format!("{:?}", Secret(b"hunter2".to_vec())), "Secret(…)");
    }
}
