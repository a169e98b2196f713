//! The Lambda binary as API Gateway meets it: the real process, the bytes it posts, the lines it logs.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use cedar_gate::bundle::built::SigningKey;
use cedar_gate::fetch::{DEVELOPMENT_JWKS, read_bundle};
use cedar_gate::jose::{Algorithm, TrustedIssuer};
use cedar_gate::time::Timestamp;
use cedar_gate::tools::mint::{DevelopmentKey, TokenRequest, mint_for};
use cedar_gate::tools::release::{Release, build};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::live::{clerks_token, issuer_file, jwks, opaque_issuer_file, said_of_a_clerk};
use crate::loopback::{Answer, Server};
use crate::runtime_api::{Function, Posted, env};

const BOOTSTRAP: &str = env!("CARGO_BIN_EXE_bootstrap");

/// Stands in every payload that is no event and must not be logged.
const SECRET: &str = "c2lnbmF0dXJl";

/// The bundle of the repository in a folder of its own, and the development key that it trusts there.
struct Deployment {
    bundle: TempDir,
    home: TempDir,
    key: DevelopmentKey,
    issuer: TrustedIssuer,
}

impl Deployment {
    fn new() -> Self {
        let (bundle, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for part in ["policies", "schema"] {
            copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(part), &bundle.path().join(part));
        }
        let issuer = std::fs::read_to_string(bundle.path().join("policies/issuers/dev.toml")).unwrap();
        let issuer = TrustedIssuer::from_toml(&issuer).unwrap();
        let key = DevelopmentKey::generate(Algorithm::Es256).unwrap();
        std::fs::write(home.path().join(DEVELOPMENT_JWKS), key.public_jwks().to_string()).unwrap();
        Self { bundle, home, key, issuer }
    }

    fn start(&self) -> Function {
        self.start_with(|_| {})
    }

    fn start_with(&self, configure: impl FnOnce(&mut Command)) -> Function {
        Function::start(BOOTSTRAP, self.bundle.path(), |command: &mut Command| {
            command.env("CEDAR_GATE_HOME", self.home.path());
            configure(command);
        })
    }

    /// Replaces a text in a file of the bundle.
    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.bundle.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} does not contain {from:?}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// A token of Acme's Alice.
    fn token(&self, roles: &[&str]) -> String {
        self.token_by(&self.key, roles)
    }

    fn token_by(&self, key: &DevelopmentKey, roles: &[&str]) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let now = i64::try_from(now).unwrap();
        let request = TokenRequest {
            subject: "alice".to_owned(),
            client_id: None,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            scopes: Vec::new(),
            tenant: Some("acme".to_owned()),
            issued_at: Timestamp::from_unix_seconds(now),
            expires_at: Timestamp::from_unix_seconds(now + 3_600),
            claims: serde_json::Map::from_iter([("jti".to_owned(), json!("token-1"))]),
        };
        mint_for(&self.issuer, key, &request).unwrap()
    }

    /// A clerk may list orders.
    fn allowed(&self, path: &str) -> String {
        event(&self.token(&["clerk"]), "GET", path)
    }

    /// Without a role nobody may.
    fn denied(&self, path: &str) -> String {
        event(&self.token(&[]), "GET", path)
    }

    /// A key that nobody trusts signed the token.
    fn unauthorized(&self, path: &str) -> String {
        let stranger = DevelopmentKey::generate(Algorithm::Es256).unwrap();
        event(&self.token_by(&stranger, &["clerk"]), "GET", path)
    }

    /// The API is not one of the bundle's.
    fn faulty(&self, path: &str) -> String {
        self.allowed(path).replace("123456789012", "210987654321")
    }
}

/// A REST TOKEN event.
fn event(token: &str, verb: &str, path: &str) -> String {
    let arn = method_arn(verb, path);
    json!({ "type": "TOKEN", "authorizationToken": format!("Bearer {token}"), "methodArn": arn }).to_string()
}

fn method_arn(verb: &str, path: &str) -> String {
    format!("arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/{verb}{path}")
}

/// What a clerk gets who asks for `GET` of that path.
fn allow(path: &str) -> Posted {
    allow_by(&provenance(), path)
}

fn allow_by(provenance: &str, path: &str) -> Posted {
    let context = format!(
        r#""context":{{{provenance},"principal":"dev|alice","roles":"[\"clerk\"]","tenant":"acme"}}"#
    );
    Posted::Response(format!(
        r#"{{"principalId":"dev|alice","policyDocument":{},{context}}}"#,
        document("Allow", &method_arn("GET", path))
    ))
}

/// By what every answer is decided.
fn provenance() -> String {
    provenance_of(Path::new(env!("CARGO_MANIFEST_DIR")))
}

fn provenance_of(bundle: &Path) -> String {
    format!(r#""policyDigest":"{}","policyVersion":"v1""#, version_digest(bundle))
}

fn version_digest(bundle: &Path) -> String {
    read_bundle(bundle).unwrap().version_digest("v1")
}

fn document(effect: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Action":"execute-api:Invoke","Effect":"{effect}","Resource":["{resource}"]}}]}}"#
    )
}

