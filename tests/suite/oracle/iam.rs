//! What an IAM policy document says of one request, from its JSON alone.
//!
//! Written from the IAM user guide and from nothing else: "IAM JSON policy elements: Resource" (`*` is any text, `/` and `:`
//! included, also none; `?` is one character), "IAM policy elements: Variables and tags" (`${*}`, `${?}` and `${$}` are
//! those characters, in version 2012-10-17), "Policy evaluation logic" (an explicit deny before an allow before silence).
//! A document that says something else, or says it in another way, is an error: what is not understood is not judged.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// A document about `execute-api:Invoke`.
#[derive(Clone, Debug)]
pub(super) struct Document {
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    effect: Effect,
    resources: Resources,
    /// The statement says nothing from this moment on.
    until: Option<Timestamp>,
}

#[derive(Clone, Debug)]
enum Resources {
    OneOf(Vec<Glob>),
    NoneOf(Vec<Glob>),
}

/// What a document says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
    Silent,
}

impl Document {
    pub(super) fn parse(json: &Value) -> Result<Self, String> {
        let members = object(json, &["Version", "Statement"])?;
        // Without it `${*}` would be four characters.
        if members.get("Version").and_then(Value::as_str) != Some("2012-10-17") {
            return Err(format!("version {:?}", members.get("Version")));
        }
        let statements = members.get("Statement").and_then(Value::as_array).ok_or("no list of statements")?;
        Ok(Self { statements: statements.iter().map(Statement::parse).collect::<Result<_, _>>()? })
    }

    pub(super) fn effect(&self, arn: &str, now: Timestamp) -> Effect {
        let says = |effect| {
            self.statements
                .iter()
                .any(|statement| statement.effect == effect && statement.speaks_of(arn, now))
        };
        match (says(Effect::Deny), says(Effect::Allow)) {
            (true, _) => Effect::Deny,
            (false, true) => Effect::Allow,
            (false, false) => Effect::Silent,
        }
    }
}

impl Statement {
    fn parse(json: &Value) -> Result<Self, String> {
        let members = object(json, &["Action", "Effect", "Resource", "NotResource", "Condition"])?;
        // Action names know no upper and lower case ("IAM JSON policy elements: Action").
        let is_invoke = |action: &String| action.eq_ignore_ascii_case("execute-api:Invoke");
        if !texts(members.get("Action"))?.iter().all(is_invoke) {
            return Err(format!("action {:?}", members.get("Action")));
        }
        let effect = match members.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            other => return Err(format!("effect {other:?}")),
        };
        let globs = |value| texts(value)?.iter().map(|text| Glob::parse(text)).collect::<Result<_, _>>();
        let resources = match (members.get("Resource"), members.get("NotResource")) {
            (Some(resource), None) => Resources::OneOf(globs(Some(resource))?),
            (None, Some(resource)) => Resources::NoneOf(globs(Some(resource))?),
            (Some(_), Some(_)) | (None, None) => return Err("not one of Resource and NotResource".to_owned()),
        };
        Ok(Self { effect, resources, until: members.get("Condition").map(until).transpose()? })
    }

    fn speaks_of(&self, arn: &str, now: Timestamp) -> bool {
        if self.until.is_some_and(|until| now >= until) {
            return false;
        }
        match &self.resources {
            Resources::OneOf(globs) => globs.iter().any(|glob| glob.matches(arn)),
            Resources::NoneOf(globs) => !globs.iter().any(|glob| glob.matches(arn)),
        }
    }
}

/// The one condition that is understood: `{"DateLessThan": {"aws:CurrentTime": "2026-11-21T18:00:00Z"}}`.
fn until(condition: &Value) -> Result<Timestamp, String> {
    let operator = object(condition, &["DateLessThan"])?;
    let keys = object(operator.get("DateLessThan").ok_or("an empty condition")?, &["aws:CurrentTime"])?;
    let time = keys.get("aws:CurrentTime").and_then(Value::as_str).ok_or("a condition without a time")?;
    time.parse().map_err(|error| format!("`{time}`: {error}"))
}

fn object<'v>(json: &'v Value, known: &[&str]) -> Result<&'v Map<String, Value>, String> {
    let members = json.as_object().ok_or_else(|| format!("no object: {json}"))?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("member `{name}` is not understood")),
        None => Ok(members),
    }
}

/// One text, or a list of texts that is not empty.
fn texts(value: Option<&Value>) -> Result<Vec<String>, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("no text: {value}"));
    match value {
        Some(Value::Array(items)) if !items.is_empty() => items.iter().map(text).collect(),
        Some(value) => Ok(vec![text(value)?]),
        None => Err("a member is missing".to_owned()),
    }
}

/// A pattern: the texts between its stars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob(Vec<Chunk>);

/// A text without a star.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Chunk {
    Text(String),
    /// With a `None` for each `?`.
    Marked(Vec<Option<char>>),
}

impl Glob {
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let mut chunks = Vec::new();
        let mut chunk = Vec::new();
        let mut rest = pattern;
        while let Some(char) = rest.chars().next() {
            let mut taken = char.len_utf8();
            match char {
                '*' => chunks.push(Chunk::of(std::mem::take(&mut chunk))),
                '?' => chunk.push(None),
                '$' if rest.starts_with("${") => {
                    let variable = rest.split_inclusive('}').next().unwrap_or_default();
                    taken = variable.len();
                    chunk.push(match variable {
                        "${*}" => Some('*'),
                        "${?}" => Some('?'),
                        "${$}" => Some('$'),
                        other => return Err(format!("variable `{other}` in `{pattern}`")),
                    });
                }
                char => chunk.push(Some(char)),
            }
            rest = &rest[taken..];
        }
        chunks.push(Chunk::of(chunk));
        Ok(Self(chunks))
    }

    /// Whether the whole text is one that the pattern stands for.
    pub(super) fn matches(&self, text: &str) -> bool {
        let Some((first, others)) = self.0.split_first() else { return false };
        let Some(mut rest) = first.strip_from_start(text) else { return false };
        let Some((last, between)) = others.split_last() else { return rest.is_empty() };
        // Each text at its first place leaves the most to those after it.
        for chunk in between {
            match chunk.strip_through(rest) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        last.ends(rest)
    }
}

