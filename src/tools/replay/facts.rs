//! The facts of a record in Cedar's terms: known, or standing for a text that is not told, or not there to be known.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cedar_policy as cedar;
use cedar_policy::RestrictedExpression as Value;

use super::{Undecided, moment};
use crate::arn::Verb;
use crate::bundle::deployment::ApiKind;
use crate::bundle::vocabulary::{ClaimKind, ClaimShape, PrincipalShape};
use crate::entities::{HttpFacts, Principal};
use crate::jose::ClaimValue;
use crate::path::{RequestPath, reconcile};
use crate::record::facts::{RecordedPath, RecordedText, RecordedValue, pseudonym};
use crate::tools::decision_log::LoggedDecision;
use crate::tools::desk::{Asked, Desk, Target};

/// How well a fact is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// What it is, or that it is not there.
    Known,
    /// That it is there, and what it equals.
    Hashed,
    /// That it is there, and that it is a number: arithmetic can make one that no policy writes.
    HashedNumber,
    /// Nothing.
    Unknown,
}

/// What is asked, as far as it is known; where it is not, something stands in its place.
pub(super) struct Resolved {
    pub(super) principal: Principal,
    pub(super) http: HttpFacts,
    verb: Verb,
    path: Option<RequestPath>,
    path_level: Level,
    levels: BTreeMap<String, Level>,
}

impl Resolved {
    /// The inner error is the authorizer's own reason for a request that it refuses before it asks a policy.
    pub(super) fn new(
        desk: &Desk<'_>,
        record: &LoggedDecision,
        dictionary: &HashMap<String, String>,
    ) -> Result<Result<Self, &'static str>, Undecided> {
        let lacks = |lacks| Undecided::Incomplete { lacks };
        let uid: cedar::EntityUid = record
            .principal
            .as_ref()
            .and_then(|principal| principal.parse().ok())
            .ok_or(lacks("who asked"))?;
        let verb: Verb = record
            .verb
            .as_ref()
            .and_then(|verb| verb.parse().ok())
            .ok_or(lacks("which method was asked for"))?;
        let mut facts = Facts::new(record, dictionary);
        let (path, path_level) = match desk.api().kind {
            ApiKind::WebSocket => (None, Level::Known),
            ApiKind::Rest | ApiKind::Http | ApiKind::AppSync => {
                let (text, level) = facts.path(desk)?;
                let relative = text.strip_prefix('/').unwrap_or(&text);
                let path = reconcile(desk.api().kind.path_encoding(), relative, None, &[])
                    .map_err(|error| Undecided::Request(error.to_string()))?;
                (Some(path), level)
            }
        };
        facts.learn_path(path.as_ref(), path_level);
        let vocabulary = desk.bundle().vocabulary();
        let shape = match uid.type_name().basename() {
            "User" => &vocabulary.user,
            "Client" => &vocabulary.client,
            _ => return Err(lacks("who asked")),
        };
        let principal = match facts.principal(desk, uid, shape)? {
            Ok(principal) => principal,
            Err(reason) => return Ok(Err(reason)),
        };
        let http = facts.http(desk);
        Ok(Ok(Self { principal, http, verb, path, path_level, levels: facts.levels }))
    }

    pub(super) fn target(&self) -> Target<'_> {
        match &self.path {
            Some(path) => Target::Method(&self.verb, path),
            None => Target::Connect,
        }
    }

    /// Whether the operation is the one that the record names, where the path alone does not say it.
    pub(super) fn is_for(&self, record: &LoggedDecision, asked: &Asked<'_, '_>) -> bool {
        self.path_level != Level::Unknown
            || record.action.as_deref() == Some(asked.matched.operation().name())
    }

    /// How well each fact is known, those of the path included.
    pub(super) fn levels(&self, asked: &Asked<'_, '_>) -> BTreeMap<String, Level> {
        let mut levels = self.levels.clone();
        levels.insert("context.path".to_owned(), self.path_level);
        for (name, value) in asked.matched.params() {
            let level = match self.path_level {
                // Only the segments that are hashed are not known.
                Level::Hashed if !value.split('/').any(is_stand_in) => Level::Known,
                level => level,
            };
            levels.insert(format!("context.params.{name}"), level);
        }
        levels
    }
}

