//! Strict validation of the policies, by Cedar's own validator, in a time that a large API can wait for.
//!
//! The validator looks at each policy once for each action: 1,000 policies and 750 operations are a million times and a
//! half. Most of that is the same question again. What it makes of a policy depends on an operation by three things: the
//! groups that the action is in, the types of its parameters, and whether the policy names it. So a policy is held against
//! the operations that it names, and, unless its scope names all that it is about, against one of each kind of the others.
//!
//! That tells which policies have nothing wrong with them. Each that has is validated again, against the whole schema, and
//! what is told is what that says.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy as cedar;

use super::ROUTES;
use super::finding::{Code, Findings};
use super::vocabulary::{self, first_span, schema_message};
use crate::route::{Operation, RouteTable};

/// Up to here the whole schema is as quick.
const FEW_OPERATIONS: usize = 64;

/// The most operations that policies which are validated together may name, unless one of them names more.
const NAMED_TOGETHER: usize = 16;

/// The schema, whole and in parts.
#[derive(Debug)]
pub(super) struct Validation<'b> {
    gateway: cedar::SchemaFragment,
    routes: &'b RouteTable,
    whole: cedar::Schema,
}

impl<'b> Validation<'b> {
    /// The vocabulary and the operations together; what does not go together is noted.
    pub(super) fn new(
        gateway: cedar::SchemaFragment,
        routes: &'b RouteTable,
        findings: &mut Findings<'_>,
    ) -> Option<Self> {
        let operations = match cedar::SchemaFragment::from_cedarschema_str(&routes.cedarschema()) {
            Ok((operations, _)) => operations,
            Err(error) => {
                let message = format!("the operations make no schema: {}", schema_message(&error));
                findings.note(Code::SchemaConflict, ROUTES, None, message, None);
                return None;
            }
        };
        match cedar::Schema::from_schema_fragments([gateway.clone(), operations]) {
            Ok(whole) => Some(Self { gateway, routes, whole }),
            Err(error) => {
                let (span, message) = (first_span(&error), schema_message(&error));
                findings.note(Code::SchemaConflict, vocabulary::PATH, span, message, None);
                None
            }
        }
    }

    /// The whole schema.
    pub(super) fn schema(&self) -> &cedar::Schema {
        &self.whole
    }

    /// Validates strictly; attributes of the principal and the route alone may be read (level 1), because no other entity
    /// is handed to the policies.
    pub(super) fn validate(&self, policies: &cedar::PolicySet) -> cedar::ValidationResult {
        match self.routes.operations().len() {
            0..=FEW_OPERATIONS => validate(&self.whole, policies),
            _ => self.validate_in_parts(policies).unwrap_or_else(|| validate(&self.whole, policies)),
        }
    }

    /// `None` where the parts cannot be put together.
    fn validate_in_parts(&self, policies: &cedar::PolicySet) -> Option<cedar::ValidationResult> {
        let operations = self.routes.operations();
        let by_name: BTreeMap<&str, &Operation> =
            operations.iter().map(|operation| (operation.name(), operation)).collect();
        let of_each_kind: BTreeMap<(&str, BTreeSet<&str>), &Operation> = operations
            .iter()
            .rev()
            .map(|operation| ((operation.action_group(), operation.param_names().collect()), operation))
            .collect();
        let of_each_kind: BTreeSet<&str> = of_each_kind.values().map(|operation| operation.name()).collect();
        let mut parts = Parts { validation: self, by_name: &by_name, suspects: cedar::PolicySet::new() };
        // Those whose scope names operations alone, and the others.
        let (mut narrow, mut wide) = (Vec::new(), Vec::new());
        for policy in policies.policies() {
            let names = named(policy, &by_name);
            match is_about_named(policy, &by_name) {
                true => narrow.push((names, policy)),
                false => wide.push((names, policy)),
            }
        }
        parts.validate_all(narrow, &BTreeSet::new())?;
        parts.validate_all(wide, &of_each_kind)?;
        Some(validate(&self.whole, &parts.suspects))
    }
}

/// The operations that a policy names, in its scope or its conditions.
fn named<'o>(policy: &cedar::Policy, operations: &BTreeMap<&'o str, &Operation>) -> BTreeSet<&'o str> {
    let literals = policy.entity_literals();
    let actions = literals.iter().filter(|uid| uid.type_name().basename() == "Action");
    let known = actions.filter_map(|uid| operations.get_key_value(uid.id().unescaped()));
    known.map(|(name, _)| *name).collect()
}

/// Whether a policy can apply to operations that it names alone.
fn is_about_named(policy: &cedar::Policy, operations: &BTreeMap<&str, &Operation>) -> bool {
    let is_operation = |uid: &cedar::EntityUid| operations.contains_key(uid.id().unescaped());
    match policy.action_constraint() {
        cedar::ActionConstraint::Any => false,
        cedar::ActionConstraint::Eq(uid) => is_operation(&uid),
        cedar::ActionConstraint::In(uids) => uids.iter().all(is_operation),
    }
}

struct Parts<'p, 'b> {
    validation: &'p Validation<'b>,
    by_name: &'p BTreeMap<&'b str, &'b Operation>,
    /// The policies with which something may be wrong.
    suspects: cedar::PolicySet,
}

