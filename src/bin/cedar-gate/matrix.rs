//! `matrix`: who may do what.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cedar_gate::bundle::Bundle;
use cedar_gate::entities::Principal;
use cedar_gate::grants::{Glob, GlobPart};
use cedar_gate::route::{Operation, OperationId};
use cedar_gate::time::Timestamp;
use cedar_gate::tools::desk::Desk;
use cedar_gate::tools::matrix::{Cell, Facts, Matrix, May, Part, csv, lines, markdown, page};
use cedar_gate::tools::people::{Held, Person, named_tenants};
use comfy_table::{CellAlignment, Color, LineStyle, Table, TableStyle};
use owo_colors::OwoColorize;
use serde::Serialize;
use similar::TextDiff;

use crate::format::{FormatName, Known};
use crate::shell::{self, Answer, Failure, Readers};
use crate::tested;

/// The form of `--format json`.
const SCHEMA: &str = "cedar-gate/matrix/1";

/// Where the matrix that was reviewed stands, in a bundle.
const GOLDEN: &str = "tests/policies/matrix.md";

/// The widest table that is drawn; what would be wider is listed.
const MOST_COLUMNS: usize = 12;

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The API, as schema/authorizer.toml names it. Without it, the first.
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// The API's stage. Without it, the first.
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// The version of the policies. Without it, the one that is active in the stage.
    #[arg(long, value_name = "NAME")]
    policy_version: Option<String>,
    /// A role to show, or a pattern with `*`; `none` is without a role, `all` with every one. Repeatable.
    #[arg(long = "role", value_name = "GLOB")]
    roles: Vec<String>,
    /// Operations to show: a name, path or tag, or a pattern with `*`. Repeatable.
    #[arg(long = "route", value_name = "GLOB")]
    routes: Vec<String>,
    /// Show the principals of tests/policies/principals.toml instead, each with its own claims.
    #[arg(long, conflicts_with = "roles")]
    principals: bool,
    /// The moment at which their tokens are verified: RFC 3339, or seconds since the epoch. Without it, the clock.
    #[arg(long, value_name = "TIME", requires = "principals")]
    now: Option<Timestamp>,
    /// Compare with the matrix that was reviewed, and show what differs.
    #[arg(long, conflicts_with_all = ["write", "roles", "routes", "principals"])]
    check: bool,
    /// Write the matrix that is to be reviewed.
    #[arg(long, conflicts_with_all = ["roles", "routes", "principals"])]
    write: bool,
    /// Where the reviewed matrix stands. Without it, tests/policies/matrix.md in the bundle.
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
}

const HELP: &str = "\
Asks, for each operation of the route table, what the policies say to a User and to a Client
without a role, with each role alone (and what it includes), and with every role; where policies
name tenants, to each of these in that tenant too. A cell is allow, deny, or the condition that
is left when that much is known: Cedar that you could paste into a policy. Who has two roles of
three is none of them: --principals shows those of your tests instead, whose roles, tenant and
claims are known.

Formats: text (a table; a list where it would be wider than 12 columns), markdown, csv (a line a
cell), json, html: one page that needs nothing else, with a filter; a click on a cell shows the
policies behind it.

The reviewed matrix stands in tests/policies/matrix.md. --check says in what the policies grant
something else now: a difference is an access change that nobody has looked at.

Exit codes: 0 shown, written, or in step; 1 out of step with the reviewed matrix; 2 could not
answer.

Examples:
  cedar-gate matrix
  cedar-gate matrix --role clerk --route '/orders*'
  cedar-gate matrix --principals
  cedar-gate matrix --format html > matrix.html
  cedar-gate matrix --check                     # in CI: the difference is the access review
  cedar-gate matrix --write && git diff tests/policies/matrix.md";

/// The forms of a matrix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
    Markdown,
    Csv,
    Html,
}

impl Known for Form {
    const ALL: &'static [(FormatName, Self)] = &[
        (FormatName::Text, Self::Text),
        (FormatName::Json, Self::Json),
        (FormatName::Markdown, Self::Markdown),
        (FormatName::Csv, Self::Csv),
        (FormatName::Html, Self::Html),
    ];
}

