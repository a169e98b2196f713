//! Trusted issuers: one TOML file each says whose tokens are accepted, for whom, and what they may confer.
//!
//! ```toml
//! name      = "acme-staff"     # alias: stands in entity ids, logs and reasons
//! issuer    = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123456"   # the token's `iss`, compared exactly
//! provider  = "cognito"        # or "oidc": the presets below
//! token_use = "access"         # or "id"; "any" must be written out
//! audience  = ["1example23456789"]                    # or "any", written out
//! tenant    = "acme"           # or { claim = "custom:tenant", allow = ["acme", "globex"] }, or allow = "any"
//! roles     = { claim = "cognito:groups", grant = ["clerk"], map = { "Acme Clerks" = "clerk" } }
//! claims    = { department = "custom:department" }    # attribute = claim
//! keys      = { file = "acme.jwks.json" }             # or "development": this machine's own key pair
//! ```
//!
//! Optional, each with a preset: `typ`, `audience_claim`, `client_claim`, `scope_claim`, `token_use_claim`; further
//! `required_claims` (none), `usage_key` (the claim that holds the caller's usage plan key; none), `leeway` (seconds, 0),
//! `development` (false).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::json::{Json, Object};

/// An issuer whose tokens are accepted, and the rules for them.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    pub(crate) name: Arc<str>,
    pub(crate) issuer: String,
    pub(crate) token_use: TokenUse,
    pub(crate) typ: TypRule,
    pub(crate) token_use_claim: Option<TokenUseClaim>,
    pub(crate) audience: Listed<AudienceName>,
    pub(crate) access_audience_claim: ClaimPath,
    pub(crate) id_audience_claim: ClaimPath,
    pub(crate) client_claims: Vec<ClaimPath>,
    pub(crate) client_rule: ClientRule,
    pub(crate) scope_claim: ClaimPath,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) roles: Option<RoleRule>,
    pub(crate) attributes: Vec<(Arc<str>, ClaimPath)>,
    pub(crate) required_claims: Vec<ClaimPath>,
    pub(super) usage_key: Option<ClaimPath>,
    pub(crate) leeway: Leeway,
    keys: KeySource,
    provider: Provider,
    development: bool,
}

impl TrustedIssuer {
    /// Reads an issuer file.
    ///
    /// # Errors
    /// The first thing in it that is not as described above, with its place where it has one.
    pub fn from_toml(text: &str) -> Result<Self, IssuerError> {
        let file: IssuerFile = toml::from_str(text)
            .map_err(|error| IssuerError::Toml { message: error.message().to_owned(), span: error.span() })?;
        let preset = file.provider.preset();
        let kind = match file.token_use {
            TokenUse::Access | TokenUse::Any => &preset.access,
            TokenUse::Id => &preset.id,
        };
        // With "any" written out, the header's `typ` has nothing left to tell apart, unless a `typ` is written too.
        let typ = match (file.typ, file.token_use, kind.typ) {
            (Some(written), _, _) => written,
            (None, TokenUse::Any, TypRule::AccessTokenJwt) => TypRule::Any,
            (None, _, preset) => preset,
        };
        let one_or =
            |written: Option<ClaimPath>, preset: &str| written.unwrap_or_else(|| ClaimPath(preset.into()));
        Ok(Self {
            typ,
            token_use: file.token_use,
            token_use_claim: file.token_use_claim.or_else(|| preset.token_use_claim.map(TokenUseClaim::from)),
            audience: file.audience.ok_or(IssuerError::MissingAudience)?,
            access_audience_claim: one_or(file.audience_claim.clone(), preset.access.audience),
            id_audience_claim: one_or(file.audience_claim, preset.id.audience),
            client_claims: match file.client_claim {
                Some(written) => vec![written],
                None => preset.client_claims.iter().map(|claim| ClaimPath((*claim).into())).collect(),
            },
            client_rule: preset.client_rule,
            scope_claim: one_or(file.scope_claim, preset.scopes),
            roles: file.roles.map(|roles| RoleRule::new(roles, preset.roles)).transpose()?,
            tenant: file.tenant,
            attributes: file.claims.into_iter().map(|(name, claim)| (name.0.into(), claim)).collect(),
            required_claims: file.required_claims,
            leeway: file.leeway,
            name: file.name.0.into(),
            issuer: file.issuer.0,
            usage_key: file.usage_key,
            development: file.development || file.keys == KeySource::Development,
            keys: file.keys,
            provider: file.provider,
        })
    }

