//! A released bundle: one file at a place that its operator names. [`ReleaseSource`] reads that name, and [`ReleaseClient`]
//! fetches the bytes, or learns that they are the known ones. What they hold, how often one asks and what a failure means is
//! the caller's: nothing here keeps time or state.
//!
//! AWS AppConfig is asked through AWS AppConfig Agent, which its Lambda extension runs beside the function. Its address is
//! `http://localhost:2772/applications/A/environments/E/configurations/P`, where each of the three is a name or an id, and
//! it answers 200 with the configuration's version in the header field `Configuration-Version`: AWS AppConfig User Guide,
//! "How to use AWS AppConfig Agent to retrieve configuration data" and "Retrieving configuration data for applications
//! running in Amazon ECS and Amazon EKS", which shows a whole answer.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use super::http::{Fetched, Validator};
use super::http::{FileRequest, HttpClient, HttpError, ValidatorHeader};
use crate::jose::Excerpt;
use crate::jose::issuer::HttpUrl;

/// The most bytes that a released bundle may have.
pub const MAX_RELEASE_BYTES: usize = 64 * 1024 * 1024;

/// Where AWS AppConfig Agent listens if the environment variable `AWS_APPCONFIG_EXTENSION_HTTP_PORT` does not say otherwise
/// (AWS AppConfig User Guide, "Configuring the AWS AppConfig Agent Lambda extension").
pub const APP_CONFIG_PORT: u16 = 2772;

/// What an operator may write.
const UNDERSTOOD: &str = "expected a path, `https://…` or `appconfig:APPLICATION/ENVIRONMENT/PROFILE`";

/// Where a bundle is, as the environment variable `CEDAR_GATE_BUNDLE` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseSource {
    /// On this machine.
    Path(PathBuf),
    /// Behind a URL.
    Https(ReleaseUrl),
    /// In AWS AppConfig.
    AppConfig(AppConfig),
}

/// A place that is asked over the network. `Display` and `Debug` show nothing of a URL but scheme and host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteRelease {
    /// Behind a URL.
    Https(ReleaseUrl),
    /// In AWS AppConfig.
    AppConfig(AppConfig),
}

/// The URL of a released bundle: https, or http on this machine's loopback. Whoever knows path and query may be allowed to
/// read it, as with a presigned URL of Amazon S3: `Display` and `Debug` show scheme and host alone.
#[derive(Clone, PartialEq, Eq)]
pub struct ReleaseUrl(HttpUrl);

/// A configuration in AWS AppConfig: application, environment and configuration profile, each by its name or id.
///
/// Ids are 4 to 7 of `a-z 0-9`; a name has at most 64 characters, a profile's 128 (AWS AppConfig API Reference,
/// `Application`, `Environment`, `ConfigurationProfile`). Names may hold whatever characters they like; those understood here
/// are letters, digits, `.`, `_`, `-` and space. What is named otherwise has its id.
#[derive(Clone, PartialEq, Eq)]
pub struct AppConfig(Box<[String; 3]>);

/// Why a text does not say where a bundle is. No message holds path or query of a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseSourceError {
    /// There is no text.
    #[error("no bundle is named: {UNDERSTOOD}")]
    Empty,
    /// A URL of another kind.
    #[error("`{scheme}:` is not understood: {UNDERSTOOD}; {}", instead_of(.scheme))]
    Scheme {
        /// Its scheme, in lower case.
        scheme: String,
    },
    /// A URL that is not asked.
    #[error("the URL that begins with `{scheme}:` cannot be fetched: {reason}")]
    Url {
        /// Its scheme, in lower case.
        scheme: String,
        /// What was expected.
        reason: &'static str,
    },
    /// More or fewer than three names.
    #[error("`appconfig:` names {names} of three: expected `appconfig:APPLICATION/ENVIRONMENT/PROFILE`")]
    Names {
        /// How many there are.
        names: usize,
    },
    /// A name that is not understood.
    #[error(
        "`{name}` cannot be the AppConfig {of}: expected 1 to {} of the characters A-Z a-z 0-9 . _ - and space; what is named otherwise is named by its id",
        AppConfig::MAX_BYTES
    )]
    Name {
        /// Whose name it is.
        of: &'static str,
        /// The name.
        name: Excerpt,
    },
}

