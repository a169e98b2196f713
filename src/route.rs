//! The route table: which operation of the API a request is for, by API Gateway's own precedence.
//!
//! # `schema/routes.toml`
//! One `[[route]]` a path, with all its methods:
//! ```toml
//! [[route]]
//! path = "/orders/{orderId}"
//! methods = ["GET", "PUT"]
//! tags = ["billing"]              # optional: the route is in Tag::"billing"
//! names = { GET = "getOrder" }    # optional: the Cedar action's id, instead of "GET /orders/{orderId}"
//!
//! [[route]]
//! path = "/files/{proxy+}"        # greedy: one or more segments, so `/files` is not among them
//! methods = ["ANY"]
//!
//! [[route]]
//! path = "$default"               # HTTP APIs: everything else; it has no methods
//!
//! [[route]]
//! websocket = "$connect"          # WebSocket APIs: the one route that has an authorizer
//! ```
//! - A segment is a literal, `{name}` (one segment) or, at the end, `{name+}` (the rest). A literal is what a
//!   [`RequestPath`] can hold, without `%`. A parameter's name is made of `A-Z a-z 0-9 . _ -`.
//! - Each verb of a path is one [`Operation`]. `ANY` stands for those of `GET HEAD POST PUT PATCH DELETE OPTIONS` that the
//!   list does not name: the methods that API Gateway documents for it. A request with another verb has no route.
//! - `$default` is one operation for each of these verbs. It binds the parameter `proxy` to the path without its leading
//!   slash, which is empty for the root, so that policies can tell what came.
//! - Limits: [`RouteTable::MAX_ROUTES`], [`PathTemplate::MAX_CHARACTERS`], [`PathTemplate::MAX_PARAMETERS`],
//!   [`RouteTable::MAX_TAGS`]. A tag or name has 1 to [`RouteTable::MAX_NAME_CHARACTERS`] characters of
//!   `A-Z a-z 0-9 . _ : / -`.
//!
//! # Precedence
//! Only operations that take the verb compete: a path that would match better but lacks the verb does not stand in the way.
//! For HTTP APIs that is documented ("full match for a route and method"). For REST APIs the guide speaks of "a method
//! request against a specific resource", and two published measurements agree (ministackorg/ministack pull request 1423,
//! eu-central-1, August 2026: with `GET /jobs/{type}` and `ANY /{proxy+}`, `POST /jobs/reboot` and `GET /jobs` go to
//! `/{proxy+}`; floci-io/floci pull request 3399, us-west-2, September 2026: with `PATCH /users/me` and
//! `GET /users/{userId}`, `GET /users/me` goes to the latter). Were API Gateway to answer such a request itself, it would
//! not ask us, so nothing is granted that way.
//!
//! [`Router::Rest`], segment by segment from the left: a literal before `{name}` before `{name+}`. That a literal beats a
//! parameter, and both beat `{name+}`, "at the same level of the resource hierarchy" is documented; that an earlier level
//! decides before a later one (`/a/{proxy+}` before `/{x}/b`) is our reading of that sentence, not measured.
//!
//! [`Router::Http`], as documented: 1. a full match; 2. a greedy match; 3. `$default`. Among full matches a literal beats
//! a parameter, segment by segment from the left (the guide's example has one such level, the rest is our reading). Among
//! greedy matches the longest prefix wins, counted in segments (from the guide's example), then as among full matches.
//! `ANY` counts as each of its verbs. KensioSoftware/yulin has it otherwise, as observed: `GET /{x}` before `ANY /a` for
//! `GET /a`; no measurement is published, so this is open.
//!
//! Where the answer rests on a reading, an event that names its template (`resource` of REST REQUEST events, `routeKey` of
//! HTTP APIs) can be held against it: [`PathTemplate::as_str`] is in API Gateway's own spelling.

mod file;
mod template;

use std::collections::HashMap;
use std::sync::Arc;

use crate::arn::Verb;
use crate::path::RequestPath;

use file::RouteDefinition;
pub use file::{RouteError, RouteErrorKind};
pub use template::{PathTemplate, Segment, TemplateError, TemplateKind};