pub(crate) fn run(root: &Path, form: Form, args: &Args) -> Result<Answer, Failure> {
    let files = shell::read_files(root)?;
    let bundle = match Bundle::load(&files) {
        Ok(bundle) => bundle,
        Err(errors) => return Err(Failure::Bundle(Box::new((errors, files)))),
    };
    let desk = Desk::new(&bundle, args.api.as_deref(), args.stage.as_deref(), args.policy_version.as_deref());
    let desk = desk.map_err(|error| Failure::Message(error.to_string()))?;
    let facts = Facts { desk: &desk, files: &files };
    let matrix = matrix(&desk, root, args)?;
    if args.check || args.write {
        let golden = args.golden.clone().unwrap_or_else(|| root.join(GOLDEN));
        let text = markdown(&matrix, facts);
        return match args.check {
            true => check(&golden, &text, form),
            false => write(&golden, &text),
        };
    }
    match form {
        Form::Text => shell::print(&as_text(&matrix, facts))?,
        Form::Json => shell::print_json(SCHEMA, &Report::new(&matrix, facts))?,
        Form::Markdown => shell::print_bytes(markdown(&matrix, facts).as_bytes())?,
        Form::Csv => shell::print_bytes(csv(&matrix, facts).as_bytes())?,
        Form::Html => shell::print_bytes(page(&matrix, facts).as_bytes())?,
    }
    Ok(Answer::Yes)
}

fn matrix(desk: &Desk<'_>, root: &Path, args: &Args) -> Result<Matrix, Failure> {
    let people = Person::all(desk.version().roles.names(), named_tenants(desk.version()));
    let roles = globs(&args.roles, "role", "policies/<version>/roles.toml has them", &|glob| {
        people.iter().any(|person| is_role(glob, person))
    })?;
    let routes = globs(&args.routes, "operation", "run: cedar-gate routes list", &|glob| {
        desk.operations().iter().any(|operation| is_route(glob, operation))
    })?;
    let is_asked = |id: OperationId| {
        let operation = desk.operations().get(id.index());
        routes.is_empty()
            || operation.is_some_and(|operation| routes.iter().any(|glob| is_route(glob, operation)))
    };
    let matrix = match args.principals {
        true => Matrix::of_principals(desk, principals(desk, root, args.now)?, &is_asked),
        false => Matrix::new(desk, people.clone(), &is_asked),
    };
    let matrix = matrix.map_err(|error| Failure::Message(error.to_string()))?;
    let is_shown = |person: &Person| roles.is_empty() || roles.iter().any(|glob| is_role(glob, person));
    Ok(matrix.of_people(&is_shown))
}

/// The patterns, each of which must fit something: a name that exists nowhere would be a matrix that says nothing.
fn globs(
    patterns: &[String],
    what: &str,
    where_they_are: &str,
    fits: &dyn Fn(&Glob) -> bool,
) -> Result<Vec<Glob>, Failure> {
    let glob = |pattern: &String| {
        let glob = Glob::new(pattern.chars().map(|char| match char {
            '*' => GlobPart::Any,
            char => GlobPart::Char(char),
        }));
        let none = || Failure::Message(format!("no {what} fits `{pattern}`; {where_they_are}"));
        fits(&glob).then_some(glob).ok_or_else(none)
    };
    patterns.iter().map(glob).collect()
}

fn is_role(glob: &Glob, person: &Person) -> bool {
    match &person.roles {
        Held::Nothing => glob.matches("none"),
        Held::One(role) => glob.matches(role),
        Held::Everything => glob.matches("all"),
        Held::Together { name, .. } | Held::Named { name, .. } => glob.matches(name),
    }
}

/// The principals of the tests, as the authorizer would know them; who is not believed is told of.
fn principals(
    desk: &Desk<'_>,
    root: &Path,
    now: Option<Timestamp>,
) -> Result<Vec<(Person, Principal)>, Failure> {
    let now = now.map_or_else(shell::now, Ok)?;
    let mut principals = Vec::new();
    for (name, verified) in tested::principals(desk.bundle(), root, now)? {
        let claims = match verified {
            Ok(claims) => claims,
            Err(error) => {
                shell::talk(&format!("{name} may nothing, its token is refused: {error}"));
                continue;
            }
        };
        let entity = desk.factory().principal(&claims);
        let entity = entity.map_err(|error| Failure::Message(format!("principal `{name}`: {error}")))?;
        let roles = Held::Named { name, roles: claims.roles().to_vec() };
        let tenant = claims.tenant().map(str::to_owned);
        principals.push((Person { kind: claims.kind(), roles, tenant }, entity));
    }
    match principals.is_empty() {
        false => Ok(principals),
        true => Err(Failure::Message(
            "no principal to show: tests/policies/principals.toml declares none whose token is believed"
                .to_owned(),
        )),
    }
}

fn is_route(glob: &Glob, operation: &Operation) -> bool {
    let template = operation.template().as_str();
    glob.matches(operation.name())
        || glob.matches(template)
        || glob.matches(&format!("{} {template}", operation.action_group()))
        || operation.tags().iter().any(|tag| glob.matches(tag))
}

