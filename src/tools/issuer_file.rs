//! A new issuer file, as a person would write it, from what the provider's console shows.

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

/// The `iss` of a provider's tokens, and what it stands for in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iss {
    text: String,
    of: String,
}

impl Iss {
    /// As it is written.
    #[must_use]
    pub fn exactly(text: &str) -> Self {
        Self { text: text.to_owned(), of: "an issuer".to_owned() }
    }

    /// A Cognito user pool: its id begins with the Region. `region` is where one believes it to be.
    ///
    /// # Errors
    /// When the id is none, or of another Region.
    pub fn of_cognito_pool(pool: &str, region: Option<&str>) -> Result<Self, AddressError> {
        let Some(own) = region_of_pool(pool) else {
            return Err(AddressError::Pool { pool: pool.to_owned() });
        };
        if let Some(region) = region.filter(|region| *region != own) {
            return Err(AddressError::PoolOfAnotherRegion {
                pool: pool.to_owned(),
                region: region.to_owned(),
            });
        }
        Ok(Self {
            text: format!("https://cognito-idp.{own}.amazonaws.com/{pool}"),
            of: format!("the Cognito user pool {pool}"),
        })
    }

    /// The text of the claim.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Why something that an address is made of cannot be what it is meant to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not the form `<Region>_<letters and digits>`.
    #[error("`{pool}` is not the id of a user pool: expected one like `eu-west-1_AbC123456`")]
    Pool {
        /// The text.
        pool: String,
    },
    /// The pool's id begins with the name of another Region.
    #[error("the user pool `{pool}` is not in `{region}`: its id begins with the name of its Region")]
    PoolOfAnotherRegion {
        /// The id.
        pool: String,
        /// The Region that was given.
        region: String,
    },
}

/// The Region that a user pool's id begins with; `None` where it is no id: at most 55 bytes, `[\w-]+_[0-9a-zA-Z]+`
/// (Amazon Cognito API reference, UserPoolId).
fn region_of_pool(pool: &str) -> Option<&str> {
    let (region, id) = pool.split_once('_')?;
    let is_region = region.split('-').count() >= 3
        && region.split('-').all(|part| !part.is_empty() && part.bytes().all(is_lower_or_digit));
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (pool.len() <= 55 && is_region && is_id).then_some(region)
}

fn is_lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

impl NewIssuer {
    /// The file's text: each line with a comment above it that says what the line means.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let lines = self.lines();
        let width = lines.iter().map(|line| line.key.len()).max().unwrap_or_default();
        let mut file = format!("# Tokens of {}.\n\n", self.issuer.of);
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
                quoted(&self.issuer.text),
            ),
            line(
                "Which claims hold audience, client, scopes and roles; a line of one's own wins.",
                "provider",
                quoted(self.provider.as_str()),
            ),
            line(about_token_use(self.token_use), "token_use", quoted(self.token_use.as_str())),
            line(self.about_audience(), "audience", list_or_any(&self.audience)),
        ];
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
        match (self.audience.as_slice(), self.provider) {
            ([any], _) if any == "any" => "No audience is checked: a token for anybody is accepted.",
            (_, Provider::Cognito) => "The app clients whose tokens are accepted.",
            (
                _,
                Provider::Oidc
                | Provider::Auth0
                | Provider::Okta
                | Provider::Entra
                | Provider::Keycloak
                | Provider::Google,
            ) => "For whom a token must be made.",
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

    #[test]
    fn a_pool_and_its_region_agree() {
        for pool in ["eu-west-1_AbC123456", "us-gov-west-1_0", "ap-southeast-5_zZ9"] {
            assert!(Iss::of_cognito_pool(pool, None).is_ok(), "{pool}");
            let region = pool.split('_').next();
            assert!(Iss::of_cognito_pool(pool, region).is_ok(), "{pool}");
            assert_eq!(
                Iss::of_cognito_pool(pool, Some("eu-west-2")).unwrap_err().to_string(),
                format!(
                    "the user pool `{pool}` is not in `eu-west-2`: its id begins with the name of its Region"
                )
            );
        }
        let long = format!("eu-west-1_{}", "a".repeat(46));
        for pool in [
            "",
            "_",
            "eu-west-1",
            "eu-west-1_",
            "_A",
            "a_b",
            "-a-b_C",
            "Eu-west-1_A",
            "eu-west-1_A.evil",
            &long,
        ] {
            let error = Iss::of_cognito_pool(pool, None).unwrap_err();
            assert!(matches!(error, AddressError::Pool { .. }), "{pool}");
        }
    }
}
