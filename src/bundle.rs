//! The policy administration point's output (PAP, NIST SP 800-162): policies, schema, routes, issuers and the facts of
//! the deployment, read together, checked against each other, and named by one digest.
//!
//! ```text
//! policies/versions.toml            which version decides
//! policies/<version>/*.cedar        the policies
//! policies/<version>/roles.toml     the roles that exist
//! policies/issuers/*.toml           the trusted issuers, and *.jwks.json: their keys
//! policies/revocations.toml         tokens that are refused before they expire
//! schema/gateway.cedarschema        the vocabulary of the policies
//! schema/routes.toml                the API's route table; without it, one `ANY /{proxy+}`
//! schema/routes.cedarschema         generated from it
//! schema/authorizer.toml            the facts of the deployment
//! ```

pub mod built;
pub mod deployment;
pub mod finding;
mod layout;
pub(crate) mod nesting;
pub mod policies;
pub mod propagation;
pub mod revocations;
pub mod roles;
pub mod source;
mod validation;
pub mod versions;
pub mod vocabulary;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use cedar_policy as cedar;

use self::built::{BuiltFile, BuiltVersion, Damaged, Section};
use self::deployment::Deployment;
use self::finding::{BundleErrors, Code, Findings, meant, with_meant};
use self::policies::{KnownNames, PolicyVersion, VersionHead};
use self::roles::Roles;
use self::source::SourceFiles;
use self::validation::Validation;
use self::versions::Versions;
use self::vocabulary::Vocabulary;
use crate::jose::issuer::IssuerError;
use crate::jose::issuer::KeySource;
use crate::jose::issuer::introspection::contested;
use crate::jose::{JwkSet, KeyRing, TrustedIssuer, TrustedIssuers};
use crate::route::{Operation, RouteErrorKind, RouteTable};

/// Where the route table stands in a bundle.
pub const ROUTES: &str = "schema/routes.toml";
/// Where the generated schema of the operations stands in a bundle.
pub const ROUTES_SCHEMA: &str = "schema/routes.cedarschema";

/// What decisions are made from, beside the policies: checked, and the same whether it is read from sources or built.
#[derive(Debug)]
pub struct BundleFacts {
    digest: String,
    deployment: Deployment,
    routes: RouteTable,
    vocabulary: Vocabulary,
    versions: Versions,
    issuers: TrustedIssuers,
    keys: KeyRing,
}

/// A whole schema, kept by several.
pub type SharedSchema = Arc<Schema>;

/// A whole schema.
pub type Schema = cedar::Schema;

/// Everything that decisions are made from, checked. Only [`Bundle::load`] makes one.
#[derive(Debug)]
pub struct Bundle {
    facts: BundleFacts,
    schema: SharedSchema,
    policies: BTreeMap<String, Arc<PolicyVersion>>,
}

/// The same, built before: opened, and not read from its sources. Only [`BuiltBundle::open`] makes one.
#[derive(Debug)]
pub struct BuiltBundle {
    facts: BundleFacts,
    heads: BTreeMap<String, Arc<VersionHead>>,
    file: BuiltFile,
}

impl Deref for Bundle {
    type Target = BundleFacts;

    fn deref(&self) -> &BundleFacts {
        &self.facts
    }
}

impl Deref for BuiltBundle {
    type Target = BundleFacts;

    fn deref(&self) -> &BundleFacts {
        &self.facts
    }
}

impl Bundle {
    /// Reads and checks the files of a bundle.
    ///
    /// # Errors
    /// All findings at once, each with its file, line and column where they are known.
    pub fn load(files: &SourceFiles) -> Result<Self, BundleErrors> {
        let mut findings = Findings::new(files);
        let bundle = Self::read(files, &mut findings);
        findings.finish(bundle)
    }

