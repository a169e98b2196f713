//! Whether the answers that the gateway keeps are right for the requests that it keeps them for.
//!
//! A kept answer is given to every request with the same identity sources. So whatever else a decision can depend on has to
//! be told by the answer itself, or has to be in the cache key. The first is what a document about the whole API does for
//! method and path, and what nothing does for a volatile fact (`context.http`): such a document denies where one counts. An
//! answer about one route (an HTTP API whose key holds `$context.routeKey`) tells neither, and a fact that is not in its key
//! would be another request's.
//!
//! Which facts a decision can depend on is asked for anyone: the policies' partial evaluation with an unknown `User` and an
//! unknown `Client`.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy as cedar;
use serde_json::Value;

use crate::authorizer::Authorizer;
use crate::bundle::Bundle;
use crate::bundle::deployment::{self, AnswerScope, Api, ApiKind, IdentitySource, ResponseForm};
use crate::bundle::finding::{Code, Finding, Findings};
use crate::bundle::policies::{PolicyNote, PolicyVersion};
use crate::bundle::source::SourceFiles;
use crate::bundle::vocabulary::HttpShape;
use crate::decision::Engine;
use crate::entities::OperationEntities;
use crate::grants::VolatileRead;
use crate::route::{Operation, OperationId};

use super::{some_of, sources};

/// Something about an API's cache that a person should know: an error where a request could be allowed that Cedar denies, a
/// warning where one can be denied that Cedar allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheFinding {
    /// The API's alias.
    pub api: String,
    /// The policy whose outcome depends on the fact; `None` where the form of the answers alone is the matter.
    pub policy: Option<String>,
    /// The fact, such as `context.http.source_ip`.
    pub fact: String,
    /// The operations that it is about, in the order of the route table.
    pub operations: Vec<String>,
    /// What to say about it, and where.
    pub finding: Finding,
}

/// Why the cache could not be looked into: a defect of ours, because what a bundle's author could get wrong is found when
/// it is loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cached answers cannot be checked: {0}")]
pub struct CacheError(String);

/// What each API's cache makes of the policies, in the order of the APIs and of the policies' text.
///
/// # Errors
/// [`CacheError`]
pub fn check(authorizer: &Authorizer, files: &SourceFiles) -> Result<Vec<CacheFinding>, CacheError> {
    let bundle = sources(authorizer).map_err(CacheError)?;
    let mut found = Vec::new();
    for api in bundle.deployment().apis.iter().filter(|api| api.result_ttl_seconds > 0) {
        let reads = reads(authorizer, api)?;
        let mut report = Report { bundle, files, api, found: Vec::new() };
        // Who reads a header asks first whether there are headers: that is told with the header.
        let is_told = |read: &Read, operations: &BTreeSet<OperationId>| {
            let mut parts = reads.iter().filter(|(other, _)| other.is_part_of(read));
            parts.any(|(part, of_part)| !report.is_in_key(&part.fact) && of_part.is_superset(operations))
        };
        let untold: Vec<_> = reads.iter().filter(|(read, operations)| !is_told(read, operations)).collect();
        for (read, operations) in untold {
            report.add(read, operations);
        }
        report.add_lone_paths();
        report.found.sort_by_key(|found| {
            let Finding { file, span, .. } = &found.finding;
            (file.clone(), span.as_ref().map(|span| span.start), found.fact.clone())
        });
        found.append(&mut report.found);
    }
    Ok(found)
}

/// A fact that a policy reads.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Read {
    version: String,
    policy: String,
    fact: String,
}

impl Read {
    /// Whether it reads a part of what the same policy reads as a whole.
    fn is_part_of(&self, whole: &Self) -> bool {
        (&self.version, &self.policy) == (&whole.version, &whole.policy)
            && self.fact != whole.fact
            && is_within(&self.fact, &whole.fact)
    }
}

