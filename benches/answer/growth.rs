//! How the cost of a decision grows with the policies of a version.
//!
//! In the first sets scopes tell policies apart, by role, operation, path and tag, as people write them: of any number of
//! policies five can apply to the asked request, and four of them have a condition. In the second sets no scope says anything,
//! so every policy is a candidate for every request, and each is evaluated: no index can help that.

use std::fmt::Write as _;

use cedar_gate::decision::{Engine, OperationScope};
use cedar_gate::entities::{AccessRequest, Principal};
use cedar_gate::path::RequestPath;

use crate::subject::{Prepared, Subject};
use crate::{Measured, measured};

/// Policies whose scopes select.
const SELECTIVE: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// Policies whose scopes do not.
const UNSELECTIVE: [usize; 3] = [10, 100, 1_000];

/// A set of policies, and the request that it is asked about.
struct Set {
    name: String,
    engine: Engine,
    scope: OperationScope,
    principal: Principal,
    request: AccessRequest,
}

/// Hands over the decision among the fewest policies, and those among more.
pub(crate) fn selective(subject: &Subject, report: impl FnOnce(&Measured<'_>, &[Measured<'_>])) {
    let sets = SELECTIVE.map(|count| (format!("{count} policies"), selective_policies(count)));
    measure(subject, sets, |decisions| {
        if let [ten, more @ ..] = decisions.as_slice() {
            report(ten, more);
        }
    });
}

/// The same where no scope selects.
pub(crate) fn unselective(subject: &Subject, report: impl FnOnce(Vec<Measured<'_>>)) {
    let sets = UNSELECTIVE.map(|count| (format!("{count} policies"), unselective_policies(count)));
    measure(subject, sets, report);
}

fn measure(
    subject: &Subject,
    sets: impl IntoIterator<Item = (String, String)>,
    report: impl FnOnce(Vec<Measured<'_>>),
) {
    let path: RequestPath = "/orders/4711".parse().expect("the path is in its normal form");
    let bundle = subject.bundle();
    let prepared = Prepared::new(bundle, &path);
    let claims = subject.claims(bundle);
    let set = |(name, text): (String, String)| {
        let engine =
            Engine::new(text.parse().expect("the policies are policies")).expect("they can be asked");
        let scope = engine.scope(&prepared.operation).expect("the index can be read");
        Set {
            name,
            engine,
            scope,
            principal: prepared.principal(&claims),
            request: prepared.request(&claims),
        }
    };
    let sets: Vec<Set> = sets.into_iter().map(set).collect();
    let decide = |set: &Set| {
        let principal = set.engine.principal(&set.principal).expect("the index can be read");
        let candidates = set.engine.candidates(&principal, &set.scope).expect("the index can be read");
        candidates.decide_on(&set.request)
    };
    report(sets.iter().map(|set| measured(set.name.clone(), move || decide(set))).collect());
}

/// Five policies for a clerk who asks for an order, and others for other roles, operations, paths and tags.
fn selective_policies(count: usize) -> String {
    let mut text = String::from(
        r#"@id("clerks") permit (principal in Role::"clerk", action in Action::"read", resource in Path::"/orders");
           @id("own") permit (principal is User, action == Action::"GET /orders/{orderId}", resource)
             when { context.params.orderId == principal.sub };
           @id("department") permit (principal in Role::"clerk", action, resource == Route::"/orders/{orderId}")
             when { principal.claims has department && principal.claims.department == "sales" };
           @id("frozen") forbid (principal, action, resource in Path::"/orders")
             when { context.params has orderId && context.params.orderId like "frozen-*" };
           @id("tenants") forbid (principal, action, resource) unless { principal in Tenant::"acme" };
        "#,
    );
    for number in 5..count {
        let (role, place) = (format!("Role::\"team-{}\"", number / 4), number / 7);
        let policy = match number % 6 {
            0 | 1 => format!(
                "permit (principal in {role}, action in Action::\"read\", resource in Path::\"/c{place}\");"
            ),
            2 => {
                format!("permit (principal in {role}, action == Action::\"GET /c{place}/{{id}}\", resource);")
            }
            3 => format!(
                "permit (principal is User in {role}, action, resource == Route::\"/c{place}/{{id}}\") when {{ context.params.id == principal.sub }};"
            ),
            4 => format!(
                "forbid (principal, action == Action::\"DELETE /c{place}/{{id}}\", resource) when {{ context.params.id like \"keep-{number}-*\" }};"
            ),
            _ => format!(
                "permit (principal in {role}, action in Action::\"write\", resource in Tag::\"t{place}\") when {{ principal.scopes.contains(\"s{number}\") }};"
            ),
        };
        writeln!(text, "@id(\"p{number}\") {policy}").expect("a string can be written to");
    }
    text
}

fn unselective_policies(count: usize) -> String {
    let policy = |number| {
        format!(
            "@id(\"p{number}\") permit (principal, action, resource)\n\
             when {{ principal.claims has department && principal.claims.department == \"d-{number}\" }};\n"
        )
    };
    (0..count).map(policy).collect()
}
