//! What it costs to trust many issuers: whose token it is must be found in one look-up, however many there are.
//!
//! Both sides verify a thousand different tokens in turn; on one side they are one issuer's, on the other each is another's
//! of ten thousand. So neither side has more of its data at hand than the other.

use std::cell::Cell;
use std::sync::Arc;

use aws_lc_rs::rsa::{KeyPair, KeySize};
use cedar_gate::credential::BearerToken;
use cedar_gate::jose::{JwkSet, KeyRing, TrustedIssuer, TrustedIssuers, verify};

use crate::subject::{NOW, public_jwks, signed_token};
use crate::{Measured, measured};

const MANY: usize = 10_000;
const TOKENS: usize = 1_000;

/// Hands over the one issuer first, then the many.
pub(crate) fn with(report: impl FnOnce(&Measured<'_>, &[Measured<'_>])) {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key pair can be generated");
    let keys = public_jwks(&pair).to_string();
    let keys = Arc::new(JwkSet::from_json(keys.as_bytes()).expect("the key is one"));
    let [(one, ring_of_one), (many, ring_of_many)] = [1, MANY].map(|count| trusting(count, &keys));
    let tokens = |issuers: usize| -> Vec<BearerToken<'static>> {
        // Spread over all of them.
        let numbers = (0..TOKENS).map(|number| number * (MANY / TOKENS) % issuers);
        numbers
            .map(|number| BearerToken::new(signed_token(&pair, &iss(number))).expect("it is one"))
            .collect()
    };
    let (tokens_of_one, tokens_of_many) = (tokens(1), tokens(MANY));
    report(
        &measured("a token of 1 issuer", verifying(&tokens_of_one, &one, &ring_of_one)),
        &[measured("a token of one of 10,000", verifying(&tokens_of_many, &many, &ring_of_many))],
    );
}

fn verifying<'a>(
    tokens: &'a [BearerToken<'static>],
    issuers: &'a TrustedIssuers,
    keys: &'a KeyRing,
) -> impl Fn() -> usize + 'a {
    let next = Cell::new(0);
    move || {
        let number = next.replace((next.get() + 1) % tokens.len());
        let token = tokens.get(number).expect("the number is one of theirs");
        verify(token, issuers, keys, NOW).expect("the token is right").roles().len()
    }
}

fn iss(number: usize) -> String {
    format!("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_{number:09}")
}

fn trusting(count: usize, keys: &Arc<JwkSet>) -> (TrustedIssuers, KeyRing) {
    let mut ring = KeyRing::default();
    let issuers = (0..count).map(|number| {
        let issuer = TrustedIssuer::from_toml(&format!(
            r#"
            name = "tenant-{number}"
            issuer = "{}"
            provider = "cognito"
            token_use = "access"
            audience = ["1example23456789"]
            tenant = "tenant-{number}"
            roles = {{ grant = ["clerk", "auditor"] }}
            "#,
            iss(number)
        ));
        let issuer = issuer.expect("the file is one");
        ring.insert(issuer.key_set(), Arc::clone(keys));
        issuer
    });
    let issuers = TrustedIssuers::new(issuers.collect()).expect("each issuer is trusted once");
    (issuers, ring)
}
