//! What is usual for the tokens of a provider.

use serde::Deserialize;

use super::kind::TypRule;

/// Whose product an issuer is. A preset is a row of [`Provider::preset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Any OpenID provider; access tokens as in RFC 9068.
    Oidc,
    /// Amazon Cognito user pools.
    Cognito,
}

/// What is usual for a provider. Each can be overridden by the key named in brackets.
pub(super) struct Preset {
    pub(super) access: KindPreset,
    pub(super) id: KindPreset,
    /// The claim that says the kind of token, its value for access tokens, and for ID tokens (`token_use_claim`).
    pub(super) token_use_claim: Option<(&'static str, &'static str, &'static str)>,
    /// Claims that name the client, the first that is there (`client_claim`).
    pub(super) client_claims: &'static [&'static str],
    /// Which tokens are a client's own.
    pub(super) client_rule: ClientRule,
    /// The claim with the scopes (`scope_claim`).
    pub(super) scopes: &'static str,
    /// The claim with the roles (`roles.claim`).
    pub(super) roles: &'static str,
    /// The claim with the token's own id (`token_id_claim`).
    pub(super) token_id: &'static str,
    /// Where the keys are, below `issuer`.
    pub(super) jwks_path: Option<&'static str>,
}

pub(super) struct KindPreset {
    /// The claim with the audience (`audience_claim`).
    pub(super) audience: &'static str,
    /// The header's `typ` (`typ`).
    pub(super) typ: TypRule,
}

impl Provider {
    /// The word for it in an issuer file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Cognito => "cognito",
        }
    }

    /// The claim that names the roles, where the issuer's file does not say another.
    #[must_use]
    pub fn roles_claim(self) -> &'static str {
        self.preset().roles
    }

    pub(super) fn preset(self) -> &'static Preset {
        match self {
            // RFC 9068 §2.1, §2.2, §4; OpenID Connect Core §2. ID tokens have no marker of their own, so they are
            // told apart by what access tokens must carry: the `typ` `at+jwt`.
            Self::Oidc => &Preset {
                access: KindPreset { audience: "aud", typ: TypRule::AccessTokenJwt },
                id: KindPreset { audience: "aud", typ: TypRule::Jwt },
                token_use_claim: None,
                client_claims: &["client_id", "azp"],
                client_rule: ClientRule::SubjectIsClientId,
                scopes: "scope",
                roles: "roles",
                token_id: "jti",
                jwks_path: None,
            },
            // Cognito developer guide, "Using tokens with user pools": access tokens have `client_id` and no `aud`.
            Self::Cognito => &Preset {
                access: KindPreset { audience: "client_id", typ: TypRule::Jwt },
                id: KindPreset { audience: "aud", typ: TypRule::Jwt },
                token_use_claim: Some(("token_use", "access", "id")),
                client_claims: &["client_id"],
                client_rule: ClientRule::SubjectIsClientIdWithoutUsername,
                scopes: "scope",
                roles: "cognito:groups",
                token_id: "jti",
                jwks_path: Some("/.well-known/jwks.json"),
            },
        }
    }
}

/// Which tokens are a client's own, got without a user (RFC 6749 §4.4). ID tokens never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientRule {
    /// `sub` is the client id (RFC 9068 §2.2). An issuer that lets clients choose their id must keep user ids apart
    /// from them (RFC 9068 §5); even then, a `Client` is another entity than the `User` of the same id.
    SubjectIsClientId,
    /// The same, and there is no `username`, which Cognito puts into each user's access token.
    SubjectIsClientIdWithoutUsername,
}
