//! Revocation: tokens that are good in all else are refused by the bundle's deny list or by their issuer's `not_before`.

use std::sync::Arc;

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::revocations::REVOCATIONS;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::credential::BearerToken;
use cedar_gate::fetch::read_bundle;
use cedar_gate::jose::{
    CompactJws, Cutoff, Introspected, KeyRing, Revocation, RevocationList, TokenError, TrustedIssuer,
    TrustedIssuers, VerifiedClaims, verify, verify_token,
};
use cedar_gate::time::Timestamp;
use serde_json::{Value, json};

use crate::pipeline::sign;

/// 2026-11-21T12:00:00Z, and the `iat` of the tokens: ten minutes before.
const NOW: i64 = 1_795_262_400;
const ISSUED: i64 = NOW - 600;

/// The bundle of the pipeline's tests, with an issuer of ID tokens beside `staff` and `partner`.
fn files() -> SourceFiles {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pipeline/bundle");
    let mut files = read_bundle(folder.as_ref()).unwrap();
    let staff = files.text("policies/issuers/staff.toml").unwrap();
    let portal = staff
        .replace("\"staff\"", "\"portal\"")
        .replace("id.staff.example", "id.portal.example")
        .replace("token_use = \"access\"", "token_use = \"id\"")
        .replace("[\"orders\"]", "[\"web\", \"app\"]");
    files.insert("policies/issuers/portal.toml", portal);
    files
}

/// The bundle with these entries, and with `not_before` in the file of `staff` where it is given.
fn bundle(entries: &str, not_before: Option<&str>) -> Bundle {
    let mut files = files();
    files.insert(REVOCATIONS, entries);
    if let Some(moment) = not_before {
        let staff = files.text("policies/issuers/staff.toml").unwrap().to_owned();
        files.insert("policies/issuers/staff.toml", format!("{staff}\nnot_before = {moment}\n"));
    }
    Bundle::load(&files).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A token of `staff`, with members replaced; null takes one out.
fn staff(changes: Value) -> String {
    let claims = json!({
        "iss": "https://id.staff.example/", "aud": "orders", "sub": "ann", "client_id": "web", "tenant": "acme",
        "jti": "t-1", "iat": ISSUED, "exp": NOW + 600,
    });
    sign("acme-1", "acme-1", "at+jwt", &changed(claims, changes))
}

fn partner(changes: Value) -> String {
    let claims = json!({
        "iss": "https://id.partner.example", "aud": "orders", "sub": "ann", "client_id": "web", "jti": "t-1",
        "iat": ISSUED, "exp": NOW + 600,
    });
    sign("partner-ed25519", "partner-ed25519", "at+jwt", &changed(claims, changes))
}

/// An ID token, which names its client in `aud`.
fn portal(changes: Value) -> String {
    let claims = json!({
        "iss": "https://id.portal.example/", "aud": "web", "sub": "ann", "tenant": "acme", "iat": ISSUED,
        "exp": NOW + 600,
    });
    sign("acme-1", "acme-1", "JWT", &changed(claims, changes))
}

fn changed(mut claims: Value, changes: Value) -> Value {
    for (member, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(member)),
            value => claims[member] = value.clone(),
        }
    }
    claims
}

fn answer(bundle: &Bundle, token: &str) -> Result<VerifiedClaims, TokenError> {
    let token = BearerToken::new(token).unwrap();
    verify(&token, bundle.issuers(), bundle.keys(), Timestamp::from_unix_seconds(NOW))
}

/// What is refused is refused as revoked, and with this message.
fn check(entries: &str, token: &str, expected: Option<&str>) {
    let answer = answer(&bundle(entries, None), token);
    let refused = answer.as_ref().err().map(ToString::to_string);
    assert_eq!(refused.as_deref(), expected, "{entries}");
    assert!(answer.err().is_none_or(|error| error.slug() == "revoked" && error.need().is_none()));
}

const ANN: &str = "[[revoke]]\nissuer = \"staff\"\nsub = \"ann\"\n";
const WEB: &str = "[[revoke]]\nissuer = \"staff\"\nclient = \"web\"\n";
const ANN_MESSAGE: &str = "every token of this `sub` of issuer `staff` is revoked";
const WEB_MESSAGE: &str = "every token of this client of issuer `staff` is revoked";

