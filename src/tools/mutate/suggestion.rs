//! A test that would notice a mistake, found by asking and tried before it is told: written into the suite that it is for, it
//! passes as the policies are and fails with the mistake.

use std::collections::BTreeSet;

use serde::Serialize;
use toml::Table;

use crate::bundle::Bundle;
use crate::bundle::policies::PolicyVersion;
use crate::bundle::source::SourceFiles;
use crate::bundle::vocabulary::HttpShape;
use crate::decision::{Effect, reads_http};
use crate::entities::HttpFacts;
use crate::jose::{ClaimValue, PrincipalKind, TrustedIssuer};
use crate::tools::people::named_tenants;
use crate::tools::plan::{Example, Plan};
use crate::tools::suite::{FOLDER, Filter, PRINCIPALS, RunOptions, Studied, Suites};

use super::{Mutant, Mutated, Mutation, without_tests};

/// A test that would notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// The suite that it is for, as a path in the bundle's folder.
    pub file: String,
    /// What the case is called.
    pub name: String,
    /// A principal of the tests, or the new one of the declaration.
    pub principal: String,
    /// Who asks, in words.
    pub who: String,
    /// `DELETE /orders/1`
    pub request: String,
    /// When, and what else the request carries, where the policies read such facts: lines of the case.
    pub facts: Vec<String>,
    /// What the policies say as they are.
    pub expect: &'static str,
    /// How the principal would be declared, where it is none of the tests'.
    pub declaration: Option<String>,
}

/// The most requests that are asked with the principals of the tests to find one.
const MOST_ASKED: usize = 20_000;

/// The most suggestions that are tried for one mistake; of each sort.
const MOST_TRIED: usize = 8;

impl<'s, 'b> Mutation<'s, 'b> {
    /// A request of the tests that the mistake changes for one of their principals; and whether there is any, be it one for
    /// which no test could be written.
    pub(super) fn of_the_tests(
        &self,
        mutant: &Mutant,
        mutated: &Mutated,
        with: (&Bundle, &SourceFiles),
    ) -> (Option<Suggestion>, bool) {
        let here: Vec<&Studied<'s, 'b>> =
            self.studied.iter().filter(|one| one.desk.version().name == mutant.version).collect();
        let mut names = BTreeSet::new();
        let people: Vec<&&Studied<'s, 'b>> = here.iter().filter(|one| names.insert(one.who)).collect();
        let mut requests = BTreeSet::new();
        let asked: Vec<&&Studied<'s, 'b>> = here.iter().filter(|one| requests.insert(one.request)).collect();
        let pairs = people.iter().flat_map(|person| asked.iter().map(move |request| (person, request)));
        let mut tried = 0;
        for (person, request) in pairs.take(MOST_ASKED) {
            // The case is written into the person's suite, and asked of its stage.
            let asked = person.desk.ask(&person.principal, request.target, request.facts.clone());
            let Ok(before) = asked else { continue };
            let Some(after) = mutated.decide(&before.request) else { continue };
            let Some(suite) = self.suites.suite_of(person.test) else { continue };
            if after.effect() == before.decision.effect() {
                continue;
            }
            let suggestion = Suggestion {
                file: suite.file.clone(),
                name: self.name(mutant, request.request),
                principal: person.who.to_owned(),
                who: format!("{}", person.principal.uid()),
                request: request.request.to_owned(),
                facts: self.facts(person.desk.version(), &request.facts),
                expect: expectation(before.decision.effect()),
                declaration: None,
            };
            if self.does_notice(&suggestion, with) {
                return (Some(suggestion), true);
            }
            tried += 1;
            if tried == MOST_TRIED {
                break;
            }
        }
        (None, tried > 0)
    }

    /// A request of somebody new, that a comparison of the two has found.
    pub(super) fn of_a_plan(
        &self,
        mutant: &Mutant,
        plan: &Plan,
        with: (&Bundle, &SourceFiles),
    ) -> Option<Suggestion> {
        let version = self.bundle.policy_versions().find(|version| version.name == mutant.version)?;
        let declared: BTreeSet<String> = self
            .tables()
            .filter_map(|table| Some(table.get("principal")?.as_table()?.keys().cloned().collect::<Vec<_>>()))
            .flatten()
            .collect();
        let newcomer = unused(NEWCOMER, &|name| declared.contains(name));
        let examples = plan.stages.iter().flat_map(|stage| {
            let suites = self
                .suites
                .suites()
                .iter()
                .filter(|suite| suite.version == mutant.version && suite.file.ends_with(".toml"));
            let is_there = |suite: &&crate::tools::suite::Suite| {
                stage.stages.iter().any(|(api, stage)| *api == suite.api && *stage == suite.stage)
            };
            let suite = suites.clone().find(is_there);
            let examples = stage.changes.iter().flat_map(|change| &change.examples);
            suite.into_iter().flat_map(move |suite| examples.clone().map(move |example| (suite, example)))
        });
        // Somebody whom no issuer could vouch for makes no test.
        let suggestions = examples.flat_map(|(suite, example)| {
            let path = example.case.path.as_ref().map_or("$connect", |path| path.as_str());
            let verb = example.verb.as_ref().map(|verb| format!("{verb} ")).unwrap_or_default();
            let [before, _] = &example.asked;
            let request = format!("{verb}{path}");
            let suggestion = Suggestion {
                file: suite.file.clone(),
                name: self.name(mutant, &request),
                principal: newcomer.clone(),
                who: described(example),
                request,
                facts: self.facts(version, &example.case.facts),
                expect: expectation(before.effect),
                declaration: None,
            };
            let declarations = declarations(self.bundle, version, &newcomer, example).into_iter();
            declarations
                .map(move |declaration| Suggestion { declaration: Some(declaration), ..suggestion.clone() })
        });
        suggestions.take(MOST_TRIED).find(|suggestion| self.does_notice(suggestion, with))
    }