/// What stands for a segment that is not told. It has a mark of its own, and then the hash.
const STAND_IN: &str = "~hash~";

fn is_stand_in(segment: &str) -> bool {
    segment.starts_with(STAND_IN)
}

/// Looks facts up in a record.
struct Facts<'r> {
    record: &'r LoggedDecision,
    dictionary: &'r HashMap<String, String>,
    /// What the record itself tells.
    told: HashMap<String, String>,
    levels: BTreeMap<String, Level>,
}

/// A fact, and how well it is known. `None` is that it is not there.
type Found = (Option<ClaimValue>, Level);

impl<'r> Facts<'r> {
    fn new(record: &'r LoggedDecision, dictionary: &'r HashMap<String, String>) -> Self {
        let mut facts = Self { record, dictionary, told: HashMap::new(), levels: BTreeMap::new() };
        for value in record.facts.iter().flat_map(|recorded| recorded.there.values()) {
            match value {
                RecordedValue::Text(RecordedText::Plain(text)) => facts.learn(text),
                RecordedValue::List(items) => {
                    for item in items {
                        if let RecordedText::Plain(text) = item {
                            facts.learn(text);
                        }
                    }
                }
                RecordedValue::Long(number) => facts.learn(&number.to_string()),
                RecordedValue::Text(RecordedText::Hashed { .. }) | RecordedValue::Bool(_) => {}
            }
        }
        facts
    }

    fn learn(&mut self, text: &str) {
        self.told.insert(pseudonym(text), text.to_owned());
    }

    /// A path that is known tells what its parameters are.
    fn learn_path(&mut self, path: Option<&RequestPath>, level: Level) {
        let Some(path) = path.filter(|_| level != Level::Unknown) else { return };
        let segments: Vec<&str> = path.segments().collect();
        for (at, segment) in segments.iter().enumerate() {
            self.learn(segment);
            // A greedy parameter is the rest of the path.
            self.learn(&segments.get(at..).unwrap_or_default().join("/"));
        }
        self.learn(path.as_str());
    }

    fn find(&self, sha256: &str) -> Option<&str> {
        self.dictionary.get(sha256).or_else(|| self.told.get(sha256)).map(String::as_str)
    }

    /// The path, with something in the place of each segment that is not told.
    fn path(&self, desk: &Desk<'_>) -> Result<(String, Level), Undecided> {
        match &self.record.path {
            Some(RecordedPath::Plain(path)) => Ok((path.clone(), Level::Known)),
            Some(RecordedPath::Segments(segments)) => {
                let mut level = Level::Known;
                let mut path = String::new();
                for segment in segments {
                    path.push('/');
                    match segment {
                        RecordedText::Plain(text) => path.push_str(text),
                        RecordedText::Hashed { sha256 } => match self.find(sha256) {
                            Some(text) => path.push_str(text),
                            None => {
                                level = Level::Hashed;
                                path.push_str(STAND_IN);
                                path.push_str(sha256);
                            }
                        },
                    }
                }
                Ok((path, level))
            }
            None => {
                let template = self.record.route.as_deref().ok_or(Undecided::NoPath)?;
                if !template.contains('{') {
                    return Ok((template.to_owned(), Level::Known));
                }
                // The same route table picks the same operation; another could pick another for some of its paths.
                if self.record.bundle != desk.bundle().digest() {
                    return Err(Undecided::NoPath);
                }
                let segment = |segment: &str| match segment.starts_with('{') {
                    true => STAND_IN.to_owned(),
                    false => segment.to_owned(),
                };
                let path: Vec<String> = template.split('/').map(segment).collect();
                Ok((path.join("/"), Level::Unknown))
            }
        }
    }

