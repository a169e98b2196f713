//! What the hand-written Cedar schema declares, read once: only what it declares is handed to the policies, so an
//! entity that we build conforms to the schema by construction.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy as cedar;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::finding::{Code, Findings};
use super::nesting::{self, Syntax};
use super::source::SourceFiles;

pub(super) const PATH: &str = "schema/gateway.cedarschema";

/// What the schema declares about principals, routes and the request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Vocabulary {
    /// The attributes of a `User`.
    pub user: PrincipalShape,
    /// The attributes of a `Client`.
    pub client: PrincipalShape,
    /// The attributes of a `Route`.
    pub route: BTreeSet<String>,
    /// The volatile facts: the type `Http`.
    pub http: HttpShape,
}

/// The attributes of a principal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PrincipalShape {
    /// The declared attributes, but for `claims`.
    pub attributes: BTreeSet<String>,
    /// The fields of `claims`, where it is declared.
    pub claims: Option<BTreeMap<String, ClaimShape>>,
}

/// One field of `claims`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimShape {
    /// Its type.
    pub kind: ClaimKind,
    /// Whether a token without it is refused.
    pub required: bool,
}

/// The types that a claim can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimKind {
    /// `String`
    String,
    /// `Long`
    Long,
    /// `Bool`
    Bool,
    /// `Set<String>`
    SetOfString,
}

/// The volatile facts that the policies may read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpShape {
    /// `source_ip: ipaddr`
    pub source_ip: bool,
    /// `time: datetime`
    pub time: bool,
    /// `client_cert_subject: String`
    pub client_cert_subject: bool,
    /// The fields of `headers`, each a header's name in lower case.
    pub headers: Vec<String>,
    /// The fields of `query`.
    pub query: Vec<String>,
    /// The fields of `stage_variables`.
    pub stage_variables: Vec<String>,
}

impl Vocabulary {
    /// Reads the schema's declarations, and gives the parsed text back with them; what cannot be supplied goes to
    /// `findings`.
    pub(super) fn load(
        files: &SourceFiles,
        findings: &mut Findings<'_>,
    ) -> Option<(Self, cedar::SchemaFragment)> {
        let Some(text) = files.text(PATH) else {
            findings.note(
                Code::SchemaMissing,
                PATH,
                None,
                "the schema that the policies speak is missing",
                None,
            );
            return None;
        };
        if let Err(error) = nesting::check(text, Syntax::Schema) {
            findings.note(Code::TooDeep, PATH, Some(error.span.clone()), error.to_string(), None);
            return None;
        }
        let fragment = match cedar::SchemaFragment::from_cedarschema_str(text) {
            Ok((fragment, _)) => fragment,
            Err(error) => {
                findings.note(Code::SchemaSyntax, PATH, first_span(&error), schema_message(&error), None);
                return None;
            }
        };
        let json = fragment.clone().to_json_value().ok()?;
        let mut reader = Reader { namespace: json.get("").cloned().unwrap_or_default(), findings };
        let before = reader.findings.len();
        for (entity, why) in ENTITIES {
            if reader.namespace.pointer(&format!("/entityTypes/{entity}")).is_none() {
                let help = format!("declare it: {why}");
                reader.findings.note(
                    Code::SchemaTypeMissing,
                    PATH,
                    None,
                    format!("entity type `{entity}` is not declared"),
                    help,
                );
            }
        }
        let vocabulary = Self {
            user: reader.principal("User"),
            client: reader.principal("Client"),
            route: reader.attributes("Route", |name, kind| {
                matches!((name, kind), ("api" | "stage" | "template", Kind::String))
            }),
            http: reader.http(),
        };
        (reader.findings.len() == before).then_some((vocabulary, fragment))
    }
}

const ENTITIES: [(&str, &str); 7] = [
    ("User", "entity User in [Role, Tenant] = { sub: String, issuer: String, scopes: Set<String> };"),
    ("Client", "entity Client in [Role, Tenant] = { sub: String, issuer: String, scopes: Set<String> };"),
    ("Role", "entity Role in [Role];"),
    ("Tenant", "entity Tenant;"),
    ("Route", "entity Route in [Path, Tag] = { api: String, stage: String, template: String };"),
    ("Path", "entity Path in [Path];"),
    ("Tag", "entity Tag;"),
];

