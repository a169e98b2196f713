//! What coverage and mutants say of the example's tests is what the tests themselves do.

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::fetch::read_policy_tests;
use cedar_gate::tools::coverage::Coverage;
use cedar_gate::tools::mutate::{Fate, Mutant, MutantKind, Mutation, Suggestion, mutants, sample};
use cedar_gate::tools::suite::{Filter, RunOptions, Suites};

use crate::bundle::example;

/// The files of the example's tests, but for some of the suites.
fn tests_without(suites: &[&str]) -> SourceFiles {
    let all = read_policy_tests(env!("CARGO_MANIFEST_DIR").as_ref()).unwrap();
    let mut some = SourceFiles::default();
    for path in all.paths().filter(|path| !suites.iter().any(|suite| path.ends_with(suite))) {
        some.insert(path, all.bytes(path).unwrap());
    }
    some
}

fn together(bundle: &SourceFiles, tests: &SourceFiles) -> SourceFiles {
    let mut files = bundle.clone();
    for path in tests.paths() {
        files.insert(path, tests.bytes(path).unwrap());
    }
    files
}

/// Whether all tests pass; `None` where bundle or tests do not load.
fn passes(bundle: &SourceFiles, tests: &SourceFiles) -> Option<bool> {
    let loaded = Bundle::load(bundle).ok()?;
    let files = together(bundle, tests);
    let suites = Suites::load(&loaded, &files, false).ok()?;
    let filter = Filter::new(Vec::new());
    let options = RunOptions { threads: 1, fail_fast: true };
    Some(suites.run(&suites.selected(&filter), &filter, options, &|| {}).is_ok())
}

/// The tests with a suggested case in the suite that it is for.
fn with_case(tests: &SourceFiles, suggestion: &Suggestion) -> SourceFiles {
    let mut with = tests.clone();
    let suite = tests.text(&suggestion.file).unwrap();
    with.insert(suggestion.file.clone(), format!("{suite}\n{}", suggestion.case()));
    with
}

/// The bundle with a mistake in it, by its diff: the lines that it takes away and puts in their place.
fn mistaken(bundle: &SourceFiles, mutant: &Mutant) -> SourceFiles {
    let diff = mutant.diff(bundle);
    let text = bundle.text(&mutant.place.file).unwrap();
    let mut lines: Vec<String> = Vec::new();
    let mut old = text.split_inclusive('\n');
    let mut at = 1;
    for line in diff.lines().skip(2) {
        let (sign, rest) = line.split_at(1);
        match sign {
            "@" => {
                let start: usize = rest.split(['-', ',', ' ']).find_map(|part| part.parse().ok()).unwrap();
                while at < start {
                    lines.push(old.next().unwrap().to_owned());
                    at += 1;
                }
            }
            "-" => {
                assert_eq!(old.next().unwrap().trim_end_matches('\n'), rest);
                at += 1;
            }
            "+" => lines.push(format!("{rest}\n")),
            " " => {
                lines.push(old.next().unwrap().to_owned());
                at += 1;
            }
            _ => panic!("{line}"),
        }
    }
    lines.extend(old.map(str::to_owned));
    let mut files = bundle.clone();
    files.insert(mutant.place.file.clone(), lines.concat());
    files
}