/// Whether the reviewed matrix is the one that the policies make.
#[expect(clippy::disallowed_methods, reason = "the command line is where files are read")]
fn check(golden: &Path, text: &str, form: Form) -> Result<Answer, Failure> {
    let reviewed = match fs::read_to_string(golden) {
        Ok(reviewed) => reviewed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let path = golden.display();
            return Err(Failure::Message(format!(
                "no reviewed matrix stands at `{path}`; to write it, run: cedar-gate matrix --write"
            )));
        }
        Err(error) => {
            return Err(Failure::Message(format!("cannot read `{}`: {error}", golden.display())));
        }
    };
    // Git may have written the lines with the ends of another system.
    let reviewed = reviewed.replace("\r\n", "\n");
    let in_step = reviewed == text;
    let diff = TextDiff::from_lines(&reviewed, text);
    let diff = diff.unified_diff().header("reviewed", "granted by the policies").to_string();
    let file = golden.display().to_string();
    match form {
        Form::Json => {
            let checked = Checked { in_step, golden: &file, diff: &diff };
            shell::print_json("cedar-gate/matrix-check/1", &checked)?;
        }
        Form::Text | Form::Markdown | Form::Csv | Form::Html => shell::print(&coloured(&diff))?,
    }
    match in_step {
        true => {
            shell::talk(&format!("{} {file} says what the policies grant", "ok:".green().bold()));
            Ok(Answer::Yes)
        }
        false => {
            shell::talk(&format!(
                "{} the policies grant something else than {file} says; if that is right, run: cedar-gate matrix --write",
                "failed:".red().bold()
            ));
            Ok(Answer::No)
        }
    }
}

fn coloured(diff: &str) -> String {
    let line = |line: &str| match line.as_bytes().first() {
        Some(b'+') => format!("{}\n", line.green()),
        Some(b'-') => format!("{}\n", line.red()),
        _ => format!("{line}\n"),
    };
    shell::printable(diff).lines().map(line).collect()
}

#[expect(clippy::disallowed_methods, reason = "the command line is where files are read and written")]
fn write(golden: &Path, text: &str) -> Result<Answer, Failure> {
    let path = golden.display();
    if fs::read_to_string(golden).is_ok_and(|written| written == text) {
        shell::talk(&format!("{path} is as it was"));
        return Ok(Answer::Yes);
    }
    let made = golden.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| shell::write_through(golden, text, Readers::All))
        .map_err(|error| Failure::Message(format!("cannot write `{path}`: {error}")))?;
    shell::talk(&format!("wrote {path}: its difference is the access review"));
    Ok(Answer::Yes)
}

#[derive(Serialize)]
struct Checked<'a> {
    in_step: bool,
    golden: &'a str,
    diff: &'a str,
}

/// What `matrix --format json` prints.
#[derive(Serialize)]
struct Report<'a> {
    bundle: &'a str,
    api: &'a str,
    stage: &'a str,
    version: &'a str,
    principals: Vec<PersonReport<'a>>,
    operations: Vec<RowReport<'a>>,
    policies: Vec<PolicyReport<'a>>,
}

#[derive(Serialize)]
struct PersonReport<'a> {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    /// The roles that are held alone: none, one, or every one.
    roles: Vec<&'a str>,
    tenant: Option<&'a str>,
}

#[derive(Serialize)]
struct RowReport<'a> {
    operation: &'a str,
    route: &'a str,
    tags: &'a [String],
    cells: Vec<CellReport<'a>>,
}

#[derive(Serialize)]
struct CellReport<'a> {
    /// `allow`, `deny` or `if`.
    may: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unless: Option<String>,
    /// By their indices in `principals`.
    principals: Vec<usize>,
    deciding: Vec<&'a str>,
    permits: Vec<PartReport<'a>>,
    forbids: Vec<PartReport<'a>>,
}

#[derive(Serialize)]
struct PartReport<'a> {
    policy: &'a str,
    condition: String,
}

