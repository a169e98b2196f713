//! Who asks in a test: principals, groups of them, and the tokens they present.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value as Json};
use toml::{Spanned, Table, Value};

use crate::bundle::Bundle;
use crate::bundle::source::SourceFiles;
use crate::jose::{TokenError, TrustedIssuer, VerifiedClaims};
use crate::time::Timestamp;
use crate::tools::claimant::{ClaimSet, Claimant, ClaimantError, Presented, Signature};

use super::SuiteErrors;
use super::file::{ClaimsFile, FactsFile, PrincipalsFile, Written};
use super::problems::{Problems, meant, meant_or_known, quoted};

/// The file that all suites share.
pub const PRINCIPALS: &str = "tests/policies/principals.toml";

/// Somebody who asks at one moment with one token, verified.
#[derive(Debug)]
pub(super) struct Caller {
    /// What is presented.
    pub(super) presented: Presented,
    /// What the authorizer makes of it.
    pub(super) verified: Result<VerifiedClaims, TokenError>,
}

/// What a file declares.
#[derive(Default)]
pub(super) struct Declared {
    principals: BTreeMap<String, Principal>,
    groups: BTreeMap<String, Group>,
    facts: BTreeMap<String, Facts>,
}

struct Principal {
    file: String,
    span: Range<usize>,
    claims: ClaimsFile,
    used: Cell<bool>,
}

struct Group {
    file: String,
    span: Range<usize>,
    members: Vec<String>,
    used: Cell<bool>,
}

struct Facts {
    file: String,
    span: Range<usize>,
    facts: FactsFile,
    used: Cell<bool>,
}

/// What a suite can speak of: its own declarations, and the shared ones.
#[derive(Clone, Copy)]
pub(super) struct Known<'d> {
    pub(super) own: &'d Declared,
    pub(super) shared: &'d Declared,
}

impl Declared {
    /// Takes what a file declares. What `shared` declares already is not declared again.
    pub(super) fn read(
        file: &str,
        principals: BTreeMap<Written, Spanned<ClaimsFile>>,
        groups: BTreeMap<Written, Vec<Written>>,
        facts: BTreeMap<Written, FactsFile>,
        shared: Option<&Self>,
        bundle: &Bundle,
        problems: &mut Problems<'_>,
    ) -> Self {
        let mut declared = Self::default();
        let again = |kind: &str, name: &str| format!("{kind} `{name}` is declared in {PRINCIPALS} already");
        let rename = || "give one of them another name".to_owned();
        for (name, claims) in principals {
            let (span, name) = (name.span(), name.into_inner());
            if shared.is_some_and(|shared| shared.principals.contains_key(&name)) {
                problems.error(file, Some(span.clone()), again("principal", &name), rename());
            }
            if name == EVERYBODY || name.starts_with(GROUP) {
                let message = format!("`{name}` cannot be a principal's name");
                let help = format!("`{EVERYBODY}` means all principals, and `{GROUP}…` a group");
                problems.error(file, Some(span.clone()), message, help);
            }
            let claims = claims.into_inner();
            if let Some(named) = &claims.principal {
                let help = "`principal` stands in the `token` of a case; copy the claims, or make a group";
                problems.error(file, Some(named.span()), "a principal is not another one", help.to_owned());
            }
            check_claims(&claims, file, &span, bundle, problems);
            let principal = Principal { file: file.to_owned(), span, claims, used: Cell::new(false) };
            declared.principals.insert(name, principal);
        }
        for (name, members) in groups {
            let (span, name) = (name.span(), name.into_inner());
            if shared.is_some_and(|shared| shared.groups.contains_key(&name)) {
                problems.error(file, Some(span.clone()), again("group", &name), rename());
            }
            if members.is_empty() {
                let help = "a case about nobody would pass whatever the policies say";
                let message = format!("group `{name}` has no members");
                problems.error(file, Some(span.clone()), message, help.to_owned());
            }
            let mut known = Vec::new();
            for member in members {
                let all = || shared.into_iter().chain([&declared]).flat_map(|from| from.principals.keys());
                let name_of = member.get_ref();
                if !all().any(|principal| principal == name_of) {
                    let help = meant_or_known(name_of, all().map(String::as_str));
                    let message =
                        format!("group `{name}` names a principal `{name_of}` that is not declared");
                    problems.error(file, Some(member.span()), message, help);
                } else if known.contains(name_of) {
                    let message = format!("group `{name}` names `{name_of}` twice");
                    problems.error(file, Some(member.span()), message, "remove one".to_owned());
                } else {
                    known.push(name_of.clone());
                }
            }
            let group = Group { file: file.to_owned(), span, members: known, used: Cell::new(false) };
            declared.groups.insert(name, group);
        }
        for (name, facts) in facts {
            let (span, name) = (name.span(), name.into_inner());
            if shared.is_some_and(|shared| shared.facts.contains_key(&name)) {
                problems.error(file, Some(span.clone()), again("facts", &name), rename());
            }
            let facts = Facts { file: file.to_owned(), span, facts, used: Cell::new(false) };
            declared.facts.insert(name, facts);
        }
        declared
    }

