//! A matrix as one page of HTML that needs nothing else: it works without a network, under a content security policy that
//! allows its own script and style alone, on paper, with a keyboard, and, but for the filter, without a script.
//!
//! What the policies say is text in it and never mark-up: the table is escaped here, and the script puts into the page what
//! it has to show as text.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::super::people::{Held, Person};
use super::written::{Facts, PolicyFacts};
use super::{Cell, Matrix, May, Part, Row};

const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

/// The page.
#[must_use]
pub fn page(matrix: &Matrix, facts: Facts<'_>) -> String {
    let desk = facts.desk;
    let title = format!("{} in stage {} of API {}", desk.version().name, desk.stage(), desk.api().name);
    let policies = facts.policies();
    let groups = groups(matrix.people());
    let mut out = String::new();
    _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src '{}'; style-src '{}'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Who may do what: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n",
        hash(SCRIPT),
        hash(STYLE),
        escaped(&title)
    );
    _ = write!(
        out,
        "<h1>Who may do what</h1>\n<p>Version <code>{}</code> of the policies, stage <code>{}</code> of API \
         <code>{}</code>.</p>\n<p class=\"quiet\">Bundle <code>{}</code></p>\n\
         <p>A role is held alone, with what it includes. <b>yes</b>: always allowed; <b>if</b>: under the condition of \
         that number below; <b>no</b>: denied.</p>\n",
        escaped(&desk.version().name),
        escaped(desk.stage()),
        escaped(&desk.api().name),
        escaped(desk.bundle().digest()),
    );
    controls(matrix.people(), &groups, &mut out);
    let conditions = table(matrix, facts, &groups, &mut out);
    if !conditions.is_empty() {
        out += "<h2>Conditions</h2>\n<ol>\n";
        for condition in &conditions {
            _ = writeln!(out, "<li><code>{}</code></li>", escaped(condition));
        }
        out += "</ol>\n";
    }
    out += "<h2>Policies</h2>\n";
    for policy in &policies {
        _ = writeln!(
            out,
            "<details><summary><b>{}</b> {} <span class=\"quiet\">{}:{}</span></summary>{}<pre>{}</pre></details>",
            escaped(&policy.id),
            policy.effect,
            escaped(policy.file),
            policy.line,
            policy.description.as_ref().map(|text| format!("<p>{}</p>", escaped(text))).unwrap_or_default(),
            escaped(policy.text)
        );
    }
    let data = serde_json::to_string(&Data::new(matrix, facts, &groups, &policies)).unwrap_or_default();
    _ = write!(
        out,
        "</main>\n<dialog id=\"cell\" aria-labelledby=\"cell-title\"><button class=\"close\" id=\"close\" \
         type=\"button\">Close</button><h2 id=\"cell-title\"></h2><div id=\"cell-body\"></div></dialog>\n\
         <script type=\"application/json\" id=\"data\">{}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        // In a data block only `</script` and `<!--` mean something (HTML, "Restrictions for contents of script elements").
        data.replace('<', "\\u003c")
    );
    out
}

fn hash(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    format!("sha256-{}", STANDARD.encode(digest))
}

/// The headings over the columns, each over those of one type and tenant; with the index of each person's.
fn groups(people: &[Person]) -> Vec<(String, usize)> {
    let mut groups: Vec<(String, usize)> = Vec::new();
    for person in people {
        let name = group_name(person);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, width)) => *width += 1,
            None => groups.push((name, 1)),
        }
    }
    groups
}

fn group_name(person: &Person) -> String {
    match (&person.roles, &person.tenant) {
        (Held::Named { .. }, _) => "Principals of the tests".to_owned(),
        (_, None) => person.type_name().to_owned(),
        (_, Some(tenant)) => format!("{} of {tenant}", person.type_name()),
    }
}

fn controls(people: &[Person], groups: &[(String, usize)], out: &mut String) {
    out.push_str(
        "<form class=\"controls\" hidden><label for=\"search\">Find operations, tags, policies, conditions\
         <input type=\"search\" id=\"search\" autocomplete=\"off\"></label>\n\
         <label for=\"role\">Role<select id=\"role\"><option value=\"\">all of them</option>",
    );
    let mut roles: Vec<&Held> = Vec::new();
    for person in people {
        if !roles.contains(&&person.roles) {
            roles.push(&person.roles);
            let name = escaped(person.roles.as_str());
            _ = write!(out, "<option value=\"{name}\">{name}</option>");
        }
    }
    out.push_str("</select></label>\n<fieldset><legend>Columns</legend>");
    for (name, _) in groups {
        let name = escaped(name);
        _ = write!(out, "<label><input type=\"checkbox\" name=\"group\" checked> {name}</label>");
    }
    out.push_str(
        "</fieldset></form>\n<p class=\"hint quiet\" hidden><span id=\"shown\" role=\"status\"></span>. \
         A cell opens what is behind it; the arrow keys lead from cell to cell.</p>\n",
    );
}

