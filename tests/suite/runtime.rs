//! The Lambda binary as API Gateway meets it: the real process, the bytes it posts, the lines it logs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::runtime_api::{Function, Posted, env};

const BOOTSTRAP: &str = env!("CARGO_BIN_EXE_bootstrap");

/// Stands in every token and in every event that must not be logged.
const SECRET: &str = "c2lnbmF0dXJl";

fn bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runtime/bundle")
}

fn start() -> Function {
    Function::start(BOOTSTRAP, &bundle(), |_| {})
}

/// A REST TOKEN event; `caller` says who asks and what the bundle makes of it.
fn event(caller: &str, path: &str) -> String {
    let token = format!("Bearer {caller}.{SECRET}");
    format!(r#"{{"type":"TOKEN","authorizationToken":"{token}","methodArn":"{}"}}"#, method_arn(path))
}

fn method_arn(path: &str) -> String {
    format!("arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET{path}")
}

fn document(effect: &str, path: &str) -> String {
    format!(
        r#"{{"principalId":"someone","policyDocument":{{"Version":"2012-10-17","Statement":[{{"Action":"execute-api:Invoke","Effect":"{effect}","Resource":["{}"]}}]}}}}"#,
        method_arn(path)
    )
}

fn error(error_type: &str, message: &str) -> Posted {
    Posted::Error(format!(r#"{{"errorType":"{error_type}","errorMessage":"{message}"}}"#))
}

#[test]
fn a_decision_is_posted_to_the_byte() {
    let function = start();
    assert_eq!(
        function.invoke(event("allow", "/orders/1")),
        Posted::Response(document("Allow", "/orders/1"))
    );
    assert_eq!(function.invoke(event("deny", "/orders/1")), Posted::Response(document("Deny", "/orders/1")));
}

#[test]
fn an_unauthenticated_caller_is_the_error_that_becomes_401() {
    let function = start();
    let unauthorized = error("Unauthorized", "Unauthorized");
    assert_eq!(function.invoke(event("nobody", "/orders/1")), unauthorized);
    assert_eq!(
        unauthorized,
        Posted::Error(r#"{"errorType":"Unauthorized","errorMessage":"Unauthorized"}"#.to_owned())
    );
}

#[test]
fn faults_and_panics_are_faults_and_the_next_event_is_answered() {
    let function = start();
    let panicked = "cedar-gate: the authorizer panicked: the log names the place";
    assert_eq!(
        function.invoke(event("fault", "/orders")),
        error("Fault", "cedar-gate: the event has no methodArn")
    );
    assert_eq!(function.invoke(event("panic", "/orders")), error("Fault", panicked));
    assert_eq!(
        function.invoke(event("malformed", "/orders")),
        error("Fault", "cedar-gate: the reply is not JSON")
    );
    assert_eq!(function.invoke(event("allow", "/orders")), Posted::Response(document("Allow", "/orders")));
    let (_, stderr) = function.finish();
    let places = stderr.lines().filter(|line| line.contains("panicked")).collect::<Vec<_>>();
    assert_eq!(places.len(), 1, "{stderr}");
    assert!(places[0].contains(r#""place":"src/authorizer.rs:"#), "{stderr}");
}

#[test]
fn a_payload_that_is_no_event_is_a_fault_with_a_record() {
    let function = start();
    let payloads: [&[u8]; 5] =
        [b"", b"Bearer not json", b"{\"type\":", b"{\"type\":\"\xff\"}", b"[]trailing"];
    for payload in payloads {
        let posted = function.invoke(payload);
        let Posted::Error(body) = &posted else { panic!("{posted:?}") };
        let expected = if payload == b"[]trailing" { "Unauthorized" } else { "Fault" };
        assert!(body.starts_with(&format!(r#"{{"errorType":"{expected}","#)), "{body}");
    }
    let (stdout, _) = function.finish();
    assert_eq!(stdout.lines().count(), payloads.len(), "{stdout}");
}

#[test]
fn a_bad_bundle_is_refused_before_the_first_event() {
    let root = tempfile::tempdir().unwrap();
    for part in ["policies", "schema"] {
        std::fs::create_dir(root.path().join(part)).unwrap();
    }
    std::fs::write(root.path().join("policies/orders.cedar"), "broken").unwrap();
    std::fs::write(root.path().join("policies/users.cedar"), "broken").unwrap();
    let reason = "policies/orders.cedar:1:1: unexpected token `broken`\\npolicies/users.cedar:1:1: unexpected token `broken`";

    let mut function = Function::start(BOOTSTRAP, root.path(), |_| {});
    let expected = (error("BundleError", reason), Some("Runtime.BundleError".to_owned()));
    assert_eq!(function.init_error(), expected);
    assert_eq!(function.exit_status().code(), Some(1));
    assert_eq!(function.calls(), ["POST …/init/error"]);
    let (stdout, stderr) = function.finish();
    assert_eq!(stdout, "");
    let line: serde_json::Value = serde_json::from_str(stderr.trim()).unwrap_or_else(|_| panic!("{stderr}"));
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["message"], "the bundle is refused");
    assert_eq!(line["reason"], reason.replace("\\n", "\n"));
}

#[test]
fn a_missing_bundle_is_refused_too() {
    let root = tempfile::tempdir().unwrap();
    let mut function = Function::start(BOOTSTRAP, root.path(), env("CEDAR_GATE_BUNDLE", "absent"));
    let (posted, _) = function.init_error();
    let Posted::Error(body) = &posted else { panic!("{posted:?}") };
    assert!(body.starts_with(r#"{"errorType":"BundleError","errorMessage":"bundle `"#), "{body}");
    assert_eq!(function.exit_status().code(), Some(1));
    assert_eq!(function.calls(), ["POST …/init/error"]);
}

#[test]
fn a_checkout_a_package_and_a_named_directory_all_work() {
    let package = tempfile::tempdir().unwrap();
    copy(&bundle(), &package.path().join("bundle"));
    let elsewhere = tempfile::tempdir().unwrap();
    let functions = [
        Function::start(BOOTSTRAP, &bundle(), |_| {}),
        Function::start(BOOTSTRAP, package.path(), |_| {}),
        Function::start(BOOTSTRAP, elsewhere.path(), env("CEDAR_GATE_BUNDLE", bundle())),
        Function::start(BOOTSTRAP, elsewhere.path(), |command: &mut Command| {
            command.env_remove("LAMBDA_TASK_ROOT").current_dir(bundle());
        }),
    ];
    for function in functions {
        assert_eq!(
            function.invoke(event("allow", "/orders")),
            Posted::Response(document("Allow", "/orders"))
        );
        let (_, stderr) = function.finish();
        let line: serde_json::Value = serde_json::from_str(&stderr).unwrap_or_else(|_| panic!("{stderr}"));
        assert_eq!(line["message"], "the bundle is loaded");
        assert!(line["digest"].is_string() && line["directory"].is_string(), "{line}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = { (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name())) };
        if from.is_dir() { copy(&from, &to) } else { std::fs::copy(&from, &to).map(|_| ()).unwrap() }
    }
}

#[test]
fn outside_lambda_it_says_what_to_use_instead() {
    let mut function = Function::start(BOOTSTRAP, &bundle(), |command: &mut Command| {
        command.env_remove("AWS_LAMBDA_RUNTIME_API");
    });
    assert_eq!(function.exit_status().code(), Some(1));
    let (_, stderr) = function.finish();
    assert!(stderr.contains("use `cedar-gate authorize --event FILE`"), "{stderr}");
}

#[test]
fn no_log_holds_a_token_whatever_level_is_asked_for() {
    let function = Function::start(BOOTSTRAP, &bundle(), |command: &mut Command| {
        command
            .env("RUST_LOG", "trace")
            .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .env("RUST_BACKTRACE", "full");
    });
    for caller in ["allow", "deny", "fault", "malformed", "nobody", "panic"] {
        function.invoke(event(caller, "/orders"));
    }
    for payload in [format!("Bearer {SECRET}"), format!(r#"{{"authorizationToken":"{SECRET}"#)] {
        function.invoke(payload);
    }
    function.invoke([b"\"\xff", SECRET.as_bytes(), b"\""].concat());
    let (stdout, stderr) = function.finish();
    for line in stdout.lines().chain(stderr.lines()) {
        assert!(!line.contains(SECRET), "{line}");
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert!(!line.contains(r#""level":"TRACE""#) && !line.contains(r#""level":"DEBUG""#), "{line}");
    }
    assert_eq!(stdout.lines().count(), 8, "nine events, one of which panicked before its record: {stdout}");
}

#[test]
fn a_record_is_one_json_object_on_a_line() {
    let function = start();
    for caller in ["allow", "deny", "nobody"] {
        function.invoke(event(caller, "/orders"));
    }
    let (stdout, _) = function.finish();
    let records: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let decisions: Vec<_> = records.iter().map(|record| record["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["allow", "deny", "unauthorized"]);
    for record in &records {
        assert!(
            record["durations_us"].as_u64() > Some(0),
            "no answer takes less than a microsecond: {record}"
        );
    }
}

#[test]
fn a_policy_of_denials_keeps_allows_out_of_the_log() {
    let root = tempfile::tempdir().unwrap();
    copy(&bundle(), root.path());
    std::fs::write(root.path().join("schema/authorizer.toml"), "log = \"denials\"\n").unwrap();
    let function = Function::start(BOOTSTRAP, root.path(), |_| {});
    for caller in ["allow", "deny", "allow"] {
        function.invoke(event(caller, "/orders"));
    }
    let (stdout, _) = function.finish();
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert!(stdout.contains("deny"), "{stdout}");
}

/// Writing to `/dev/full` fails as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_without_its_record_is_not_given() {
    let function = Function::start(BOOTSTRAP, &bundle(), |command: &mut Command| {
        command.stdout(File::options().write(true).open("/dev/full").unwrap());
    });
    let message = "cedar-gate: the decision record cannot be written: No space left on device (os error 28)";
    assert_eq!(function.invoke(event("allow", "/orders")), error("Fault", message));
}

#[test]
fn one_process_answers_a_thousand_events_on_one_thread() {
    let function = start();
    let round = |rounds: std::ops::Range<usize>| {
        for n in rounds {
            let path = format!("/orders/{n}");
            assert_eq!(function.invoke(event("allow", &path)), Posted::Response(document("Allow", &path)));
        }
    };
    round(0..200);
    #[cfg(target_os = "linux")]
    let before = function.process_status("VmRSS");
    round(200..1_000);
    #[cfg(target_os = "linux")]
    {
        let grown = function.process_status("VmRSS").saturating_sub(before);
        assert!(grown < 1_024, "800 events grew the process by {grown} kB");
        assert_eq!(function.process_status("Threads"), 1);
    }
    let (stdout, _) = function.finish();
    assert_eq!(stdout.lines().count(), 1_000);
}

#[test]
fn concurrent_events_each_get_their_own_answer() {
    let function = Function::start(BOOTSTRAP, &bundle(), env("AWS_LAMBDA_MAX_CONCURRENCY", "4"));
    function.wait_for_pollers(4);
    thread::scope(|scope| {
        for caller in 0..8 {
            let function = &function;
            scope.spawn(move || {
                let paths: Vec<String> = (0..50).map(|n| format!("/orders/{caller}-{n}")).collect();
                let events = paths.iter().map(|path| (path, function.push(event("allow", path))));
                for (path, request_id) in events.collect::<Vec<_>>() {
                    assert_eq!(function.answer(&request_id), Posted::Response(document("Allow", path)));
                }
            });
        }
    });
    let panicked = "cedar-gate: the authorizer panicked: the log names the place";
    assert_eq!(function.invoke(event("panic", "/orders")), error("Fault", panicked));
    function.wait_for_pollers(4);
    let (stdout, _) = function.finish();
    assert_eq!(stdout.lines().count(), 400);
    for line in stdout.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("two lines mixed: {line}"));
    }
}
