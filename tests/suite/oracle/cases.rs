//! Random APIs, policies and people, the same in every run: half of them as people write them, half of them as nobody
//! should.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::random::Random;
use super::router::{Precedence, Route};

/// An API, its policies, and who may come.
pub(super) struct Case {
    pub(super) number: u64,
    pub(super) style: Style,
    pub(super) gateway: Gateway,
    /// Whether the document may write `${*}` for a star.
    pub(super) escapes: bool,
    pub(super) routes: Vec<Route>,
    pub(super) policies: Vec<Policy>,
    pub(super) people: Vec<Person>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Style {
    Realistic,
    Adversarial,
}

/// Who asks the authorizer, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gateway {
    RestToken,
    RestRequest,
    /// With a resource policy that allows, where silence is an allow.
    RestGuarded,
    HttpV1,
    HttpV2,
}

impl Gateway {
    pub(super) fn precedence(self) -> Precedence {
        match self {
            Self::RestToken | Self::RestRequest | Self::RestGuarded => Precedence::Rest,
            Self::HttpV1 | Self::HttpV2 => Precedence::Http,
        }
    }

    pub(super) fn stage(self) -> &'static str {
        match self.precedence() {
            Precedence::Rest => "prod",
            Precedence::Http => "$default",
        }
    }
}

/// A policy's text, and the actions that its scope names; `None` where it names groups or nothing.
#[derive(Clone)]
pub(super) struct Policy {
    pub(super) text: String,
    pub(super) actions: Option<Vec<String>>,
}

/// What a token says.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) subject: String,
    /// A machine with a token of its own.
    pub(super) is_client: bool,
    pub(super) roles: Vec<&'static str>,
    pub(super) tenant: &'static str,
    pub(super) scopes: Vec<&'static str>,
    pub(super) org: Option<String>,
    pub(super) teams: Vec<String>,
    pub(super) level: i64,
}

/// The roles that exist; an admin is an auditor too.
pub(super) const ROLES: [(&str, &[&str]); 4] =
    [("admin", &["auditor"]), ("auditor", &[]), ("clerk", &[]), ("guest", &[])];

/// An operation that policies can speak of.
struct Operation {
    action: String,
    route: usize,
}

impl Case {
    /// The case with this number.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x1_0000_0001).wrapping_add(number));
        let style = if number.is_multiple_of(2) { Style::Realistic } else { Style::Adversarial };
        let gateways = [
            Gateway::RestRequest,
            Gateway::RestToken,
            Gateway::HttpV2,
            Gateway::RestGuarded,
            Gateway::HttpV1,
        ];
        let gateway = *random.pick(&gateways);
        let routes = match style {
            Style::Realistic => realistic_routes(&mut random, gateway),
            Style::Adversarial => adversarial_routes(&mut random, gateway),
        };
        let escapes = random.chance(25);
        let mut case =
            Self { number, style, gateway, escapes, routes, policies: Vec::new(), people: Vec::new() };
        let people = if random.chance(50) { 2 } else { 1 };
        case.people = (0..people).map(|_| case.person(&mut random)).collect();
        case.policies = match style {
            Style::Realistic => case.realistic_policies(&mut random),
            Style::Adversarial => case.adversarial_policies(&mut random),
        };
        case
    }

    /// The words that mean something here: segments of templates, texts of policies, what tokens say; and one that means
    /// nothing.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words: BTreeSet<String> = self.told_words().into_iter().collect();
        words.extend(self.routes.iter().flat_map(|route| route.literals().map(str::to_owned)));
        words.insert("zz9".to_owned());
        words.into_iter().collect()
    }

    /// The words of the policies' conditions and of tokens.
    pub(super) fn told_words(&self) -> Vec<String> {
        let mut words = BTreeSet::new();
        for Policy { text, .. } in &self.policies {
            let conditions = text.find([']', ')']).map_or("", |end| &text[end..]);
            let conditions = conditions.find(" {").map_or("", |begin| &conditions[begin..]);
            // Every second piece of a text between quotation marks is inside of them.
            for word in conditions.split('"').skip(1).step_by(2).flat_map(|inside| inside.split('/')) {
                // The word itself, and one that a pattern stands for.
                let word = word.replace("\\*", "*");
                words.insert(word.replace('*', "0"));
                words.insert(word);
            }
        }
        for person in &self.people {
            words.insert(person.subject.clone());
            words.extend(person.org.iter().chain(&person.teams).cloned());
        }
        words.remove("");
        words.into_iter().collect()
    }

    fn operations(&self) -> Vec<Operation> {
        let of_route = |(route, own): (usize, &Route)| {
            own.methods
                .iter()
                .map(|method| Operation { action: format!("{method} {}", own.template), route })
                .collect::<Vec<_>>()
        };
        self.routes.iter().enumerate().flat_map(of_route).collect()
    }

    /// A prefix of a route, as policies name it.
    fn prefix(&self, random: &mut Random) -> String {
        let route = random.pick(&self.routes);
        if route.is_default() || random.chance(10) {
            return "/".to_owned();
        }
        let segments: Vec<&str> = route.template[1..].split('/').collect();
        let taken = if random.chance(60) { 1 } else { 1 + random.below(segments.len()) };
        format!("/{}", segments[..taken].join("/"))
    }

    fn person(&self, random: &mut Random) -> Person {
        let literals: Vec<&str> = self.routes.iter().flat_map(Route::literals).collect();
        let odd = self.style == Style::Adversarial;
        let name = |random: &mut Random| match random.below(if odd { 10 } else { 40 }) {
            0 => random.word(&HOSTILE_CLAIMS).to_owned(),
            1 if !literals.is_empty() => (*random.pick(&literals)).to_owned(),
            _ => random.word(&NAMES).to_owned(),
        };
        let mut roles: Vec<&str> = random.some(&ROLES, 35).into_iter().map(|(role, _)| role).collect();
        if roles.is_empty() && random.chance(70) {
            roles.push(random.pick(&ROLES).0);
        }
        Person {
            subject: name(random),
            is_client: random.chance(10),
            roles,
            tenant: random.word(&["acme", "globex"]),
            scopes: random.some(&["orders/read", "orders/write"], 50),
            org: random.chance(70).then(|| name(random)),
            teams: (0..random.below(3)).map(|_| name(random)).collect(),
            level: if random.chance(85) { 0 } else { 2 },
        }
    }
}

