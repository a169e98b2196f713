//! Tokens: each vector in `tests/tokens` is answered as it says, and nothing else is accepted.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests read their data, and stop where it is not as expected"
)]

pub(crate) mod vectors;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use cedar_gate::credential::BearerToken;
use cedar_gate::entities::principal_id;
use cedar_gate::jose::{
    Algorithm, ClaimValue, CompactJws, Hmac, JwkSet, KeyMiss, KeyRing, Need, PrincipalKind, TokenError,
    TrustedIssuer, TrustedIssuers, VerifiedClaims,
    issuer::{KeySource, TokenUse},
    verify, verify_jws,
};
use cedar_gate::time::Timestamp;
use cedar_gate::tools::mint::{DevelopmentKey, TokenRequest, mint_for};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use vectors::{Expected, Vector, key};

/// The folder with issuers, keys and vectors.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokens")
}

/// The issuers of the vectors, and their keys.
fn world() -> (TrustedIssuers, KeyRing) {
    static WORLD: OnceLock<(TrustedIssuers, KeyRing)> = OnceLock::new();
    WORLD.get_or_init(read_world).clone()
}

fn read_world() -> (TrustedIssuers, KeyRing) {
    vectors::update_if_asked();
    let files = std::fs::read_dir(folder().join("issuers")).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let issuers =
        files.map(|path| TrustedIssuer::from_toml(&std::fs::read_to_string(path).unwrap()).unwrap());
    let issuers = TrustedIssuers::new(issuers.collect()).unwrap();
    let mut keys = KeyRing::default();
    for issuer in issuers.iter() {
        keys.insert(issuer.key_set(), key_set(issuer));
    }
    (issuers, keys)
}

/// The keys of an issuer: those that its file pins, or what the places hold that its file, or its preset, names.
fn key_set(issuer: &TrustedIssuer) -> JwkSet {
    let file = match issuer.keys() {
        KeySource::Secret(shared) => {
            return JwkSet::from_secret(vectors::LEDGER_SECRET, shared.algorithm).unwrap();
        }
        KeySource::File(file) => file.as_str().to_owned(),
        KeySource::Published(_) => format!("{}.jwks.json", issuer.key_set()),
        other => panic!("{other:?}"),
    };
    JwkSet::from_json(&std::fs::read(folder().join("issuers").join(file)).unwrap()).unwrap()
}

/// The one place where vectors meet the library.
fn check(token: &str, now: Timestamp) -> Result<VerifiedClaims, TokenError> {
    let (issuers, keys) = world();
    match BearerToken::new(token) {
        Some(token) => verify(&token, &issuers, &keys, now),
        // A text that is no bearer token cannot be a JWS either, and says why by itself.
        None => CompactJws::parse(token).map(|_| panic!("a JWS that is no bearer token")),
    }
}

fn summary(claims: &VerifiedClaims) -> Value {
    let attributes: Map<String, Value> = claims
        .claims()
        .map(|(name, value)| {
            let value = match value {
                ClaimValue::String(text) => json!(text),
                ClaimValue::Long(number) => json!(number),
                ClaimValue::Bool(flag) => json!(flag),
                ClaimValue::Set(list) => json!(list),
            };
            (name.to_owned(), value)
        })
        .collect();
    json!({
        "principal": format!("{:?}", claims.kind()),
        "issuer": claims.issuer(),
        "subject": claims.subject(),
        "client_id": claims.client_id(),
        "tenant": claims.tenant(),
        "roles": claims.roles(),
        "refused_roles": claims.refused_roles(),
        "scopes": claims.scopes(),
        "email": claims.email(),
        "email_verified": claims.email_verified(),
        "claims": attributes,
        "token_id": claims.token_id(),
        "key_id": claims.key_id().map(|key_id| key_id.as_str()),
        "issued_at": claims.issued_at().map(|moment| moment.to_string()),
        "expires_at": claims.expires_at().map(|moment| moment.to_string()),
    })
}

