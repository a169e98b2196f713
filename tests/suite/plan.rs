//! What a plan says of a change is what both sides say when they are asked.

use std::collections::BTreeSet;
use std::str::FromStr;

use cedar_gate::arn::Verb;
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::decision::Effect;
use cedar_gate::entities::HttpFacts;
use cedar_gate::path::RequestPath;
use cedar_gate::tools::desk::{AskError, Desk, Target};
use cedar_gate::tools::people::{Attributes, Held, KINDS, Person, named_tenants};
use cedar_gate::tools::plan::{Effort, Plan, Side, Verdict};
use proptest::prelude::*;
use proptest::sample::select;

use crate::bundle::example;
use crate::matrix::{attributes, facts, policies};

/// The example with other policies.
fn files(policies: &str) -> SourceFiles {
    let mut files = example();
    let others: Vec<String> = files.paths_in("policies/v1/", ".cedar").map(str::to_owned).collect();
    others.into_iter().for_each(|path| files.insert(path, ""));
    files.insert("policies/v1/all.cedar", policies);
    files
}

/// A bundle and its files; `None` where they do not hold together.
fn side(files: SourceFiles) -> Option<(Bundle, SourceFiles)> {
    Bundle::load(&files).ok().map(|bundle| (bundle, files))
}

fn plan(old: &(Bundle, SourceFiles), new: &(Bundle, SourceFiles)) -> Plan {
    Plan::new(as_side("old", old), as_side("new", new), Effort { each: 200, all: 5_000 }).unwrap()
}

fn as_side<'s>(name: &'s str, (bundle, files): &'s (Bundle, SourceFiles)) -> Side<'s> {
    Side { name, bundle, files, version: None, held: &[] }
}

/// A line for each change, and one for each thing that was written otherwise.
fn said(old: SourceFiles, new: SourceFiles) -> Vec<String> {
    let (old, new) = (side(old).unwrap(), side(new).unwrap());
    let plan = plan(&old, &new);
    let articles = plan.articles.iter().map(|article| {
        let about = format!("{} {} {}", article.sign.mark(), article.kind.as_str(), article.name);
        match (article.detail.as_str(), article.verdict) {
            ("", Verdict::Same) => about,
            (detail, Verdict::Same) => format!("{about}: {detail}"),
            (detail, verdict) => format!("{about}: {detail}: {}", verdict.as_str()),
        }
    });
    let changes = plan.stages.iter().flat_map(|stage| &stage.changes).map(|change| {
        let how = if change.cases.is_none() { "exact" } else { "by cases" };
        let [before, after] = &change.may;
        format!(
            "{}: {}: {}: {before} -> {after} ({how})",
            change.verdict.as_str(),
            change.operation,
            change.who
        )
    });
    let verdict = plan.verdict().as_str().to_owned();
    articles.chain(changes).chain([verdict]).collect()
}

fn changed(mut files: SourceFiles, path: &str, says: &str, instead: &str) -> SourceFiles {
    let text = files.text(path).unwrap().to_owned();
    assert!(text.contains(says), "{path} does not contain {says:?}");
    files.insert(path, text.replace(says, instead));
    files
}

/// The routes with others, and the schema that is generated of them.
fn routed(files: SourceFiles, says: &str, instead: &str) -> SourceFiles {
    let mut files = changed(files, "schema/routes.toml", says, instead);
    let routes = cedar_gate::bundle::load_route_table(&files).unwrap();
    files.insert("schema/routes.cedarschema", routes.cedarschema());
    files
}

#[test]
fn layout_and_comments_are_no_change() {
    let files = example();
    let old = files.text("policies/v1/orders.cedar").unwrap().to_owned();
    let laid_out =
        format!("// A comment.\n\n{}", old.replace("permit (", "permit\n  (").replace(";\n", " ;\n"));
    let mut new = files.clone();
    new.insert("policies/v1/orders.cedar", laid_out);
    assert_eq!(said(files, new), ["same"]);
}

