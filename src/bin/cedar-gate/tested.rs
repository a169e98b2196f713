//! The principals of the tests, for commands that show what they may do.

use std::fs;
use std::path::Path;

use cedar_gate::bundle::Bundle;
use cedar_gate::time::Timestamp;
use cedar_gate::tools::suite::{self, NamedPrincipal, PRINCIPALS};

use crate::shell::{self, Failure};

/// The principals that `tests/policies/principals.toml` declares, each with what the authorizer makes of its claims; none
/// where there is no such file.
#[expect(clippy::disallowed_methods, reason = "the command line is where files are read")]
pub(crate) fn principals(
    bundle: &Bundle,
    root: &Path,
    now: Timestamp,
) -> Result<Vec<NamedPrincipal>, Failure> {
    let mut files = shell::read_files(root)?;
    match fs::read(root.join(PRINCIPALS)) {
        Ok(bytes) => files.insert(PRINCIPALS, bytes),
        Err(_) => return Ok(Vec::new()),
    }
    suite::principals(bundle, &files, now).map_err(|errors| {
        shell::talk(shell::snippets(&errors.errors, &files).trim_end());
        Failure::Message(format!("{PRINCIPALS} cannot be used"))
    })
}
