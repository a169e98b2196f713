//! What stands in the files of `tests/policies`, as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Spanned, Table, Value};

/// A name as it is written, with its place.
pub(super) type Written = Spanned<String>;

/// `tests/policies/principals.toml`: what all suites may speak of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrincipalsFile {
    #[serde(default)]
    pub(super) principal: BTreeMap<Written, Spanned<ClaimsFile>>,
    #[serde(default)]
    pub(super) group: BTreeMap<Written, Vec<Written>>,
    #[serde(default)]
    pub(super) facts: BTreeMap<Written, FactsFile>,
}

/// A suite.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SuiteFile {
    #[serde(default)]
    pub(super) suite: HeadFile,
    #[serde(default)]
    pub(super) principal: BTreeMap<Written, Spanned<ClaimsFile>>,
    #[serde(default)]
    pub(super) group: BTreeMap<Written, Vec<Written>>,
    #[serde(default)]
    pub(super) facts: BTreeMap<Written, FactsFile>,
    #[serde(default, rename = "case")]
    pub(super) cases: Vec<CaseFile>,
}

/// `[suite]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadFile {
    pub(super) name: Option<Written>,
    pub(super) description: Option<String>,
    pub(super) api: Option<Written>,
    pub(super) stage: Option<Written>,
    pub(super) version: Option<Written>,
    pub(super) now: Option<Spanned<Value>>,
    pub(super) facts: Option<Spanned<Value>>,
    #[serde(default)]
    pub(super) params: BTreeMap<Written, Vec<String>>,
}

/// `[[case]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseFile {
    pub(super) name: Written,
    pub(super) description: Option<String>,
    pub(super) skip: Option<Written>,
    pub(super) now: Option<Spanned<Value>>,
    pub(super) facts: Option<Spanned<Value>>,
    pub(super) principals: Option<Spanned<Vec<Written>>>,
    pub(super) token: Option<Spanned<ClaimsFile>>,
    pub(super) allow: Option<Spanned<Vec<Written>>>,
    pub(super) deny: Option<Spanned<Vec<Written>>>,
    #[serde(default)]
    pub(super) params: BTreeMap<Written, Vec<String>>,
    pub(super) requests: Option<Spanned<Vec<Written>>>,
    pub(super) event: Option<Written>,
    pub(super) expect: Option<Spanned<Value>>,
    pub(super) because: Option<Spanned<Value>>,
    pub(super) document: Option<Spanned<DocumentFile>>,
    pub(super) context: Option<Spanned<Table>>,
    pub(super) response: Option<Spanned<Value>>,
}

/// `document`: what the answer's document says of other requests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DocumentFile {
    #[serde(default)]
    pub(super) covers: Vec<Written>,
    #[serde(default)]
    pub(super) not: Vec<Written>,
}

/// A principal, or what a case changes of it: what its token says.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimsFile {
    /// In a case's `token` only.
    pub(super) principal: Option<Written>,
    #[expect(dead_code, reason = "for who reads the file")]
    pub(super) description: Option<String>,
    pub(super) issuer: Option<Written>,
    pub(super) sub: Option<Written>,
    pub(super) client: Option<Written>,
    pub(super) client_id: Option<String>,
    pub(super) roles: Option<Vec<Written>>,
    pub(super) refused: Option<Vec<Written>>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) tenant: Option<Written>,
    #[serde(default)]
    pub(super) claims: Table,
    #[serde(default)]
    pub(super) without: Vec<String>,
    #[serde(default)]
    pub(super) header: Table,
    pub(super) signature: Option<Spanned<Value>>,
    pub(super) issued_in: Option<i64>,
    pub(super) expires_in: Option<i64>,
}

/// The volatile facts of a request.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FactsFile {
    pub(super) source_ip: Option<String>,
    pub(super) client_cert_subject: Option<String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) query: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) stage_variables: BTreeMap<String, String>,
    /// What the request is without, by name: `source_ip`, `headers.x-a`, `headers`.
    #[serde(default)]
    pub(super) absent: Vec<String>,
}
