//! What an authorizer stands on: a bundle read from its sources, or a built one.

use std::sync::{Arc, OnceLock};

use super::stages::PrepareError;
use crate::bundle::built::{self, Damaged};
use crate::bundle::policies::VersionHead;
use crate::bundle::{BuiltBundle, Bundle, BundleFacts, Schema, SchemaSource, SharedSchema};
use crate::decision::Engine;
use crate::grants::PrincipalReads;
use crate::route::RouteTable;

/// The bundle that decides.
#[derive(Debug)]
pub(super) enum Ground {
    Read(Box<Bundle>),
    Built(Box<BuiltBundle>),
}

/// The schema, of a built bundle parsed when it is first wanted: that takes as long as the rest of a start.
#[derive(Debug)]
pub(super) enum LazySchema {
    Read(SharedSchema),
    Built { source: SchemaSource, parsed: OnceLock<Result<SharedSchema, Damaged>> },
}

impl LazySchema {
    /// The schema; `routes` are those of its bundle.
    pub(super) fn get(&self, routes: &RouteTable) -> Result<&Schema, Damaged> {
        match self {
            Self::Read(schema) => Ok(schema),
            Self::Built { source, parsed } => parsed
                .get_or_init(|| source.parse(routes).map(Arc::new))
                .as_ref()
                .map(Arc::as_ref)
                .map_err(Clone::clone),
        }
    }
}

impl Ground {
    /// The schema, for whoever may want it.
    pub(super) fn schema(&self) -> LazySchema {
        match self {
            Self::Read(bundle) => LazySchema::Read(bundle.shared_schema()),
            Self::Built(bundle) => {
                LazySchema::Built { source: bundle.schema_source(), parsed: OnceLock::new() }
            }
        }
    }

    pub(super) fn facts(&self) -> &BundleFacts {
        match self {
            Self::Read(bundle) => bundle,
            Self::Built(bundle) => bundle,
        }
    }

    /// By operation: the groups that its action is in.
    pub(super) fn action_groups(&self) -> Result<Arc<[Vec<String>]>, PrepareError> {
        let groups = match self {
            Self::Read(bundle) => bundle.action_groups().map_err(PrepareError::Actions)?,
            Self::Built(bundle) => bundle.file().head().action_groups.clone(),
        };
        Ok(groups.into())
    }

    /// A version of the policies: its name and roles, and what is asked.
    pub(super) fn version(&self, name: &str) -> Result<Option<(Arc<VersionHead>, Engine)>, PrepareError> {
        match self {
            Self::Read(bundle) => {
                let Some(version) = bundle.version(name) else { return Ok(None) };
                let engine = Engine::new(version.policies().clone())?;
                Ok(Some((Arc::clone(version.head()), engine)))
            }
            Self::Built(bundle) => {
                let Some(head) = bundle.version(name) else { return Ok(None) };
                let [index, rules, sources] = bundle.engine_sections(name)?;
                Ok(Some((Arc::clone(head), Engine::open(index, rules, sources)?)))
            }
        }
    }

    /// What a version's policies can ask of a principal.
    pub(super) fn principal_reads(&self, version: &str) -> Result<PrincipalReads, PrepareError> {
        match self {
            Self::Read(bundle) => {
                let version = bundle.version(version).ok_or(PrepareError::Version)?;
                Ok(PrincipalReads::of_policies(version.policies()))
            }
            Self::Built(bundle) => {
                let text = bundle.file().section(&built::reads_section(version))?.all()?;
                let reads = serde_json::from_slice(&text);
                Ok(reads.map_err(|error| Damaged::new(format!("what its policies read: {error}")))?)
            }
        }
    }
}
