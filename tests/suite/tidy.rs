//! The structure of the project, checked by reading its files as text.
//!
//! Each rule is a function from [`Sources`] to findings, `path:line: what is wrong`; the repository must have none,
//! and beside each rule a bad sample shows that the rule bites. The code rules look at code alone: not at comments,
//! not at strings, not at `#[cfg(test)]` items, which may import and read what they like.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::source::{Path as CodePath, code, paths, tokens, without_tests};

/// What a visitor sees at the top: nothing more, nothing less. Hidden files and what git ignores do not count.
const TOP_LEVEL: [&str; 10] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "deploy",
    "policies",
    "schema",
    "src",
    "tests",
];

/// Which modules may name a crate; `bin` stands for the binaries.
const HOMES: [(&[&str], &[&str]); 8] = [
    (&["rustls", "rustls_native_certs", "ureq"], &["fetch"]),
    // What is shared by many requests and changes under them.
    (&["arc_swap"], &["authorizer", "fetch"]),
    (&["jsonwebtoken"], &["jose"]),
    // Cedar's errors carry their places through its trait; the reports are drawn by the command line.
    (&["miette"], &["bundle", "bin"]),
    (&["quick_xml", "wildmatch"], &["tools"]),
    (&["cedar_policy_core"], &["cedar_core"]),
    (&["cedar_policy", "cedar"], &["bundle", "cedar_core", "entities", "decision", "grants", "tools"]),
    (
        &[
            "anstream",
            "clap",
            "clap_complete",
            "comfy_table",
            "flate2",
            "indicatif",
            "lambda_runtime",
            "lambda_runtime_api_client",
            "owo_colors",
            "tokio",
            "tracing",
            "tracing_subscriber",
        ],
        &["bin"],
    ),
];

/// Where files and the network may be read, and clocks.
const IMPURE: [&str; 2] = ["bin", "fetch"];

/// Parts of `std` that are the world outside.
const OUTSIDE: [&str; 4] = ["env", "fs", "net", "process"];

/// Modules that choose an answer.
const ANSWERING: [&str; 3] = ["decision", "response", "authorizer"];

/// Words of unfinished work.
const UNFINISHED: [&str; 5] = ["todo", "fixme", "xxx", "for now", "simplified"];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 4] = ["/home/", "/root/", "/work/", "/tmp/wt"];

/// Files by their path in the repository, `/` between the names.
struct Sources(BTreeMap<String, String>);

impl Sources {
    fn of_repository() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = BTreeMap::new();
        for part in ["src", "deploy", "README.md"] {
            read(root, &root.join(part), &mut files);
        }
        assert!(files.contains_key("src/lib.rs"), "the rules need something to look at");
        Self(files)
    }

    fn sample(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    /// The Rust files under `src`.
    fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        files.filter(|(path, _)| path.starts_with("src/") && path.ends_with(".rs"))
    }

    /// The modules that `lib.rs` lists, in its order.
    fn modules(&self) -> Vec<String> {
        self.0.get("src/lib.rs").map(|text| declared_modules(text)).unwrap_or_default()
    }
}

/// Reads every text file under `path`; a file that is not UTF-8, such as a picture, has no lines to check.
fn read(root: &Path, path: &Path, files: &mut BTreeMap<String, String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            read(root, &entry.unwrap().path(), files);
        }
    } else if let Ok(text) = std::fs::read_to_string(path) {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        files.insert(name, text);
    }
}

/// The names in `mod name;`, tests and inline modules left out.
fn declared_modules(text: &str) -> Vec<String> {
    let code = without_tests(&code(text));
    let tokens = tokens(&code);
    let triples = tokens.windows(3).filter(|triple| triple[0].text == "mod" && triple[2].text == ";");
    triples.map(|triple| triple[1].text.to_owned()).collect()
}

/// The paths that a file's code names outside its tests.
fn named_paths(text: &str) -> Vec<CodePath> {
    paths(&without_tests(&code(text)))
}

/// The module of the crate that a file belongs to: `jose` for `src/jose.rs` and for all of `src/jose/`.
fn module_of(path: &str) -> &str {
    let path = path.strip_prefix("src/").unwrap_or(path);
    path.split_once('/').map_or_else(|| path.strip_suffix(".rs").unwrap_or(path), |(folder, _)| folder)
}

