//! Which grants no document for the whole API states, found before somebody is refused: documents for the principals that
//! policies tell apart by their roles.
//!
//! A `User` and a `Client` get a document for each role that exists, for none, for all of them together and for those that
//! a policy names together; without a tenant, without scopes, and with empty values for the claims that the schema
//! requires. So does each principal of the policies' tests, with its tenant and its claims. Somebody else with a claim that
//! a policy compares can get another document, which can state less.

use std::collections::{BTreeMap, HashSet};

use crate::authorizer::Authorizer;
use crate::bundle::Bundle;
use crate::bundle::deployment::{self, AnswerScope, Api};
use crate::bundle::finding::{Code, Finding, Findings};
use crate::bundle::policies::PolicyVersion;
use crate::bundle::source::SourceFiles;
use crate::entities::{EntityError, EntityFactory, Principal};
use crate::iam::{Compiled, WithheldCause};
use crate::jose::{ClaimValue, VerifiedClaims};
use crate::route::{Operation, OperationId, Segment};

use super::people::{Held, KINDS, Person, role_sets, type_name};
use super::{some_of, sources};

/// The region of the ARNs, which is not known here: the longest name, so that no document is longer than is said.
const REGION: &str = "ap-southeast-1";

/// The most roles that are tried one by one.
pub const MAX_ROLES: usize = 32;

/// What the documents of one API are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiDocuments {
    /// The API's alias.
    pub api: String,
    /// How many principals were tried in all stages.
    pub principals: usize,
    /// How many of them get a document that says what Cedar says.
    pub exact: usize,
    /// How many get one that does so but for parameters that equal a literal segment of the table.
    pub exact_but_for_collisions: usize,
    /// The length of the longest document, in bytes.
    pub longest: usize,
    /// What is allowed by Cedar and not stated by their documents.
    pub unstated: Vec<Unstated>,
}

/// Something that no document states for a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unstated {
    /// The API's alias.
    pub api: String,
    /// The operation; `None` where there is no document at all.
    pub operation: Option<String>,
    /// A shortest request that is denied.
    pub witness: Option<String>,
    /// To whom.
    pub principals: Vec<String>,
    /// What to say about it.
    pub finding: Finding,
}

/// The documents of each API whose answers are about the whole of it and are kept. `tested` are further principals that
/// get one, by their names: those of the policies' tests.
///
/// # Errors
/// [`EntityError`], a defect of ours: what the schema declares can be made.
pub fn check(
    authorizer: &Authorizer,
    files: &SourceFiles,
    tested: &[(String, VerifiedClaims)],
) -> Result<Vec<ApiDocuments>, EntityError> {
    let apis = authorizer.bundle().deployment().apis.iter();
    let kept = apis.filter(|api| api.scope == AnswerScope::Api && api.result_ttl_seconds > 0);
    let bundle = sources(authorizer).map_err(EntityError::Cedar)?;
    kept.map(|api| Ok(Tried::new((authorizer, bundle), api, tested)?.report(bundle, files))).collect()
}

/// Why a principal's document does not state what Cedar allows.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Lack {
    /// This much of an operation.
    Of(OperationId, WithheldCause),
    /// All of it.
    NoDocument(String),
}

impl Lack {
    const fn code(&self) -> Code {
        match self {
            Self::Of(..) => Code::UnstatedGrant,
            Self::NoDocument(_) => Code::NoDocument,
        }
    }
}

/// What came of trying the principals of an API.
struct Tried<'b> {
    api: &'b Api,
    principals: usize,
    exact: usize,
    exact_but_for_collisions: usize,
    longest: usize,
    /// With the first witness, and to whom.
    lacks: BTreeMap<Lack, (Option<String>, Vec<String>)>,
}

impl<'b> Tried<'b> {
    fn new(
        (authorizer, bundle): (&Authorizer, &Bundle),
        api: &'b Api,
        tested: &[(String, VerifiedClaims)],
    ) -> Result<Self, EntityError> {
        let lacks = BTreeMap::new();
        let mut tried = Self { api, principals: 0, exact: 0, exact_but_for_collisions: 0, longest: 0, lacks };
        let mut versions: HashSet<&str> = HashSet::new();
        for stage in api.stage_names() {
            let Some(version) = bundle.active(&api.name, stage) else { continue };
            // Another stage of the same version differs in nothing but what `resource.stage` says.
            if !versions.insert(&version.name) {
                continue;
            }
            let factory = EntityFactory::new(bundle.vocabulary(), &version.roles)?;
            // Whose claims do not fit the schema has no document: its tests say so.
            let tested = tested.iter().filter_map(|(name, claims)| {
                Some((format!("{name} of the tests"), factory.principal(claims).ok()?))
            });
            for (who, principal) in principals(bundle, version)?.into_iter().chain(tested) {
                if let Some(compiled) = authorizer.document((&api.name, stage), REGION, &principal) {
                    tried.add(&who, compiled.as_deref());
                }
            }
        }
        Ok(tried)
    }