    fn read(files: &SourceFiles, findings: &mut Findings<'_>) -> Option<Self> {
        layout::check(files, findings)?;
        let deployment = Deployment::load(files, findings);
        let routes = load_routes(files, findings);
        let (vocabulary, gateway) = Vocabulary::load(files, findings).unzip();
        // Without a vocabulary every type that it lacks would be found once more for each operation.
        let validation = routes
            .as_ref()
            .zip(gateway)
            .and_then(|(routes, gateway)| load_schema(files, routes, gateway, findings));
        let (issuers, keys) = load_issuers(files, deployment.as_ref(), findings);
        let names = routes.as_ref().map(|routes| known_names(routes, &issuers));
        let mut policies = BTreeMap::new();
        let folders = files.versions().collect::<Vec<_>>();
        for folder in &folders {
            if let Some(version) =
                PolicyVersion::load(folder, files, validation.as_ref(), names.as_ref(), findings)
            {
                policies.insert((*folder).to_owned(), Arc::new(version));
            }
        }
        let schema = validation.map(|validation| validation.schema().clone());
        let versions = Versions::load(files, &folders, deployment.as_ref(), findings);
        let heads = policies.values().map(|version| version.head().as_ref());
        check_issuers(&issuers, heads, vocabulary.as_ref(), findings);
        let issuers = trust(files, issuers, findings)?;
        let facts = BundleFacts {
            digest: files.digest(),
            deployment: deployment?,
            routes: routes?,
            vocabulary: vocabulary?,
            versions: versions?,
            issuers,
            keys,
        };
        Some(Self { facts, schema: Arc::new(schema?), policies })
    }

    /// The whole schema: the hand-written vocabulary and the generated operations.
    #[must_use]
    pub fn schema(&self) -> &cedar::Schema {
        &self.schema
    }

    /// The same, to be kept beside the bundle.
    pub(crate) fn shared_schema(&self) -> SharedSchema {
        Arc::clone(&self.schema)
    }

    /// The policy version that decides for the stage of an API; `None` where no line of versions.toml says so.
    #[must_use]
    pub fn active(&self, api: &str, stage: &str) -> Option<&Arc<PolicyVersion>> {
        self.policies.get(self.versions.active(api, stage)?)
    }

    /// The version that is evaluated beside the active one there, where versions.toml names one.
    #[must_use]
    pub fn shadow(&self, api: &str, stage: &str) -> Option<&Arc<PolicyVersion>> {
        self.policies.get(self.versions.shadow(api, stage)?)
    }

    /// The version of that name.
    #[must_use]
    pub fn version(&self, name: &str) -> Option<&Arc<PolicyVersion>> {
        self.policies.get(name)
    }

    /// All versions of the policies, by name.
    pub fn policy_versions(&self) -> impl Iterator<Item = &PolicyVersion> {
        self.policies.values().map(Arc::as_ref)
    }

    /// By operation, in the order of the route table: the groups that its action is in.
    ///
    /// # Errors
    /// In words, where the schema's actions lead in a circle, which a loaded schema's never do.
    pub fn action_groups(&self) -> Result<Vec<Vec<String>>, String> {
        let actions = self.schema.action_entities().map_err(|error| error.to_string())?;
        let groups = |operation: &Operation| {
            let id = cedar::EntityId::new(operation.name());
            let kind: cedar::EntityTypeName =
                "Action".parse().map_err(|error: cedar::ParseErrors| error.to_string())?;
            let action = cedar::EntityUid::from_type_name_and_id(kind, id);
            let groups = actions.ancestors(&action).into_iter().flatten();
            let mut groups: Vec<String> = groups.map(|group| group.id().unescaped().to_owned()).collect();
            groups.sort_unstable();
            Ok(groups)
        };
        self.routes.operations().iter().map(groups).collect()
    }
}

