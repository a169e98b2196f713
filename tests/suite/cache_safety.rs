//! What the gateway's cache would make wrong is found before it does: which policy, by which fact, for which operations.

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::finding::Finding;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::bundle::{Bundle, ROUTES_SCHEMA, load_route_table};
use cedar_gate::tools::cache_safety;
use cedar_gate::tools::whole_api;
use serde::{Deserialize, Serialize};

use crate::bundle::example;

#[derive(Deserialize, Serialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize, Serialize)]
struct Case {
    what: String,
    /// The lines of the one API, beside its name, account and id.
    api: String,
    /// Routes beside those of the example.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    routes: String,
    /// A policy beside those of the example.
    #[serde(default)]
    policy: String,
    found: Vec<String>,
}

/// The example with one API and one policy more; its policies may read every kind of volatile fact.
fn bundle(case: &Case) -> SourceFiles {
    let mut files = example();
    let api =
        "development = true\n[[api]]\nname = \"orders\"\naccount = \"123456789012\"\nid = \"a1b2c3d4e5\"\n";
    files.insert("schema/authorizer.toml", format!("{api}{}", case.api));
    let schema = files.text("schema/gateway.cedarschema").unwrap().replace(
        "  time?: datetime,\n",
        "  time?: datetime, client_cert_subject?: String, headers?: { \"x-tier\"?: String },\n  \
         query?: { tier?: String }, stage_variables?: { tier?: String },\n",
    );
    files.insert("schema/gateway.cedarschema", schema);
    let routes = format!("{}\n{}", files.text("schema/routes.toml").unwrap(), case.routes);
    files.insert("schema/routes.toml", routes);
    let generated = load_route_table(&files).unwrap().cedarschema();
    files.insert(ROUTES_SCHEMA, generated);
    files.insert("policies/v1/volatile.cedar", case.policy.as_str());
    files
}

fn found(case: &Case) -> Vec<String> {
    let files = bundle(case);
    let bundle = Bundle::load(&files).unwrap_or_else(|errors| panic!("{}: {errors}", case.what));
    let authorizer = Authorizer::new(bundle).unwrap();
    let kept = cache_safety::check(&authorizer, &files).unwrap();
    let line = |finding: &Finding| format!("{}: {finding}", finding.severity().as_str());
    let mut found: Vec<String> = kept.iter().map(|found| line(&found.finding)).collect();
    for documents in whole_api::check(&authorizer, &files, &[]).unwrap() {
        let unstated = documents.unstated.iter();
        found.extend(unstated.map(|unstated| line(&unstated.finding)));
        let whole_api::ApiDocuments { principals, exact, exact_but_for_collisions, .. } = documents;
        found.push(format!(
            "documents of {principals}: {exact} exact, {exact_but_for_collisions} but for collisions"
        ));
    }
    found
}

/// `UPDATE_GOLDEN=1 cargo test cache_safety` writes `found`.
#[test]
fn what_a_kept_answer_cannot_tell_is_found() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bundle/caches.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let mut cases: Cases = toml::from_str(&text).unwrap();
    for case in &mut cases.case {
        let found = found(case);
        if std::env::var_os("UPDATE_GOLDEN").is_none() {
            assert_eq!(found, case.found, "{}", case.what);
        }
        case.found = found;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, toml::to_string_pretty(&cases).unwrap()).unwrap();
    }
}

#[test]
fn what_is_not_kept_is_not_looked_at() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bundle/caches.toml");
    let cases: Cases = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for mut case in cases.case {
        let ttl = case.api.lines().find(|line| line.starts_with("result_ttl_seconds")).unwrap().to_owned();
        case.api = case.api.replace(&ttl, "result_ttl_seconds = 0");
        assert_eq!(found(&case), [""; 0], "{}", case.what);
    }
}
