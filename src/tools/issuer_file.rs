//! A new issuer file, as a person would write it, from what the provider's console shows.

mod iss;

pub use iss::{AddressError, EntraVersion, Iss, options_for};

use crate::jose::issuer::{Provider, TokenUse};

/// Whose tokens are to be trusted, for whom, and what they may confer. What the texts may say is not judged here: the
/// file is read as any other before it is used.
#[derive(Clone, Debug)]
pub struct NewIssuer {
    /// The alias.
    pub name: String,
    /// Where the presets are from.
    pub provider: Provider,
    /// The tokens' `iss`.
    pub issuer: Iss,
    /// Further ones of the same pool of people.
    pub also_issuers: Vec<String>,
    /// The kind of token that is accepted.
    pub token_use: TokenUse,
    /// Audiences or client ids; `any` alone accepts all.
    pub audience: Vec<String>,
    /// Whose people they are.
    pub tenant: Option<NewTenant>,
    /// The roles that it may confer.
    pub roles: Vec<String>,
    /// The claim that names them, where it is not the provider's usual one.
    pub roles_claim: Option<String>,
    /// Attributes of a principal's `claims`, each with its claim.
    pub claims: Vec<(String, String)>,
    /// Where the keys are.
    pub keys: NewKeys,
    /// Whether it is for development only.
    pub development: bool,
}

/// Which tenant the tokens speak for.
#[derive(Clone, Debug)]
pub enum NewTenant {
    /// Always this one.
    Fixed(String),
    /// The one that a claim names.
    Claimed {
        /// The claim.
        claim: String,
        /// The tenants it may name; `any` alone allows all.
        allow: Vec<String>,
    },
}

/// Where the keys of a new issuer are.
#[derive(Clone, Debug)]
pub enum NewKeys {
    /// Where the provider publishes them.
    Preset,
    /// At this address.
    Url(String),
    /// In a file beside the issuer's.
    File(String),
}

impl NewIssuer {
    /// The file's text: each line with a comment above it that says what the line means.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let lines = self.lines();
        let width = lines.iter().map(|line| line.key.len()).max().unwrap_or_default();
        let mut file = format!("# Tokens of {}.\n\n", self.issuer.of());
        for Line { about, key, value } in &lines {
            file.push_str(&format!("# {about}\n{key:width$} = {value}\n"));
        }
        file
    }

    fn lines(&self) -> Vec<Line> {
        let line = |about, key, value| Line { about, key, value };
        let mut lines = vec![
            line("What we call it: stands in entity ids, logs and reasons.", "name", quoted(&self.name)),
            line(
                "The `iss` of its tokens, compared character by character.",
                "issuer",
                quoted(self.issuer.as_str()),
            ),
        ];
        if !self.issuer.tenant_ids().is_empty() {
            lines.push(line(
                "The tenants that are trusted, each in place of {tenantid}; who is called alike in two of them is two people.",
                "tenant_ids",
                list(self.issuer.tenant_ids()),
            ));
        }
        if !self.also_issuers.is_empty() {
            lines.push(line(
                "Further `iss` of the same people: same name and rules, so the same principals.",
                "also_issuers",
                list(&self.also_issuers),
            ));
        }
        lines.extend([
            line(
                "Which claims hold audience, client, scopes and roles; a line of one's own wins.",
                "provider",
                quoted(self.provider.as_str()),
            ),
            line(about_token_use(self.token_use), "token_use", quoted(self.token_use.as_str())),
            line(self.about_audience(), "audience", list_or_any(&self.audience)),
        ]);
        match &self.tenant {
            None => {}
            Some(NewTenant::Fixed(name)) => {
                lines.push(line("Whose people they are.", "tenant", quoted(name)))
            }
            Some(NewTenant::Claimed { claim, allow }) => lines.push(line(
                "The claim that says the tenant, and the tenants for which the issuer may speak.",
                "tenant",
                format!("{{ claim = {}, allow = {} }}", quoted(claim), list_or_any(allow)),
            )),
        }
        if !self.roles.is_empty() {
            let claim = self.roles_claim.as_deref().unwrap_or_else(|| self.provider.roles_claim());
            lines.push(line(
                "The claim that names roles, and those that it may confer: any other name in it gains nothing.",
                "roles",
                format!("{{ claim = {}, grant = {} }}", quoted(claim), list(&self.roles)),
            ));
        }
        if !self.claims.is_empty() {
            let pairs = self.claims.iter().map(|(name, claim)| format!("{} = {}", key(name), quoted(claim)));
            lines.push(line(
                "What policies read as principal.claims, and the claim it is from.",
                "claims",
                format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", ")),
            ));
        }
        match &self.keys {
            NewKeys::Preset => {}
            NewKeys::Url(url) => lines.push(line(
                "Where its keys are published: fetched, and believed for an hour at most.",
                "keys",
                format!("{{ url = {} }}", quoted(url)),
            )),
            NewKeys::File(file) => lines.push(line(
                "Its keys, pinned: one that it adds is not accepted before it stands in this file.",
                "keys",
                format!("{{ file = {} }}", quoted(file)),
            )),
        }
        if self.development {
            lines.push(line(
                "For development only: a bundle for production refuses this file.",
                "development",
                "true".to_owned(),
            ));
        }
        lines
    }

    fn about_audience(&self) -> &'static str {
        match (self.audience.as_slice(), self.provider, self.token_use) {
            ([any], _, _) if any == "any" => "No audience is checked: a token for anybody is accepted.",
            (_, Provider::Cognito, _) => "The app clients whose tokens are accepted.",
            (_, Provider::Google, _) | (_, _, TokenUse::Id) => "The clients that people sign in to.",
            (_, Provider::Auth0, _) => "The identifier of the API in Auth0.",
            (_, Provider::Okta, _) => "The audience of the authorization server.",
            (_, Provider::Entra, _) => {
                "The application id of the API, or for tokens of version 1.0 its App ID URI."
            }
            (_, Provider::Keycloak, _) => {
                "For whom a token must be made: an audience mapper of the client says so."
            }
            (_, Provider::Oidc, _) => "For whom a token must be made.",
        }
    }
}

