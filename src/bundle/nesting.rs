//! How deep the text of policies and schemas may nest. Cedar's parser calls itself for each bracket and each `else if`
//! without a limit: some thousand of them in each other overflow the stack, which ends the process and cannot be caught.

use std::ops::Range;

/// How many brackets and `if`s may stand in each other. Measured: one needs up to 55 KB of stack in a debug build, where
/// a main thread has 8 MB. A policy that a person can read has ten.
pub(crate) const MAX_NESTING: usize = 100;

/// Text that nests too deep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_NESTING} brackets and `if`s stand in each other")]
pub(crate) struct TooDeep {
    /// The bracket or `if` that is one too many.
    pub(crate) span: Range<usize>,
}

/// Whose text it is: in a schema `<` and `>` are brackets, too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    Policies,
    Schema,
}

/// Checks text in Cedar's syntax. What is no Cedar at all may pass: that is for the parser to say.
pub(crate) fn check(text: &str, syntax: Syntax) -> Result<(), TooDeep> {
    let mut depth = 0_usize;
    // How many `if`s each open bracket has in it; the first is the text around all brackets.
    let mut ifs = vec![0_usize];
    let mut rest = text;
    while let Some((token, after)) = next_token(rest) {
        let start = text.len() - rest.len();
        rest = after;
        match token {
            "<" | ">" if syntax == Syntax::Policies => {}
            "(" | "[" | "{" | "<" => {
                ifs.push(0);
                depth += 1;
            }
            ")" | "]" | "}" | ">" if ifs.len() > 1 => depth -= 1 + ifs.pop().unwrap_or_default(),
            ";" => depth -= ifs.last_mut().map(std::mem::take).unwrap_or_default(),
            // An `if` reaches as far as the bracket around it.
            "if" => {
                if let Some(ifs) = ifs.last_mut() {
                    *ifs += 1;
                }
                depth += 1;
            }
            _ => {}
        }
        if depth > MAX_NESTING {
            return Err(TooDeep { span: start..start + token.len() });
        }
    }
    Ok(())
}

/// The tokens of a text in Cedar's syntax, comments among them.
#[cfg(feature = "cli")]
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (token, after) = next_token(rest)?;
        rest = after;
        Some(token)
    })
}

/// The next token and what follows it: a word, a string, a comment, or one character. `None` at the end.
pub(crate) fn next_token(text: &str) -> Option<(&str, &str)> {
    let first = text.chars().next()?;
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let length = match first {
        '"' => string_length(text),
        // As Cedar has it, a carriage return ends a comment, too.
        '/' if text.starts_with("//") => text.find(['\n', '\r']).unwrap_or(text.len()),
        first if is_word(first) => text.find(|char| !is_word(char)).unwrap_or(text.len()),
        first => first.len_utf8(),
    };
    text.split_at_checked(length)
}

/// The byte from `from` on where something else than blanks and comments begins.
pub(crate) fn skip_trivia(text: &str, from: usize) -> usize {
    let mut rest = text.get(from..).unwrap_or_default();
    while let Some((_, after)) = next_token(rest).filter(|(token, _)| is_trivia(token)) {
        rest = after;
    }
    text.len() - rest.len()
}

/// Whether a token means nothing: a blank or a comment.
pub(crate) fn is_trivia(token: &str) -> bool {
    token.starts_with("//") || token.chars().all(char::is_whitespace)
}

/// The length of the string that `text` begins with, quotes included; all of the text where it does not end.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(condition: &str) -> String {
        format!("permit (principal, action, resource) when {{ {condition} }};")
    }

    #[test]
    fn brackets_and_ifs_count_as_far_as_they_reach() {
        let deep = |open: &str, middle: &str, close: &str, count| {
            check(&policy(&(open.repeat(count) + middle + &close.repeat(count))), Syntax::Policies)
        };
        for (open, middle, close) in
            [("(", "true", ")"), ("[", "", "]"), ("{a: ", "1", "}"), ("if a then b else ", "c", "")]
        {
            assert_eq!(deep(open, middle, close, MAX_NESTING - 1), Ok(()), "{open}");
            let error = deep(open, middle, close, MAX_NESTING).unwrap_err();
            assert_eq!(error.to_string(), "more than 100 brackets and `if`s stand in each other");
        }
        // Beside each other they may be as many as one likes.
        let wide = |part: &str| check(&policy(&vec![part; 10_000].join(" && ")), Syntax::Policies);
        for part in ["(a)", "a < 1", "a > 1", "(if a then b else c)", "[1].contains(1)"] {
            assert_eq!(wide(part), Ok(()), "{part}");
        }
        assert_eq!(check(&policy("if a then b else c").repeat(1_000), Syntax::Policies), Ok(()));
        assert_eq!(check(&")".repeat(1_000), Syntax::Policies), Ok(()));
    }

    #[test]
    fn types_of_a_schema_count_too() {
        let sets = |count| {
            check(&format!("type A = {}Long{};", "Set<".repeat(count), ">".repeat(count)), Syntax::Schema)
        };
        assert_eq!(sets(MAX_NESTING), Ok(()));
        assert_eq!(sets(MAX_NESTING + 1).unwrap_err().span, 9 + 4 * MAX_NESTING + 3..9 + 4 * MAX_NESTING + 4);
    }

    #[test]
    fn strings_and_comments_do_not_count() {
        let many = "(".repeat(1_000);
        for text in [format!("// {many}\ntrue"), format!(r#"a == "\"{many}\\" && b"#), format!("\"{many}")] {
            assert_eq!(check(&text, Syntax::Policies), Ok(()), "{text}");
        }
        for text in [format!("a == \"\\\\\" && {many}"), format!("// a comment\r{many}")] {
            assert!(check(&text, Syntax::Policies).is_err(), "{text}");
        }
    }

    #[test]
    fn what_passes_is_parsed_on_a_main_thread() {
        // A test's own thread has less stack than a main thread.
        let parse = || {
            let nested = "(".repeat(MAX_NESTING - 1) + "true" + &")".repeat(MAX_NESTING - 1);
            policy(&nested).parse::<cedar_policy::PolicySet>().is_ok()
        };
        let thread = std::thread::Builder::new().stack_size(8 * 1024 * 1024).spawn(parse).unwrap();
        assert!(thread.join().unwrap());
    }
}
