//! The policy information point (PIP, NIST SP 800-162): verified claims and the matched route become Cedar entities and
//! the request's context.
//!
//! What is fixed for the life of a cached answer goes into entities; what changes from request to request goes into the
//! context. Parents are given as the whole closure, so the store of a request holds three entities: who asks, for what,
//! and how.

pub mod facts;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, OnceLock};

use cedar_policy as cedar;

use crate::bundle::roles::Roles;
use crate::bundle::vocabulary::{ClaimKind, HttpShape, PrincipalShape, Vocabulary};
use crate::cedar_core::{self, CoreError, Node, Value};
use crate::jose::{ClaimValue, PrincipalKind, VerifiedClaims};
use crate::route::{Operation, RouteMatch};
use crate::time::Timestamp;

/// Builds entities for one policy version. Made once a version; each role's entities are made once too.
#[derive(Debug)]
pub struct EntityFactory {
    user: PrincipalType,
    client: PrincipalType,
    tenant: cedar::EntityTypeName,
    role: cedar::EntityTypeName,
    vocabulary: Vocabulary,
    roles: Roles,
    /// By role, where it was asked for: the role and all that it includes.
    closures: Vec<OnceLock<Box<[cedar::EntityUid]>>>,
}

/// What principals of one kind are, by the schema.
#[derive(Debug)]
struct PrincipalType {
    name: cedar::EntityTypeName,
    shape: Arc<PrincipalShape>,
}

/// The entity of a caller, with everything it is in; made by [`EntityFactory::principal`]. A clone shares it.
#[derive(Clone, Debug)]
pub struct Principal(Node);

/// The action and the route of one operation, as one API and stage see it. Made once, not per request.
#[derive(Clone, Debug)]
pub struct OperationEntities {
    action: cedar::EntityUid,
    route: cedar::EntityUid,
    store: cedar::Entities,
}

/// Who asks for what, in Cedar's terms.
#[derive(Debug)]
pub struct AccessRequest {
    /// Principal, action, resource and context.
    pub request: cedar::Request,
    /// The three entities that the request names, each with everything it is in.
    pub entities: cedar::Entities,
}

/// The volatile facts of a request: there only where the event carries them.
#[derive(Clone, Debug, Default)]
pub struct HttpFacts {
    /// The caller's address.
    pub source_ip: Option<IpAddr>,
    /// The moment of the decision.
    pub time: Option<Timestamp>,
    /// The subject of the caller's certificate (mutual TLS).
    pub client_cert_subject: Option<String>,
    /// The declared headers that the request has exactly once.
    pub headers: Vec<(String, String)>,
    /// The declared query parameters that the request has exactly once.
    pub query: Vec<(String, String)>,
    /// The declared stage variables.
    pub stage_variables: Vec<(String, String)>,
}

/// Why a verified token makes no principal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntityError {
    /// A claim that the schema requires is not in the token.
    #[error("the token has no claim for `claims.{claim}`, which the schema requires")]
    MissingClaim {
        /// The attribute's name.
        claim: String,
    },
    /// A claim has another type than the schema declares.
    #[error("the token's claim for `claims.{claim}` is not {expected}")]
    ClaimType {
        /// The attribute's name.
        claim: String,
        /// The declared type, in words.
        expected: &'static str,
    },
    /// Cedar refused a value or an entity.
    #[error("cedar cannot represent the request: {0}")]
    Cedar(String),
}

impl Principal {
    /// Its name.
    #[must_use]
    pub fn uid(&self) -> &cedar::EntityUid {
        self.0.uid()
    }

    /// Everything it is in: roles, with all that they include, and a tenant.
    pub fn ancestors(&self) -> impl Iterator<Item = &cedar::EntityUid> {
        self.0.ancestors()
    }

    /// A store with it: see [`cedar_core::with_principal`].
    pub(crate) fn within(&self, store: &cedar::Entities) -> Result<cedar::Entities, CoreError> {
        cedar_core::with_principal(store, &self.0)
    }

    /// The entity, in the form of Cedar's public interface.
    #[must_use]
    pub fn entity(&self) -> &cedar::Entity {
        self.0.entity()
    }
}

/// Its name, as Cedar writes it: `User::"acme-staff|4711"`.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.uid().id().unescaped();
        // Cedar looks at each character by itself, and of most ids none has to be escaped.
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') & !matches!(byte, b'"' | b'\'' | b'\\');
        match id.bytes().all(is_plain) {
            true => write!(f, "{}::\"{id}\"", self.uid().type_name()),
            false => self.uid().fmt(f),
        }
    }
}

