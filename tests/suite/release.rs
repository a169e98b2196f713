//! A released bundle is fetched: what is asked, what is read of the answer, and what is never shown.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use cedar_gate::fetch::http::{
    FILE_TIMEOUT, Fetched, FileRequest, HttpClient, HttpError, REQUEST_TIMEOUT, ValidatorHeader,
};
use cedar_gate::fetch::release::{
    APP_CONFIG_PORT, MAX_RELEASE_BYTES, ReleaseClient, ReleaseFetchError, ReleaseSource, ReleaseSourceError,
    RemoteRelease, Validator,
};
use cedar_gate::jose::issuer::HttpUrl;

use crate::https::Authority;
use crate::loopback::{Answer, Server};

/// What makes a presigned URL a secret.
const SECRET: &str = "X-Amz-Signature=5ec2e7";

/// Where the tests' server has its file.
const FILE: &str = "/bucket/key.bundle?X-Amz-Expires=60&X-Amz-Signature=5ec2e7";

fn source(text: &str) -> Result<ReleaseSource, ReleaseSourceError> {
    ReleaseSource::parse(text)
}

fn remote(text: &str) -> RemoteRelease {
    match source(text).unwrap() {
        ReleaseSource::Https(url) => RemoteRelease::Https(url),
        ReleaseSource::AppConfig(app_config) => RemoteRelease::AppConfig(app_config),
        ReleaseSource::Path(path) => panic!("{path:?} is no place to ask"),
    }
}

fn client() -> ReleaseClient {
    ReleaseClient::new(HttpClient::new(), APP_CONFIG_PORT)
}

/// Fetches the file at the address.
fn fetch(address: &str, known: Option<&Validator>) -> Result<Fetched, ReleaseFetchError> {
    client().fetch(&remote(address), known, REQUEST_TIMEOUT)
}

fn fetch_file(server: &Server, known: Option<&Validator>) -> Result<Fetched, ReleaseFetchError> {
    fetch(&server.url(FILE), known)
}

/// The bytes, and the validator's text.
fn file(fetched: Fetched) -> (Vec<u8>, Option<Validator>) {
    match fetched {
        Fetched::File { bytes, validator } => (bytes, validator),
        Fetched::NotModified => panic!("a file was expected"),
    }
}

/// What is said of an answer, by `Display`; neither that nor `Debug` tells the address.
fn said(server: &Server, answer: Answer, within: Duration) -> String {
    server.set(FILE, answer);
    let error = client().fetch(&remote(&server.url(FILE)), None, within).unwrap_err();
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(!shown.contains("X-Amz") && !shown.contains("bucket"), "{shown}");
    }
    error.to_string()
}

#[test]
fn what_an_operator_writes_is_understood() {
    for (text, shown, debug) in [
        (
            "https://s3.example/bucket/key?X-Amz-Signature=5ec2e7",
            "https://s3.example",
            "Https(ReleaseUrl(https://s3.example))",
        ),
        ("https://s3.example:8443/a", "https://s3.example", "Https(ReleaseUrl(https://s3.example))"),
        ("http://127.0.0.1:80/a", "http://127.0.0.1", "Https(ReleaseUrl(http://127.0.0.1))"),
        ("http://[::1]:80?a", "http://[::1]", "Https(ReleaseUrl(http://[::1]))"),
        (
            "appconfig:gate/prod/bundle",
            "appconfig:gate/prod/bundle",
            "AppConfig(AppConfig(appconfig:gate/prod/bundle))",
        ),
        (
            "AppConfig:a.B_1-/p r/.x",
            "appconfig:a.B_1-/p r/.x",
            "AppConfig(AppConfig(appconfig:a.B_1-/p r/.x))",
        ),
    ] {
        let remote = remote(text);
        assert_eq!((remote.to_string().as_str(), format!("{remote:?}").as_str()), (shown, debug), "{text}");
        assert_eq!(format!("{:?}", source(text).unwrap()), debug, "{text}");
    }
    let longest = format!("appconfig:a/b/{}", "c".repeat(128));
    assert_eq!(remote(&longest).to_string(), longest);
    for path in [
        ".",
        "/opt/bundle",
        "release.cedargate",
        "../a b",
        r"C:\bundle",
        "./s3://a",
        "/a:b",
        ":",
        "1a:b",
        " https://a.example/",
        "b\u{fc}ndel",
    ] {
        assert_eq!(source(path), Ok(ReleaseSource::Path(Path::new(path).to_owned())), "{path}");
    }
}

