//! `versions`: which versions of the policies there are, which one decides where, and how to change that.

use std::collections::BTreeMap;
use std::path::Path;

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::policies::PolicyVersion;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::bundle::versions::PATH;
use cedar_gate::tools::versions_file::{Change, Changed, Place, change};
use owo_colors::OwoColorize;
use serde::Serialize;

use crate::Format;
use crate::shell::{self, Answer, Failure, Readers};

/// The form of `versions --format json`.
const LIST_SCHEMA: &str = "cedar-gate/versions/1";

/// The form of `versions activate` and `versions shadow`.
const CHANGE_SCHEMA: &str = "cedar-gate/versions-change/1";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

const HELP: &str = "\
A version is a folder policies/<version> with .cedar files and roles.toml. policies/versions.toml
says which one decides, by API and stage; rolling back is changing one line there. A shadow is
evaluated beside the active version, changes no answer, and leaves a line in the log where the two
disagree.

The digest is over a version's policies and roles. Decision records, this list and
$context.authorizer.policyDigest have the same one.

Exit codes: 0 listed or changed, 2 there is no such version, API or stage, or the bundle does not
hold together.

Examples:
  cedar-gate versions
  cp -r policies/v1 policies/v2                         # a candidate, to be edited
  cedar-gate versions shadow v2                         # beside the default, everywhere
  cedar-gate versions activate v2 --api orders-rest --stage prod
  cedar-gate versions activate v1 --api orders-rest --stage prod    # and back
  cedar-gate versions shadow --off";

#[derive(clap::Subcommand)]
enum Command {
    /// Let a version decide: wherever no stage is named, or in one stage.
    #[command(after_help = "\
Changes one line of policies/versions.toml and nothing else in it. What would not hold together is
not written. A shadow that is activated is no shadow any more.

Example:
  cedar-gate versions activate v2 --api orders-rest --stage prod")]
    Activate {
        /// The version: a folder of policies/.
        #[arg(value_name = "VERSION")]
        version: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Have a version evaluated beside the active one, or none.
    #[command(after_help = "\
Changes one line of policies/versions.toml and nothing else in it. What would not hold together is
not written.

Examples:
  cedar-gate versions shadow v2 --api orders-rest --stage prod
  cedar-gate versions shadow --off --api orders-rest --stage prod")]
    Shadow {
        /// The version: a folder of policies/.
        #[arg(value_name = "VERSION", required_unless_present = "off", conflicts_with = "off")]
        version: Option<String>,
        /// No version is evaluated beside the active one.
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

#[derive(clap::Args)]
struct PlaceArgs {
    /// The API, as schema/authorizer.toml names it; without it, wherever no stage is named.
    #[arg(long, value_name = "NAME", requires = "stage")]
    api: Option<String>,
    /// The stage of that API.
    #[arg(long, value_name = "STAGE", requires = "api")]
    stage: Option<String>,
}

impl PlaceArgs {
    fn place(&self) -> Place<'_> {
        match (&self.api, &self.stage) {
            (Some(api), Some(stage)) => Place::Stage { api, stage },
            (None, _) | (_, None) => Place::Default,
        }
    }

    /// The place as a person names it.
    fn in_words(&self) -> String {
        match self.place() {
            Place::Default => "the default".to_owned(),
            Place::Stage { api, stage } => format!("stage {stage} of {api}"),
        }
    }

    /// The options that name it.
    fn as_options(&self) -> String {
        match self.place() {
            Place::Default => String::new(),
            Place::Stage { api, stage } => format!(" --api {api} --stage '{stage}'"),
        }
    }
}

#[derive(Serialize)]
struct VersionReport<'a> {
    version: &'a str,
    digest: &'a str,
    policies: usize,
    roles: usize,
    /// Whether it decides wherever no stage is named.
    default: bool,
    active: Vec<StageReport<'a>>,
    shadow: Vec<StageReport<'a>>,
    /// Another version with the same policies and roles.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_as: Option<&'a str>,
}

#[derive(Clone, Copy, Serialize)]
struct StageReport<'a> {
    api: &'a str,
    stage: &'a str,
}

#[derive(Serialize)]
struct ChangeReport<'a> {
    changed: bool,
    api: Option<&'a str>,
    stage: Option<&'a str>,
    was: Option<&'a str>,
    now: Option<&'a str>,
    shadow_removed: bool,
}

pub(crate) fn run(root: &Path, format: Format, args: &Args) -> Result<Answer, Failure> {
    match &args.command {
        None => list(&shell::load_bundle(root)?, format),
        Some(Command::Activate { version, place }) => edit(root, format, place, Change::Activate(version)),
        Some(Command::Shadow { version, off: _, place }) => {
            edit(root, format, place, Change::Shadow(version.as_deref()))
        }
    }
}

fn list(bundle: &Bundle, format: Format) -> Result<Answer, Failure> {
    let reports = reports(bundle);
    if format == Format::Json {
        let document = serde_json::json!({ "bundle": bundle.digest(), "versions": reports });
        shell::print_json(LIST_SCHEMA, &document)?;
        return Ok(Answer::Yes);
    }
    let text: String = reports.iter().map(as_text).collect();
    shell::print(&text)?;
    Ok(Answer::Yes)
}

