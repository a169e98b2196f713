//! The rules that an issuer's file may add: longest age, scopes, clients, values; and claims that are kept elsewhere.

use serde_json::{Value, json};

use super::{NOW, Pool, Vectors, changed};

const BATCH: Pool = Pool {
    key: "batch",
    header: r#"{"alg":"ES256","typ":"at+jwt","kid":"batch"}"#,
    claims: batch,
    answer: batch_answer,
};

/// The claims of a machine's token without `exp`.
fn batch(changes: Value) -> Value {
    let claims = json!({
        "iss": "https://batch.example",
        "sub": "nightly",
        "client_id": "nightly",
        "aud": "https://orders.example",
        "iat": NOW - 60,
        "jti": "b-1",
        "scope": "orders:export orders:read",
        "env": "prod",
        "level": 3,
        "mfa": true,
        "org": { "tenant": "acme" },
        "access": { "roles": ["clerk"] },
        "team": "warehouse",
    });
    changed(claims, changes)
}

fn batch_answer() -> Value {
    json!({
        "principal": "Client",
        "issuer": "batch",
        "subject": "nightly",
        "client_id": "nightly",
        "tenant": "acme",
        "roles": ["clerk"],
        "refused_roles": [],
        "scopes": ["orders:export", "orders:read"],
        "email": null,
        "email_verified": null,
        "claims": { "team": "warehouse" },
        "token_id": "b-1",
        "key_id": "batch",
        "issued_at": "2026-11-21T09:59:00Z",
        "expires_at": null,
    })
}

pub(super) fn add(v: &mut Vectors) {
    ages(v);
    scopes_and_clients(v);
    values(v);
    elsewhere(v);
}

fn ages(v: &mut Vectors) {
    v.accept_of(&BATCH, "age-without-exp", "no `exp`, and young enough", json!({}), json!({}));
    v.accept_of(
        &BATCH,
        "age-and-exp",
        "an `exp` where none is required",
        json!({ "exp": NOW + 60 }),
        json!({ "expires_at": "2026-11-21T10:01:00Z" }),
    );
    v.accept_of(
        &BATCH,
        "age-last-millisecond",
        "older than the longest age for less than the leeway",
        json!({ "iat": NOW as f64 - 3629.999 }),
        json!({ "issued_at": "2026-11-21T08:59:30.001Z" }),
    );
    v.refuse_of(
        &BATCH,
        "age-over",
        "older than the longest age for as long as the leeway",
        json!({ "iat": NOW - 3630 }),
        "too_old",
        "the token was issued at 2026-11-21T08:59:30Z, 3600 seconds are its longest age, and it is 2026-11-21T10:00:00Z",
    );
    v.refuse_of(
        &BATCH,
        "age-over-within-exp",
        "too old, though its `exp` has not come",
        json!({ "iat": 0, "exp": NOW + 60 }),
        "too_old",
        "the token was issued at 1970-01-01T00:00:00Z, 3600 seconds are its longest age, and it is 2026-11-21T10:00:00Z",
    );
    v.refuse_of(
        &BATCH,
        "age-exp-counts",
        "expired, though young enough",
        json!({ "exp": NOW - 30 }),
        "expired",
        "the token expired at 2026-11-21T09:59:30Z, and it is 2026-11-21T10:00:00Z",
    );
    v.refuse_of(
        &BATCH,
        "age-exp-invalid",
        "an `exp` that need not be there is still a time",
        json!({ "exp": "never" }),
        "invalid_claim",
        "claim `exp` is not a number of seconds since 1970, up to the year 9999",
    );
    v.refuse_of(
        &BATCH,
        "age-unknown",
        "neither `exp` nor `iat`: nothing would end it",
        json!({ "iat": null }),
        "missing_claim",
        "the token has no claim `iat`",
    );
    v.refuse_of(
        &BATCH,
        "age-unknown-with-exp",
        "an `exp`, but no age",
        json!({ "iat": null, "exp": NOW + 60 }),
        "missing_claim",
        "the token has no claim `iat`",
    );
    v.refuse_of(
        &BATCH,
        "age-from-the-future",
        "an age counted from tomorrow",
        json!({ "iat": NOW + 86_400 }),
        "not_yet_valid",
        "the token's `iat` is 2026-11-22T10:00:00Z, and it is 2026-11-21T10:00:00Z",
    );
}

