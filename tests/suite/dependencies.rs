//! What we may depend on: licences, sources, versions, and the Rust that they need. Read from `cargo metadata`, so it
//! holds for every crate of Cargo.lock, on every platform, and needs no tool to be installed.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// Licences whose terms we meet by shipping their texts. `OR` takes any of them, `AND` needs all.
const LICENCES: [&str; 7] =
    ["Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-3-Clause", "ISC", "MIT", "Unicode-3.0", "Zlib"];

/// Crates that must not come in, and why.
const BANNED: [(&str, &str); 5] = [
    ("openssl-sys", "signatures are aws-lc's: one implementation to watch"),
    ("ring", "signatures and TLS are aws-lc's: one implementation to watch"),
    ("rsa", "not constant-time (RUSTSEC-2023-0071)"),
    ("native-tls", "it links the system's OpenSSL"),
    ("serde_yaml", "not maintained"),
];

/// Crates of which a second version would mean two truths: two policy engines, two verifiers, two runtimes, two TLS.
const ONE_VERSION: [&str; 10] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "cedar-policy",
    "cedar-policy-core",
    "jsonwebtoken",
    "lambda_runtime",
    "rustls",
    "serde",
    "serde_json",
    "tokio",
];

/// Every package of Cargo.lock, ours included.
static PACKAGES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    metadata["packages"].as_array().expect("packages is a list").clone()
});

fn text<'a>(package: &'a Value, member: &str) -> &'a str {
    package[member].as_str().unwrap_or_default()
}

/// Fails with a line for each package that `finding` says something about.
fn check(finding: impl Fn(&Value) -> Option<String>) {
    assert!(PACKAGES.len() > 100, "cargo metadata names {} packages", PACKAGES.len());
    let found: Vec<String> = PACKAGES
        .iter()
        .filter_map(|package| {
            let (name, version) = (text(package, "name"), text(package, "version"));
            finding(package).map(|finding| format!("{name} {version}: {finding}"))
        })
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_licence_is_one_we_may_ship() {
    check(|package| {
        let licence = text(package, "license");
        (!may_ship(licence)).then(|| format!("licence `{licence}`"))
    });
}

#[test]
fn every_crate_comes_from_the_one_registry() {
    check(|package| match package["source"].as_str() {
        // Cargo's name for the public registry; a repository, a folder or another registry has another form.
        Some(source) if source.starts_with("registry+") && source.ends_with("/crates.io-index") => None,
        None if text(package, "name") == env!("CARGO_PKG_NAME") => None,
        source => Some(format!("source {source:?}")),
    });
}

#[test]
fn no_crate_needs_a_newer_rust_than_we_promise() {
    let ours = rust_version(env!("CARGO_PKG_RUST_VERSION"));
    check(|package| {
        let theirs = package["rust_version"].as_str()?;
        (rust_version(theirs) > ours)
            .then(|| format!("needs Rust {theirs}, Cargo.toml promises {}", env!("CARGO_PKG_RUST_VERSION")))
    });
}

/// Cargo.lock also lists what no build takes in, such as the optional backends of rustls, so this asks what is built: with
/// every feature of ours, for every platform, for tests too.
#[test]
fn banned_crates_stay_out() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--all-features", "--target", "all", "--edges", "all", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("cargo tree writes text");
    let built: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(built.len() > 100 && built.contains("rustls"), "cargo tree names {} packages", built.len());
    let found: Vec<_> = BANNED.iter().filter(|(name, _)| built.contains(name)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn what_decides_has_one_version() {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in PACKAGES.iter() {
        versions.entry(text(package, "name")).or_default().push(text(package, "version"));
    }
    for name in ONE_VERSION {
        assert_eq!(1, versions.get(name).map_or(0, Vec::len), "{name}: {:?}", versions.get(name));
    }
}

#[test]
fn a_licence_expression_is_read_as_spdx_means_it() {
    for allowed in [
        "MIT",
        "MIT/Apache-2.0",
        "MIT OR GPL-3.0-only",
        "(MIT OR GPL-3.0-only) AND Unicode-3.0",
        "GPL-2.0-only AND MIT OR ISC",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0-only",
    ] {
        assert!(may_ship(allowed), "{allowed}");
    }
    for refused in [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "(MIT OR ISC) AND GPL-3.0-only",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "MIT OR",
        "(MIT",
        "MIT)",
        "MIT ISC",
    ] {
        assert!(!may_ship(refused), "{refused}");
    }
}

fn rust_version(text: &str) -> Vec<u32> {
    // `1.88` and `1.88.0` are the same promise.
    let mut parts: Vec<u32> = text.split('.').map(|part| part.parse().expect("a number")).collect();
    parts.resize(3, 0);
    parts
}

/// Whether an SPDX licence expression is met by [`LICENCES`]. `AND` binds closer than `OR`; `/` is the old `OR`.
fn may_ship(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words: Vec<&str> = spaced.split_whitespace().collect();
    words.reverse();
    any_of(&mut words) == Some(true) && words.is_empty()
}

fn any_of(words: &mut Vec<&str>) -> Option<bool> {
    let mut met = all_of(words)?;
    while words.pop_if(|word| *word == "OR").is_some() {
        met |= all_of(words)?;
    }
    Some(met)
}

fn all_of(words: &mut Vec<&str>) -> Option<bool> {
    let mut met = licence(words)?;
    while words.pop_if(|word| *word == "AND").is_some() {
        met &= licence(words)?;
    }
    Some(met)
}

fn licence(words: &mut Vec<&str>) -> Option<bool> {
    match words.pop()? {
        "(" => {
            let met = any_of(words)?;
            (words.pop()? == ")").then_some(met)
        }
        ")" | "OR" | "AND" | "WITH" => None,
        name if words.pop_if(|word| *word == "WITH").is_some() => {
            let exception = words.pop()?;
            Some(LICENCES.contains(&format!("{name} WITH {exception}").as_str()))
        }
        name => Some(LICENCES.contains(&name)),
    }
}
