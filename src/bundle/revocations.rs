//! `policies/revocations.toml`: tokens that are refused before they expire. `cedar-gate revoke` appends to it; to take an
//! entry back, remove it. Without the file, nothing is refused.
//!
//! ```toml
//! [[revoke]]
//! issuer     = "acme-staff"            # alias of an issuer file
//! sub        = "8a1f…"                 # or client = "…", or jti = "…": compared exactly
//! not_before = 2026-11-22T10:00:00Z    # tokens from before it are refused; without it all are. Not for a jti
//! reason     = "lost laptop"           # for people: nothing reads it
//! ```
//!
//! What the moment is compared with, [`Revocation`] says. Two entries for one subject or client may stand in the file:
//! the one that refuses more counts.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::finding::{Code, Findings};
use super::source::SourceFiles;
use crate::jose::issuer::names::Moment;
use crate::jose::verify::is_identifier;
use crate::jose::{Cutoff, Revocation, RevocationList};

/// Where the deny list stands in a bundle.
pub const REVOCATIONS: &str = "policies/revocations.toml";

/// An entry of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationEntry {
    /// Alias of the issuer.
    pub issuer: String,
    /// What is refused of it.
    pub revocation: Revocation,
    /// Why, for people.
    pub reason: Option<String>,
}

impl RevocationEntry {
    /// The entry as it is written in the file, with a line end.
    ///
    /// # Errors
    /// When the moment is one that TOML cannot write: before the year 0, or after 9999.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(&WrittenFile { revoke: [WrittenEntry::of(self)?] })
    }

    /// The file with the entry behind what is there, which stays byte for byte; or a new file.
    ///
    /// # Errors
    /// As [`Self::to_toml`].
    pub fn append_to(&self, file: Option<&str>) -> Result<String, toml::ser::Error> {
        const HEAD: &str = "# Tokens that are refused before they expire; see cedar-gate help revoke.\n";
        let file = file.unwrap_or(HEAD);
        let (line_end, entry) = match file.contains("\r\n") {
            true => ("\r\n", self.to_toml()?.replace('\n', "\r\n")),
            false => ("\n", self.to_toml()?),
        };
        let unfinished = if file.is_empty() || file.ends_with('\n') { "" } else { line_end };
        let empty_line = if file.is_empty() { "" } else { line_end };
        Ok(format!("{file}{unfinished}{empty_line}{entry}"))
    }
}

#[derive(Serialize)]
struct WrittenFile<'e> {
    revoke: [WrittenEntry<'e>; 1],
}

/// An entry as TOML has it.
#[derive(Serialize)]
struct WrittenEntry<'e> {
    issuer: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<toml::value::Datetime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'e str>,
}

impl<'e> WrittenEntry<'e> {
    fn of(entry: &'e RevocationEntry) -> Result<Self, toml::ser::Error> {
        let (sub, client, jti, cutoff) = match &entry.revocation {
            Revocation::Subject { sub, cutoff } => (Some(sub.as_str()), None, None, *cutoff),
            Revocation::Client { client, cutoff } => (None, Some(client.as_str()), None, *cutoff),
            Revocation::Token { jti } => (None, None, Some(jti.as_str()), Cutoff::Always),
        };
        let not_before = match cutoff {
            Cutoff::Always => None,
            Cutoff::Before(moment) => {
                Some(moment.to_string().parse().map_err(<toml::ser::Error as serde::ser::Error>::custom)?)
            }
        };
        Ok(Self { issuer: &entry.issuer, sub, client, jti, not_before, reason: entry.reason.as_deref() })
    }
}

/// The file as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevocationsFile {
    #[serde(default)]
    revoke: Vec<Spanned<EntryFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryFile {
    issuer: Spanned<String>,
    sub: Option<Spanned<String>>,
    client: Option<Spanned<String>>,
    jti: Option<Spanned<String>>,
    not_before: Option<Spanned<Moment>>,
    reason: Option<Spanned<String>>,
}

