//! `routes.toml`: its format, and every reason to refuse it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::{METHODS, PathTemplate, RouteTable, TemplateError, TemplateKind};
use crate::arn::Verb;

/// Action ids that an operation may not have besides the verbs: the other groups that `gateway.cedarschema` declares, and
/// `ANY`, which would read like one.
const RESERVED_NAMES: [&str; 4] = ["read", "write", "connect", "ANY"];

/// A route that has been checked, alone and beside those before it.
pub(super) struct RouteDefinition {
    pub(super) template: PathTemplate,
    pub(super) tags: Vec<String>,
    /// Each operation's verb and name; no verb for the connect operation alone.
    pub(super) operations: Vec<(Option<Verb>, String)>,
}

impl RouteDefinition {
    /// The route with all the methods that its kind has, and without tags.
    pub(super) fn of_every_method(template: PathTemplate) -> Self {
        let operations = own_operations(&template);
        Self { template, tags: Vec::new(), operations }
    }
}

/// Reads and checks the text of `routes.toml`.
pub(super) fn read(text: &str) -> Result<Vec<RouteDefinition>, RouteError> {
    let file: RoutesFile = toml::from_str(text).map_err(RouteError::from_toml)?;
    if file.route.is_empty() {
        return Err(RouteErrorKind::Empty.without_span());
    }
    if file.route.len() > RouteTable::MAX_ROUTES {
        return Err(RouteErrorKind::TooManyRoutes { routes: file.route.len() }.without_span());
    }
    let mut seen = Seen::default();
    file.route.iter().map(|entry| RouteEntry::definition(entry, &mut seen)).collect()
}

/// Why a text is not a route table, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct RouteError {
    kind: RouteErrorKind,
    span: Option<Range<usize>>,
}

impl RouteError {
    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> &RouteErrorKind {
        &self.kind
    }

    /// Where in the text, in bytes, if at one place.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }

    fn from_toml(error: toml::de::Error) -> Self {
        let message = error.message().replace('\n', " ");
        Self { kind: RouteErrorKind::Syntax { message }, span: error.span() }
    }
}

/// What is wrong with a route table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteErrorKind {
    /// The text is not TOML, or has other keys or types.
    #[error("route table cannot be read: {message}")]
    Syntax {
        /// The TOML reader's reason.
        message: String,
    },
    /// There is no route.
    #[error("route table has no `[[route]]`")]
    Empty,
    /// There are more routes than [`RouteTable::MAX_ROUTES`].
    #[error("route table has {routes} routes, more than {}", RouteTable::MAX_ROUTES)]
    TooManyRoutes {
        /// Their number.
        routes: usize,
    },
    /// A route has neither or both of `path` and `websocket`.
    #[error("route needs one of `path` and `websocket`")]
    PathOrWebsocket,
    /// A WebSocket route is not `$connect`.
    #[error("websocket route `{}` has no authorizer: only `$connect` has", route.escape_debug())]
    WebsocketRoute {
        /// The route key.
        route: String,
    },
    /// `$default` or `$connect` has `methods` or `names`.
    #[error("route `{route}` takes no `{key}`: it has no methods of its own")]
    WithoutMethods {
        /// The route.
        route: String,
        /// `methods` or `names`.
        key: &'static str,
    },
    /// A path has no `methods`, or an empty list.
    #[error("route `{route}` has no `methods`: name them, or write `[\"ANY\"]`")]
    NoMethods {
        /// The route.
        route: String,
    },
    /// A method is none that API Gateway routes.
    #[error("method `{}` is not one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS and ANY", method.escape_debug())]
    UnknownMethod {
        /// The method.
        method: String,
    },
    /// A template is not one.
    #[error("route `{}`: {source}", template.escape_debug())]
    Template {
        /// The text.
        template: String,
        /// Why not.
        source: TemplateError,
    },
    /// A method stands twice in its list.
    #[error("operation `{method} {route}` is defined twice")]
    DuplicateOperation {
        /// The method.
        method: String,
        /// The route.
        route: String,
    },
    /// A route stands there twice.
    #[error("route `{route}` is defined twice: one `[[route]]` holds all methods of a path")]
    DuplicateRoute {
        /// The route.
        route: String,
    },
    /// Two routes differ in the names of their parameters alone.
    #[error(
        "route `{route}` matches the same paths as `{other}`: API Gateway allows one parameter name there"
    )]
    SameShape {
        /// The route.
        route: String,
        /// The one before it.
        other: String,
    },
    /// A route has more tags than [`RouteTable::MAX_TAGS`].
    #[error("route `{route}` has {tags} tags, more than {}", RouteTable::MAX_TAGS)]
    TooManyTags {
        /// The route.
        route: String,
        /// Their number.
        tags: usize,
    },
    /// A tag has another character or length.
    #[error(
        "tag `{}` is not 1 to {} letters, digits, `.`, `_`, `:`, `/` and `-`",
        tag.escape_debug(),
        RouteTable::MAX_NAME_CHARACTERS
    )]
    Tag {
        /// The tag.
        tag: String,
    },
    /// A tag stands twice in its list.
    #[error("tag `{tag}` stands there twice")]
    RepeatedTag {
        /// The tag.
        tag: String,
    },
    /// A name has another character or length.
    #[error(
        "action name `{}` is not 1 to {} letters, digits, `.`, `_`, `:`, `/` and `-`",
        name.escape_debug(),
        RouteTable::MAX_NAME_CHARACTERS
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A name is that of a group of actions.
    #[error("action name `{name}` is that of a group of actions")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// A name is given to a method that the route does not have.
    #[error("route `{route}` has no method `{}` to name", method.escape_debug())]
    NameWithoutMethod {
        /// The route.
        route: String,
        /// The method.
        method: String,
    },
    /// Two operations have one name.
    #[error("action name `{name}` is given twice")]
    DuplicateName {
        /// The name.
        name: String,
    },
}