/// The methods of an operation, and what `ANY` stands for.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// All operations of the APIs that a bundle decides for.
#[derive(Clone, Debug)]
pub struct RouteTable {
    operations: Vec<Operation>,
    paths: Node,
    default: Methods,
    connect: Option<OperationId>,
}

/// Whose precedence decides between routes that match: see the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Router {
    /// REST APIs.
    Rest,
    /// HTTP APIs.
    Http,
}

impl RouteTable {
    /// The most routes in a table. API Gateway's quota is 300 a API, raisable; a table may serve several APIs.
    pub const MAX_ROUTES: usize = 5_000;
    /// The most tags of a route.
    pub const MAX_TAGS: usize = 20;
    /// The longest tag or action name, in characters.
    pub const MAX_NAME_CHARACTERS: usize = 128;

    /// Reads the text of `schema/routes.toml`.
    ///
    /// # Errors
    /// If the text is not a route table, or its routes contradict each other; the first such route is reported.
    pub fn from_toml(text: &str) -> Result<Self, RouteError> {
        file::read(text).map(Self::from_definitions)
    }

    /// The table of a bundle without `routes.toml`: `ANY /`, `ANY /{proxy+}` and `$connect`, so that policies tell
    /// requests apart by verb and by `context.params.proxy` alone.
    #[must_use]
    pub fn catch_all() -> Self {
        let templates = [PathTemplate::root(), PathTemplate::greedy_root(), PathTemplate::connect()];
        Self::from_definitions(templates.map(RouteDefinition::of_every_method))
    }

    /// The operation that API Gateway serves a request with, and the path's parameters; `None` if there is none.
    #[must_use]
    pub fn find<'t, 'p>(
        &'t self,
        router: Router,
        verb: &Verb,
        path: &'p RequestPath,
    ) -> Option<RouteMatch<'t, 'p>> {
        let method = method_index(verb)?;
        let rest = path.as_str().strip_prefix('/').filter(|rest| !rest.is_empty());
        let id = match router {
            Router::Rest => self.paths.most_specific(method, rest),
            Router::Http => (self.paths.full_match(method, rest))
                .or_else(|| self.paths.longest_greedy(method, rest, 0).map(|(_, id)| id))
                .or_else(|| self.default.of(method)),
        };
        let operation = self.operation(id?)?;
        Some(RouteMatch { operation, params: operation.template().bind(path) })
    }

    /// Every operation, in the order of the text; the index is [`OperationId::index`].
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operation of that id; `None` for an id of another table.
    #[must_use]
    pub fn operation(&self, id: OperationId) -> Option<&Operation> {
        self.operations.get(id.index())
    }

    /// The match of a WebSocket's connect request.
    #[must_use]
    pub fn find_connect(&self) -> Option<RouteMatch<'_, 'static>> {
        self.connect().map(|operation| RouteMatch { operation, params: Vec::new() })
    }

    /// The WebSocket connect operation.
    #[must_use]
    pub fn connect(&self) -> Option<&Operation> {
        self.connect.and_then(|id| self.operation(id))
    }

    /// The text of `schema/routes.cedarschema`: one action an operation, in its group, with the path parameters as
    /// required strings. The groups and the types are those of `gateway.cedarschema`.
    #[must_use]
    pub fn cedarschema(&self) -> String {
        let header = "// Generated by `cedar-gate routes schema` from routes.toml; do not edit.\n".to_owned();
        self.operations.iter().fold(header, |text, operation| text + "\n" + &operation.cedarschema())
    }

    fn from_definitions(definitions: impl IntoIterator<Item = RouteDefinition>) -> Self {
        let (paths, default) = (Node::default(), Methods::default());
        let mut table = Self { operations: Vec::new(), paths, default, connect: None };
        for RouteDefinition { template, tags, operations } in definitions {
            let route = Arc::new(Route { template, tags });
            for (verb, name) in operations {
                table.insert(verb, name, &route);
            }
        }
        table
    }