/// What decisions of an API can depend on beyond what its answers tell, with the operations.
fn reads(authorizer: &Authorizer, api: &Api) -> Result<BTreeMap<Read, BTreeSet<OperationId>>, CacheError> {
    let bundle = sources(authorizer).map_err(CacheError)?;
    let mut reads: BTreeMap<Read, BTreeSet<OperationId>> = BTreeMap::new();
    for stage in api.stage_names() {
        let Some(version) = bundle.active(&api.name, stage) else { continue };
        let Some(volatile) = authorizer.volatile_reads((&api.name, stage)) else { continue };
        let of_path = match tells_no_path(api) {
            true => path_readers(bundle, api, stage, version)?,
            false => Vec::new(),
        };
        for VolatileRead { operation, policy, fact } in volatile.map_err(failed)?.into_iter().chain(of_path) {
            let read = Read { version: version.name.clone(), policy, fact };
            reads.entry(read).or_default().insert(operation);
        }
    }
    Ok(reads)
}

/// What each operation's policies mention of the path.
fn path_readers(
    bundle: &Bundle,
    api: &Api,
    stage: &str,
    version: &PolicyVersion,
) -> Result<Vec<VolatileRead>, CacheError> {
    let actions = bundle.schema().action_entities().map_err(failed)?;
    let engine = Engine::new(version.policies().clone()).map_err(failed)?;
    let mut readers = Vec::new();
    for operation in bundle.routes().operations() {
        let entities = OperationEntities::new(operation, &api.name, stage, bundle.vocabulary(), &actions);
        let entities = entities.map_err(failed)?;
        let slice = engine.slice(entities.action(), entities.route(), entities.entities()).map_err(failed)?;
        for policy in slice.policies() {
            let facts = path_reads(policy).into_iter();
            readers.extend(facts.map(|fact| VolatileRead {
                operation: operation.id(),
                policy: policy.id().to_string(),
                fact,
            }));
        }
    }
    Ok(readers)
}

fn failed(error: impl std::fmt::Display) -> CacheError {
    CacheError(error.to_string())
}

/// Whether an answer allows whatever has the same cache key: a simple response.
fn tells_no_path(api: &Api) -> bool {
    api.scope == AnswerScope::Request && api.response == ResponseForm::Simple
}

/// What a policy mentions of the path: `context.path` and `context.params.…`. More than its outcome may depend on, never
/// less.
fn path_reads(policy: &cedar::Policy) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    match policy.to_json() {
        Ok(json) => mentions(&json, &mut facts),
        Err(_) => drop(facts.insert("context".to_owned())),
    }
    facts.retain(|fact| {
        fact == "context" || ["context.path", "context.params"].iter().any(|part| is_within(fact, part))
    });
    facts
}

