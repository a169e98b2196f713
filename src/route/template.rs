//! A route's path as API Gateway writes it, with its parameters.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use crate::path::{PathError, RequestPath};

/// A route's path with its parameters, as API Gateway writes it: `/orders/{orderId}`, `/files/{proxy+}`, `$default`; or
/// `$connect`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathTemplate {
    text: String,
    kind: TemplateKind,
    segments: Vec<Segment>,
}

/// What a template stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TemplateKind {
    /// The paths of its form.
    Path,
    /// Every path that no other route matches: `$default` of HTTP APIs.
    Default,
    /// The connect route of WebSocket APIs, which has no path.
    Connect,
}

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// `{name}`: any one segment.
    Parameter(String),
    /// `{name+}`: the rest, one segment or more; in `$default` also none.
    Greedy(String),
}

impl PathTemplate {
    /// The longest template, in characters. Resources in an authorizer's policy have at most 512.
    pub const MAX_CHARACTERS: usize = 512;
    /// The most parameters of a template.
    pub const MAX_PARAMETERS: usize = 20;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the template stands for.
    #[must_use]
    pub const fn kind(&self) -> TemplateKind {
        self.kind
    }

    /// The segments; none for `/` and `$connect`, one greedy `proxy` for `$default`.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it stands for whole subtrees: it ends in `{proxy+}`, or is `$default`.
    #[must_use]
    pub fn catches_all(&self) -> bool {
        self.segments.iter().any(|segment| matches!(segment, Segment::Greedy(_)))
    }

    /// The names of the parameters, from left to right.
    pub fn param_names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::param_name)
    }

    /// The ids of the Cedar `Path`s that the route is in, innermost first: its own text, that without the last segment,
    /// and so on to `/`. `$default` is in `/` alone; `$connect`, which has no path, is in none.
    ///
    /// ```
    /// # use cedar_gate::route::PathTemplate;
    /// let template: PathTemplate = "/orders/{orderId}/items".parse()?;
    /// assert_eq!(template.ancestors(), ["/orders/{orderId}/items", "/orders/{orderId}", "/orders", "/"]);
    /// # Ok::<(), cedar_gate::route::TemplateError>(())
    /// ```
    #[must_use]
    pub fn ancestors(&self) -> Vec<&str> {
        match self.kind {
            TemplateKind::Connect => Vec::new(),
            TemplateKind::Default => vec!["/"],
            TemplateKind::Path => {
                let innermost = Some(self.as_str()).filter(|path| *path != "/");
                std::iter::successors(innermost, |path| parent(path)).chain(["/"]).collect()
            }
        }
    }

    pub(super) fn root() -> Self {
        Self { text: "/".to_owned(), kind: TemplateKind::Path, segments: Vec::new() }
    }

    pub(super) fn greedy_root() -> Self {
        Self { text: "/{proxy+}".to_owned(), kind: TemplateKind::Path, segments: vec![Segment::proxy()] }
    }

    fn default_route() -> Self {
        Self { text: "$default".to_owned(), kind: TemplateKind::Default, segments: vec![Segment::proxy()] }
    }

    pub(super) fn connect() -> Self {
        Self { text: "$connect".to_owned(), kind: TemplateKind::Connect, segments: Vec::new() }
    }

    /// The parameters of a path that this template matches.
    pub(super) fn bind<'t, 'p>(&'t self, path: &'p RequestPath) -> Vec<(&'t str, &'p str)> {
        let rest = path.as_str().strip_prefix('/').unwrap_or_default();
        // The last of as many parts as there are segments is the rest, which a greedy parameter takes whole.
        let parts = rest.splitn(self.segments.len(), '/');
        self.segments
            .iter()
            .zip(parts)
            .filter_map(|(segment, part)| Some((segment.param_name()?, part)))
            .collect()
    }

    /// The template without the names of its parameters: what it matches.
    pub(super) fn shape(&self) -> String {
        match self.kind {
            TemplateKind::Default | TemplateKind::Connect => self.text.clone(),
            TemplateKind::Path => self.segments.iter().map(Segment::shape).collect(),
        }
    }
}

