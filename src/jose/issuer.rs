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
//! An issuer whose tokens are opaque is asked about each (RFC 7662). Without `keys` beside it, it has no others:
//!
//! ```toml
//! introspection = { url = "https://idp.acme.example/introspect", client_id = "api", client_secret = { env = "ACME_SECRET" } }
//! ```
//!
//! Further in that table: `prefix`, how its tokens begin (without it, all tokens that are no JWT are its own, of which there
//! can be one issuer), `max_age`, how long an answer is believed (0 to 60 seconds, 60), `absent_sub = "client"`, where a
//! token without `sub` speaks for its client.
//!
//! An issuer that signs with a secret instead of a key pair: `keys = { secret = { env = "NAME" }, algorithm = "HS256" }`, or
//! `{ file = "/path" }`; the secret's bytes are taken as they are, without line ends behind them.
//!
//! Optional, each with a preset: `typ`, `audience_claim`, `client_claim`, `scope_claim`, `token_use_claim`,
//! `token_id_claim`. Optional, each with a rule that a token must then meet:
//!
//! | key | a token is refused |
//! |---|---|
//! | `leeway = 30` | … no longer for clocks that differ by so many seconds: 0 to 120, without it 0 |
//! | `max_token_age = 3600` | when its `iat` is missing or so many seconds ago: 60 to 31,536,000 |
//! | `expiry = "optional"` | … no longer for having no `exp`; `max_token_age` must be written too |
//! | `required_claims = ["jti"]` | without one of these claims |
//! | `required_values = { hd = "acme.example", mfa = [true, 1] }` | when a claim has none of its values |
//! | `required_scopes = ["orders:read"]` | without one of these scopes |
//! | `not_before = 2026-11-22T10:00:00Z` | when its `iat` is missing or earlier |
//! | `clients = ["web"]` | when another client got it; `"any"` is what holds without it |
//!
//! Further `usage_key` (the claim that holds the caller's usage plan key; none), `cnf` (`"none"`: a token that is bound to
//! its sender's key is refused, since nothing here checks the key; or `"any"`) and `development` (false).
//!
//! Whatever the file says, a token is refused that keeps a claim elsewhere (OpenID Connect Core §5.6.2, Entra's groups
//! overage) which the file uses: read as absent, it would let a `forbid` by role vanish.

pub(crate) mod names;

pub(crate) mod kind;

mod lifetime;
mod values;

pub(crate) mod rules;

mod keys;
mod preset;

pub(crate) mod introspection;

mod file;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;

use crate::credential::BearerToken;

pub use introspection::Introspection;
pub use keys::{InlineKeys, KeyFile, KeyPlace, KeySource, PublishedKeys, SecretSource, SharedSecret};
pub use kind::{TokenUse, TypRule};
pub use names::{HttpUrl, Seconds};
pub use preset::Provider;

use file::IssuerFile;
use introspection::Introspecting;
use keys::{KeysFile, WrittenPlace};
pub(crate) use kind::TokenKind;
use kind::TokenUseClaim;
use lifetime::{Expiry, Lifetime};
use names::{AudienceName, ClaimPath, Leeway, ScopeName};
pub(crate) use preset::ClientRule;
use rules::{CnfRule, Listed, RoleRule, Tenant, TenantClaim};
use values::RequiredValue;

use super::revocation::RevocationList;
use crate::time::Timestamp;

