//! The policies of a version as the rules look at them: for whom, for which operations, under which conditions.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use cedar_policy as cedar;
use serde_json::Value;

use super::LintError;
use crate::bundle::Bundle;
use crate::bundle::finding::{Code, Findings};
use crate::bundle::policies::{PolicyNote, PolicyVersion};
use crate::bundle::roles::Roles;
use crate::bundle::source::SourceFiles;
use crate::entities::OperationEntities;
use crate::iam::bits::Bits;
use crate::route::Operation;

/// All policies of a version, in the order of the files.
pub(super) struct Rules<'b> {
    pub(super) bundle: &'b Bundle,
    pub(super) version: &'b PolicyVersion,
    pub(super) rules: Vec<Rule<'b>>,
}

/// One policy.
pub(super) struct Rule<'b> {
    pub(super) id: String,
    pub(super) policy: &'b cedar::Policy,
    pub(super) note: &'b PolicyNote,
    pub(super) who: Who,
    /// The operations that its scope matches, by their number in the route table.
    pub(super) operations: Bits,
    /// Its `when` and `unless` in Cedar's JSON policy format; null where there are none.
    pub(super) conditions: Value,
    /// The same as a text, which is equal for conditions that are written alike; empty where there are none.
    pub(super) conditions_text: String,
}

/// A principal scope: `principal is kind in within`, or `principal == is`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Who {
    pub(super) kind: Option<cedar::EntityTypeName>,
    pub(super) within: Option<cedar::EntityUid>,
    pub(super) is: Option<cedar::EntityUid>,
}

impl<'b> Rules<'b> {
    pub(super) fn of(bundle: &'b Bundle, version: &'b PolicyVersion) -> Result<Self, LintError> {
        let scopes = Scopes::of(bundle)?;
        let mut rules = Vec::with_capacity(version.policies().num_of_policies());
        for policy in version.policies().policies() {
            let id = policy.id().to_string();
            let Some(note) = version.note(&id) else { continue };
            let json = policy.to_json().map_err(|error| LintError(error.to_string()))?;
            let conditions = json.get("conditions").cloned().unwrap_or_default();
            let conditions_text = match conditions.as_array().is_none_or(Vec::is_empty) {
                true => String::new(),
                false => conditions.to_string(),
            };
            let who = Who::of(policy.principal_constraint());
            let operations = scopes.operations(policy);
            rules.push(Rule { id, policy, note, who, operations, conditions, conditions_text });
        }
        rules.sort_by(|one, other| {
            let place = |rule: &Rule<'b>| (rule.note.file.as_str(), rule.note.span.start);
            place(one).cmp(&place(other))
        });
        Ok(Self { bundle, version, rules })
    }

    pub(super) fn roles(&self) -> &'b Roles {
        &self.version.roles
    }

    /// The operations of a set, in the order of the route table.
    pub(super) fn operations<'s>(&self, set: &'s Bits) -> impl Iterator<Item = &'b Operation> + use<'b, 's> {
        let operations = self.bundle.routes().operations().iter().enumerate();
        operations.filter(|(index, _)| set.contains(*index)).map(|(_, operation)| operation)
    }
}

impl Rule<'_> {
    pub(super) fn is_permit(&self) -> bool {
        self.policy.effect() == cedar::Effect::Permit
    }

    /// The policy's text.
    pub(super) fn text<'f>(&self, files: &'f SourceFiles) -> &'f str {
        files.text(&self.note.file).and_then(|text| text.get(self.note.span.clone())).unwrap_or_default()
    }

    /// Where the first of some texts stands in the policy; its @id where none does.
    pub(super) fn place(&self, files: &SourceFiles, needles: &[&str]) -> Range<usize> {
        let text = self.text(files);
        let id = format!("{:?}", self.id);
        let found = needles.iter().copied().chain([id.as_str()]).find_map(|needle| {
            let start = self.note.span.start + text.find(needle)?;
            Some(start..start + needle.len())
        });
        found.unwrap_or_else(|| self.note.span.clone())
    }

    /// Notes something about the policy as a whole.
    pub(super) fn note(
        &self,
        code: Code,
        message: String,
        help: Option<String>,
        files: &SourceFiles,
        findings: &mut Findings<'_>,
    ) {
        findings.note(code, &self.note.file, Some(self.place(files, &[])), message, help);
    }
}

impl Who {
    fn of(constraint: cedar::PrincipalConstraint) -> Self {
        let (kind, within, is) = match constraint {
            cedar::PrincipalConstraint::Any => (None, None, None),
            cedar::PrincipalConstraint::In(uid) => (None, Some(uid), None),
            cedar::PrincipalConstraint::Eq(uid) => (None, None, Some(uid)),
            cedar::PrincipalConstraint::Is(kind) => (Some(kind), None, None),
            cedar::PrincipalConstraint::IsIn(kind, uid) => (Some(kind), Some(uid), None),
        };
        Self { kind, within, is }
    }

