//! The suites of the example bundle, and everything that could make a suite pass by mistake.
//!
//! `tests/policies/*` are the example's own suites, which people copy. `tests/traps/suites.txt` has a trap a section: a remark that
//! begins with `#`, the lines of a suite (`> `) and perhaps of a file beside it (`@ name`, then its lines), and the errors
//! (`! `) and warnings (`? `) that must come of it, or that the tests pass (`= `). `UPDATE_GOLDEN=1 cargo test policies::`
//! writes what was found; its diff is the review.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::bundle::{Bundle, load_route_table};
use cedar_gate::fetch::read_policy_tests;
use cedar_gate::tools::suite::report::{self, Report, summary};
use cedar_gate::tools::suite::{Filter, RunOptions, Suites};

use crate::bundle::example;

const OPTIONS: RunOptions = RunOptions { threads: 2, fail_fast: false };

fn run(suites: &Suites<'_>) -> Report {
    let filter = Filter::default();
    suites.run(&suites.selected(&filter), &filter, OPTIONS, &|| ())
}

fn with(files: &SourceFiles) -> SourceFiles {
    let mut all = example();
    for path in files.paths() {
        all.insert(path, files.bytes(path).unwrap());
    }
    all
}

#[test]
fn the_example_passes_its_own_suites() {
    let files = with(&read_policy_tests(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap());
    let bundle = Bundle::load(&example()).unwrap();
    let suites = Suites::load(&bundle, &files, false).unwrap_or_else(|errors| panic!("{:#?}", errors.errors));
    assert_eq!(suites.warnings, []);
    let report = run(&suites);
    let failures: Vec<String> = report
        .failures()
        .map(|(suite, case, test, failure)| {
            format!(
                "{}: {} {} {}\n{}",
                suite.file,
                case.name,
                test.principal,
                test.request,
                failure.lines().join("\n")
            )
        })
        .collect();
    assert!(report.is_ok() && report.skipped == 0, "{}", failures.join("\n"));
}

/// Every policy of the example is named by a case as what decides.
#[test]
fn the_suites_of_the_example_name_every_policy() {
    let files = read_policy_tests(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let bundle = Bundle::load(&example()).unwrap();
    let text: String = files.paths().filter_map(|path| files.text(path)).collect();
    let unnamed: BTreeSet<String> = bundle
        .policy_versions()
        .flat_map(|version| version.policies().policies())
        .map(|policy| policy.id().to_string())
        .filter(|id| !text.contains(&format!("\"{id}\"")))
        .collect();
    assert_eq!(unnamed, BTreeSet::new());
}

/// A suite that does not follow the policies fails, with the same report whatever the number of threads.
#[test]
fn a_broken_policy_is_noticed_and_the_report_is_deterministic() {
    let tests = read_policy_tests(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut broken = example();
    let orders = broken.text("policies/v1/orders.cedar").unwrap().to_owned();
    broken.insert("policies/v1/orders.cedar", orders.replace("like \"archive-*\"", "like \"archiv-*\""));
    let bundle = Bundle::load(&broken).unwrap();
    let mut files = broken.clone();
    tests.paths().for_each(|path| files.insert(path, tests.bytes(path).unwrap()));
    let suites = Suites::load(&bundle, &files, false).unwrap_or_else(|errors| panic!("{:#?}", errors.errors));
    let filter = Filter::default();
    let selected = suites.selected(&filter);
    let report = |threads: usize, fail_fast: bool| {
        suites.run(&selected, &filter, RunOptions { threads, fail_fast }, &|| ())
    };
    let one = report(1, false);
    assert!(one.failed > 5 && !one.is_ok(), "{}", summary(&one));
    let json = |report: &Report| serde_json::to_string(report).unwrap();
    assert_eq!(json(&one), json(&report(8, false)));
    let first = report(1, true);
    assert_eq!((first.failed, first.run() + first.not_run), (1, selected.len()));
    for _ in 0..20 {
        assert_eq!(json(&first), json(&report(8, true)));
    }
}

#[test]
fn nothing_passes_by_mistake() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traps/suites.txt");
    let expected = fs::read_to_string(&path).unwrap();
    let found = replay(&expected);
    if expected == found {
        return;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, found).unwrap();
        return;
    }
    let differing = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    panic!("tests/traps/suites.txt: expected, found: {differing:#?}; UPDATE_GOLDEN=1 writes what was found");
}

/// What every trap finds declared beside it.
const PRINCIPALS: &str = "\
[principal.clara]
issuer = \"acme-staff\"
roles = [\"clerk\"]

[principal.otto]
issuer = \"acme-staff\"
roles = [\"auditor\"]

[group]
staff = [\"clara\", \"otto\"]

[facts.office]
source_ip = \"203.0.113.7\"
";

/// The transcript as it is now.
fn replay(transcript: &str) -> String {
    let mut found = String::new();
    let mut files: Vec<(String, String)> = Vec::new();
    let mut last_was_result = false;
    for line in transcript.lines().chain(["#"]) {
        let is_input = line.starts_with("> ") || line.starts_with("@ ") || line == ">";
        let is_result = ["! ", "? ", "= "].iter().any(|mark| line.starts_with(mark));
        if !is_input && !files.is_empty() {
            found.push_str(&outcome(&files));
            files.clear();
        }
        if is_input {
            if let Some(name) = line.strip_prefix("@ ") {
                files.push((name.to_owned(), String::new()));
            } else {
                if files.is_empty() || last_was_result {
                    files.push(("tests/policies/suite.toml".to_owned(), String::new()));
                }
                let text = &mut files.last_mut().unwrap().1;
                writeln!(text, "{}", line.strip_prefix("> ").unwrap_or_default()).unwrap();
            }
        }
        last_was_result = is_result;
        if !is_result {
            found.push_str(line);
            found.push('\n');
        }
    }
    found.strip_suffix("#\n").unwrap().to_owned()
}

/// What comes of a suite.
fn outcome(files: &[(String, String)]) -> String {
    let mut all = example();
    all.insert("tests/policies/principals.toml", PRINCIPALS);
    for (name, text) in files {
        all.insert(name.as_str(), text.as_str());
    }
    let mut sources = SourceFiles::default();
    for path in all.paths().filter(|path| !path.starts_with("tests/")) {
        sources.insert(path, all.bytes(path).unwrap());
    }
    let bundle = Bundle::load(&sources).unwrap_or_else(|errors| panic!("{errors}"));
    let mut text = String::new();
    match Suites::load(&bundle, &all, false) {
        Ok(suites) => {
            let report = run(&suites);
            for warning in
                suites.warnings.iter().filter(|warning| warning.file != "tests/policies/principals.toml")
            {
                writeln!(text, "? {warning}").unwrap();
            }
            for (_, _, test, failure) in report.failures() {
                let lines = failure.lines().join("; ");
                writeln!(text, "! {} {}: {lines}", test.principal, test.request).unwrap();
            }
            writeln!(text, "= {}", summary(&report)).unwrap();
        }
        Err(errors) => {
            errors.errors.iter().for_each(|error| writeln!(text, "! {error}").unwrap());
        }
    }
    text
}

/// Of each kind of API: a request is judged by hand as the event is that its gateway would send about it, and nothing is
/// asked that the gateway does not ask.
#[test]
fn every_kind_of_api_is_asked_as_its_gateway_asks() {
    let mut files = example();
    let mut append = |path: &str, text: &str| {
        let before = files.text(path).unwrap().to_owned();
        files.insert(path, format!("{before}\n{text}"));
    };
    append(
        "schema/authorizer.toml",
        "[[api]]\nname = \"chat\"\nkind = \"websocket\"\naccount = \"123456789012\"\nid = \"w1w2w3w4w5\"\n\
         stages = [\"live\"]\ntoken = [{ subprotocol = \"bearer\" }]\n\
         [[api]]\nname = \"graph\"\nkind = \"appsync\"\naccount = \"123456789012\"\nid = \"g1g2g3g4g5\"\n\
         token = [{ header = \"Authorization\", scheme = \"none\" }]\n",
    );
    append(
        "schema/routes.toml",
        "[[route]]\nwebsocket = \"$connect\"\n[[route]]\npath = \"/graphql\"\nmethods = [\"POST\"]\n",
    );
    append(
        "policies/v1/health.cedar",
        "@id(\"everyone-connects\")\npermit (principal, action in [Action::\"$connect\", Action::\"POST /graphql\"], resource);\n",
    );
    let schema = load_route_table(&files).unwrap().cedarschema();
    files.insert("schema/routes.cedarschema", schema);
    let bundle = Bundle::load(&files).unwrap_or_else(|errors| panic!("{errors}"));
    files.insert("tests/policies/principals.toml", PRINCIPALS);
    let of_orders = "\"GET /orders\", \"POST /orders\", \"GET /orders/{orderId}\", \"GET /users/clara\"";
    for (api, requests) in [
        ("orders-rest", of_orders),
        ("orders-request", of_orders),
        ("orders-http", of_orders),
        ("chat", "\"$connect\""),
        ("graph", "\"POST /graphql\""),
    ] {
        let text = format!(
            "[suite]\napi = \"{api}\"\n[[case]]\nname = \"by hand\"\nprincipals = [\"clara\"]\nrequests = [{requests}]\n\
             expect = \"allow\"\n[[case]]\nname = \"by event\"\nprincipals = [\"clara\"]\nrequests = [{requests}]\n\
             expect = \"allow\"\ncontext = {{ tenant = \"acme\" }}\n[[case]]\nname = \"late\"\nprincipals = [\"clara\"]\n\
             requests = [{requests}]\ntoken = {{ expires_in = -60 }}\nexpect = {{ unauthorized = \"expired\" }}\n"
        );
        files.insert(format!("tests/policies/{api}.toml"), text);
    }
    let everything = "[suite]\napi = \"chat\"\n[[case]]\nname = \"all\"\nprincipals = [\"clara\"]\nallow = [\"$connect\"]\n";
    files.insert("tests/policies/everything.toml", everything);
    let suites = Suites::load(&bundle, &files, false).unwrap_or_else(|errors| panic!("{:#?}", errors.errors));
    let report = run(&suites);
    let failures: Vec<String> = report
        .failures()
        .map(|(suite, case, test, failure)| {
            format!("{} {}: {} {}", suite.name, case.name, test.request, failure.lines().join("; "))
        })
        .collect();
    assert_eq!(failures, Vec::<String>::new());
    // Three APIs with four requests, two with one; each three times, and the one request of `all`.
    assert_eq!(report.passed, 3 * (3 * 4 + 2) + 1);
    let of_another = everything.replace("$connect", "GET /orders");
    files.insert("tests/policies/everything.toml", of_another);
    let errors = Suites::load(&bundle, &files, false).unwrap_err().errors;
    let expected = "tests/policies/everything.toml:6:10: CG1101: API `chat` is never asked about `GET /orders` (it is asked about `$connect`)";
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
}

/// A header that a policy reads is given or said to be absent, by its name or with all others; in whatever case it is
/// written.
#[test]
fn a_header_is_said_by_its_name() {
    let mut files = example();
    let vocabulary = files.text("schema/gateway.cedarschema").unwrap();
    let with_headers = vocabulary.replace(
        "  time?: datetime,",
        "  time?: datetime,\n  headers?: { \"x-office\"?: String, \"x-b\"?: String },",
    );
    files.insert("schema/gateway.cedarschema", with_headers);
    files.insert(
        "policies/v1/office.cedar",
        "@id(\"at-work\") permit (principal, action == Action::\"GET /admin/reports\", resource)\n\
         when { context.http has headers && context.http.headers has \"x-office\" };\n",
    );
    let bundle = Bundle::load(&files).unwrap_or_else(|errors| panic!("{errors}"));
    files.insert("tests/policies/principals.toml", PRINCIPALS);
    let unsaid = "policy `at-work` reads `context.http.headers.x-office`, and case `x` does not say it";
    for (facts, expect, error) in [
        ("", "deny", Some(unsaid)),
        ("headers = { x-b = \"1\" }", "deny", Some(unsaid)),
        ("absent = [\"headers.x-b\"]", "deny", Some(unsaid)),
        ("headers = { X-Office = \"1\" }", "allow", None),
        ("absent = [\"headers\"]", "deny", None),
        ("absent = [\"headers.X-Office\"]", "deny", None),
        ("headers = { X-B = \"1\" }, absent = [\"headers.x-office\"]", "deny", None),
        ("headers = { x-b = \"1\" }, absent = [\"headers\"]", "deny", Some("`headers` is given and absent")),
        (
            "absent = [\"headers.x-c\"]",
            "deny",
            Some("the schema's `Http` has no `headers.x-c`, so no policy can read it"),
        ),
    ] {
        let text = format!(
            "[[case]]\nname = \"x\"\nprincipals = [\"clara\"]\nrequests = [\"GET /admin/reports\"]\n\
             expect = \"{expect}\"\nfacts = {{ {facts} }}\n"
        );
        files.insert("tests/policies/x.toml", text);
        let messages = match Suites::load(&bundle, &files, false) {
            Ok(suites) => {
                assert!(run(&suites).is_ok(), "{facts}");
                Vec::new()
            }
            Err(errors) => errors.errors.into_iter().map(|error| error.message).collect(),
        };
        assert_eq!(messages.first().map(String::as_str), error, "{facts}: {messages:?}");
    }
}

/// Names that mean something in XML, TAP, GitHub's commands and Markdown are names in all of them.
#[test]
fn no_name_breaks_a_report() {
    let hostile = r#"a <b> & \"c\" ]]> # d | e % f, g: h\n::error::i \u0007"#;
    let text = format!(
        "[suite]\nname = \"{hostile}\"\n[[case]]\nname = \"{hostile}\"\nprincipals = [\"clara\", \"otto\"]\n\
         requests = [\"DELETE /orders/1\"]\nexpect = \"allow\"\n[[case]]\nname = \"fine\"\n\
         principals = [\"clara\"]\nrequests = [\"GET /orders\"]\nexpect = \"allow\"\n"
    );
    let mut files = example();
    files.insert("tests/policies/principals.toml", PRINCIPALS);
    files.insert("tests/policies/hostile.toml", text);
    let bundle = Bundle::load(&example()).unwrap();
    let suites = Suites::load(&bundle, &files, false).unwrap_or_else(|errors| panic!("{:#?}", errors.errors));
    let report = run(&suites);
    assert_eq!((report.passed, report.failed), (1, 2));
    let junit = report::junit(&report).unwrap();
    let mut reader = quick_xml::Reader::from_str(&junit);
    let mut elements = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Start(element) | quick_xml::events::Event::Empty(element) => {
                elements.push(element.name().as_ref().to_owned());
                element.attributes().for_each(|attribute| drop(attribute.unwrap()));
            }
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    let expected = ["testsuites", "testsuite", "testcase", "failure", "testcase", "failure", "testcase"];
    assert_eq!(elements, expected);
    assert!(!junit.contains('\u{7}'));
    let tap = report::tap(&report);
    let verdicts: Vec<&str> =
        tap.lines().filter(|line| line.starts_with("ok ") || line.starts_with("not ok ")).collect();
    assert!(tap.contains("\n1..3\n") && verdicts.len() == 3, "{tap}");
    assert!(verdicts.iter().all(|line| !line.replace("\\#", "").contains('#')), "{tap}");
    let github = report::github(&report, "");
    let commands: Vec<&str> = github.lines().collect();
    assert_eq!(commands.len(), 3, "{github}");
    assert!(
        commands[0].starts_with("::error file=tests/policies/hostile.toml,line=4,col=8,title=a <b>"),
        "{github}"
    );
    assert!(commands[2].starts_with("::notice "), "{github}");
    let markdown = report::markdown(&report);
    let row = markdown.lines().nth(4).unwrap();
    assert!(row.contains("\\| e") && row.replace("\\|", "").matches('|').count() == 6, "{row}");
}

/// Each kind of filter, and several of them.
#[test]
fn filters_choose_tests() {
    let files = with(&read_policy_tests(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap());
    let bundle = Bundle::load(&example()).unwrap();
    let suites = Suites::load(&bundle, &files, false).unwrap_or_else(|errors| panic!("{:#?}", errors.errors));
    let count = |terms: &[&str]| {
        let terms = terms.iter().map(|term| term.parse().unwrap()).collect();
        suites.selected(&Filter::new(terms)).len()
    };
    let all = count(&[]);
    assert_eq!(all, suites.len());
    for terms in [
        &["suite=orders"][..],
        &["case=cancelling*"],
        &["principal=clara"],
        &["route=GET /orders/4711"],
        &["route=GET /orders/{orderId}"],
        &["policy=archive-is-frozen"],
        &["suite=orders", "principal=ada"],
    ] {
        let chosen = count(terms);
        assert!(0 < chosen && chosen < all, "{terms:?}: {chosen} of {all}");
    }
    // Of one kind any, of several kinds each.
    assert_eq!(count(&["suite=orders", "suite=people"]), count(&["suite=orders"]) + count(&["suite=people"]));
    assert_eq!(count(&["suite=*", "principal=*", "case=*"]), all);
    assert_eq!(count(&["suite=orders", "case=support*"]), 0);
    assert!(count(&["suite=orders", "principal=ada"]) < count(&["suite=orders"]));
    // A policy's tests are those of operations that it speaks of, and those that name it.
    assert_eq!(count(&["policy=health-for-everyone"]), count(&["route=GET /health"]));
    for term in ["orders", "sweet=orders", ""] {
        assert!(term.parse::<cedar_gate::tools::suite::FilterTerm>().is_err(), "{term}");
    }
}

/// `test --watch` runs again when a policy changes, and goes on when a file does not hold together.
#[test]
fn a_changed_file_runs_the_tests_again() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    use std::sync::mpsc;
    use std::time::Duration;

    let root = tempfile::tempdir().unwrap();
    let bundle = example();
    for path in bundle.paths() {
        let file = root.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bundle.bytes(path).unwrap()).unwrap();
    }
    let suite = "[principal.u]\nissuer = \"acme-staff\"\n[[case]]\nname = \"health\"\nprincipals = [\"u\"]\n\
                 requests = [\"GET /health\"]\nexpect = \"allow\"\n";
    fs::create_dir_all(root.path().join("tests/policies")).unwrap();
    fs::write(root.path().join("tests/policies/health.toml"), suite).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_cedar-gate"))
        .args(["test", "--watch", "--bundle"])
        .arg(root.path())
        .env("NO_COLOR", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, lines) = mpsc::channel();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut wait_for = |what: &str| loop {
        match lines.recv_timeout(Duration::from_secs(60)) {
            Ok(line) if line.starts_with(what) => break,
            Ok(_) => {}
            Err(_) => {
                child.kill().unwrap();
                panic!("nobody said {what}");
            }
        }
    };
    let policy = root.path().join("policies/v1/health.cedar");
    let text = fs::read_to_string(&policy).unwrap();
    wait_for("ok: 1 passed");
    wait_for("watching");
    fs::write(&policy, text.replace("  principal,", "  principal is Client,")).unwrap();
    wait_for("failed: 0 passed, 1 failed");
    wait_for("watching");
    fs::write(&policy, "permit (").unwrap();
    wait_for("error: the bundle does not hold together");
    wait_for("watching");
    fs::write(&policy, text).unwrap();
    wait_for("ok: 1 passed");
    child.kill().unwrap();
    child.wait().unwrap();
}
