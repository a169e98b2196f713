//! The proof of the whole-API documents: what each of them says of every request, against what Cedar says.
//!
//! The parts are written from AWS's and Cedar's documentation and share no code with what they judge: [`iam`] reads the
//! document that was emitted, [`router`] finds the operation, [`cedar`] asks Cedar's own authorizer with a request of its
//! own making. [`cases`] makes APIs, policies and people, [`paths`] what is asked, [`bundle`] brings it to the authorizer.
//!
//! Of each document it is demanded that
//! - it allows no request that Cedar denies, nor one that Cedar denies for some other facts than the path, nor one that
//!   has a second spelling of which that is true;
//! - where the decision record calls it exact, it allows every request in normal form and without `%` that Cedar allows.
//!
//! `ORACLE_CASES`, `ORACLE_FIRST`, `ORACLE_PATHS` and `ORACLE_SEED` make longer and other runs.

mod bundle;
mod cases;
mod cedar;
mod iam;
mod paths;
mod random;
mod router;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use cedar_gate::authorizer::Answered;
use cedar_gate::jose::Algorithm;
use cedar_gate::record::Outcome;
use cedar_gate::response::Reply;
use cedar_gate::tools::mint::DevelopmentKey;
use serde_json::{Value, json};

use self::bundle::{Deployed, Scope, arn, stage_arn};
use self::cases::{Case, Gateway, Style};
use self::cedar::{ADDRESSES, Judge, Law, Ruling};
use self::iam::{Document, Effect};
use self::random::Random;
use self::router::Match;

const SEED: u64 = 20_261_121;

/// One request to the API, and what a document may say of it.
struct Probe {
    verb: &'static str,
    path: String,
    arn: String,
    demand: Demand,
    /// The route that serves it, where its path is in normal form.
    served: Option<Match>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    /// Cedar allows it: a document that is exact does.
    Allow,
    /// It must not be allowed.
    Deny,
    /// No route serves it, or it is not in normal form and nobody is told more than they may know.
    Free,
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// A case for one person: everything that is known before a document is seen.
struct Trial<'c> {
    case: &'c Case,
    probes: Vec<Probe>,
}

impl<'c> Trial<'c> {
    fn new(case: &'c Case, judge: &mut Judge<'_>, paths: &[String]) -> Self {
        let precedence = case.gateway.precedence();
        let verbs = verbs(case);
        let mut probes = Vec::new();
        for path in paths {
            let is_promised = paths::is_normal(precedence, path) && !path.contains('%');
            let read_as =
                if is_promised { [path.clone()].into() } else { paths::spellings(path, case.escapes) };
            let found: Vec<(String, Vec<Match>)> = read_as
                .into_iter()
                .map(|path| {
                    let matches = router::matches(&case.routes, precedence, &path);
                    (path, matches)
                })
                .collect();
            for verb in &verbs {
                let serving = |matches: &[Match]| {
                    matches.iter().find(|found| case.routes[found.route].methods.contains(verb)).cloned()
                };
                let served: Vec<(&str, Match)> = found
                    .iter()
                    .filter_map(|(path, matches)| Some((path.as_str(), serving(matches)?)))
                    .collect();
                let rulings: Vec<Ruling> =
                    served.iter().map(|(path, found)| judge.rules(verb, path, found)).collect();
                let demand = match rulings.iter().all(|ruling| *ruling == Ruling::Allow) {
                    false => Demand::Deny,
                    true if is_promised && !rulings.is_empty() => Demand::Allow,
                    true => Demand::Free,
                };
                let served = served.into_iter().next().filter(|_| is_promised).map(|(_, found)| found);
                let arn = arn(case.gateway, Scope::Api, verb, path);
                probes.push(Probe { verb, path: path.clone(), arn, demand, served });
            }
        }
        Self { case, probes }
    }

