//! Opaque tokens: what an issuer's answer is worth (RFC 7662), and that nothing else is ever believed.

use std::path::Path;

use cedar_gate::bundle::Bundle;
use cedar_gate::credential::BearerToken;
use cedar_gate::fetch::read_bundle;
use cedar_gate::jose::{
    AnswerError, Introspected, JwkSet, KeyRing, Need, PrincipalKind, TokenError, TrustedIssuer,
    TrustedIssuers, VerifiedClaims, verify_token,
};
use cedar_gate::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const NOW: i64 = 1_795_255_200;

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(NOW)
}

/// An issuer that is asked about tokens that begin with `at_`; `lines` stand before, so that they win over nothing.
fn issuer(lines: &str, introspection: &str) -> TrustedIssuer {
    try_issuer(lines, introspection).unwrap_or_else(|error| panic!("{lines}: {error}"))
}

fn try_issuer(lines: &str, introspection: &str) -> Result<TrustedIssuer, String> {
    let token_use = if lines.starts_with("token_use = ") { "" } else { "token_use = \"access\"" };
    let text = format!(
        r#"
        name = "acme"
        issuer = "https://idp.acme.example"
        provider = "oidc"
        audience = ["https://orders.example"]
        roles = {{ grant = ["clerk"] }}
        {token_use}
        {lines}
        introspection = {{ url = "https://idp.acme.example/introspect", client_id = "gate", client_secret = {{ env = "S" }}{introspection} }}
        "#
    );
    TrustedIssuer::from_toml(&text).map_err(|error| error.to_string())
}

/// `at_secret` at an issuer that answers so.
fn check(issuer: TrustedIssuer, answer: &[u8]) -> Result<VerifiedClaims, TokenError> {
    let token = BearerToken::new("at_secret").unwrap();
    let introspected = Introspected::new(&issuer, &token, now(), answer.to_vec()).unwrap();
    let issuers = TrustedIssuers::new(vec![issuer]).unwrap();
    verify_token(&token, &issuers, &KeyRing::default(), Some(&introspected), now())
}

const PREFIX: &str = ", prefix = \"at_\"";

fn acme() -> TrustedIssuer {
    issuer("", PREFIX)
}

/// The answer about a user's token, with members replaced; null takes one out.
fn answer(changes: Value) -> Value {
    let mut answer = json!({
        "active": true,
        "iss": "https://idp.acme.example",
        "sub": "u-42",
        "aud": "https://orders.example",
        "client_id": "web",
        "username": "amal",
        "scope": "orders:read orders:write",
        "roles": ["clerk", "admin"],
        "token_type": "Bearer",
        "exp": NOW + 300,
        "iat": NOW - 10,
        "jti": "j-1",
    });
    for (member, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(answer.as_object_mut().unwrap().remove(member)),
            value => answer[member] = value.clone(),
        }
    }
    answer
}

fn changed(changes: Value) -> Result<VerifiedClaims, TokenError> {
    check(acme(), answer(changes).to_string().as_bytes())
}

#[test]
fn an_active_token_is_what_its_issuer_says() {
    let claims = changed(json!({})).unwrap();
    assert_eq!((claims.issuer(), claims.kind(), claims.subject()), ("acme", PrincipalKind::User, "u-42"));
    assert_eq!((claims.client_id(), claims.token_id()), (Some("web"), Some("j-1")));
    assert_eq!(
        (claims.roles(), claims.refused_roles()),
        (&["clerk".to_owned()][..], &["admin".to_owned()][..])
    );
    assert_eq!(claims.scopes(), ["orders:read", "orders:write"]);
    assert_eq!(claims.key_id(), None);
    // Believed for a minute, though the token is valid longer.
    assert_eq!(claims.valid_until().unix_seconds(), NOW + 60);
    // Members that say less than they could.
    for changes in [
        json!({ "iss": null }),
        json!({ "token_type": null }),
        json!({ "token_type": "bearer" }),
        json!({ "aud": ["x", "https://orders.example"] }),
        json!({ "iat": null, "jti": null, "username": null, "scope": null, "roles": null, "client_id": null }),
        json!({ "ext": { "deep": [1, 2.5, null] } }),
    ] {
        assert_eq!(
            changed(changes.clone()).map(|claims| claims.subject().to_owned()),
            Ok("u-42".to_owned()),
            "{changes}"
        );
    }
}