/// An entity that is in what it says, and in nothing more.
impl From<cedar::Entity> for Principal {
    fn from(entity: cedar::Entity) -> Self {
        Self(Node::from(entity))
    }
}

impl EntityFactory {
    /// Prepares the names and the role closures of one policy version.
    ///
    /// # Errors
    /// [`EntityError::Cedar`] where a type's name is none, which the vocabulary's own constants never are.
    pub fn new(vocabulary: &Vocabulary, roles: &Roles) -> Result<Self, EntityError> {
        let roles = roles.clone();
        let mut closures = Vec::new();
        closures.resize_with(roles.len(), OnceLock::new);
        Ok(Self {
            user: PrincipalType::new("User", &vocabulary.user)?,
            client: PrincipalType::new("Client", &vocabulary.client)?,
            tenant: type_name("Tenant")?,
            role: type_name("Role")?,
            vocabulary: vocabulary.clone(),
            roles,
            closures,
        })
    }

    /// The entity of the caller: a `User` or a `Client`, in its roles with all they include, and in its tenant.
    ///
    /// # Errors
    /// [`EntityError`] where the token's claims do not fit the schema.
    pub fn principal(&self, claims: &VerifiedClaims) -> Result<Principal, EntityError> {
        self.principal_of(&Arc::new(claims.clone()))
    }

    /// The same of claims that others have too.
    ///
    /// # Errors
    /// As [`Self::principal`].
    pub fn principal_of(&self, claims: &Arc<VerifiedClaims>) -> Result<Principal, EntityError> {
        let PrincipalType { name, shape } = match claims.kind() {
            PrincipalKind::User => &self.user,
            PrincipalKind::Client => &self.client,
        };
        let roles = claims.roles().iter().filter_map(|role| self.closure(role)).flatten().cloned();
        let tenant = claims.tenant().map(|tenant| uid(&self.tenant, tenant));
        let declared = declared_claims(claims, shape)?;
        let uid = uid(name, &principal_id(claims));
        let (claims, shape) = (Arc::clone(claims), Arc::clone(shape));
        let attributes = move || principal_attributes(&claims, &shape, declared);
        Ok(Principal(Node::new(uid, attributes, roles.chain(tenant))))
    }

    /// A role and all that it includes; `None` for one that does not exist.
    fn closure(&self, role: &str) -> Option<&[cedar::EntityUid]> {
        let closure = self.closures.get(self.roles.place(role)?)?;
        let make = || self.roles.closure(role).map(|included| uid(&self.role, included)).collect();
        Some(closure.get_or_init(make))
    }

    /// The types of those who ask.
    #[must_use]
    pub fn principal_types(&self) -> [cedar::EntityTypeName; 2] {
        [self.user.name.clone(), self.client.name.clone()]
    }

    /// Puts a request together.
    ///
    /// # Errors
    /// [`EntityError::Cedar`] where Cedar refuses a value, such as a moment outside its range.
    pub fn request(
        &self,
        principal: &Principal,
        operation: &OperationEntities,
        matched: &RouteMatch<'_, '_>,
        path: &str,
        facts: &HttpFacts,
    ) -> Result<AccessRequest, EntityError> {
        let store = self.store(operation, principal)?;
        self.request_in(store, principal.uid(), operation, matched, path, facts)
    }

    /// The three entities of every request that a principal makes for an operation.
    ///
    /// # Errors
    /// [`EntityError::Cedar`] where the operation's store has another entity of the principal's name, which it never has.
    pub fn store(
        &self,
        operation: &OperationEntities,
        principal: &Principal,
    ) -> Result<cedar::Entities, EntityError> {
        principal.within(&operation.store).map_err(cedar_error)
    }

    /// Puts a request together whose [store](Self::store) is there already.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn request_in(
        &self,
        store: cedar::Entities,
        principal: &cedar::EntityUid,
        operation: &OperationEntities,
        matched: &RouteMatch<'_, '_>,
        path: &str,
        facts: &HttpFacts,
    ) -> Result<AccessRequest, EntityError> {
        let params = matched.params().iter().map(|(name, value)| (*name, Value::string(value)));
        let context = [
            ("params", Value::record(params)),
            ("path", Value::string(path)),
            ("http", http(facts).map_err(cedar_error)?),
        ];
        let request = cedar_core::request([principal, &operation.action, &operation.route], context);
        Ok(AccessRequest { request, entities: store })
    }

    /// The volatile facts that the policies may read.
    #[must_use]
    pub fn http_shape(&self) -> &HttpShape {
        &self.vocabulary.http
    }
}