    /// What a document does with every request.
    fn judge(&self, document: &Value) -> Verdict<'_> {
        let document = Document::parse(document).unwrap_or_else(|error| panic!("{error}: {document}"));
        let (now, mut verdict) = (now(), Verdict::default());
        let silence_allows = self.case.gateway == Gateway::RestGuarded;
        for probe in &self.probes {
            let effect = document.effect(&probe.arn, now);
            let allowed = effect == Effect::Allow || silence_allows && effect == Effect::Silent;
            match (probe.demand, allowed) {
                (Demand::Deny, true) => verdict.leaked.push(probe),
                (Demand::Allow, false) => verdict.withheld.push(probe),
                (Demand::Allow, true) => verdict.allowed += 1,
                (Demand::Free, true) => verdict.unasked += 1,
                (Demand::Deny | Demand::Free, false) => {}
            }
        }
        verdict
    }

    /// Requests to ask the authorizer with: one that Cedar allows, one that it denies, and any.
    fn asked(&self, random: &mut Random) -> Vec<&Probe> {
        let mut asked = Vec::new();
        for demand in [Some(Demand::Allow), Some(Demand::Deny), None] {
            let fits =
                |probe: &&Probe| demand.is_none_or(|demand| probe.demand == demand && probe.served.is_some());
            let fitting: Vec<&Probe> = self.probes.iter().filter(fits).collect();
            if !fitting.is_empty() {
                asked.push(*random.pick(&fitting));
            }
        }
        asked
    }

    /// Where an answer is about the asked request alone, it is Cedar's.
    fn judge_answer(
        &self,
        judge: &mut Judge<'_>,
        probe: &Probe,
        address: Option<&'static str>,
        answered: &Answered,
    ) -> Result<(), String> {
        let Probe { verb, path, .. } = probe;
        let precedence = self.case.gateway.precedence();
        let matches = router::matches(&self.case.routes, precedence, path);
        let served = matches.iter().find(|found| self.case.routes[found.route].methods.contains(verb));
        let is_normal = paths::is_normal(precedence, path);
        // A TOKEN event tells no address.
        let address = address.filter(|_| self.case.gateway != Gateway::RestToken);
        let expected = match served.filter(|_| is_normal) {
            Some(found) if judge.allows(verb, path, found, address) => (Effect::Allow, Outcome::Allow),
            Some(_) | None => (Effect::Deny, Outcome::Deny),
        };
        let arn = arn(self.case.gateway, Scope::Request, verb, path);
        let effect = Document::parse(&document_of(answered).0)?.effect(&arn, now());
        let reason = answered.record.reason;
        let knows_the_path = (reason == "path_refused") != is_normal;
        let knows_the_route = (reason == "no_route") == (is_normal && served.is_none());
        match (effect, answered.record.outcome) == expected && knows_the_path && knows_the_route {
            true => Ok(()),
            false => Err(format!("{verb} {path} from {address:?}: {effect:?}, {reason}")),
        }
    }

    fn judge_usual_documents(&self, count: &mut impl FnMut(&'static str, u64)) {
        let all_allowed = |demands: &[Demand]| demands.iter().all(|demand| *demand == Demand::Allow);
        let some_allowed = |demands: &[Demand]| demands.contains(&Demand::Allow);
        if let Some(document) = self.usual_document(all_allowed) {
            count("usual documents, of routes that are open", 1);
            count(
                "usual documents, of routes that are open, that leak",
                u64::from(!self.judge(&document).leaked.is_empty()),
            );
        }
        if let Some(document) = self.usual_document(some_allowed) {
            count("usual documents", 1);
            count("usual documents that leak", u64::from(!self.judge(&document).leaked.is_empty()));
        }
    }

    /// The same document with a fault in it: how many of them are noticed.
    fn judge_faulty_documents(
        &self,
        document: &Value,
        exact: Option<bool>,
        random: &mut Random,
        count: &mut impl FnMut(&'static str, u64),
    ) {
        let stage = stage_arn(self.case.gateway, Scope::Api);
        if let Some(faulty) = without_denies(document) {
            count("documents without their denies", 1);
            count(
                "documents without their denies, noticed",
                u64::from(!self.judge(&faulty).leaked.is_empty()),
            );
        }
        if let Some(faulty) = without_one(document, "Deny", &stage, random) {
            count("documents with a deny less", 1);
            count("documents with a deny less, noticed", u64::from(!self.judge(&faulty).leaked.is_empty()));
        }
        if let Some(faulty) = with_one_wider(document, &stage, random) {
            count("documents with a wider allow", 1);
            count("documents with a wider allow, noticed", u64::from(!self.judge(&faulty).leaked.is_empty()));
        }
        let narrower = without_one(document, "Allow", &stage, random)
            // Where silence allows, an allow less is none.
            .filter(|_| exact == Some(true) && self.case.gateway != Gateway::RestGuarded);
        if let Some(faulty) = narrower {
            count("exact documents with an allow less", 1);
            count(
                "exact documents with an allow less, noticed",
                u64::from(!self.judge(&faulty).withheld.is_empty()),
            );
        }
    }

    /// A document with some requests, and what is made of them here.
    fn sample(&self, document: &Value, random: &mut Random) -> Value {
        let own = Document::parse(document).unwrap();
        let served: Vec<&Probe> = self.probes.iter().filter(|probe| probe.served.is_some()).collect();
        let mut asked: Vec<&Probe> = (0..20).map(|_| random.pick(&self.probes)).collect();
        asked.extend((0..20).filter(|_| !served.is_empty()).map(|_| *random.pick(&served)));
        let effects = asked
            .iter()
            .map(|probe| (probe.arn.clone(), json!(format!("{:?}", own.effect(&probe.arn, now())))));
        json!({ "document": document, "requests": effects.collect::<serde_json::Map<_, _>>() })
    }

    fn count_demands(&self, count: &mut impl FnMut(&'static str, u64)) {
        let of = |demand| self.probes.iter().filter(|probe| probe.demand == demand).count() as u64;
        count("people", 1);
        count("requests that must be allowed", of(Demand::Allow));
        count("requests that must not be allowed", of(Demand::Deny));
        count("requests of which nothing is demanded", of(Demand::Free));
    }

    /// The document that is usually written: one pattern an operation, with a star for each parameter. `named` says which
    /// operations, by what their requests are.
    fn usual_document(&self, named: impl Fn(&[Demand]) -> bool) -> Option<Value> {
        let mut demands: BTreeMap<(usize, &str), Vec<Demand>> = BTreeMap::new();
        for probe in &self.probes {
            if let Some(found) = &probe.served {
                demands.entry((found.route, probe.verb)).or_default().push(probe.demand);
            }
        }
        let stage = stage_arn(self.case.gateway, Scope::Api);
        let pattern = |(route, verb): &(usize, &str)| {
            let path = self.case.routes[*route].filled(|_, _| "*".to_owned());
            format!("{stage}{verb}{path}")
        };
        let resources: Vec<String> =
            demands.iter().filter(|(_, demands)| named(demands)).map(|(key, _)| pattern(key)).collect();
        let statement = json!({ "Action": "execute-api:Invoke", "Effect": "Allow", "Resource": resources });
        (!resources.is_empty()).then(|| json!({ "Version": "2012-10-17", "Statement": [statement] }))
    }
}

/// The moment of every request.
fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(bundle::NOW.unix_seconds()).unwrap()
}

/// The methods that are asked with: those of the API, and one that no API has.
fn verbs(case: &Case) -> Vec<&'static str> {
    let has = |verb: &&str| case.routes.iter().any(|route| route.methods.contains(verb));
    router::METHODS.into_iter().filter(has).chain(["TRACE"]).collect()
}

