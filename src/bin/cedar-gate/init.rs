//! `init`: the files of a new bundle.

use std::path::{Path, PathBuf};

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::tools::openapi::{self, Imported};
use cedar_gate::tools::scaffold::{FOR_EDITORS, NewApi, NewBundle, SOME_ROUTES, files, tests};

use crate::Format;
use crate::shell::{self, Answer, Failure, Readers};

/// The form of `--format json`.
const SCHEMA: &str = "cedar-gate/init/1";

/// The largest OpenAPI document that is read, in bytes.
const MAX_DOCUMENT: u64 = 32 * 1024 * 1024;

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The folder; it is made if it is not there.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// An OpenAPI 3 document, JSON or YAML, whose paths become the route table.
    #[arg(long, value_name = "FILE")]
    openapi: Option<String>,
    /// The kind of API.
    #[arg(long, value_enum, default_value_t = Kind::Rest)]
    kind: Kind,
    /// What the API is called here, in logs and policies.
    #[arg(long, value_name = "NAME", default_value = "my-api")]
    api: String,
    /// The account that owns it.
    #[arg(long, value_name = "ID", default_value = "123456789012")]
    account: String,
    /// Its id, as in https://<id>.execute-api.<region>.amazonaws.com.
    #[arg(long, value_name = "ID", default_value = "a1b2c3d4e5")]
    id: String,
    /// Its stage.
    #[arg(long, value_name = "STAGE", default_value = "prod")]
    stage: String,
}

/// The kind of API.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Rest,
    Http,
}

const HELP: &str = "\
Writes a small set of files that holds together: two roles, two policies, a development issuer, the
route table and its schema, the facts of the deployment, and tests of the policies; and JSON Schemas
with a .taplo.toml, by which editors complete them. Nothing that is there is overwritten.

From an OpenAPI document come the paths, methods, operationIds (as the actions' names) and tags;
what a route table cannot have is listed.

Exit codes: 0 written, 2 it could not be, or something is there already.

Examples:
  cedar-gate init
  cedar-gate init shop --openapi openapi.yaml --api shop --account 210987654321 --id k1l2m3n4o5
  cedar-gate init --kind http --stage '$default'";

pub(crate) fn run(format: Format, args: &Args) -> Result<Answer, Failure> {
    let imported = args.openapi.as_deref().map(import).transpose()?;
    let routes = imported.as_ref().map(|imported| openapi::to_routes_toml(&imported.routes));
    let new = NewBundle {
        api: &args.api,
        kind: match args.kind {
            Kind::Rest => NewApi::Rest,
            Kind::Http => NewApi::Http,
        },
        account: &args.account,
        id: &args.id,
        stage: &args.stage,
        routes: routes.as_deref().unwrap_or(SOME_ROUTES),
    };
    let mut files = files(&new).map_err(|error| Failure::Message(error.to_string()))?;
    let mut source = SourceFiles::default();
    files.iter().for_each(|(path, text)| source.insert(*path, text.as_str()));
    // What would not hold together is not written: a name or an id on the command line can be none.
    Bundle::load(&source).map_err(|errors| Failure::Bundle(Box::new((errors, source.clone()))))?;
    files.extend(tests(&new).map_err(|error| Failure::Message(error.to_string()))?);
    files.extend(FOR_EDITORS.map(|(path, text)| (path, text.to_owned())));
    let taken: Vec<&str> =
        files.iter().map(|(path, _)| *path).filter(|path| args.folder.join(path).exists()).collect();
    if !taken.is_empty() {
        let message = format!(
            "nothing is written, because `{}` has {} already",
            args.folder.display(),
            taken.join(", ")
        );
        return Err(Failure::Message(message));
    }
    for (path, text) in &files {
        write(&args.folder.join(path), text)?;
    }
    let skipped = imported.as_ref().map_or(&[][..], |imported| imported.skipped.as_slice());
    match format {
        Format::Json => {
            let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
            let report = serde_json::json!({ "folder": args.folder, "files": paths, "skipped": skipped });
            shell::print_json(SCHEMA, &report)?;
        }
        Format::Text => shell::talk(&said(args, &files, skipped)),
    }
    Ok(Answer::Yes)
}

fn import(path: &str) -> Result<Imported, Failure> {
    let bytes = shell::read_input(path, MAX_DOCUMENT)?;
    let text =
        String::from_utf8(bytes).map_err(|_| Failure::Message(format!("`{path}` is not UTF-8 text")))?;
    openapi::read(&text).map_err(|error| Failure::Message(format!("`{path}`: {error}")))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::Message(format!("cannot write `{}`: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    shell::write_whole(path, text, Readers::All).map_err(failed)
}

fn said(args: &Args, files: &[(&str, String)], skipped: &[String]) -> String {
    let folder = args.folder.display();
    let bundle = if args.folder == Path::new(".") { String::new() } else { format!(" --bundle {folder}") };
    let mut text = String::new();
    for (path, _) in files {
        text.push_str(&format!("wrote {}\n", args.folder.join(path).display()));
    }
    for skipped in skipped {
        text.push_str(&format!("not taken over: {}\n", shell::printable(skipped)));
    }
    text.push_str(&format!(
        "next:\n  \
         cedar-gate{bundle} check\n  \
         cedar-gate{bundle} test\n  \
         cedar-gate{bundle} routes list\n  \
         cedar-gate{bundle} token mint --issuer dev --sub alice --role reader\n  \
         make account, id and stages of [[api]] in schema/authorizer.toml your API's\n  \
         cedar-gate{bundle} issuer add --help     # trust your own issuer, and remove policies/issuers/dev.toml"
    ));
    text
}
