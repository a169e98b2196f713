//! A shadow version changes no answer, and says once where it disagrees: every pipeline case is asked with shadows of all
//! kinds beside the active version.

use std::sync::OnceLock;

use cedar_gate::authorizer::{Answered, Authorizer};
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::fetch::read_bundle;
use cedar_gate::record::Outcome;
use cedar_gate::record::shadow::{Disagreement, ShadowRecord};
use cedar_gate::time::Timestamp;
use serde_json::{Value, json};

use crate::pipeline::{NOW, clerk_event, every_event, folder};

/// The bundle of the pipeline cases with a version `v2` ([`with_v2`]) as the shadow of every stage.
fn shadowed(edit: impl Fn(&str, &str) -> String) -> Authorizer {
    authorizer(&with_v2("default = \"v1\"\nshadow = \"v2\"\n", edit))
}

/// The files of the pipeline cases with a version `v2`, made of the files of `v1` by `edit`.
fn with_v2(versions: &str, edit: impl Fn(&str, &str) -> String) -> SourceFiles {
    let mut files = read_bundle(&folder().join("bundle")).unwrap();
    let v1: Vec<(String, String)> = files
        .paths()
        .filter_map(|path| {
            Some((path.strip_prefix("policies/v1/")?.to_owned(), files.text(path)?.to_owned()))
        })
        .collect();
    for (name, text) in v1 {
        files.insert(format!("policies/v2/{name}"), edit(&name, &text));
    }
    files.insert("policies/versions.toml", versions);
    files
}

fn authorizer(files: &SourceFiles) -> Authorizer {
    Authorizer::new(Bundle::load(files).unwrap_or_else(|errors| panic!("{errors}"))).unwrap()
}

/// What an answer is but for what names the bundle, which differs.
pub(crate) fn without_digests(answered: &Answered, authorizer: &Authorizer) -> String {
    let text = format!("{:?}", answered.record);
    let reply = match &answered.reply {
        cedar_gate::response::Reply::Json(json) => json.as_str().to_owned(),
        other => format!("{other:?}"),
    };
    (text + &reply).replace(authorizer.bundle().digest(), "[digest]")
}

/// What every case is answered without a shadow.
pub(crate) fn alone() -> &'static [String] {
    static ALONE: OnceLock<Vec<String>> = OnceLock::new();
    ALONE.get_or_init(|| {
        let alone = authorizer(&read_bundle(&folder().join("bundle")).unwrap());
        let answer = |(name, event, now): (String, Vec<u8>, Timestamp)| {
            let answered = alone.answer(&event, now);
            assert!(answered.shadow.is_none(), "{name}");
            without_digests(&answered, &alone)
        };
        every_event().into_iter().map(answer).collect()
    })
}

/// Asks every case, with and without the shadow; what the shadow has to say.
fn disagreements(shadowed: &Authorizer) -> Vec<ShadowRecord> {
    let mut found = Vec::new();
    let mut asked = 0;
    for ((name, event, now), without) in every_event().into_iter().zip(alone()) {
        let with = shadowed.answer(&event, now);
        assert_eq!(without_digests(&with, shadowed), *without, "{name}");
        let has_decision = matches!(
            with.record.reason,
            "policy" | "no_permit" | "policy_error" | "withheld" | "context_too_large" | "unnameable_method"
        );
        assert_eq!(with.shadow.is_some(), has_decision, "{name}: {}", with.record.reason);
        if let Some(question) = &with.shadow {
            assert!(!matches!(with.record.outcome, Outcome::Fault | Outcome::Unauthorized), "{name}");
            asked += 1;
            let said = shadowed.ask_shadow(question, &with.record);
            assert_eq!(said, shadowed.ask_shadow(question, &with.record), "{name}: it says the same again");
            found.extend(said);
        }
    }
    assert!(asked >= 100, "{asked} decisions");
    found
}

#[test]
fn a_cross_check_changes_no_answer() {
    let mut files = read_bundle(&folder().join("bundle")).unwrap();
    let deployment = files.text("schema/authorizer.toml").unwrap().to_owned();
    files.insert("schema/authorizer.toml", format!("{deployment}\n[decisions]\ncross_check = true\n"));
    let checked = authorizer(&files);
    assert!(checked.bundle().deployment().cross_check);
    for ((name, event, now), without) in every_event().into_iter().zip(alone()) {
        assert_eq!(without_digests(&checked.answer(&event, now), &checked), *without, "{name}");
    }
}

