//! A matrix in writing: Markdown for a review, CSV for a spreadsheet, lines for a terminal.

use crate::bundle::source::SourceFiles;
use crate::route::Operation;

use super::super::desk::Desk;
use super::{Cell, Matrix, May};

/// What the matrix is about, for its heading.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    /// The stage that was asked.
    pub desk: &'f Desk<'f>,
    /// The bundle's files.
    pub files: &'f SourceFiles,
}

/// What a person wants to know of a policy that decides a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFacts<'f> {
    /// Its id.
    pub id: String,
    /// `permit` or `forbid`.
    pub effect: &'static str,
    /// The file it stands in.
    pub file: &'f str,
    /// The line, from 1.
    pub line: usize,
    /// Its text as it was written.
    pub text: &'f str,
    /// What it says of itself.
    pub description: Option<String>,
}

impl<'f> Facts<'f> {
    /// The policies of the version, sorted by their ids.
    #[must_use]
    pub fn policies(&self) -> Vec<PolicyFacts<'f>> {
        let version = self.desk.version();
        let mut policies: Vec<PolicyFacts<'f>> = version
            .policies()
            .policies()
            .filter_map(|policy| {
                let id = policy.id().to_string();
                let note = version.note(&id)?;
                let text = self.files.text(&note.file)?.get(note.span.clone())?;
                Some(PolicyFacts {
                    effect: match policy.effect() {
                        cedar_policy::Effect::Permit => "permit",
                        cedar_policy::Effect::Forbid => "forbid",
                    },
                    id,
                    file: &note.file,
                    line: note.line,
                    text,
                    description: policy.annotation("description").map(str::to_owned),
                })
            })
            .collect();
        policies.sort_by(|one, other| one.id.cmp(&other.id));
        policies
    }

    fn operation(&self, row: &super::Row) -> Option<&'f Operation> {
        self.desk.bundle().routes().operation(row.operation)
    }
}

/// A line of a matrix: an operation, some people, what they may, and by which policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The operation's name.
    pub operation: String,
    /// Who; empty where nobody may.
    pub who: String,
    /// What they may.
    pub may: String,
    /// The policies that decide it.
    pub policies: Vec<String>,
}

/// The matrix line by line: for each operation those who may, always first, then under each condition. Whoever is not
/// named is denied; an operation that nobody may call has a line that says so.
#[must_use]
pub fn lines(matrix: &Matrix, facts: Facts<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    for row in matrix.rows() {
        let Some(operation) = facts.operation(row) else { continue };
        // Cells that say the same and come of different policies are one line.
        let mut said: Vec<(String, Vec<usize>, Vec<String>)> = Vec::new();
        let mut denying: Vec<String> = Vec::new();
        for (cell, people) in row.shared() {
            let policies = cell.deciding().into_iter().map(str::to_owned);
            if cell.may == May::Never {
                denying.extend(policies);
                continue;
            }
            let may = cell.may.to_string();
            let index = said.iter().position(|(known, _, _)| *known == may).unwrap_or_else(|| {
                said.push((may, Vec::new(), Vec::new()));
                said.len() - 1
            });
            if let Some((_, everyone, by)) = said.get_mut(index) {
                everyone.extend(people);
                by.extend(policies);
            }
        }
        let line = |who: String, may: String, mut policies: Vec<String>| {
            policies.sort_unstable();
            policies.dedup();
            Line { operation: operation.name().to_owned(), who, may, policies }
        };
        if said.is_empty() {
            lines.push(line(String::new(), May::Never.to_string(), denying));
            continue;
        }
        said.sort_by(|(one, ..), (other, ..)| (one != "allow", one).cmp(&(other != "allow", other)));
        for (may, mut people, policies) in said {
            people.sort_unstable();
            lines.push(line(matrix.who(&people), may, policies));
        }
    }
    lines
}

/// Markdown for a review: a table with one line for each answer, so that a changed right is a changed line.
#[must_use]
pub fn markdown(matrix: &Matrix, facts: Facts<'_>) -> String {
    let desk = facts.desk;
    let mut text = format!(
        "# Who may do what\n\nVersion {} of the policies, stage {} of API {}. Written by `cedar-gate matrix --write`; \
         `cedar-gate matrix --check`\nfails where it is out of step, and the difference is the access review.\n\nWho is \
         not listed for an operation is denied. A role is held alone, with what it includes; *every role* is all of\nthem \
         together.\n\n| operation | who | may | by |\n|---|---|---|---|\n",
        code(&desk.version().name),
        code(desk.stage()),
        code(&desk.api().name),
    );
    for line in lines(matrix, facts) {
        let who = match line.who.is_empty() {
            true => "*nobody*".to_owned(),
            false => plain(&line.who),
        };
        let may = match line.may.as_str() {
            "allow" => "allow".to_owned(),
            "deny" => "deny".to_owned(),
            condition => code(condition),
        };
        let by: Vec<String> = line.policies.iter().map(|policy| code(policy)).collect();
        text += &format!("| {} | {who} | {may} | {} |\n", code(&line.operation), by.join(", "));
    }
    text
}

/// A text as a code span in a table.
#[must_use]
pub fn code(text: &str) -> String {
    let longest = text.split(|char| char != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    format!("{fence}{space}{text}{space}{fence}")
}

/// A text in a table, which no mark-up can come out of.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' => plain.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' | '#' => plain.extend(['\\', char]),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '&' => plain.push_str("&amp;"),
            char => plain.push(char),
        }
    }
    plain
}

/// CSV (RFC 4180) for a spreadsheet: one line a cell.
#[must_use]
pub fn csv(matrix: &Matrix, facts: Facts<'_>) -> String {
    let desk = facts.desk;
    let mut text = record(&[
        "api",
        "stage",
        "version",
        "operation",
        "verb",
        "route",
        "tags",
        "principal",
        "roles",
        "tenant",
        "may",
        "condition",
        "policies",
    ]);
    for row in matrix.rows() {
        let Some(operation) = facts.operation(row) else { continue };
        for (person, cell) in matrix.people().iter().zip(row.cells()) {
            text += &record(&[
                &desk.api().name,
                desk.stage(),
                &desk.version().name,
                operation.name(),
                operation.verb().map_or("", |verb| verb.as_str()),
                operation.template().as_str(),
                &operation.tags().join(" "),
                person.type_name(),
                person.roles.as_str(),
                person.tenant.as_deref().unwrap_or_default(),
                cell.may.word(),
                &condition(cell),
                &cell.deciding().join(" "),
            ]);
        }
    }
    text
}

fn condition(cell: &Cell) -> String {
    match &cell.may {
        May::Always | May::Never => String::new(),
        May::If(terms) => terms.to_string(),
    }
}

fn record(fields: &[&str]) -> String {
    let fields: Vec<String> = fields.iter().map(|text| field(text)).collect();
    fields.join(",") + "\r\n"
}

/// A field. A spreadsheet would take one that begins like a formula for one, so it is marked as a text.
fn field(text: &str) -> String {
    let mark = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    let text = format!("{mark}{text}");
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_out_of_a_field_or_a_span() {
        assert_eq!(field("=1+1"), "'=1+1");
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(code("a || b"), "`a \\|\\| b`");
        assert_eq!(code("a`b"), "`` a`b ``");
        assert_eq!(plain("<b>_x_|"), "&lt;b&gt;\\_x\\_\\|");
    }
}
