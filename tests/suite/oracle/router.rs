//! Which operation API Gateway gives a request to, from its documentation: "Set up a method request" and "Developing REST
//! APIs" for REST, "Create routes for HTTP APIs" for HTTP APIs, and the readings of both that `cedar_gate::route` states.
//!
//! Every route is tried, the precedence is a key to sort by, and only routes with the request's method take part.

use std::cmp::Reverse;

/// What `ANY` and `$default` stand for.
pub(super) const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precedence {
    Rest,
    Http,
}

/// A path with its methods.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) template: String,
    pub(super) methods: Vec<&'static str>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    One(String),
    Rest(String),
}

/// A route that matches a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// The route's place in the table.
    pub(super) route: usize,
    /// The path parameters, in the template's order.
    pub(super) params: Vec<(String, String)>,
}

impl Route {
    /// `ANY` adds the methods that are not named.
    pub(super) fn new(template: &str, methods: &[&str]) -> Self {
        let takes = |method: &&&'static str| {
            template == "$default" || methods.contains(&"ANY") || methods.contains(*method)
        };
        let methods = METHODS.iter().filter(takes).copied().collect();
        let parts = match template {
            "$default" => vec![Part::Rest("proxy".to_owned())],
            _ => segments(template).iter().map(|segment| Part::of(segment)).collect(),
        };
        Self { template: template.to_owned(), methods, parts }
    }

    pub(super) fn is_default(&self) -> bool {
        self.template == "$default"
    }

    /// The names of its parameters.
    pub(super) fn params(&self) -> Vec<&str> {
        let name = |part| match part {
            &Part::Literal(_) => None,
            Part::One(name) | Part::Rest(name) => Some(name.as_str()),
        };
        self.parts.iter().filter_map(name).collect()
    }

    /// Its segments without a parameter.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::One(_) | Part::Rest(_) => None,
        })
    }

    /// A path that it matches, with `word` for each parameter.
    pub(super) fn filled(&self, mut word: impl FnMut(&str, bool) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Literal(text) => format!("/{text}"),
            Part::One(name) => format!("/{}", word(name, false)),
            Part::Rest(name) => format!("/{}", word(name, true)),
        };
        match self.parts.is_empty() {
            true => "/".to_owned(),
            false => self.parts.iter().map(part).collect(),
        }
    }

    /// The parameters of a path that it matches.
    fn binds(&self, path: &str) -> Option<Vec<(String, String)>> {
        let mut params = Vec::new();
        if self.is_default() {
            return Some(vec![("proxy".to_owned(), path[1..].to_owned())]);
        }
        let given = segments(path);
        for (at, part) in self.parts.iter().enumerate() {
            match (part, given.get(at)) {
                (Part::Literal(own), Some(segment)) if own == segment => {}
                (Part::One(name), Some(segment)) if !segment.is_empty() => {
                    params.push((name.clone(), (*segment).to_owned()));
                }
                // It stands at the end, and takes all there is.
                (Part::Rest(name), Some(_)) => {
                    let rest = given[at..].join("/");
                    params.push((name.clone(), rest.clone()));
                    return (!rest.is_empty()).then_some(params);
                }
                (Part::Literal(_) | Part::One(_), Some(_)) | (_, None) => return None,
            }
        }
        (given.len() == self.parts.len()).then_some(params)
    }

    /// Smaller is better.
    fn rank(&self, precedence: Precedence) -> (u8, Reverse<usize>, Vec<u8>) {
        let levels: Vec<u8> = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Literal(_) => 0,
                Part::One(_) => 1,
                Part::Rest(_) => 2,
            })
            .collect();
        let is_greedy = levels.last() == Some(&2);
        match precedence {
            // "A literal before a path variable before a greedy one", at each level from the left.
            Precedence::Rest => (0, Reverse(0), levels),
            Precedence::Http if self.is_default() => (2, Reverse(0), levels),
            // Among greedy ones that with the longest prefix.
            Precedence::Http if is_greedy => (1, Reverse(levels.len()), levels),
            Precedence::Http => (0, Reverse(0), levels),
        }
    }
}

impl Part {
    fn of(segment: &str) -> Self {
        match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            None => Self::Literal(segment.to_owned()),
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Self::Rest(name.to_owned()),
                None => Self::One(name.to_owned()),
            },
        }
    }
}

/// `/` has none.
fn segments(path: &str) -> Vec<&str> {
    match path.strip_prefix('/') {
        Some("") | None => Vec::new(),
        Some(rest) => rest.split('/').collect(),
    }
}

/// The routes that match a path, the best first. For a method it is the first that has it.
pub(super) fn matches(routes: &[Route], precedence: Precedence, path: &str) -> Vec<Match> {
    let bound =
        routes.iter().enumerate().filter_map(|(route, own)| Some(Match { route, params: own.binds(path)? }));
    let mut matches: Vec<Match> = bound.collect();
    matches.sort_by_cached_key(|found| routes[found.route].rank(precedence));
    matches
}

#[test]
fn requests_are_served_as_the_guides_say() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        about: String,
        routes: Vec<(String, Vec<String>)>,
        rest: Vec<(String, String)>,
        http: Vec<(String, String)>,
    }
    #[derive(serde::Deserialize)]
    struct File {
        table: Vec<Table>,
    }
    let file: File = toml::from_str(include_str!("../../oracle/routes.toml")).unwrap();
    let mut asked = 0;
    for Table { about, routes, rest, http } in &file.table {
        let routes: Vec<Route> = routes
            .iter()
            .map(|(template, methods)| {
                Route::new(template, &methods.iter().map(String::as_str).collect::<Vec<_>>())
            })
            .collect();
        for (precedence, requests) in [(Precedence::Rest, rest), (Precedence::Http, http)] {
            for (request, expected) in requests {
                let (method, path) = request.split_once(' ').unwrap();
                let found = matches(&routes, precedence, path)
                    .into_iter()
                    .find(|found| routes[found.route].methods.contains(&method));
                let said = found.map_or_else(String::new, |found| {
                    let params = found.params.iter().map(|(name, value)| format!(" {name}={value}"));
                    routes[found.route].template.clone() + &params.collect::<String>()
                });
                assert_eq!(said, *expected, "{about}: {precedence:?} {request}");
                asked += 1;
            }
        }
    }
    assert!(asked >= 30, "{asked}");
}
