//! A bundle that does not hold together does not load, and every finding says where it stands and what to do.

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::deployment::DocumentLimits;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::fetch::read_bundle;
use cedar_gate::iam::Limits;
use serde::{Deserialize, Serialize};

/// The bundle of the repository.
pub(crate) fn example() -> SourceFiles {
    read_bundle(env!("CARGO_MANIFEST_DIR").as_ref()).unwrap()
}

/// The example with one text replaced by another, once, in one file. A file that the example does not have says nothing.
fn changed(file: &str, says: &str, instead: &str) -> SourceFiles {
    let mut files = example();
    let text = match files.text(file) {
        Some(text) => text.to_owned(),
        None if says.is_empty() => String::new(),
        None => panic!("the example has no {file}"),
    };
    assert!(text.contains(says), "{file} does not contain {says:?}");
    files.insert(file, text.replacen(says, instead, 1));
    files
}

/// What is found in a bundle, a line each; nothing where it loads.
fn found(files: &SourceFiles) -> Vec<String> {
    match Bundle::load(files) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.findings().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_example_loads() {
    let bundle = Bundle::load(&example()).unwrap();
    assert_eq!(bundle.policy_versions().map(|version| version.name.as_str()).collect::<Vec<_>>(), ["v1"]);
    assert!(bundle.active("orders-rest", "prod").is_some());
}

/// The deployment states the limits before there is a compiler of documents; both speak of the same ones.
#[test]
fn the_limits_of_a_document_are_the_compilers_own() {
    let (stated, limits) = (DocumentLimits::default(), Limits::DEFAULT);
    assert_eq!(stated.pattern_characters, limits.pattern_characters);
    assert_eq!(stated.bytes, limits.document_bytes);
    assert_eq!(stated.work, limits.work);
    assert!(!stated.escape_wildcards && !stated.expiry_condition);
}

#[derive(Deserialize, Serialize)]
struct Mistakes {
    mistake: Vec<Mistake>,
}

#[derive(Deserialize, Serialize)]
struct Mistake {
    file: String,
    says: String,
    instead: String,
    found: Vec<String>,
}

#[test]
fn each_mistake_is_found_where_it_stands() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bundle/mistakes.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let mut mistakes: Mistakes = toml::from_str(&text).unwrap();
    for mistake in &mut mistakes.mistake {
        let found = found(&changed(&mistake.file, &mistake.says, &mistake.instead));
        assert!(!found.is_empty(), "{}: {} was not noticed", mistake.file, mistake.instead);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            mistake.found = found;
        } else {
            assert_eq!(found, mistake.found, "{}: {} -> {}", mistake.file, mistake.says, mistake.instead);
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let head = text.lines().next().unwrap();
        std::fs::write(path, format!("{head}\n\n{}", toml::to_string_pretty(&mistakes).unwrap())).unwrap();
    }
}

#[test]
fn a_tenant_that_two_files_list_is_named_where_it_stands() {
    let file = |name: &str, ids: &str| {
        format!(
            r#"name = "{name}"
issuer = "https://login.microsoftonline.com/{{tenantid}}/v2.0"
provider = "entra"
token_use = "access"
audience = ["6e74172b-be56-4843-9ff4-e66a39bb12e3"]
tenant_ids = [{ids}]
claims = {{ department = "department" }}
"#
        )
    };
    let (one, other) = ("8eaef023-2b34-4da1-9baa-8bc8c9d6a490", "72f988bf-86f1-41af-91ab-2d7cd011db47");
    let mut files = example();
    files.insert("policies/issuers/many.toml", file("many", &format!("\"{one}\"")));
    assert_eq!(found(&files), Vec::<String>::new());
    files.insert("policies/issuers/more.toml", file("more", &format!("\"{other}\",\n  \"{one}\"")));
    let expected = format!(
        "policies/issuers/more.toml:7:4: CG0411: `https://login.microsoftonline.com/{one}/v2.0` is trusted in policies/issuers/many.toml too (one file says whose tokens are believed)"
    );
    assert_eq!(found(&files), [expected]);
}