    /// What a case is called: as no other.
    fn name(&self, mutant: &Mutant, request: &str) -> String {
        let cases: BTreeSet<&str> = self
            .suites
            .suites()
            .iter()
            .flat_map(|suite| &suite.cases)
            .map(|case| case.name.as_str())
            .collect();
        unused(&format!("{} decides about {request}", mutant.policy), &|name| cases.contains(name))
    }

    /// The suites and the file of their principals.
    fn tables(&self) -> impl Iterator<Item = Table> {
        let texts = self.files.paths_in(FOLDER, ".toml").filter_map(|path| self.files.text(path));
        texts.filter_map(|text| text.parse::<Table>().ok())
    }

    /// Whether the case passes as the policies are and fails with the mistake, written into its suite with none of the
    /// others.
    fn does_notice(&self, suggestion: &Suggestion, (bundle, files): (&Bundle, &SourceFiles)) -> bool {
        let Some(suite) = self.files.text(&suggestion.file) else { return false };
        let Ok(mut suite) = suite.parse::<Table>() else { return false };
        suite.remove("case");
        let text = format!("{suite}\n{}", suggestion.case());
        let passes = |bundle: &Bundle, files: &SourceFiles| {
            let mut alone = without_tests(files);
            if let Some(principals) = files.text(PRINCIPALS) {
                alone.insert(PRINCIPALS, principals);
            }
            alone.insert(suggestion.file.clone(), text.clone());
            let suites = Suites::load(bundle, &alone, false).ok()?;
            let filter = Filter::new(Vec::new());
            let options = RunOptions { threads: 1, fail_fast: true };
            let report = suites.run(&suites.selected(&filter), &filter, options, &|| {});
            (report.run() > 0).then(|| report.is_ok())
        };
        passes(self.bundle, self.files) == Some(true) && passes(bundle, files) == Some(false)
    }

    /// What a case says of the facts of its requests; nothing where no policy reads one.
    fn facts(&self, version: &PolicyVersion, facts: &HttpFacts) -> Vec<String> {
        match version.policies().policies().any(reads_http) {
            true => lines(facts, &self.bundle.vocabulary().http),
            false => Vec::new(),
        }
    }
}

/// The facts as lines of a case: those that are there, and of the others that they are not.
fn lines(facts: &HttpFacts, shape: &HttpShape) -> Vec<String> {
    let (mut given, mut absent) = (Vec::new(), Vec::new());
    let address = facts.source_ip.map(|address| address.to_string());
    for (name, is_declared, value) in [
        ("source_ip", shape.source_ip, address),
        ("client_cert_subject", shape.client_cert_subject, facts.client_cert_subject.clone()),
    ] {
        match value {
            Some(value) => given.push(format!("{name} = {value:?}")),
            None if is_declared => absent.push(name.to_owned()),
            None => {}
        }
    }
    for (list, declared, there) in [
        ("headers", &shape.headers, &facts.headers),
        ("query", &shape.query, &facts.query),
        ("stage_variables", &shape.stage_variables, &facts.stage_variables),
    ] {
        if there.is_empty() {
            absent.extend((!declared.is_empty()).then(|| list.to_owned()));
            continue;
        }
        let members: Vec<String> =
            there.iter().map(|(name, value)| format!("{name:?} = {value:?}")).collect();
        given.push(format!("{list} = {{ {} }}", members.join(", ")));
        let others = declared.iter().filter(|name| !there.iter().any(|(known, _)| known == *name));
        absent.extend(others.map(|name| format!("{list}.{name}")));
    }
    if !absent.is_empty() {
        given.push(format!("absent = {absent:?}"));
    }
    let now = facts.time.map(|moment| format!("now        = {moment}"));
    let facts = (!given.is_empty()).then(|| format!("facts      = {{ {} }}", given.join(", ")));
    now.into_iter().chain(facts).collect()
}