    /// The alias: what we call the issuer.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whose product it is: where the presets are from.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The kind of token that is accepted.
    #[must_use]
    pub fn token_use(&self) -> TokenUse {
        self.token_use
    }

    /// Where its keys are.
    #[must_use]
    pub fn keys(&self) -> &KeySource {
        &self.keys
    }

    /// Where the provider publishes its keys, if that follows from `issuer`; others publish the place by discovery.
    #[must_use]
    pub fn jwks_url(&self) -> Option<String> {
        self.provider.preset().jwks_path.map(|path| format!("{}{path}", self.issuer))
    }

    /// The roles it may confer, sorted.
    #[must_use]
    pub fn grantable_roles(&self) -> &[String] {
        self.roles.as_ref().map_or(&[], |roles| &roles.grant)
    }

    /// The claim that says the tenant, where one does.
    #[must_use]
    pub fn tenant_claim(&self) -> Option<&str> {
        match &self.tenant {
            Some(Tenant::Claimed(rule)) => Some(rule.claim.as_str()),
            Some(Tenant::Fixed(_)) | None => None,
        }
    }

    /// The tenants for which it may speak, sorted; `None` where a claim may name any.
    #[must_use]
    pub fn tenants(&self) -> Option<Vec<&str>> {
        let mut names: Vec<&str> = match &self.tenant {
            None => Vec::new(),
            Some(Tenant::Fixed(name)) => vec![name.as_ref()],
            Some(Tenant::Claimed(TenantClaim { allow: Listed::These(names), .. })) => {
                names.iter().map(AsRef::as_ref).collect()
            }
            Some(Tenant::Claimed(TenantClaim { allow: Listed::Any, .. })) => return None,
        };
        names.sort_unstable();
        Some(names)
    }

    /// The names of the attributes that its tokens give a principal's `claims`.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|(name, _)| name.as_ref())
    }

    /// Whether it is for development only: its private key may be on a developer's disk.
    #[must_use]
    pub fn development(&self) -> bool {
        self.development
    }

    /// The claim that says for whom a token is. Cognito's access tokens have no `aud`, so this depends on the kind.
    pub(crate) fn audience_claim(&self, kind: Option<TokenKind>) -> &ClaimPath {
        match kind {
            Some(TokenKind::Id) => &self.id_audience_claim,
            Some(TokenKind::Access) | None => &self.access_audience_claim,
        }
    }
}

/// All trusted issuers, found by the exact `iss` in one lookup however many there are.
#[derive(Clone, Debug, Default)]
pub struct TrustedIssuers {
    by_iss: HashMap<String, Arc<TrustedIssuer>>,
}

impl TrustedIssuers {
    /// Builds the index.
    ///
    /// # Errors
    /// When two have the same `issuer` or the same `name`.
    pub fn new(issuers: Vec<TrustedIssuer>) -> Result<Self, IssuerError> {
        let mut names = HashMap::new();
        let mut by_iss: HashMap<String, Arc<TrustedIssuer>> = HashMap::new();
        for issuer in issuers {
            if names.insert(Arc::clone(&issuer.name), ()).is_some() {
                return Err(IssuerError::DuplicateName { name: issuer.name.to_string() });
            }
            if let Some(first) = by_iss.get(&issuer.issuer) {
                return Err(IssuerError::DuplicateIssuer {
                    first: first.name.to_string(),
                    second: issuer.name.to_string(),
                    issuer: issuer.issuer,
                });
            }
            by_iss.insert(issuer.issuer.clone(), Arc::new(issuer));
        }
        Ok(Self { by_iss })
    }