#[test]
fn a_file_that_is_missing_is_named() {
    for (file, code) in [
        ("schema/authorizer.toml", "CG0601"),
        ("schema/gateway.cedarschema", "CG0201"),
        ("policies/versions.toml", "CG0501"),
        ("policies/v1/roles.toml", "CG0121"),
    ] {
        let mut files = SourceFiles::default();
        let all = example();
        for path in all.paths().filter(|path| *path != file) {
            files.insert(path, all.bytes(path).unwrap());
        }
        let start = format!("{file}: {code}: ");
        assert!(found(&files).iter().any(|line| line.starts_with(&start)), "{file}: {:?}", found(&files));
    }
}

#[test]
fn two_issuers_for_one_opaque_token_are_named() {
    let file = |name: &str| {
        let url = format!("https://{name}.example");
        format!(
            "name = {name:?}\nissuer = {url:?}\nprovider = \"oidc\"\ntoken_use = \"access\"\naudience = [\"orders-api\"]\n\
             introspection = {{ url = \"{url}/introspect\", client_id = \"gate\", client_secret = {{ env = \"S\" }} }}\n"
        )
    };
    let mut files = example();
    files.insert("policies/issuers/one.toml", file("one"));
    files.insert("policies/issuers/two.toml", file("two"));
    let expected = "policies/issuers/two.toml:6:1: CG0412: issuer `two` would be asked about opaque tokens that issuer `one` is asked about too (give each a `prefix` that its tokens begin with, and that begins no other)";
    assert_eq!(found(&files), [expected]);
}

#[test]
fn bytes_that_are_no_text_are_findings_and_no_panic() {
    let all = example();
    for path in all.paths() {
        let mut files = all.clone();
        files.insert(path, vec![0xff, 0xfe, 0x00]);
        let start = format!("{path}: CG0002: ");
        assert!(found(&files).iter().any(|line| line.starts_with(&start)), "{path}: {:?}", found(&files));
    }
}

#[test]
fn a_file_that_nothing_reads_is_a_finding() {
    for path in [
        "policies/all.cedar",
        "policies/v1/more/all.cedar",
        "policies/issuers/all.cedar",
        "policies/v1/issuer.toml",
        "policies/v1/gateway.cedarschema",
        "schema/all.cedar",
        "schema/more.cedarschema",
        "schema/deep/routes.toml",
    ] {
        let mut files = example();
        files.insert(path, "// forbid (principal, action, resource);");
        let found = found(&files);
        assert!(found[0].starts_with(&format!("{path}: CG0004: nothing reads this file (")), "{found:?}");
    }
}

#[test]
fn line_ends_of_another_system_change_nothing() {
    let mut files = SourceFiles::default();
    for path in example().paths() {
        files.insert(path, example().text(path).unwrap().replace('\n', "\r\n"));
    }
    assert_eq!(found(&files), Vec::<String>::new());
}

#[test]
fn a_byte_order_mark_is_named() {
    for path in example().paths() {
        let mut files = example();
        files.insert(path, format!("\u{feff}{}", example().text(path).unwrap()));
        let expected =
            format!("{path}: CG0003: the file begins with a byte order mark (save it as UTF-8 without one)");
        assert_eq!(found(&files), [expected]);
    }
}