impl Chunk {
    fn of(chars: Vec<Option<char>>) -> Self {
        match chars.iter().copied().collect::<Option<String>>() {
            Some(text) => Self::Text(text),
            None => Self::Marked(chars),
        }
    }

    fn strip_from_start<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Text(own) => text.strip_prefix(own.as_str()),
            Self::Marked(own) => {
                let mut chars = text.chars();
                let same = own.iter().all(|own| match (own, chars.next()) {
                    (Some(own), Some(char)) => *own == char,
                    (None, Some(_)) => true,
                    (_, None) => false,
                });
                same.then_some(chars.as_str())
            }
        }
    }

    /// What follows the first place where it stands.
    fn strip_through<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Text(own) => text.find(own.as_str()).map(|at| &text[at + own.len()..]),
            Self::Marked(_) => {
                let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
                ends.filter_map(|at| self.strip_from_start(&text[at..])).next()
            }
        }
    }

    fn ends(&self, text: &str) -> bool {
        match self {
            Self::Text(own) => text.ends_with(own.as_str()),
            Self::Marked(own) => {
                let before = text.chars().count().checked_sub(own.len());
                let at = before
                    .and_then(|before| text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(before));
                at.is_some_and(|at| self.strip_from_start(&text[at..]) == Some(""))
            }
        }
    }
}

/// A line of `tests/oracle/documents.toml`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    about: String,
    document: Value,
    allow: Vec<String>,
    deny: Vec<String>,
    silent: Vec<String>,
}

#[test]
fn documents_mean_what_the_guide_says() {
    #[derive(serde::Deserialize)]
    struct File {
        now: String,
        case: Vec<Told>,
    }
    let file: File = toml::from_str(include_str!("../../oracle/documents.toml")).unwrap();
    let now: Timestamp = file.now.parse().unwrap();
    for told in &file.case {
        let document =
            Document::parse(&told.document).unwrap_or_else(|error| panic!("{}: {error}", told.about));
        for (effect, arns) in
            [(Effect::Allow, &told.allow), (Effect::Deny, &told.deny), (Effect::Silent, &told.silent)]
        {
            for arn in arns {
                assert_eq!(document.effect(arn, now), effect, "{}: {arn}", told.about);
            }
        }
    }
    assert!(file.case.len() >= 10, "{}", file.case.len());
}

#[test]
fn what_is_not_understood_is_no_document() {
    let statement = |text: &str| format!(r#"{{"Version": "2012-10-17", "Statement": [{text}]}}"#);
    for text in [
        "[]".to_owned(),
        r#"{"Statement": []}"#.to_owned(),
        r#"{"Version": "2008-10-17", "Statement": []}"#.to_owned(),
        r#"{"Version": "2012-10-17", "Statement": {}}"#.to_owned(),
        r#"{"Version": "2012-10-17", "Id": "x", "Statement": []}"#.to_owned(),
        statement(r#"{"Effect": "Allow", "Resource": "*"}"#),
        statement(r#"{"Action": "*", "Effect": "Allow", "Resource": "*"}"#),
        statement(r#"{"Action": "execute-api:Invoke", "Effect": "allow", "Resource": "*"}"#),
        statement(r#"{"Action": "execute-api:Invoke", "Effect": "Allow"}"#),
        statement(r#"{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": []}"#),
        statement(
            r#"{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*", "NotResource": "*"}"#,
        ),
        statement(r#"{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "${aws:username}"}"#),
        statement(r#"{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "a${*"}"#),
        statement(
            r#"{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*", "Condition": null}"#,
        ),
        statement(r#"{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*", "Sid": "x"}"#),
    ] {
        assert!(Document::parse(&serde_json::from_str(&text).unwrap()).is_err(), "{text}");
    }
}

/// The same by trying every way to split the text, which is slow and plainly right.
fn matches_slowly(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => (0..=text.len()).any(|at| matches_slowly(rest, &text[at..])),
        (Some(('?', rest)), Some((_, text))) => matches_slowly(rest, text),
        (Some((char, rest)), Some((first, text))) => char == first && matches_slowly(rest, text),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[test]
fn a_glob_matches_as_a_slower_one_does() {
    let (mut random, mut matched) = (super::random::Random::new(1), 0);
    for _ in 0..20_000 {
        let mut word = |letters: &[char], longest| -> Vec<char> {
            (0..random.below(longest)).map(|_| *random.pick(letters)).collect()
        };
        let (pattern, text) = (word(&['a', 'b', '/', 'é', '*', '*', '?'], 8), word(&['a', 'b', '/', 'é'], 9));
        let expected = matches_slowly(&pattern, &text);
        let [pattern, text] = [pattern, text].map(|chars| chars.into_iter().collect::<String>());
        assert_eq!(Glob::parse(&pattern).unwrap().matches(&text), expected, "{pattern} {text}");
        matched += u32::from(expected);
    }
    assert!((2_000..18_000).contains(&matched), "{matched}");
}