#[derive(Default)]
struct Verdict<'t> {
    /// Allowed, and must not be.
    leaked: Vec<&'t Probe>,
    /// Not allowed, though Cedar allows it.
    withheld: Vec<&'t Probe>,
    /// Allowed as they should be.
    allowed: u64,
    /// Allowed where nothing is demanded.
    unasked: u64,
}

/// What was seen, by kind of case.
#[derive(Clone, Default, Debug)]
struct Seen(BTreeMap<(&'static str, Option<Style>), u64>);

impl Seen {
    fn add(&mut self, what: &'static str, style: Style, count: u64) {
        *self.0.entry((what, Some(style))).or_default() += count;
        *self.0.entry((what, None)).or_default() += count;
    }

    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(key, count)| *self.0.entry(*key).or_default() += count);
    }

    fn of(&self, what: &str, style: Option<Style>) -> u64 {
        {
            let found = self.0.iter().find(|((name, of), _)| *name == what && *of == style);
            found.map_or(0, |(_, count)| *count)
        }
    }

    #[expect(clippy::print_stdout, reason = "who runs it by hand reads it")]
    fn print(&self) {
        let names: BTreeSet<&str> = self.0.keys().map(|(what, _)| *what).collect();
        println!("{:52} {:>12} {:>12} {:>12}", "", "all", "realistic", "adversarial");
        for what in names {
            let [all, realistic, adversarial] =
                [None, Some(Style::Realistic), Some(Style::Adversarial)].map(|style| self.of(what, style));
            println!("{what:52} {all:>12} {realistic:>12} {adversarial:>12}");
        }
    }

    /// What must be seen in a run so that it proves something: shares in percent, some way below what was measured.
    fn check_floors(&self) {
        let (all, realistic) = (None, Some(Style::Realistic));
        for (part, whole, style, percent) in [
            ("answers called exact", "answers", realistic, 75),
            ("answers called exact", "answers", all, 50),
            ("requests that must be allowed", "requests of which nothing is demanded", all, 2),
            ("requests that must not be allowed", "requests of which nothing is demanded", all, 6),
            ("answers about the asked request that allow it", "answers about the asked request", all, 2),
            ("usual documents that leak", "usual documents", realistic, 40),
            (
                "usual documents, of routes that are open, that leak",
                "usual documents, of routes that are open",
                all,
                25,
            ),
            ("documents without their denies, noticed", "documents without their denies", all, 30),
            ("documents with a deny less, noticed", "documents with a deny less", all, 35),
            ("documents with a wider allow, noticed", "documents with a wider allow", all, 30),
            ("exact documents with an allow less, noticed", "exact documents with an allow less", all, 60),
        ] {
            let (seen, of) = (self.of(part, style), self.of(whole, style));
            assert!(seen * 100 >= of * percent && of >= 50, "{part}: {seen} of {of}, fewer than {percent} %");
        }
    }
}

