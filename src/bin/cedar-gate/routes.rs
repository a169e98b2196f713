//! `routes`: the route table, and the schema that is generated from it.

use std::path::Path;

use cedar_gate::bundle::{self, ROUTES_SCHEMA};
use cedar_gate::route::Operation;
use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::Format;
use crate::shell::{self, Answer, Failure, Readers};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the schema of the operations, one Cedar action each, or write schema/routes.cedarschema.
    #[command(
        after_help = "Example, after each change of schema/routes.toml:\n  cedar-gate routes schema --write"
    )]
    Schema {
        /// Write schema/routes.cedarschema instead of printing.
        #[arg(long)]
        write: bool,
    },
    /// List the operations: Cedar action, route, path parameters, tags.
    #[command(after_help = "Example:\n  cedar-gate routes list")]
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
        Command::Schema { write: false } => match format {
            Format::Text => shell::print(&routes.cedarschema())?,
            Format::Json => shell::print_json(
                "cedar-gate/routes-schema/1",
                &serde_json::json!({ "cedarschema": routes.cedarschema() }),
            )?,
        },
        Command::Schema { write: true } => {
            let path = root.join(ROUTES_SCHEMA);
            let text = routes.cedarschema();
            if files.text(ROUTES_SCHEMA) == Some(&text) {
                shell::talk(&format!("{} is up to date", path.display()));
                return Ok(Answer::Yes);
            }
            shell::write_whole(&path, &text, Readers::All)
                .map_err(|error| Failure::Message(format!("cannot write `{}`: {error}", path.display())))?;
            shell::talk(&format!("wrote {}", path.display()));
        }
        Command::List => list(routes.operations(), format)?,
    }
    Ok(Answer::Yes)
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
        return shell::print_json("cedar-gate/routes-list/1", &serde_json::json!({ "operations": reports }));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["action", "route", "parameters", "tags"]);
    for report in &reports {
        table.add_row([report.action, &report.route, &report.params.join(" "), &report.tags.join(" ")]);
    }
    shell::print(&format!("{}\n", table.trim_fmt()))
}
