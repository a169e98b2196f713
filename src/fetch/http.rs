//! One HTTP client for everything that is asked over the network: an answer within seconds, of bounded size, from the host
//! that was meant, over TLS with a trusted root. Anything else is an error that names what went wrong, and no secret.

mod error;
mod file;

use std::fmt;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{ACCEPT, ACCEPT_ENCODING, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri};
use rustls::crypto::aws_lc_rs;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

pub use error::HttpError;
pub use file::{FILE_TIMEOUT, Fetched, FileRequest, Validator, ValidatorHeader};

use super::freshness::fresh_for;
use crate::jose::issuer::HttpUrl;
use crate::jose::{Excerpt, JwkSet};

/// The longest time for one request, its redirects and its whole answer. Issuers answer in a tenth of it; what is asked for
/// here stands between a caller and API Gateway, which gives an authorizer ten seconds.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// The most bytes of an answer's body that are read: the most that a key set may have.
pub const MAX_BODY_BYTES: usize = JwkSet::MAX_BYTES;

/// The most bytes of an answer's head that are read.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 2;

const USER_AGENT: &str = concat!("cedar-gate/", env!("CARGO_PKG_VERSION"));

/// Asks servers over HTTP. Clones share everything.
///
/// It keeps no connection: between two fetches lie minutes, in which a frozen Lambda function's connections die. It takes no
/// cookie, and no proxy from the environment, which could send an issuer's secret elsewhere.
#[derive(Clone, Debug)]
pub struct HttpClient {
    roots: Roots,
    /// For plain HTTP on this machine, which needs no roots.
    plain: Agent,
    /// Made at the first request that needs it: to read the system's roots takes milliseconds of a cold start.
    tls: Arc<Mutex<Option<Agent>>>,
}

#[derive(Clone, Debug)]
enum Roots {
    System,
    These(Arc<Vec<Certificate<'static>>>),
}

/// A server's answer with status 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The body, at most [`MAX_BODY_BYTES`].
    pub body: Vec<u8>,
    /// For how long the server calls it fresh (`Cache-Control`, less `Age`; RFC 9111 §4.2); `None` where it does not say.
    pub fresh_for: Option<Duration>,
}

/// What a client shows to prove who it is (RFC 6749 §2.3.1). `Debug` hides the secret.
#[derive(Clone, Copy)]
pub struct ClientCredentials<'a> {
    /// The client id.
    pub id: &'a str,
    /// The client secret.
    pub secret: &'a str,
}