/// Whoever asks for the issuer of an opaque token finds the one with the deny list, in a whole bundle too.
#[test]
fn an_active_token_that_we_revoked_is_refused() {
    for (list, revoked) in [
        ("sub = \"u-42\"", true),
        ("client = \"web\"", true),
        ("jti = \"j-1\"", true),
        ("sub = \"u-43\"", false),
        ("jti = \"j-2\"", false),
    ] {
        let mut files = read_bundle(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let issuer = r#"
            name = "idp"
            issuer = "https://idp.acme.example"
            provider = "oidc"
            token_use = "access"
            audience = ["https://orders.example"]
            introspection = { url = "https://idp.acme.example/i", client_id = "gate", client_secret = { env = "S" } }
        "#;
        files.insert("policies/issuers/idp.toml".to_owned(), issuer.as_bytes().to_vec());
        let entry = format!("[[revoke]]\nissuer = \"idp\"\n{list}\n");
        files.insert("policies/revocations.toml".to_owned(), entry.into_bytes());
        let bundle = Bundle::load(&files).unwrap();
        let token = BearerToken::new("opaque").unwrap();
        let asked = bundle.issuers().introspecting(&token).unwrap();
        let said = answer(json!({})).to_string().into_bytes();
        let said = Introspected::new(asked, &token, now(), said).unwrap();
        let verified = verify_token(&token, bundle.issuers(), bundle.keys(), Some(&said), now());
        assert_eq!(verified.err().map(|error| error.slug()), revoked.then_some("revoked"), "{list}");
    }
}

#[test]
fn an_answer_is_believed_up_to_the_sooner_of_expiry_and_age() {
    let until = |lines: &str, introspection: &str, exp: i64| {
        let issuer = issuer(lines, &format!("{PREFIX}{introspection}"));
        check(issuer, answer(json!({ "exp": exp })).to_string().as_bytes())
            .unwrap()
            .valid_until()
            .unix_seconds()
            - NOW
    };
    assert_eq!(until("", "", NOW + 300), 60);
    assert_eq!(until("", "", NOW + 7), 7);
    assert_eq!(until("leeway = 30", "", NOW + 7), 37);
    assert_eq!(until("", ", max_age = 5", NOW + 300), 5);
    assert_eq!(until("", ", max_age = 0", NOW + 300), 0);
}

#[test]
fn what_an_answer_must_say_is_named_when_it_does_not() {
    let inactive = "issuer `acme` does not say that the token is active";
    let bearer = "claim `token_type` is not `Bearer`";
    let iss = "claim `iss` is not the issuer that was asked";
    let bound = "the token is bound to its sender's key (`cnf`), which nothing checks for issuer `acme`";
    for (changes, slug, message) in [
        (json!({ "active": false }), "inactive_token", inactive),
        (json!({ "active": null }), "inactive_token", inactive),
        (json!({ "active": "true" }), "inactive_token", inactive),
        (json!({ "active": 1 }), "inactive_token", inactive),
        (json!({ "active": [true] }), "inactive_token", inactive),
        (json!({ "active": { "active": true } }), "inactive_token", inactive),
        (json!({ "active": null, "Active": true }), "inactive_token", inactive),
        (json!({ "iss": "https://idp.acme.example/" }), "invalid_claim", iss),
        (json!({ "iss": "HTTPS://idp.acme.example" }), "invalid_claim", iss),
        (json!({ "iss": ["https://idp.acme.example"] }), "invalid_claim", "claim `iss` is not a string"),
        (json!({ "token_type": "DPoP" }), "invalid_claim", bearer),
        (json!({ "token_type": "N_A" }), "invalid_claim", bearer),
        (json!({ "token_type": "" }), "invalid_claim", bearer),
        (json!({ "token_type": ["Bearer"] }), "invalid_claim", bearer),
        (json!({ "cnf": { "x5t#S256": "x" } }), "sender_constrained", bound),
        (json!({ "cnf": {} }), "sender_constrained", bound),
        (json!({ "cnf": "" }), "sender_constrained", bound),
        (json!({ "exp": null }), "missing_claim", "the token has no claim `exp`"),
        (
            json!({ "exp": NOW }),
            "expired",
            "the token expired at 2026-11-21T10:00:00Z, and it is 2026-11-21T10:00:00Z",
        ),
        (
            json!({ "exp": (NOW + 300).to_string() }),
            "invalid_claim",
            "claim `exp` is not a number of seconds since 1970, up to the year 9999",
        ),
        (
            json!({ "nbf": NOW + 1 }),
            "not_yet_valid",
            "the token's `nbf` is 2026-11-21T10:00:01Z, and it is 2026-11-21T10:00:00Z",
        ),
        (
            json!({ "iat": NOW + 1 }),
            "not_yet_valid",
            "the token's `iat` is 2026-11-21T10:00:01Z, and it is 2026-11-21T10:00:00Z",
        ),
        (json!({ "aud": null }), "missing_claim", "the token has no claim `aud`"),
        (
            json!({ "aud": "https://other.example" }),
            "wrong_audience",
            "claim `aud` names no audience of issuer `acme`",
        ),
        (json!({ "sub": null }), "missing_claim", "the token has no claim `sub`"),
        (
            json!({ "sub": "" }),
            "invalid_claim",
            "claim `sub` is not a string of 1 to 255 characters without control characters",
        ),
    ] {
        let error = changed(changes.clone()).unwrap_err();
        assert_eq!((error.slug(), error.to_string().as_str()), (slug, message), "{changes}");
        assert_eq!(error.need(), None, "{changes}");
    }
}

/// A refresh token or an ID token, which some issuers call active too, is told apart by what the file asks for.
#[test]
fn the_file_tells_kinds_of_token_apart() {
    let issuer = || {
        issuer(
            "token_use_claim = { claim = \"typ\", access = \"Bearer\", id = \"ID\" }\nrequired_claims = [\"token_type\"]",
            PREFIX,
        )
    };
    let slug = |changes: Value| {
        check(issuer(), answer(changes).to_string().as_bytes())
            .map(|_| "accepted")
            .unwrap_or_else(|error| error.slug())
    };
    assert_eq!(slug(json!({ "typ": "Bearer" })), "accepted");
    assert_eq!(slug(json!({ "typ": "Refresh" })), "wrong_token_use");
    assert_eq!(slug(json!({ "typ": "ID" })), "wrong_token_use");
    assert_eq!(slug(json!({})), "missing_claim");
    assert_eq!(slug(json!({ "typ": "Bearer", "token_type": null })), "missing_claim");
}

#[test]
fn a_bound_token_is_accepted_where_the_file_says_that_somebody_else_checks() {
    let any = || issuer("cnf = \"any\"", PREFIX);
    let bound = |token_type: &str| {
        answer(json!({ "cnf": { "x5t#S256": "x" }, "token_type": token_type })).to_string()
    };
    assert!(check(any(), bound("Bearer").as_bytes()).is_ok());
    assert_eq!(check(any(), bound("DPoP").as_bytes()).unwrap_err().slug(), "invalid_claim");
}

#[test]
fn a_token_without_a_subject_is_its_clients_where_the_file_says_so() {
    let own = || issuer("", &format!("{PREFIX}, absent_sub = \"client\""));
    let checked = |changes: Value| {
        check(own(), answer(changes).to_string().as_bytes())
            .map(|claims| (claims.kind(), claims.subject().to_owned()))
            .map_err(|error| error.to_string())
    };
    let no_sub = Err("the token has no claim `sub`".to_owned());
    assert_eq!(
        checked(json!({ "sub": null, "username": null })),
        Ok((PrincipalKind::Client, "web".to_owned()))
    );
    // Somebody is behind the token, whom the issuer does not name.
    assert_eq!(checked(json!({ "sub": null })), no_sub);
    assert_eq!(checked(json!({ "sub": null, "username": null, "client_id": null })), no_sub);
    assert_eq!(checked(json!({})), Ok((PrincipalKind::User, "u-42".to_owned())));
}

/// Whatever else makes a client of a provider's JWT: as a `User` it would have the id of whoever is called like the client.
#[test]
fn a_token_without_a_subject_is_its_clients_at_every_provider() {
    for (provider, iss, client) in [
        ("auth0", "https://acme.eu.auth0.com/", "azp"),
        ("okta", "https://acme.okta.com/oauth2/default", "cid"),
        ("keycloak", "https://sso.acme.example/realms/acme", "azp"),
    ] {
        let file = format!(
            r#"
            name = "acme"
            issuer = "{iss}"
            provider = "{provider}"
            token_use = "access"
            access_marker = "any"
            audience = ["https://orders.example"]
            introspection = {{ url = "https://idp.acme.example/introspect", client_id = "gate", client_secret = {{ env = "S" }}, absent_sub = "client" }}
            "#
        );
        let changes = json!({ "iss": iss, "sub": null, "username": null, "client_id": null, client: "web", "scp": ["a"] });
        let answer = answer(changes).to_string();
        let claims = check(TrustedIssuer::from_toml(&file).unwrap(), answer.as_bytes()).unwrap();
        assert_eq!((claims.kind(), claims.subject()), (PrincipalKind::Client, "web"), "{provider}");
    }
}

#[test]
fn what_is_no_answer_is_none() {
    let (issuer, token) = (acme(), BearerToken::new("at_secret").unwrap());
    let new = |answer: &str| Introspected::new(&issuer, &token, now(), answer.as_bytes().to_vec()).map(drop);
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(20), "]".repeat(20));
    for (text, expected) in [
        ("", AnswerError::NotJson { line: 1, column: 0 }),
        ("<!doctype html>", AnswerError::NotJson { line: 1, column: 1 }),
        ("true", AnswerError::NotAnObject),
        ("[{\"active\":true}]", AnswerError::NotAnObject),
        ("{\"active\":true", AnswerError::NotJson { line: 1, column: 14 }),
        ("{\"active\":true}{}", AnswerError::NotJson { line: 1, column: 16 }),
        ("{\"active\":true,}", AnswerError::NotJson { line: 1, column: 16 }),
        ("{'active':true}", AnswerError::NotJson { line: 1, column: 2 }),
        ("{\"active\":True}", AnswerError::NotJson { line: 1, column: 11 }),
        ("{\"active\":false,\"active\":true}", AnswerError::DuplicateMember),
        ("{\"active\":true,\"\\u0061ctive\":true}", AnswerError::DuplicateMember),
        ("{\"active\":true,\"a\":{\"b\":1,\"b\":2}}", AnswerError::DuplicateMember),
        (&deep, AnswerError::TooDeep),
        (&" ".repeat(64 * 1024 + 1), AnswerError::TooLarge { bytes: 65_537 }),
    ] {
        assert_eq!(new(text), Err(expected), "{:?}", &text[..text.len().min(40)]);
    }
    assert_eq!(new(&format!("{{\"active\":true}}{}", " ".repeat(64 * 1024 - 15))), Ok(()));
}