    /// Whether everybody is meant, or everybody of a kind.
    pub(super) fn is_everybody(&self) -> bool {
        self.within.is_none() && self.is.is_none()
    }

    /// Whether whoever is meant by `narrower` is meant by this scope too.
    pub(super) fn covers(&self, narrower: &Self, roles: &Roles) -> bool {
        let same_kind = self.kind.as_ref().is_none_or(|kind| {
            let of_one = narrower.is.as_ref().map(cedar::EntityUid::type_name);
            narrower.kind.as_ref().or(of_one) == Some(kind)
        });
        let inside = self.within.as_ref().is_none_or(|outer| match (&narrower.within, &narrower.is) {
            (Some(inner), _) => is_in(inner, outer, roles),
            (None, Some(one)) => one == outer,
            (None, None) => false,
        });
        same_kind && inside && (self.is.is_none() || self.is == narrower.is)
    }
}

/// Whether all that is in `inner` is in `outer`: the same, or a role that includes it.
fn is_in(inner: &cedar::EntityUid, outer: &cedar::EntityUid, roles: &Roles) -> bool {
    let role = |uid: &cedar::EntityUid| uid.type_name().to_string() == "Role";
    inner == outer
        || (role(inner)
            && role(outer)
            && roles.closure(inner.id().unescaped()).any(|role| role == outer.id().unescaped()))
}

/// Which operations each action, group, route, path and tag stands for.
struct Scopes {
    all: Bits,
    actions: HashMap<cedar::EntityUid, Bits>,
    action_groups: HashMap<cedar::EntityUid, Bits>,
    routes: HashMap<cedar::EntityUid, Bits>,
    paths: HashMap<cedar::EntityUid, Bits>,
    /// The types of the resources.
    types: BTreeSet<cedar::EntityTypeName>,
}

impl Scopes {
    fn of(bundle: &Bundle) -> Result<Self, LintError> {
        let failed = |error: &dyn std::fmt::Display| LintError(error.to_string());
        let mut scopes = Self {
            all: Bits::default(),
            actions: HashMap::new(),
            action_groups: HashMap::new(),
            routes: HashMap::new(),
            paths: HashMap::new(),
            types: BTreeSet::new(),
        };
        let known = bundle.schema().action_entities().map_err(|error| failed(&error))?;
        for (index, operation) in bundle.routes().operations().iter().enumerate() {
            // No scope can tell APIs and stages apart.
            let made = OperationEntities::new(operation, "api", "stage", bundle.vocabulary(), &known);
            let made = made.map_err(|error| failed(&error))?;
            let (action, route, entities) = (made.action(), made.route(), made.entities());
            let ancestors = |uid| entities.ancestors(uid).into_iter().flatten().chain([uid]);
            let add = |set: &mut HashMap<cedar::EntityUid, Bits>, uid: &cedar::EntityUid| {
                set.entry(uid.clone()).or_default().insert(index);
            };
            scopes.all.insert(index);
            scopes.types.insert(route.type_name().clone());
            add(&mut scopes.actions, action);
            add(&mut scopes.routes, route);
            ancestors(action).for_each(|uid| add(&mut scopes.action_groups, uid));
            ancestors(route).for_each(|uid| add(&mut scopes.paths, uid));
        }
        Ok(scopes)
    }

    fn operations(&self, policy: &cedar::Policy) -> Bits {
        let of = |set: &HashMap<cedar::EntityUid, Bits>, uid: &cedar::EntityUid| {
            set.get(uid).cloned().unwrap_or_default()
        };
        let mut operations = match policy.action_constraint() {
            cedar::ActionConstraint::Any => self.all.clone(),
            cedar::ActionConstraint::Eq(uid) => of(&self.actions, &uid),
            cedar::ActionConstraint::In(uids) => uids.iter().fold(Bits::default(), |mut all, uid| {
                all.insert_all(&of(&self.action_groups, uid));
                all
            }),
        };
        let kind = |kind: &cedar::EntityTypeName| self.types.contains(kind);
        let resources = match policy.resource_constraint() {
            cedar::ResourceConstraint::Any => return operations,
            cedar::ResourceConstraint::Eq(uid) => of(&self.routes, &uid),
            cedar::ResourceConstraint::In(uid) => of(&self.paths, &uid),
            cedar::ResourceConstraint::Is(type_name) if kind(&type_name) => return operations,
            cedar::ResourceConstraint::IsIn(type_name, uid) if kind(&type_name) => of(&self.paths, &uid),
            cedar::ResourceConstraint::Is(_) | cedar::ResourceConstraint::IsIn(..) => Bits::default(),
        };
        operations.keep_only(&resources);
        operations
    }
}
