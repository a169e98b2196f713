//! The routes of an OpenAPI 3 document, JSON or YAML: what `schema/routes.toml` needs of it, and what it cannot take over.
//!
//! | OpenAPI | route table |
//! |---|---|
//! | a path with its methods | a `[[route]]` |
//! | `operationId` | the operation's name, where it can be one and no other has it |
//! | `tags` | the route's tags: those that all its operations have, since a tag is the route's |
//! | `x-amazon-apigateway-any-method` | `ANY` |
//! | `/{proxy+}`, as exported by API Gateway | as it is |

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::route::{PathTemplate, RouteTable};

/// What was found in a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The routes, sorted by path.
    pub routes: Vec<ImportedRoute>,
    /// What was not taken over, and why.
    pub skipped: Vec<String>,
}

/// A path and its operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedRoute {
    /// The path template.
    pub path: String,
    /// Each method, with its name where it has one.
    pub methods: Vec<(String, Option<String>)>,
    /// The tags.
    pub tags: Vec<String>,
}

/// A text that is no OpenAPI document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenApiError {
    /// Neither JSON nor YAML.
    #[error("the document is neither JSON nor YAML: {0}")]
    Syntax(String),
    /// Not of version 3.
    #[error(
        "the document is not OpenAPI 3: it has no `openapi: 3.…` (a Swagger 2.0 file has to be converted first)"
    )]
    Version,
    /// No route is left.
    #[error("the document has no path that a route table can have")]
    Empty,
}

/// What OpenAPI calls methods, and what API Gateway adds.
const METHODS: [(&str, &str); 8] = [
    ("get", "GET"),
    ("head", "HEAD"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("options", "OPTIONS"),
    ("x-amazon-apigateway-any-method", "ANY"),
];

/// Words that mean a group of operations to a policy.
const RESERVED: [&str; 4] = ["read", "write", "connect", "ANY"];

/// Reads a document.
///
/// # Errors
/// [`OpenApiError`]
pub fn read(text: &str) -> Result<Imported, OpenApiError> {
    let document: Value = serde_json::from_str(text).or_else(|json| {
        serde_saphyr::from_str(text).map_err(|yaml| {
            let is_json = text.trim_start().starts_with('{');
            OpenApiError::Syntax(if is_json { json.to_string() } else { yaml.to_string() })
        })
    })?;
    let version = document.get("openapi").and_then(Value::as_str).unwrap_or_default();
    if !version.starts_with("3.") {
        return Err(OpenApiError::Version);
    }
    let mut imported = Imported::default();
    let mut names = BTreeSet::new();
    let no_paths = Map::new();
    let paths = document.get("paths").and_then(Value::as_object).unwrap_or(&no_paths);
    for (path, item) in paths {
        imported.read_path(path, item, &mut names);
    }
    match imported.routes.is_empty() {
        true => Err(OpenApiError::Empty),
        false => Ok(imported),
    }
}

impl Imported {
    fn read_path(&mut self, path: &str, item: &Value, names: &mut BTreeSet<String>) {
        // A trailing slash is no path of its own to API Gateway.
        let template = path.strip_suffix('/').filter(|shorter| !shorter.is_empty()).unwrap_or(path);
        if let Err(error) = template.parse::<PathTemplate>() {
            self.skipped.push(format!("path `{}`: {error}", path.escape_debug()));
            return;
        }
        if item.get("$ref").is_some() {
            self.skipped.push(format!("path `{}`: it stands in another place (`$ref`)", path.escape_debug()));
            return;
        }
        let found: Vec<(&str, &Value)> =
            METHODS.iter().filter_map(|(key, method)| Some((*method, item.get(*key)?))).collect();
        if item.get("trace").is_some() {
            self.skipped.push(format!("TRACE {}: API Gateway does not route it", path.escape_debug()));
        }
        if found.is_empty() {
            self.skipped.push(format!("path `{}`: it has no method", path.escape_debug()));
            return;
        }
        let mut methods = Vec::new();
        for (method, operation) in &found {
            let name = operation.get("operationId").and_then(Value::as_str).filter(|_| *method != "ANY");
            let name = match name {
                None => None,
                Some(name) if !is_word(name) || RESERVED.contains(&name) || is_method(name) => {
                    self.skipped.push(format!(
                        "operationId `{}` of {method} {}: an action cannot be called that",
                        name.escape_debug(),
                        path.escape_debug()
                    ));
                    None
                }
                Some(name) if !names.insert(name.to_owned()) => {
                    self.skipped.push(format!(
                        "operationId `{name}` of {method} {}: another has it",
                        path.escape_debug()
                    ));
                    None
                }
                Some(name) => Some(name.to_owned()),
            };
            methods.push(((*method).to_owned(), name));
        }
        let mut tags: Option<BTreeSet<String>> = None;
        for (_, operation) in &found {
            let own: BTreeSet<String> = operation
                .get("tags")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(as_word)
                .filter(|tag| is_word(tag))
                .collect();
            tags = Some(match tags {
                None => own,
                Some(tags) => tags.intersection(&own).cloned().collect(),
            });
        }
        let tags = tags.unwrap_or_default().into_iter().take(RouteTable::MAX_TAGS).collect();
        self.routes.push(ImportedRoute { path: template.to_owned(), methods, tags });
    }
}

fn is_method(name: &str) -> bool {
    METHODS.iter().any(|(_, method)| *method == name)
}

/// Whether a text can be a tag or the name of an operation.
fn is_word(text: &str) -> bool {
    (1..=RouteTable::MAX_NAME_CHARACTERS).contains(&text.chars().count())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || "._:/-".contains(char))
}

