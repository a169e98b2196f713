//! What a document for a whole API costs: for a principal that nobody has asked for before, beside deciding each of its
//! operations once; and where it is there already.
//!
//! The tables and policies are like those that people write: collections with items, some with an export beside the item and
//! something below it; policies by role and tag, by verb, by tenant, about one's own items, and forbids with exceptions.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::decision::{Effect, Engine, PolicySlice};
use cedar_gate::entities::{EntityFactory, HttpFacts, OperationEntities, Principal};
use cedar_gate::grants::{GrantPlan, PrincipalReads};
use cedar_gate::iam::Limits;
use cedar_gate::path::RequestPath;
use cedar_gate::route::Router;
use cedar_policy as cedar;
use cedar_policy::RestrictedExpression as Value;

use crate::subject::{for_the_whole_api, load};

const API: (&str, &str) = ("orders-rest", "prod");
const COLLECTIONS: [&str; 20] = [
    "orders", "users", "invoices", "products", "carts", "reports", "teams", "files", "notes", "plans",
    "quotes", "claims", "tickets", "assets", "grants", "labels", "visits", "offers", "stores", "trips",
];
const ROLES: usize = 6;
/// Principals that are asked for, each once a turn.
const PRINCIPALS: usize = 60;
const TURNS: usize = 5;

/// Prints a table of times, for an API of each size.
pub(crate) fn print(files: &SourceFiles) {
    println!(
        "{:<36}{:>10}{:>12}{:>10}{:>10}{:>8}",
        "document: a new principal", "median us", "p99 us", "most us", "exact", "ratio"
    );
    for (operations, policies) in [(40, 60), (140, 200)] {
        let subject = Subject::new(&api(files, operations, policies));
        let bundle = subject.authorizer.read_bundle().expect("it was read from its sources");
        let (mut decided, mut granted, mut compiled, mut exact) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut most_work = 0;
        for turn in 0..TURNS {
            for principal in &subject.principals {
                let started = Instant::now();
                let allowed = subject.decide_each(principal);
                decided.push(started.elapsed().as_secs_f64() * 1e6);
                let started = Instant::now();
                let grants = subject.plan.grants(bundle.routes(), bundle.schema(), principal);
                granted.push(started.elapsed().as_secs_f64() * 1e6);
                assert!(grants.is_ok(), "every principal has grants");
                let started = Instant::now();
                let document = subject.authorizer.document(API, "eu-west-1", principal);
                compiled.push(started.elapsed().as_secs_f64() * 1e6);
                let document = document.expect("the API has documents").expect("there is a document");
                assert!(allowed <= operations, "an operation is allowed once");
                exact += usize::from(turn == 0 && document.is_exact());
                most_work = most_work.max(document.work);
            }
        }
        let baseline = quantile(&mut decided, 50);
        let name = format!("{operations} operations, {policies} policies");
        for (name, times, exact) in [
            (format!("{name}: decide each"), &mut decided, None),
            (format!("{name}: document"), &mut compiled, Some(exact)),
            ("  of which the grants".to_owned(), &mut granted, None),
        ] {
            let (median, p99, most) = (quantile(times, 50), quantile(times, 99), quantile(times, 100));
            let exact = exact.map_or(String::new(), |exact: usize| format!("{exact}/{PRINCIPALS}"));
            println!("{name:<36}{median:>10.0}{p99:>12.0}{most:>10.0}{exact:>10}{:>8.2}", median / baseline);
        }
        println!("  the most work that one took: {most_work} of {}", Limits::DEFAULT.work);
    }
    at_the_limit(files);
    of_services(files);
    println!();
}

/// The grants alone, of APIs that are larger, under policies of roles: a service of four operations is granted as a whole.
fn of_services(files: &SourceFiles) {
    for (services, policies) in [(70, 100), (700, 1_000)] {
        let files = api_with(files, service_routes(services), service_policies(services, policies));
        let subject = Subject::new(&files);
        let bundle = subject.authorizer.read_bundle().expect("it was read from its sources");
        let (mut decided, mut granted, mut allowed) = (Vec::new(), Vec::new(), 0);
        for principal in (0..TURNS).flat_map(|_| &subject.principals) {
            let started = Instant::now();
            allowed += subject.decide_each(principal);
            decided.push(started.elapsed().as_secs_f64() * 1e6);
            let started = Instant::now();
            let grants = subject.plan.grants(bundle.routes(), bundle.schema(), principal);
            granted.push(started.elapsed().as_secs_f64() * 1e6);
            assert!(grants.is_ok(), "every principal has grants");
        }
        assert!(allowed > 0, "the policies allow something");
        let baseline = quantile(&mut decided, 50);
        let name = format!("{} operations, {policies} policies", services * 4);
        for (name, times) in
            [(format!("{name}: decide each"), &mut decided), (format!("{name}: grants"), &mut granted)]
        {
            let (median, p99, most) = (quantile(times, 50), quantile(times, 99), quantile(times, 100));
            println!("{name:<40}{median:>6.0}{p99:>12.0}{most:>10.0}{:>10}{:>8.2}", "", median / baseline);
        }
    }
}

