//! Where an issuer's keys are: in the bundle, over the network, or, for the HMACs, in a secret of the deployment.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::names::{HttpUrl, Seconds};
use crate::jose::jws::Hmac;

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// `"development"`: the key pair of the machine that mints development tokens, which stands outside of any bundle.
    /// It makes the issuer a development issuer.
    Development,
    /// `{ file = "…" }`: a JWK Set in a file of the bundle, relative to the issuer file. Pinned: never fetched.
    File(KeyFile),
    /// `{ inline = { keys = […] } }`: a JWK Set in the issuer file itself. Pinned: never fetched.
    Inline(InlineKeys),
    /// `{ url = "…" }`, `"discovery"`, or nothing, where the provider's preset says the place: fetched.
    Published(PublishedKeys),
    /// `{ secret = { env = "…" }, algorithm = "HS256" }`: a secret that issuer and authorizer share.
    Secret(SharedSecret),
    /// None: the file has `introspection` and no `keys`, so the issuer's tokens are opaque, and it is asked about each.
    Opaque,
}

/// Keys that the issuer publishes, and how long what was fetched is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedKeys {
    /// Where they are.
    pub place: KeyPlace,
    /// The longest time for which a fetched set is believed, in seconds: a removed key stops being trusted within it.
    /// 60 to 86,400; 3,600 where the file does not say. The issuer's `Cache-Control` has it fetched anew sooner.
    pub max_age: Seconds<60, 86_400>,
}

/// Where published keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyPlace {
    /// The address of the JWK Set.
    Jwks(HttpUrl),
    /// The address of the provider's metadata (OpenID Connect Discovery 1.0 §4), whose `jwks_uri` says the address, and
    /// whose `issuer` must be the issuer.
    Discovery {
        /// `<issuer>/.well-known/openid-configuration`.
        url: HttpUrl,
        /// What `issuer` must be there (§4.3: exactly the `iss` of the tokens).
        issuer: String,
    },
}

impl KeyPlace {
    /// The address that is asked first.
    #[must_use]
    pub fn url(&self) -> &HttpUrl {
        match self {
            Self::Jwks(url) | Self::Discovery { url, .. } => url,
        }
    }
}

/// A JWK Set that stands in the issuer file, as JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineKeys(String);

impl InlineKeys {
    /// The set's JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

/// A secret that an issuer signs with and the authorizer verifies with (RFC 7518 §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSecret {
    /// Where the secret is; never in the bundle.
    pub source: SecretSource,
    /// The one HMAC that it may be used with.
    pub algorithm: Hmac,
}

/// Where a secret is: outside of the bundle, which many may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// `{ env = "NAME" }`: an environment variable of the function.
    Env(String),
    /// `{ file = "/path" }`: a file, by its absolute path; line ends at its end do not count.
    File(String),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable `{name}`"),
            Self::File(path) => write!(f, "file `{path}`"),
        }
    }
}

/// No message repeats what is written: a secret in place of its name, too, is a secret.
impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecretVisitor;

        impl<'de> Visitor<'de> for SecretVisitor {
            type Value = SecretSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ env = \"NAME\" } or { file = \"/path\" }")
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretSource, E> {
                Err(E::custom(NOT_IN_THE_BUNDLE))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretSource, A::Error> {
                SecretTable::deserialize(MapAccessDeserializer::new(map))?.read().map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(SecretVisitor)
    }
}

const NOT_IN_THE_BUNDLE: &str = "a secret does not stand in the bundle: expected { env = \"NAME\" } or { file = \"/path\" }, which say where it is";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretTable {
    env: Option<String>,
    file: Option<String>,
}

impl SecretTable {
    fn read(self) -> Result<SecretSource, &'static str> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        match (self.env, self.file) {
            (Some(name), None) if (1..=256).contains(&name.len()) && name.bytes().all(is_plain) => {
                Ok(SecretSource::Env(name))
            }
            (Some(_), None) => {
                Err("`env` is not the name of an environment variable: expected 1 to 256 of A-Z a-z 0-9 _")
            }
            (None, Some(path)) if path.starts_with('/') && !path.contains('\0') => {
                Ok(SecretSource::File(path))
            }
            (None, Some(_)) => Err("`file` is not an absolute path: a secret does not stand in the bundle"),
            (Some(_), Some(_)) | (None, None) => Err(NOT_IN_THE_BUNDLE),
        }
    }
}

/// The path of a key file: relative, `/` between its parts, and inside the folder of the issuer file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyFile(String);

impl KeyFile {
    /// The path as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KeyFile {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let part_is_plain =
            |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '\0']);
        if text.split('/').all(part_is_plain) {
            return Ok(Self(text));
        }
        Err(format!("`{text}` is not a path inside the folder of the issuer file"))
    }
}

/// `keys` as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeysFile {
    Development,
    File(KeyFile),
    Inline(InlineKeys),
    Secret(SharedSecret),
    /// Over the network; what is `None` is the preset's.
    Published {
        place: Option<WrittenPlace>,
        max_age: Seconds<60, 86_400>,
    },
}

/// Where published keys are, as far as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WrittenPlace {
    Url(HttpUrl),
    Discovery,
}

