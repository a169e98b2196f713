//! Rust source as the structure rules need it: code without comments and strings, its tokens, the paths that it names.
//! No parser of the language: enough of its lexical grammar (The Rust Reference, "Lexical structure").

/// The text with comments, string, byte and character literals blanked out. Line ends stay, so lines still count.
pub(crate) fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = out.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let length = literal_or_comment(rest, word);
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    out
}

/// The length of the comment or literal that the text begins with; 0 for none. `in_word`: a letter stands before.
fn literal_or_comment(text: &str, in_word: bool) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    if let Some(length) = raw_string(text).filter(|_| !in_word) {
        return length;
    }
    match text.chars().next() {
        Some('"') => 1 + until_unescaped(&text[1..], '"'),
        Some('\'') => character(text),
        _ => 0,
    }
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text[at..];
        match (rest.starts_with("/*"), rest.starts_with("*/")) {
            (true, _) => (depth, at) = (depth + 1, at + 2),
            (_, true) => (depth, at) = (depth - 1, at + 2),
            _ => at += rest.chars().next().map_or(1, char::len_utf8),
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// `r"…"`, `r#"…"#` and so on, also after `b` and `c`. A raw identifier, `r#type`, is none.
fn raw_string(text: &str) -> Option<usize> {
    let after_prefix = text.strip_prefix(['b', 'c']).unwrap_or(text).strip_prefix('r')?;
    let body = after_prefix.trim_start_matches('#');
    let hashes = after_prefix.len() - body.len();
    let body = body.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + length)
}

/// A character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text[1..].chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => 1 + until_unescaped(&text[1..], '\''),
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 0,
    }
}

/// The length up to and with the first `end` that no backslash escapes.
fn until_unescaped(text: &str, end: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == end && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// A word or a mark of the code, and its line, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
    at: usize,
}

/// The tokens of blanked code: words, `::`, `=>`, and all else one character at a time.
pub(crate) fn tokens(code: &str) -> Vec<Token<'_>> {
    let (mut tokens, mut line, mut at) = (Vec::new(), 1, 0);
    while let Some(first) = code[at..].chars().next() {
        let rest = &code[at..];
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            '\n' | ' ' | '\t' | '\r' => 0,
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ if rest.starts_with("::") || rest.starts_with("=>") => 2,
            c => c.len_utf8(),
        };
        if length > 0 {
            tokens.push(Token { text: &rest[..length], line, at });
        }
        line += usize::from(first == '\n');
        at += length.max(first.len_utf8());
    }
    tokens
}