/// A module names only modules that `lib.rs` lists above it, and names them as `crate::module`.
fn order(sources: &Sources) -> Vec<String> {
    let modules = sources.modules();
    let position = |name: &str| modules.iter().position(|module| module == name);
    let mut findings = Vec::new();
    for (file, text) in sources.rust() {
        let own = module_of(file);
        let Some(own_position) = position(own) else { continue };
        for path in named_paths(text) {
            let Some((name, by_super)) = crate_item(&path, depth(file)) else { continue };
            let found = match position(name) {
                Some(other) if other <= own_position => continue,
                Some(_) => format!("`{own}` names `{name}`, which stands below it in lib.rs"),
                // In an inline module `super` is not the crate.
                None if by_super => continue,
                None => format!("`crate::{name}` is no module of lib.rs: name the module that has it"),
            };
            findings.push(format!("{file}:{}: {found}", path.line));
        }
    }
    findings
}

/// How many `super` lead from a file to the crate's root.
fn depth(file: &str) -> usize {
    file.matches('/').count() - usize::from(file.ends_with("/mod.rs"))
}

/// The item of the crate's root that a path begins with, and whether it was reached by `super`.
fn crate_item(path: &CodePath, depth: usize) -> Option<(&str, bool)> {
    let segments = &path.segments;
    if segments.first()? == "crate" {
        return segments.get(1).map(|name| (name.as_str(), false));
    }
    let supers = segments.iter().take_while(|segment| *segment == "super").count();
    (supers == depth).then(|| segments.get(supers).map(|name| (name.as_str(), true)))?
}

#[test]
fn modules_name_only_modules_above_them() {
    assert_eq!(order(&Sources::of_repository()), NONE);
}

#[test]
fn the_order_rule_bites() {
    let sources = Sources::sample(&[
        ("src/lib.rs", "//! Doc: mod doc;\npub mod time;\npub mod arn;\npub mod jose;\npub mod bundle;\n"),
        ("src/time.rs", "use crate::{arn::MethodArn, time};\n"),
        (
            "src/arn.rs",
            "use crate::time::Timestamp;\n// use crate::jose::X;\nfn f() { super::bundle::g() }\n",
        ),
        ("src/jose/mod.rs", "mod jws;\nuse super::bundle;\nuse crate::Authorizer;\n"),
        (
            "src/jose/jws.rs",
            "use super::super::bundle::B;\nuse super::keys::bundle;\nuse crate::jose::jwk;\n",
        ),
        ("src/bundle.rs", "use crate::jose;\n#[cfg(test)]\nmod tests {\n    use crate::tools::Suite;\n}\n"),
        ("src/bin/bootstrap.rs", "use cedar_gate::bundle;\nfn f() { crate::anything() }\n"),
    ]);
    assert_eq!(
        order(&sources),
        [
            "src/arn.rs:3: `arn` names `bundle`, which stands below it in lib.rs",
            "src/jose/jws.rs:1: `jose` names `bundle`, which stands below it in lib.rs",
            "src/jose/mod.rs:2: `jose` names `bundle`, which stands below it in lib.rs",
            "src/jose/mod.rs:3: `crate::Authorizer` is no module of lib.rs: name the module that has it",
            "src/time.rs:1: `time` names `arn`, which stands below it in lib.rs",
        ]
    );
}

/// Foreign vocabularies stay at home.
fn homes(sources: &Sources) -> Vec<String> {
    let mut findings = Vec::new();
    for (file, text) in sources.rust() {
        for path in named_paths(text) {
            let Some(name) = path.segments.first() else { continue };
            let Some((_, homes)) = HOMES.iter().find(|(crates, _)| crates.contains(&name.as_str())) else {
                continue;
            };
            let is_crate = path.segments.len() > 1 || path.imported;
            if is_crate && !homes.contains(&module_of(file)) {
                findings.push(format!(
                    "{file}:{}: `{name}` is named outside {}",
                    path.line,
                    homes.join(", ")
                ));
            }
        }
    }
    findings
}

#[test]
fn foreign_vocabularies_stay_at_home() {
    assert_eq!(homes(&Sources::of_repository()), NONE);
}

