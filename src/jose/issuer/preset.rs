//! What is usual for the tokens of a provider.

use serde::Deserialize;

use super::kind::{KindMark, TokenUseClaim, TypRule};
use super::names::ClaimPath;

/// Whose product an issuer is. A preset is a row of [`Provider::preset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Any OpenID provider; access tokens as in RFC 9068.
    Oidc,
    /// Amazon Cognito user pools.
    Cognito,
    /// Auth0 tenants, of which the tokens for an API that was registered there.
    Auth0,
    /// Okta's custom authorization servers; the ID tokens of an organisation's own server too.
    Okta,
    /// Microsoft Entra ID: tokens of version 1.0 or 2.0, which the issuer's form tells apart.
    Entra,
    /// Keycloak realms.
    Keycloak,
    /// Google accounts: ID tokens, because Google's access tokens are no JWTs.
    Google,
}

/// What is usual for a provider. Each can be overridden by the key named in brackets.
pub(super) struct Preset {
    /// `None` where the provider makes no access tokens that can be verified.
    pub(super) access: Option<KindPreset>,
    pub(super) id: KindPreset,
    /// What tells the kinds of token apart (`token_use_claim`, `access_marker`).
    pub(super) mark: MarkPreset,
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
    /// Where the keys are (`keys`).
    pub(super) keys: KeysPreset,
    /// How its issuers end.
    pub(super) ending: Ending,
    /// Names that mean the same issuer (`also_issuers`).
    pub(super) same_issuers: &'static [&'static str],
}

pub(super) struct KindPreset {
    /// The claim with the audience (`audience_claim`).
    pub(super) audience: &'static str,
    /// The header's `typ` (`typ`).
    pub(super) typ: TypRule,
}

/// What tells access tokens from ID tokens.
pub(super) enum MarkPreset {
    Value { claim: &'static str, access: &'static str, id: &'static str },
    Presence(&'static [&'static str]),
    Nothing,
}