#[test]
fn each_kind_of_change_is_said() {
    let policy = |says: &str, instead: &str| {
        let files = example();
        let mut paths = files.paths_in("policies/v1/", ".cedar");
        let path = paths.find(|path| files.text(path).unwrap().contains(says)).unwrap().to_owned();
        drop(paths);
        changed(files, &path, says, instead)
    };
    for (new, expected) in [
        (
            policy("principal in Role::\"auditor\"", "principal in Role::\"clerk\""),
            vec![
                "~ policy auditors-read-orders",
                "narrower: GET /orders: auditor: allow -> deny (exact)",
                "narrower: GET /orders/{orderId}: auditor: allow -> deny (exact)",
                "narrower",
            ],
        ),
        (
            policy("when { context.params.userId == principal.sub }", ""),
            vec![
                "~ policy own-profile",
                "wider: GET /users/{userId}: User: everyone: if context.params.userId == principal.sub || principal.claims has department && principal.claims.department == \"support\" -> allow (by cases)",
                "wider: PUT /users/{userId}: User: everyone (not of globex): if context.params.userId == principal.sub -> allow (by cases)",
                "wider",
            ],
        ),
        (
            policy("\"archive-*\"", "\"frozen-*\""),
            vec![
                "~ policy archive-is-frozen",
                "both: PUT /orders/{orderId}: admin, clerk, every role (not of globex): unless context.params.orderId like \"archive-*\" -> unless context.params.orderId like \"frozen-*\" (by cases)",
                "both: DELETE /orders/{orderId}: admin, every role (not of globex): unless context.params.orderId like \"archive-*\" -> unless context.params.orderId like \"frozen-*\" (by cases)",
                "both",
            ],
        ),
        (
            policy("\"archive-*\" }", "\"archive-*\" || context.params.orderId like \"archive-*\" }"),
            vec!["~ policy archive-is-frozen: says the same in other words", "same"],
        ),
        (
            policy(
                "\"archive-*\" }",
                "\"archive-*\" && (context.params.orderId like \"*\" || principal.sub == \"x\") }",
            ),
            vec!["~ policy archive-is-frozen", "same"],
        ),
        (
            policy("Archived orders cannot be changed.", "They are frozen."),
            vec!["~ policy archive-is-frozen: @deny_message alone", "same"],
        ),
        (
            policy("@id(\"own-profile\")", "@id(\"ones-own-profile\")"),
            vec![
                "- policy own-profile: is `ones-own-profile` now",
                "+ policy ones-own-profile: was `own-profile` before",
                "same",
            ],
        ),
        (
            changed(example(), "policies/v1/roles.toml", "[\"clerk\", \"auditor\"]", "[\"clerk\"]"),
            vec!["~ role admin: includes -auditor", "same"],
        ),
        (
            changed(example(), "policies/issuers/acme.toml", "\"auditor\"]", "\"auditor\", \"admin\"]"),
            vec!["~ issuer acme-staff: roles it may confer +admin: wider", "wider"],
        ),
        (
            changed(example(), "policies/issuers/acme.toml", "1example23456789", "9example"),
            vec![
                "~ issuer acme-staff: audience: whose tokens are believed, which is not compared: both",
                "both",
            ],
        ),
        (
            changed(
                example(),
                "schema/authorizer.toml",
                "result_ttl_seconds = 300",
                "result_ttl_seconds = 60",
            ),
            vec![
                "~ file schema/authorizer.toml: api: how the authorizer is asked and answers, which is not compared",
                "same",
            ],
        ),
        (
            // A path that one operation has served gets one of its own, with a tag that admins may.
            routed(
                example(),
                "[[route]]\npath = \"/health\"",
                "[[route]]\npath = \"/orders/all\"\nmethods = [\"GET\"]\ntags = [\"admin\"]\n\n[[route]]\npath = \"/health\"",
            ),
            vec![
                "+ operation GET /orders/all",
                "narrower: GET /orders/all: clerk: allow -> deny (by cases)",
                "narrower",
            ],
        ),
        (
            routed(
                example(),
                "path = \"/users/{userId}\"\nmethods = [\"GET\", \"PUT\"]",
                "path = \"/users/{userId}\"\nmethods = [\"GET\", \"PUT\", \"DELETE\"]\ntags = [\"admin\"]",
            ),
            vec![
                "~ operation GET /users/{userId}: tags +admin",
                "+ operation DELETE /users/{userId}",
                "~ operation PUT /users/{userId}: tags +admin",
            ],
        ),
    ] {
        let found = said(example(), new);
        let mut missing: Vec<&&str> =
            expected.iter().filter(|line| !found.iter().any(|found| found == **line)).collect();
        missing.dedup();
        assert!(missing.is_empty(), "missing {missing:#?} in {found:#?}");
    }
}