/// A tag as a word: `Order items` is `Order-items`.
fn as_word(tag: &str) -> String {
    let word = |char: char| if is_word(char.encode_utf8(&mut [0; 4])) { char } else { '-' };
    tag.trim().chars().map(word).collect()
}

/// The routes as `schema/routes.toml`.
#[must_use]
pub fn to_routes_toml(routes: &[ImportedRoute]) -> String {
    let quoted = |text: &str| toml_edit::Value::from(text).to_string();
    let list = |items: &mut dyn Iterator<Item = &str>| {
        let items: Vec<String> = items.map(quoted).collect();
        items.join(", ")
    };
    let mut text =
        String::from("# The API's route table. After a change, run: cedar-gate routes schema --write\n");
    for route in routes {
        let methods = list(&mut route.methods.iter().map(|(method, _)| method.as_str()));
        text.push_str(&format!("\n[[route]]\npath = {}\nmethods = [{methods}]\n", quoted(&route.path)));
        if !route.tags.is_empty() {
            text.push_str(&format!("tags = [{}]\n", list(&mut route.tags.iter().map(String::as_str))));
        }
        let names: BTreeMap<&str, &str> = route
            .methods
            .iter()
            .filter_map(|(method, name)| Some((method.as_str(), name.as_deref()?)))
            .collect();
        if !names.is_empty() {
            let names: Vec<String> =
                names.iter().map(|(method, name)| format!("{method} = {}", quoted(name))).collect();
            text.push_str(&format!("names = {{ {} }}\n", names.join(", ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "\
openapi: 3.0.3
info: { title: Orders, version: '1' }
paths:
  /orders/:
    get: { operationId: listOrders, tags: [Order items, all] }
    post: { operationId: createOrder, tags: [Order items] }
    parameters: []
  /orders/{orderId}:
    get: { operationId: listOrders }
    delete: { operationId: 'delete an order' }
    trace: {}
  /files/{name}.json:
    get: {}
  /rest/{proxy+}:
    x-amazon-apigateway-any-method: { operationId: rest }
  /nothing: {}
";

    #[test]
    fn what_can_be_taken_over_is_and_the_rest_is_named() {
        let imported = read(YAML).unwrap();
        let text = to_routes_toml(&imported.routes);
        assert_eq!(
            text.split_once("\n\n").unwrap().1,
            "[[route]]\npath = \"/orders\"\nmethods = [\"GET\", \"POST\"]\ntags = [\"Order-items\"]\n\
             names = { GET = \"listOrders\", POST = \"createOrder\" }\n\n\
             [[route]]\npath = \"/orders/{orderId}\"\nmethods = [\"GET\", \"DELETE\"]\n\n\
             [[route]]\npath = \"/rest/{proxy+}\"\nmethods = [\"ANY\"]\n"
        );
        RouteTable::from_toml(&text).unwrap();
        assert_eq!(imported.skipped.len(), 5, "{:?}", imported.skipped);
        for (skipped, expected) in imported.skipped.iter().zip([
            "TRACE /orders/{orderId}: ",
            "operationId `listOrders` of GET /orders/{orderId}: another has it",
            "operationId `delete an order` of DELETE /orders/{orderId}: an action cannot be called that",
            "path `/files/{name}.json`: ",
            "path `/nothing`: it has no method",
        ]) {
            assert!(skipped.starts_with(expected), "{skipped}");
        }
    }

    #[test]
    fn json_is_read_too_and_other_texts_are_refused() {
        let json = r#"{"openapi":"3.1.0","paths":{"/a":{"get":{}}}}"#;
        assert_eq!(read(json).unwrap().routes.len(), 1);
        assert_eq!(read("swagger: '2.0'\npaths: {}"), Err(OpenApiError::Version));
        assert_eq!(read("openapi: 3.0.0\npaths: {}"), Err(OpenApiError::Empty));
        assert!(matches!(read("{\"openapi\": "), Err(OpenApiError::Syntax(_))));
    }
}
