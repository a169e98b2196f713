//! The HTTP client: whom it trusts, what it sends, and what it never sends.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use cedar_gate::fetch::http::{ClientCredentials, HttpClient, HttpError, HttpResponse, REQUEST_TIMEOUT};
use cedar_gate::jose::issuer::HttpUrl;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use crate::loopback::{Answer, Server};

fn url(text: impl Into<String>) -> HttpUrl {
    HttpUrl::try_from(text.into()).unwrap()
}

fn get(client: &HttpClient, address: impl Into<String>) -> Result<HttpResponse, HttpError> {
    client.get(&url(address), REQUEST_TIMEOUT)
}

/// What is said of an address.
fn said(client: &HttpClient, address: impl Into<String>) -> String {
    get(client, address).map_or_else(|error| error.to_string(), |_| "fetched".to_owned())
}

/// A certificate authority of one's own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn client(&self) -> HttpClient {
        HttpClient::with_roots(self.0.pem().as_bytes()).unwrap()
    }

    /// A server for these names and addresses, and whatever else is said of its certificate.
    pub(crate) fn server(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Server {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let server = Server::start_tls(config);
        server.set("/", Answer::ok("{}"));
        server
    }
}

#[test]
fn a_host_must_prove_itself_by_a_trusted_root() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let client = ours.client();
    let good = ours.server(&["localhost", "127.0.0.1"], |_| {});
    assert_eq!(said(&client, good.url("/")), "fetched");
    assert_eq!(said(&client, good.url_by_name("/")), "fetched");
    for (server, expected) in [
        (other.server(&["127.0.0.1"], |_| {}), "TLS: no trusted root signed the certificate"),
        (ours.server(&["localhost", "127.0.0.2"], |_| {}), "TLS: the certificate is for another host"),
        (
            ours.server(&["127.0.0.1"], |params| params.not_after = date_time_ymd(2020, 1, 1)),
            "TLS: the certificate has expired",
        ),
        (
            ours.server(&["127.0.0.1"], |params| params.not_before = date_time_ymd(2999, 1, 1)),
            "TLS: the certificate is not valid yet",
        ),
    ] {
        assert_eq!(said(&client, server.url("/")), expected);
        assert_eq!(server.count("/"), 0);
    }
    // A web server that speaks no TLS there.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = format!("https://{}/", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        stream
    });
    assert_eq!(said(&client, plain), "TLS: received corrupt message of type InvalidContentType");
    served.join().unwrap();
    assert_eq!(said(&HttpClient::new(), good.url("/")), "TLS: no trusted root signed the certificate");
}

#[test]
fn roots_are_certificates() {
    let error = |text: &str| HttpClient::with_roots(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(error(""), "no trusted root certificates: the text holds no certificate");
    assert_eq!(
        error(&KeyPair::generate().unwrap().serialize_pem()),
        "no trusted root certificates: the text holds no certificate"
    );
    assert_eq!(
        error("-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n"),
        "no trusted root certificates: the text is not PEM"
    );
}

/// The variable that makes [`the_system_says_whom_to_trust`] the child of itself.
const CHILD: &str = "CEDAR_GATE_TEST_URL";

/// Settings of the environment hold for a process, so a child asks.
#[test]
fn the_system_says_whom_to_trust() {
    if let Ok(url) = std::env::var(CHILD) {
        writeln!(std::io::stdout(), "said: {}", said(&HttpClient::new(), url)).unwrap();
        return;
    }
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let server = ours.server(&["127.0.0.1"], |_| {});
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (ours, other) = (file("ours.pem", ours.0.pem()), file("other.pem", other.0.pem()));
    let (missing, empty) = (folder.path().join("missing.pem"), file("empty.pem", String::new()));
    for (variable, path, expected) in [
        ("SSL_CERT_FILE", &ours, "fetched"),
        ("SSL_CERT_FILE", &other, "TLS: no trusted root signed the certificate"),
        ("SSL_CERT_FILE", &missing, "no trusted root certificates"),
        ("SSL_CERT_FILE", &empty, "no trusted root certificates: the system has none"),
        ("SSL_CERT_DIR", &folder.path().to_owned(), "fetched"),
        // Where the environment says nothing, the system's own roots hold, and none of them signed our server's.
        ("UNRELATED", &ours, "TLS: no trusted root signed the certificate"),
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "https::the_system_says_whom_to_trust", "--nocapture"])
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR")
            .env(variable, path)
            .env(CHILD, server.url("/"))
            // A proxy that does not exist: to ask it would fail.
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env("ALL_PROXY", "http://127.0.0.1:9")
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let said = output.lines().find_map(|line| line.split_once("said: ")).unwrap().1;
        assert!(said.starts_with(expected), "{variable} {path:?}: {said}");
    }
}

