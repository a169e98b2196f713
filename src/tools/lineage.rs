//! An entity with everything it is in, and the scopes that are true of it: by comparing what they name, as a reader would.

use std::collections::HashSet;

use cedar_policy as cedar;

/// An entity and everything it is in.
pub(super) struct Lineage {
    uid: cedar::EntityUid,
    all: HashSet<cedar::EntityUid>,
}

impl Lineage {
    pub(super) fn of(uid: &cedar::EntityUid, entities: &cedar::Entities) -> Self {
        let ancestors = entities.ancestors(uid).into_iter().flatten();
        Self { uid: uid.clone(), all: ancestors.chain([uid]).cloned().collect() }
    }

    pub(super) fn satisfies_principal(&self, constraint: &cedar::PrincipalConstraint) -> bool {
        match constraint {
            cedar::PrincipalConstraint::Any => true,
            cedar::PrincipalConstraint::Eq(uid) => self.uid == *uid,
            cedar::PrincipalConstraint::In(uid) => self.all.contains(uid),
            cedar::PrincipalConstraint::Is(kind) => self.uid.type_name() == kind,
            cedar::PrincipalConstraint::IsIn(kind, uid) => {
                self.uid.type_name() == kind && self.all.contains(uid)
            }
        }
    }

    pub(super) fn satisfies_action(&self, constraint: &cedar::ActionConstraint) -> bool {
        match constraint {
            cedar::ActionConstraint::Any => true,
            cedar::ActionConstraint::Eq(uid) => self.uid == *uid,
            cedar::ActionConstraint::In(uids) => uids.iter().any(|uid| self.all.contains(uid)),
        }
    }

    pub(super) fn satisfies_resource(&self, constraint: &cedar::ResourceConstraint) -> bool {
        match constraint {
            cedar::ResourceConstraint::Any => true,
            cedar::ResourceConstraint::Eq(uid) => self.uid == *uid,
            cedar::ResourceConstraint::In(uid) => self.all.contains(uid),
            cedar::ResourceConstraint::Is(kind) => self.uid.type_name() == kind,
            cedar::ResourceConstraint::IsIn(kind, uid) => {
                self.uid.type_name() == kind && self.all.contains(uid)
            }
        }
    }
}
