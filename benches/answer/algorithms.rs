//! Answers to tokens of the other algorithms, each beside the raw check of its own signature.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    ParsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::record::Outcome;
use serde_json::{Value, json};

use crate::subject::{NOW, claims, load, token_event};
use crate::{Measured, measured};

const ISSUER: &str = "https://other.example";

/// A token, its key, and an authorizer that trusts it.
struct Signed {
    name: &'static str,
    key: ParsedPublicKey,
    signed: String,
    signature: Vec<u8>,
    authorizer: Authorizer,
    event: Vec<u8>,
}

/// Hands over the raw check and the answer, for each of them.
pub(crate) fn with(files: &SourceFiles, mut report: impl FnMut(&str, &Measured<'_>, &[Measured<'_>])) {
    for signed in [es256(files), eddsa(files)] {
        let raw = measured(format!("raw {} check", signed.name), || {
            signed
                .key
                .verify_sig(signed.signed.as_bytes(), &signed.signature)
                .expect("the signature is right");
        });
        let answer = measured("TOKEN event", || signed.authorizer.answer(&signed.event, NOW));
        report(&format!("answer, {}", signed.name), &raw, &[answer]);
    }
}

fn es256(files: &SourceFiles) -> Signed {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key pair can be generated");
    // SEC 1: an uncompressed point, 04 and both coordinates.
    let public = pair.public_key().as_ref();
    let (x, y) = public.get(1..).expect("the point has coordinates").split_at(32);
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k", "x": part(x), "y": part(y) });
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).expect("the public key parses");
    let sign = |text: &str| {
        pair.sign(&SystemRandom::new(), text.as_bytes()).expect("the key signs").as_ref().to_vec()
    };
    signed("ES256", files, &jwk, key, sign)
}

fn eddsa(files: &SourceFiles) -> Signed {
    let pair = Ed25519KeyPair::generate().expect("a key pair can be generated");
    let public = pair.public_key().as_ref();
    let x = URL_SAFE_NO_PAD.encode(public);
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k", "x": x });
    let key = ParsedPublicKey::new(&ED25519, public).expect("the public key parses");
    signed("EdDSA", files, &jwk, key, |text| pair.sign(text.as_bytes()).as_ref().to_vec())
}

fn signed(
    name: &'static str,
    files: &SourceFiles,
    jwk: &Value,
    key: ParsedPublicKey,
    sign: impl Fn(&str) -> Vec<u8>,
) -> Signed {
    let mut files = files.clone();
    files.insert("policies/issuers/other.jwks.json", json!({ "keys": [jwk] }).to_string());
    files.insert(
        "policies/issuers/other.toml",
        format!(
            "name = \"other\"\nissuer = \"{ISSUER}\"\nprovider = \"oidc\"\ntoken_use = \"access\"\n\
             audience = [\"1example23456789\"]\naudience_claim = \"client_id\"\ntenant = \"acme\"\n\
             roles = {{ claim = \"cognito:groups\", grant = [\"clerk\", \"auditor\"] }}\nkeys = {{ file = \"other.jwks.json\" }}\n"
        ),
    );
    let path = "schema/authorizer.toml";
    let deployment = files.text(path).expect("the bundle has the file").replace("cache = 1000", "cache = 0");
    files.insert(path, deployment);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed =
        format!("{}.{}", part(&json!({ "kid": "k", "alg": name, "typ": "at+jwt" })), part(&claims(ISSUER)));
    let signature = sign(&signed);
    let event = token_event(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&signature)));
    let authorizer = Authorizer::new(load(&files)).expect("the bundle can be prepared");
    let answered = authorizer.answer(&event, NOW);
    assert_eq!(answered.record.outcome, Outcome::Allow, "{name}: {:?}", answered.record.detail);
    Signed { name, key, signed, signature, authorizer, event }
}