/// Blanked code with its `#[cfg(test)]` items blanked too, attributes and all.
pub(crate) fn without_tests(code: &str) -> String {
    let tokens = tokens(code);
    let mut out = String::with_capacity(code.len());
    let (mut kept_to, mut index) = (0, 0);
    while index < tokens.len() {
        let marked = ["#", "[", "cfg", "(", "test", ")", "]"];
        if tokens[index..].iter().map(|token| token.text).take(marked.len()).ne(marked) {
            index += 1;
            continue;
        }
        let end = item_end(&tokens, index + marked.len());
        let item_ends_at = tokens.get(end).map_or(code.len(), |token| token.at);
        out.push_str(&code[kept_to..tokens[index].at]);
        out.extend(code[tokens[index].at..item_ends_at].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        (kept_to, index) = (item_ends_at, end);
    }
    out.push_str(&code[kept_to..]);
    out
}

/// The index after the item that begins at `index`: after its `;`, or after the block of an item that has one.
fn item_end(tokens: &[Token<'_>], index: usize) -> usize {
    let (mut depth, mut has_block) = (0_usize, true);
    for (at, token) in tokens.iter().enumerate().skip(index) {
        match token.text {
            "use" | "static" | "type" if depth == 0 => has_block = false,
            "const" if depth == 0 => has_block = tokens.get(at + 1).is_some_and(|next| next.text == "fn"),
            "(" | "[" | "{" => depth += 1,
            // The end of what the item stands in.
            "}" if depth == 0 => return at,
            "}" if depth == 1 && has_block => return at + 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// A path that the code names, groups written out: `use std::{env, fmt}` names `std::env` and `std::fmt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// It stands in a `use` or `extern crate`.
    pub(crate) imported: bool,
}

/// All paths of blanked code, in order; a single word is one too.
pub(crate) fn paths(code: &str) -> Vec<Path> {
    let tokens = tokens(code);
    let (mut found, mut index) = (Vec::new(), 0);
    while index < tokens.len() {
        let before = index.checked_sub(1).map_or("", |before| tokens[before].text);
        let imported = ["use", "extern"].contains(&tokens[index].text);
        let keyword = tokens.get(index + 1).filter(|next| imported && next.text == "crate");
        let start =
            index + usize::from(imported) + usize::from(tokens[index].text == "extern" && keyword.is_some());
        // A field or a method is no path.
        let next = if before == "." { index } else { path(&tokens, start, &[], imported, &mut found) };
        index = next.max(index + 1);
    }
    found
}

/// Reads the path at `index`, below `prefix`, and returns the index after it.
fn path(
    tokens: &[Token<'_>],
    mut index: usize,
    prefix: &[String],
    imported: bool,
    found: &mut Vec<Path>,
) -> usize {
    let text = |index: usize| tokens.get(index).map_or("", |token| token.text);
    let mut segments = prefix.to_vec();
    let (line, start) = (tokens.get(index).map_or(0, |token| token.line), index);
    if text(index) == "::" {
        index += 1;
    }
    loop {
        match text(index) {
            // A group: only in imports, where each member is a path of its own.
            "{" if imported => {
                index += 1;
                while !["}", ""].contains(&text(index)) {
                    index = path(tokens, index, &segments, imported, found).max(index + 1);
                }
                return index + 1;
            }
            "self" if !prefix.is_empty() => index += 1,
            "*" if imported => {
                segments.push("*".to_owned());
                index += 1;
            }
            word if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                segments.push(word.to_owned());
                index += 1;
            }
            _ => break,
        }
        if text(index) != "::" {
            break;
        }
        index += 1;
    }
    if index > start && !segments.is_empty() {
        found.push(Path { segments, line, imported });
    }
    // The new name of an import is no path.
    if imported && text(index) == "as" { index + 2 } else { index }
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = r####"
let a = "x\"y"; // use one;
/* use /* two */ three */ let b = r#"use "four""#;
let c: &'a str = f('"', '\'', b'x', b"\\", '\u{41}', r#type);
let d = br"\"; let e = cr#""#; for r in "five" {}
"####;
    assert_eq!(
        code(text).split_whitespace().collect::<Vec<_>>().join(" "),
        "let a = ; let b = ; let c: &'a str = f( , , b , b , , r#type); let d = ; let e = ; for r in {}"
    );
    assert_eq!(code(text).lines().count(), text.lines().count());
}

#[test]
fn test_items_are_left_out() {
    let text = "use a;\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn f() { g([1; 2]) }\n}\n#[cfg(test)]\nuse b::{c};\nuse d;\n\
                #[cfg(test)]\nmod tests;\n#[cfg(not(test))]\nuse e;\n#[cfg(test)]\nfn h(x: [u8; 2]) -> u8 { x }\nuse i;\n\
                #[cfg(test)]\nconst J: K = K { l: 1 };\n#[cfg(test)]\npub const fn m() { n() }\nstruct O { #[cfg(test)] p: q::R }\nuse s;\n";
    let kept = without_tests(&code(text));
    assert_eq!(
        kept.split_whitespace().collect::<Vec<_>>().join(" "),
        "use a; use d; #[cfg(not(test))] use e; use i; struct O { } use s;"
    );
    assert_eq!(kept.lines().count(), text.lines().count());
}

#[test]
fn groups_are_written_out() {
    let named = |text: &str| {
        let paths = paths(&code(text)).into_iter().filter(|path| path.segments.len() > 1 || path.imported);
        paths.map(|path| format!("{}:{}", path.line, path.segments.join("::"))).collect::<Vec<_>>()
    };
    assert_eq!(
        named(
            "use std::{\n    env,\n    fs::{self, File as F},\n    fmt::*,\n};\nuse a as b;\nextern crate c;\n"
        ),
        ["2:std::env", "3:std::fs", "3:std::fs::File", "4:std::fmt::*", "6:a", "7:c"]
    );
    assert_eq!(
        named(
            "fn f(x: &a::B<c::D>) -> ::e::F { g::h::<i::J>(x.k, <L as m::N>::o()) }\n#[derive(p::Q)]\nuse {r, s::t};\n"
        ),
        ["1:a::B", "1:c::D", "1:e::F", "1:g::h", "1:i::J", "1:m::N", "2:p::Q", "3:r", "3:s::t"]
    );
}
