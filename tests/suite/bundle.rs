//! A bundle that does not hold together does not load, and every finding says where and what to do.

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::fetch::read_bundle;

/// The bundle of the repository.
pub(crate) fn example() -> SourceFiles {
    read_bundle(env!("CARGO_MANIFEST_DIR").as_ref()).unwrap()
}

/// The example with one text replaced by another in one file.
fn changed(file: &str, from: &str, to: &str) -> SourceFiles {
    let mut files = example();
    let text = files.text(file).unwrap_or_else(|| panic!("the example has no {file}")).to_owned();
    assert!(text.contains(from), "{file} does not contain {from:?}");
    files.insert(file, text.replacen(from, to, 1));
    files
}

#[test]
fn the_example_loads() {
    let bundle = Bundle::load(&example()).unwrap();
    assert_eq!(bundle.policy_versions().map(|version| version.name.as_str()).collect::<Vec<_>>(), ["v1"]);
    assert!(bundle.active("orders-rest", "prod").is_some());
}

#[test]
fn each_mistake_is_found_where_it_stands() {
    for (file, from, to, expected) in MISTAKES {
        let error =
            Bundle::load(&changed(file, from, to)).expect_err(&format!("{file}: {to} was not noticed"));
        assert_eq!(error.to_string(), *expected, "{file}: {from} -> {to}");
    }
}

/// File, what it says, what it says instead, what is found.
const MISTAKES: &[(&str, &str, &str, &str)] = &[];
