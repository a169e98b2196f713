//! The caller's credential: one bearer token, found in one place, never shown.

use std::fmt;

/// A bearer token as the caller sent it (RFC 6750), without the scheme; not checked yet. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl BearerToken {
    /// The longest token that is looked at, in bytes. API Gateway passes at most 10,240 bytes of headers, so a real
    /// token is shorter.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// Takes a token of 1 to [`Self::MAX_BYTES`] bytes; `None` for any other.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (1..=Self::MAX_BYTES).contains(&text.len()).then(|| Self(text.to_owned()))
    }

    /// The token's text: for verification only, never for a message or a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}
