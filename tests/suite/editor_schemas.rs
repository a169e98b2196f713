//! The JSON Schemas of `schema/json`, by which editors complete the files that people write: every file that a reader takes
//! passes its schema, and every table has the keys that its reader names, no more and no fewer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cedar_gate::bundle::Bundle;
use cedar_gate::fetch::read_bundle;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema(name: &str) -> Value {
    let path = root().join(format!("schema/json/{name}.schema.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The schema of a bundle's file, by its path in the bundle.
fn schema_of(path: &str) -> Option<&'static str> {
    match path {
        "schema/authorizer.toml" => Some("authorizer"),
        "schema/routes.toml" => Some("routes"),
        "policies/versions.toml" => Some("versions"),
        "policies/revocations.toml" => Some("revocations"),
        path if path.starts_with("policies/issuers/") && path.ends_with(".toml") => Some("issuer"),
        path if path.starts_with("policies/") && path.ends_with("/roles.toml") => Some("roles"),
        _ => None,
    }
}

/// A TOML file as JSON, a moment as text: what editors make of it.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::Datetime(moment) => Value::String(moment.to_string()),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(members) => {
            members.into_iter().map(|(name, member)| (name, json(member))).collect()
        }
        other => serde_json::to_value(other).unwrap(),
    }
}

/// Validates by the keywords that the schemas use; another keyword is a mistake here, so that none is passed over.
fn validate(schema: &Value, value: &Value, place: &str, errors: &mut Vec<String>) {
    let mut fail = |what: String| errors.push(format!("{place}: {what}"));
    for (keyword, rule) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$schema" | "title" | "description" => {}
            "type" => {
                let is = match rule.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64(),
                    other => panic!("type {other}"),
                };
                if !is {
                    fail(format!("{value} is no {rule}"));
                }
            }
            "enum" => {
                if !rule.as_array().unwrap().contains(value) {
                    fail(format!("{value} is none of {rule}"));
                }
            }
            "minimum" | "maximum" => {
                let (limit, number) = (rule.as_i64().unwrap(), value.as_i64().unwrap_or_default());
                if (keyword == "minimum" && number < limit) || (keyword == "maximum" && number > limit) {
                    fail(format!("{value} is beyond {rule}"));
                }
            }
            "pattern" => {
                let prefix = rule.as_str().unwrap().trim_start_matches('^').replace('\\', "");
                if value.as_str().is_some_and(|text| !text.starts_with(&prefix)) {
                    fail(format!("{value} does not begin with {prefix}"));
                }
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    if value.as_object().is_some_and(|members| !members.contains_key(name.as_str().unwrap()))
                    {
                        fail(format!("no {name}"));
                    }
                }
            }
            "anyOf" => {
                let passes = |alternative: &Value| {
                    let mut errors = Vec::new();
                    validate(alternative, value, place, &mut errors);
                    errors.is_empty()
                };
                if !rule.as_array().unwrap().iter().any(passes) {
                    fail(format!("{value} is none of the alternatives"));
                }
            }
            "items" | "properties" | "additionalProperties" => {}
            other => panic!("keyword {other}"),
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if let Some(items) = schema.get("items") {
            validate(items, item, &format!("{place}[{index}]"), errors);
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        match (schema.get("properties").and_then(|known| known.get(name)), schema.get("additionalProperties"))
        {
            (Some(property), _) => validate(property, member, &place, errors),
            (None, Some(Value::Bool(false))) => errors.push(format!("{place}: unknown")),
            (None, Some(others)) => validate(others, member, &place, errors),
            (None, None) => {}
        }
    }
}

#[test]
fn every_file_that_is_read_passes_its_schema() {
    let bundles: Vec<PathBuf> = ["", "tests/pipeline/bundle"].map(|folder| root().join(folder)).into();
    let mut seen = BTreeSet::new();
    for bundle in &bundles {
        let files = read_bundle(bundle).unwrap();
        for path in files.paths() {
            let Some(name) = schema_of(path) else { continue };
            seen.insert(name);
            let value = json(toml::from_str(files.text(path).unwrap()).unwrap());
            let mut errors = Vec::new();
            validate(&schema(name), &value, path, &mut errors);
            assert!(errors.is_empty(), "{}: {errors:?}", bundle.display());
        }
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["authorizer", "issuer", "revocations", "roles", "routes", "versions"]
    );
}

