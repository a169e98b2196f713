//! What is wrong with the tests themselves, and the name that was meant.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;

pub(super) use crate::bundle::finding::meant;
use crate::bundle::finding::{Code, Finding, Findings};
use crate::bundle::source::SourceFiles;

/// Collects what is wrong, and what is only strange.
pub(super) struct Problems<'f> {
    errors: Findings<'f>,
    /// What was noted already: what is wrong once is said once, however many cases it stands in the way of.
    noted: HashSet<(String, Option<usize>, String)>,
    warnings: Findings<'f>,
}

impl<'f> Problems<'f> {
    pub(super) fn new(files: &'f SourceFiles) -> Self {
        Self { errors: Findings::new(files), noted: HashSet::new(), warnings: Findings::new(files) }
    }

    /// Notes what keeps the tests from being run.
    pub(super) fn error(
        &mut self,
        file: &str,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        let message = message.into();
        let key = (file.to_owned(), span.as_ref().map(|span| span.start), message.clone());
        if self.noted.insert(key) {
            self.errors.note(Code::Suite, file, span, message, help);
        }
    }

    /// Notes what should be known.
    pub(super) fn warning(&mut self, file: &str, span: Range<usize>, message: String, help: &str) {
        self.warnings.note(Code::SuiteDoubtful, file, Some(span), message, help.to_owned());
    }

    /// Reads a TOML file.
    pub(super) fn toml<T: DeserializeOwned>(&mut self, file: &str, text: &str) -> Option<T> {
        toml::from_str(text)
            .map_err(|error| self.error(file, error.span(), error.message(), meant_key(error.message())))
            .ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.errors.len() == 0
    }

    /// Errors and warnings, each in the order in which they were met.
    pub(super) fn into_parts(self) -> (Vec<Finding>, Vec<Finding>) {
        (self.errors.into_vec(), self.warnings.into_vec())
    }
}

/// The key that was meant, from the words of who read the file: "unknown field `alow`, expected one of `allow`, …".
pub(super) fn meant_key(message: &str) -> Option<String> {
    let (unknown, known) = message.strip_prefix("unknown field `")?.split_once('`')?;
    let known = known.split('`').skip(1).step_by(2);
    meant(unknown, known).map(|meant| format!("did you mean `{meant}`?"))
}

/// `did you mean …?`, or else which names there are.
pub(super) fn meant_or_known<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    const SHOWN: usize = 12;
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(meant) = meant(written, known.iter().copied()) {
        return format!("did you mean `{meant}`?");
    }
    if known.is_empty() {
        return "there is none".to_owned();
    }
    let shown: Vec<String> = known.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match known.len().saturating_sub(SHOWN) {
        0 => format!("there are {}", shown.join(", ")),
        more => format!("there are {} and {more} more", shown.join(", ")),
    }
}

/// Names, each in backticks.
pub(super) fn quoted(names: impl IntoIterator<Item = impl fmt::Display>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