impl fmt::Debug for ClientCredentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient {
    /// A client that trusts the roots of the system, or those that the environment variables `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` name. They are read when the first request needs them.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Roots::System)
    }

    /// A client that trusts these root certificates (PEM) and no other.
    ///
    /// # Errors
    /// [`HttpError::NoRoots`] when there is none in the text, or something else in PEM that cannot be read.
    pub fn with_roots(pem: &[u8]) -> Result<Self, HttpError> {
        let mut roots = Vec::new();
        for item in parse_pem(pem) {
            match item {
                Ok(PemItem::Certificate(certificate)) => roots.push(certificate),
                Ok(_) => {}
                Err(_) => return Err(HttpError::NoRoots { reason: "the text is not PEM".to_owned() }),
            }
        }
        if roots.is_empty() {
            return Err(HttpError::NoRoots { reason: "the text holds no certificate".to_owned() });
        }
        Ok(Self::with(Roots::These(Arc::new(roots))))
    }

    fn with(roots: Roots) -> Self {
        Self { roots, plain: agent(TlsConfig::builder().build()), tls: Arc::default() }
    }

    /// Asks for what stands at `url`, as JSON, within `within` and at most [`REQUEST_TIMEOUT`]. A redirect is followed to
    /// the same scheme, host and port alone: keys from elsewhere would be somebody else's keys.
    ///
    /// # Errors
    /// [`HttpError`], also for every status but 200.
    pub fn get(&self, url: &HttpUrl, within: Duration) -> Result<HttpResponse, HttpError> {
        let limit = Limit::starting(within, REQUEST_TIMEOUT);
        let (response, url) = self.follow(url, &limit, &HeaderMap::new(), |location| location)?;
        read(response, &url, &limit)
    }

    /// Asks for the file that stands at `url`, or for the news that it is the known one. Redirects are followed as
    /// [`Self::get`] follows them. Path and query may be a secret (a presigned URL): no error shows them.
    ///
    /// # Errors
    /// [`HttpError`], also for every status but 200, and 304 where it was asked for.
    pub fn get_file(&self, url: &HttpUrl, request: &FileRequest<'_>) -> Result<Fetched, HttpError> {
        let limit = Limit::starting(request.within, FILE_TIMEOUT);
        let mut headers = request.conditions()?;
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let (response, url) = self.follow(url, &limit, &headers, host_alone)?;
        request.read(response, &url, &limit)
    }

    /// Sends a form (`application/x-www-form-urlencoded`) with the client's credentials (HTTP Basic), and asks for JSON.
    /// No redirect is followed: the form may hold a token.
    ///
    /// # Errors
    /// [`HttpError`], also for every status but 200.
    pub fn post_form(
        &self,
        url: &HttpUrl,
        form: &[(&str, &str)],
        credentials: ClientCredentials<'_>,
        within: Duration,
    ) -> Result<HttpResponse, HttpError> {
        let limit = Limit::starting(within, REQUEST_TIMEOUT);
        let fields =
            form.iter().map(|(name, value)| format!("{}={}", form_encoded(name), form_encoded(value)));
        let body = fields.collect::<Vec<_>>().join("&");
        // RFC 6749 §2.3.1: both are form-encoded before they become user and password.
        let user = format!("{}:{}", form_encoded(credentials.id), form_encoded(credentials.secret));
        let mut authorization = HeaderValue::try_from(format!("Basic {}", BASE64.encode(user)))
            .map_err(|_| HttpError::Internal)?;
        authorization.set_sensitive(true);
        let response = self.exchange(url, &limit, |agent, left| {
            let request = agent.post(url.as_str()).config().timeout_global(Some(left)).build();
            request
                .header(AUTHORIZATION, authorization)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .send(&body)
        })?;
        read(response, url, &limit)
    }

    /// Asks with GET, and again where redirects lead on the same host; gives the last answer's head and who gave it. Of a
    /// redirect to elsewhere, the error shows what `shown` leaves of the address.
    fn follow(
        &self,
        url: &HttpUrl,
        limit: &Limit,
        headers: &HeaderMap,
        shown: fn(&str) -> &str,
    ) -> Result<(Response<Body>, HttpUrl), HttpError> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.exchange(&url, limit, |agent, left| {
                let request = agent.get(url.as_str()).config().timeout_global(Some(left)).build();
                headers.iter().fold(request, |request, (name, value)| request.header(name, value)).call()
            })?;
            match redirect(&response, &url, shown)? {
                Some(target) => url = target,
                None => return Ok((response, url)),
            }
        }
        Err(HttpError::TooManyRedirects)
    }

    /// One request and the head of its answer.
    fn exchange(
        &self,
        url: &HttpUrl,
        limit: &Limit,
        ask: impl FnOnce(&Agent, Duration) -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, HttpError> {
        let agent = if url.is_plain_http() { self.plain.clone() } else { self.tls_agent()? };
        guarded(|| ask(&agent, limit.left())).map_err(|error| HttpError::of(error, url, limit.within))
    }

    fn tls_agent(&self) -> Result<Agent, HttpError> {
        // Held while the roots are read, so that many first requests at once read them once.
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = &*tls {
            return Ok(agent.clone());
        }
        let roots = match &self.roots {
            Roots::System => Arc::new(system_roots()?),
            Roots::These(roots) => Arc::clone(roots),
        };
        // By name, not by what the process has set as its default: another crate may set another.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(RootCerts::Specific(roots))
            .build();
        Ok(tls.insert(agent(config)).clone())
    }
}

fn agent(tls: TlsConfig) -> Agent {
    Agent::config_builder()
        .tls_config(tls)
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .max_idle_connections(0)
        .max_response_header_size(MAX_HEAD_BYTES)
        // With TLS, a connection has two buffers each way. A prefetch has many connections at a time, in a small function.
        .input_buffer_size(2 * MAX_HEAD_BYTES)
        .output_buffer_size(MAX_HEAD_BYTES)
        .user_agent(USER_AGENT)
        .accept("application/json")
        .build()
        .new_agent()
}

fn system_roots() -> Result<Vec<Certificate<'static>>, HttpError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let reason =
            found.errors.first().map_or_else(|| "the system has none".to_owned(), ToString::to_string);
        return Err(HttpError::NoRoots { reason });
    }
    Ok(found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
}

/// The client starts a thread to look a name up, and panics where the system has no thread left.
fn guarded<T>(ask: impl FnOnce() -> Result<T, ureq::Error>) -> Result<T, ureq::Error> {
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or(Err(ureq::Error::ConnectionFailed))
}

/// How long everything may take that one call of the client does.
struct Limit {
    within: Duration,
    end: Instant,
}

