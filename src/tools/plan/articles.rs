//! What was written, added, removed or changed: policies, roles, operations, issuers, stages.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy as cedar;

use crate::bundle::policies::PolicyVersion;
use crate::bundle::source::SourceFiles;
use crate::jose::TrustedIssuer;
use crate::route::Operation;

use super::super::condition::ReadPolicy;
use super::{Side, Verdict};

/// Something that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Article {
    /// What kind of thing.
    pub kind: ArticleKind,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub sign: Sign,
    /// In words, where the name does not say it.
    pub detail: String,
    /// What it makes of access by itself. Of policies, roles and operations that is what the decisions show.
    pub verdict: Verdict,
    /// Where it stands: the file with its line, in the new side or, if it was removed, in the old one.
    pub place: String,
    /// A policy's text before and after.
    pub texts: [Option<String>; 2],
}

/// The kinds of things that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArticleKind {
    /// A policy, by its `@id`.
    Policy,
    /// A role.
    Role,
    /// An operation of the route table.
    Operation,
    /// A stage of an API.
    Stage,
    /// A trusted issuer.
    Issuer,
    /// A file that says who is believed, or how the authorizer answers.
    File,
}

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
}

impl ArticleKind {
    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Role => "role",
            Self::Operation => "operation",
            Self::Stage => "stage",
            Self::Issuer => "issuer",
            Self::File => "file",
        }
    }
}

impl Sign {
    /// `+`, `-` or `~`.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Added => "+",
            Self::Removed => "-",
            Self::Changed => "~",
        }
    }

    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

impl Article {
    fn new(kind: ArticleKind, sign: Sign, name: &str) -> Self {
        let name = name.to_owned();
        let (detail, place) = (String::new(), String::new());
        Self { kind, name, sign, detail, verdict: Verdict::Same, place, texts: [None, None] }
    }

