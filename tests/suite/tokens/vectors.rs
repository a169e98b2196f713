//! The token vectors: how each is made, where it is stored, and what it must be answered.
//!
//! The files in `tests/tokens` are what is tested. `UPDATE_GOLDEN=1 cargo test tokens` writes them anew where this
//! generator says something else (signatures with a random part stay as they are). The private keys in
//! `tests/tokens/keys` are published here and protect nothing.

mod attacks;
mod confer;
mod presets;
mod rules;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Once;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cedar_gate::jose::{Algorithm, Hmac};
use cedar_gate::time::Timestamp;
use cedar_gate::tools::mint::DevelopmentKey;
use serde_json::{Map, Value, json};

const NOW: i64 = 1_795_255_200;
const ACME: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123456";
const PORTAL: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_DeF789012";
const PARTNER: &str = "https://idp.partner.example/";
const LEDGER: &str = "https://ledger.example";
const COGNITO_HEADER: &str = r#"{"kid":"acme-1","alg":"RS256"}"#;
const PORTAL_HEADER: &str = r#"{"kid":"portal-1","alg":"RS256"}"#;
const RSA_HEADER: &str = r#"{"alg":"RS256","typ":"at+jwt","kid":"partner-rsa"}"#;
const P256_HEADER: &str = r#"{"alg":"ES256","typ":"at+jwt","kid":"partner-es256"}"#;
pub(crate) const ED25519_HEADER: &str = r#"{"alg":"EdDSA","typ":"at+jwt","kid":"partner-ed25519"}"#;
const LEDGER_HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;
const WORKSHOP_HEADER: &str = r#"{"alg":"ES256","typ":"JWT"}"#;

/// The test keys, and what they are made for.
const KEYS: [(&str, Algorithm); 20] = [
    ("acme-1", Algorithm::Rs256),
    ("portal-1", Algorithm::Rs256),
    ("partner-rsa", Algorithm::Rs256),
    ("partner-ps256", Algorithm::Ps256),
    ("partner-es256", Algorithm::Es256),
    ("partner-es384", Algorithm::Es384),
    ("partner-ed25519", Algorithm::EdDsa),
    ("workshop", Algorithm::Es256),
    ("batch", Algorithm::Es256),
    ("acme-eu", Algorithm::Rs256),
    ("acme-us", Algorithm::Rs256),
    ("auth0", Algorithm::Rs256),
    ("auth0-portal", Algorithm::Rs256),
    ("okta", Algorithm::Rs256),
    ("entra", Algorithm::Rs256),
    ("entra-consumers", Algorithm::Rs256),
    ("keycloak", Algorithm::Rs256),
    ("google", Algorithm::Rs256),
    ("attacker-rs256", Algorithm::Rs256),
    ("attacker-es256", Algorithm::Es256),
];

/// A key for each algorithm.
pub(crate) const SIGNERS: [(&str, Algorithm); 9] = [
    ("partner-rsa", Algorithm::Rs256),
    ("partner-rsa", Algorithm::Rs384),
    ("partner-rsa", Algorithm::Rs512),
    ("partner-rsa", Algorithm::Ps256),
    ("partner-rsa", Algorithm::Ps384),
    ("partner-rsa", Algorithm::Ps512),
    ("partner-es256", Algorithm::Es256),
    ("partner-es384", Algorithm::Es384),
    ("partner-ed25519", Algorithm::EdDsa),
];

/// What the issuer `ledger` shares with whoever verifies. It is published here and protects nothing.
pub(crate) const LEDGER_SECRET: &[u8] = b"a secret that protects nothing, as it is here";

/// A token and what it must be answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) token: String,
    pub(crate) now: String,
    pub(crate) expected: Expected,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expected {
    Accepted(Value),
    Refused { slug: String, message: String },
}

/// The moment of the vectors.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_seconds(NOW)
}