/// Where a provider publishes its keys.
pub(super) enum KeysPreset {
    /// Where its metadata says.
    Discovery,
    /// At this path below `issuer`.
    Below(&'static str),
    /// At this path below `issuer` for a custom server, which has `/oauth2/` in its name; for an organisation's own server
    /// at the other.
    BelowServer { custom: &'static str, own: &'static str },
    /// Always here.
    At(&'static str),
    /// Where Entra keeps those of the tenant and version that the issuer's name says.
    Entra,
}

/// Whether the provider's issuers end with a slash. It is part of the name, and the slip that is made most often.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Slash,
    NoSlash,
    Either,
}

impl Provider {
    /// The word for it in an issuer file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Cognito => "cognito",
            Self::Auth0 => "auth0",
            Self::Okta => "okta",
            Self::Entra => "entra",
            Self::Keycloak => "keycloak",
            Self::Google => "google",
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
                access: Some(KindPreset { audience: "aud", typ: TypRule::AccessTokenJwt }),
                id: KindPreset { audience: "aud", typ: TypRule::Jwt },
                mark: MarkPreset::Nothing,
                client_claims: &["client_id", "azp"],
                client_rule: ClientRule::SubjectIsClientId,
                scopes: "scope",
                roles: "roles",
                token_id: "jti",
                keys: KeysPreset::Discovery,
                ending: Ending::Either,
                same_issuers: &[],
            },
            // Cognito developer guide, "Using tokens with user pools": access tokens have `client_id` and no `aud`, and
            // each user's has a `username`.
            Self::Cognito => &Preset {
                access: Some(KindPreset { audience: "client_id", typ: TypRule::Jwt }),
                id: KindPreset { audience: "aud", typ: TypRule::Jwt },
                mark: MarkPreset::Value { claim: "token_use", access: "access", id: "id" },
                client_claims: &["client_id"],
                client_rule: ClientRule::SubjectIsClientIdWithout("username"),
                scopes: "scope",
                roles: "cognito:groups",
                token_id: "jti",
                keys: KeysPreset::Below("/.well-known/jwks.json"),
                ending: Ending::NoSlash,
                same_issuers: &[],
            },
            // Auth0, "Access token profiles": its own profile has `azp` and the `typ` `JWT`, that of RFC 9068 has
            // `client_id` and `at+jwt`; an ID token has neither claim. Without role-based access control a token gets
            // whatever scopes its client asks for; `permissions` are what the user was assigned.
            Self::Auth0 => &Preset {
                access: Some(KindPreset { audience: "aud", typ: TypRule::AccessTokenJwtOrJwt }),
                id: KindPreset { audience: "aud", typ: TypRule::Jwt },
                mark: MarkPreset::Presence(&["azp", "client_id"]),
                client_claims: &["azp", "client_id"],
                client_rule: ClientRule::SubjectIsClientIdAnd("@clients"),
                scopes: "scope",
                roles: "permissions",
                token_id: "jti",
                keys: KeysPreset::Below("/.well-known/jwks.json"),
                ending: Ending::Slash,
                same_issuers: &[],
            },
            // Okta, "Build a JWT access token": `cid` and `scp` stand in access tokens alone, and `uid` in users' ones.
            // An organisation's own server marks its access tokens, which are for Okta alone, by a `typ` of their own.
            Self::Okta => &Preset {
                access: Some(KindPreset { audience: "aud", typ: TypRule::AccessTokenJwtOrJwt }),
                id: KindPreset { audience: "aud", typ: TypRule::Jwt },
                mark: MarkPreset::Presence(&["cid"]),
                client_claims: &["cid"],
                client_rule: ClientRule::SubjectIsClientIdWithout("uid"),
                scopes: "scp",
                roles: "groups",
                token_id: "jti",
                keys: KeysPreset::BelowServer { custom: "/v1/keys", own: "/oauth2/v1/keys" },
                ending: Ending::NoSlash,
                same_issuers: &[],
            },
            // Microsoft identity platform, "Access token claims reference": the `typ` is always `JWT`; `azp` (2.0) and
            // `appid` (1.0) stand in access tokens alone; `uti` stands for `jti`.
            Self::Entra => &Preset {
                access: Some(KindPreset { audience: "aud", typ: TypRule::Jwt }),
                id: KindPreset { audience: "aud", typ: TypRule::Jwt },
                mark: MarkPreset::Presence(&["azp", "appid"]),
                client_claims: &["azp", "appid"],
                client_rule: ClientRule::EntraApplication,
                scopes: "scp",
                roles: "roles",
                token_id: "uti",
                keys: KeysPreset::Entra,
                ending: Ending::Either,
                same_issuers: &[],
            },
            // Keycloak's `typ` claim is `Bearer`, `ID`, `Refresh` or `Offline`, and `DPoP` for a token that is bound to
            // a key; the header's `typ` can be set to `at+jwt` for each client.
            Self::Keycloak => &Preset {
                access: Some(KindPreset { audience: "aud", typ: TypRule::AccessTokenJwtOrJwt }),
                id: KindPreset { audience: "aud", typ: TypRule::Jwt },
                mark: MarkPreset::Value { claim: "typ", access: "Bearer", id: "ID" },
                client_claims: &["azp"],
                client_rule: ClientRule::KeycloakServiceAccount,
                scopes: "scope",
                roles: "realm_access.roles",
                token_id: "jti",
                keys: KeysPreset::Below("/protocol/openid-connect/certs"),
                ending: Ending::NoSlash,
                same_issuers: &[],
            },
            // Google, "OpenID Connect": the issuer has its scheme or has it not; a Workspace's domain stands in `hd`, the one
            // thing in a token that says to whom a person belongs.
            Self::Google => &Preset {
                access: None,
                id: KindPreset { audience: "aud", typ: TypRule::Jwt },
                mark: MarkPreset::Nothing,
                client_claims: &["azp"],
                client_rule: ClientRule::SubjectIsClientId,
                scopes: "scope",
                roles: "hd",
                token_id: "jti",
                keys: KeysPreset::At("https://www.googleapis.com/oauth2/v3/certs"),
                ending: Ending::NoSlash,
                same_issuers: &["https://accounts.google.com", "accounts.google.com"],
            },
        }
    }
}

impl From<&MarkPreset> for KindMark {
    fn from(preset: &MarkPreset) -> Self {
        match *preset {
            MarkPreset::Value { claim, access, id } => Self::Value(TokenUseClaim {
                claim: ClaimPath::preset(claim),
                access: access.to_owned(),
                id: id.to_owned(),
            }),
            MarkPreset::Presence(claims) => {
                Self::Presence(claims.iter().map(|claim| ClaimPath::preset(claim)).collect())
            }
            MarkPreset::Nothing => Self::Nothing,
        }
    }
}

/// Which tokens are a client's own, got without a user (RFC 6749 §4.4). ID tokens never are.
///
/// Where this is in doubt the token is a user's: a `Client` is another entity than the `User` of the same id, and a user
/// who could pass for one would have what it is permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientRule {
    /// `sub` is the client id (RFC 9068 §2.2). An issuer that lets clients choose their id must keep user ids apart
    /// from them (RFC 9068 §5).
    SubjectIsClientId,
    /// The same, and there is none of this claim, which each user's token has.
    SubjectIsClientIdWithout(&'static str),
    /// `sub` is the client id with this behind it, which no user's id has.
    SubjectIsClientIdAnd(&'static str),
    /// `idtyp` is `app`; or, where that optional claim is not asked for, `oid` repeats `sub`, which is pairwise for users,
    /// and there is no `scp`, which all users' access tokens have.
    EntraApplication,
    /// A second claim, which a mapper of service accounts fills from their session, repeats `azp`, and the user name is
    /// that of the client's service account, or is left out (lightweight tokens).
    KeycloakServiceAccount,
}
