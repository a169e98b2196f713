//! What a trace says about each part of a policy is what Cedar says, and its parts come to what was decided.

use std::fmt::Write as _;

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::decision::Effect;
use cedar_gate::entities::HttpFacts;
use cedar_gate::tools::anatomy::Anatomy;
use cedar_gate::tools::desk::{Asked, Desk, Target};
use cedar_gate::tools::trace::{FailedPart, PolicyOutcome, Trace, Tracer, Value};
use cedar_policy as cedar;
use proptest::prelude::*;
use proptest::sample::select;

use crate::bundle::example;
use crate::grants::user;

/// The example with these policies and no others.
fn with_policies(policies: &str) -> SourceFiles {
    let mut files = example();
    let paths: Vec<String> = files.paths_in("policies/v1/", ".cedar").map(str::to_owned).collect();
    for path in paths {
        files.insert(path, "");
    }
    files.insert("policies/v1/orders.cedar", policies);
    files
}

/// Asks the example with other policies, as a clerk of Acme's; `look` sees what came of it.
fn ask<T>(
    policies: &str,
    verb: &str,
    path: &str,
    look: impl FnOnce(&Asked<'_, '_>, Trace, &SourceFiles) -> T,
) -> T {
    let files = with_policies(policies);
    let bundle = Bundle::load(&files).unwrap_or_else(|errors| panic!("{errors}\n{policies}"));
    let desk = Desk::new(&bundle, None, None, None).unwrap();
    let tracer = Tracer::new(desk.version(), &files).unwrap();
    let clerk = user("alice", &["clerk"], "acme", None, &["a"]);
    let (verb, path) = (verb.parse().unwrap(), path.parse().unwrap());
    let asked = desk.ask(&clerk.into(), Target::Method(&verb, &path), HttpFacts::default()).unwrap();
    let trace = tracer.trace(&asked).unwrap();
    look(&asked, trace, &files)
}

/// A trace as a text: of each policy what came of it, of each part whether it holds.
fn told(trace: &Trace) -> String {
    let mut text = String::new();
    for policy in &trace.policies {
        writeln!(text, "{} {:?} at {}", policy.policy, policy.outcome, policy.place).unwrap();
        for part in policy.scope.iter().filter(|part| !part.matches) {
            writeln!(text, "  no: {} at {}: {}", part.text, part.place, part.fact).unwrap();
        }
        for clause in &policy.clauses {
            for part in &clause.conjuncts {
                let facts: Vec<String> = part.facts.iter().map(ToString::to_string).collect();
                let reached = if part.is_reached { "" } else { "not reached, " };
                let value = match &part.value {
                    Value::True => "true",
                    Value::False => "false",
                    Value::Error(message) => message,
                };
                writeln!(
                    text,
                    "  {} {}: {reached}{value} [{}]",
                    clause.kind.as_str(),
                    part.text,
                    facts.join("; ")
                )
                .unwrap();
            }
        }
    }
    text
}

const ORDER: &str =
    r#"action in [Action::"GET /orders/{orderId}", Action::"PUT /orders/{orderId}"], resource"#;