/// Runs `work` on every case, on every core.
fn on_all_cases(cases: u64, work: impl Fn(&Case) -> (Seen, Vec<String>) + Sync) -> Seen {
    let (first, seed) = (number("ORACLE_FIRST", 0), number("ORACLE_SEED", SEED));
    let next = AtomicU64::new(first);
    let total = Mutex::new((Seen::default(), BTreeMap::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= first + cases {
                        return;
                    }
                    let (seen, failures) = work(&Case::new(seed, number));
                    let mut total = total.lock().unwrap();
                    total.0.merge(&seen);
                    if !failures.is_empty() {
                        total.1.insert(number, failures);
                    }
                }
            });
        }
    });
    let (seen, failures) = total.into_inner().unwrap();
    let shown: Vec<String> =
        failures.values().filter_map(|of_case| of_case.first().cloned()).take(4).collect();
    assert!(failures.is_empty(), "{} of {cases} cases fail:\n{}", failures.len(), shown.join("\n"));
    seen
}

/// The document of a reply, and whether it is called exact; `None` where the record does not say.
fn document_of(answered: &Answered) -> (Value, Option<bool>) {
    let Reply::Json(json) = &answered.reply else { panic!("{:?} {:?}", answered.reply, answered.record) };
    let mut reply: Value = serde_json::from_str(json.as_str()).unwrap();
    let record = serde_json::to_value(&answered.record).unwrap();
    let document = reply["policyDocument"].take();
    let exact = record["document"]["exact"].as_bool();
    (document, exact)
}