impl BuiltBundle {
    /// Opens a built bundle: reads what is small, by the code that reads it from sources. What the files say of each other was
    /// checked when it was built.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(file: BuiltFile) -> Result<Self, OpenError> {
        let files = file.opening_files()?;
        let mut findings = Findings::new(&files);
        let opened = Self::read(&file, &files, &mut findings);
        let (facts, heads) = findings.finish(opened)?;
        Ok(Self { facts, heads, file })
    }

    fn read(
        file: &BuiltFile,
        files: &SourceFiles,
        findings: &mut Findings<'_>,
    ) -> Option<(BundleFacts, BTreeMap<String, Arc<VersionHead>>)> {
        let head = file.head();
        let deployment = Deployment::load(files, findings);
        let routes = load_routes(files, findings);
        let (issuers, keys) = load_issuers(files, deployment.as_ref(), findings);
        let mut heads = BTreeMap::new();
        for BuiltVersion { name, digest, roles, .. } in &head.versions {
            let roles = Roles::of_built(roles.clone());
            let version = VersionHead { name: name.clone(), digest: digest.clone(), roles };
            heads.insert(name.clone(), Arc::new(version));
        }
        let exists: Vec<&str> = head.versions.iter().map(|version| version.name.as_str()).collect();
        let versions = Versions::load(files, &exists, deployment.as_ref(), findings);
        let issuers = trust(files, issuers, findings)?;
        let facts = BundleFacts {
            digest: head.digest.clone(),
            deployment: deployment?,
            routes: routes?,
            vocabulary: head.vocabulary.clone(),
            versions: versions?,
            issuers,
            keys,
        };
        Some((facts, heads))
    }

    /// The file that it is in.
    #[must_use]
    pub fn file(&self) -> &BuiltFile {
        &self.file
    }

    /// The version of that name.
    #[must_use]
    pub fn version(&self, name: &str) -> Option<&Arc<VersionHead>> {
        self.heads.get(name)
    }

    /// What the policies of a version are asked by: their index, their records, and where their texts stand.
    ///
    /// # Errors
    /// [`Damaged`].
    pub(crate) fn engine_sections(&self, version: &str) -> Result<[Section; 3], Damaged> {
        Ok([
            self.file.section(&built::index_section(version))?,
            self.file.section(&built::rules_section(version))?,
            self.file.section(built::SOURCES)?,
        ])
    }

    /// What the schema is parsed from, to be kept until it is wanted.
    pub(crate) fn schema_source(&self) -> SchemaSource {
        SchemaSource { file: self.file.clone() }
    }
}

/// The texts of the schema of a built bundle.
#[derive(Clone, Debug)]
pub(crate) struct SchemaSource {
    file: BuiltFile,
}

impl SchemaSource {
    /// The whole schema; `routes` are those of its bundle.
    pub(crate) fn parse(&self, routes: &RouteTable) -> Result<Schema, Damaged> {
        let fragment = |name: &str, text: &str| {
            let (fragment, _) = cedar::SchemaFragment::from_cedarschema_str(text)
                .map_err(|error| Damaged::new(format!("{name} make no schema: {error}")))?;
            Ok::<_, Damaged>(fragment)
        };
        let gateway = fragment("its types", &self.file.source_text(vocabulary::PATH)?)?;
        let operations = fragment("its operations", &routes.cedarschema())?;
        cedar::Schema::from_schema_fragments([gateway, operations])
            .map_err(|error| Damaged::new(format!("its schemas do not go together: {error}")))
    }
}

