//! Tokens that tests make are believed as their issuer's own would be, and for no other reason.

use cedar_gate::bundle::Bundle;
use cedar_gate::jose::PrincipalKind;
use cedar_gate::time::Timestamp;
use cedar_gate::tools::claimant::{ClaimSet, Claimant, ClaimantError, Signature};
use serde_json::{Value, json};

use crate::bundle::example;

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_795_255_200)
}

/// The example, and an issuer of each form that it does not have.
fn bundle() -> Bundle {
    let mut files = example();
    for (name, keys) in [
        ("secret", r#"keys = { secret = { env = "S" }, algorithm = "HS384" }"#),
        (
            "opaque",
            r#"introspection = { url = "https://opaque.example/introspect", client_id = "gate", client_secret = { env = "S" }, prefix = "at_" }"#,
        ),
        ("published", r#"keys = { url = "https://published.example/jwks.json" }"#),
    ] {
        let text = format!(
            "name = \"{name}\"\nissuer = \"https://{name}.example\"\nprovider = \"oidc\"\ntoken_use = \"access\"\n\
             audience = [\"orders-api\"]\nroles = {{ claim = \"roles\", grant = [\"clerk\"] }}\n{keys}\n"
        );
        files.insert(format!("policies/issuers/{name}.toml"), text);
    }
    Bundle::load(&files).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What is believed of a claim set with changes, or why it is not.
fn believed(
    claimant: &Claimant<'_>,
    issuer: &str,
    change: impl FnOnce(&mut ClaimSet),
) -> Result<String, String> {
    let mut set = ClaimSet::new(issuer, "amal", now());
    set.request.roles = vec!["auditor".to_owned(), "clerk".to_owned()];
    set.request.tenant = Some("acme".to_owned());
    change(&mut set);
    let presented = claimant.present(&set, now()).unwrap();
    match claimant.verify(&presented, now()) {
        Ok(claims) => {
            let kind = match claims.kind() {
                PrincipalKind::User => "User",
                PrincipalKind::Client => "Client",
            };
            let tenant = claims.tenant().unwrap_or("none");
            Ok(format!(
                "{kind} {}|{} of {tenant}: {}, not {}",
                claims.issuer(),
                claims.subject(),
                claims.roles().join(" "),
                claims.refused_roles().join(" ")
            ))
        }
        Err(error) => Err(error.slug().to_owned()),
    }
}

#[test]
fn every_issuer_is_believed_as_far_as_its_file_goes() {
    let bundle = bundle();
    let claimant = Claimant::new(&bundle).unwrap();
    for (issuer, expected) in [
        ("acme-staff", "User acme-staff|amal of acme: auditor clerk, not "),
        ("globex-staff", "User globex-staff|amal of globex: auditor, not clerk"),
        ("dev", "User dev|amal of acme: auditor clerk, not "),
        ("secret", "User secret|amal of none: clerk, not auditor"),
        ("opaque", "User opaque|amal of none: clerk, not auditor"),
        ("published", "User published|amal of none: clerk, not auditor"),
    ] {
        assert_eq!(believed(&claimant, issuer, |_| ()), Ok(expected.to_owned()));
        // Of Cognito, the client is the audience: one that the file does not list is refused.
        let client = believed(&claimant, issuer, |set| set.request.client_id = Some("amal".to_owned()));
        assert_eq!(
            client,
            match issuer.ends_with("-staff") {
                true => Err("wrong_audience".to_owned()),
                false => Ok(expected.replacen("User", "Client", 1)),
            }
        );
    }
}

#[test]
fn a_token_that_is_not_its_issuers_is_refused_for_what_is_wrong_with_it() {
    let bundle = bundle();
    let claimant = Claimant::new(&bundle).unwrap();
    let claim = |name: &'static str, value: Value| {
        move |set: &mut ClaimSet| drop(set.request.claims.insert(name.to_owned(), value))
    };
    let signed = |signature: Signature| move |set: &mut ClaimSet| set.signature = signature;
    let other = || Signature::Of("globex-staff".to_owned());
    for (issuer, signature, expected) in [
        ("acme-staff", Signature::Forged, "bad_signature"),
        ("acme-staff", Signature::UnknownKey, "unknown_key"),
        ("acme-staff", other(), "unknown_key"),
        ("acme-staff", Signature::Of("secret".to_owned()), "wrong_algorithm"),
        ("acme-staff", Signature::Of("opaque".to_owned()), "unknown_key"),
        ("acme-staff", Signature::None, "malformed_token"),
        ("secret", Signature::Forged, "bad_signature"),
        ("secret", other(), "wrong_algorithm"),
        ("opaque", Signature::Forged, "inactive_token"),
        ("opaque", Signature::None, "inactive_token"),
    ] {
        let name = format!("{issuer} {signature:?}");
        assert_eq!(believed(&claimant, issuer, signed(signature)), Err(expected.to_owned()), "{name}");
    }
    for (name, value, expected) in [
        ("exp", json!(now().unix_seconds() - 3_600), "expired"),
        ("nbf", json!(now().unix_seconds() + 3_600), "not_yet_valid"),
        ("client_id", json!("another"), "wrong_audience"),
        ("token_use", json!("id"), "wrong_token_use"),
        ("sub", Value::Null, "missing_claim"),
        ("exp", Value::Null, "missing_claim"),
        ("iss", json!("https://nobody.example"), "unknown_issuer"),
    ] {
        assert_eq!(believed(&claimant, "acme-staff", claim(name, value)), Err(expected.to_owned()), "{name}");
    }
    let header = |set: &mut ClaimSet| drop(set.header.insert("crit".to_owned(), json!(["b64"])));
    assert_eq!(believed(&claimant, "dev", header), Err("unsupported_header".to_owned()));
}

#[test]
fn the_keys_are_made_anew_each_time() {
    let bundle = bundle();
    let (one, two) = (Claimant::new(&bundle).unwrap(), Claimant::new(&bundle).unwrap());
    let presented = one.present(&ClaimSet::new("acme-staff", "amal", now()), now()).unwrap();
    assert!(one.verify(&presented, now()).is_ok());
    assert_eq!(two.verify(&presented, now()).unwrap_err().slug(), "unknown_key");
    assert!(format!("{one:?}").contains("KeyPair(…)"));
}

#[test]
fn an_issuer_that_is_none_is_named() {
    let bundle = bundle();
    let error = Claimant::new(&bundle).unwrap().present(&ClaimSet::new("acme", "amal", now()), now());
    assert_eq!(error.unwrap_err(), ClaimantError::UnknownIssuer { name: "acme".to_owned() });
}
