//! The one normal form of a request path, so that no two spellings of one path exist.
//!
//! A policy that names a path, the IAM document that API Gateway matches against its ARN, and the backend behind it must
//! all mean the same path. They read text, so a path with two spellings (`/admin`, `/%61dmin`, `/admin/`, `//admin`) could
//! be one path to the first and another to the last. A path that is not in normal form is therefore refused, never
//! repaired: API Gateway has already routed the text as it stood.
//!
//! A path is in normal form if
//! - it begins with `/`, and no segment is empty: no `//`, no trailing slash except in the root path `/`;
//! - no segment is `.` or `..`, nor becomes empty, `.` or `..` when a server drops what follows a `;` (RFC 3986 §3.3
//!   path parameters, which servlet containers cut off before they resolve dot segments);
//! - no character, encoded or not, is one of `*` `?` `$` (an IAM document would read a pattern or a variable), `\`, an
//!   encoded `/` or `%` (a server that decodes once more would see another path), `#` (the end of a path), a control
//!   character or line separator, or U+FFFD (what a decoder leaves where there was no UTF-8);
//! - [`PathEncoding::Raw`]: each character has its one legal spelling: as it is where RFC 3986 §3.3 (`pchar`) allows
//!   that, else the percent-encoded UTF-8 bytes in upper-case hexadecimal digits (RFC 3986 §6.2.2.1, §6.2.2.2);
//! - [`PathEncoding::Decoded`]: there is no `%` in the event's path (it would be a decoded `%25`).
//!
//! ```
//! use cedar_gate::path::RequestPath;
//!
//! let path: RequestPath = "/orders/caf%C3%A9".parse()?;
//! assert_eq!(path.segments().collect::<Vec<_>>(), ["orders", "caf%C3%A9"]);
//!
//! let error = "/%61dmin".parse::<RequestPath>().unwrap_err();
//! assert_eq!(error.to_string(), "path is not in normal form: `%61` must be written `a`");
//! # Ok::<(), cedar_gate::path::PathError>(())
//! ```

use std::fmt;
use std::str::FromStr;

use crate::arn::MethodArn;

/// The path of a request in its normal form, beginning with `/`. Only [`reconcile`] and `FromStr` make one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestPath(String);

impl RequestPath {
    /// The longest path, in bytes: it comes out of an ARN, so it has an ARN's limit.
    pub const MAX_BYTES: usize = MethodArn::MAX_BYTES;

    /// The text, beginning with `/`; percent-encoded where the ARN is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments between the slashes; none for the root.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }
}

/// How the path of an event and of its ARN are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathEncoding {
    /// As the client sent it, percent-encodings included: REST APIs, whose `methodArn` and `path` hold the undecoded path
    /// (live captures: a request for `space%20value` arrives as such).
    Raw,
    /// Percent-decoded once: HTTP APIs, both payload formats, whose `path` and `rawPath` are decoded in spite of the name
    /// (live captures: `space%20value` arrives as `space value`, and `%2F` as `/`). Whether the ARN is decoded too is not
    /// known, so both are read.
    Decoded,
}

/// The path that the ARN and the event agree on.
///
/// `arn_path` is the ARN's path, without its leading slash. `event_path` is the event's `path` or `rawPath`; `None` for
/// TOKEN events, which have none. The event's path may begin with one of `base_paths` that the ARN's lacks: a custom
/// domain's base path mapping such as `v1`, or the stage of an HTTP API (with a named stage `rawPath` is
/// `/dev/applications` while the ARN ends in `/dev/GET/applications`). Slashes around a base path do not matter.
///
/// The result is the ARN's text, which is what API Gateway matches the answer's `Resource` against.
///
/// # Errors
/// If the ARN's path is not in normal form, or the event's path is another one.
pub fn reconcile(
    encoding: PathEncoding,
    arn_path: &str,
    event_path: Option<&str>,
    base_paths: &[String],
) -> Result<RequestPath, PathError> {
    let path = ["/", arn_path].concat();
    if path.len() > RequestPath::MAX_BYTES {
        return Err(PathError::TooLong { bytes: path.len() });
    }
    check_segments(&path)?;
    let compared = match encoding {
        PathEncoding::Raw => {
            characters(&path).try_for_each(|character| character.map(drop))?;
            None
        }
        PathEncoding::Decoded => decoded_arn_path(&path, event_path)?,
    };
    match event_path {
        None => Ok(RequestPath(path)),
        Some(event_path) => {
            agree(compared.as_deref().unwrap_or(&path), event_path, base_paths).map(|()| RequestPath(path))
        }
    }
}