fn error(error_type: &str, message: &str) -> Posted {
    Posted::Error(format!(r#"{{"errorType":"{error_type}","errorMessage":"{message}"}}"#))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = { (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name())) };
        if from.is_dir() { copy(&from, &to) } else { std::fs::copy(&from, &to).map(|_| ()).unwrap() }
    }
}

/// Each line of a log as the JSON object that it must be.
fn objects(log: &str) -> Vec<Value> {
    let object = |line: &str| serde_json::from_str(line).ok().filter(Value::is_object);
    log.lines().map(|line| object(line).unwrap_or_else(|| panic!("no JSON object: {line}"))).collect()
}

fn text<'v>(object: &'v Value, member: &str) -> &'v str {
    object[member].as_str().unwrap_or_else(|| panic!("no text `{member}` in {object}"))
}

#[test]
fn a_decision_is_posted_to_the_byte() {
    let deployment = Deployment::new();
    let function = deployment.start();
    assert_eq!(function.invoke(deployment.allowed("/orders/1")), allow("/orders/1"));

    let deny = format!(
        r#"{{"principalId":"dev|alice","policyDocument":{},"context":{{{}}}}}"#,
        document("Deny", &method_arn("GET", "/orders/1")),
        provenance()
    );
    assert_eq!(function.invoke(deployment.denied("/orders/1")), Posted::Response(deny));

    let deny = format!(
        r#"{{"principalId":"dev|alice","policyDocument":{},"context":{{{},"messageString":"Archived orders cannot be changed."}}}}"#,
        document("Deny", &method_arn("PUT", "/orders/archive-7")),
        provenance()
    );
    let frozen = event(&deployment.token(&["clerk"]), "PUT", "/orders/archive-7");
    assert_eq!(function.invoke(frozen), Posted::Response(deny));
}

#[test]
fn a_built_bundle_answers_as_its_sources_and_has_to_be_signed_where_that_is_asked() {
    let deployment = Deployment::new();
    let root = tempfile::tempdir().unwrap();
    let built = build(&read_bundle(deployment.bundle.path()).unwrap(), &Release::new(Some(3))).unwrap();
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    std::fs::write(root.path().join("bundle.cgb"), &built).unwrap();
    let start = |configure: &dyn Fn(&mut Command)| {
        Function::start(BOOTSTRAP, root.path(), |command: &mut Command| {
            command.env("CEDAR_GATE_HOME", deployment.home.path());
            configure(command);
        })
    };
    let function = start(&|_| {});
    assert_eq!(function.invoke(deployment.allowed("/orders/1")), allow("/orders/1"));
    let (_, stderr) = function.finish();
    let line = objects(&stderr).into_iter().find(|line| line["message"] == "the bundle is loaded").unwrap();
    assert_eq!((&line["release"], line.get("signed_by")), (&json!(3), None), "{line}");

    let trusting = |command: &mut Command| {
        command.env("CEDAR_GATE_BUNDLE_KEYS", key.public().to_string());
    };
    let mut function = start(&trusting);
    let id = key.public().id();
    let refused = format!("the bundle is not signed, and this deployment trusts only what is signed by {id}");
    assert_eq!(function.init_error().0, error("BundleError", &refused));
    assert_eq!(function.exit_status().code(), Some(1));

    let signed = [built.clone(), key.sign(&built).unwrap().to_bytes()].concat();
    std::fs::write(root.path().join("bundle.cgb"), signed).unwrap();
    let function = start(&trusting);
    assert_eq!(function.invoke(deployment.allowed("/orders/1")), allow("/orders/1"));
    let (_, stderr) = function.finish();
    let line = objects(&stderr).into_iter().find(|line| line["message"] == "the bundle is loaded").unwrap();
    assert_eq!(line["signed_by"], json!(id), "{line}");

    let mut function = start(&|command| {
        command.env("CEDAR_GATE_BUNDLE_KEYS", "");
    });
    let refused = "CEDAR_GATE_BUNDLE_KEYS: no key is named: expected one or more public keys, as `cedar-gate bundle key` prints them";
    assert_eq!(function.init_error().0, error("BundleError", refused));
    assert_eq!(function.exit_status().code(), Some(1));
}

#[test]
fn a_bundle_from_afar_is_in_each_record_by_its_age_and_every_look_is_a_metric() {
    let deployment = Deployment::new();
    let (root, server) = (tempfile::tempdir().unwrap(), Server::start());
    let release =
        |number| build(&read_bundle(deployment.bundle.path()).unwrap(), &Release::new(Some(number))).unwrap();
    server.set("/b?secret", Answer::Tagged("\"1\"".to_owned(), Box::new(Answer::ok(release(1)))));
    let function = Function::start(BOOTSTRAP, root.path(), |command: &mut Command| {
        command.env("CEDAR_GATE_HOME", deployment.home.path());
        command.env("CEDAR_GATE_BUNDLE", server.url("/b?secret")).env("CEDAR_GATE_BUNDLE_INTERVAL", "1");
    });
    let ask = || {
        assert_eq!(function.invoke(deployment.allowed("/orders/1")), allow("/orders/1"));
        thread::sleep(Duration::from_millis(1_050));
    };
    ask();
    ask();
    server.set("/b?secret", Answer::status(500));
    ask();
    server.set("/b?secret", Answer::Tagged("\"2\"".to_owned(), Box::new(Answer::ok(release(2)))));
    ask();
    let (stdout, stderr) = function.finish();
    assert!(!stderr.contains("secret"), "{stderr}");
    let ages: Vec<Option<u64>> =
        objects(&stdout).iter().map(|record| record["bundle_age_s"].as_u64()).collect();
    assert!(ages.iter().all(Option::is_some), "{ages:?}");
    let lines = objects(&stderr);
    let metrics: Vec<[&Value; 2]> = lines
        .iter()
        .filter(|line| line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "cedar-gate")
        .map(|line| [&line["BundleSwapped"], &line["BundleRefused"]])
        .collect();
    let [none, one] = [json!(0), json!(1)];
    assert_eq!(metrics, [[&none, &none], [&none, &one], [&one, &none]], "{stderr}");
    let said = |message: &str| lines.iter().filter(|line| line["message"] == message).count();
    assert_eq!(said("another bundle is in charge"), 1, "{stderr}");
    assert_eq!(said("the bundle cannot be fetched, and the one before stays in charge"), 1, "{stderr}");
}