/// What tokens say.
const NAMES: [&str; 6] = ["alice", "bob", "acme", "globex", "7", "al"];

/// What a token can say to write a pattern, if it is let.
const HOSTILE_CLAIMS: [&str; 12] =
    ["*", "a*", "?", "b?b", "${aws:username}", "${*}", "$", "%61", "é", "..", "a/b", "orders/*"];

// Routes ---------------------------------------------------------------------------------------------------------------

fn realistic_routes(random: &mut Random, gateway: Gateway) -> Vec<Route> {
    let mut resources = ["orders", "users", "items", "invoices", "projects", "teams", "reports", "tickets"];
    random.shuffle(&mut resources);
    let mut table: Vec<(String, Vec<&str>)> = Vec::new();
    let prefix = match random.below(6) {
        0 => "/tenants/{tenantId}",
        1 => "/v1",
        _ => "",
    };
    let count = 2 + random.below(4);
    for resource in &resources[..count] {
        let id = format!("{{{}Id}}", resource.trim_end_matches('s'));
        let (list, item) = (format!("{prefix}/{resource}"), format!("{prefix}/{resource}/{id}"));
        table.push((list.clone(), if random.chance(80) { vec!["GET", "POST"] } else { vec!["GET"] }));
        table.push((
            item.clone(),
            random
                .pick(&[
                    &["GET"][..],
                    &["GET", "PUT"],
                    &["GET", "PUT", "DELETE"],
                    &["GET", "PATCH", "DELETE"],
                ])
                .to_vec(),
        ));
        if random.chance(30) {
            let word = random.pick(&["export", "search", "me", "latest"]);
            table.push((format!("{list}/{word}"), vec!["GET"]));
        }
        if random.chance(35) {
            let sub = random.pick(&["items", "comments", "members"]);
            table.push((format!("{item}/{sub}"), vec!["GET", "POST"]));
            if random.chance(60) {
                let sub_id = format!("{{{}Id}}", &sub[..sub.len() - 1]).replace("Id", "SubId");
                table.push((format!("{item}/{sub}/{sub_id}"), vec!["GET", "DELETE"]));
            }
        }
        if random.chance(30) {
            let word = random.pick(&["settings", "approve", "profile", "status"]);
            table.push((
                format!("{item}/{word}"),
                random.pick(&[&["GET"][..], &["POST"], &["GET", "PUT"]]).to_vec(),
            ));
        }
    }
    if random.chance(35) {
        table.push((format!("{prefix}/files/{{proxy+}}"), random.pick(&[&["GET"][..], &["ANY"]]).to_vec()));
    }
    if random.chance(50) {
        table.push(("/health".to_owned(), vec!["GET"]));
    }
    if random.chance(50) {
        table.push(("/admin/reports".to_owned(), vec!["GET"]));
        table.push(("/admin/users".to_owned(), vec!["GET", "POST"]));
    }
    if random.chance(20) {
        table.push(("/".to_owned(), vec!["GET"]));
    }
    if gateway.precedence() == Precedence::Http && random.chance(15) {
        table.push(("$default".to_owned(), Vec::new()));
    }
    table.iter().map(|(template, methods)| Route::new(template, methods)).collect()
}

