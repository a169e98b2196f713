//! The files of a new bundle: a small set that holds together, can be asked at once, and says what to change.

use crate::bundle::ROUTES_SCHEMA;
use crate::route::{Operation, RouteError, RouteTable};

/// The vocabulary that the example bundle has.
const VOCABULARY: &str = include_str!("../../schema/gateway.cedarschema");

/// What the new bundle is for.
#[derive(Clone, Debug)]
pub struct NewBundle<'n> {
    /// The API's alias.
    pub api: &'n str,
    /// The kind of API.
    pub kind: NewApi,
    /// The account that owns it.
    pub account: &'n str,
    /// Its id.
    pub id: &'n str,
    /// Its stage.
    pub stage: &'n str,
    /// `schema/routes.toml`.
    pub routes: &'n str,
}

/// The kinds of API that a bundle is begun for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewApi {
    /// A REST API.
    Rest,
    /// An HTTP API.
    Http,
}

/// Routes to begin with, where there is no document that has them.
pub const SOME_ROUTES: &str = "\
# The API's route table. After a change, run: cedar-gate routes schema --write

[[route]]
path = \"/items\"
methods = [\"GET\", \"POST\"]

[[route]]
path = \"/items/{itemId}\"
methods = [\"GET\", \"PUT\", \"DELETE\"]
";

const VERSIONS: &str = "\
# Which version of the policies decides. Rolling back is changing one line; see cedar-gate help versions.

default = \"v1\"        # every API and stage that is not named below
";

const ROLES: &str = "\
# The roles that exist. A policy or an issuer that names another is an error, not a silent deny.

[reader]
description = \"Reads everything.\"

[writer]
description = \"Reads and changes everything.\"
includes = [\"reader\"]
";

const POLICIES: &str = "\
// What is not permitted here is denied. A policy can speak of one operation, `action == Action::\"GET /items\"`, of a part of
// the API, `resource in Path::\"/items\"`, and of the request, `when { context.params.itemId == principal.sub }`.
// `cedar-gate routes list` shows what can be asked for, and what a policy calls it.

@id(\"readers-read\")
@description(\"Who may read may read everything.\")
permit (principal in Role::\"reader\", action in Action::\"read\", resource);

@id(\"writers-write\")
@description(\"Who may write may change everything.\")
permit (principal in Role::\"writer\", action in Action::\"write\", resource);
";

const PRINCIPALS: &str = "\
# Who is tried in the tests of the policies; see cedar-gate help test.

[principal.rita]
issuer = \"dev\"
roles  = [\"reader\"]

[principal.walter]
issuer = \"dev\"
roles  = [\"writer\"]

[principal.nobody]
issuer = \"dev\"
";

/// The tests of the policies, with their paths beside the bundle's: no part of it.
///
/// # Errors
/// Why the routes are no route table.
pub fn tests(new: &NewBundle<'_>) -> Result<[(&'static str, String); 2], RouteError> {
    let routes = RouteTable::from_toml(new.routes)?;
    let allow = |may: &dyn Fn(&Operation) -> bool| -> String {
        let operations = routes.operations().iter().filter(|operation| may(operation));
        let lines = operations.filter_map(|operation| Some((operation.verb()?, operation.template())));
        lines.map(|(verb, template)| format!("  \"{verb} {template}\",\n")).collect()
    };
    let is = |operation: &Operation, groups: &[&str]| {
        operation.verb().is_some_and(|verb| groups.contains(&verb.as_str()))
    };
    let (reads, writes) = (["GET", "HEAD"], ["POST", "PUT", "PATCH", "DELETE"]);
    let suite = format!(
        "\
# What each may do. What a case does not allow has to be denied, in the whole route table. Run: cedar-gate test

[[case]]
name       = \"readers read\"
principals = [\"rita\"]
allow      = [
{}]

[[case]]
name       = \"writers read and write\"
principals = [\"walter\"]
allow      = [
{}]

[[case]]
name       = \"without a role there is nothing to see\"
principals = [\"nobody\"]
allow      = []
",
        allow(&|operation| is(operation, &reads)),
        allow(&|operation| is(operation, &reads) || is(operation, &writes))
    );
    Ok([("tests/policies/principals.toml", PRINCIPALS.to_owned()), ("tests/policies/api.toml", suite)])
}

/// The files with their paths in the bundle, in order.
///
/// # Errors
/// Why the routes are no route table.
pub fn files(new: &NewBundle<'_>) -> Result<Vec<(&'static str, String)>, RouteError> {
    let routes = RouteTable::from_toml(new.routes)?;
    Ok(vec![
        ("policies/versions.toml", VERSIONS.to_owned()),
        ("policies/v1/roles.toml", ROLES.to_owned()),
        ("policies/v1/api.cedar", POLICIES.to_owned()),
        ("policies/issuers/dev.toml", issuer(new)),
        ("schema/authorizer.toml", authorizer(new)),
        ("schema/gateway.cedarschema", VOCABULARY.to_owned()),
        ("schema/routes.toml", new.routes.to_owned()),
        (ROUTES_SCHEMA, routes.cedarschema()),
    ])
}

/// The files by which editors complete the others, with their paths beside the bundle's: no part of it.
pub const FOR_EDITORS: [(&str, &str); 9] = [
    (".taplo.toml", include_str!("../../.taplo.toml")),
    ("schema/json/authorizer.schema.json", include_str!("../../schema/json/authorizer.schema.json")),
    ("schema/json/issuer.schema.json", include_str!("../../schema/json/issuer.schema.json")),
    ("schema/json/principals.schema.json", include_str!("../../schema/json/principals.schema.json")),
    ("schema/json/revocations.schema.json", include_str!("../../schema/json/revocations.schema.json")),
    ("schema/json/roles.schema.json", include_str!("../../schema/json/roles.schema.json")),
    ("schema/json/routes.schema.json", include_str!("../../schema/json/routes.schema.json")),
    ("schema/json/suite.schema.json", include_str!("../../schema/json/suite.schema.json")),
    ("schema/json/versions.schema.json", include_str!("../../schema/json/versions.schema.json")),
];

fn issuer(new: &NewBundle<'_>) -> String {
    format!(
        "\
# The development issuer: `cedar-gate token mint --issuer dev` signs with a key pair of this machine. Before you go live,
# trust your own with `cedar-gate issuer add`, and remove this file and `development = true` in schema/authorizer.toml.
name      = \"dev\"
issuer    = \"https://dev.cedar-gate.invalid\"
provider  = \"oidc\"
keys      = \"development\"
token_use = \"access\"
audience  = [\"{}\"]
roles     = {{ claim = \"roles\", grant = [\"reader\", \"writer\"] }}
claims    = {{ department = \"department\" }}
",
        new.api
    )
}

fn authorizer(new: &NewBundle<'_>) -> String {
    let (kind, form) = match new.kind {
        NewApi::Rest => (
            "rest",
            "resource_policy = false           # must be said: where the API has one, silence would be an Allow",
        ),
        NewApi::Http => {
            ("http", "response = \"simple\"               # as EnableSimpleResponses is set; or \"iam\"")
        }
    };
    format!(
        "\
# The facts of the deployment: which APIs ask, how, and what they get back.

# A development bundle may trust a development issuer. Remove this line, and the issuer, to go live.
development = true

# An API that asks must be named here: account, id and stage, as they are in AWS. Any other is refused.
[[api]]
name    = \"{}\"
kind    = \"{kind}\"
account = \"{}\"
id      = \"{}\"
stages  = [\"{}\"]
{form}
token   = [{{ header = \"Authorization\" }}]
result_ttl_seconds = 0             # what the authorizer's AuthorizerResultTtlInSeconds is set to

# What the integration is told: $context.authorizer.<key>. policyVersion and policyDigest are there without being named.
[context]
principal = {{ source = \"principal\" }}
roles     = {{ source = \"roles\", list = \"json\" }}

[log]
allow = \"all\"                      # all | none | n: one allow in n leaves a decision record. A refusal always does
facts = \"hashed\"                   # what of a request it carries, for cedar-gate replay: hashed | plain | none
",
        new.api, new.account, new.id, new.stage
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;
    use crate::bundle::source::SourceFiles;

    #[test]
    fn what_is_begun_holds_together() {
        for kind in [NewApi::Rest, NewApi::Http] {
            let new = NewBundle {
                api: "shop",
                kind,
                account: "123456789012",
                id: "a1b2c3d4e5",
                stage: "prod",
                routes: SOME_ROUTES,
            };
            let mut source = SourceFiles::default();
            files(&new).unwrap().into_iter().for_each(|(path, text)| source.insert(path, text));
            let bundle = Bundle::load(&source).unwrap_or_else(|errors| panic!("{errors}"));
            assert_eq!(bundle.active("shop", "prod").map(|version| version.name.as_str()), Some("v1"));
        }
    }
}
