//! Why an event gets no decision, and what its caller gets instead.

use crate::credential::CredentialError;
use crate::jose::{Need, TokenError};
use crate::record::Outcome;

/// Why an event gets no decision.
#[derive(Clone, Debug)]
pub(super) struct Rejection {
    /// What the caller gets: not an allow.
    pub(super) outcome: Outcome,
    /// Why, as a stable word.
    pub(super) reason: &'static str,
    /// Why, in words for the log.
    pub(super) detail: String,
    /// Who asked, where that was verified before.
    pub(super) principal_id: Option<String>,
    /// What could turn it into an answer, where something could.
    pub(super) need: Option<Need>,
}

impl Rejection {
    pub(super) fn fault(reason: &'static str, detail: String) -> Self {
        Self { outcome: Outcome::Fault, reason, detail, principal_id: None, need: None }
    }

    pub(super) fn deny(reason: &'static str, detail: String) -> Self {
        Self { outcome: Outcome::Deny, reason, detail, principal_id: None, need: None }
    }

    /// The same, of a caller who is known.
    pub(super) fn of(self, principal_id: String) -> Self {
        Self { principal_id: Some(principal_id), ..self }
    }
}

impl From<TokenError> for Rejection {
    fn from(error: TokenError) -> Self {
        // That we lack keys of an issuer whom we trust, or cannot ask it, is our fault, and says nothing about the caller.
        let is_ours = matches!(
            error,
            TokenError::KeysUnavailable { .. }
                | TokenError::KeysOutdated { .. }
                | TokenError::IntrospectionUnavailable { .. }
        );
        let outcome = if is_ours { Outcome::Fault } else { Outcome::Unauthorized };
        Self {
            outcome,
            reason: error.slug(),
            detail: error.to_string(),
            principal_id: None,
            need: error.need(),
        }
    }
}

impl From<CredentialError> for Rejection {
    fn from(error: CredentialError) -> Self {
        let outcome = match error {
            CredentialError::NoHeaderSource { .. } => Outcome::Fault,
            CredentialError::Missing { .. }
            | CredentialError::Several { .. }
            | CredentialError::Scheme { .. }
            | CredentialError::Empty { .. }
            | CredentialError::TooLong { .. }
            | CredentialError::Malformed { .. } => Outcome::Unauthorized,
        };
        Self { outcome, reason: error.slug(), detail: error.to_string(), principal_id: None, need: None }
    }
}