impl Deployment {
    /// A version `v2` in which nobody may do anything, beside the one that decides; allows leave no decision record.
    fn with_a_shadow() -> Self {
        let deployment = Self::new();
        let policies = deployment.bundle.path().join("policies");
        copy(&policies.join("v1"), &policies.join("v2"));
        let closed = "@id(\"closed\") forbid (principal, action, resource);";
        std::fs::write(policies.join("v2/closed.cedar"), closed).unwrap();
        deployment.edit("policies/versions.toml", "default = \"v1\"", "shadow = \"v2\"\ndefault = \"v1\"");
        deployment.edit("schema/authorizer.toml", "allow = \"all\"", "allow = \"none\"");
        deployment
    }
}

#[test]
fn a_shadow_says_once_where_it_disagrees() {
    let deployment = Deployment::with_a_shadow();
    let function = deployment.start();
    assert_eq!(function.invoke(deployment.allowed("/orders/1")), allow("/orders/1"));
    let id = function.push(deployment.denied("/orders/2"));
    function.answer(&id);
    function.invoke(deployment.unauthorized("/orders/3"));
    function.invoke(deployment.faulty("/orders/4"));
    // What comes after the last answer has come when the next event is asked for.
    function.wait_for_pollers(1);
    let (stdout, _) = function.finish();
    let lines = objects(&stdout);
    let kinds: Vec<(&str, &str)> =
        lines.iter().map(|line| (text(line, "type"), line["outcome"].as_str().unwrap_or("–"))).collect();
    let expected =
        [("shadow", "–"), ("decision", "deny"), ("decision", "unauthorized"), ("decision", "fault")];
    assert_eq!(kinds, expected, "{stdout}");
    let [shadow, ..] = lines.as_slice() else { panic!("{stdout}") };
    assert_eq!(text(shadow, "disagreement"), "narrower");
    assert_eq!(shadow["active"]["policies"], json!(["clerks-keep-orders"]));
    assert_eq!(shadow["shadow"]["policies"], json!(["closed"]));
    assert_eq!(text(shadow, "invocation_id"), "8476a536-e9f4-11e8-9739-000000000001");
}

#[test]
fn a_shadow_record_that_cannot_be_written_harms_no_answer() {
    let deployment = Deployment::with_a_shadow();
    let function = deployment.start_with(|command| {
        command.stdout(File::options().write(true).open("/dev/full").unwrap());
    });
    for path in ["/orders/1", "/orders/2"] {
        assert_eq!(function.invoke(deployment.allowed(path)), allow(path));
    }
    function.wait_for_pollers(1);
    let (_, stderr) = function.finish();
    let failed = |line: &&Value| line["message"] == "the shadow record cannot be written";
    assert_eq!(objects(&stderr).iter().filter(failed).count(), 2, "{stderr}");
}

/// The shadow's record goes into a pipe that is full and that nobody reads, so the shadow never ends.
#[cfg(target_os = "linux")]
#[test]
fn nobody_waits_for_a_shadow_that_never_ends() {
    use std::io::Write as _;

    let deployment = Deployment::with_a_shadow();
    let (_unread, mut full) = std::io::pipe().unwrap();
    // pipe(7): the capacity of a pipe is 65,536 bytes.
    full.write_all(&[b' '; 65_536]).unwrap();
    let function = deployment.start_with(|command| {
        command.stdout(full);
    });
    assert_eq!(function.invoke(deployment.allowed("/orders/1")), allow("/orders/1"));
}