    fn saying(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    fn making(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }
}

/// What differs between two versions of the policies: policies and roles.
pub(super) fn of_versions(
    (old, before): (Side<'_>, &PolicyVersion),
    (new, after): (Side<'_>, &PolicyVersion),
) -> Vec<Article> {
    let mut articles = policies((old, before), (new, after));
    let names: BTreeSet<&str> = before.roles.names().chain(after.roles.names()).collect();
    for name in names {
        let role = |sign| Article::new(ArticleKind::Role, sign, name);
        match (before.roles.contains(name), after.roles.contains(name)) {
            (false, _) => articles.push(role(Sign::Added)),
            (_, false) => articles.push(role(Sign::Removed)),
            (true, true) => {
                let [had, has] = [before, after].map(|version| version.roles.closure(name).collect());
                let (had, has): (BTreeSet<&str>, BTreeSet<&str>) = (had, has);
                if had != has {
                    articles.push(role(Sign::Changed).saying(added_and_removed("includes", &had, &has)));
                }
            }
        }
    }
    articles
}

fn policies(
    (old, before): (Side<'_>, &PolicyVersion),
    (new, after): (Side<'_>, &PolicyVersion),
) -> Vec<Article> {
    let by_id = |version: &'_ PolicyVersion| {
        version.policies().policies().map(|policy| (policy.id().to_string(), policy.clone())).collect()
    };
    let (had, has): (BTreeMap<String, cedar::Policy>, BTreeMap<String, cedar::Policy>) =
        (by_id(before), by_id(after));
    let ids: BTreeSet<&String> = had.keys().chain(has.keys()).collect();
    let mut articles = Vec::new();
    for id in ids {
        let texts = [text(old.files, before, id), text(new.files, after, id)];
        let place = place(after, id).or_else(|| place(before, id)).unwrap_or_default();
        let article = |sign| Article {
            place: place.clone(),
            texts: texts.clone(),
            ..Article::new(ArticleKind::Policy, sign, id)
        };
        match (had.get(id), has.get(id)) {
            (None, None) => {}
            (None, Some(policy)) => {
                match had.iter().find(|(other, old)| same(old, policy) && !has.contains_key(*other)) {
                    Some((other, _)) => {
                        articles.push(article(Sign::Added).saying(format!("was `{other}` before")))
                    }
                    None => articles.push(article(Sign::Added)),
                }
            }
            (Some(policy), None) => match has
                .iter()
                .find(|(other, new)| same(new, policy) && !had.contains_key(*other))
            {
                Some((other, _)) => articles.push(article(Sign::Removed).saying(format!("is `{other}` now"))),
                None => articles.push(article(Sign::Removed)),
            },
            (Some(one), Some(other)) if same(one, other) => {
                let annotations = |policy: &cedar::Policy| {
                    policy
                        .annotations()
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect::<BTreeMap<String, String>>()
                };
                let (had, has) = (annotations(one), annotations(other));
                let names: BTreeSet<&String> = had.keys().chain(has.keys()).collect();
                let changed = names.into_iter().filter(|name| had.get(*name) != has.get(*name));
                let changed: Vec<String> = changed.map(|name| format!("@{name}")).collect();
                if !changed.is_empty() {
                    articles.push(article(Sign::Changed).saying(format!("{} alone", changed.join(", "))));
                }
            }
            (Some(one), Some(other)) if same_in_other_words(one, other) => {
                articles.push(article(Sign::Changed).saying("says the same in other words"));
            }
            (Some(_), Some(_)) => articles.push(article(Sign::Changed)),
        }
    }
    articles
}

/// Whether two policies say the same, however they are laid out and annotated.
pub(super) fn same(one: &cedar::Policy, other: &cedar::Policy) -> bool {
    let (Ok(one_tree), Ok(other_tree)) = (one.to_pst(), other.to_pst()) else { return false };
    let (one_body, other_body) = (one_tree.body(), other_tree.body());
    one.effect() == other.effect()
        && one_body.principal == other_body.principal
        && one_body.action == other_body.action
        && one_body.resource == other_body.resource
        && one_body.clauses() == other_body.clauses()
}

/// Whether two policies with the same scope have conditions that differ in their order alone, or say a thing twice.
fn same_in_other_words(one: &cedar::Policy, other: &cedar::Policy) -> bool {
    let scope = |policy: &cedar::Policy| {
        (policy.principal_constraint(), policy.action_constraint(), policy.resource_constraint())
    };
    let (Some(before), Some(after)) = (ReadPolicy::new(one), ReadPolicy::new(other)) else { return false };
    one.effect() == other.effect()
        && scope(one) == scope(other)
        && before.condition().says_the_same(after.condition())
}

fn text(files: &SourceFiles, version: &PolicyVersion, id: &str) -> Option<String> {
    let note = version.note(id)?;
    files.text(&note.file)?.get(note.span.clone()).map(str::to_owned)
}

fn place(version: &PolicyVersion, id: &str) -> Option<String> {
    version.note(id).map(|note| format!("{}:{}", note.file, note.line))
}

/// What differs between two bundles beside their policies.
pub(super) fn of_bundles(old: Side<'_>, new: Side<'_>) -> Vec<Article> {
    let mut articles = operations(old, new);
    articles.extend(stages(old, new));
    articles.extend(issuers(old, new));
    articles.extend(files(old, new));
    articles
}

fn operations(old: Side<'_>, new: Side<'_>) -> Vec<Article> {
    let named = |side: Side<'_>| -> BTreeMap<String, Operation> {
        let operations = side.bundle.routes().operations().iter();
        operations.map(|operation| (operation.name().to_owned(), operation.clone())).collect()
    };
    let (had, has) = (named(old), named(new));
    let mut articles = Vec::new();
    for name in had.keys().chain(has.keys()).collect::<BTreeSet<_>>() {
        let article = |sign| Article::new(ArticleKind::Operation, sign, name);
        match (had.get(name), has.get(name)) {
            (None, _) => articles.push(article(Sign::Added)),
            (_, None) => articles.push(article(Sign::Removed)),
            (Some(one), Some(other)) => {
                let [had, has] = [one, other].map(|one| one.tags().iter().map(String::as_str).collect());
                let (had, has): (BTreeSet<&str>, BTreeSet<&str>) = (had, has);
                if had != has {
                    articles.push(article(Sign::Changed).saying(added_and_removed("tags", &had, &has)));
                }
                if one.template() != other.template() || one.verb() != other.verb() {
                    let detail = format!("serves {} and no longer {}", other.template(), one.template());
                    articles.push(article(Sign::Changed).saying(detail));
                }
            }
        }
    }
    articles
}

/// A stage that one side alone has: who may do what there is in no comparison.
fn stages(old: Side<'_>, new: Side<'_>) -> Vec<Article> {
    let all = |side: Side<'_>| -> BTreeSet<String> {
        let apis = side.bundle.deployment().apis.iter();
        apis.flat_map(|api| api.stage_names().map(move |stage| format!("{stage} of {}", api.name))).collect()
    };
    let (had, has) = (all(old), all(new));
    let article = |sign, name: &String| Article::new(ArticleKind::Stage, sign, name);
    let added = has.difference(&had).map(|name| {
        let detail = "who may do what there: cedar-gate matrix";
        article(Sign::Added, name).saying(detail).making(Verdict::Wider)
    });
    let removed = had.difference(&has).map(|name| article(Sign::Removed, name).making(Verdict::Narrower));
    added.chain(removed).collect()
}

fn issuers(old: Side<'_>, new: Side<'_>) -> Vec<Article> {
    let names: BTreeSet<&str> = [old, new]
        .into_iter()
        .flat_map(|side| side.bundle.issuers().by_name().map(TrustedIssuer::name))
        .collect();
    let mut articles = Vec::new();
    for name in names {
        let article = |sign| Article::new(ArticleKind::Issuer, sign, name);
        match (old.bundle.issuers().named(name), new.bundle.issuers().named(name)) {
            (None, None) => {}
            (None, Some(issuer)) => {
                let detail =
                    format!("its tokens are believed; roles it may confer: {}", listed(roles(issuer)));
                articles.push(article(Sign::Added).saying(detail).making(Verdict::Wider));
            }
            (Some(_), None) => {
                let detail = "its tokens are refused";
                articles.push(article(Sign::Removed).saying(detail).making(Verdict::Narrower));
            }
            (Some(before), Some(after)) => {
                let (had, has) = (roles(before), roles(after));
                if had != has {
                    let verdict = match (has.is_subset(&had), had.is_subset(&has)) {
                        (true, _) => Verdict::Narrower,
                        (_, true) => Verdict::Wider,
                        (false, false) => Verdict::Both,
                    };
                    let detail = added_and_removed("roles it may confer", &had, &has);
                    articles.push(article(Sign::Changed).saying(detail).making(verdict));
                }
                articles.extend(rest_of_issuer(old, new, name));
            }
        }
    }
    articles
}

fn roles(issuer: &TrustedIssuer) -> BTreeSet<&str> {
    issuer.grantable_roles().iter().map(String::as_str).collect()
}

/// What else an issuer's file says. What it makes of access is not judged: both, so that nobody misses it.
fn rest_of_issuer(old: Side<'_>, new: Side<'_>, name: &str) -> Option<Article> {
    let read = |side: Side<'_>| {
        let mut paths = side.files.paths_in("policies/issuers/", ".toml");
        paths.find_map(|path| {
            let file: toml::Table = side.files.text(path)?.parse().ok()?;
            (file.get("name")?.as_str()? == name).then_some(file)
        })
    };
    let (before, after) = (read(old)?, read(new)?);
    let without_grant = |file: &toml::Table, key: &str| {
        let mut value = file.get(key).cloned();
        if key == "roles"
            && let Some(toml::Value::Table(roles)) = &mut value
        {
            roles.remove("grant");
        }
        value
    };
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut changed: Vec<&str> = keys
        .into_iter()
        .filter(|key| without_grant(&before, key) != without_grant(&after, key))
        .map(String::as_str)
        .collect();
    let key_file = |file: &toml::Table| Some(file.get("keys")?.get("file")?.as_str()?.to_owned());
    if let (Some(one), Some(other)) = (key_file(&before), key_file(&after)) {
        let json = |side: Side<'_>, name: &str| {
            let bytes = side.files.bytes(&format!("policies/issuers/{name}"))?;
            serde_json::from_slice::<serde_json::Value>(bytes).ok()
        };
        if json(old, &one) != json(new, &other) && !changed.contains(&"keys") {
            changed.push("keys");
        }
    }
    let article = Article::new(ArticleKind::Issuer, Sign::Changed, name);
    let detail = format!("{}: whose tokens are believed, which is not compared", changed.join(", "));
    (!changed.is_empty()).then(|| article.saying(detail).making(Verdict::Both))
}

