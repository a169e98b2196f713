//! The `iss` that a file trusts: one, several of one pool, or one for each of its tenants.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;

use super::file::IssuerFile;
use super::keys::{KeyPlace, KeySource, KeysFile, PublishedKeys, WrittenPlace};
use super::kind::TokenUse;
use super::names::{HttpUrl, is_tenant_id};
use super::preset::{Ending, KeysPreset, Provider};
use super::rules::Listed;
use super::values::RequiredValue;
use super::{IssuerError, check_scheme};

/// Stands for the tenant's id in the name of an Entra issuer, as in Entra's own metadata.
const TENANT_ID: &str = "{tenantid}";

/// One `iss` that is trusted, and what about it is its own.
#[derive(Clone, Debug)]
pub(super) struct TrustedIss {
    pub(super) issuer: String,
    pub(super) key_set: Arc<str>,
    pub(super) keys: KeySource,
    /// What a JWK's own `issuer` may be, where that counts.
    pub(super) key_issuers: Listed<String>,
    pub(super) required_values: Vec<RequiredValue>,
    /// The tenant id that was put into it.
    pub(super) directory: Option<Arc<str>>,
}

/// Reads what a file trusts: `issuer` first; never nothing, and no `iss` twice.
pub(super) fn read(file: &IssuerFile) -> Result<Vec<TrustedIss>, IssuerError> {
    let mut reader = Reader { file, sources: Vec::new(), seen: HashSet::new(), read: Vec::new() };
    let (issuer, span) = (file.issuer.get_ref().0.as_str(), file.issuer.span());
    reader.add(issuer, &span)?;
    match &file.also_issuers {
        Some(also) => also.iter().try_for_each(|also| reader.add(&also.get_ref().0, &also.span()))?,
        None => {
            let same = file.provider.preset().same_issuers;
            let others = same.iter().filter(|other| same.contains(&issuer) && **other != issuer);
            others.into_iter().try_for_each(|other| reader.add(other, &span))?;
        }
    }
    Ok(reader.read)
}

struct Reader<'f> {
    file: &'f IssuerFile,
    /// The different places of keys, in their order.
    sources: Vec<KeySource>,
    seen: HashSet<String>,
    read: Vec<TrustedIss>,
}

impl Reader<'_> {
    /// Adds what a name of the file stands for: itself, or one `iss` for each tenant that is listed.
    fn add(&mut self, name: &str, span: &Range<usize>) -> Result<(), IssuerError> {
        let file = self.file;
        let entra = check_form(file.provider, *file.token_use.get_ref(), name).map_err(at(span))?;
        let keys = self.keys(name, entra, span)?;
        match (&file.tenant_ids, name.contains(TENANT_ID)) {
            (None, false) => self.trust(name.to_owned(), entra, None, &keys, span),
            (None, true) => Err(at(span)(format!(
                "`{TENANT_ID}` stands for the tenants that are trusted: list them, as tenant_ids = [\"…\"]"
            ))),
            (Some(_), false) => Err(at(span)(format!(
                "`tenant_ids` are put in place of `{TENANT_ID}` in the name of an Entra issuer, and there is none here"
            ))),
            (Some(_), true) if file.introspection.is_some() => Err(at(span)(
                "an opaque token does not say whose it is: write a file for each tenant".to_owned(),
            )),
            (Some(ids), true) => ids.0.iter().try_for_each(|id| {
                let (id, span) = (id.get_ref().as_str(), id.span());
                if !is_tenant_id(id) {
                    let id = id.escape_debug();
                    let message = format!("`{id}` is not a tenant id: expected a GUID in lower case");
                    return Err(at(&span)(message));
                }
                let of_tenant = entra.map(|entra| EntraIss { tenant: id, ..entra });
                self.trust(name.replace(TENANT_ID, id), of_tenant, Some(id), &keys, &span)
            }),
        }
    }

    fn trust(
        &mut self,
        issuer: String,
        entra: Option<EntraIss<'_>>,
        directory: Option<&str>,
        (key_set, keys): &(Arc<str>, KeySource),
        span: &Range<usize>,
    ) -> Result<(), IssuerError> {
        if !self.seen.insert(issuer.clone()) {
            return Err(at(span)(format!("`{issuer}` is named twice in this file")));
        }
        let values = entra.map(|entra| [("ver", entra.version()), ("tid", entra.tenant)]);
        let values = values.as_ref().map_or(&[][..], |values| values);
        self.read.push(TrustedIss {
            issuer,
            key_set: Arc::clone(key_set),
            keys: keys.clone(),
            key_issuers: entra.map_or(Listed::Any, EntraIss::key_issuers),
            required_values: RequiredValue::merge(self.file.required_values.clone(), values),
            directory: directory.map(Arc::from),
        });
        Ok(())
    }

    /// Where the keys of a name are, and under what name they are kept: an alias of their own for each place, so that what
    /// befalls one befalls no other.
    fn keys(
        &mut self,
        name: &str,
        entra: Option<EntraIss<'_>>,
        span: &Range<usize>,
    ) -> Result<(Arc<str>, KeySource), IssuerError> {
        let file = self.file;
        let written = file.keys.as_ref();
        let source = key_source(written.map(Spanned::get_ref), file, name, entra)
            .map_err(at(&written.map_or(span.clone(), Spanned::span)))?;
        let alias = &file.name.0;
        let index = self.sources.iter().position(|known| *known == source);
        let key_set = match index.unwrap_or(self.sources.len()) {
            0 => alias.as_str().into(),
            index => format!("{alias}@{}", index.saturating_add(1)).into(),
        };
        if index.is_none() {
            self.sources.push(source.clone());
        }
        Ok((key_set, source))
    }
}