#[test]
fn a_request_says_no_more_than_it_must() {
    let server = Server::start();
    server.set("/jwks", Answer::redirect("/moved").with_header("Set-Cookie", "a=b; Path=/"));
    server.set("/moved", Answer::ok("{}").with_header("Cache-Control", "max-age=60"));
    let response = get(&HttpClient::new(), server.url("/jwks")).unwrap();
    assert_eq!((response.body, response.fresh_for), (b"{}".to_vec(), Some(Duration::from_secs(60))));
    for (request, path) in server.requests().iter().zip(["/jwks", "/moved"]) {
        let host = server.url("").replace("http://", "");
        let mut lines: Vec<&str> = request.head.trim_end().lines().collect();
        lines[1..].sort_unstable();
        let expected = [
            &format!("GET {path} HTTP/1.1"),
            "accept: application/json",
            &format!("host: {host}"),
            concat!("user-agent: cedar-gate/", env!("CARGO_PKG_VERSION")),
        ];
        assert_eq!(lines, expected);
    }
}

#[test]
fn a_form_carries_the_clients_credentials() {
    let server = Server::start();
    let client = HttpClient::new();
    let post = |path: &str| {
        let credentials = ClientCredentials { id: "gate:1", secret: "pä ss%" };
        let form = [("token", "a+b/c=&d"), ("token_type_hint", "access_token")];
        client.post_form(&url(server.url(path)), &form, credentials, REQUEST_TIMEOUT)
    };
    server.set("/introspect", Answer::ok(r#"{"active":false}"#));
    server.set("/moved", Answer::redirect("/introspect"));
    server.set("/refused", Answer::status(401));
    assert_eq!(post("/introspect").unwrap().body, br#"{"active":false}"#);
    let request = &server.requests()[0];
    assert!(request.head.starts_with("POST /introspect HTTP/1.1\r\n"));
    assert_eq!(request.body, "token=a%2Bb%2Fc%3D%26d&token_type_hint=access_token");
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.header("accept"), Some("application/json"));
    // base64("gate%3A1:p%C3%A4+ss%25")
    assert_eq!(request.header("authorization"), Some("Basic Z2F0ZSUzQTE6cCVDMyVBNCtzcyUyNQ=="));
    assert_eq!(post("/moved").unwrap_err().to_string(), "status 302");
    assert_eq!(post("/refused").unwrap_err().to_string(), "status 401");
    assert_eq!(server.count("/introspect"), 1);
    let shown = format!("{:?}", ClientCredentials { id: "gate", secret: "s3cret" });
    assert_eq!(shown, "ClientCredentials { id: \"gate\", .. }");
}

#[test]
fn nobody_waits_longer_than_was_said() {
    let server = Server::start();
    server.set("/stall", Answer::Stall(Vec::new()));
    let head = Answer::ok("{}").bytes();
    server.set("/drip", Answer::Drip(head, Duration::from_millis(60)));
    let stalled = Answer::After(Duration::from_millis(250), Box::new(Answer::redirect("/slow")));
    server.set("/slow", stalled);
    for path in ["/stall", "/drip", "/slow"] {
        let started = std::time::Instant::now();
        let error = HttpClient::new().get(&url(server.url(path)), Duration::from_millis(400)).unwrap_err();
        assert_eq!(error.to_string(), "no whole answer within 400 ms", "{path}");
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(390) && took < Duration::from_millis(1800), "{path}: {took:?}");
    }
    let error = HttpClient::new().get(&url(server.url("/stall")), Duration::ZERO).unwrap_err();
    assert_eq!(error.to_string(), "no whole answer within 0 ms");
}

#[test]
fn a_host_that_does_not_answer_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = HttpClient::new();
    assert_eq!(
        said(&client, format!("http://localhost:{port}/")),
        "no connection to `localhost`: connection refused"
    );
}