fn key() -> DevelopmentKey {
    DevelopmentKey::generate(Algorithm::EdDsa).unwrap()
}

/// The case in words, to be understood where it fails.
fn told(case: &Case, person: &cases::Person, document: &Value) -> String {
    let routes: Vec<String> =
        case.routes.iter().map(|route| format!("{} {:?}", route.template, route.methods)).collect();
    let policies: String = case.policies.iter().map(|policy| policy.text.as_str()).collect();
    format!(
        "case {} {:?} {:?}\n{}\n{policies}{person:?}\n{document:#}",
        case.number,
        case.style,
        case.gateway,
        routes.join("\n")
    )
}

#[test]
fn no_document_allows_what_cedar_denies_and_exact_ones_are() {
    let key = key();
    let cases = number("ORACLE_CASES", 300);
    let samples = Mutex::new(BTreeMap::new());
    let seen = on_all_cases(cases, |case| {
        let (mut seen, mut failures) = (Seen::default(), Vec::new());
        let mut random = Random::new(case.number ^ 0x6f72_6163_6c65);
        let deployed = match Deployed::new(case, &key) {
            Ok(deployed) => deployed,
            Err(error) => return (seen, vec![format!("case {} does not load: {error}", case.number)]),
        };
        let paths = paths::paths(case, budget(case), &mut random);
        let law = Law::new(case, deployed.schema());
        for person in &case.people {
            let mut judge = Judge::new(&law, person);
            let trial = Trial::new(case, &mut judge, &paths);
            let token = deployed.token(person);
            for _ in 0..8 {
                let (probe, address) = (random.pick(&trial.probes), *random.pick(&ADDRESSES));
                let answered = deployed.ask(Scope::Request, &token, probe.verb, &probe.path, address);
                if let Err(error) = trial.judge_answer(&mut judge, probe, address, &answered) {
                    failures.push(format!("{error}\n{}", told(case, person, &Value::Null)));
                }
                seen.add("answers about the asked request", case.style, 1);
                let allows = answered.record.outcome == Outcome::Allow;
                seen.add("answers about the asked request that allow it", case.style, u64::from(allows));
            }
            for (at, asked) in trial.asked(&mut random).into_iter().enumerate() {
                let address = *random.pick(&ADDRESSES);
                let answered = deployed.ask(Scope::Api, &token, asked.verb, &asked.path, address);
                let (document, exact) = document_of(&answered);
                let verdict = trial.judge(&document);
                let mut fail = |what: &str, probes: &[&Probe]| {
                    let shown: Vec<String> =
                        probes.iter().take(5).map(|probe| format!("{} {}", probe.verb, probe.path)).collect();
                    let record = serde_json::to_string(&answered.record).unwrap();
                    let asked = format!("asked for {} {} from {address:?}: {record}", asked.verb, asked.path);
                    failures.push(format!(
                        "{what}: {}\n{asked}\n{}",
                        shown.join(", "),
                        told(case, person, &document)
                    ));
                };
                if !verdict.leaked.is_empty() {
                    fail("allowed, and must not be", &verdict.leaked);
                }
                if exact == Some(true) && !verdict.withheld.is_empty() {
                    fail("called exact, and does not allow", &verdict.withheld);
                }
                for broken in malformations(case, &document) {
                    fail(&broken, &[]);
                }
                let mut count = |what, count| seen.add(what, case.style, count);
                count("requests", trial.probes.len() as u64);
                count("allowed", verdict.allowed);
                count("withheld", verdict.withheld.len() as u64);
                count("allowed, but no route serves it", verdict.unasked);
                count("answers", 1);
                count("answers called exact", u64::from(exact == Some(true)));
                count("answers called inexact", u64::from(exact == Some(false)));
                count("answers that are exact", u64::from(verdict.withheld.is_empty()));
                if verdict.leaked.is_empty() {
                    trial.judge_faulty_documents(&document, exact, &mut random, &mut count);
                }
                if at == 0 {
                    if case.number < SAMPLED_CASES {
                        let sample = trial.sample(&document, &mut random);
                        samples
                            .lock()
                            .unwrap()
                            .insert(format!("case {}, {}", case.number, person.subject), sample);
                    }
                    trial.judge_usual_documents(&mut count);
                    trial.count_demands(&mut count);
                }
            }
        }
        (seen, failures)
    });
    seen.print();
    if cases >= 100 {
        seen.check_floors();
    }
    // For the matchers of others, which tests/matchers asks about the same.
    let samples = serde_json::to_string_pretty(&samples.into_inner().unwrap()).unwrap();
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/oracle-documents.json"), samples).unwrap();
}

