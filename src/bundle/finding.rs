//! What is wrong with a bundle: where it stands, what was expected, what to do.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;

use super::source::SourceFiles;

/// One thing that is wrong with a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
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

/// `policies/v1/orders.cedar:3:12: message (help)`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
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
        file: &str,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        let position = span.as_ref().and_then(|span| self.position(file, span.start));
        // A foreign message may hold several lines; here one finding is one line.
        let message = message.into().split_whitespace().collect::<Vec<_>>().join(" ");
        self.findings.push(Finding { file: file.to_owned(), span, position, message, help: help.into() });
    }

    /// Notes what is wrong with the first place where `needle` stands in `file`, comments aside.
    pub(crate) fn note_text(
        &mut self,
        file: &str,
        needle: &str,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        let start = self.files.text(file).and_then(|text| find_outside_comments(text, needle));
        self.note(file, start.map(|start| start..start + needle.len()), message, help);
    }

    /// Reads a TOML file; what is wrong with it is noted.
    pub(crate) fn toml<T: DeserializeOwned>(&mut self, file: &str, text: &str) -> Option<T> {
        toml::from_str(text).map_err(|error| self.note(file, error.span(), error.message(), None)).ok()
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
    #[cfg(feature = "cli")]
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
    fn a_finding_points_at_file_line_and_column() {
        let mut files = SourceFiles::default();
        files.insert("a.toml", "one\ntwö three\n");
        let mut findings = Findings::new(&files);
        findings.note_text("a.toml", "three", "unknown word\n `three`", "write four".to_owned());
        let errors = findings.finish::<()>(None).unwrap_err();
        assert_eq!(errors.to_string(), "a.toml:2:5: unknown word `three` (write four)");
    }
}
