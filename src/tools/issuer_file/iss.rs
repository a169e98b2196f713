//! The `iss` of a provider's tokens, from what its console shows.

/// The `iss` of a provider's tokens, and whose it is in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iss {
    text: String,
    of: String,
    tenant_ids: Vec<String>,
}

/// The version of an Entra token: what the API's registration asks for, as `requestedAccessTokenVersion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntraVersion {
    /// 1.0: what a registration gives that asks for none.
    V1,
    /// 2.0.
    V2,
}

impl Iss {
    fn new(text: String, of: String) -> Self {
        Self { text, of, tenant_ids: Vec::new() }
    }

    /// As it is written.
    #[must_use]
    pub fn exactly(text: &str) -> Self {
        Self::new(text.to_owned(), "an issuer".to_owned())
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
        let text = format!("https://cognito-idp.{own}.amazonaws.com/{pool}");
        Ok(Self::new(text, format!("the Cognito user pool {pool}")))
    }

    /// An Auth0 tenant, by its domain or its custom domain.
    ///
    /// # Errors
    /// When that is no host name.
    pub fn of_auth0(domain: &str) -> Result<Self, AddressError> {
        let domain = host(domain, "acme.eu.auth0.com")?;
        Ok(Self::new(format!("https://{domain}/"), format!("the Auth0 tenant {domain}")))
    }

    /// A custom authorization server of an Okta organisation.
    ///
    /// # Errors
    /// When the organisation is no host name, or the server's id no part of a path.
    pub fn of_okta(org: &str, server: &str) -> Result<Self, AddressError> {
        let (org, server) = (host(org, "acme.okta.com")?, segment(server, "default")?);
        let text = format!("https://{org}/oauth2/{server}");
        Ok(Self::new(text, format!("the authorization server {server} of {org}, at Okta")))
    }

    /// Tenants of Microsoft Entra ID, by their ids. Several stand in the file beside the name that they have in common.
    ///
    /// # Errors
    /// When one is no GUID in lower case.
    pub fn of_entra(tenant_ids: &[String], version: EntraVersion) -> Result<Self, AddressError> {
        if let Some(id) = tenant_ids.iter().find(|id| !is_guid(id)) {
            return Err(AddressError::TenantId { id: id.clone() });
        }
        let (tenant, of, tenant_ids) = match tenant_ids {
            [id] => (id.as_str(), format!("the Entra tenant {id}"), Vec::new()),
            several => ("{tenantid}", "several Entra tenants".to_owned(), several.to_vec()),
        };
        let text = match version {
            EntraVersion::V1 => format!("https://sts.windows.net/{tenant}/"),
            EntraVersion::V2 => format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        };
        Ok(Self { tenant_ids, ..Self::new(text, of) })
    }

    /// A realm of a Keycloak server, whose address may end in a path: older servers have `/auth` there.
    ///
    /// # Errors
    /// When the address is no URL, or the realm no part of a path.
    pub fn of_keycloak(base_url: &str, realm: &str) -> Result<Self, AddressError> {
        let realm = segment(realm, "orders")?;
        let base_url = base_url.trim_end_matches('/');
        let is_url = ["https://", "http://"].iter().any(|scheme| base_url.starts_with(scheme));
        if !is_url || !base_url.bytes().all(|byte| byte.is_ascii_graphic()) || base_url.contains(['?', '#']) {
            return Err(AddressError::BaseUrl { url: base_url.to_owned() });
        }
        let text = format!("{base_url}/realms/{realm}");
        Ok(Self::new(text, format!("the Keycloak realm {realm}")))
    }

    /// Google accounts.
    #[must_use]
    pub fn of_google() -> Self {
        Self::new("https://accounts.google.com".to_owned(), "Google accounts".to_owned())
    }

    /// The text of the claim.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whose it is.
    pub(super) fn of(&self) -> &str {
        &self.of
    }

    /// What stands in place of `{tenantid}` in it.
    pub(super) fn tenant_ids(&self) -> &[String] {
        &self.tenant_ids
    }
}

/// Why something that an address is made of cannot be what it is meant to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not the form `<Region>_<letters and digits>`.
    #[error("`{}` is not the id of a user pool: expected one like `eu-west-1_AbC123456`", .pool.escape_debug())]
    Pool {
        /// The text.
        pool: String,
    },
    /// The pool's id begins with the name of another Region.
    #[error(
        "the user pool `{pool}` is not in `{}`: its id begins with the name of its Region",
        .region.escape_debug()
    )]
    PoolOfAnotherRegion {
        /// The id.
        pool: String,
        /// The Region that was given.
        region: String,
    },
    /// More or less than a host's name, with or without a port.
    #[error("`{}` is not a host name: expected one like `{example}`", .host.escape_debug())]
    Host {
        /// The text.
        host: String,
        /// One that is.
        example: &'static str,
    },
    /// Not one part of a URL's path.
    #[error("`{}` cannot stand in an address: expected letters, digits and - . _ ~, as `{example}`", .name.escape_debug())]
    Segment {
        /// The text.
        name: String,
        /// One that can.
        example: &'static str,
    },
    /// Not a GUID as tokens spell it.
    #[error("`{}` is not a tenant id: expected a GUID in lower case", .id.escape_debug())]
    TenantId {
        /// The text.
        id: String,
    },
    /// Not the address of a server.
    #[error("`{}` is not the address of a server: expected one like `https://sso.acme.example`", .url.escape_debug())]
    BaseUrl {
        /// The text.
        url: String,
    },
}