fn instead_of(scheme: &str) -> &'static str {
    match scheme {
        "s3" | "arn" => "presign the object's https URL, or use AppConfig",
        "file" => "write the path alone",
        _ => "a path with a colon in it can begin with `./`",
    }
}

/// Why a release could not be fetched. No message holds path or query of a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseFetchError {
    /// The server refused.
    #[error("`{remote}`: status {status}{}", meaning(.remote, *.status))]
    Status {
        /// What was asked.
        remote: RemoteRelease,
        /// Its status: neither 200 nor 304.
        status: u16,
    },
    /// Nobody listens where AWS AppConfig Agent should.
    #[error("`{app_config}`: {error}: is the AppConfig extension a layer of the function?")]
    NoExtension {
        /// What was to be asked.
        app_config: AppConfig,
        /// What happened instead.
        error: HttpError,
    },
    /// No usable answer: too late, too large, cut off, not from the host that was meant.
    #[error("`{remote}`: {error}")]
    Http {
        /// What was asked.
        remote: RemoteRelease,
        /// Why.
        error: HttpError,
    },
}

/// What a status tells whoever must do something about it. 400, 404 and 500 of AWS AppConfig Agent: AWS AppConfig User Guide,
/// "Generating a client using the OpenAPI specification".
fn meaning(remote: &RemoteRelease, status: u16) -> &'static str {
    match (remote, status) {
        (RemoteRelease::Https(_), 401 | 403) => ": the URL has expired or does not permit it",
        (RemoteRelease::Https(_), 404 | 410) => ": there is no such file",
        (RemoteRelease::AppConfig(_), 401 | 403) => {
            ": the function's role must permit appconfig:StartConfigurationSession and appconfig:GetLatestConfiguration"
        }
        (RemoteRelease::AppConfig(_), 404) => {
            ": there is no such application, environment or profile, or nothing is deployed there"
        }
        (RemoteRelease::AppConfig(_), 400 | 500..) => ": what the AppConfig extension logs says why",
        _ => "",
    }
}

/// Fetches released bundles.
#[derive(Clone, Debug)]
pub struct ReleaseClient {
    http: HttpClient,
    app_config_port: u16,
}

impl ReleaseClient {
    /// A client that asks AWS AppConfig Agent at this port, mostly [`APP_CONFIG_PORT`].
    #[must_use]
    pub fn new(http: HttpClient, app_config_port: u16) -> Self {
        Self { http, app_config_port }
    }

    /// Asks for a release once, for at most `within` and never longer than [`super::http::FILE_TIMEOUT`]. With the `known`
    /// validator of an earlier answer from the same place, nothing is read that is known already.
    ///
    /// # Errors
    /// [`ReleaseFetchError`], also where the release has more than [`MAX_RELEASE_BYTES`].
    pub fn fetch(
        &self,
        remote: &RemoteRelease,
        known: Option<&Validator>,
        within: Duration,
    ) -> Result<Fetched, ReleaseFetchError> {
        let (url, validator_in) = match remote {
            RemoteRelease::Https(ReleaseUrl(url)) => (Ok(url.clone()), ValidatorHeader::ETag),
            RemoteRelease::AppConfig(app_config) => {
                (app_config.url(self.app_config_port), ValidatorHeader::ConfigurationVersion)
            }
        };
        let request = FileRequest { validator_in, known, max_bytes: MAX_RELEASE_BYTES, within };
        url.and_then(|url| self.http.get_file(&url, &request)).map_err(|error| failure(remote, error))
    }
}