    /// Warns of what no case speaks of.
    pub(super) fn warn_of_unused(&self, problems: &mut Problems<'_>) {
        let help = "no case names it: remove it, or write the case that was meant";
        for (name, principal) in self.principals.iter().filter(|(_, principal)| !principal.used.get()) {
            let message = format!("principal `{name}` is not used");
            problems.warning(&principal.file, principal.span.clone(), message, help);
        }
        for (name, group) in self.groups.iter().filter(|(_, group)| !group.used.get()) {
            problems.warning(&group.file, group.span.clone(), format!("group `{name}` is not used"), help);
        }
        for (name, facts) in self.facts.iter().filter(|(_, facts)| !facts.used.get()) {
            problems.warning(&facts.file, facts.span.clone(), format!("facts `{name}` are not used"), help);
        }
    }
}

/// What stands for all principals.
const EVERYBODY: &str = "*";
/// What stands before a group's name.
const GROUP: &str = "group:";

impl<'d> Known<'d> {
    fn principals(self) -> impl Iterator<Item = (&'d str, &'d Principal)> {
        let all = self.shared.principals.iter().chain(&self.own.principals);
        all.map(|(name, principal)| (name.as_str(), principal))
    }

    fn principal(self, name: &str) -> Option<&'d Principal> {
        self.own.principals.get(name).or_else(|| self.shared.principals.get(name))
    }

    fn group(self, name: &str) -> Option<&'d Group> {
        self.own.groups.get(name).or_else(|| self.shared.groups.get(name))
    }

    /// The names of those whom a case names, each once.
    pub(super) fn named(self, file: &str, written: &[Written], problems: &mut Problems<'_>) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let mut add = |name: &str| {
            if let Some(principal) = self.principal(name) {
                principal.used.set(true);
            }
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        };
        for entry in written {
            let text = entry.get_ref().as_str();
            if text == EVERYBODY {
                self.principals().for_each(|(name, _)| add(name));
            } else if let Some(name) = text.strip_prefix(GROUP) {
                match self.group(name) {
                    Some(group) => {
                        group.used.set(true);
                        group.members.iter().for_each(|member| add(member));
                    }
                    None => {
                        let groups = self.shared.groups.keys().chain(self.own.groups.keys());
                        let help = meant_or_known(name, groups.map(String::as_str));
                        problems.error(
                            file,
                            Some(entry.span()),
                            format!("no group `{name}` is declared"),
                            help,
                        );
                    }
                }
            } else if self.principal(text).is_some() {
                add(text);
            } else {
                let known = self.principals().map(|(name, _)| name);
                let help = match self.group(text) {
                    Some(_) => format!("did you mean `{GROUP}{text}`?"),
                    None => match meant_or_known(text, known) {
                        meant if meant.ends_with('?') => meant,
                        known => format!("{known}; declare one in {PRINCIPALS} or in the suite"),
                    },
                };
                problems.error(file, Some(entry.span()), format!("no principal `{text}` is declared"), help);
            }
        }
        names
    }

    /// The facts of that name.
    pub(super) fn facts(
        self,
        file: &str,
        span: Range<usize>,
        name: &str,
        problems: &mut Problems<'_>,
    ) -> Option<FactsFile> {
        match self.own.facts.get(name).or_else(|| self.shared.facts.get(name)) {
            Some(known) => {
                known.used.set(true);
                Some(known.facts.clone())
            }
            None => {
                let known = self.shared.facts.keys().chain(self.own.facts.keys()).map(String::as_str);
                let help = meant_or_known(name, known);
                problems.error(file, Some(span), format!("no facts `{name}` are declared"), help);
                None
            }
        }
    }
}

