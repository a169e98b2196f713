//! `routes`: the route table, and the schema that is generated from it.

use std::fs;
use std::path::Path;

use cedar_gate::bundle::{self, ROUTES_SCHEMA};
use cedar_gate::route::Operation;
use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::Format;
use crate::shell::{self, Answer, Failure};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The schema of the operations: one Cedar action each. Prints it, or writes schema/routes.cedarschema.
    Schema {
        /// Write schema/routes.cedarschema instead of printing.
        #[arg(long)]
        write: bool,
    },
    /// The operations: Cedar action, path parameters, tags.
    List,
}

#[derive(Serialize)]
struct OperationReport<'a> {
    action: &'a str,
    group: &'a str,
    route: String,
    params: Vec<&'a str>,
    tags: &'a [String],
}

pub(crate) fn run(root: &Path, format: Format, command: &Command) -> Result<Answer, Failure> {
    let files = shell::read_files(root)?;
    let routes = bundle::load_route_table(&files)
        .map_err(|errors| Failure::Bundle(Box::new((errors, files.clone()))))?;
    match command {
        Command::Schema { write: false } => shell::print(&routes.cedarschema())?,
        Command::Schema { write: true } => {
            let path = root.join(ROUTES_SCHEMA);
            let text = routes.cedarschema();
            if files.text(ROUTES_SCHEMA) == Some(&text) {
                shell::talk(&format!("{} is up to date", path.display()));
                return Ok(Answer::Yes);
            }
            write_whole(&path, &text)
                .map_err(|error| Failure::Message(format!("cannot write {}: {error}", path.display())))?;
            shell::talk(&format!("wrote {}", path.display()));
        }
        Command::List => list(routes.operations(), format)?,
    }
    Ok(Answer::Yes)
}

/// Writes beside the file and renames, so that a reader never meets half a file.
#[expect(clippy::disallowed_methods, reason = "the command line is where files are written")]
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("cedarschema.new");
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

fn list(operations: &[Operation], format: Format) -> Result<(), Failure> {
    let reports: Vec<OperationReport<'_>> = operations
        .iter()
        .map(|operation| OperationReport {
            action: operation.name(),
            group: operation.action_group(),
            route: operation.template().to_string(),
            params: operation.param_names().collect(),
            tags: operation.tags(),
        })
        .collect();
    if format == Format::Json {
        return shell::print_json(&reports);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["action", "route", "parameters", "tags"]);
    for report in &reports {
        table.add_row([report.action, &report.route, &report.params.join(" "), &report.tags.join(" ")]);
    }
    shell::print(&format!("{table}\n"))
}
