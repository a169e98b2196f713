//! What a test expects, and whether it got it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value as Json};
use similar::TextDiff;
use toml::Value;

use super::problems::quoted;
use super::requests::Request;

/// What a test expects.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    pub(super) outcome: Option<Wanted>,
    /// Why that is expected, where the case does not say so itself.
    pub(super) since: Option<&'static str>,
    pub(super) because: Option<Because>,
    pub(super) document: Vec<Stated>,
    pub(super) context: Map<String, Json>,
    pub(super) response: Option<Wished>,
    /// How many policies fail (`cedar run-tests`).
    pub(super) errors: Option<usize>,
}

/// What the answer's document is expected to say of a request.
#[derive(Clone, Debug)]
pub(super) struct Stated {
    pub(super) arn: String,
    pub(super) request: Request,
    /// Whether it allows it.
    pub(super) covered: bool,
}

/// A response that is expected as a whole.
#[derive(Clone, Debug)]
pub(super) struct Wished {
    pub(super) value: Json,
    /// The file it stands in.
    pub(super) file: Option<String>,
}

/// An outcome that is expected; with a word, for this reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Allow,
    Deny(Option<String>),
    Unauthorized(Option<String>),
    Fault(Option<String>),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, reason) = match self {
            Self::Allow => ("allow", &None),
            Self::Deny(reason) => ("deny", reason),
            Self::Unauthorized(reason) => ("unauthorized", reason),
            Self::Fault(reason) => ("fault", reason),
        };
        f.write_str(word)?;
        match reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

/// Which policies are expected to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Because {
    Exact(Vec<String>),
    Includes(Vec<String>),
    Excludes(Vec<String>),
}

impl Because {
    pub(super) fn policies(&self) -> &[String] {
        match self {
            Self::Exact(policies) | Self::Includes(policies) | Self::Excludes(policies) => policies,
        }
    }

    fn holds(&self, decided: &[String]) -> bool {
        match self {
            Self::Exact(policies) => {
                let mut sorted = policies.clone();
                sorted.sort_unstable();
                sorted.dedup();
                sorted == decided
            }
            Self::Includes(policies) => policies.iter().all(|policy| decided.contains(policy)),
            Self::Excludes(policies) => !policies.iter().any(|policy| decided.contains(policy)),
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, policies) = match self {
            Self::Exact(policies) if policies.is_empty() => ("", policies),
            Self::Exact(policies) => ("exactly ", policies),
            Self::Includes(policies) => ("", policies),
            Self::Excludes(policies) => ("not ", policies),
        };
        write!(f, "{word}{}", none_or(policies))
    }
}

fn none_or(policies: &[String]) -> String {
    if policies.is_empty() { "no policy".to_owned() } else { quoted(policies) }
}

/// Reads `expect`.
pub(super) fn read_expect(value: &Value) -> Result<Wanted, String> {
    let wanted = |word: &str, reason: Option<String>| match word {
        "allow" if reason.is_none() => Some(Wanted::Allow),
        "deny" => Some(Wanted::Deny(reason)),
        "unauthorized" => Some(Wanted::Unauthorized(reason)),
        "fault" => Some(Wanted::Fault(reason)),
        _ => None,
    };
    let found = match value {
        Value::String(word) => wanted(word, None),
        Value::Table(table) if table.len() == 1 => table.iter().next().and_then(|(word, reason)| {
            let reason = reason.as_str()?.to_owned();
            wanted(word, Some(reason))
        }),
        _ => None,
    };
    found.ok_or_else(|| format!("`{value}` is no outcome"))
}

/// What `expect` can be.
pub(super) const OUTCOMES: &str = "expected \"allow\", \"deny\", \"unauthorized\" or \"fault\"; with a reason, { unauthorized = \"expired\" }";

/// Reads `because`.
pub(super) fn read_because(value: &Value) -> Result<Because, String> {
    let list = |value: &Value| match value {
        Value::String(policy) => Some(vec![policy.clone()]),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
        }
        _ => None,
    };
    let found = match value {
        Value::Table(table) if table.len() == 1 => table.iter().next().and_then(|(mode, policies)| {
            let policies = list(policies)?;
            match mode.as_str() {
                "exact" => Some(Because::Exact(policies)),
                "includes" if !policies.is_empty() => Some(Because::Includes(policies)),
                "excludes" if !policies.is_empty() => Some(Because::Excludes(policies)),
                _ => None,
            }
        }),
        Value::Table(_) => None,
        value => list(value).filter(|policies| !policies.is_empty()).map(Because::Includes),
    };
    found.ok_or_else(|| format!("`{value}` does not say which policies decide"))
}

/// What `because` can be.
pub(super) const REASONS: &str = "expected a policy's id, a list of them, { exact = [...] }, { includes = [...] } or { excludes = [...] }; { exact = [] } is no policy at all";

