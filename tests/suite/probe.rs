//! `issuer probe` and `token inspect` against a server on loopback: what each answer of an issuer comes to.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::bundle::example;
use crate::loopback::{Answer, Server};

/// An RSA key, a P-256 key, and keys that cannot be used.
const KEYS: &str = r#"{"keys": [
    {"kty": "EC", "crv": "P-256", "kid": "p", "use": "sig",
     "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    {"kty": "oct", "kid": "secret", "k": "AAAA"},
    {"kty": "OKP", "crv": "Ed25519", "kid": "e", "alg": "EdDSA", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    {"kty": "EC", "crv": "P-256", "use": "enc", "kid": "enc",
     "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
]}"#;

/// The example bundle with an issuer `local`, whose keys a server publishes.
struct Place {
    folder: TempDir,
    server: Server,
}

impl Place {
    /// `keys` of the issuer's file, with `…` for the server; and what stands where.
    fn new(keys: &str, answers: &[(&str, Answer)]) -> Self {
        let (folder, server) = (tempfile::tempdir().unwrap(), Server::start());
        for (path, answer) in answers {
            server.set(path, answer.clone());
        }
        let mut files = example();
        let issuer = format!(
            "name = \"local\"\nissuer = \"{}\"\nprovider = \"oidc\"\ntoken_use = \"access\"\naudience = [\"orders\"]\n\
             development = true\n{}\n",
            server.url(""),
            keys.replace('…', &server.url(""))
        );
        files.insert("policies/issuers/local.toml", issuer);
        for path in files.paths() {
            let file = folder.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, files.bytes(path).unwrap()).unwrap();
        }
        Self { folder, server }
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(Path::new(env!("CARGO_BIN_EXE_cedar-gate")))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("CEDAR_GATE_HOME", self.folder.path().join("home"))
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap().replace(&self.server.url(""), "…");
        (output.status.code().unwrap(), said)
    }

    /// Exit code, and what is said of the issuer.
    fn probe(&self) -> (i32, Value) {
        let (code, said) = self.run(&["issuer", "probe", "local", "--format", "json"]);
        let document: Value = serde_json::from_str(&said).unwrap();
        (code, document["issuers"][0].clone())
    }
}

const JWKS: &str = "keys = { url = \"…/jwks\" }";

#[test]
fn a_probe_shows_each_key_and_how_long_it_is_believed() {
    for (keys, cache_control, fresh) in [
        (JWKS, "", 900),
        (JWKS, "max-age=60", 60),
        (JWKS, "no-store", 10),
        (JWKS, "max-age=86400", 900),
        ("keys = { url = \"…/jwks\", max_age = 80 }", "max-age=86400", 20),
    ] {
        let answer = Answer::ok(KEYS).with_header("Cache-Control", cache_control);
        let place = Place::new(keys, &[("/jwks", answer)]);
        let (code, said) = place.probe();
        assert_eq!((code, said["verdict"].as_str()), (0, Some("usable")), "{said:#}");
        assert_eq!(said["found"]["fresh_seconds"], fresh, "{cache_control}");
    }
    let place = Place::new("", &[("/jwks", Answer::ok(KEYS))]);
    let metadata = format!(
        "{{\"issuer\": \"{}\", \"jwks_uri\": \"{}\"}}",
        place.server.url(""),
        place.server.url("/jwks")
    );
    place.server.set("/.well-known/openid-configuration", Answer::ok(metadata));
    let (code, text) = place.run(&["issuer", "probe", "local"]);
    let expected = "\
local …
  keys      …/jwks
  believed  15 min, then asked for again; 60 min while it does not answer
            `p` EC 256 bits: ES256
            `e` OKP 255 bits: EdDSA
  skipped   `secret`: the key is not RSA, EC P-256, EC P-384 or OKP Ed25519
  skipped   `enc`: the key is not for verifying signatures: its `use` says so
  accepts   an access token, its header `typ` `at+jwt`
  audience  orders in `aud`
  tenant    none
  roles     none
usable
";
    assert_eq!((code, text.as_str()), (0, expected));
}

