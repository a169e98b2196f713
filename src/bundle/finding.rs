//! What is wrong with a bundle: where it stands, what was expected, what to do.

mod code;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;

use super::source::SourceFiles;

pub use code::{Code, SUBJECTS};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The bundle does not start, or an answer could be wrong.
    Error,
    /// It starts, and says something else than what was meant, or less.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// `error`, `warning` or `note`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that is wrong with a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing it is.
    pub code: Code,
    /// The file it stands in, as a path in the bundle.
    pub file: String,
    /// The bytes of the file it is about, where that is known.
    pub span: Option<Range<usize>>,
    /// Line and column of the span's start, both counted from 1; columns count characters.
    pub position: Option<(usize, usize)>,
    /// What is wrong: lower case, one line, no full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Finding {
    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// Line and column of the span's end, counted as `position` is; the column is that after the last character.
    #[must_use]
    pub fn end(&self, files: &SourceFiles) -> Option<(usize, usize)> {
        let (span, (line, column)) = (self.span.clone()?, self.position?);
        let text = files.text(&self.file)?.get(span)?;
        let lines = text.matches('\n').count();
        let last = text.rsplit('\n').next().unwrap_or_default().chars().count();
        Some((line + lines, if lines == 0 { column + last } else { last + 1 }))
    }

    /// What to do about it: in its own words, or in those of its kind.
    #[must_use]
    pub fn remedy(&self) -> &str {
        self.help.as_deref().unwrap_or(self.code.remedy())
    }
}

/// `policies/v1/orders.cedar:3:12: CG0107: message (help)`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}: {}", self.code.number(), self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// All that is wrong with a bundle; never empty.
#[derive(Clone, Debug, thiserror::Error)]
pub struct BundleErrors {
    findings: Vec<Finding>,
}

impl BundleErrors {
    /// The findings, in the order in which a reader meets them.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

/// One finding a line.
impl fmt::Display for BundleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

/// Collects findings while a bundle is read, so that a person sees all of them at once.
pub(crate) struct Findings<'f> {
    files: &'f SourceFiles,
    findings: Vec<Finding>,
    /// Where the lines of a file begin, for the files that have a finding.
    line_starts: HashMap<String, Vec<usize>>,
}

impl<'f> Findings<'f> {
    pub(crate) fn new(files: &'f SourceFiles) -> Self {
        Self { files, findings: Vec::new(), line_starts: HashMap::new() }
    }

    /// Notes what is wrong at `span` of `file`.
    pub(crate) fn note(
        &mut self,
        code: Code,
        file: &str,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        let position = span.as_ref().and_then(|span| self.position(file, span.start));
        // A foreign message may hold several lines; here one finding is one line.
        let message = message.into().split_whitespace().collect::<Vec<_>>().join(" ");
        self.findings.push(Finding {
            code,
            file: file.to_owned(),
            span,
            position,
            message,
            help: help.into(),
        });
    }

    /// Notes what is wrong with the first place where `needle` stands in `file`, comments aside.
    pub(crate) fn note_text(
        &mut self,
        code: Code,
        file: &str,
        needle: &str,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        let start = self.files.text(file).and_then(|text| find_outside_comments(text, needle));
        self.note(code, file, start.map(|start| start..start + needle.len()), message, help);
    }

    /// Reads a TOML file; what is wrong with it is noted.
    pub(crate) fn toml<T: DeserializeOwned>(&mut self, file: &str, text: &str) -> Option<T> {
        let refused = |error: toml::de::Error| {
            self.note(Code::TomlSyntax, file, error.span(), error.message(), None);
        };
        toml::from_str(text).map_err(refused).ok()
    }

    /// The line and column (from 1, columns in characters) of a byte of `file`.
    fn position(&mut self, file: &str, byte: usize) -> Option<(usize, usize)> {
        let text = self.files.text(file)?;
        if !self.line_starts.contains_key(file) {
            let newlines = text.match_indices('\n').map(|(newline, _)| newline + 1);
            self.line_starts.insert(file.to_owned(), std::iter::once(0).chain(newlines).collect());
        }
        let starts = self.line_starts.get(file)?;
        let line = starts.partition_point(|start| *start <= byte);
        let start = *starts.get(line.checked_sub(1)?)?;
        Some((line, text.get(start..byte)?.chars().count() + 1))
    }

    pub(crate) fn len(&self) -> usize {
        self.findings.len()
    }

    /// What was found.
    pub(crate) fn into_vec(self) -> Vec<Finding> {
        self.findings
    }

    /// The end of reading: `value` where nothing was found.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, BundleErrors> {
        match value {
            Some(value) if self.findings.is_empty() => Ok(value),
            _ if !self.findings.is_empty() => Err(BundleErrors { findings: self.findings }),
            _ => Err(BundleErrors {
                findings: vec![Finding {
                    code: Code::BundleUnreadable,
                    file: "bundle".to_owned(),
                    span: None,
                    position: None,
                    message: "could not be read".to_owned(),
                    help: None,
                }],
            }),
        }
    }
}

/// The name among `known` that was meant, as far as one can guess: a letter left out, added, changed or swapped, in a long
/// name a few.
pub(crate) fn meant<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let lower = written.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let near = known.into_iter().map(|name| (distance(name), name));
    let (distance, name) = near.min()?;
    (distance <= (written.chars().count() / 3).min(3)).then_some(name)
}

/// `did you mean …?` before another help.
pub(crate) fn with_meant(meant: Option<impl fmt::Display>, help: impl fmt::Display) -> String {
    match meant {
        Some(meant) => format!("did you mean {meant}? Otherwise {help}"),
        None => help.to_string(),
    }
}

/// The first place of `needle` on a line that is no comment (TOML's `#`, Cedar's `//`).
fn find_outside_comments(text: &str, needle: &str) -> Option<usize> {
    text.match_indices(needle).map(|(start, _)| start).find(|start| {
        let before = text.get(..*start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
        !line.starts_with('#') && !line.starts_with("//")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_ends_after_its_last_character() {
        let mut files = SourceFiles::default();
        files.insert("a.toml", "one\ntwö three\nfour\n");
        let mut findings = Findings::new(&files);
        findings.note_text(Code::TomlSyntax, "a.toml", "three", "one line", None);
        findings.note_text(Code::TomlSyntax, "a.toml", "three\nfo", "two lines", None);
        findings.note(Code::TomlSyntax, "a.toml", None, "no place", None);
        let ends: Vec<_> = findings.into_vec().iter().map(|finding| finding.end(&files)).collect();
        assert_eq!(ends, [Some((2, 10)), Some((3, 3)), None]);
    }

    #[test]
    fn the_name_that_was_meant_is_near() {
        let known = ["auditor", "clerk", "admin", "a"];
        for (written, expected) in [
            ("auditr", Some("auditor")),
            ("amdin", Some("admin")),
            ("Clerk", Some("clerk")),
            ("manager", None),
            ("b", None),
        ] {
            assert_eq!(meant(written, known), expected, "{written}");
        }
    }

    #[test]
    fn a_finding_points_at_file_line_and_column() {
        let mut files = SourceFiles::default();
        files.insert("a.toml", "one\ntwö three\n");
        let mut findings = Findings::new(&files);
        findings.note_text(
            Code::TomlSyntax,
            "a.toml",
            "three",
            "unknown word\n `three`",
            "write four".to_owned(),
        );
        let errors = findings.finish::<()>(None).unwrap_err();
        assert_eq!(errors.to_string(), "a.toml:2:5: CG0005: unknown word `three` (write four)");
    }
}