/// The options of `issuer add` that make this `iss`, as far as its form says whose it is. Every word is one that a shell
/// takes as it is: the text of a token must not become a part of a command that somebody pastes.
#[must_use]
pub fn options_for(iss: &str) -> String {
    if !is_plain(iss) {
        return "--provider oidc --issuer URL --audience AUDIENCE".to_owned();
    }
    let parts: Vec<&str> = iss.strip_prefix("https://").unwrap_or(iss).split('/').collect();
    match parts.as_slice() {
        [host, pool] if host.starts_with("cognito-idp.") && region_of_pool(pool).is_some() => {
            format!("--provider cognito --pool {pool} --client-id ID")
        }
        [host, ""] if host.ends_with(".auth0.com") => {
            format!("--provider auth0 --domain {host} --audience API")
        }
        [host, "oauth2", server]
            if [".okta.com", ".oktapreview.com"].iter().any(|end| host.ends_with(end)) =>
        {
            format!("--provider okta --org {host} --server {server} --audience AUDIENCE")
        }
        ["login.microsoftonline.com", id, "v2.0"] if is_guid(id) => {
            format!("--provider entra --tenant-id {id} --audience APPLICATION")
        }
        ["sts.windows.net", id, ""] if is_guid(id) => {
            format!("--provider entra --v1 --tenant-id {id} --audience APPLICATION")
        }
        ["accounts.google.com"] => "--provider google --client-id ID".to_owned(),
        [.., "realms", _] => format!("--provider keycloak --issuer {iss} --audience AUDIENCE"),
        _ => format!("--provider oidc --issuer {iss} --audience AUDIENCE"),
    }
}

/// Whether a shell takes a text as one word, and as it is.
fn is_plain(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
    (1..=200).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(is_plain)
}

/// A host's name, with or without a port.
fn host<'t>(text: &'t str, example: &'static str) -> Result<&'t str, AddressError> {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if name.len() <= 253 && name.split('.').all(is_label) && port.is_none_or(is_port) {
        return Ok(text);
    }
    Err(AddressError::Host { host: text.to_owned(), example })
}

/// One part of a URL's path that needs no encoding (RFC 3986 §2.3).
fn segment<'t>(text: &'t str, example: &'static str) -> Result<&'t str, AddressError> {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    // `.` and `..` would be another part of the path.
    if !text.trim_matches('.').is_empty() && text.bytes().all(is_unreserved) {
        return Ok(text);
    }
    Err(AddressError::Segment { name: text.to_owned(), example })
}

/// A GUID as it stands in tokens.
fn is_guid(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || is_hex(byte))
}