impl PrincipalType {
    fn new(name: &str, shape: &PrincipalShape) -> Result<Self, EntityError> {
        Ok(Self { name: type_name(name)?, shape: Arc::new(shape.clone()) })
    }
}

impl OperationEntities {
    /// The entities of an operation in an API's stage; the action's groups come from the schema.
    ///
    /// # Errors
    /// [`EntityError::Cedar`] where the schema's actions lead in a circle, which a loaded schema's never do.
    pub fn new(
        operation: &Operation,
        api: &str,
        stage: &str,
        vocabulary: &Vocabulary,
        actions: &cedar::Entities,
    ) -> Result<Self, EntityError> {
        let action = uid(known_type(&ACTION)?, operation.name());
        let groups = actions.ancestors(&action).into_iter().flatten();
        Self::within(operation, api, stage, vocabulary, groups.map(|group| group.id().unescaped()))
    }

    /// The same, by the names of the groups that the action is in.
    ///
    /// # Errors
    /// [`EntityError::Cedar`].
    pub fn within<'g>(
        operation: &Operation,
        api: &str,
        stage: &str,
        vocabulary: &Vocabulary,
        groups: impl IntoIterator<Item = &'g str>,
    ) -> Result<Self, EntityError> {
        let kind = known_type(&ACTION)?;
        let action = uid(kind, operation.name());
        let groups = groups.into_iter().map(|group| uid(kind, group));
        let (path, tag) = (known_type(&PATH)?, known_type(&TAG)?);
        let prefixes = operation.path_ancestors();
        let tags = operation.tags().iter().map(|name| uid(tag, name));
        let parents = prefixes.iter().map(|prefix| uid(path, prefix)).chain(tags);
        let template = operation.template().to_string();
        let route = uid(known_type(&ROUTE)?, &template);
        let attributes: Vec<_> = [("api", api), ("stage", stage), ("template", template.as_str())]
            .into_iter()
            .filter(|(name, _)| vocabulary.route.contains(*name))
            .map(|(name, value)| (name, Value::string(value)))
            .collect();
        let nodes =
            [Node::new(action.clone(), Vec::new, groups), Node::new(route.clone(), || attributes, parents)];
        let store = cedar_core::store(&nodes).map_err(cedar_error)?;
        Ok(Self { action, route, store })
    }

    /// The operation's action.
    #[must_use]
    pub fn action(&self) -> &cedar::EntityUid {
        &self.action
    }

    /// The operation's route.
    #[must_use]
    pub fn route(&self) -> &cedar::EntityUid {
        &self.route
    }

    /// The action with every group it is in, and the route with every path and tag it is in.
    #[must_use]
    pub fn entities(&self) -> &cedar::Entities {
        &self.store
    }
}

/// The principal's id: `<issuer alias>|<sub>`, or for a machine `<issuer alias>|<client id>`. The alias stands before
/// it because two issuers may use one `sub` for two people; where one file speaks for several Entra tenants, so does the
/// tenant's id behind the alias.
#[must_use]
pub fn principal_id(claims: &VerifiedClaims) -> String {
    let id = match claims.kind() {
        PrincipalKind::User => claims.subject(),
        PrincipalKind::Client => claims.client_id().unwrap_or(claims.subject()),
    };
    match claims.directory() {
        None => [claims.issuer(), id].join("|"),
        Some(directory) => [claims.issuer(), directory, id].join("|"),
    }
}

/// The claims that the schema declares and the token has, each of its declared type; `None` where it declares none.
fn declared_claims(
    claims: &VerifiedClaims,
    shape: &PrincipalShape,
) -> Result<Option<Vec<(String, ClaimValue)>>, EntityError> {
    let Some(declared) = &shape.claims else { return Ok(None) };
    let mut fields = Vec::with_capacity(declared.len());
    for (name, claim) in declared {
        match claims.claims().find(|(given, _)| given == name) {
            Some((_, value)) => fields.push((name.clone(), coerced(name, claim.kind, value)?)),
            None if claim.required => return Err(EntityError::MissingClaim { claim: name.clone() }),
            None => {}
        }
    }
    Ok(Some(fields))
}

