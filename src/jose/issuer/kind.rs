//! Kinds of token, and what tells them apart.

use std::fmt;

use serde::Deserialize;

use super::names::ClaimPath;

/// The kind of token that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenUse {
    /// Access tokens: made for an API.
    Access,
    /// ID tokens: made for the client that signed the user in.
    Id,
    /// Both, which one rule set rarely means.
    Any,
}

impl TokenUse {
    /// The word for it in an issuer file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Id => "id",
            Self::Any => "any",
        }
    }
}

impl fmt::Display for TokenUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Access => "an access token",
            Self::Id => "an ID token",
            Self::Any => "an access or ID token",
        })
    }
}

/// The kind that a token says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access,
    Id,
}

impl TokenUse {
    pub(crate) fn accepts(self, kind: TokenKind) -> bool {
        match (self, kind) {
            (Self::Any, _) | (Self::Access, TokenKind::Access) | (Self::Id, TokenKind::Id) => true,
            (Self::Access, TokenKind::Id) | (Self::Id, TokenKind::Access) => false,
        }
    }
}

/// What the header's `typ` must be. Media types are compared without regard to case, and `application/` may be left
/// out (RFC 7515 §4.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TypRule {
    /// `at+jwt` (RFC 9068 §4: tokens with any other value are rejected).
    #[serde(rename = "at+jwt")]
    AccessTokenJwt,
    /// `JWT` or no `typ` (RFC 7519 §5.1): not `at+jwt`, `logout+jwt`, `dpop+jwt` and so on.
    #[serde(rename = "JWT")]
    Jwt,
    /// Either: for providers that mark their access tokens by something else, and by this as well where one asks for it.
    #[serde(rename = "at+jwt or JWT")]
    AccessTokenJwtOrJwt,
    /// Not looked at.
    #[serde(rename = "any")]
    Any,
}

impl TypRule {
    pub(crate) fn accepts(self, typ: Option<&str>) -> bool {
        match self {
            Self::AccessTokenJwt => is_access_token_typ(typ),
            Self::Jwt => is_plain_typ(typ),
            Self::AccessTokenJwtOrJwt => is_access_token_typ(typ) || is_plain_typ(typ),
            Self::Any => true,
        }
    }
}

impl fmt::Display for TypRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccessTokenJwt => "`at+jwt`",
            Self::Jwt => "`JWT` or absent",
            Self::AccessTokenJwtOrJwt => "`at+jwt`, `JWT` or absent",
            Self::Any => "anything",
        })
    }
}

/// Whether a `typ` marks an access token (RFC 9068 §2.1).
pub(crate) fn is_access_token_typ(typ: Option<&str>) -> bool {
    typ.is_some_and(|typ| media_type(typ).eq_ignore_ascii_case("at+jwt"))
}

fn is_plain_typ(typ: Option<&str>) -> bool {
    typ.is_none_or(|typ| media_type(typ).eq_ignore_ascii_case("jwt"))
}

fn media_type(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => typ,
    }
}

/// What tells access tokens from ID tokens, beside the header's `typ`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KindMark {
    /// A claim whose value says so.
    Value(TokenUseClaim),
    /// Claims of which an access token has one, and an ID token none.
    Presence(Vec<ClaimPath>),
    /// Nothing.
    Nothing,
}

/// A claim whose value says the kind of token, such as Cognito's `token_use` or Keycloak's `typ`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenUseClaim {
    pub(crate) claim: ClaimPath,
    pub(crate) access: String,
    pub(crate) id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_compared_as_rfc_7515_says() {
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+JWT"] {
            assert!(TypRule::AccessTokenJwt.accepts(Some(typ)), "{typ}");
            assert!(!TypRule::Jwt.accepts(Some(typ)), "{typ}");
        }
        for typ in ["JWT", "jwt", "application/jwt"] {
            assert!(TypRule::Jwt.accepts(Some(typ)), "{typ}");
            assert!(!TypRule::AccessTokenJwt.accepts(Some(typ)), "{typ}");
        }
        for typ in ["logout+jwt", "", "at+jwt ", "application/application/jwt", "text/jwt"] {
            assert!(!TypRule::Jwt.accepts(Some(typ)) && !TypRule::AccessTokenJwt.accepts(Some(typ)), "{typ}");
            assert!(!TypRule::AccessTokenJwtOrJwt.accepts(Some(typ)), "{typ}");
        }
        for typ in [None, Some("JWT"), Some("at+jwt")] {
            assert!(TypRule::AccessTokenJwtOrJwt.accepts(typ), "{typ:?}");
        }
        assert!(TypRule::Jwt.accepts(None) && !TypRule::AccessTokenJwt.accepts(None));
        assert!(TypRule::Any.accepts(Some("logout+jwt")));
    }
}
