//! The people that policies tell apart by their roles: a `User` and a `Client` without a role, with each role, and with all
//! of them; where policies name tenants, of each of these too.
//!
//! Who has two roles of three is none of them, unless they are [named together](role_sets). A claim that a policy compares, or a scope, is not chosen here: who asks
//! for an entity says what it is to have.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use cedar_policy as cedar;
use cedar_policy::RestrictedExpression as Value;

use crate::bundle::policies::PolicyVersion;
use crate::bundle::roles::Roles;
use crate::bundle::vocabulary::{ClaimKind, PrincipalShape, Vocabulary};
use crate::entities::{EntityError, Principal};
use crate::jose::{ClaimValue, PrincipalKind};

/// Somebody, as far as roles and tenants tell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Person {
    /// A `User` or a `Client`.
    pub kind: PrincipalKind,
    /// Their roles.
    pub roles: Held,
    /// Their tenant; `None` stands for no tenant and for every one that is not named.
    pub tenant: Option<String>,
}

/// The roles that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Held {
    /// None.
    Nothing,
    /// This one, with all that it includes.
    One(String),
    /// All that there are.
    Everything,
    /// Some that count for more together than each of them.
    Together {
        /// `auditor + clerk`
        name: String,
        /// The roles, sorted.
        roles: Vec<String>,
    },
    /// Those of a principal with a name of its own.
    Named {
        /// The name.
        name: String,
        /// The roles that its token names and its issuer may confer.
        roles: Vec<String>,
    },
}

impl Held {
    /// Some roles together.
    #[must_use]
    pub fn together(roles: impl IntoIterator<Item = String>) -> Self {
        let roles: BTreeSet<String> = roles.into_iter().collect();
        let roles: Vec<String> = roles.into_iter().collect();
        Self::Together { name: roles.join(" + "), roles }
    }
}

/// What somebody's attributes say, by their names as a policy spells them: `sub`, `claims.department`.
pub type Attributes = BTreeMap<String, ClaimValue>;

/// The two types of those who ask.
pub const KINDS: [PrincipalKind; 2] = [PrincipalKind::User, PrincipalKind::Client];

impl Person {
    /// Everyone that there is for `roles`: of no tenant first, then of each of `tenants`.
    #[must_use]
    pub fn all<'r>(
        roles: impl IntoIterator<Item = &'r str>,
        tenants: impl IntoIterator<Item = String>,
    ) -> Vec<Self> {
        let roles: Vec<&str> = roles.into_iter().collect();
        let every = (roles.len() > 1).then_some(Held::Everything);
        let one = roles.into_iter().map(|role| Held::One(role.to_owned()));
        let held: Vec<Held> = std::iter::once(Held::Nothing).chain(one).chain(every).collect();
        let mut people = Vec::new();
        for tenant in std::iter::once(None).chain(tenants.into_iter().map(Some)) {
            for kind in KINDS {
                let of = held.iter().map(|held| Self { kind, roles: held.clone(), tenant: tenant.clone() });
                people.extend(of);
            }
        }
        people
    }

    /// The roles that are held, with all that they include, sorted. A role that does not exist is none.
    #[must_use]
    pub fn closure<'r>(&self, roles: &'r Roles) -> BTreeSet<&'r str> {
        match &self.roles {
            Held::Nothing => BTreeSet::new(),
            Held::One(role) => roles.closure(role).collect(),
            Held::Everything => roles.names().collect(),
            Held::Together { roles: own, .. } | Held::Named { roles: own, .. } => {
                own.iter().flat_map(|role| roles.closure(role)).collect()
            }
        }
    }

    /// The roles that a token would have to name.
    #[must_use]
    pub fn named_roles<'r>(&'r self, roles: &'r Roles) -> Vec<&'r str> {
        match &self.roles {
            Held::Nothing => Vec::new(),
            Held::One(role) => vec![role.as_str()],
            Held::Everything => roles.names().collect(),
            Held::Together { roles: own, .. } | Held::Named { roles: own, .. } => {
                own.iter().map(String::as_str).collect()
            }
        }
    }

    /// The Cedar type.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        type_name(self.kind)
    }

    /// What the schema declares of their type.
    #[must_use]
    pub const fn shape<'v>(&self, vocabulary: &'v Vocabulary) -> &'v PrincipalShape {
        match self.kind {
            PrincipalKind::User => &vocabulary.user,
            PrincipalKind::Client => &vocabulary.client,
        }
    }

    /// Their entity. What the schema requires and `attributes` do not say is empty; what it does not declare is left out.
    ///
    /// # Errors
    /// [`EntityError`], a defect of ours: what the schema declares can be made.
    pub fn entity(
        &self,
        id: &str,
        attributes: &Attributes,
        vocabulary: &Vocabulary,
        roles: &Roles,
    ) -> Result<Principal, EntityError> {
        let groups = self.closure(roles).into_iter().map(|role| ("Role", role));
        let tenant = self.tenant.as_deref().map(|tenant| ("Tenant", tenant));
        let parents = groups.chain(tenant).map(|(kind, name)| uid(kind, name));
        let parents = parents.collect::<Result<HashSet<_>, _>>()?;
        let attributes = declared(self.shape(vocabulary), attributes)?;
        cedar::Entity::new(uid(self.type_name(), id)?, attributes, parents)
            .map(Principal::from)
            .map_err(cedar_error)
    }
}

