//! How often an answer asks for memory: the one cost that is the same on every machine and in every run.

use allocation_counter::{AllocationInfo, measure};
use cedar_gate::authorizer::Authorizer;
use cedar_gate::record::Outcome;

use crate::pipeline::{NOW, bundle, clerk_event};

/// The allocations of an allowed request, by a process that has seen its token and everything else before.
fn of_a_known_token(kind: &str) -> AllocationInfo {
    let authorizer = Authorizer::new(bundle()).unwrap();
    let event = clerk_event(kind, "GET", "/orders/42", "/orders/{orderId}");
    let event = serde_json::to_vec(&event).unwrap();
    assert!(!authorizer.answer(&event, NOW).token_known);
    let mut answered = None;
    // What is made once and kept is made by the second answer at the latest.
    drop(authorizer.answer(&event, NOW));
    let info = measure(|| answered = Some(authorizer.answer(&event, NOW)));
    let answered = answered.unwrap();
    assert!(answered.token_known && answered.record.outcome == Outcome::Allow, "{answered:?}");
    info
}

#[test]
fn an_answer_to_a_known_token_allocates_little() {
    let bounds = [("rest-token", 62), ("rest-request", 86), ("http-v2-simple", 81)];
    let counted: Vec<(&str, u64, u64)> =
        bounds.into_iter().map(|(kind, most)| (kind, of_a_known_token(kind).count_total, most)).collect();
    // A bound that nothing comes near would hold nothing.
    let is_held = |(_, count, most): &(&str, u64, u64)| count <= most && count * 10 >= most * 9;
    assert!(
        counted.iter().all(is_held),
        "allocations, and the bounds that they are to come near: {counted:?}"
    );
}
