//! What a document with wildcards denies besides: paths that the authorizer refuses by themselves.
//!
//! A document in the cache answers for requests that the authorizer never sees. A path in another than the
//! [normal form](crate::path) would be refused; the document has to refuse it too, or `/orders//1` and `/orders/1/` would
//! pass by patterns that mean other paths.

use std::collections::BTreeSet;

/// Over the text `VERB/path`. None of them matches a path in normal form without `%`:
/// an empty segment; one at the end; `.` and `..`; what a server makes these of by dropping what follows a `;`; and
/// every percent-encoding, for `%61` is another spelling of `a`; `\`, which some servers take for `/`; and `#`, where
/// some end the path.
const GUARDS: [&str; 12] =
    ["*//*", "*/?*/", "*/./*", "*/../*", "*/.", "*/..", "*/;*", "*/.;*", "*/..;*", "*%*", r"*\*", "*#*"];

/// IAM user guide, "Policy variables": the signs themselves.
const ESCAPED: [&str; 3] = ["*${*}*", "*${?}*", "*${$}*"];

/// The guards for a document. `characters` are those that no accepted path holds and that policies speak of.
pub(super) fn of(characters: &BTreeSet<char>, escapes: bool) -> Vec<String> {
    let escaped = if escapes { ESCAPED.as_slice() } else { &[] };
    // These have their guards already; the signs where escapes are on.
    let has_one = |char: &char| matches!(char, '\\' | '#') || escapes && matches!(char, '*' | '?' | '$');
    let rest = characters.iter().filter(|char| !has_one(char));
    let fixed = GUARDS.iter().chain(escaped).map(|guard| (*guard).to_owned());
    fixed.chain(rest.map(|char| format!("*{char}*"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::matches_pattern;
    use crate::path::{PathEncoding, PathError, RequestPath, reconcile};
    use proptest::prelude::*;

    fn is_guarded(path: &str) -> bool {
        of(&BTreeSet::new(), false).iter().any(|guard| matches_pattern(guard, &format!("GET{path}")))
    }

    #[test]
    fn characters_and_escapes_have_guards_of_their_own() {
        assert_eq!(of(&BTreeSet::from(['é', '$']), false).split_off(GUARDS.len()), ["*$*", "*é*"]);
        assert_eq!(
            of(&BTreeSet::from(['é', '$']), true).split_off(GUARDS.len()),
            ["*${*}*", "*${?}*", "*${$}*", "*é*"]
        );
    }

    proptest! {
        #[test]
        fn no_path_in_normal_form_is_guarded(path in "(/[a.;:b]{1,4}){1,4}|/") {
            if path.parse::<RequestPath>().is_ok() {
                prop_assert!(!is_guarded(&path));
            }
        }

        #[test]
        fn every_path_that_is_refused_for_its_segments_is_guarded(path in "(/[a.;%/\\\\#]{0,4}){1,5}") {
            let rest = path.strip_prefix('/').unwrap();
            let refused = |encoding| match reconcile(encoding, rest, None, &[]) {
                Ok(_) => path.contains('%'),
                Err(PathError::TooLong { .. }) => false,
                Err(_) => true,
            };
            for encoding in [PathEncoding::Raw, PathEncoding::Decoded] {
                prop_assert_eq!(refused(encoding), is_guarded(&path));
            }
        }
    }
}