/// A line of the file: what it means, and what it says.
struct Line {
    about: &'static str,
    key: &'static str,
    value: String,
}

fn about_token_use(token_use: TokenUse) -> &'static str {
    match token_use {
        TokenUse::Access => "Access tokens are accepted, ID tokens are not.",
        TokenUse::Id => "ID tokens are accepted, access tokens are not.",
        TokenUse::Any => "Access tokens and ID tokens are accepted, which one rule set rarely means.",
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A bare key where TOML has it so, else a quoted one.
fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(is_bare) { name.to_owned() } else { quoted(name) }
}

fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}

/// A list, or the word that switches the check off.
fn list_or_any(texts: &[String]) -> String {
    match texts {
        [any] if any == "any" => quoted(any),
        texts => list(texts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::TrustedIssuer;
    use crate::jose::issuer::{KeyPlace, KeySource};

    fn new_issuer() -> NewIssuer {
        NewIssuer {
            name: "acme".to_owned(),
            provider: Provider::Cognito,
            issuer: Iss::of_cognito_pool("eu-west-1_AbC123456", None).unwrap(),
            also_issuers: Vec::new(),
            token_use: TokenUse::Access,
            audience: vec!["1example23456789".to_owned()],
            tenant: None,
            roles: Vec::new(),
            roles_claim: None,
            claims: Vec::new(),
            keys: NewKeys::Preset,
            development: false,
        }
    }

    fn read(new: &NewIssuer) -> TrustedIssuer {
        let text = new.to_toml();
        TrustedIssuer::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let pool = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123456";
        let plain = read(&new_issuer());
        assert_eq!((plain.name(), plain.issuer(), plain.provider()), ("acme", pool, Provider::Cognito));
        assert_eq!((plain.tenants(), plain.grantable_roles().len()), (Some(vec![]), 0));
        assert_eq!(plain.audiences(), Some(vec!["1example23456789"]));
        let KeySource::Published(keys) = plain.keys() else { panic!("{:?}", plain.keys()) };
        assert_eq!(keys.place.url().as_str(), format!("{pool}/.well-known/jwks.json"));

        let odd = read(&NewIssuer {
            provider: Provider::Oidc,
            issuer: Iss::exactly("https://idp.example/'\"\\#"),
            token_use: TokenUse::Any,
            audience: vec!["it's \"quoted\" \\ #".to_owned(), "]".to_owned()],
            tenant: Some(NewTenant::Claimed { claim: "a \"b\".c".to_owned(), allow: vec!["any".to_owned()] }),
            roles: vec!["clerk".to_owned(), "auditor".to_owned()],
            roles_claim: Some("https://idp.example/roles".to_owned()),
            claims: vec![("department".to_owned(), "custom:department".to_owned())],
            keys: NewKeys::Url("https://keys.example/jwks?a=\"b\"".replace('"', "%22")),
            development: true,
            ..new_issuer()
        });
        assert_eq!(odd.issuer(), "https://idp.example/'\"\\#");
        assert_eq!(odd.audiences(), Some(vec!["it's \"quoted\" \\ #", "]"]));
        assert_eq!((odd.tenant_claim(), odd.tenants()), (Some("a \"b\".c"), None));
        assert_eq!(odd.roles_claim(), Some("https://idp.example/roles"));
        assert_eq!(odd.grantable_roles(), ["auditor", "clerk"]);
        assert_eq!(odd.attributes().collect::<Vec<_>>(), ["department"]);
        assert!(odd.development());
        let KeySource::Published(keys) = odd.keys() else { panic!("{:?}", odd.keys()) };
        assert!(
            matches!(&keys.place, KeyPlace::Jwks(url) if url.as_str().starts_with("https://keys.example/"))
        );

        let pinned = read(&NewIssuer {
            audience: vec!["any".to_owned()],
            tenant: Some(NewTenant::Fixed("acme".to_owned())),
            keys: NewKeys::File("acme.jwks.json".to_owned()),
            ..new_issuer()
        });
        assert_eq!((pinned.audiences(), pinned.tenants()), (None, Some(vec!["acme"])));
        assert!(matches!(pinned.keys(), KeySource::File(file) if file.as_str() == "acme.jwks.json"));
    }
}