#[test]
fn a_mistake_is_noticed_exactly_where_the_tests_fail() {
    let bundle_files = example();
    let tests = tests_without(&["tenants.toml", "people.toml"]);
    let files = together(&bundle_files, &tests);
    let bundle = Bundle::load(&bundle_files).unwrap();
    let suites = Suites::load(&bundle, &files, false).unwrap();
    let mutation = Mutation::new(&suites, &bundle, &files, suites.selected(&Filter::new(Vec::new())));
    let (mut noticed, mut survived) = (0, 0);
    // All of them took three minutes; the seed is one that has some of each kind.
    for mutant in sample(mutation.mutants().unwrap(), 20, 4) {
        let fate = mutation.attempt(&mutant);
        let whole = passes(&mistaken(&bundle_files, &mutant), &tests);
        match &fate {
            Fate::Noticed { .. } => {
                noticed += 1;
                assert_ne!(whole, Some(true), "{mutant:?} {fate:?}");
            }
            Fate::Survived { suggestion } => {
                survived += 1;
                assert_eq!(whole, Some(true), "{mutant:?} {fate:?}");
                let suggestion = suggestion.as_ref().unwrap_or_else(|| panic!("{mutant:?}"));
                let with = with_case(&tests, suggestion);
                assert_eq!(passes(&bundle_files, &with), Some(true), "{mutant:?} {suggestion:?}");
                assert_eq!(passes(&mistaken(&bundle_files, &mutant), &with), Some(false), "{suggestion:?}");
            }
            Fate::Equivalent { .. } => assert_eq!(whole, Some(true), "{mutant:?}"),
            Fate::Invalid => assert_eq!(whole, None, "{mutant:?}"),
        }
    }
    assert!(noticed > 5 && survived > 2, "{noticed} noticed, {survived} survived");
}

#[test]
fn the_examples_tests_notice_every_mistake_that_changes_a_decision() {
    let bundle_files = example();
    let files = together(&bundle_files, &tests_without(&[]));
    let bundle = Bundle::load(&bundle_files).unwrap();
    let suites = Suites::load(&bundle, &files, false).unwrap();
    let mutation = Mutation::new(&suites, &bundle, &files, suites.selected(&Filter::new(Vec::new())));
    for mutant in mutation.mutants().unwrap() {
        let fate = mutation.attempt(&mutant);
        assert!(!matches!(fate, Fate::Survived { .. }), "nobody would notice if {}: {fate:?}", mutant.what);
        // `==` and `in` say the same of an operation, which nothing is in.
        let is_same = matches!(fate, Fate::Equivalent { requests: 0 });
        assert_eq!(is_same, mutant.kind == MutantKind::EqualsToIn, "{mutant:?} {fate:?}");
    }
}

/// What becomes of the mistakes in one policy, where the tests ask for nothing that it is about: of each its words, and the
/// suggested case, which was tried in the way that a person would try it.
fn suggested(policy: &str, suite: &str) -> Vec<(String, Option<String>)> {
    let bundle_files = with_policy(&format!(
        "@id(\"health\") permit (principal, action == Action::\"GET /health\", resource);\n{policy}"
    ));
    let mut tests = SourceFiles::default();
    tests.insert("tests/policies/suite.toml", suite);
    let files = together(&bundle_files, &tests);
    let bundle = Bundle::load(&bundle_files).unwrap_or_else(|errors| panic!("{errors}"));
    let suites = Suites::load(&bundle, &files, false).unwrap_or_else(|errors| panic!("{:#?}", errors.errors));
    let mutation = Mutation::new(&suites, &bundle, &files, suites.selected(&Filter::new(Vec::new())));
    let mut found = Vec::new();
    for mutant in mutation.mutants().unwrap().iter().filter(|mutant| mutant.policy == "p") {
        let Fate::Survived { suggestion } = mutation.attempt(mutant) else { continue };
        if let Some(suggestion) = &suggestion {
            let with = with_case(&tests, suggestion);
            assert_eq!(passes(&bundle_files, &with), Some(true), "{mutant:?} {suggestion:?}");
            assert_eq!(passes(&mistaken(&bundle_files, mutant), &with), Some(false), "{suggestion:?}");
        }
        found.push((mutant.what.clone(), suggestion.map(|suggestion| suggestion.case())));
    }
    found
}

const HEALTH: &str = "[principal.u]\nissuer = \"acme-staff\"\nroles = [\"clerk\"]\n[[case]]\nname = \"health\"\n\
                      principals = [\"u\"]\nrequests = [\"GET /health\"]\nexpect = \"allow\"\n";

