//! Findings as workflow commands of GitHub Actions: each stands beside its line in the pull request.

use std::fmt::Write as _;

use crate::bundle::finding::{Finding, Severity};
use crate::bundle::source::SourceFiles;

use super::sarif::path_from;

/// One line a finding. `folder` is the bundle's, from where its reader's paths begin; empty for the same.
#[must_use]
pub fn annotations(findings: &[&Finding], files: &SourceFiles, folder: &str) -> String {
    findings.iter().map(|finding| annotation(finding, files, folder)).collect()
}

fn annotation(finding: &Finding, files: &SourceFiles, folder: &str) -> String {
    let command = match finding.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut line = format!("::{command} file={}", property(&path_from(folder, &finding.file)));
    // Writing to a text cannot fail.
    if let Some((at, column)) = finding.position {
        let _ = write!(line, ",line={at}");
        if let Some((end, end_column)) = finding.end(files) {
            let _ = write!(line, ",endLine={end}");
            // GitHub takes columns for one line alone.
            if end == at {
                let _ = write!(line, ",col={column},endColumn={end_column}");
            }
        }
    }
    let title = format!("{} {}", finding.code.number(), finding.code.slug());
    let message = format!("{}\nwhy: {}\nhelp: {}", finding.message, finding.code.why(), finding.remedy());
    let _ = writeln!(line, ",title={}::{}", property(&title), data(&message));
    line
}

/// A message: what would end the command is escaped.
pub(super) fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property: what would begin the next one, too.
pub(super) fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::finding::{Code, Findings};

    #[test]
    fn nothing_in_a_finding_ends_its_command() {
        let mut files = SourceFiles::default();
        files.insert("a,b:c.toml", "one\ntwo\n");
        let mut findings = Findings::new(&files);
        findings.note_text(
            Code::TomlSyntax,
            "a,b:c.toml",
            "two",
            "100 % of\nit ::error::",
            "do: this, that".to_owned(),
        );
        findings.note(Code::RedundantHas, "b.toml", None, "no place", None);
        let findings = findings.into_vec();
        let text = annotations(&findings.iter().collect::<Vec<_>>(), &files, "apis/orders/");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "::error file=apis/orders/a%2Cb%3Ac.toml,line=2,endLine=2,col=1,endColumn=4,title=CG0005 toml::\
             100 %25 of it ::error::%0Awhy: a key that nobody reads would be a setting that does not hold%0A\
             help: do: this, that"
        );
        assert!(
            lines[1].starts_with("::notice file=apis/orders/b.toml,title=CG1015 redundant-has::no place")
        );
    }
}
