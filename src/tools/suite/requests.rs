//! Which requests a test asks: operations with samples for their parameters, or methods and paths as they are written.

use std::collections::{BTreeMap, HashSet};

use crate::arn::Verb;
use crate::bundle::deployment::ApiKind;
use crate::path::RequestPath;
use crate::route::{Operation, OperationId, Segment, TemplateKind};
use crate::tools::desk::{Desk, Target};

use super::file::Written;
use super::problems::{Problems, meant, meant_or_known};

/// One request, and the operation that serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// As people write it: `GET /orders/1`, or `$connect`.
    pub(super) text: String,
    /// Method and path; `None` for a WebSocket's connect.
    pub(super) method: Option<(Verb, RequestPath)>,
    /// The operation.
    pub(super) operation: OperationId,
}

impl Request {
    /// What a desk is asked.
    pub(super) fn target(&self) -> Target<'_> {
        match &self.method {
            Some((verb, path)) => Target::Method(verb, path),
            None => Target::Connect,
        }
    }
}

/// What a line of a case speaks of.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// An operation, whatever its parameters.
    Operation(OperationId),
    /// Requests of a form, `PUT /orders/archive-*`, and one of them.
    Form(wildmatch::WildMatch, String, Request),
    /// One request.
    Request(Request),
}

impl Entry {
    /// How closely it speaks of a request; `None` where it does not.
    pub(super) fn closeness(&self, request: &Request) -> Option<Closeness> {
        match self {
            Self::Operation(operation) => (*operation == request.operation).then_some(Closeness::Operation),
            Self::Form(form, text, _) => {
                let same_depth = text.matches('/').count() == request.text.matches('/').count();
                (same_depth && form.matches(&request.text)).then_some(Closeness::Form)
            }
            Self::Request(one) => (one.text == request.text).then_some(Closeness::Request),
        }
    }
}

/// The closer of two lines that speak of one request is the one that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closeness {
    Operation,
    Form,
    Request,
}

/// The most requests that are made of one operation by combining the values of its parameters; beyond it, one parameter
/// at a time takes its other values.
const MOST_SAMPLES: usize = 256;

/// What stands for `*` in a form.
const STAR: &str = "x";

/// The operations that the API of a desk is asked about.
pub(super) fn operations<'b>(desk: &Desk<'b>) -> impl Iterator<Item = &'b Operation> + use<'b> {
    let kind = desk.api().kind;
    desk.operations().iter().filter(move |operation| is_asked(kind, operation))
}

/// Whether an API of that kind is asked about an operation.
fn is_asked(kind: ApiKind, operation: &Operation) -> bool {
    match (kind, operation.template().kind()) {
        (ApiKind::WebSocket, TemplateKind::Connect)
        | (ApiKind::Rest | ApiKind::Http, TemplateKind::Path)
        | (ApiKind::Http, TemplateKind::Default) => true,
        // AppSync names no method: its requests are what its one HTTP operation is.
        (ApiKind::AppSync, TemplateKind::Path) => {
            let is_post = operation.verb().is_some_and(|verb| verb.as_str() == "POST");
            let may_match = operation.template().as_str() == "/graphql" || operation.template().catches_all();
            is_post && may_match
        }
        (ApiKind::WebSocket, TemplateKind::Path | TemplateKind::Default)
        | (ApiKind::Rest, TemplateKind::Default | TemplateKind::Connect)
        | (ApiKind::Http, TemplateKind::Connect)
        | (ApiKind::AppSync, TemplateKind::Default | TemplateKind::Connect) => false,
    }
}

/// Whether a line names an operation: by its name, or by verb and template where it has another.
fn is_named(operation: &Operation, text: &str) -> bool {
    operation.name() == text
        || text.split_once(' ').is_some_and(|(verb, template)| {
            operation.template().as_str() == template && operation.action_group() == verb
        })
}

