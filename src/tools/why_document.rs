//! What a document stands for: statement by statement and pattern by pattern, the grants that it states, the exceptions that
//! it takes out of them, and what it leaves out.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::authorizer::{Answered, Authorizer};
use crate::decision::Effect;
use crate::iam::{Compiled, PatternUse, Withheld, WithheldCause};
use crate::response::Reply;
use crate::route::{Operation, OperationId};

/// What the document of an answer stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DocumentReason {
    /// Whether it is about the whole API; else it is about the asked request, or about nothing but a refusal.
    pub whole_api: bool,
    /// Why it is not, where the deployment wants it to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Whether it says what Cedar says, for every request that a route serves.
    pub exact: bool,
    /// The statements, in their order.
    pub statements: Vec<StatementReason>,
    /// What Cedar allows, or could, and the document denies.
    pub withheld: Vec<WithheldReason>,
    /// Requests that no route serves and that it allows, one for each kind.
    pub unserved: Vec<String>,
}

/// What one statement stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatementReason {
    /// `Allow` or `Deny`.
    pub effect: String,
    /// Since when or until when it holds, where it does not always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Value>,
    /// What each of its resources stands for.
    pub resources: Vec<ResourceReason>,
}

/// What one resource of a statement stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResourceReason {
    /// The pattern, or the ARN.
    pub resource: String,
    /// What it stands for.
    pub stands_for: StandsFor,
    /// The operations that it is about, in the order of the route table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
}

/// What a resource of a statement can stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StandsFor {
    /// Operations that it grants, in part or whole.
    Grant,
    /// Operations whose requests would be allowed without it.
    Exception,
    /// Paths that the authorizer refuses, because they are not in normal form.
    Guard,
    /// The asked request.
    AskedRequest,
    /// Everything: nothing is granted, or the answer is a refusal that no policy decided.
    Everything,
    /// All that is not in this list: the API has a resource policy, under which silence would be an Allow.
    AllElse,
    /// What was allowed until the token expired.
    AfterExpiry,
}

/// What a document denies although Cedar allows it, or could.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WithheldReason {
    /// The operation.
    pub operation: String,
    /// Why, in a word.
    pub cause: &'static str,
    /// The facts that Cedar's answer depends on, where that is why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
    /// A shortest such request, like `GET /users/me`.
    pub witness: String,
}

/// What an answer's document stands for; `None` where the answer has none, such as a simple response.
#[must_use]
pub fn explain(authorizer: &Authorizer, answered: &Answered) -> Option<DocumentReason> {
    let Reply::Json(json) = &answered.reply else { return None };
    let reply: Value = serde_json::from_str(json.as_str()).ok()?;
    let statements = reply.get("policyDocument")?.get("Statement")?.as_array()?;
    let compiled = answered.document.as_ref().map(|used| used.compiled.as_ref());
    let operations = authorizer.bundle().routes().operations();
    let reader = Reader::new(operations, compiled);
    let fallback = answered.record.document.as_ref().and_then(|document| document.fallback.clone());
    Some(DocumentReason {
        whole_api: compiled.is_some(),
        fallback,
        exact: compiled.is_some_and(Compiled::is_exact),
        statements: statements.iter().filter_map(|statement| reader.statement(statement)).collect(),
        withheld: compiled.map(|compiled| reader.withheld(compiled)).unwrap_or_default(),
        unserved: compiled.map(|compiled| compiled.unserved.clone()).unwrap_or_default(),
    })
}

/// Reads the statements of a document by what its compiler said of each pattern.
struct Reader<'c> {
    operations: &'c [Operation],
    /// By whether it is allowed, and its text.
    uses: BTreeMap<(bool, &'c str), &'c PatternUse>,
}

impl<'c> Reader<'c> {
    fn new(operations: &'c [Operation], compiled: Option<&'c Compiled>) -> Self {
        let patterns = compiled.map(|compiled| compiled.patterns.as_slice()).unwrap_or_default();
        let uses = patterns
            .iter()
            .map(|used| ((used.effect == Effect::Allow, used.pattern.as_str()), used))
            .collect();
        Self { operations, uses }
    }

    fn statement(&self, statement: &Value) -> Option<StatementReason> {
        let effect = statement.get("Effect")?.as_str()?;
        let condition = statement.get("Condition").cloned();
        let texts = |name: &str| Some(statement.get(name)?.as_array()?.iter().filter_map(Value::as_str));
        let resources = match (texts("Resource"), texts("NotResource")) {
            (Some(resources), _) => {
                resources.map(|resource| self.resource(effect, resource, condition.is_some())).collect()
            }
            (None, resources) => {
                resources?.map(|resource| self.stands(resource, StandsFor::AllElse, Vec::new())).collect()
            }
        };
        Some(StatementReason { effect: effect.to_owned(), condition, resources })
    }

    fn resource(&self, effect: &str, resource: &str, has_condition: bool) -> ResourceReason {
        let is_allow = effect == Effect::Allow.as_str();
        let Some(used) = self.uses.get(&(is_allow, resource)) else {
            let stands_for = match is_allow {
                false if has_condition => StandsFor::AfterExpiry,
                false if resource.ends_with("/*") => StandsFor::Everything,
                true | false => StandsFor::AskedRequest,
            };
            return self.stands(resource, stands_for, Vec::new());
        };
        let stands_for = match is_allow {
            true => StandsFor::Grant,
            false if used.operations.is_empty() => StandsFor::Guard,
            false => StandsFor::Exception,
        };
        self.stands(resource, stands_for, self.names(&used.operations))
    }

    fn stands(&self, resource: &str, stands_for: StandsFor, operations: Vec<String>) -> ResourceReason {
        ResourceReason { resource: resource.to_owned(), stands_for, operations }
    }

    fn withheld(&self, compiled: &Compiled) -> Vec<WithheldReason> {
        let reason = |withheld: &Withheld| {
            let (cause, facts) = match &withheld.cause {
                WithheldCause::Inexpressible => ("inexpressible", Vec::new()),
                WithheldCause::Collision => ("collision", Vec::new()),
                WithheldCause::NeedsFacts(facts) => ("needs_facts", facts.clone()),
                WithheldCause::Unwritable => ("unwritable", Vec::new()),
                WithheldCause::TooLarge => ("too_large", Vec::new()),
            };
            let operation = self.names(&[withheld.operation]).pop().unwrap_or_default();
            WithheldReason { operation, cause, facts, witness: withheld.witness.clone() }
        };
        compiled.withheld.iter().map(reason).collect()
    }

    fn names(&self, operations: &[OperationId]) -> Vec<String> {
        let known = operations.iter().filter_map(|id| self.operations.get(id.index()));
        known.map(|operation| operation.name().to_owned()).collect()
    }
}
