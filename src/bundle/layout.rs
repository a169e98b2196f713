//! Which files a bundle is made of. A file that its author believes to be read and that nothing reads would be the worst
//! of mistakes: a `forbid` in a folder too deep would allow what it forbids.

use super::finding::{Code, Findings};
use super::source::SourceFiles;

const HELP: &str = "a bundle has policies/versions.toml, policies/<version>/*.cedar and roles.toml there, policies/issuers/*.toml, \
     policies/revocations.toml, \
     and schema/ with gateway.cedarschema, routes.toml, routes.cedarschema and authorizer.toml: move it, or begin its name with a dot";

/// Notes every file of Cedar or TOML that has no place in a bundle, and every file whose bytes are not what they look
/// like. Whether there was text to read at all: where there was not, what follows from it is not worth saying.
pub(super) fn check(files: &SourceFiles, findings: &mut Findings<'_>) -> Option<()> {
    for path in files.paths().filter(|path| !has_a_place(path)) {
        findings.note(Code::FileUnread, path, None, "nothing reads this file", HELP.to_owned());
    }
    let before = findings.len();
    for path in files.paths() {
        match files.text(path) {
            None => findings.note(Code::NotText, path, None, "the file is not UTF-8 text", None),
            Some(text) if text.starts_with('\u{feff}') => {
                let help = "save it as UTF-8 without one";
                findings.note(
                    Code::ByteOrderMark,
                    path,
                    None,
                    "the file begins with a byte order mark",
                    help.to_owned(),
                );
            }
            Some(_) => {}
        }
    }
    (findings.len() == before).then_some(())
}

/// Whether a file stands where it is read. JSON is not judged: an issuer names its key file, and other JSON says nothing.
fn has_a_place(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["policies", "versions.toml" | "revocations.toml"]
        | ["schema", "gateway.cedarschema" | "routes.cedarschema" | "routes.toml" | "authorizer.toml"] => {
            true
        }
        ["policies", "issuers", file] => file.ends_with(".toml") || file.ends_with(".json"),
        ["policies", _version, file] => {
            *file == "roles.toml" || file.ends_with(".cedar") || file.ends_with(".json")
        }
        [.., file] => file.ends_with(".json"),
        [] => false,
    }
}