#[test]
fn what_an_operator_cannot_write_is_said() {
    let places = "expected a path, `https://…` or `appconfig:APPLICATION/ENVIRONMENT/PROFILE`";
    let unknown = |scheme: &str, instead: &str| format!("`{scheme}:` is not understood: {places}; {instead}");
    let colon = "a path with a colon in it can begin with `./`";
    let presign = "presign the object's https URL, or use AppConfig";
    let url =
        |scheme: &str, why: &str| format!("the URL that begins with `{scheme}:` cannot be fetched: {why}");
    let names = |names| {
        format!("`appconfig:` names {names} of three: expected `appconfig:APPLICATION/ENVIRONMENT/PROFILE`")
    };
    let name = |of: &str, name: &str| {
        format!(
            "`{name}` cannot be the AppConfig {of}: expected 1 to 128 of the characters A-Z a-z 0-9 . _ - and space; \
             what is named otherwise is named by its id"
        )
    };
    let long = "c".repeat(129);
    let cases = [
        ("", format!("no bundle is named: {places}")),
        ("s3://bucket/key?X-Amz-Signature=5ec2e7", unknown("s3", presign)),
        ("arn:aws:s3:::bucket/key", unknown("arn", presign)),
        ("ftp://a.example/X-Amz-Signature=5ec2e7", unknown("ftp", colon)),
        ("file:///opt/bundle", unknown("file", "write the path alone")),
        ("old:bundle", unknown("old", colon)),
        ("http://a.example/?X-Amz-Signature=5ec2e7", url("http", "expected an https URL")),
        ("HTTPS://a.example/?X-Amz-Signature=5ec2e7", url("https", "expected an https URL")),
        ("https:a.example", url("https", "expected an https URL")),
        (
            "https://X-Amz-Signature=5ec2e7@a.example/",
            url("https", "expected a URL without user information and fragment"),
        ),
        (
            "https://a.example/?X-Amz-Signature=5ec2e7\n",
            url("https", "expected at most 2,048 printable ASCII characters"),
        ),
        ("appconfig:", names(0)),
        ("appconfig:gate/prod", names(2)),
        ("appconfig:gate/prod/", name("configuration profile", "")),
        ("appconfig://prod/bundle", names(2)),
        ("appconfig:gate/prod/bundle/1", names(4)),
        ("appconfig:g\u{e4}te/prod/bundle", name("application", "g\\u{e4}te")),
        ("appconfig:gate/../bundle", name("environment", "..")),
        ("appconfig:gate/./bundle", name("environment", ".")),
        ("appconfig:gate/prod /bundle", name("environment", "prod ")),
        ("appconfig:gate/prod/bundle?flag=a", name("configuration profile", "bundle?flag=a")),
        ("appconfig:gate/prod/a%2Fb", name("configuration profile", "a%2Fb")),
        (&format!("appconfig:a/b/{long}"), name("configuration profile", &format!("{}…", "c".repeat(64)))),
    ];
    for (text, expected) in cases {
        let error = source(text).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
        assert!(!format!("{error} {error:?}").contains(SECRET), "{text}");
    }
}

#[test]
fn a_file_is_sent_when_it_is_another_one() {
    let server = Server::start();
    let tagged = |etag: &str, body: &str| Answer::Tagged(etag.to_owned(), Box::new(Answer::ok(body)));
    server.set(FILE, tagged("\"1\"", "first"));
    let (bytes, first) = file(fetch_file(&server, None).unwrap());
    assert_eq!((bytes.as_slice(), first.as_ref().unwrap().as_str()), (&b"first"[..], "\"1\""));
    assert_eq!(fetch_file(&server, first.as_ref()), Ok(Fetched::NotModified));
    server.set(FILE, tagged("W/\"2\"", "second"));
    let (bytes, second) = file(fetch_file(&server, first.as_ref()).unwrap());
    assert_eq!(
        (bytes.as_slice(), second.as_ref().unwrap().to_string().as_str()),
        (&b"second"[..], "W/\"2\"")
    );
    // A server that heeds no condition: the known version's body, which never comes, is not waited for.
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: W/\"2\"\r\n\r\n";
    server.set(FILE, Answer::Stall(head.to_vec()));
    assert_eq!(fetch_file(&server, second.as_ref()), Ok(Fetched::NotModified));
    let conditions = server.requests();
    let conditions: Vec<_> = conditions.iter().map(|request| request.header("if-none-match")).collect();
    assert_eq!(conditions, [None, Some("\"1\""), Some("\"1\""), Some("W/\"2\"")]);
}

