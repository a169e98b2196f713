//! A large bundle like those that people write: collections with items and what is below them; policies by role and tag, by
//! verb and path, about one's own, by tenant, and forbids with exceptions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cedar_gate::bundle::load_route_table;
use cedar_gate::bundle::source::SourceFiles;

/// How large.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) policies: usize,
    pub(crate) routes: usize,
    pub(crate) roles: usize,
}

impl Size {
    pub(crate) const LARGE: Self = Self { policies: 1_000, routes: 300, roles: 40 };

    /// So much of it, and at least a little.
    pub(crate) fn percent(self, percent: usize) -> Self {
        let of = |all: usize| (all * percent / 100).max(10);
        Self { policies: of(self.policies), routes: of(self.routes), roles: of(self.roles) }
    }
}

/// The bundle; of the policies each `nth` is another than in the one for 0.
pub(crate) fn bundle(example: &SourceFiles, size: Size, nth: usize) -> SourceFiles {
    let mut files = example.clone();
    let own: Vec<String> = files.paths_in("policies/v1/", ".cedar").map(str::to_owned).collect();
    own.into_iter().for_each(|path| files.insert(path, ""));
    files.insert("schema/routes.toml", routes(size));
    let table = load_route_table(&files).expect("the routes hold together");
    files.insert("schema/routes.cedarschema", table.cedarschema());
    files.insert("policies/v1/roles.toml", roles(size));
    for (area, text) in policies(size, nth).into_iter().enumerate() {
        files.insert(format!("policies/v1/area{area}.cedar"), text);
    }
    files
}

/// The bundle with an issuer that confers all its roles.
pub(crate) fn with_issuer(files: &SourceFiles, size: Size) -> SourceFiles {
    let mut files = files.clone();
    let roles = size.roles.saturating_sub(3).max(1);
    let grant: Vec<String> = (0..roles).map(|role| format!("\"r{role}\"")).collect();
    files.insert(
        "policies/issuers/large.toml",
        format!(
            "name = \"large\"\nissuer = \"https://large.example\"\nprovider = \"oidc\"\nkeys = \"development\"\n\
             token_use = \"access\"\naudience = [\"orders-api\"]\ntenant = \"acme\"\n\
             roles = {{ claim = \"roles\", grant = [{}] }}\n",
            grant.join(", ")
        ),
    );
    files
}

/// The bundle with suites of about `tests` tests beside it, for principals with two roles each: `allowed` is what each may
/// do, and every other request must be denied.
pub(crate) fn suites(files: &SourceFiles, size: Size, tests: usize, allowed: &Allowed) -> SourceFiles {
    let mut files = files.clone();
    let roles = size.roles.saturating_sub(3).max(1);
    let table = load_route_table(&files).expect("the routes hold together");
    let people = tests.div_ceil(table.operations().len());
    let (mut principals, mut cases) = (String::new(), String::new());
    cases.push_str("[suite]\napi = \"orders-rest\"\nparams = { id = [\"4711\"] }\n\n");
    for person in 0..people {
        let (first, second) = (person % roles, (person * 5 + 1) % roles);
        _ = write!(
            principals,
            "[principal.p{person}]\nissuer = \"large\"\nroles = [\"r{first}\", \"r{second}\"]\n\n"
        );
        let allowed: Vec<String> = allowed
            .get(&format!("p{person}"))
            .into_iter()
            .flatten()
            .map(|request| format!("{request:?}"))
            .collect();
        _ = write!(
            cases,
            "[[case]]\nname = \"p{person}\"\nprincipals = [\"p{person}\"]\nallow = [{}]\n\n",
            allowed.join(", ")
        );
    }
    files.insert("tests/policies/principals.toml", principals);
    files.insert("tests/policies/large.toml", cases);
    files
}

/// The requests that each principal may make, as templates.
pub(crate) type Allowed = BTreeMap<String, BTreeSet<String>>;