/// All who ask, each verified once.
pub(super) struct Callers<'c, 'b> {
    bundle: &'b Bundle,
    claimant: &'c Claimant<'b>,
    callers: Vec<Caller>,
    by_key: BTreeMap<String, usize>,
}

impl<'c, 'b> Callers<'c, 'b> {
    pub(super) fn new(bundle: &'b Bundle, claimant: &'c Claimant<'b>) -> Self {
        Self { bundle, claimant, callers: Vec::new(), by_key: BTreeMap::new() }
    }

    pub(super) fn into_vec(self) -> Vec<Caller> {
        self.callers
    }

    /// What the authorizer makes of a caller's token; `None` where it is not believed.
    pub(super) fn verified(&self, caller: usize) -> Option<&VerifiedClaims> {
        self.callers.get(caller)?.verified.as_ref().ok()
    }

    /// The principal as a case has it: with what the case changes of its token, at the case's moment.
    pub(super) fn caller(
        &mut self,
        known: Known<'_>,
        name: &str,
        changes: Option<(&str, &Spanned<ClaimsFile>)>,
        now: Timestamp,
        problems: &mut Problems<'_>,
    ) -> Option<usize> {
        let principal = known.principal(name)?;
        principal.used.set(true);
        let (claims, file, span) = match changes {
            None => (principal.claims.clone(), principal.file.as_str(), principal.span.clone()),
            Some((file, changes)) => (changed(&principal.claims, changes.get_ref()), file, changes.span()),
        };
        let set = claim_set(name, &claims, now)?;
        let key = format!("{name}\n{set:?}\n{now}");
        if let Some(index) = self.by_key.get(&key) {
            return Some(*index);
        }
        let presented = match self.claimant.present(&set, now) {
            Ok(presented) => presented,
            // That is said where the name stands.
            Err(ClaimantError::UnknownIssuer { .. }) => return None,
            Err(error) => {
                let message = format!("principal `{name}` can have no token: {error}");
                problems.error(file, Some(span), message, None);
                return None;
            }
        };
        let verified = self.claimant.verify(&presented, now);
        if let Ok(verified) = &verified {
            check_roles(name, &claims, verified, file, span, problems);
        }
        let index = self.callers.len();
        self.callers.push(Caller { presented, verified });
        self.by_key.insert(key, index);
        Some(index)
    }

    /// Checks what a case changes of a token.
    pub(super) fn check(&self, file: &str, changes: &Spanned<ClaimsFile>, problems: &mut Problems<'_>) {
        check_names(changes.get_ref(), file, self.bundle, problems);
    }
}

/// A principal's name, and what the authorizer makes of its token.
pub type NamedPrincipal = (String, Result<VerifiedClaims, TokenError>);

/// The principals that all suites share, each with what the authorizer makes of its token at a moment; by their names.
///
/// # Errors
/// [`SuiteErrors`]: what is wrong with the file.
pub fn principals(
    bundle: &Bundle,
    files: &SourceFiles,
    now: Timestamp,
) -> Result<Vec<NamedPrincipal>, SuiteErrors> {
    let mut problems = Problems::new(files);
    let mut verified = Vec::new();
    match (files.text(PRINCIPALS), Claimant::new(bundle)) {
        (None, _) => {
            let help = "write one: `[principal.clara]`, then `issuer = \"…\"` and `roles = [\"…\"]`";
            problems.error(PRINCIPALS, None, "there is no such file", help.to_owned());
        }
        (_, Err(error)) => problems.error(PRINCIPALS, None, format!("no token can be made: {error}"), None),
        (Some(text), Ok(claimant)) => {
            let file: Option<PrincipalsFile> = problems.toml(PRINCIPALS, text);
            let declared = file.map(|file| {
                let PrincipalsFile { principal, group, facts } = file;
                Declared::read(PRINCIPALS, principal, group, facts, None, bundle, &mut problems)
            });
            let (own, shared) = (Declared::default(), declared.unwrap_or_default());
            let known = Known { own: &own, shared: &shared };
            let mut callers = Callers::new(bundle, &claimant);
            let names = known.principals().map(|(name, _)| name);
            let found: Vec<(&str, usize)> = names
                .filter_map(|name| Some((name, callers.caller(known, name, None, now, &mut problems)?)))
                .collect();
            let callers = callers.into_vec();
            verified.extend(
                found.into_iter().filter_map(|(name, index)| {
                    Some((name.to_owned(), callers.get(index)?.verified.clone()))
                }),
            );
        }
    }
    match problems.is_empty() {
        true => Ok(verified),
        false => {
            let (errors, warnings) = problems.into_parts();
            Err(SuiteErrors { errors, warnings })
        }
    }
}