/// What a document costs that takes more work than it may: each principal tried once, and there is none.
fn at_the_limit(files: &SourceFiles) {
    let mut files = api(files, 140, 200);
    let deployment = files.text("schema/authorizer.toml").expect("the bundle has the file").to_owned();
    // Every collection's items are for everybody, and what is below them for their owner: so nothing is exact, and the
    // second attempt, which spares collisions, is made for each verb.
    files.insert("policies/v1/more.cedar", below_and_beside());
    for (work, conditions) in [
        (1_000_000, ""),
        (4_000_000, ""),
        (Limits::DEFAULT.work, ""),
        (Limits::DEFAULT.work, ", and all conditions"),
    ] {
        if !conditions.is_empty() {
            files.insert("policies/v1/mixed.cedar", mixed_conditions());
        }
        files.insert(
            "schema/authorizer.toml",
            deployment.replace("work = 20000000", &format!("work = {work}")),
        );
        let bundle = load(&files);
        let authorizer = authorizer(bundle);
        let (mut times, mut failed, mut left) = (Vec::new(), 0, Vec::new());
        for principal in (0..PRINCIPALS).map(principal) {
            let started = Instant::now();
            let document = authorizer.document(API, "eu-west-1", &principal).expect("the API has documents");
            times.push(started.elapsed().as_secs_f64() * 1e6);
            match document {
                Ok(document) => left.push(work.saturating_sub(document.work)),
                Err(_) => failed += 1,
            }
        }
        let (median, most) = (quantile(&mut times, 50), quantile(&mut times, 100));
        let left = left.iter().min().map(|left| format!(", the others had at least {left} left"));
        println!(
            "{:<36}{median:>10.0}{:>12}{most:>10.0}  {failed} without a document{}",
            format!("with {work} words of work{conditions}"),
            "",
            left.unwrap_or_default()
        );
    }
}

fn quantile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    let last = times.len().saturating_sub(1);
    times.get(last * percent / 100).copied().unwrap_or(f64::NAN)
}

struct Subject {
    authorizer: Authorizer,
    factory: EntityFactory,
    operations: Vec<(Arc<OperationEntities>, PolicySlice)>,
    paths: Vec<(String, RequestPath)>,
    principals: Vec<Principal>,
    plan: GrantPlan,
}

impl Subject {
    fn new(files: &SourceFiles) -> Self {
        let bundle = load(files);
        let version = bundle.active(API.0, API.1).expect("a version is active");
        let factory = EntityFactory::new(bundle.vocabulary(), &version.roles).expect("the vocabulary is one");
        let engine = Arc::new(Engine::new(version.policies().clone()).expect("the policies can be asked"));
        let actions = bundle.schema().action_entities().expect("the actions make a hierarchy");
        let prepared = bundle.routes().operations().iter().map(|operation| {
            let entities = OperationEntities::new(operation, API.0, API.1, bundle.vocabulary(), &actions);
            let entities = entities.expect("the operation has entities");
            let slice = engine.slice(entities.action(), entities.route(), entities.entities());
            (Arc::new(entities), slice.expect("the policies have ids"))
        });
        let operations: Vec<(Arc<OperationEntities>, PolicySlice)> = prepared.collect();
        let planned: Vec<_> = operations
            .iter()
            .map(|(entities, _)| (Arc::clone(entities), engine.scope(entities).expect("the index is whole")))
            .collect();
        let reads = PrincipalReads::of_policies(version.policies());
        let plan = GrantPlan::new(Arc::clone(&engine), reads, planned);
        let paths = bundle.routes().operations().iter().map(|operation| {
            let verb = operation.verb().expect("an operation of a REST API has a verb").as_str();
            let path = operation.template().as_str().replace('{', "").replace('}', "-1");
            (verb.to_owned(), path.parse().expect("the path is one"))
        });
        let paths = paths.collect();
        let principals = (0..PRINCIPALS).map(principal).collect();
        Self { factory, operations, paths, principals, plan, authorizer: authorizer(bundle) }
    }