#[test]
fn an_entry_refuses_what_it_names_and_nothing_else() {
    let jti = "[[revoke]]\nissuer = \"staff\"\njti = \"t-1\"\n";
    for (entries, token, expected) in [
        ("", staff(json!({})), None),
        (ANN, staff(json!({})), Some(ANN_MESSAGE)),
        (ANN, staff(json!({ "sub": "ann " })), None),
        (ANN, staff(json!({ "sub": "Ann" })), None),
        (ANN, staff(json!({ "sub": "ann2" })), None),
        (ANN, staff(json!({ "sub": "bob", "client_id": "ann" })), None),
        (ANN, staff(json!({ "sub": "bob", "jti": "ann" })), None),
        (ANN, partner(json!({})), None),
        // What names the moment does not matter where every token is refused.
        (ANN, staff(json!({ "iat": null, "auth_time": "soon" })), Some(ANN_MESSAGE)),
        (jti, staff(json!({})), Some("token `t-1` of issuer `staff` is revoked")),
        (jti, staff(json!({ "jti": "t-2" })), None),
        (jti, staff(json!({ "jti": null, "sub": "t-1" })), None),
        (jti, partner(json!({})), None),
        (WEB, staff(json!({})), Some(WEB_MESSAGE)),
        (WEB, staff(json!({ "client_id": "app" })), None),
        (WEB, staff(json!({ "client_id": null, "azp": "web" })), Some(WEB_MESSAGE)),
        (WEB, staff(json!({ "client_id": null, "sub": "web" })), None),
        (WEB, partner(json!({})), None),
        // A client by itself.
        (WEB, staff(json!({ "sub": "web" })), Some(WEB_MESSAGE)),
    ] {
        check(entries, &token, expected);
    }
}

#[test]
fn an_id_token_that_names_no_client_is_its_audiences() {
    let web = WEB.replace("staff", "portal");
    let message = WEB_MESSAGE.replace("staff", "portal");
    for (claims, refused) in [
        (json!({}), true),
        (json!({ "aud": ["app", "web"] }), true),
        (json!({ "aud": "app" }), false),
        // OpenID Connect Core §2: `azp` is the party that got the token.
        (json!({ "aud": ["app", "web"], "azp": "app" }), false),
        (json!({ "aud": "app", "azp": "web" }), true),
    ] {
        check(&web, &portal(claims), refused.then_some(&message));
    }
}

#[test]
fn a_subject_is_refused_by_the_moment_of_sign_in() {
    let entries = format!("{ANN}not_before = 2026-11-21T11:50:00Z\n");
    let message = "every token of this `sub` of issuer `staff` from before 2026-11-21T11:50:00Z is revoked";
    for (times, accepted) in [
        (json!({ "iat": ISSUED }), true),
        (json!({ "iat": ISSUED + 1 }), true),
        (json!({ "iat": ISSUED - 1 }), false),
        (json!({ "iat": ISSUED as f64 - 0.001 }), false),
        (json!({ "iat": ISSUED as f64 - 0.000_001 }), false),
        (json!({ "iat": ISSUED as f64 + 0.5 }), true),
        // A refreshed token of a session from before.
        (json!({ "iat": ISSUED + 60, "auth_time": ISSUED - 3_600 }), false),
        (json!({ "iat": ISSUED + 60, "auth_time": ISSUED - 1 }), false),
        (json!({ "iat": ISSUED + 60, "auth_time": ISSUED }), true),
        (json!({ "iat": ISSUED + 60, "auth_time": ISSUED as f64 + 0.25 }), true),
        (json!({ "iat": null, "auth_time": ISSUED }), true),
        (json!({ "iat": null, "auth_time": ISSUED - 1 }), false),
        // Nobody gets a token before signing in.
        (json!({ "iat": ISSUED - 1, "auth_time": ISSUED + 30 }), false),
        // What cannot prove that it is newer is not.
        (json!({ "iat": null }), false),
        (json!({ "auth_time": "2026-11-21T11:59:00Z" }), false),
        (json!({ "auth_time": (ISSUED + 1).to_string() }), false),
        (json!({ "auth_time": -1 }), false),
        (json!({ "auth_time": 1e300 }), false),
        (json!({ "auth_time": [ISSUED + 1] }), false),
        // Others are not asked.
        (json!({ "sub": "bob", "iat": ISSUED - 3_600, "auth_time": "soon" }), true),
    ] {
        check(&entries, &staff(times), (!accepted).then_some(message));
    }
    // Null is no claim.
    let claims = json!({
        "iss": "https://id.staff.example/", "aud": "orders", "sub": "ann", "tenant": "acme", "iat": ISSUED,
        "auth_time": null, "exp": NOW + 600,
    });
    check(&entries, &sign("acme-1", "acme-1", "at+jwt", &claims), None);
}

