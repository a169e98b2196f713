//! The contract of `authorizer.toml`'s `[context]`, filled: what the integration is told about this caller.
//!
//! Direct integrations put the values into their requests by mapping templates, which do not escape: a quote in a name
//! would end a JSON string, an `&` would begin another form field. So every text is written with the characters alone
//! that mean nothing in JSON, XML, a form or a URL; any other is percent-encoded (RFC 3986 §2.1), which
//! `$util.urlDecode` undoes.

use std::sync::Arc;

use super::{AuthorizerContext, ContextValue, json_array};
use crate::bundle::deployment::{ContextContract, ContextEntry, ContextSource, ListEncoding};
use crate::jose::{ClaimValue, VerifiedClaims};

/// The most bytes that keys and values may have together. API Gateway's limit for a whole WebSocket answer is 8 KB.
pub const MAX_BYTES: usize = 4096;

/// Where context values come from.
#[derive(Clone, Copy, Debug)]
pub struct ContextFacts<'a> {
    /// What the token says.
    pub claims: &'a VerifiedClaims,
    /// The principal's id, safe already.
    pub principal_id: &'a str,
    /// By what was decided.
    pub provenance: Provenance<'a>,
}

/// By what an answer was decided, whoever asked.
#[derive(Clone, Copy, Debug)]
pub struct Provenance<'a> {
    /// The version of the policies.
    pub policy_version: &'a str,
    /// The digest of that version.
    pub policy_digest: &'a str,
    /// The digest of the bundle.
    pub bundle_digest: &'a str,
}

/// A context that is too large.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the context would have {bytes} bytes: the limit is {MAX_BYTES}")]
pub struct ContextError {
    bytes: usize,
}

/// Fills the contract. A value that this caller does not have is left out: a template reads it as empty.
///
/// # Errors
/// [`ContextError`] where the values are larger than [`MAX_BYTES`] together.
pub fn fill(contract: &ContextContract, facts: &ContextFacts<'_>) -> Result<AuthorizerContext, ContextError> {
    let mut context = AuthorizerContext::with_capacity(contract.entries.len());
    let mut bytes = 0;
    for (key, entry) in &contract.entries {
        let Some(value) = value(entry, facts) else { continue };
        bytes += key.len() + size(&value);
        context.set(Arc::clone(key), value);
    }
    match bytes {
        0..=MAX_BYTES => Ok(context),
        _ => Err(ContextError { bytes }),
    }
}

/// What the contract tells with a refusal: by what it was decided, and nothing about the caller.
#[must_use]
pub fn fill_refusal(contract: &ContextContract, provenance: &Provenance<'_>) -> AuthorizerContext {
    let mut context = AuthorizerContext::new();
    for (key, entry) in &contract.entries {
        if let Some(text) = provenance.of(&entry.source) {
            context.set(Arc::clone(key), ContextValue::String(safe_text(text)));
        }
    }
    context
}

impl<'a> Provenance<'a> {
    fn of(&self, source: &ContextSource) -> Option<&'a str> {
        match source {
            ContextSource::PolicyVersion => Some(self.policy_version),
            ContextSource::PolicyDigest => Some(self.policy_digest),
            ContextSource::BundleDigest => Some(self.bundle_digest),
            ContextSource::Principal
            | ContextSource::Roles
            | ContextSource::Tenant
            | ContextSource::Issuer
            | ContextSource::Subject
            | ContextSource::ClientId
            | ContextSource::Scopes
            | ContextSource::Email
            | ContextSource::Claim(_) => None,
        }
    }
}

/// A text with nothing in it that a template, a form or a URL would read as more than text.
#[must_use]
pub fn safe_text(text: &str) -> String {
    safe_text_without(text, None)
}

