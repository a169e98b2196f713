//! Which paths a case is asked for, and which texts are spellings of one path.

use std::collections::BTreeSet;

use super::cases::Case;
use super::random::Random;
use super::router::Precedence;

/// Words that mean trouble, whatever the API.
const HOSTILE: [&str; 18] = [
    "%61",
    "%2A",
    "%2e%2e",
    "%2F",
    "caf%C3%A9",
    "..",
    ".",
    "",
    ";x",
    "..;",
    ".;x",
    "é",
    "*",
    "a*",
    "b?b",
    "${*}",
    "a\\b",
    "a b",
];

/// Every path of up to four of the case's words, of as many words as fit into `budget`; what its templates match; and what
/// somebody might try.
pub(super) fn paths(case: &Case, budget: usize, random: &mut Random) -> Vec<String> {
    let (mut words, told) = (case.words(), case.told_words());
    random.shuffle(&mut words);
    let fits = |count: usize| (1..=4).map(|depth| count.pow(depth)).sum::<usize>() <= budget;
    let count = (2..=words.len()).take_while(|count| fits(*count)).last().unwrap_or(2);
    let mut paths = BTreeSet::from(["/".to_owned()]);
    let mut longer: Vec<String> = vec![String::new()];
    for _ in 0..4 {
        longer = longer
            .iter()
            .flat_map(|path| words[..count].iter().map(move |word| format!("{path}/{word}")))
            .collect();
        paths.extend(longer.iter().cloned());
    }
    for route in &case.routes {
        for _ in 0..(budget / 40).clamp(6, 60) {
            let path = route.filled(|_, greedy| {
                let several = if greedy { 1 + random.below(3) } else { 1 };
                let words = if random.chance(40) { &told } else { &words };
                (0..several).map(|_| random.pick(words).clone()).collect::<Vec<_>>().join("/")
            });
            if random.chance(15) {
                paths.insert(format!("{}/{}", path.trim_end_matches('/'), random.pick(&words)));
            }
            if random.chance(15) {
                let at = path.rfind('/').unwrap_or_default();
                paths.insert(if at == 0 { "/".to_owned() } else { path[..at].to_owned() });
            }
            if random.chance(30) {
                paths.insert(spoilt(&path, random));
            }
            paths.insert(path);
        }
    }
    let long = "l".repeat(300);
    for _ in 0..budget / 12 {
        let word = |random: &mut Random| match random.below(10) {
            0..4 => (*random.pick(&HOSTILE)).to_owned(),
            4 if random.chance(20) => long.clone(),
            _ => random.pick(&words).clone(),
        };
        let path: String = (0..1 + random.below(6)).map(|_| format!("/{}", word(random))).collect();
        paths.insert(path);
    }
    // Longer ARNs than these do not come ("Amazon API Gateway quotas": 1,600 bytes).
    paths.into_iter().filter(|path| path.len() < 1_400).collect()
}

/// A path with something in it that a server may read in another way.
fn spoilt(path: &str, random: &mut Random) -> String {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let at = random.below(segments.len());
    let segment = segments[at];
    let first = segment.bytes().next().unwrap_or(b'a');
    let instead = match random.below(9) {
        0 => format!("{segment}/"),
        1 => format!("/{segment}"),
        2 => format!("./{segment}"),
        3 => format!("zz9/../{segment}"),
        4 => format!(";x/{segment}"),
        5 => format!("{segment}/..;/{segment}"),
        6 if first.is_ascii() && !segment.is_empty() => format!("%{first:02X}{}", &segment[1..]),
        7 => format!("{segment}*"),
        _ => format!("{segment}%"),
    };
    segments
        .iter()
        .enumerate()
        .map(|(place, segment)| format!("/{}", if place == at { instead.as_str() } else { segment }))
        .collect()
}

