//! OpenID Connect Discovery 1.0 §4.2, RFC 8414 §3.2: an issuer's metadata, of which we want the address of its keys.

use crate::jose::Excerpt;
use crate::jose::issuer::HttpUrl;
use crate::jose::json::Json;

/// Reads where the keys are. `url` is where the metadata was found, `issuer` whose it must be.
///
/// # Errors
/// When it is not strict JSON, is another issuer's, or leads to keys that anybody on the way could replace.
pub(super) fn jwks_uri(metadata: &[u8], url: &HttpUrl, issuer: &str) -> Result<HttpUrl, MetadataError> {
    let Ok(Json::Object(metadata)) = Json::parse(metadata) else { return Err(MetadataError::NotMetadata) };
    let string = |member: &'static str| {
        metadata.member(member).and_then(Json::as_str).ok_or(MetadataError::Member { member })
    };
    // §4.3: it must be exactly the issuer that was asked for, or the keys are somebody else's.
    let named = string("issuer")?;
    if named != issuer {
        return Err(MetadataError::WrongIssuer { issuer: Excerpt::of(named), expected: issuer.to_owned() });
    }
    let written = string("jwks_uri")?;
    match HttpUrl::try_from(written.to_owned()) {
        // Metadata from this machine's loopback may lead to keys there; metadata from the network may not.
        Ok(jwks_uri) if url.is_plain_http() || !jwks_uri.is_plain_http() => Ok(jwks_uri),
        Ok(_) | Err(_) => Err(MetadataError::KeysNotHttps { jwks_uri: Excerpt::of(written) }),
    }
}

/// Why an issuer's metadata does not say where its keys are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Not a JSON object, or one that has a member twice or nests too deep.
    #[error("the metadata is not a JSON object")]
    NotMetadata,
    /// A member is absent or not a string.
    #[error("the metadata's `{member}` is missing or not a string")]
    Member {
        /// The member.
        member: &'static str,
    },
    /// It is another issuer's.
    #[error("the metadata is of issuer `{issuer}`, and `{expected}` was asked for")]
    WrongIssuer {
        /// What it says: the server's text.
        issuer: Excerpt,
        /// What it must say.
        expected: String,
    },
    /// The keys are not behind https.
    #[error("the metadata's `jwks_uri` is `{jwks_uri}`: expected an https URL")]
    KeysNotHttps {
        /// What it says: the server's text.
        jwks_uri: Excerpt,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> HttpUrl {
        HttpUrl::try_from(text.to_owned()).unwrap()
    }

    fn said(metadata: &str, from: &str) -> String {
        match jwks_uri(metadata.as_bytes(), &url(from), "https://idp.example") {
            Ok(url) => url.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn metadata_leads_to_keys_of_the_issuer_alone() {
        let network = "https://idp.example/.well-known/openid-configuration";
        let loopback = "http://127.0.0.1:8080/.well-known/openid-configuration";
        let of = |issuer: &str, jwks_uri: &str| {
            serde_json::json!({ "issuer": issuer, "jwks_uri": jwks_uri, "scopes_supported": ["openid"] })
                .to_string()
        };
        let wrong_issuer = |shown: &str| {
            format!("the metadata is of issuer `{shown}`, and `https://idp.example` was asked for")
        };
        let not_https =
            |shown: &str| format!("the metadata's `jwks_uri` is `{shown}`: expected an https URL");
        let missing = |member: &str| format!("the metadata's `{member}` is missing or not a string");
        let twice = r#"{"issuer":"https://idp.example","issuer":"https://idp.example","jwks_uri":"https://a.example"}"#;
        for (metadata, from, expected) in [
            (of("https://idp.example", "https://keys.example/jwks"), network, "https://keys.example/jwks"),
            (of("https://idp.example", "https://keys.example/jwks"), loopback, "https://keys.example/jwks"),
            (of("https://idp.example", "http://127.0.0.1:9/jwks"), loopback, "http://127.0.0.1:9/jwks"),
            (
                of("https://idp.example", "http://127.0.0.1:9/jwks"),
                network,
                &not_https("http://127.0.0.1:9/jwks"),
            ),
            (
                of("https://idp.example", "http://keys.example/jwks"),
                loopback,
                &not_https("http://keys.example/jwks"),
            ),
            (
                of("https://idp.example", "HTTP://127.0.0.1:9/jwks"),
                network,
                &not_https("HTTP://127.0.0.1:9/jwks"),
            ),
            (of("https://idp.example", "file:///etc/passwd"), network, &not_https("file:///etc/passwd")),
            (of("https://idp.example", "/jwks"), network, &not_https("/jwks")),
            (of("https://idp.example", ""), network, &not_https("")),
            (of("https://idp.example/", "https://a.example"), network, &wrong_issuer("https://idp.example/")),
            (of("https://IDP.example", "https://a.example"), network, &wrong_issuer("https://IDP.example")),
            (
                of("https://evil.example\n`", "https://a.example"),
                network,
                &wrong_issuer("https://evil.example\\u{a}\\u{60}"),
            ),
            (r#"{"issuer":"https://idp.example"}"#.to_owned(), network, &missing("jwks_uri")),
            (r#"{"jwks_uri":"https://a.example"}"#.to_owned(), network, &missing("issuer")),
            (
                r#"{"issuer":["https://idp.example"],"jwks_uri":"https://a.example"}"#.to_owned(),
                network,
                &missing("issuer"),
            ),
            (r#"{"issuer":"https://idp.example","jwks_uri":null}"#.to_owned(), network, &missing("jwks_uri")),
            (twice.to_owned(), network, "the metadata is not a JSON object"),
            ("[]".to_owned(), network, "the metadata is not a JSON object"),
            ("<html>".to_owned(), network, "the metadata is not a JSON object"),
            (String::new(), network, "the metadata is not a JSON object"),
        ] {
            assert_eq!(said(&metadata, from), expected, "{metadata}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_metadata_is_answered(
            bytes in prop::collection::vec(any::<u8>(), 0..64), issuer in ".{0,8}", jwks_uri in "(https?://)?.{0,24}",
        ) {
            let from = url("https://idp.example/.well-known/openid-configuration");
            let _ = super::jwks_uri(&bytes, &from, "https://idp.example");
            let metadata = serde_json::json!({ "issuer": issuer, "jwks_uri": jwks_uri }).to_string();
            // Whatever it leads to is an https URL, and the text of the metadata.
            if let Ok(found) = super::jwks_uri(metadata.as_bytes(), &from, &issuer) {
                prop_assert!(found.as_str() == jwks_uri && jwks_uri.starts_with("https://"));
            }
            prop_assert!(issuer == "other" || super::jwks_uri(metadata.as_bytes(), &from, "other").is_err());
        }
    }
}
