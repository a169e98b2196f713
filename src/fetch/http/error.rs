//! Why a server gave no usable answer: what an operator can act on, and nothing of what was sent or received.

use std::io;
use std::time::Duration;

use rustls::CertificateError;

use super::MAX_REDIRECTS;
use crate::jose::Excerpt;
use crate::jose::issuer::HttpUrl;

/// Why a server gave no usable answer. No message holds a header or a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Nobody is trusted: no root certificate was found.
    #[error("no trusted root certificates: {reason}")]
    NoRoots {
        /// Why.
        reason: String,
    },
    /// The name has no address.
    #[error("host `{host}` has no address")]
    HostNotFound {
        /// The host.
        host: String,
    },
    /// No connection, or one that broke.
    #[error("no connection to `{host}`: {reason}")]
    Connect {
        /// The host.
        host: String,
        /// The operating system's word.
        reason: String,
    },
    /// TLS failed: mostly, the certificate is not one that proves the host.
    #[error("TLS: {reason}")]
    Tls {
        /// What is wrong with it.
        reason: String,
    },
    /// The time was up.
    #[error("no whole answer within {} ms", .within.as_millis())]
    TimedOut {
        /// How long was waited.
        within: Duration,
    },
    /// Another status than 200.
    #[error("status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// A redirect to another scheme, host or port, or to nowhere.
    #[error("redirected to `{to}`, which is not the same host")]
    RedirectedAway {
        /// Where to: the server's text; of a file's address, which may hold a secret, the host alone.
        to: Excerpt,
    },
    /// Redirects without end.
    #[error("redirected more than {MAX_REDIRECTS} times")]
    TooManyRedirects,
    /// The body is larger than is read.
    #[error("the answer has more than {most} bytes")]
    TooLarge {
        /// The most bytes that are read.
        most: usize,
    },
    /// The connection ended before the answer did.
    #[error("the answer is cut off")]
    CutOff,
    /// The answer is not HTTP/1.1, or has a head without end.
    #[error("the answer is not HTTP/1.1")]
    NotHttp,
    /// Something that should not happen.
    #[error("the request could not be made")]
    Internal,
}

impl HttpError {
    /// What the client says of a request to `url` that had `within` to be answered.
    pub(super) fn of(error: ureq::Error, url: &HttpUrl, within: Duration) -> Self {
        let host = url.host().to_owned();
        match error {
            ureq::Error::Timeout(_) => Self::TimedOut { within },
            ureq::Error::HostNotFound => Self::HostNotFound { host },
            ureq::Error::ConnectionFailed => {
                Self::Connect { host, reason: "it could not be opened".to_owned() }
            }
            ureq::Error::Rustls(error) => Self::tls(&error),
            ureq::Error::Tls(reason) => Self::Tls { reason: reason.to_owned() },
            ureq::Error::Io(error) => Self::io(&error, host),
            ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => Self::NotHttp,
            _ => Self::Internal,
        }
    }

    fn io(error: &io::Error, host: String) -> Self {
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return Self::tls(error);
        }
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::CutOff;
        }
        match error.raw_os_error() {
            Some(_) => Self::Connect { host, reason: error.kind().to_string() },
            // What the operating system has no number for is a name that could not be looked up.
            None => Self::HostNotFound { host },
        }
    }

    fn tls(error: &rustls::Error) -> Self {
        use CertificateError as C;
        let reason = match error {
            rustls::Error::InvalidCertificate(C::UnknownIssuer) => "no trusted root signed the certificate",
            rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
                "the certificate has expired"
            }
            rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
                "the certificate is not valid yet"
            }
            rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
                "the certificate is for another host"
            }
            // It may quote what the server sent.
            other => return Self::Tls { reason: Excerpt::of(&other.to_string()).to_string() },
        };
        Self::Tls { reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_client_are_told_apart() {
        let url = HttpUrl::try_from("https://idp.example/keys".to_owned()).unwrap();
        let lookup = io::Error::other("failed to lookup address information: Name or service not known");
        for (error, expected) in [
            (ureq::Error::Io(lookup), "host `idp.example` has no address"),
            (ureq::Error::HostNotFound, "host `idp.example` has no address"),
            (
                ureq::Error::Io(io::Error::from_raw_os_error(111)),
                "no connection to `idp.example`: connection refused",
            ),
            (ureq::Error::Io(io::ErrorKind::UnexpectedEof.into()), "the answer is cut off"),
            (
                ureq::Error::Io(io::Error::new(
                    io::ErrorKind::InvalidData,
                    rustls::Error::InvalidCertificate(CertificateError::Revoked),
                )),
                "TLS: invalid peer certificate: Revoked",
            ),
            (ureq::Error::Rustls(rustls::Error::DecryptError), "TLS: cannot decrypt peer's message"),
            (ureq::Error::Timeout(ureq::Timeout::Global), "no whole answer within 1500 ms"),
            (ureq::Error::LargeResponseHeader(70_000, 65_536), "the answer is not HTTP/1.1"),
            (ureq::Error::BadUri("secret".to_owned()), "the request could not be made"),
        ] {
            assert_eq!(HttpError::of(error, &url, Duration::from_millis(1_500)).to_string(), expected);
        }
    }
}
