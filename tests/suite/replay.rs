//! A decision that is made once more from its record is the decision that was made, or is not made: the records of all
//! pipeline cases, in each form that a record can have, by the bundle that wrote them and by others.

use std::collections::BTreeMap;

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::decision::Effect;
use cedar_gate::fetch::read_bundle;
use cedar_gate::record::DecisionRecord;
use cedar_gate::tools::decision_log::{Found, LoggedDecision, read_line};
use cedar_gate::tools::replay::{Replay, Undecided, decided};

use crate::pipeline::{every_event, folder};

fn files(form: &str) -> SourceFiles {
    let mut files = read_bundle(&folder().join("bundle")).unwrap();
    let facts = files.text("schema/authorizer.toml").unwrap().to_owned();
    files.insert("schema/authorizer.toml", format!("{facts}\n[log]\nfacts = \"{form}\"\n"));
    files
}

fn load(files: &SourceFiles) -> Bundle {
    Bundle::load(files).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The records of all cases, as a log has them.
fn log(form: &str) -> Vec<(String, String)> {
    let authorizer = Authorizer::new(load(&files(form))).unwrap();
    let record = |record: &DecisionRecord| serde_json::to_string(record).unwrap();
    every_event()
        .into_iter()
        .map(|(name, event, now)| (name, record(&authorizer.answer(&event, now).record)))
        .collect()
}

fn read(line: &str) -> LoggedDecision {
    match read_line(line).into_iter().next() {
        Some(Found::Decision(decision)) => *decision,
        other => panic!("{other:?} in {line}"),
    }
}

/// Decides every record once more by its own bundle; the share of decisions that could be.
fn replays_to_itself(form: &str) -> (usize, BTreeMap<String, usize>) {
    let bundle = load(&files(form));
    let mut replay = Replay::new(&bundle, None);
    let (mut same, mut not) = (0, BTreeMap::new());
    for (name, line) in log(form) {
        let record = read(&line);
        let Some(was) = decided(&record) else { continue };
        match replay.redecide(&record) {
            Ok(now) => {
                assert_eq!(now.effect, was, "{name}, {form}: {line}");
                assert_eq!(now.reason, None, "{name}, {form}");
                if now.is_whole {
                    assert_eq!(now.policies, record.policies, "{name}, {form}: {line}");
                }
                same += 1;
            }
            Err(why @ (Undecided::Fact { .. } | Undecided::NoPath | Undecided::Required { .. }))
                if form != "plain" =>
            {
                *not.entry(why.to_string()).or_default() += 1;
            }
            Err(why) => panic!("{name}, {form}: {why}: {line}"),
        }
    }
    (same, not)
}

#[test]
fn a_plain_record_is_decided_as_it_was() {
    let (same, not) = replays_to_itself("plain");
    assert!(same >= 150, "{same} decisions");
    assert!(not.is_empty(), "{not:?}");
}

#[test]
fn a_hashed_record_is_decided_as_it_was_or_not_at_all() {
    let (same, not) = replays_to_itself("hashed");
    let all: usize = same + not.values().sum::<usize>();
    // What is left is read by patterns, address ranges and arithmetic.
    assert!(same * 3 >= all * 2, "{same} of {all} decisions: {not:?}");
    for why in not.keys() {
        assert!(why.contains("has as a hash"), "{why}");
    }
}

#[test]
fn a_record_without_facts_is_decided_as_it_was_or_not_at_all() {
    let (same, not) = replays_to_itself("none");
    assert!(same > 0 && !not.is_empty(), "{same} decisions, {not:?}");
    for why in not.keys() {
        assert!(why.contains("is not in the record") || why.contains("\"none\""), "{why}");
    }
}

#[test]
fn by_another_version_a_record_is_decided_as_that_version_decides() {
    // What the other version says of the very requests is known: it is asked itself.
    for (what, more) in [
        ("open", "@id(\"open\") permit (principal, action, resource);"),
        ("closed", "@id(\"closed\") forbid (principal, action in Action::\"read\", resource);"),
        (
            "equal",
            "@id(\"equal\") permit (principal is User, action, resource) when { principal has email && principal.email == \"ann@acme.example\" };",
        ),
        (
            "like",
            "@id(\"like\") forbid (principal is User, action, resource) when { principal has email && principal.email like \"*@acme.example\" };",
        ),
    ] {
        for (form, least) in [("plain", 150), ("hashed", 80), ("none", 1)] {
            let mut other = files(form);
            let orders = other.text("policies/v1/orders.cedar").unwrap().to_owned();
            other.insert("policies/v1/orders.cedar", format!("{orders}\n{more}"));
            let (bundle, authorizer) = (load(&other), Authorizer::new(load(&other)).unwrap());
            let mut replay = Replay::new(&bundle, None);
            let mut compared = 0;
            for ((name, line), (_, event, now)) in log(form).into_iter().zip(every_event()) {
                let record = read(&line);
                let truth = read(&serde_json::to_string(&authorizer.answer(&event, now).record).unwrap());
                let (Some(_), Some(truth)) = (decided(&record), decided(&truth)) else { continue };
                let Ok(found) = replay.redecide(&record) else { continue };
                compared += 1;
                assert_eq!(found.effect, truth, "{name}, {what}, {form}: {line}");
            }
            assert!(compared >= least, "{what}, {form}: {compared} decisions compared");
        }
    }
}

#[test]
fn the_report_counts_every_record_once() {
    let mut other = files("plain");
    let orders = other.text("policies/v1/orders.cedar").unwrap().to_owned();
    other.insert("policies/v1/orders.cedar", format!("{orders}\n@id(\"open\") permit (principal, action, resource);\n@id(\"never\") permit (principal in Tenant::\"acme\", action == Action::\"readOrder\", resource) when {{ false }};"));
    let bundle = load(&other);
    let mut replay = Replay::new(&bundle, None);
    let records: Vec<LoggedDecision> = log("plain").iter().map(|(_, line)| read(line)).collect();
    records.iter().for_each(|record| replay.add(record));
    let report = replay.finish();
    assert_eq!(report.records, records.len() as u64);
    let none: u64 = report.no_decision.values().sum();
    let undecided: u64 = report.undecided.values().sum();
    assert_eq!(report.records, report.decided + none + undecided);
    assert_eq!(report.decided, report.same + report.wider + report.narrower);
    assert_eq!(report.wider, report.flips.iter().map(|flip| flip.count).sum::<u64>());
    assert_eq!(report.wider, report.by_operation.values().map(|flips| flips.wider).sum::<u64>());
    assert_eq!(report.narrower, 0);
    assert!(report.wider > 0 && report.flips.iter().all(|flip| flip.now == ["open"]), "{:?}", report.flips);
    let unused: Vec<&str> = report.unused_permits().map(|unused| unused.policy.as_str()).collect();
    assert!(unused.contains(&"never") && !unused.contains(&"open"), "{unused:?}");
    let denied = records.iter().filter(|record| decided(record) == Some(Effect::Deny)).count() as u64;
    assert!(report.wider <= denied);
}