    /// How many operations are allowed, each decided for one path, by Cedar's own authorizer.
    fn decide_each(&self, principal: &Principal) -> usize {
        let bundle = self.authorizer.read_bundle().expect("it was read from its sources");
        let allowed = self.paths.iter().filter(|(verb, path)| {
            let verb = verb.parse().expect("it is a verb");
            let matched = bundle.routes().find(Router::Rest, &verb, path).expect("the route is there");
            let (entities, slice) =
                self.operations.get(matched.operation().id().index()).expect("each operation is prepared");
            let facts = HttpFacts::default();
            let request = self.factory.request(principal, entities, &matched, path.as_str(), &facts);
            slice.decide(&request.expect("the request is one")).effect() == Effect::Allow
        });
        allowed.count()
    }
}

fn authorizer(bundle: Bundle) -> Authorizer {
    Authorizer::new(bundle).expect("the bundle can be prepared")
}

/// A user with some of the roles.
fn principal(number: usize) -> Principal {
    let text = |text: String| Value::new_string(text);
    let attributes = [
        ("sub", text(format!("user-{number}"))),
        ("issuer", text("dev".to_owned())),
        ("scopes", Value::new_set([])),
        ("claims", Value::new_record([]).expect("nothing is a record")),
    ];
    let roles = (0..ROLES).filter(|role| (number * 37 + 11) >> role & 1 == 1);
    let parents = roles
        .map(|role| format!("Role::\"r{role}\""))
        .chain([format!("Tenant::\"{}\"", tenant(number))])
        .map(|uid| uid.parse().expect("it is an entity's name"));
    let uid: cedar::EntityUid =
        format!("User::\"dev|user-{number}\"").parse().expect("it is an entity's name");
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    cedar::Entity::new(uid, attributes, parents.collect()).expect("the attributes are values").into()
}

fn api(files: &SourceFiles, operations: usize, policies: usize) -> SourceFiles {
    api_with(files, routes(operations), all_policies(operations, policies))
}

/// The example bundle with other routes, roles and policies, and answers about the whole API.
fn api_with(files: &SourceFiles, routes: String, policies: String) -> SourceFiles {
    let files = &for_the_whole_api(files);
    let mut made = SourceFiles::default();
    let replaced = |path: &str| {
        path.starts_with("policies/v1/") || path.starts_with("schema/routes.") || path.starts_with("tests/")
    };
    for path in files.paths().filter(|path| !replaced(path)) {
        made.insert(path, files.bytes(path).expect("it is listed"));
    }
    let table = cedar_gate::route::RouteTable::from_toml(&routes).expect("the routes are a table");
    made.insert("schema/routes.cedarschema", table.cedarschema());
    made.insert("schema/routes.toml", routes);
    let roles = (0..ROLES).map(|role| format!("[r{role}]\ndescription = \"Role {role}.\"\n"));
    made.insert("policies/v1/roles.toml", roles.collect::<String>());
    for issuer in files.paths_in("policies/issuers/", ".toml") {
        let text = files.text(issuer).expect("it is listed");
        let line = |line: &str| match line.starts_with("roles") {
            true => "roles = { grant = [\"r0\"] }".to_owned(),
            false => line.to_owned(),
        };
        made.insert(issuer, text.lines().map(line).collect::<Vec<_>>().join("\n"));
    }
    made.insert("policies/v1/all.cedar", policies);
    made
}

