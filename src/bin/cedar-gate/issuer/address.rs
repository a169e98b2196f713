//! Where an issuer is: the options from which its provider's form of an `iss` is made.

use cedar_gate::jose::issuer::Provider;
use cedar_gate::tools::issuer_file::{EntraVersion, Iss};
use clap::ValueEnum;
use clap::builder::PossibleValue;

#[derive(clap::Args)]
#[command(next_help_heading = "Where its tokens come from")]
pub(super) struct Address {
    /// cognito: the id of the user pool.
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
    /// cognito: the Region of the pool; its id must begin with it.
    #[arg(long)]
    region: Option<String>,
    /// auth0: the tenant's domain, or its custom domain.
    #[arg(long, value_name = "HOST")]
    domain: Option<String>,
    /// okta: the organisation's domain.
    #[arg(long, value_name = "HOST")]
    org: Option<String>,
    /// okta: the id of the custom authorization server. Without it, `default`.
    #[arg(long, value_name = "ID")]
    server: Option<String>,
    /// entra: the id of a tenant. Repeat it for more.
    #[arg(long = "tenant-id", value_name = "GUID")]
    tenant_ids: Vec<String>,
    /// entra: tokens of version 1.0.
    #[arg(long)]
    v1: bool,
    /// keycloak: the address of the server.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// keycloak: the realm.
    #[arg(long)]
    realm: Option<String>,
    /// In place of these: the `iss` of its tokens, as it stands in them.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// A further `iss` of the same people. Repeat it for more.
    #[arg(long = "also-issuer", value_name = "URL")]
    pub(super) also_issuers: Vec<String>,
}

/// [`Provider`] as an option's value.
#[derive(Clone, Copy)]
pub(super) struct ProviderName(pub(super) Provider);

impl ValueEnum for ProviderName {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self(Provider::Cognito),
            Self(Provider::Auth0),
            Self(Provider::Okta),
            Self(Provider::Entra),
            Self(Provider::Keycloak),
            Self(Provider::Google),
            Self(Provider::Oidc),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()))
    }
}

impl Address {
    /// The `iss`: as it is written, or what the provider makes of the options that are its own.
    pub(super) fn iss(&self, provider: Provider) -> Result<Iss, String> {
        let name = provider.as_str();
        for (option, owner) in self.given() {
            if owner != provider {
                return Err(format!("{option} belongs to --provider {}, not to {name}", owner.as_str()));
            }
            if self.issuer.is_some() {
                return Err(format!("--issuer is the whole address: leave out {option}"));
            }
        }
        if let Some(issuer) = &self.issuer {
            return Ok(Iss::exactly(issuer));
        }
        let or_issuer = |options: &str| format!("--provider {name} needs {options}, or --issuer");
        let needed = |option: &Option<String>, options| option.clone().ok_or_else(|| or_issuer(options));
        let made = match provider {
            Provider::Oidc => return Err("--provider oidc needs --issuer".to_owned()),
            Provider::Cognito => Iss::of_cognito_pool(&needed(&self.pool, "--pool")?, self.region.as_deref()),
            Provider::Auth0 => Iss::of_auth0(&needed(&self.domain, "--domain")?),
            Provider::Okta => {
                Iss::of_okta(&needed(&self.org, "--org")?, self.server.as_deref().unwrap_or("default"))
            }
            Provider::Entra if self.tenant_ids.is_empty() => return Err(or_issuer("--tenant-id")),
            Provider::Entra => {
                Iss::of_entra(&self.tenant_ids, if self.v1 { EntraVersion::V1 } else { EntraVersion::V2 })
            }
            Provider::Keycloak => Iss::of_keycloak(
                &needed(&self.base_url, "--base-url and --realm")?,
                &needed(&self.realm, "--base-url and --realm")?,
            ),
            Provider::Google => Ok(Iss::of_google()),
        };
        made.map_err(|error| error.to_string())
    }

    /// The options that were given and belong to one provider.
    fn given(&self) -> Vec<(&'static str, Provider)> {
        let options = [
            ("--pool", Provider::Cognito, self.pool.is_some()),
            ("--region", Provider::Cognito, self.region.is_some()),
            ("--domain", Provider::Auth0, self.domain.is_some()),
            ("--org", Provider::Okta, self.org.is_some()),
            ("--server", Provider::Okta, self.server.is_some()),
            ("--tenant-id", Provider::Entra, !self.tenant_ids.is_empty()),
            ("--v1", Provider::Entra, self.v1),
            ("--base-url", Provider::Keycloak, self.base_url.is_some()),
            ("--realm", Provider::Keycloak, self.realm.is_some()),
        ];
        options.into_iter().filter(|(_, _, given)| *given).map(|(option, owner, _)| (option, owner)).collect()
    }
}
