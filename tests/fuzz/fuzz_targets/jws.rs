//! Any text is a compact JWS or a stated reason why not; none verifies against a key that did not sign it.
#![no_main]

use std::sync::LazyLock;

use cedar_gate::jose::{CompactJws, JwkSet, verify_jws};
use libfuzzer_sys::fuzz_target;

/// The public keys of RFC 7515 appendix A.2 and A.3. Their private keys are public too, so a run that starts from
/// the tokens there would find true signatures; ours starts from nothing of the sort.
static KEYS: LazyLock<JwkSet> = LazyLock::new(|| {
    let text = r#"{"keys":[
        {"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"},
        {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
    ]}"#;
    JwkSet::from_json(text.as_bytes()).expect("the keys of the RFC are keys")
});

fuzz_target!(|text: &str| {
    match CompactJws::parse(text) {
        Ok(jws) => {
            let _ = (jws.algorithm(), jws.key_id(), jws.typ(), jws.payload());
            assert!(verify_jws(text, &KEYS).is_err(), "a signature was found by chance");
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "a message is one line"),
    }
});