/// The Region that a user pool's id begins with; `None` where it is no id: at most 55 bytes, `[\w-]+_[0-9a-zA-Z]+`
/// (Amazon Cognito API reference, UserPoolId).
fn region_of_pool(pool: &str) -> Option<&str> {
    let is_lower_or_digit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (region, id) = pool.split_once('_')?;
    let is_region = region.split('-').count() >= 3
        && region.split('-').all(|part| !part.is_empty() && part.bytes().all(is_lower_or_digit));
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (pool.len() <= 55 && is_region && is_id).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    const TENANT: &str = "2f4a9838-26b7-47ee-be60-ccc1fdec5953";

    /// The `iss`, or what is wrong with what it is made of.
    fn said(iss: Result<Iss, AddressError>) -> String {
        iss.map_or_else(|error| error.to_string(), |iss| iss.text)
    }

    #[test]
    fn each_provider_spells_its_issuers_in_its_own_way() {
        let entra = |ids: &[&str], version| {
            Iss::of_entra(&ids.iter().map(ToString::to_string).collect::<Vec<_>>(), version)
        };
        for (iss, expected) in [
            (Iss::of_auth0("acme.eu.auth0.com"), "https://acme.eu.auth0.com/"),
            (Iss::of_auth0("login.acme.example:8443"), "https://login.acme.example:8443/"),
            (Iss::of_okta("acme.okta.com", "default"), "https://acme.okta.com/oauth2/default"),
            (
                entra(&[TENANT], EntraVersion::V2),
                "https://login.microsoftonline.com/2f4a9838-26b7-47ee-be60-ccc1fdec5953/v2.0",
            ),
            (
                entra(&[TENANT], EntraVersion::V1),
                "https://sts.windows.net/2f4a9838-26b7-47ee-be60-ccc1fdec5953/",
            ),
            (entra(&[TENANT, TENANT], EntraVersion::V2), "https://login.microsoftonline.com/{tenantid}/v2.0"),
            (
                Iss::of_keycloak("https://sso.acme.example", "orders"),
                "https://sso.acme.example/realms/orders",
            ),
            (
                Iss::of_keycloak("https://sso.acme.example/auth/", "a b"),
                "`a b` cannot stand in an address: expected letters, digits and - . _ ~, as `orders`",
            ),
            (Iss::of_keycloak("http://127.0.0.1:8080/auth/", "o~1"), "http://127.0.0.1:8080/auth/realms/o~1"),
            (Ok(Iss::of_google()), "https://accounts.google.com"),
            (
                Iss::of_auth0("https://acme.eu.auth0.com/"),
                "`https://acme.eu.auth0.com/` is not a host name: expected one like `acme.eu.auth0.com`",
            ),
            (
                Iss::of_auth0("acme..com"),
                "`acme..com` is not a host name: expected one like `acme.eu.auth0.com`",
            ),
            (Iss::of_auth0("acme:0"), "`acme:0` is not a host name: expected one like `acme.eu.auth0.com`"),
            (Iss::of_okta("", "default"), "`` is not a host name: expected one like `acme.okta.com`"),
            (
                Iss::of_okta("acme.okta.com", "../x"),
                "`../x` cannot stand in an address: expected letters, digits and - . _ ~, as `default`",
            ),
            (
                Iss::of_okta("acme.okta.com", ".."),
                "`..` cannot stand in an address: expected letters, digits and - . _ ~, as `default`",
            ),
            (
                entra(&[&TENANT.to_uppercase()], EntraVersion::V2),
                "`2F4A9838-26B7-47EE-BE60-CCC1FDEC5953` is not a tenant id: expected a GUID in lower case",
            ),
            (
                entra(&["common"], EntraVersion::V1),
                "`common` is not a tenant id: expected a GUID in lower case",
            ),
            (
                Iss::of_keycloak("sso.acme.example", "orders"),
                "`sso.acme.example` is not the address of a server: expected one like `https://sso.acme.example`",
            ),
            (
                Iss::of_keycloak("https://sso.acme.example\nx", "orders"),
                "`https://sso.acme.example\\nx` is not the address of a server: expected one like `https://sso.acme.example`",
            ),
        ] {
            assert_eq!(said(iss), expected);
        }
    }

    #[test]
    fn an_iss_gives_the_options_that_make_it() {
        for (iss, options) in [
            (
                "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC",
                "--provider cognito --pool eu-west-1_AbC --client-id ID",
            ),
            ("https://acme.eu.auth0.com/", "--provider auth0 --domain acme.eu.auth0.com --audience API"),
            (
                "https://acme.okta.com/oauth2/aus1",
                "--provider okta --org acme.okta.com --server aus1 --audience AUDIENCE",
            ),
            (
                "https://login.microsoftonline.com/2f4a9838-26b7-47ee-be60-ccc1fdec5953/v2.0",
                "--provider entra --tenant-id 2f4a9838-26b7-47ee-be60-ccc1fdec5953 --audience APPLICATION",
            ),
            (
                "https://sts.windows.net/2f4a9838-26b7-47ee-be60-ccc1fdec5953/",
                "--provider entra --v1 --tenant-id 2f4a9838-26b7-47ee-be60-ccc1fdec5953 --audience APPLICATION",
            ),
            ("https://accounts.google.com", "--provider google --client-id ID"),
            ("accounts.google.com", "--provider google --client-id ID"),
            (
                "https://sso.acme.example/auth/realms/orders",
                "--provider keycloak --issuer https://sso.acme.example/auth/realms/orders --audience AUDIENCE",
            ),
            ("https://idp.example", "--provider oidc --issuer https://idp.example --audience AUDIENCE"),
            // Not Auth0's, which ends with a slash; nor a pool of Cognito's.
            ("https://acme.auth0.com", "--provider oidc --issuer https://acme.auth0.com --audience AUDIENCE"),
            (
                "https://cognito-idp.evil.example/x",
                "--provider oidc --issuer https://cognito-idp.evil.example/x --audience AUDIENCE",
            ),
            ("https://a.example/$(x)", "--provider oidc --issuer URL --audience AUDIENCE"),
            ("https://a.example/;x", "--provider oidc --issuer URL --audience AUDIENCE"),
            ("https://a.example/\u{2028}", "--provider oidc --issuer URL --audience AUDIENCE"),
            ("--force", "--provider oidc --issuer URL --audience AUDIENCE"),
            ("", "--provider oidc --issuer URL --audience AUDIENCE"),
        ] {
            assert_eq!(options_for(iss), options, "{iss}");
        }
    }
}