    /// The issuer whose tokens carry exactly this `iss`.
    #[must_use]
    pub fn find(&self, iss: &str) -> Option<&TrustedIssuer> {
        self.by_iss.get(iss).map(Arc::as_ref)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &TrustedIssuer> {
        self.by_iss.values().map(Arc::as_ref)
    }
}

/// Why an issuer file, or all of them together, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Not TOML, or a key that is unknown, absent or has a value it cannot have.
    #[error("{message}")]
    Toml {
        /// What is wrong.
        message: String,
        /// Where, in bytes of the file.
        span: Option<Range<usize>>,
    },
    /// No `audience`. Leaving it out must not switch the check off.
    #[error(
        "missing field `audience`: list the audiences or client ids whose tokens are accepted, or write `audience = \"any\"` to accept all"
    )]
    MissingAudience,
    /// A name is mapped to a role that the issuer may not confer.
    #[error("`roles.map` leads to `{role}`, which `roles.grant` does not list")]
    MappedRoleNotGranted {
        /// The role.
        role: String,
        /// Where, in bytes of the file.
        span: Range<usize>,
    },
    /// Two files for one `iss`: which rules hold would depend on their order.
    #[error("issuer `{issuer}` is claimed twice, by `{first}` and by `{second}`")]
    DuplicateIssuer {
        /// The `iss`.
        issuer: String,
        /// Alias of one.
        first: String,
        /// Alias of the other.
        second: String,
    },
    /// Two files with one alias: their principals could not be told apart.
    #[error("two issuers are named `{name}`")]
    DuplicateName {
        /// The alias.
        name: String,
    },
}

impl IssuerError {
    /// Where in the file it is, in bytes, when it is in one place.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::Toml { span, .. } => span.clone(),
            Self::MappedRoleNotGranted { span, .. } => Some(span.clone()),
            Self::MissingAudience | Self::DuplicateIssuer { .. } | Self::DuplicateName { .. } => None,
        }
    }
}

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
struct Preset {
    access: KindPreset,
    id: KindPreset,
    /// The claim that says the kind of token, its value for access tokens, and for ID tokens (`token_use_claim`).
    token_use_claim: Option<(&'static str, &'static str, &'static str)>,
    /// Claims that name the client, the first that is there (`client_claim`).
    client_claims: &'static [&'static str],
    /// Which tokens are a client's own.
    client_rule: ClientRule,
    /// The claim with the scopes (`scope_claim`).
    scopes: &'static str,
    /// The claim with the roles (`roles.claim`).
    roles: &'static str,
    /// Where the keys are, below `issuer`.
    jwks_path: Option<&'static str>,
}

struct KindPreset {
    /// The claim with the audience (`audience_claim`).
    audience: &'static str,
    /// The header's `typ` (`typ`).
    typ: TypRule,
}

impl Provider {
    fn preset(self) -> &'static Preset {
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
    /// Not looked at.
    #[serde(rename = "any")]
    Any,
}

impl TypRule {
    pub(crate) fn accepts(self, typ: Option<&str>) -> bool {
        match self {
            Self::AccessTokenJwt => is_access_token_typ(typ),
            Self::Jwt => typ.is_none_or(|typ| media_type(typ).eq_ignore_ascii_case("jwt")),
            Self::Any => true,
        }
    }
}

impl fmt::Display for TypRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccessTokenJwt => "`at+jwt`",
            Self::Jwt => "`JWT` or absent",
            Self::Any => "anything",
        })
    }
}

/// Whether a `typ` marks an access token (RFC 9068 §2.1).
pub(crate) fn is_access_token_typ(typ: Option<&str>) -> bool {
    typ.is_some_and(|typ| media_type(typ).eq_ignore_ascii_case("at+jwt"))
}

fn media_type(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => typ,
    }
}

/// A claim whose value says the kind of token, such as Cognito's `token_use` or Keycloak's `typ`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenUseClaim {
    pub(crate) claim: ClaimPath,
    pub(crate) access: String,
    pub(crate) id: String,
}