#[test]
fn a_known_token_is_seen_by_each_stage_as_its_version_sees_it() {
    let versions = "default = \"v1\"\n[stage.rest.test-invoke-stage]\nactive = \"v2\"\n";
    // A clerk is an auditor in `v2` alone, and there auditors may do nothing.
    let files = with_v2(versions, |name, text| match name {
        "roles.toml" => text.replacen("[clerk]\n", "[clerk]\nincludes = [\"auditor\"]\n", 1),
        "orders.cedar" => {
            format!("{text}\n@id(\"closed\") forbid (principal in Role::\"auditor\", action, resource);")
        }
        _ => text.to_owned(),
    });
    let prod = clerk_event("rest-token", "GET", "/orders/42", "/orders/{orderId}").to_string();
    let test = prod.replace("/prod/", "/test-invoke-stage/");
    for order in [[&prod, &test], [&test, &prod]] {
        let authorizer = authorizer(&files);
        for round in 0..2 {
            for event in order {
                let Answered { record, token_known, .. } = authorizer.answer(event.as_bytes(), NOW);
                let expected = if *event == prod { Outcome::Allow } else { Outcome::Deny };
                assert_eq!((record.outcome, record.reason), (expected, "policy"), "{round}: {event}");
                assert!(token_known || (round == 0 && event == order[0]));
            }
        }
    }
}

#[test]
fn a_copy_never_disagrees() {
    assert_eq!(disagreements(&shadowed(|_, text| text.to_owned())), []);
}

#[test]
fn a_shadow_that_forbids_all_is_narrower_where_something_is_allowed_and_says_why() {
    let shadow = shadowed(|name, text| match name {
        "orders.cedar" => format!("{text}\n@id(\"closed\") forbid (principal, action, resource);"),
        _ => text.to_owned(),
    });
    let found = disagreements(&shadow);
    assert!(found.len() >= 30, "{} disagreements", found.len());
    for record in &found {
        assert!(matches!(record.disagreement, Disagreement::Narrower | Disagreement::Errors), "{record:?}");
        assert_eq!(record.shadow.effect, Some("deny"));
        if record.disagreement == Disagreement::Narrower {
            assert_eq!(record.active.effect, Some("allow"));
            assert!(!record.active.policies.is_empty(), "{record:?}");
        }
        assert!(record.shadow.policies.contains(&"closed".to_owned()), "{record:?}");
        assert_ne!(record.active.digest, record.shadow.digest);
    }
    let record = found.iter().find(|record| record.active.policies == ["clerks-work"]).unwrap();
    let record = serde_json::to_value(record).unwrap();
    let v1 = shadow.read_bundle().unwrap().policy_versions().find(|version| version.name == "v1").unwrap();
    assert_eq!(record["type"], "shadow");
    assert_eq!(
        record["active"],
        json!({ "version": "v1", "digest": v1.digest, "effect": "allow", "policies": ["clerks-work"] })
    );
    for member in ["timestamp", "api", "stage", "action", "route", "principal", "bundle"] {
        assert!(matches!(&record[member], Value::String(text) if !text.is_empty()), "{member} in {record}");
    }
}

#[test]
fn a_shadow_that_permits_all_is_wider_where_no_policy_forbids() {
    let shadow = shadowed(|name, text| match name {
        "orders.cedar" => format!("{text}\n@id(\"open\") permit (principal, action, resource);"),
        _ => text.to_owned(),
    });
    let found = disagreements(&shadow);
    assert!(found.len() >= 10, "{} disagreements", found.len());
    for record in &found {
        assert_eq!(record.disagreement, Disagreement::Wider, "{record:?}");
        assert_eq!((record.active.effect, record.shadow.effect), (Some("deny"), Some("allow")));
        assert!(record.active.policies.is_empty() && record.active.policy_errors.is_empty(), "{record:?}");
        assert_eq!(record.shadow.policies, ["open"]);
    }
}

#[test]
fn a_shadow_whose_policies_fail_says_so_and_harms_nobody() {
    let overflow = "@id(\"overflows\") permit (principal, action, resource) \
                    when { 9223372036854775807 + (if context.path == \"\" then 1 else 2) > 0 };";
    let shadow = shadowed(|name, text| match name {
        "orders.cedar" => format!("{text}\n{overflow}"),
        _ => text.to_owned(),
    });
    let found = disagreements(&shadow);
    assert!(found.len() >= 60, "{} disagreements", found.len());
    for record in &found {
        assert!(
            record.shadow.policy_errors.iter().any(|error| error.starts_with("overflows: ")),
            "{record:?}"
        );
        let expected = match record.active.effect {
            Some("allow") => Disagreement::Narrower,
            _ => Disagreement::Errors,
        };
        assert_eq!(record.disagreement, expected, "{record:?}");
    }
}

#[test]
fn no_shadow_is_asked_where_the_log_wants_none() {
    let mut files = read_bundle(&folder().join("bundle")).unwrap();
    let facts = files.text("schema/authorizer.toml").unwrap().to_owned();
    files.insert("policies/v2/orders.cedar", "@id(\"open\") permit (principal, action, resource);");
    let roles = files.text("policies/v1/roles.toml").unwrap().to_owned();
    files.insert("policies/v2/roles.toml", roles);
    files.insert("policies/versions.toml", "default = \"v1\"\nshadow = \"v2\"\n");
    let log = "[log]\nshadow = \"none\"\n";
    assert!(!facts.contains("[log]"), "the test adds the table");
    files.insert("schema/authorizer.toml", format!("{facts}\n{log}"));
    let authorizer = authorizer(&files);
    assert!(every_event().iter().all(|(_, event, now)| authorizer.answer(event, *now).shadow.is_none()));
}