/// `a User with role clerk of tenant globex`
impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Held::Named { name, .. } = &self.roles {
            return f.write_str(name);
        }
        write!(f, "a {} ", self.type_name())?;
        match &self.roles {
            Held::Named { .. } => {}
            Held::Nothing => f.write_str("without a role")?,
            Held::One(role) => write!(f, "with role {role}")?,
            Held::Everything => f.write_str("with every role")?,
            Held::Together { name, .. } => write!(f, "with roles {name}")?,
        }
        match &self.tenant {
            Some(tenant) => write!(f, " of tenant {tenant}"),
            None => Ok(()),
        }
    }
}

/// The Cedar type of a kind of principal.
#[must_use]
pub const fn type_name(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "User",
        PrincipalKind::Client => "Client",
    }
}

/// The tenants that the policies of a version speak of, sorted.
#[must_use]
pub fn named_tenants(version: &PolicyVersion) -> BTreeSet<String> {
    let literals = version.policies().policies().flat_map(cedar::Policy::entity_literals);
    let tenants = literals.filter(|literal| literal.type_name().to_string() == "Tenant");
    tenants.map(|literal| AsRef::<str>::as_ref(literal.id().unescaped()).to_owned()).collect()
}

/// The roles that a policy names, sorted.
#[must_use]
pub fn named_roles(policy: &cedar::Policy) -> Vec<String> {
    let literals = policy.entity_literals().into_iter();
    let roles = literals.filter(|literal| literal.type_name().to_string() == "Role");
    let names: BTreeSet<String> =
        roles.map(|role| AsRef::<str>::as_ref(role.id().unescaped()).to_owned()).collect();
    names.into_iter().collect()
}

/// The roles that one policy of a version names together, where they are not all: it tells apart who has them.
#[must_use]
pub fn role_sets(version: &PolicyVersion) -> BTreeSet<Vec<String>> {
    let every = version.roles.names().count();
    let named = version.policies().policies().map(named_roles);
    named.filter(|roles| roles.len() > 1 && roles.len() < every).collect()
}

/// The attributes that the schema declares: as given, or where it requires one that is not given, empty.
fn declared(shape: &PrincipalShape, given: &Attributes) -> Result<HashMap<String, Value>, EntityError> {
    const ALWAYS: [(&str, ClaimKind); 3] =
        [("sub", ClaimKind::String), ("issuer", ClaimKind::String), ("scopes", ClaimKind::SetOfString)];
    let mut attributes: HashMap<String, Value> = HashMap::new();
    for name in &shape.attributes {
        let always = ALWAYS.iter().find(|(always, _)| always == name).map(|(_, kind)| empty(*kind));
        if let Some(value) = given.get(name).map(value).or(always) {
            attributes.insert(name.clone(), value);
        }
    }
    if let Some(declared) = &shape.claims {
        let fields = declared.iter().filter_map(|(name, claim)| {
            let required = claim.required.then(|| empty(claim.kind));
            let value = given.get(&format!("claims.{name}")).map(value).or(required)?;
            Some((name.clone(), value))
        });
        attributes.insert("claims".to_owned(), Value::new_record(fields).map_err(cedar_error)?);
    }
    Ok(attributes)
}

fn empty(kind: ClaimKind) -> Value {
    match kind {
        ClaimKind::String => Value::new_string(String::new()),
        ClaimKind::Long => Value::new_long(0),
        ClaimKind::Bool => Value::new_bool(false),
        ClaimKind::SetOfString => Value::new_set([]),
    }
}

fn value(value: &ClaimValue) -> Value {
    match value {
        ClaimValue::String(text) => Value::new_string(text.clone()),
        ClaimValue::Long(number) => Value::new_long(*number),
        ClaimValue::Bool(value) => Value::new_bool(*value),
        ClaimValue::Set(items) => Value::new_set(items.iter().cloned().map(Value::new_string)),
    }
}

fn uid(kind: &str, id: &str) -> Result<cedar::EntityUid, EntityError> {
    let kind = kind.parse::<cedar::EntityTypeName>().map_err(cedar_error)?;
    Ok(cedar::EntityUid::from_type_name_and_id(kind, cedar::EntityId::new(id)))
}

fn cedar_error(error: impl fmt::Display) -> EntityError {
    EntityError::Cedar(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_is_each_kind_with_no_role_each_role_and_all_of_them_in_each_tenant() {
        let people = Person::all(["clerk", "admin"], ["globex".to_owned()]);
        let names: Vec<String> = people.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 2 * 4 * 2);
        assert_eq!(names.first().unwrap(), "a User without a role");
        assert_eq!(names.last().unwrap(), "a Client with every role of tenant globex");
        assert_eq!(Person::all(["clerk"], []).len(), 4, "one role is every role");
        assert_eq!(Person::all([], []).len(), 2);
    }
}