fn principal_attributes(
    claims: &VerifiedClaims,
    shape: &PrincipalShape,
    declared: Option<Vec<(String, ClaimValue)>>,
) -> Vec<(&'static str, Value)> {
    let mut attributes = Vec::with_capacity(7);
    let mut set = |name: &'static str, value: &dyn Fn() -> Option<Value>| {
        if shape.attributes.contains(name) {
            attributes.extend(value().map(|value| (name, value)));
        }
    };
    set("sub", &|| Some(Value::string(claims.subject())));
    set("issuer", &|| Some(Value::string(claims.issuer())));
    set("client_id", &|| claims.client_id().map(Value::string));
    set("scopes", &|| Some(Value::strings(claims.scopes())));
    set("email", &|| claims.email().map(Value::string));
    set("email_verified", &|| claims.email_verified().map(Value::boolean));
    if let Some(declared) = declared {
        let fields = declared.iter().map(|(name, value)| (name.as_str(), claim_value(value)));
        attributes.push(("claims", Value::record(fields)));
    }
    attributes
}

fn claim_value(value: &ClaimValue) -> Value {
    match value {
        ClaimValue::String(text) => Value::string(text),
        ClaimValue::Long(number) => Value::long(*number),
        ClaimValue::Bool(truth) => Value::boolean(*truth),
        ClaimValue::Set(items) => Value::strings(items),
    }
}

/// The claim as a value of its declared type.
fn coerced(name: &str, kind: ClaimKind, value: &ClaimValue) -> Result<ClaimValue, EntityError> {
    let expected = |expected| EntityError::ClaimType { claim: name.to_owned(), expected };
    match (kind, value) {
        (ClaimKind::String, ClaimValue::String(_))
        | (ClaimKind::Long, ClaimValue::Long(_))
        | (ClaimKind::Bool, ClaimValue::Bool(_))
        | (ClaimKind::SetOfString, ClaimValue::Set(_)) => Ok(value.clone()),
        (ClaimKind::String, _) => Err(expected("a string")),
        // Cognito's custom attributes are always strings, whatever type they were declared with.
        (ClaimKind::Long, ClaimValue::String(text)) => {
            text.parse().map(ClaimValue::Long).map_err(|_| expected("a whole number"))
        }
        (ClaimKind::Long, _) => Err(expected("a whole number")),
        (ClaimKind::Bool, ClaimValue::String(text)) => {
            text.parse().map(ClaimValue::Bool).map_err(|_| expected("true or false"))
        }
        (ClaimKind::Bool, _) => Err(expected("true or false")),
        (ClaimKind::SetOfString, _) => Err(expected("a list of strings")),
    }
}

fn http(facts: &HttpFacts) -> Result<Value, cedar_core::CoreError> {
    let texts = |fields: &[(String, String)]| {
        let fields = fields.iter().map(|(name, value)| (name.as_str(), Value::string(value)));
        (fields.len() > 0).then(|| Value::record(fields))
    };
    // Cedar has no IPv4 address in the clothes of IPv6 (`::ffff:192.0.2.7`), and a rule about the address must bite.
    let source_ip = facts.source_ip.map(|address| Value::ip(address.to_canonical())).transpose()?;
    let time = facts.time.map(|moment| Value::datetime(&moment.to_datetime_literal())).transpose()?;
    let fields = [
        ("source_ip", source_ip),
        ("time", time),
        ("client_cert_subject", facts.client_cert_subject.as_deref().map(Value::string)),
        ("headers", texts(&facts.headers)),
        ("query", texts(&facts.query)),
        ("stage_variables", texts(&facts.stage_variables)),
    ];
    Ok(Value::record(fields.into_iter().filter_map(|(name, value)| Some((name, value?)))))
}

fn type_name(name: &str) -> Result<cedar::EntityTypeName, EntityError> {
    name.parse().map_err(|error: cedar::ParseErrors| EntityError::Cedar(error.to_string()))
}

/// The name of a type of the gateway's schema; Cedar parses it once.
type KnownType = LazyLock<Result<cedar::EntityTypeName, EntityError>>;

static ACTION: KnownType = LazyLock::new(|| type_name("Action"));
static ROUTE: KnownType = LazyLock::new(|| type_name("Route"));
static PATH: KnownType = LazyLock::new(|| type_name("Path"));
static TAG: KnownType = LazyLock::new(|| type_name("Tag"));

fn known_type(name: &'static KnownType) -> Result<&'static cedar::EntityTypeName, EntityError> {
    name.as_ref().map_err(Clone::clone)
}

fn uid(kind: &cedar::EntityTypeName, id: &str) -> cedar::EntityUid {
    cedar::EntityUid::from_type_name_and_id(kind.clone(), cedar::EntityId::new(id))
}

fn cedar_error(error: impl std::fmt::Display) -> EntityError {
    EntityError::Cedar(error.to_string())
}