    /// Looks a fact up, and notes how well it is known.
    fn fact(&mut self, name: &str) -> Found {
        let found = match self.record.facts.as_ref() {
            None => (None, Level::Unknown),
            Some(recorded) => match recorded.there.get(name) {
                Some(value) => self.value(value),
                None if recorded.absent.iter().any(|absent| absent == name) => (None, Level::Known),
                None => (None, Level::Unknown),
            },
        };
        self.levels.insert(name.to_owned(), found.1);
        found
    }

    fn value(&self, value: &RecordedValue) -> Found {
        match value {
            RecordedValue::Bool(truth) => (Some(ClaimValue::Bool(*truth)), Level::Known),
            RecordedValue::Long(number) => (Some(ClaimValue::Long(*number)), Level::Known),
            RecordedValue::Text(text) => {
                let (text, level) = self.text(text);
                (Some(ClaimValue::String(text)), level)
            }
            RecordedValue::List(items) => {
                let items: Vec<(String, Level)> = items.iter().map(|item| self.text(item)).collect();
                let level = items.iter().map(|(_, level)| *level).max().unwrap_or(Level::Known);
                (Some(ClaimValue::Set(items.into_iter().map(|(item, _)| item).collect())), level)
            }
        }
    }

    fn text(&self, text: &RecordedText) -> (String, Level) {
        match text {
            RecordedText::Plain(text) => (text.clone(), Level::Known),
            RecordedText::Hashed { sha256 } => match self.find(sha256) {
                Some(text) => (text.to_owned(), Level::Known),
                None => (format!("{STAND_IN}{sha256}"), Level::Hashed),
            },
        }
    }

    fn string(&mut self, name: &str) -> Option<String> {
        match self.fact(name).0 {
            Some(ClaimValue::String(text)) => Some(text),
            Some(ClaimValue::Long(_) | ClaimValue::Bool(_) | ClaimValue::Set(_)) | None => None,
        }
    }

