//! What an authorizer stands on: a bundle read from its sources, or a built one.

use std::sync::Arc;

use super::stages::PrepareError;
use crate::bundle::policies::VersionHead;
use crate::bundle::{BuiltBundle, Bundle, BundleFacts, SharedSchema};
use crate::decision::Engine;

/// The bundle that decides.
#[derive(Debug)]
pub(super) enum Ground {
    Read(Box<Bundle>),
    Built(Box<BuiltBundle>),
}

impl Ground {
    pub(super) fn facts(&self) -> &BundleFacts {
        match self {
            Self::Read(bundle) => bundle,
            Self::Built(bundle) => bundle,
        }
    }

    /// The schema; of a built bundle parsed now.
    pub(super) fn schema(&self) -> Result<SharedSchema, PrepareError> {
        match self {
            Self::Read(bundle) => Ok(bundle.shared_schema()),
            Self::Built(bundle) => Ok(bundle.schema()?),
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
                let [index, rules, sources] = bundle.sections(name)?;
                Ok(Some((Arc::clone(head), Engine::open(index, rules, sources)?)))
            }
        }
    }
}