/// Why a built bundle cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It was changed or damaged.
    #[error("the bundle is damaged: {0}")]
    Damaged(#[from] Damaged),
    /// What its files say does not hold together, though it was checked when it was built.
    #[error(transparent)]
    Bundle(#[from] BundleErrors),
}

impl BundleFacts {
    /// The digest over every file: `sha256:` and 64 hex digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The facts of the deployment.
    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The API's route table.
    #[must_use]
    pub fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// What the schema declares.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Which version decides which stage.
    #[must_use]
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The trusted issuers.
    #[must_use]
    pub fn issuers(&self) -> &TrustedIssuers {
        &self.issuers
    }

    /// The issuers' keys.
    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Gives the development issuers of a development bundle their public keys, which stand outside of it.
    /// A bundle that is not marked as development has no such issuer, so this changes nothing there.
    pub fn add_development_keys(&mut self, keys: JwkSet) {
        let keys = Arc::new(keys);
        for issuer in self.issuers.iter().filter(|issuer| *issuer.keys() == KeySource::Development) {
            self.keys.insert(issuer.key_set(), Arc::clone(&keys));
        }
    }

    /// Gives an issuer that signs with a shared secret the keys made of it, which stand outside of the bundle.
    pub(crate) fn add_shared_secret(&mut self, key_set: &str, keys: JwkSet) {
        self.keys.insert(key_set, keys);
    }

    /// Whether an issuer of the bundle signs with this machine's development key.
    #[must_use]
    pub fn wants_development_keys(&self) -> bool {
        self.issuers.iter().any(|issuer| *issuer.keys() == KeySource::Development)
    }
}

impl DerefMut for Bundle {
    fn deref_mut(&mut self) -> &mut BundleFacts {
        &mut self.facts
    }
}

impl DerefMut for BuiltBundle {
    fn deref_mut(&mut self) -> &mut BundleFacts {
        &mut self.facts
    }
}

/// The issuers with what they refuse, under one roof.
fn trust(
    files: &SourceFiles,
    mut issuers: Vec<ReadIssuer>,
    findings: &mut Findings<'_>,
) -> Option<TrustedIssuers> {
    let known = known_issuers(files, &issuers);
    let revocations = revocations::load(files, known.as_ref(), findings);
    for ReadIssuer { issuer, .. } in &mut issuers {
        // More than one may bear the alias, and each of them refuses the same.
        issuer.set_revocations(revocations.get(issuer.name()).cloned().unwrap_or_default());
    }
    index_issuers(issuers, findings)
}

/// The route table of a bundle alone, for the command that generates its schema.
///
/// # Errors
/// What is wrong with `schema/routes.toml`.
pub fn load_route_table(files: &SourceFiles) -> Result<RouteTable, BundleErrors> {
    let mut findings = Findings::new(files);
    let routes = load_routes(files, &mut findings);
    findings.finish(routes)
}

/// Whether a text can be the name of a role, an API, an issuer or a tenant: 1 to 64 of `A-Z a-z 0-9 . _ -`, so that it
/// can stand in entity ids, logs, list encodings and mapping templates without escaping.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || "._-".contains(char))
}

fn load_routes(files: &SourceFiles, findings: &mut Findings<'_>) -> Option<RouteTable> {
    if !files.contains(ROUTES) {
        return Some(RouteTable::catch_all());
    }
    let Some(text) = files.text(ROUTES) else {
        findings.note(Code::NotText, ROUTES, None, "the file is not UTF-8 text", None);
        return None;
    };
    match RouteTable::from_toml(text) {
        Ok(routes) => Some(routes),
        Err(error) => {
            findings.note(code_of_route(error.kind()), ROUTES, error.span(), error.to_string(), None);
            None
        }
    }
}

/// What kind of finding it is.
const fn code_of_route(kind: &RouteErrorKind) -> Code {
    use RouteErrorKind as E;
    match kind {
        E::Syntax { .. } | E::Empty | E::TooManyRoutes { .. } => Code::RouteTable,
        E::DuplicateOperation { .. }
        | E::DuplicateRoute { .. }
        | E::SameShape { .. }
        | E::DuplicateName { .. }
        | E::RepeatedTag { .. } => Code::RouteTwice,
        E::PathOrWebsocket
        | E::WebsocketRoute { .. }
        | E::WithoutMethods { .. }
        | E::NoMethods { .. }
        | E::UnknownMethod { .. }
        | E::Template { .. }
        | E::TooManyTags { .. }
        | E::Tag { .. }
        | E::Name { .. }
        | E::ReservedName { .. }
        | E::NameWithoutMethod { .. } => Code::RouteEntry,
    }
}

/// The same of an issuer's file. That two files name one issuer is found beside the others, with its place.
const fn code_of_issuer(error: &IssuerError) -> Code {
    match error {
        IssuerError::Toml { .. } => Code::IssuerFile,
        IssuerError::MissingAudience => Code::IssuerAudience,
        IssuerError::MappedRoleNotGranted { .. } => Code::IssuerRoleMap,
        IssuerError::DuplicateIssuer { .. } => Code::IssuerTwice,
        IssuerError::ContestedTokens { .. } => Code::IssuerContested,
        IssuerError::DuplicateName { .. } => Code::IssuerNameTwice,
    }
}