/// Reads the file into a deny list for each issuer that has entries, by alias. `known` are the issuers' aliases, where all
/// of their files could be read.
pub(super) fn load(
    files: &SourceFiles,
    known: Option<&HashSet<&str>>,
    findings: &mut Findings<'_>,
) -> HashMap<String, Arc<RevocationList>> {
    let Some(text) = files.text(REVOCATIONS) else { return HashMap::new() };
    let in_parts = parts(text).and_then(|parts| Reading::of(&parts, known).ok());
    match in_parts.map_or_else(|| Reading::of(&[text], known), Ok) {
        Ok(Reading { lists, notes, .. }) => {
            for Note { code, span, message, help } in notes {
                findings.note(code, REVOCATIONS, Some(span), message, help);
            }
            lists.into_iter().map(|(issuer, list)| (issuer, Arc::new(list))).collect()
        }
        Err(error) => {
            findings.note(Code::TomlSyntax, REVOCATIONS, error.span(), error.message(), None);
            HashMap::new()
        }
    }
}

/// The file cut before some of its entries. As a tree, TOML takes twenty times the memory of its text: in one piece, a
/// long list would be more than a small function has. `None` for a file that is short, or begins with something else than
/// entries.
///
/// A cut inside a text of several lines leaves a part that does not end its text and so is no TOML: then, as for all that
/// is wrong with the file's TOML, the file has to be read in one piece.
fn parts(text: &str) -> Option<Vec<&str>> {
    const PART_BYTES: usize = 64 * 1024;
    const ENTRY: &str = "[[revoke]]";
    const NEXT_ENTRY: &str = "\n[[revoke]]";
    if text.len() <= PART_BYTES {
        return None;
    }
    let first = if text.starts_with(ENTRY) { 0 } else { text.find(NEXT_ENTRY)? + 1 };
    let (head, mut rest) = text.split_at_checked(first)?;
    if !toml::from_str::<toml::Table>(head).is_ok_and(|head| head.is_empty()) {
        return None;
    }
    let mut parts = vec![head];
    let cut = |rest: &str| rest.match_indices(NEXT_ENTRY).map(|(at, _)| at + 1).find(|at| *at > PART_BYTES);
    while let Some((part, after)) = cut(rest).and_then(|at| rest.split_at_checked(at)) {
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    Some(parts)
}

/// What the entries say, and what is wrong with them.
#[derive(Default)]
struct Reading {
    lists: HashMap<String, RevocationList>,
    seen: HashMap<String, HashSet<Revocation>>,
    notes: Vec<Note>,
    /// Where in the file the part begins that is read, in bytes.
    start: usize,
}

/// Where something is wrong, what, and what to do.
struct Note {
    code: Code,
    span: Range<usize>,
    message: String,
    help: String,
}

impl Reading {
    /// Reads the parts of a file one after the other.
    fn of(parts: &[&str], known: Option<&HashSet<&str>>) -> Result<Self, toml::de::Error> {
        let mut reading = Self::default();
        for part in parts {
            let file: RevocationsFile = toml::from_str(part)?;
            file.revoke.into_iter().for_each(|entry| reading.add(entry, known));
            reading.start += part.len();
        }
        Ok(reading)
    }

    fn add(&mut self, entry: Spanned<EntryFile>, known: Option<&HashSet<&str>>) {
        let span = entry.span();
        let entry = entry.into_inner();
        let (issuer_span, issuer) = (entry.issuer.span(), entry.issuer.get_ref().clone());
        if let Some(known) = known.filter(|known| !known.contains(issuer.as_str())) {
            let message = format!("no issuer is named `{}`", issuer.escape_debug());
            self.note(Code::RevocationIssuer, issuer_span, message, there_are(known));
        }
        let Some(revocation) = self.revocation(entry, span.clone()) else { return };
        if !self.seen.entry(issuer.clone()).or_default().insert(revocation.clone()) {
            self.note(
                Code::RevocationTwice,
                span,
                "the same is revoked twice",
                "remove one of the two entries",
            );
        }
        self.lists.entry(issuer).or_default().add(revocation);
    }

    /// What an entry revokes; `None` where it does not say so in one way.
    fn revocation(&mut self, entry: EntryFile, span: Range<usize>) -> Option<Revocation> {
        if let Some(reason) = entry.reason.filter(|reason| reason.get_ref().trim().is_empty()) {
            self.note(Code::RevocationValue, reason.span(), "`reason` is empty", "say why, or leave it out");
        }
        let cutoff =
            entry.not_before.as_ref().map_or(Cutoff::Always, |moment| Cutoff::Before(moment.get_ref().0));
        match (entry.sub, entry.client, entry.jti) {
            (Some(sub), None, None) => Some(Revocation::Subject { sub: self.named("sub", sub), cutoff }),
            (None, Some(client), None) => {
                Some(Revocation::Client { client: self.named("client", client), cutoff })
            }
            (None, None, Some(jti)) => {
                if let Some(not_before) = entry.not_before {
                    let message = "`not_before` does not go with `jti`, which names one token";
                    self.note(Code::RevocationEntry, not_before.span(), message, "leave it out");
                }
                Some(Revocation::Token { jti: self.named("jti", jti) })
            }
            (None, None, None) => {
                let message = "the entry does not say what is revoked";
                self.note(Code::RevocationEntry, span, message, "write one of sub, client and jti");
                None
            }
            (Some(_), _, _) | (None, Some(_), Some(_)) => {
                let message = "the entry says more than one thing that is revoked";
                self.note(Code::RevocationEntry, span, message, "write one of sub, client and jti");
                None
            }
        }
    }

    /// The text by which tokens are found; one that no token can have would revoke nothing.
    fn named(&mut self, key: &str, value: Spanned<String>) -> String {
        if !is_identifier(value.get_ref()) {
            let shown: String = value.get_ref().chars().take(64).collect();
            let message = format!("`{}` is the `{key}` of no token", shown.escape_debug());
            self.note(
                Code::RevocationValue,
                value.span(),
                message,
                "write 1 to 255 characters without control characters",
            );
        }
        value.into_inner()
    }

    fn note(&mut self, code: Code, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let span = self.start + span.start..self.start + span.end;
        self.notes.push(Note { code, span, message: message.into(), help: help.into() });
    }
}

/// The first names of those that there are.
fn there_are(known: &HashSet<&str>) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<&str> = known.iter().copied().collect();
    names.sort_unstable();
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => format!("there are {shown}"),
        more => format!("there are {shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::Timestamp;

    /// The deny list of `staff` in a file; what was found otherwise.
    fn staff(text: &str) -> Result<Arc<RevocationList>, String> {
        let mut files = SourceFiles::default();
        files.insert(REVOCATIONS, text);
        let mut findings = Findings::new(&files);
        let known = HashSet::from(["staff", "partner"]);
        let mut lists = load(&files, Some(&known), &mut findings);
        findings.finish(lists.remove("staff")).map_err(|errors| errors.to_string())
    }

    /// An entry that takes as many bytes as fill a part with a few of them.
    fn long_entry(jti: usize) -> String {
        format!("[[revoke]]\nissuer = \"staff\"\njti = \"{jti}\"\nreason = \"{}\"\n", "é".repeat(10_000))
    }

    #[test]
    fn a_long_file_says_the_same_in_parts() {
        let entries: String = (0..40).map(long_entry).collect();
        let has_all = |text: &str| {
            let list = staff(text)?;
            assert!((0..40).all(|jti| list.covers(&Revocation::Token { jti: jti.to_string() })));
            Ok::<usize, String>(list.len())
        };
        for head in ["", "# Revoked.\n", "\n\n# a\n# [[revoke]]\n"] {
            let text = format!("{head}{entries}");
            let parts = parts(&text).unwrap();
            assert!(parts.len() > 8 && parts.concat() == text && parts[0] == head, "{head:?}");
            assert_eq!(has_all(&text), Ok(40));
            assert_eq!(has_all(&text.replace('\n', "\r\n")), Ok(40));
        }
        // Another spelling of the header is no place to cut, and a text of several lines no place for an entry.
        assert_eq!(has_all(&entries.replace("[[revoke]]", "[[ revoke ]]")), Ok(40));
        let in_a_text = format!(
            "[[revoke]]\njti = \"a\"\nissuer = \"staff\"\nreason = \"\"\"\n{}\"\"\"\n",
            "x\n[[revoke]]\n".repeat(20_000)
        );
        assert_eq!(has_all(&format!("{in_a_text}{entries}")), Ok(41));
        assert_eq!(has_all(&format!("{entries}{in_a_text}")), Ok(41));
    }

    #[test]
    fn a_long_file_is_wrong_where_it_is_wrong() {
        let entries: String = (0..40).map(long_entry).collect();
        for (head, tail, expected) in [
            (
                "",
                "[[revoke]]\nissuer = \"stuff\"\njti = \"b\"\n",
                "162:10: CG0701: no issuer is named `stuff` (there are partner, staff)",
            ),
            (
                "# ü\n",
                "[[revoke]]\njti = \"7\"\nissuer = \"staff\"\n",
                "162:1: CG0702: the same is revoked twice (remove one of the two entries)",
            ),
            (
                "",
                "[[revoke]]\nissuer = \"staff\"\nsubject = \"b\"\n",
                "163:1: CG0005: unknown field `subject`, expected one of `issuer`, `sub`, `client`, `jti`, `not_before`, `reason`",
            ),
            ("revoke = []\n", "", "2:3: CG0005: duplicate key"),
            ("revoked = []\n", "", "1:1: CG0005: unknown field `revoked`, expected `revoke`"),
            ("", "[revoke]\n", "161:2: CG0005: duplicate key"),
            (
                "",
                "[[revoke]]\nreason = \"\"\"\n",
                "163:1: CG0005: invalid multi-line basic string, expected `\"`",
            ),
        ] {
            let error = staff(&format!("{head}{entries}{tail}")).unwrap_err();
            assert_eq!(error, format!("{REVOCATIONS}:{expected}"));
        }
    }

    #[test]
    fn an_entry_is_appended_behind_what_is_there() {
        let entry = RevocationEntry {
            issuer: "staff".to_owned(),
            revocation: Revocation::Subject {
                sub: "ann".to_owned(),
                cutoff: Cutoff::Before(Timestamp::from_unix_seconds(1_795_262_400)),
            },
            reason: Some("lost \"laptop\" \\ café".to_owned()),
        };
        let written = "[[revoke]]\nissuer = \"staff\"\nsub = \"ann\"\nnot_before = 2026-11-21T12:00:00Z\n\
                       reason = 'lost \"laptop\" \\ café'\n";
        assert_eq!(entry.to_toml().unwrap(), written);
        let head = "# Tokens that are refused before they expire; see cedar-gate help revoke.\n";
        let in_lines_of_another_system = format!("# x\r\n\r\n{}", written.replace('\n', "\r\n"));
        for (file, expected) in [
            (None, format!("{head}\n{written}")),
            (Some(""), written.to_owned()),
            (Some("# x"), format!("# x\n\n{written}")),
            (Some("# x\n"), format!("# x\n\n{written}")),
            (Some("# x\r\n"), in_lines_of_another_system),
        ] {
            let appended = entry.append_to(file).unwrap();
            assert_eq!(appended, expected);
            assert!(staff(&appended).unwrap().covers(&entry.revocation));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

        /// Whatever a subject is called and whatever the reason says: what is appended is read as it was meant, and what
        /// was there stays.
        #[test]
        fn what_is_appended_is_read_as_it_was_meant(
            name in "\\PC{1,40}",
            reason in proptest::option::of(any::<String>()),
            millis in 0_i64..253_402_000_000_000,
            kind in 0..4,
            line_end in proptest::sample::select(vec!["\n", "\r\n"]),
        ) {
            let before = |millis| Cutoff::Before(Timestamp::from_unix_millis(millis));
            let revocation = match kind {
                0 => Revocation::Subject { sub: name.clone(), cutoff: Cutoff::Always },
                1 => Revocation::Subject { sub: name.clone(), cutoff: before(millis) },
                2 => Revocation::Client { client: name.clone(), cutoff: before(millis) },
                _ => Revocation::Token { jti: name.clone() },
            };
            let reason = reason.filter(|reason| !reason.trim().is_empty());
            let entry = RevocationEntry { issuer: "staff".to_owned(), revocation, reason };
            let there = ["# kept", "[[revoke]]", "issuer = \"partner\"", "jti = \"t\" # kept"].join(line_end);
            let file = entry.append_to(Some(&there)).unwrap();
            prop_assert!(file.starts_with(&there));
            let list = staff(&file).map_err(TestCaseError::fail)?;
            prop_assert!(list.covers(&entry.revocation), "{file}");
            let more = [
                Revocation::Subject { sub: name.clone(), cutoff: before(millis + 1) },
                Revocation::Client { client: name, cutoff: before(millis + 1) },
            ];
            prop_assert_eq!(more.iter().any(|more| list.covers(more)), kind == 0, "{}", file);
        }
    }
}