impl KeysFile {
    /// What a file without `keys` says: the preset's place.
    pub(super) const PRESET: Self = Self::Published { place: None, max_age: DEFAULT_MAX_AGE };
}

const DEFAULT_MAX_AGE: Seconds<60, 86_400> = Seconds::of::<3_600>();

impl<'de> Deserialize<'de> for KeysFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;

        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = KeysFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<KeysFile, E> {
                match text {
                    "development" => Ok(KeysFile::Development),
                    "discovery" => Ok(KeysFile::Published {
                        place: Some(WrittenPlace::Discovery),
                        max_age: DEFAULT_MAX_AGE,
                    }),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<KeysFile, A::Error> {
                KeysTable::deserialize(MapAccessDeserializer::new(map))?.read().map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(KeysVisitor)
    }
}

const EXPECTED: &str =
    "\"development\", \"discovery\", or a table with one of `file`, `inline`, `url`, `discovery`, `secret`";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysTable {
    file: Option<KeyFile>,
    inline: Option<serde_json::Value>,
    url: Option<HttpUrl>,
    discovery: Option<bool>,
    secret: Option<SecretSource>,
    algorithm: Option<Hmac>,
    max_age: Option<Seconds<60, 86_400>>,
}

impl KeysTable {
    fn read(self) -> Result<KeysFile, String> {
        let one_source = || format!("expected {EXPECTED}");
        if self.secret.is_none() && self.algorithm.is_some() {
            return Err("`algorithm` belongs to `secret`: a published key says its own".to_owned());
        }
        let published = self.max_age;
        let read = match (self.file, self.inline, self.url, self.discovery, self.secret) {
            (Some(file), None, None, None, None) => KeysFile::File(file),
            (None, Some(set), None, None, None) => KeysFile::Inline(InlineKeys(set.to_string())),
            (None, None, None, None, Some(source)) => {
                KeysFile::Secret(SharedSecret { source, algorithm: self.algorithm.ok_or_else(no_algorithm)? })
            }
            (None, None, url, discovery, None) => {
                let place = match (url, discovery) {
                    (Some(url), None) => Some(WrittenPlace::Url(url)),
                    (None, Some(true)) => Some(WrittenPlace::Discovery),
                    // The age alone: the preset says where.
                    (None, None) if self.max_age.is_some() => None,
                    _ => return Err(one_source()),
                };
                let max_age = self.max_age.unwrap_or(DEFAULT_MAX_AGE);
                return Ok(KeysFile::Published { place, max_age });
            }
            _ => return Err(one_source()),
        };
        match published {
            Some(_) => Err("`max_age` belongs to keys that are fetched".to_owned()),
            None => Ok(read),
        }
    }
}

fn no_algorithm() -> String {
    "`secret` needs `algorithm`: \"HS256\", \"HS384\" or \"HS512\"".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_inside_the_folder() {
        for file in ["acme.jwks.json", "keys/acme/a.json", "..a", "a..b"] {
            assert!(KeyFile::try_from(file.to_owned()).is_ok(), "{file}");
        }
        for file in ["", "/a", "a/", "a//b", ".", "./a", "..", "../a", "a/../../b", "a\\..\\b", "C:a", "a\0"]
        {
            assert!(KeyFile::try_from(file.to_owned()).is_err(), "{file}");
        }
    }

    #[test]
    fn where_a_secret_is_is_said_and_the_secret_is_not() {
        #[derive(Deserialize)]
        struct File {
            secret: SecretSource,
        }
        let read = |value: &str| {
            let read = toml::from_str::<File>(&format!("secret = {value}"));
            read.map(|file| file.secret.to_string()).map_err(|error| error.message().to_owned())
        };
        let env = "`env` is not the name of an environment variable: expected 1 to 256 of A-Z a-z 0-9 _";
        let file = "`file` is not an absolute path: a secret does not stand in the bundle";
        for (value, expected) in [
            (r#"{ env = "ACME_SECRET_1" }"#, Ok("environment variable `ACME_SECRET_1`")),
            (r#"{ file = "/run/secrets/acme" }"#, Ok("file `/run/secrets/acme`")),
            (r#""s3cret!""#, Err(NOT_IN_THE_BUNDLE)),
            (r#"{ env = "A", file = "/b" }"#, Err(NOT_IN_THE_BUNDLE)),
            ("{}", Err(NOT_IN_THE_BUNDLE)),
            (r#"{ env = "s3cret!" }"#, Err(env)),
            (r#"{ env = "" }"#, Err(env)),
            (r#"{ file = "s3cret" }"#, Err(file)),
            (r#"{ file = "./s3cret" }"#, Err(file)),
            ("{ file = \"/s3cret\\u0000\" }", Err(file)),
            (r#"{ value = "s3cret" }"#, Err("unknown field `value`, expected `env` or `file`")),
            ("7", Err("invalid type: integer `7`, expected { env = \"NAME\" } or { file = \"/path\" }")),
        ] {
            assert_eq!(read(value), expected.map(str::to_owned).map_err(str::to_owned), "{value}");
        }
    }
}