#[test]
fn the_home_rule_bites() {
    let sources = Sources::sample(&[
        ("src/jose/verify.rs", "use jsonwebtoken::decode;\n"),
        (
            "src/event.rs",
            "/// Not `jsonwebtoken::decode`.\nfn f() { let tokio = \"jsonwebtoken::decode\"; g(tokio) }\n",
        ),
        ("src/authorizer.rs", "fn f() {\n    ::jsonwebtoken::decode();\n}\n"),
        ("src/response.rs", "use cedar_policy as cedar;\nfn f(d: cedar::Decision) {}\n"),
        (
            "src/decision.rs",
            "use cedar_policy as cedar;\nfn f(d: cedar::Decision) { tracing::warn!(\"x\") }\n",
        ),
        ("src/bin/cedar-gate/main.rs", "#[derive(clap::Parser)]\nstruct Args;\n"),
        ("src/tools/suite.rs", "#[derive(clap::Parser)]\nstruct Args;\nuse {clap, cedar_policy::Policy};\n"),
        ("src/iam.rs", "#[cfg(test)]\nmod tests {\n    use cedar_policy::Policy;\n}\n"),
    ]);
    let cedar = "bundle, cedar_core, entities, decision, grants, tools";
    assert_eq!(
        homes(&sources),
        [
            "src/authorizer.rs:2: `jsonwebtoken` is named outside jose".to_owned(),
            "src/decision.rs:2: `tracing` is named outside bin".to_owned(),
            format!("src/response.rs:1: `cedar_policy` is named outside {cedar}"),
            format!("src/response.rs:2: `cedar` is named outside {cedar}"),
            "src/tools/suite.rs:1: `clap` is named outside bin".to_owned(),
            "src/tools/suite.rs:3: `clap` is named outside bin".to_owned(),
        ]
    );
}

/// The library reads no file, no setting and no clock; `fetch` does, and the binaries.
fn purity(sources: &Sources) -> Vec<String> {
    let mut findings = Vec::new();
    for (file, text) in sources.rust().filter(|(file, _)| !IMPURE.contains(&module_of(file))) {
        for path in named_paths(text) {
            let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
            // An address is a value like any other.
            let address = matches!(segments.as_slice(), ["std", "net", "IpAddr"]);
            let outside =
                !address && matches!(segments.as_slice(), ["std", part, ..] if OUTSIDE.contains(part));
            let clock = segments.iter().any(|segment| ["Instant", "SystemTime"].contains(segment))
                || matches!(segments.as_slice(), [_, .., "now"]);
            if outside || clock {
                findings.push(format!("{file}:{}: `{}` is an argument here", path.line, segments.join("::")));
            }
        }
    }
    findings
}

#[test]
fn the_library_is_pure() {
    assert_eq!(purity(&Sources::of_repository()), NONE);
}

#[test]
fn the_purity_rule_bites() {
    let sources = Sources::sample(&[
        (
            "src/arn.rs",
            "use std::{env, fmt, fs::File};\nfn f() { std::env::var(\"X\"); jiff::Timestamp::now(); }\n",
        ),
        ("src/time.rs", "use std::time::{Duration, Instant};\nfn now(now: u8) -> u8 { env!(\"X\"); now }\n"),
        ("src/jose/jwk.rs", "fn f() { let _ = std::time::SystemTime::UNIX_EPOCH; }\n"),
        ("src/fetch.rs", "use std::fs;\n"),
        ("src/bin/bootstrap.rs", "use std::env;\n"),
        (
            "src/route.rs",
            "#[cfg(test)]\nfn read() { std::fs::read(\"x\"); }\nfn f() { std::process::abort() }\n",
        ),
    ]);
    assert_eq!(
        purity(&sources),
        [
            "src/arn.rs:1: `std::env` is an argument here",
            "src/arn.rs:1: `std::fs::File` is an argument here",
            "src/arn.rs:2: `std::env::var` is an argument here",
            "src/arn.rs:2: `jiff::Timestamp::now` is an argument here",
            "src/jose/jwk.rs:1: `std::time::SystemTime::UNIX_EPOCH` is an argument here",
            "src/route.rs:3: `std::process::abort` is an argument here",
            "src/time.rs:1: `std::time::Instant` is an argument here",
        ]
    );
}