/// Reads a path in normal form, [`PathEncoding::Raw`].
impl FromStr for RequestPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text.strip_prefix('/').ok_or(PathError::NoLeadingSlash)?;
        reconcile(PathEncoding::Raw, path, None, &[])
    }
}

impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a path is refused. For the log, not for the caller; no message repeats more of the path than one character or
/// escape, and that in ASCII.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path is longer than [`RequestPath::MAX_BYTES`].
    #[error("path has {bytes} bytes, more than {}", RequestPath::MAX_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The path does not begin with `/`.
    #[error("path does not begin with `/`")]
    NoLeadingSlash,
    /// A segment is empty, or is when what follows a `;` is dropped.
    #[error("path has an empty segment")]
    EmptySegment,
    /// The path ends in `/` and is not the root. REST APIs route it like the path without it but keep it in the ARN.
    #[error("path ends in `/`: ask for it without the trailing slash")]
    TrailingSlash,
    /// A segment is `.` or `..`, or is when what follows a `;` is dropped.
    #[error("path has a `.` or `..` segment")]
    DotSegment,
    /// The path holds a character that is refused in every spelling.
    #[error("path has `{}`, which is refused", found.escape_default())]
    Forbidden {
        /// The character as the path spells it.
        found: String,
    },
    /// A `%` is not the beginning of a percent-encoding.
    #[error("path has a `%` that two hexadecimal digits do not follow")]
    MalformedEscape,
    /// The path is not UTF-8 when decoded.
    #[error("path is not UTF-8 when decoded")]
    NotUtf8,
    /// A character has another spelling than its legal one.
    #[error("path is not in normal form: `{}` must be written `{expected}`", found.escape_default())]
    NotNormal {
        /// The character or escape as the path spells it.
        found: String,
        /// The spelling to use: one ASCII character, or the escape.
        expected: String,
    },
    /// A decoded path still has a `%`: the client sent a `%25`.
    #[error("decoded path has a `%`: an encoded `%` is refused")]
    EncodedPercent,
    /// The event and its ARN name two paths.
    #[error(
        "path of the event is not the path of its ARN: if a custom domain maps a base path to this API, add it to `base_paths` in authorizer.toml"
    )]
    Irreconcilable,
}

/// The text to compare with the event's path where it differs from the ARN's: `Some` if the ARN's path is encoded.
fn decoded_arn_path(path: &str, event_path: Option<&str>) -> Result<Option<String>, PathError> {
    if event_path.is_some_and(|path| path.contains('%')) {
        return Err(PathError::EncodedPercent);
    }
    if !path.contains('%') {
        return check_decoded(path).map(|()| None);
    }
    // The event's path has no `%`. An ARN decoded like it would have none either, so this one is not decoded; then it
    // has to be in normal form, or `/%61dmin` would be a second spelling of what API Gateway routes as `/admin`.
    match event_path {
        Some(_) => characters(path).collect::<Result<_, _>>().map(Some),
        None => Err(PathError::EncodedPercent),
    }
}