    fn insert(&mut self, verb: Option<Verb>, name: String, route: &Arc<Route>) {
        // INVARIANT: a table has at most 7 × `MAX_ROUTES` operations.
        let id = OperationId(self.operations.len() as u32);
        match (&verb, route.template.kind()) {
            (None, _) | (Some(_), TemplateKind::Connect) => self.connect = Some(id),
            (Some(verb), TemplateKind::Default) => self.default.set(verb, id),
            (Some(verb), TemplateKind::Path) => {
                self.paths.methods_of(route.template.segments()).set(verb, id)
            }
        }
        self.operations.push(Operation { id, name, verb, route: Arc::clone(route) });
    }
}

/// The number of an operation in its table, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(u32);

impl OperationId {
    /// The index into [`RouteTable::operations`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One verb of one route, or the WebSocket connect: what a Cedar action stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    id: OperationId,
    name: String,
    verb: Option<Verb>,
    route: Arc<Route>,
}

#[derive(Debug, PartialEq, Eq)]
struct Route {
    template: PathTemplate,
    tags: Vec<String>,
}

impl Operation {
    /// The operation's number in its table.
    #[must_use]
    pub const fn id(&self) -> OperationId {
        self.id
    }

    /// The id of the operation's Cedar action: the name that the table gives it, else verb and template
    /// (`GET /orders/{orderId}`), `$connect` for the connect operation. Unique in the table.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The verb, one of the seven; `None` for the connect operation, whose ARN has none.
    #[must_use]
    pub const fn verb(&self) -> Option<&Verb> {
        self.verb.as_ref()
    }

    /// The id of the Cedar action that this one is directly in: the verb, or `connect`.
    #[must_use]
    pub fn action_group(&self) -> &str {
        self.verb.as_ref().map_or("connect", Verb::as_str)
    }

    /// The route's template, the id of its Cedar `Route`.
    #[must_use]
    pub fn template(&self) -> &PathTemplate {
        &self.route.template
    }

    /// The route's tags, in the order of the text; the same for every operation of the route.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.route.tags
    }

    /// The names of the path parameters, in the order of the template.
    pub fn param_names(&self) -> impl Iterator<Item = &str> {
        self.template().param_names()
    }

    /// The ids of the Cedar `Path`s that the route is in, innermost first: see [`PathTemplate::ancestors`].
    #[must_use]
    pub fn path_ancestors(&self) -> Vec<&str> {
        self.template().ancestors()
    }

    /// The declaration of its action, as it stands in [`RouteTable::cedarschema`].
    ///
    /// INVARIANT: names, templates and parameters hold no quote and no backslash (`is_name`, `PathTemplate`), so they stand
    /// in Cedar string literals as they are.
    pub(crate) fn cedarschema(&self) -> String {
        let params: Vec<String> =
            self.param_names().map(|name| format!("{}: String", cedar_attribute(name))).collect();
        let params = if params.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", params.join(", ")) };
        format!(
            "action \"{}\" in [Action::\"{}\"] appliesTo {{\n  principal: [User, Client],\n  resource: [Route],\n  \
             context: {{ params: {params}, path: String, http: Http }}\n}};\n",
            self.name,
            self.action_group(),
        )
    }
}

/// The operation that a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMatch<'t, 'p> {
    operation: &'t Operation,
    params: Vec<(&'t str, &'p str)>,
}

impl<'t, 'p> RouteMatch<'t, 'p> {
    /// The operation.
    #[must_use]
    pub const fn operation(&self) -> &'t Operation {
        self.operation
    }

    /// Each path parameter's name and the path's own text for it, undecoded, in the order of the template. A greedy one's
    /// text has slashes.
    #[must_use]
    pub fn params(&self) -> &[(&'t str, &'p str)] {
        &self.params
    }
}

/// One position in the tree of paths.
#[derive(Clone, Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    parameter: Option<Box<Node>>,
    /// The operations whose template ends here.
    here: Methods,
    /// The operations whose template goes on with a greedy parameter.
    greedy: Methods,
}

/// The operations of a template, in the order of [`METHODS`].
#[derive(Clone, Debug, Default)]
struct Methods([Option<OperationId>; METHODS.len()]);

impl Methods {
    fn of(&self, method: usize) -> Option<OperationId> {
        self.0.get(method).copied().flatten()
    }

