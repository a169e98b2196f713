//! What a person can do about a token that is refused.

use cedar_gate::bundle::BundleFacts;
use cedar_gate::jose::issuer::{KeySource, TokenUse};
use cedar_gate::jose::{Malformation, RevokedBy, TokenError, TrustedIssuer};
use cedar_gate::time::Timestamp;
use cedar_gate::tools::issuer_file::options_for;
use serde_json::Value;

use crate::keys::Fetched;
use crate::shell;

/// What to do about a refusal, where there is something to do. `claims` are the token's own, verified or not.
pub(crate) fn for_token(
    error: &TokenError,
    claims: &Value,
    bundle: &BundleFacts,
    fetched: &Fetched,
    now: Timestamp,
) -> Option<String> {
    let text = match error {
        TokenError::Missing => "give it as an argument, or on stdin".to_owned(),
        TokenError::Malformed(Malformation::Parts) => {
            "a JWT has three parts with dots between; a token of another form is its issuer's secret"
                .to_owned()
        }
        TokenError::Malformed(Malformation::Base64(_)) => {
            "copy the token whole, and nothing beside it".to_owned()
        }
        TokenError::Algorithm | TokenError::UnsupportedHeader { .. } => {
            "its issuer must sign it otherwise".to_owned()
        }
        TokenError::UnknownIssuer { .. } => unknown_issuer(claims.get("iss")?.as_str()?, bundle),
        TokenError::UnknownKeyId { key_set: Some(key_set), .. } => unknown_key(bundle.issuers().with_key_set(key_set)?),
        TokenError::KeysUnavailable { key_set } | TokenError::KeysOutdated { key_set, .. } => {
            let next = keys_unavailable(bundle.issuers().with_key_set(key_set)?, fetched);
            match fetched.failure() {
                Some(failure) => format!("{failure}; {next}"),
                None => next,
            }
        }
        TokenError::IntrospectionUnavailable { issuer, .. } => {
            let next = introspection_unavailable(issuer, fetched);
            match fetched.failure() {
                Some(failure) => format!("{failure}; {next}"),
                None => next,
            }
        }
        TokenError::Inactive { .. } => {
            "it has expired, was revoked, or is another issuer's: get a new one".to_owned()
        }
        TokenError::NotOpaque { .. } => {
            "`keys` in the issuer's file has its JWTs accepted too, where it has any".to_owned()
        }
        TokenError::SenderConstrained { .. } => {
            "get one that is not bound; or, where something in front checks the key, write cnf = \"any\" into the issuer's file"
                .to_owned()
        }
        TokenError::BadSignature => {
            "it was changed on its way, or somebody else signed it: get a new one".to_owned()
        }
        TokenError::AmbiguousKey { .. } => "its issuer must write a `kid` into its header".to_owned(),
        TokenError::Expired { expired_at, .. } => {
            format!("it expired {} ago: get a new one{}", between(*expired_at, now), leeway(*expired_at, now))
        }
        TokenError::NotYetValid { valid_from, .. } => {
            let wait = between(now, *valid_from);
            format!("it will be valid in {wait}, if this clock is right{}", leeway(now, *valid_from))
        }
        TokenError::WrongAudience { issuer, .. } => {
            let accepted = bundle.issuers().named(issuer)?.audiences()?.join("`, `");
            format!("accepted are `{accepted}`; `audience` in the issuer's file lists them")
        }
        TokenError::WrongTokenUse { expected, .. } => wrong_token_use(*expected).to_owned(),
        TokenError::WrongType { issuer, .. } => format!(
            "{}; `typ` in the issuer's file says what its tokens carry",
            wrong_token_use(bundle.issuers().named(issuer)?.token_use())
        ),
        TokenError::WrongTenant { issuer, .. } => {
            let tenants = bundle.issuers().named(issuer)?.tenants()?.join("`, `");
            format!("the issuer may speak for `{tenants}`; `tenant` in its file lists them")
        }
        TokenError::TooOld { .. } => {
            "get a new one; `max_token_age` in the issuer's file says how old it may be".to_owned()
        }
        TokenError::WrongClient { .. } => "`clients` in the issuer's file lists whose tokens are accepted".to_owned(),
        TokenError::MissingScope { .. } => {
            "the client must ask for it; `required_scopes` in the issuer's file lists what each token needs".to_owned()
        }
        TokenError::ClaimsOverage { .. } => {
            "its issuer must write fewer of them into it, or roles in place of groups".to_owned()
        }
        TokenError::Revoked { by: RevokedBy::Issuer(_), .. } => {
            "sign in again; `not_before` in the issuer's file says so".to_owned()
        }
        TokenError::Revoked { by: RevokedBy::Subject(_) | RevokedBy::Client(_) | RevokedBy::Token(_), .. } => {
            "policies/revocations.toml says so".to_owned()
        }
        TokenError::IssuerAlgorithm { .. } => {
            "`algorithm` beside `secret` in the issuer's file says which is accepted".to_owned()
        }
        TokenError::KeyAlgorithm { .. } => {
            "a key is used with its own algorithm alone; its issuer must sign with that, or publish another key"
                .to_owned()
        }
        TokenError::KeyOfAnotherIssuer { .. } => "its issuer must sign with a key of its own".to_owned(),
        TokenError::MissingClaim { .. } => "its issuer must put it in".to_owned(),
        // Nothing can be said that the reason does not say.
        TokenError::TooLarge { .. }
        | TokenError::Malformed(_)
        | TokenError::UnknownKeyId { key_set: None, .. }
        | TokenError::InvalidClaim { .. } => return None,
    };
    Some(text)
}