/// Verb and template, which may stand for an operation that has a name of its own.
fn written_out(operation: &Operation) -> String {
    match operation.verb() {
        Some(verb) => format!("{verb} {}", operation.template()),
        None => operation.template().to_string(),
    }
}

/// Reads the lines of a case; what is wrong with one is noted.
pub(super) fn entries(
    desk: &Desk<'_>,
    file: &str,
    written: &[Written],
    problems: &mut Problems<'_>,
) -> Vec<Entry> {
    let mut seen = HashSet::new();
    let mut entries = Vec::new();
    for line in written {
        if !seen.insert(line.get_ref().as_str()) {
            let message = format!("`{}` is listed twice", line.get_ref());
            problems.error(file, Some(line.span()), message, "remove one".to_owned());
        }
        match entry(desk, line.get_ref()) {
            Ok(entry) => entries.push(entry),
            Err((message, help)) => problems.error(file, Some(line.span()), message, help),
        }
    }
    entries
}

fn entry(desk: &Desk<'_>, text: &str) -> Result<Entry, (String, String)> {
    if let Some(operation) = operations(desk).find(|operation| is_named(operation, text)) {
        return Ok(Entry::Operation(operation.id()));
    }
    let api = &desk.api().name;
    if desk.operations().iter().any(|operation| is_named(operation, text)) {
        return Err((
            format!("API `{api}` is never asked about `{text}`"),
            match operations(desk).collect::<Vec<_>>().as_slice() {
                [only] => format!("it is asked about `{}`", only.name()),
                _ => known_operations(desk, text),
            },
        ));
    }
    let no_operation = |what: &str| (format!("{what}: `{text}`"), known_operations(desk, text));
    let Some((verb, path)) = text.split_once(' ') else {
        return Err(no_operation("no operation of the route table has this name"));
    };
    let verbs: HashSet<&str> = operations(desk).map(Operation::action_group).collect();
    if !verbs.contains(verb) {
        let mut known: Vec<&str> = verbs.into_iter().collect();
        known.sort_unstable();
        return Err((
            format!("no route takes the verb `{verb}`: it would be denied whatever the policies say"),
            meant_or_known(verb, known),
        ));
    }
    if path.contains(['{', '}']) {
        return Err(no_operation("the route table has no such operation"));
    }
    if !path.contains('*') {
        return request(desk, text, verb, path).map(Entry::Request);
    }
    let sample = request(desk, text, verb, &path.replace('*', STAR))?;
    Ok(Entry::Form(wildmatch::WildMatch::new(text), text.to_owned(), sample))
}

/// The request of a method and a path as it is written in `text`.
fn request(desk: &Desk<'_>, text: &str, verb: &str, path: &str) -> Result<Request, (String, String)> {
    let parsed: RequestPath = path.parse().map_err(|error: crate::path::PathError| {
        let help = "such a request is refused whatever the policies say; a raw event can test that";
        (format!("`{text}` cannot be asked: {error}"), help.to_owned())
    })?;
    let method: Verb = verb
        .parse()
        .map_err(|error: crate::arn::ArnError| (error.to_string(), "write it in capitals".to_owned()))?;
    let matched = desk.route(Target::Method(&method, &parsed));
    match matched.map(|matched| matched.operation()).filter(|operation| is_asked(desk.api().kind, operation))
    {
        Some(operation) => {
            let operation = operation.id();
            Ok(Request { text: format!("{verb} {path}"), method: Some((method, parsed)), operation })
        }
        None => Err((
            format!("no route serves `{text}`: it would be denied whatever the policies say"),
            other_verbs(desk, &parsed).unwrap_or_else(|| known_operations(desk, text)),
        )),
    }
}

