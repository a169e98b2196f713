//! The presets: of each provider its usual tokens, and the classic mistakes with them.

use serde_json::{Value, json};

use super::{NOW, Pool, Vectors, changed, key, replaced, sign};

pub(super) fn add(v: &mut Vectors) {
    cognito_regions(v);
    auth0(v);
    auth0_portal(v);
    okta(v);
    entra(v);
    entra_version_1(v);
    entra_many(v);
    keycloak(v);
    google(v);
}

fn unknown_issuer(iss: &str) -> String {
    format!("issuer `{iss}` is not trusted")
}

fn no_audience(claim: &str, issuer: &str) -> String {
    format!("claim `{claim}` names no audience of issuer `{issuer}`")
}

fn not_an_access_token(issuer: &str) -> String {
    format!("the token is not an access token, the kind accepted of issuer `{issuer}`")
}

fn wrong_value(claim: &str) -> String {
    format!("claim `{claim}` is not a value that its issuer's file accepts")
}

/// What all answers have, and `differences`.
fn answer(differences: Value) -> Value {
    let answer = json!({
        "principal": "User",
        "client_id": null,
        "tenant": "acme",
        "roles": [],
        "refused_roles": [],
        "scopes": [],
        "email": null,
        "email_verified": null,
        "claims": {},
        "token_id": null,
        "issued_at": "2026-11-21T09:55:00Z",
        "expires_at": "2026-11-21T10:55:00Z",
    });
    replaced(answer, differences)
}

const POOL: &str = "eu-west-1_GhI345678";