#[test]
fn an_unauthenticated_caller_is_the_error_that_becomes_401() {
    let deployment = Deployment::new();
    let function = deployment.start();
    let unauthorized =
        Posted::Error(r#"{"errorType":"Unauthorized","errorMessage":"Unauthorized"}"#.to_owned());
    assert_eq!(function.invoke(deployment.unauthorized("/orders")), unauthorized);
    assert_eq!(function.invoke(event("", "GET", "/orders")), unauthorized);
    let (stdout, _) = function.finish();
    let reasons = objects(&stdout).iter().map(|record| text(record, "reason").to_owned()).collect::<Vec<_>>();
    assert_eq!(reasons, ["unknown_key", "missing_token"]);
}

#[test]
fn without_a_development_key_its_issuer_is_our_fault_and_not_the_callers() {
    let deployment = Deployment::new();
    std::fs::remove_file(deployment.home.path().join(DEVELOPMENT_JWKS)).unwrap();
    let function = deployment.start();
    let message = "cedar-gate: no keys of issuer `dev` are loaded";
    assert_eq!(function.invoke(deployment.allowed("/orders")), error("Fault", message));
}

#[test]
fn after_a_fault_the_next_event_is_answered() {
    let deployment = Deployment::new();
    let function = deployment.start();
    let message =
        "cedar-gate: API `a1b2c3d4e5` of account `210987654321` is not named in schema/authorizer.toml";
    assert_eq!(function.invoke(deployment.faulty("/orders")), error("Fault", message));
    assert_eq!(function.invoke(deployment.allowed("/orders")), allow("/orders"));
}

#[test]
fn a_payload_that_is_no_event_is_a_fault_with_a_record() {
    let deployment = Deployment::new();
    let function = deployment.start();
    let payloads: [&[u8]; 6] =
        [b"", b"Bearer not json", b"{\"type\":", b"{\"type\":\"\xff\"}", b"[]trailing", b"{}"];
    for payload in payloads {
        let posted = function.invoke(payload);
        let Posted::Error(body) = &posted else { panic!("{posted:?}") };
        assert!(body.starts_with(r#"{"errorType":"Fault","errorMessage":"cedar-gate: "#), "{body}");
    }
    let (stdout, _) = function.finish();
    let records = objects(&stdout);
    assert_eq!(records.len(), payloads.len(), "{stdout}");
    for record in &records {
        assert_eq!((text(record, "outcome"), text(record, "reason")), ("fault", "malformed_event"));
        assert_eq!(text(record, "level"), "ERROR");
    }
}

#[test]
fn a_bad_bundle_is_refused_before_the_first_event() {
    let deployment = Deployment::new();
    deployment.edit("policies/v1/health.cedar", "permit (", "permitted (");
    deployment.edit("policies/versions.toml", "\"v1\"", "\"v2\"");
    let reason = "policies/v1/health.cedar:3:1: CG0101: invalid policy effect: permitted\\n\
                  policies/versions.toml:3:11: CG0502: version `v2` does not exist (the versions are the folders of policies/ \
                  with .cedar files: v1)";

    let mut function = deployment.start();
    let (posted, error_type) = function.init_error();
    assert_eq!(posted, error("BundleError", reason));
    assert_eq!(error_type.as_deref(), Some("Runtime.BundleError"));
    assert_eq!(function.exit_status().code(), Some(1));
    assert_eq!(function.calls(), ["POST …/init/error"]);
    let (stdout, stderr) = function.finish();
    assert_eq!(stdout, "");
    let lines = objects(&stderr);
    let [line] = lines.as_slice() else { panic!("{stderr}") };
    assert_eq!(text(line, "level"), "ERROR");
    assert_eq!(text(line, "message"), "the bundle is refused");
    assert_eq!(text(line, "reason"), reason.replace("\\n", "\n"));
}

#[test]
fn a_missing_bundle_is_refused_too() {
    let deployment = Deployment::new();
    let mut function = deployment.start_with(env("CEDAR_GATE_BUNDLE", "absent"));
    let (posted, _) = function.init_error();
    let message = format!(
        "no bundle at `{}`: expected a folder with `policies` and `schema` in it",
        deployment.bundle.path().join("absent").display()
    );
    assert_eq!(posted, error("BundleError", &message));
    assert_eq!(function.exit_status().code(), Some(1));
    assert_eq!(function.calls(), ["POST …/init/error"]);
}

#[test]
fn a_checkout_a_package_and_a_named_directory_all_work() {
    let deployment = Deployment::new();
    let bundle = deployment.bundle.path();
    let package = tempfile::tempdir().unwrap();
    copy(bundle, &package.path().join("bundle"));
    let elsewhere = tempfile::tempdir().unwrap();
    let functions = [
        deployment.start(),
        deployment.start_with(env("LAMBDA_TASK_ROOT", package.path())),
        deployment.start_with(|command| {
            command.env("LAMBDA_TASK_ROOT", elsewhere.path()).env("CEDAR_GATE_BUNDLE", bundle);
        }),
        deployment.start_with(|command| {
            command.env_remove("LAMBDA_TASK_ROOT").current_dir(bundle);
        }),
    ];
    for function in functions {
        assert_eq!(function.invoke(deployment.allowed("/orders")), allow("/orders"));
        let (stdout, stderr) = function.finish();
        let lines = objects(&stderr);
        let [warning, loaded] = lines.as_slice() else { panic!("{stderr}") };
        let expected = "this is a development bundle: whoever holds the development key can be anybody";
        assert_eq!((text(warning, "level"), text(warning, "message")), ("WARN", expected));
        assert_eq!((text(loaded, "level"), text(loaded, "message")), ("INFO", "the bundle is loaded"));
        assert_eq!(text(loaded, "digest"), text(&objects(&stdout)[0], "bundle"));
        assert!(
            Path::new(text(loaded, "directory")).join("schema").exists() || text(loaded, "directory") == "."
        );
    }
}

#[test]
fn outside_lambda_it_says_what_to_use_instead() {
    let mut function = Deployment::new().start_with(|command| {
        command.env_remove("AWS_LAMBDA_RUNTIME_API");
    });
    assert_eq!(function.exit_status().code(), Some(1));
    let (_, stderr) = function.finish();
    assert!(stderr.contains("use `cedar-gate authorize --event FILE`"), "{stderr}");
}

#[test]
fn no_log_holds_a_token_whatever_level_is_asked_for() {
    let deployment = Deployment::new();
    let function = deployment.start_with(|command| {
        command
            .env("RUST_LOG", "trace")
            .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .env("RUST_BACKTRACE", "full");
    });
    let good = deployment.token(&["clerk"]);
    let stranger = deployment.token_by(&DevelopmentKey::generate(Algorithm::Es256).unwrap(), &["clerk"]);
    let broken = format!("{good}{SECRET}");
    let mut secrets = vec![SECRET];
    let mut events = 0;
    for token in [&good, &stranger, &broken, &deployment.token(&[])] {
        for path in ["/orders", "/orders/../admin", "/nowhere", &format!("/orders/{SECRET}/more")] {
            function.invoke(event(token, "GET", path));
            function.invoke(event(token, "GET", path).replace("prod", "preview"));
            function.invoke(event(token, "GET", path).replace(r#""TOKEN""#, r#""REQUEST""#));
            events += 3;
        }
    }
    for token in [&good, &stranger] {
        secrets.extend(token.split('.'));
    }
    let payloads = [
        format!("Bearer {SECRET}").into_bytes(),
        format!(r#"{{"authorizationToken":"{SECRET}"#).into_bytes(),
        format!(r#"{{"type":"TOKEN","authorizationToken":"Basic {SECRET}","methodArn":"arn:aws"}}"#)
            .into_bytes(),
        [b"\"\xff", SECRET.as_bytes(), b"\""].concat(),
    ];
    for payload in payloads {
        function.invoke(payload);
        events += 1;
    }
    let (stdout, stderr) = function.finish();
    for line in stdout.lines().chain(stderr.lines()) {
        assert_eq!(secrets.iter().find(|secret| line.contains(**secret)), None, "{line}");
    }
    for line in objects(&stderr) {
        assert!(["INFO", "WARN", "ERROR"].contains(&text(&line, "level")), "{line}");
    }
    assert_eq!(objects(&stdout).len(), events, "{stdout}");
}

#[test]
fn a_record_is_one_json_object_on_a_line() {
    let deployment = Deployment::new();
    let function = deployment.start();
    let ids =
        [deployment.allowed("/orders/7"), deployment.denied("/orders"), deployment.unauthorized("/orders")]
            .map(|event| {
                let id = function.push(event);
                function.answer(&id);
                id
            });
    let (stdout, stderr) = function.finish();
    let mut records = objects(&stdout);
    let outcomes: Vec<_> =
        records.iter().map(|record| (text(record, "outcome"), text(record, "level"))).collect();
    assert_eq!(outcomes, [("allow", "INFO"), ("deny", "WARN"), ("unauthorized", "WARN")]);
    for (record, id) in records.iter().zip(&ids) {
        assert_eq!(text(record, "invocation_id"), id);
        let moment: Timestamp = text(record, "timestamp").parse().unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(u64::try_from(moment.unix_seconds()).unwrap()) < 60, "{record}");
        assert!(
            record["duration_us"].as_u64() > Some(0),
            "no answer takes less than a microsecond: {record}"
        );
    }
    let allow = records[0].as_object_mut().unwrap();
    let exp = allow["token"]["exp"].clone();
    assert!(exp.as_i64() > Some(1_700_000_000), "{exp}");
    for changing in ["timestamp", "duration_us"] {
        allow.remove(changing);
    }
    let expected = json!({
        "type": "decision",
        "level": "INFO",
        "outcome": "allow",
        "reason": "policy",
        "invocation_id": ids[0],
        "event": "REST TOKEN",
        "api": "orders-rest",
        "stage": "prod",
        "verb": "GET",
        "path": "/orders/7",
        "action": "GET /orders/{orderId}",
        "route": "/orders/{orderId}",
        "principal": r#"User::"dev|alice""#,
        "roles": ["clerk"],
        "tenant": "acme",
        "facts": {
            "principal.sub": "alice",
            "principal.issuer": "dev",
            "principal.scopes": [],
            "absent": [
                "principal.client_id",
                "principal.email",
                "principal.email_verified",
                "principal.claims.department",
                "context.http.source_ip",
            ],
        },
        "policies": ["clerks-keep-orders"],
        "policy_version": "v1",
        "policy_digest": version_digest(deployment.bundle.path()),
        "bundle": text(&objects(&stderr)[1], "digest"),
        "token": { "issuer": "dev", "kid": deployment.key.key_id(), "jti": "token-1", "exp": exp },
    });
    assert_eq!(records[0], expected);
}

#[test]
fn allows_leave_a_record_as_the_bundle_says_and_refusals_always() {
    let deployment = Deployment::new();
    deployment.edit("schema/authorizer.toml", r#"allow = "all""#, r#"allow = "none""#);
    let function = deployment.start();
    for event in [
        deployment.allowed("/orders"),
        deployment.denied("/orders"),
        deployment.unauthorized("/orders"),
        deployment.faulty("/orders"),
        deployment.allowed("/orders"),
    ] {
        function.invoke(event);
    }
    let (stdout, _) = function.finish();
    let outcomes: Vec<_> = objects(&stdout).iter().map(|record| text(record, "outcome").to_owned()).collect();
    assert_eq!(outcomes, ["deny", "unauthorized", "fault"]);

    deployment.edit("schema/authorizer.toml", r#"allow = "none""#, "allow = 4");
    let function = deployment.start();
    let (allowed, denied) = (deployment.allowed("/orders"), deployment.denied("/orders"));
    for _ in 0..200 {
        function.invoke(allowed.as_str());
    }
    for _ in 0..10 {
        function.invoke(denied.as_str());
    }
    let (stdout, _) = function.finish();
    let (allows, denies): (Vec<_>, Vec<_>) =
        objects(&stdout).into_iter().partition(|record| record["outcome"] == "allow");
    assert!((25..75).contains(&allows.len()), "one in four of 200 left {}", allows.len());
    assert_eq!(denies.len(), 10);
}

#[test]
fn a_token_that_was_verified_is_known_unless_that_is_switched_off() {
    let deployment = Deployment::new();
    for (setting, expected) in [("cache = 1000", [false, true]), ("cache = 0", [false, false])] {
        deployment.edit("schema/authorizer.toml", "cache = 1000", setting);
        let function = deployment.start();
        let token = deployment.token(&["clerk"]);
        for path in ["/orders/1", "/orders/2"] {
            assert_eq!(function.invoke(event(&token, "GET", path)), allow(path));
        }
        let (stdout, _) = function.finish();
        let cached = |record: &Value| record["token"]["cached"].as_bool().unwrap_or(false);
        assert_eq!(objects(&stdout).iter().map(cached).collect::<Vec<_>>(), expected, "{setting}");
    }
}

/// Writing to `/dev/full` fails as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_without_its_record_is_not_given() {
    let deployment = Deployment::new();
    let function = deployment.start_with(|command| {
        command.stdout(File::options().write(true).open("/dev/full").unwrap());
    });
    let message = "cedar-gate: the decision record cannot be written: No space left on device (os error 28)";
    assert_eq!(function.invoke(deployment.allowed("/orders")), error("Fault", message));
}

#[test]
fn one_process_answers_a_thousand_events_on_one_thread() {
    let deployment = Deployment::new();
    let function = deployment.start();
    let token = deployment.token(&["clerk"]);
    let round = |rounds: std::ops::Range<usize>| {
        for n in rounds {
            let path = format!("/orders/{n}");
            assert_eq!(function.invoke(event(&token, "GET", &path)), allow(&path));
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
    assert_eq!(objects(&stdout).len(), 1_000);
}

#[test]
fn concurrent_events_each_get_their_own_answer() {
    let deployment = Deployment::new();
    let function = deployment.start_with(env("AWS_LAMBDA_MAX_CONCURRENCY", "4"));
    function.wait_for_pollers(4);
    let token = deployment.token(&["clerk"]);
    thread::scope(|scope| {
        for caller in 0..8 {
            let (function, token) = (&function, token.as_str());
            scope.spawn(move || {
                let paths: Vec<String> = (0..50).map(|n| format!("/orders/{caller}-{n}")).collect();
                let events = paths.iter().map(|path| (path, function.push(event(token, "GET", path))));
                for (path, request_id) in events.collect::<Vec<_>>() {
                    assert_eq!(function.answer(&request_id), allow(path));
                }
            });
        }
    });
    let posted = function.invoke(deployment.faulty("/orders"));
    assert!(matches!(posted, Posted::Error(_)), "{posted:?}");
    function.wait_for_pollers(4);
    let (stdout, _) = function.finish();
    assert_eq!(objects(&stdout).len(), 401);
}

/// Issuers that publish their keys, and the function that asks them.
struct Published {
    deployment: Deployment,
    server: Server,
}

impl Published {
    /// Each issuer's keys are at its own path of the server.
    fn by(names: &[&str]) -> Self {
        let published = Self { deployment: Deployment::new(), server: Server::start() };
        for name in names {
            let path = published.deployment.bundle.path().join(format!("policies/issuers/{name}.toml"));
            std::fs::write(path, published.file(name)).unwrap();
        }
        published
    }

    fn file(&self, name: &str) -> String {
        issuer_file(name, &format!("{{ url = \"{}\" }}", self.server.url(&format!("/{name}"))))
    }

    fn serve(&self, name: &str, keys: &[&DevelopmentKey]) {
        self.server.set(&format!("/{name}"), Answer::ok(jwks(keys)));
    }

    fn fetches(&self, name: &str) -> usize {
        self.server.count(&format!("/{name}"))
    }

    /// A clerk of that issuer asks for an order.
    fn event(&self, name: &str, key: &DevelopmentKey) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let token = clerks_token(&self.file(name), key, i64::try_from(now).unwrap());
        event(&token, "GET", "/orders/1")
    }
}

fn is_allowed(posted: &Posted) -> bool {
    matches!(posted, Posted::Response(body) if body.contains(r#""Effect":"Allow""#))
}

/// The lines about fetched keys: level, issuer, message, and what went wrong.
fn fetch_lines(stderr: &str) -> Vec<String> {
    let mut lines: Vec<String> = objects(stderr)
        .iter()
        .filter(|line| line.get("issuer").is_some())
        .map(|line| {
            assert_eq!(text(line, "host"), "127.0.0.1", "{line}");
            assert!(line["duration_ms"].is_u64(), "{line}");
            let reason = line["reason"].as_str().map(|reason| reason.rsplit(": ").next().unwrap());
            let [level, issuer, message] = ["level", "issuer", "message"].map(|member| text(line, member));
            format!(
                "{level} {issuer}: {message}{}",
                reason.map_or_else(String::new, |reason| format!(", {reason}"))
            )
        })
        .collect();
    lines.sort();
    lines
}

fn no_keys(name: &str) -> Posted {
    error("Fault", &format!("cedar-gate: no keys of issuer `{name}` are loaded"))
}

#[test]
fn keys_are_fetched_before_the_first_event_and_rotate_between_two() {
    let published = Published::by(&["steady", "broken", "slow"]);
    let [old, new] = [(); 2].map(|()| DevelopmentKey::generate(Algorithm::Es256).unwrap());
    published.serve("steady", &[&old]);
    published.server.set("/broken", Answer::status(500));
    published.server.set("/slow", Answer::Stall(Vec::new()));
    let function = published.deployment.start();
    function.wait_for_pollers(1);
    let started = Instant::now();
    assert_eq!(["steady", "broken", "slow"].map(|name| published.fetches(name)), [1, 1, 1]);

    // Who answered is answered for; who did not is a fault that nobody caches, for its own tokens alone.
    assert!(is_allowed(&function.invoke(published.event("steady", &old))));
    assert_eq!(function.invoke(published.event("broken", &old)), no_keys("broken"));
    assert_eq!(function.invoke(published.deployment.allowed("/orders/1")), allow("/orders/1"));
    assert_eq!(["steady", "broken"].map(|name| published.fetches(name)), [1, 1]);
    // Who was too slow for the start alone is asked with the first token, and that within its invocation.
    published.serve("slow", &[&old]);
    assert!(is_allowed(&function.invoke(published.event("slow", &old))));

    // A key that was not there a moment ago is nobody's.
    let unauthorized = error("Unauthorized", "Unauthorized");
    assert_eq!(function.invoke(published.event("steady", &new)), unauthorized);
    published.serve("steady", &[&old, &new]);
    published.serve("broken", &[&new]);
    thread::sleep(Duration::from_millis(10_200).saturating_sub(started.elapsed()));
    for (name, key) in [("steady", &new), ("steady", &old), ("broken", &new), ("slow", &old)] {
        assert!(is_allowed(&function.invoke(published.event(name, key))), "{name}");
    }
    assert_eq!(["steady", "broken", "slow"].map(|name| published.fetches(name)), [2, 2, 2]);

    let (stdout, stderr) = function.finish();
    let records = objects(&stdout);
    let reasons: Vec<&str> = records.iter().map(|record| text(record, "reason")).collect();
    let policy = "policy";
    let expected =
        [policy, "keys_unavailable", policy, policy, "unknown_key", policy, policy, policy, policy];
    assert_eq!(reasons, expected, "one record an event, of its last answer");
    assert_eq!(
        fetch_lines(&stderr),
        [
            "INFO broken: the keys are fetched",
            "INFO slow: the keys are fetched",
            "INFO steady: the keys are fetched",
            "INFO steady: the keys are fetched",
            "WARN broken: the keys cannot be fetched, status 500",
            "WARN slow: the keys cannot be fetched, the time was up",
        ]
    );
}

#[test]
fn an_issuer_is_asked_about_an_opaque_token_by_the_secret_of_the_function() {
    const TOKEN: &str = "dG9rZW4";
    let published = Published::by(&[]);
    for (name, variable) in [("asked", "GATE_SECRET"), ("broken", "GATE_SECRET"), ("unknown", "ABSENT")] {
        let url = published.server.url(&format!("/{name}"));
        let path = published.deployment.bundle.path().join(format!("policies/issuers/{name}.toml"));
        std::fs::write(path, opaque_issuer_file(name, &url, &format!("{{ env = \"{variable}\" }}"))).unwrap();
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    published.server.set("/asked", said_of_a_clerk(i64::try_from(now).unwrap()));
    published.server.set("/broken", Answer::status(500));
    let function = published.deployment.start_with(env("GATE_SECRET", SECRET));
    for (name, is_answered) in [("asked", true), ("asked", true), ("broken", false), ("unknown", false)] {
        let posted = function.invoke(event(&format!("{name}-{TOKEN}"), "GET", "/orders/1"));
        assert_eq!(is_allowed(&posted), is_answered, "{posted:?}");
        assert!(!format!("{posted:?}").contains(TOKEN), "{posted:?}");
    }
    assert_eq!(["asked", "broken", "unknown"].map(|name| published.fetches(name)), [1, 1, 0]);
    let (stdout, stderr) = function.finish();
    for line in stdout.lines().chain(stderr.lines()) {
        assert!(![TOKEN, SECRET].iter().any(|secret| line.contains(secret)), "{line}");
    }
    let told: Vec<String> = objects(&stderr)
        .iter()
        .filter_map(|line| Some(format!("{}: {}", line["level"].as_str()?, line["reason"].as_str()?)))
        .collect();
    let unset = "environment variable `ABSENT` is not set";
    assert_eq!(
        told,
        [
            format!("ERROR: issuer `unknown` cannot be asked about tokens: {unset}"),
            format!("WARN: `{}`: status 500", published.server.url("/broken")),
            format!("WARN: the client secret: {unset}"),
        ]
    );
}

#[test]
fn an_issuer_that_nobody_serves_does_not_stop_the_start() {
    let published = Published::by(&["dead"]);
    let key = DevelopmentKey::generate(Algorithm::Es256).unwrap();
    let address = published.server.url("/dead");
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    published.deployment.edit("policies/issuers/dead.toml", &address, &format!("http://{nowhere}/dead"));
    let function = published.deployment.start();
    assert_eq!(function.invoke(published.event("dead", &key)), no_keys("dead"));
    assert_eq!(function.invoke(published.deployment.allowed("/orders/1")), allow("/orders/1"));
    let (stdout, stderr) = function.finish();
    let records = objects(&stdout);
    assert_eq!((text(&records[0], "reason"), text(&records[0], "level")), ("keys_unavailable", "ERROR"));
    assert_eq!(
        fetch_lines(&stderr).len(),
        1,
        "the start has tried, and nobody tries again at once: {stderr}"
    );
}

#[test]
fn who_waits_for_an_issuer_keeps_nobody_else_waiting() {
    let published = Published::by(&["slow"]);
    let key = DevelopmentKey::generate(Algorithm::Es256).unwrap();
    published.server.set("/slow", Answer::Stall(Vec::new()));
    let function = published.deployment.start_with(env("AWS_LAMBDA_MAX_CONCURRENCY", "6"));
    function.wait_for_pollers(6);
    // As many as wait for the issuer at once are more than there are processors.
    let slow = published.event("slow", &key);
    let waiting: Vec<String> = (0..5).map(|_| function.push(slow.as_str())).collect();
    function.wait_for_pollers(1);
    for n in 0..5 {
        let path = format!("/orders/{n}");
        assert_eq!(function.invoke(published.deployment.allowed(&path)), allow(&path));
    }
    assert!(
        !function.calls().contains(&"POST …/error".to_owned()),
        "all 5 were answered while 5 others waited"
    );
    for id in waiting {
        assert_eq!(function.answer(&id), no_keys("slow"));
    }
    assert_eq!(published.fetches("slow"), 2, "by the start, and by one of the five");
    let (stdout, _) = function.finish();
    let waited = |record: &&Value| {
        record["reason"] == "keys_unavailable" && record["duration_us"].as_u64() > Some(500_000)
    };
    assert!(objects(&stdout).iter().filter(waited).count() >= 1, "the duration counts the waiting: {stdout}");
}

#[test]
fn the_link_moves_to_another_bundle_or_to_none_that_is_good() {
    for (file, from, to, reason) in [
        ("policies/v1/orders.cedar", "permit (", "permit ( ", None),
        (
            "policies/issuers/acme.toml",
            "token_use = \"access\"",
            "token_use = \"acces\"",
            Some(
                "policies/issuers/acme.toml:5:13: CG0401: unknown variant `acces`, expected one of `access`, `id`, `any`",
            ),
        ),
    ] {
        let deployment = Deployment::new();
        let next = tempfile::tempdir().unwrap();
        copy(deployment.bundle.path(), next.path());
        let path = next.path().join(file);
        let changed = std::fs::read_to_string(&path).unwrap().replacen(from, to, 1);
        std::fs::write(path, changed).unwrap();
        let links = tempfile::tempdir().unwrap();
        let link = links.path().join("current");
        symlink(deployment.bundle.path(), &link).unwrap();
        let function = deployment.start_with(env("CEDAR_GATE_BUNDLE", &link));
        function.wait_for_pollers(1);
        symlink(next.path(), links.path().join("next")).unwrap();
        std::fs::rename(links.path().join("next"), &link).unwrap();
        let decides = if reason.is_none() { next.path() } else { deployment.bundle.path() };
        for _ in 0..2 {
            let allowed = function.invoke(deployment.allowed("/orders"));
            assert_eq!(allowed, allow_by(&provenance_of(decides), "/orders"));
        }
        let (stdout, stderr) = function.finish();
        let (records, lines) = (objects(&stdout), objects(&stderr));
        let news: Vec<&Value> =
            lines.iter().skip_while(|line| line["message"] != "the bundle is loaded").skip(1).collect();
        let first =
            text(lines.iter().find(|line| line["message"] == "the bundle is loaded").unwrap(), "digest");
        let directory = next.path().canonicalize().unwrap();
        let in_charge = match (reason, news.as_slice()) {
            (None, [warning, swapped]) => {
                assert_eq!(text(warning, "level"), "WARN");
                assert_eq!(
                    (text(swapped, "level"), text(swapped, "message")),
                    ("INFO", "another bundle is in charge")
                );
                assert_ne!(text(swapped, "digest"), first);
                text(swapped, "digest")
            }
            (Some(reason), [refused]) => {
                let message = "the bundle is refused, and the one before stays in charge";
                assert_eq!((text(refused, "level"), text(refused, "message")), ("ERROR", message));
                assert_eq!((text(refused, "reason"), text(refused, "in_charge")), (reason, first));
                first
            }
            _ => panic!("{stderr}"),
        };
        assert_eq!(text(news.last().unwrap(), "directory"), directory.to_str().unwrap());
        assert!(records.iter().all(|record| text(record, "bundle") == in_charge), "{stdout}");
    }
}
