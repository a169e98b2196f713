//! A file over HTTP: asked for with what is known of it, so that it is sent only when it is another one.

use std::fmt;
use std::time::Duration;

use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use ureq::Body;

use super::{HttpError, Limit, read_body};
use crate::jose::issuer::HttpUrl;

/// The longest time for one file, its redirects and its whole body: what AWS Lambda gives a function to start (Developer Guide,
/// "Init phase").
pub const FILE_TIMEOUT: Duration = Duration::from_secs(10);

const CONFIGURATION_VERSION: HeaderName = HeaderName::from_static("configuration-version");

/// How a file is asked for.
#[derive(Clone, Copy, Debug)]
pub struct FileRequest<'a> {
    /// Where the server says which version it sends.
    pub validator_in: ValidatorHeader,
    /// The version that is known already.
    pub known: Option<&'a Validator>,
    /// The most bytes that the file may have, whatever `Content-Length` says.
    pub max_bytes: usize,
    /// The time for everything, and at most [`FILE_TIMEOUT`].
    pub within: Duration,
}

/// The header field in which a server says which version it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidatorHeader {
    /// `ETag`; the known one is sent as `If-None-Match` (RFC 9110 §13.1.2).
    ETag,
    /// `Configuration-Version`, as AWS AppConfig Agent answers. It knows no condition, and sends the file to whoever asks.
    ConfigurationVersion,
}

/// What a server calls a version of a file: the text of its header field, 1 to 1,024 printable ASCII characters. Two that are
/// equal are the same version of the file at the same address; nothing else can be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator(Box<str>);

/// A server's answer about a file.
#[derive(Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The file is the known version: the server said so (304), or was about to send that version again.
    NotModified,
    /// The file.
    File {
        /// All of it.
        bytes: Vec<u8>,
        /// Which version it is; `None` where the server does not say it in a way that can be repeated.
        validator: Option<Validator>,
    },
}

impl Validator {
    const MAX_BYTES: usize = 1_024;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Several fields of the name say nothing: which of them holds?
    fn of(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut values = headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let text = value.to_str().ok()?;
        let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        (is_plain && (1..=Self::MAX_BYTES).contains(&text.len())).then(|| Self(text.into()))
    }
}

impl fmt::Display for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many bytes, instead of them.
impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotModified => f.write_str("NotModified"),
            Self::File { bytes, validator } => f
                .debug_struct("File")
                .field("bytes", &format_args!("{} bytes", bytes.len()))
                .field("validator", validator)
                .finish(),
        }
    }
}

impl FileRequest<'_> {
    /// The header fields that make the request conditional.
    pub(super) fn conditions(&self) -> Result<HeaderMap, HttpError> {
        let mut headers = HeaderMap::new();
        if let (ValidatorHeader::ETag, Some(known)) = (self.validator_in, self.known) {
            let etag = HeaderValue::from_str(known.as_str()).map_err(|_| HttpError::Internal)?;
            headers.insert(IF_NONE_MATCH, etag);
        }
        Ok(headers)
    }

    /// What the answer to it means; reads the body if it is another version than the known one.
    pub(super) fn read(
        &self,
        response: Response<Body>,
        url: &HttpUrl,
        limit: &Limit,
    ) -> Result<Fetched, HttpError> {
        let name = match self.validator_in {
            ValidatorHeader::ETag => ETAG,
            ValidatorHeader::ConfigurationVersion => CONFIGURATION_VERSION,
        };
        let asked = self.validator_in == ValidatorHeader::ETag && self.known.is_some();
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if asked => return Ok(Fetched::NotModified),
            status => return Err(HttpError::Status { status: status.as_u16() }),
        }
        let validator = Validator::of(response.headers(), &name);
        if validator.is_some() && validator.as_ref() == self.known {
            return Ok(Fetched::NotModified);
        }
        // Megabytes that would be thrown away are not read.
        if response.body().content_length().is_some_and(|bytes| bytes > self.max_bytes as u64) {
            return Err(HttpError::TooLarge { most: self.max_bytes });
        }
        let bytes = read_body(response.into_body(), self.max_bytes, url, limit)?;
        Ok(Fetched::File { bytes, validator })
    }
}