impl RouteErrorKind {
    fn at<T>(self, place: &Spanned<T>) -> RouteError {
        RouteError { kind: self, span: Some(place.span()) }
    }

    fn without_span(self) -> RouteError {
        RouteError { kind: self, span: None }
    }
}

/// The format of `routes.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoutesFile {
    #[serde(default)]
    route: Vec<Spanned<RouteEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteEntry {
    path: Option<Spanned<String>>,
    websocket: Option<Spanned<String>>,
    methods: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    tags: Vec<Spanned<String>>,
    #[serde(default)]
    names: BTreeMap<Spanned<String>, Spanned<String>>,
}

impl RouteEntry {
    fn definition(entry: &Spanned<Self>, seen: &mut Seen) -> Result<RouteDefinition, RouteError> {
        let (template, place) = Self::template(entry)?;
        seen.refuse_shape_again(&template).map_err(|kind| kind.at(place))?;
        let entry_names = &entry.get_ref().names;
        let tags = Self::tags(entry, &template)?;
        let operations = match template.kind() {
            TemplateKind::Path => {
                let verbs = Self::verbs(entry, &template)?;
                let names = checked_names(entry_names, &template, &verbs, seen)?;
                let named = |verb: Verb| {
                    let name = names.get(verb.as_str()).copied();
                    operation(verb, &template, name)
                };
                verbs.into_iter().map(named).collect()
            }
            TemplateKind::Default | TemplateKind::Connect => {
                entry.get_ref().refuse_methods(&template)?;
                own_operations(&template)
            }
        };
        Ok(RouteDefinition { template, tags, operations })
    }

    /// The template and the place to point at when the route is refused.
    fn template(entry: &Spanned<Self>) -> Result<(PathTemplate, &Spanned<String>), RouteError> {
        match (&entry.get_ref().path, &entry.get_ref().websocket) {
            (Some(path), None) => match path.get_ref().parse() {
                Ok(template) => Ok((template, path)),
                Err(source) => {
                    Err(RouteErrorKind::Template { template: path.get_ref().clone(), source }.at(path))
                }
            },
            (None, Some(route)) if route.get_ref() == "$connect" => Ok((PathTemplate::connect(), route)),
            (None, Some(route)) => {
                Err(RouteErrorKind::WebsocketRoute { route: route.get_ref().clone() }.at(route))
            }
            (None, None) | (Some(_), Some(_)) => Err(RouteErrorKind::PathOrWebsocket.at(entry)),
        }
    }

    fn tags(entry: &Spanned<Self>, template: &PathTemplate) -> Result<Vec<String>, RouteError> {
        let tags = &entry.get_ref().tags;
        if tags.len() > RouteTable::MAX_TAGS {
            return Err(
                RouteErrorKind::TooManyTags { route: template.to_string(), tags: tags.len() }.at(entry)
            );
        }
        let mut seen = HashSet::new();
        for tag in tags {
            if !is_name(tag.get_ref()) {
                return Err(RouteErrorKind::Tag { tag: tag.get_ref().clone() }.at(tag));
            }
            if !seen.insert(tag.get_ref()) {
                return Err(RouteErrorKind::RepeatedTag { tag: tag.get_ref().clone() }.at(tag));
            }
        }
        Ok(tags.iter().map(|tag| tag.get_ref().clone()).collect())
    }