/// A role that the token names and that its issuer may not confer gains nothing: a test must say that this is meant.
fn check_roles(
    name: &str,
    claims: &ClaimsFile,
    verified: &VerifiedClaims,
    file: &str,
    span: Range<usize>,
    problems: &mut Problems<'_>,
) {
    let expected: Vec<&str> = claims.refused.iter().flatten().map(|role| role.get_ref().as_str()).collect();
    // What stands under `roles` is told of there.
    let is_told_of = |role: &String| claims.roles.iter().flatten().any(|written| written.get_ref() == role);
    let refused = verified.refused_roles().iter();
    let unexpected: Vec<&String> =
        refused.filter(|role| !expected.contains(&role.as_str()) && !is_told_of(role)).collect();
    if !unexpected.is_empty() {
        let names = quoted(&unexpected);
        let message = format!(
            "the token of `{name}` names roles that issuer `{}` may not confer: {names}",
            verified.issuer()
        );
        let help = format!("they gain nothing; if that is what the test is about, write refused = [{names}]");
        problems.error(file, Some(span.clone()), message, help.replace('`', "\""));
    }
    for role in expected.iter().filter(|role| verified.roles().iter().any(|conferred| conferred == *role)) {
        let message =
            format!("issuer `{}` confers role `{role}` on `{name}`: it is not refused", verified.issuer());
        problems.error(file, Some(span.clone()), message, "write it under `roles`".to_owned());
    }
}

/// Checks the names in a principal's claims, and that it has an issuer.
fn check_claims(
    claims: &ClaimsFile,
    file: &str,
    span: &Range<usize>,
    bundle: &Bundle,
    problems: &mut Problems<'_>,
) {
    if claims.issuer.is_none() {
        let known = quoted(bundle.issuers().by_name().map(TrustedIssuer::name));
        let help = format!("write issuer = \"…\": the alias of one of {known}");
        problems.error(file, Some(span.clone()), "the principal has no issuer", help);
    }
    check_names(claims, file, bundle, problems);
}

fn check_names(claims: &ClaimsFile, file: &str, bundle: &Bundle, problems: &mut Problems<'_>) {
    let known = || bundle.issuers().by_name().map(TrustedIssuer::name);
    if let (Some(sub), Some(_)) = (&claims.sub, &claims.client) {
        let help = "`client` is a machine with a token of its own: its client id is its `sub`";
        problems.error(
            file,
            Some(sub.span()),
            "a principal is a person or a client, not both",
            help.to_owned(),
        );
    }
    if let Some(signature) = &claims.signature
        && let Err(message) = read_signature(signature.get_ref(), known())
    {
        problems.error(file, Some(signature.span()), message, SIGNATURES.to_owned());
    }
    let Some(written) = &claims.issuer else { return };
    let Some(issuer) = bundle.issuers().named(written.get_ref()) else {
        let message = format!("no issuer `{}` stands in policies/issuers", written.get_ref());
        problems.error(file, Some(written.span()), message, meant_or_known(written.get_ref(), known()));
        return;
    };
    let refused = || claims.refused.iter().flatten().map(Spanned::get_ref);
    for role in claims.roles.iter().flatten() {
        let name = role.get_ref();
        if issuer.grantable_roles().contains(name) || refused().any(|refused| refused == name) {
            continue;
        }
        let grantable = || issuer.grantable_roles().iter().map(String::as_str);
        let message = format!("issuer `{}` may not confer role `{name}`", issuer.name());
        let help = match meant(name, grantable()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!(
                "it may confer {}; to test that it gains nothing, write refused = [\"{name}\"] too",
                quoted(grantable())
            ),
        };
        problems.error(file, Some(role.span()), message, help);
    }
    if let (Some(tenant), None) = (&claims.tenant, issuer.tenant_claim()) {
        let message = format!("the tokens of issuer `{}` do not say a tenant", issuer.name());
        let help = "its file says which tenant it speaks for: remove `tenant`";
        problems.error(file, Some(tenant.span()), message, help.to_owned());
    }
}

const SIGNATURES: &str =
    "expected \"issuer\", \"forged\", \"unknown-key\", \"none\" or { of = \"another issuer\" }";