    /// The entity of the caller, as [`EntityFactory::principal`](crate::entities::EntityFactory::principal) makes it.
    fn principal(
        &mut self,
        desk: &Desk<'_>,
        uid: cedar::EntityUid,
        shape: &PrincipalShape,
    ) -> Result<Result<Principal, &'static str>, Undecided> {
        let failed = |error: &dyn std::fmt::Display| Undecided::Request(error.to_string());
        let mut attributes = Vec::new();
        for name in &shape.attributes {
            match self.fact(&format!("principal.{name}")).0 {
                Some(ClaimValue::String(text)) => attributes.push((name.clone(), Value::new_string(text))),
                Some(ClaimValue::Bool(truth)) => attributes.push((name.clone(), Value::new_bool(truth))),
                Some(ClaimValue::Long(number)) => attributes.push((name.clone(), Value::new_long(number))),
                Some(ClaimValue::Set(items)) => attributes.push((name.clone(), set(items))),
                None => {}
            }
        }
        if let Some(declared) = &shape.claims {
            let mut fields = Vec::new();
            for (name, claim) in declared {
                match self.claim(name, *claim)? {
                    Ok(Some(value)) => fields.push((name.clone(), value)),
                    Ok(None) => {}
                    Err(reason) => return Ok(Err(reason)),
                }
            }
            let claims = Value::new_record(fields).map_err(|error| failed(&error))?;
            attributes.push(("claims".to_owned(), claims));
        }
        let (role, tenant) = (type_name("Role")?, type_name("Tenant")?);
        let roles = &desk.version().roles;
        let parents = self
            .record
            .roles
            .iter()
            .flat_map(|conferred| roles.closure(conferred))
            .map(|name| entity(&role, name))
            .chain(self.record.tenant.iter().map(|name| entity(&tenant, name)));
        let made = cedar::Entity::new_with_tags(uid, attributes, parents, []);
        made.map(|entity| Ok(entity.into())).map_err(|error| failed(&error))
    }

    /// A claim as its declared type; the inner error is the authorizer's reason for a token that does not fit.
    fn claim(
        &mut self,
        name: &str,
        shape: ClaimShape,
    ) -> Result<Result<Option<Value>, &'static str>, Undecided> {
        const DOES_NOT_FIT: &str = "claims_do_not_fit";
        let fact = format!("principal.claims.{name}");
        let (value, level) = self.fact(&fact);
        let lack = |lack| Undecided::Required { fact: fact.clone(), lack };
        let Some(value) = value else {
            return match (level, shape.required) {
                (Level::Known, true) => Ok(Err(DOES_NOT_FIT)),
                (Level::Unknown, true) => Err(lack("is not in the record")),
                (_, true | false) => Ok(Ok(None)),
            };
        };
        let typed = match (shape.kind, value) {
            (ClaimKind::String, ClaimValue::String(text)) => Value::new_string(text),
            (ClaimKind::Long, ClaimValue::Long(number)) => Value::new_long(number),
            (ClaimKind::Long, ClaimValue::String(text)) => match (text.parse(), level) {
                (Ok(number), _) => Value::new_long(number),
                (Err(_), Level::Hashed) => {
                    self.levels.insert(fact, Level::HashedNumber);
                    Value::new_long(0)
                }
                (Err(_), _) => return Ok(Err(DOES_NOT_FIT)),
            },
            (ClaimKind::Bool, ClaimValue::Bool(truth)) => Value::new_bool(truth),
            (ClaimKind::Bool, ClaimValue::String(text)) => match (text.parse(), level) {
                (Ok(truth), _) => Value::new_bool(truth),
                (Err(_), Level::Hashed) => return Err(lack("the record has as a hash")),
                (Err(_), _) => return Ok(Err(DOES_NOT_FIT)),
            },
            (ClaimKind::SetOfString, ClaimValue::Set(items)) => set(items),
            (ClaimKind::String | ClaimKind::Long | ClaimKind::Bool | ClaimKind::SetOfString, _) => {
                return Ok(Err(DOES_NOT_FIT));
            }
        };
        Ok(Ok(Some(typed)))
    }

    fn http(&mut self, desk: &Desk<'_>) -> HttpFacts {
        let shape = &desk.bundle().vocabulary().http;
        let source_ip = match shape.source_ip {
            true => self.string("context.http.source_ip").map(|text| address_of(&text)),
            false => None,
        };
        let client_cert_subject = match shape.client_cert_subject {
            true => self.string("context.http.client_cert_subject"),
            false => None,
        };
        let mut group = |group: &str, names: &[String]| -> Vec<(String, String)> {
            let found =
                |name: &String| Some((name.clone(), self.string(&format!("context.http.{group}.{name}"))?));
            names.iter().filter_map(found).collect()
        };
        let (headers, query) = (group("headers", &shape.headers), group("query", &shape.query));
        let stage_variables = group("stage_variables", &shape.stage_variables);
        let time = moment(self.record).filter(|_| shape.time);
        if shape.time {
            let level = if time.is_some() { Level::Known } else { Level::Unknown };
            self.levels.insert("context.http.time".to_owned(), level);
        }
        HttpFacts { source_ip, time, client_cert_subject, headers, query, stage_variables }
    }
}

/// The bytes of the hash in something that stands for a text.
fn hash_in(stand_in: &str) -> Vec<u8> {
    let hash = stand_in.strip_prefix(STAND_IN).unwrap_or_default();
    URL_SAFE_NO_PAD.decode(hash).unwrap_or_default()
}

/// The address, or one that stands for one that is not told: of the network for documentation, so that it is nobody's.
fn address_of(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| {
        let bits: u128 = hash_in(text).first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
        // 2001:db8::/32
        IpAddr::from(((0x2001_0db8 << 96) | (bits >> 32)).to_be_bytes())
    })
}

fn set(items: Vec<String>) -> Value {
    Value::new_set(items.into_iter().map(Value::new_string))
}

fn type_name(name: &str) -> Result<cedar::EntityTypeName, Undecided> {
    name.parse().map_err(|error: cedar::ParseErrors| Undecided::Request(error.to_string()))
}

fn entity(kind: &cedar::EntityTypeName, id: &str) -> cedar::EntityUid {
    cedar::EntityUid::from_type_name_and_id(kind.clone(), cedar::EntityId::new(id))
}