#[test]
fn a_suggested_case_says_the_facts_that_it_depends_on() {
    let policy = "@id(\"p\") permit (principal in Role::\"clerk\", action == Action::\"GET /orders\", resource)\n\
                  when { context.http has source_ip && context.http.source_ip.isInRange(ip(\"203.0.113.0/24\")) };\n";
    let found = suggested(policy, HEALTH);
    let case = |what: &str| {
        let one = found.iter().find(|(known, _)| known.contains(what));
        one.unwrap_or_else(|| panic!("{what} in {found:#?}")).1.clone().unwrap_or_else(|| panic!("{what}"))
    };
    assert!(case("were not there").contains("facts      = { source_ip = \"203.0.113."), "{found:#?}");
    let without = case("did not say `context.http.source_ip.isInRange");
    assert!(without.contains("expect     = \"deny\""), "{without}");
    // At night, too: the moment of a request is given where the policies read one.
    let policy = "@id(\"p\") permit (principal in Role::\"clerk\", action == Action::\"GET /orders\", resource)\n\
                  when { context.http has time && context.http.time < datetime(\"2027-01-01\") };\n";
    let found = suggested(policy, HEALTH);
    assert!(
        found.iter().any(|(_, case)| case.as_ref().is_some_and(|case| case.contains("now        = 20"))),
        "{found:#?}"
    );
}

/// A comparison makes up its people; whom no issuer can vouch for is no example.
#[test]
fn a_case_that_does_not_do_what_it_is_for_is_not_suggested() {
    let policy = "@id(\"p\") permit (principal, action == Action::\"GET /orders\", resource)\n\
                  when { principal.issuer == \"https://nobody.example\" };\n";
    let found = suggested(policy, HEALTH);
    let of = |what: &str| {
        found.iter().find(|(known, _)| known.contains(what)).unwrap_or_else(|| panic!("{what} in {found:#?}"))
    };
    assert_eq!(of("were not there").1, None);
    assert!(of("did not say `principal.issuer").1.is_some());
    // Names are those that are not taken.
    let taken = HEALTH
        .replace("principal.u]", "principal.somebody-new]")
        .replace("\"u\"", "\"somebody-new\"")
        .replace("\"health\"", "\"p decides about GET /orders\"");
    let policy =
        "@id(\"p\") permit (principal in Role::\"admin\", action == Action::\"GET /orders\", resource);\n";
    let cases: Vec<String> = suggested(policy, &taken).into_iter().filter_map(|(_, case)| case).collect();
    assert!(cases.iter().any(|case| case.starts_with("[principal.somebody-new-2]")), "{cases:#?}");
    assert!(cases.iter().all(|case| !case.contains("= \"p decides about GET /orders\"")), "{cases:#?}");
}

/// The example with one policy.
fn with_policy(policy: &str) -> SourceFiles {
    let mut files = example();
    let paths: Vec<String> = files.paths_in("policies/v1/", ".cedar").map(str::to_owned).collect();
    for path in paths {
        files.insert(path, "");
    }
    files.insert("policies/v1/orders.cedar", policy);
    files
}

/// What the mistakes make of a policy: of each its kind and the lines that are new.
fn made(policy: &str) -> Vec<String> {
    let files = with_policy(policy);
    let bundle = Bundle::load(&files).unwrap_or_else(|errors| panic!("{errors}"));
    let mutants = mutants(bundle.policy_versions().next().unwrap(), &files).unwrap();
    let line = |mutant: &Mutant| {
        let diff = mutant.diff(&files);
        let new = diff.lines().skip(2).filter_map(|line| line.strip_prefix('+'));
        format!("{:?}: {}", mutant.kind, new.collect::<Vec<_>>().join("|"))
    };
    mutants.iter().map(line).collect()
}