/// Every file is a module that its parent declares, and every declaration has its file at the usual place.
fn files(sources: &Sources) -> Vec<String> {
    let mut expected = BTreeSet::new();
    let mut findings = Vec::new();
    for (file, text) in sources.rust() {
        if code(text).contains("#[path") {
            findings.push(format!("{file}: `#[path]` hides where a module is"));
        }
        let folder = children_folder(file);
        for module in declared_modules(text) {
            let names = [format!("{folder}/{module}.rs"), format!("{folder}/{module}/mod.rs")];
            match names.into_iter().find(|name| sources.0.contains_key(name)) {
                Some(name) => _ = expected.insert(name),
                None => findings.push(format!("{file}: `mod {module}` has no file")),
            }
        }
    }
    let undeclared = sources.rust().filter(|(file, _)| !is_crate_root(file) && !expected.contains(*file));
    findings.extend(undeclared.map(|(file, _)| format!("{file}: no module declares this file")));
    findings
}

fn is_crate_root(file: &str) -> bool {
    let in_bin = file.strip_prefix("src/bin/");
    file == "src/lib.rs" || in_bin.is_some_and(|name| !name.contains('/') || name.ends_with("/main.rs"))
}

/// Where the modules that a file declares have their files.
fn children_folder(file: &str) -> &str {
    let parent = file.rsplit_once('/').map_or("", |(parent, _)| parent);
    if is_crate_root(file) || file.ends_with("/mod.rs") {
        parent
    } else {
        file.strip_suffix(".rs").unwrap_or(file)
    }
}

#[test]
fn files_and_modules_agree() {
    assert_eq!(files(&Sources::of_repository()), NONE);
}

#[test]
fn the_file_rule_bites() {
    let sources = Sources::sample(&[
        ("src/lib.rs", "pub mod time;\npub(crate) mod jose;\nmod gone;\n// mod commented;\n"),
        ("src/time.rs", ""),
        ("src/jose/mod.rs", "mod jws;\nmod inline { }\n"),
        ("src/jose/jws.rs", "#[path = \"elsewhere.rs\"]\nmod keys;\n"),
        ("src/jose/jws/keys.rs", ""),
        ("src/jose/old.rs", ""),
        ("src/left_over.rs", ""),
        ("src/bin/bootstrap.rs", ""),
        ("src/bin/cedar-gate/main.rs", "mod check;\n"),
        ("src/bin/cedar-gate/check.rs", ""),
        ("src/bin/cedar-gate/forgotten.rs", ""),
    ]);
    assert_eq!(
        files(&sources),
        [
            "src/jose/jws.rs: `#[path]` hides where a module is",
            "src/lib.rs: `mod gone` has no file",
            "src/bin/cedar-gate/forgotten.rs: no module declares this file",
            "src/jose/old.rs: no module declares this file",
            "src/left_over.rs: no module declares this file",
        ]
    );
}

/// No arm catches all where an answer is chosen: a new case must be decided, not swept up.
fn wildcards(sources: &Sources) -> Vec<String> {
    let mut findings = Vec::new();
    for (file, text) in sources.rust().filter(|(file, _)| ANSWERING.contains(&module_of(file))) {
        let code = without_tests(&code(text));
        for pair in tokens(&code).windows(2) {
            if pair[0].text == "_" && ["=>", "if"].contains(&pair[1].text) {
                findings.push(format!("{file}:{}: a `_` arm where an answer is chosen", pair[0].line));
            }
        }
    }
    findings
}

#[test]
fn no_answer_is_chosen_by_a_wildcard() {
    assert_eq!(wildcards(&Sources::of_repository()), NONE);
}

#[test]
fn the_wildcard_rule_bites() {
    let sources = Sources::sample(&[
        ("src/arn.rs", "fn f(x: u8) -> u8 { match x { 1 => 1, _ => 0 } }\n"),
        (
            "src/decision/mod.rs",
            "fn f(x: u8) -> u8 {\n    match x {\n        1 => 1,\n        _ => 0,\n    }\n}\n",
        ),
        (
            "src/response.rs",
            "// _ => 0\nconst S: &str = \"_ => 0\";\nfn f(x: u8) { match x { _ if x > 1 => 1, 2 | _=>0 } }\n",
        ),
        ("src/authorizer.rs", "fn f(x: E) { match x { E::A(_) => 1, E::B { .. } => 0 } }\n"),
    ]);
    assert_eq!(
        wildcards(&sources),
        [
            "src/decision/mod.rs:4: a `_` arm where an answer is chosen",
            "src/response.rs:3: a `_` arm where an answer is chosen",
            "src/response.rs:3: a `_` arm where an answer is chosen",
        ]
    );
}