#[test]
fn a_request_for_a_file_says_no_more_than_it_must() {
    let server = Server::start();
    server.set(FILE, Answer::Tagged("\"1\"".to_owned(), Box::new(Answer::ok("first"))));
    let (_, validator) = file(fetch_file(&server, None).unwrap());
    fetch_file(&server, validator.as_ref()).unwrap();
    let head = server.requests()[1].head.clone();
    let mut lines: Vec<&str> = head.trim_end().lines().collect();
    lines[1..].sort_unstable();
    let expected = [
        &format!("GET {FILE} HTTP/1.1"),
        "accept-encoding: identity",
        "accept: */*",
        &format!("host: {}", server.url("").replace("http://", "")),
        "if-none-match: \"1\"",
        concat!("user-agent: cedar-gate/", env!("CARGO_PKG_VERSION")),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn an_etag_that_cannot_be_repeated_is_none() {
    let server = Server::start();
    let (longest, longer) = ("e".repeat(1_024), "e".repeat(1_025));
    for (headers, expected) in [
        (vec![], None),
        (vec![("ETag", "")], None),
        (vec![("ETag", "\"a b\"")], Some("\"a b\"")),
        (vec![("etag", longest.as_str())], Some(longest.as_str())),
        (vec![("ETag", longer.as_str())], None),
        (vec![("ETag", "\"\u{e4}\"")], None),
        (vec![("ETag", "\"a\tb\"")], None),
        (vec![("ETag", "\"1\""), ("ETag", "\"2\"")], None),
        (vec![("Configuration-Version", "1")], None),
    ] {
        let answer =
            headers.iter().fold(Answer::ok("x"), |answer, (name, value)| answer.with_header(name, value));
        server.set(FILE, answer);
        let (bytes, validator) = file(fetch_file(&server, None).unwrap());
        assert_eq!(bytes, b"x");
        assert_eq!(validator.as_ref().map(Validator::as_str), expected, "{headers:?}");
    }
}

#[test]
fn what_a_server_refuses_is_said_without_its_address() {
    let server = Server::start();
    let garbage = Answer::Raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec());
    let endless = Answer::Raw([b"HTTP/1.1 200 OK\r\n".as_slice(), &b"A: b\r\n".repeat(10_000)].concat());
    let cut_off = Answer::ok("short").with_header("Content-Length", "6");
    let announced = Answer::ok("x").with_header("Content-Length", &(MAX_RELEASE_BYTES + 1).to_string());
    let away = |to: &str| Answer::redirect(&format!("{to}/bucket/key?{SECRET}"));
    for (answer, expected) in [
        (Answer::status(401), "status 401: the URL has expired or does not permit it"),
        (Answer::status(403), "status 403: the URL has expired or does not permit it"),
        (Answer::status(404), "status 404: there is no such file"),
        (Answer::status(500), "status 500"),
        (Answer::status(204), "status 204"),
        // Nothing was known.
        (Answer::status(304), "status 304"),
        (garbage, "the answer is not HTTP/1.1"),
        (endless, "the answer is not HTTP/1.1"),
        (cut_off, "the answer is cut off"),
        (announced, "the answer has more than 67108864 bytes"),
        (away("https://s3.example"), "redirected to `s3.example`, which is not the same host"),
        (away("http://127.0.0.1:1"), "redirected to `127.0.0.1:1`, which is not the same host"),
        (away("//s3.example"), "redirected to `s3.example`, which is not the same host"),
        (away("file://"), "redirected to ``, which is not the same host"),
        (Answer::redirect(&format!("key?{SECRET}")), "redirected to ``, which is not the same host"),
        (Answer::redirect(FILE), "redirected more than 2 times"),
    ] {
        let expected = format!("`http://127.0.0.1`: {expected}");
        assert_eq!(said(&server, answer, REQUEST_TIMEOUT), expected);
    }
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(
        fetch(&format!("http://{gone}{FILE}"), None).unwrap_err().to_string(),
        "`http://127.0.0.1`: no connection to `127.0.0.1`: connection refused"
    );
}

#[test]
fn a_redirect_on_the_same_host_is_followed_with_the_condition() {
    let server = Server::start();
    server.set(FILE, Answer::redirect("/elsewhere?a"));
    server.set("/elsewhere?a", Answer::Tagged("\"1\"".to_owned(), Box::new(Answer::ok("first"))));
    let (bytes, validator) = file(fetch_file(&server, None).unwrap());
    assert_eq!(bytes, b"first");
    assert_eq!(fetch_file(&server, validator.as_ref()), Ok(Fetched::NotModified));
}

/// At a small limit, which the client of releases does not have.
#[test]
fn no_file_is_larger_than_was_said() {
    let server = Server::start();
    let head = |length: &str| format!("HTTP/1.1 200 OK\r\n{length}\r\n").into_bytes();
    let without_length = |bytes: usize| Answer::Raw([head(""), vec![b'x'; bytes]].concat());
    let chunk = [b"400\r\n".as_slice(), &[b'x'; 0x400], b"\r\n"].concat();
    let chunked = |chunks: usize, end: &[u8]| {
        Answer::Raw([head("Transfer-Encoding: chunked\r\n"), chunk.repeat(chunks), end.to_vec()].concat())
    };
    let too_large = Err(HttpError::TooLarge { most: 4_096 });
    for (answer, expected) in [
        (Answer::ok(vec![b'x'; 4_096]), Ok(4_096)),
        (without_length(4_096), Ok(4_096)),
        (chunked(4, b"0\r\n\r\n"), Ok(4_096)),
        (Answer::ok(""), Ok(0)),
        (Answer::ok(vec![b'x'; 4_097]), too_large.clone()),
        (without_length(4_097), too_large.clone()),
        (chunked(5, b"0\r\n\r\n"), too_large.clone()),
        (chunked(5_000, b""), too_large.clone()),
        // Not even asked for: nothing of it comes.
        (Answer::Stall(head("Content-Length: 18446744073709551615\r\n")), too_large),
        // The length that was announced ends the file, and the opener of the bundle finds it cut off.
        (Answer::ok(vec![b'x'; 4_097]).with_header("Content-Length", "10"), Ok(10)),
        (chunked(4, b""), Err(HttpError::CutOff)),
    ] {
        server.set("/file", answer);
        let url = HttpUrl::try_from(server.url("/file")).unwrap();
        let request = FileRequest {
            validator_in: ValidatorHeader::ETag,
            known: None,
            max_bytes: 4_096,
            within: REQUEST_TIMEOUT,
        };
        let fetched = HttpClient::new().get_file(&url, &request);
        assert_eq!(fetched.map(|fetched| file(fetched).0.len()), expected);
    }
}

#[test]
fn a_large_file_is_fetched_whole() {
    let server = Server::start();
    let bytes: Vec<u8> = (0..12_000_000_u32).map(|byte| (byte % 251) as u8).collect();
    server.set(FILE, Answer::ok(bytes.clone()));
    let fetched = client().fetch(&remote(&server.url(FILE)), None, FILE_TIMEOUT).unwrap();
    assert_eq!(format!("{fetched:?}"), "File { bytes: 12000000 bytes, validator: None }");
    assert!(file(fetched).0 == bytes);
}

#[test]
fn nobody_waits_longer_for_a_file_than_was_said() {
    let server = Server::start();
    let whole = Answer::ok("x".repeat(100)).bytes();
    let body = [b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n".as_slice(), &[b'x'; 10_000]].concat();
    let slow = Answer::After(Duration::from_millis(250), Box::new(Answer::redirect(FILE)));
    for (answer, name) in [
        (Answer::Stall(Vec::new()), "stalls before the head"),
        (Answer::Stall(body), "stalls in the body"),
        (Answer::Drip(whole, Duration::from_millis(20)), "drips"),
        (slow, "redirects slowly"),
    ] {
        let started = Instant::now();
        let expected = "`http://127.0.0.1`: no whole answer within 400 ms";
        assert_eq!(said(&server, answer, Duration::from_millis(400)), expected, "{name}");
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(390) && took < Duration::from_millis(1800), "{name}: {took:?}");
    }
    assert_eq!(
        said(&server, Answer::ok("x"), Duration::ZERO),
        "`http://127.0.0.1`: no whole answer within 0 ms"
    );
}

/// A file may take longer than an issuer's keys.
#[test]
fn a_file_has_its_own_time() {
    let server = Server::start();
    let later = REQUEST_TIMEOUT + Duration::from_millis(300);
    server.set(FILE, Answer::After(later, Box::new(Answer::ok("late"))));
    let fetched = client().fetch(&remote(&server.url(FILE)), None, Duration::MAX).unwrap();
    assert_eq!(file(fetched).0, b"late");
}

#[test]
fn a_file_comes_over_tls_from_who_proves_itself() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let server = ours.server(&["127.0.0.1"], |_| {});
    server.set(FILE, Answer::Tagged("\"1\"".to_owned(), Box::new(Answer::ok(vec![b'x'; 300_000]))));
    let release = remote(&server.url(FILE));
    let client = |http| ReleaseClient::new(http, APP_CONFIG_PORT);
    let (bytes, validator) = file(client(ours.client()).fetch(&release, None, REQUEST_TIMEOUT).unwrap());
    assert_eq!(bytes, vec![b'x'; 300_000]);
    let again = client(ours.client()).fetch(&release, validator.as_ref(), REQUEST_TIMEOUT);
    assert_eq!(again, Ok(Fetched::NotModified));
    assert_eq!(
        client(other.client()).fetch(&release, None, REQUEST_TIMEOUT).unwrap_err().to_string(),
        "`https://127.0.0.1`: TLS: no trusted root signed the certificate"
    );
}