/// What came of a request or an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Got {
    /// `allow`, `deny`, `unauthorized` or `fault`.
    pub outcome: &'static str,
    /// Why, as a stable word.
    pub reason: String,
    /// Why, in words, where the word does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The policies that determined the decision.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// The policies that could not be evaluated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy_errors: Vec<String>,
    /// What the gateway gets.
    #[serde(skip)]
    pub(super) response: Option<Json>,
}

impl Got {
    fn in_words(&self) -> String {
        let reason = match self.outcome {
            "allow" => String::new(),
            _ => format!(" ({})", self.reason),
        };
        format!("{}{reason}", self.outcome)
    }
}

/// Something that is not as it was expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// `decision`, `because`, `document`, `context`, `response` or `errors`.
    pub of: &'static str,
    /// What was expected.
    pub expected: String,
    /// What was got.
    pub got: String,
    /// The two line by line, where they are longer than a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// What a response is compared by.
pub(super) struct Reading<'r> {
    pub(super) context: &'r dyn Fn(&Json) -> Map<String, Json>,
    pub(super) allows: &'r dyn Fn(&Json, &str) -> Option<bool>,
}

impl Expected {
    /// What is not as expected.
    pub(super) fn mismatches(&self, got: &Got, reading: &Reading<'_>) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let mut add = |of: &'static str, expected: String, got: String, diff: Option<String>| {
            found.push(Mismatch { of, expected, got, diff });
        };
        if let Some(wanted) = &self.outcome {
            let (word, reason) = match wanted {
                Wanted::Allow => ("allow", &None),
                Wanted::Deny(reason) => ("deny", reason),
                Wanted::Unauthorized(reason) => ("unauthorized", reason),
                Wanted::Fault(reason) => ("fault", reason),
            };
            if got.outcome != word || reason.as_ref().is_some_and(|reason| *reason != got.reason) {
                let since = self.since.map(|since| format!(": {since}")).unwrap_or_default();
                add("decision", format!("{wanted}{since}"), got.in_words(), None);
            }
        }
        if let Some(because) = &self.because
            && !because.holds(&got.policies)
        {
            add("because", because.to_string(), none_or(&got.policies), None);
        }
        if let Some(errors) = self.errors
            && got.policy_errors.len() != errors
        {
            add("errors", errors.to_string(), got.policy_errors.len().to_string(), None);
        }
        if !self.document.is_empty() {
            let allows =
                |arn: &str| got.response.as_ref().and_then(|response| (reading.allows)(response, arn));
            for Stated { arn, request, covered } in &self.document {
                let in_words = |allows: bool| match allows {
                    true => format!("covers {}", request.text),
                    false => format!("does not cover {}", request.text),
                };
                match allows(arn) {
                    Some(allows) if allows == *covered => {}
                    Some(allows) => add("document", in_words(*covered), in_words(allows), None),
                    None => add("document", in_words(*covered), "no document".to_owned(), None),
                }
            }
        }
        if !self.context.is_empty() {
            let context = got.response.as_ref().map(reading.context).unwrap_or_default();
            for (key, expected) in &self.context {
                let found = context.get(key);
                if found != Some(expected) {
                    let got = found.map_or_else(|| "nothing".to_owned(), Json::to_string);
                    add("context", format!("{key} = {expected}"), format!("{key} = {got}"), None);
                }
            }
        }
        if let Some(wished) = &self.response {
            let response = got.response.clone().unwrap_or(Json::Null);
            if response != wished.value {
                let place = wished.file.as_deref().unwrap_or("the response that the case states");
                // A file that is not there yet has no lines.
                let before = match (&wished.value, &wished.file) {
                    (Json::Null, Some(_)) => String::new(),
                    (value, _) => pretty(value),
                };
                let diff = Some(diff(&before, &pretty(&response)));
                add("response", place.to_owned(), "another response".to_owned(), diff);
            }
        }
        found
    }
}

/// A response as a golden file has it.
pub(super) fn pretty(value: &Json) -> String {
    format!("{value:#}\n")
}

/// The lines that differ, with three around them.
pub(super) fn diff(before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after).unified_diff().context_radius(3).to_string()
}

/// What is expected of one request both ways is a contradiction.
#[derive(Default)]
pub(super) struct Statements<K: Ord>(BTreeMap<K, (bool, String)>);

impl<K: Ord> Statements<K> {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Takes what a case says; where another one says the opposite, its name.
    pub(super) fn contradicted(&mut self, key: K, allowed: bool, case: &str) -> Option<&str> {
        let (said, by) = self.0.entry(key).or_insert_with(|| (allowed, case.to_owned()));
        (*said != allowed).then_some(by.as_str())
    }
}