#[test]
fn an_answer_about_another_token_is_none() {
    let issuers = || {
        let other = TrustedIssuer::from_toml(
            r#"
            name = "globex"
            issuer = "https://globex.example"
            provider = "oidc"
            token_use = "access"
            audience = "any"
            introspection = { url = "https://globex.example/i", client_id = "g", client_secret = { file = "/run/s" } }
            "#,
        );
        TrustedIssuers::new(vec![acme(), other.unwrap()]).unwrap()
    };
    let issuers = issuers();
    let find = |iss: &str| issuers.find(iss).unwrap();
    let (acme, globex) = (find("https://idp.acme.example"), find("https://globex.example"));
    let token = |text: &str| BearerToken::new(text.to_owned()).unwrap();
    let asked = |issuer: &TrustedIssuer, text: &str, at: i64| {
        Introspected::new(
            issuer,
            &token(text),
            Timestamp::from_unix_millis(at),
            answer(json!({})).to_string().into_bytes(),
        )
        .unwrap()
    };
    let millis = NOW * 1000;
    let good = asked(acme, "at_1", millis);
    for (what, presented, introspected, whose) in [
        ("nobody was asked", "at_1", None, "acme"),
        ("another token", "at_2", Some(&good), "acme"),
        ("a longer token", "at_11", Some(&good), "acme"),
        ("the token with padding", "at_1=", Some(&good), "acme"),
        ("another case", "AT_1", Some(&good), "globex"),
        ("another issuer was asked", "at_1", Some(&asked(globex, "at_1", millis)), "acme"),
        ("a minute has gone", "at_1", Some(&asked(acme, "at_1", millis - 60_001)), "acme"),
        ("asked in the future", "at_1", Some(&asked(acme, "at_1", millis + 1)), "acme"),
    ] {
        let error =
            verify_token(&token(presented), &issuers, &KeyRing::default(), introspected, now()).unwrap_err();
        assert_eq!(
            (error.slug(), error.to_string()),
            ("introspection_unavailable", format!("issuer `{whose}` could not be asked about the token")),
            "{what}"
        );
        let need = Need::Introspection { issuer: whose.to_owned(), token: token(presented) };
        assert_eq!(error.need(), Some(need), "{what}");
        let shown = format!("{error:?} {:?} {introspected:?}", error.need());
        assert!(!shown.to_lowercase().contains("at_") && !shown.contains("u-42"), "{shown}");
    }
    for at in [millis, millis - 60_000] {
        let believed = verify_token(
            &token("at_1"),
            &issuers,
            &KeyRing::default(),
            Some(&asked(acme, "at_1", at)),
            now(),
        );
        assert_eq!(believed.unwrap().valid_until().unix_millis(), at + 60_000);
    }
}