fn read_signature<'n>(
    value: &Value,
    mut issuers: impl Iterator<Item = &'n str>,
) -> Result<Signature, String> {
    match value {
        Value::String(text) => match text.as_str() {
            "issuer" => Ok(Signature::Issuer),
            "forged" => Ok(Signature::Forged),
            "unknown-key" => Ok(Signature::UnknownKey),
            "none" => Ok(Signature::None),
            _ => Err(format!("`{text}` is not who signs a token")),
        },
        Value::Table(table) if table.len() == 1 => match table.get("of") {
            Some(Value::String(name)) if issuers.any(|issuer| issuer == name) => {
                Ok(Signature::Of(name.clone()))
            }
            Some(Value::String(name)) => Err(format!("no issuer `{name}` stands in policies/issuers")),
            _ => Err("this is not who signs a token".to_owned()),
        },
        _ => Err("this is not who signs a token".to_owned()),
    }
}

/// A principal's claims with what a case changes of them.
fn changed(claims: &ClaimsFile, changes: &ClaimsFile) -> ClaimsFile {
    fn or<T: Clone>(changed: &Option<T>, before: &Option<T>) -> Option<T> {
        changed.clone().or_else(|| before.clone())
    }
    let mut merged = ClaimsFile {
        principal: None,
        description: None,
        issuer: or(&changes.issuer, &claims.issuer),
        sub: or(&changes.sub, &claims.sub),
        client: or(&changes.client, &claims.client),
        client_id: or(&changes.client_id, &claims.client_id),
        roles: or(&changes.roles, &claims.roles),
        refused: or(&changes.refused, &claims.refused),
        scopes: or(&changes.scopes, &claims.scopes),
        tenant: or(&changes.tenant, &claims.tenant),
        claims: claims.claims.clone(),
        without: claims.without.clone(),
        header: claims.header.clone(),
        signature: or(&changes.signature, &claims.signature),
        issued_in: changes.issued_in.or(claims.issued_in),
        expires_in: changes.expires_in.or(claims.expires_in),
    };
    // What a case says is said, also where the principal is without it.
    merged.without.retain(|name| !changes.claims.contains_key(name));
    merged.claims.extend(changes.claims.clone());
    merged.header.extend(changes.header.clone());
    merged.without.extend(changes.without.iter().cloned());
    merged
}

/// What a principal's token says at `now`.
fn claim_set(name: &str, claims: &ClaimsFile, now: Timestamp) -> Option<ClaimSet> {
    let text = |written: &Option<Written>| written.as_ref().map(|written| written.get_ref().clone());
    let subject = text(&claims.client).or_else(|| text(&claims.sub)).unwrap_or_else(|| name.to_owned());
    let mut set = ClaimSet::new(claims.issuer.as_ref()?.get_ref(), &subject, now);
    let request = &mut set.request;
    request.client_id = text(&claims.client).or_else(|| claims.client_id.clone());
    request.roles = claims.roles.iter().flatten().map(|role| role.get_ref().clone()).collect();
    request.scopes = claims.scopes.clone().unwrap_or_default();
    request.tenant = text(&claims.tenant);
    let at = |seconds: i64| Timestamp::from_unix_seconds(now.unix_seconds().saturating_add(seconds));
    if let Some(seconds) = claims.issued_in {
        request.issued_at = at(seconds);
    }
    if let Some(seconds) = claims.expires_in {
        request.expires_at = at(seconds);
    }
    request.claims = json_object(&claims.claims);
    request.claims.extend(claims.without.iter().map(|name| (name.clone(), Json::Null)));
    set.header = json_object(&claims.header);
    if let Some(signature) = &claims.signature {
        // Its issuers are checked where it is read.
        set.signature = match signature.get_ref() {
            Value::Table(table) => match table.get("of") {
                Some(Value::String(name)) => Signature::Of(name.clone()),
                _ => Signature::Issuer,
            },
            value => read_signature(value, std::iter::empty()).unwrap_or(Signature::Issuer),
        };
    }
    Some(set)
}

/// A TOML table as a JSON object.
pub(super) fn json_object(table: &Table) -> Map<String, Json> {
    table.iter().map(|(name, value)| (name.clone(), json(value))).collect()
}

/// A TOML value as JSON; a moment becomes its text.
pub(super) fn json(value: &Value) -> Json {
    match value {
        Value::String(text) => Json::from(text.as_str()),
        Value::Integer(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Boolean(value) => Json::from(*value),
        Value::Datetime(moment) => Json::from(moment.to_string()),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Table(table) => Json::Object(json_object(table)),
    }
}