/// Reads a path template or `$default`.
impl FromStr for PathTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let characters = text.chars().count();
        if characters > Self::MAX_CHARACTERS {
            return Err(TemplateError::TooLong { characters });
        }
        match (text, text.strip_prefix('/')) {
            ("/", _) => Ok(Self::root()),
            ("$default", _) => Ok(Self::default_route()),
            (_, None) => Err(TemplateError::NoLeadingSlash),
            (_, Some(rest)) => {
                let segments = rest.split('/').map(str::parse).collect::<Result<Vec<Segment>, _>>()?;
                check_parameters(&segments)?;
                Ok(Self { text: text.to_owned(), kind: TemplateKind::Path, segments })
            }
        }
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Segment {
    /// The parameter's name, without `+`.
    #[must_use]
    pub fn param_name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(name) | Self::Greedy(name) => Some(name),
        }
    }

    fn shape(&self) -> String {
        match self {
            Self::Literal(text) => format!("/{text}"),
            Self::Parameter(_) => "/{}".to_owned(),
            Self::Greedy(_) => "/{+}".to_owned(),
        }
    }

    fn proxy() -> Self {
        Self::Greedy("proxy".to_owned())
    }
}

impl FromStr for Segment {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            let (name, segment): (_, fn(String) -> Self) = match name.strip_suffix('+') {
                Some(name) => (name, Self::Greedy),
                None => (name, Self::Parameter),
            };
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if name.is_empty() || !name.bytes().all(legal) {
                return Err(TemplateError::ParameterName { name: name.to_owned() });
            }
            return Ok(segment(name.to_owned()));
        }
        if text.contains(['{', '}']) {
            return Err(TemplateError::PartialParameter { segment: text.to_owned() });
        }
        if text.contains('%') {
            return Err(TemplateError::Encoded { segment: text.to_owned() });
        }
        // A literal that no request path can hold would be a route that nothing reaches.
        match format!("/{text}").parse::<RequestPath>() {
            Ok(path) if path.as_str() != "/" => Ok(Self::Literal(text.to_owned())),
            Ok(_) => Err(TemplateError::EmptySegment),
            Err(source) => Err(TemplateError::Literal { segment: text.to_owned(), source }),
        }
    }
}

/// Why a text is not a path template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is longer than [`PathTemplate::MAX_CHARACTERS`].
    #[error("{characters} characters are more than {}", PathTemplate::MAX_CHARACTERS)]
    TooLong {
        /// Its length.
        characters: usize,
    },
    /// The text does not begin with `/`.
    #[error("expected a path that begins with `/`, or `$default`")]
    NoLeadingSlash,
    /// There is `//`, or `/` at the end.
    #[error("a segment is empty")]
    EmptySegment,
    /// A literal holds what no request path holds.
    #[error("no request path has the segment `{}`: {source}", segment.escape_debug())]
    Literal {
        /// The segment.
        segment: String,
        /// Why not.
        source: PathError,
    },
    /// A literal has a percent-encoding.
    #[error("segment `{}` has a `%`: literals are written without percent-encoding", segment.escape_debug())]
    Encoded {
        /// The segment.
        segment: String,
    },
    /// A brace is not at the ends of a segment.
    #[error("segment `{}` is neither a literal nor a whole `{{name}}`", segment.escape_debug())]
    PartialParameter {
        /// The segment.
        segment: String,
    },
    /// A parameter's name is empty or has another character.
    #[error("parameter name `{}` is not letters, digits, `.`, `_` and `-`", name.escape_debug())]
    ParameterName {
        /// The name.
        name: String,
    },
    /// Two parameters have one name.
    #[error("parameter `{name}` stands there twice")]
    RepeatedParameter {
        /// The name.
        name: String,
    },
    /// A greedy parameter has segments after it.
    #[error("greedy parameter `{{{name}+}}` is not the last segment")]
    GreedyNotLast {
        /// The name.
        name: String,
    },
    /// There are more parameters than [`PathTemplate::MAX_PARAMETERS`].
    #[error("{parameters} parameters are more than {}", PathTemplate::MAX_PARAMETERS)]
    TooManyParameters {
        /// Their number.
        parameters: usize,
    },
}

/// The path without its last segment, unless that is the root.
fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())
}