/// The keys that a reader names when it meets one that it does not know.
fn keys_of_reader(path: &str, text: &str) -> BTreeSet<String> {
    let mut files = read_bundle(root()).unwrap();
    files.insert(path, text);
    let errors = Bundle::load(&files).unwrap_err();
    let messages: Vec<String> = errors
        .findings()
        .iter()
        .filter(|finding| finding.file == path)
        .map(|finding| finding.message.clone())
        .collect();
    let message = messages
        .iter()
        .find_map(|message| message.split_once("unknown field `zz`, expected"))
        .unwrap_or_else(|| panic!("{path}: {messages:?} for {text}"))
        .1;
    message.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_table_has_the_keys_that_its_reader_knows() {
    let issuer =
        "name = \"x\"\nissuer = \"https://x.example\"\nprovider = \"oidc\"\ntoken_use = \"access\"\n";
    let api = "[[api]]\nname = \"x\"\nkind = \"rest\"\naccount = \"123456789012\"\nid = \"a1b2c3d4e5\"\n";
    let issuer_with = |line: &str| format!("{issuer}{line}\n");
    let dev = "policies/issuers/dev.toml";
    for (path, text, pointer) in [
        ("schema/authorizer.toml", "zz = 1".to_owned(), ""),
        ("schema/authorizer.toml", "[[api]]\nzz = 1".to_owned(), "/properties/api/items"),
        (
            "schema/authorizer.toml",
            format!("{api}token = [{{ zz = 1 }}]"),
            "/properties/api/items/properties/token/items",
        ),
        (
            "schema/authorizer.toml",
            "[context]\na = { zz = 1 }".to_owned(),
            "/properties/context/additionalProperties/anyOf/1",
        ),
        ("schema/authorizer.toml", "[tokens]\nzz = 1".to_owned(), "/properties/tokens"),
        ("schema/authorizer.toml", "[document]\nzz = 1".to_owned(), "/properties/document"),
        ("schema/authorizer.toml", "[log]\nzz = 1".to_owned(), "/properties/log"),
        ("schema/routes.toml", "zz = 1".to_owned(), ""),
        ("schema/routes.toml", "[[route]]\nzz = 1".to_owned(), "/properties/route/items"),
        ("policies/versions.toml", "zz = 1".to_owned(), ""),
        (
            "policies/versions.toml",
            "[stage.a.b]\nzz = 1".to_owned(),
            "/properties/stage/additionalProperties/additionalProperties",
        ),
        ("policies/v1/roles.toml", "[a]\nzz = 1".to_owned(), "/additionalProperties"),
        ("policies/revocations.toml", "zz = 1".to_owned(), ""),
        ("policies/revocations.toml", "[[revoke]]\nzz = 1".to_owned(), "/properties/revoke/items"),
        (dev, "zz = 1".to_owned(), ""),
        (dev, issuer_with("roles = { zz = 1 }"), "/properties/roles"),
        (dev, issuer_with("tenant = { zz = 1 }"), "/properties/tenant/anyOf/1"),
        (dev, issuer_with("keys = { zz = 1 }"), "/properties/keys/anyOf/1"),
        (dev, issuer_with("introspection = { zz = 1 }"), "/properties/introspection"),
        (dev, issuer_with("token_use_claim = { zz = 1 }"), "/properties/token_use_claim"),
    ] {
        let schema = schema(schema_of(path).unwrap());
        let table = schema.pointer(pointer).unwrap_or_else(|| panic!("{path}: no {pointer}"));
        let properties = table["properties"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(properties, keys_of_reader(path, &text), "{path}{pointer}");
    }
}

#[test]
fn a_schema_is_no_part_of_a_bundle() {
    let files = read_bundle(root()).unwrap();
    assert!(files.paths().all(|path| !path.ends_with(".schema.json")));
    assert!(root().join("schema/json/authorizer.schema.json").exists());
}