impl From<(&str, &str, &str)> for TokenUseClaim {
    fn from((claim, access, id): (&str, &str, &str)) -> Self {
        Self { claim: ClaimPath(claim.into()), access: access.into(), id: id.into() }
    }
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeySource {
    /// The key pair of the machine that mints development tokens, which stands outside of any bundle. It makes the
    /// issuer a development issuer.
    Development,
    /// A JWK Set in a file, relative to the issuer file.
    File(KeyFile),
}

/// The path of a key file: relative, `/` between its parts, and inside the folder of the issuer file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyFile(String);

impl KeyFile {
    /// The path as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KeyFile {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let part_is_plain =
            |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '\0']);
        if text.split('/').all(part_is_plain) {
            return Ok(Self(text));
        }
        Err(format!("`{text}` is not a path inside the folder of the issuer file"))
    }
}

/// Which tenant an issuer's principals belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tenant {
    Fixed(Name),
    Claimed(TenantClaim),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantClaim {
    pub(crate) claim: ClaimPath,
    pub(crate) allow: Listed<Name>,
}

impl<'de> Deserialize<'de> for Tenant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TenantVisitor;

        impl<'de> Visitor<'de> for TenantVisitor {
            type Value = Tenant;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a tenant, or { claim = \"…\", allow = […] }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Tenant, E> {
                Name::try_from(text.to_owned()).map(Tenant::Fixed).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Tenant, A::Error> {
                TenantClaim::deserialize(MapAccessDeserializer::new(map)).map(Tenant::Claimed)
            }
        }

        deserializer.deserialize_any(TenantVisitor)
    }
}

/// A check against a list, or the word `"any"` that switches it off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listed<T> {
    Any,
    These(Vec<T>),
}

impl<T: AsRef<str>> Listed<T> {
    pub(crate) fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(list) => list.iter().any(|entry| entry.as_ref() == text),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Listed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListedVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListedVisitor<T> {
            type Value = Listed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list that is not empty, or \"any\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Listed<T>, E> {
                match text {
                    "any" => Ok(Listed::Any),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Listed<T>, A::Error> {
                let list = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
                if list.is_empty() {
                    return Err(de::Error::invalid_length(0, &self));
                }
                Ok(Listed::These(list))
            }
        }

        deserializer.deserialize_any(ListedVisitor(std::marker::PhantomData))
    }
}

/// Which of the names in a token become roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleRule {
    pub(crate) claim: ClaimPath,
    grant: Vec<String>,
    map: BTreeMap<String, String>,
}

impl RoleRule {
    fn new(file: RolesTable, preset_claim: &str) -> Result<Self, IssuerError> {
        let mut grant: Vec<String> = file.grant.into_iter().map(|role| role.0).collect();
        grant.sort_unstable();
        grant.dedup();
        let mut map = BTreeMap::new();
        for (theirs, role) in file.map {
            let span = role.span();
            let role = role.into_inner().0;
            if !grant.contains(&role) {
                return Err(IssuerError::MappedRoleNotGranted { role, span });
            }
            map.insert(theirs, role);
        }
        Ok(Self { claim: file.claim.unwrap_or_else(|| ClaimPath(preset_claim.into())), grant, map })
    }

    /// The role that a name in a token stands for; `None` where the issuer may not confer it.
    pub(crate) fn role(&self, theirs: &str) -> Option<&str> {
        if let Some(role) = self.map.get(theirs) {
            return Some(role);
        }
        self.grant.iter().find(|role| *role == theirs).map(String::as_str)
    }
}

/// A name of ours: alias, role, tenant. Names stand in entity ids, logs and mapping templates, so their letters are few.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Name(String);

impl Name {
    pub(crate) const MAX_BYTES: usize = 64;

