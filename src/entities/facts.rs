//! Everything that the schema lets a policy read of a caller and a request, but for what a decision record names anyway:
//! principal, roles, tenant, operation and path. A request can be decided once more from both together.

use super::{EntityFactory, HttpFacts, coerced};
use crate::bundle::vocabulary::HttpShape;
use crate::jose::{ClaimValue, PrincipalKind, VerifiedClaims};

/// One fact that the schema declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// As a policy names it: `principal.claims.department`, `context.http.source_ip`.
    pub name: String,
    /// What it is for this caller and request; `None` where it is not there.
    pub value: Option<ClaimValue>,
}

impl EntityFactory {
    /// The facts of a request, in a fixed order. `http` has to hold all that the event carries of what is declared.
    /// The moment is not among them: each decision record has it.
    #[must_use]
    pub fn facts(&self, claims: &VerifiedClaims, http: &HttpFacts) -> Vec<Fact> {
        let shape = match claims.kind() {
            PrincipalKind::User => &self.vocabulary.user,
            PrincipalKind::Client => &self.vocabulary.client,
        };
        let text = |text: Option<&str>| text.map(|text| ClaimValue::String(text.to_owned()));
        let attributes = [
            ("sub", text(Some(claims.subject()))),
            ("issuer", text(Some(claims.issuer()))),
            ("client_id", text(claims.client_id())),
            ("scopes", Some(ClaimValue::Set(claims.scopes().to_vec()))),
            ("email", text(claims.email())),
            ("email_verified", claims.email_verified().map(ClaimValue::Bool)),
        ]
        .into_iter()
        .filter(|(name, _)| shape.attributes.contains(*name))
        .map(|(name, value)| Fact { name: format!("principal.{name}"), value });
        let claims = shape.claims.iter().flatten().map(|(name, shape)| {
            let given = claims.claims().find(|(given, _)| given == name);
            // What does not fit made no principal, and so no decision.
            let value = given.and_then(|(_, value)| coerced(name, shape.kind, value).ok());
            Fact { name: format!("principal.claims.{name}"), value }
        });
        attributes.chain(claims).chain(http_facts(http, &self.vocabulary.http)).collect()
    }
}

fn http_facts(http: &HttpFacts, shape: &HttpShape) -> Vec<Fact> {
    let one = |name: &str, value: Option<String>| Fact {
        name: format!("context.http.{name}"),
        value: value.map(ClaimValue::String),
    };
    let address = http.source_ip.map(|address| address.to_canonical().to_string());
    let mut facts = Vec::new();
    facts.extend(shape.source_ip.then(|| one("source_ip", address)));
    facts.extend(
        shape.client_cert_subject.then(|| one("client_cert_subject", http.client_cert_subject.clone())),
    );
    for (group, declared, given) in [
        ("headers", &shape.headers, &http.headers),
        ("query", &shape.query, &http.query),
        ("stage_variables", &shape.stage_variables, &http.stage_variables),
    ] {
        for name in declared {
            let value = given.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
            facts.push(one(&format!("{group}.{name}"), value));
        }
    }
    facts
}