/// To ask takes time, which must not make the answer too old for the request that asked.
#[test]
fn what_was_asked_for_a_request_serves_it_however_short_max_age_is() {
    for (max_age, age, expected) in [
        (0, 0, Ok(0)),
        (0, 1_900, Ok(-1_900)),
        (1, 1_900, Ok(-900)),
        (0, 10_000, Ok(-10_000)),
        (0, 10_001, Err("introspection_unavailable")),
        (30, 30_000, Ok(0)),
        (30, 30_001, Err("introspection_unavailable")),
        (60, -1, Err("introspection_unavailable")),
    ] {
        let issuer = issuer("", &format!("{PREFIX}, max_age = {max_age}"));
        let token = BearerToken::new("at_1").unwrap();
        let asked_at = Timestamp::from_unix_millis(NOW * 1_000 - age);
        let said = Introspected::new(&issuer, &token, asked_at, answer(json!({})).to_string().into_bytes());
        let issuers = TrustedIssuers::new(vec![issuer]).unwrap();
        let claims = verify_token(&token, &issuers, &KeyRing::default(), Some(&said.unwrap()), now());
        // What is not believed by the next request is over by now.
        let left = claims.map(|claims| claims.valid_until().unix_millis() - NOW * 1_000);
        assert_eq!(left.map_err(|error| error.slug()), expected, "{max_age} s, asked {age} ms ago");
    }
}