#[derive(Serialize)]
struct PolicyReport<'a> {
    id: String,
    effect: &'static str,
    file: &'a str,
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl<'a> Report<'a> {
    fn new(matrix: &'a Matrix, facts: Facts<'a>) -> Self {
        let desk = facts.desk;
        let row = |row: &'a cedar_gate::tools::matrix::Row| {
            let operation = desk.bundle().routes().operation(row.operation)?;
            Some(RowReport {
                operation: operation.name(),
                route: operation.template().as_str(),
                tags: operation.tags(),
                cells: row.shared().map(|(cell, people)| CellReport::new(cell, people)).collect(),
            })
        };
        let policies = facts.policies().into_iter().map(|policy| PolicyReport {
            id: policy.id,
            effect: policy.effect,
            file: policy.file,
            line: policy.line,
            description: policy.description,
        });
        Self {
            bundle: desk.bundle().digest(),
            api: &desk.api().name,
            stage: desk.stage(),
            version: &desk.version().name,
            principals: matrix.people().iter().map(|person| PersonReport::new(person, desk)).collect(),
            operations: matrix.rows().iter().filter_map(row).collect(),
            policies: policies.collect(),
        }
    }
}

impl<'a> PersonReport<'a> {
    fn new(person: &'a Person, desk: &'a Desk<'_>) -> Self {
        Self {
            name: person.to_string(),
            kind: person.type_name(),
            roles: person.named_roles(&desk.version().roles),
            tenant: person.tenant.as_deref(),
        }
    }
}

impl<'a> CellReport<'a> {
    fn new(cell: &'a Cell, principals: Vec<usize>) -> Self {
        let (when, unless) = match &cell.may {
            May::Always | May::Never => (None, None),
            May::If(terms) => (Some(terms.when.to_string()), Some(terms.unless.to_string())),
        };
        Self {
            may: cell.may.word(),
            when: when.filter(|when| when != "true"),
            unless: unless.filter(|unless| unless != "false"),
            principals,
            deciding: cell.deciding(),
            permits: cell.permits.iter().map(PartReport::from).collect(),
            forbids: cell.forbids.iter().map(PartReport::from).collect(),
        }
    }
}

impl<'a> From<&'a Part> for PartReport<'a> {
    fn from(part: &'a Part) -> Self {
        Self { policy: &part.policy, condition: part.condition.to_string() }
    }
}

/// A table of operations and of people whom no cell tells apart; a list where that is too wide.
fn as_text(matrix: &Matrix, facts: Facts<'_>) -> String {
    let groups = matrix.groups();
    let desk = facts.desk;
    let about = format!(
        "version {} in stage {} of API {}: who is not named is denied\n",
        desk.version().name,
        desk.stage(),
        desk.api().name
    );
    if groups.len() > MOST_COLUMNS {
        return about + &listed(matrix, facts);
    }
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    let head = |group: &Vec<usize>| {
        let who = matrix.who(group).replace("; ", "\n").replace(" (", "\n(");
        comfy_table::Cell::new(wrapped(&who)).set_alignment(CellAlignment::Center)
    };
    table.set_header(std::iter::once(comfy_table::Cell::new("")).chain(groups.iter().map(head)));
    let mut conditions: Vec<String> = Vec::new();
    for row in matrix.rows() {
        let Some(operation) = desk.bundle().routes().operation(row.operation) else { continue };
        let cell = |group: &Vec<usize>| {
            let cell = group.first().and_then(|person| row.cell(*person));
            let field = match cell.map(|cell| &cell.may) {
                Some(May::Always) => comfy_table::Cell::new("allow").fg(Color::Green),
                Some(May::If(terms)) => {
                    let text = terms.to_string();
                    let number = conditions.iter().position(|known| *known == text).unwrap_or_else(|| {
                        conditions.push(text);
                        conditions.len() - 1
                    });
                    comfy_table::Cell::new(format!("({})", number + 1)).fg(Color::Yellow)
                }
                Some(May::Never) | None => comfy_table::Cell::new("·").fg(Color::DarkGrey),
            };
            field.set_alignment(CellAlignment::Center)
        };
        let cells: Vec<comfy_table::Cell> = groups.iter().map(cell).collect();
        table.add_row(std::iter::once(comfy_table::Cell::new(operation.name())).chain(cells));
    }
    let conditions = conditions.iter().enumerate();
    let conditions: String =
        conditions.map(|(index, text)| format!("({}) {}\n", index + 1, shell::printable(text))).collect();
    format!("{about}{}\n{conditions}", table.trim_fmt())
}

/// Names one below the other, so that a column is no wider than the longest.
fn wrapped(who: &str) -> String {
    who.replace(", ", ",\n")
}

fn listed(matrix: &Matrix, facts: Facts<'_>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    table.set_header(["operation", "who", "by", "may"]);
    for line in lines(matrix, facts) {
        let who = if line.who.is_empty() { "nobody".to_owned() } else { line.who };
        // A condition is as long as it is, so it stands last.
        let fields = [line.operation, who, line.policies.join(", "), line.may];
        table.add_row(fields.map(|field| shell::printable(&field)));
    }
    format!("{}\n", table.trim_fmt())
}