fn agree(path: &str, event_path: &str, base_paths: &[String]) -> Result<(), PathError> {
    let same = |event_path: &str| {
        event_path == path
            || base_paths.iter().any(|base_path| match without_base_path(event_path, base_path) {
                Some("") => path == "/",
                rest => rest == Some(path),
            })
    };
    if same(event_path) {
        return Ok(());
    }
    match event_path.strip_suffix('/') {
        Some(without) if same(without) => Err(PathError::TrailingSlash),
        _ => Err(PathError::Irreconcilable),
    }
}

/// What follows the base path: empty, or beginning with `/`.
fn without_base_path<'p>(event_path: &'p str, base_path: &str) -> Option<&'p str> {
    let rest = event_path.strip_prefix('/')?.strip_prefix(base_path.trim_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn check_segments(path: &str) -> Result<(), PathError> {
    if path == "/" {
        return Ok(());
    }
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_none() {
            return Err(PathError::TrailingSlash);
        }
        match segment.split(';').next() {
            None | Some("") => return Err(PathError::EmptySegment),
            Some("." | "..") => return Err(PathError::DotSegment),
            Some(_) => {}
        }
    }
    Ok(())
}

/// The characters of a percent-encoded path, each decoded and checked for its spelling; ends after the first error.
fn characters(path: &str) -> impl Iterator<Item = Result<char, PathError>> {
    let mut rest = path;
    std::iter::from_fn(move || {
        let text = std::mem::take(&mut rest);
        let spelling = next_spelling(text).transpose()?;
        Some(spelling.and_then(|(spelling, tail)| {
            rest = tail;
            spelling.check().map(|()| spelling.character)
        }))
    })
}

fn check_decoded(path: &str) -> Result<(), PathError> {
    match path.chars().find(|&character| is_forbidden(character)) {
        Some(character) => Err(PathError::Forbidden { found: character.to_string() }),
        None => Ok(()),
    }
}

/// The characters that are refused in every spelling; an encoded `/` or `%` comes on top.
fn is_forbidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '*' | '?' | '$' | '\\' | '#' | '\u{2028}' | '\u{2029}' | '\u{fffd}')
}

/// Whether a path in normal form can hold the character as it is; `/` counts.
pub(crate) fn is_unencoded(character: char, encoding: PathEncoding) -> bool {
    let is_legal = match encoding {
        PathEncoding::Raw => character == '/' || is_pchar(character),
        PathEncoding::Decoded => character != '%',
    };
    is_legal && !is_forbidden(character)
}

/// RFC 3986 §3.3 `pchar` without `pct-encoded`: unreserved, sub-delims, `:` and `@`.
fn is_pchar(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || matches!(
            character,
            '-' | '.'
                | '_'
                | '~'
                | '!'
                | '$'
                | '&'
                | '\''
                | '('
                | ')'
                | '*'
                | '+'
                | ','
                | ';'
                | '='
                | ':'
                | '@'
        )
}

/// One character and how the path spells it.
struct Spelling<'p> {
    character: char,
    text: &'p str,
}

impl Spelling<'_> {
    fn check(&self) -> Result<(), PathError> {
        // A separator: `check_segments` judges those.
        if self.text == "/" {
            return Ok(());
        }
        if is_forbidden(self.character) || matches!(self.character, '/' | '%') {
            return Err(PathError::Forbidden { found: self.text.to_owned() });
        }
        match self.other_than_legal() {
            Some(expected) => Err(PathError::NotNormal { found: self.text.to_owned(), expected }),
            None => Ok(()),
        }
    }

    /// The legal spelling, if this one differs.
    fn other_than_legal(&self) -> Option<String> {
        let escaped = self.text.starts_with('%');
        if is_pchar(self.character) {
            return escaped.then(|| self.character.to_string());
        }
        if escaped && !self.text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return None;
        }
        Some(self.character.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect())
    }
}