#[test]
fn each_kind_of_mistake_is_an_exact_edit() {
    let policy = r#"@id("p")
permit (principal is User in Tenant::"acme", action == Action::"GET /orders/{orderId}", resource in Path::"/orders")
when { principal in Role::"clerk" && context.params.orderId like "a-*" } // both
unless { context.path == "/" };
"#;
    let second = r#"permit (principal is User in Tenant::"acme", action == Action::"GET /orders/{orderId}", resource in Path::"/orders")"#;
    let third = r#"when { principal in Role::"clerk" && context.params.orderId like "a-*" } // both"#;
    let expected = [
        "DropPolicy: ".to_owned(),
        format!("FlipEffect: {}", second.replace("permit", "forbid")),
        format!("RemoveTenant: {}", second.replace(r#"principal is User in Tenant::"acme""#, "principal")),
        format!("RemoveTenant: {}", second.replace(r#" in Tenant::"acme""#, "")),
        format!("WidenAction: {}", second.replace(r#"action == Action::"GET /orders/{orderId}""#, "action")),
        format!("EqualsToIn: {}", second.replace("==", "in")),
        format!("WidenResource: {}", second.replace(r#"resource in Path::"/orders""#, "resource")),
        r#"DropConjunct: when { context.params.orderId like "a-*" } // both"#.to_owned(),
        format!(
            "NegateConjunct: {}",
            third.replace(r#"principal in Role::"clerk""#, r#"!(principal in Role::"clerk")"#)
        ),
        format!("SwapRole: {}", third.replace("clerk", "admin")),
        format!("SwapRole: {}", third.replace("clerk", "auditor")),
        r#"DropConjunct: when { principal in Role::"clerk" } // both"#.to_owned(),
        format!(
            "NegateConjunct: {}",
            third.replace(r#"context.params.orderId like "a-*""#, r#"!(context.params.orderId like "a-*")"#)
        ),
        format!("LoosenLike: {}", third.replace("a-*", "*")),
        "DropConjunct: ;".to_owned(),
        r#"NegateConjunct: unless { !(context.path == "/") };"#.to_owned(),
    ];
    assert_eq!(made(policy), expected);
    // What is as wide as it can be is not widened.
    assert_eq!(made("@id(\"p\") forbid (principal, action, resource);\n").len(), 2);
}

#[test]
fn a_sample_is_the_same_for_the_same_seed() {
    let files = example();
    let bundle = Bundle::load(&files).unwrap();
    let all = mutants(bundle.policy_versions().next().unwrap(), &files).unwrap();
    let ten = |seed| sample(all.clone(), 10, seed);
    assert_eq!(ten(1).len(), 10);
    assert_eq!(ten(1), ten(1));
    assert_ne!(ten(1), ten(2));
    assert_eq!(sample(all.clone(), usize::MAX, 1), all);
}

#[test]
fn coverage_counts_what_requests_try() {
    let bundle_files = example();
    let bundle = Bundle::load(&bundle_files).unwrap();
    let report = |without: &[&str], before: Option<&SourceFiles>| {
        let files = together(&bundle_files, &tests_without(without));
        let suites = Suites::load(&bundle, &files, false).unwrap();
        let mut coverage = Coverage::new(&files);
        suites.study(&suites.selected(&Filter::new(Vec::new())), &mut |one| {
            coverage.add(one.desk, &one.asked).unwrap();
        });
        coverage.report(before)
    };
    let whole = report(&[], None);
    assert_eq!((whole.percent(), whole.covered), (100, whole.points));
    assert!(whole.policies.iter().all(|policy| policy.lacks().is_empty()));
    // Without the suite that speaks of the support department, its policy is half tried.
    let less = report(&["people.toml", "tenants.toml"], None);
    assert!(less.percent() < 100);
    let support = less.policies.iter().find(|policy| policy.policy == "support-sees-profiles").unwrap();
    assert_eq!(
        support.lacks(),
        [
            "policies/v1/users.cedar:12:1: it never applied",
            "policies/v1/users.cedar:17:8: never true: principal.claims has department",
            "policies/v1/users.cedar:17:43: never reached: principal.claims.department == \"support\"",
        ]
    );
    // Only what has changed: one policy's text, and none where all is as before.
    let mut before = bundle_files.clone();
    let users = before.text("policies/v1/users.cedar").unwrap().replace("\"support\"", "\"help\"");
    before.insert("policies/v1/users.cedar", users);
    let changed = report(&[], Some(&before));
    let names: Vec<&str> = changed.policies.iter().map(|policy| policy.policy.as_str()).collect();
    assert_eq!(names, ["support-sees-profiles"]);
    assert_eq!(report(&[], Some(&bundle_files)).points, 0);
}