/// A declared type, as far as it can be supplied.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    String,
    Long,
    Bool,
    SetOfString,
    IpAddr,
    DateTime,
    Record(BTreeMap<String, (Kind, bool)>),
    Other,
}

struct Reader<'r, 'f> {
    namespace: Value,
    findings: &'r mut Findings<'f>,
}

impl Reader<'_, '_> {
    fn principal(&mut self, entity: &str) -> PrincipalShape {
        let mut shape = PrincipalShape::default();
        for (name, (kind, required)) in self.shape(entity) {
            let always = matches!(name.as_str(), "sub" | "issuer" | "scopes" | "claims");
            let known = match (name.as_str(), &kind) {
                ("sub" | "issuer" | "client_id" | "email", Kind::String)
                | ("scopes", Kind::SetOfString)
                | ("email_verified", Kind::Bool) => {
                    shape.attributes.insert(name.clone());
                    true
                }
                ("claims", Kind::Record(fields)) => {
                    shape.claims = Some(self.claims(entity, fields));
                    true
                }
                _ => false,
            };
            if !known {
                let help = "a principal has sub, issuer, client_id, email: String; scopes: Set<String>; email_verified: Bool; and claims, a record";
                self.refuse(
                    Code::SchemaAttribute,
                    &name,
                    format!("`{entity}.{name}` cannot be supplied with that name and type"),
                    help,
                );
            } else if required && !always {
                let help = format!("write `{name}?`");
                self.refuse(
                    Code::SchemaOptional,
                    &name,
                    format!("`{entity}.{name}` must be optional: not every token carries it"),
                    &help,
                );
            } else if !required && always {
                let help = format!("write `{name}` without `?`");
                self.refuse(
                    Code::SchemaOptional,
                    &name,
                    format!("`{entity}.{name}` is always there and must not be optional"),
                    &help,
                );
            }
        }
        shape
    }

    fn claims(
        &mut self,
        entity: &str,
        fields: &BTreeMap<String, (Kind, bool)>,
    ) -> BTreeMap<String, ClaimShape> {
        let mut claims = BTreeMap::new();
        for (name, (kind, required)) in fields {
            let kind = match kind {
                Kind::String => ClaimKind::String,
                Kind::Long => ClaimKind::Long,
                Kind::Bool => ClaimKind::Bool,
                Kind::SetOfString => ClaimKind::SetOfString,
                Kind::IpAddr | Kind::DateTime | Kind::Record(_) | Kind::Other => {
                    let message = format!("`{entity}.claims.{name}` has a type that a claim cannot have");
                    self.refuse(
                        Code::SchemaClaimType,
                        name,
                        message,
                        "a claim is a String, a Long, a Bool or a Set<String>",
                    );
                    continue;
                }
            };
            claims.insert(name.clone(), ClaimShape { kind, required: *required });
        }
        claims
    }

