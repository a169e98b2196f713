//! Tokens: a compact JWS becomes [`VerifiedClaims`], or one stated reason why not. Part of the PIP (policy information
//! point): what a principal is comes from here.
//!
//! ```text
//! BearerToken ─┬─CompactJws::parse──▶ CompactJws ──▶ iss ──▶ TrustedIssuer ──▶ its JwkSet ──▶ key, alg, signature ─┬─▶ claim rules ──▶ VerifiedClaims
//!              └─opaque──▶ TrustedIssuer ──▶ Introspected (its answer) ──▶ active ───────────────────────────────────┘
//! ```
//!
//! The only place that names `jsonwebtoken`. It makes the signatures of development tokens, and builds with debug assertions
//! hold its opinion of every signature against ours; in a release aws-lc is asked directly, because `jsonwebtoken` parses
//! the key for every token. Everything else is decided here: its own claim rules accept a token without `iss` and `aud`, an
//! `iss` that is an array, an unknown `crit`, and `nbf` in the future.

pub(crate) mod json;

mod error;
pub mod jws;

pub mod jwk;

pub mod revocation;

pub mod issuer;

pub mod verify;

pub mod introspection;

#[cfg(feature = "cli")]
pub mod sign;

pub use error::{Excerpt, Malformation, Need, Part, TokenError};
pub use introspection::{AnswerError, Introspected, verify_token};
pub use issuer::{IssuerError, TrustedIssuer, TrustedIssuers};
pub use jwk::{Jwk, JwkError, JwkSet, KeyMiss, KeyRing, ShortSecret};
pub use jws::{Algorithm, CompactJws, Hmac, JwsAlgorithm, KeyId};
pub use revocation::{Cutoff, Revocation, RevocationList, RevokedBy};
pub use verify::{ClaimValue, PrincipalKind, UsageKey, VerifiedClaims, verify, verify_jws};