/// What a `has` guards, and what it is guarded by, in another order.
#[test]
fn the_order_of_a_condition_is_no_change_of_access() {
    let policy = |condition: &str| {
        format!(
            "@id(\"p\") permit (principal is User, action == Action::\"GET /orders/{{orderId}}\", resource)\n{condition};\n"
        )
    };
    let department = "principal.claims has department && principal.claims.department == \"a\"";
    for (one, other, expected) in [
        (
            "when { context.params.orderId == principal.sub }".to_owned(),
            "when { principal.sub == context.params.orderId }".to_owned(),
            true,
        ),
        (
            format!("when {{ {department} && context.params.orderId like \"x*\" }}"),
            format!("when {{ context.params.orderId like \"x*\" && {department} }}"),
            true,
        ),
        (
            format!("when {{ {department} || context.path == \"/\" }}"),
            format!("when {{ \"/\" == context.path || ({department}) }}"),
            true,
        ),
        (
            format!("when {{ {department} }} unless {{ context.path == principal.sub }}"),
            format!("unless {{ principal.sub == context.path }} when {{ {department} }}"),
            true,
        ),
        (
            format!("when {{ {department} && (context.path == \"/\" || principal.sub == \"b\") }}"),
            format!("when {{ {department} && context.path == \"/\" || principal.sub == \"b\" }}"),
            false,
        ),
    ] {
        let (old, new) = (side(files(&policy(&one))).unwrap(), side(files(&policy(&other))).unwrap());
        let plan = plan(&old, &new);
        let article = &plan.articles[0];
        let is_in_other_words = article.detail == "says the same in other words";
        assert_eq!((plan.is_exact(), is_in_other_words), (expected, expected), "{one} {other}");
        assert_eq!(plan.verdict() == Verdict::Same, expected, "{one} {other}");
    }
}

#[test]
fn a_removed_operation_is_narrower_and_a_removed_role_takes_what_it_gave() {
    let without =
        routed(example(), "methods = [\"GET\", \"PUT\", \"DELETE\"]", "methods = [\"GET\", \"PUT\"]");
    let without = changed(
        without,
        "policies/v1/orders.cedar",
        "@id(\"admins-cancel-orders\")\n@description(\"Cancelling is for admins.\")\npermit (\n  principal in Role::\"admin\",\n  action == Action::\"DELETE /orders/{orderId}\",\n  resource\n);\n",
        "",
    );
    let without =
        changed(without, "policies/v1/orders.cedar", ", Action::\"DELETE /orders/{orderId}\"]", "]");
    let found = said(example(), without);
    assert_eq!(found.last().unwrap(), "narrower");
    assert!(found.contains(&"narrower: DELETE /orders/{orderId}: admin, every role (not of globex): unless context.params.orderId like \"archive-*\" -> not served (by cases)".to_owned()), "{found:#?}");
}