/// Few words, so that routes and values collide.
fn adversarial_routes(random: &mut Random, gateway: Gateway) -> Vec<Route> {
    let mut words = ["a", "b", "ab", "admin", "bob", "acme", "a:b", "x+y", "@me", "v1.0", "a;b", "~", "7"];
    random.shuffle(&mut words);
    let words = &words[..2 + random.below(3)];
    let mut routes: Vec<Route> = Vec::new();
    let mut shapes = BTreeSet::new();
    for _ in 0..2 + random.below(7) {
        let depth = *random.pick(&[0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4]);
        let mut template = String::new();
        for level in 0..depth {
            match random.below(100) {
                0..50 => write!(template, "/{}", random.pick(words)).unwrap(),
                // One name at each place below a parent, as REST APIs have it.
                50..85 => write!(template, "/{{p{level}}}").unwrap(),
                _ => {
                    template.push_str("/{proxy+}");
                    break;
                }
            }
        }
        if template.is_empty() {
            template.push('/');
        }
        let methods = match random.below(10) {
            0 => vec!["ANY"],
            1 if random.chance(30) => vec!["ANY", "GET"],
            _ => {
                let mut methods = random.some(&["GET", "POST", "PUT", "DELETE"], 45);
                if methods.is_empty() {
                    methods.push("GET");
                }
                methods
            }
        };
        if shapes.insert(template.clone()) {
            routes.push(Route::new(&template, &methods));
        }
    }
    if gateway.precedence() == Precedence::Http && random.chance(20) {
        routes.push(Route::new("$default", &[]));
    }
    routes
}

// Policies -------------------------------------------------------------------------------------------------------------

impl Case {
    fn realistic_policies(&self, random: &mut Random) -> Vec<Policy> {
        let operations = self.operations();
        let mut policies = Policies::default();
        for _ in 0..3 + random.below(5) {
            let role = random.pick(&ROLES).0;
            let principal = format!("principal in Role::\"{role}\"");
            match random.below(8) {
                0 => policies.add(
                    "permit",
                    &principal,
                    &Scope::any(),
                    &format!("resource in Path::\"{}\"", self.prefix(random)),
                    "",
                ),
                1..4 => {
                    let group = random.pick(&["read", "read", "write", "GET"]);
                    policies.add(
                        "permit",
                        &principal,
                        &Scope::group(group),
                        &format!("resource in Path::\"{}\"", self.prefix(random)),
                        "",
                    );
                }
                4 => policies.add(
                    "permit",
                    "principal",
                    &Scope::group("read"),
                    &format!("resource in Path::\"{}\"", self.prefix(random)),
                    "",
                ),
                _ => {
                    let count = 1 + random.below(4);
                    let scope = Scope::some(random, &operations, count);
                    policies.add("permit", &principal, &scope, "resource", "");
                }
            }
        }
        for _ in 0..random.below(3) {
            if let Some((scope, param)) = self.param_scope(random, &operations) {
                let condition = match random.below(6) {
                    0..3 => format!("context.params.{param} == principal.sub"),
                    3 => {
                        format!("principal.claims has org && context.params.{param} == principal.claims.org")
                    }
                    4 => format!(
                        "principal.claims has teams && principal.claims.teams.contains(context.params.{param})"
                    ),
                    _ => format!("context.params.{param} like \"{}*\"", random.pick(&NAMES)),
                };
                policies.add(
                    "permit",
                    "principal is User",
                    &scope,
                    "resource",
                    &format!(" when {{ {condition} }}"),
                );
            }
        }
        if random.chance(35) {
            let path = self.prefix(random);
            policies.add(
                "forbid",
                "principal",
                &Scope::group(random.word(&["read", "write"])),
                &format!("resource in Path::\"{path}\""),
                " unless { principal in Role::\"admin\" }",
            );
        }
        if random.chance(15) {
            policies.add(
                "forbid",
                "principal in Tenant::\"globex\"",
                &Scope::any(),
                &format!("resource in Path::\"{}\"", self.prefix(random)),
                "",
            );
        }
        if random.chance(20)
            && let Some((scope, param)) = self.param_scope(random, &operations)
        {
            let condition = match random.below(3) {
                0 => format!("when {{ context.params.{param} == \"{}\" }}", random.pick(&NAMES)),
                1 => format!("when {{ context.params.{param} like \"internal-*\" }}"),
                _ => format!("unless {{ [\"acme\", \"7\"].contains(context.params.{param}) }}"),
            };
            policies.add("forbid", "principal", &scope, "resource", &format!(" {condition}"));
        }
        if random.chance(12) {
            let count = 1 + random.below(3);
            let scope = Scope::some(random, &operations, count);
            policies.add("forbid", "principal", &scope, "resource", &format!(" unless {{ {OPAQUE} }}"));
        }
        policies.0
    }