/// AWS AppConfig Agent, as its documentation shows it.
struct Agent {
    server: Server,
    client: ReleaseClient,
}

impl Agent {
    const PATH: &str = "/applications/gate/environments/prod%20eu/configurations/bundle.v1";

    fn start() -> Self {
        let server = Server::start();
        let port = server.url("").rsplit_once(':').unwrap().1.parse().unwrap();
        Self { client: ReleaseClient::new(HttpClient::new(), port), server }
    }

    fn fetch(&self, known: Option<&Validator>) -> Result<Fetched, ReleaseFetchError> {
        self.client.fetch(&remote("appconfig:gate/prod eu/bundle.v1"), known, REQUEST_TIMEOUT)
    }
}

#[test]
fn app_config_sends_a_version_once() {
    let agent = Agent::start();
    let version = |version: &str, body: &str| Answer::ok(body).with_header("Configuration-Version", version);
    agent.server.set(Agent::PATH, version("1", "first").with_header("ETag", "\"not this\""));
    let (bytes, first) = file(agent.fetch(None).unwrap());
    assert_eq!((bytes.as_slice(), first.as_ref().unwrap().as_str()), (&b"first"[..], "1"));
    // The same version: its body, which never comes, is not waited for.
    let head = b"HTTP/1.1 200 OK\r\nConfiguration-Version: 1\r\nContent-Length: 5\r\n\r\n";
    agent.server.set(Agent::PATH, Answer::Stall(head.to_vec()));
    assert_eq!(agent.fetch(first.as_ref()), Ok(Fetched::NotModified));
    agent.server.set(Agent::PATH, version("2", "second"));
    let (bytes, second) = file(agent.fetch(first.as_ref()).unwrap());
    assert_eq!((bytes.as_slice(), second.as_ref().unwrap().as_str()), (&b"second"[..], "2"));
    agent.server.set(Agent::PATH, Answer::ok("third"));
    assert_eq!(file(agent.fetch(second.as_ref()).unwrap()), (b"third".to_vec(), None));
    assert_eq!(agent.server.count(Agent::PATH), 4);
    assert!(agent.server.requests().iter().all(|request| request.header("if-none-match").is_none()));
}

