//! The whole-API documents of a stage's principals: each is compiled once for all who do not differ in what the policies
//! can read, and kept for the next of them.
//!
//! A document is a function of the bundle, the stage's ARN, and the principal's type, roles, tenant and what else
//! [`GrantPlan::reads`](crate::grants::GrantPlan::reads) names: never of the token, the moment or the request. So keeping
//! it changes no answer. Another bundle comes with another [`Authorizer`](super::Authorizer), which has none yet.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::bundle::built::Damaged;
use crate::entities::Principal;
use crate::iam::StageWideArn;
use crate::jose::{PrincipalKind, VerifiedClaims};

use super::remembered::Remembered;
use super::stages::WholeStage;
use super::whole::Document;

/// The most documents that are kept. One takes about as much memory as the document has bytes, a few kilobytes.
const CAPACITY: usize = 1_000;

/// What a document depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    stage: String,
    kind: PrincipalKind,
    roles: Vec<String>,
    tenant: Option<String>,
    read: String,
}

impl Key {
    fn new(whole: &WholeStage, arn: &StageWideArn, claims: &VerifiedClaims, principal: &Principal) -> Self {
        let mut roles = claims.roles().to_vec();
        roles.sort_unstable();
        roles.dedup();
        Self {
            stage: arn.as_str().to_owned(),
            kind: claims.kind(),
            roles,
            tenant: claims.tenant().map(str::to_owned),
            read: whole.plan.reads().of(principal.entity()),
        }
    }
}

/// The documents that were asked for last.
pub(super) struct Documents {
    remembered: Remembered<Key, Arc<Document>>,
    hasher: RandomState,
}

impl Documents {
    pub(super) fn new() -> Self {
        Self { remembered: Remembered::new(CAPACITY), hasher: RandomState::new() }
    }

    /// The document of a principal in a stage, and whether it was there already; `make` makes it if not. Two who ask for
    /// one document at the same time make it twice, and it is the same.
    ///
    /// # Errors
    /// Those of `make`; then nothing is kept.
    pub(super) fn get_or_make(
        &self,
        whole: &WholeStage,
        arn: &StageWideArn,
        claims: &VerifiedClaims,
        principal: &Principal,
        make: impl FnOnce() -> Result<Document, Damaged>,
    ) -> Result<(Arc<Document>, bool), Damaged> {
        let key = Key::new(whole, arn, claims, principal);
        let number = self.hasher.hash_one(&key);
        if let Some(known) = self.remembered.get(number, &key, |document| Some(Arc::clone(document))) {
            return Ok((known, true));
        }
        let made = Arc::new(make()?);
        self.remembered.put(number, key, Arc::clone(&made), |_| true);
        Ok((made, false))
    }
}

/// Shows nothing of anybody.
impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").field("capacity", &CAPACITY).finish_non_exhaustive()
    }
}
