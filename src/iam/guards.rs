//! What a document with wildcards denies besides: paths that the authorizer refuses by themselves.
//!
//! A document in the cache answers for requests that the authorizer never sees. A path in another than the
//! [normal form](crate::path) would be refused; the document has to refuse it too, or `/orders//1` and `/orders/1/` would
//! pass by patterns that mean other paths.

use std::collections::BTreeSet;

/// Over the text `VERB/path`. None of them matches a path in normal form without `%`:
/// an empty segment; one at the end; `.` and `..`; what a server makes these of by dropping what follows a `;`; and
/// every percent-encoding, for `%61` is another spelling of `a`.
const GUARDS: [&str; 10] =
    ["*//*", "*/?*/", "*/./*", "*/../*", "*/.", "*/..", "*/;*", "*/.;*", "*/..;*", "*%*"];

/// IAM user guide, "Policy variables": the signs themselves.
const ESCAPED: [&str; 3] = ["*${*}*", "*${?}*", "*${$}*"];

/// The guards for a document. `characters` are those that no accepted path holds and that policies speak of.
pub(super) fn of(characters: &BTreeSet<char>, escapes: bool) -> Vec<String> {
    let escaped = if escapes { ESCAPED.as_slice() } else { &[] };
    // With escapes on, the signs have their guards already.
    let rest = characters.iter().filter(|char| !(escapes && matches!(char, '*' | '?' | '$')));
    let fixed = GUARDS.iter().chain(escaped).map(|guard| (*guard).to_owned());
    fixed.chain(rest.map(|char| format!("*{char}*"))).collect()
}