fn check_parameters(segments: &[Segment]) -> Result<(), TemplateError> {
    let mut seen = HashSet::new();
    if let Some(name) = segments.iter().filter_map(Segment::param_name).find(|name| !seen.insert(*name)) {
        return Err(TemplateError::RepeatedParameter { name: name.to_owned() });
    }
    if seen.len() > PathTemplate::MAX_PARAMETERS {
        return Err(TemplateError::TooManyParameters { parameters: seen.len() });
    }
    let greedy = |segment: &Segment| match segment {
        Segment::Greedy(name) => Some(name.clone()),
        Segment::Literal(_) | Segment::Parameter(_) => None,
    };
    match segments.iter().rev().skip(1).find_map(greedy) {
        Some(name) => Err(TemplateError::GreedyNotLast { name }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_error(template: &str, message: &str) {
        assert_eq!(template.parse::<PathTemplate>().unwrap_err().to_string(), message, "{template}");
    }

    #[test]
    fn templates_are_shown_as_they_were() {
        for text in
            ["/", "/orders", "/orders/{orderId}/items", "/{proxy+}", "/a/{b-c.d_1}/{rest+}", "$default"]
        {
            assert_eq!(text.parse::<PathTemplate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn segments_are_literals_parameters_and_the_rest() {
        let template: PathTemplate = "/a/{b}/{c+}".parse().unwrap();
        let expected = [
            Segment::Literal("a".to_owned()),
            Segment::Parameter("b".to_owned()),
            Segment::Greedy("c".to_owned()),
        ];
        assert_eq!(template.segments(), expected);
        assert_eq!(template.param_names().collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn ancestors_are_the_templates_own_prefixes() {
        let check = |template: &str, expected: &[&str]| {
            assert_eq!(template.parse::<PathTemplate>().unwrap().ancestors(), expected);
        };
        check("/", &["/"]);
        check("/orders", &["/orders", "/"]);
        check("/orders/{orderId}", &["/orders/{orderId}", "/orders", "/"]);
        check("/files/{proxy+}", &["/files/{proxy+}", "/files", "/"]);
        check("$default", &["/"]);
        assert_eq!(PathTemplate::connect().ancestors(), [""; 0]);
    }

    #[test]
    fn every_other_text_is_refused_with_its_reason() {
        check_error("", "expected a path that begins with `/`, or `$default`");
        check_error("orders", "expected a path that begins with `/`, or `$default`");
        check_error("$connect", "expected a path that begins with `/`, or `$default`");
        check_error("/orders/", "a segment is empty");
        check_error("//", "a segment is empty");
        check_error("/a//b", "a segment is empty");
        check_error("/a/../b", "no request path has the segment `..`: path has a `.` or `..` segment");
        check_error("/a/*", "no request path has the segment `*`: path has `*`, which is refused");
        check_error("/$x", "no request path has the segment `$x`: path has `$`, which is refused");
        check_error(
            "/a b",
            "no request path has the segment `a b`: path is not in normal form: ` ` must be written `%20`",
        );
        check_error(
            "/a\"b",
            r#"no request path has the segment `a\"b`: path is not in normal form: `\"` must be written `%22`"#,
        );
        check_error(
            "/caf%C3%A9",
            "segment `caf%C3%A9` has a `%`: literals are written without percent-encoding",
        );
        for segment in ["a{b}", "{b}c", "{", "{a}-{b", "a}"] {
            check_error(
                &format!("/{segment}"),
                &format!("segment `{segment}` is neither a literal nor a whole `{{name}}`"),
            );
        }
        for name in ["", "a b", "é", "a}{b", "a+", "*", "a\"b"] {
            let shown = name.replace('"', "\\\"");
            let message = format!("parameter name `{shown}` is not letters, digits, `.`, `_` and `-`");
            check_error(&format!("/{{{name}}}", name = name.replace("a+", "a++")), &message);
        }
        check_error("/{a}/{a}", "parameter `a` stands there twice");
        check_error("/{a}/{a+}", "parameter `a` stands there twice");
        check_error("/{a+}/b", "greedy parameter `{a+}` is not the last segment");
        check_error("/{a+}/{b+}", "greedy parameter `{a+}` is not the last segment");
    }

    #[test]
    fn the_limits_are_those_stated() {
        let long = |characters: usize| format!("/{}", "a".repeat(characters - 1));
        assert!(long(512).parse::<PathTemplate>().is_ok());
        check_error(&long(513), "513 characters are more than 512");
        let many =
            |parameters: usize| (0..parameters).map(|index| format!("/{{p{index}}}")).collect::<String>();
        assert!(many(20).parse::<PathTemplate>().is_ok());
        check_error(&many(21), "21 parameters are more than 20");
    }
}