/// A request for an item, as one for any item of its collection: no policy that decides here looks at which.
pub(crate) fn template(request: &str) -> String {
    let mut segments: Vec<&str> = request.split('/').collect();
    if let Some(segment) = segments.get_mut(2).filter(|segment| **segment != "export") {
        *segment = "{id}";
    }
    segments.join("/")
}

/// Four routes a collection.
fn collections(size: Size) -> usize {
    size.routes.div_ceil(4)
}

fn routes(size: Size) -> String {
    let mut text = String::new();
    for index in 0..size.routes {
        let collection = index / 4;
        let (path, methods) = match index % 4 {
            0 => (format!("/c{collection}"), r#""GET", "POST""#),
            1 => (format!("/c{collection}/{{id}}"), r#""GET", "PUT", "DELETE""#),
            2 => (format!("/c{collection}/{{id}}/notes"), r#""GET", "POST""#),
            _ => (format!("/c{collection}/export"), r#""GET""#),
        };
        let tags = format!(r#""t{}", "c{collection}""#, collection % 12);
        _ = write!(text, "[[route]]\npath = \"{path}\"\nmethods = [{methods}]\ntags = [{tags}]\n\n");
    }
    text
}

fn roles(size: Size) -> String {
    // What the issuers of the example confer, and the rest; each third includes the one before it.
    let mut text = String::from(
        "[clerk]\ndescription = \"\"\n[auditor]\ndescription = \"\"\n[admin]\ndescription = \"\"\nincludes = [\"clerk\"]\n",
    );
    for role in 0..size.roles.saturating_sub(3) {
        _ = write!(text, "[r{role}]\ndescription = \"\"\n");
        if role % 3 == 2 {
            _ = writeln!(text, "includes = [\"r{}\"]", role - 1);
        }
    }
    text
}

fn policies(size: Size, nth: usize) -> Vec<String> {
    let collections = collections(size);
    let roles = size.roles.saturating_sub(3).max(1);
    let mut areas = vec![String::new(); collections.min(40)];
    for index in 0..size.policies {
        let other = usize::from(nth > 0 && index % nth == 0);
        let role = format!("Role::\"r{}\"", (index * 7 + other) % roles);
        let (collection, tag) = (index % collections, index % 12.min(collections));
        let text = match index % 10 {
            0 | 1 => format!(
                "permit (principal in {role}, action in Action::\"read\", resource in Path::\"/c{collection}\");"
            ),
            2 => format!(
                "permit (principal in {role}, action in Action::\"write\", resource in Tag::\"c{collection}\");"
            ),
            3 => format!("permit (principal in {role}, action == Action::\"GET /c{collection}\", resource);"),
            4 => format!(
                "permit (principal is User in {role}, action, resource == Route::\"/c{collection}\");"
            ),
            5 => format!(
                "permit (principal is User, action == Action::\"GET /c{collection}/{{id}}\", resource)\n\
                 when {{ context.params.id == principal.sub || principal.scopes.contains(\"s{}\") }};",
                index + other
            ),
            6 => format!(
                "forbid (principal, action == Action::\"DELETE /c{collection}/{{id}}\", resource)\n\
                 when {{ context.params.id like \"keep{}-*\" }};",
                index + other
            ),
            7 => format!(
                "permit (principal in {role}, action in Action::\"write\", resource in Path::\"/c{collection}\")\n\
                 when {{ principal.claims has department && principal.claims.department == \"d{}\" }};",
                index % 9 + other
            ),
            8 => format!(
                "forbid (principal in Tenant::\"globex\", action in Action::\"write\", resource in Tag::\"t{tag}\");"
            ),
            _ => format!(
                "permit (principal is Client in {role}, action in Action::\"read\", resource in Tag::\"t{tag}\");"
            ),
        };
        let last = areas.len();
        if let Some(area) = areas.get_mut(collection % last) {
            _ = write!(area, "@id(\"p{index}\")\n@description(\"The rule of number {index}.\")\n{text}\n\n");
        }
    }
    areas
}