    fn attributes(&mut self, entity: &str, known: impl Fn(&str, &Kind) -> bool) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (name, (kind, required)) in self.shape(entity) {
            if known(&name, &kind) && required {
                names.insert(name);
            } else {
                let message = format!("`{entity}.{name}` cannot be supplied");
                self.refuse(
                    Code::SchemaAttribute,
                    &name,
                    message,
                    "a route has api, stage and template: String, none of them optional",
                );
            }
        }
        names
    }

    fn http(&mut self) -> HttpShape {
        let Some(declared) = self.namespace.pointer("/commonTypes/Http").cloned() else {
            let help = "declare it, empty if no policy reads such facts: type Http = {};";
            self.findings.note(
                Code::SchemaTypeMissing,
                PATH,
                None,
                "the type `Http` of the volatile facts is not declared",
                help.to_owned(),
            );
            return HttpShape::default();
        };
        let Kind::Record(fields) = self.kind(&declared, 0) else {
            self.findings.note_text(
                Code::SchemaTypeMissing,
                PATH,
                "type Http",
                "the type `Http` is not a record",
                None,
            );
            return HttpShape::default();
        };
        let mut http = HttpShape::default();
        for (name, (kind, required)) in fields {
            let list = match (name.as_str(), kind) {
                ("source_ip", Kind::IpAddr) => {
                    http.source_ip = true;
                    None
                }
                ("time", Kind::DateTime) => {
                    http.time = true;
                    None
                }
                ("client_cert_subject", Kind::String) => {
                    http.client_cert_subject = true;
                    None
                }
                ("headers", Kind::Record(names)) => Some((&mut http.headers, names)),
                ("query", Kind::Record(names)) => Some((&mut http.query, names)),
                ("stage_variables", Kind::Record(names)) => Some((&mut http.stage_variables, names)),
                _ => {
                    let help = "Http has source_ip?: ipaddr, time?: datetime, client_cert_subject?: String, and headers?, query?, stage_variables?: records of optional Strings";
                    self.refuse(
                        Code::SchemaAttribute,
                        &name,
                        format!("`Http.{name}` cannot be supplied with that name and type"),
                        help,
                    );
                    continue;
                }
            };
            let mut all_optional = !required;
            if let Some((list, names)) = list {
                all_optional &= names.values().all(|(kind, required)| *kind == Kind::String && !required);
                list.extend(names.into_keys());
            }
            if !all_optional {
                let message =
                    format!("`Http.{name}` and what it holds must be optional: not every event carries it");
                self.refuse(Code::SchemaOptional, &name, message, "write a `?` after each name");
            }
        }
        if let Some(name) =
            http.headers.iter().find(|name| name.chars().any(|char| char.is_ascii_uppercase())).cloned()
        {
            let message = format!("header `{name}` is not written in lower case");
            self.refuse(Code::HeaderCase, &name, message, "header names are compared in lower case");
        }
        http
    }

    fn shape(&self, entity: &str) -> BTreeMap<String, (Kind, bool)> {
        let shape = self.namespace.pointer(&format!("/entityTypes/{entity}/shape")).cloned();
        match shape.map(|shape| self.kind(&shape, 0)) {
            Some(Kind::Record(fields)) => fields,
            _ => BTreeMap::new(),
        }
    }

    /// Reads a type of the JSON schema format, following the names of common types.
    fn kind(&self, declared: &Value, depth: usize) -> Kind {
        // A schema whose common types lead in a circle does not parse; the bound is a second net.
        if depth > 32 {
            return Kind::Other;
        }
        let name = declared.get("name").and_then(Value::as_str).unwrap_or_default();
        match declared.get("type").and_then(Value::as_str).unwrap_or_default() {
            "Record" => {
                let fields = declared.get("attributes").and_then(Value::as_object);
                Kind::Record(
                    fields
                        .into_iter()
                        .flatten()
                        .map(|(name, field)| {
                            let required = field.get("required").and_then(Value::as_bool).unwrap_or(true);
                            (name.clone(), (self.kind(field, depth + 1), required))
                        })
                        .collect(),
                )
            }
            "Set" => match declared.get("element").map(|element| self.kind(element, depth + 1)) {
                Some(Kind::String) => Kind::SetOfString,
                _ => Kind::Other,
            },
            "Extension" | "EntityOrCommon" | "String" | "Long" | "Boolean" | "Bool" => self.named(
                if name.is_empty() {
                    declared.get("type").and_then(Value::as_str).unwrap_or_default()
                } else {
                    name
                },
                depth,
            ),
            other => self.named(other, depth),
        }
    }

    fn named(&self, name: &str, depth: usize) -> Kind {
        match name.strip_prefix("__cedar::").unwrap_or(name) {
            "String" => Kind::String,
            "Long" => Kind::Long,
            "Bool" | "Boolean" => Kind::Bool,
            "ipaddr" => Kind::IpAddr,
            "datetime" => Kind::DateTime,
            common => match self.namespace.pointer(&format!("/commonTypes/{common}")) {
                Some(declared) => self.kind(&declared.clone(), depth + 1),
                None => Kind::Other,
            },
        }
    }

    fn refuse(&mut self, code: Code, needle: &str, message: String, help: &str) {
        self.findings.note_text(code, PATH, needle, message, help.to_owned());
    }
}

/// The first place that a Cedar error points at.
pub(super) fn first_span(error: &dyn miette::Diagnostic) -> Option<std::ops::Range<usize>> {
    let label = error.labels()?.next()?;
    Some(label.offset()..label.offset() + label.len())
}

/// A Cedar error's message with its causes and first label, on one line.
pub(super) fn schema_message(error: &(dyn miette::Diagnostic + 'static)) -> String {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = cause.source();
    }
    if let Some(label) =
        error.labels().and_then(|mut labels| labels.next()).and_then(|label| label.label().map(str::to_owned))
    {
        message.push_str(": ");
        message.push_str(&label);
    }
    message
}