/// An issuer whose tokens are accepted, and the rules for them.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    pub(crate) name: Arc<str>,
    key_set: Arc<str>,
    pub(crate) issuer: String,
    pub(crate) token_use: TokenUse,
    pub(crate) typ: TypRule,
    pub(crate) token_use_claim: Option<TokenUseClaim>,
    pub(crate) audience: Listed<AudienceName>,
    pub(crate) access_audience_claim: ClaimPath,
    pub(crate) id_audience_claim: ClaimPath,
    pub(crate) client_claims: Vec<ClaimPath>,
    pub(crate) client_rule: ClientRule,
    pub(crate) clients: Listed<AudienceName>,
    pub(crate) scope_claim: ClaimPath,
    pub(crate) required_scopes: Vec<ScopeName>,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) roles: Option<RoleRule>,
    pub(crate) attributes: Vec<(Arc<str>, ClaimPath)>,
    pub(crate) required_claims: Vec<ClaimPath>,
    pub(crate) required_values: Vec<RequiredValue>,
    pub(crate) token_id_claim: ClaimPath,
    pub(super) usage_key: Option<ClaimPath>,
    pub(crate) leeway: Leeway,
    pub(crate) lifetime: Lifetime,
    pub(crate) cnf: CnfRule,
    pub(super) not_before: Option<Timestamp>,
    pub(super) revocations: Arc<RevocationList>,
    keys: KeySource,
    introspection: Option<Introspection>,
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
            |written: Option<ClaimPath>, preset: &str| written.unwrap_or_else(|| ClaimPath::preset(preset));
        let keys_span = file.keys.as_ref().map(Spanned::span);
        let keys = match (file.keys, &file.introspection) {
            (None, Some(_)) => KeySource::Opaque,
            (keys, _) => {
                let keys = keys.map_or(KeysFile::PRESET, Spanned::into_inner);
                key_source(keys, file.provider, &file.issuer.0)
                    .map_err(|message| IssuerError::Toml { message, span: keys_span.clone() })?
            }
        };
        let development = file.development || keys == KeySource::Development;
        if let KeySource::Published(published) = &keys {
            check_scheme(published.place.url(), development, keys_span)?;
        }
        if let Some(introspection) = &file.introspection {
            check_scheme(&introspection.get_ref().url, development, Some(introspection.span()))?;
            if file.token_use != TokenUse::Access {
                let message = "`introspection` is for access tokens: write `token_use = \"access\"`";
                return Err(IssuerError::Toml {
                    message: message.to_owned(),
                    span: Some(introspection.span()),
                });
            }
        }
        let (expiry, expiry_span) = match file.expiry {
            Some(written) => (*written.get_ref(), Some(written.span())),
            None => (Expiry::Required, None),
        };
        let lifetime = Lifetime::new(expiry, file.max_token_age).ok_or_else(|| IssuerError::Toml {
            message: "`expiry = \"optional\"` needs `max_token_age`: something must end a token".to_owned(),
            span: expiry_span,
        })?;
        Ok(Self {
            typ,
            token_use: file.token_use,
            token_use_claim: file.token_use_claim.or_else(|| preset.token_use_claim.map(TokenUseClaim::from)),
            audience: file.audience.ok_or(IssuerError::MissingAudience)?,
            access_audience_claim: one_or(file.audience_claim.clone(), preset.access.audience),
            id_audience_claim: one_or(file.audience_claim, preset.id.audience),
            client_claims: match file.client_claim {
                Some(written) => vec![written],
                None => preset.client_claims.iter().map(|claim| ClaimPath::preset(claim)).collect(),
            },
            client_rule: preset.client_rule,
            clients: file.clients.unwrap_or(Listed::Any),
            scope_claim: one_or(file.scope_claim, preset.scopes),
            required_scopes: file.required_scopes,
            roles: file.roles.map(|roles| RoleRule::new(roles, preset.roles)).transpose()?,
            tenant: file.tenant,
            attributes: file.claims.into_iter().map(|(name, claim)| (name.0.into(), claim)).collect(),
            required_claims: file.required_claims,
            required_values: RequiredValue::merge(file.required_values, &[]),
            token_id_claim: one_or(file.token_id_claim, preset.token_id),
            leeway: file.leeway,
            lifetime,
            not_before: file.not_before.map(|moment| moment.0),
            revocations: Arc::default(),
            key_set: file.name.0.as_str().into(),
            name: file.name.0.into(),
            issuer: file.issuer.0,
            usage_key: file.usage_key,
            cnf: file.cnf,
            development,
            keys,
            introspection: file.introspection.map(Spanned::into_inner),
            provider: file.provider,
        })
    }

    /// Replaces the deny list.
    pub fn set_revocations(&mut self, list: Arc<RevocationList>) {
        self.revocations = list;
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

    /// What its tokens' header `typ` must be.
    #[must_use]
    pub fn typ(&self) -> TypRule {
        self.typ
    }

    /// The audiences or client ids for which its tokens are accepted; `None` where any is.
    #[must_use]
    pub fn audiences(&self) -> Option<Vec<&str>> {
        match &self.audience {
            Listed::Any => None,
            Listed::These(names) => Some(names.iter().map(AsRef::as_ref).collect()),
        }
    }

    /// The claims in which an audience is looked for: one for each kind of token that is accepted.
    #[must_use]
    pub fn audience_claims(&self) -> Vec<&str> {
        let (access, id) = (self.access_audience_claim.as_str(), self.id_audience_claim.as_str());
        match self.token_use {
            TokenUse::Access => vec![access],
            TokenUse::Id => vec![id],
            TokenUse::Any if access == id => vec![access],
            TokenUse::Any => vec![access, id],
        }
    }

    /// Where its keys are.
    #[must_use]
    pub fn keys(&self) -> &KeySource {
        &self.keys
    }

    /// How it is asked about opaque tokens, where it is.
    #[must_use]
    pub fn introspection(&self) -> Option<&Introspection> {
        self.introspection.as_ref()
    }

    /// How the opaque tokens begin about which it is asked, where its file says so.
    fn prefix(&self) -> Option<&str> {
        self.introspection.as_ref()?.prefix()
    }

    /// The name of its keys in a [`KeyRing`](super::KeyRing): the alias, with a number behind it for a further `iss` of
    /// the same file that has keys of its own.
    #[must_use]
    pub fn key_set(&self) -> &Arc<str> {
        &self.key_set
    }

    /// The roles it may confer, sorted.
    #[must_use]
    pub fn grantable_roles(&self) -> &[String] {
        self.roles.as_ref().map_or(&[], |roles| &roles.grant)
    }

    /// The claim that names the roles, where any can be conferred.
    #[must_use]
    pub fn roles_claim(&self) -> Option<&str> {
        self.roles.as_ref().map(|roles| roles.claim.as_str())
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

    /// What is refused of it before it expires, beside what its own `not_before` refuses.
    #[must_use]
    pub fn revocations(&self) -> &RevocationList {
        &self.revocations
    }

    /// Whether anything is refused of it before it expires.
    pub(super) fn revokes(&self) -> bool {
        self.not_before.is_some() || !self.revocations.is_empty()
    }

    /// Whether its tokens have an `iat`: by the standard of their kind (RFC 9068 §2.2, OpenID Connect Core §2), by the
    /// provider's own word, or because the file requires one. RFC 7519 does not, nor does RFC 7662 of an answer.
    #[must_use]
    pub fn promises_issue_time(&self) -> bool {
        let by_kind = self.provider != Provider::Oidc
            || self.token_use == TokenUse::Id
            || self.typ == TypRule::AccessTokenJwt;
        let by_file = || self.required_claims.iter().any(|claim| claim.as_str() == "iat");
        (by_kind && self.introspection.is_none()) || by_file()
    }

    /// Whether it is for development only: its private key may be on a developer's disk.
    #[must_use]
    pub fn development(&self) -> bool {
        self.development
    }

    /// The scopes that each of its tokens must have.
    pub fn required_scopes(&self) -> impl Iterator<Item = &str> {
        self.required_scopes.iter().map(AsRef::as_ref)
    }

    /// The claims from which facts are taken that policies may speak of.
    pub(crate) fn claims_read(&self) -> impl Iterator<Item = &str> {
        let roles = self.roles.as_ref().map(|rule| &rule.claim);
        let attributes = self.attributes.iter().map(|(_, claim)| claim);
        let ours = roles.into_iter().chain([&self.scope_claim]).chain(attributes).chain(&self.usage_key);
        ours.map(ClaimPath::as_str).chain(self.tenant_claim()).chain(["email", "email_verified"])
    }

    /// The claim that says for whom a token is. Cognito's access tokens have no `aud`, so this depends on the kind.
    pub(crate) fn audience_claim(&self, kind: Option<TokenKind>) -> &ClaimPath {
        match kind {
            Some(TokenKind::Id) => &self.id_audience_claim,
            Some(TokenKind::Access) | None => &self.access_audience_claim,
        }
    }
}

/// Where the keys are, with the preset's place where the file names none.
fn key_source(keys: KeysFile, provider: Provider, issuer: &str) -> Result<KeySource, String> {
    let (place, max_age) = match keys {
        KeysFile::Development => return Ok(KeySource::Development),
        KeysFile::File(file) => return Ok(KeySource::File(file)),
        KeysFile::Inline(set) => return Ok(KeySource::Inline(set)),
        KeysFile::Secret(secret) => return Ok(KeySource::Secret(secret)),
        KeysFile::Published { place, max_age } => (place, max_age),
    };
    let place = match (place, provider.preset().jwks_path) {
        (Some(WrittenPlace::Url(url)), _) => KeyPlace::Jwks(url),
        (None, Some(path)) => KeyPlace::Jwks(HttpUrl::try_from(format!("{issuer}{path}"))?),
        (Some(WrittenPlace::Discovery), _) | (None, None) => {
            // OpenID Connect Discovery 1.0 §4: a slash at the end of the issuer is not doubled.
            let base = issuer.strip_suffix('/').unwrap_or(issuer);
            let url = HttpUrl::try_from(format!("{base}/.well-known/openid-configuration"))?;
            KeyPlace::Discovery { url, issuer: issuer.to_owned() }
        }
    };
    Ok(KeySource::Published(PublishedKeys { place, max_age }))
}

/// Nothing is asked over the network without TLS, but on a developer's own machine.
fn check_scheme(url: &HttpUrl, development: bool, span: Option<Range<usize>>) -> Result<(), IssuerError> {
    if !url.is_plain_http() || development {
        return Ok(());
    }
    let message = format!(
        "`{url}` is plain HTTP, which only a development issuer may use: write https, or `development = true`"
    );
    Err(IssuerError::Toml { message, span })
}

/// All trusted issuers, found by the exact `iss` in one lookup however many there are.
#[derive(Clone, Debug, Default)]
pub struct TrustedIssuers {
    by_iss: HashMap<String, Arc<TrustedIssuer>>,
    introspecting: Introspecting,
}

impl TrustedIssuers {
    /// Builds the index.
    ///
    /// # Errors
    /// When two have the same `issuer` or the same `name`, or would both be asked about one opaque token.
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
        let introspecting = Introspecting::new(by_iss.values().map(Arc::clone))?;
        Ok(Self { by_iss, introspecting })
    }

    /// The issuer whose tokens carry exactly this `iss`.
    #[must_use]
    pub fn find(&self, iss: &str) -> Option<&TrustedIssuer> {
        self.by_iss.get(iss).map(Arc::as_ref)
    }

    /// The issuer that is asked about an opaque token: the one with whose prefix it begins; else, for what is not of the
    /// form of a JWT, the one that is asked about all others. `None` for what is verified as a JWT.
    #[must_use]
    pub fn introspecting(&self, token: &BearerToken) -> Option<&TrustedIssuer> {
        self.introspecting.find(token.expose()).map(Arc::as_ref)
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
    /// Two issuers would be asked about the same opaque tokens.
    #[error("issuers `{first}` and `{second}` would both be asked about {}", contested_tokens(.prefix.as_deref()))]
    ContestedTokens {
        /// Alias of one.
        first: String,
        /// Alias of the other.
        second: String,
        /// How those tokens begin; `None`: all that are no JWT.
        prefix: Option<String>,
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
            Self::MissingAudience
            | Self::DuplicateIssuer { .. }
            | Self::ContestedTokens { .. }
            | Self::DuplicateName { .. } => None,
        }
    }
}

