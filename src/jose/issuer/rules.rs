//! What an issuer may confer: which tenants, which roles.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::IssuerError;
use super::names::{ClaimPath, Name};

/// Which tenant an issuer's principals belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tenant {
    Fixed(Name),
    Claimed(TenantClaim),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantClaim {
    pub(crate) claim: ClaimPath,
    pub(crate) allow: Listed<Name>,
}

impl<'de> Deserialize<'de> for Tenant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TenantVisitor;

        impl<'de> Visitor<'de> for TenantVisitor {
            type Value = Tenant;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a tenant, or { claim = \"…\", allow = […] }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Tenant, E> {
                Name::try_from(text.to_owned()).map(Tenant::Fixed).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Tenant, A::Error> {
                TenantClaim::deserialize(MapAccessDeserializer::new(map)).map(Tenant::Claimed)
            }
        }

        deserializer.deserialize_any(TenantVisitor)
    }
}

/// A check against a list, or the word `"any"` that switches it off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listed<T> {
    Any,
    These(Vec<T>),
}

impl<T: AsRef<str>> Listed<T> {
    pub(crate) fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(list) => list.iter().any(|entry| entry.as_ref() == text),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Listed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListedVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListedVisitor<T> {
            type Value = Listed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list that is not empty, or \"any\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Listed<T>, E> {
                match text {
                    "any" => Ok(Listed::Any),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Listed<T>, A::Error> {
                let list = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
                if list.is_empty() {
                    return Err(de::Error::invalid_length(0, &self));
                }
                Ok(Listed::These(list))
            }
        }

        deserializer.deserialize_any(ListedVisitor(std::marker::PhantomData))
    }
}

/// What becomes of a token that only the holder of a key may present (`cnf`, RFC 7800; RFC 8705, RFC 9449).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CnfRule {
    /// It is refused: whoever stole it could present it here, where nothing checks the key.
    #[default]
    None,
    /// It is accepted as if it were not bound: what checks the key stands before us.
    Any,
}

/// `roles` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RolesTable {
    claim: Option<ClaimPath>,
    grant: Vec<Name>,
    #[serde(default)]
    map: BTreeMap<String, Spanned<Name>>,
}

/// Which of the names in a token become roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleRule {
    pub(crate) claim: ClaimPath,
    pub(super) grant: Vec<String>,
    map: BTreeMap<String, String>,
}

impl RoleRule {
    pub(super) fn new(file: RolesTable, preset_claim: &str) -> Result<Self, IssuerError> {
        let mut grant: Vec<String> = file.grant.into_iter().map(|role| role.0).collect();
        grant.sort_unstable();
        grant.dedup();
        let mut map = BTreeMap::new();
        for (theirs, role) in file.map {
            let span = role.span();
            let role = role.into_inner().0;
            if !grant.contains(&role) {
                return Err(IssuerError::MappedRoleNotGranted { role, span });
            }
            map.insert(theirs, role);
        }
        Ok(Self { claim: file.claim.unwrap_or_else(|| ClaimPath::preset(preset_claim)), grant, map })
    }

    /// The role that a name in a token stands for; `None` where the issuer may not confer it.
    pub(crate) fn role(&self, theirs: &str) -> Option<&str> {
        if let Some(role) = self.map.get(theirs) {
            return Some(role);
        }
        self.grant.iter().find(|role| *role == theirs).map(String::as_str)
    }
}
