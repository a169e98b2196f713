//! What Cedar says of one request: the policies' text, the schema's text, and [`cedar::Authorizer::is_authorized`].

use std::collections::{HashMap, HashSet};

use cedar_policy as cedar;
use serde_json::{Value, json};

use super::cases::{Case, Person, ROLES};
use super::router::Match;

/// Cedar's answer to a request, whatever else than its path it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    Allow,
    Deny,
    /// It depends on what the path does not tell.
    Depends,
}

/// The addresses that a request may come from: none is known, one that the policies speak of, another.
pub(super) const ADDRESSES: [Option<&str>; 3] = [None, Some("10.1.2.3"), Some("203.0.113.9")];

/// The policies of a case.
pub(super) struct Law<'c> {
    case: &'c Case,
    policies: cedar::PolicySet,
    schema: &'c cedar::Schema,
    action: cedar::EntityTypeName,
    route: cedar::EntityTypeName,
    /// For each action what its policies read of a request.
    reads: HashMap<String, Reads>,
}

/// What the policies that may apply to an action read, by their text.
#[derive(Default)]
struct Reads {
    params: Vec<String>,
    path: bool,
    address: bool,
}

/// The policies of a case, for one person.
pub(super) struct Judge<'c> {
    law: &'c Law<'c>,
    person: &'c Person,
    principal: cedar::EntityUid,
    entities: HashMap<String, cedar::Entities>,
    known: HashMap<(String, Vec<String>, Option<&'static str>), bool>,
    /// The actions of which a request was checked by the schema.
    checked: HashSet<String>,
}

impl<'c> Law<'c> {
    pub(super) fn new(case: &'c Case, schema: &'c cedar::Schema) -> Self {
        let text: String = case.policies.iter().map(|policy| policy.text.as_str()).collect();
        let policies = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut reads = HashMap::new();
        for route in &case.routes {
            for method in &route.methods {
                let action = format!("{method} {}", route.template);
                let mut read = Reads::default();
                for policy in &case.policies {
                    if policy.actions.as_ref().is_some_and(|actions| !actions.contains(&action)) {
                        continue;
                    }
                    let has = |word: &str| policy.text.contains(word);
                    read.path |= has("context.path");
                    read.address |= has("context.http");
                    let params = route.params().into_iter();
                    read.params.extend(
                        params.filter(|name| has(&format!("context.params.{name}"))).map(str::to_owned),
                    );
                }
                reads.insert(action, read);
            }
        }
        let [action, route] = ["Action", "Route"].map(|kind| kind.parse().unwrap());
        Self { case, policies, schema, action, route, reads }
    }
}

impl Law<'_> {
    /// The id of the action that a request is.
    fn action_of(&self, verb: &str, found: &Match) -> String {
        format!("{verb} {}", self.case.routes[found.route].template)
    }
}

impl<'c> Judge<'c> {
    pub(super) fn new(law: &'c Law<'c>, person: &'c Person) -> Self {
        let kind = if person.is_client { "Client" } else { "User" };
        let principal = of_type(&kind.parse().unwrap(), &format!("dev|{}", person.subject));
        Self {
            law,
            person,
            principal,
            entities: HashMap::new(),
            known: HashMap::new(),
            checked: HashSet::new(),
        }
    }

    /// The answer to a request that `found` serves.
    pub(super) fn rules(&mut self, verb: &str, path: &str, found: &Match) -> Ruling {
        let law = self.law;
        let reads = &law.reads[&law.action_of(verb, found)];
        let addresses = if reads.address { &ADDRESSES[..] } else { &ADDRESSES[..1] };
        let allowed = addresses.iter().filter(|address| self.allows(verb, path, found, **address)).count();
        match allowed {
            0 => Ruling::Deny,
            all if all == addresses.len() => Ruling::Allow,
            _ => Ruling::Depends,
        }
    }

