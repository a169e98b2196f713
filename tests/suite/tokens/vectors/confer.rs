//! What an issuer may confer is bounded by its own file: a partner's token that carries `admin` gains nothing, wherever
//! and however it says so.

use serde_json::{Value, json};

use super::{COGNITO_HEADER, Vectors, cognito_answer, replaced};

pub(super) fn add(v: &mut Vectors) {
    spellings(v);
    places(v);
    maps(v);
}

/// `refused` stands where roles do and makes none.
fn spellings(v: &mut Vectors) {
    for (name, about, given, roles, refused) in [
        (
            "case",
            "names have case",
            json!(["Admin", "ADMIN", "aDmIn", "Clerk"]),
            json!([]),
            json!(["ADMIN", "Admin", "Clerk", "aDmIn"]),
        ),
        (
            "look-alike",
            "letters that look alike, full width, an invisible one",
            json!(["cl\u{435}rk", "\u{ff43}\u{ff4c}\u{ff45}\u{ff52}\u{ff4b}", "clerk\u{200b}"]),
            json!([]),
            json!(["clerk\u{200b}", "cl\u{435}rk", "\u{ff43}\u{ff4c}\u{ff45}\u{ff52}\u{ff4b}"]),
        ),
        (
            "spaces-in-an-element",
            "an element of an array is one name, also with spaces in it",
            json!(["clerk admin", " clerk", "clerk ", "clerk\tadmin", "clerk\n"]),
            json!([]),
            json!([" clerk", "clerk\tadmin", "clerk\n", "clerk ", "clerk admin"]),
        ),
        (
            "one-string",
            "a string has spaces between its names",
            json!("admin clerk  root"),
            json!(["clerk"]),
            json!(["admin", "root"]),
        ),
        (
            "other-separators",
            "and nothing else between them",
            json!("clerk,admin clerk;admin clerk|admin\tclerk"),
            json!([]),
            json!(["clerk,admin", "clerk;admin", "clerk|admin\tclerk"]),
        ),
        (
            "words",
            "words that mean something elsewhere",
            json!(["*", "any", "", " ", "__proto__", "null", "true"]),
            json!([]),
            json!(["", " ", "*", "__proto__", "any", "null", "true"]),
        ),
        (
            "entities",
            "text that would be another entity",
            json!(["Role::\"admin\"", "clerk\", Role::\"admin", "../admin", "clerk|admin", "globex|admin"]),
            json!([]),
            json!(["../admin", "Role::\"admin\"", "clerk\", Role::\"admin", "clerk|admin", "globex|admin"]),
        ),
        (
            "among-many",
            "`admin` among three hundred names",
            json!((0..300).map(|i| format!("r{i:03}")).chain(["admin".to_owned()]).collect::<Vec<_>>()),
            json!([]),
            json!(
                std::iter::once("admin".to_owned())
                    .chain((0..300).map(|i| format!("r{i:03}")))
                    .collect::<Vec<_>>()
            ),
        ),
    ] {
        let mut refused: Vec<String> = serde_json::from_value(refused).unwrap();
        refused.sort_unstable();
        v.accept_partner(
            &format!("confer-{name}"),
            about,
            json!({ "realm_access": { "roles": given } }),
            json!({ "roles": roles, "refused_roles": refused }),
        );
    }
}

/// `admin` stands elsewhere in the token.
fn places(v: &mut Vectors) {
    let none = json!({ "roles": [], "refused_roles": [] });
    let clerk = json!({ "refused_roles": ["offline_access"] });
    for (name, about, changes, answer) in [
        (
            "other-claims",
            "`admin` in every claim that is a roles claim somewhere",
            json!({
                "roles": ["admin"],
                "role": "admin",
                "groups": ["admin"],
                "cognito:groups": ["admin"],
                "cognito:preferred_role": "admin",
                "permissions": ["admin"],
                "entitlements": ["admin"],
                "wids": ["admin"],
                "authorities": ["admin"],
                "resource_access": { "orders": { "roles": ["admin"] } },
            }),
            clerk.clone(),
        ),
        (
            "beside-the-object",
            "`admin` beside the object with the roles",
            json!({ "realm_access": { "admin": true, "roles": ["clerk", "offline_access"], "Roles": ["admin"] } }),
            clerk.clone(),
        ),
        (
            "deeper",
            "`admin` deeper than the roles are",
            json!({ "realm_access": { "x": { "roles": ["admin"] } } }),
            none.clone(),
        ),
        (
            "in-a-list-of-objects",
            "objects in place of the object",
            json!({ "realm_access": [{ "roles": ["admin"] }] }),
            none.clone(),
        ),
        ("null", "no roles, said so", json!({ "realm_access": { "roles": [] } }), none),
        (
            "scope",
            "`admin` as a scope is a scope",
            json!({ "scope": "admin role:admin clerk" }),
            replaced(clerk.clone(), json!({ "scopes": ["admin", "clerk", "role:admin"] })),
        ),
        (
            "client",
            "a client that is called `admin`",
            json!({ "client_id": "admin" }),
            replaced(clerk.clone(), json!({ "client_id": "admin" })),
        ),
        (
            "subject",
            "a subject that is called `admin`",
            json!({ "sub": "admin" }),
            replaced(clerk.clone(), json!({ "subject": "admin" })),
        ),
        (
            "attribute",
            "`admin` as an attribute is an attribute",
            json!({ "department": "admin" }),
            replaced(
                clerk,
                json!({
                    "claims": {
                        "contractor": false, "department": "admin", "level": 3, "regions": ["north", "south"],
                    },
                }),
            ),
        ),
    ] {
        v.accept_partner(&format!("confer-{name}"), about, changes, answer);
    }
    for (name, about, roles) in [
        ("object", "an object with `admin` in it", json!({ "admin": true })),
        ("nested", "an array in the array", json!([["admin"]])),
        ("number", "a number among the names", json!(["clerk", 0])),
        ("true", "a boolean", json!(true)),
    ] {
        v.refuse_partner(
            &format!("confer-{name}"),
            about,
            json!({ "realm_access": { "roles": roles } }),
            "invalid_claim",
            "claim `realm_access.roles` is not a string or an array of strings",
        );
    }
    v.accept_portal(
        "confer-without-roles",
        "an issuer that may confer nothing",
        json!({ "cognito:groups": ["admin", "clerk"], "cognito:roles": ["admin"] }),
        json!({}),
    );
}

/// The names that a file maps, and those that only look like it.
fn maps(v: &mut Vectors) {
    for (name, about, groups, roles, refused) in [
        ("mapped", "a name that is mapped", json!(["Acme Auditors"]), json!(["auditor"]), json!([])),
        (
            "mapped-case",
            "a name that is mapped, in another case or with spaces",
            json!(["acme auditors", "Acme Auditors ", "Acme  Auditors", "Acme", "Auditors"]),
            json!([]),
            json!(["Acme", "Acme  Auditors", "Acme Auditors ", "Auditors", "acme auditors"]),
        ),
        (
            "mapped-string",
            "the same in one string: two names",
            json!("Acme Auditors"),
            json!([]),
            json!(["Acme", "Auditors"]),
        ),
    ] {
        let token = super::sign(
            &super::key("acme-1"),
            COGNITO_HEADER,
            &super::cognito(json!({ "cognito:groups": groups })).to_string(),
        );
        let answer: Value = json!({ "roles": roles, "refused_roles": refused });
        v.accept(&format!("confer-{name}"), about, token, replaced(cognito_answer(), answer));
    }
}