    fn set(&mut self, verb: &Verb, id: OperationId) {
        if let Some(slot) = method_index(verb).and_then(|method| self.0.get_mut(method)) {
            *slot = Some(id);
        }
    }
}

impl Node {
    fn methods_of(&mut self, segments: &[Segment]) -> &mut Methods {
        match segments.split_first() {
            None => &mut self.here,
            Some((Segment::Greedy(_), _)) => &mut self.greedy,
            Some((Segment::Parameter(_), rest)) => self.parameter.get_or_insert_default().methods_of(rest),
            Some((Segment::Literal(text), rest)) => {
                self.literals.entry(text.clone()).or_default().methods_of(rest)
            }
        }
    }

    /// The first match in the order literal, parameter, greedy, decided segment by segment from the left. `rest` is what
    /// is left of the path, `None` at its end. Each node is visited at most once.
    fn most_specific(&self, method: usize, rest: Option<&str>) -> Option<OperationId> {
        let Some(rest) = rest else { return self.here.of(method) };
        let (segment, rest) = next_segment(rest);
        (self.children(segment).find_map(|node| node.most_specific(method, rest)))
            .or_else(|| self.greedy.of(method))
    }

    /// The same without greedy parameters.
    fn full_match(&self, method: usize, rest: Option<&str>) -> Option<OperationId> {
        let Some(rest) = rest else { return self.here.of(method) };
        let (segment, rest) = next_segment(rest);
        self.children(segment).find_map(|node| node.full_match(method, rest))
    }

    /// The greedy match with the most segments before the greedy one, and their number; literals before parameters.
    fn longest_greedy(
        &self,
        method: usize,
        rest: Option<&str>,
        depth: usize,
    ) -> Option<(usize, OperationId)> {
        let (segment, rest) = next_segment(rest?);
        let below = self.children(segment).filter_map(|node| node.longest_greedy(method, rest, depth + 1));
        let longest = below.reduce(|first, other| if other.0 > first.0 { other } else { first });
        longest.or_else(|| self.greedy.of(method).map(|id| (depth, id)))
    }

    fn children<'n>(&'n self, segment: &str) -> impl Iterator<Item = &'n Self> + use<'n> {
        self.literals.get(segment).into_iter().chain(self.parameter.as_deref())
    }
}

fn next_segment(rest: &str) -> (&str, Option<&str>) {
    match rest.split_once('/') {
        Some((segment, rest)) => (segment, Some(rest)),
        None => (rest, None),
    }
}

fn method_index(verb: &Verb) -> Option<usize> {
    METHODS.iter().position(|method| *method == verb.as_str())
}

/// The name of a record attribute in a Cedar schema: quoted unless it is an identifier that no keyword or type shadows.
fn cedar_attribute(name: &str) -> String {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let identifier = starts && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if identifier && !CEDAR_KEYWORDS.contains(&name) { name.to_owned() } else { format!("\"{name}\"") }
}