    /// The answer to a request from one address. Cedar is asked once for all requests that differ in nothing that a policy
    /// reads.
    pub(super) fn allows(
        &mut self,
        verb: &str,
        path: &str,
        found: &Match,
        address: Option<&'static str>,
    ) -> bool {
        let action = self.law.action_of(verb, found);
        let reads = &self.law.reads[&action];
        let read = |(name, value): &(String, String)| reads.params.contains(name).then(|| value.clone());
        let mut values: Vec<String> = found.params.iter().filter_map(read).collect();
        values.extend(reads.path.then(|| path.to_owned()));
        let key = (action, values, address.filter(|_| reads.address));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let allows = self.asks_cedar(&key.0, path, found, key.2);
        self.known.insert(key, allows);
        allows
    }

    fn asks_cedar(&mut self, action: &str, path: &str, found: &Match, address: Option<&str>) -> bool {
        let text = |text: &str| cedar::RestrictedExpression::new_string(text.to_owned());
        let record = |fields: Vec<(String, cedar::RestrictedExpression)>| {
            cedar::RestrictedExpression::new_record(fields).unwrap()
        };
        let params = found.params.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let address =
            address.map(|address| ("source_ip".to_owned(), cedar::RestrictedExpression::new_ip(address)));
        let context = [
            ("params", record(params)),
            ("path", text(path)),
            ("http", record(address.into_iter().collect())),
        ];
        let context =
            cedar::Context::from_pairs(context.map(|(name, value)| (name.to_owned(), value))).unwrap();
        let template = &self.law.case.routes[found.route].template;
        if !self.entities.contains_key(template) {
            self.entities.insert(template.clone(), self.entities_for(template));
        }
        // The schema says whether the request is one; once an operation is enough.
        let schema = self.checked.insert(action.to_owned()).then_some(self.law.schema);
        let (action, resource) = (of_type(&self.law.action, action), of_type(&self.law.route, template));
        let request = cedar::Request::new(self.principal.clone(), action, resource, context, schema)
            .unwrap_or_else(|error| panic!("{error}"));
        let response =
            cedar::Authorizer::new().is_authorized(&request, &self.law.policies, &self.entities[template]);
        // Cedar leaves a policy out that fails; here that refuses, as the forbid that it may be would.
        response.decision() == cedar::Decision::Allow && response.diagnostics().errors().next().is_none()
    }

    /// The caller in their roles and tenant, the route in its paths, and the roles and paths in what they are in.
    fn entities_for(&self, template: &str) -> cedar::Entities {
        let named = |kind: &str, id: &str| json!({ "type": kind, "id": id });
        let person = self.person;
        let mut claims = json!({ "level": person.level });
        if let Some(org) = &person.org {
            claims["org"] = json!(org);
        }
        if !person.teams.is_empty() {
            claims["teams"] = json!(person.teams);
        }
        let mut parents: Vec<Value> = person.roles.iter().map(|role| named("Role", role)).collect();
        parents.push(named("Tenant", person.tenant));
        let mut entities = vec![json!({
            "uid": named(&self.principal.type_name().to_string(), self.principal.id().unescaped()),
            "attrs": { "sub": person.subject, "issuer": "dev", "scopes": person.scopes, "claims": claims },
            "parents": parents,
        })];
        for (role, includes) in ROLES {
            let parents: Vec<Value> = includes.iter().map(|role| named("Role", role)).collect();
            entities.push(json!({ "uid": named("Role", role), "attrs": {}, "parents": parents }));
        }
        let stage = self.law.case.gateway.stage();
        let innermost = if template == "$default" { "/" } else { template };
        entities.push(json!({
            "uid": named("Route", template),
            "attrs": { "api": "whole", "stage": stage, "template": template },
            "parents": [named("Path", innermost)],
        }));
        let mut path = innermost.to_owned();
        while path != "/" {
            let outer = match path.rfind('/') {
                Some(0) | None => "/".to_owned(),
                Some(at) => path[..at].to_owned(),
            };
            entities.push(
                json!({ "uid": named("Path", &path), "attrs": {}, "parents": [named("Path", &outer)] }),
            );
            path = outer;
        }
        cedar::Entities::from_json_value(Value::Array(entities), Some(self.law.schema))
            .unwrap_or_else(|error| panic!("{error:?}"))
    }
}

fn of_type(kind: &cedar::EntityTypeName, id: &str) -> cedar::EntityUid {
    cedar::EntityUid::from_type_name_and_id(kind.clone(), cedar::EntityId::new(id))
}