fn at(span: &Range<usize>) -> impl Fn(String) -> IssuerError {
    let span = span.clone();
    move |message| IssuerError::Toml { message, span: Some(span.clone()) }
}

/// What an issuer of this provider can be called: with a wrong name every token would be refused. Gives the parts of an
/// Entra issuer.
fn check_form(provider: Provider, token_use: TokenUse, name: &str) -> Result<Option<EntraIss<'_>>, String> {
    match (provider.preset().ending, name.strip_suffix('/')) {
        (Ending::Slash, None) => {
            return Err(format!("this provider's issuers end with a slash, as `{name}/`"));
        }
        (Ending::NoSlash, Some(without)) => {
            return Err(format!("this provider's issuers do not end with a slash, as `{without}`"));
        }
        (Ending::Slash, Some(_)) | (Ending::NoSlash, None) | (Ending::Either, _) => {}
    }
    if provider == Provider::Okta && token_use != TokenUse::Id && !is_custom_server(name) {
        return Err("the access tokens of an organisation's own server are for Okta alone: name a custom server, as `https://acme.okta.com/oauth2/default`".to_owned());
    }
    if provider == Provider::Entra {
        return EntraIss::parse(name).map(Some).ok_or_else(|| {
            format!("`{name}` is no Entra issuer: expected `https://login.microsoftonline.com/<tenant id>/v2.0`, or for tokens of version 1.0 `https://sts.windows.net/<tenant id>/`, with a GUID in lower case")
        });
    }
    if name.contains(TENANT_ID) {
        return Err(format!("`{TENANT_ID}` stands for a tenant of Entra's: write provider = \"entra\""));
    }
    Ok(None)
}

/// Whether an issuer of Okta's is a custom authorization server.
fn is_custom_server(name: &str) -> bool {
    name.contains("/oauth2/")
}