#[test]
fn a_policy_that_nests_too_deep_is_a_finding() {
    let mut files = example();
    let deep = "(".repeat(20_000) + "true" + &")".repeat(20_000);
    files.insert(
        "policies/v1/deep.cedar",
        format!("@id(\"deep\") permit (principal, action, resource) when {{ {deep} }};"),
    );
    assert_eq!(
        found(&files),
        ["policies/v1/deep.cedar:1:156: CG0006: more than 100 brackets and `if`s stand in each other"]
    );
    let mut files = example();
    let vocabulary = example().text("schema/gateway.cedarschema").unwrap().to_owned();
    files.insert(
        "schema/gateway.cedarschema",
        format!("type Deep = {}Long{};{vocabulary}", "Set<".repeat(20_000), ">".repeat(20_000)),
    );
    assert_eq!(
        found(&files)[0],
        "schema/gateway.cedarschema:1:416: CG0006: more than 100 brackets and `if`s stand in each other"
    );
}

#[test]
fn without_a_route_table_one_route_stands_for_all() {
    let all = example();
    let mut files = SourceFiles::default();
    for path in all.paths().filter(|path| !path.contains("routes.") && !path.ends_with(".cedar")) {
        files.insert(path, all.bytes(path).unwrap());
    }
    let table = cedar_gate::bundle::load_route_table(&files).unwrap();
    files.insert("schema/routes.cedarschema", table.cedarschema());
    files.insert(
        "policies/v1/all.cedar",
        r#"@id("reports") permit (principal in Role::"admin", action == Action::"GET /{proxy+}", resource) when { context.params.proxy like "reports/*" };"#,
    );
    // Answers are about the asked method then.
    let text = files.text("schema/authorizer.toml").unwrap();
    let text = text.replace("scope           = \"api\" ", "# ").replace("seconds = 300", "seconds = 0");
    files.insert("schema/authorizer.toml", text);
    assert_eq!(found(&files), Vec::<String>::new());
}

#[test]
fn a_stage_can_be_pinned_to_a_version_of_its_own() {
    let mut files = example();
    for path in example().paths_in("policies/v1/", "") {
        files.insert(path.replace("/v1/", "/v2/"), example().bytes(path).unwrap());
    }
    files.insert("policies/versions.toml", "default = \"v1\"\n[stage.orders-rest.prod]\nactive = \"v2\"\n");
    let bundle = Bundle::load(&files).unwrap();
    let active = |api, stage| bundle.active(api, stage).map(|version| version.name.as_str());
    assert_eq!(active("orders-rest", "prod"), Some("v2"));
    assert_eq!(active("orders-rest", "test-invoke-stage"), Some("v1"));
    files.insert("policies/versions.toml", "[stage.orders-rest.prod]\nactive = \"v2\"\n");
    assert_eq!(
        found(&files).last().map(String::as_str),
        Some(
            "policies/versions.toml: CG0504: no version decides stage `$default` of API `orders-http` (write a default, or active under [stage.orders-http.\"$default\"])"
        )
    );
}

#[test]
fn an_appsync_api_can_be_pinned_though_it_has_no_stages() {
    let mut files = example();
    let deployment = files.text("schema/authorizer.toml").unwrap().to_owned();
    let api = "[[api]]\nname = \"graph\"\nkind = \"appsync\"\naccount = \"123456789012\"\nid = \"g1\"\n";
    files.insert("schema/authorizer.toml", deployment.replacen("[[api]]", &format!("{api}\n[[api]]"), 1));
    files.insert("policies/versions.toml", "default = \"v1\"\n[stage.graph.\"$default\"]\nactive = \"v1\"\n");
    assert!(Bundle::load(&files).unwrap().active("graph", "$default").is_some());
}

#[test]
fn an_empty_file_is_no_answer() {
    for (file, expected) in [
        (
            "schema/authorizer.toml",
            "schema/authorizer.toml: CG0602: the file names no API (write an [[api]] for each API that may ask; any other is refused)",
        ),
        (
            "policies/versions.toml",
            "policies/versions.toml: CG0504: no version decides stage `prod` of API `orders-rest` (write a default, or active under [stage.orders-rest.\"prod\"])",
        ),
    ] {
        let mut files = example();
        files.insert(file, "");
        assert!(found(&files).iter().any(|line| line == expected), "{:#?}", found(&files));
    }
}
