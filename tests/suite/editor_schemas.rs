//! The JSON Schemas of `schema/json`, by which editors complete the files that people write: every file that a reader takes
//! passes its schema, and every table has the keys that its reader names, no more and no fewer.

use std::collections::BTreeSet;
use std::path::Path;

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::fetch::{read_bundle, read_policy_tests};
use cedar_gate::tools::scaffold::{self, NewApi, NewBundle, SOME_ROUTES};
use cedar_gate::tools::suite::{PRINCIPALS, Suites};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema(name: &str) -> Value {
    let path = root().join(format!("schema/json/{name}.schema.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The schema of a file, by its path in the bundle's folder.
fn schema_of(path: &str) -> Option<&'static str> {
    match path {
        "schema/authorizer.toml" => Some("authorizer"),
        "schema/routes.toml" => Some("routes"),
        "policies/versions.toml" => Some("versions"),
        "policies/revocations.toml" => Some("revocations"),
        PRINCIPALS => Some("principals"),
        path if path.starts_with("tests/policies/") && path.ends_with(".toml") => Some("suite"),
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

/// What is wrong with a file, by its schema.
fn errors_of(path: &str, text: &str) -> Vec<String> {
    let schema = schema(schema_of(path).unwrap());
    let mut errors = Vec::new();
    validate(&schema, &schema, &json(toml::from_str(text).unwrap()), path, &mut errors);
    errors
}

/// Validates by the keywords that the schemas use; another keyword is a mistake here, so that none is passed over.
fn validate(root: &Value, schema: &Value, value: &Value, place: &str, errors: &mut Vec<String>) {
    if let Some(reference) = schema.get("$ref") {
        assert_eq!(schema.as_object().unwrap().len(), 1, "{place}: $ref beside other keywords");
        let pointer = reference.as_str().unwrap().trim_start_matches('#');
        return validate(root, root.pointer(pointer).unwrap(), value, place, errors);
    }
    let mut fail = |what: String| errors.push(format!("{place}: {what}"));
    for (keyword, rule) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => {}
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
                    validate(root, alternative, value, place, &mut errors);
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
            validate(root, items, item, &format!("{place}[{index}]"), errors);
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        match (schema.get("properties").and_then(|known| known.get(name)), schema.get("additionalProperties"))
        {
            (Some(property), _) => validate(root, property, member, &place, errors),
            (None, Some(Value::Bool(false))) => errors.push(format!("{place}: unknown")),
            (None, Some(others)) => validate(root, others, member, &place, errors),
            (None, None) => {}
        }
    }
}

/// The files that people write, with their texts: of the examples and of a new bundle.
fn written() -> Vec<(String, String)> {
    let mut written = Vec::new();
    let mut add = |files: &SourceFiles| {
        let texts = files.paths().filter_map(|path| Some((path.to_owned(), files.text(path)?.to_owned())));
        written.extend(texts);
    };
    for folder in ["", "tests/pipeline/bundle"] {
        add(&read_bundle(&root().join(folder)).unwrap());
    }
    add(&read_policy_tests(root()).unwrap());
    for kind in [NewApi::Rest, NewApi::Http] {
        let new = NewBundle {
            api: "shop",
            kind,
            account: "123456789012",
            id: "a1b2c3d4e5",
            stage: "prod",
            routes: SOME_ROUTES,
        };
        for (path, text) in scaffold::files(&new).unwrap().into_iter().chain(scaffold::tests(&new).unwrap()) {
            written.push((path.to_owned(), text));
        }
    }
    written
}

#[test]
fn every_file_that_is_read_passes_its_schema() {
    let mut seen = BTreeSet::new();
    for (path, text) in written() {
        let Some(name) = schema_of(&path) else { continue };
        seen.insert(name);
        assert_eq!(errors_of(&path, &text), Vec::<String>::new(), "{text}");
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["authorizer", "issuer", "principals", "revocations", "roles", "routes", "suite", "versions"]
    );
}

/// What a reader of suites takes, beside what the shipped ones use; and what it refuses for what is written, not for what
/// exists.
#[test]
fn a_suite_is_taken_by_its_schema_as_by_its_reader() {
    let case = |lines: &str| {
        format!("[[case]]\nname = \"x\"\nprincipals = [\"clara\"]\nrequests = [\"GET /health\"]\n{lines}\n")
    };
    let token = |line: &str| case(&format!("expect = \"allow\"\ntoken = {{ {line} }}"));
    for (text, is_taken) in [
        (case("expect = \"allow\""), true),
        (case("expect = { deny = \"policy\" }"), true),
        (case("expect = { unauthorized = \"expired\" }"), true),
        (case("expect = \"maybe\""), false),
        (case("expect = { allow = \"policy\" }"), false),
        (case("expect = { deny = \"policy\", fault = \"internal\" }"), false),
        (case("expect = {}"), false),
        (case("because = \"health-for-everyone\""), true),
        (case("because = [\"health-for-everyone\"]"), true),
        (case("because = { exact = \"health-for-everyone\" }"), true),
        (case("because = { includes = [\"health-for-everyone\"] }"), true),
        (case("because = { excludes = [\"own-profile\"] }"), true),
        (case("because = { only = [\"own-profile\"] }"), false),
        (case("because = 1"), false),
        (case("expect = \"allow\"\nnow = 2026-11-21T10:00:00Z"), true),
        (case("expect = \"allow\"\nnow = \"2026-11-21T10:00:00Z\""), true),
        (case("expect = \"allow\"\nnow = 1795255200"), true),
        (case("expect = \"allow\"\nnow = true"), false),
        (case("expect = \"allow\"\nfacts = { source_ip = \"203.0.113.7\" }"), true),
        (case("expect = \"allow\"\nfacts = { source_ip = 7 }"), false),
        (case("expect = \"allow\"\nfacts = 7"), false),
        (token("signature = \"forged\""), true),
        (token("signature = { of = \"dev\" }"), true),
        (token("signature = \"mine\""), false),
        (token("signature = {}"), false),
        (token("expires_in = -60, issued_in = -120, header = { kid = \"k\" }, without = [\"jti\"]"), true),
        (token("expires_in = \"soon\""), false),
        ("[[case]]\nprincipals = [\"clara\"]\n".to_owned(), false),
        (format!("{}[principal.x]\nroles = []\n", case("expect = \"allow\"")), false),
        (
            format!("{}[principal.x]\nissuer = \"dev\"\nprincipal = \"clara\"\n", case("expect = \"allow\"")),
            false,
        ),
        (
            format!("{}[principal.x]\nissuer = \"dev\"\ndescription = \"X\"\n", case("expect = \"allow\"")),
            true,
        ),
    ] {
        let mut files = read_bundle(root()).unwrap();
        let bundle = Bundle::load(&files).unwrap();
        files.insert(PRINCIPALS, "[principal.clara]\nissuer = \"acme-staff\"\nroles = [\"clerk\"]\n");
        files.insert(SUITE, text.as_str());
        let errors = Suites::load(&bundle, &files, false).err().map(|errors| errors.errors);
        assert_eq!(errors.is_none(), is_taken, "{text}: {errors:?}");
        let errors = errors_of(SUITE, &text);
        assert_eq!(errors.is_empty(), is_taken, "{text}: {errors:?}");
    }
}

/// The path of a suite.
const SUITE: &str = "tests/policies/x.toml";

/// The keys that a reader names when it meets one that it does not know.
fn keys_of_reader(path: &str, text: &str) -> BTreeSet<String> {
    let mut files = read_bundle(root()).unwrap();
    let found = match path.starts_with("tests/") {
        true => {
            let bundle = Bundle::load(&files).unwrap();
            files.insert(path, text);
            Suites::load(&bundle, &files, false).unwrap_err().errors
        }
        false => {
            files.insert(path, text);
            Bundle::load(&files).unwrap_err().findings().to_vec()
        }
    };
    let messages: Vec<String> =
        found.iter().filter(|finding| finding.file == path).map(|finding| finding.message.clone()).collect();
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
        ("schema/authorizer.toml", "[decisions]\nzz = 1".to_owned(), "/properties/decisions"),
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
        (SUITE, "zz = 1".to_owned(), ""),
        (SUITE, "[suite]\nzz = 1".to_owned(), "/properties/suite"),
        (SUITE, "[suite]\nfacts = { zz = 1 }\n[[case]]\nname = \"x\"".to_owned(), "/$defs/facts"),
        (SUITE, "[facts.x]\nzz = 1".to_owned(), "/$defs/facts"),
        (SUITE, "[[case]]\nzz = 1".to_owned(), "/properties/case/items"),
        (SUITE, "[[case]]\ndocument = { zz = 1 }".to_owned(), "/properties/case/items/properties/document"),
        (SUITE, "[[case]]\ntoken = { zz = 1 }".to_owned(), "/$defs/token"),
        (PRINCIPALS, "zz = 1".to_owned(), ""),
        (PRINCIPALS, "[facts.x]\nzz = 1".to_owned(), "/$defs/facts"),
    ] {
        let schema = schema(schema_of(path).unwrap());
        let table = schema.pointer(pointer).unwrap_or_else(|| panic!("{path}: no {pointer}"));
        let properties = table["properties"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(properties, keys_of_reader(path, &text), "{path}{pointer}");
    }
}

/// A principal is no other one's, so its table has every key of a case's `token` but that. Both files speak alike of
/// principals and facts.
#[test]
fn principals_are_described_once() {
    let (suite, principals) = (schema("suite"), schema("principals"));
    for pointer in [
        "/$defs/principal",
        "/$defs/facts",
        "/properties/principal",
        "/properties/group",
        "/properties/facts",
    ] {
        assert!(
            suite.pointer(pointer).is_some_and(|table| Some(table) == principals.pointer(pointer)),
            "{pointer}"
        );
    }
    let keys = |name: &str| suite["$defs"][name]["properties"].as_object().unwrap().clone();
    let (mut of_token, of_principal) = (keys("token"), keys("principal"));
    assert!(of_token.remove("principal").is_some());
    assert_eq!(of_token, of_principal);
}

#[test]
fn a_schema_is_no_part_of_a_bundle() {
    let files = read_bundle(root()).unwrap();
    assert!(files.paths().all(|path| !path.ends_with(".schema.json")));
    assert!(root().join("schema/json/authorizer.schema.json").exists());
}