/// Where the keys are, with the preset's place where the file names none.
fn key_source(
    written: Option<&KeysFile>,
    file: &IssuerFile,
    name: &str,
    entra: Option<EntraIss<'_>>,
) -> Result<KeySource, String> {
    let written = match (written, &file.introspection) {
        (None, Some(_)) => return Ok(KeySource::Opaque),
        (None, None) => KeysFile::PRESET,
        (Some(written), _) => written.clone(),
    };
    let (place, max_age) = match written {
        KeysFile::Development => return Ok(KeySource::Development),
        KeysFile::File(file) => return Ok(KeySource::File(file)),
        KeysFile::Inline(set) => return Ok(KeySource::Inline(set)),
        KeysFile::Secret(secret) => return Ok(KeySource::Secret(secret)),
        KeysFile::Published { place, max_age } => (place, max_age),
    };
    // OpenID Connect Discovery 1.0 §4: a slash at the end of the issuer is not doubled.
    let base = name.strip_suffix('/').unwrap_or(name);
    let below = |path: &str| HttpUrl::try_from(format!("{base}{path}"));
    let place = match (place, &file.provider.preset().keys) {
        (Some(WrittenPlace::Url(url)), _) => KeyPlace::Jwks(url),
        (Some(WrittenPlace::Discovery), _) | (None, KeysPreset::Discovery) => {
            KeyPlace::Discovery { url: below("/.well-known/openid-configuration")?, issuer: name.to_owned() }
        }
        (None, KeysPreset::Below(path)) => KeyPlace::Jwks(below(path)?),
        (None, KeysPreset::BelowServer { custom, own }) => {
            KeyPlace::Jwks(below(if is_custom_server(name) { custom } else { own })?)
        }
        (None, KeysPreset::At(url)) => KeyPlace::Jwks(HttpUrl::try_from((*url).to_owned())?),
        (None, KeysPreset::Entra) => {
            let url = entra.and_then(EntraIss::keys_url).ok_or_else(|| {
                format!("where the keys of `{name}` are is not known: write keys = {{ url = \"…\" }}")
            })?;
            KeyPlace::Jwks(HttpUrl::try_from(url)?)
        }
    };
    check_scheme(place.url(), file.development)?;
    Ok(KeySource::Published(PublishedKeys { place, max_age }))
}

/// The name of an Entra issuer in its parts (Microsoft identity platform, "Access tokens": versions 1.0 and 2.0).
#[derive(Clone, Copy)]
struct EntraIss<'n> {
    host: &'n str,
    /// A tenant's id, or what stands for one.
    tenant: &'n str,
    is_v2: bool,
}

impl<'n> EntraIss<'n> {
    fn parse(name: &'n str) -> Option<Self> {
        let (host, path) = name.strip_prefix("https://")?.split_once('/')?;
        let (tenant, end) = path.split_once('/')?;
        let is_v2 = match end {
            "v2.0" => true,
            "" => false,
            _ => return None,
        };
        let fits = !host.contains(TENANT_ID) && (tenant == TENANT_ID || is_tenant_id(tenant));
        fits.then_some(Self { host, tenant, is_v2 })
    }

    /// The tokens' `ver`.
    fn version(self) -> &'static str {
        if self.is_v2 { "2.0" } else { "1.0" }
    }

    /// Where the tenant's keys are; those of all tenants where it is any.
    fn keys_url(self) -> Option<String> {
        let tenant = if self.tenant == TENANT_ID { "common" } else { self.tenant };
        match (self.is_v2, self.host) {
            (true, host) => Some(format!("https://{host}/{tenant}/discovery/v2.0/keys")),
            (false, "sts.windows.net") => {
                Some(format!("https://login.microsoftonline.com/{tenant}/discovery/keys"))
            }
            (false, _) => None,
        }
    }

    /// What may stand in the `issuer` of a key: the token's issuer, with the tenant's id or what stands for it. One key may
    /// sign tokens of both versions, and then has the name of version 2.0.
    fn key_issuers(self) -> Listed<String> {
        let Self { host, tenant, is_v2 } = self;
        let names = |tenant: &str| match is_v2 {
            true => vec![format!("https://{host}/{tenant}/v2.0")],
            false => vec![
                format!("https://{host}/{tenant}/"),
                format!("https://login.microsoftonline.com/{tenant}/v2.0"),
            ],
        };
        Listed::These([names(tenant), names(TENANT_ID)].concat())
    }
}
