//! How the cost of a decision grows with the policies.
//!
//! Of three generated policies, one is for a role that the caller lacks, one asks for a path parameter that the request
//! does not have, and one for a department that the token does not name. Only policies whose scope fits the operation
//! are evaluated; so what counts is how many of them speak of one operation, not how many there are.

use std::fmt::Write as _;

use cedar_gate::bundle::ROUTES_SCHEMA;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::path::RequestPath;
use cedar_gate::route::RouteTable;

use crate::subject::{Prepared, Subject, load};
use crate::{Measured, measured};

/// Policies, and the operations over which they are spread evenly.
const SIZES: [(usize, usize); 5] = [(10, 1), (100, 1), (1_000, 1), (100, 10), (1_000, 100)];

pub(crate) fn with(subject: &Subject, report: impl FnOnce(Vec<Measured<'_>>)) {
    let path: RequestPath = "/generated-0/4711".parse().expect("the path is in its normal form");
    let bundles = SIZES.map(|(policies, operations)| load(&generated(&subject.files, policies, operations)));
    let asked: Vec<_> = bundles
        .iter()
        .map(|bundle| {
            let prepared = Prepared::new(bundle, &path);
            let request = prepared.request(&subject.claims(bundle));
            (prepared, request)
        })
        .collect();
    let decisions = SIZES.iter().zip(&asked).map(|((policies, operations), (prepared, request))| {
        let name = format!("{policies} policies, {operations} operations");
        measured(name, move || prepared.slice.decide(request, prepared.version))
    });
    report(decisions.collect());
}

/// The bundle with so many operations and policies more.
fn generated(files: &SourceFiles, policies: usize, operations: usize) -> SourceFiles {
    let mut files = files.clone();
    let mut routes = files.text("schema/routes.toml").expect("the bundle has routes").to_owned();
    for number in 0..operations {
        write!(routes, "\n[[route]]\npath = \"/generated-{number}/{{id}}\"\nmethods = [\"GET\"]\n")
            .expect("a string can be written to");
    }
    let table = RouteTable::from_toml(&routes).expect("the routes make a table");
    files.insert(ROUTES_SCHEMA, table.cedarschema());
    files.insert("schema/routes.toml", routes);
    let policies: String = (0..policies).map(|number| policy(number, number % operations)).collect();
    files.insert("policies/v1/generated.cedar", policies);
    files
}

fn policy(number: usize, operation: usize) -> String {
    let (role, condition) = match number % 3 {
        0 => ("admin", String::new()),
        1 => ("clerk", format!(" when {{ context.params.id == \"order-{number}\" }}")),
        _ => (
            "clerk",
            format!(
                " when {{ principal.claims has department && principal.claims.department == \"d-{number}\" }}"
            ),
        ),
    };
    let action = format!("GET /generated-{operation}/{{id}}");
    format!(
        "@id(\"generated-{number}\")\npermit (principal in Role::\"{role}\", action == Action::\"{action}\", resource){condition};\n"
    )
}