/// The vocabulary and the generated operations together. The generated file must be the one that routes.toml gives: the
/// policies' authors read it, so it must not say something else than what is enforced.
fn load_schema<'r>(
    files: &SourceFiles,
    routes: &'r RouteTable,
    gateway: cedar::SchemaFragment,
    findings: &mut Findings<'_>,
) -> Option<Validation<'r>> {
    let generated = routes.cedarschema();
    // Git may have written the lines with the ends of another system.
    let in_step = files.text(ROUTES_SCHEMA).is_some_and(|text| text.lines().eq(generated.lines()));
    if !in_step {
        let message = match files.contains(ROUTES_SCHEMA) {
            true => "out of step with schema/routes.toml",
            false => "the generated schema of the routes is missing",
        };
        findings.note(
            Code::RoutesSchema,
            ROUTES_SCHEMA,
            None,
            message,
            "run: cedar-gate routes schema --write".to_owned(),
        );
    }
    Validation::new(gateway, routes, findings)
}

/// An issuer file that was read, with its path for what is found later.
struct ReadIssuer {
    path: String,
    issuer: TrustedIssuer,
}

fn load_issuers(
    files: &SourceFiles,
    deployment: Option<&Deployment>,
    findings: &mut Findings<'_>,
) -> (Vec<ReadIssuer>, KeyRing) {
    let mut issuers = Vec::new();
    let mut keys = KeyRing::default();
    for path in files.paths_in("policies/issuers/", ".toml") {
        let Some(text) = files.text(path) else {
            findings.note(Code::NotText, path, None, "the file is not UTF-8 text", None);
            continue;
        };
        match TrustedIssuer::from_toml(text) {
            Ok(issuer) => {
                load_keys(path, &issuer, files, deployment, &mut keys, findings);
                issuers.push(ReadIssuer { path: path.to_owned(), issuer });
            }
            Err(error) => {
                findings.note(code_of_issuer(&error), path, error.span(), error.to_string(), None);
            }
        }
    }
    (issuers, keys)
}

fn load_keys(
    path: &str,
    issuer: &TrustedIssuer,
    files: &SourceFiles,
    deployment: Option<&Deployment>,
    keys: &mut KeyRing,
    findings: &mut Findings<'_>,
) {
    if issuer.development() && deployment.is_some_and(|deployment| !deployment.development) {
        let message =
            format!("issuer `{}` is a development issuer, and this is no development bundle", issuer.name());
        let help = "remove the file, or write development = true in schema/authorizer.toml";
        findings.note_text(Code::DevelopmentIssuer, path, "development", message, help.to_owned());
    }
    let (file, set) = match issuer.keys() {
        KeySource::File(name) => {
            let name = name.as_str();
            let file = format!("policies/issuers/{name}");
            let Some(set) = files.bytes(&file).map(JwkSet::from_json) else {
                findings.note_text(
                    Code::KeyFileMissing,
                    path,
                    name,
                    format!("the key file {file} does not exist"),
                    None,
                );
                return;
            };
            (file, set)
        }
        KeySource::Inline(set) => (path.to_owned(), JwkSet::from_json(set.as_json().as_bytes())),
        // These are fetched, or read, by whoever answers.
        KeySource::Development | KeySource::Published(_) | KeySource::Secret(_) | KeySource::Opaque => return,
    };
    match set {
        Err(error) => findings.note(Code::KeySet, &file, None, error.to_string(), None),
        Ok(set) if set.keys().is_empty() && set.skipped().is_empty() => {
            findings.note(Code::KeySet, &file, None, "the key set holds no key", None);
        }
        Ok(set) if set.keys().is_empty() => {
            let reasons: Vec<String> = set.skipped().iter().map(|(_, reason)| reason.to_string()).collect();
            let message = format!("no key of the set can be used: {}", reasons.join("; "));
            findings.note(Code::KeySet, &file, None, message, None);
        }
        Ok(set) => keys.insert(issuer.key_set(), set),
    }
}

fn known_names(routes: &RouteTable, issuers: &[ReadIssuer]) -> KnownNames {
    let mut names = KnownNames {
        routes: BTreeSet::new(),
        paths: BTreeSet::from(["/".to_owned()]),
        tags: BTreeSet::new(),
        tenants: Some(BTreeSet::new()),
    };
    for operation in routes.operations() {
        names.routes.insert(operation.template().to_string());
        names.paths.extend(operation.path_ancestors().iter().map(ToString::to_string));
        names.tags.extend(operation.tags().iter().cloned());
    }
    for ReadIssuer { issuer, .. } in issuers {
        match (issuer.tenants(), &mut names.tenants) {
            (Some(tenants), Some(known)) => known.extend(tenants.into_iter().map(str::to_owned)),
            (None, _) => names.tenants = None,
            (Some(_), None) => {}
        }
    }
    names
}