/// What no document may be, whatever it allows.
fn malformations(case: &Case, document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let stage = stage_arn(case.gateway, Scope::Api);
    let bytes = document.to_string().len();
    if bytes > 8_192 {
        found.push(format!("a document of {bytes} bytes"));
    }
    for statement in document["Statement"].as_array().into_iter().flatten() {
        for resource in
            ["Resource", "NotResource"].iter().filter_map(|name| statement[name].as_array()).flatten()
        {
            let pattern = resource.as_str().unwrap_or_default();
            if !pattern.starts_with(&stage) || pattern.chars().count() > 512 {
                found.push(format!("the resource {resource}"));
            }
        }
    }
    found
}

/// How many cases leave a sample.
const SAMPLED_CASES: u64 = 100;

fn without_denies(document: &Value) -> Option<Value> {
    let mut faulty = document.clone();
    let statements = faulty["Statement"].as_array_mut()?;
    let before = statements.len();
    statements.retain(|statement| statement["Effect"] != "Deny");
    let is_faulty = statements.len() < before;
    is_faulty.then_some(faulty)
}

/// The list of resources of some statement with that effect.
fn resources<'d>(document: &'d mut Value, effect: &str, random: &mut Random) -> Option<&'d mut Vec<Value>> {
    let statements = document["Statement"].as_array_mut()?.iter_mut();
    let mut having: Vec<&mut Vec<Value>> = statements
        .filter(|statement| statement["Effect"] == effect)
        .filter_map(|statement| statement.get_mut("Resource")?.as_array_mut())
        .collect();
    let at = random.below(having.len().max(1));
    (at < having.len()).then(|| having.swap_remove(at))
}

/// One pattern less; not one of those about texts that are no paths, which begin with a star.
fn without_one(document: &Value, effect: &str, stage: &str, random: &mut Random) -> Option<Value> {
    let mut faulty = document.clone();
    let resources = resources(&mut faulty, effect, random)?;
    let is_guard =
        |pattern: &Value| pattern.as_str().is_some_and(|text| text[stage.len()..].starts_with('*'));
    let others: Vec<usize> = (0..resources.len()).filter(|at| !is_guard(&resources[*at])).collect();
    // An empty list would be no document.
    if others.is_empty() || resources.len() == 1 {
        return None;
    }
    resources.remove(*random.pick(&others));
    Some(faulty)
}

/// One segment of one pattern is a star.
fn with_one_wider(document: &Value, stage: &str, random: &mut Random) -> Option<Value> {
    let mut faulty = document.clone();
    let resources = resources(&mut faulty, "Allow", random)?;
    let at = random.below(resources.len());
    let pattern = resources[at].as_str()?.strip_prefix(stage)?;
    let mut segments: Vec<&str> = pattern.split('/').collect();
    let literals: Vec<usize> = (0..segments.len()).filter(|at| segments[*at] != "*").collect();
    if literals.is_empty() {
        return None;
    }
    segments[*random.pick(&literals)] = "*";
    resources[at] = json!(format!("{stage}{}", segments.join("/")));
    Some(faulty)
}

/// How many paths a case is asked for, about. Where a policy reads the whole path, Cedar has to be asked for each of them.
fn budget(case: &Case) -> usize {
    let paths = number("ORACLE_PATHS", 250) as usize;
    match case.policies.iter().any(|policy| policy.text.contains("context.path")) {
        true => paths / 4,
        false => paths,
    }
}

