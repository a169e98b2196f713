//! What the processes are started with: bundles of many sizes in a folder of their own, and events that each of them allows.
//!
//! `N` policies are grants of roles by service, a hundred a role: `read` or `write` below `/svc07`, each tenth for one's own
//! department alone; and one forbid that keeps every tenant to itself. Fifty services with four routes each, so there are as
//! many operations at every size, and more roles.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

/// How many policies.
pub(crate) const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// From here on the checks of a folder of sources take seconds, so it is not started.
const MOST_AS_SOURCES: usize = 1_000;

/// And from here on a table of as many rows tells nothing new of answers about the whole API.
const MOST_WHOLE: usize = 1_000;

const DEPLOYMENT: &str = "schema/authorizer.toml";

/// More than are asked between two starts, so that none of them is known.
const TOKENS: usize = 512;

const SERVICES: usize = 50;

const CLI: &str = env!("CARGO_BIN_EXE_cedar-gate");

/// A bundle: its name, where it stands, and what is promised of its start (in starts of the empty handler) and memory (in
/// megabytes).
pub(crate) type Started = (String, PathBuf, Option<(f64, f64)>);

pub(crate) struct Workload {
    folder: TempDir,
    bundles: Vec<Started>,
    events: Vec<String>,
}

impl Workload {
    /// Writes the bundles, and signs the tokens.
    pub(crate) fn new(sizes: &[usize]) -> Self {
        let folder = tempfile::tempdir().expect("there is room for the bundles");
        let mut bundles = Vec::new();
        for size in sizes {
            let sources = folder.path().join(format!("sources-{size}"));
            write(&sources, *size);
            if *size <= MOST_AS_SOURCES {
                bundles.push((format!("{size} policies, as sources"), sources.clone(), None));
            }
            let build = |name: &str| {
                let built = folder.path().join(format!("{name}-{size}.cgb"));
                let out = built.to_str().expect("the path is text");
                run(folder.path(), &sources, &["bundle", "build", "--out", out, "--release", "1"]);
                built
            };
            bundles.push((format!("{size} policies, built"), build("built"), Some(promised(*size))));
            if *size <= MOST_WHOLE {
                put(&sources, DEPLOYMENT, &authorizer("api", 300));
                let built = build("whole");
                put(&sources, DEPLOYMENT, &authorizer("request", 0));
                bundles.push((format!("{size} policies, built, whole API"), built, Some(PROMISED_WHOLE)));
            }
        }
        let sources = folder.path().join(format!("sources-{}", sizes[0]));
        let events = (0..TOKENS).map(|number| event(&token(folder.path(), &sources, number))).collect();
        Self { folder, bundles, events }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All of them.
    pub(crate) fn bundles(&self) -> impl Iterator<Item = Started> {
        self.bundles.iter().cloned()
    }

    /// Events of callers whom every bundle allows what they ask for; each has a token of its own.
    pub(crate) fn events(&self) -> &[String] {
        &self.events
    }
}

/// What is promised of a built bundle whose answers speak of all operations, each of which is prepared at the start.
const PROMISED_WHOLE: (f64, f64) = (4.0, 16.0);

/// What is promised of a built bundle of that size.
const fn promised(size: usize) -> (f64, f64) {
    match size {
        0..=100 => (2.5, 12.0),
        101..=1_000 => (2.5, 16.0),
        1_001..=10_000 => (2.5, 48.0),
        _ => (3.0, 48.0),
    }
}

/// A role for a hundred grants.
fn roles(size: usize) -> usize {
    size.div_ceil(100)
}

fn put(folder: &Path, path: &str, text: &str) {
    fs::write(folder.join(path), text).expect("the bundle is written");
}

fn write(folder: &Path, size: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for inside in ["policies/v1", "policies/issuers", "schema"] {
        fs::create_dir_all(folder.join(inside)).expect("there is room for the bundles");
    }
    let put = |path: &str, text: String| put(folder, path, &text);
    let example = |path: &str| fs::read_to_string(root.join(path)).expect("the example is read");
    put("policies/versions.toml", example("policies/versions.toml"));
    put("schema/gateway.cedarschema", example("schema/gateway.cedarschema"));
    put(DEPLOYMENT, authorizer("request", 0));
    let (mut routes, mut granted) = (String::new(), String::new());
    for service in 0..SERVICES {
        for (path, methods) in [("", r#""GET", "POST""#), ("/{id}", r#""GET", "DELETE""#)] {
            _ = write!(routes, "[[route]]\npath = \"/svc{service:02}{path}\"\nmethods = [{methods}]\n\n");
        }
    }
    put("schema/routes.toml", routes);
    let mut table = String::new();
    for role in 0..roles(size) {
        _ = write!(table, "[role-{role}]\ndescription = \"The grants of team {role}.\"\n");
        _ = write!(granted, "\"role-{role}\", ");
    }
    put("policies/v1/roles.toml", table);
    put("policies/issuers/dev.toml", issuer(&granted));
    for role in 0..roles(size) {
        put(&format!("policies/v1/team-{role}.cedar"), grants(role, size));
    }
    put(
        "policies/v1/tenants.cedar",
        "@id(\"tenants\")\nforbid (principal, action, resource)\nunless { principal in Tenant::\"acme\" };\n"
            .to_owned(),
    );
    run(folder, folder, &["routes", "schema", "--write"]);
}

/// One API, whose answers speak of the asked method alone or of the whole API.
fn authorizer(scope: &str, result_ttl_seconds: u32) -> String {
    format!(
        "development = true\n[[api]]\nname = \"orders-rest\"\nkind = \"rest\"\naccount = \"123456789012\"\nid = \"a1b2c3d4e5\"\n\
     stages = [\"prod\"]\nresource_policy = false\ntoken = [{{ header = \"Authorization\" }}]\nunauthorized = \"error\"\n\
     scope = \"{scope}\"\nresult_ttl_seconds = {result_ttl_seconds}\n[tokens]\ncache = 1000\n"
    )
}

fn issuer(granted: &str) -> String {
    format!(
        "name = \"dev\"\nissuer = \"https://dev.cedar-gate.invalid\"\nprovider = \"oidc\"\nkeys = \"development\"\n\
         token_use = \"access\"\naudience = [\"orders-api\"]\ntenant = {{ claim = \"tenant\", allow = [\"acme\"] }}\n\
         roles = {{ claim = \"roles\", grant = [{granted}] }}\nclaims = {{ department = \"department\" }}\n"
    )
}

/// What a role may do; of all roles together one policy less than `size`.
fn grants(role: usize, size: usize) -> String {
    let mut text = String::new();
    for grant in (0..100).take_while(|grant| role * 100 + grant + 1 < size) {
        let (service, access) = (grant % SERVICES, if grant < SERVICES { "read" } else { "write" });
        let condition = match grant % 10 {
            9 => "\nwhen { principal.claims has department && principal.claims.department == \"sales\" }",
            _ => "",
        };
        _ = write!(
            text,
            "@id(\"role-{role}-{access}-svc{service:02}\")\n@description(\"Team {role} may {access} what service {service} has.\")\n\
             permit (principal in Role::\"role-{role}\", action in Action::\"{access}\", resource in Path::\"/svc{service:02}\"){condition};\n\n"
        );
    }
    text
}

/// A caller who may read the first service.
fn token(home: &Path, sources: &Path, number: usize) -> String {
    let sub = format!("subject-{number:04}");
    let minted = ["token", "mint", "--issuer", "dev", "--sub", &sub, "--role", "role-0", "--tenant", "acme"];
    run(home, sources, &minted).trim().to_owned()
}

/// A REST REQUEST event, of about 2 KB.
fn event(token: &str) -> String {
    let bearer = format!("Bearer {token}");
    json!({
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET/svc00/4711",
        "resource": "/svc00/{id}",
        "path": "/svc00/4711",
        "httpMethod": "GET",
        "headers": { "Authorization": bearer, "Accept": "application/json", "Host": "orders.example" },
        "queryStringParameters": null,
        "pathParameters": { "id": "4711" },
        "stageVariables": null,
        "requestContext": {
            "resourceId": "abc123",
            "accountId": "123456789012",
            "stage": "prod",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "apiId": "a1b2c3d4e5",
            "identity": { "sourceIp": "192.0.2.17", "userAgent": "Mozilla/5.0" },
        },
    })
    .to_string()
}

/// Runs the command line in a bundle's folder.
fn run(home: &Path, folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(CLI)
        .args(arguments)
        .current_dir(folder)
        .env("CEDAR_GATE_HOME", home)
        .output()
        .expect("the command line runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it writes text")
}