#[test]
fn every_vector_is_answered_as_it_says() {
    let vectors = vectors::read_all();
    assert!(vectors.len() >= 150, "{} vectors", vectors.len());
    let mut wrong = Vec::new();
    for Vector { name, about, token, now, expected } in vectors {
        let answer = check(&token, now.parse().unwrap());
        let answer = match &answer {
            Ok(claims) => Expected::Accepted(summary(claims)),
            Err(error) => Expected::Refused { slug: error.slug().to_owned(), message: error.to_string() },
        };
        if answer != expected {
            wrong.push(format!("{name} ({about}):\n   expected {expected:?}\n   answered {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// What a cache may rely on.
#[test]
fn a_token_is_accepted_until_the_moment_it_says_and_not_at_it() {
    for Vector { name, token, now, expected, .. } in vectors::read_all() {
        let Expected::Accepted(_) = expected else { continue };
        let claims = check(&token, now.parse().unwrap()).unwrap();
        let end = claims.valid_until();
        let before = Timestamp::from_unix_millis(end.unix_millis() - 1);
        assert_eq!(check(&token, before).as_ref(), Ok(&claims), "{name}");
        let slug = check(&token, end).unwrap_err().slug();
        assert!(["expired", "too_old"].contains(&slug), "{name}: {slug}");
        assert_eq!(claims.key_set().unwrap().split('@').next(), Some(claims.issuer()), "{name}");
    }
}

#[test]
fn the_stored_vectors_are_those_of_the_generator() {
    let (stored, generated) = (vectors::read_all(), vectors::generate());
    let told = |vectors: &[Vector]| -> Vec<Vector> {
        // Some signatures have a random part, so the tokens are compared without them.
        let unsigned = |token: &str| token.rsplit_once('.').unwrap_or((token, "")).0.to_owned();
        let mut told: Vec<Vector> = vectors
            .iter()
            .map(|vector| Vector { token: unsigned(&vector.token), ..vector.clone() })
            .collect();
        told.sort_by(|one, other| one.name.cmp(&other.name));
        told
    };
    for (stored, generated) in told(&stored).iter().zip(&told(&generated)) {
        assert_eq!(stored, generated, "write them with UPDATE_GOLDEN=1");
    }
    assert_eq!(stored.len(), generated.len());
}

#[test]
fn no_refusal_shows_the_token() {
    for Vector { name, token, now, .. } in vectors::read_all() {
        let Err(error) = check(&token, now.parse().unwrap()) else { continue };
        let shown = format!("{error} {error:?}");
        for part in token.split('.').filter(|part| part.len() > 24) {
            assert!(!shown.contains(part) && !shown.contains(&part[..24]), "{name}: {shown}");
        }
        assert!(error.to_string().len() < 400 && !shown.contains("a-secret-claim"), "{name}: {shown}");
    }
}

#[test]
fn a_token_larger_than_the_limit_is_refused_before_it_is_read() {
    for (bytes, slug) in
        [(16 * 1024, "malformed_token"), (16 * 1024 + 1, "token_too_large"), (1 << 20, "token_too_large")]
    {
        assert_eq!(CompactJws::parse(&"a".repeat(bytes)).unwrap_err().slug(), slug);
    }
    assert_eq!(
        CompactJws::parse(&".".repeat(1 << 20)).unwrap_err().to_string(),
        "the token has 1048576 bytes: the limit is 16384"
    );
    assert_eq!(CompactJws::parse("").unwrap_err(), TokenError::Missing);
    let claims = vectors::partner(json!({ "department": "x".repeat(1 << 20) })).to_string();
    let signed = vectors::sign(&key("partner-ed25519"), vectors::ED25519_HEADER, &claims);
    assert_eq!(check(&signed, vectors::now()).unwrap_err().slug(), "token_too_large");
}

#[test]
fn trust_without_keys_is_our_fault_and_says_whose_keys() {
    let (issuers, _) = world();
    let token = BearerToken::new(vectors::accepted("cognito-user")).unwrap();
    let error = verify(&token, &issuers, &KeyRing::default(), vectors::now()).unwrap_err();
    assert_eq!(
        (error.slug(), error.to_string().as_str()),
        ("keys_unavailable", "no keys of issuer `acme-staff` are loaded")
    );
}

/// A Region that cannot be reached disables its own tokens and no others.
#[test]
fn a_further_issuer_without_keys_does_not_disable_the_first() {
    let (issuers, all) = world();
    let mut keys = KeyRing::default();
    keys.insert("acme-regions", Arc::clone(all.keys_of("acme-regions", vectors::now()).unwrap()));
    let answer = |name: &str| {
        let token = BearerToken::new(vectors::accepted(name)).unwrap();
        verify(&token, &issuers, &keys, vectors::now())
    };
    let claims = answer("regions-primary").unwrap();
    assert_eq!(claims.key_set().map(AsRef::as_ref), Some("acme-regions"));
    let error = answer("regions-replica").unwrap_err();
    assert_eq!(error, TokenError::KeysUnavailable { key_set: "acme-regions@2".to_owned() });
    assert_eq!(error.need(), Some(Need::Keys { key_set: "acme-regions@2".to_owned() }));
}

/// Whoever is called alike in two Entra tenants is two, and in two Regions of a pool one.
#[test]
fn a_principal_is_one_of_its_directory() {
    let principal = |name: &str| principal_id(&check(&vectors::accepted(name), vectors::now()).unwrap());
    let sub = "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ";
    assert_eq!(principal("entra-access"), format!("entra|{sub}"));
    assert_eq!(principal("entra-1-access"), format!("entra|{sub}"));
    assert_eq!(
        principal("entra-many-listed"),
        format!("entra-many|8eaef023-2b34-4da1-9baa-8bc8c9d6a490|{sub}")
    );
    assert_eq!(
        principal("entra-many-consumers"),
        format!("entra-many|9188040d-6c67-4c5b-b112-36a304b66dad|{sub}")
    );
    assert_eq!(principal("regions-primary"), principal("regions-replica"));
    assert_eq!(principal("auth0-client"), "auth0|K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja");
}

#[test]
fn a_key_of_another_issuer_needs_no_newer_keys() {
    let stored = vectors::read_all().into_iter().find(|vector| vector.name == "entra-many-key-of-consumers");
    let error = check(&stored.unwrap().token, vectors::now()).unwrap_err();
    assert_eq!((error.slug(), error.need()), ("unknown_key", None));
}

#[test]
fn an_unknown_key_says_what_to_fetch() {
    let (issuers, mut keys) = world();
    keys.insert("acme-staff", JwkSet::from_json(br#"{"keys":[]}"#).unwrap());
    let token = BearerToken::new(vectors::accepted("cognito-user")).unwrap();
    match verify(&token, &issuers, &keys, vectors::now()) {
        Err(TokenError::UnknownKeyId { key_set, kid }) => {
            assert_eq!(key_set.as_deref(), Some("acme-staff"));
            assert_eq!(kid.unwrap().as_str(), "acme-1");
        }
        other => panic!("{other:?}"),
    }
}

/// Every algorithm verifies in this build: `jsonwebtoken` without its backend would fail here.
#[test]
fn a_bare_jws_is_verified_by_signature_header_and_key_alone() {
    for (name, algorithm) in vectors::SIGNERS {
        let key = key(name);
        let keys = JwkSet::from_json(vectors::public(&key, &["alg"]).to_string().as_bytes()).unwrap();
        let header = json!({ "alg": algorithm.as_str() }).to_string();
        for payload in [&b"\xff\x00 not JSON"[..], b"{}", b"foo"] {
            let jws = vectors::sign_with(&key, algorithm, header.as_bytes(), payload);
            assert_eq!(verify_jws(&jws, &keys), Ok(()), "{algorithm}");
        }
        let jws = vectors::sign_with(&key, algorithm, header.as_bytes(), b"foo");
        let changed = jws.replacen(".Zm9v.", ".Zm9w.", 1);
        assert_eq!(verify_jws(&changed, &keys), Err(TokenError::BadSignature), "{algorithm}");
    }
}

/// Tokens that others signed: RFC 7515 §A.2 and §A.3, RFC 8037 §A.4.
#[test]
fn the_examples_of_the_rfcs_verify() {
    let claims =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    for (jwk, header, payload, signature) in [
        (
            json!({
                "kty": "RSA",
                "e": "AQAB",
                "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
            }),
            "eyJhbGciOiJSUzI1NiJ9",
            claims,
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            json!({
                "kty": "EC",
                "crv": "P-256",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            }),
            "eyJhbGciOiJFUzI1NiJ9",
            claims,
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }),
            "eyJhbGciOiJFZERTQSJ9",
            "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let keys = JwkSet::from_json(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
        assert_eq!(verify_jws(&[header, payload, signature].join("."), &keys), Ok(()), "{jwk}");
    }
}

#[test]
fn a_bare_key_set_names_no_issuer_in_its_refusals() {
    let keys = JwkSet::from_json(br#"{"keys":[]}"#).unwrap();
    let jws = vectors::sign(&key("acme-1"), r#"{"alg":"RS256"}"#, "foo");
    assert_eq!(
        verify_jws(&jws, &keys).unwrap_err().to_string(),
        "the token has no `kid`, and the key set has no key that fits its `alg`"
    );
}

#[test]
fn a_foreign_key_does_not_disable_the_set() {
    let (issuers, _) = world();
    let issuer = issuers.find("https://idp.partner.example/").unwrap();
    let keys = key_set(issuer);
    assert_eq!(keys.keys().len(), 5);
    let skipped: Vec<String> = keys
        .skipped()
        .iter()
        .map(|(kid, reason)| format!("{}: {reason}", kid.as_ref().map_or("-", |kid| kid.as_str())))
        .collect();
    assert_eq!(
        skipped,
        [
            "partner-hmac: the key is not RSA, EC P-256, EC P-384 or OKP Ed25519",
            "partner-enc: the key is not for verifying signatures: its `use` says so"
        ]
    );
}

#[test]
fn a_key_is_found_by_name_or_by_being_the_only_one() {
    let (_, keys) = world();
    let keys = keys.keys_of("partner", vectors::now()).unwrap();
    let found = |kid: Option<&str>, algorithm| {
        keys.key_for(kid, algorithm).map(|key| key.key_id().unwrap().as_str().to_owned())
    };
    assert_eq!(found(None, Algorithm::Es384), Ok("partner-es384".to_owned()));
    assert_eq!(found(None, Algorithm::Rs512), Ok("partner-rsa".to_owned()));
    assert_eq!(found(None, Algorithm::Ps256), Err(KeyMiss::Ambiguous { count: 2 }));
    assert_eq!(found(Some("partner-rsa"), Algorithm::Ps256), Ok("partner-rsa".to_owned()));
    assert_eq!(found(Some("partner-ps256"), Algorithm::Rs256), Err(KeyMiss::WrongAlgorithm));
    assert_eq!(found(Some("partner-es256"), Algorithm::Es384), Err(KeyMiss::WrongAlgorithm));
    assert_eq!(found(Some("acme-1"), Algorithm::Rs256), Err(KeyMiss::UnknownKeyId));
    assert_eq!(found(Some(""), Algorithm::Rs256), Err(KeyMiss::UnknownKeyId));
    let empty = JwkSet::from_json(br#"{"keys":[]}"#).unwrap();
    assert_eq!(empty.key_for(None, Algorithm::Rs256).unwrap_err(), KeyMiss::NoneFits);
}

/// A public key of the fixtures with members replaced; null takes one out.
fn jwk(name: &str, changes: Value) -> Value {
    let mut jwk = key(name).public_jwk();
    for (member, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(jwk.as_object_mut().unwrap().remove(member)),
            value => jwk[member] = value.clone(),
        }
    }
    jwk
}

#[test]
fn a_key_that_cannot_be_used_says_why() {
    let number = |bytes: usize, first: u8, last: u8| {
        let mut number = vec![first; bytes];
        number[bytes - 1] = last;
        vectors::base64url(&number)
    };
    let rsa = |changes: Value| jwk("acme-1", changes);
    let ec = |changes: Value| jwk("partner-es256", changes);
    let ed = |changes: Value| jwk("partner-ed25519", changes);
    let x = ec(json!({}))["x"].clone();
    let x384 = jwk("partner-es384", json!({}))["x"].clone();
    let wrong_type = "the key is not RSA, EC P-256, EC P-384 or OKP Ed25519";
    let not_a_key = "the key's numbers are not a public key of its type";
    let wrong_alg = "the key's `alg` is not a signature algorithm of its type";
    let missing = |member: &str| format!("the key's `{member}` is missing or malformed");
    for (key, reason) in [
        (json!("acme-1"), "the key is not a JSON object"),
        (rsa(json!({"kty": null})), &missing("kty")),
        (rsa(json!({"kty": "rsa"})), wrong_type),
        (json!({"kty": "oct", "k": "AAAA", "alg": "HS256"}), wrong_type),
        (ec(json!({"crv": "secp256k1"})), wrong_type),
        (ec(json!({"crv": null})), wrong_type),
        (ec(json!({"crv": "P-521"})), wrong_type),
        (ed(json!({"crv": "Ed448"})), wrong_type),
        (ed(json!({"crv": "X25519"})), wrong_type),
        (ed(json!({"kty": "EC"})), wrong_type),
        (
            rsa(json!({"d": "AQAB"})),
            "the key has `d`: a private key was published, so anybody can sign with it",
        ),
        (
            ec(json!({"d": "AQAB"})),
            "the key has `d`: a private key was published, so anybody can sign with it",
        ),
        (
            rsa(json!({"p": "AQAB"})),
            "the key has `p`: a private key was published, so anybody can sign with it",
        ),
        (rsa(json!({"use": "enc"})), "the key is not for verifying signatures: its `use` says so"),
        (rsa(json!({"use": 1})), &missing("use")),
        (rsa(json!({"key_ops": ["sign"]})), "the key is not for verifying signatures: its `key_ops` says so"),
        (rsa(json!({"key_ops": "verify"})), "the key is not for verifying signatures: its `key_ops` says so"),
        (rsa(json!({"alg": "ES256"})), wrong_alg),
        (rsa(json!({"alg": "RSA-OAEP"})), wrong_alg),
        (rsa(json!({"alg": "HS256"})), wrong_alg),
        (rsa(json!({"alg": "none"})), wrong_alg),
        (ec(json!({"alg": "ES384"})), wrong_alg),
        (rsa(json!({"kid": 1})), &missing("kid")),
        (rsa(json!({"kid": ""})), &missing("kid")),
        (rsa(json!({"kid": "k".repeat(257)})), &missing("kid")),
        (rsa(json!({"n": null})), &missing("n")),
        (rsa(json!({"n": ""})), &missing("n")),
        (rsa(json!({"n": format!("{}==", number(256, 0xff, 1))})), &missing("n")),
        (rsa(json!({"n": number(128, 0xff, 1)})), "the RSA key has 1024 bits: 2048 to 8192 are accepted"),
        (rsa(json!({"n": number(256, 0x7f, 1)})), "the RSA key has 2047 bits: 2048 to 8192 are accepted"),
        (rsa(json!({"n": number(1025, 1, 1)})), "the RSA key has 8193 bits: 2048 to 8192 are accepted"),
        (
            rsa(json!({"n": vectors::base64url(&[0; 300])})),
            "the RSA key has 0 bits: 2048 to 8192 are accepted",
        ),
        (rsa(json!({"n": number(256, 0xff, 2)})), not_a_key),
        (rsa(json!({"e": "AQ"})), not_a_key),
        (rsa(json!({"e": "AAE"})), not_a_key),
        (rsa(json!({"e": "AQAA"})), not_a_key),
        (rsa(json!({"e": "AA"})), not_a_key),
        (rsa(json!({"e": number(256, 0xff, 1)})), not_a_key),
        (rsa(json!({"e": number(5, 2, 1)})), not_a_key),
        (ec(json!({"y": x})), not_a_key),
        (ec(json!({"x": x384})), &missing("x")),
        (ec(json!({"y": null})), &missing("y")),
        (ec(json!({"x": vectors::base64url(&[0; 32]), "y": vectors::base64url(&[0; 32])})), not_a_key),
        (ed(json!({"x": x384})), &missing("x")),
        (ed(json!({"x": "AAAA"})), &missing("x")),
    ] {
        let set = JwkSet::from_json(json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
        let reasons: Vec<String> = set.skipped().iter().map(|(_, reason)| reason.to_string()).collect();
        assert_eq!((set.keys().len(), reasons), (0, vec![reason.to_owned()]), "{key}");
    }
}

#[test]
fn a_key_may_have_leading_zeros_and_unknown_members() {
    let n = vectors::bytes(jwk("acme-1", json!({}))["n"].as_str().unwrap());
    let padded = vectors::base64url(&[vec![0], n].concat());
    let key = jwk(
        "acme-1",
        json!({"n": padded, "e": "AAEAAQ", "x5c": ["AAAA"], "key_ops": ["verify"], "ext": true}),
    );
    let set = JwkSet::from_json(json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
    assert_eq!((set.keys().len(), set.skipped()), (1, &[][..]));
    assert_eq!(verify_jws(&vectors::accepted("cognito-user"), &set), Ok(()));
}

#[test]
fn a_set_that_cannot_be_read_says_why() {
    let set = |keys: Vec<Value>| json!({ "keys": keys }).to_string();
    let (rsa, ps) = (jwk("acme-1", json!({})), jwk("acme-1", json!({"alg": "PS256"})));
    let named_alike = jwk("partner-es256", json!({"kid": "acme-1"}));
    for (text, reason) in [
        ("", "the key set is not JSON: line 1, column 0"),
        ("<html></html>", "the key set is not JSON: line 1, column 1"),
        ("[]", "the key set is not an object with an array `keys`"),
        (r#"{"keys":{}}"#, "the key set is not an object with an array `keys`"),
        (&rsa.to_string(), "the key set is not an object with an array `keys`"),
        (r#"{"keys":[],"keys":[]}"#, "the key set has a member twice"),
        (r#"{"keys":[{"kty":"RSA","n":"AA","\u006e":"AA"}]}"#, "the key set has a member twice"),
        (&"[".repeat(1000), "the key set nests too deep"),
        (&set(vec![json!(0); 101]), "the key set has 101 keys: the limit is 100"),
        (
            &format!("{}{}", r#"{"keys":[]}"#, " ".repeat(512 * 1024)),
            "the key set has 524299 bytes: the limit is 524288",
        ),
        (&set(vec![rsa.clone(), rsa.clone()]), "the key set has two keys named `acme-1` of the same type"),
        (&set(vec![rsa.clone(), ps]), "the key set has two keys named `acme-1` of the same type"),
    ] {
        assert_eq!(JwkSet::from_json(text.as_bytes()).unwrap_err().to_string(), reason);
    }
    assert_eq!(JwkSet::from_json(set(vec![json!(0); 100]).as_bytes()).unwrap().skipped().len(), 100);
    assert_eq!(JwkSet::from_json(set(vec![rsa, named_alike]).as_bytes()).unwrap().keys().len(), 2);
}

#[test]
fn a_minted_token_is_one_that_its_issuer_accepts() {
    let (issuers, mut keys) = world();
    let key = key("attacker-rs256");
    let signs = |issuer: &&TrustedIssuer| !matches!(issuer.keys(), KeySource::Secret(_));
    for issuer in issuers.by_name().filter(signs) {
        keys.insert(issuer.name(), JwkSet::from_json(key.public_jwks().to_string().as_bytes()).unwrap());
        let mut scopes = strings(&["write", "read"]);
        scopes.extend(issuer.required_scopes().map(str::to_owned));
        let request = TokenRequest {
            subject: "amal".to_owned(),
            client_id: None,
            roles: vec!["clerk".to_owned(), "admin".to_owned()],
            scopes: scopes.clone(),
            tenant: match issuer.tenants() {
                Some(tenants) => tenants.first().map(|tenant| (*tenant).to_owned()),
                None => Some("any-tenant".to_owned()),
            },
            issued_at: vectors::now(),
            expires_at: Timestamp::from_unix_seconds(vectors::now().unix_seconds() + 3600),
            claims: Map::from_iter([("jti".to_owned(), json!("t1"))]),
        };
        let token = BearerToken::new(mint_for(issuer, &key, &request).unwrap()).unwrap();
        let claims = verify(&token, &issuers, &keys, vectors::now()).unwrap();
        assert_eq!((claims.issuer(), claims.subject()), (issuer.name(), "amal"));
        let has = |roles: &[String], role: &str| roles.iter().any(|has| has == role);
        assert_eq!(has(claims.roles(), "clerk"), has(issuer.grantable_roles(), "clerk"));
        assert!(!has(claims.roles(), "admin"));
        scopes.sort_unstable();
        assert_eq!(claims.scopes(), scopes);

        let machine = match issuer.name() {
            "batch" => "hourly",
            "acme-regions" => "4example23456789",
            _ => "1example23456789",
        };
        let request =
            TokenRequest { subject: machine.to_owned(), client_id: Some(machine.to_owned()), ..request };
        let token = BearerToken::new(mint_for(issuer, &key, &request).unwrap()).unwrap();
        let claims = verify(&token, &issuers, &keys, vectors::now()).unwrap();
        let kind = match issuer.token_use() {
            TokenUse::Access | TokenUse::Any => PrincipalKind::Client,
            TokenUse::Id => PrincipalKind::User,
        };
        assert_eq!(claims.kind(), kind, "{}", issuer.name());
    }
}

/// The issuers of the vectors that sign with keys, all with one key.
fn signing_world() -> &'static (TrustedIssuers, KeyRing, DevelopmentKey) {
    static WORLD: OnceLock<(TrustedIssuers, KeyRing, DevelopmentKey)> = OnceLock::new();
    WORLD.get_or_init(|| {
        let (issuers, mut keys) = world();
        let key = key("attacker-es256");
        let set = Arc::new(JwkSet::from_json(key.public_jwks().to_string().as_bytes()).unwrap());
        let signs = |issuer: &&TrustedIssuer| !matches!(issuer.keys(), KeySource::Secret(_));
        for issuer in issuers.by_key_set().filter(signs) {
            keys.insert(issuer.key_set(), Arc::clone(&set));
        }
        (issuers, keys, key)
    })
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Every other byte in place of the last of each part: base64url has spare bits there.
#[test]
fn the_last_character_of_a_part_cannot_be_another() {
    for name in ["cognito-user", "oidc-es256", "oidc-es384", "oidc-eddsa", "oidc-ps512"] {
        let token = vectors::accepted(name);
        let ends = token.match_indices('.').map(|(dot, _)| dot - 1).chain([token.len() - 1]);
        for end in ends.collect::<Vec<_>>() {
            for byte in (0..=0x7f).filter(|byte| *byte != token.as_bytes()[end]) {
                let changed = with_byte(&token, end, byte);
                assert!(check(&changed, vectors::now()).is_err(), "{name}: byte {byte:#x} at {end}");
            }
        }
    }
}

fn with_byte(text: &str, at: usize, byte: u8) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = byte;
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_mac_is_accepted_of_the_one_issuer_and_algorithm_alone() {
    let claims = vectors::ledger(json!({})).to_string();
    let algorithms = [Hmac::Hs256, Hmac::Hs384, Hmac::Hs512];
    let secret = [0x5a; 64];
    for (asked, shared) in algorithms.into_iter().flat_map(|a| algorithms.map(|b| (a, b))) {
        let text = std::fs::read_to_string(folder().join("issuers/ledger.toml")).unwrap();
        let issuer = TrustedIssuer::from_toml(&text.replace("HS256", shared.as_str())).unwrap();
        let mut keys = KeyRing::default();
        keys.insert(issuer.key_set(), JwkSet::from_secret(&secret, shared).unwrap());
        let issuers = TrustedIssuers::new(vec![issuer]).unwrap();
        let header = json!({ "alg": asked.as_str(), "typ": "at+jwt" }).to_string();
        let token = vectors::hmac_signed_with(asked, &header, &claims, &secret);
        let token = BearerToken::new(&token).unwrap();
        let answer =
            verify(&token, &issuers, &keys, vectors::now()).map(|claims| claims.subject().to_owned());
        let slug = answer.map_err(|error| (error.slug(), error.need()));
        match asked == shared {
            true => assert_eq!(slug, Ok("batch".to_owned()), "{asked}"),
            false => assert_eq!(slug, Err(("wrong_algorithm", None)), "{asked} at {shared}"),
        }
    }
}

/// Whatever the state of the keys: nothing is fetched for an algorithm that no fetched key has.
#[test]
fn a_mac_makes_nobody_fetch_keys() {
    let (issuers, _) = world();
    for name in
        ["alg-hs256", "alg-hs512", "alg-hs256-published", "alg-hs256-modulus", "hmac-rs256", "hmac-elsewhere"]
    {
        let token = BearerToken::new(vectors::refused(name)).unwrap();
        let error = verify(&token, &issuers, &KeyRing::default(), vectors::now()).unwrap_err();
        assert_eq!((error.slug(), error.need()), ("wrong_algorithm", None), "{name}");
    }
}

/// A ring that holds the wrong kind of keys under a name refuses: the keys' kind is looked at, not only the file.
#[test]
fn keys_of_the_other_kind_verify_nothing() {
    let (issuers, mut keys) = world();
    let secret = || JwkSet::from_secret(vectors::LEDGER_SECRET, Hmac::Hs256).unwrap();
    keys.insert("partner", secret());
    keys.insert(
        "ledger",
        JwkSet::from_json(key("partner-rsa").public_jwks().to_string().as_bytes()).unwrap(),
    );
    for token in [
        vectors::accepted("oidc-rs512"),
        vectors::accepted("hmac-client"),
        vectors::refused("hmac-elsewhere"),
    ] {
        let token = BearerToken::new(&token).unwrap();
        assert_eq!(verify(&token, &issuers, &keys, vectors::now()).unwrap_err().slug(), "wrong_algorithm");
    }
    assert_eq!(verify_jws(&vectors::accepted("hmac-client"), &secret()), Ok(()));
    assert_eq!(verify_jws(&vectors::accepted("oidc-rs512"), &secret()), Err(TokenError::Algorithm));
    assert_eq!(verify_jws(&vectors::accepted("hmac-client"), &JwkSet::default()), Err(TokenError::Algorithm));
}

#[test]
fn a_short_secret_is_none_and_no_secret_is_shown() {
    for (algorithm, bytes) in [(Hmac::Hs256, 32), (Hmac::Hs384, 48), (Hmac::Hs512, 64)] {
        let secret = vec![b'S'; bytes];
        assert_eq!(
            JwkSet::from_secret(&secret[1..], algorithm).unwrap_err().to_string(),
            format!("the secret is shorter than the {bytes} bytes that {algorithm} needs")
        );
        let keys = JwkSet::from_secret(&secret, algorithm).unwrap();
        let shown = format!("{keys:?}");
        assert!(!shown.contains("SS") && !shown.contains("83, 83") && !shown.contains("5353"), "{shown}");
    }
}

fn any_accepted_token() -> impl Strategy<Value = String> {
    let names = ["cognito-user", "oidc-rs512", "oidc-ps256", "oidc-es256", "oidc-eddsa", "hmac-client"];
    prop::sample::select(names.map(vectors::accepted).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn no_single_byte_of_a_valid_token_can_be_another(
        token in any_accepted_token(), at in any::<prop::sample::Index>(), byte in 0_u8..0x80,
    ) {
        let at = at.index(token.len());
        prop_assume!(token.as_bytes()[at] != byte);
        prop_assert!(check(&with_byte(&token, at, byte), vectors::now()).is_err());
    }

    #[test]
    fn no_byte_can_be_left_out_or_put_in(
        token in any_accepted_token(), at in any::<prop::sample::Index>(), char in any::<char>(),
    ) {
        let at = at.index(token.len());
        let mut less = token.clone();
        less.remove(at);
        prop_assert!(check(&less, vectors::now()).is_err());
        let mut more = token.clone();
        more.insert(at, char);
        prop_assert!(check(&more, vectors::now()).is_err());
    }

    #[test]
    fn no_token_without_the_secret_is_accepted(
        secret in prop::collection::vec(any::<u8>(), 0..80),
        algorithm in prop::sample::select(vec![Hmac::Hs256, Hmac::Hs384, Hmac::Hs512]),
        tag in prop::collection::vec(any::<u8>(), 1..80),
        sub in "[a-z]{1,8}",
    ) {
        prop_assume!(secret != vectors::LEDGER_SECRET);
        let header = json!({ "alg": algorithm.as_str(), "typ": "at+jwt" }).to_string();
        let claims = vectors::ledger(json!({ "sub": sub })).to_string();
        let signed = vectors::hmac_signed_with(algorithm, &header, &claims, &secret);
        let message = signed.rsplit_once('.').unwrap().0;
        let guessed = format!("{message}.{}", vectors::base64url(&tag));
        for token in [signed, guessed] {
            let slug = check(&token, vectors::now()).unwrap_err().slug();
            prop_assert!(slug == "bad_signature" || slug == "wrong_algorithm", "{slug}");
        }
    }

    #[test]
    fn any_text_is_answered(text in ".{0,80}", dots in "[A-Za-z0-9_=-]{0,30}(\\.[A-Za-z0-9_=-]{0,30}){0,4}") {
        for text in [text, dots] {
            prop_assert!(check(&text, vectors::now()).is_err());
            prop_assert!(verify_jws(&text, &JwkSet::default()).is_err());
        }
    }

    #[test]
    fn any_header_and_payload_are_answered(header in json_like(), payload in json_like()) {
        let (header, payload) = (vectors::base64url(header.as_bytes()), vectors::base64url(payload.as_bytes()));
        let token = [&header, &payload, "AAAA"].join(".");
        prop_assert!(check(&token, vectors::now()).is_err());
    }

    #[test]
    fn any_signed_claims_are_answered(
        name in prop::sample::select(vec!["exp", "nbf", "iat", "aud", "sub", "realm_access", "org", "scope", "level", "regions", "email", "jti"]),
        value in any_json(),
    ) {
        let payload = vectors::partner(json!({ name: value }));
        let token = vectors::sign(&key("partner-ed25519"), vectors::ED25519_HEADER, &payload.to_string());
        if let Ok(claims) = check(&token, vectors::now()) {
            prop_assert!(claims.valid_until() > vectors::now());
            prop_assert!(claims.roles().iter().all(|role| role == "clerk"));
            prop_assert!(claims.tenant() == Some("globex"));
            prop_assert!((1..=255).contains(&claims.subject().chars().count()));
        }
    }

    #[test]
    fn any_claim_of_any_issuer_is_answered(
        issuer in any::<prop::sample::Index>(),
        name in prop::sample::select(vec![
            "typ", "token_use", "azp", "appid", "client_id", "cid", "uid", "idtyp", "oid", "sub", "username",
            "preferred_username", "tid", "ver", "hd", "scp", "scope", "groups", "permissions", "roles",
            "cognito:groups", "_claim_names", "hasgroups", "groups:src1", "uti", "jti", "iat", "exp", "cnf", "env",
        ]),
        value in any_json(),
    ) {
        let (issuers, keys, key) = signing_world();
        let all: Vec<&TrustedIssuer> = issuers.by_key_set().collect();
        let issuer = *issuer.get(&all);
        let request = TokenRequest {
            subject: "amal".to_owned(),
            client_id: None,
            roles: strings(&["clerk", "admin"]),
            scopes: issuer.required_scopes().map(str::to_owned).collect(),
            tenant: issuer.tenants().and_then(|tenants| Some((*tenants.first()?).to_owned())),
            issued_at: vectors::now(),
            expires_at: Timestamp::from_unix_seconds(vectors::now().unix_seconds() + 60),
            claims: Map::from_iter([(name.to_owned(), value)]),
        };
        let token = mint_for(issuer, key, &request).unwrap();
        if let Some(token) = BearerToken::new(&token)
            && let Ok(claims) = verify(&token, issuers, keys, vectors::now())
        {
            prop_assert!(claims.roles().iter().all(|role| issuer.grantable_roles().contains(role)));
            prop_assert!(claims.valid_until() > vectors::now());
            prop_assert!(claims.tenant().is_none_or(|tenant| issuer.tenants().is_none_or(|all| all.contains(&tenant))));
            prop_assert_eq!(claims.issuer(), issuer.name());
        }
    }

    #[test]
    fn any_key_set_is_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), key in any_json(), text in json_like()) {
        let _ = JwkSet::from_json(&bytes);
        let _ = JwkSet::from_json(text.as_bytes());
        let set = JwkSet::from_json(json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
        prop_assert!(set.keys().is_empty());
    }
}

/// Text that is nearly JSON.
fn json_like() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"alg\"",
        "\"RS256\"",
        "\"kid\"",
        "\"iss\"",
        "\"keys\"",
        "\"kty\"",
        "\"\\u00",
        "1e9",
        "-0",
        "null",
        "true",
        " ",
        "\u{feff}",
        "{\"alg\":\"RS256\"}",
        "{\"keys\":[",
    ]);
    prop_oneof![
        prop::collection::vec(word, 0..12).prop_map(|words| words.concat()),
        any_json().prop_map(|value| value.to_string()),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("clerk")),
        Just(json!("https://orders.example")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("(roles|tenant|kty|n|x|[a-z]{0,3})", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