/// Who has two roles can gain or lose what nobody with one of them does; where one of them tells of it, nothing more is
/// said.
#[test]
fn roles_that_count_together_are_told_of_where_one_alone_does_not_explain_it() {
    let policies = example();
    let and = |text: &str| {
        let mut files = policies.clone();
        files.insert("policies/v1/more.cedar", text);
        files
    };
    let both = "principal in Role::\"clerk\" && principal in Role::\"auditor\"";
    let reports = "action == Action::\"GET /admin/reports\"";
    let create = "action == Action::\"POST /orders\"";
    let needs_both = format!("@id(\"p\") permit (principal, {reports}, resource) when {{ {both} }};\n");
    let unless = format!(
        "@id(\"p\") permit (principal in Role::\"clerk\", {reports}, resource) unless {{ principal in Role::\"auditor\" }};\n"
    );
    let clerks = format!("@id(\"p\") permit (principal in Role::\"clerk\", {reports}, resource);\n");
    let no_auditor = format!("@id(\"q\") forbid (principal in Role::\"auditor\", {create}, resource);\n");
    let in_part = format!(
        "@id(\"p\") permit (principal in Role::\"clerk\", {reports}, resource) when {{ principal.sub == \"a\" }};\n\
         @id(\"q\") permit (principal in Role::\"auditor\", {reports}, resource) when {{ principal.sub == \"b\" }};\n"
    );
    let names_both = format!(
        "@id(\"r\") permit (principal, action == Action::\"GET /health\", resource) when {{ {both} }};\n"
    );
    for (old, new, expected) in [
        (
            "",
            needs_both.as_str(),
            &["wider: GET /admin/reports: User: auditor + clerk: deny -> allow (exact)", "wider"][..],
        ),
        (
            &needs_both,
            "",
            &["narrower: GET /admin/reports: User: auditor + clerk: allow -> deny (exact)", "narrower"],
        ),
        (
            &unless,
            &clerks,
            &["wider: GET /admin/reports: User: auditor + clerk: deny -> allow (exact)", "wider"],
        ),
        // Admins have both roles, and policies of their own.
        (
            &no_auditor,
            "",
            &[
                "wider: POST /orders: admin, every role (not of globex): deny -> allow (exact)",
                "wider: POST /orders: auditor + clerk (not of globex): deny -> allow (exact)",
                "wider",
            ],
        ),
        (
            &names_both,
            &format!("{names_both}{clerks}"),
            &["wider: GET /admin/reports: User: clerk: deny -> allow (exact)", "wider"],
        ),
        (
            &names_both,
            &format!("{names_both}{in_part}"),
            &[
                "wider: GET /admin/reports: User: auditor: deny -> if principal.sub == \"b\" (by cases)",
                "wider: GET /admin/reports: User: clerk: deny -> if principal.sub == \"a\" (by cases)",
                "wider",
            ],
        ),
        (
            &format!("{names_both}{in_part}"),
            &format!("{in_part}{names_both}{}", needs_both.replace("\"p\"", "\"s\"")),
            &[
                "wider: GET /admin/reports: User: auditor + clerk: if principal.sub == \"a\" || principal.sub == \"b\" -> allow (by cases)",
                "wider",
            ],
        ),
    ] {
        let found = said(and(old), and(new));
        let found: Vec<&str> =
            found.iter().map(String::as_str).filter(|line| !line.contains(" policy ")).collect();
        assert_eq!(found, expected, "{old} -> {new}");
    }
}

