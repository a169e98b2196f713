//! The issuer file as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::introspection::Introspection;
use super::keys::KeysFile;
use super::kind::{TokenUse, TokenUseClaim, TypRule};
use super::lifetime::{Expiry, TokenAge};
use super::names::{AttributeName, AudienceName, ClaimPath, Iss, Leeway, Moment, Name, ScopeName, TenantIds};
use super::preset::Provider;
use super::rules::{CnfRule, Listed, RolesTable, Tenant};
use super::values::ValuesTable;

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuerFile {
    pub(super) name: Name,
    pub(super) issuer: Spanned<Iss>,
    pub(super) also_issuers: Option<Vec<Spanned<Iss>>>,
    pub(super) tenant_ids: Option<TenantIds>,
    pub(super) provider: Provider,
    pub(super) token_use: Spanned<TokenUse>,
    pub(super) typ: Option<TypRule>,
    pub(super) token_use_claim: Option<TokenUseClaim>,
    pub(super) access_marker: Option<Spanned<Listed<ClaimPath>>>,
    pub(super) audience: Option<Listed<AudienceName>>,
    pub(super) audience_claim: Option<ClaimPath>,
    pub(super) client_claim: Option<ClaimPath>,
    pub(super) clients: Option<Listed<AudienceName>>,
    pub(super) scope_claim: Option<ClaimPath>,
    #[serde(default)]
    pub(super) required_scopes: Vec<ScopeName>,
    pub(super) tenant: Option<Tenant>,
    pub(super) roles: Option<RolesTable>,
    #[serde(default)]
    pub(super) claims: BTreeMap<AttributeName, ClaimPath>,
    #[serde(default)]
    pub(super) required_claims: Vec<ClaimPath>,
    #[serde(default)]
    pub(super) required_values: ValuesTable,
    pub(super) token_id_claim: Option<ClaimPath>,
    pub(super) usage_key: Option<ClaimPath>,
    #[serde(default)]
    pub(super) leeway: Leeway,
    pub(super) expiry: Option<Spanned<Expiry>>,
    pub(super) max_token_age: Option<TokenAge>,
    pub(super) not_before: Option<Moment>,
    pub(super) keys: Option<Spanned<KeysFile>>,
    pub(super) introspection: Option<Spanned<Introspection>>,
    #[serde(default)]
    pub(super) cnf: CnfRule,
    #[serde(default)]
    pub(super) development: bool,
}
