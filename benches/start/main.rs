//! What it costs to start the Lambda binary and to have it answer: the real process on a Runtime API of its own, beside a
//! `lambda_runtime` handler that does nothing.
//!
//! `cargo bench --bench start` starts each of them many times, in turns, and prints for each: the time from its start to its
//! first `GET …/next`, the CPU time of that, the CPU time of the first answer and of later ones, and the most memory that it
//! had resident, after the answers to one caller and after those to hundreds, whose tokens it remembers; and the ratios to the
//! empty handler. It fails when a ratio, or the first of these sizes, is above what is promised for it.
//! `-- N` starts each N times. `BOOTSTRAP` names another binary than the one that is built with the benchmark, which has the
//! features of the command line too: `BOOTSTRAP=$PWD/target/x86_64-unknown-linux-gnu/release/bootstrap` is the one that
//! `deploy/build-zip x86_64` packs.
//!
//! The empty handler is this binary itself, started with a Runtime API in its environment: it is built with the profile of
//! the other, and has nothing in it that authorizes.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark reads clocks and files, reports on stdout and stops at whatever fails"
)]

#[path = "../../tests/suite/runtime_api.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod runtime_api;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use serde_json::value::RawValue;

use crate::runtime_api::{Function, Posted};
use crate::workload::Workload;

/// How often each is started.
const STARTS: usize = 21;

/// How many answers are given before those that count, and how many count.
const WARM: usize = 50;
const INVOKES: usize = 400;

/// What one start came to.
#[derive(Clone, Copy, Default)]
struct Run {
    /// Milliseconds from the start of the process to its first call for an event.
    start: f64,
    /// Milliseconds of CPU time until then.
    start_cpu: f64,
    /// Milliseconds of CPU time for the first answer.
    first_cpu: f64,
    /// Microseconds of CPU time for an answer to one token, the same each time.
    known_cpu: f64,
    /// The most resident memory until then, in kilobytes.
    peak_kb: f64,
    /// The CPU time where no token is known.
    answer_cpu: f64,
    /// The same after all.
    most_kb: f64,
}

/// What is started.
struct Contender {
    name: String,
    program: PathBuf,
    bundle: PathBuf,
    /// The most that its start may cost, in starts of the empty handler, and its memory in megabytes.
    promised: Option<(f64, f64)>,
    runs: Vec<Run>,
}