/// Writes the table; gives the conditions that its cells refer to.
fn table(matrix: &Matrix, facts: Facts<'_>, groups: &[(String, usize)], out: &mut String) -> Vec<String> {
    out.push_str(
        "<div class=\"frame\" tabindex=\"0\" role=\"region\" aria-label=\"The matrix\"><table id=\"matrix\">\n<thead><tr>\
         <th class=\"corner\" rowspan=\"2\" scope=\"col\">operation</th>",
    );
    for (name, width) in groups {
        _ = write!(out, "<th scope=\"colgroup\" colspan=\"{width}\">{}</th>", escaped(name));
    }
    out.push_str("</tr>\n<tr>");
    for person in matrix.people() {
        _ = write!(out, "<th scope=\"col\">{}</th>", escaped(person.roles.as_str()));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    let mut conditions: Vec<String> = Vec::new();
    let mut index = 0;
    for row in matrix.rows() {
        let Some(operation) = facts.desk.bundle().routes().operation(row.operation) else { continue };
        let words: Vec<(&str, String)> =
            row.different().iter().map(|cell| in_a_word(cell, &mut conditions)).collect();
        _ = write!(out, "<tr data-row=\"{index}\"><th scope=\"row\">{}</th>", escaped(operation.name()));
        for person in 0..matrix.people().len() {
            let Some((class, word)) = row.index(person).and_then(|cell| words.get(cell)) else { continue };
            _ = write!(out, "<td class=\"{class}\"><button type=\"button\">{word}</button></td>");
        }
        out.push_str("</tr>\n");
        index += 1;
    }
    out.push_str("</tbody></table></div>\n");
    conditions
}

/// A cell's class and what stands in it.
fn in_a_word(cell: &Cell, conditions: &mut Vec<String>) -> (&'static str, String) {
    match &cell.may {
        May::Always => ("a", "yes".to_owned()),
        May::Never => ("d", "no".to_owned()),
        May::If(terms) => {
            let text = terms.to_string();
            let number = conditions.iter().position(|known| *known == text).unwrap_or_else(|| {
                conditions.push(text);
                conditions.len() - 1
            });
            ("i", format!("if {}", number + 1))
        }
    }
}

/// What the script shows of a cell.
#[derive(Serialize)]
struct Data<'d> {
    people: Vec<PersonData<'d>>,
    rows: Vec<RowData<'d>>,
    policies: Vec<PolicyData<'d>>,
}

#[derive(Serialize)]
struct PersonData<'d> {
    name: String,
    roles: &'d str,
    group: usize,
}

#[derive(Serialize)]
struct RowData<'d> {
    operation: &'d str,
    route: &'d str,
    tags: &'d [String],
    cells: Vec<CellData<'d>>,
    of: Vec<usize>,
}

#[derive(Serialize)]
struct CellData<'d> {
    may: &'static str,
    text: String,
    permits: Vec<PartData<'d>>,
    forbids: Vec<PartData<'d>>,
}

#[derive(Serialize)]
struct PartData<'d> {
    policy: &'d str,
    condition: String,
}

#[derive(Serialize)]
struct PolicyData<'d> {
    id: &'d str,
    effect: &'static str,
    file: &'d str,
    line: usize,
    text: String,
    description: Option<String>,
}

impl<'d> Data<'d> {
    fn new(
        matrix: &'d Matrix,
        facts: Facts<'d>,
        groups: &[(String, usize)],
        policies: &'d [PolicyFacts<'d>],
    ) -> Self {
        let person = |person: &'d Person| {
            let name = group_name(person);
            let group = groups.iter().position(|(known, _)| *known == name).unwrap_or_default();
            PersonData { name: person.to_string(), roles: person.roles.as_str(), group }
        };
        let row = |row: &'d Row| {
            let operation = facts.desk.bundle().routes().operation(row.operation)?;
            Some(RowData {
                operation: operation.name(),
                route: operation.template().as_str(),
                tags: operation.tags(),
                cells: row.different().iter().map(CellData::from).collect(),
                of: (0..matrix.people().len()).filter_map(|person| row.index(person)).collect(),
            })
        };
        let policy = |policy: &'d PolicyFacts<'d>| PolicyData {
            id: &policy.id,
            effect: policy.effect,
            file: policy.file,
            line: policy.line,
            text: shown(policy.text),
            description: policy.description.as_deref().map(shown),
        };
        Self {
            people: matrix.people().iter().map(person).collect(),
            rows: matrix.rows().iter().filter_map(row).collect(),
            policies: policies.iter().map(policy).collect(),
        }
    }
}

impl<'d> From<&'d Cell> for CellData<'d> {
    fn from(cell: &'d Cell) -> Self {
        let part = |part: &'d Part| PartData { policy: &part.policy, condition: part.condition.to_string() };
        Self {
            may: cell.may.word(),
            text: cell.may.to_string(),
            permits: cell.permits.iter().map(part).collect(),
            forbids: cell.forbids.iter().map(part).collect(),
        }
    }
}

/// The text without what would change the order in which it is read.
fn shown(text: &str) -> String {
    let replaced = |char: char| match char {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
            '\u{fffd}'
        }
        '\n' | '\t' => char,
        char if char.is_control() => '\u{fffd}',
        char => char,
    };
    text.chars().map(replaced).collect()
}

/// The text as HTML, between tags and in quoted attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in shown(text).chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    escaped
}