/// The verbs that a path does take.
fn other_verbs(desk: &Desk<'_>, path: &RequestPath) -> Option<String> {
    let verbs: std::collections::BTreeSet<&str> =
        operations(desk).filter_map(Operation::verb).map(Verb::as_str).collect();
    let takes = |verb: &&str| {
        let verb: Option<Verb> = verb.parse().ok();
        verb.is_some_and(|verb| desk.route(Target::Method(&verb, path)).is_some())
    };
    let taken: Vec<&str> = verbs.into_iter().filter(takes).collect();
    (!taken.is_empty()).then(|| format!("`{}` takes {}", path.as_str(), taken.join(", ")))
}

/// The operation that was meant, or some that there are.
fn known_operations(desk: &Desk<'_>, text: &str) -> String {
    // A path with values in it is far from its template, letter by letter: the first segments are compared, of paths that
    // are as long.
    let near = text.split_once(' ').and_then(|(verb, path)| {
        let depth = |path: &str| path.matches('/').count();
        let first = |path: &str| path.split('/').nth(1).unwrap_or_default().to_owned();
        let is_near = |operation: &&Operation| {
            let template = operation.template().as_str();
            let first_of_template = first(template);
            depth(template) == depth(path) && meant(&first(path), [first_of_template.as_str()]).is_some()
        };
        let by_closeness = |operation: &&Operation| strsim::levenshtein(path, operation.template().as_str());
        operations(desk)
            .filter(|operation| operation.action_group() == verb)
            .filter(is_near)
            .min_by_key(by_closeness)
    });
    if let Some(operation) = near {
        return format!("did you mean `{}`?", operation.name());
    }
    let names: Vec<String> = operations(desk)
        .flat_map(|operation| [operation.name().to_owned(), written_out(operation)])
        .collect();
    match meant(text, names.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!(
            "{}; cedar-gate routes list shows all",
            meant_or_known(text, operations(desk).map(Operation::name))
        ),
    }
}

/// The values that path parameters take in a case, by the parameter's name.
#[derive(Clone, Debug, Default)]
pub(super) struct Values(BTreeMap<String, Vec<String>>);

impl Values {
    /// Adds what is written under `params`.
    pub(super) fn add_written(
        &mut self,
        desk: &Desk<'_>,
        file: &str,
        params: &BTreeMap<Written, Vec<String>>,
        problems: &mut Problems<'_>,
    ) {
        for (name, values) in params {
            let mut known: Vec<&str> = operations(desk).flat_map(Operation::param_names).collect();
            known.sort_unstable();
            known.dedup();
            if !known.contains(&name.get_ref().as_str()) {
                let message = format!("no path has a parameter `{}`", name.get_ref());
                problems.error(file, Some(name.span()), message, meant_or_known(name.get_ref(), known));
            }
            for value in values {
                if format!("/{value}").parse::<RequestPath>().is_err() {
                    let message = format!("`{value}` cannot be the value of a path parameter");
                    let help =
                        "write it as it stands in a path, percent-encoded and without an empty segment";
                    problems.error(file, Some(name.span()), message, help.to_owned());
                }
            }
            self.0.entry(name.get_ref().clone()).or_default().extend(values.iter().cloned());
        }
    }

    /// Adds the values that an entry's own request binds: what is said of `/users/alice` is then tried with every verb,
    /// and in every path below.
    pub(super) fn add_bound(&mut self, desk: &Desk<'_>, entry: &Entry) {
        let (Entry::Request(request) | Entry::Form(_, _, request)) = entry else { return };
        let Some(matched) = desk.route(request.target()) else { return };
        for (name, value) in matched.params() {
            self.0.entry((*name).to_owned()).or_default().push((*value).to_owned());
        }
    }

    /// What a parameter is: a value that no line names, then those that are named.
    fn of(&self, name: &str) -> Vec<String> {
        let named = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        let plain: String = name.chars().filter(|char| char.is_ascii_alphanumeric()).collect();
        let mut default = format!("any-{}", if plain.is_empty() { "value" } else { &plain });
        while named.contains(&default) {
            default.push('1');
        }
        let mut values = vec![default];
        for value in named {
            if !values.contains(value) {
                values.push(value.clone());
            }
        }
        values
    }