fn scopes_and_clients(v: &mut Vectors) {
    v.accept_of(
        &BATCH,
        "scope-more-than-required",
        "more scopes than are required, in an array",
        json!({ "scope": ["orders:read", "orders:export", "orders:write"] }),
        json!({ "scopes": ["orders:export", "orders:read", "orders:write"] }),
    );
    let lacks = |scope: &str| format!("the token lacks scope `{scope}`, which issuer `batch` requires");
    for (name, about, scope, lacking) in [
        ("scope-one-of-two", "one of two required scopes", json!("orders:read"), "orders:export"),
        ("scope-none", "no scopes at all", Value::Null, "orders:read"),
        ("scope-case", "scopes have case", json!("orders:export Orders:Read"), "orders:read"),
        (
            "scope-prefix",
            "a scope that begins like ours",
            json!("orders:read:own orders:export"),
            "orders:read",
        ),
        ("scope-comma", "scopes joined by a comma", json!("orders:read,orders:export"), "orders:read"),
        (
            "scope-words-in-an-element",
            "scopes with a space between in one element of an array",
            json!(["orders:read orders:export"]),
            "orders:read",
        ),
        ("scope-tab", "scopes with a tab between", json!("orders:read\torders:export"), "orders:read"),
    ] {
        v.refuse_of(&BATCH, name, about, json!({ "scope": scope }), "missing_scope", &lacks(lacking));
    }
    v.accept_of(
        &BATCH,
        "client-second",
        "the other client that is listed",
        json!({ "client_id": "hourly", "sub": "u-1" }),
        json!({ "principal": "User", "client_id": "hourly", "subject": "u-1" }),
    );
    v.accept_of(
        &BATCH,
        "client-azp",
        "a listed client in `azp`",
        json!({ "client_id": null, "azp": "nightly" }),
        json!({}),
    );
    for (name, about, client, claim) in [
        ("client-other", "a client that is not listed", json!({ "client_id": "weekly" }), "client_id"),
        ("client-case", "a listed client in capitals", json!({ "client_id": "Nightly" }), "client_id"),
        (
            "client-other-in-azp",
            "`azp` does not stand in for a `client_id` that is there",
            json!({ "client_id": "weekly", "azp": "nightly" }),
            "client_id",
        ),
        (
            "client-other-azp",
            "a client in `azp` that is not listed",
            json!({ "client_id": null, "azp": "weekly" }),
            "azp",
        ),
    ] {
        let message = format!("claim `{claim}` names no client that issuer `batch` lists");
        v.refuse_of(&BATCH, name, about, client, "wrong_client", &message);
    }
    v.refuse_of(
        &BATCH,
        "client-unnamed",
        "no client, where clients are listed",
        json!({ "client_id": null }),
        "missing_claim",
        "the token has no claim `client_id`",
    );
}

fn values(v: &mut Vectors) {
    v.accept_of(&BATCH, "value-second", "the other value that is accepted", json!({ "level": 2 }), json!({}));
    for (name, about, claim, value) in [
        ("value-other", "another environment", "env", json!("test")),
        ("value-case", "the environment in capitals", "env", json!("PROD")),
        ("value-array", "a list with ours in it", "env", json!(["prod"])),
        ("value-number", "a level that is not accepted", "level", json!(4)),
        ("value-number-in-string", "the level as a string", "level", json!("3")),
        ("value-number-as-float", "the level with a fraction", "level", json!(3.0)),
        ("value-false", "no second factor", "mfa", json!(false)),
        ("value-true-in-string", "a second factor as a word", "mfa", json!("true")),
        ("value-one-for-true", "a second factor as a number", "mfa", json!(1)),
    ] {
        let message = format!("claim `{claim}` is not a value that its issuer's file accepts");
        v.refuse_of(&BATCH, name, about, json!({ claim: value }), "invalid_claim", &message);
    }
    v.refuse_of(
        &BATCH,
        "value-missing",
        "no environment",
        json!({ "env": null }),
        "missing_claim",
        "the token has no claim `env`",
    );
}

fn elsewhere(v: &mut Vectors) {
    v.accept_of(
        &BATCH,
        "elsewhere-unused",
        "claims that nothing here reads are kept elsewhere",
        json!({
            "_claim_names": { "groups": "src1", "address": "src1", "tea": "src1", "organisation": "src1" },
            "_claim_sources": { "src1": { "endpoint": "https://attacker.example" } },
        }),
        json!({}),
    );
    v.accept_of(
        &BATCH,
        "elsewhere-groups-unused",
        "groups that nothing here reads",
        json!({ "hasgroups": true, "groups:src1": {} }),
        json!({}),
    );
    let overage = |claim: &str| {
        format!(
            "the token says that claim `{claim}` is to be asked for elsewhere, so what it says is not known here"
        )
    };
    for (name, about, listed, changes, claim) in [
        (
            "elsewhere-roles",
            "roles that somebody else knows",
            "access.roles",
            json!({ "access": null }),
            "access.roles",
        ),
        (
            "elsewhere-roles-object",
            "the object with the roles is with somebody else",
            "access",
            json!({ "access": null }),
            "access.roles",
        ),
        (
            "elsewhere-roles-in-part",
            "some roles here, all of them elsewhere",
            "access",
            json!({}),
            "access.roles",
        ),
        ("elsewhere-scopes", "scopes that somebody else knows", "scope", json!({ "scope": null }), "scope"),
        (
            "elsewhere-tenant",
            "a tenant that somebody else knows",
            "org",
            json!({ "org": null }),
            "org.tenant",
        ),
        (
            "elsewhere-attribute",
            "an attribute that somebody else knows",
            "team",
            json!({ "team": null }),
            "team",
        ),
        ("elsewhere-email", "an e-mail address that somebody else knows", "email", json!({}), "email"),
    ] {
        let changes = changed(changes, json!({ "_claim_names": { "address": "src2", listed: "src1" } }));
        let claims = batch(changes).to_string();
        v.refuse_text(&BATCH, name, about, &claims, "claims_overage", &overage(claim));
    }
    let without_source = batch(json!({ "team": null, "_claim_names": { "team": "x" } })).to_string();
    v.refuse_text(
        &BATCH,
        "elsewhere-null-source",
        "a claim kept elsewhere, without saying where",
        &without_source.replace(r#"{"team":"x"}"#, r#"{"team":null}"#),
        "claims_overage",
        &overage("team"),
    );
    v.refuse_of(
        &BATCH,
        "elsewhere-array",
        "claims kept elsewhere in a form that is not the standard's",
        json!({ "_claim_names": ["team"] }),
        "invalid_claim",
        "claim `_claim_names` is not an object",
    );
}