/// What to do where keys of an issuer are not there.
pub(crate) fn keys_unavailable(issuer: &TrustedIssuer, fetched: &Fetched) -> String {
    let name = issuer.name();
    match (fetched, issuer.keys()) {
        (_, KeySource::Development) => "its key is made by: cedar-gate token mint".to_owned(),
        (_, KeySource::Secret(secret)) => {
            format!("its secret is looked for in {}: cedar-gate issuer probe {name}", secret.source)
        }
        (Fetched::Failed(_), _) => format!("ask it again with: cedar-gate issuer probe {name}"),
        (Fetched::Forbidden, _) => "leave out --offline to have them fetched".to_owned(),
        (_, _) => format!("see why with: cedar-gate issuer probe {name}"),
    }
}

/// What to do where an issuer could not be asked about a token.
pub(crate) fn introspection_unavailable(issuer: &str, fetched: &Fetched) -> String {
    match fetched {
        Fetched::Forbidden => "leave out --offline to have its issuer asked".to_owned(),
        Fetched::Nothing | Fetched::Asked | Fetched::Failed(_) => {
            format!("ask it again with: cedar-gate issuer probe {issuer}")
        }
    }
}

/// An issuer that is nearly trusted, or else the command that trusts it.
fn unknown_issuer(iss: &str, bundle: &BundleFacts) -> String {
    let plain = |iss: &str| iss.trim_end_matches('/').to_ascii_lowercase();
    if let Some(near) = bundle.issuers().iter().find(|issuer| plain(issuer.issuer()) == plain(iss)) {
        return format!(
            "`{}` is trusted as `{}`: `issuer` in its file must be the token's `iss`, character by character",
            near.issuer(),
            near.name()
        );
    }
    format!("to trust it: cedar-gate issuer add --name NAME {}", options_for(iss))
}

fn unknown_key(issuer: &TrustedIssuer) -> String {
    match issuer.keys() {
        KeySource::File(file) => {
            format!("its keys are pinned: add the new one to policies/issuers/{}", file.as_str())
        }
        KeySource::Inline(_) => "its keys are pinned: add the new one to its file".to_owned(),
        KeySource::Development => "this machine's key was made anew: mint a new token".to_owned(),
        KeySource::Published(_) | KeySource::Secret(_) | KeySource::Opaque => {
            format!("the keys that it publishes are shown by: cedar-gate issuer probe {}", issuer.name())
        }
    }
}

fn wrong_token_use(expected: TokenUse) -> &'static str {
    match expected {
        TokenUse::Access => {
            "send the access token: an ID token tells a client who signed in, and opens no API"
        }
        TokenUse::Id => "send the ID token: its issuer's file asks for it",
        TokenUse::Any => "send an access or ID token",
    }
}

fn between(earlier: Timestamp, later: Timestamp) -> String {
    let millis = later.unix_millis().saturating_sub(earlier.unix_millis());
    shell::duration(millis.unsigned_abs() / 1_000)
}

/// The way out where clocks differ by no more than can be allowed for.
fn leeway(earlier: Timestamp, later: Timestamp) -> &'static str {
    let apart = later.unix_millis().saturating_sub(earlier.unix_millis());
    if (0..=120_000).contains(&apart) {
        "; `leeway` in the issuer's file allows for clocks that differ"
    } else {
        ""
    }
}