/// A test key by its name.
pub(crate) fn key(name: &str) -> DevelopmentKey {
    let file = super::folder().join(format!("keys/{name}.test-key.json"));
    DevelopmentKey::from_json(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// The token of a stored vector that is accepted.
pub(crate) fn accepted(name: &str) -> String {
    update_if_asked();
    read(&super::folder().join(format!("valid/{name}.json"))).token
}

/// The token of a stored vector that is refused.
pub(crate) fn refused(name: &str) -> String {
    update_if_asked();
    read(&super::folder().join(format!("invalid/{name}.json"))).token
}

/// All stored vectors.
pub(crate) fn read_all() -> Vec<Vector> {
    update_if_asked();
    let folder = super::folder();
    let files =
        ["valid", "invalid"].into_iter().flat_map(|kind| std::fs::read_dir(folder.join(kind)).unwrap());
    files.map(|file| read(&file.unwrap().path())).collect()
}

fn read(path: &Path) -> Vector {
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let expected = match &file["refused"] {
        Value::Null => Expected::Accepted(file["accepted"].clone()),
        refused => Expected::Refused { slug: text(&refused["slug"]), message: text(&refused["message"]) },
    };
    let kind = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
    assert_eq!(kind == "valid", matches!(expected, Expected::Accepted(_)), "{}", path.display());
    Vector {
        name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
        about: text(&file["about"]),
        token: text(&file["token"]),
        now: text(&file["now"]),
        expected,
    }
}

/// Writes keys, key sets and vectors anew when `UPDATE_GOLDEN` says so.
pub(crate) fn update_if_asked() {
    static ONCE: Once = Once::new();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        ONCE.call_once(|| update(&super::folder()));
    }
}

fn update(folder: &Path) {
    for (name, algorithm) in KEYS {
        let file = folder.join(format!("keys/{name}.test-key.json"));
        if !file.exists() {
            let made = DevelopmentKey::generate(algorithm).unwrap().to_private_json();
            let mut jwk: BTreeMap<String, String> = serde_json::from_str(&made).unwrap();
            jwk.insert("kid".to_owned(), name.to_owned());
            std::fs::write(file, format!("{:#}\n", json!(jwk))).unwrap();
        }
    }
    for (issuer, keys) in key_sets() {
        let file = folder.join(format!("issuers/{issuer}.jwks.json"));
        std::fs::write(file, format!("{:#}\n", json!({ "keys": keys }))).unwrap();
    }
    for kind in ["valid", "invalid"] {
        std::fs::create_dir_all(folder.join(kind)).unwrap();
    }
    for vector in generate() {
        let (kind, answer) = match &vector.expected {
            Expected::Accepted(claims) => ("valid", ("accepted", claims.clone())),
            Expected::Refused { slug, message } => {
                ("invalid", ("refused", json!({ "slug": slug, "message": message })))
            }
        };
        let path = folder.join(kind).join(format!("{}.json", vector.name));
        let unsigned = |token: &str| token.rsplit_once('.').unwrap_or((token, "")).0.to_owned();
        let same = |old: Vector| {
            Vector { token: unsigned(&old.token), ..old }
                == Vector { token: unsigned(&vector.token), ..vector.clone() }
        };
        if !path.exists() || !same(read(&path)) {
            let file = json!({ "about": vector.about, "now": vector.now, answer.0: answer.1, "token": vector.token });
            std::fs::write(path, format!("{file:#}\n")).unwrap();
        }
    }
}

fn key_sets() -> [(&'static str, Vec<Value>); 16] {
    let public_jwk = |name: &str| key(name).public_jwk();
    let with = |mut jwk: Value, member: &str, value: Value| {
        jwk[member] = value;
        jwk
    };
    let for_encryption =
        |kid: &str| with(with(public_jwk("attacker-rs256"), "kid", json!(kid)), "use", json!("enc"));
    let partner = ["partner-ps256", "partner-es256", "partner-es384", "partner-ed25519"];
    let mut partner: Vec<Value> = partner.into_iter().map(public_jwk).collect();
    partner.push(public(&key("partner-rsa"), &["alg"])["keys"][0].clone());
    partner.push(json!({ "kty": "oct", "kid": "partner-hmac", "alg": "HS256", "k": base64url(b"not a secret at all") }));
    partner.push(for_encryption("partner-enc"));
    // Entra's keys name no `alg`.
    let entra = |name: &str, kid: &str, issuer: Value| {
        let jwk = with(public(&key(name), &["alg"])["keys"][0].clone(), "kid", json!(kid));
        if issuer.is_null() { jwk } else { with(jwk, "issuer", issuer) }
    };
    let of_tenant = |tenant: &str| json!(format!("https://login.microsoftonline.com/{tenant}/v2.0"));
    let tenant = of_tenant("72f988bf-86f1-41af-91ab-2d7cd011db47");
    [
        ("acme-staff", vec![public_jwk("acme-1")]),
        ("acme-portal", vec![public_jwk("portal-1")]),
        ("partner", partner),
        ("workshop", vec![public(&key("workshop"), &["kid", "use"])["keys"][0].clone()]),
        ("batch", vec![public_jwk("batch")]),
        ("acme-regions", vec![public_jwk("acme-eu")]),
        ("acme-regions@2", vec![public_jwk("acme-us")]),
        ("acme-regions@3", vec![public_jwk("acme-eu")]),
        ("auth0", vec![public_jwk("auth0")]),
        ("auth0-portal", vec![public_jwk("auth0-portal")]),
        ("okta", vec![public_jwk("okta")]),
        (
            "entra",
            vec![
                entra("entra", "entra", tenant.clone()),
                entra("entra", "entra-any-tenant", of_tenant("{tenantid}")),
                entra(
                    "attacker-rs256",
                    "entra-other-tenant",
                    of_tenant("fa15d692-e9c7-4460-a743-29f295222229"),
                ),
                entra("attacker-rs256", "entra-odd", json!(7)),
            ],
        ),
        (
            "entra@2",
            vec![
                entra("entra", "entra", Value::Null),
                entra("entra", "entra-of-2", tenant),
                entra("entra", "entra-of-2-any-tenant", of_tenant("{tenantid}")),
            ],
        ),
        (
            "entra-many",
            vec![
                entra("entra", "entra", of_tenant("{tenantid}")),
                entra(
                    "entra-consumers",
                    "entra-consumers",
                    of_tenant("9188040d-6c67-4c5b-b112-36a304b66dad"),
                ),
            ],
        ),
        (
            "keycloak",
            vec![public_jwk("keycloak"), with(for_encryption("keycloak-enc"), "alg", json!("RSA-OAEP"))],
        ),
        ("google", vec![public_jwk("google")]),
    ]
}

/// The public key as a set, without some members.
pub(crate) fn public(key: &DevelopmentKey, without: &[&str]) -> Value {
    let mut jwk = key.public_jwk();
    for member in without {
        jwk.as_object_mut().unwrap().remove(*member);
    }
    json!({ "keys": [jwk] })
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn bytes(base64url: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(base64url).unwrap()
}

/// Signs any two texts with the key's own algorithm.
pub(crate) fn sign(key: &DevelopmentKey, header: &str, payload: &str) -> String {
    sign_with(key, key.algorithm(), header.as_bytes(), payload.as_bytes())
}

pub(crate) fn sign_with(key: &DevelopmentKey, algorithm: Algorithm, header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", base64url(header), base64url(payload));
    let signature = key.signing_key().sign(algorithm, &message).unwrap();
    format!("{message}.{}", base64url(&signature))
}

/// A JWS with any signature.
fn unsigned(header: &str, payload: &str, signature: &[u8]) -> String {
    format!("{}.{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()), base64url(signature))
}

fn hmac_signed(header: &str, payload: &str, secret: &[u8]) -> String {
    hmac_signed_with(Hmac::Hs256, header, payload, secret)
}

pub(crate) fn hmac_signed_with(algorithm: Hmac, header: &str, payload: &str, secret: &[u8]) -> String {
    let algorithm = match algorithm {
        Hmac::Hs256 => hmac::HMAC_SHA256,
        Hmac::Hs384 => hmac::HMAC_SHA384,
        Hmac::Hs512 => hmac::HMAC_SHA512,
    };
    let message = format!("{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()));
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes());
    format!("{message}.{}", base64url(tag.as_ref()))
}

/// `base` with members replaced; null takes one out.
fn changed(mut base: Value, changes: Value) -> Value {
    for (member, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(base.as_object_mut().unwrap().shift_remove(member)),
            value => base[member] = value.clone(),
        }
    }
    base
}

/// The claims of a Cognito access token.
fn cognito(changes: Value) -> Value {
    let claims = json!({
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "cognito:groups": ["clerk", "Acme Auditors", "admin"],
        "iss": ACME,
        "version": 2,
        "client_id": "1example23456789",
        "origin_jti": "7f3c6f1e-0000-4000-8000-000000000001",
        "token_use": "access",
        "scope": "orders/write orders/read",
        "auth_time": NOW - 900,
        "exp": NOW + 2700,
        "iat": NOW - 900,
        "jti": "7f3c6f1e-0000-4000-8000-000000000002",
        "username": "amal",
    });
    changed(claims, changes)
}

/// The claims of a Cognito ID token.
fn portal(changes: Value) -> Value {
    let claims = json!({
        "sub": "11111111-2222-3333-4444-555555555555",
        "email_verified": true,
        "iss": PORTAL,
        "cognito:username": "noor",
        "custom:tenant": "acme",
        "custom:department": "sales",
        "aud": "3example23456789",
        "token_use": "id",
        "auth_time": NOW - 60,
        "exp": NOW + 3540,
        "iat": NOW - 60,
        "email": "noor@acme.example",
    });
    changed(claims, changes)
}

/// The claims of an RFC 9068 access token.
pub(crate) fn partner(changes: Value) -> Value {
    let claims = json!({
        "iss": PARTNER,
        "sub": "u-42",
        "aud": ["https://orders.example", "https://idp.partner.example/userinfo"],
        "client_id": "web",
        "iat": NOW - 10,
        "exp": NOW + 290,
        "jti": "p-1",
        "scope": "orders:read",
        "realm_access": { "roles": ["clerk", "offline_access"] },
        "org": { "tenant": "globex", "note": "a-secret-claim" },
        "department": "logistics",
        "level": 3,
        "https://partner.example/contractor": false,
        "regions": ["south", "north", "south"],
    });
    changed(claims, changes)
}

/// The claims of a token of the issuer that shares a secret.
pub(crate) fn ledger(changes: Value) -> Value {
    let claims = json!({
        "iss": LEDGER,
        "sub": "batch",
        "client_id": "batch",
        "aud": "https://orders.example",
        "exp": NOW + 60,
        "iat": NOW,
        "scope": "orders:write",
    });
    changed(claims, changes)
}

/// The claims of a token of the development issuer.
fn workshop(changes: Value) -> Value {
    let claims = json!({
        "iss": "http://localhost:9000",
        "sub": "dev",
        "azp": "cli",
        "exp": NOW + 600,
        "tid": "acme-labs",
        "groups": "tester admin  tester",
        "scp": ["b", "a"],
    });
    changed(claims, changes)
}

/// Every vector.
pub(crate) fn generate() -> Vec<Vector> {
    let mut vectors = Vectors { all: Vec::new() };
    accepted_cognito(&mut vectors);
    accepted_oidc(&mut vectors);
    accepted_workshop(&mut vectors);
    accepted_ledger(&mut vectors);
    refused_form(&mut vectors);
    refused_header(&mut vectors);
    refused_algorithm(&mut vectors);
    refused_mac(&mut vectors);
    refused_key(&mut vectors);
    refused_signature(&mut vectors);
    refused_issuer(&mut vectors);
    refused_payload(&mut vectors);
    refused_times(&mut vectors);
    refused_audience(&mut vectors);
    refused_kind(&mut vectors);
    refused_claims(&mut vectors);
    rules::add(&mut vectors);
    presets::add(&mut vectors);
    confer::add(&mut vectors);
    attacks::add(&mut vectors);
    vectors.all
}

/// An issuer's usual token, and what it is answered.
struct Pool {
    key: &'static str,
    header: &'static str,
    /// The claims, with members replaced.
    claims: fn(Value) -> Value,
    answer: fn() -> Value,
}

struct Vectors {
    all: Vec<Vector>,
}

impl Vectors {
    fn add(&mut self, name: &str, about: &str, token: String, expected: Expected) {
        assert!(self.all.iter().all(|vector| vector.name != name), "{name} twice");
        let now = now().to_string();
        self.all.push(Vector { name: name.to_owned(), about: about.to_owned(), token, now, expected });
    }

    fn accept(&mut self, name: &str, about: &str, token: String, expected: Value) {
        self.add(name, about, token, Expected::Accepted(expected));
    }

    fn refuse(&mut self, name: &str, about: &str, token: String, slug: &str, message: &str) {
        let (slug, message) = (slug.to_owned(), message.to_owned());
        self.add(name, about, token, Expected::Refused { slug, message });
    }

    fn malformed(&mut self, name: &str, about: &str, token: String, what: &str) {
        self.refuse(name, about, token, "malformed_token", &format!("malformed token: {what}"));
    }

    fn accept_of(&mut self, pool: &Pool, name: &str, about: &str, changes: Value, answer: Value) {
        let token = sign(&key(pool.key), pool.header, &(pool.claims)(changes).to_string());
        self.accept(name, about, token, replaced((pool.answer)(), answer));
    }

    /// A well-signed token with other claims.
    fn refuse_of(&mut self, pool: &Pool, name: &str, about: &str, changes: Value, slug: &str, message: &str) {
        self.refuse_text(pool, name, about, &(pool.claims)(changes).to_string(), slug, message);
    }

    /// A well-signed token with any payload.
    fn refuse_text(
        &mut self,
        pool: &Pool,
        name: &str,
        about: &str,
        payload: &str,
        slug: &str,
        message: &str,
    ) {
        let token = sign(&key(pool.key), pool.header, payload);
        self.refuse(name, about, token, slug, message);
    }

    fn accept_cognito(&mut self, name: &str, about: &str, changes: Value, answer: Value) {
        let token = sign(&key("acme-1"), COGNITO_HEADER, &cognito(changes).to_string());
        self.accept(name, about, token, replaced(cognito_answer(), answer));
    }

    fn accept_portal(&mut self, name: &str, about: &str, changes: Value, answer: Value) {
        let token = sign(&key("portal-1"), PORTAL_HEADER, &portal(changes).to_string());
        self.accept(name, about, token, replaced(portal_answer(), answer));
    }

    fn accept_partner(&mut self, name: &str, about: &str, changes: Value, answer: Value) {
        let token = sign(&key("partner-rsa"), RSA_HEADER, &partner(changes).to_string());
        self.accept(name, about, token, replaced(partner_answer("partner-rsa"), answer));
    }

    fn accept_workshop(&mut self, name: &str, about: &str, changes: Value, answer: Value) {
        let token = sign(&key("workshop"), WORKSHOP_HEADER, &workshop(changes).to_string());
        self.accept(name, about, token, replaced(workshop_answer(), answer));
    }

    /// A well-signed Cognito token with other claims.
    fn refuse_cognito(&mut self, name: &str, about: &str, changes: Value, slug: &str, message: &str) {
        let token = sign(&key("acme-1"), COGNITO_HEADER, &cognito(changes).to_string());
        self.refuse(name, about, token, slug, message);
    }

    /// A well-signed token of the partner with other claims.
    fn refuse_partner(&mut self, name: &str, about: &str, changes: Value, slug: &str, message: &str) {
        let token = sign(&key("partner-ed25519"), ED25519_HEADER, &partner(changes).to_string());
        self.refuse(name, about, token, slug, message);
    }

    /// A token of the partner with another header, signed by the RSA key whatever the header says.
    fn refuse_header(&mut self, name: &str, about: &str, header: &str, slug: &str, message: &str) {
        let token = sign(&key("partner-rsa"), header, &partner(json!({})).to_string());
        self.refuse(name, about, token, slug, message);
    }
}

/// `base` with members replaced, null included.
fn replaced(mut base: Value, answer: Value) -> Value {
    for (member, value) in answer.as_object().unwrap() {
        base[member] = value.clone();
    }
    base
}

fn cognito_answer() -> Value {
    json!({
        "principal": "User",
        "issuer": "acme-staff",
        "subject": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "client_id": "1example23456789",
        "tenant": "acme",
        "roles": ["auditor", "clerk"],
        "refused_roles": ["admin"],
        "scopes": ["orders/read", "orders/write"],
        "email": null,
        "email_verified": null,
        "claims": {},
        "token_id": "7f3c6f1e-0000-4000-8000-000000000002",
        "key_id": "acme-1",
        "issued_at": "2026-11-21T09:45:00Z",
        "expires_at": "2026-11-21T10:45:00Z",
    })
}

fn portal_answer() -> Value {
    json!({
        "principal": "User",
        "issuer": "acme-portal",
        "subject": "11111111-2222-3333-4444-555555555555",
        "client_id": null,
        "tenant": "acme",
        "roles": [],
        "refused_roles": [],
        "scopes": [],
        "email": "noor@acme.example",
        "email_verified": true,
        "claims": { "department": "sales" },
        "token_id": null,
        "key_id": "portal-1",
        "issued_at": "2026-11-21T09:59:00Z",
        "expires_at": "2026-11-21T10:59:00Z",
    })
}

fn partner_answer(key_id: &str) -> Value {
    json!({
        "principal": "User",
        "issuer": "partner",
        "subject": "u-42",
        "client_id": "web",
        "tenant": "globex",
        "roles": ["clerk"],
        "refused_roles": ["offline_access"],
        "scopes": ["orders:read"],
        "email": null,
        "email_verified": null,
        "claims": { "contractor": false, "department": "logistics", "level": 3, "regions": ["north", "south"] },
        "token_id": "p-1",
        "key_id": key_id,
        "issued_at": "2026-11-21T09:59:50Z",
        "expires_at": "2026-11-21T10:04:50Z",
    })
}

fn workshop_answer() -> Value {
    json!({
        "principal": "User",
        "issuer": "workshop",
        "subject": "dev",
        "client_id": "cli",
        "tenant": "acme-labs",
        "roles": ["tester"],
        "refused_roles": ["admin"],
        "scopes": ["a", "b"],
        "email": null,
        "email_verified": null,
        "claims": {},
        "token_id": null,
        "key_id": null,
        "issued_at": null,
        "expires_at": "2026-11-21T10:10:00Z",
    })
}

fn accepted_cognito(v: &mut Vectors) {
    v.accept_cognito(
        "cognito-user",
        "a user's access token; `admin` is not the issuer's to confer",
        json!({}),
        json!({}),
    );
    v.accept_cognito(
        "cognito-second-client",
        "the audience of an access token is its client id, and two are accepted",
        json!({ "client_id": "2example23456789" }),
        json!({ "client_id": "2example23456789" }),
    );
    v.accept_cognito(
        "cognito-client",
        "client credentials: `sub` is the client id and there is no `username`",
        json!({ "sub": "1example23456789", "username": null, "cognito:groups": null, "origin_jti": null }),
        json!({ "principal": "Client", "subject": "1example23456789", "roles": [], "refused_roles": [] }),
    );
    v.accept_cognito(
        "cognito-username-is-a-user",
        "a `sub` equal to the client id does not make a client where there is a `username`",
        json!({ "sub": "1example23456789" }),
        json!({ "subject": "1example23456789" }),
    );
    v.accept_cognito(
        "cognito-groups-twice",
        "a group and its mapped name are one role",
        json!({ "cognito:groups": ["Acme Auditors", "auditor", "auditor", "Clerk", "clerk "] }),
        json!({ "roles": ["auditor"], "refused_roles": ["Clerk", "clerk "] }),
    );
    v.accept_portal("cognito-id", "an ID token where ID tokens are accepted", json!({}), json!({}));
    v.accept_portal(
        "cognito-id-email-words",
        "`email_verified` as a word",
        json!({ "email_verified": "false", "custom:tenant": "acme-labs" }),
        json!({ "email_verified": false, "tenant": "acme-labs" }),
    );
    v.accept_portal(
        "cognito-id-absent-attribute",
        "an attribute that the token lacks, or has as null, is left out",
        json!({ "custom:department": null }),
        json!({ "claims": {} }),
    );
    v.accept_portal(
        "cognito-id-is-never-a-client",
        "an ID token speaks for a user, whatever its `sub`",
        json!({ "sub": "3example23456789", "client_id": "3example23456789" }),
        json!({ "subject": "3example23456789", "client_id": "3example23456789" }),
    );
}

fn accepted_oidc(v: &mut Vectors) {
    for (name, algorithm) in SIGNERS {
        let header = json!({ "alg": algorithm.as_str(), "typ": "at+jwt", "kid": name }).to_string();
        let token =
            sign_with(&key(name), algorithm, header.as_bytes(), partner(json!({})).to_string().as_bytes());
        let about = format!("an access token of RFC 9068 signed with {algorithm}");
        v.accept(&format!("oidc-{}", algorithm.as_str().to_lowercase()), &about, token, partner_answer(name));
    }
    let with_header = |header: &str| sign(&key("partner-ed25519"), header, &partner(json!({})).to_string());
    let ed25519 = || partner_answer("partner-ed25519");
    for (name, about, header) in [
        (
            "oidc-ed25519",
            "`Ed25519`, the name of RFC 9864 for the same",
            r#"{"alg":"Ed25519","typ":"at+jwt","kid":"partner-ed25519"}"#,
        ),
        (
            "oidc-typ-long",
            "`typ` with its `application/`",
            r#"{"alg":"EdDSA","typ":"application/at+jwt","kid":"partner-ed25519"}"#,
        ),
        (
            "oidc-typ-case",
            "media types have no case",
            r#"{"alg":"EdDSA","typ":"AT+JWT","kid":"partner-ed25519"}"#,
        ),
        (
            "oidc-header-space",
            "white space in the header's JSON",
            "{ \"kid\":\"partner-ed25519\",\r\n \"typ\":\"at+jwt\", \"alg\":\"EdDSA\" }",
        ),
        (
            "oidc-header-unknown",
            "unknown parameters are ignored (RFC 7515 §4)",
            r#"{"alg":"EdDSA","typ":"at+jwt","kid":"partner-ed25519","cty":"x","org.example":{"a":[1]}}"#,
        ),
        (
            "oidc-header-escapes",
            "escaped letters are the same letters",
            r#"{"\u0061lg":"EdDS\u0041","typ":"at+jwt","kid":"partner-ed25519"}"#,
        ),
        (
            "oidc-jku-ignored",
            "a key's address in a token is not read",
            r#"{"alg":"EdDSA","typ":"at+jwt","kid":"partner-ed25519","jku":"https://attacker.example/jwks.json","x5u":1}"#,
        ),
    ] {
        v.accept(name, about, with_header(header), ed25519());
    }
    let no_kid = sign_with(
        &key("partner-es384"),
        Algorithm::Es384,
        br#"{"alg":"ES384","typ":"at+jwt"}"#,
        partner(json!({})).to_string().as_bytes(),
    );
    v.accept(
        "oidc-no-kid",
        "no `kid`, and one key fits",
        no_kid,
        replaced(partner_answer("partner-es384"), json!({ "key_id": null })),
    );
    v.accept_partner(
        "oidc-aud-string",
        "`aud` as a string",
        json!({ "aud": "https://orders.example" }),
        json!({}),
    );
    v.accept_partner(
        "oidc-exp-fraction",
        "`exp` with a fraction",
        json!({ "exp": NOW as f64 + 0.5 }),
        json!({ "expires_at": "2026-11-21T10:00:00.5Z" }),
    );
    v.accept_partner(
        "oidc-exp-exponent",
        "`exp` written with an exponent is the same number",
        json!({ "exp": 1.8e9 }),
        json!({ "expires_at": "2027-01-15T08:00:00Z" }),
    );
    v.accept_partner(
        "oidc-exp-last",
        "the last second of the year 9999, which is past the last that is shown as a date",
        json!({ "exp": 253_402_300_799_i64 }),
        json!({ "expires_at": "253402300799000 ms" }),
    );
    v.accept_partner(
        "oidc-exp-next-second",
        "one second left",
        json!({ "exp": NOW + 1 }),
        json!({ "expires_at": "2026-11-21T10:00:01Z" }),
    );
    v.accept_partner(
        "oidc-nbf-iat-now",
        "valid from this very second",
        json!({ "nbf": NOW, "iat": NOW }),
        json!({ "issued_at": "2026-11-21T10:00:00Z" }),
    );
    v.accept_partner(
        "oidc-no-iat",
        "`iat` may be absent",
        json!({ "iat": null }),
        json!({ "issued_at": null }),
    );
    v.accept_partner(
        "oidc-client",
        "`sub` is the client id (RFC 9068 §2.2)",
        json!({ "sub": "web" }),
        json!({ "principal": "Client", "subject": "web" }),
    );
    v.accept_partner(
        "oidc-azp",
        "`azp` names the client where there is no `client_id`",
        json!({ "client_id": null, "azp": "app" }),
        json!({ "client_id": "app" }),
    );
    v.accept_partner(
        "oidc-no-client",
        "no client is named",
        json!({ "client_id": null }),
        json!({ "client_id": null }),
    );
    v.accept_partner(
        "oidc-no-roles",
        "no roles claim, no roles",
        json!({ "realm_access": null, "scope": null }),
        json!({ "roles": [], "refused_roles": [], "scopes": [] }),
    );
    v.accept_partner(
        "oidc-admin-gains-nothing",
        "a partner's `admin` is not ours",
        json!({ "realm_access": { "roles": ["admin"] } }),
        json!({ "roles": [], "refused_roles": ["admin"] }),
    );
    v.accept_partner(
        "oidc-roles-path-whole-name",
        "a claim named by the whole path wins over the nested one",
        json!({ "realm_access.roles": "admin clerk" }),
        json!({ "roles": ["clerk"], "refused_roles": ["admin"] }),
    );
    v.accept_partner(
        "oidc-scope-array",
        "scopes as an array",
        json!({ "scope": ["b", "a", "b"] }),
        json!({ "scopes": ["a", "b"] }),
    );
    v.accept_partner(
        "oidc-sub-unicode",
        "255 characters of any script",
        json!({ "sub": "ж".repeat(255) }),
        json!({ "subject": "ж".repeat(255) }),
    );
    let null = partner(json!({ "scope": "a", "department": "b" })).to_string();
    let null = null
        .replace(r#""scope":"a""#, r#""scope":null"#)
        .replace(r#""department":"b""#, r#""department":null"#);
    v.accept(
        "oidc-null",
        "null says as little as no member",
        sign(&key("partner-rsa"), RSA_HEADER, &null),
        replaced(
            partner_answer("partner-rsa"),
            json!({ "scopes": [], "claims": { "contractor": false, "level": 3, "regions": ["north", "south"] } }),
        ),
    );
    let wide: Map<String, Value> = (0..100).map(|i| (format!("member-{i}"), json!(i))).collect();
    v.accept_partner("oidc-many-claims", "a hundred claims more", Value::Object(wide), json!({}));
}

fn accepted_workshop(v: &mut Vectors) {
    v.accept_workshop("workshop", "checks that are switched off in writing", json!({}), json!({}));
    v.accept_workshop(
        "workshop-exp-leeway",
        "expired for less than the leeway",
        json!({ "exp": NOW - 59 }),
        json!({ "expires_at": "2026-11-21T09:59:01Z" }),
    );
    v.accept_workshop(
        "workshop-nbf-leeway",
        "valid from the leeway's end",
        json!({ "nbf": NOW + 60, "iat": NOW + 60 }),
        json!({ "issued_at": "2026-11-21T10:01:00Z" }),
    );
    v.accept_workshop(
        "workshop-aud-anything",
        "any audience, even none that could be one",
        json!({ "aud": 7 }),
        json!({}),
    );
    v.accept_workshop(
        "workshop-client",
        "an own client claim",
        json!({ "sub": "cli" }),
        json!({ "principal": "Client", "subject": "cli" }),
    );
    v.accept_workshop(
        "workshop-cnf",
        "bound to a key that somebody else checks",
        json!({ "cnf": { "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" } }),
        json!({}),
    );
    let at_jwt =
        sign(&key("workshop"), r#"{"alg":"ES256","typ":"at+jwt"}"#, &workshop(json!({})).to_string());
    v.accept("workshop-at-jwt", "any kind of token", at_jwt, workshop_answer());
}

fn accepted_ledger(v: &mut Vectors) {
    let payload = ledger(json!({})).to_string();
    for (name, about, header) in [
        ("hmac-client", "a MAC of the issuer that shares a secret", LEDGER_HEADER),
        (
            "hmac-kid",
            "a secret has no name to compare a kid with",
            r#"{"alg":"HS256","typ":"at+jwt","kid":"../../dev/null"}"#,
        ),
    ] {
        let header: Value = serde_json::from_str(header).unwrap();
        let answer = json!({
            "principal": "Client",
            "issuer": "ledger",
            "subject": "batch",
            "client_id": "batch",
            "tenant": null,
            "roles": [],
            "refused_roles": [],
            "scopes": ["orders:write"],
            "email": null,
            "email_verified": null,
            "claims": {},
            "token_id": null,
            "key_id": header["kid"],
            "issued_at": "2026-11-21T10:00:00Z",
            "expires_at": "2026-11-21T10:01:00Z",
        });
        v.accept(name, about, hmac_signed(&header.to_string(), &payload, LEDGER_SECRET), answer);
    }
}

fn refused_form(v: &mut Vectors) {
    let good = sign(&key("acme-1"), COGNITO_HEADER, &cognito(json!({})).to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let not_three = "it is not three parts separated by dots";
    for (name, about, token) in [
        ("form-one-part", "an opaque token", "d2VsY29tZQ".to_owned()),
        ("form-two-parts", "no signature and no dot before it", format!("{header}.{payload}")),
        ("form-four-parts", "a part too many", format!("{good}.{signature}")),
        ("form-five-parts", "the form of a JWE", format!("{good}.AAAA.AAAA")),
        ("form-dot-after", "a dot after the signature", format!("{good}.")),
        ("form-dot-before", "a dot before the header", format!(".{good}")),
        ("form-dots", "dots alone", "....".to_owned()),
        (
            "form-json",
            "the JSON serialization of a JWS",
            json!({ "payload": payload, "protected": header, "signature": signature }).to_string(),
        ),
    ] {
        v.malformed(name, about, token, not_three);
    }
    v.malformed(
        "form-no-header",
        "an empty header",
        format!(".{payload}.{signature}"),
        "its header is empty",
    );
    v.malformed(
        "form-no-payload",
        "an empty (detached) payload",
        format!("{header}..{signature}"),
        "its payload is empty",
    );
    v.malformed(
        "form-no-signature",
        "an empty signature",
        format!("{header}.{payload}."),
        "its signature is empty",
    );
    for (part, bad) in [
        ("header", format!("{header}=.{payload}.{signature}")),
        ("payload", format!("{header}.{payload}==.{signature}")),
        ("signature", format!("{header}.{payload}.{signature}==")),
    ] {
        v.malformed(
            &format!("form-padding-{part}"),
            "base64url with padding",
            bad,
            &format!("its {part} is not base64url without padding"),
        );
    }
    let in_signature = "its signature is not base64url without padding";
    let in_payload = "its payload is not base64url without padding";
    for (name, about, token, what) in [
        ("form-newline-after", "a line break at the end", format!("{good}\n"), in_signature),
        ("form-space-after", "a space at the end", format!("{good} "), in_signature),
        (
            "form-space-inside",
            "a space inside",
            format!("{header}.{} {}.{signature}", &payload[..8], &payload[8..]),
            in_payload,
        ),
        (
            "form-tab-before",
            "a tab at the beginning",
            format!("\t{good}"),
            "its header is not base64url without padding",
        ),
        ("form-nul", "a zero byte", format!("{header}.{payload}\0.{signature}"), in_payload),
        (
            "form-bearer-twice",
            "the scheme is not part of the token",
            format!("Bearer {good}"),
            "its header is not base64url without padding",
        ),
        (
            "form-quotes",
            "quotation marks around it",
            format!("\"{good}\""),
            "its header is not base64url without padding",
        ),
        (
            "form-standard-alphabet",
            "the alphabet of plain base64",
            format!("{header}.{payload}.+/{}", &signature[2..]),
            in_signature,
        ),
        (
            "form-not-ascii",
            "a look-alike letter",
            format!("{header}.\u{430}{payload}.{signature}"),
            in_payload,
        ),
        ("form-percent", "a dot in percent encoding", format!("{header}%2e{payload}.{signature}"), not_three),
        (
            "form-comma",
            "two tokens joined by a comma",
            format!("{header}.{payload}.{signature},{signature}"),
            in_signature,
        ),
        (
            "form-left-over-letter",
            "a length that base64 cannot have",
            format!("{header}.{payload}.{}", &signature[..signature.len() - 1]),
            in_signature,
        ),
    ] {
        v.malformed(name, about, token, what);
    }
    // 256 bytes of RSA signature leave two spare bits in the last of 342 letters, 64 bytes of ECDSA four.
    for (name, key_name, header) in [
        ("form-trailing-bits-rsa", "partner-rsa", RSA_HEADER),
        ("form-trailing-bits-ecdsa", "partner-es256", P256_HEADER),
    ] {
        let good = sign(&key(key_name), header, &partner(json!({})).to_string());
        let (rest, last) = good.split_at(good.len() - 1);
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
        v.malformed(
            name,
            "another spelling of the same signature bytes",
            format!("{rest}{next}"),
            in_signature,
        );
    }
}

fn refused_header(v: &mut Vectors) {
    let payload = partner(json!({})).to_string();
    let rsa = key("partner-rsa");
    let many =
        format!("{}1{}", r#"{"alg":"RS256","x":"#.to_owned() + &"[".repeat(2000), "]".repeat(2000) + "}");
    for (name, about, header, what) in [
        ("header-array", "a header that is an array", r#"["RS256"]"#, "its header is not a JSON object"),
        ("header-string", "a header that is a string", r#""RS256""#, "its header is not a JSON object"),
        ("header-not-json", "a header that is not JSON", "alg: RS256", "its header is not JSON"),
        ("header-single-quotes", "JSON with single quotes", "{'alg':'RS256'}", "its header is not JSON"),
        ("header-comma", "JSON with a comma too many", r#"{"alg":"RS256",}"#, "its header is not JSON"),
        (
            "header-two-values",
            "two JSON values",
            r#"{"alg":"RS256"}{"alg":"none"}"#,
            "its header is not JSON",
        ),
        ("header-bom", "a byte order mark", "\u{feff}{\"alg\":\"RS256\"}", "its header is not JSON"),
        ("header-comment", "a comment", "{\"alg\":\"RS256\"/* none */}", "its header is not JSON"),
        ("header-bomb", "2,000 levels of nesting", &many, "its header nests too deep"),
        (
            "header-alg-twice",
            "two algorithms",
            r#"{"alg":"none","typ":"at+jwt","alg":"RS256","kid":"partner-rsa"}"#,
            "its header has a member twice",
        ),
        (
            "header-kid-twice",
            "two keys, one in escapes",
            r#"{"alg":"RS256","typ":"at+jwt","kid":"partner-rsa","\u006bid":"acme-1"}"#,
            "its header has a member twice",
        ),
        (
            "header-nested-twice",
            "a member twice inside",
            r#"{"alg":"RS256","typ":"at+jwt","kid":"partner-rsa","x":{"a":1,"a":2}}"#,
            "its header has a member twice",
        ),
        (
            "header-alg-missing",
            "no algorithm",
            r#"{"typ":"at+jwt","kid":"partner-rsa"}"#,
            "its header parameter `alg` is not a string of fitting length",
        ),
        (
            "header-alg-null",
            "no algorithm, said so",
            r#"{"alg":null,"kid":"partner-rsa"}"#,
            "its header parameter `alg` is not a string of fitting length",
        ),
        (
            "header-alg-array",
            "a choice of algorithms",
            r#"{"alg":["RS256","none"],"kid":"partner-rsa"}"#,
            "its header parameter `alg` is not a string of fitting length",
        ),
        (
            "header-alg-case",
            "the parameter in capitals is another",
            r#"{"ALG":"RS256","kid":"partner-rsa"}"#,
            "its header parameter `alg` is not a string of fitting length",
        ),
        (
            "header-kid-number",
            "a key id that is a number",
            r#"{"alg":"RS256","typ":"at+jwt","kid":1}"#,
            "its header parameter `kid` is not a string of fitting length",
        ),
        (
            "header-kid-null",
            "a key id that is null",
            r#"{"alg":"ES384","typ":"at+jwt","kid":null}"#,
            "its header parameter `kid` is not a string of fitting length",
        ),
        (
            "header-kid-empty",
            "an empty key id",
            r#"{"alg":"ES384","typ":"at+jwt","kid":""}"#,
            "its header parameter `kid` is not a string of fitting length",
        ),
        (
            "header-kid-array",
            "several key ids",
            r#"{"alg":"RS256","typ":"at+jwt","kid":["partner-rsa"]}"#,
            "its header parameter `kid` is not a string of fitting length",
        ),
        (
            "header-typ-number",
            "a type that is a number",
            r#"{"alg":"RS256","typ":1,"kid":"partner-rsa"}"#,
            "its header parameter `typ` is not a string of fitting length",
        ),
    ] {
        v.malformed(name, about, sign(&rsa, header, &payload), what);
    }
    let long_kid = json!({ "alg": "RS256", "typ": "at+jwt", "kid": "k".repeat(257) }).to_string();
    v.malformed(
        "header-kid-long",
        "a key id of 257 bytes",
        sign(&rsa, &long_kid, &payload),
        "its header parameter `kid` is not a string of fitting length",
    );
    let long_typ = json!({ "alg": "RS256", "typ": "t".repeat(256), "kid": "partner-rsa" }).to_string();
    v.malformed(
        "header-typ-long",
        "a type of 256 bytes",
        sign(&rsa, &long_typ, &payload),
        "its header parameter `typ` is not a string of fitting length",
    );
    let not_utf8 =
        sign_with(&rsa, Algorithm::Rs256, b"{\"alg\":\"RS256\",\"kid\":\"\xff\"}", payload.as_bytes());
    v.malformed("header-not-utf8", "a header that is not UTF-8", not_utf8, "its header is not JSON");
    for (name, about, parameter, header) in [
        (
            "header-crit",
            "an extension that must be understood",
            "crit",
            r#"{"alg":"RS256","typ":"at+jwt","kid":"partner-rsa","crit":["exp"],"exp":1}"#,
        ),
        (
            "header-crit-empty",
            "an empty `crit`, which is forbidden",
            "crit",
            r#"{"alg":"RS256","typ":"at+jwt","kid":"partner-rsa","crit":[]}"#,
        ),
        (
            "header-crit-null",
            "a `crit` that is null",
            "crit",
            r#"{"alg":"RS256","typ":"at+jwt","kid":"partner-rsa","crit":null}"#,
        ),
        (
            "header-b64-crit",
            "an unencoded payload (RFC 7797)",
            "crit",
            r#"{"alg":"RS256","typ":"at+jwt","kid":"partner-rsa","b64":false,"crit":["b64"]}"#,
        ),
        (
            "header-b64-false",
            "an unencoded payload without saying that it is critical",
            "b64",
            r#"{"alg":"RS256","typ":"at+jwt","kid":"partner-rsa","b64":false}"#,
        ),
        (
            "header-b64-true",
            "`b64`, though it changes nothing",
            "b64",
            r#"{"alg":"RS256","typ":"at+jwt","kid":"partner-rsa","b64":true}"#,
        ),
        (
            "header-zip",
            "a compressed payload",
            "zip",
            r#"{"alg":"RS256","typ":"at+jwt","kid":"partner-rsa","zip":"DEF"}"#,
        ),
        (
            "header-enc",
            "the header of a JWE",
            "enc",
            r#"{"alg":"RSA-OAEP","enc":"A256GCM","kid":"partner-rsa"}"#,
        ),
    ] {
        v.refuse_header(
            name,
            about,
            header,
            "unsupported_header",
            &format!("the token's header has `{parameter}`, which is not supported"),
        );
    }
}

fn refused_algorithm(v: &mut Vectors) {
    const NONE: &str =
        "the token's `alg` is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA";
    let spellings = [
        ("none", "none"),
        ("none-title", "None"),
        ("none-capitals", "NONE"),
        ("none-mixed", "nOnE"),
        ("none-space", "none "),
        ("none-nul", "none\0"),
        ("empty", ""),
        ("hs256", "HS256"),
        ("hs384", "HS384"),
        ("hs512", "HS512"),
        ("es512", "ES512"),
        ("es256k", "ES256K"),
        ("ed448", "Ed448"),
        ("rs1", "RS1"),
        ("lower-case", "rs256"),
        ("space-before", " RS256"),
        ("rsa-oaep", "RSA-OAEP"),
        ("dir", "dir"),
        ("full-width", "\u{ff32}S256"),
        ("long", "RS256RS256"),
    ];
    for (name, alg) in spellings {
        let header = json!({ "alg": alg, "typ": "at+jwt", "kid": "partner-rsa" }).to_string();
        v.refuse_header(
            &format!("alg-{name}"),
            "an algorithm that is not accepted",
            &header,
            "wrong_algorithm",
            NONE,
        );
    }
    let none = r#"{"alg":"none","kid":"acme-1"}"#;
    let unsecured = unsigned(none, &cognito(json!({})).to_string(), b"");
    v.malformed(
        "alg-none-unsecured",
        "an unsecured JWS (RFC 7515 §A.5)",
        unsecured,
        "its signature is empty",
    );
    let header = r#"{"alg":"HS256","kid":"acme-1"}"#;
    let jwk = key("acme-1").public_jwk();
    let payload = cognito(json!({})).to_string();
    for (name, about, secret) in [
        ("alg-hs256-modulus", "HMAC with the RSA modulus as secret", bytes(jwk["n"].as_str().unwrap())),
        ("alg-hs256-jwk", "HMAC with the public JWK as secret", jwk.to_string().into_bytes()),
        ("alg-hs256-empty", "HMAC with an empty secret", Vec::new()),
    ] {
        v.refuse(name, about, hmac_signed(header, &payload, &secret), "wrong_algorithm", NONE);
    }
    let oct = hmac_signed(
        r#"{"alg":"HS256","typ":"at+jwt","kid":"partner-hmac"}"#,
        &partner(json!({})).to_string(),
        b"not a secret at all",
    );
    v.refuse(
        "alg-hs256-published",
        "HMAC with a secret that the issuer published",
        oct,
        "wrong_algorithm",
        NONE,
    );
    for (name, about, key_name, algorithm, kid) in [
        ("alg-ps256-of-rs256-key", "PSS with a key that is bound to PKCS #1", "acme-1", "PS256", "acme-1"),
        ("alg-rs384-of-rs256-key", "another hash than the key is bound to", "acme-1", "RS384", "acme-1"),
        ("alg-es256-of-rsa-key", "an RSA key named for ECDSA", "acme-1", "ES256", "acme-1"),
        ("alg-eddsa-of-rsa-key", "an RSA key named for Ed25519", "acme-1", "EdDSA", "acme-1"),
    ] {
        let header = json!({ "alg": algorithm, "kid": kid }).to_string();
        let token = sign(&key(key_name), &header, &payload);
        v.refuse(
            name,
            about,
            token,
            "wrong_algorithm",
            &format!("the token's `alg` {algorithm} does not fit the key `{kid}`"),
        );
    }
    for (name, about, algorithm, kid) in [
        ("alg-rs256-of-ps256-key", "PKCS #1 with a key that is bound to PSS", "RS256", "partner-ps256"),
        ("alg-es384-of-p256-key", "a P-256 key named for P-384", "ES384", "partner-es256"),
        ("alg-rs256-of-ec-key", "an EC key named for RSA", "RS256", "partner-es256"),
        ("alg-es256-of-ed25519-key", "an Ed25519 key named for ECDSA", "ES256", "partner-ed25519"),
    ] {
        let header = json!({ "alg": algorithm, "typ": "at+jwt", "kid": kid }).to_string();
        v.refuse_header(
            name,
            about,
            &header,
            "wrong_algorithm",
            &format!("the token's `alg` {algorithm} does not fit the key `{kid}`"),
        );
    }
}

fn refused_mac(v: &mut Vectors) {
    let payload = ledger(json!({})).to_string();
    let good = hmac_signed(LEDGER_HEADER, &payload, LEDGER_SECRET);
    let (message, tag) = good.rsplit_once('.').unwrap();
    let longer = [bytes(tag), vec![0]].concat();
    let other_claims = base64url(ledger(json!({ "scope": "orders:delete" })).to_string().as_bytes());
    let header = base64url(LEDGER_HEADER.as_bytes());
    for (name, about, token) in [
        ("hmac-other-secret", "another secret", hmac_signed(LEDGER_HEADER, &payload, &[7; 32])),
        ("hmac-no-secret", "an empty secret", hmac_signed(LEDGER_HEADER, &payload, b"")),
        ("hmac-iss", "the issuer's name as secret", hmac_signed(LEDGER_HEADER, &payload, LEDGER.as_bytes())),
        (
            "hmac-padded-secret",
            "the secret with a line end behind it",
            hmac_signed(LEDGER_HEADER, &payload, &[LEDGER_SECRET, b"\n"].concat()),
        ),
        ("hmac-half", "half a MAC", format!("{message}.{}", base64url(&bytes(tag)[..16]))),
        ("hmac-byte", "one byte of a MAC", format!("{message}.{}", base64url(&bytes(tag)[..1]))),
        ("hmac-longer", "a byte more than the MAC", format!("{message}.{}", base64url(&longer))),
        ("hmac-other-claims", "a MAC of other claims", format!("{header}.{other_claims}.{tag}")),
        ("hmac-zeros", "zeros for a MAC", format!("{message}.{}", base64url(&[0; 32]))),
    ] {
        v.refuse(name, about, token, "bad_signature", "the signature is not valid");
    }
    let only = "the token's `alg` is not HS256, the one accepted of issuer `ledger`";
    for (name, algorithm) in [("hmac-hs384", Hmac::Hs384), ("hmac-hs512", Hmac::Hs512)] {
        let header = json!({ "alg": algorithm.as_str(), "typ": "at+jwt" }).to_string();
        let token = hmac_signed_with(algorithm, &header, &payload, LEDGER_SECRET);
        v.refuse(name, "the secret with another hash than the file says", token, "wrong_algorithm", only);
    }
    for (name, algorithm, signer) in
        [("hmac-rs256", "RS256", "attacker-rs256"), ("hmac-es256", "ES256", "attacker-es256")]
    {
        let header = json!({ "alg": algorithm, "typ": "at+jwt", "kid": "x" }).to_string();
        let token = sign(&key(signer), &header, &payload);
        v.refuse(name, "a signature where a secret is shared", token, "wrong_algorithm", only);
    }
    let none = "the token's `alg` is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA";
    let unsecured = unsigned(r#"{"alg":"none","typ":"at+jwt"}"#, &payload, b"x");
    v.refuse("hmac-none", "no algorithm where a secret is shared", unsecured, "wrong_algorithm", none);
    let elsewhere = hmac_signed(LEDGER_HEADER, &partner(json!({})).to_string(), LEDGER_SECRET);
    v.refuse("hmac-elsewhere", "one issuer's secret for another's token", elsewhere, "wrong_algorithm", none);
    let unknown = ledger(json!({ "iss": "https://ledger.example/" })).to_string();
    v.refuse(
        "hmac-unknown-issuer",
        "a MAC of nobody we know",
        hmac_signed(LEDGER_HEADER, &unknown, LEDGER_SECRET),
        "unknown_issuer",
        "issuer `https://ledger.example/` is not trusted",
    );
    v.refuse(
        "hmac-expired",
        "the claim rules hold for MACs too",
        hmac_signed(LEDGER_HEADER, &ledger(json!({ "exp": NOW })).to_string(), LEDGER_SECRET),
        "expired",
        "the token expired at 2026-11-21T10:00:00Z, and it is 2026-11-21T10:00:00Z",
    );
}

fn refused_key(v: &mut Vectors) {
    let partner_payload = partner(json!({})).to_string();
    for (name, about, kid, shown) in [
        ("kid-unknown", "a key that the issuer does not have", "partner-2", "partner-2"),
        ("kid-other-issuer", "the key of another issuer, which signed it", "acme-1", "acme-1"),
        ("kid-case", "key ids have case", "Partner-RSA", "Partner-RSA"),
        ("kid-space", "a space more", "partner-rsa ", "partner-rsa "),
        ("kid-path", "a path as key id", "../../../../dev/null", "../../../../dev/null"),
        (
            "kid-url",
            "an address as key id",
            "https://attacker.example/jwks.json",
            "https://attacker.example/jwks.json",
        ),
        ("kid-sql", "a query as key id", "x' UNION SELECT 'AAAA'--", "x' UNION SELECT 'AAAA'--"),
        (
            "kid-control",
            "control characters and back-ticks in a key id",
            "a`\n\u{1b}[31m",
            "a\\u{60}\\u{a}\\u{1b}[31m",
        ),
        ("kid-look-alike", "a look-alike letter in a key id", "p\u{430}rtner-rsa", "p\\u{430}rtner-rsa"),
        ("kid-hmac", "the key that was skipped for being symmetric", "partner-hmac", "partner-hmac"),
        ("kid-encryption", "the key that was skipped for being for encryption", "partner-enc", "partner-enc"),
    ] {
        let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": kid }).to_string();
        let signer = if kid == "acme-1" { "acme-1" } else { "attacker-rs256" };
        let token = sign(&key(signer), &header, &partner_payload);
        v.refuse(name, about, token, "unknown_key", &format!("issuer `partner` has no key `{shown}`"));
    }
    let long = "k".repeat(200);
    let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": long }).to_string();
    let shown = format!("issuer `partner` has no key `{}…`", &long[..64]);
    v.refuse_header("kid-cut", "a long key id is shown cut", &header, "unknown_key", &shown);
    let header = r#"{"alg":"PS256","typ":"at+jwt"}"#;
    let token = sign(&key("partner-ps256"), header, &partner_payload);
    v.refuse(
        "kid-absent-two-fit",
        "no key id, and two keys fit",
        token,
        "unknown_key",
        "the token has no `kid`, and 2 keys fit its `alg`",
    );
    let token = sign(&key("attacker-es256"), r#"{"alg":"ES256"}"#, &cognito(json!({})).to_string());
    v.refuse(
        "kid-absent-none-fits",
        "no key id, and no key fits",
        token,
        "unknown_key",
        "the token has no `kid`, and issuer `acme-staff` has no key that fits its `alg`",
    );
    let token =
        sign(&key("workshop"), r#"{"alg":"ES256","kid":"workshop"}"#, &workshop(json!({})).to_string());
    v.refuse(
        "kid-of-a-nameless-key",
        "a key without a name is not found by one",
        token,
        "unknown_key",
        "issuer `workshop` has no key `workshop`",
    );
}

fn refused_signature(v: &mut Vectors) {
    const BAD: &str = "the signature is not valid";
    let attacker = key("attacker-rs256");
    let attacker_jwk = attacker.public_jwk();
    let claims = cognito(json!({})).to_string();
    for (name, about, parameter, value) in [
        ("key-embedded-jwk", "the attacker's key in the header", "jwk", attacker_jwk.clone()),
        ("key-jku", "the attacker's key set by address", "jku", json!("https://attacker.example/jwks.json")),
        (
            "key-x5u",
            "the attacker's certificate by address",
            "x5u",
            json!("https://attacker.example/cert.pem"),
        ),
        ("key-x5c", "the attacker's certificate in the header", "x5c", json!(["MIIB"])),
    ] {
        let header = json!({ "alg": "RS256", "kid": "acme-1", parameter: value }).to_string();
        v.refuse(name, about, sign(&attacker, &header, &claims), "bad_signature", BAD);
    }
    let mut bad = |name: &str, about: &str, token: String| v.refuse(name, about, token, "bad_signature", BAD);
    bad(
        "signature-other-key",
        "signed by another key under this one's name",
        sign(&attacker, COGNITO_HEADER, &claims),
    );
    bad(
        "signature-other-issuers-key",
        "signed by a key of another trusted issuer",
        sign(&key("partner-rsa"), COGNITO_HEADER, &claims),
    );
    let good = sign(&key("acme-1"), COGNITO_HEADER, &claims);
    let signature = bytes(good.rsplit_once('.').unwrap().1);
    let mut flipped = signature.clone();
    flipped[100] ^= 1;
    bad("signature-bit", "one bit of the signature", unsigned(COGNITO_HEADER, &claims, &flipped));
    bad("signature-short", "a byte short", unsigned(COGNITO_HEADER, &claims, &signature[..255]));
    bad(
        "signature-long",
        "a zero byte before",
        unsigned(COGNITO_HEADER, &claims, &[&[0], &signature[..]].concat()),
    );
    bad("signature-rsa-zero", "an RSA signature of 0", unsigned(COGNITO_HEADER, &claims, &[0; 256]));
    bad(
        "signature-rsa-one",
        "an RSA signature of 1",
        unsigned(COGNITO_HEADER, &claims, &[&[0; 255][..], &[1]].concat()),
    );
    let other = cognito(json!({ "cognito:groups": ["admin"] })).to_string();
    bad(
        "signature-other-payload",
        "other claims under the signature",
        unsigned(COGNITO_HEADER, &other, &signature),
    );
    bad(
        "signature-other-header",
        "another header with the same meaning",
        unsigned(r#"{"alg":"RS256","kid":"acme-1"}"#, &claims, &signature),
    );

    let claims = partner(json!({})).to_string();
    let p256 = key("partner-es256");
    let ecdsa = bytes(sign(&p256, P256_HEADER, &claims).rsplit_once('.').unwrap().1);
    let (r, s) = ecdsa.split_at(32);
    let order = bytes("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE");
    let zero = [0; 32];
    let one = [&zero[..31], &[1]].concat();
    let mut psychic = |name: &str, about: &str, signature: Vec<u8>| {
        bad(name, about, unsigned(P256_HEADER, &claims, &signature))
    };
    psychic("ecdsa-zero-zero", "r and s are 0 (CVE-2022-21449)", vec![0; 64]);
    psychic("ecdsa-r-zero", "r is 0", [&zero, s].concat());
    psychic("ecdsa-s-zero", "s is 0", [r, &zero].concat());
    psychic("ecdsa-order", "r and s are the order of the curve", [&order[..], &order].concat());
    psychic("ecdsa-one-one", "r and s are 1", [&one[..], &one].concat());
    psychic("ecdsa-der", "the DER form of a good signature", der_signature(r, s));
    psychic("ecdsa-long", "a good signature in wider numbers", [&[0], r, &[0], s].concat());
    psychic("ecdsa-short", "half a signature", r.to_vec());
    psychic("ecdsa-p384-size", "a signature of P-384's size", vec![0; 96]);
    bad("eddsa-zero", "an Ed25519 signature of zeros", unsigned(ED25519_HEADER, &claims, &[0; 64]));
    bad(
        "eddsa-identity",
        "R is the neutral point and S is 0",
        unsigned(ED25519_HEADER, &claims, &[&[1][..], &[0; 63]].concat()),
    );
    let eddsa = bytes(sign(&key("partner-ed25519"), ED25519_HEADER, &claims).rsplit_once('.').unwrap().1);
    bad(
        "eddsa-s-plus-order",
        "S plus the order, the other S of the same signature",
        unsigned(ED25519_HEADER, &claims, &plus_order(&eddsa)),
    );
    let pss = sign_with(&key("partner-rsa"), Algorithm::Ps256, RSA_HEADER.as_bytes(), claims.as_bytes());
    bad("signature-pss-as-pkcs1", "PSS where the header says PKCS #1", pss);
}

/// `ECDSA-Sig-Value` (RFC 3279 §2.2.3).
fn der_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| [&[2, 33, 0], bytes].concat();
    [vec![0x30, 70], integer(r), integer(s)].concat()
}

/// The signature with S + L, L = 2^252 + 27742317777372353535851937790883648493 (RFC 8032 §5.1.7 requires S < L).
fn plus_order(signature: &[u8]) -> Vec<u8> {
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (r, s) = signature.split_at(32);
    let mut carry = 0;
    let sum = s.iter().zip(order).map(|(one, other)| {
        let sum = u16::from(*one) + u16::from(other) + carry;
        carry = sum >> 8;
        sum as u8
    });
    [r.to_vec(), sum.collect()].concat()
}

fn refused_issuer(v: &mut Vectors) {
    let expected_string = "claim `iss` is not a string";
    for (name, about, iss, slug, message) in [
        (
            "iss-array",
            "an array with the good and the evil",
            json!([ACME, "https://attacker.example"]),
            "invalid_claim",
            expected_string,
        ),
        ("iss-number", "a number", json!(123), "invalid_claim", expected_string),
        ("iss-object", "an object", json!({ "iss": ACME }), "invalid_claim", expected_string),
        ("iss-missing", "no issuer", Value::Null, "missing_claim", "the token has no claim `iss`"),
        ("iss-empty", "an empty issuer", json!(""), "unknown_issuer", "issuer `` is not trusted"),
        (
            "iss-slash",
            "a slash more",
            json!(format!("{ACME}/")),
            "unknown_issuer",
            "issuer `https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123456/` is not trusted",
        ),
        (
            "iss-no-slash",
            "a slash less",
            json!("https://idp.partner.example"),
            "unknown_issuer",
            "issuer `https://idp.partner.example` is not trusted",
        ),
        (
            "iss-case",
            "the host in capitals",
            json!("https://IDP.partner.example/"),
            "unknown_issuer",
            "issuer `https://IDP.partner.example/` is not trusted",
        ),
        (
            "iss-http",
            "another scheme",
            json!("http://idp.partner.example/"),
            "unknown_issuer",
            "issuer `http://idp.partner.example/` is not trusted",
        ),
        (
            "iss-port",
            "the standard port written",
            json!("https://idp.partner.example:443/"),
            "unknown_issuer",
            "issuer `https://idp.partner.example:443/` is not trusted",
        ),
        (
            "iss-space",
            "a space before",
            json!(format!(" {PARTNER}")),
            "unknown_issuer",
            "issuer ` https://idp.partner.example/` is not trusted",
        ),
        (
            "iss-look-alike",
            "a Cyrillic letter",
            json!("https://idp.p\u{430}rtner.example/"),
            "unknown_issuer",
            "issuer `https://idp.p\\u{430}rtner.example/` is not trusted",
        ),
        (
            "iss-other-pool",
            "another pool of the same provider",
            json!("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_XyZ"),
            "unknown_issuer",
            "issuer `https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_XyZ` is not trusted",
        ),
        (
            "iss-alias",
            "our own alias",
            json!("acme-staff"),
            "unknown_issuer",
            "issuer `acme-staff` is not trusted",
        ),
        (
            "iss-injection",
            "text that would forge a log line",
            json!("x`\n{\"decision\":\"allow\"}"),
            "unknown_issuer",
            "issuer `x\\u{60}\\u{a}{\"decision\":\"allow\"}` is not trusted",
        ),
        (
            "iss-long",
            "a long issuer is shown cut",
            json!("i".repeat(5000)),
            "unknown_issuer",
            "issuer `iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii…` is not trusted",
        ),
    ] {
        v.refuse_cognito(name, about, json!({ "iss": iss }), slug, message);
    }
    let null = cognito(json!({})).to_string().replace(&json!(ACME).to_string(), "null");
    v.refuse(
        "iss-null",
        "an issuer that is null",
        sign(&key("acme-1"), COGNITO_HEADER, &null),
        "missing_claim",
        "the token has no claim `iss`",
    );
}

fn refused_payload(v: &mut Vectors) {
    let signed = |payload: &str| sign(&key("acme-1"), COGNITO_HEADER, payload);
    let twice = |member: &str| cognito(json!({})).to_string().replacen('{', &format!("{{{member},"), 1);
    let bomb = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let in_claim = cognito(json!({ "x": 1 })).to_string().replace("\"x\":1", &format!("\"x\":{bomb}"));
    for (name, about, payload, what) in [
        ("payload-array", "claims in an array", "[]".to_owned(), "its payload is not a JSON object"),
        (
            "payload-string",
            "a JWT inside a JWT",
            json!("eyJhbGciOiJub25lIn0.e30.").to_string(),
            "its payload is not a JSON object",
        ),
        ("payload-not-json", "plain text", "foo".to_owned(), "its payload is not JSON"),
        ("payload-nan", "a number that is none", r#"{"exp":NaN}"#.to_owned(), "its payload is not JSON"),
        (
            "payload-huge-number",
            "a number beyond all bounds",
            r#"{"exp":1e999}"#.to_owned(),
            "its payload is not JSON",
        ),
        (
            "payload-lone-surrogate",
            "half a character",
            r#"{"sub":"\ud800"}"#.to_owned(),
            "its payload is not JSON",
        ),
        (
            "payload-two-values",
            "two JSON values",
            format!("{}{{}}", cognito(json!({}))),
            "its payload is not JSON",
        ),
        (
            "payload-exp-twice",
            "two moments of expiry",
            twice(r#""exp":9999999999"#),
            "its payload has a member twice",
        ),
        (
            "payload-sub-twice",
            "two subjects, one in escapes",
            twice(r#""s\u0075b":"root""#),
            "its payload has a member twice",
        ),
        (
            "payload-groups-twice",
            "two lists of groups",
            twice(r#""cognito:groups":["auditor"]"#),
            "its payload has a member twice",
        ),
        (
            "payload-nested-twice",
            "a member twice deep inside",
            twice(r#""x":{"y":[{"z":1,"z":2}]}"#),
            "its payload has a member twice",
        ),
        ("payload-bomb", "5,000 levels of nesting", bomb.clone(), "its payload nests too deep"),
        (
            "payload-bomb-in-claim",
            "5,000 levels of nesting in a claim that nobody reads",
            in_claim,
            "its payload nests too deep",
        ),
    ] {
        v.malformed(name, about, signed(&payload), what);
    }
    let not_utf8 =
        sign_with(&key("acme-1"), Algorithm::Rs256, COGNITO_HEADER.as_bytes(), b"{\"sub\":\"\xff\"}");
    v.malformed("payload-not-utf8", "claims that are not UTF-8", not_utf8, "its payload is not JSON");
}

fn refused_times(v: &mut Vectors) {
    let number =
        |claim: &str| format!("claim `{claim}` is not a number of seconds since 1970, up to the year 9999");
    for (name, about, exp) in [
        ("exp-string", "a number in a string", json!("1795257900")),
        ("exp-date", "a date in a string", json!("2027-01-01T00:00:00Z")),
        ("exp-negative", "before 1970", json!(-1)),
        ("exp-huge", "1e18 seconds", json!(1_000_000_000_000_000_000_i64)),
        ("exp-huge-float", "1e300 seconds", json!(1e300)),
        ("exp-float-past-9999", "the year 10000 with a fraction", json!(253_402_300_799.5)),
        ("exp-negative-fraction", "half a second before 1970", json!(-0.5)),
        ("exp-milliseconds", "milliseconds, which is the year 58859", json!(1_795_257_900_000_i64)),
        ("exp-past-9999", "the first second of the year 10000", json!(253_402_300_800_i64)),
        ("exp-unsigned", "beyond 63 bits", json!(u64::MAX)),
        ("exp-true", "a boolean", json!(true)),
        ("exp-array", "an array", json!([NOW + 60])),
        ("exp-object", "an object", json!({ "exp": NOW + 60 })),
    ] {
        v.refuse_partner(name, about, json!({ "exp": exp }), "invalid_claim", &number("exp"));
    }
    v.refuse_partner(
        "exp-missing",
        "no expiry",
        json!({ "exp": null }),
        "missing_claim",
        "the token has no claim `exp`",
    );
    for (name, about, exp, shown) in [
        ("exp-now", "expires this very second", json!(NOW), "2026-11-21T10:00:00Z"),
        ("exp-past", "expired a second ago", json!(NOW - 1), "2026-11-21T09:59:59Z"),
        ("exp-zero", "expired in 1970", json!(0), "1970-01-01T00:00:00Z"),
        ("exp-minus-zero", "a zero with a sign", json!(-0.0), "1970-01-01T00:00:00Z"),
        (
            "exp-below-a-millisecond",
            "part of a millisecond left, which is rounded down",
            json!(NOW as f64 + 0.0006),
            "2026-11-21T10:00:00Z",
        ),
        (
            "exp-fraction-past",
            "expired a quarter of a second ago",
            json!(NOW as f64 - 0.25),
            "2026-11-21T09:59:59.75Z",
        ),
    ] {
        v.refuse_partner(
            name,
            about,
            json!({ "exp": exp }),
            "expired",
            &format!("the token expired at {shown}, and it is 2026-11-21T10:00:00Z"),
        );
    }
    let late = sign(&key("workshop"), WORKSHOP_HEADER, &workshop(json!({ "exp": NOW - 60 })).to_string());
    v.refuse(
        "exp-leeway-over",
        "expired for as long as the leeway",
        late,
        "expired",
        "the token expired at 2026-11-21T09:59:00Z, and it is 2026-11-21T10:00:00Z",
    );
    for claim in ["nbf", "iat"] {
        let early = |shown: &str| format!("the token's `{claim}` is {shown}, and it is 2026-11-21T10:00:00Z");
        v.refuse_partner(
            &format!("{claim}-future"),
            "a second too early",
            json!({ claim: NOW + 1 }),
            "not_yet_valid",
            &early("2026-11-21T10:00:01Z"),
        );
        v.refuse_partner(
            &format!("{claim}-fraction"),
            "a millisecond too early",
            json!({ claim: NOW as f64 + 0.001 }),
            "not_yet_valid",
            &early("2026-11-21T10:00:00.001Z"),
        );
        v.refuse_partner(
            &format!("{claim}-string"),
            "a number in a string",
            json!({ claim: "1795255100" }),
            "invalid_claim",
            &number(claim),
        );
        v.refuse_partner(
            &format!("{claim}-negative"),
            "before 1970",
            json!({ claim: -5 }),
            "invalid_claim",
            &number(claim),
        );
        let token =
            sign(&key("workshop"), WORKSHOP_HEADER, &workshop(json!({ claim: NOW + 61 })).to_string());
        v.refuse(
            &format!("{claim}-leeway-over"),
            "a second more than the leeway",
            token,
            "not_yet_valid",
            &early("2026-11-21T10:01:01Z"),
        );
    }
}

fn refused_audience(v: &mut Vectors) {
    let wrong = ("wrong_audience", "claim `aud` names no audience of issuer `partner`");
    let not_strings = ("invalid_claim", "claim `aud` is not a string or an array of strings");
    for (name, about, aud, (slug, message)) in [
        ("aud-other", "another API", json!("https://billing.example"), wrong),
        ("aud-others", "other APIs", json!(["https://billing.example", "https://hr.example"]), wrong),
        ("aud-none", "an empty array", json!([]), wrong),
        ("aud-empty", "an empty string", json!(""), wrong),
        (
            "aud-prefix",
            "a name that begins like ours",
            json!("https://orders.example.attacker.example"),
            wrong,
        ),
        ("aud-part", "a part of our name", json!("https://orders"), wrong),
        ("aud-slash", "a slash more", json!("https://orders.example/"), wrong),
        ("aud-case", "our name in capitals", json!("HTTPS://ORDERS.EXAMPLE"), wrong),
        (
            "aud-list-in-string",
            "a list in one string",
            json!("https://orders.example https://hr.example"),
            wrong,
        ),
        ("aud-client", "the client instead of the API", json!("web"), wrong),
        ("aud-number", "a number", json!(1), not_strings),
        ("aud-object", "an object", json!({ "https://orders.example": true }), not_strings),
        ("aud-mixed", "ours beside a number", json!(["https://orders.example", 1]), not_strings),
        ("aud-nested", "ours in an array in the array", json!([["https://orders.example"]]), not_strings),
        ("aud-missing", "no audience", Value::Null, ("missing_claim", "the token has no claim `aud`")),
    ] {
        v.refuse_partner(name, about, json!({ "aud": aud }), slug, message);
    }
    v.refuse_cognito(
        "aud-cognito-client",
        "another app client of the pool",
        json!({ "client_id": "9example" }),
        "wrong_audience",
        "claim `client_id` names no audience of issuer `acme-staff`",
    );
    v.refuse_cognito(
        "aud-cognito-missing",
        "an access token that names no client",
        json!({ "client_id": null }),
        "missing_claim",
        "the token has no claim `client_id`",
    );
    v.refuse_cognito(
        "aud-cognito-aud",
        "an `aud` does not stand in for the client id",
        json!({ "client_id": null, "aud": "1example23456789" }),
        "missing_claim",
        "the token has no claim `client_id`",
    );
}

fn refused_kind(v: &mut Vectors) {
    let access = "the token is not an access token, the kind accepted of issuer `acme-staff`";
    v.refuse_cognito(
        "kind-id-for-access",
        "an ID token where access tokens are accepted",
        json!({ "token_use": "id", "aud": "1example23456789" }),
        "wrong_token_use",
        access,
    );
    v.refuse_cognito(
        "kind-refresh",
        "a kind that there is not",
        json!({ "token_use": "refresh" }),
        "wrong_token_use",
        access,
    );
    v.refuse_cognito(
        "kind-case",
        "the kind in capitals",
        json!({ "token_use": "Access" }),
        "wrong_token_use",
        access,
    );
    v.refuse_cognito(
        "kind-array",
        "both kinds",
        json!({ "token_use": ["access", "id"] }),
        "wrong_token_use",
        access,
    );
    v.refuse_cognito(
        "kind-missing",
        "a token that does not say its kind",
        json!({ "token_use": null }),
        "missing_claim",
        "the token has no claim `token_use`",
    );
    let access_for_id = portal(json!({ "token_use": "access", "client_id": "3example23456789" })).to_string();
    v.refuse(
        "kind-access-for-id",
        "an access token where ID tokens are accepted",
        sign(&key("portal-1"), PORTAL_HEADER, &access_for_id),
        "wrong_token_use",
        "the token is not an ID token, the kind accepted of issuer `acme-portal`",
    );
    let at_jwt = sign(
        &key("acme-1"),
        r#"{"kid":"acme-1","alg":"RS256","typ":"at+jwt"}"#,
        &cognito(json!({})).to_string(),
    );
    v.refuse(
        "typ-at-jwt-of-cognito",
        "a `typ` that the provider does not use",
        at_jwt,
        "wrong_token_use",
        "the token's header `typ` is not `JWT` or absent, as required of issuer `acme-staff`",
    );
    let typ = "the token's header `typ` is not `at+jwt`, as required of issuer `partner`";
    for (name, about, header) in [
        ("typ-jwt", "an ID token's `typ`", r#"{"alg":"RS256","typ":"JWT","kid":"partner-rsa"}"#),
        ("typ-missing", "no `typ`", r#"{"alg":"RS256","kid":"partner-rsa"}"#),
        ("typ-logout", "a logout token", r#"{"alg":"RS256","typ":"logout+jwt","kid":"partner-rsa"}"#),
        ("typ-dpop", "a proof of possession", r#"{"alg":"RS256","typ":"dpop+jwt","kid":"partner-rsa"}"#),
        ("typ-event", "a security event", r#"{"alg":"RS256","typ":"secevent+jwt","kid":"partner-rsa"}"#),
        ("typ-space", "a space more", r#"{"alg":"RS256","typ":"at+jwt ","kid":"partner-rsa"}"#),
        ("typ-empty", "an empty `typ`", r#"{"alg":"RS256","typ":"","kid":"partner-rsa"}"#),
    ] {
        v.refuse_header(name, about, header, "wrong_token_use", typ);
    }
}

fn refused_claims(v: &mut Vectors) {
    let bound = "the token is bound to its sender's key (`cnf`), which nothing checks for issuer `partner`";
    for (name, about, cnf) in [
        (
            "cnf-dpop",
            "bound to a key by DPoP (RFC 9449 §6.1)",
            json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }),
        ),
        (
            "cnf-mtls",
            "bound to a certificate (RFC 8705 §3.1)",
            json!({ "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" }),
        ),
        ("cnf-unknown", "bound to something unknown", json!(7)),
    ] {
        v.refuse_partner(name, about, json!({ "cnf": cnf }), "sender_constrained", bound);
    }
    let identifier = |claim: &str| {
        format!("claim `{claim}` is not a string of 1 to 255 characters without control characters")
    };
    for (name, about, sub) in [
        ("sub-empty", "an empty subject", json!("")),
        ("sub-number", "a number", json!(42)),
        ("sub-array", "two subjects", json!(["u-42", "root"])),
        ("sub-long", "256 characters", json!("s".repeat(256))),
        ("sub-control", "a line break", json!("u-42\nroot")),
        ("sub-nul", "a zero byte", json!("u-42\0")),
        ("sub-c1", "a control character beyond ASCII", json!("u-42\u{85}")),
    ] {
        v.refuse_partner(name, about, json!({ "sub": sub }), "invalid_claim", &identifier("sub"));
    }
    v.refuse_partner(
        "sub-missing",
        "no subject",
        json!({ "sub": null }),
        "missing_claim",
        "the token has no claim `sub`",
    );
    v.refuse_partner(
        "client-number",
        "a client id that is a number",
        json!({ "client_id": 1 }),
        "invalid_claim",
        &identifier("client_id"),
    );
    v.refuse_partner(
        "client-empty",
        "an empty client id",
        json!({ "client_id": "" }),
        "invalid_claim",
        &identifier("client_id"),
    );
    v.refuse_partner(
        "jti-control",
        "a token id that would break a log line",
        json!({ "jti": "a\nb" }),
        "invalid_claim",
        &identifier("jti"),
    );
    v.refuse_partner(
        "required-missing",
        "a claim that the issuer's file requires",
        json!({ "jti": null }),
        "missing_claim",
        "the token has no claim `jti`",
    );
    v.refuse_partner(
        "required-nested-missing",
        "a required claim inside an object",
        json!({ "org": {} }),
        "missing_claim",
        "the token has no claim `org.tenant`",
    );
    v.refuse_partner(
        "tenant-other",
        "a tenant for which the partner may not speak",
        json!({ "org": { "tenant": "acme" } }),
        "wrong_tenant",
        "claim `org.tenant` names no tenant of issuer `partner`",
    );
    let tenant = "claim `org.tenant` is not a tenant's name: 1 to 64 of the characters A-Z a-z 0-9 . _ -";
    v.refuse_partner(
        "tenant-array",
        "two tenants",
        json!({ "org": { "tenant": ["globex", "acme"] } }),
        "invalid_claim",
        tenant,
    );
    v.refuse_partner(
        "tenant-injection",
        "a tenant that would end an entity id",
        json!({ "org": { "tenant": "globex\"::\"acme" } }),
        "invalid_claim",
        tenant,
    );
    let any_tenant = |value: Value| {
        sign(&key("workshop"), WORKSHOP_HEADER, &workshop(json!({ "tid": value })).to_string())
    };
    let tid = "claim `tid` is not a tenant's name: 1 to 64 of the characters A-Z a-z 0-9 . _ -";
    v.refuse(
        "tenant-any-is-a-name",
        "any tenant is still a name",
        any_tenant(json!("acme labs")),
        "invalid_claim",
        tid,
    );
    v.refuse(
        "tenant-any-is-one",
        "any tenant is still one",
        any_tenant(Value::Null),
        "missing_claim",
        "the token has no claim `tid`",
    );
    let strings = |claim: &str| format!("claim `{claim}` is not a string or an array of strings");
    v.refuse_partner(
        "roles-number",
        "roles that are a number",
        json!({ "realm_access": { "roles": 7 } }),
        "invalid_claim",
        &strings("realm_access.roles"),
    );
    v.refuse_partner(
        "roles-mixed",
        "a role that is an object",
        json!({ "realm_access": { "roles": ["clerk", {}] } }),
        "invalid_claim",
        &strings("realm_access.roles"),
    );
    v.refuse_partner(
        "scope-object",
        "scopes in an object",
        json!({ "scope": {} }),
        "invalid_claim",
        &strings("scope"),
    );
    v.refuse_partner(
        "email-array",
        "two e-mail addresses",
        json!({ "email": ["a@b.example"] }),
        "invalid_claim",
        "claim `email` is not a string",
    );
    v.refuse_partner(
        "email-verified-one",
        "1 is not a boolean",
        json!({ "email_verified": 1 }),
        "invalid_claim",
        "claim `email_verified` is not a boolean",
    );
    let value = |claim: &str| {
        format!("claim `{claim}` is not a string, a boolean, a 64-bit integer or an array of strings")
    };
    v.refuse_partner(
        "attribute-fraction",
        "an attribute that Cedar cannot have",
        json!({ "level": 3.5 }),
        "invalid_claim",
        &value("level"),
    );
    v.refuse_partner(
        "attribute-object",
        "an attribute that is an object",
        json!({ "department": { "name": "x" } }),
        "invalid_claim",
        &value("department"),
    );
    v.refuse_partner(
        "attribute-mixed",
        "an attribute of mixed kinds",
        json!({ "regions": ["north", 1] }),
        "invalid_claim",
        &value("regions"),
    );
    v.refuse_partner(
        "attribute-unsigned",
        "an attribute beyond 63 bits",
        json!({ "level": u64::MAX }),
        "invalid_claim",
        &value("level"),
    );
}