#[expect(clippy::disallowed_methods, reason = "this module waits for servers, and must stop waiting")]
impl Limit {
    fn starting(within: Duration, at_most: Duration) -> Self {
        let within = within.min(at_most);
        Self { within, end: Instant::now() + within }
    }

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// Where a redirect leads, if the answer is one.
fn redirect(
    response: &Response<Body>,
    from: &HttpUrl,
    shown: fn(&str) -> &str,
) -> Result<Option<HttpUrl>, HttpError> {
    use StatusCode as S;
    let is_redirect = matches!(
        response.status(),
        S::MOVED_PERMANENTLY | S::FOUND | S::SEE_OTHER | S::TEMPORARY_REDIRECT | S::PERMANENT_REDIRECT
    );
    if !is_redirect {
        return Ok(None);
    }
    let location =
        response.headers().get(LOCATION).and_then(|location| location.to_str().ok()).unwrap_or_default();
    match same_origin(from, location) {
        Some(target) => Ok(Some(target)),
        None => Err(HttpError::RedirectedAway { to: Excerpt::of(shown(location)) }),
    }
}

/// The host and port that an address names, or nothing: a server that redirects repeats path and query.
fn host_alone(location: &str) -> &str {
    let after_scheme = location
        .split_once("://")
        .and_then(|(scheme, rest)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(rest));
    let rest = after_scheme.or_else(|| location.strip_prefix("//")).unwrap_or_default();
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// The address that `location` means at `base`, where that has the same scheme, host and port. Of the relative forms, a path
/// from the root alone is understood.
fn same_origin(base: &HttpUrl, location: &str) -> Option<HttpUrl> {
    let base: Uri = base.as_str().parse().ok()?;
    let (scheme, authority) = (base.scheme_str()?, base.authority()?.as_str());
    let absolute = match location {
        path if path.starts_with("//") => format!("{scheme}:{path}"),
        path if path.starts_with('/') => format!("{scheme}://{authority}{path}"),
        url => url.to_owned(),
    };
    let target = HttpUrl::try_from(absolute).ok()?;
    let parsed: Uri = target.as_str().parse().ok()?;
    (origin(&parsed) == origin(&base)).then_some(target)
}

/// Scheme, host and port (RFC 6454 §4).
fn origin(uri: &Uri) -> Option<(String, String, u16)> {
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// Reads the body of an answer that must have status 200.
fn read(response: Response<Body>, url: &HttpUrl, limit: &Limit) -> Result<HttpResponse, HttpError> {
    if response.status() != StatusCode::OK {
        return Err(HttpError::Status { status: response.status().as_u16() });
    }
    let fresh_for = fresh_for(&values(response.headers(), &CACHE_CONTROL), &values(response.headers(), &AGE));
    let body = read_body(response.into_body(), MAX_BODY_BYTES, url, limit)?;
    Ok(HttpResponse { body, fresh_for })
}

/// Reads a body of at most `most` bytes.
fn read_body(body: Body, most: usize, url: &HttpUrl, limit: &Limit) -> Result<Vec<u8>, HttpError> {
    let mut bytes = Vec::new();
    // What is announced is not believed, but saves copies of a large file. Where there is no room, reading says so.
    let announced = body.content_length().and_then(|bytes| usize::try_from(bytes).ok());
    bytes.try_reserve_exact(announced.unwrap_or(0).min(most)).ok();
    // One more than may be, whatever length was announced.
    let mut reader = body.into_reader().take(most as u64 + 1);
    reader
        .read_to_end(&mut bytes)
        .map_err(|error| HttpError::of(ureq::Error::from(error), url, limit.within))?;
    if bytes.len() > most {
        return Err(HttpError::TooLarge { most });
    }
    Ok(bytes)
}

/// The values of a header field, joined as RFC 9110 §5.3 says. One that is not ASCII says nothing.
fn values(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

/// The encoding of `application/x-www-form-urlencoded` (WHATWG URL §5.2).
fn form_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                encoded.push(char::from(byte))
            }
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_the_host_alone_is_shown() {
        for (location, shown) in [
            ("https://s3.example/bucket/key?X-Amz-Signature=5ec", "s3.example"),
            ("https://s3.example:8443?X-Amz-Signature=5ec", "s3.example:8443"),
            ("https://s3.example#5ec", "s3.example"),
            ("https://s3.example\\5ec", "s3.example"),
            ("https://5ec:5ec@s3.example/5ec", "s3.example"),
            ("https://[2001:db8::1]:8443/5ec", "[2001:db8::1]:8443"),
            ("//s3.example/5ec", "s3.example"),
            ("/5ec", ""),
            ("5ec?to=https://5ec", ""),
            ("/?to=//5ec", ""),
            ("file:///5ec", ""),
            ("", ""),
        ] {
            assert_eq!(host_alone(location), shown, "{location}");
        }
    }
}