fn value(entry: &ContextEntry, facts: &ContextFacts<'_>) -> Option<ContextValue> {
    let text = |text: &str| Some(ContextValue::String(safe_text(text)));
    let claims = facts.claims;
    match &entry.source {
        ContextSource::Principal => Some(ContextValue::String(facts.principal_id.to_owned())),
        ContextSource::Roles => Some(list(claims.roles(), &entry.list)),
        ContextSource::Tenant => claims.tenant().and_then(text),
        ContextSource::Issuer => text(claims.issuer()),
        ContextSource::Subject => text(claims.subject()),
        ContextSource::ClientId => claims.client_id().and_then(text),
        ContextSource::Scopes => Some(list(claims.scopes(), &entry.list)),
        ContextSource::Email => claims.email().and_then(text),
        source @ (ContextSource::PolicyVersion
        | ContextSource::PolicyDigest
        | ContextSource::BundleDigest) => facts.provenance.of(source).and_then(text),
        ContextSource::Claim(name) => {
            let (_, value) = claims.claims().find(|(claim, _)| claim == name)?;
            match value {
                ClaimValue::String(value) => text(value),
                ClaimValue::Long(number) => Some(ContextValue::Number(*number)),
                ClaimValue::Bool(truth) => Some(ContextValue::Bool(*truth)),
                ClaimValue::Set(items) => Some(list(items, &entry.list)),
            }
        }
    }
}

fn list(items: &[String], encoding: &ListEncoding) -> ContextValue {
    let safe: Vec<String> = match encoding {
        ListEncoding::Json | ListEncoding::Array => items.iter().map(|item| safe_text(item)).collect(),
        ListEncoding::Separator(separator) => {
            items.iter().map(|item| safe_text_without(item, Some(*separator))).collect()
        }
    };
    match encoding {
        ListEncoding::Json => ContextValue::String(json_array(&safe)),
        ListEncoding::Array => ContextValue::List(safe),
        ListEncoding::Separator(separator) => {
            ContextValue::String(safe.join(separator.encode_utf8(&mut [0; 4])))
        }
    }
}

fn safe_text_without(text: &str, separator: Option<char>) -> String {
    let is_separator = |byte: u8| separator == Some(char::from(byte));
    // Looks at every byte and branches at none: that is a few times faster, and mostly all there is to do.
    let is_safe = text.bytes().fold(true, |is_safe, byte| is_safe & is_plain(byte));
    if is_safe && separator.is_none_or(|separator| !text.contains(separator)) {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if is_plain(byte) && !is_separator(byte) {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
    }
    safe
}

/// Whether a character means nothing in JSON, XML, a form or a URL: letters, digits and `-` `.` `_` `~` `:` `@` `/` `|` `,`.
const fn is_plain(byte: u8) -> bool {
    // In ASCII `,` to `:` are one row with the digits, and `@` stands before `A`.
    (byte >= b',') & (byte <= b':')
        | (byte >= b'@') & (byte <= b'Z')
        | (byte >= b'a') & (byte <= b'z')
        | (byte == b'_')
        | (byte == b'|')
        | (byte == b'~')
}

fn size(value: &ContextValue) -> usize {
    match value {
        ContextValue::String(text) => text.len(),
        ContextValue::Number(_) => 20,
        ContextValue::Bool(_) => 5,
        ContextValue::List(items) => items.iter().map(|item| item.len() + 3).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_end_what_it_is_put_into() {
        assert_eq!(safe_text("acme|alice@example.com"), "acme|alice@example.com");
        assert_eq!(safe_text(r#"a"b\c&d=e$f<g> h'i%"#), "a%22b%5Cc%26d%3De%24f%3Cg%3E%20h%27i%25");
        assert_eq!(safe_text("é\n"), "%C3%A9%0A");
        for character in (0..=char::from(0xff).into()).filter_map(char::from_u32) {
            let is_plain = character.is_ascii_alphanumeric() || "-._~:@/|,".contains(character);
            let text = character.to_string();
            assert_eq!(safe_text(&text) == text, is_plain, "{character:?}");
            assert_eq!(
                safe_text_without(&text, Some(',')) == text,
                is_plain && character != ',',
                "{character:?}"
            );
        }
    }

    #[test]
    fn the_items_of_a_list_never_hold_its_separator() {
        let items = ["orders/read".to_owned(), "a,b".to_owned()];
        let text = |encoding| match list(&items, &encoding) {
            ContextValue::String(text) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text(ListEncoding::Separator(',')), "orders/read,a%2Cb");
        assert_eq!(text(ListEncoding::Separator('/')), "orders%2Fread/a,b");
        assert_eq!(text(ListEncoding::Json), r#"["orders/read","a,b"]"#);
        assert_eq!(list(&items, &ListEncoding::Array), ContextValue::List(items.to_vec()));
        assert_eq!(list(&[], &ListEncoding::Json), ContextValue::String("[]".to_owned()));
    }
}
