//! `plan`: what a change grants and what it takes away.

mod report;
pub(crate) mod revision;

use std::path::Path;

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::tools::plan::{Effort, Plan, Side, Verdict};
use clap::ValueEnum;
use owo_colors::OwoColorize;

use crate::format::{FormatName, Known};
use crate::shell::{self, Answer, Failure};
use crate::tested;

use self::report::{Report, markdown, text};

/// The form of `--format json`.
const SCHEMA: &str = "cedar-gate/plan/1";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// What is now: a version of the policies, a folder with a bundle, or a git revision.
    old: String,
    /// What is to be: the same kinds. Without it, the bundle as it stands.
    new: Option<String>,
    /// Fail where somebody may do more than before, or where anything changes.
    #[arg(long, value_name = "WHAT", value_enum)]
    fail_on: Option<FailOn>,
    /// The most requests that are tried where conditions make an exact comparison impossible.
    #[arg(long, value_name = "NUMBER", default_value_t = Effort::DEFAULT.each, value_parser = at_least_one)]
    cases: usize,
}

const HELP: &str = "\
OLD and NEW are looked for in this order: a version of the policies in the bundle (v1), a folder
with policies/ and schema/ in it, whatever `git rev-parse` knows. `git:REV` is a revision in any
case, and ./NAME a folder. A revision is read from git's store; the working tree stays as it is.
Of a folder or a revision the version counts that is active in each stage.

First what was written: policies by their @id (layout, comments and order do not count), roles,
operations, issuers. Then what it makes of access, for the same people as in `cedar-gate
matrix`: each operation that some may do more with, then less, with the condition before and
after, and a request that both sides were asked. allow to deny and deny to allow are exact.
Where conditions differ in more than their order, requests are made of the values that they
name and decided by both sides; what is found is certain, that nothing is found is no proof, and
the plan says how many cells that concerns. Roles that a policy of either side names together,
or a principal of tests/policies/principals.toml holds together, are compared too, and shown
(`auditor + clerk`) where what each of them may do alone does not explain it.

The verdict is one of same, narrower, wider, both. An issuer whose file says something else
counts as both: whose tokens are believed is not compared.

Exit codes: 0 answered; 1 --fail-on is met (widen: wider or both; any: not the same, or
something changed that is not compared); 2 could not answer.

Examples:
  cedar-gate plan v1 v2
  cedar-gate plan main                          # a branch, against what stands here
  cedar-gate plan origin/main HEAD --fail-on widen
  cedar-gate plan ../released . --format markdown > plan.md";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Widen,
    Any,
}

/// The forms of a plan.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
    Markdown,
}

impl Known for Form {
    const ALL: &'static [(FormatName, Self)] = &[
        (FormatName::Text, Self::Text),
        (FormatName::Json, Self::Json),
        (FormatName::Markdown, Self::Markdown),
    ];
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number from 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// One side, read.
struct Read {
    name: String,
    bundle: Bundle,
    files: SourceFiles,
    version: Option<String>,
    /// The roles that principals of the tests hold together.
    held: Vec<Vec<String>>,
}

pub(crate) fn run(root: &Path, form: Form, args: &Args) -> Result<Answer, Failure> {
    let old = Read::new(root, &args.old)?;
    let new = match &args.new {
        Some(new) => Read::new(root, new)?,
        None => Read::here(root)?,
    };
    let effort = Effort { each: args.cases, all: Effort::DEFAULT.all.max(args.cases) };
    let plan = Plan::new(old.side(), new.side(), effort);
    let plan = plan.map_err(|error| Failure::Message(error.to_string()))?;
    let verdict = plan.verdict();
    let names = [old.name.as_str(), new.name.as_str()];
    match form {
        Form::Text => shell::print(&text(&plan, names))?,
        Form::Markdown => shell::print_bytes(markdown(&plan, names).as_bytes())?,
        Form::Json => shell::print_json(SCHEMA, &Report::new(&plan, names))?,
    }
    let is_met = match args.fail_on {
        None => None,
        Some(FailOn::Widen) => verdict.widens().then_some("somebody may do more than before"),
        Some(FailOn::Any) => {
            (verdict != Verdict::Same || !plan.is_empty()).then_some("something has changed")
        }
    };
    let Some(why) = is_met else { return Ok(Answer::Yes) };
    shell::talk(&format!("{} {why} (--fail-on)", "failed:".red().bold()));
    Ok(Answer::No)
}

impl Read {
    fn new(root: &Path, name: &str) -> Result<Self, Failure> {
        if let Some(revision) = name.strip_prefix("git:") {
            return Self::revision(root, revision);
        }
        let here = shell::read_files(root);
        if let Ok(files) = &here
            && files.versions().any(|version| version == name)
        {
            let (bundle, files) = loaded(files.clone(), name)?;
            let (held, version) = (held(&bundle, root)?, Some(name.to_owned()));
            return Ok(Self { name: name.to_owned(), bundle, files, version, held });
        }
        let folder = Path::new(name);
        if folder.is_dir() || folder.is_file() {
            let (bundle, files) = loaded(shell::read_files(folder)?, name)?;
            let held = held(&bundle, folder)?;
            return Ok(Self { name: name.to_owned(), bundle, files, version: None, held });
        }
        if revision::is_known(root, name) {
            return Self::revision(root, name);
        }
        let versions = here.map_or_else(
            |_| "and there is no bundle here".to_owned(),
            |files| {
                let names: Vec<String> = files.versions().map(|name| format!("`{name}`")).collect();
                format!("the versions here are {}", names.join(", "))
            },
        );
        Err(Failure::Message(format!(
            "`{name}` is no version of the policies, no folder, and no git revision; {versions}"
        )))
    }

    /// The bundle as it stands.
    fn here(root: &Path) -> Result<Self, Failure> {
        let (bundle, files) = loaded(shell::read_files(root)?, &root.display().to_string())?;
        let held = held(&bundle, root)?;
        Ok(Self { name: "the files here".to_owned(), bundle, files, version: None, held })
    }

    fn revision(root: &Path, revision: &str) -> Result<Self, Failure> {
        let (bundle, files) = loaded(revision::read(root, revision)?, revision)?;
        Ok(Self { name: revision.to_owned(), bundle, files, version: None, held: Vec::new() })
    }

    fn side(&self) -> Side<'_> {
        let version = self.version.as_deref();
        Side { name: &self.name, bundle: &self.bundle, files: &self.files, version, held: &self.held }
    }
}

/// The roles that principals of the tests in a folder hold together. Tests that do not fit are no reason for no plan.
fn held(bundle: &Bundle, folder: &Path) -> Result<Vec<Vec<String>>, Failure> {
    let principals = tested::principals(bundle, folder, shell::now()?).unwrap_or_else(|failure| {
        shell::report(&failure);
        Vec::new()
    });
    let roles = principals.into_iter().filter_map(|(_, verified)| Some(verified.ok()?.roles().to_vec()));
    Ok(roles.filter(|roles| roles.len() > 1).collect())
}

fn loaded(files: SourceFiles, name: &str) -> Result<(Bundle, SourceFiles), Failure> {
    match Bundle::load(&files) {
        Ok(bundle) => Ok((bundle, files)),
        Err(errors) => {
            shell::talk(&format!("{} {name} does not hold together:", "error:".red().bold()));
            Err(Failure::Bundle(Box::new((errors, files))))
        }
    }
}