    /// The verbs of a path's operations: those named, then those that `ANY` adds.
    fn verbs(entry: &Spanned<Self>, template: &PathTemplate) -> Result<Vec<Verb>, RouteError> {
        let no_methods = || RouteErrorKind::NoMethods { route: template.to_string() };
        let methods = entry.get_ref().methods.as_ref().ok_or_else(|| no_methods().at(entry))?;
        if methods.get_ref().is_empty() {
            return Err(no_methods().at(methods));
        }
        let mut named = HashSet::new();
        let mut verbs = Vec::with_capacity(METHODS.len());
        for place in methods.get_ref() {
            let method = place.get_ref();
            if !named.insert(method.as_str()) {
                let (method, route) = (method.clone(), template.to_string());
                return Err(RouteErrorKind::DuplicateOperation { method, route }.at(place));
            }
            match every_verb().find(|verb| verb.as_str() == method) {
                Some(verb) => verbs.push(verb),
                None if method == "ANY" => {}
                None => return Err(RouteErrorKind::UnknownMethod { method: method.clone() }.at(place)),
            }
        }
        if named.contains("ANY") {
            verbs.extend(every_verb().filter(|verb| !named.contains(verb.as_str())));
        }
        Ok(verbs)
    }

    fn refuse_methods(&self, template: &PathTemplate) -> Result<(), RouteError> {
        let error = |key| RouteErrorKind::WithoutMethods { route: template.to_string(), key };
        match (&self.methods, self.names.first_key_value()) {
            (Some(methods), _) => Err(error("methods").at(methods)),
            (None, Some((method, _))) => Err(error("names").at(method)),
            (None, None) => Ok(()),
        }
    }
}

/// The action name of each method that has been given one.
fn checked_names<'e>(
    names: &'e BTreeMap<Spanned<String>, Spanned<String>>,
    template: &PathTemplate,
    verbs: &[Verb],
    seen: &mut Seen,
) -> Result<HashMap<&'e str, &'e str>, RouteError> {
    let mut checked = HashMap::new();
    for (method, name) in names {
        if !verbs.iter().any(|verb| verb.as_str() == method.get_ref()) {
            let (route, unknown) = (template.to_string(), method.get_ref().clone());
            return Err(RouteErrorKind::NameWithoutMethod { route, method: unknown }.at(method));
        }
        seen.check_name(name.get_ref()).map_err(|kind| kind.at(name))?;
        checked.insert(method.get_ref().as_str(), name.get_ref().as_str());
    }
    Ok(checked)
}

/// What may not come again.
#[derive(Default)]
struct Seen {
    /// The template that has each shape.
    shapes: HashMap<String, String>,
    names: HashSet<String>,
}

impl Seen {
    fn refuse_shape_again(&mut self, template: &PathTemplate) -> Result<(), RouteErrorKind> {
        let route = template.to_string();
        match self.shapes.insert(template.shape(), route.clone()) {
            None => Ok(()),
            Some(other) if other == route => Err(RouteErrorKind::DuplicateRoute { route }),
            Some(other) => Err(RouteErrorKind::SameShape { route, other }),
        }
    }

    fn check_name(&mut self, name: &str) -> Result<(), RouteErrorKind> {
        let name = name.to_owned();
        if !is_name(&name) {
            return Err(RouteErrorKind::Name { name });
        }
        if RESERVED_NAMES.contains(&name.as_str()) || METHODS.contains(&name.as_str()) {
            return Err(RouteErrorKind::ReservedName { name });
        }
        // A name has no space and no `$`, so it cannot be one that another operation has by itself.
        if self.names.insert(name.clone()) { Ok(()) } else { Err(RouteErrorKind::DuplicateName { name }) }
    }
}

/// The operations of a route that takes every method its kind has.
fn own_operations(template: &PathTemplate) -> Vec<(Option<Verb>, String)> {
    match template.kind() {
        TemplateKind::Connect => vec![(None, template.to_string())],
        TemplateKind::Path | TemplateKind::Default => {
            every_verb().map(|verb| operation(verb, template, None)).collect()
        }
    }
}