fn contested_tokens(prefix: Option<&str>) -> String {
    match prefix {
        Some(prefix) => format!("tokens that begin with `{prefix}`"),
        None => "every token that is no JWT".to_owned(),
    }
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
    fn presets_follow_the_provider_and_the_kind() {
        let oidc = with("").unwrap();
        assert_eq!((oidc.typ, oidc.access_audience_claim.as_str()), (TypRule::AccessTokenJwt, "aud"));
        assert_eq!(with("token_use = \"id\"").unwrap().typ, TypRule::Jwt);
        assert_eq!(with("token_use = \"any\"").unwrap().typ, TypRule::Any);
        assert_eq!(with("typ = \"JWT\"").unwrap().typ, TypRule::Jwt);
        let cognito = with("provider = \"cognito\"").unwrap();
        assert_eq!((cognito.typ, cognito.access_audience_claim.as_str()), (TypRule::Jwt, "client_id"));
        assert_eq!(cognito.id_audience_claim.as_str(), "aud");
    }

    #[test]
    fn published_keys_are_where_file_or_preset_say() {
        let place = |lines: &str| {
            let text = FILE.lines().filter(|line| !line.starts_with("keys"));
            let text: Vec<&str> = text.chain(lines.lines()).collect();
            match TrustedIssuer::from_toml(&text.join("\n")).map(|issuer| issuer.keys().clone()) {
                Ok(KeySource::Published(keys)) => format!("{} {}", keys.place.url(), keys.max_age.get()),
                Ok(other) => format!("{other:?}"),
                Err(error) => error.to_string(),
            }
        };
        let discovered = "https://idp.example/.well-known/openid-configuration";
        for (lines, expected) in [
            ("", format!("{discovered} 3600")),
            ("keys = \"discovery\"", format!("{discovered} 3600")),
            ("keys = { discovery = true, max_age = 600 }", format!("{discovered} 600")),
            ("keys = { max_age = 600 }", format!("{discovered} 600")),
            ("keys = { url = \"https://a.example/jwks\" }", "https://a.example/jwks 3600".to_owned()),
            (
                "keys = { max_age = 59 }",
                "`59` is not a number of seconds from 60 to 86400".to_owned(),
            ),
            (
                "keys = { url = \"http://127.0.0.1:8080/jwks\" }",
                "`http://127.0.0.1:8080/jwks` is plain HTTP, which only a development issuer may use: write https, or `development = true`".to_owned(),
            ),
            (
                "development = true\nkeys = { url = \"http://127.0.0.1:8080/jwks\" }",
                "http://127.0.0.1:8080/jwks 3600".to_owned(),
            ),
            (
                "keys = { url = \"http://a.example/jwks\" }",
                "`http://a.example/jwks` cannot be fetched: expected an https URL".to_owned(),
            ),
            (
                "keys = { url = \"https://a.example@127.0.0.1/jwks\" }",
                "`https://a.example@127.0.0.1/jwks` cannot be fetched: expected a URL without user information and fragment".to_owned(),
            ),
        ] {
            assert_eq!(place(lines), expected, "{lines}");
        }
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
                "unknown field `jku`, expected one of `file`, `inline`, `url`, `discovery`, `secret`, `algorithm`, `max_age`",
            ),
            (
                "audiense = \"any\"",
                "unknown field `audiense`, expected one of `name`, `issuer`, `provider`, `token_use`, `typ`, `token_use_claim`, `audience`, `audience_claim`, `client_claim`, `clients`, `scope_claim`, `required_scopes`, `tenant`, `roles`, `claims`, `required_claims`, `required_values`, `token_id_claim`, `usage_key`, `leeway`, `expiry`, `max_token_age`, `not_before`, `keys`, `introspection`, `cnf`, `development`",
            ),
            (
                "expiry = \"optional\"",
                "`expiry = \"optional\"` needs `max_token_age`: something must end a token",
            ),
            ("expiry = \"never\"", "unknown variant `never`, expected `required` or `optional`"),
            ("max_token_age = 59", "`59` is not a number of seconds from 60 to 31536000"),
            ("max_token_age = 31536001", "`31536001` is not a number of seconds from 60 to 31536000"),
            ("clients = []", "invalid length 0, expected a list that is not empty, or \"any\""),
            (
                "required_scopes = [\"orders:read orders:write\"]",
                "`orders:read orders:write` is not a scope: expected 1 to 256 printable ASCII characters without space, \" and \\",
            ),
            (
                "required_values = { hd = [] }",
                "expected a string, a whole number, true or false, a list of them that is not empty, or \"any\"",
            ),
            (
                "required_values = { hd = 1.5 }",
                "expected a string, a whole number, true or false, a list of them that is not empty, or \"any\"",
            ),
        ] {
            let error = with(line).unwrap_err();
            assert_eq!(error.to_string(), message, "{line}");
            assert!(error.span().is_some(), "{line}");
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
