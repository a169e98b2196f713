//! What an answer costs, beside the one thing in it that nobody can avoid: the RS256 check of its token.
//!
//! `cargo bench --bench answer` measures the raw check by aws-lc-rs and whole answers, event bytes to response bytes,
//! **in turns within one run**, prints each one's ratio to the check, and fails when the ratio of an answer is above
//! [`PROMISE`]; and answers to known tokens, which must not cost more than [`KNOWN_PROMISE`], nor than
//! [`DOCUMENT_PROMISE`] with a known document for the whole API. A token of one of ten thousand issuers must not cost more
//! than [`TRUST_PROMISE`] of one issuer's, nor a decision among a hundred thousand policies more than [`GROWTH_PROMISE`] of
//! one among ten. The same way it shows what each stage of an answer costs, what policies without a scope cost, and what a
//! document for a whole API costs beside deciding each of its operations; `-- document` prints that alone. The other
//! algorithms are held against their own raw checks, and what all cores answer together against what one does.
//! Then criterion measures each by itself and compares with the last time.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark reads clocks and files, reports on stdout and stops at whatever fails"
)]

mod algorithms;
mod concurrency;
mod document;
mod growth;
mod stages;
mod subject;
mod trust;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cedar_gate::authorizer::Authorizer;
use criterion::Criterion;

use crate::subject::{NOW, Subject};

/// The most that an answer may cost whose token is verified for it, in raw RS256 checks.
const PROMISE: f64 = 2.0;

/// The most that an answer may cost whose token is known from an earlier one.
const KNOWN_PROMISE: f64 = 0.6;

/// The same, where the answer is a document for the whole API.
const DOCUMENT_PROMISE: f64 = 1.0;

/// The most that a token of one of 10,000 issuers may cost, in those of a single issuer.
const TRUST_PROMISE: f64 = 1.2;

/// The most that a decision among any number of policies may cost, in those among ten.
const GROWTH_PROMISE: f64 = 1.2;

/// Turns: enough that some of each side's are undisturbed, also on a busy machine.
const ROUNDS: usize = 301;

/// How long one side's turn lasts: less than the operating system lets a process run.
const TURN: Duration = Duration::from_millis(1);

/// Something to measure, under its name.
type Measured<'a> = (String, Box<dyn Fn() + 'a>);

fn main() -> ExitCode {
    // `cargo test` starts benchmarks too, without this argument, to see that they run.
    let tables = std::env::args().any(|argument| argument == "--bench");
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let subject = Subject::new();
    if tables && std::env::args().any(|argument| argument == "document") {
        document::print(&subject.files);
        return ExitCode::SUCCESS;
    }
    let raw = raw_check(&subject);
    let mut kept = true;
    let mut report = |group: &str, promise: Option<f64>, raw: &Measured<'_>, measured: &[Measured<'_>]| {
        if tables {
            kept &= compare(group, promise, raw, measured);
        }
        let mut group = criterion.benchmark_group(group);
        for (name, run) in measured {
            group.bench_function(name, |bencher| bencher.iter(run));
        }
        group.finish();
    };
    report("answer", Some(PROMISE), &raw, &answers(&subject.authorizer, &subject));
    report("answer, token known", Some(KNOWN_PROMISE), &raw, &answers(&subject.remembering, &subject));
    report("answer, document known", Some(DOCUMENT_PROMISE), &raw, &answers(&subject.whole, &subject));
    algorithms::with(&subject.files, |group, raw, answers| report(group, Some(PROMISE), raw, answers));
    trust::with(|one, many| report("trust", Some(TRUST_PROMISE), one, many));
    stages::with(&subject, |stages| report("stage", None, &raw, &stages));
    growth::selective(&subject, |ten, more| report("decision", Some(GROWTH_PROMISE), ten, more));
    growth::unselective(&subject, |decisions| report("decision, no scopes", None, &raw, &decisions));
    if tables {
        concurrency::print(&subject);
        document::print(&subject.files);
    }
    let (name, run) = &raw;
    criterion.bench_function(name, |bencher| bencher.iter(run));
    criterion.final_summary();
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measured<'a, T>(name: impl Into<String>, run: impl Fn() -> T + 'a) -> Measured<'a> {
    (name.into(), Box::new(move || drop(black_box(run()))))
}

fn raw_check(subject: &Subject) -> Measured<'_> {
    measured("raw RS256 check", || {
        let message = black_box(subject.signed.as_bytes());
        subject.key.verify_sig(message, &subject.signature).expect("the signature is right");
    })
}

fn answers<'a>(authorizer: &'a Authorizer, subject: &'a Subject) -> [Measured<'a>; 2] {
    let answer = |event| authorizer.answer(black_box(event), NOW);
    [
        measured("TOKEN event", move || answer(&subject.token_event)),
        measured("REQUEST event", move || answer(&subject.request_event)),
    ]
}

/// Measures all in turns, what they are compared with first, prints the table, and says whether the promise is kept.
fn compare(group: &str, promise: Option<f64>, raw: &Measured<'_>, measured: &[Measured<'_>]) -> bool {
    let runs: Vec<&Measured<'_>> = std::iter::once(raw).chain(measured).collect();
    let batches: Vec<u32> = runs.iter().map(|(_, run)| batch(run)).collect();
    let mut times: Vec<Vec<f64>> = vec![Vec::with_capacity(ROUNDS); runs.len()];
    for _ in 0..ROUNDS {
        for (((_, run), batch), times) in runs.iter().zip(&batches).zip(&mut times) {
            times.push(microseconds(run, *batch));
        }
    }
    println!(
        "{:<36}{:>10}{:>12}{:>8}",
        format!("{group}: {ROUNDS} turns each"),
        "least us",
        "median us",
        "ratio"
    );
    // What disturbs a turn only ever adds to it, so the least times are compared.
    let least = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    let (baseline, _) = raw;
    let raw = times.first().map_or(f64::NAN, |times| least(times));
    let mut highest = 0.0_f64;
    for (place, ((name, _), times)) in runs.iter().zip(times).enumerate() {
        let (least, median) = (least(&times), median(times));
        let ratio = least / raw;
        println!("{name:<36}{least:>10.2}{median:>12.2}{ratio:>8.2}");
        // The first is what the others are compared with.
        if place > 0 {
            highest = highest.max(ratio);
        }
    }
    let kept = promise.is_none_or(|promise| highest <= promise);
    if let Some(promise) = promise {
        println!("promise: at most {promise:.1} x {baseline}: {}", if kept { "kept" } else { "BROKEN" });
    }
    println!();
    kept
}

/// How many runs fill a turn; this also warms up.
fn batch(run: &dyn Fn()) -> u32 {
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < TURN * 4 {
        run();
        count += 1;
    }
    (count / 4).max(1)
}

fn microseconds(run: &dyn Fn(), count: u32) -> f64 {
    let started = Instant::now();
    for _ in 0..count {
        run();
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