impl<'b> Parts<'_, 'b> {
    /// Validates policies, a few at a time, against the operations that they name and some others.
    fn validate_all(
        &mut self,
        mut policies: Vec<(BTreeSet<&'b str>, &cedar::Policy)>,
        others: &BTreeSet<&'b str>,
    ) -> Option<()> {
        // Those that name the same stand beside each other.
        policies.sort_by(|(one, _), (other, _)| one.cmp(other));
        let (mut names, mut set) = (BTreeSet::new(), cedar::PolicySet::new());
        for (named, policy) in policies {
            let more = named.difference(&names).count();
            if !set.is_empty() && names.len() + more > NAMED_TOGETHER {
                self.validate_part(&names, others, &set)?;
                (names, set) = (BTreeSet::new(), cedar::PolicySet::new());
            }
            names.extend(named);
            set.add(policy.clone()).ok()?;
        }
        self.validate_part(&names, others, &set)
    }

    fn validate_part(
        &mut self,
        names: &BTreeSet<&'b str>,
        others: &BTreeSet<&'b str>,
        policies: &cedar::PolicySet,
    ) -> Option<()> {
        if policies.is_empty() {
            return Some(());
        }
        let operations = names.union(others).filter_map(|name| self.by_name.get(name));
        let text: String = operations.map(|operation| operation.cedarschema()).collect();
        let (part, _) = cedar::SchemaFragment::from_cedarschema_str(&text).ok()?;
        let schema = cedar::Schema::from_schema_fragments([self.validation.gateway.clone(), part]).ok()?;
        let result = validate(&schema, policies);
        let ids = result.validation_errors().map(cedar::ValidationError::policy_id);
        let ids: BTreeSet<&cedar::PolicyId> =
            ids.chain(result.validation_warnings().map(cedar::ValidationWarning::policy_id)).collect();
        for policy in ids.into_iter().filter_map(|id| policies.policy(id)) {
            self.suspects.add(policy.clone()).ok()?;
        }
        Some(())
    }
}

fn validate(schema: &cedar::Schema, policies: &cedar::PolicySet) -> cedar::ValidationResult {
    let validator = cedar::Validator::new(schema.clone());
    validator.validate_with_level(policies, cedar::ValidationMode::Strict, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::source::SourceFiles;

    const GATEWAY: &str = include_str!("../../schema/gateway.cedarschema");

    /// Routes with parameters of several names, and one operation with a name of its own.
    fn routes() -> RouteTable {
        let mut text = String::new();
        for number in 0..20 {
            let param = ["id", "name", "id"][number % 3];
            text.push_str(&format!(
                "[[route]]\npath = \"/r{number}/{{{param}}}\"\nmethods = [\"GET\", \"PUT\"]\n\
                 [[route]]\npath = \"/r{number}\"\nmethods = [\"GET\", \"POST\"]\n"
            ));
        }
        text.push_str("[[route]]\npath = \"/own\"\nmethods = [\"GET\"]\nnames = { GET = \"own\" }\n");
        RouteTable::from_toml(&text).unwrap()
    }

    fn told(result: &cedar::ValidationResult) -> BTreeSet<String> {
        let errors = result.validation_errors().map(ToString::to_string);
        errors.chain(result.validation_warnings().map(ToString::to_string)).collect()
    }

    #[test]
    fn the_parts_say_what_the_whole_says() {
        let routes = routes();
        let files = SourceFiles::default();
        let mut findings = Findings::new(&files);
        let (gateway, _) = cedar::SchemaFragment::from_cedarschema_str(GATEWAY).unwrap();
        let validation = Validation::new(gateway, &routes, &mut findings).unwrap();
        let scopes = [
            "principal, action, resource",
            "principal is User, action, resource",
            "principal is Client, action in Action::\"read\", resource",
            "principal, action in Action::\"write\", resource in Path::\"/r7\"",
            "principal, action == Action::\"GET /r1/{name}\", resource",
            "principal, action == Action::\"GET /r0/{id}\", resource",
            "principal, action in [Action::\"GET /r1\", Action::\"PUT /r4/{name}\", Action::\"own\"], resource",
            "principal, action in [Action::\"GET /r3/{id}\", Action::\"write\"], resource",
            "principal, action == Action::\"GET /nowhere\", resource",
            "principal, action in [], resource",
            "principal in Role::\"r\", action == Action::\"read\", resource",
            "principal in Tag::\"r\", action, resource",
            "principal is Group, action, resource",
            "principal == Client::\"a|b\", action, resource is Route in Tag::\"t\"",
        ];
        let conditions = [
            "true",
            "false",
            "context.params.id == \"1\"",
            "context.params has id && context.params.id like \"a*\"",
            "context.params.name == principal.sub",
            "action == Action::\"GET /r1/{name}\" && context.params.name == \"x\"",
            "action in Action::\"read\" || context.params.id == \"1\"",
            "action in [Action::\"GET /r2\", Action::\"own\"]",
            "action == Action::\"GET /typo\"",
            "principal.email == \"a\"",
            "principal has email && principal.email == \"a\"",
            "resource.template == 7",
            "User::\"a\".sub == principal.sub",
            "context.http.source_ip.isInRange(ip(\"10.0.0.0/40\"))",
            "principal.sub == \"\u{430}lice\"",
            "[].contains(1)",
        ];
        let mut policies = cedar::PolicySet::new();
        for scope in scopes {
            for condition in conditions {
                let text = format!("permit ({scope}) when {{ {condition} }};");
                let id = cedar::PolicyId::new(&text);
                policies.add(cedar::Policy::parse(Some(id), &text).unwrap()).unwrap();
            }
        }
        let whole = validate(&validation.whole, &policies);
        let parts = validation.validate_in_parts(&policies).unwrap();
        let (errors, warnings) = (whole.validation_errors().count(), whole.validation_warnings().count());
        assert!(errors > 1_000 && warnings > 20, "{errors}, {warnings}");
        assert_eq!(told(&parts), told(&whole));
        assert_eq!(told(&validation.validate(&policies)), told(&whole));
    }
}