/// Whether the authorizer promises to answer for a path, as `cedar_gate::path` documents it.
pub(super) fn is_normal(precedence: Precedence, path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let is_harmless = |segment: &str| {
        let before = segment.split(';').next().unwrap_or_default();
        !matches!(before, "" | "." | "..")
    };
    if !rest.is_empty() && !rest.split('/').all(is_harmless) {
        return false;
    }
    match precedence {
        Precedence::Http => !rest.chars().any(is_never_in_a_path) && !rest.contains('%'),
        Precedence::Rest => is_pchar_text(rest),
    }
}

fn is_never_in_a_path(char: char) -> bool {
    "*?$\\#\u{fffd}\u{2028}\u{2029}".contains(char) || char.is_control()
}

/// RFC 3986 §3.3 `pchar` and `/`, each character in the one way to write it.
fn is_pchar_text(text: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-._~!&'()+,;=:@/".contains(char);
    let mut pieces = text.split('%');
    if !pieces.next().unwrap_or_default().chars().all(is_plain) {
        return false;
    }
    let mut bytes = Vec::new();
    for piece in pieces {
        let Some((digits, rest)) = piece.split_at_checked(2) else { return false };
        let Ok(byte) = u8::from_str_radix(digits, 16) else { return false };
        // What stands between ends a character's bytes.
        bytes.push(byte);
        if digits != format!("{byte:02X}") || !rest.chars().all(is_plain) {
            return false;
        }
        if !rest.is_empty() {
            if !is_rightly_encoded(&bytes) {
                return false;
            }
            bytes.clear();
        }
    }
    is_rightly_encoded(&bytes)
}

fn is_rightly_encoded(bytes: &[u8]) -> bool {
    let may_be_encoded = |char: char| {
        !char.is_ascii_alphanumeric() && !"-._~!&'()+,;=:@/%".contains(char) && !is_never_in_a_path(char)
    };
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(may_be_encoded))
}

/// What else a server may take a path for. A question mark ends a path, but a document that may not write `${?}` cannot
/// tell one from other characters.
pub(super) fn spellings(path: &str, escapes: bool) -> BTreeSet<String> {
    let mut all = BTreeSet::from([path.to_owned()]);
    let mut new = vec![path.to_owned()];
    while let Some(path) = new.pop() {
        for other in [
            collapsed(&path),
            path.strip_suffix('/').unwrap_or(&path).to_owned(),
            without_dots(&path),
            decoded(&path),
            path.split('/').map(without_path_parameters).collect::<Vec<_>>().join("/"),
            path.split(['#', if escapes { '?' } else { '#' }]).next().unwrap_or_default().to_owned(),
            path.replace('\\', "/"),
        ] {
            let other = if other.is_empty() { "/".to_owned() } else { other };
            if other.starts_with('/') && all.len() < 64 && all.insert(other.clone()) {
                new.push(other);
            }
        }
    }
    all
}

fn collapsed(path: &str) -> String {
    let mut path = path.to_owned();
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    path
}

/// What a servlet container drops, where that leaves a segment with a meaning. Elsewhere it is part of the name.
fn without_path_parameters(segment: &str) -> &str {
    match segment.split_once(';') {
        Some((before @ ("" | "." | ".."), _)) => before,
        Some(_) | None => segment,
    }
}

/// RFC 3986 §5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Decoded once; as it is, where that gives no text.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| path.to_owned())
}

#[test]
fn spellings_lead_to_what_a_server_may_read() {
    for (path, read) in [
        ("/a/", "/a"),
        ("//a", "/a"),
        ("/b/../a", "/a"),
        ("/b/%2e%2e/a", "/a"),
        ("/b/..;x/a", "/a"),
        ("/%61", "/a"),
        ("/%2561", "/a"),
        ("/;x/a", "/a"),
        ("/.", "/"),
        ("/a?b", "/a"),
    ] {
        assert!(spellings(path, true).contains(read), "{path}: {:?}", spellings(path, true));
    }
    assert_eq!(spellings("/a/b", true).len(), 1);
}