fn reports(bundle: &Bundle) -> Vec<VersionReport<'_>> {
    let stages: Vec<StageReport<'_>> = bundle
        .deployment()
        .apis
        .iter()
        .flat_map(|api| api.stage_names().map(|stage| StageReport { api: &api.name, stage }))
        .collect();
    let mut first_of: BTreeMap<&str, &str> = BTreeMap::new();
    let versions = bundle.versions();
    let report = |version| {
        let version: &PolicyVersion = version;
        let is = |named: Option<&str>| named == Some(version.name.as_str());
        let of = |named: &dyn Fn(&StageReport<'_>) -> bool| {
            stages.iter().filter(|stage| named(stage)).copied().collect()
        };
        VersionReport {
            version: &version.name,
            digest: &version.digest,
            policies: version.policies().num_of_policies(),
            roles: version.roles.names().count(),
            default: is(versions.default()),
            active: of(&|stage| is(versions.active(stage.api, stage.stage))),
            shadow: of(&|stage| is(versions.shadow(stage.api, stage.stage))),
            same_as: None,
        }
    };
    let mut reports: Vec<VersionReport<'_>> = bundle.policy_versions().map(report).collect();
    for report in &mut reports {
        report.same_as = first_of.get(report.digest).copied();
        first_of.entry(report.digest).or_insert(report.version);
    }
    reports
}

fn as_text(report: &VersionReport<'_>) -> String {
    let mut text = format!(
        "{}  {}\n  {}, {}",
        report.version.bold(),
        report.digest,
        shell::count(report.policies, "policy"),
        shell::count(report.roles, "role")
    );
    if let Some(other) = report.same_as {
        text.push_str(&format!("; the same as {other}"));
    }
    text.push('\n');
    let stages = |stages: &[StageReport<'_>]| {
        let stages: Vec<String> =
            stages.iter().map(|stage| format!("{} {}", stage.api, stage.stage)).collect();
        stages.join(", ")
    };
    let default = if report.default { " (the default)" } else { "" };
    match report.active.as_slice() {
        [] => text.push_str(&format!("  active nowhere{default}\n")),
        active => text.push_str(&format!("  active in {}{default}\n", stages(active))),
    }
    if !report.shadow.is_empty() {
        text.push_str(&format!("  shadow in {}\n", stages(&report.shadow)));
    }
    text
}

fn edit(root: &Path, format: Format, place: &PlaceArgs, with: Change<'_>) -> Result<Answer, Failure> {
    let _held = shell::lock_folder(&root.join("policies"));
    let files = shell::read_files(root)?;
    let text = files
        .text(PATH)
        .ok_or_else(|| Failure::Message(format!("no {PATH} in the bundle: write default = \"v1\" there")))?;
    check_version(&files, with)?;
    let changed = change(text, place.place(), with).map_err(|error| Failure::Message(error.to_string()))?;
    let mut files_then = files.clone();
    files_then.insert(PATH, changed.text.clone());
    let then = Bundle::load(&files_then).map_err(|errors| {
        Failure::Message(format!("{PATH} is not changed, because of what it would be:\n{errors}"))
    })?;
    let has_changed = changed.text != text;
    if has_changed {
        let path = root.join(PATH);
        shell::write_through(&path, &changed.text, Readers::All)
            .map_err(|error| Failure::Message(format!("cannot write `{}`: {error}", path.display())))?;
    }
    match format {
        Format::Json => shell::print_json(
            CHANGE_SCHEMA,
            &ChangeReport {
                changed: has_changed,
                api: place.api.as_deref(),
                stage: place.stage.as_deref(),
                was: changed.was.as_deref(),
                now: match with {
                    Change::Activate(version) => Some(version),
                    Change::Shadow(version) => version,
                },
                shadow_removed: changed.promoted,
            },
        )?,
        Format::Text => shell::talk(&said(place, with, &changed, has_changed, &then)),
    }
    Ok(Answer::Yes)
}

/// A version that is not there is named with those that are.
fn check_version(files: &SourceFiles, with: Change<'_>) -> Result<(), Failure> {
    let versions: Vec<&str> = files.versions().collect();
    match with {
        Change::Activate(version) | Change::Shadow(Some(version)) if !versions.contains(&version) => {
            let known = versions.join(", ");
            Err(Failure::Message(format!("no version `{version}` in policies/: there are {known}")))
        }
        Change::Activate(_) | Change::Shadow(_) => Ok(()),
    }
}

fn said(place: &PlaceArgs, with: Change<'_>, changed: &Changed, has_changed: bool, then: &Bundle) -> String {
    let (where_, options) = (place.in_words(), place.as_options());
    if !has_changed {
        return format!("{PATH} says so already: nothing is changed");
    }
    let mut text = match (with, &changed.was) {
        (Change::Activate(version), Some(was)) => format!("{where_}: {version} decides, and no longer {was}"),
        (Change::Activate(version), None) => format!("{where_}: {version} decides"),
        (Change::Shadow(Some(version)), _) => {
            format!("{where_}: {version} is evaluated beside the active version")
        }
        (Change::Shadow(None), _) => format!("{where_}: no version is evaluated beside the active one"),
    };
    if changed.promoted {
        text.push_str(", and is no shadow any more");
    }
    let back = match (with, &changed.was) {
        (Change::Activate(_), Some(was)) => Some(format!("activate {was}")),
        (Change::Activate(_), None) => None,
        (Change::Shadow(_), Some(was)) => Some(format!("shadow {was}")),
        (Change::Shadow(Some(_)), None) => Some("shadow --off".to_owned()),
        (Change::Shadow(None), None) => None,
    };
    if let Some(back) = back {
        text.push_str(&format!("\n  back: cedar-gate versions {back}{options}"));
    }
    if place.place() == Place::Default {
        let stages = then.deployment().apis.iter().flat_map(|api| {
            api.stage_names()
                .filter(|stage| then.versions().names(&api.name, stage))
                .map(|stage| format!("{} {stage}", api.name))
        });
        let named: Vec<String> = stages.collect();
        if !named.is_empty() {
            text.push_str(&format!("\n  the file names {} itself: nothing changes there", named.join(", ")));
        }
    }
    text.push_str("\n  it takes effect with the next release of the bundle");
    text
}
