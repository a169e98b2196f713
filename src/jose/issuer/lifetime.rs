//! What ends a token.

use serde::Deserialize;

use super::names::Seconds;

/// How old a token may become, counted from its `iat`: a minute to a year.
pub(crate) type TokenAge = Seconds<60, 31_536_000>;

/// `expiry` as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Expiry {
    Required,
    Optional,
}

/// What ends a token; something always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// `exp`, which it must have.
    Expiry,
    /// `exp` or its age, whichever is first; it must have `exp` and `iat`.
    ExpiryAndAge(TokenAge),
    /// Its age, and `exp` where it has one; it must have `iat`.
    Age(TokenAge),
}

impl Lifetime {
    /// What a file says; `None` where nothing would end a token that has no `exp`.
    pub(super) fn new(expiry: Expiry, max_age: Option<TokenAge>) -> Option<Self> {
        match (expiry, max_age) {
            (Expiry::Required, None) => Some(Self::Expiry),
            (Expiry::Required, Some(age)) => Some(Self::ExpiryAndAge(age)),
            (Expiry::Optional, Some(age)) => Some(Self::Age(age)),
            (Expiry::Optional, None) => None,
        }
    }

    pub(crate) fn requires_expiry(self) -> bool {
        match self {
            Self::Expiry | Self::ExpiryAndAge(_) => true,
            Self::Age(_) => false,
        }
    }

    pub(crate) fn max_age(self) -> Option<TokenAge> {
        match self {
            Self::Expiry => None,
            Self::ExpiryAndAge(age) | Self::Age(age) => Some(age),
        }
    }
}
