//! What holds together and does not say what was meant: rules about policies, roles, routes and issuers that need no
//! request to be asked. A bundle with such findings starts all the same.
//!
//! Scopes are compared exactly: every policy over every operation of the route table, and principals by the hierarchy of
//! roles. Conditions are compared as they are written.

mod conditions;
mod coverage;
mod people;
mod rules;
mod told;

use crate::bundle::Bundle;
use crate::bundle::finding::{Code, Finding, Findings, Severity};
use crate::bundle::policies::PolicyNote;
use crate::bundle::source::SourceFiles;

use self::rules::{Rule, Rules};

/// The rules could not be looked into: a defect of ours, because what a bundle's author could get wrong is found when it
/// is loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policies cannot be looked into: {0}")]
pub struct LintError(String);

/// What is found in all versions of the policies, in the order of the files. A policy's `@allow("CG1005")` hides what it
/// names.
///
/// # Errors
/// [`LintError`]
pub fn check(bundle: &Bundle, files: &SourceFiles) -> Result<Vec<Finding>, LintError> {
    let mut findings = Findings::new(files);
    let mut found = Vec::new();
    let mut allowed = Vec::new();
    for version in bundle.policy_versions() {
        let rules = Rules::of(bundle, version)?;
        allowed.extend(rules.rules.iter().filter_map(|rule| Allowed::of(rule, files, &mut findings)));
        conditions::check(&rules, files, &mut findings);
        let live = coverage::check(&rules, files, &mut findings);
        people::check(&rules, &live, files, &mut findings);
        found.extend(version.remarks().iter().cloned());
    }
    told::check(bundle, &mut findings);
    found.extend(findings.into_vec());
    found.retain(|finding| !allowed.iter().any(|allowed| allowed.hides(finding)));
    let place = |finding: &Finding| (finding.file.clone(), finding.span.as_ref().map(|span| span.start));
    found.sort_by_cached_key(|finding| (place(finding), finding.code));
    Ok(found)
}

/// What a policy's author knows and wants.
struct Allowed<'b> {
    note: &'b PolicyNote,
    codes: Vec<Code>,
}

impl<'b> Allowed<'b> {
    /// Reads `@allow("CG1005, redundant-policy")`; a code that is none, or that is an error's, is noted.
    fn of(rule: &Rule<'b>, files: &SourceFiles, findings: &mut Findings<'_>) -> Option<Self> {
        let written = rule.policy.annotation("allow")?;
        let mut codes = Vec::new();
        for name in written.split(',').map(str::trim) {
            match Code::named(name).filter(|code| code.severity() != Severity::Error) {
                Some(code) => codes.push(code),
                None => {
                    let message = format!("`{}` is no code that a policy can allow", name.escape_debug());
                    let place = rule.place(files, &["@allow"]);
                    findings.note(Code::UnknownAllow, &rule.note.file, Some(place), message, None);
                }
            }
        }
        Some(Self { note: rule.note, codes })
    }

    fn hides(&self, finding: &Finding) -> bool {
        let PolicyNote { file, span, .. } = self.note;
        let inside = finding.span.as_ref().is_some_and(|at| span.contains(&at.start));
        *file == finding.file && inside && self.codes.contains(&finding.code)
    }
}