#[test]
fn each_part_says_what_it_came_to_and_by_which_facts() {
    let policies = format!(
        r#"@id("guarded") permit (principal is User, {ORDER})
when {{ principal.claims has department && principal.claims.department == "support" }};
@id("own") permit (principal in Role::"admin", {ORDER})
when {{ context.params.orderId like "a-*" }}
unless {{ context.http has source_ip && context.http.source_ip.isLoopback() }};
@id("many") forbid (principal in Tenant::"acme", action, resource)
when {{ 9223372036854775807 + 1 == 0 || false }};
"#
    );
    ask(&policies, "PUT", "/orders/a-1", |asked, trace, _| {
        assert_eq!(asked.decision.effect(), Effect::Deny);
        let alice = r#"User::"dev|alice" in Role::"clerk", Tenant::"acme""#;
        let expected = format!(
            r#"guarded DoesNotApply at policies/v1/orders.cedar:1:1
  when principal.claims has department: false [principal.claims.department is absent]
  when principal.claims.department == "support": not reached, record does not have the attribute `department` [principal.claims.department is absent]
own DoesNotApply at policies/v1/orders.cedar:3:1
  no: principal in Role::"admin" at policies/v1/orders.cedar:3:20: principal = {alice}
  when context.params.orderId like "a-*": not reached, true [context.params.orderId = "a-1"]
  unless context.http has source_ip: not reached, false [context.http.source_ip is absent]
  unless context.http.source_ip.isLoopback(): not reached, record does not have the attribute `source_ip` [context.http.source_ip is absent]
many Error("integer overflow while attempting to add the values `9223372036854775807` and `1`") at policies/v1/orders.cedar:6:1
  when 9223372036854775807 + 1 == 0 || false: integer overflow while attempting to add the values `9223372036854775807` and `1` []
"#
        );
        assert_eq!(told(&trace), expected);
        // Both lack one part: the one whose id comes first.
        let nearest = trace.nearest_permit().unwrap();
        assert_eq!(nearest.policy, "guarded");
        let failed: Vec<String> = nearest.failed().iter().map(FailedPart::text).collect();
        assert_eq!(failed, ["principal.claims has department"]);
    });
}