#[test]
fn a_client_is_refused_by_the_moment_of_issue() {
    let entries = format!("{WEB}not_before = 2026-11-21T11:50:00Z\n");
    let message = "every token of this client of issuer `staff` from before 2026-11-21T11:50:00Z is revoked";
    for (times, accepted) in [
        (json!({ "iat": ISSUED }), true),
        (json!({ "iat": ISSUED - 1 }), false),
        (json!({ "iat": null }), false),
        (json!({ "iat": null, "auth_time": ISSUED + 1 }), false),
        (json!({ "iat": ISSUED, "auth_time": ISSUED - 3_600 }), true),
        (json!({ "sub": "web", "iat": ISSUED - 1 }), false),
    ] {
        check(&entries, &staff(times), (!accepted).then_some(message));
    }
}

#[test]
fn an_issuer_is_refused_by_the_moment_of_issue() {
    let message = "every token of issuer `staff` from before 2026-11-21T11:50:00Z is revoked";
    for moment in ["2026-11-21T11:50:00Z", "\"2026-11-21T12:50:00+01:00\"", "1795261800"] {
        let bundle = bundle("", Some(moment));
        for (token, accepted) in [
            (staff(json!({})), true),
            (staff(json!({ "iat": ISSUED - 1 })), false),
            (staff(json!({ "iat": null })), false),
            (staff(json!({ "iat": null, "auth_time": ISSUED })), false),
            (staff(json!({ "auth_time": ISSUED - 3_600 })), true),
            (partner(json!({ "iat": ISSUED - 1 })), true),
        ] {
            let refused = answer(&bundle, &token).err().map(|error| (error.slug(), error.to_string()));
            assert_eq!(refused, (!accepted).then(|| ("revoked", message.to_owned())), "{moment}");
        }
    }
}

#[test]
fn a_moment_is_exact_to_the_millisecond() {
    for (moment, accepted) in [("11:50:00.25Z", true), ("11:50:00.251Z", false)] {
        let entries = format!("{WEB}not_before = 2026-11-21T{moment}\n");
        let token = staff(json!({ "iat": ISSUED as f64 + 0.25 }));
        assert_eq!(answer(&bundle(&entries, None), &token).is_ok(), accepted, "{moment}");
    }
}

#[test]
fn of_two_entries_the_one_that_refuses_more_counts() {
    let entry = |time: &str| format!("{ANN}not_before = 2026-11-21T{time}Z\n");
    let (early, late) = (entry("11:00:00"), entry("11:55:00"));
    for (entries, accepted) in [
        (early.clone(), true),
        (format!("{early}{late}"), false),
        (format!("{late}{early}"), false),
        (format!("{early}{ANN}"), false),
        (format!("{ANN}{early}"), false),
    ] {
        assert_eq!(answer(&bundle(&entries, None), &staff(json!({}))).is_ok(), accepted, "{entries}");
    }
}

/// Nobody learns what is revoked without a token that is valid otherwise.
#[test]
fn a_token_that_is_bad_in_another_way_is_refused_for_that() {
    let bundle = bundle(ANN, Some("2026-11-21T11:50:00Z"));
    let forged = sign(
        "attacker-rs256",
        "acme-1",
        "at+jwt",
        &json!({ "iss": "https://id.staff.example/", "sub": "ann" }),
    );
    for (token, slug) in [
        (forged, "bad_signature"),
        (staff(json!({ "exp": NOW })), "expired"),
        (staff(json!({ "nbf": NOW + 1 })), "not_yet_valid"),
        (staff(json!({ "aud": "others" })), "wrong_audience"),
    ] {
        assert_eq!(answer(&bundle, &token).unwrap_err().slug(), slug);
    }
}