fn cognito_regions(v: &mut Vectors) {
    const EU: Pool = Pool {
        key: "acme-eu",
        header: r#"{"kid":"acme-eu","alg":"RS256"}"#,
        claims: |changes| {
            let claims = json!({
                "sub": "66666666-7777-8888-9999-000000000000",
                "cognito:groups": ["clerk"],
                "iss": format!("https://cognito-idp.eu-west-1.amazonaws.com/{POOL}"),
                "client_id": "4example23456789",
                "token_use": "access",
                "scope": "aws.cognito.signin.user.admin",
                "exp": NOW + 3300,
                "iat": NOW - 300,
                "jti": "c-1",
                "username": "rui",
            });
            changed(claims, changes)
        },
        answer: || {
            answer(json!({
                "issuer": "acme-regions",
                "subject": "66666666-7777-8888-9999-000000000000",
                "client_id": "4example23456789",
                "roles": ["clerk"],
                "scopes": ["aws.cognito.signin.user.admin"],
                "token_id": "c-1",
                "key_id": "acme-eu",
            }))
        },
    };
    const US: Pool = Pool { key: "acme-us", header: r#"{"kid":"acme-us","alg":"RS256"}"#, ..EU };
    let replica = json!({ "iss": format!("https://cognito-idp.us-east-1.amazonaws.com/{POOL}") });
    let updated = json!({ "iss": format!("https://issuer-cognito-idp.eu-west-1.amazonaws.com/{POOL}") });
    v.accept_of(&EU, "regions-primary", "the pool's own Region", json!({}), json!({}));
    v.accept_of(
        &US,
        "regions-replica",
        "the replica in another Region, which has the same pool id and keys of its own",
        replica.clone(),
        json!({ "key_id": "acme-us" }),
    );
    v.accept_of(&EU, "regions-updated", "the updated form of the issuer", updated.clone(), json!({}));
    v.refuse_of(
        &EU,
        "regions-key-of-the-primary",
        "the replica's name with the primary's key",
        replica,
        "unknown_key",
        "issuer `acme-regions@2` has no key `acme-eu`",
    );
    v.refuse_of(
        &US,
        "regions-key-of-the-replica",
        "the primary's name with the replica's key",
        json!({}),
        "unknown_key",
        "issuer `acme-regions` has no key `acme-us`",
    );
    v.refuse_of(
        &US,
        "regions-updated-key-of-the-replica",
        "the updated name with the replica's key",
        updated,
        "unknown_key",
        "issuer `acme-regions@3` has no key `acme-us`",
    );
    for (name, about, iss) in [
        (
            "regions-other",
            "a Region that the file does not list",
            format!("https://cognito-idp.ap-south-1.amazonaws.com/{POOL}"),
        ),
        (
            "regions-updated-other",
            "the updated form with a replica's Region",
            format!("https://issuer-cognito-idp.us-east-1.amazonaws.com/{POOL}"),
        ),
        (
            "regions-other-pool",
            "another pool of the replica's Region",
            "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_GhI345678".to_owned(),
        ),
        (
            "regions-host",
            "a host that ends like Amazon's",
            format!("https://cognito-idp.eu-west-1.amazonaws.com.attacker.example/{POOL}"),
        ),
    ] {
        let shown: String = match iss.char_indices().nth(64) {
            Some((end, _)) => format!("{}…", &iss[..end]),
            None => iss.clone(),
        };
        v.refuse_of(&EU, name, about, json!({ "iss": iss }), "unknown_issuer", &unknown_issuer(&shown));
    }
    v.refuse_of(
        &EU,
        "regions-id-token",
        "an ID token of the pool",
        json!({ "token_use": "id", "aud": "4example23456789" }),
        "wrong_token_use",
        &not_an_access_token("acme-regions"),
    );
}

fn auth0(v: &mut Vectors) {
    const AUTH0: Pool = Pool {
        key: "auth0",
        header: r#"{"alg":"RS256","typ":"JWT","kid":"auth0"}"#,
        claims: |changes| {
            let claims = json!({
                "https://acme.example/region": "south",
                "iss": "https://acme.eu.auth0.com/",
                "sub": "auth0|6553da60a54af58e29493993",
                "aud": ["https://orders.example", "https://acme.eu.auth0.com/userinfo"],
                "iat": NOW - 300,
                "exp": NOW + 3300,
                "scope": "openid profile delete:orders",
                "azp": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
                "permissions": ["read:orders", "write:orders"],
            });
            changed(claims, changes)
        },
        answer: || {
            answer(json!({
                "issuer": "auth0",
                "subject": "auth0|6553da60a54af58e29493993",
                "client_id": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
                "roles": ["clerk"],
                "refused_roles": ["read:orders"],
                "scopes": ["delete:orders", "openid", "profile"],
                "claims": { "region": "south" },
                "key_id": "auth0",
            }))
        },
    };
    const RFC_9068: Pool = Pool { header: r#"{"alg":"RS256","typ":"at+jwt","kid":"auth0"}"#, ..AUTH0 };
    v.accept_of(
        &AUTH0,
        "auth0-access",
        "an access token of Auth0's own profile; its scopes are what the client asked for",
        json!({}),
        json!({}),
    );
    let client_id = json!({ "azp": null, "client_id": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja", "jti": "a-1" });
    v.accept_of(
        &RFC_9068,
        "auth0-access-rfc9068",
        "an access token of the profile of RFC 9068",
        client_id,
        json!({ "token_id": "a-1" }),
    );
    let machine = json!({
        "sub": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja@clients",
        "aud": "https://orders.example",
        "gty": "client-credentials",
        "scope": null,
    });
    v.accept_of(
        &AUTH0,
        "auth0-client",
        "a machine's token: `sub` is the client id with `@clients` behind it",
        machine,
        json!({ "principal": "Client", "subject": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja@clients", "scopes": [] }),
    );
    for (name, about, sub) in [
        ("auth0-client-of-another", "another client's name in `sub`", "aOtherClient@clients"),
        ("auth0-client-bare", "the client id alone is nobody's `sub`", "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja"),
    ] {
        v.accept_of(&AUTH0, name, about, json!({ "sub": sub }), json!({ "subject": sub }));
    }
    v.refuse_of(
        &AUTH0,
        "auth0-id-token",
        "an ID token: it names its client as audience and has no `azp`",
        json!({
            "aud": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
            "azp": null,
            "scope": null,
            "permissions": null,
            "nickname": "amal",
            "nonce": "n-1",
        }),
        "wrong_token_use",
        &not_an_access_token("auth0"),
    );
    v.refuse_of(
        &AUTH0,
        "auth0-id-token-for-us",
        "an ID token whose client has the name of our API",
        json!({ "aud": "https://orders.example", "azp": null, "scope": null }),
        "wrong_token_use",
        &not_an_access_token("auth0"),
    );
    for (name, about, aud) in [
        ("auth0-management", "a token for Auth0's Management API", "https://acme.eu.auth0.com/api/v2/"),
        ("auth0-userinfo", "a token for `/userinfo` alone", "https://acme.eu.auth0.com/userinfo"),
    ] {
        v.refuse_of(
            &AUTH0,
            name,
            about,
            json!({ "aud": aud }),
            "wrong_audience",
            &no_audience("aud", "auth0"),
        );
    }
    for (name, about, iss) in [
        ("auth0-other-tenant", "another tenant of Auth0's", "https://globex.eu.auth0.com/"),
        ("auth0-no-slash", "the tenant without its slash", "https://acme.eu.auth0.com"),
        ("auth0-other-region", "the tenant's name in another Region", "https://acme.us.auth0.com/"),
        ("auth0-custom-domain", "a domain that the file does not name", "https://login.acme.example/"),
    ] {
        v.refuse_of(&AUTH0, name, about, json!({ "iss": iss }), "unknown_issuer", &unknown_issuer(iss));
    }
    v.malformed(
        "auth0-no-audience",
        "what a client gets that names no audience: encrypted, for Auth0 alone",
        "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        "it is not three parts separated by dots",
    );
}

fn auth0_portal(v: &mut Vectors) {
    const PORTAL: Pool = Pool {
        key: "auth0-portal",
        header: r#"{"alg":"RS256","typ":"JWT","kid":"auth0-portal"}"#,
        claims: |changes| {
            let claims = json!({
                "https://portal.example/roles": ["clerk", "owner"],
                "org_name": "acme",
                "name": "Amal",
                "email": "amal@acme.example",
                "email_verified": true,
                "iss": "https://portal.example/",
                "aud": "PoRtAlClIeNt",
                "iat": NOW - 300,
                "exp": NOW + 3300,
                "sub": "google-oauth2|103547991597142817347",
                "sid": "s-1",
            });
            changed(claims, changes)
        },
        answer: || {
            answer(json!({
                "issuer": "auth0-portal",
                "subject": "google-oauth2|103547991597142817347",
                "roles": ["clerk"],
                "refused_roles": ["owner"],
                "email": "amal@acme.example",
                "email_verified": true,
                "key_id": "auth0-portal",
            }))
        },
    };
    v.accept_of(&PORTAL, "auth0-id", "an ID token where ID tokens are accepted", json!({}), json!({}));
    let not_id = "the token is not an ID token, the kind accepted of issuer `auth0-portal`";
    for (name, about, changes) in [
        (
            "auth0-access-for-id",
            "an access token, also with the audience of an ID token",
            json!({ "azp": "PoRtAlClIeNt", "scope": "openid" }),
        ),
        (
            "auth0-access-for-id-rfc9068",
            "the same in the other profile",
            json!({ "client_id": "PoRtAlClIeNt" }),
        ),
    ] {
        v.refuse_of(&PORTAL, name, about, changes, "wrong_token_use", not_id);
    }
    v.refuse_of(
        &PORTAL,
        "auth0-id-other-client",
        "the ID token of another client",
        json!({ "aud": "OtHeRcLiEnT" }),
        "wrong_audience",
        &no_audience("aud", "auth0-portal"),
    );
    v.refuse_of(
        &PORTAL,
        "auth0-id-other-organisation",
        "an organisation for which this tenant may not speak",
        json!({ "org_name": "globex" }),
        "wrong_tenant",
        "claim `org_name` names no tenant of issuer `auth0-portal`",
    );
}

fn okta(v: &mut Vectors) {
    const OKTA: Pool = Pool {
        key: "okta",
        header: r#"{"kid":"okta","alg":"RS256"}"#,
        claims: |changes| {
            let claims = json!({
                "ver": 1,
                "jti": "AT.MNAoEQ_jbKqoinrQo1D0XKjMX28U5d7ZszBceot7-Ts",
                "iss": "https://acme.okta.com/oauth2/aus9o8wzkhckw9TLa0h7",
                "aud": "api://orders",
                "iat": NOW - 300,
                "exp": NOW + 3300,
                "cid": "0oabucvyc38HLL1ef0h7",
                "uid": "00ufu7q5dbyIPMVs7h7t",
                "scp": ["openid", "orders.read"],
                "auth_time": NOW - 400,
                "sub": "amal@acme.example",
                "groups": ["Everyone", "Acme Auditors", "clerk"],
            });
            changed(claims, changes)
        },
        answer: || {
            answer(json!({
                "issuer": "okta",
                "subject": "amal@acme.example",
                "client_id": "0oabucvyc38HLL1ef0h7",
                "roles": ["auditor", "clerk"],
                "refused_roles": ["Everyone"],
                "scopes": ["openid", "orders.read"],
                "token_id": "AT.MNAoEQ_jbKqoinrQo1D0XKjMX28U5d7ZszBceot7-Ts",
                "key_id": "okta",
            }))
        },
    };
    const OWN_SERVER: Pool =
        Pool { header: r#"{"kid":"okta","alg":"RS256","typ":"application/okta-internal-at+jwt"}"#, ..OKTA };
    v.accept_of(
        &OKTA,
        "okta-access",
        "a user's access token: no `typ`, scopes as an array",
        json!({}),
        json!({}),
    );
    v.accept_of(
        &OKTA,
        "okta-client",
        "a machine's token: `sub` is the client id, and there is no `uid`",
        json!({ "sub": "0oabucvyc38HLL1ef0h7", "uid": null, "auth_time": null, "groups": null, "scp": ["orders.read"] }),
        json!({
            "principal": "Client",
            "subject": "0oabucvyc38HLL1ef0h7",
            "roles": [],
            "refused_roles": [],
            "scopes": ["orders.read"],
        }),
    );
    v.accept_of(
        &OKTA,
        "okta-user-named-like-a-client",
        "a user who chose a client's id as name is still a user",
        json!({ "sub": "0oabucvyc38HLL1ef0h7" }),
        json!({ "subject": "0oabucvyc38HLL1ef0h7" }),
    );
    v.refuse_of(
        &OKTA,
        "okta-id-token",
        "an ID token: it names its client as audience and has no `cid`",
        json!({
            "jti": "ID.radCQMOQUmyvcTBmmIL0J6BaS60apUEiC7-vI7pOmkw",
            "aud": "0oabucvyc38HLL1ef0h7",
            "cid": null,
            "uid": null,
            "scp": null,
            "sub": "00ufu7q5dbyIPMVs7h7t",
            "nonce": "n-1",
        }),
        "wrong_token_use",
        &not_an_access_token("okta"),
    );
    v.refuse_of(
        &OWN_SERVER,
        "okta-own-server-typ",
        "the `typ` of an organisation's own server, whose access tokens are for Okta alone",
        json!({}),
        "wrong_token_use",
        "the token's header `typ` is not `at+jwt`, `JWT` or absent, as required of issuer `okta`",
    );
    v.refuse_of(
        &OKTA,
        "okta-other-audience",
        "a token for another API of the same server",
        json!({ "aud": "api://default" }),
        "wrong_audience",
        &no_audience("aud", "okta"),
    );
    for (name, about, iss) in [
        ("okta-other-server", "another server of the organisation", "https://acme.okta.com/oauth2/default"),
        ("okta-own-server", "the organisation's own server", "https://acme.okta.com"),
        (
            "okta-other-organisation",
            "another organisation",
            "https://globex.okta.com/oauth2/aus9o8wzkhckw9TLa0h7",
        ),
    ] {
        v.refuse_of(&OKTA, name, about, json!({ "iss": iss }), "unknown_issuer", &unknown_issuer(iss));
    }
}

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const OTHER_TENANT: &str = "fa15d692-e9c7-4460-a743-29f295222229";

const ENTRA: Pool = Pool {
    key: "entra",
    header: r#"{"typ":"JWT","alg":"RS256","kid":"entra"}"#,
    claims: entra_claims,
    answer: || {
        answer(json!({
            "issuer": "entra",
            "subject": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
            "client_id": "1f0e6a5c-9d6b-4a51-bd0f-2f5d3f6a6a11",
            "roles": ["clerk"],
            "refused_roles": ["Orders.Admin"],
            "scopes": ["access_as_user", "orders.read"],
            "claims": { "groups": ["02bd9fd6-8f93-4758-87c3-1fb73740a315"] },
            "token_id": "fqiBqXLPj0eQa82S-IYFAA",
            "key_id": "entra",
        }))
    },
};

/// The claims of an access token of version 2.0.
fn entra_claims(changes: Value) -> Value {
    let claims = json!({
        "aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3",
        "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        "iat": NOW - 300,
        "nbf": NOW - 300,
        "exp": NOW + 3300,
        "aio": "AXQAi/8IAAAAtAaZLo3ChMif6KOnttRB7eBq4/DccQzjcJGxPXY/C3jDaNGxXd6wNIIVGRghNRnw",
        "azp": "1f0e6a5c-9d6b-4a51-bd0f-2f5d3f6a6a11",
        "azpacr": "0",
        "groups": ["02bd9fd6-8f93-4758-87c3-1fb73740a315"],
        "name": "Amal",
        "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        "preferred_username": "amal@acme.example",
        "rh": "I",
        "roles": ["Orders.Write", "Orders.Admin"],
        "scp": "access_as_user orders.read",
        "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        "tid": TENANT,
        "uti": "fqiBqXLPj0eQa82S-IYFAA",
        "ver": "2.0",
    });
    changed(claims, changes)
}

/// What an application's own token has instead of a user's claims.
fn entra_application(idtyp: Value) -> Value {
    json!({
        "azpacr": "1",
        "groups": null,
        "idtyp": idtyp,
        "name": null,
        "oid": "72243241-f194-45f3-987d-eeb347b83b69",
        "preferred_username": null,
        "roles": ["Orders.Write"],
        "scp": null,
        "sub": "72243241-f194-45f3-987d-eeb347b83b69",
    })
}

fn entra(v: &mut Vectors) {
    v.accept_of(&ENTRA, "entra-access", "a user's access token of version 2.0", json!({}), json!({}));
    let application = json!({
        "principal": "Client",
        "subject": "72243241-f194-45f3-987d-eeb347b83b69",
        "refused_roles": [],
        "scopes": [],
        "claims": {},
    });
    v.accept_of(
        &ENTRA,
        "entra-application",
        "an application's own token, which says so",
        entra_application(json!("app")),
        application.clone(),
    );
    v.accept_of(
        &ENTRA,
        "entra-application-unsaid",
        "the same without `idtyp`: `oid` repeats `sub`, and there is no `scp`",
        entra_application(Value::Null),
        application.clone(),
    );
    let user = json!({ "principal": "User" });
    v.accept_of(
        &ENTRA,
        "entra-user-said",
        "`idtyp` says that it is a user's",
        entra_application(json!("user")),
        replaced(application.clone(), user.clone()),
    );
    v.accept_of(
        &ENTRA,
        "entra-user-without-scopes",
        "no `scp`, but a `sub` of its own: a user's",
        json!({ "scp": null }),
        json!({ "scopes": [] }),
    );
    v.accept_of(
        &ENTRA,
        "entra-user-with-oid-as-sub",
        "`oid` repeats `sub`, but there are scopes: a user's",
        json!({ "sub": "690222be-ff1a-4d56-abd1-7e4f7d38e474" }),
        json!({ "subject": "690222be-ff1a-4d56-abd1-7e4f7d38e474" }),
    );
    v.refuse_of(
        &ENTRA,
        "entra-id-token",
        "an ID token of the application that is the API as well: same audience, no `azp`",
        json!({ "azp": null, "azpacr": null, "scp": null, "nonce": "n-1" }),
        "wrong_token_use",
        &not_an_access_token("entra"),
    );
    v.refuse_of(
        &ENTRA,
        "entra-graph",
        "a token for Microsoft Graph",
        json!({ "aud": "00000003-0000-0000-c000-000000000000" }),
        "wrong_audience",
        &no_audience("aud", "entra"),
    );
    for (name, about, iss) in [
        (
            "entra-other-tenant",
            "another tenant, which everybody can have",
            format!("https://login.microsoftonline.com/{OTHER_TENANT}/v2.0"),
        ),
        ("entra-common", "the name under which all tenants sign in", {
            "https://login.microsoftonline.com/common/v2.0".to_owned()
        }),
        (
            "entra-version-1-host",
            "version 1.0 under the host of version 2.0",
            format!("https://login.microsoftonline.com/{TENANT}/"),
        ),
        (
            "entra-capitals",
            "the tenant's id in capitals",
            format!("https://login.microsoftonline.com/{}/v2.0", TENANT.to_uppercase()),
        ),
    ] {
        let shown = match iss.char_indices().nth(64) {
            Some((end, _)) => format!("{}…", &iss[..end]),
            None => iss.clone(),
        };
        v.refuse_of(&ENTRA, name, about, json!({ "iss": iss }), "unknown_issuer", &unknown_issuer(&shown));
    }
    for (name, about, claim, value) in [
        ("entra-tid-other", "a `tid` that is not the issuer's", "tid", json!(OTHER_TENANT)),
        ("entra-tid-capitals", "the `tid` in capitals", "tid", json!(TENANT.to_uppercase())),
        ("entra-tid-array", "two `tid`", "tid", json!([TENANT, OTHER_TENANT])),
        ("entra-version", "the claims of version 1.0 under the issuer of 2.0", "ver", json!("1.0")),
        ("entra-version-number", "the version as a number", "ver", json!(2.0)),
    ] {
        v.refuse_of(&ENTRA, name, about, json!({ claim: value }), "invalid_claim", &wrong_value(claim));
    }
    v.refuse_of(
        &ENTRA,
        "entra-tid-missing",
        "no `tid`",
        json!({ "tid": null }),
        "missing_claim",
        "the token has no claim `tid`",
    );
    let overage =
        "the token says that claim `groups` is to be asked for elsewhere, so what it says is not known here";
    for (name, about, changes) in [
        (
            "entra-overage",
            "a user in more than 200 groups",
            json!({
                "groups": null,
                "_claim_names": { "groups": "src1" },
                "_claim_sources": { "src1": { "endpoint": "https://graph.windows.net/x/getMemberObjects" } },
            }),
        ),
        (
            "entra-overage-url",
            "a user in more than 5 groups, through a URL",
            json!({ "groups": null, "hasgroups": true }),
        ),
        ("entra-overage-word", "the same, as a word", json!({ "groups": null, "hasgroups": "true" })),
        (
            "entra-overage-link",
            "a link to the groups",
            json!({ "groups": null, "groups:src1": { "endpoint": "https://graph.microsoft.com" } }),
        ),
    ] {
        v.refuse_of(&ENTRA, name, about, changes, "claims_overage", overage);
    }
    v.accept_of(
        &ENTRA,
        "entra-no-groups",
        "a user in no group",
        json!({ "groups": null, "hasgroups": false }),
        json!({ "claims": {} }),
    );
    let foreign = |kid: &str| json!({ "typ": "JWT", "alg": "RS256", "kid": kid }).to_string();
    for (name, about, kid) in [
        ("entra-key-of-another-tenant", "a key that is another tenant's", "entra-other-tenant"),
        ("entra-key-of-an-odd-issuer", "a key whose issuer is a number", "entra-odd"),
    ] {
        let token = sign(&key("attacker-rs256"), &foreign(kid), &entra_claims(json!({})).to_string());
        let message = format!("key `{kid}` is published for another issuer than `entra`");
        v.refuse(name, about, token, "unknown_key", &message);
    }
    let token = sign(&key("entra"), &foreign("entra-any-tenant"), &entra_claims(json!({})).to_string());
    let expected = replaced((ENTRA.answer)(), json!({ "key_id": "entra-any-tenant" }));
    v.accept("entra-key-of-any-tenant", "a key for whichever tenant", token, expected);
}

fn entra_version_1(v: &mut Vectors) {
    const VERSION_1: Pool = Pool {
        key: "entra",
        header: r#"{"typ":"JWT","alg":"RS256","x5t":"i6lGk3FZzxRcUb2C3nEQ7syHJlY","kid":"entra"}"#,
        claims: |changes| {
            let claims = entra_claims(json!({
                "aud": "api://6e74172b-be56-4843-9ff4-e66a39bb12e3",
                "iss": format!("https://sts.windows.net/{TENANT}/"),
                "acr": "1",
                "amr": ["pwd"],
                "appid": "1f0e6a5c-9d6b-4a51-bd0f-2f5d3f6a6a11",
                "appidacr": "0",
                "azp": null,
                "azpacr": null,
                "preferred_username": null,
                "unique_name": "amal@acme.example",
                "ver": "1.0",
            }));
            changed(claims, changes)
        },
        answer: ENTRA.answer,
    };
    v.accept_of(
        &VERSION_1,
        "entra-1-access",
        "a user's access token of version 1.0: `appid`, and another issuer",
        json!({}),
        json!({}),
    );
    v.refuse_of(
        &VERSION_1,
        "entra-1-id-token",
        "an ID token of version 1.0",
        json!({ "appid": null, "appidacr": null, "scp": null }),
        "wrong_token_use",
        &not_an_access_token("entra"),
    );
    v.refuse_of(
        &VERSION_1,
        "entra-1-version",
        "the claims of version 2.0 under the issuer of 1.0",
        json!({ "ver": "2.0" }),
        "invalid_claim",
        &wrong_value("ver"),
    );
    v.refuse_of(
        &VERSION_1,
        "entra-1-other-tenant",
        "another tenant",
        json!({ "iss": format!("https://sts.windows.net/{OTHER_TENANT}/") }),
        "unknown_issuer",
        &unknown_issuer(&format!("https://sts.windows.net/{OTHER_TENANT}/")),
    );
    let claims = (VERSION_1.claims)(json!({})).to_string();
    for (kid, about) in [
        ("entra-of-2", "a key that has the name of version 2.0 for the same tenant"),
        ("entra-of-2-any-tenant", "a key that has the name of version 2.0 for whichever tenant"),
    ] {
        let header = json!({ "typ": "JWT", "alg": "RS256", "kid": kid }).to_string();
        let expected = replaced((ENTRA.answer)(), json!({ "key_id": kid }));
        v.accept(&format!("entra-1-key-{kid}"), about, sign(&key("entra"), &header, &claims), expected);
    }
}

fn entra_many(v: &mut Vectors) {
    const LISTED: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
    const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
    const MANY: Pool = Pool {
        key: "entra",
        header: ENTRA.header,
        claims: |changes| {
            let claims = entra_claims(json!({
                "iss": format!("https://login.microsoftonline.com/{LISTED}/v2.0"),
                "tid": LISTED,
                "roles": ["clerk"],
                "groups": null,
            }));
            changed(claims, changes)
        },
        answer: || {
            let differences = json!({
                "issuer": "entra-many",
                "tenant": LISTED,
                "refused_roles": [],
                "claims": {},
            });
            replaced((ENTRA.answer)(), differences)
        },
    };
    const OF_CONSUMERS: Pool = Pool {
        key: "entra-consumers",
        header: r#"{"typ":"JWT","alg":"RS256","kid":"entra-consumers"}"#,
        ..MANY
    };
    let consumers =
        json!({ "iss": format!("https://login.microsoftonline.com/{CONSUMERS}/v2.0"), "tid": CONSUMERS });
    v.accept_of(&MANY, "entra-many-listed", "a tenant that is listed", json!({}), json!({}));
    v.accept_of(
        &OF_CONSUMERS,
        "entra-many-consumers",
        "the tenant of personal accounts, which is listed, with its own key",
        consumers.clone(),
        json!({ "tenant": CONSUMERS, "key_id": "entra-consumers" }),
    );
    v.accept_of(
        &MANY,
        "entra-many-consumers-common-key",
        "the same with a key for whichever tenant",
        consumers,
        json!({ "tenant": CONSUMERS }),
    );
    v.refuse_of(
        &OF_CONSUMERS,
        "entra-many-key-of-consumers",
        "an organisation's name with the key of personal accounts, which stands in the same set",
        json!({}),
        "unknown_key",
        "key `entra-consumers` is published for another issuer than `entra-many`",
    );
    for (name, about, iss) in [
        (
            "entra-many-not-listed",
            "a tenant that is not listed",
            format!("https://login.microsoftonline.com/{OTHER_TENANT}/v2.0"),
        ),
        (
            "entra-many-template",
            "the name of the file, word for word",
            "https://login.microsoftonline.com/{tenantid}/v2.0".to_owned(),
        ),
        (
            "entra-many-version-1",
            "a listed tenant's token of version 1.0",
            format!("https://sts.windows.net/{LISTED}/"),
        ),
    ] {
        let shown = match iss.char_indices().nth(64) {
            Some((end, _)) => format!("{}…", &iss[..end]),
            None => iss.clone(),
        };
        v.refuse_of(&MANY, name, about, json!({ "iss": iss }), "unknown_issuer", &unknown_issuer(&shown));
    }
    v.refuse_of(
        &MANY,
        "entra-many-tid-of-another",
        "one listed tenant's name with the `tid` of the other",
        json!({ "tid": CONSUMERS }),
        "invalid_claim",
        &wrong_value("tid"),
    );
}

fn keycloak(v: &mut Vectors) {
    const KEYCLOAK: Pool = Pool {
        key: "keycloak",
        header: r#"{"alg":"RS256","typ" : "JWT","kid" : "keycloak"}"#,
        claims: |changes| {
            let claims = json!({
                "exp": NOW + 3300,
                "iat": NOW - 300,
                "auth_time": NOW - 400,
                "jti": "onrtac:179a04e8-6a41-41bb-ab20-14d55a8518af",
                "iss": "https://sso.acme.example/realms/acme",
                "aud": ["orders", "account"],
                "sub": "8befeac4-8963-49da-a9ac-f310e8d922d8",
                "typ": "Bearer",
                "azp": "web",
                "sid": "54db1502-a5dc-4a27-af62-eeef0694a628",
                "acr": "1",
                "allowed-origins": ["https://shop.acme.example"],
                "realm_access": { "roles": ["default-roles-acme", "offline_access", "admin", "acme auditor"] },
                "resource_access": { "account": { "roles": ["manage-account"] }, "orders": { "roles": ["auditor"] } },
                "scope": "openid email profile",
                "email_verified": true,
                "groups": ["/acme/warehouse"],
                "preferred_username": "amal",
                "email": "amal@acme.example",
            });
            changed(claims, changes)
        },
        answer: || {
            answer(json!({
                "issuer": "keycloak",
                "subject": "8befeac4-8963-49da-a9ac-f310e8d922d8",
                "client_id": "web",
                "roles": ["auditor", "clerk"],
                "refused_roles": ["default-roles-acme", "offline_access"],
                "scopes": ["email", "openid", "profile"],
                "email": "amal@acme.example",
                "email_verified": true,
                "claims": { "groups": ["/acme/warehouse"] },
                "token_id": "onrtac:179a04e8-6a41-41bb-ab20-14d55a8518af",
                "key_id": "keycloak",
            }))
        },
    };
    const AT_JWT: Pool = Pool { header: r#"{"alg":"RS256","typ":"at+jwt","kid":"keycloak"}"#, ..KEYCLOAK };
    v.accept_of(
        &KEYCLOAK,
        "keycloak-access",
        "a user's access token; the realm's `admin` is a clerk here, and roles of clients do not count",
        json!({}),
        json!({}),
    );
    v.accept_of(&AT_JWT, "keycloak-at-jwt", "a client that asks for `at+jwt`", json!({}), json!({}));
    v.accept_of(
        &KEYCLOAK,
        "keycloak-lightweight",
        "a lightweight token, which has no roles",
        json!({ "realm_access": null, "resource_access": null, "email": null, "email_verified": null, "groups": null }),
        json!({ "roles": [], "refused_roles": [], "email": null, "email_verified": null, "claims": {} }),
    );
    let service_account = |changes: Value| {
        let account = json!({
            "azp": "nightly",
            "client_id": "nightly",
            "clientHost": "192.0.2.7",
            "email": null,
            "preferred_username": "service-account-nightly",
        });
        changed(account, changes)
    };
    let client = |principal: &str| json!({ "principal": principal, "client_id": "nightly", "email": null });
    for (name, about, changes, principal) in [
        ("keycloak-client", "the token of a client's service account", json!({}), "Client"),
        (
            "keycloak-client-old",
            "the same of an older version",
            json!({ "client_id": null, "clientId": "nightly" }),
            "Client",
        ),
        (
            "keycloak-client-lightweight",
            "the same as a lightweight token",
            json!({ "preferred_username": null }),
            "Client",
        ),
        (
            "keycloak-user-named-like-an-account",
            "a user who chose the name of a service account is still a user",
            json!({ "client_id": null }),
            "User",
        ),
        (
            "keycloak-user-with-client-id",
            "a `client_id` that a mapper puts into users' tokens makes no client",
            json!({ "preferred_username": "amal" }),
            "User",
        ),
        (
            "keycloak-client-of-another",
            "the service account of another client",
            json!({ "preferred_username": "service-account-hourly" }),
            "User",
        ),
        (
            "keycloak-user-name-odd",
            "a user name that is no text",
            json!({ "preferred_username": ["service-account-nightly"] }),
            "User",
        ),
    ] {
        // `null` takes a member out of the account's claims, so those are put in one by one.
        let account = service_account(changes);
        let mut all = json!({ "email": null, "preferred_username": null });
        for (member, value) in account.as_object().unwrap() {
            all[member] = value.clone();
        }
        v.accept_of(&KEYCLOAK, name, about, all, client(principal));
    }
    let typ = not_an_access_token("keycloak");
    for (name, about, value) in [
        ("keycloak-id-token", "an ID token", json!("ID")),
        ("keycloak-refresh", "a refresh token", json!("Refresh")),
        ("keycloak-offline", "an offline token", json!("Offline")),
        ("keycloak-logout", "a logout token", json!("Logout")),
        ("keycloak-dpop", "a token that is bound to a key, shown without it", json!("DPoP")),
        ("keycloak-typ-case", "the kind in lower case", json!("bearer")),
    ] {
        v.refuse_of(&KEYCLOAK, name, about, json!({ "typ": value }), "wrong_token_use", &typ);
    }
    v.refuse_of(
        &KEYCLOAK,
        "keycloak-typ-missing",
        "a token that does not say its kind",
        json!({ "typ": null }),
        "missing_claim",
        "the token has no claim `typ`",
    );
    for (name, about, aud) in [
        ("keycloak-account", "the audience that a realm gives without a mapper", json!("account")),
        ("keycloak-other-client", "another client of the realm", json!(["billing", "account"])),
    ] {
        v.refuse_of(
            &KEYCLOAK,
            name,
            about,
            json!({ "aud": aud }),
            "wrong_audience",
            &no_audience("aud", "keycloak"),
        );
    }
    v.refuse_of(
        &KEYCLOAK,
        "keycloak-no-audience",
        "no audience at all",
        json!({ "aud": null }),
        "missing_claim",
        "the token has no claim `aud`",
    );
    for (name, about, iss) in [
        (
            "keycloak-other-realm",
            "another realm of the same server",
            "https://sso.acme.example/realms/master",
        ),
        ("keycloak-realm-case", "the realm in capitals", "https://sso.acme.example/realms/ACME"),
        ("keycloak-auth", "the path of older versions", "https://sso.acme.example/auth/realms/acme"),
    ] {
        v.refuse_of(&KEYCLOAK, name, about, json!({ "iss": iss }), "unknown_issuer", &unknown_issuer(iss));
    }
}

fn google(v: &mut Vectors) {
    const AUDIENCE: &str = "812741506391-h38jh0j4fv0ce1krdkiq0hfvt6n5am.apps.googleusercontent.com";
    const GOOGLE: Pool = Pool {
        key: "google",
        header: r#"{"alg":"RS256","kid":"google","typ":"JWT"}"#,
        claims: |changes| {
            let claims = json!({
                "iss": "https://accounts.google.com",
                "azp": AUDIENCE,
                "aud": AUDIENCE,
                "sub": "110169484474386276334",
                "hd": "acme.example",
                "email": "amal@acme.example",
                "email_verified": true,
                "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q",
                "nonce": "0394852-3190485-2490358",
                "iat": NOW - 300,
                "exp": NOW + 3300,
            });
            changed(claims, changes)
        },
        answer: || {
            answer(json!({
                "issuer": "google",
                "subject": "110169484474386276334",
                "client_id": AUDIENCE,
                "roles": ["member"],
                "email": "amal@acme.example",
                "email_verified": true,
                "key_id": "google",
            }))
        },
    };
    v.accept_of(&GOOGLE, "google-id", "an ID token of a Workspace account", json!({}), json!({}));
    v.accept_of(
        &GOOGLE,
        "google-id-no-scheme",
        "the issuer without its scheme, which means the same",
        json!({ "iss": "accounts.google.com" }),
        json!({}),
    );
    v.accept_of(
        &GOOGLE,
        "google-id-other-client",
        "an ID token that an app of the same project got for us",
        json!({ "azp": "812741506391-app.apps.googleusercontent.com" }),
        json!({ "client_id": "812741506391-app.apps.googleusercontent.com" }),
    );
    for (name, about, hd) in [
        ("google-other-domain", "another Workspace", json!("globex.example")),
        ("google-sub-domain", "a domain below ours", json!("x.acme.example")),
        ("google-domain-case", "our domain in capitals", json!("ACME.EXAMPLE")),
    ] {
        v.refuse_of(&GOOGLE, name, about, json!({ "hd": hd }), "invalid_claim", &wrong_value("hd"));
    }
    v.refuse_of(
        &GOOGLE,
        "google-personal",
        "a personal account with an address of our domain",
        json!({ "hd": null }),
        "missing_claim",
        "the token has no claim `hd`",
    );
    v.refuse_of(
        &GOOGLE,
        "google-unverified",
        "an address that was not verified",
        json!({ "email_verified": false }),
        "invalid_claim",
        &wrong_value("email_verified"),
    );
    v.refuse_of(
        &GOOGLE,
        "google-other-audience",
        "an ID token for another application",
        json!({ "aud": "812741506391-other.apps.googleusercontent.com" }),
        "wrong_audience",
        &no_audience("aud", "google"),
    );
    for (name, about, iss) in [
        ("google-http", "the issuer with another scheme", "http://accounts.google.com"),
        ("google-slash", "the issuer with a slash", "https://accounts.google.com/"),
        ("google-firebase", "a Firebase project", "https://securetoken.google.com/acme"),
        ("google-host", "a host that ends like Google's", "https://accounts.google.com.attacker.example"),
    ] {
        v.refuse_of(&GOOGLE, name, about, json!({ "iss": iss }), "unknown_issuer", &unknown_issuer(iss));
    }
    v.malformed(
        "google-access",
        "Google's access tokens are opaque",
        "ya29.a0AfB_byC-notAToken".to_owned(),
        "it is not three parts separated by dots",
    );
}
