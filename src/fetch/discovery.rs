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
