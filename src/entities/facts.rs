//! Everything that the schema lets a policy read of a caller and a request, but for what a decision record names anyway:
//! principal, roles, tenant, operation and path. A request can be decided once more from both together.

use std::borrow::Cow;

use super::{EntityFactory, HttpFacts, coerced};
use crate::bundle::vocabulary::HttpShape;
use crate::jose::{ClaimValue, PrincipalKind, VerifiedClaims};

/// One fact that the schema declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact<'f> {
    /// As a policy names it: `principal.claims.department`, `context.http.source_ip`.
    pub name: Cow<'f, str>,
    /// What it is for this caller and request; `None` where it is not there.
    pub value: Option<FactValue<'f>>,
}

/// The value of a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactValue<'f> {
    /// A text.
    Text(Cow<'f, str>),
    /// A whole number.
    Long(i64),
    /// A truth value.
    Bool(bool),
    /// A list of texts.
    Texts(Cow<'f, [String]>),
}

impl From<ClaimValue> for FactValue<'_> {
    fn from(value: ClaimValue) -> Self {
        match value {
            ClaimValue::String(text) => Self::Text(text.into()),
            ClaimValue::Long(number) => Self::Long(number),
            ClaimValue::Bool(truth) => Self::Bool(truth),
            ClaimValue::Set(items) => Self::Texts(items.into()),
        }
    }
}

impl EntityFactory {
    /// The facts of a request, in a fixed order. `http` has to hold all that the event carries of what is declared.
    /// The moment is not among them: each decision record has it.
    #[must_use]
    pub fn facts<'f>(&'f self, claims: &'f VerifiedClaims, http: &'f HttpFacts) -> Vec<Fact<'f>> {
        let shape = match claims.kind() {
            PrincipalKind::User => &self.vocabulary.user,
            PrincipalKind::Client => &self.vocabulary.client,
        };
        let text = |text: Option<&'f str>| text.map(|text| FactValue::Text(text.into()));
        let attributes = [
            ("sub", "principal.sub", text(Some(claims.subject()))),
            ("issuer", "principal.issuer", text(Some(claims.issuer()))),
            ("client_id", "principal.client_id", text(claims.client_id())),
            ("scopes", "principal.scopes", Some(FactValue::Texts(claims.scopes().into()))),
            ("email", "principal.email", text(claims.email())),
            ("email_verified", "principal.email_verified", claims.email_verified().map(FactValue::Bool)),
        ];
        let mut facts = Vec::with_capacity(16);
        let is_declared = |name: &str| shape.attributes.contains(name);
        facts.extend(
            attributes
                .into_iter()
                .filter(|(attribute, ..)| is_declared(attribute))
                .map(|(_, name, value)| Fact { name: name.into(), value }),
        );
        facts.extend(shape.claims.iter().flatten().map(|(name, shape)| {
            let given = claims.claims().find(|(given, _)| given == name);
            // What does not fit made no principal, and so no decision.
            let value = given.and_then(|(_, value)| coerced(name, shape.kind, value).ok());
            Fact { name: format!("principal.claims.{name}").into(), value: value.map(FactValue::from) }
        }));
        push_http_facts(http, &self.vocabulary.http, &mut facts);
        facts
    }
}

fn push_http_facts<'f>(http: &'f HttpFacts, shape: &HttpShape, facts: &mut Vec<Fact<'f>>) {
    let text = |text: &'f String| FactValue::Text(text.into());
    if shape.source_ip {
        let address =
            http.source_ip.map(|address| FactValue::Text(address.to_canonical().to_string().into()));
        facts.push(Fact { name: "context.http.source_ip".into(), value: address });
    }
    if shape.client_cert_subject {
        let subject = http.client_cert_subject.as_ref().map(text);
        facts.push(Fact { name: "context.http.client_cert_subject".into(), value: subject });
    }
    for (group, declared, given) in [
        ("headers", &shape.headers, &http.headers),
        ("query", &shape.query, &http.query),
        ("stage_variables", &shape.stage_variables, &http.stage_variables),
    ] {
        facts.extend(declared.iter().map(|name| {
            let value = given.iter().find(|(given, _)| given == name).map(|(_, value)| text(value));
            Fact { name: format!("context.http.{group}.{name}").into(), value }
        }));
    }
}