/// What everyone is told about each request.
fn brute(
    desk: &Desk<'_>,
    people: &[Person],
    attributes: &Attributes,
    facts: &HttpFacts,
) -> Vec<(String, usize, Effect)> {
    let mut told = Vec::new();
    for (index, person) in people.iter().enumerate() {
        let roles = &desk.version().roles;
        let entity = person.entity("dev|somebody", attributes, desk.bundle().vocabulary(), roles).unwrap();
        for (verb, path) in crate::matrix::REQUESTS {
            let (verb, path) = (Verb::from_str(verb).unwrap(), RequestPath::from_str(path).unwrap());
            match desk.ask(&entity, Target::Method(&verb, &path), facts.clone()) {
                Ok(asked) => {
                    told.push((asked.matched.operation().name().to_owned(), index, asked.decision.effect()))
                }
                Err(AskError::NoRoute) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    told
}

/// Policies whose scopes alone decide, some of them on both sides.
fn scopes() -> impl Strategy<Value = (String, String)> {
    let policy = (
        select(vec!["permit", "permit", "permit", "forbid"]),
        select(vec![
            "principal",
            "principal in Role::\"clerk\"",
            "principal in Role::\"auditor\"",
            "principal is Client",
            "principal is User in Role::\"admin\"",
            "principal in Tenant::\"globex\"",
        ]),
        select(vec![
            "action",
            "action in Action::\"read\"",
            "action in Action::\"write\"",
            "action == Action::\"GET /health\"",
        ]),
        select(vec![
            "resource",
            "resource in Path::\"/orders\"",
            "resource in Tag::\"admin\"",
            "resource == Route::\"/health\"",
        ]),
        0..3,
    );
    prop::collection::vec(policy, 1..7).prop_map(|policies| {
        let (mut old, mut new) = (String::new(), String::new());
        for (index, (effect, principal, action, resource, sides)) in policies.into_iter().enumerate() {
            let text = format!("@id(\"p{index}\") {effect} ({principal}, {action}, {resource});\n");
            if sides != 1 {
                old += &text;
            }
            if sides != 2 {
                new += &text;
            }
        }
        (old, new)
    })
}

/// Policies that name one role or two, some of them on both sides.
fn of_two_roles() -> impl Strategy<Value = (String, String)> {
    let policy = (
        select(vec!["permit", "permit", "forbid"]),
        select(vec![
            "principal",
            "principal in Role::\"clerk\"",
            "principal in Role::\"x\"",
            "principal is Client",
        ]),
        select(vec!["action", "action in Action::\"read\"", "action == Action::\"GET /health\""]),
        select(vec![
            "",
            "when { principal in Role::\"clerk\" && principal in Role::\"x\" }",
            "when { principal in Role::\"x\" && principal in Role::\"y\" }",
            "when { principal in [Role::\"x\", Role::\"y\"] }",
            "unless { principal in Role::\"x\" }",
            "unless { principal in Role::\"y\" }",
        ]),
        0..3,
    );
    prop::collection::vec(policy, 1..6).prop_map(|policies| {
        let (mut old, mut new) = (String::new(), String::new());
        for (index, (effect, principal, action, condition, sides)) in policies.into_iter().enumerate() {
            let text = format!("@id(\"p{index}\") {effect} ({principal}, {action}, resource) {condition};\n");
            if sides != 1 {
                old += &text;
            }
            if sides != 2 {
                new += &text;
            }
        }
        (old, new)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Where scopes alone decide, exactly the cells are named in which the two sides differ, and none by cases.
    #[test]
    fn what_scopes_decide_is_found_exactly((old, new) in scopes()) {
        let (Some(old), Some(new)) = (side(files(&old)), side(files(&new))) else { return Ok(()) };
        let plan = plan(&old, &new);
        prop_assert!(plan.is_exact());
        let desks = [&old, &new].map(|(bundle, _)| Desk::new(bundle, None, None, None).unwrap());
        let tenants: BTreeSet<String> = desks.iter().flat_map(|desk| named_tenants(desk.version())).collect();
        let people = Person::all(desks[0].version().roles.names(), tenants);
        let [before, after] = desks.each_ref().map(|desk| brute(desk, &people, &Attributes::new(), &HttpFacts::default()));
        let mut cells: BTreeSet<(bool, String, usize)> = BTreeSet::new();
        for (one, other) in before.iter().zip(&after) {
            if one.2 != other.2 {
                cells.insert((other.2 == Effect::Allow, one.0.clone(), one.1));
            }
        }
        for widens in [true, false] {
            let verdict = if widens { Verdict::Wider } else { Verdict::Narrower };
            let changes = || plan.stages[0].changes.iter().filter(move |change| change.verdict == verdict);
            let asked = |name: &str| crate::matrix::REQUESTS.iter().any(|(verb, path)| {
                let (verb, path) = (Verb::from_str(verb).unwrap(), RequestPath::from_str(path).unwrap());
                desks[0].route(Target::Method(&verb, &path)).unwrap().operation().name() == name
            });
            // Roles together are another test's.
            let alone = changes().filter(|change| asked(&change.operation) && !change.who.contains(" + "));
            let found: usize = alone.map(|change| change.people).sum();
            let expected = cells.iter().filter(|(cell, ..)| *cell == widens).count();
            prop_assert_eq!(found, expected, "{:?}\n{:#?}", verdict, plan.stages[0].changes);
            prop_assert_eq!(changes().all(|change| change.examples.len() == 1), true);
        }
    }

    /// What becomes of one role, and of two that one policy names together, is told, of them or of one of them.
    #[test]
    fn what_two_roles_decide_is_found((old, new) in of_two_roles()) {
        let roles = |policies: &str| {
            let mut files = files(policies);
            let before = files.text("policies/v1/roles.toml").unwrap().to_owned();
            let more = "[x]\ndescription = \"X\"\n\n[y]\ndescription = \"Y\"\n";
            files.insert("policies/v1/roles.toml", format!("{before}\n{more}"));
            files
        };
        let (texts, Some(old), Some(new)) = ([old.clone(), new.clone()], side(roles(&old)), side(roles(&new))) else {
            return Ok(());
        };
        let plan = plan(&old, &new);
        prop_assert!(plan.is_exact());
        let desks = [&old, &new].map(|(bundle, _)| Desk::new(bundle, None, None, None).unwrap());
        let named = |line: &str, role: &str| line.contains(&format!("Role::\"{role}\""));
        let pairs = [["clerk", "x"], ["clerk", "y"], ["x", "y"]].into_iter().filter(|pair| {
            texts.iter().flat_map(|text| text.lines()).any(|line| pair.iter().all(|role| named(line, role)))
        });
        let held = pairs.map(|pair| Held::together(pair.map(str::to_owned)));
        let held = held.chain(["clerk", "x", "y"].map(|role| Held::One(role.to_owned()))).chain([Held::Nothing]);
        let people: Vec<Person> = held
            .flat_map(|roles| KINDS.map(|kind| Person { kind, roles: roles.clone(), tenant: None }))
            .collect();
        let [before, after] = desks.each_ref().map(|desk| brute(desk, &people, &Attributes::new(), &HttpFacts::default()));
        for (one, other) in before.iter().zip(&after) {
            let verdict = match (one.2, other.2) {
                (Effect::Deny, Effect::Allow) => Verdict::Wider,
                (Effect::Allow, Effect::Deny) => Verdict::Narrower,
                _ => continue,
            };
            let mut changes = plan.stages[0].changes.iter();
            let is_said = changes.any(|change| change.operation == one.0 && change.verdict == verdict);
            prop_assert!(is_said, "{} {}: {:#?}", one.0, people[one.1], plan.stages[0].changes);
        }
        prop_assert!(plan.stages[0].changes.iter().all(|change| change.examples.len() == 1));
    }

    /// With conditions: an example is what both sides say, and where they differ in a request the plan has either said so
    /// or said that it compared by cases alone.
    #[test]
    fn an_example_is_what_both_sides_say(
        old in policies(4), new in policies(4), somebody in attributes(), facts in facts(),
    ) {
        let (Some(old), Some(new)) = (side(files(&old)), side(files(&new))) else { return Ok(()) };
        let plan = plan(&old, &new);
        let desks = [&old, &new].map(|(bundle, _)| Desk::new(bundle, None, None, None).unwrap());
        let stage = &plan.stages[0];
        for change in &stage.changes {
            prop_assert!(!change.examples.is_empty(), "{change:#?}");
            for example in &change.examples {
                let verb = example.verb.clone().unwrap();
                let path = example.case.path.clone().unwrap();
                let effects = desks.each_ref().map(|desk| {
                    let roles = &desk.version().roles;
                    let vocabulary = desk.bundle().vocabulary();
                    let entity = example.person.entity(&example.case.id, &example.case.attributes, vocabulary, roles);
                    let target = Target::Method(&verb, &path);
                    desk.ask(&entity.unwrap(), target, example.case.facts.clone()).unwrap().decision.effect()
                });
                prop_assert_eq!(effects, example.asked.each_ref().map(|asked| asked.effect));
                prop_assert_ne!(effects[0], effects[1]);
            }
        }
        let tenants: BTreeSet<String> = desks.iter().flat_map(|desk| named_tenants(desk.version())).collect();
        let people = Person::all(desks[0].version().roles.names(), tenants);
        let [before, after] = desks.each_ref().map(|desk| brute(desk, &people, &somebody, &facts));
        for (one, other) in before.iter().zip(&after) {
            let directions = match (one.2, other.2) {
                (Effect::Deny, Effect::Allow) => [Verdict::Wider, Verdict::Both],
                (Effect::Allow, Effect::Deny) => [Verdict::Narrower, Verdict::Both],
                _ => continue,
            };
            let is_said = stage.changes.iter().any(|change| {
                change.operation == one.0 && directions.contains(&change.verdict)
            });
            prop_assert!(is_said || stage.compared.by_cases > 0, "{} {}: {:#?}", one.0, people[one.1], stage);
        }
    }
}