#[test]
fn the_nearest_permit_speaks_of_what_was_asked() {
    let policies = format!(
        r#"@id("a-health") permit (principal, action == Action::"GET /health", resource);
@id("b-far") permit (principal in Role::"admin", {ORDER}) unless {{ context.params.orderId like "a*" && context.path like "/*" }};
@id("c-near") permit (principal, {ORDER})
when {{ context.params.orderId == "b" }} unless {{ principal.sub == "bob" }};
@id("d-forbid") forbid (principal in Role::"auditor", action, resource);
"#
    );
    ask(&policies, "PUT", "/orders/a-1", |_, trace, _| {
        let nearest = trace.nearest_permit().unwrap();
        assert_eq!(nearest.policy, "c-near");
        let [FailedPart::When(part)] = nearest.failed()[..] else { panic!("{nearest:?}") };
        assert_eq!((part.place.line, part.place.column), (4, 8));
        let far: Vec<String> = trace.policy("b-far").unwrap().failed().iter().map(FailedPart::text).collect();
        let unless = r#"unless { context.params.orderId like "a*" && context.path like "/*" }"#;
        assert_eq!(far, [r#"principal in Role::"admin""#, unless]);
    });
    // Nothing speaks of it: then what comes nearest, though it is about something else.
    ask(&policies, "DELETE", "/orders/1", |_, trace, _| {
        let nearest = trace.nearest_permit().unwrap();
        assert_eq!(nearest.policy, "a-health");
        assert!(!nearest.speaks_of_it());
    });
    // What is allowed has none.
    ask(&policies, "PUT", "/orders/b", |_, trace, _| assert_eq!(trace.nearest_permit(), None));
}

#[test]
fn a_copy_of_a_policy_in_a_comment_is_not_the_policy() {
    let policy = r#"@id("a") permit (principal, action, resource);"#;
    ask(&format!("// {policy}\n// {policy}\r  {policy} // {policy}\n"), "GET", "/orders", |_, trace, _| {
        assert_eq!(trace.policies[0].place.to_string(), "policies/v1/orders.cedar:2:53");
        assert_eq!(trace.policies[0].outcome, PolicyOutcome::Applies);
    });
}

/// A conjunct: one that stands in no brackets of its own and has no `||` at its top.
fn conjunct() -> impl Strategy<Value = String> {
    let atom = select(vec![
        r#"context.params.orderId == "1&&1""#,
        r#"context.params.orderId like "a*""#,
        r#"context.params.orderId like "} \"*\\\\""#,
        r#"context.path like "/orders/1*""#,
        r#"principal.sub == context.params.orderId"#,
        r#"principal in Role::"clerk""#,
        r#"principal in [Role::"admin", Tenant::"acme"]"#,
        r#"resource in Path::"/orders""#,
        r#"principal.scopes.contains("a")"#,
        r#"principal.scopes.containsAny(["b", context.params.orderId])"#,
        "context.http has source_ip",
        "{a: context.path == \"\", b: [true]}.a",
        // An error, where the order begins with `9`.
        r#"(if context.params.orderId like "9*" then 9223372036854775807 else 1) + 1 > 0"#,
        "!(principal.scopes == [\"a\"])",
        "true",
        "false",
    ]);
    let atom = atom.prop_map(str::to_owned);
    let inner = (atom.clone(), atom.clone(), atom.clone(), 0..5_u8).prop_map(|(a, b, c, form)| match form {
        0 => format!("({a} && {b})"),
        1 => format!("({a} ||{b})"),
        2 => format!("(if {a} then\n {b} else {c})"),
        3 => format!("!({a} && {b} || {c})"),
        _ => format!("[{a}, {b}].contains({c})"),
    });
    prop_oneof![3 => atom, 2 => inner]
}

/// A clause: its word, its text, and its conjuncts as they have to be found.
fn clause() -> impl Strategy<Value = (String, Vec<String>)> {
    let blank = || select(vec![" ", "", "\n", " // a && b } || \" \n", "\t// x\r"]);
    let joined = (prop::collection::vec((conjunct(), blank(), blank()), 1..4)).prop_map(|parts| {
        let texts: Vec<String> = parts.iter().map(|(text, ..)| text.clone()).collect();
        let parts: Vec<String> =
            parts.iter().map(|(text, before, after)| format!("{before}{text}{after}")).collect();
        (parts.join("&&"), texts)
    });
    let one = (conjunct(), conjunct(), conjunct(), any::<bool>()).prop_map(|(a, b, c, or)| {
        let text = if or { format!("{a} && {b} || {c}") } else { format!("if {a} && {b} then {c} else {b}") };
        (text.clone(), vec![text])
    });
    let body = prop_oneof![4 => joined, 1 => one];
    (select(vec!["when", "unless"]), blank(), body)
        .prop_map(|(kind, blank, (text, texts))| (format!("{kind}{blank}{{{text}}}"), texts))
}

/// A policy without its id, and the conjuncts of it.
fn policy() -> impl Strategy<Value = (String, Vec<String>)> {
    let principal = select(vec![
        "principal",
        r#"principal in Role::"clerk""#,
        r#"principal in Tenant::"globex""#,
        r#"principal is User in // who, and "whose"
           Role::"clerk""#,
        "principal is Client",
        r#"principal == User::"dev|alice""#,
    ]);
    let action = select(vec![
        r#"action == Action::"GET /orders/{orderId}""#,
        r#"action in [Action::"GET /orders/{orderId}",Action::"PUT /orders/{orderId}"]"#,
        r#"action in [Action::"DELETE /orders/{orderId}"]"#,
    ]);
    let resource = select(vec!["resource", r#"resource in Path::"/orders""#, r#"resource in Tag::"admin""#]);
    let clauses = prop::collection::vec(clause(), 0..3);
    (select(vec!["permit", "forbid"]), principal, action, resource, clauses).prop_map(
        |(effect, principal, action, resource, clauses)| {
            let texts = clauses.iter().flat_map(|(_, texts)| texts.clone()).collect();
            let clauses: String = clauses.into_iter().map(|(text, _)| text + "\n").collect();
            (format!("{effect} ({principal} ,{action}, {resource}) {clauses};"), texts)
        },
    )
}

fn principal() -> impl Strategy<Value = cedar::Entity> {
    (select(vec!["alice", "a1", "1"]), select(vec!["clerk", "auditor"]), select(vec!["acme", "globex"]))
        .prop_map(|(sub, role, tenant)| user(sub, &[role], tenant, None, &["a", "9"]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Of every policy the conjuncts are those that it was made of; each has the value that Cedar gives it as the only
    /// condition of a policy; and a policy applies, or fails, exactly if Cedar says so of it alone.
    #[test]
    fn a_trace_never_says_other_than_cedar(
        policies in prop::collection::vec(policy(), 1..4),
        principal in principal(),
        verb in select(vec!["GET", "PUT", "DELETE"]),
        order in select(vec!["1", "1&&1", "a1", "alice", "9"]),
    ) {
        let text: String = policies.iter().enumerate()
            .map(|(index, (text, _))| format!("// permit (\n@id(\"p{index}\"){text}\n"))
            .collect();
        // No one loads, for instance, a bundle of a policy that Cedar finds to be impossible.
        let files = with_policies(&text);
        let bundle = Bundle::load(&files);
        prop_assume!(bundle.is_ok());
        let bundle = bundle.unwrap();
        let desk = Desk::new(&bundle, None, None, None).unwrap();
        let tracer = Tracer::new(desk.version(), &files).unwrap();
        let (verb, path) = (verb.parse().unwrap(), format!("/orders/{order}").parse().unwrap());
        let asked = desk.ask(&principal.into(), Target::Method(&verb, &path), HttpFacts::default()).unwrap();
        let trace = tracer.trace(&asked).unwrap();
        let walks = tracer.walk(&asked).unwrap();
        prop_assert_eq!(trace.policies.len(), policies.len());
        for (index, (_, texts)) in policies.iter().enumerate() {
            let id = format!("p{index}");
            let traced = trace.policy(&id).unwrap();
            let conjuncts: Vec<_> = traced.clauses.iter().flat_map(|clause| &clause.conjuncts).collect();
            prop_assert_eq!(&conjuncts.iter().map(|part| part.text.clone()).collect::<Vec<_>>(), texts);
            for conjunct in &conjuncts {
                let alone = format!("permit (principal, action, resource) when {{ {} }};", conjunct.text);
                prop_assert_eq!(&conjunct.value, &alone_is(&alone, &asked), "{}", alone);
            }
            let (anatomy, _, file) = Anatomy::of_policy(&id, desk.version(), &files).unwrap();
            let expected = match alone_is(&file[anatomy.span], &asked) {
                Value::True => PolicyOutcome::Applies,
                Value::False => PolicyOutcome::DoesNotApply,
                Value::Error(message) => PolicyOutcome::Error(message),
            };
            prop_assert_eq!(&traced.outcome, &expected);
            let walk = &walks.iter().find(|(policy, _)| policy.id() == id).unwrap().1;
            prop_assert_eq!(&walk.outcome, &expected);
            // What is reached is what a walk evaluates.
            for (part, (value, is_reached)) in conjuncts.iter().zip(&walk.conjuncts) {
                prop_assert_eq!(part.is_reached, *is_reached);
                prop_assert!(!is_reached || part.value == *value);
            }
            // A part has failed where, and only where, the policy does not apply.
            prop_assert_eq!(traced.failed().is_empty(), expected == PolicyOutcome::Applies);
        }
    }
}

/// What Cedar says of a request by one policy alone.
fn alone_is(policy: &str, asked: &Asked<'_, '_>) -> Value {
    let policies: cedar::PolicySet = policy.parse().unwrap();
    let request = &asked.request;
    let response = cedar::Authorizer::new().is_authorized(&request.request, &policies, &request.entities);
    let error = response.diagnostics().errors().next();
    match (response.diagnostics().reason().next(), error) {
        (_, Some(cedar::AuthorizationError::PolicyEvaluationError(error))) => {
            Value::Error(error.inner().to_string())
        }
        (Some(_), None) => Value::True,
        (None, None) => Value::False,
    }
}