#[test]
fn no_refusal_names_a_person_or_a_reason() {
    let entries =
        format!("{ANN}reason = \"found on a bus\"\n[[revoke]]\nissuer = \"staff\"\njti = \"t`\\u0394\"\n");
    let bundle = bundle(&entries, None);
    for (token, message) in [
        (staff(json!({})), ANN_MESSAGE),
        (
            staff(json!({ "sub": "bob", "jti": "t`\u{394}" })),
            "token `t\\u{60}\\u{394}` of issuer `staff` is revoked",
        ),
    ] {
        let error = answer(&bundle, &token).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(!format!("{error:?}").contains("ann") && !format!("{error:?}").contains("bus"), "{error:?}");
    }
}

#[test]
fn a_hundred_thousand_entries_are_read_and_found() {
    let mut entries = String::new();
    for index in 0..33_334 {
        for (key, cutoff) in [("sub", "not_before = 2026-11-21T11:50:00Z\n"), ("client", ""), ("jti", "")] {
            entries.push_str(&format!("[[revoke]]\nissuer = \"staff\"\n{key} = \"{key}-{index}\"\n{cutoff}"));
        }
    }
    let bundle = bundle(&entries, None);
    for (claims, accepted) in [
        (json!({}), true),
        (json!({ "sub": "sub-0" }), true),
        (json!({ "sub": "sub-33333", "iat": ISSUED - 1 }), false),
        (json!({ "client_id": "client-16000" }), false),
        (json!({ "jti": "jti-33333" }), false),
        (json!({ "jti": "jti-33334" }), true),
    ] {
        assert_eq!(answer(&bundle, &staff(claims.clone())).is_ok(), accepted, "{claims}");
    }
}

