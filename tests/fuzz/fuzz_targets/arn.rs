//! Any text is a method ARN that displays as itself or a stated reason why not; the resource of a refusal never
//! holds more than checked parts.
#![no_main]

use cedar_gate::arn::{MethodArn, Target};
use cedar_gate::path::{PathEncoding, reconcile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let arn: MethodArn = match text.parse() {
        Ok(arn) => arn,
        Err(error) => {
            let _ = error.to_string();
            return;
        }
    };
    assert_eq!(text, arn.to_string());
    assert_eq!(text, arn.as_str());

    let resource = arn.stage_resource();
    assert_eq!(1, resource.matches('*').count(), "only the last character is a wildcard: {resource}");
    assert!(resource.ends_with("/*") && !resource.contains('?'), "{resource}");

    if let Target::Method { path, .. } = arn.target() {
        for encoding in [PathEncoding::Raw, PathEncoding::Decoded] {
            let own = format!("/{path}");
            // With and without the event's path: a path in normal form has no wildcard and no dot segment.
            for event_path in [None, Some(own.as_str())] {
                if let Ok(path) = reconcile(encoding, path, event_path, &[]) {
                    assert!(!path.as_str().contains(['*', '?', '$']), "{path}");
                    assert!(!path.segments().any(|segment| segment == "." || segment == ".."), "{path}");
                }
            }
        }
    }
});