fn is_within(fact: &str, part: &str) -> bool {
    fact.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Collects what of the context an expression in Cedar's JSON policy format mentions.
fn mentions(expression: &Value, facts: &mut BTreeSet<String>) {
    if let Some(fact) = context_path(expression) {
        facts.insert(fact);
        return;
    }
    match expression {
        Value::Object(members) => members.values().for_each(|member| mentions(member, facts)),
        Value::Array(items) => items.iter().for_each(|item| mentions(item, facts)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `context.params.userId`, also where it is asked whether there is one.
fn context_path(expression: &Value) -> Option<String> {
    if expression.get("Var").and_then(Value::as_str) == Some("context") {
        return Some("context".to_owned());
    }
    let operand = expression.get(".").or_else(|| expression.get("has"))?;
    let base = context_path(operand.get("left")?)?;
    Some(format!("{base}.{}", operand.get("attr")?.as_str()?))
}

/// The parts of a request that a fact is made of; `None` where the gateway has no such parts. Whether there are headers at
/// all depends on each that is declared.
fn sources_of(fact: &str, http: &HttpShape) -> Option<Vec<IdentitySource>> {
    let variable = |name: &str| Some(vec![IdentitySource::Context(name.to_owned())]);
    let all = |names: &[String], source: fn(String) -> IdentitySource| {
        Some(names.iter().cloned().map(source).collect())
    };
    match fact {
        "context.http.source_ip" => variable(IdentitySource::SOURCE_IP),
        "context.http.client_cert_subject" => variable(IdentitySource::CLIENT_CERT_SUBJECT),
        "context.http.headers" => all(&http.headers, IdentitySource::Header),
        "context.http.query" => all(&http.query, IdentitySource::Query),
        "context.http.stage_variables" => all(&http.stage_variables, IdentitySource::StageVariable),
        _ if is_within(fact, "context.path") || is_within(fact, "context.params") => {
            variable(IdentitySource::PATH)
        }
        _ => {
            let named = |part: &str| fact.strip_prefix(part).map(str::to_owned);
            let header = named("context.http.headers.").map(IdentitySource::Header);
            let query = || named("context.http.query.").map(IdentitySource::Query);
            let stage = || named("context.http.stage_variables.").map(IdentitySource::StageVariable);
            header.or_else(query).or_else(stage).map(|source| vec![source])
        }
    }
}

/// What is found about one API.
struct Report<'b> {
    bundle: &'b Bundle,
    files: &'b SourceFiles,
    api: &'b Api,
    found: Vec<CacheFinding>,
}

impl Report<'_> {
    fn add(&mut self, read: &Read, operations: &BTreeSet<OperationId>) {
        let Read { version, policy, fact } = read;
        let names = self.names(operations.iter().copied());
        let routes = some_of(&names, NAMED);
        let (api, ttl) = (&self.api.name, self.api.result_ttl_seconds);
        let sources = sources_of(fact, &self.bundle.vocabulary().http);
        let is_in_key = self.is_in_key(fact);
        let (code, message, remedy) = match (self.api.scope, is_in_key) {
            (AnswerScope::Request, true) => return,
            (AnswerScope::Request, false) => {
                let message = format!(
                    "API `{api}` keeps answers for {ttl} s whatever `{fact}` is, but policy `{policy}` reads it: {routes}"
                );
                (Code::KeptFact, message, sources.map(|sources| self.by_key(&sources)))
            }
            (AnswerScope::Api, _) => {
                let kept = match is_in_key {
                    true => format!("keeps answers apart by `{fact}`"),
                    false => format!("keeps answers for {ttl} s"),
                };
                let message = format!(
                    "API `{api}` {kept}, and what they say of the whole API cannot depend on `{fact}`: where policy `{policy}` lets it count, they deny {routes}"
                );
                (Code::UntoldFact, message, sources.and_then(|sources| self.by_request(sources)))
            }
        };
        let remedies = remedy.into_iter().chain(REMEDIES.map(str::to_owned));
        let help = remedies.collect::<Vec<_>>().join(", or ");
        let span = self.version(version).and_then(|version| {
            let note = version.note(policy)?;
            Some((note.file.clone(), reading(self.files, note, fact)))
        });
        let mut findings = Findings::new(self.files);
        match span {
            Some((file, span)) => findings.note(code, &file, Some(span), message, help),
            None => findings.note_text(code, deployment::PATH, api, message, help),
        }
        self.push(Some(policy.clone()), fact.clone(), names, findings);
    }

    /// A document about the asked method names one path, also where the cache keeps it for others of its route: those are
    /// refused until it is forgotten.
    fn add_lone_paths(&mut self) {
        let api = self.api;
        let path = IdentitySource::Context(IdentitySource::PATH.to_owned());
        if api.scope == AnswerScope::Api || api.response == ResponseForm::Simple || self.has_in_key(&path) {
            return;
        }
        let operations = self.bundle.routes().operations().iter();
        let names = self.names(
            operations.filter(|operation| operation.param_names().next().is_some()).map(Operation::id),
        );
        if names.is_empty() {
            return;
        }
        let message = format!(
            "API `{}` keeps one answer a route for {} s, and it names the asked path alone, so that other paths are refused: {}",
            api.name,
            api.result_ttl_seconds,
            some_of(&names, NAMED)
        );
        let help = format!(
            "write scope = \"api\", add \"{}\" to its identity_sources, or write result_ttl_seconds = 0",
            path.spelling(api.kind)
        );
        let mut findings = Findings::new(self.files);
        findings.note_text(Code::LonePath, deployment::PATH, &api.name, message, help);
        self.push(None, "context.path".to_owned(), names, findings);
    }

    fn push(
        &mut self,
        policy: Option<String>,
        fact: String,
        operations: Vec<String>,
        findings: Findings<'_>,
    ) {
        let api = &self.api.name;
        self.found.extend(findings.into_vec().into_iter().map(|finding| CacheFinding {
            api: api.clone(),
            policy: policy.clone(),
            fact: fact.clone(),
            operations: operations.clone(),
            finding,
        }));
    }

    /// Whether two requests with the same cache key have the same fact.
    fn is_in_key(&self, fact: &str) -> bool {
        sources_of(fact, &self.bundle.vocabulary().http)
            .is_some_and(|sources| sources.iter().all(|source| self.has_in_key(source)))
    }

    /// What the cache key has to hold too.
    fn by_key(&self, sources: &[IdentitySource]) -> String {
        let missing = sources.iter().filter(|source| !self.has_in_key(source));
        let missing: Vec<String> =
            missing.map(|source| format!("\"{}\"", source.spelling(self.api.kind))).collect();
        format!("add {} to its identity_sources", missing.join(", "))
    }

    /// How an HTTP API keeps an answer for the same request alone.
    fn by_request(&self, sources: Vec<IdentitySource>) -> Option<String> {
        (self.api.kind == ApiKind::Http).then_some(())?;
        let request = [IdentitySource::ROUTE_KEY, IdentitySource::PATH];
        let request = request.map(|variable| IdentitySource::Context(variable.to_owned()));
        let mut key = self.api.identity_sources.clone();
        for source in request.into_iter().chain(sources) {
            if !key.iter().any(|known| known.is(&source)) {
                key.push(source);
            }
        }
        let key: Vec<String> =
            key.iter().map(|source| format!("\"{}\"", source.spelling(self.api.kind))).collect();
        Some(format!("write scope = \"request\" and identity_sources = [{}]", key.join(", ")))
    }

    fn has_in_key(&self, source: &IdentitySource) -> bool {
        self.api.identity_sources.iter().any(|known| known.is(source))
    }

    fn version(&self, name: &str) -> Option<&PolicyVersion> {
        self.bundle.policy_versions().find(|version| version.name == name)
    }

    fn names(&self, operations: impl Iterator<Item = OperationId>) -> Vec<String> {
        let known = operations.filter_map(|id| self.bundle.routes().operation(id));
        known.map(|operation| operation.name().to_owned()).collect()
    }
}

/// What helps whatever the fact is.
const REMEDIES: [&str; 3] = [
    "write result_ttl_seconds = 0",
    "give these routes an authorizer without a cache",
    "move the condition to what is fixed while a token lives, such as a role or a claim",
];

/// The most operations that a message names.
const NAMED: usize = 5;

/// Where a policy's text reads a fact; the whole policy where it spells it in another way.
fn reading(files: &SourceFiles, note: &PolicyNote, fact: &str) -> std::ops::Range<usize> {
    let text = files.text(&note.file).and_then(|text| text.get(note.span.clone())).unwrap_or_default();
    // In the scope there are no facts; in what stands before it, the annotations, there may be their names.
    let conditions = text.find("when").into_iter().chain(text.find("unless")).min().unwrap_or_default();
    let name = fact.rsplit('.').next().unwrap_or(fact);
    let spellings = [fact.to_owned(), format!(".{name}"), format!("has {name}"), format!("\"{name}\"")];
    let found = spellings.iter().find_map(|needle| {
        let start = text.get(conditions..)?.find(needle)? + conditions;
        Some(note.span.start + start..note.span.start + start + needle.len())
    });
    found.unwrap_or_else(|| note.span.clone())
}
