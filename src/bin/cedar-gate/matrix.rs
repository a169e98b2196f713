//! `matrix`: who may do what, in one table.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cedar_gate::bundle::Bundle;
use cedar_gate::tools::desk::Desk;
use cedar_gate::tools::glob;
use cedar_gate::tools::matrix::{self, Cell, Facts, Matrix, May};
use cedar_gate::tools::people::{Held, Person, named_tenants};
use cedar_gate::tools::unified;
use comfy_table::{Cell as Field, CellAlignment, Color, LineStyle, Table, TableStyle};
use owo_colors::OwoColorize;
use serde::Serialize;

use crate::Format as Common;
use crate::shell::{self, Answer, Failure, Readers};

/// The form of `--format json`.
const SCHEMA: &str = "cedar-gate/matrix/1";

/// Where the matrix that is reviewed stands in a bundle.
const GOLDEN: &str = "tests/policies/matrix.md";

/// The widest table that is drawn; a wider one is written as a list.
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
    /// Roles to show: a name, or a pattern with `*`. Can be repeated; `none` and `all` are those without a role, and with
    /// every one.
    #[arg(long = "role", value_name = "GLOB")]
    roles: Vec<String>,
    /// Operations to show: by name, path or tag, or a pattern with `*`. Can be repeated.
    #[arg(long = "route", value_name = "GLOB")]
    routes: Vec<String>,
    /// How it is written, beyond text and json: for a review, a spreadsheet, a browser.
    #[arg(long = "as", value_name = "FORM", value_enum)]
    form: Option<Form>,
    /// Compare with the matrix that was reviewed, and show what differs.
    #[arg(long, conflicts_with_all = ["write", "form", "roles", "routes"])]
    check: bool,
    /// Write the matrix that is reviewed.
    #[arg(long, conflicts_with_all = ["form", "roles", "routes"])]
    write: bool,
    /// Where the matrix that is reviewed stands. Without it, tests/policies/matrix.md in the bundle.
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
}