    /// Whether a text from outside is a name.
    pub(crate) fn is_valid(text: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(is_plain)
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if Self::is_valid(&text) {
            return Ok(Self(text));
        }
        Err(format!("`{text}` is not a name: expected 1 to 64 of the characters A-Z a-z 0-9 . _ -"))
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// An `iss` (RFC 7519 §4.1.1). Mostly an https URL; Google's has no scheme. Printable ASCII, so that no look-alike
/// letter and no stray white space can be in it.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Iss(String);

impl TryFrom<String> for Iss {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{}` is not an issuer: expected 1 to 512 printable ASCII characters",
            text.escape_debug()
        ))
    }
}

/// An audience or client id that is ours.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct AudienceName(String);

impl TryFrom<String> for AudienceName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if (1..=512).contains(&text.len()) && !text.chars().any(char::is_control) {
            return Ok(Self(text));
        }
        Err(format!("`{}` is not an audience: expected 1 to 512 printable characters", text.escape_debug()))
    }
}

impl AsRef<str> for AudienceName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The name of an attribute in `principal.claims`: a Cedar identifier, so that policies can write it after a dot.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct AttributeName(String);

impl TryFrom<String> for AttributeName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let begins_well = text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if begins_well && text.len() <= Name::MAX_BYTES && text.bytes().all(is_plain) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{}` is not an attribute name: expected a letter or _, then up to 63 of A-Z a-z 0-9 _",
            text.escape_debug()
        ))
    }
}

/// Seconds by which the clocks of issuer and authorizer may differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Leeway(i64);

impl Leeway {
    const MAX_SECONDS: i64 = 120;

    pub(crate) fn millis(self) -> i64 {
        self.0.saturating_mul(1000)
    }
}

impl TryFrom<i64> for Leeway {
    type Error = String;

    fn try_from(seconds: i64) -> Result<Self, String> {
        if (0..=Self::MAX_SECONDS).contains(&seconds) {
            return Ok(Self(seconds));
        }
        Err(format!("`{seconds}` is not a leeway: expected 0 to {} seconds", Self::MAX_SECONDS))
    }
}

/// Where a claim is: its name, or names joined by dots for a claim inside objects (`realm_access.roles`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ClaimPath(String);

impl ClaimPath {
    const MAX_BYTES: usize = 256;
    const MAX_DOTS: usize = 8;

