//! What a person who edits policies waits for: check, matrix, plan and test of a large bundle, in process, without reading files.
//!
//! `cargo bench --bench desk` makes one of 1,000 policies, 300 routes and 40 roles and fails above a promise;
//! `cargo bench --bench desk -- 10` makes a tenth of it, and promises nothing.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::panic,
    reason = "a bench measures time, prints, and fails by panicking"
)]

mod large;

use std::time::{Duration, Instant};

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::fetch::read_bundle;
use cedar_gate::tools::desk::Desk;
use cedar_gate::tools::matrix::{Facts, Matrix, csv, markdown, page};
use cedar_gate::tools::people::{Person, named_tenants};
use cedar_gate::tools::plan::{Effort, Plan, Side};
use cedar_gate::tools::suite::report::Report;
use cedar_gate::tools::suite::{Filter, RunOptions, Suites};
use cedar_gate::tools::{cache_safety, lint, whole_api};
use cedar_policy as cedar;

use crate::large::{Allowed, Size};

fn main() {
    let percent = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let size = Size::LARGE.percent(percent.unwrap_or(100));
    let example = read_bundle(env!("CARGO_MANIFEST_DIR").as_ref()).expect("the example is read");
    let old = large::bundle(&example, size, 0);
    let new = large::bundle(&example, size, 20);
    println!("{} policies, {} routes, {} roles", size.policies, size.routes, size.roles);

    let loaded = Timed::new("load and validate", || load(&old));
    Timed::new("validation by Cedar in one go", || validate(&loaded.value));
    Timed::new("one stage made ready", || Desk::new(&loaded.value, None, None, None).is_ok());
    let checked = Timed::new("check", || check(&old));
    println!("  {}", checked.value);
    let drawn = Timed::new("matrix", || matrix(&loaded.value, &old));
    println!("  {}", drawn.value);
    let after = load(&new);
    let planned = Timed::new("plan, both sides loaded", || plan((&loaded.value, &old), (&after, &new)));
    println!("  {}", planned.value);
    let (tested, tests) = test(&old, size, TESTS * percent.unwrap_or(100) / 100);

    if percent.is_none() {
        // A command loads what it is about: matrix one bundle, plan two, check counts it in.
        let load = loaded.took;
        promise("check", checked.took, Duration::from_secs(3));
        promise("matrix", load + drawn.took, Duration::from_secs(2));
        promise("plan", 2 * load + planned.took, Duration::from_secs(5));
        assert!(tests >= TESTS, "{tests} tests were run, and {TESTS} are promised");
        promise("test", load + tested, Duration::from_secs(5));
    }
}

/// How many tests are promised.
const TESTS: usize = 10_000;

struct Timed<T> {
    value: T,
    took: Duration,
}

impl<T> Timed<T> {
    fn new(name: &str, measured: impl FnOnce() -> T) -> Self {
        let started = Instant::now();
        let value = measured();
        let took = started.elapsed();
        println!("{name:<32}{:>8.2} s", took.as_secs_f64());
        Self { value, took }
    }
}

fn promise(name: &str, took: Duration, at_most: Duration) {
    assert!(took <= at_most, "`{name}` took {took:?}, and {at_most:?} is promised");
}

fn load(files: &SourceFiles) -> Bundle {
    Bundle::load(files).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What loading would take if Cedar's own validator were asked for each policy with each operation and type of principal.
fn validate(bundle: &Bundle) -> bool {
    let validator = cedar::Validator::new(bundle.schema().clone());
    bundle.policy_versions().all(|version| {
        let result = validator.validate_with_level(version.policies(), cedar::ValidationMode::Strict, 1);
        result.validation_passed()
    })
}

fn check(files: &SourceFiles) -> String {
    let authorizer = Authorizer::new(load(files)).expect("the bundle can be asked");
    let kept = cache_safety::check(&authorizer, files).expect("cache safety is checked");
    let documents = whole_api::check(&authorizer, files, &[]).expect("documents are made");
    let bundle = authorizer.read_bundle().expect("the bundle was read from its sources");
    let lints = lint::check(bundle, files).expect("the policies are looked into");
    format!(
        "{} findings about kept answers, {} APIs with documents, {} lints",
        kept.len(),
        documents.len(),
        lints.len()
    )
}

fn matrix(bundle: &Bundle, files: &SourceFiles) -> String {
    let desk = Desk::new(bundle, None, None, None).expect("the stage is there");
    let people = Person::all(desk.version().roles.names(), named_tenants(desk.version()));
    let matrix = Matrix::new(&desk, people, &|_| true).expect("there is a matrix");
    let facts = Facts { desk: &desk, files };
    format!(
        "{} operations, {} people; {} KB of Markdown, {} of CSV, {} of HTML",
        matrix.rows().len(),
        matrix.people().len(),
        markdown(&matrix, facts).len() / 1024,
        csv(&matrix, facts).len() / 1024,
        page(&matrix, facts).len() / 1024
    )
}

/// How long it takes to read suites and to run their tests, all of which pass, and how many those are.
fn test(files: &SourceFiles, size: Size, tests: usize) -> (Duration, usize) {
    // A first run says who may do what: the second is one of tests that pass.
    let files = large::with_issuer(files, size);
    let bundle = load(&files);
    let mut allowed = Allowed::new();
    for (_, _, test, _) in run_suites(&bundle, &large::suites(&files, size, tests, &allowed)).failures() {
        allowed.entry(test.principal.clone()).or_default().insert(large::template(&test.request));
    }
    let files = large::suites(&files, size, tests, &allowed);
    let tested = Timed::new("test", || run_suites(&bundle, &files));
    let (run, failed) = (tested.value.run(), tested.value.failures().count());
    println!("  {run} tests, {failed} failed, {} requests allowed", allowed.values().flatten().count());
    if let Some((_, _, test, failure)) = tested.value.failures().next() {
        panic!("{} {}: {:?}", test.principal, test.request, failure.mismatches);
    }
    assert!(tested.value.is_ok() && !allowed.is_empty(), "the tests were not run, or ask for nothing");
    (tested.took, run)
}

fn run_suites(bundle: &Bundle, files: &SourceFiles) -> Report {
    let suites = Suites::load(bundle, files, false).unwrap_or_else(|errors| panic!("{:?}", errors.errors));
    let filter = Filter::new(Vec::new());
    let selected = suites.selected(&filter);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    suites.run(&selected, &filter, RunOptions { threads, fail_fast: false }, &|| {})
}

fn plan(old: (&Bundle, &SourceFiles), new: (&Bundle, &SourceFiles)) -> String {
    let side = |name, (bundle, files)| Side { name, bundle, files, version: None, held: &[] };
    let plan = Plan::new(side("old", old), side("new", new), Effort::DEFAULT).expect("there is a plan");
    let changes: usize = plan.stages.iter().map(|stage| stage.changes.len()).sum();
    let requests: usize = plan.stages.iter().map(|stage| stage.compared.requests).sum();
    format!(
        "{}: {} written otherwise, {changes} changes, {requests} generated requests",
        plan.verdict().as_str(),
        plan.articles.len()
    )
}
