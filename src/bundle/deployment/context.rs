//! `[context]`: what the integration is told about the caller.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::{ContextContract, ContextEntry, ContextSource, ListEncoding, PATH};
use crate::bundle::finding::{Code, Findings};
use crate::bundle::is_name;

/// What stands in every contract, unless its key is written otherwise or what it says is told under another key: by which
/// policies the caller was judged.
const ALWAYS: [(&str, ContextSource); 2] =
    [("policyVersion", ContextSource::PolicyVersion), ("policyDigest", ContextSource::PolicyDigest)];

pub(super) enum ContextEntryFile {
    Switch(bool),
    Entry(EntryFile),
}

/// By hand, because an untagged enum would lose the places of what it holds.
impl<'de> Deserialize<'de> for ContextEntryFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;
        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = ContextEntryFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ source = \"…\" }, or false to leave out what would stand there")
            }

            fn visit_bool<E>(self, switch: bool) -> Result<Self::Value, E> {
                Ok(ContextEntryFile::Switch(switch))
            }

            fn visit_map<A: MapAccess<'de>>(self, entry: A) -> Result<Self::Value, A::Error> {
                EntryFile::deserialize(MapAccessDeserializer::new(entry)).map(ContextEntryFile::Entry)
            }
        }
        deserializer.deserialize_any(EntryVisitor)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryFile {
    source: Spanned<String>,
    #[serde(default)]
    list: Option<String>,
}

/// The contract: what is written, and what stands in every one.
pub(super) fn read(
    written: BTreeMap<Spanned<String>, Spanned<ContextEntryFile>>,
    arrays_allowed: bool,
    findings: &mut Findings<'_>,
) -> ContextContract {
    let keys: Vec<String> = written.keys().map(|key| key.get_ref().clone()).collect();
    let mut entries: BTreeMap<Arc<str>, ContextEntry> = BTreeMap::new();
    for (key, entry) in written {
        match entry.into_inner() {
            ContextEntryFile::Entry(entry) => {
                let entry = read_entry(key, entry, arrays_allowed, findings);
                entries.extend(entry.map(|(key, entry)| (key.into(), entry)));
            }
            ContextEntryFile::Switch(false) if ALWAYS.iter().any(|(always, _)| always == key.get_ref()) => {}
            ContextEntryFile::Switch(_) => {
                let message = format!("`{}` says nothing here", key.get_ref().escape_debug());
                let help = "write { source = \"…\" }; false leaves out policyVersion or policyDigest, which stand in \
                            every context otherwise";
                findings.note(Code::ContextKey, PATH, Some(key.span()), message, help.to_owned());
            }
        }
    }
    for (key, source) in ALWAYS {
        let is_told = entries.values().any(|entry| entry.source == source);
        if !is_told && !keys.iter().any(|written| written == key) {
            entries.insert(key.into(), ContextEntry { source, list: ListEncoding::Json });
        }
    }
    ContextContract { entries }
}

fn read_entry(
    key: Spanned<String>,
    entry: EntryFile,
    arrays_allowed: bool,
    findings: &mut Findings<'_>,
) -> Option<(String, ContextEntry)> {
    let before = findings.len();
    let name = key.get_ref();
    // The gateway uses these names itself in `$context.authorizer.*` (developer guide, "Mapping template and access
    // logging variable reference"); `messageString` is where the deny message travels.
    const TAKEN: [&str; 9] = [
        "principalId",
        "integrationLatency",
        "claims",
        "error",
        "latency",
        "status",
        "requestId",
        "integrationStatus",
        "messageString",
    ];
    if TAKEN.contains(&name.as_str()) {
        findings.note(
            Code::ContextKey,
            PATH,
            Some(key.span()),
            format!("context key `{name}` is taken by the gateway or by cedar-gate"),
            None,
        );
    }
    let mut chars = name.chars();
    if !chars.next().is_some_and(|first| first.is_ascii_alphabetic())
        || !chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
        || name.len() > 64
    {
        let message = format!("`{}` cannot be a context key", name.escape_debug());
        let help = "use a letter, then letters, digits and _ : mapping templates cannot name others";
        findings.note(Code::ContextKey, PATH, Some(key.span()), message, help.to_owned());
    }
    let source = read_source(&entry.source, findings);
    let list = match entry.list.as_deref() {
        None | Some("json") => ListEncoding::Json,
        Some("array") if arrays_allowed => ListEncoding::Array,
        Some("array") => {
            let message =
                format!("context key `{name}` cannot be an array: an API here takes single values only");
            findings.note(
                Code::ContextList,
                PATH,
                Some(key.span()),
                message,
                "write list = \"json\", or a separator like list = \",\"".to_owned(),
            );
            ListEncoding::Array
        }
        Some(separator) => {
            let mut chars = separator.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) if ",;|: /".contains(char) && !is_name(separator) => {
                    ListEncoding::Separator(char)
                }
                _ => {
                    let message =
                        format!("`{}` cannot separate the items of a list", separator.escape_debug());
                    let help = "write \"json\", \"array\", or one of , ; | : / and the space, which no role can contain";
                    findings.note(Code::ContextList, PATH, Some(key.span()), message, help.to_owned());
                    ListEncoding::Json
                }
            }
        }
    };
    let key = key.into_inner();
    (findings.len() == before).then_some(())?;
    Some((key, ContextEntry { source: source?, list }))
}

fn read_source(source: &Spanned<String>, findings: &mut Findings<'_>) -> Option<ContextSource> {
    Some(match source.get_ref().as_str() {
        "principal" => ContextSource::Principal,
        "roles" => ContextSource::Roles,
        "tenant" => ContextSource::Tenant,
        "issuer" => ContextSource::Issuer,
        "sub" => ContextSource::Subject,
        "client-id" => ContextSource::ClientId,
        "scopes" => ContextSource::Scopes,
        "email" => ContextSource::Email,
        "policy-version" => ContextSource::PolicyVersion,
        "policy-digest" => ContextSource::PolicyDigest,
        "bundle-digest" => ContextSource::BundleDigest,
        other => match other.strip_prefix("claim.") {
            Some(claim) => ContextSource::Claim(claim.to_owned()),
            None => {
                let message = format!("`{}` is not a source of context values", other.escape_debug());
                let help = "use principal, roles, tenant, issuer, sub, client-id, scopes, email, policy-version, policy-digest, bundle-digest or claim.<name>";
                findings.note(Code::ContextSource, PATH, Some(source.span()), message, help.to_owned());
                return None;
            }
        },
    })
}