    /// The requests for an operation: every combination of its parameters' values.
    pub(super) fn requests(&self, desk: &Desk<'_>, operation: &Operation) -> Vec<Request> {
        let Some(verb) = operation.verb() else {
            return vec![Request {
                text: operation.name().to_owned(),
                method: None,
                operation: operation.id(),
            }];
        };
        let names: Vec<&str> = operation.param_names().collect();
        let values: Vec<Vec<String>> = names.iter().map(|name| self.of(name)).collect();
        let mut requests: Vec<Request> = Vec::new();
        for combination in combinations(&values) {
            let bound: BTreeMap<&str, &str> = names.iter().copied().zip(combination).collect();
            let path = filled(operation, &bound);
            let Ok(path) = path.parse::<RequestPath>() else { continue };
            // A value can be the literal segment of another route, which then serves the request.
            let serves = desk
                .route(Target::Method(verb, &path))
                .is_some_and(|matched| matched.operation().id() == operation.id());
            if serves {
                let text = format!("{verb} {}", path.as_str());
                requests.push(Request {
                    text,
                    method: Some((verb.clone(), path)),
                    operation: operation.id(),
                });
            }
        }
        requests
    }
}

/// Every combination of one value each; where there are too many, one value at a time that is not the first.
fn combinations(values: &[Vec<String>]) -> Vec<Vec<&str>> {
    let all: usize = values.iter().map(Vec::len).try_fold(1_usize, usize::checked_mul).unwrap_or(usize::MAX);
    if all <= MOST_SAMPLES {
        let mut combinations = vec![Vec::new()];
        for values in values {
            combinations = combinations
                .iter()
                .flat_map(|before: &Vec<&str>| {
                    values.iter().map(|value| [before.as_slice(), &[value.as_str()]].concat())
                })
                .collect();
        }
        return combinations;
    }
    let first: Vec<&str> = values.iter().filter_map(|values| values.first()).map(String::as_str).collect();
    let mut found = vec![first.clone()];
    for (index, values) in values.iter().enumerate() {
        for value in values.iter().skip(1) {
            let replaced =
                first.iter().enumerate().map(|(at, first)| if at == index { value } else { *first });
            found.push(replaced.collect());
        }
    }
    found
}

/// The path of an operation with values for its parameters.
fn filled(operation: &Operation, values: &BTreeMap<&str, &str>) -> String {
    let value = |name: &String| values.get(name.as_str()).copied().unwrap_or_default();
    let template = operation.template();
    if template.kind() == TemplateKind::Default {
        return format!("/{}", values.values().next().copied().unwrap_or_default());
    }
    let segments = template.segments().iter().map(|segment| match segment {
        Segment::Literal(text) => text.as_str(),
        Segment::Parameter(name) | Segment::Greedy(name) => value(name),
    });
    let path: String = segments.map(|segment| format!("/{segment}")).collect();
    if path.is_empty() { "/".to_owned() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_values_are_combined_and_many_are_taken_one_at_a_time() {
        let values = |count: usize| (0..count).map(|value| value.to_string()).collect::<Vec<String>>();
        assert_eq!(combinations(&[]), [Vec::<&str>::new()]);
        let two = [values(2), values(3)];
        let expected = [["0", "0"], ["0", "1"], ["0", "2"], ["1", "0"], ["1", "1"], ["1", "2"]];
        assert_eq!(combinations(&two), expected);
        assert_eq!(combinations(&[values(16), values(16)]).len(), MOST_SAMPLES);
        let many = [values(17), values(16)];
        let combined = combinations(&many);
        // The first of both, and each other value once.
        assert_eq!(combined.len(), 1 + 16 + 15);
        assert!(many[0].iter().all(|value| combined.iter().any(|combination| combination[0] == value)));
        assert!(many[1].iter().all(|value| combined.iter().any(|combination| combination[1] == value)));
    }
}