fn failure(remote: &RemoteRelease, error: HttpError) -> ReleaseFetchError {
    match (remote, error) {
        (RemoteRelease::AppConfig(app_config), error @ HttpError::Connect { .. }) => {
            ReleaseFetchError::NoExtension { app_config: app_config.clone(), error }
        }
        (remote, HttpError::Status { status }) => {
            ReleaseFetchError::Status { remote: remote.clone(), status }
        }
        (remote, error) => ReleaseFetchError::Http { remote: remote.clone(), error },
    }
}

impl ReleaseSource {
    /// Reads where a bundle is: `https://…` (and `http://…` on this machine's loopback), `appconfig:…`, or a path. What
    /// begins like a URL of another kind is no path.
    ///
    /// # Errors
    /// [`ReleaseSourceError`].
    pub fn parse(text: &str) -> Result<Self, ReleaseSourceError> {
        if text.is_empty() {
            return Err(ReleaseSourceError::Empty);
        }
        let Some((scheme, rest)) = scheme(text) else { return Ok(Self::Path(text.into())) };
        match scheme.as_str() {
            "https" | "http" => match HttpUrl::parse(text) {
                Ok(url) => Ok(Self::Https(ReleaseUrl(url))),
                Err(reason) => Err(ReleaseSourceError::Url { scheme, reason }),
            },
            "appconfig" => AppConfig::parse(rest).map(Self::AppConfig),
            _ => Err(ReleaseSourceError::Scheme { scheme }),
        }
    }
}

/// The scheme that a text begins with (RFC 3986 §3.1), in lower case, and what follows its colon. One letter is a drive of
/// Windows, and more than 16 are no scheme that anybody knows.
fn scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let is_scheme = (2..=16).contains(&scheme.len())
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(is_plain);
    is_scheme.then(|| (scheme.to_ascii_lowercase(), rest))
}

impl AppConfig {
    /// The longest identifier that AppConfig takes: a configuration profile's name.
    const MAX_BYTES: usize = 128;

    /// Reads `APPLICATION/ENVIRONMENT/PROFILE`.
    fn parse(text: &str) -> Result<Self, ReleaseSourceError> {
        let names: Vec<&str> = text.split('/').collect();
        let [application, environment, profile] = names.as_slice() else {
            return Err(ReleaseSourceError::Names {
                names: names.iter().filter(|name| !name.is_empty()).count(),
            });
        };
        Ok(Self(Box::new([
            Self::name("application", application)?,
            Self::name("environment", environment)?,
            Self::name("configuration profile", profile)?,
        ])))
    }

    fn name(of: &'static str, name: &str) -> Result<String, ReleaseSourceError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b' ');
        // `.` and `..` lead elsewhere in a path (RFC 3986 §5.2.4), and a space at an end is a slip.
        let is_name = (1..=Self::MAX_BYTES).contains(&name.len())
            && name.bytes().all(is_plain)
            && name.trim_matches(' ') == name
            && !matches!(name, "." | "..");
        if is_name {
            Ok(name.to_owned())
        } else {
            Err(ReleaseSourceError::Name { of, name: Excerpt::of(name) })
        }
    }

    /// Where AWS AppConfig Agent has it.
    fn url(&self, port: u16) -> Result<HttpUrl, HttpError> {
        // INVARIANT: of the characters of a name, space alone must be encoded (RFC 3986 §2.3).
        let [application, environment, profile] = self.0.each_ref().map(|name| name.replace(' ', "%20"));
        HttpUrl::parse(&format!(
            "http://localhost:{port}/applications/{application}/environments/{environment}/configurations/{profile}"
        ))
        .map_err(|_| HttpError::Internal)
    }
}

impl fmt::Display for RemoteRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(url) => url.fmt(f),
            Self::AppConfig(app_config) => app_config.fmt(f),
        }
    }
}

impl fmt::Display for ReleaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.0.is_plain_http() { "http" } else { "https" };
        write!(f, "{scheme}://{}", self.0.host())
    }
}

impl fmt::Debug for ReleaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReleaseUrl({self})")
    }
}

impl fmt::Display for AppConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "appconfig:{}", self.0.join("/"))
    }
}

impl fmt::Debug for AppConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppConfig({self})")
    }
}