#[test]
fn a_jwt_is_never_asked_about() {
    let jwt = crate::tokens::vectors::accepted("oidc-es256");
    let partner =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tokens/issuers/partner.toml"))
            .unwrap();
    let keys = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tokens/issuers/partner.jwks.json"))
        .unwrap();
    let mut ring = KeyRing::default();
    ring.insert("partner", JwkSet::from_json(&keys).unwrap());
    let introspection = "introspection = { url = \"https://idp.partner.example/i\", client_id = \"g\", client_secret = { env = \"S\" } }";
    let verified = |file: String| {
        let issuers = TrustedIssuers::new(vec![TrustedIssuer::from_toml(&file).unwrap()]).unwrap();
        let check = |token: &str| {
            let answer = verify_token(&BearerToken::new(token).unwrap(), &issuers, &ring, None, now());
            answer.map(|claims| claims.issuer().to_owned()).map_err(|error| (error.slug(), error.to_string()))
        };
        (check(&jwt), check("opaque"), check("a.b.c"))
    };
    let asked = || {
        Err(("introspection_unavailable", "issuer `partner` could not be asked about the token".to_owned()))
    };
    let not_base64 = || {
        Err(("malformed_token", "malformed token: its header is not base64url without padding".to_owned()))
    };
    // With keys, both kinds of token.
    let (of_jwt, of_opaque, of_neither) = verified(format!("{partner}\n{introspection}\n"));
    assert_eq!((of_jwt, of_opaque, of_neither), (Ok("partner".to_owned()), asked(), not_base64()));
    // Without keys, opaque tokens alone: nothing is fetched for the others.
    let without: Vec<&str> = partner.lines().filter(|line| !line.starts_with("keys")).collect();
    let (of_jwt, of_opaque, of_neither) = verified(format!("{}\n{introspection}\n", without.join("\n")));
    let refused = "the token is a JWT, and the tokens accepted of issuer `partner` are opaque".to_owned();
    assert_eq!((of_jwt, of_opaque, of_neither), (Err(("wrong_token_use", refused)), asked(), not_base64()));
    // Without introspection, everything is as if there were no such thing.
    let malformed =
        || Err(("malformed_token", "malformed token: it is not three parts separated by dots".to_owned()));
    assert_eq!(verified(partner), (Ok("partner".to_owned()), malformed(), not_base64()));
}