#[test]
fn a_fault_in_a_document_is_seen() {
    let route = |template, methods: &[&str]| router::Route::new(template, methods);
    let policy = |text: &str| cases::Policy { text: text.to_owned(), actions: None };
    let case = Case {
        number: 0,
        style: Style::Realistic,
        gateway: Gateway::RestRequest,
        escapes: false,
        routes: vec![
            route("/orders", &["GET", "POST"]),
            route("/orders/export", &["GET"]),
            route("/orders/{orderId}", &["GET"]),
            route("/admin/users", &["GET"]),
        ],
        policies: vec![
            policy(
                "@id(\"read\") permit (principal in Role::\"clerk\", action in Action::\"read\", resource in Path::\"/orders\");\n",
            ),
            policy(
                "@id(\"export\") forbid (principal, action == Action::\"GET /orders/export\", resource);\n",
            ),
            policy(
                "@id(\"inside\") permit (principal, action == Action::\"POST /orders\", resource) when { context.http has source_ip };\n",
            ),
        ],
        people: Vec::new(),
    };
    let person = cases::Person {
        subject: "alice".to_owned(),
        is_client: false,
        roles: vec!["clerk"],
        tenant: "acme",
        scopes: Vec::new(),
        org: None,
        teams: Vec::new(),
        level: 0,
    };
    let key = key();
    let deployed = Deployed::new(&case, &key).unwrap();
    let law = Law::new(&case, deployed.schema());
    let paths = [
        "/orders",
        "/orders/7",
        "/orders/export",
        "/orders/export/",
        "/orders//export",
        "/orders/%65xport",
        "/orders/x/../export",
        "/admin/users",
        "/zz9",
    ];
    let trial = Trial::new(&case, &mut Judge::new(&law, &person), &paths.map(str::to_owned));
    let guards = ["*//*", "*/?*/", "*/./*", "*/../*", "*/.", "*/..", "*/;*", "*/.;*", "*/..;*", "*%*"];
    let allows = ["GET/orders", "GET/orders/*"];
    let denies: Vec<&str> = ["GET/orders/export"].into_iter().chain(guards).collect();
    let without =
        |pattern: &str| -> Vec<&str> { denies.iter().copied().filter(|deny| *deny != pattern).collect() };
    for (allows, denies, leaked, withheld) in [
        (&allows[..], denies.clone(), "", ""),
        (&allows, without("GET/orders/export"), "GET /orders/export", ""),
        (&allows, without("*%*"), "GET /orders/%65xport", ""),
        (&allows, without("*/?*/"), "GET /orders/export/", ""),
        (&allows, without("*//*"), "GET /orders//export", ""),
        (&allows, without("*/../*"), "GET /orders/x/../export", ""),
        (&["GET/*"], denies.clone(), "GET /admin/users", ""),
        (&["*/orders", "GET/orders/*"], denies.clone(), "POST /orders", ""),
        (&["GET/orders"], denies.clone(), "", "GET /orders/7"),
        (&["GET/orders/*"], denies.clone(), "", "GET /orders"),
    ] {
        let stage = stage_arn(case.gateway, Scope::Api);
        let statement = |effect: &str, patterns: &[&str]| {
            let resources: Vec<String> = patterns.iter().map(|pattern| format!("{stage}{pattern}")).collect();
            json!({ "Action": "execute-api:Invoke", "Effect": effect, "Resource": resources })
        };
        let statements = [statement("Allow", allows), statement("Deny", &denies)];
        let document = json!({ "Version": "2012-10-17", "Statement": statements });
        let verdict = trial.judge(&document);
        let named = |probes: &[&Probe]| {
            probes.iter().map(|probe| format!("{} {}", probe.verb, probe.path)).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(
            (named(&verdict.leaked).as_str(), named(&verdict.withheld).as_str()),
            (leaked, withheld),
            "{document:#}"
        );
    }
}
