//! What the integration is told about the caller: `[context]`.

use std::collections::HashMap;

use crate::bundle::Bundle;
use crate::bundle::deployment::{ContextSource, PATH};
use crate::bundle::finding::{Code, Findings};

/// Notes keys that are easily mixed up, and keys that are always empty.
pub(super) fn check(bundle: &Bundle, findings: &mut Findings<'_>) {
    let mut keys: HashMap<String, &str> = HashMap::new();
    for (key, entry) in &bundle.deployment().context.entries {
        if let Some(other) = keys.insert(key.to_lowercase(), key) {
            let message =
                format!("context keys `{other}` and `{key}` differ in nothing but upper and lower case");
            findings.note_text(Code::ContextKeysAlike, PATH, key, message, None);
        }
        let ContextSource::Claim(claim) = &entry.source else { continue };
        if !bundle.issuers().iter().any(|issuer| issuer.attributes().any(|mapped| mapped == claim)) {
            let message = format!(
                "context key `{key}` tells claim `{claim}`, which no issuer maps: it is always empty"
            );
            findings.note_text(Code::ContextClaim, PATH, &format!("claim.{claim}"), message, None);
        }
    }
}
