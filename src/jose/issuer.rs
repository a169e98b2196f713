//! Trusted issuers: one TOML file each says whose tokens are accepted, for whom, and what they may confer.
//!
//! ```toml
//! name      = "acme-staff"     # alias: stands in entity ids, logs and reasons
//! issuer    = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123456"   # the token's `iss`, compared exactly
//! provider  = "cognito"        # one of the presets below
//! token_use = "access"         # or "id"; "any" must be written out
//! audience  = ["1example23456789"]                    # or "any", written out
//! tenant    = "acme"           # or { claim = "custom:tenant", allow = ["acme", "globex"] }, or allow = "any"
//! roles     = { claim = "cognito:groups", grant = ["clerk"], map = { "Acme Clerks" = "clerk" } }
//! claims    = { department = "custom:department" }    # attribute = claim
//! keys      = { file = "acme.jwks.json" }             # without it, where the preset says
//! ```
//!
//! `name`, `issuer`, `provider`, `token_use` and `audience` are required. A role that `grant` does not list becomes nothing,
//! whatever a token says.
//!
//! # Several issuers in one file
//!
//! `also_issuers = ["https://cognito-idp.us-east-1.amazonaws.com/eu-west-1_AbC123456"]` names further `iss` of the same pool:
//! same alias, same rules, so the same principals. Where the place of the keys follows from the issuer's name, each has keys
//! of its own under a name of their own (`acme-staff@2`), so that one which cannot be fetched disables no other.
//!
//! An Entra application that many tenants use has the issuer `https://login.microsoftonline.com/{tenantid}/v2.0` and
//! `tenant_ids = ["<GUID>", …]`, which are put in its place. There is no word for all tenants, because anybody can have one.
//! Who is called alike in two of them is two principals: `User::"<name>|<tenant id>|<sub>"`.
//!
//! # Presets
//!
//! | | `oidc` | `cognito` | `auth0` | `okta` | `entra` | `keycloak` | `google` |
//! |---|---|---|---|---|---|---|---|
//! | `issuer` ends | as it may | without `/` | with `/` | without `/` | `/v2.0`, or `/` for 1.0 | without `/` | without `/` |
//! | `typ`, access | `at+jwt` | `JWT` | `at+jwt or JWT` | `at+jwt or JWT` | `JWT` | `at+jwt or JWT` | no JWT |
//! | `typ`, ID | `JWT` | `JWT` | `JWT` | `JWT` | `JWT` | `JWT` | `JWT` |
//! | `token_use_claim` | – | `token_use`: `access`, `id` | – | – | – | `typ`: `Bearer`, `ID` | – |
//! | `access_marker` | – | – | `azp`, `client_id` | `cid` | `azp`, `appid` | – | – |
//! | `audience_claim` | `aud` | `client_id`; ID `aud` | `aud` | `aud` | `aud` | `aud` | `aud` |
//! | `client_claim` | `client_id`, `azp` | `client_id` | `azp`, `client_id` | `cid` | `azp`, `appid` | `azp` | `azp` |
//! | `scope_claim` | `scope` | `scope` | `scope` | `scp` | `scp` | `scope` | `scope` |
//! | `roles.claim` | `roles` | `cognito:groups` | `permissions` | `groups` | `roles` | `realm_access.roles` | `hd` |
//! | `token_id_claim` | `jti` | `jti` | `jti` | `jti` | `uti` | `jti` | `jti` |
//! | `required_values` | – | – | – | – | `ver`, `tid` of the issuer | – | – |
//! | `also_issuers` | – | – | – | – | – | – | without `https://` |
//! | `keys` | `"discovery"` | `/.well-known/jwks.json` | `/.well-known/jwks.json` | `/v1/keys` | the tenant's, or the common | `/protocol/openid-connect/certs` | `www.googleapis.com` |
//!
//! Each key in the first column can be written in the file and then holds instead.
//!
//! - `typ`: what the header's `typ` must be; `JWT` also means none. `"any"` switches it off.
//! - `token_use_claim = { claim = "…", access = "…", id = "…" }`: the claim whose value says the kind of token.
//! - `access_marker = ["azp"]`: claims of which an access token has one and an ID token none. `"any"` switches off whatever
//!   tells the kinds apart.
//! - A claim inside objects is written with dots (`realm_access.roles`); a claim whose name has dots is found first.
//! - Roles and scopes are an array of strings, or one string with spaces between. An element of an array is one name.
//! - Auth0's scopes are what a client asked for unless role-based access control is on; its `permissions` are what the user was
//!   assigned. Names that cannot be roles are mapped: `map = { "write:orders" = "clerk" }`.
//! - Entra's keys may name the issuer whose tokens they sign; a key of another issuer is not used.
//! - A token is a machine's own (`Client`) where `sub` is the client id and, for Cognito and Okta, no claim says that there
//!   is a user; for Auth0 `sub` has `@clients` behind it; for Entra `idtyp` says so, or `oid` repeats `sub` and there is no
//!   `scp`; for Keycloak it is the client's service account. ID tokens never are.
//!
//! # Keys
//!
//! `{ url = "https://…" }`, `"discovery"`, `{ file = "acme.jwks.json" }` beside the issuer file, `{ inline = { keys = [ … ] } }`,
//! `{ secret = { env = "NAME" }, algorithm = "HS256" }`, or `"development"`: this machine's own key pair. Fetched keys are
//! believed for `max_age` seconds at most: `{ max_age = 600 }` with `url`, `discovery = true` or the preset's place.
//!
//! A secret's bytes are taken as they are, without line ends behind them; `{ file = "/path" }` names it too.
//!
//! # Opaque tokens
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
//! # Further rules
//!
//! | key | a token is refused |
//! |---|---|
//! | `leeway = 30` | … no longer for clocks that differ by so many seconds: 0 to 120, without it 0 |
//! | `max_token_age = 3600` | when its `iat` is missing or so many seconds ago: 60 to 31,536,000 |
//! | `expiry = "optional"` | … no longer for having no `exp`; `max_token_age` must be written too |
//! | `required_claims = ["jti"]` | without one of these claims |
//! | `required_values = { hd = "acme.example", mfa = [true, 1] }` | when a claim has none of its values; `"any"` switches a preset's off |
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