/// The reserved words of Cedar policies and schemas; quoting one too many does no harm.
const CEDAR_KEYWORDS: [&str; 26] = [
    "true",
    "false",
    "if",
    "then",
    "else",
    "in",
    "is",
    "like",
    "has",
    "__cedar",
    "namespace",
    "type",
    "entity",
    "action",
    "appliesTo",
    "principal",
    "resource",
    "context",
    "attributes",
    "tags",
    "enum",
    "external",
    "Set",
    "Long",
    "String",
    "Bool",
];

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::{Schema, SchemaFragment};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A table of routes like `GET,PUT /orders/{id}`.
    fn table(routes: &[&str]) -> RouteTable {
        let text: String = routes
            .iter()
            .map(|route| match route.split_once(' ') {
                Some((methods, path)) => {
                    format!("[[route]]\npath = \"{path}\"\nmethods = ['{}']\n", methods.replace(',', "', '"))
                }
                None => format!("[[route]]\npath = '{route}'\n"),
            })
            .collect();
        RouteTable::from_toml(&text).unwrap()
    }

    /// The operation and its parameters, as `GET /orders/{id} id=7`.
    fn found(table: &RouteTable, router: Router, request: &str) -> Option<String> {
        let (verb, path) = request.split_once(' ').unwrap();
        let path: RequestPath = path.parse().unwrap();
        let found = table.find(router, &verb.parse().unwrap(), &path)?;
        let params: String = found.params().iter().map(|(name, text)| format!(" {name}={text}")).collect();
        Some(found.operation().name().to_owned() + &params)
    }

    fn check(router: Router, routes: &[&str], cases: &[(&str, Option<&str>)]) {
        let table = table(routes);
        for (request, expected) in cases {
            assert_eq!(found(&table, router, request).as_deref(), *expected, "{request}");
        }
    }

    fn check_both(routes: &[&str], cases: &[(&str, Option<&str>)]) {
        check(Router::Rest, routes, cases);
        check(Router::Http, routes, cases);
    }

    #[test]
    fn literals_beat_parameters_beat_greedy_ones() {
        let routes =
            ["GET /{rest+}", "GET /users/{id}", "GET /users/me", "GET /users/{id}/posts/{post}", "GET /"];
        check_both(
            &routes,
            &[
                ("GET /", Some("GET /")),
                ("GET /users", Some("GET /{rest+} rest=users")),
                ("GET /users/me", Some("GET /users/me")),
                ("GET /users/7", Some("GET /users/{id} id=7")),
                ("GET /users/7/posts/8", Some("GET /users/{id}/posts/{post} id=7 post=8")),
                ("GET /users/me/posts/8", Some("GET /users/{id}/posts/{post} id=me post=8")),
                ("GET /users/me/posts", Some("GET /{rest+} rest=users/me/posts")),
                ("GET /Users/me", Some("GET /{rest+} rest=Users/me")),
            ],
        );
    }

    #[test]
    fn a_greedy_parameter_takes_one_segment_at_least() {
        check_both(
            &["GET /files/{path+}"],
            &[
                ("GET /files", None),
                ("GET /", None),
                ("GET /files/a", Some("GET /files/{path+} path=a")),
                ("GET /files/a%20b/c", Some("GET /files/{path+} path=a%20b/c")),
            ],
        );
    }

    #[test]
    fn only_operations_that_take_the_verb_compete() {
        // As measured on REST APIs: ministack 1423 and floci 3399.
        check_both(
            &["ANY /{proxy+}", "GET /jobs/{type}", "OPTIONS /cors_only"],
            &[
                ("GET /jobs/reboot", Some("GET /jobs/{type} type=reboot")),
                ("GET /jobs", Some("GET /{proxy+} proxy=jobs")),
                ("POST /jobs/reboot", Some("POST /{proxy+} proxy=jobs/reboot")),
                ("GET /cors_only", Some("GET /{proxy+} proxy=cors_only")),
            ],
        );
        check_both(
            &["GET /users/{userId}", "PATCH /users/me", "GET /things/real", "POST /things/{proxy+}"],
            &[
                ("GET /users/me", Some("GET /users/{userId} userId=me")),
                ("PATCH /users/me", Some("PATCH /users/me")),
                ("POST /users/me", None),
                ("GET /things/real", Some("GET /things/real")),
                ("POST /things/real", Some("POST /things/{proxy+} proxy=real")),
            ],
        );
    }

    #[test]
    fn http_apis_follow_the_guides_example() {
        check(
            Router::Http,
            &["GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "$default"],
            &[
                ("GET /pets/dog/1", Some("GET /pets/dog/1")),
                ("GET /pets/dog/2", Some("GET /pets/dog/{id} id=2")),
                ("GET /pets/cat/1", Some("GET /pets/{proxy+} proxy=cat/1")),
                ("POST /test/5", Some("POST /{proxy+} proxy=test/5")),
                ("GET /", Some("GET $default proxy=")),
            ],
        );
    }

    #[test]
    fn the_routers_differ_where_an_early_literal_leads_to_a_greedy_parameter() {
        let routes = ["GET /a/{rest+}", "GET /{x}/b"];
        check(Router::Rest, &routes, &[("GET /a/b", Some("GET /a/{rest+} rest=b"))]);
        check(Router::Http, &routes, &[("GET /a/b", Some("GET /{x}/b x=a"))]);
        let routes = ["GET /a/{rest+}", "GET /{x}/b/{rest+}"];
        check(Router::Rest, &routes, &[("GET /a/b/c", Some("GET /a/{rest+} rest=b/c"))]);
        check(Router::Http, &routes, &[("GET /a/b/c", Some("GET /{x}/b/{rest+} x=a rest=c"))]);
    }

    #[test]
    fn default_is_of_http_apis() {
        let routes = ["GET /a", "$default"];
        check(Router::Rest, &routes, &[("GET /a", Some("GET /a")), ("PUT /a", None), ("GET /b/c", None)]);
        check(
            Router::Http,
            &routes,
            &[
                ("GET /a", Some("GET /a")),
                ("PUT /a", Some("PUT $default proxy=a")),
                ("GET /admin/x", Some("GET $default proxy=admin/x")),
            ],
        );
    }

    #[test]
    fn other_verbs_have_no_route() {
        for request in ["TRACE /a", "get /a", "ANY /a", "CONNECT /a"] {
            assert_eq!(found(&table(&["ANY /a", "$default"]), Router::Http, request), None, "{request}");
        }
    }

    #[test]
    fn the_catch_all_takes_everything() {
        let table = RouteTable::catch_all();
        for router in [Router::Rest, Router::Http] {
            assert_eq!(found(&table, router, "GET /").as_deref(), Some("GET /"));
            let expected = Some("DELETE /{proxy+} proxy=admin/x");
            assert_eq!(found(&table, router, "DELETE /admin/x").as_deref(), expected);
        }
        assert_eq!(table.connect().map(Operation::name), Some("$connect"));
    }

    #[test]
    fn an_operation_knows_its_place() {
        let text = "[[route]]\npath = '/orders/{orderId}'\nmethods = ['GET', 'PUT']\ntags = ['billing', 'eu']\n\
                    names = { GET = 'getOrder' }\n[[route]]\nwebsocket = '$connect'\ntags = ['ws']";
        let table = RouteTable::from_toml(text).unwrap();
        let shown: Vec<_> = table
            .operations()
            .iter()
            .map(|operation| {
                (
                    operation.name(),
                    operation.verb().map(Verb::as_str),
                    operation.action_group(),
                    operation.tags(),
                )
            })
            .collect();
        let (orders, websocket) = (["billing".to_owned(), "eu".to_owned()], ["ws".to_owned()]);
        let expected = [
            ("getOrder", Some("GET"), "GET", &orders[..]),
            ("PUT /orders/{orderId}", Some("PUT"), "PUT", &orders[..]),
            ("$connect", None, "connect", &websocket[..]),
        ];
        assert_eq!(shown, expected);
        assert_eq!(table.operations()[1].param_names().collect::<Vec<_>>(), ["orderId"]);
        assert_eq!(table.operations()[1].path_ancestors(), ["/orders/{orderId}", "/orders", "/"]);
        assert_eq!(table.connect(), table.operations().last());
        for (index, operation) in table.operations().iter().enumerate() {
            assert_eq!(operation.id().index(), index);
            assert_eq!(table.operation(operation.id()), Some(operation));
        }
        assert_eq!(
            RouteTable::from_toml("[[route]]\nwebsocket = '$connect'").unwrap().operation(OperationId(1)),
            None
        );
    }

    const GATEWAY_SCHEMA: &str = r#"
        entity Role; entity Path in [Path]; entity Tag;
        entity User in [Role]; entity Client in [Role]; entity Route in [Path, Tag];
        type Http = { source_ip?: String };
        action read, write, connect, OPTIONS;
        action GET, HEAD in [read];
        action POST, PUT, PATCH, DELETE in [write];
    "#;

    /// The schema that the table's part makes with the hand-written one.
    fn schema(table: &RouteTable) -> Schema {
        let fragments = [GATEWAY_SCHEMA, &table.cedarschema()].map(|text| {
            SchemaFragment::from_cedarschema_str(text).unwrap_or_else(|error| panic!("{error:?}\n{text}")).0
        });
        Schema::from_schema_fragments(fragments).unwrap()
    }

    #[test]
    fn the_schema_has_an_action_for_each_operation() {
        let text =
            "[[route]]\npath = '/orders/{orderId}'\nmethods = ['GET']\n[[route]]\nwebsocket = '$connect'";
        let expected = "// Generated by `cedar-gate routes schema` from routes.toml; do not edit.\n\
            \n\
            action \"GET /orders/{orderId}\" in [Action::\"GET\"] appliesTo {\n  \
              principal: [User, Client],\n  \
              resource: [Route],\n  \
              context: { params: { orderId: String }, path: String, http: Http }\n\
            };\n\
            \n\
            action \"$connect\" in [Action::\"connect\"] appliesTo {\n  \
              principal: [User, Client],\n  \
              resource: [Route],\n  \
              context: { params: {}, path: String, http: Http }\n\
            };\n";
        let table = RouteTable::from_toml(text).unwrap();
        assert_eq!(table.cedarschema(), expected);
        let actions: BTreeMap<String, bool> =
            schema(&table).actions().map(|action| (action.id().unescaped().to_owned(), true)).collect();
        assert!(actions.contains_key("GET /orders/{orderId}") && actions.contains_key("$connect"));
    }

    #[test]
    fn the_schema_is_cedar_for_every_name_a_template_can_have() {
        let words =
            "/{in}/{is}/{if}/{like}/{has}/{true}/{__cedar}/{type}/{Set}/{String}/{action}/{appliesTo}/{tags}";
        let routes = [
            "ANY /",
            "ANY /{proxy+}",
            "GET /a-b._~!&'()+,;=:@/{order-id}/{v1.0}/{_}/{0}/{-}/{...}",
            &format!("PUT {words}"),
            "PATCH /{principal}/{resource}/{context}/{entity}/{enum}/{namespace}/{attributes}/{ipaddr}/{Long}/{Bool}",
            "GET /{then}/{else}/{false}/{Boolean}/{Record}/{Extension}/{Entity}/{decimal}/{User}/{Http}/{external}",
            "$default",
        ];
        let table = table(&routes);
        let schema = schema(&table);
        for operation in table.operations() {
            let id = cedar_policy::EntityId::new(operation.name());
            let action = cedar_policy::EntityUid::from_type_name_and_id("Action".parse().unwrap(), id);
            let params: Vec<String> =
                operation.param_names().map(|name| format!("\"{name}\": \"x\"")).collect();
            let context =
                format!("{{\"params\": {{{}}}, \"path\": \"/\", \"http\": {{}}}}", params.join(", "));
            let context = cedar_policy::Context::from_json_str(&context, Some((&schema, &action)));
            assert!(context.is_ok(), "{}: {context:?}", operation.name());
        }
    }

    #[test]
    fn names_of_operations_are_actions_too() {
        let text =
            "[[route]]\npath = '/a'\nmethods = ['GET', 'PUT']\nnames = { GET = 'a/b:c.d-e_1', PUT = 'in' }";
        let schema = schema(&RouteTable::from_toml(text).unwrap());
        assert!(schema.actions().any(|action| action.id().unescaped() == "a/b:c.d-e_1"));
    }

    /// A template's rank: what the module's documentation says, read from the text alone.
    fn ranks(template: &str) -> Vec<u8> {
        let rank = |segment: &str| match (segment.starts_with('{'), segment.ends_with("+}")) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 2,
        };
        template.split('/').skip(1).filter(|segment| !segment.is_empty()).map(rank).collect()
    }

    /// The parameters, if the template matches.
    fn matches(template: &str, path: &str) -> Option<String> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let pattern: Vec<&str> = template.split('/').filter(|segment| !segment.is_empty()).collect();
        let mut params = String::new();
        for (index, part) in pattern.iter().enumerate() {
            if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix("+}")) {
                let rest = segments.get(index..).filter(|rest| !rest.is_empty())?;
                return Some(params + &format!(" {name}={}", rest.join("/")));
            }
            let segment = segments.get(index)?;
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) => params += &format!(" {name}={segment}"),
                None if part == segment => {}
                None => return None,
            }
        }
        (pattern.len() == segments.len()).then_some(params)
    }

    /// The precedence, as a choice among all operations that match.
    fn by_definition(
        operations: &[(String, String)],
        router: Router,
        verb: &str,
        path: &str,
    ) -> Option<String> {
        let candidates = operations.iter().filter_map(|(method, template)| {
            if method != verb {
                return None;
            }
            match (template.as_str(), router) {
                ("$default", Router::Rest) => None,
                ("$default", Router::Http) => Some((template, format!(" proxy={}", path.strip_prefix('/')?))),
                _ => Some((template, matches(template, path)?)),
            }
        });
        let key = |template: &str| {
            let greedy = template.ends_with("+}");
            match router {
                Router::Rest => (0, 0, ranks(template)),
                Router::Http if template == "$default" => (2, 0, Vec::new()),
                Router::Http if greedy => (1, usize::MAX - ranks(template).len(), ranks(template)),
                Router::Http => (0, 0, ranks(template)),
            }
        };
        let (template, params) = candidates.min_by_key(|(template, _)| key(template))?;
        Some(format!("{verb} {template}{params}"))
    }

    /// A template over few segments, so that many collide; names follow the position, so that no shape comes twice.
    fn template() -> impl Strategy<Value = String> {
        let segment = prop_oneof![3 => Just(0_u8), 2 => Just(1), 3 => Just(2)];
        (prop::collection::vec(segment, 0..5), prop::bool::weighted(0.3)).prop_map(|(kinds, greedy)| {
            let mut text = String::new();
            for (index, kind) in kinds.iter().enumerate() {
                match kind {
                    0 => text += "/a",
                    1 => text += "/b",
                    _ => text += &format!("/{{p{index}}}"),
                }
            }
            if greedy {
                text + "/{rest+}"
            } else if text.is_empty() {
                "/".to_owned()
            } else {
                text
            }
        })
    }

    fn methods() -> impl Strategy<Value = Vec<&'static str>> {
        prop::sample::subsequence(vec!["GET", "PUT", "ANY"], 1..=3)
    }

    proptest! {
        #[test]
        fn a_route_is_found_by_the_definition(
            routes in prop::collection::btree_map(template(), methods(), 1..12),
            default in any::<bool>(),
            paths in prop::collection::vec(prop::collection::vec(prop::sample::select(vec!["/a", "/b", "/c"]), 0..6), 12),
        ) {
            let mut text: Vec<String> = routes.iter().map(|(path, methods)| format!("{} {path}", methods.join(","))).collect();
            text.extend(default.then(|| "$default".to_owned()));
            let table = table(&text.iter().map(String::as_str).collect::<Vec<_>>());
            let mut operations: Vec<(String, String)> = Vec::new();
            for (path, methods) in &routes {
                for verb in ["GET", "PUT", "DELETE"] {
                    if methods.contains(&verb) || methods.contains(&"ANY") {
                        operations.push((verb.to_owned(), path.clone()));
                    }
                }
            }
            operations.extend(["GET", "PUT", "DELETE"].iter().filter(|_| default).map(|verb| (verb.to_string(), "$default".to_owned())));
            for path in paths.iter().map(|path| if path.is_empty() { "/".to_owned() } else { path.concat() }) {
                for verb in ["GET", "PUT", "DELETE"] {
                    for router in [Router::Rest, Router::Http] {
                        prop_assert_eq!(
                            found(&table, router, &format!("{verb} {path}")),
                            by_definition(&operations, router, verb, &path),
                            "{:?} {} {}", router, verb, path
                        );
                    }
                }
            }
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_table_makes_a_schema(routes in prop::collection::btree_map(template(), methods(), 1..6)) {
            let text: Vec<String> = routes.iter().map(|(path, methods)| format!("{} {path}", methods.join(","))).collect();
            let table = table(&text.iter().map(String::as_str).collect::<Vec<_>>());
            let fragment = SchemaFragment::from_cedarschema_str(&table.cedarschema());
            prop_assert!(fragment.is_ok());
        }
    }
}