#[test]
fn what_an_issuer_answers_is_named_with_a_remedy() {
    let metadata = "/.well-known/openid-configuration";
    let unusable = r#"{"keys": [{"kty": "oct", "k": "AAAA"}]}"#;
    for (keys, path, answer, code, reason) in [
        (JWKS, "/jwks", Answer::status(404), 1, "`…/jwks`: status 404"),
        (JWKS, "/jwks", Answer::status(403), 1, "`…/jwks`: status 403"),
        (JWKS, "/jwks", Answer::status(500), 2, "`…/jwks`: status 500"),
        (JWKS, "/jwks", Answer::status(429), 2, "`…/jwks`: status 429"),
        (
            JWKS,
            "/jwks",
            Answer::ok("<html>sign in</html>"),
            1,
            "`…/jwks`: the key set is not JSON: line 1, column 1",
        ),
        (JWKS, "/jwks", Answer::ok("{}"), 1, "`…/jwks`: the key set is not an object with an array `keys`"),
        (JWKS, "/jwks", Answer::ok("{\"keys\": []}"), 1, "`…/jwks`: the key set has no key that can be used"),
        (
            JWKS,
            "/jwks",
            Answer::ok(unusable),
            1,
            "`…/jwks`: the key set has no key that can be used: the key is not RSA, EC P-256, EC P-384 or OKP Ed25519",
        ),
        (
            JWKS,
            "/jwks",
            Answer::ok(vec![b' '; 600_000]),
            1,
            "`…/jwks`: the answer has more than 524288 bytes",
        ),
        (
            JWKS,
            "/jwks",
            Answer::redirect("https://elsewhere.example/jwks"),
            1,
            "`…/jwks`: redirected to `https://elsewhere.example/jwks`, which is not the same host",
        ),
        (JWKS, "/jwks", Answer::redirect("/jwks"), 1, "`…/jwks`: redirected more than 2 times"),
        (JWKS, "/jwks", Answer::Stall(Vec::new()), 2, "`…/jwks`: no whole answer within 2000 ms"),
        (
            JWKS,
            "/jwks",
            Answer::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec()),
            1,
            "`…/jwks`: the answer is not HTTP/1.1",
        ),
        ("", metadata, Answer::status(404), 1, "`…/.well-known/openid-configuration`: status 404"),
        (
            "",
            metadata,
            Answer::ok("{\"issuer\": \"https://idp.example\", \"jwks_uri\": \"https://idp.example/jwks\"}"),
            1,
            "`…/.well-known/openid-configuration`: the metadata is of issuer `https://idp.example`, and `…` was asked for",
        ),
        (
            "",
            metadata,
            Answer::ok("[]"),
            1,
            "`…/.well-known/openid-configuration`: the metadata is not a JSON object",
        ),
    ] {
        let place = Place::new(keys, &[(path, answer)]);
        let (found, said) = place.probe();
        assert_eq!((found, said["reason"].as_str()), (code, Some(reason)), "{said:#}");
        assert_eq!(said["verdict"], if code == 1 { "not-usable" } else { "not-asked" });
        assert!(said["help"].as_str().is_some_and(|help| !help.is_empty()), "{said:#}");
        assert!(said.get("found").is_none(), "{said:#}");
    }
}

#[test]
fn one_dead_issuer_delays_no_probe_of_another() {
    let place = Place::new(JWKS, &[("/jwks", Answer::ok(KEYS)), ("/stalled", Answer::Stall(Vec::new()))]);
    for index in 0..20 {
        let name = format!("stalled-{index}");
        let url = place.server.url("/stalled");
        let (code, said) = place.run(&[
            "issuer",
            "add",
            "--provider",
            "oidc",
            "--name",
            &name,
            "--issuer",
            &format!("https://{name}.example"),
            "--audience",
            "any",
            "--keys-url",
            &url,
            "--development",
        ]);
        assert_eq!(code, 0, "{said}");
    }
    let start = std::time::Instant::now();
    let (code, said) = place.run(&["issuer", "probe", "--all"]);
    let usable = said.lines().filter(|line| *line == "usable").count();
    let not_asked = said.lines().filter(|line| line.starts_with("not asked: ")).count();
    // The example has two issuers with pinned keys, and one for development, whose key is not made yet.
    assert_eq!((code, usable, not_asked), (1, 3, 20), "{said}");
    // Two batches, each with a time-out of two seconds; one after the other they would take forty.
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}