mod iss;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;

use super::jwk::Jwk;
use crate::credential::BearerToken;

pub use introspection::Introspection;
pub use keys::{InlineKeys, KeyFile, KeyPlace, KeySource, PublishedKeys, SecretSource, SharedSecret};
pub use kind::{TokenUse, TypRule};
pub use names::{HttpUrl, Seconds};
pub use preset::Provider;

use file::IssuerFile;
use introspection::Introspecting;
use iss::TrustedIss;
pub(crate) use kind::TokenKind;
use kind::{KindMark, TokenUseClaim};
use lifetime::{Expiry, Lifetime};
use names::{AudienceName, ClaimPath, Leeway, ScopeName};
pub(crate) use preset::ClientRule;
use preset::Preset;
use rules::{CnfRule, Listed, RoleRule, Tenant, TenantClaim};
use values::RequiredValue;

use super::revocation::RevocationList;
use crate::time::Timestamp;

/// An issuer whose tokens are accepted, and the rules for them.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    pub(crate) name: Arc<str>,
    iss: TrustedIss,
    /// What else its file trusts. [`TrustedIssuers`] makes an issuer of each.
    further: Vec<TrustedIss>,
    pub(crate) token_use: TokenUse,
    pub(crate) typ: TypRule,
    pub(crate) kind_mark: KindMark,
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
    pub(crate) token_id_claim: ClaimPath,
    pub(super) usage_key: Option<ClaimPath>,
    pub(crate) leeway: Leeway,
    pub(crate) lifetime: Lifetime,
    pub(crate) cnf: CnfRule,
    pub(super) not_before: Option<Timestamp>,
    pub(super) revocations: Arc<RevocationList>,
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
        let (token_use, token_use_span) = (*file.token_use.get_ref(), file.token_use.span());
        let kind = match (token_use, &preset.access) {
            (TokenUse::Id, _) => &preset.id,
            (TokenUse::Access | TokenUse::Any, Some(access)) => access,
            (TokenUse::Access | TokenUse::Any, None) => return Err(no_access_tokens(token_use_span)),
        };
        // With "any" written out, the header's `typ` has nothing left to tell apart, unless a `typ` is written too.
        let typ = match (file.typ, token_use, kind.typ) {
            (Some(written), _, _) => written,
            (None, TokenUse::Any, TypRule::AccessTokenJwt) => TypRule::Any,
            (None, _, preset) => preset,
        };
        let one_or =
            |written: Option<ClaimPath>, preset: &str| written.unwrap_or_else(|| ClaimPath::preset(preset));
        let mut trusted = iss::read(&file)?.into_iter();
        let no_issuer = || IssuerError::Toml { message: "the file names no issuer".to_owned(), span: None };
        let iss = trusted.next().ok_or_else(no_issuer)?;
        let development = file.development || iss.keys == KeySource::Development;
        if let Some(introspection) = &file.introspection {
            check_introspection(introspection, token_use, development)?;
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
            token_use,
            kind_mark: kind_mark(file.token_use_claim, file.access_marker, preset)?,
            audience: file.audience.ok_or(IssuerError::MissingAudience)?,
            access_audience_claim: one_or(
                file.audience_claim.clone(),
                preset.access.as_ref().unwrap_or(&preset.id).audience,
            ),
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
            token_id_claim: one_or(file.token_id_claim, preset.token_id),
            leeway: file.leeway,
            lifetime,
            not_before: file.not_before.map(|moment| moment.0),
            revocations: Arc::default(),
            name: file.name.0.into(),
            iss,
            further: trusted.collect(),
            usage_key: file.usage_key,
            cnf: file.cnf,
            development,
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

    /// The `iss` of its tokens; as read from a file, the first of them.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.iss.issuer
    }

    /// Every `iss` that its file trusts, beside the text of the file that says so: the `iss` itself, or a tenant's id.
    pub fn every_iss(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = std::iter::once(&self.iss).chain(&self.further);
        all.map(|iss| (iss.issuer.as_str(), iss.directory.as_deref().unwrap_or(&iss.issuer)))
    }

    /// The id of the Entra tenant that is meant, where its file lists several.
    pub(crate) fn directory(&self) -> Option<&Arc<str>> {
        self.iss.directory.as_ref()
    }

    /// Claims that must have one of a few values.
    pub(crate) fn required_values(&self) -> &[RequiredValue] {
        &self.iss.required_values
    }

    /// Whether the key may sign its tokens, by what the key itself says.
    pub(crate) fn may_use(&self, key: &Jwk) -> bool {
        key.issuer().is_none_or(|issuer| self.iss.key_issuers.accepts(issuer))
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
        &self.iss.keys
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
        &self.iss.key_set
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

fn no_access_tokens(span: Range<usize>) -> IssuerError {
    let message = "Google's access tokens are no JWTs: write token_use = \"id\"".to_owned();
    IssuerError::Toml { message, span: Some(span) }
}

/// What tells the kinds of token apart: what the file says, else the preset.
fn kind_mark(
    value: Option<TokenUseClaim>,
    presence: Option<Spanned<Listed<ClaimPath>>>,
    preset: &Preset,
) -> Result<KindMark, IssuerError> {
    match (value, presence.map(|written| (written.span(), written.into_inner()))) {
        (None, None) => Ok(KindMark::from(&preset.mark)),
        (Some(value), None) => Ok(KindMark::Value(value)),
        (None, Some((_, Listed::These(claims)))) => Ok(KindMark::Presence(claims)),
        (None, Some((_, Listed::Any))) => Ok(KindMark::Nothing),
        (Some(_), Some((span, _))) => {
            let message =
                "`token_use_claim` and `access_marker` both tell the kinds of token apart: write one";
            Err(IssuerError::Toml { message: message.to_owned(), span: Some(span) })
        }
    }
}

fn check_introspection(
    introspection: &Spanned<Introspection>,
    token_use: TokenUse,
    development: bool,
) -> Result<(), IssuerError> {
    let at = |message| IssuerError::Toml { message, span: Some(introspection.span()) };
    check_scheme(&introspection.get_ref().url, development).map_err(at)?;
    if token_use == TokenUse::Access {
        return Ok(());
    }
    Err(at("`introspection` is for access tokens: write `token_use = \"access\"`".to_owned()))
}

/// Nothing is asked over the network without TLS, but on a developer's own machine.
fn check_scheme(url: &HttpUrl, development: bool) -> Result<(), String> {
    if !url.is_plain_http() || development {
        return Ok(());
    }
    Err(format!(
        "`{url}` is plain HTTP, which only a development issuer may use: write https, or `development = true`"
    ))
}

/// All trusted issuers, found by the exact `iss` in one lookup however many there are.
#[derive(Clone, Debug, Default)]
pub struct TrustedIssuers {
    by_iss: HashMap<String, Arc<TrustedIssuer>>,
    by_name: BTreeMap<Arc<str>, Arc<TrustedIssuer>>,
    by_key_set: BTreeMap<Arc<str>, Arc<TrustedIssuer>>,
    introspecting: Introspecting,
}

impl TrustedIssuers {
    /// Builds the index. A file that trusts several `iss` has an entry for each, under its one name.
    ///
    /// # Errors
    /// When two have the same `issuer` or the same `name`, or would both be asked about one opaque token.
    pub fn new(issuers: Vec<TrustedIssuer>) -> Result<Self, IssuerError> {
        let mut index = Self::default();
        for mut first in issuers {
            if index.by_name.contains_key(&first.name) {
                return Err(IssuerError::DuplicateName { name: first.name.to_string() });
            }
            let further = std::mem::take(&mut first.further);
            let further: Vec<TrustedIssuer> =
                further.into_iter().map(|iss| TrustedIssuer { iss, ..first.clone() }).collect();
            let first = index.insert(first)?;
            index.by_name.insert(Arc::clone(&first.name), first);
            for other in further {
                index.insert(other)?;
            }
        }
        index.introspecting = Introspecting::new(index.by_name.values().map(Arc::clone))?;
        Ok(index)
    }

    fn insert(&mut self, issuer: TrustedIssuer) -> Result<Arc<TrustedIssuer>, IssuerError> {
        if let Some(first) = self.by_iss.get(issuer.issuer()) {
            return Err(IssuerError::DuplicateIssuer {
                first: first.name.to_string(),
                second: issuer.name.to_string(),
                issuer: issuer.iss.issuer,
            });
        }
        let issuer = Arc::new(issuer);
        self.by_key_set.entry(Arc::clone(issuer.key_set())).or_insert_with(|| Arc::clone(&issuer));
        self.by_iss.insert(issuer.issuer().to_owned(), Arc::clone(&issuer));
        Ok(issuer)
    }

    /// The issuer whose tokens carry exactly this `iss`.
    #[must_use]
    pub fn find(&self, iss: &str) -> Option<&TrustedIssuer> {
        self.by_iss.get(iss).map(Arc::as_ref)
    }

    /// The issuer of this alias: the first `iss` of its file.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&TrustedIssuer> {
        self.by_name.get(name).map(Arc::as_ref)
    }

    /// The issuer whose keys have this name; of several that share them, the first of the file.
    #[must_use]
    pub fn with_key_set(&self, key_set: &str) -> Option<&TrustedIssuer> {
        self.by_key_set.get(key_set).map(Arc::as_ref)
    }

    /// One for each key set, sorted by its name.
    pub fn by_key_set(&self) -> impl Iterator<Item = &TrustedIssuer> {
        self.by_key_set.values().map(Arc::as_ref)
    }

    /// One of each file, sorted by alias.
    pub fn by_name(&self) -> impl Iterator<Item = &TrustedIssuer> {
        self.by_name.values().map(Arc::as_ref)
    }

    /// The issuer that is asked about an opaque token: the one with whose prefix it begins; else, for what is not of the
    /// form of a JWT, the one that is asked about all others. `None` for what is verified as a JWT.
    #[must_use]
    pub fn introspecting(&self, token: &BearerToken<'_>) -> Option<&TrustedIssuer> {
        self.introspecting.find(token.expose()).map(Arc::as_ref)
    }

    /// All of them, each `iss` by itself, in no order.
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

    /// A file of this provider and issuer, for access tokens where `lines` do not say otherwise.
    fn text_of(provider: &str, issuer: &str, lines: &str) -> String {
        let token_use = if lines.contains("token_use =") { "" } else { "token_use = \"access\"" };
        format!(
            "name = \"acme\"\nissuer = \"{issuer}\"\nprovider = \"{provider}\"\naudience = [\"orders\"]\n{token_use}\n{lines}"
        )
    }

    fn of(provider: &str, issuer: &str, lines: &str) -> Result<TrustedIssuer, IssuerError> {
        TrustedIssuer::from_toml(&text_of(provider, issuer, lines))
    }

    #[test]
    fn presets_follow_the_provider_and_the_kind() {
        let oidc = with("").unwrap();
        assert_eq!((oidc.typ, oidc.access_audience_claim.as_str()), (TypRule::AccessTokenJwt, "aud"));
        assert_eq!(with("token_use = \"id\"").unwrap().typ, TypRule::Jwt);
        assert_eq!(with("token_use = \"any\"").unwrap().typ, TypRule::Any);
        assert_eq!(with("typ = \"JWT\"").unwrap().typ, TypRule::Jwt);
        let cognito = of("cognito", "https://idp.example/pool", "").unwrap();
        assert_eq!((cognito.typ, cognito.access_audience_claim.as_str()), (TypRule::Jwt, "client_id"));
        assert_eq!(cognito.id_audience_claim.as_str(), "aud");
    }

    #[test]
    fn each_key_of_a_preset_can_be_overridden() {
        for (provider, issuer) in [
            ("oidc", "https://idp.example"),
            ("cognito", "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123456"),
            ("auth0", "https://acme.eu.auth0.com/"),
            ("okta", "https://acme.okta.com/oauth2/default"),
            ("entra", "https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47/"),
            ("keycloak", "https://sso.example/realms/acme"),
            ("google", "https://accounts.google.com"),
        ] {
            let lines = r#"
token_use = "id"
typ = "any"
access_marker = "any"
audience_claim = "a"
client_claim = "b"
scope_claim = "c"
roles = { claim = "d", grant = ["clerk"] }
token_id_claim = "e"
required_values = { ver = "any", tid = "any" }
also_issuers = []
keys = { file = "f.json" }
"#;
            let issuer = of(provider, issuer, lines).unwrap();
            assert_eq!((issuer.typ, &issuer.kind_mark), (TypRule::Any, &KindMark::Nothing), "{provider}");
            assert_eq!(issuer.id_audience_claim.as_str(), "a");
            let client_claims: Vec<&str> = issuer.client_claims.iter().map(ClaimPath::as_str).collect();
            assert_eq!((client_claims, issuer.scope_claim.as_str()), (vec!["b"], "c"));
            assert_eq!(issuer.roles.as_ref().unwrap().claim.as_str(), "d");
            assert_eq!((issuer.token_id_claim.as_str(), issuer.required_values()), ("e", &[][..]));
            assert_eq!((issuer.every_iss().count(), issuer.development()), (1, false));
            assert!(matches!(issuer.keys(), KeySource::File(_)));
        }
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

    const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    /// Each `iss` of a file, with the name of its keys and their place.
    fn places(provider: &str, issuer: &str, lines: &str) -> Vec<String> {
        let trusted = TrustedIssuers::new(vec![of(provider, issuer, lines).unwrap()]).unwrap();
        let place = |issuer: &TrustedIssuer| match issuer.keys() {
            KeySource::Published(keys) => keys.place.url().to_string(),
            other => format!("{other:?}"),
        };
        let mut places: Vec<String> = trusted
            .iter()
            .map(|issuer| format!("{} {} {}", issuer.key_set(), issuer.issuer(), place(issuer)))
            .collect();
        places.sort_unstable();
        places
    }

    #[test]
    fn each_provider_has_its_place_for_keys() {
        let url = |provider: &str, issuer: &str, lines: &str| {
            let places = places(provider, issuer, lines);
            places[0].rsplit(' ').next().unwrap().to_owned()
        };
        for (provider, issuer, expected) in [
            (
                "cognito",
                "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123456",
                "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123456/.well-known/jwks.json",
            ),
            ("auth0", "https://acme.eu.auth0.com/", "https://acme.eu.auth0.com/.well-known/jwks.json"),
            ("okta", "https://acme.okta.com/oauth2/default", "https://acme.okta.com/oauth2/default/v1/keys"),
            (
                "entra",
                &format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
                &format!("https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"),
            ),
            (
                "entra",
                &format!("https://sts.windows.net/{TENANT}/"),
                &format!("https://login.microsoftonline.com/{TENANT}/discovery/keys"),
            ),
            (
                "entra",
                &format!("https://login.microsoftonline.us/{TENANT}/v2.0"),
                &format!("https://login.microsoftonline.us/{TENANT}/discovery/v2.0/keys"),
            ),
            (
                "keycloak",
                "https://sso.example/realms/acme",
                "https://sso.example/realms/acme/protocol/openid-connect/certs",
            ),
        ] {
            assert_eq!(url(provider, issuer, ""), expected);
        }
        let id = "token_use = \"id\"";
        assert_eq!(url("okta", "https://acme.okta.com", id), "https://acme.okta.com/oauth2/v1/keys");
        let certs = "https://www.googleapis.com/oauth2/v3/certs";
        assert_eq!(url("google", "https://accounts.google.com", id), certs);
        let discovery = "keys = \"discovery\"";
        assert_eq!(
            url("auth0", "https://acme.eu.auth0.com/", discovery),
            "https://acme.eu.auth0.com/.well-known/openid-configuration"
        );
    }

    #[test]
    fn a_further_issuer_has_keys_of_its_own_where_they_follow_from_its_name() {
        let (eu, us) = (
            "https://cognito-idp.eu-west-1.amazonaws.com/p",
            "https://cognito-idp.us-east-1.amazonaws.com/p",
        );
        let also = format!("also_issuers = [\"{us}\"]");
        assert_eq!(
            places("cognito", eu, &also),
            [
                format!("acme {eu} {eu}/.well-known/jwks.json"),
                format!("acme@2 {us} {us}/.well-known/jwks.json")
            ]
        );
        let one_place = format!("{also}\nkeys = {{ url = \"https://keys.example\" }}");
        assert_eq!(
            places("cognito", eu, &one_place),
            [format!("acme {eu} https://keys.example"), format!("acme {us} https://keys.example")]
        );
        let pinned = format!("{also}\nkeys = {{ file = \"acme.jwks.json\" }}");
        assert!(places("cognito", eu, &pinned).iter().all(|place| place.starts_with("acme ")));
        let certs = "https://www.googleapis.com/oauth2/v3/certs";
        let both = [
            format!("acme accounts.google.com {certs}"),
            format!("acme https://accounts.google.com {certs}"),
        ];
        for issuer in ["https://accounts.google.com", "accounts.google.com"] {
            assert_eq!(places("google", issuer, "token_use = \"id\""), both);
            let one = "token_use = \"id\"\nalso_issuers = []";
            assert_eq!(places("google", issuer, one), [format!("acme {issuer} {certs}")]);
        }
    }

    #[test]
    fn each_listed_tenant_is_an_issuer_and_their_keys_are_common() {
        let other = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
        let lines = format!(
            "tenant_ids = [\"{TENANT}\", \"{other}\"]\nalso_issuers = [\"https://sts.windows.net/{{tenantid}}/\"]"
        );
        let common = "https://login.microsoftonline.com/common/discovery";
        assert_eq!(
            places("entra", "https://login.microsoftonline.com/{tenantid}/v2.0", &lines),
            [
                format!("acme https://login.microsoftonline.com/{TENANT}/v2.0 {common}/v2.0/keys"),
                format!("acme https://login.microsoftonline.com/{other}/v2.0 {common}/v2.0/keys"),
                format!("acme@2 https://sts.windows.net/{TENANT}/ {common}/keys"),
                format!("acme@2 https://sts.windows.net/{other}/ {common}/keys"),
            ]
        );
    }

    #[test]
    fn what_a_file_must_not_say_about_its_issuers_is_named() {
        let many = "https://login.microsoftonline.com/{tenantid}/v2.0";
        let one = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
        let pool = "https://cognito-idp.eu-west-1.amazonaws.com/p";
        let no_list = "invalid type: string \"any\", expected a list of tenant ids that is not empty: anybody can have a tenant";
        let not_entra = |name: &str| {
            format!(
                "`{name}` is no Entra issuer: expected `https://login.microsoftonline.com/<tenant id>/v2.0`, or for tokens of version 1.0 `https://sts.windows.net/<tenant id>/`, with a GUID in lower case"
            )
        };
        for (provider, issuer, lines, message, place) in [
            (
                "cognito",
                pool,
                &*format!("also_issuers = [\"https://a.example\", \"{pool}\"]"),
                &*format!("`{pool}` is named twice in this file"),
                &*format!("\"{pool}\""),
            ),
            (
                "cognito",
                pool,
                "also_issuers = [\"https://a.example/\"]",
                "this provider's issuers do not end with a slash, as `https://a.example`",
                "\"https://a.example/\"",
            ),
            (
                "cognito",
                "https://cognito-idp.eu-west-1.amazonaws.com/p/",
                "",
                "this provider's issuers do not end with a slash, as `https://cognito-idp.eu-west-1.amazonaws.com/p`",
                "\"https://cognito-idp.eu-west-1.amazonaws.com/p/\"",
            ),
            (
                "auth0",
                "https://acme.eu.auth0.com",
                "",
                "this provider's issuers end with a slash, as `https://acme.eu.auth0.com/`",
                "\"https://acme.eu.auth0.com\"",
            ),
            (
                "okta",
                "https://acme.okta.com",
                "",
                "the access tokens of an organisation's own server are for Okta alone: name a custom server, as `https://acme.okta.com/oauth2/default`",
                "\"https://acme.okta.com\"",
            ),
            (
                "google",
                "https://accounts.google.com",
                "",
                "Google's access tokens are no JWTs: write token_use = \"id\"",
                "\"access\"",
            ),
            (
                "oidc",
                "https://idp.example",
                "also_issuers = [\"idp.example\"]",
                "`idp.example/.well-known/openid-configuration` cannot be fetched: expected an https URL",
                "\"idp.example\"",
            ),
            (
                "oidc",
                "http://localhost:9000",
                "",
                "`http://localhost:9000/.well-known/openid-configuration` is plain HTTP, which only a development issuer may use: write https, or `development = true`",
                "\"http://localhost:9000\"",
            ),
            (
                "oidc",
                many,
                "",
                "`{tenantid}` stands for a tenant of Entra's: write provider = \"entra\"",
                "\"https://login.microsoftonline.com/{tenantid}/v2.0\"",
            ),
            (
                "entra",
                many,
                "",
                "`{tenantid}` stands for the tenants that are trusted: list them, as tenant_ids = [\"…\"]",
                "\"https://login.microsoftonline.com/{tenantid}/v2.0\"",
            ),
            (
                "entra",
                &one,
                &format!("tenant_ids = [\"{TENANT}\"]"),
                "`tenant_ids` are put in place of `{tenantid}` in the name of an Entra issuer, and there is none here",
                &format!("\"{one}\""),
            ),
            ("entra", many, "tenant_ids = \"any\"", no_list, "\"any\""),
            (
                "entra",
                many,
                "tenant_ids = []",
                "invalid length 0, expected a list of tenant ids that is not empty: anybody can have a tenant",
                "[]",
            ),
            (
                "entra",
                many,
                "tenant_ids = [\"72F988BF-86F1-41AF-91AB-2D7CD011DB47\"]",
                "`72F988BF-86F1-41AF-91AB-2D7CD011DB47` is not a tenant id: expected a GUID in lower case",
                "\"72F988BF-86F1-41AF-91AB-2D7CD011DB47\"",
            ),
            (
                "entra",
                many,
                "tenant_ids = [\"contoso.onmicrosoft.com\"]",
                "`contoso.onmicrosoft.com` is not a tenant id: expected a GUID in lower case",
                "\"contoso.onmicrosoft.com\"",
            ),
            (
                "entra",
                many,
                &format!("tenant_ids = [\"{TENANT}\", \"{TENANT}\"]"),
                &format!("`{one}` is named twice in this file"),
                &format!("\"{TENANT}\""),
            ),
            (
                "entra",
                "https://login.microsoftonline.com/common/v2.0",
                "",
                &not_entra("https://login.microsoftonline.com/common/v2.0"),
                "\"https://login.microsoftonline.com/common/v2.0\"",
            ),
            (
                "entra",
                "https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0",
                "",
                &not_entra("https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0"),
                "\"https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0\"",
            ),
            (
                "entra",
                &format!("https://sts.example/{TENANT}/"),
                "",
                &format!(
                    "where the keys of `https://sts.example/{TENANT}/` are is not known: write keys = {{ url = \"…\" }}"
                ),
                &format!("\"https://sts.example/{TENANT}/\""),
            ),
            (
                "auth0",
                "https://acme.eu.auth0.com/",
                "token_use_claim = { claim = \"kind\", access = \"a\", id = \"i\" }\naccess_marker = [\"azp\"]",
                "`token_use_claim` and `access_marker` both tell the kinds of token apart: write one",
                "[\"azp\"]",
            ),
        ] {
            let error = of(provider, issuer, lines).unwrap_err();
            assert_eq!(error.to_string(), message);
            let text = text_of(provider, issuer, lines);
            assert_eq!(error.span().and_then(|span| text.get(span)), Some(place), "{message}");
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
            (
                "provider = \"okt\"",
                "unknown variant `okt`, expected one of `oidc`, `cognito`, `auth0`, `okta`, `entra`, `keycloak`, `google`",
            ),
            ("token_use = \"acces\"", "unknown variant `acces`, expected one of `access`, `id`, `any`"),
            (
                "typ = \"at-jwt\"",
                "unknown variant `at-jwt`, expected one of `at+jwt`, `JWT`, `at+jwt or JWT`, `any`",
            ),
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
                "unknown field `audiense`, expected one of `name`, `issuer`, `also_issuers`, `tenant_ids`, `provider`, `token_use`, `typ`, `token_use_claim`, `access_marker`, `audience`, `audience_claim`, `client_claim`, `clients`, `scope_claim`, `required_scopes`, `tenant`, `roles`, `claims`, `required_claims`, `required_values`, `token_id_claim`, `usage_key`, `leeway`, `expiry`, `max_token_age`, `not_before`, `keys`, `introspection`, `cnf`, `development`",
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
        let also =
            FILE.replace("\"acme\"", "\"globex\"").replace("https://idp.example/", "https://globex.example");
        let also =
            TrustedIssuer::from_toml(&format!("{also}also_issuers = [\"https://idp.example/\"]")).unwrap();
        for both in [vec![acme(), also.clone()], vec![also, acme()]] {
            let error = TrustedIssuers::new(both).unwrap_err();
            assert!(matches!(error, IssuerError::DuplicateIssuer { .. }), "{error}");
        }
    }
}