#[test]
fn what_app_config_refuses_is_said() {
    let agent = Agent::start();
    let logs = "what the AppConfig extension logs says why";
    for (status, expected) in [
        (400, format!("status 400: {logs}")),
        (
            403,
            "status 403: the function's role must permit appconfig:StartConfigurationSession and \
             appconfig:GetLatestConfiguration"
                .to_owned(),
        ),
        (
            404,
            "status 404: there is no such application, environment or profile, or nothing is deployed there"
                .to_owned(),
        ),
        (500, format!("status 500: {logs}")),
        (304, "status 304".to_owned()),
    ] {
        agent.server.set(Agent::PATH, Answer::status(status));
        let error = agent.fetch(None).unwrap_err();
        assert_eq!(error.to_string(), format!("`appconfig:gate/prod eu/bundle.v1`: {expected}"));
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let agent = Agent { client: ReleaseClient::new(HttpClient::new(), port), ..agent };
    assert_eq!(
        agent.fetch(None).unwrap_err().to_string(),
        "`appconfig:gate/prod eu/bundle.v1`: no connection to `localhost`: connection refused: is the AppConfig \
         extension a layer of the function?"
    );
}

#[test]
fn nothing_shows_path_or_query_of_a_url() {
    let server = Server::start();
    server.set(FILE, Answer::Tagged("\"1\"".to_owned(), Box::new(Answer::ok("first"))));
    let (source, remote, client) = (source(&server.url(FILE)).unwrap(), remote(&server.url(FILE)), client());
    let fetched = client.fetch(&remote, None, REQUEST_TIMEOUT).unwrap();
    let failed = client.fetch(&remote, None, Duration::ZERO).unwrap_err();
    for shown in [
        format!("{source:?} {remote:?} {client:?} {fetched:?} {failed:?} {remote} {failed}"),
        format!("{source:#?} {remote:#?} {client:#?} {fetched:#?} {failed:#?}"),
    ] {
        assert!(shown.contains("http://127.0.0.1"));
        for secret in [SECRET, "X-Amz", "bucket", "5ec2e7"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