#[test]
fn what_a_file_must_not_say_about_introspection_is_named() {
    let with = |line: &str| try_issuer("", &format!(", {line}")).map(drop).unwrap_err();
    for (line, message) in [
        ("prefix = \"eyJ\"", "`eyJ` is how a JWT begins, which is verified and not asked about"),
        ("prefix = \"e\"", "`e` is how a JWT begins, which is verified and not asked about"),
        (
            "prefix = \"\"",
            "`` is not how a token begins: expected 1 to 64 of the characters A-Z a-z 0-9 - . _ ~ + /",
        ),
        ("max_age = 61", "`61` is not a number of seconds from 0 to 60"),
        ("max_age = -1", "`-1` is not a number of seconds from 0 to 60"),
        ("absent_sub = \"user\"", "unknown variant `user`, expected `client`"),
        (
            "secret = \"s3cret\"",
            "unknown field `secret`, expected one of `url`, `client_id`, `client_secret`, `prefix`, `max_age`, `absent_sub`",
        ),
    ] {
        assert_eq!(with(line), message, "{line}");
    }
    for token_use in ["id", "any"] {
        assert_eq!(
            try_issuer(&format!("token_use = \"{token_use}\""), "").map(drop),
            Err("`introspection` is for access tokens: write `token_use = \"access\"`".to_owned())
        );
    }
    let file = |url: &str, secret: &str| {
        let text = format!(
            "name = \"a\"\nissuer = \"https://a.example\"\nprovider = \"oidc\"\ntoken_use = \"access\"\naudience = \"any\"\n\
             introspection = {{ url = \"{url}\", client_id = \"g\", client_secret = {secret} }}\n"
        );
        let error = TrustedIssuer::from_toml(&text).unwrap_err();
        assert!(error.span().is_some(), "{error}");
        error.to_string()
    };
    let env = "{ env = \"S\" }";
    assert_eq!(
        file("http://127.0.0.1:1/i", env),
        "`http://127.0.0.1:1/i` is plain HTTP, which only a development issuer may use: write https, or `development = true`"
    );
    assert_eq!(
        file("http://a.example/i", env),
        "`http://a.example/i` cannot be fetched: expected an https URL"
    );
    // A secret in the file itself is not repeated.
    assert_eq!(
        file("https://a.example/i", "\"s3cret\""),
        "a secret does not stand in the bundle: expected { env = \"NAME\" } or { file = \"/path\" }, which say where it is"
    );
}

/// Any JSON, and often what an answer could be.
fn any_answer() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (NOW - 100..NOW + 100).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "true",
            "Bearer",
            "u-42",
            "https://orders.example",
            "https://idp.acme.example",
            ""
        ])
        .prop_map(Value::from),
        Just(json!(["https://orders.example"])),
        Just(json!({ "active": true })),
    ];
    let member = "(active|iss|sub|aud|exp|iat|nbf|token_type|cnf|client_id|roles|scope|jti)";
    prop::collection::btree_map(member, value, 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn only_an_active_token_with_fitting_claims_is_accepted(changes in any_answer(), whole in any::<bool>()) {
        let said = if whole { changes } else {
            let mut said = answer(json!({}));
            said.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            said
        };
        if let Ok(claims) = check(acme(), said.to_string().as_bytes()) {
            prop_assert!(said["active"] == json!(true));
            prop_assert!(said["exp"].as_f64().unwrap() > NOW as f64);
            prop_assert!(said["aud"] == json!("https://orders.example") || said["aud"] == json!(["https://orders.example"]));
            prop_assert!(said["sub"] == json!(claims.subject()) && !claims.subject().is_empty());
            prop_assert!(said["iss"].is_null() || said["iss"] == json!("https://idp.acme.example"));
            prop_assert!(said["token_type"].is_null() || said["token_type"] == json!("Bearer"));
            prop_assert!(said["cnf"].is_null());
            prop_assert!(claims.roles().iter().all(|role| role == "clerk"));
            prop_assert!(claims.valid_until() > now() && claims.valid_until().unix_seconds() <= NOW + 60);
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "[{}\\[\\]\":,a-z0-9 ]{0,40}") {
        let (issuer, token) = (acme(), BearerToken::new("at_secret").unwrap());
        for answer in [bytes, text.into_bytes()] {
            if Introspected::new(&issuer, &token, now(), answer.clone()).is_ok() {
                prop_assert!(check(acme(), &answer).is_err());
            }
        }
    }
}