fn main() -> ExitCode {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        return empty_handler();
    }
    // `cargo test` starts benchmarks too, without this argument, to see that they run.
    let measures = std::env::args().any(|argument| argument == "--bench");
    let starts = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let starts = if measures { starts.unwrap_or(STARTS) } else { 1 };
    let sizes: &[usize] = if measures { &workload::SIZES } else { &workload::SIZES[..1] };
    let workload = Workload::new(sizes);
    let mut contenders = contenders(&workload);
    for _ in 0..starts {
        for contender in &mut contenders {
            contender.runs.push(run(contender, &workload));
        }
    }
    if report(&contenders) || !measures { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The floor: it reads nothing, and answers the same to everybody.
fn empty_handler() -> ExitCode {
    const ANSWER: &str = r#"{"principalId":"nobody","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Deny","Resource":["*"]}]}}"#;
    let answer = RawValue::from_string(ANSWER.to_owned()).expect("the answer is JSON");
    let answer = &answer;
    let handler = service_fn(move |_: LambdaEvent<Box<RawValue>>| async move {
        Ok::<_, lambda_runtime::Error>(answer.clone())
    });
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio starts");
    tokio.block_on(Runtime::new(handler).run()).expect("the handler runs until it is ended");
    ExitCode::SUCCESS
}

fn contenders(workload: &Workload) -> Vec<Contender> {
    let bootstrap = std::env::var_os("BOOTSTRAP").unwrap_or_else(|| env!("CARGO_BIN_EXE_bootstrap").into());
    let bootstrap = PathBuf::from(bootstrap);
    let own = std::env::current_exe().expect("this binary has a path");
    let mut contenders = vec![Contender {
        name: "empty handler".to_owned(),
        program: own,
        bundle: workload.folder().to_owned(),
        promised: None,
        runs: Vec::new(),
    }];
    contenders.extend(workload.bundles().map(|(name, bundle, promised)| Contender {
        name,
        program: bootstrap.clone(),
        bundle,
        promised,
        runs: Vec::new(),
    }));
    contenders
}

/// Starts one, asks it, and ends it.
fn run(contender: &Contender, workload: &Workload) -> Run {
    let started = std::time::Instant::now();
    let program = contender.program.to_str().expect("the path is text");
    let function = Function::start(program, workload.folder(), |command| {
        command.env("CEDAR_GATE_BUNDLE", &contender.bundle).env("CEDAR_GATE_HOME", workload.folder());
    });
    function.wait_for_pollers(1);
    let start = started.elapsed();
    let is_empty = contender.promised.is_none() && contender.name == "empty handler";
    let ask = |event: &str| {
        let answer = function.invoke(event);
        let allows = matches!(&answer, Posted::Response(body) if body.contains(r#""Effect":"Allow""#));
        assert!(allows || is_empty, "{}: {answer:?}", contender.name);
        function.wait_for_pollers(1);
    };
    let start_cpu = cpu(&function);
    let mut events = workload.events().iter().cycle();
    let mut next = || events.next().expect("there are events");
    ask(next());
    let first_cpu = cpu(&function) - start_cpu;
    let measured = |event: &mut dyn FnMut() -> String| {
        (0..WARM).for_each(|_| ask(&event()));
        let before = cpu(&function);
        (0..INVOKES).for_each(|_| ask(&event()));
        #[expect(clippy::cast_precision_loss, reason = "a count of invocations")]
        let invokes = INVOKES as f64;
        (cpu(&function) - before) * 1e3 / invokes
    };
    let known = workload.events()[0].clone();
    let memory = || f64::from(u32::try_from(function.process_status("VmHWM")).expect("less than terabytes"));
    let known_cpu = measured(&mut || known.clone());
    let peak_kb = memory();
    let answer_cpu = measured(&mut || next().clone());
    Run {
        start: start.as_secs_f64() * 1e3,
        start_cpu,
        first_cpu,
        known_cpu,
        answer_cpu,
        peak_kb,
        most_kb: memory(),
    }
}

/// Milliseconds of CPU time that the process has had: the first number of each thread's `schedstat`, in nanoseconds.
fn cpu(function: &Function) -> f64 {
    let threads = Path::new("/proc").join(function.id().to_string()).join("task");
    let threads = std::fs::read_dir(threads).expect("the process lives");
    let spent = threads.flatten().filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    spent.sum::<f64>() / 1e6
}

/// Prints the table, and says whether what is promised is kept.
fn report(contenders: &[Contender]) -> bool {
    println!(
        "{:<34}{:>9}{:>9}{:>8}{:>10}{:>10}{:>10}{:>10}{:>9}{:>10}",
        "", "start", "least", "", "CPU", "first", "answer", "known", "memory", "at most"
    );
    println!(
        "{:<34}{:>9}{:>9}{:>8}{:>10}{:>10}{:>10}{:>10}{:>9}{:>10}",
        "", "ms", "ms", "ratio", "ms", "CPU ms", "CPU us", "CPU us", "MB", "MB"
    );
    let floor = contenders.first().map(|empty| least(empty, |run| run.start)).unwrap_or_default();
    let mut kept = true;
    for contender in contenders {
        let start = least(contender, |run| run.start);
        let memory = median(contender, |run| run.peak_kb) / 1024.0;
        let ratio = start / floor;
        println!(
            "{:<34}{:>9.2}{:>9.2}{:>8.2}{:>10.2}{:>10.2}{:>10.1}{:>10.1}{:>9.1}{:>10.1}",
            contender.name,
            median(contender, |run| run.start),
            start,
            ratio,
            least(contender, |run| run.start_cpu),
            least(contender, |run| run.first_cpu),
            least(contender, |run| run.answer_cpu),
            least(contender, |run| run.known_cpu),
            memory,
            median(contender, |run| run.most_kb) / 1024.0,
        );
        if let Some((most, most_memory)) = contender.promised {
            if ratio > most {
                println!("  above the promise: a start of {most} empty ones");
                kept = false;
            }
            if memory > most_memory {
                println!("  above the promise: {most_memory} MB");
                kept = false;
            }
        }
    }
    kept
}

fn values(contender: &Contender, of: impl Fn(&Run) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = contender.runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(contender: &Contender, of: impl Fn(&Run) -> f64) -> f64 {
    let values = values(contender, of);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn least(contender: &Contender, of: impl Fn(&Run) -> f64) -> f64 {
    values(contender, of).first().copied().unwrap_or_default()
}