    fn adversarial_policies(&self, random: &mut Random) -> Vec<Policy> {
        let operations = self.operations();
        let mut policies = Policies::default();
        for at in 0..3 + random.below(7) {
            let effect = if at > 0 && random.chance(30) { "forbid" } else { "permit" };
            let principal = match random.below(10) {
                0..2 => format!("principal in Role::\"{}\"", random.pick(&ROLES).0),
                2 => "principal in Tenant::\"acme\"".to_owned(),
                3 => "principal is User".to_owned(),
                _ => "principal".to_owned(),
            };
            let with_param = random.chance(65).then(|| self.param_scope(random, &operations)).flatten();
            let (scope, params) = match with_param {
                Some((scope, _)) => {
                    let params = self.common_params(&scope);
                    (scope, params)
                }
                None => {
                    let scope = match random.below(5) {
                        0 => Scope::any(),
                        1 => Scope::group(random.word(&["read", "write", "GET"])),
                        _ => {
                            let count = 1 + random.below(5);
                            Scope::some(random, &operations, count)
                        }
                    };
                    (scope, Vec::new())
                }
            };
            let resource = match random.below(5) {
                0 => format!("resource in Path::\"{}\"", self.prefix(random)),
                _ => "resource".to_owned(),
            };
            let conditions = match random.below(10) {
                0..2 => String::new(),
                2..8 => format!(" when {{ {} }}", self.condition(random, &params, 2)),
                8 => format!(" unless {{ {} }}", self.condition(random, &params, 2)),
                _ => format!(
                    " when {{ {} }} unless {{ {} }}",
                    self.condition(random, &params, 1),
                    self.condition(random, &params, 1)
                ),
            };
            policies.add(effect, &principal, &scope, &resource, &conditions);
        }
        policies.0
    }

    /// Operations that share a parameter, and its name.
    fn param_scope(&self, random: &mut Random, operations: &[Operation]) -> Option<(Scope, String)> {
        let params: Vec<&str> = self.routes.iter().flat_map(Route::params).collect();
        if params.is_empty() {
            return None;
        }
        let param = *random.pick(&params);
        let having: Vec<&Operation> = operations
            .iter()
            .filter(|operation| self.routes[operation.route].params().contains(&param))
            .collect();
        let route = random.pick(&having).route;
        let taken: Vec<String> = match random.below(3) {
            0 => vec![random.pick(&having).action.clone()],
            1 => having
                .iter()
                .filter(|operation| operation.route == route)
                .map(|operation| operation.action.clone())
                .collect(),
            _ => having.iter().map(|operation| operation.action.clone()).collect(),
        };
        Some((Scope::actions(taken), param.to_owned()))
    }

    /// The parameters that all operations of a scope have.
    fn common_params(&self, scope: &Scope) -> Vec<String> {
        let routes: Vec<&Route> = self
            .routes
            .iter()
            .filter(|route| {
                scope.actions.iter().flatten().any(|action| action.ends_with(&format!(" {}", route.template)))
            })
            .collect();
        let Some((first, others)) = routes.split_first() else { return Vec::new() };
        let in_all = |name: &&str| others.iter().all(|other| other.params().contains(name));
        first.params().into_iter().filter(in_all).map(str::to_owned).collect()
    }