    /// The value at this path; null counts as absent. A member whose name is the whole path wins (`custom:department`,
    /// `https://acme.example/roles`); then the longest name that is an object with the rest in it.
    pub(crate) fn find<'o, 'j>(&self, claims: &'o Object<'j>) -> Option<&'o Json<'j>> {
        find(claims, &self.0)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn find<'o, 'j>(object: &'o Object<'j>, path: &str) -> Option<&'o Json<'j>> {
    match object.member(path) {
        Some(Json::Null) => return None,
        Some(value) => return Some(value),
        None => {}
    }
    path.rmatch_indices('.').find_map(|(dot, _)| {
        let (name, rest) = path.split_at_checked(dot)?;
        match object.member(name)? {
            Json::Object(inner) => find(inner, rest.strip_prefix('.')?),
            _ => None,
        }
    })
}

impl TryFrom<String> for ClaimPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fits = (1..=Self::MAX_BYTES).contains(&text.len()) && text.matches('.').count() <= Self::MAX_DOTS;
        if fits && !text.chars().any(char::is_control) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{}` is not a claim: expected 1 to 256 printable characters with at most 8 dots",
            text.escape_debug()
        ))
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerFile {
    name: Name,
    issuer: Iss,
    provider: Provider,
    token_use: TokenUse,
    typ: Option<TypRule>,
    token_use_claim: Option<TokenUseClaim>,
    audience: Option<Listed<AudienceName>>,
    audience_claim: Option<ClaimPath>,
    client_claim: Option<ClaimPath>,
    scope_claim: Option<ClaimPath>,
    tenant: Option<Tenant>,
    roles: Option<RolesTable>,
    #[serde(default)]
    claims: BTreeMap<AttributeName, ClaimPath>,
    #[serde(default)]
    required_claims: Vec<ClaimPath>,
    usage_key: Option<ClaimPath>,
    #[serde(default)]
    leeway: Leeway,
    keys: KeySource,
    #[serde(default)]
    development: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RolesTable {
    claim: Option<ClaimPath>,
    grant: Vec<Name>,
    #[serde(default)]
    map: BTreeMap<String, Spanned<Name>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
name      = "acme"
issuer    = "https://idp.example/"
provider  = "oidc"
token_use = "access"
audience  = ["orders"]
keys      = { file = "acme.jwks.json" }
"#;

    /// Reads [`FILE`] with one line replaced or added.
    fn with(line: &str) -> Result<TrustedIssuer, IssuerError> {
        let key = line.split(['=', ' ']).next().unwrap();
        let kept = FILE.lines().filter(|old| old.split_whitespace().next() != Some(key));
        TrustedIssuer::from_toml(&kept.chain([line]).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_claim_path_prefers_the_whole_name() {
        let text = br#"{
            "a.b": 1, "a": {"b": 2, "c.d": 3, "c": {"e": 4, "f": null}}, "https://x.y/roles": 5,
            "l": {"m.n": 6}, "l.m": {"n": 7}
        }"#;
        let Ok(Json::Object(claims)) = Json::parse(text) else { panic!("not an object") };
        let at = |path: &str| match ClaimPath(path.to_owned()).find(&claims) {
            Some(Json::Integer(value)) => Some(*value),
            _ => None,
        };
        assert_eq!(at("a.b"), Some(1));
        assert_eq!(at("a.c.d"), Some(3));
        assert_eq!(at("a.c.e"), Some(4));
        assert_eq!(at("https://x.y/roles"), Some(5));
        assert_eq!(at("l.m.n"), Some(7));
        for absent in ["a.c.f", "a.x", "b", "a..b", ".a", "a."] {
            assert!(ClaimPath(absent.to_owned()).find(&claims).is_none(), "{absent}");
        }
    }

    #[test]
    fn presets_follow_the_provider_and_the_kind() {
        let oidc = with("").unwrap();
        assert_eq!((oidc.typ, oidc.access_audience_claim.as_str()), (TypRule::AccessTokenJwt, "aud"));
        assert_eq!(oidc.jwks_url(), None);
        assert_eq!(with("token_use = \"id\"").unwrap().typ, TypRule::Jwt);
        assert_eq!(with("token_use = \"any\"").unwrap().typ, TypRule::Any);
        assert_eq!(with("typ = \"JWT\"").unwrap().typ, TypRule::Jwt);
        let cognito = with("provider = \"cognito\"").unwrap();
        assert_eq!((cognito.typ, cognito.access_audience_claim.as_str()), (TypRule::Jwt, "client_id"));
        assert_eq!(cognito.id_audience_claim.as_str(), "aud");
        assert_eq!(cognito.jwks_url().as_deref(), Some("https://idp.example//.well-known/jwks.json"));
    }

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
        }
        assert!(TypRule::Jwt.accepts(None) && !TypRule::AccessTokenJwt.accepts(None));
        assert!(TypRule::Any.accepts(Some("logout+jwt")));
    }

    #[test]
    fn what_a_file_must_not_say_is_named() {
        for (line, message) in [
            (
                "name = \"acme staff\"",
                "`acme staff` is not a name: expected 1 to 64 of the characters A-Z a-z 0-9 . _ -",
            ),
            (
                "issuer = \"https://ex\u{430}mple.com\"",
                "`https://ex\u{430}mple.com` is not an issuer: expected 1 to 512 printable ASCII characters",
            ),
            ("provider = \"okt\"", "unknown variant `okt`, expected `oidc` or `cognito`"),
            ("token_use = \"acces\"", "unknown variant `acces`, expected one of `access`, `id`, `any`"),
            ("typ = \"at-jwt\"", "unknown variant `at-jwt`, expected one of `at+jwt`, `JWT`, `any`"),
            (
                "audience = \"orders\"",
                "invalid value: string \"orders\", expected a list that is not empty, or \"any\"",
            ),
            ("audience = []", "invalid length 0, expected a list that is not empty, or \"any\""),
            ("tenant = 1", "invalid type: integer `1`, expected a tenant, or { claim = \"…\", allow = […] }"),
            ("tenant = { claim = \"t\" }", "missing field `allow`"),
            (
                "tenant = { claim = \"t\", allow = [\"a b\"] }",
                "`a b` is not a name: expected 1 to 64 of the characters A-Z a-z 0-9 . _ -",
            ),
            ("roles = { claim = \"roles\" }", "missing field `grant`"),
            (
                "roles = { grant = [\"clerk\"], map = { Admins = \"admin\" } }",
                "`roles.map` leads to `admin`, which `roles.grant` does not list",
            ),
            ("leeway = 121", "`121` is not a leeway: expected 0 to 120 seconds"),
            ("leeway = -1", "`-1` is not a leeway: expected 0 to 120 seconds"),
            (
                "claims = { \"cost-centre\" = \"cc\" }",
                "`cost-centre` is not an attribute name: expected a letter or _, then up to 63 of A-Z a-z 0-9 _",
            ),
            (
                "required_claims = [\"\"]",
                "`` is not a claim: expected 1 to 256 printable characters with at most 8 dots",
            ),
            (
                "keys = { file = \"../x.json\" }",
                "`../x.json` is not a path inside the folder of the issuer file",
            ),
            (
                "keys = { file = \"/etc/x.json\" }",
                "`/etc/x.json` is not a path inside the folder of the issuer file",
            ),
            (
                "keys = { jku = \"https://a.example\" }",
                "unknown variant `jku`, expected `development` or `file`",
            ),
            (
                "audiense = \"any\"",
                "unknown field `audiense`, expected one of `name`, `issuer`, `provider`, `token_use`, `typ`, `token_use_claim`, `audience`, `audience_claim`, `client_claim`, `scope_claim`, `tenant`, `roles`, `claims`, `required_claims`, `usage_key`, `leeway`, `keys`, `development`",
            ),
        ] {
            let error = with(line).unwrap_err();
            assert_eq!(error.to_string(), message, "{line}");
            assert!(error.span().is_some(), "{line}");
        }
    }

    #[test]
    fn a_key_file_is_inside_the_folder() {
        for file in ["acme.jwks.json", "keys/acme/a.json", "..a", "a..b"] {
            assert!(KeyFile::try_from(file.to_owned()).is_ok(), "{file}");
        }
        for file in ["", "/a", "a/", "a//b", ".", "./a", "..", "../a", "a/../../b", "a\\..\\b", "C:a", "a\0"]
        {
            assert!(KeyFile::try_from(file.to_owned()).is_err(), "{file}");
        }
    }

    #[test]
    fn the_place_of_a_mistake_is_its_value() {
        for (line, place) in [
            ("leeway = 121", "121"),
            ("tenant = { claim = \"t\", allow = [\"acme\", \"no name\"] }", "[\"acme\", \"no name\"]"),
            ("roles = { grant = [\"clerk\"], map = { Admins = \"admin\" } }", "\"admin\""),
        ] {
            let text = format!("{FILE}{line}\n");
            let span = TrustedIssuer::from_toml(&text).unwrap_err().span().unwrap();
            assert_eq!(text.get(span), Some(place));
        }
    }

    #[test]
    fn an_audience_left_out_is_no_switch() {
        let text = FILE.replace("audience  = [\"orders\"]", "");
        assert_eq!(
            TrustedIssuer::from_toml(&text).unwrap_err().to_string(),
            "missing field `audience`: list the audiences or client ids whose tokens are accepted, or write \
             `audience = \"any\"` to accept all"
        );
        assert_eq!(with("audience = \"any\"").unwrap().audience, Listed::Any);
    }

    #[test]
    fn two_files_cannot_claim_one_issuer_or_one_name() {
        let acme = || with("").unwrap();
        let other_iss = with("issuer = \"https://idp.example\"").unwrap();
        let other_name = with("name = \"globex\"").unwrap();
        assert_eq!(
            TrustedIssuers::new(vec![acme(), other_iss]).unwrap_err().to_string(),
            "two issuers are named `acme`"
        );
        assert_eq!(
            TrustedIssuers::new(vec![acme(), other_name]).unwrap_err().to_string(),
            "issuer `https://idp.example/` is claimed twice, by `acme` and by `globex`"
        );
    }
}
