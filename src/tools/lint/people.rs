//! Roles that nobody can hold or that mean nothing, and issuers whose tokens are good for nothing.

use std::collections::BTreeSet;

use crate::bundle::Bundle;
use crate::bundle::finding::{Code, Findings};
use crate::bundle::source::SourceFiles;
use crate::iam::bits::Bits;
use crate::jose::TrustedIssuer;

use super::rules::{Rules, Who};

/// Notes them for one version; `live` are the operations that each policy can allow.
pub(super) fn check(rules: &Rules<'_>, live: &[Bits], files: &SourceFiles, findings: &mut Findings<'_>) {
    let (bundle, roles) = (rules.bundle, rules.roles());
    let held: BTreeSet<&str> = bundle.issuers().iter().flat_map(|issuer| conferred(issuer, rules)).collect();
    let literals = rules.rules.iter().flat_map(|rule| rule.policy.entity_literals());
    let spoken: BTreeSet<String> = literals
        .filter(|uid| uid.type_name().to_string() == "Role")
        .map(|uid| uid.id().unescaped().to_owned())
        .collect();
    let file = format!("policies/{}/roles.toml", rules.version.name);
    for role in roles.names() {
        let place = format!("[{role}]");
        if !held.contains(role) {
            let message = format!("no issuer may confer role `{role}`: nobody holds it");
            let help = "list it in `roles.grant` of an issuer in policies/issuers, or remove it".to_owned();
            findings.note_text(Code::RoleWithoutIssuer, &file, &place, message, help);
        }
        if !roles.closure(role).any(|included| spoken.contains(included)) {
            let message = format!("no policy of version `{}` speaks of role `{role}`", rules.version.name);
            findings.note_text(Code::RoleWithoutPolicy, &file, &place, message, None);
        }
    }
    if decides(bundle, &rules.version.name) {
        issuers(rules, live, files, findings);
    }
}

/// The roles that an issuer's tokens can bring, with those that they include.
fn conferred<'b>(issuer: &'b TrustedIssuer, rules: &Rules<'b>) -> impl Iterator<Item = &'b str> {
    let roles = rules.roles();
    issuer.grantable_roles().iter().flat_map(|role| roles.closure(role))
}

/// Whether a version decides anywhere.
fn decides(bundle: &Bundle, version: &str) -> bool {
    let mut apis = bundle.deployment().apis.iter();
    apis.any(|api| {
        let mut stages = api.stage_names();
        stages.any(|stage| bundle.active(&api.name, stage).is_some_and(|active| active.name == version))
    })
}

fn issuers(rules: &Rules<'_>, live: &[Bits], files: &SourceFiles, findings: &mut Findings<'_>) {
    let permits = || rules.rules.iter().zip(live).filter(|(_, live)| !live.is_empty());
    // Scopes that many policies share are asked about once.
    let scopes: Vec<&Who> = permits().map(|(rule, _)| &rule.who).fold(Vec::new(), |mut scopes, who| {
        if !scopes.contains(&who) {
            scopes.push(who);
        }
        scopes
    });
    if scopes.iter().any(|who| who.is_everybody()) {
        return;
    }
    for issuer in rules.bundle.issuers().by_name() {
        let roles: BTreeSet<&str> = conferred(issuer, rules).collect();
        if scopes.iter().any(|who| can_be(issuer, &roles, who)) {
            continue;
        }
        let message = format!("no permit can apply to the tokens of issuer `{}`", issuer.name());
        let help = "let it confer a role that a permit speaks of, or remove its file".to_owned();
        match file_of(issuer, files) {
            Some(file) => {
                findings.note_text(Code::IssuerWithoutPermit, file, issuer.name(), message, help);
            }
            None => findings.note(Code::IssuerWithoutPermit, "policies/issuers", None, message, help),
        }
    }
}

/// Whether a principal of an issuer can be in a scope.
fn can_be(issuer: &TrustedIssuer, roles: &BTreeSet<&str>, who: &Who) -> bool {
    let Some(uid) = who.within.as_ref().or(who.is.as_ref()) else { return true };
    let name: &str = uid.id().unescaped();
    match uid.type_name().to_string().as_str() {
        "Role" => roles.contains(name),
        "Tenant" => issuer.tenants().is_none_or(|tenants| tenants.contains(&name)),
        // `<issuer>|<sub>`
        _ => name.split_once('|').is_some_and(|(alias, _)| alias == issuer.name()),
    }
}

fn file_of<'f>(issuer: &TrustedIssuer, files: &'f SourceFiles) -> Option<&'f str> {
    files.paths_in("policies/issuers/", ".toml").find(|path| {
        let read = files.text(path).and_then(|text| TrustedIssuer::from_toml(text).ok());
        read.is_some_and(|read| read.name() == issuer.name())
    })
}