fn operation(verb: Verb, template: &PathTemplate, name: Option<&str>) -> (Option<Verb>, String) {
    let name = name.map_or_else(|| format!("{verb} {template}"), str::to_owned);
    (Some(verb), name)
}

/// INVARIANT: each of the methods is a verb.
fn every_verb() -> impl Iterator<Item = Verb> {
    METHODS.iter().filter_map(|method| method.parse().ok())
}

fn is_name(text: &str) -> bool {
    (1..=RouteTable::MAX_NAME_CHARACTERS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Checks the whole message and the text that it points at.
    fn check(table: &str, message: &str, place: &str) {
        let error = RouteTable::from_toml(table).unwrap_err();
        let pointed_at = error.span().and_then(|span| table.get(span));
        assert_eq!((error.to_string().as_str(), pointed_at), (message, Some(place)), "{table}");
    }

    fn check_without_place(table: &str, message: &str) {
        let error = RouteTable::from_toml(table).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.span()), (message, None), "{table}");
    }

    fn names(table: &str) -> Vec<String> {
        let table = RouteTable::from_toml(table).unwrap();
        table.operations().iter().map(|operation| operation.name().to_owned()).collect()
    }

    #[test]
    fn any_adds_the_methods_that_the_list_does_not_name() {
        let all = ["GET /", "HEAD /", "POST /", "PUT /", "PATCH /", "DELETE /", "OPTIONS /"];
        assert_eq!(names("[[route]]\npath = '/'\nmethods = ['ANY']"), all);
        let mixed = "[[route]]\npath = '/'\nmethods = ['ANY', 'PUT']\nnames = { GET = 'home' }";
        let expected = ["PUT /", "home", "HEAD /", "POST /", "PATCH /", "DELETE /", "OPTIONS /"];
        assert_eq!(names(mixed), expected);
    }

    #[test]
    fn routes_without_methods_have_their_own() {
        let default = names("[[route]]\npath = '$default'");
        assert_eq!((default.len(), default[0].as_str()), (7, "GET $default"));
        assert_eq!(names("[[route]]\nwebsocket = '$connect'"), ["$connect"]);
    }

    #[test]
    fn a_text_of_another_form_is_refused() {
        check_without_place("", "route table has no `[[route]]`");
        check(
            "[[rout]]\npath = '/'",
            "route table cannot be read: unknown field `rout`, expected `route`",
            "rout",
        );
        check(
            "[[route]]\npath = '/'\nmethod = 'GET'",
            "route table cannot be read: unknown field `method`, expected one of `path`, `websocket`, `methods`, `tags`, `names`",
            "method",
        );
        check(
            "[[route]]\npath = '/'\nmethods = 'GET'",
            "route table cannot be read: invalid type: string \"GET\", expected a sequence",
            "'GET'",
        );
        check(
            "[[route]]\npath = '/'\nmethods = ['GET'",
            "route table cannot be read: unclosed array, expected `]`",
            "",
        );
        let many = "[[route]]\n".repeat(5_001);
        check_without_place(&many, "route table has 5001 routes, more than 5000");
    }

    #[test]
    fn a_route_is_a_path_or_the_websocket_connect() {
        check("[[route]]\ntags = []", "route needs one of `path` and `websocket`", "[[route]]");
        check(
            "[[route]]\npath = '/'\nwebsocket = '$connect'",
            "route needs one of `path` and `websocket`",
            "[[route]]",
        );
        check(
            "[[route]]\nwebsocket = '$disconnect'",
            "websocket route `$disconnect` has no authorizer: only `$connect` has",
            "'$disconnect'",
        );
        check(
            "[[route]]\nwebsocket = '$connect'\nmethods = ['GET']",
            "route `$connect` takes no `methods`: it has no methods of its own",
            "['GET']",
        );
        check(
            "[[route]]\npath = '$default'\nnames = { GET = 'rest' }",
            "route `$default` takes no `names`: it has no methods of its own",
            "GET",
        );
        check("[[route]]\npath = '/a/'\nmethods = ['GET']", "route `/a/`: a segment is empty", "'/a/'");
    }

    #[test]
    fn methods_are_those_that_api_gateway_routes() {
        let no_methods = "route `/a` has no `methods`: name them, or write `[\"ANY\"]`";
        check("[[route]]\npath = '/a'", no_methods, "[[route]]");
        check("[[route]]\npath = '/a'\nmethods = []", no_methods, "[]");
        for method in ["TRACE", "get", "CONNECT", "", "*"] {
            check(
                &format!("[[route]]\npath = '/a'\nmethods = ['GET', '{method}']"),
                &format!(
                    "method `{method}` is not one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS and ANY"
                ),
                &format!("'{method}'"),
            );
        }
        check(
            "[[route]]\npath = '/a'\nmethods = ['GET', \"GET\"]",
            "operation `GET /a` is defined twice",
            "\"GET\"",
        );
        check(
            "[[route]]\npath = '/a'\nmethods = ['ANY', \"ANY\"]",
            "operation `ANY /a` is defined twice",
            "\"ANY\"",
        );
    }

    #[test]
    fn two_routes_never_match_the_same_paths() {
        let pair = |first: &str, second: &str| {
            format!(
                "[[route]]\npath = '{first}'\nmethods = ['GET']\n[[route]]\npath = \"{second}\"\nmethods = ['PUT']"
            )
        };
        check(
            &pair("/a", "/a"),
            "route `/a` is defined twice: one `[[route]]` holds all methods of a path",
            "\"/a\"",
        );
        check(
            &pair("/a/{x}/b", "/a/{y}/b"),
            "route `/a/{y}/b` matches the same paths as `/a/{x}/b`: API Gateway allows one parameter name there",
            "\"/a/{y}/b\"",
        );
        check(
            &pair("/{x+}", "/{y+}"),
            "route `/{y+}` matches the same paths as `/{x+}`: API Gateway allows one parameter name there",
            "\"/{y+}\"",
        );
        check(
            "[[route]]\nwebsocket = '$connect'\n[[route]]\nwebsocket = \"$connect\"",
            "route `$connect` is defined twice: one `[[route]]` holds all methods of a path",
            "\"$connect\"",
        );
        for (first, second) in [("/a/{x}", "/a/{x+}"), ("/a/{x}/b", "/a/{y}/c"), ("/", "/{x+}")] {
            assert!(RouteTable::from_toml(&pair(first, second)).is_ok(), "{first} {second}");
        }
    }

    #[test]
    fn tags_and_names_are_plain_words() {
        let route = |rest: &str| format!("[[route]]\npath = '/a'\nmethods = ['GET', 'PUT']\n{rest}");
        for tag in ["", "a b", "é", "a'", &"t".repeat(129)] {
            check(
                &route(&format!("tags = [\"{tag}\"]")),
                &format!(
                    "tag `{}` is not 1 to 128 letters, digits, `.`, `_`, `:`, `/` and `-`",
                    tag.replace('\'', "\\'")
                ),
                &format!("\"{tag}\""),
            );
        }
        check(&route("tags = ['a', \"a\"]"), "tag `a` stands there twice", "\"a\"");
        let many: Vec<String> = (0..21).map(|index| format!("'t{index}'")).collect();
        check(
            &route(&format!("tags = [{}]", many.join(", "))),
            "route `/a` has 21 tags, more than 20",
            "[[route]]",
        );
        check(
            &route("names = { GET = \"GET /b\" }"),
            "action name `GET /b` is not 1 to 128 letters, digits, `.`, `_`, `:`, `/` and `-`",
            "\"GET /b\"",
        );
        for name in ["read", "write", "connect", "ANY", "GET", "OPTIONS"] {
            check(
                &route(&format!("names = {{ GET = \"{name}\" }}")),
                &format!("action name `{name}` is that of a group of actions"),
                &format!("\"{name}\""),
            );
        }
        check(&route("names = { DELETE = 'x' }"), "route `/a` has no method `DELETE` to name", "DELETE");
        check(&route("names = { ANY = 'x' }"), "route `/a` has no method `ANY` to name", "ANY");
        check(&route("names = { GET = 'x', PUT = \"x\" }"), "action name `x` is given twice", "\"x\"");
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer(text in "(?s).{0,80}") {
            let _ = RouteTable::from_toml(&text);
        }

        #[test]
        fn any_route_gets_an_answer(path in r"[/${}+.a*%é\\;]{0,12}", method in "[A-Z]{0,4}", name in "(?s).{0,3}") {
            let literal = |text: &str| toml::Value::String(text.to_owned()).to_string();
            let text = format!(
                "[[route]]\npath = {}\nmethods = ['GET', {}]\nnames = {{ GET = {} }}",
                literal(&path), literal(&method), literal(&name),
            );
            if let Err(error) = RouteTable::from_toml(&text) {
                prop_assert!(!error.to_string().contains('\n'));
                prop_assert!(error.span().is_some_and(|span| text.get(span).is_some()));
            }
        }
    }
}