/// The aliases of the issuers; `None` where one of their files could not be read, which has been noted.
fn known_issuers<'i>(files: &SourceFiles, issuers: &'i [ReadIssuer]) -> Option<HashSet<&'i str>> {
    let read_all = files.paths_in("policies/issuers/", ".toml").count() == issuers.len();
    read_all.then(|| issuers.iter().map(|read| read.issuer.name()).collect())
}

/// What an issuer confers must exist, and what the schema requires of every token the issuer must map.
fn check_issuers<'v>(
    issuers: &[ReadIssuer],
    versions: impl Iterator<Item = &'v VersionHead> + Clone,
    vocabulary: Option<&Vocabulary>,
    findings: &mut Findings<'_>,
) {
    for ReadIssuer { path, issuer } in issuers {
        for version in versions.clone() {
            for role in issuer.grantable_roles().iter().filter(|role| !version.roles.contains(role)) {
                let message =
                    format!("issuer `{}` may confer role `{role}`, which does not exist", issuer.name());
                let help = format!("define it in policies/{}/roles.toml", version.name);
                let meant = meant(role, version.roles.names()).map(|name| format!("`{name}`"));
                findings.note_text(Code::IssuerRoleUnknown, path, role, message, with_meant(meant, help));
            }
        }
        let Some(vocabulary) = vocabulary else { continue };
        let declared = |name: &str| {
            [&vocabulary.user, &vocabulary.client]
                .iter()
                .any(|shape| shape.claims.as_ref().is_some_and(|claims| claims.contains_key(name)))
        };
        for name in issuer.attributes().filter(|name| !declared(name)) {
            let message =
                format!("issuer `{}` maps claim `{name}`, which the schema does not declare", issuer.name());
            let help = "declare it in `claims` of User or Client in schema/gateway.cedarschema";
            findings.note_text(Code::IssuerClaimUndeclared, path, name, message, help.to_owned());
        }
        let required = vocabulary.user.claims.iter().flatten().filter(|(_, shape)| shape.required);
        for (name, _) in
            required.filter(|(name, _)| !issuer.attributes().any(|mapped| mapped == name.as_str()))
        {
            let message =
                format!("issuer `{}` does not map claim `{name}`, which the schema requires", issuer.name());
            findings.note_text(
                Code::IssuerClaimRequired,
                path,
                "claims",
                message,
                format!("map it under `claims`, or declare `{name}?`"),
            );
        }
    }
}

/// All issuers under one roof: one file each, one alias each.
fn index_issuers(issuers: Vec<ReadIssuer>, findings: &mut Findings<'_>) -> Option<TrustedIssuers> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut trusted: HashMap<&str, &str> = HashMap::new();
    for ReadIssuer { path, issuer } in &issuers {
        if let Some(earlier) = names.insert(issuer.name(), path) {
            let message = format!("issuer `{}` is named in {earlier} too", issuer.name());
            let help = "give each issuer an alias of its own";
            findings.note_text(Code::IssuerNameTwice, path, issuer.name(), message, help.to_owned());
        }
        for (iss, written) in issuer.every_iss() {
            if let Some(earlier) = trusted.insert(iss, path) {
                let message = format!("`{iss}` is trusted in {earlier} too");
                let help = "one file says whose tokens are believed";
                findings.note_text(Code::IssuerTwice, path, written, message, help.to_owned());
            }
        }
    }
    for (first, second) in contested(issuers.iter().map(|read| &read.issuer)) {
        let Some(read) = issuers.iter().find(|read| read.issuer.name() == second.name()) else { continue };
        let message = format!(
            "issuer `{}` would be asked about opaque tokens that issuer `{}` is asked about too",
            second.name(),
            first.name()
        );
        let help = "give each a `prefix` that its tokens begin with, and that begins no other";
        findings.note_text(Code::IssuerContested, &read.path, "introspection", message, help.to_owned());
    }
    // What it would refuse has been found above, with its place.
    TrustedIssuers::new(issuers.into_iter().map(|read| read.issuer).collect()).ok()
}
