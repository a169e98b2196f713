//! `eval --batch`: the engine layer of the authorizer, asked from outside, one JSON line a test. So whatever shortcut the
//! engine takes can be held against published Cedar test corpora.

use cedar_policy as cedar;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::id_of;
use crate::bundle::nesting::{self, Syntax};
use crate::decision::{Effect, Engine};

/// One line in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "{\"id\", \"policies\", \"schema\"?, \"entities\"?, \"requests\"}")]
struct Test {
    id: Value,
    policies: String,
    #[serde(default)]
    schema: Option<String>,
    #[serde(default)]
    entities: Option<Box<RawValue>>,
    requests: Vec<RequestLine>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "{\"principal\", \"action\", \"resource\", \"context\"?, \"validate\"?}"
)]
struct RequestLine {
    principal: Option<Value>,
    action: Value,
    resource: Option<Value>,
    #[serde(default)]
    context: Option<Box<RawValue>>,
    #[serde(default)]
    validate: bool,
}

/// One line out.
#[derive(Serialize)]
struct Outcome {
    id: Value,
    results: Vec<RequestOutcome>,
    validates: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RequestOutcome {
    Answer { decision: &'static str, reason: Vec<String>, errors: Vec<String> },
    Unusable { error: String },
}

/// Answers one line with one line (without its end). A line that cannot be used gets `error`, never silence.
#[must_use]
pub fn answer_line(line: &str) -> String {
    let outcome = match serde_json::from_str::<Test>(line) {
        Ok(test) => run(test),
        Err(error) => Outcome {
            id: id_of(line).unwrap_or_default(),
            results: Vec::new(),
            validates: false,
            error: Some(format!("the line is not a test: {error}")),
        },
    };
    serde_json::to_string(&outcome)
        .unwrap_or_else(|_| r#"{"error":"the outcome cannot be written"}"#.to_owned())
}

fn run(test: Test) -> Outcome {
    let id = test.id.clone();
    match prepare(test) {
        Ok(outcome) => outcome,
        Err(error) => Outcome { id, results: Vec::new(), validates: false, error: Some(error) },
    }
}

fn prepare(test: Test) -> Result<Outcome, String> {
    let policies = named_policies(&test.policies)?;
    let schema = match &test.schema {
        None => None,
        Some(text) => Some(parse_schema(text)?),
    };
    let validates = schema.as_ref().is_some_and(|schema| {
        let validator = cedar::Validator::new(schema.clone());
        validator.validate(&policies, cedar::ValidationMode::Strict).validation_passed()
    });
    // Cedar reads the text itself: it refuses a member that stands twice, which a JSON value no longer shows.
    let entities = test.entities.as_deref().map_or("[]", RawValue::get);
    let entities = cedar::Entities::from_json_str(entities, schema.as_ref())
        .map_err(|error| format!("entities: {}", one_line(&error)))?;
    let engine = Engine::new(policies).map_err(|error| error.to_string())?;
    let results = test
        .requests
        .into_iter()
        .map(|request| evaluate(&engine, &entities, schema.as_ref(), request))
        .map(|result| result.unwrap_or_else(|error| RequestOutcome::Unusable { error }))
        .collect();
    Ok(Outcome { id: test.id, results, validates, error: None })
}

fn evaluate(
    engine: &Engine,
    entities: &cedar::Entities,
    schema: Option<&cedar::Schema>,
    line: RequestLine,
) -> Result<RequestOutcome, String> {
    let required = match (line.validate, schema) {
        (true, None) => return Err("the request is to be validated, but there is no schema".to_owned()),
        (true, Some(schema)) => Some(schema),
        (false, _) => None,
    };
    let action = uid(&line.action)?;
    let context = context(line.context.as_deref(), schema, &action, line.validate)?;
    // A request that leaves its principal or resource out has one that no scope and no entity names.
    let principal = line.principal.as_ref().map_or_else(unspecified, uid)?;
    let resource = line.resource.as_ref().map_or_else(unspecified, uid)?;
    let request = cedar::Request::new(principal, action, resource, context, required)
        .map_err(|error| format!("request: {}", one_line(&error)))?;
    let answer = engine.evaluate(&request, entities).map_err(|error| error.to_string())?;
    Ok(RequestOutcome::Answer {
        decision: match answer.decision {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        },
        reason: answer.reasons,
        errors: answer.errors.into_iter().map(|error| error.policy).collect(),
    })
}

/// The policies under the names that the outcome uses: their `@id`, or `policy0`, `policy1`, … in file order.
fn named_policies(text: &str) -> Result<cedar::PolicySet, String> {
    nesting::check(text, Syntax::Policies).map_err(|error| format!("policies: {error}"))?;
    let parsed: cedar::PolicySet =
        text.parse().map_err(|error: cedar::ParseErrors| format!("policies: {}", one_line(&error)))?;
    let mut named = cedar::PolicySet::new();
    for template in parsed.templates() {
        named.add_template(template.clone()).map_err(|error| format!("policies: {}", one_line(&error)))?;
    }
    for policy in parsed.policies() {
        let id = policy.annotation("id").map_or_else(|| policy.id().clone(), cedar::PolicyId::new);
        named.add(policy.new_id(id)).map_err(|error| format!("policies: {}", one_line(&error)))?;
    }
    Ok(named)
}

/// A schema in Cedar's own syntax, or in its JSON format.
fn parse_schema(text: &str) -> Result<cedar::Schema, String> {
    if text.trim_start().starts_with('{') {
        return cedar::Schema::from_json_str(text).map_err(|error| format!("schema: {}", one_line(&error)));
    }
    nesting::check(text, Syntax::Schema).map_err(|error| format!("schema: {error}"))?;
    match cedar::Schema::from_cedarschema_str(text) {
        Ok((schema, _)) => Ok(schema),
        Err(error) => Err(format!("schema: {}", one_line(&error))),
    }
}

/// The context as Cedar's own test runner reads it: by the schema where there is one, whether or not the request is
/// validated, so that `"127.0.0.1"` can be an address. A request that is not validated may also have an action or a
/// context that the schema does not know; then it is read as it stands.
fn context(
    json: Option<&RawValue>,
    schema: Option<&cedar::Schema>,
    action: &cedar::EntityUid,
    validate: bool,
) -> Result<cedar::Context, String> {
    let json = json.map_or("{}", RawValue::get);
    let read = |schema| {
        cedar::Context::from_json_str(json, schema).map_err(|error| format!("context: {}", one_line(&error)))
    };
    match schema.map(|schema| read(Some((schema, action)))) {
        None => read(None),
        Some(Err(_)) if !validate => read(None),
        Some(context) => context,
    }
}

/// `{"type", "id"}`, or the same under `__entity`.
fn uid(name: &Value) -> Result<cedar::EntityUid, String> {
    cedar::EntityUid::from_json(name.clone()).map_err(|error| one_line(&error))
}

fn unspecified() -> Result<cedar::EntityUid, String> {
    uid(&serde_json::json!({ "type": "Unspecified", "id": "" }))
}

/// An error with its causes, on one line.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &Value, expected: &Value) {
        let answer: Value = serde_json::from_str(&answer_line(&line.to_string())).unwrap();
        assert_eq!(answer, *expected);
    }

    #[test]
    fn policies_without_an_id_are_numbered_in_file_order() {
        check(
            &serde_json::json!({
                "id": 7,
                "policies": "permit(principal, action, resource); @id(\"no\") forbid(principal == A::\"b\", action, resource); permit(principal, action, resource) when { context.x > 1 };",
                "schema": null,
                "entities": [],
                "requests": [
                    {"principal": {"type": "A", "id": "a"}, "action": {"type": "Action", "id": "x"}, "resource": {"type": "R", "id": "r"}, "context": {}, "validate": false},
                    {"principal": {"type": "A", "id": "b"}, "action": {"type": "Action", "id": "x"}, "resource": {"type": "R", "id": "r"}, "context": {"x": 2}, "validate": false},
                    {"principal": null, "action": {"type": "Action", "id": "x"}, "resource": {"type": "R", "id": "r"}, "context": {"x": 2}, "validate": false},
                ],
            }),
            &serde_json::json!({
                "id": 7,
                "results": [
                    {"decision": "allow", "reason": ["policy0"], "errors": ["policy2"]},
                    {"decision": "deny", "reason": ["no"], "errors": []},
                    {"decision": "allow", "reason": ["policy0", "policy2"], "errors": []},
                ],
                "validates": false,
            }),
        );
    }

    #[test]
    fn a_line_that_cannot_be_used_says_so_under_its_id() {
        check(
            &serde_json::json!({"id": "x", "policies": "permit(principal, action, resource)", "requests": []}),
            &serde_json::json!({"id": "x", "results": [], "validates": false, "error": "policies: unexpected end of input"}),
        );
        let answer: Value = serde_json::from_str(&answer_line("{\"id\": 3")).unwrap();
        assert!(answer["error"].as_str().unwrap().starts_with("the line is not a test: "));
    }
}