/// Every file begins by saying what it is; `lib.rs` may begin with the README.
fn module_docs(sources: &Sources) -> Vec<String> {
    let has_docs = |file: &str, text: &str| {
        text.starts_with("//! ") || (file == "src/lib.rs" && text.starts_with("#![doc = include_str!("))
    };
    let bare = sources.rust().filter(|(file, text)| !has_docs(file, text));
    bare.map(|(file, _)| format!("{file}:1: the file does not begin with `//! `")).collect()
}

#[test]
fn every_file_says_what_it_is() {
    assert_eq!(module_docs(&Sources::of_repository()), NONE);
}

#[test]
fn the_documentation_rule_bites() {
    let sources = Sources::sample(&[
        ("src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n"),
        ("src/arn.rs", "//! The methodArn.\n"),
        ("src/time.rs", "use std::fmt;\n//! Time.\n"),
        ("src/jose/mod.rs", "//!\n"),
    ]);
    assert_eq!(
        module_docs(&sources),
        [
            "src/jose/mod.rs:1: the file does not begin with `//! `",
            "src/time.rs:1: the file does not begin with `//! `",
        ]
    );
}

/// Nothing that is read here speaks of unfinished work or of one machine. Comments and strings count.
fn words(sources: &Sources) -> Vec<String> {
    let mut findings = Vec::new();
    for (file, text) in &sources.0 {
        for (line, text) in text.lines().enumerate() {
            let lower = text.to_lowercase();
            let unfinished = UNFINISHED.iter().filter(|word| has_word(&lower, word));
            let machine = MACHINE_PATHS.iter().filter(|path| text.contains(**path));
            for found in unfinished.chain(machine) {
                findings.push(format!("{file}:{}: `{found}`", line + 1));
            }
        }
    }
    findings
}

fn has_word(text: &str, word: &str) -> bool {
    let boundary = |next: Option<char>| next.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    text.match_indices(word).any(|(at, _)| {
        boundary(text[..at].chars().next_back()) && boundary(text[at + word.len()..].chars().next())
    })
}

#[test]
fn no_text_speaks_of_unfinished_work_or_of_one_machine() {
    assert_eq!(words(&Sources::of_repository()), NONE);
}

#[test]
fn the_word_rule_bites() {
    let sources = Sources::sample(&[
        ("README.md", "A mastodon may list /todos.\nFor now, see /home/someone/cedar.\n"),
        ("deploy/template.yaml", "# FIXME: role\nPath: /homes\n"),
        ("src/arn.rs", "// TODO(x)\nlet oversimplified = todo_list;\n"),
    ]);
    assert_eq!(
        words(&sources),
        [
            "README.md:2: `for now`",
            "README.md:2: `/home/`",
            "deploy/template.yaml:1: `fixme`",
            "src/arn.rs:1: `todo`",
        ]
    );
}

/// The visible top level is [`TOP_LEVEL`]. `names` are the entries of the repository's root.
fn top_level(names: &BTreeSet<String>, gitignore: &str) -> Vec<String> {
    let ignored: Vec<&str> = gitignore.lines().map(|line| line.trim().trim_matches('/')).collect();
    let visible = names.iter().filter(|name| !name.starts_with('.') && !ignored.contains(&name.as_str()));
    let unexpected = visible.filter(|name| !TOP_LEVEL.contains(&name.as_str()));
    let missing = TOP_LEVEL.iter().filter(|name| !names.contains(**name));
    let unexpected = unexpected.map(|name| format!("{name}: has no place at the top level"));
    unexpected.chain(missing.map(|name| format!("{name}: is missing"))).collect()
}

#[test]
fn the_top_level_is_what_a_reader_needs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(root).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let gitignore = std::fs::read_to_string(root.join(".gitignore")).unwrap();
    assert_eq!(top_level(&names, &gitignore), NONE);
}

#[test]
fn the_top_level_rule_bites() {
    let mut names: BTreeSet<String> = TOP_LEVEL.iter().map(|name| (*name).to_owned()).collect();
    names.extend([".git", "target", "out"].map(str::to_owned));
    assert_eq!(top_level(&names, "/target\nout/\n"), NONE);
    names.insert("clippy.toml".to_owned());
    names.remove("LICENSE");
    assert_eq!(
        top_level(&names, "/target\nout/\n"),
        ["clippy.toml: has no place at the top level", "LICENSE: is missing"]
    );
}

const NONE: [&str; 0] = [];