fn service_routes(services: usize) -> String {
    let route = |service, path, verbs| {
        format!("[[route]]\npath = \"/svc{service:03}{path}\"\nmethods = [{verbs}]\n\n")
    };
    let both =
        |service| [route(service, "", r#""GET", "POST""#), route(service, "/{id}", r#""GET", "DELETE""#)];
    (0..services).flat_map(both).collect()
}

/// Grants of a service to a role, by read and write, every tenth under a condition; and nobody is let into another tenant.
fn service_policies(services: usize, policies: usize) -> String {
    let policy = |number: usize| {
        let (role, service) = (number % ROLES, number * 7 % services);
        let access = if number.is_multiple_of(2) { "read" } else { "write" };
        let condition = match number % 10 {
            9 => "\nwhen { principal.claims has department && principal.claims.department == \"sales\" }",
            _ => "",
        };
        format!(
            "@id(\"p{number}\")\npermit (principal in Role::\"r{role}\", action in Action::\"{access}\", resource in Path::\"/svc{service:03}\"){condition};\n\n"
        )
    };
    let tenants = "@id(\"tenants\")\nforbid (principal, action, resource)\nunless { principal in Tenant::\"acme\" || principal in Tenant::\"globex\" };\n\n";
    std::iter::once(tenants.to_owned()).chain((1..policies).map(policy)).collect()
}

/// The operations in their order: verb and path, the number of the collection.
fn table(operations: usize) -> Vec<(&'static str, String, usize)> {
    let collection = |number: usize, name: &str| {
        let mut of_one = vec![
            ("GET", format!("/{name}"), number),
            ("POST", format!("/{name}"), number),
            ("GET", format!("/{name}/{{id}}"), number),
            ("PUT", format!("/{name}/{{id}}"), number),
            ("DELETE", format!("/{name}/{{id}}"), number),
        ];
        if number.is_multiple_of(2) {
            of_one.push(("GET", format!("/{name}/export"), number));
        }
        if number.is_multiple_of(3) {
            of_one.push(("GET", format!("/{name}/{{id}}/lines"), number));
            of_one.push(("GET", format!("/{name}/{{id}}/lines/{{line}}"), number));
        }
        if number % 3 == 1 {
            of_one.push(("POST", format!("/{name}/{{id}}/cancel"), number));
        }
        of_one
    };
    let all = COLLECTIONS.iter().enumerate().flat_map(|(number, name)| collection(number, name));
    all.take(operations).collect()
}

fn routes(operations: usize) -> String {
    let mut by_path: Vec<(String, Vec<&str>, usize)> = Vec::new();
    for (verb, path, number) in table(operations) {
        match by_path.iter_mut().find(|(known, ..)| *known == path) {
            Some((_, verbs, _)) => verbs.push(verb),
            None => by_path.push((path, vec![verb], number)),
        }
    }
    let mut text = String::new();
    for (path, verbs, number) in by_path {
        let tag = number % 4;
        writeln!(text, "[[route]]\npath = {path:?}\nmethods = {verbs:?}\ntags = [\"g{tag}\"]")
            .expect("it is memory");
    }
    text
}

fn all_policies(operations: usize, policies: usize) -> String {
    let table = table(operations);
    let with_id: Vec<&(&str, String, usize)> =
        table.iter().filter(|(_, path, _)| path.contains("{id}")).collect();
    let mut text = String::new();
    for number in 0..policies {
        let (role, tag, tenant) = (number * 5 % ROLES, number * 7 % 4, tenant(number));
        let (verb, path, _) = table.get(number * 13 % table.len()).expect("it is one of them");
        let operation = format!("action == Action::\"{verb} {path}\"");
        let (verb, path, _) = with_id.get(number * 11 % with_id.len()).expect("it is one of them");
        let item = format!("action == Action::\"{verb} {path}\"");
        let role = format!("principal in Role::\"r{role}\"");
        let policy = match number % 10 {
            0 => format!("permit ({role}, action, resource in Tag::\"g{tag}\");"),
            1 => format!("permit ({role}, action in Action::\"read\", resource in Tag::\"g{tag}\");"),
            2 => format!("permit ({role}, {operation}, resource);"),
            3 => {
                format!("permit (principal, {item}, resource) when {{ context.params.id == principal.sub }};")
            }
            4 => format!("forbid (principal, {operation}, resource) unless {{ {role} }};"),
            5 => format!("permit (principal in Tenant::\"{tenant}\", {operation}, resource);"),
            6 => format!("permit ({role}, {item}, resource) when {{ context.params.id like \"pub-*\" }};"),
            7 => format!(
                "forbid (principal in Tenant::\"{tenant}\", action in Action::\"write\", resource in Tag::\"g{tag}\") unless {{ {role} }};"
            ),
            8 => format!("forbid (principal, {item}, resource) when {{ context.params.id == \"secret\" }};"),
            _ => format!("permit ({role}, action == Action::\"GET /orders\", resource);"),
        };
        writeln!(text, "@id(\"p{number}\")\n{policy}\n").expect("it is memory");
    }
    text
}

fn below_and_beside() -> String {
    let mut text = String::new();
    for (verb, path, number) in table(140).iter().filter(|(_, path, _)| path.contains("{id}")) {
        let condition = match path.ends_with("{id}") {
            true => String::new(),
            false => " when { context.params.id == principal.sub }".to_owned(),
        };
        writeln!(text, "@id(\"all-{verb}-{number}-{}\")", path.len()).expect("it is memory");
        writeln!(text, "permit (principal, action == Action::\"{verb} {path}\", resource){condition};\n")
            .expect("it is memory");
    }
    text
}

/// As many conditions as are evaluated for one answer, near enough, of the kind that takes longest: five for each of 140
/// operations that want partial evaluation, and come to nothing.
fn mixed_conditions() -> String {
    let condition = "(if principal.sub == \"user-1\" then \"b\" else context.path) == \"no path\"";
    let policy = |number| {
        format!("@id(\"mixed-{number}\")\npermit (principal, action, resource) when {{ {condition} }};\n\n")
    };
    (0..5).map(policy).collect()
}

fn tenant(number: usize) -> &'static str {
    if number.is_multiple_of(2) { "acme" } else { "globex" }
}