    fn add(&mut self, who: &str, compiled: Result<&Compiled, &String>) {
        self.principals += 1;
        let mut lack = |lack: Lack, witness: Option<String>| {
            let (_, principals) = self.lacks.entry(lack).or_insert_with(|| (witness, Vec::new()));
            if principals.last().is_none_or(|last| last != who) {
                principals.push(who.to_owned());
            }
        };
        match compiled {
            Err(error) => lack(Lack::NoDocument(error.clone()), None),
            Ok(compiled) => {
                self.longest = self.longest.max(compiled.bytes);
                self.exact += usize::from(compiled.is_exact());
                self.exact_but_for_collisions +=
                    usize::from(!compiled.is_exact() && compiled.is_exact_but_for_collisions());
                for withheld in &compiled.withheld {
                    match withheld.cause {
                        // Told policy by policy, whoever asks: `cache_safety`.
                        WithheldCause::NeedsFacts(_) => {}
                        WithheldCause::Inexpressible
                        | WithheldCause::Collision
                        | WithheldCause::Unwritable
                        | WithheldCause::TooLarge => {
                            let cause = withheld.cause.clone();
                            lack(Lack::Of(withheld.operation, cause), Some(withheld.witness.clone()));
                        }
                    }
                }
            }
        }
    }

    fn report(self, bundle: &Bundle, files: &SourceFiles) -> ApiDocuments {
        let mut unstated = Vec::new();
        for (lack, (witness, principals)) in &self.lacks {
            let operation = match lack {
                Lack::Of(id, _) => bundle.routes().operation(*id),
                Lack::NoDocument(_) => None,
            };
            let (message, help) = self.words(lack, operation, witness.as_deref(), principals);
            let mut findings = Findings::new(files);
            findings.note_text(lack.code(), deployment::PATH, &self.api.name, message, help);
            unstated.extend(findings.into_vec().into_iter().map(|finding| Unstated {
                api: self.api.name.clone(),
                operation: operation.map(|operation| operation.name().to_owned()),
                witness: witness.clone(),
                principals: principals.clone(),
                finding,
            }));
        }
        ApiDocuments {
            api: self.api.name.clone(),
            principals: self.principals,
            exact: self.exact,
            exact_but_for_collisions: self.exact_but_for_collisions,
            longest: self.longest,
            unstated,
        }
    }

    /// What a person is told, and what to do.
    fn words(
        &self,
        lack: &Lack,
        operation: Option<&Operation>,
        witness: Option<&str>,
        principals: &[String],
    ) -> (String, String) {
        let api = &self.api.name;
        let whom = some_of(principals, NAMED);
        let (name, witness) = (operation.map_or("", Operation::name), witness.unwrap_or_default());
        let request = match witness == name {
            true => format!("`{name}`"),
            false => format!("`{witness}` (`{name}`)"),
        };
        let denied = format!("API `{api}` denies {request} to {whom}");
        let uncached = "give it an authorizer without a cache, or write result_ttl_seconds = 0";
        match lack {
            Lack::NoDocument(error) => (
                format!("API `{api}` answers {whom} about the asked method alone: {error}"),
                format!("raise the limits in [document], or {uncached}"),
            ),
            Lack::Of(_, WithheldCause::Collision) => (
                format!("{denied}: its parameter has the value of a segment of another route"),
                format!("do not give such names to things, or {uncached}"),
            ),
            Lack::Of(_, WithheldCause::Unwritable) => (
                format!("{denied}: no pattern tells it from a text with `*`, `?` or `$` that a policy names"),
                format!(
                    "write escape_wildcards = true in [document] (not verified on live AWS), or {uncached}"
                ),
            ),
            Lack::Of(_, WithheldCause::TooLarge) => (
                format!("{denied}: with it the document would be too large"),
                format!("raise `bytes` in [document], or {uncached}"),
            ),
            Lack::Of(_, WithheldCause::Inexpressible | WithheldCause::NeedsFacts(_)) => (
                format!("{denied}: no pattern tells it from what is to be denied below or beside it"),
                match operation.and_then(literal_leaf) {
                    Some(leaf) => format!("let the route end in a literal, as `{leaf}` does, or {uncached}"),
                    None => uncached.to_owned(),
                },
            ),
        }
    }
}

/// The operation's path with a literal at its end, where it has none: a pattern can then tell it from what is below it.
fn literal_leaf(operation: &Operation) -> Option<String> {
    match operation.template().segments().last() {
        Some(Segment::Parameter(_)) => Some(format!("{}/details", operation.template())),
        Some(Segment::Literal(_) | Segment::Greedy(_)) | None => None,
    }
}

/// The most principals that a message names.
const NAMED: usize = 3;

/// The principals that are tried, each with a name for people: roles one by one, up to [`MAX_ROLES`], and all of them.
fn principals(bundle: &Bundle, version: &PolicyVersion) -> Result<Vec<(String, Principal)>, EntityError> {
    let text = |text: &str| ClaimValue::String(text.to_owned());
    let attributes = [("sub".to_owned(), text("somebody")), ("issuer".to_owned(), text("an issuer"))].into();
    let tried: HashSet<&str> = version.roles.names().take(MAX_ROLES).collect();
    let people = Person::all(version.roles.names(), []).into_iter().filter(|person| match &person.roles {
        Held::One(role) => tried.contains(role.as_str()),
        Held::Nothing | Held::Everything | Held::Together { .. } | Held::Named { .. } => true,
    });
    let sets = role_sets(version).into_iter().take(MAX_ROLES).flat_map(|roles| {
        KINDS.map(|kind| {
            let name = format!("a {} with roles {}", type_name(kind), roles.join(" and "));
            Person { kind, roles: Held::Named { name, roles: roles.clone() }, tenant: None }
        })
    });
    people
        .chain(sets)
        .map(|person| {
            let entity = person.entity("somebody", &attributes, bundle.vocabulary(), &version.roles)?;
            Ok((person.to_string(), entity))
        })
        .collect()
}