/// A principal that a comparison made up, in words, with the attributes that it was given.
fn described(example: &Example) -> String {
    let given = example.case.attributes.iter().filter(|(name, _)| *name != "sub" && *name != "issuer");
    let given: Vec<String> = given.map(|(name, value)| format!("{name} = {}", written(value))).collect();
    match given.is_empty() {
        true => format!("{} (`{}`)", example.person, example.case.id),
        false => format!("{} (`{}`, {})", example.person, example.case.id, given.join(", ")),
    }
}

/// A name that is not taken: it, or it with a number.
fn unused(name: &str, is_taken: &dyn Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !is_taken(name)).unwrap_or_default()
}

/// The name of a principal that the tests do not have yet.
const NEWCOMER: &str = "somebody-new";

/// How that principal would be declared: by each issuer that may say all this of somebody.
fn declarations(bundle: &Bundle, version: &PolicyVersion, name: &str, example: &Example) -> Vec<String> {
    let roles = example.person.named_roles(&version.roles);
    // Who is of no tenant stands for every tenant that no policy names.
    let named = named_tenants(version);
    let fits = |tenant: &str| match &example.person.tenant {
        Some(wanted) => wanted == tenant,
        None => !named.contains(tenant),
    };
    let issuers = bundle.issuers().by_name().filter(|issuer| {
        let confers = roles.iter().all(|role| issuer.grantable_roles().iter().any(|known| known == role));
        let speaks = match issuer.tenants().as_deref() {
            None => true,
            Some([]) => example.person.tenant.is_none(),
            Some(tenants) => tenants.iter().any(|tenant| fits(tenant)),
        };
        let says = claims(example).all(|(name, _)| issuer.attributes().any(|known| known == name));
        confers && speaks && says
    });
    let declared = issuers.map(|issuer| {
        let tenant = issuer.tenant_claim().and_then(|_| match issuer.tenants() {
            None => Some(example.person.tenant.clone().unwrap_or_else(|| SOME_TENANT.to_owned())),
            Some(tenants) => tenants.into_iter().find(|tenant| fits(tenant)).map(str::to_owned),
        });
        declaration(issuer, tenant, name, &roles, example)
    });
    declared.collect()
}

/// A tenant that no policy names.
const SOME_TENANT: &str = "some-tenant";

/// The claims that an example chose, by the names that policies have for them.
fn claims(example: &Example) -> impl Iterator<Item = (&str, &ClaimValue)> {
    let given = example.case.attributes.iter();
    given.filter_map(|(name, value)| Some((name.strip_prefix("claims.")?, value)))
}

fn declaration(
    issuer: &TrustedIssuer,
    tenant: Option<String>,
    name: &str,
    roles: &[&str],
    example: &Example,
) -> String {
    let mut text = format!("[principal.{name}]\nissuer = {:?}\n", issuer.name());
    let sub = example.case.attributes.get("sub");
    match (example.person.kind, sub) {
        (PrincipalKind::Client, Some(ClaimValue::String(sub))) => text += &format!("client = {sub:?}\n"),
        (PrincipalKind::User, Some(ClaimValue::String(sub))) => text += &format!("sub    = {sub:?}\n"),
        (PrincipalKind::Client | PrincipalKind::User, _) => {}
    }
    if let Some(tenant) = tenant {
        text += &format!("tenant = {tenant:?}\n");
    }
    if !roles.is_empty() {
        text += &format!("roles  = {roles:?}\n");
    }
    let claims = claims(example).filter_map(|(name, value)| {
        let (_, path) = issuer.attributes.iter().find(|(known, _)| **known == *name)?;
        Some(format!("{:?} = {}", path.as_str(), written(value)))
    });
    let claims: Vec<String> = claims.collect();
    if !claims.is_empty() {
        text += &format!("claims = {{ {} }}\n", claims.join(", "));
    }
    if let Some(scopes @ ClaimValue::Set(items)) = example.case.attributes.get("scopes")
        && !items.is_empty()
    {
        text += &format!("scopes = {}\n", written(scopes));
    }
    text
}

/// A claim's value as TOML and Cedar write it.
fn written(value: &ClaimValue) -> String {
    match value {
        ClaimValue::String(text) => format!("{text:?}"),
        ClaimValue::Long(number) => number.to_string(),
        ClaimValue::Bool(value) => value.to_string(),
        ClaimValue::Set(items) => format!("{items:?}"),
    }
}

const fn expectation(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}

impl Suggestion {
    /// What to write into the suite: the case, and before it the principal, where there is none yet.
    #[must_use]
    pub fn case(&self) -> String {
        let about =
            self.declaration.as_ref().map(|declaration| format!("{declaration}\n")).unwrap_or_default();
        let facts: String = self.facts.iter().map(|line| format!("{line}\n")).collect();
        format!(
            "{about}[[case]]\nname       = {:?}\nprincipals = [{:?}]\n{facts}requests   = [{:?}]\nexpect     = {:?}\n",
            self.name, self.principal, self.request, self.expect
        )
    }
}
