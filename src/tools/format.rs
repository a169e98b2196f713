//! Policies in one form: Cedar's own formatter, and what it must not lose.

use cedar_policy_formatter::{Config, policies_str_to_pretty};
use similar::TextDiff;

use crate::bundle::finding::Code;
use crate::bundle::nesting::{self, Syntax};

/// The widest line, in characters, where what stands in it can be broken.
pub const LINE_WIDTH: usize = 100;
/// The spaces of one step to the right.
const INDENT: isize = 2;

/// Why a text is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It cannot be parsed.
    #[error("{0}; {code} says where: cedar-gate check", code = Code::PolicySyntax.number())]
    Syntax(String),
    /// It nests too deep to be parsed.
    #[error("{0}")]
    TooDeep(String),
    /// The formatter would lose a comment: a defect of it.
    #[error("the comment `{0}` would be lost: put it on a line of its own, before a policy or a condition")]
    Comment(String),
}

/// The text in the one form. What the policies mean is the same, and each comment is still there.
///
/// # Errors
/// [`FormatError`]: then the text stays as it is.
pub fn policies(text: &str) -> Result<String, FormatError> {
    nesting::check(text, Syntax::Policies).map_err(|error| FormatError::TooDeep(error.to_string()))?;
    let comments = comments(text);
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    let config = Config { line_width: LINE_WIDTH, indent_width: INDENT };
    // The formatter compares the policies before and after it, and refuses where they differ.
    let pretty = policies_str_to_pretty(text, &config);
    let pretty = pretty.map_err(|error| FormatError::Syntax(one_line(&error.to_string())))?;
    let mut kept = self::comments(&pretty);
    for comment in comments {
        match kept.iter().position(|kept| *kept == comment) {
            Some(at) => drop(kept.remove(at)),
            None => return Err(FormatError::Comment(comment)),
        }
    }
    Ok(pretty)
}

/// What formatting changes, as a unified diff; empty where it changes nothing.
#[must_use]
pub fn diff(file: &str, before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    let diff = TextDiff::from_lines(before, after);
    diff.unified_diff().context_radius(2).header(&format!("a/{file}"), &format!("b/{file}")).to_string()
}

/// The texts of the comments, in order.
fn comments(text: &str) -> Vec<String> {
    let tokens = nesting::tokens(text).filter(|token| token.starts_with("//"));
    tokens.map(|token| token.trim().to_owned()).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formatted_text_stays_as_it_is() {
        let text = "@id(\"a\") permit(principal,action,resource)when{context.path==\"/x\"&&principal has sub};// why\n";
        let once = policies(text).unwrap();
        assert_eq!(policies(&once).unwrap(), once);
        assert!(once.contains("// why"), "{once}");
    }

    #[test]
    fn what_cannot_be_parsed_is_left_alone() {
        let error = policies("permit (principal, action);").unwrap_err();
        assert!(matches!(error, FormatError::Syntax(_)), "{error}");
        let error = policies(&format!("permit (principal, action, resource) when {{ {}", "(".repeat(500)))
            .unwrap_err();
        assert_eq!(error.to_string(), "more than 100 brackets and `if`s stand in each other");
    }

    #[test]
    fn no_comment_is_lost_wherever_it_stands() {
        let text = "// first\n@id(\"a\") // of the id\npermit ( // of the scope\n  principal, // of the principal\n  action,\n  resource // of the resource\n) // after\nwhen { // in\n  true // of the condition\n}; // end\n// last\n";
        match policies(text) {
            Ok(pretty) => assert_eq!(comments(&pretty).len(), comments(text).len(), "{pretty}"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_difference_is_shown_with_its_lines() {
        assert_eq!(diff("a.cedar", "a\nb\n", "a\nb\n"), "");
        assert_eq!(
            diff("a.cedar", "a\nb\n", "a\nc\n"),
            "--- a/a.cedar\n+++ b/a.cedar\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
        );
    }
}
