//! A case as a bundle, a token and an event: how it gets into the authorizer.

use std::fmt::Write as _;

use cedar_gate::authorizer::{Answered, Authorizer};
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::bundle::{Bundle, ROUTES_SCHEMA, load_route_table};
use cedar_gate::jose::JwkSet;
use cedar_gate::time::Timestamp;
use cedar_gate::tools::mint::{DevelopmentKey, TokenRequest, mint_for};
use cedar_policy as cedar;
use serde_json::{Map, Value, json};

use super::cases::{Case, Gateway, Person, ROLES};

/// 2026-11-21T18:00:00Z.
pub(super) const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_284_000);

const ACCOUNT: &str = "123456789012";

/// The two APIs of each bundle: one is told about the whole API, the other about the asked request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Api,
    Request,
}

impl Scope {
    fn api(self) -> &'static str {
        match self {
            Self::Api => "a1b2c3d4e5",
            Self::Request => "f6g7h8i9j0",
        }
    }
}

/// A case that can be asked.
pub(super) struct Deployed<'c> {
    case: &'c Case,
    key: &'c DevelopmentKey,
    authorizer: Authorizer,
}

const GATEWAY_SCHEMA: &str = r"
entity Role in [Role];
entity Tenant;
entity User in [Role, Tenant] = { sub: String, issuer: String, scopes: Set<String>, claims: Claims };
entity Client in [Role, Tenant] = { sub: String, issuer: String, scopes: Set<String>, claims: Claims };
type Claims = { org?: String, teams?: Set<String>, level?: Long };
entity Path in [Path];
entity Tag;
entity Route in [Path, Tag] = { api: String, stage: String, template: String };
type Http = { source_ip?: ipaddr };
action read;
action write;
action connect;
action OPTIONS;
action GET, HEAD in [read];
action POST, PUT, PATCH, DELETE in [write];
";

const ISSUER: &str = r#"
name = "dev"
issuer = "https://dev.cedar-gate.invalid"
provider = "oidc"
keys = "development"
token_use = "access"
audience = ["api"]
tenant = { claim = "tenant", allow = ["acme", "globex"] }
roles = { claim = "roles", grant = ["admin", "auditor", "clerk", "guest"] }
claims = { org = "org", teams = "teams", level = "level" }
"#;

impl<'c> Deployed<'c> {
    /// # Errors
    /// When the bundle does not load, which is the generator's fault.
    pub(super) fn new(case: &'c Case, key: &'c DevelopmentKey) -> Result<Self, String> {
        let mut files = SourceFiles::default();
        files.insert("policies/versions.toml", "default = \"v1\"\n");
        let policies: String = case.policies.iter().map(|policy| policy.text.as_str()).collect();
        files.insert("policies/v1/all.cedar", policies.clone());
        files.insert("policies/v1/roles.toml", roles());
        files.insert("policies/issuers/dev.toml", ISSUER);
        files.insert("schema/gateway.cedarschema", GATEWAY_SCHEMA);
        files.insert("schema/authorizer.toml", deployment(case));
        files.insert("schema/routes.toml", routes(case));
        let table = load_route_table(&files).map_err(|errors| format!("{errors}\n{}", routes(case)))?;
        files.insert(ROUTES_SCHEMA, table.cedarschema());
        let mut bundle =
            Bundle::load(&files).map_err(|errors| format!("{errors}\n{}{policies}", routes(case)))?;
        bundle.add_development_keys(JwkSet::from_json(key.public_jwks().to_string().as_bytes()).unwrap());
        Ok(Self { case, key, authorizer: Authorizer::new(bundle).unwrap() })
    }

    /// The whole schema: what is written, and the operations of the routes.
    pub(super) fn schema(&self) -> &cedar::Schema {
        self.authorizer.read_bundle().unwrap().schema()
    }