/// An issuer whose tokens are opaque, with the file's other lines.
fn opaque(lines: &str) -> TrustedIssuer {
    let text = format!(
        r#"
        name = "ledger"
        issuer = "https://ledger.example"
        provider = "oidc"
        token_use = "access"
        audience = ["orders"]
        {lines}
        introspection = {{ url = "https://ledger.example/i", client_id = "gate", client_secret = {{ env = "S" }} }}
        "#
    );
    TrustedIssuer::from_toml(&text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn an_opaque_token_is_refused_by_the_same_list() {
    let before = Cutoff::Before(Timestamp::from_unix_seconds(ISSUED));
    let ann = || Revocation::Subject { sub: "ann".to_owned(), cutoff: before };
    let answer = |claims: Value| {
        let answer = json!({ "active": true, "iss": "https://ledger.example", "aud": "orders", "sub": "ann", "exp": NOW + 60 });
        changed(answer, claims)
    };
    for (lines, revoked, claims, accepted) in [
        ("", ann(), json!({ "iat": ISSUED }), true),
        ("", ann(), json!({ "iat": ISSUED - 1 }), false),
        ("", ann(), json!({}), false),
        ("", Revocation::Token { jti: "t-1".to_owned() }, json!({ "jti": "t-1" }), false),
        (
            "token_id_claim = \"uti\"",
            Revocation::Token { jti: "t-1".to_owned() },
            json!({ "jti": "t-1" }),
            true,
        ),
        (
            "token_id_claim = \"uti\"",
            Revocation::Token { jti: "t-1".to_owned() },
            json!({ "uti": "t-1" }),
            false,
        ),
        (
            "",
            Revocation::Client { client: "web".to_owned(), cutoff: Cutoff::Always },
            json!({ "client_id": "web" }),
            false,
        ),
        ("not_before = 2026-11-21T11:50:00Z", ann(), json!({ "sub": "bob", "iat": ISSUED - 1 }), false),
    ] {
        let mut list = RevocationList::default();
        list.add(revoked.clone());
        let mut issuer = opaque(lines);
        issuer.set_revocations(Arc::new(list));
        let issuers = TrustedIssuers::new(vec![issuer]).unwrap();
        let token = BearerToken::new("opaque-1").unwrap();
        let now = Timestamp::from_unix_seconds(NOW);
        let issuer = issuers.find("https://ledger.example").unwrap();
        let answer = answer(claims.clone()).to_string().into_bytes();
        let said = Introspected::new(issuer, &token, now, answer).unwrap();
        let answer = verify_token(&token, &issuers, &KeyRing::default(), Some(&said), now);
        assert_eq!(answer.is_ok(), accepted, "{lines} {revoked:?} {claims}: {answer:?}");
        assert!(accepted || answer.unwrap_err().slug() == "revoked", "{claims}");
    }
}

#[test]
fn a_file_that_promises_no_issue_time_is_known() {
    let by_file = |lines: &str| {
        let text = format!(
            "name = \"a\"\nissuer = \"https://a.example\"\naudience = [\"orders\"]\nkeys = \"discovery\"\n{lines}"
        );
        TrustedIssuer::from_toml(&text).unwrap_or_else(|error| panic!("{error}")).promises_issue_time()
    };
    assert!(by_file("provider = \"oidc\"\ntoken_use = \"access\""));
    assert!(by_file("provider = \"oidc\"\ntoken_use = \"id\""));
    assert!(by_file("provider = \"cognito\"\ntoken_use = \"access\""));
    assert!(!by_file("provider = \"oidc\"\ntoken_use = \"access\"\ntyp = \"any\""));
    assert!(!by_file("provider = \"oidc\"\ntoken_use = \"any\""));
    assert!(by_file("provider = \"oidc\"\ntoken_use = \"any\"\nrequired_claims = [\"iat\"]"));
    assert!(!opaque("").promises_issue_time() && opaque("required_claims = [\"iat\"]").promises_issue_time());
}

#[test]
fn a_token_says_by_what_it_can_be_refused() {
    let text = |lines: &str| {
        let staff = files().text("policies/issuers/staff.toml").unwrap().to_owned();
        TrustedIssuers::new(vec![TrustedIssuer::from_toml(&format!("{staff}\n{lines}")).unwrap()]).unwrap()
    };
    let named = |lines: &str, token: &str| {
        let jws = CompactJws::parse(token).unwrap();
        Revocation::of_token(&jws, &text(lines), Cutoff::Always)
            .map(|(issuer, revocation)| (issuer.name().to_owned(), revocation))
            .map_err(|error| error.to_string())
    };
    let by_id = |jti: &str| Ok(("staff".to_owned(), Revocation::Token { jti: jti.to_owned() }));
    let by_sub =
        Ok(("staff".to_owned(), Revocation::Subject { sub: "ann".to_owned(), cutoff: Cutoff::Always }));
    let in_session = "token_id_claim = \"session.id\"";
    for (lines, claims, expected) in [
        ("", json!({}), by_id("t-1")),
        ("", json!({ "jti": null }), by_sub.clone()),
        (in_session, json!({ "session": { "id": "s-1" } }), by_id("s-1")),
        (in_session, json!({}), by_sub),
        (
            "",
            json!({ "jti": 7 }),
            Err("claim `jti` is not a string of 1 to 255 characters without control characters".to_owned()),
        ),
        ("", json!({ "jti": null, "sub": null }), Err("the token has no claim `sub`".to_owned())),
        ("", json!({ "iss": null }), Err("the token has no claim `iss`".to_owned())),
        (
            "",
            json!({ "iss": "https://id.staff.example" }),
            Err("issuer `https://id.staff.example` is not trusted".to_owned()),
        ),
    ] {
        assert_eq!(named(lines, &staff(claims.clone())), expected, "{lines} {claims}");
    }
}

#[test]
fn what_is_covered_need_not_be_said_again() {
    let subject = |cutoff| Revocation::Subject { sub: "ann".to_owned(), cutoff };
    let before = |seconds| Cutoff::Before(Timestamp::from_unix_seconds(seconds));
    let mut list = RevocationList::default();
    assert!(list.is_empty() && !list.covers(&subject(before(0))));
    list.add(subject(before(5)));
    assert!(list.covers(&subject(before(4))) && list.covers(&subject(before(5))));
    assert!(!list.covers(&subject(before(6))) && !list.covers(&subject(Cutoff::Always)));
    assert!(!list.covers(&Revocation::Client { client: "ann".to_owned(), cutoff: before(5) }));
    assert!(!list.covers(&Revocation::Token { jti: "ann".to_owned() }));
    list.add(subject(Cutoff::Always));
    list.add(subject(before(9)));
    assert!(list.covers(&subject(Cutoff::Always)));
}
