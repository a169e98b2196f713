//! Any bytes are a key set or a stated reason why not, and a set never verifies what it has no key for.
#![no_main]

use cedar_gate::jose::{JwkSet, verify_jws};
use libfuzzer_sys::fuzz_target;

/// A well-formed token (RFC 7515 appendix A.2) whose signature is cut to zeros, so no key can have made it.
const UNSIGNED: &str = concat!(
    "eyJhbGciOiJSUzI1NiJ9",
    ".eyJpc3MiOiJqb2UiLCJleHAiOjEzMDA4MTkzODAsImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
    ".AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
);

fuzz_target!(|bytes: &[u8]| {
    match JwkSet::from_json(bytes) {
        Ok(keys) => {
            let _ = (keys.keys(), keys.skipped());
            assert!(verify_jws(UNSIGNED, &keys).is_err(), "no key signs with zeros");
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "a message is one line"),
    }
});