/// The files that are compared by what they say alone.
fn files(old: Side<'_>, new: Side<'_>) -> Vec<Article> {
    let mut articles = Vec::new();
    let table =
        |side: Side<'_>, path: &str| side.files.text(path).and_then(|text| text.parse::<toml::Table>().ok());
    const REVOCATIONS: &str = "policies/revocations.toml";
    let entries = |side: Side<'_>| -> BTreeSet<String> {
        let table = table(side, REVOCATIONS).unwrap_or_default();
        let lists = table.into_iter().flat_map(|(name, value)| match value {
            toml::Value::Array(list) => list.into_iter().map(|one| format!("{name} {one}")).collect(),
            other => vec![format!("{name} {other}")],
        });
        lists.collect()
    };
    let (had, has) = (entries(old), entries(new));
    let (added, removed) = (has.difference(&had).count(), had.difference(&has).count());
    if added + removed > 0 {
        let verdict = match (added, removed) {
            (_, 0) => Verdict::Narrower,
            (0, _) => Verdict::Wider,
            (_, _) => Verdict::Both,
        };
        let article = Article::new(ArticleKind::File, Sign::Changed, REVOCATIONS);
        articles.push(article.saying(format!("{added} more entries, {removed} fewer")).making(verdict));
    }
    const AUTHORIZER: &str = "schema/authorizer.toml";
    let (before, after) =
        (table(old, AUTHORIZER).unwrap_or_default(), table(new, AUTHORIZER).unwrap_or_default());
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed: Vec<&str> =
        keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).map(String::as_str).collect();
    if !changed.is_empty() {
        let detail =
            format!("{}: how the authorizer is asked and answers, which is not compared", changed.join(", "));
        articles.push(Article::new(ArticleKind::File, Sign::Changed, AUTHORIZER).saying(detail));
    }
    const SCHEMA: &str = "schema/gateway.cedarschema";
    if old.files.text(SCHEMA) != new.files.text(SCHEMA) {
        let detail = "what the policies are given";
        articles.push(Article::new(ArticleKind::File, Sign::Changed, SCHEMA).saying(detail));
    }
    articles
}

fn added_and_removed(what: &str, had: &BTreeSet<&str>, has: &BTreeSet<&str>) -> String {
    let added = has.difference(had).map(|name| format!("+{name}"));
    let removed = had.difference(has).map(|name| format!("-{name}"));
    format!("{what} {}", added.chain(removed).collect::<Vec<_>>().join(" "))
}

fn listed(names: BTreeSet<&str>) -> String {
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.into_iter().collect::<Vec<_>>().join(", "),
    }
}