    fn condition(&self, random: &mut Random, params: &[String], depth: usize) -> String {
        if depth > 0 && random.chance(45) {
            let mut inner = || self.condition(random, params, depth - 1);
            let (one, two) = (inner(), inner());
            return match random.below(8) {
                0..3 => format!("({one}) && ({two})"),
                3..6 => format!("({one}) || ({two})"),
                6 => format!("!({one})"),
                _ => {
                    let three = self.condition(random, params, 0);
                    format!("if {one} then {two} else {three}")
                }
            };
        }
        if params.is_empty() || random.chance(12) {
            return self.condition_without_params(random);
        }
        let param = format!("context.params.{}", random.pick(params));
        match random.below(14) {
            0..3 => format!("{param} == {}", self.literal(random)),
            3 => format!("{param} != {}", self.literal(random)),
            4..6 => format!("{param} == principal.sub"),
            6 => format!("principal.claims has org && {param} == principal.claims.org"),
            7 => format!("principal.claims has teams && principal.claims.teams.contains({param})"),
            8..11 => format!("{param} like {}", self.glob(random)),
            11..13 => format!("[{}, {}].contains({param})", self.literal(random), self.literal(random)),
            _ => format!("{param} == context.params.{}", random.pick(params)),
        }
    }

    fn condition_without_params(&self, random: &mut Random) -> String {
        match random.below(14) {
            0..2 => "true".to_owned(),
            2 => "false".to_owned(),
            3..5 => format!("principal in Role::\"{}\"", random.pick(&ROLES).0),
            5 => "principal.scopes.contains(\"orders/read\")".to_owned(),
            6 => format!("principal.sub like {}", self.glob(random)),
            7 => format!("resource.template like {}", self.glob(random)),
            8 => {
                let path =
                    random.pick(&self.routes).filled(|_, _| random.word(&["*", "*", "a", "bob"]).to_owned());
                format!("context.path like \"{path}\"")
            }
            9 if random.chance(50) => {
                format!("context.path like \"*{}*\"", random.pick(&["a", "/b", "admin", "é", ".."]))
            }
            // It overflows for some people.
            9..11 => format!("principal.claims has level && principal.claims.level * {} < 0", i64::MAX),
            _ => OPAQUE.to_owned(),
        }
    }

    /// A Cedar string.
    fn literal(&self, random: &mut Random) -> String {
        let literals: Vec<&str> = self.routes.iter().flat_map(Route::literals).collect();
        let text = match random.below(10) {
            0..4 if !literals.is_empty() => random.pick(&literals).to_string(),
            4 => random.word(&HOSTILE_LITERALS).to_owned(),
            _ => random.word(&["a", "b", "ab", "bob", "alice", "acme", "admin"]).to_owned(),
        };
        format!("\"{text}\"")
    }

    fn glob(&self, random: &mut Random) -> String {
        let globs = [
            "a*", "*b", "ab*", "*", "a*b", "*a*", "ad*", "\\\\*", "a\\\\*", "*/admin", "a/*", "", "é*", "%*",
            "b?", "*${*", "*a*b*",
        ];
        format!("\"{}\"", random.pick(&globs).replace("\\\\", "\\"))
    }
}

/// What the path does not tell.
const OPAQUE: &str = "context.http has source_ip && context.http.source_ip.isInRange(ip(\"10.0.0.0/8\"))";

const HOSTILE_LITERALS: [&str; 14] =
    ["*", "a*", "?", "b?b", "${aws:username}", "$", "%61", "caf%C3%A9", "é", "..", "a/b", "", "a;x", "a b"];

/// The action scope of a policy.
struct Scope {
    text: String,
    actions: Option<Vec<String>>,
}

impl Scope {
    fn any() -> Self {
        Self { text: "action".to_owned(), actions: None }
    }

    fn group(name: &str) -> Self {
        Self { text: format!("action in Action::\"{name}\""), actions: None }
    }

    fn actions(actions: Vec<String>) -> Self {
        let list: Vec<String> = actions.iter().map(|action| format!("Action::\"{action}\"")).collect();
        Self { text: format!("action in [{}]", list.join(", ")), actions: Some(actions) }
    }

    fn some(random: &mut Random, operations: &[Operation], count: usize) -> Self {
        Self::actions((0..count).map(|_| random.pick(operations).action.clone()).collect())
    }
}

#[derive(Default)]
struct Policies(Vec<Policy>);

impl Policies {
    fn add(&mut self, effect: &str, principal: &str, scope: &Scope, resource: &str, conditions: &str) {
        let text = format!(
            "@id(\"p{}\")\n{effect} ({principal}, {}, {resource}){conditions};\n",
            self.0.len(),
            scope.text
        );
        self.0.push(Policy { text, actions: scope.actions.clone() });
    }
}
