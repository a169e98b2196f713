//! Tests in the format of `cedar run-tests`, read as they are.

use cedar_policy as cedar;
use serde::Deserialize;
use serde_json::Value;

use crate::bundle::Bundle;
use crate::bundle::policies::PolicyVersion;

use super::expect::{Because, Expected, Wanted};
use super::problems::{Problems, meant_or_known};

/// One test.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestFile {
    name: Option<String>,
    request: RequestFile,
    #[serde(default)]
    entities: Value,
    decision: String,
    reason: Vec<String>,
    num_errors: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFile {
    principal: Value,
    action: Value,
    resource: Value,
    #[serde(default)]
    context: Value,
}

/// A test that can be run.
#[derive(Debug)]
pub(super) struct CedarTest {
    pub(super) name: String,
    pub(super) principal: String,
    pub(super) action: String,
    pub(super) request: cedar::Request,
    pub(super) entities: cedar::Entities,
    pub(super) expected: Expected,
}

/// Reads a file of them. A request that the schema does not allow can never be made: that it is denied says nothing, so it
/// is an error here.
pub(super) fn read(
    file: &str,
    text: &str,
    bundle: &Bundle,
    version: &PolicyVersion,
    problems: &mut Problems<'_>,
) -> Vec<CedarTest> {
    let tests: Vec<TestFile> = match serde_json::from_str(text) {
        Ok(tests) => tests,
        Err(error) => {
            let help = "a JSON file in tests/policies is an array of tests as `cedar run-tests` reads them: { name, request, entities, decision, reason, num_errors }";
            problems.error(file, place(text, &error), json_message(&error), help.to_owned());
            return Vec::new();
        }
    };
    if tests.is_empty() {
        let help = "write a test, or remove the file: an empty suite would pass whatever the policies say";
        problems.error(file, None, "the suite has no tests", help.to_owned());
    }
    let mut read = Vec::new();
    for (index, test) in tests.into_iter().enumerate() {
        let name = test.name.clone().unwrap_or_else(|| format!("test {}", index + 1));
        let span = text.find(&format!("\"{name}\"")).map(|start| start + 1..start + 1 + name.len());
        match prepare(&name, test, bundle, version) {
            Ok(test) => {
                if read.iter().any(|known: &CedarTest| known.name == test.name) {
                    let message = format!("test `{name}` stands twice");
                    problems.error(file, span, message, "give one of them another name".to_owned());
                }
                read.push(test);
            }
            Err((message, help)) => problems.error(file, span, format!("test `{name}`: {message}"), help),
        }
    }
    read
}

/// Where the JSON text is wrong.
fn place(text: &str, error: &serde_json::Error) -> Option<std::ops::Range<usize>> {
    let line_start: usize = text.split_inclusive('\n').take(error.line().checked_sub(1)?).map(str::len).sum();
    let at = (line_start + error.column().saturating_sub(1)).min(text.len().saturating_sub(1));
    text.is_char_boundary(at).then_some(at..at + 1)
}

/// The message without the line and column, which stand before it.
fn json_message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => message,
    }
}

fn prepare(
    name: &str,
    test: TestFile,
    bundle: &Bundle,
    version: &PolicyVersion,
) -> Result<CedarTest, (String, Option<String>)> {
    let plain = |message: String| (message, None);
    let wanted = match test.decision.to_ascii_lowercase().as_str() {
        "allow" => Wanted::Allow,
        "deny" => Wanted::Deny(None),
        _ => {
            let help = "expected \"allow\" or \"deny\"".to_owned();
            return Err((format!("`{}` is no decision", test.decision), Some(help)));
        }
    };
    for policy in &test.reason {
        if version.note(policy).is_none() {
            let ids: Vec<String> =
                version.policies().policies().map(|policy| policy.id().to_string()).collect();
            let message = format!("no policy `{policy}` stands in version `{}`", version.name);
            return Err((message, Some(meant_or_known(policy, ids.iter().map(String::as_str)))));
        }
    }
    let schema = bundle.schema();
    let principal = uid(&test.request.principal).map_err(plain)?;
    let action = uid(&test.request.action).map_err(plain)?;
    let resource = uid(&test.request.resource).map_err(plain)?;
    let known: Vec<String> = schema.actions().map(ToString::to_string).collect();
    if !known.contains(&action.to_string()) {
        let message = format!("the schema has no {action}: it would be denied whatever the policies say");
        return Err((message, Some(meant_or_known(&action.to_string(), known.iter().map(String::as_str)))));
    }
    let templates: Vec<&str> =
        bundle.routes().operations().iter().map(|operation| operation.template().as_str()).collect();
    let route = resource.id().unescaped().to_owned();
    if resource.type_name().to_string() == "Route" && !templates.contains(&route.as_str()) {
        let message = format!("the route table has no {resource}");
        return Err((message, Some(meant_or_known(&route, templates))));
    }
    let impossible = |error: String| {
        let help = "the authorizer never makes such a request, so what is decided about it says nothing";
        (error, Some(help.to_owned()))
    };
    let context = match test.request.context {
        Value::Null => Value::Object(serde_json::Map::new()),
        context => context,
    };
    let context = cedar::Context::from_json_value(context, Some((schema, &action)))
        .map_err(|error| impossible(format!("the context does not fit the schema: {}", one_line(&error))))?;
    let entities = match test.entities {
        Value::Null => Value::Array(Vec::new()),
        entities => entities,
    };
    let entities = cedar::Entities::from_json_value(entities, Some(schema))
        .map_err(|error| impossible(format!("the entities do not fit the schema: {}", one_line(&error))))?;
    let (who, what) = (principal.to_string(), action.to_string());
    let request = cedar::Request::new(principal, action, resource, context, Some(schema))
        .map_err(|error| impossible(one_line(&error)))?;
    let because = (!test.reason.is_empty()).then_some(Because::Includes(test.reason));
    let errors = Some(test.num_errors);
    let expected = Expected { outcome: Some(wanted), because, errors, ..Expected::default() };
    Ok(CedarTest { name: name.to_owned(), principal: who, action: what, request, entities, expected })
}

/// An entity's id, as text (`User::"alice"`) or as an object.
fn uid(value: &Value) -> Result<cedar::EntityUid, String> {
    match value {
        Value::String(text) => text
            .parse()
            .map_err(|error: cedar::ParseErrors| format!("`{text}` is no entity: {}", one_line(&error))),
        value => cedar::EntityUid::from_json(value.clone())
            .map_err(|error| format!("`{value}` is no entity: {}", one_line(&error))),
    }
}

/// An error with what caused it, on one line.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