    pub(super) fn token(&self, person: &Person) -> String {
        let issuers = self.authorizer.bundle().issuers();
        let issuer = issuers.iter().find(|issuer| issuer.name() == "dev").unwrap();
        let mut claims = Map::from_iter([("level".to_owned(), json!(person.level))]);
        claims.extend(person.org.iter().map(|org| ("org".to_owned(), json!(org))));
        if !person.teams.is_empty() {
            claims.insert("teams".to_owned(), json!(person.teams));
        }
        let request = TokenRequest {
            subject: person.subject.clone(),
            client_id: person.is_client.then(|| person.subject.clone()),
            roles: person.roles.iter().map(|role| (*role).to_owned()).collect(),
            scopes: person.scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            tenant: Some(person.tenant.to_owned()),
            issued_at: NOW,
            expires_at: Timestamp::from_unix_seconds(NOW.unix_seconds() + 3_600),
            claims,
        };
        mint_for(issuer, self.key, &request).unwrap()
    }

    /// What the authorizer answers to a request.
    pub(super) fn ask(
        &self,
        scope: Scope,
        token: &str,
        verb: &str,
        path: &str,
        source_ip: Option<&str>,
    ) -> Answered {
        let event = event(self.case.gateway, scope, token, verb, path, source_ip);
        self.authorizer.answer(event.to_string().as_bytes(), NOW)
    }
}

/// The ARN of a request.
pub(super) fn arn(gateway: Gateway, scope: Scope, verb: &str, path: &str) -> String {
    format!("{}{verb}{path}", stage_arn(gateway, scope))
}

/// What the ARNs of a stage begin with.
pub(super) fn stage_arn(gateway: Gateway, scope: Scope) -> String {
    format!("arn:aws:execute-api:eu-west-1:{ACCOUNT}:{}/{}/", scope.api(), gateway.stage())
}

fn event(
    gateway: Gateway,
    scope: Scope,
    token: &str,
    verb: &str,
    path: &str,
    source_ip: Option<&str>,
) -> Value {
    let arn = arn(gateway, scope, verb, path);
    let bearer = format!("Bearer {token}");
    match gateway {
        Gateway::RestToken => json!({ "type": "TOKEN", "authorizationToken": bearer, "methodArn": arn }),
        Gateway::RestRequest | Gateway::RestGuarded | Gateway::HttpV1 => {
            let mut event = json!({
                "type": "REQUEST",
                "methodArn": arn,
                "path": path,
                "httpMethod": verb,
                "headers": { "Authorization": bearer },
                "multiValueHeaders": { "Authorization": [bearer] },
                "requestContext": { "identity": { "sourceIp": source_ip } },
            });
            if gateway == Gateway::HttpV1 {
                event["version"] = json!("1.0");
            }
            event
        }
        Gateway::HttpV2 => json!({
            "version": "2.0",
            "type": "REQUEST",
            "routeArn": arn,
            "rawPath": path,
            "headers": { "authorization": bearer },
            "requestContext": { "http": { "method": verb, "path": path, "sourceIp": source_ip } },
        }),
    }
}

fn deployment(case: &Case) -> String {
    let gateway = case.gateway;
    let (kind, of_kind) = match gateway {
        Gateway::RestToken | Gateway::RestRequest => ("rest", "resource_policy = false"),
        Gateway::RestGuarded => ("rest", "resource_policy = true"),
        Gateway::HttpV1 | Gateway::HttpV2 => ("http", "response = \"iam\""),
    };
    let api = |scope: Scope, name: &str, settings: &str| {
        let (id, stage) = (scope.api(), gateway.stage());
        format!(
            "[[api]]\nname = \"{name}\"\nkind = \"{kind}\"\naccount = \"{ACCOUNT}\"\nid = \"{id}\"\n\
             stages = [\"{stage}\"]\n{of_kind}\n{settings}\n"
        )
    };
    let whole = api(Scope::Api, "whole", "scope = \"api\"\nresult_ttl_seconds = 300");
    let single = api(Scope::Request, "single", "scope = \"request\"");
    let escapes = case.escapes;
    format!("development = true\n{whole}{single}[document]\nescape_wildcards = {escapes}\n")
}

fn roles() -> String {
    let role = |(name, includes): (&str, &[&str])| {
        format!("[{name}]\ndescription = \"The role {name}.\"\nincludes = {includes:?}\n")
    };
    ROLES.into_iter().map(role).collect()
}

fn routes(case: &Case) -> String {
    case.routes.iter().fold(String::new(), |mut text, route| {
        write!(text, "[[route]]\npath = {:?}\n", route.template).unwrap();
        if !route.is_default() {
            writeln!(text, "methods = {:?}", route.methods).unwrap();
        }
        text
    })
}