/// The first character of `text`, escaped or not, and what follows it.
fn next_spelling(text: &str) -> Result<Option<(Spelling<'_>, &str)>, PathError> {
    let Some(first) = text.chars().next() else { return Ok(None) };
    if first != '%' {
        return Ok(text
            .split_at_checked(first.len_utf8())
            .map(|(text, tail)| (Spelling { character: first, text }, tail)));
    }
    let mut bytes = Vec::with_capacity(4);
    let mut rest = text;
    // RFC 3629 §3: a character has at most four bytes.
    while bytes.len() < 4 {
        let (byte, tail) = next_escape(rest)?;
        bytes.push(byte);
        rest = tail;
        if let Some(character) = std::str::from_utf8(&bytes).ok().and_then(|text| text.chars().next()) {
            let length = text.len() - rest.len();
            return Ok(text
                .split_at_checked(length)
                .map(|(text, tail)| (Spelling { character, text }, tail)));
        }
        if !rest.starts_with('%') {
            return Err(PathError::NotUtf8);
        }
    }
    Err(PathError::NotUtf8)
}

/// The byte of the `%XX` that `text` begins with, and what follows it.
fn next_escape(text: &str) -> Result<(u8, &str), PathError> {
    let malformed = PathError::MalformedEscape;
    let Some((digits, tail)) = text.strip_prefix('%').and_then(|text| text.split_at_checked(2)) else {
        return Err(malformed);
    };
    // `from_str_radix` alone would accept a sign.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(malformed);
    }
    u8::from_str_radix(digits, 16).map(|byte| (byte, tail)).map_err(|_| malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const IRRECONCILABLE: &str = "path of the event is not the path of its ARN: if a custom domain maps a base path to this API, add it to `base_paths` in authorizer.toml";

    fn check_raw(path: &str, expected: Result<(), &str>) {
        let found = path.parse::<RequestPath>();
        match expected {
            Ok(()) => assert_eq!(found.unwrap().as_str(), path),
            Err(message) => assert_eq!(found.unwrap_err().to_string(), message, "{path}"),
        }
    }

    fn check(
        encoding: PathEncoding,
        arn_path: &str,
        event_path: &str,
        base_paths: &[&str],
        expected: Result<&str, &str>,
    ) {
        let base_paths: Vec<String> = base_paths.iter().map(|&path| path.to_owned()).collect();
        let found = reconcile(encoding, arn_path, Some(event_path), &base_paths)
            .map(|path| path.to_string())
            .map_err(|error| error.to_string());
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{arn_path} with {event_path}");
    }

    #[test]
    fn ordinary_paths_are_in_normal_form() {
        for path in [
            "/",
            "/orders",
            "/orders/42/items",
            "/at/2026-11-21T00:00:00Z",
            "/a-b._~!&'()+,;=:@",
            "/space%20value",
            "/caf%C3%A9/%E2%82%AC/%F0%9F%98%80",
            "/%5B1%5D",
            "/.well-known/jwks.json",
            "/a..b/...",
            "/matrix;v=1",
        ] {
            check_raw(path, Ok(()));
        }
    }

    #[test]
    fn separators_have_one_spelling() {
        check_raw("", Err("path does not begin with `/`"));
        check_raw("orders", Err("path does not begin with `/`"));
        check_raw("//", Err("path has an empty segment"));
        check_raw("//orders", Err("path has an empty segment"));
        check_raw("/orders//1", Err("path has an empty segment"));
        check_raw("/a/;x/b", Err("path has an empty segment"));
        check_raw("/orders/", Err("path ends in `/`: ask for it without the trailing slash"));
        check_raw("/a%2Fb", Err("path has `%2F`, which is refused"));
        check_raw("/a%2fb", Err("path has `%2f`, which is refused"));
        check_raw("/a%5Cb", Err("path has `%5C`, which is refused"));
        check_raw("/a\\b", Err(r"path has `\\`, which is refused"));
    }

    #[test]
    fn dot_segments_are_refused_in_every_spelling() {
        for path in ["/.", "/..", "/a/../b", "/a/./b", "/a/..", "/a/..;/b", "/a/..;x=1/b", "/.;/a"] {
            check_raw(path, Err("path has a `.` or `..` segment"));
        }
        for path in ["/%2E%2E/b", "/a/.%2E", "/a/%2E"] {
            check_raw(path, Err("path is not in normal form: `%2E` must be written `.`"));
        }
        check_raw("/a/%2e%2e", Err("path is not in normal form: `%2e` must be written `.`"));
        check_raw("/a/..%3B/b", Err("path is not in normal form: `%3B` must be written `;`"));
    }

    #[test]
    fn characters_that_an_iam_document_reads_are_refused() {
        for (path, found) in [
            ("/*", "*"),
            ("/a%2A", "%2A"),
            ("/a?b", "?"),
            ("/a%3Fb", "%3F"),
            ("/${aws:username}", "$"),
            ("/%24%7Bx%7D", "%24"),
            ("/a#b", "#"),
            ("/a%23b", "%23"),
            ("/a%25b", "%25"),
            ("/a%2561", "%25"),
            ("/a%00", "%00"),
            ("/a%0A", "%0A"),
            ("/a\n", "\\n"),
            ("/a\u{85}", "\\u{85}"),
            ("/a%C2%85", "%C2%85"),
            ("/a%E2%80%A8", "%E2%80%A8"),
            ("/a%EF%BF%BD", "%EF%BF%BD"),
        ] {
            check_raw(path, Err(&format!("path has `{found}`, which is refused")));
        }
    }

    #[test]
    fn each_character_has_one_spelling() {
        for (path, found, expected) in [
            ("/%61dmin", "%61", "a"),
            ("/%40me", "%40", "@"),
            ("/a%2Db", "%2D", "-"),
            ("/caf%c3%a9", "%c3%a9", "%C3%A9"),
            ("/caf%C3%a9", "%C3%a9", "%C3%A9"),
            ("/café", "\\u{e9}", "%C3%A9"),
            ("/a b", " ", "%20"),
            ("/a|b", "|", "%7C"),
            ("/{proxy+}", "{", "%7B"),
            ("/a\"b", "\\\"", "%22"),
        ] {
            check_raw(
                path,
                Err(&format!("path is not in normal form: `{found}` must be written `{expected}`")),
            );
        }
    }

    #[test]
    fn escapes_must_be_whole_and_utf_8() {
        for path in ["/%", "/%4", "/%zz", "/%+1", "/%é1", "/a%C3%", "/%%41"] {
            check_raw(path, Err("path has a `%` that two hexadecimal digits do not follow"));
        }
        // A lone byte, a cut character, an overlong `/`, a surrogate, more than U+10FFFF.
        for path in ["/%FF", "/%C3", "/%C3a", "/%C3%28", "/%C0%AF", "/%ED%A0%80", "/%F5%80%80%80", "/%80"] {
            check_raw(path, Err("path is not UTF-8 when decoded"));
        }
    }

    #[test]
    fn the_limit_is_that_of_an_arn() {
        check_raw(&format!("/{}", "a".repeat(1_599)), Ok(()));
        check_raw(&format!("/{}", "a".repeat(1_600)), Err("path has 1601 bytes, more than 1600"));
    }

    #[test]
    fn the_event_of_a_rest_api_has_the_path_of_its_arn() {
        use PathEncoding::Raw;
        check(Raw, "orders/1", "/orders/1", &[], Ok("/orders/1"));
        check(Raw, "", "/", &[], Ok("/"));
        check(Raw, "a%20b", "/a%20b", &[], Ok("/a%20b"));
        check(Raw, "a%20b", "/a b", &[], Err(IRRECONCILABLE));
        check(Raw, "orders/1", "/orders/2", &[], Err(IRRECONCILABLE));
        check(Raw, "orders", "orders", &[], Err(IRRECONCILABLE));
        check(Raw, "orders", "", &[], Err(IRRECONCILABLE));
        let trailing = "path ends in `/`: ask for it without the trailing slash";
        check(Raw, "orders/", "/orders/", &[], Err(trailing));
        check(Raw, "orders", "/orders/", &[], Err(trailing));
        check(Raw, "orders", "/v1/orders/", &["v1"], Err(trailing));
    }

    #[test]
    fn base_paths_of_custom_domains_are_taken_off() {
        use PathEncoding::Raw;
        check(Raw, "orders", "/v1/orders", &[], Err(IRRECONCILABLE));
        check(Raw, "orders", "/v1/orders", &["v2", "v1"], Ok("/orders"));
        check(Raw, "orders", "/v1/orders", &["/v1/"], Ok("/orders"));
        check(Raw, "orders", "/shop/v1/orders", &["shop/v1"], Ok("/orders"));
        check(Raw, "orders", "/orders", &["v1"], Ok("/orders"));
        check(Raw, "", "/v1", &["v1"], Ok("/"));
        check(Raw, "", "/v1/", &["v1"], Ok("/"));
        check(Raw, "orders", "/v10/orders", &["v1"], Err(IRRECONCILABLE));
        check(Raw, "0/orders", "/v10/orders", &["v1"], Err(IRRECONCILABLE));
        check(Raw, "orders", "/v1/v1/orders", &["v1"], Err(IRRECONCILABLE));
        check(Raw, "orders", "/orders", &[""], Ok("/orders"));
    }

    #[test]
    fn the_event_of_an_http_api_is_decoded() {
        use PathEncoding::Decoded;
        check(Decoded, "applications", "/dev/applications", &["dev"], Ok("/applications"));
        check(Decoded, "space value", "/space value", &[], Ok("/space value"));
        check(Decoded, "space%20value", "/space value", &[], Ok("/space%20value"));
        check(Decoded, "caf%C3%A9", "/café", &[], Ok("/caf%C3%A9"));
        check(Decoded, "café", "/café", &[], Ok("/café"));
        let normal =
            |found, expected| format!("path is not in normal form: `{found}` must be written `{expected}`");
        check(Decoded, "%61dmin", "/admin", &[], Err(&normal("%61", "a")));
        check(Decoded, "caf%c3%a9", "/café", &[], Err(&normal("%c3%a9", "%C3%A9")));
        check(Decoded, "a%20é", "/a é", &[], Err(&normal("\\u{e9}", "%C3%A9")));
        check(Decoded, "a%20b", "/a%20b", &[], Err("decoded path has a `%`: an encoded `%` is refused"));
        check(Decoded, "a%2Fb", "/a/b", &[], Err("path has `%2F`, which is refused"));
        check(Decoded, "a?b", "/a?b", &[], Err("path has `?`, which is refused"));
        check(Decoded, "a", "/a\n", &[], Err(IRRECONCILABLE));
        check(Decoded, "a/../b", "/a/../b", &[], Err("path has a `.` or `..` segment"));
        check(Decoded, "a/", "/a/", &[], Err("path ends in `/`: ask for it without the trailing slash"));
        assert_eq!(reconcile(Decoded, "a%20b", None, &[]), Err(PathError::EncodedPercent));
    }

    /// Decoding, written again without the checks.
    fn percent_decoded(text: &str) -> Vec<u8> {
        let bytes = text.as_bytes();
        let mut decoded = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at] == b'%' {
                let digits = std::str::from_utf8(&bytes[at + 1..at + 3]).unwrap();
                decoded.push(u8::from_str_radix(digits, 16).unwrap());
                at += 3;
            } else {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
        decoded
    }

    /// Paths, and paths that almost are.
    fn almost() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            8 => "[a-c]".boxed(),
            4 => Just("/".to_owned()).boxed(),
            2 => "%[0-9A-Fa-f]{2}".boxed(),
            2 => any::<char>().prop_map(|c| c.to_string().bytes().map(|b| format!("%{b:02X}")).collect()).boxed(),
            1 => "[.;*?$# %é\\\\{]".boxed(),
            1 => any::<char>().prop_map(String::from).boxed(),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    proptest! {
        #[test]
        fn an_accepted_path_is_free_of_what_is_refused(path in almost()) {
            let Ok(path) = path.parse::<RequestPath>() else { return Ok(()) };
            let decoded = String::from_utf8(percent_decoded(path.as_str())).unwrap();
            prop_assert!(!decoded.contains(|c: char| "*?$\\#%".contains(c) || c.is_control()));
            // No separator appears or vanishes in decoding.
            prop_assert_eq!(decoded.split('/').count(), path.as_str().split('/').count());
            prop_assert!(decoded == "/" || decoded.split('/').skip(1).all(|s| !["", ".", ".."].contains(&s)));
            prop_assert!(path.as_str().is_ascii());
        }

        #[test]
        fn an_accepted_path_is_kept(text in almost()) {
            if let Ok(path) = text.parse::<RequestPath>() {
                prop_assert_eq!(path.as_str(), &text);
                prop_assert_eq!(path.to_string().parse::<RequestPath>(), Ok(path));
            }
        }

        #[test]
        fn two_accepted_paths_never_decode_to_one(
            paths in prop::collection::vec(r"/(a|%61|é|%C3%A9|%c3%a9|/|%2F|;|%3B| |%20|\.|%2E){0,3}", 30),
        ) {
            let mut seen: HashMap<Vec<u8>, RequestPath> = HashMap::new();
            for path in paths.iter().filter_map(|path| path.parse::<RequestPath>().ok()) {
                let other = seen.entry(percent_decoded(path.as_str())).or_insert_with(|| path.clone());
                prop_assert_eq!(&*other, &path);
            }
        }

        #[test]
        fn one_character_has_one_accepted_spelling(character in any::<char>(), upper in any::<[bool; 4]>()) {
            let mut escape = String::new();
            for (byte, upper) in character.to_string().bytes().zip(upper) {
                escape += &if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
            }
            let canonical = character.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
            let mut spellings = vec![character.to_string(), canonical, escape];
            spellings.sort();
            spellings.dedup();
            let accepted = |spelling: &&String| format!("/x{spelling}y").parse::<RequestPath>().is_ok();
            let expected = usize::from(!is_forbidden(character) && character != '%');
            prop_assert_eq!(spellings.iter().filter(accepted).count(), expected, "{:?}", spellings);
        }

        #[test]
        fn any_texts_get_an_answer(
            decoded in any::<bool>(),
            arn_path in "(?s).{0,20}",
            event_path in prop::option::of("(?s)/?.{0,20}"),
            base_paths in prop::collection::vec("(?s).{0,4}", 0..3),
        ) {
            let encoding = if decoded { PathEncoding::Decoded } else { PathEncoding::Raw };
            if let Ok(path) = reconcile(encoding, &arn_path, event_path.as_deref(), &base_paths) {
                prop_assert_eq!(path.as_str(), format!("/{arn_path}"));
            }
        }

        #[test]
        fn a_message_is_one_short_line_of_ascii(path in almost()) {
            if let Err(error) = path.parse::<RequestPath>() {
                let message = error.to_string();
                prop_assert!(message.len() < 120 && message.chars().all(|c| c.is_ascii() && !c.is_ascii_control()));
            }
        }

        #[test]
        fn the_decoded_form_agrees_with_the_encoded_one(path in almost()) {
            let Ok(path) = path.parse::<RequestPath>() else { return Ok(()) };
            let event_path = String::from_utf8(percent_decoded(path.as_str())).unwrap();
            let arn_path = path.as_str().strip_prefix('/').unwrap();
            prop_assert_eq!(reconcile(PathEncoding::Decoded, arn_path, Some(&event_path), &[]), Ok(path.clone()));
            let decoded = event_path.strip_prefix('/').unwrap();
            let both = reconcile(PathEncoding::Decoded, decoded, Some(&event_path), &[]).unwrap();
            prop_assert_eq!(both.as_str(), event_path);
        }
    }
}
