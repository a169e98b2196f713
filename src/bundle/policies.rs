//! `policies/<version>/*.cedar`: parsed, named by their `@id`, and validated strictly against the schema.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use cedar_policy as cedar;

use super::finding::Findings;
use super::nesting::{self, Syntax};
use super::roles::Roles;
use super::source::SourceFiles;
use super::vocabulary::{first_span, schema_message};

/// One version of the policies.
#[derive(Clone, Debug)]
pub struct PolicyVersion {
    /// The version's name: its folder.
    pub name: String,
    /// The roles that exist.
    pub roles: Roles,
    policies: cedar::PolicySet,
    notes: HashMap<String, PolicyNote>,
}

/// What is known about a policy beside its meaning.
#[derive(Clone, Debug)]
pub struct PolicyNote {
    /// The file it stands in, as a path in the bundle.
    pub file: String,
    /// The line on which its text begins, from 1.
    pub line: usize,
    /// The bytes of the file that are its text, annotations included.
    pub span: Range<usize>,
    /// What a refused caller may read (`@deny_message`).
    pub deny_message: Option<String>,
}

/// The names that policies may speak of.
pub(super) struct KnownNames {
    pub(super) routes: BTreeSet<String>,
    pub(super) paths: BTreeSet<String>,
    pub(super) tags: BTreeSet<String>,
    /// `None` where an issuer may name any tenant.
    pub(super) tenants: Option<BTreeSet<String>>,
}

impl PolicyVersion {
    /// The policies, each named by its `@id`.
    #[must_use]
    pub fn policies(&self) -> &cedar::PolicySet {
        &self.policies
    }

    /// What is known about the policy with that id.
    #[must_use]
    pub fn note(&self, id: &str) -> Option<&PolicyNote> {
        self.notes.get(id)
    }

    /// Reads one version; what is wrong goes to `findings`.
    pub(super) fn load(
        name: &str,
        files: &SourceFiles,
        schema: Option<&cedar::Schema>,
        known: Option<&KnownNames>,
        findings: &mut Findings<'_>,
    ) -> Option<Self> {
        let before = findings.len();
        let folder = format!("policies/{name}/");
        let roles = Roles::load(&format!("{folder}roles.toml"), files, findings);
        let mut set = PolicyFiles::default();
        for path in files.paths_in(&folder, ".cedar") {
            set.read(path, files, findings);
        }
        if let Some(schema) = schema {
            set.validate(schema, findings);
        }
        if let (Some(roles), Some(known)) = (&roles, known) {
            set.check_names(roles, known, files, findings);
        }
        (findings.len() == before).then_some(())?;
        Some(Self { name: name.to_owned(), roles: roles?, policies: set.policies, notes: set.notes })
    }
}

#[derive(Default)]
struct PolicyFiles {
    policies: cedar::PolicySet,
    notes: HashMap<String, PolicyNote>,
    spans: BTreeMap<String, (String, Range<usize>)>,
}

impl PolicyFiles {
    fn read(&mut self, path: &str, files: &SourceFiles, findings: &mut Findings<'_>) {
        let Some(text) = files.text(path) else {
            findings.note(path, None, "the file is not UTF-8 text", None);
            return;
        };
        if let Err(error) = nesting::check(text, Syntax::Policies) {
            findings.note(path, Some(error.span.clone()), error.to_string(), None);
            return;
        }
        let parsed: cedar::PolicySet = match text.parse() {
            Ok(parsed) => parsed,
            Err(errors) => {
                let errors: cedar::ParseErrors = errors;
                for error in errors.iter() {
                    findings.note(path, first_span(error), schema_message(error), None);
                }
                return;
            }
        };
        for template in parsed.templates() {
            let message = "a template decides nothing until it is linked, and nothing links it here";
            findings.note_text(path, &template.to_cedar(), message, "write the policy out".to_owned());
        }
        let mut policies: Vec<&cedar::Policy> = parsed.policies().collect();
        policies.sort_by_key(|policy| file_order(policy.id()));
        let (mut from, mut line) = (0, 1);
        for policy in policies {
            // Cedar keeps a policy's text as it was written, and the policies are in file order here, with nothing but
            // blanks and comments between them.
            let source = policy.to_cedar().unwrap_or_default();
            let start = nesting::skip_trivia(text, from);
            let end = start + source.len();
            line += text.get(from..start).map_or(0, |between| between.matches('\n').count());
            self.name(path, policy, start..end, line, findings);
            line += source.matches('\n').count();
            from = end;
        }
    }

    fn name(
        &mut self,
        path: &str,
        policy: &cedar::Policy,
        span: Range<usize>,
        line: usize,
        findings: &mut Findings<'_>,
    ) {
        let Some(id) = policy.annotation("id") else {
            findings.note(
                path,
                Some(span),
                "the policy has no @id",
                "write @id(\"what-it-grants\") before it".to_owned(),
            );
            return;
        };
        if id.is_empty()
            || id.len() > 128
            || !id.chars().all(|char| char.is_ascii_alphanumeric() || "._:/-".contains(char))
        {
            let message = format!("`{}` cannot be a policy's @id", id.escape_debug());
            findings.note(path, Some(span), message, "use 1 to 128 of A-Z a-z 0-9 . _ : / -".to_owned());
            return;
        }
        let deny_message = policy.annotation("deny_message").map(str::to_owned);
        // The message is put into gateway responses by templates that do not escape (JSON, and VTL's `$` and `#`).
        let unsafe_char = |char: char| char.is_control() || "\"\\$#<>&".contains(char);
        if let Some(message) =
            deny_message.as_deref().filter(|message| message.chars().any(unsafe_char) || message.len() > 256)
        {
            let message =
                format!("the @deny_message `{}` cannot stand in a response template", message.escape_debug());
            findings.note(
                path,
                Some(span),
                message,
                "use at most 256 bytes without \" \\ $ # < > & and control characters".to_owned(),
            );
            return;
        }
        if let Some((other, _)) = self.spans.get(id) {
            let message = format!("two policies have the @id `{id}`; the other stands in {other}");
            findings.note(path, Some(span), message, None);
            return;
        }
        if let Err(error) = self.policies.add(policy.new_id(cedar::PolicyId::new(id))) {
            findings.note(path, Some(span), error.to_string(), None);
            return;
        }
        self.spans.insert(id.to_owned(), (path.to_owned(), span.clone()));
        let note = PolicyNote { file: path.to_owned(), line, span, deny_message };
        self.notes.insert(id.to_owned(), note);
    }

    /// Validates strictly; attributes of the principal and the route alone may be read (level 1), because no other
    /// entity is handed to the policies.
    fn validate(&self, schema: &cedar::Schema, findings: &mut Findings<'_>) {
        let validator = cedar::Validator::new(schema.clone());
        let result = validator.validate_with_level(&self.policies, cedar::ValidationMode::Strict, 1);
        let mut errors: Vec<&cedar::ValidationError> = result.validation_errors().collect();
        // Cedar gives them in no order; a person meets them as they stand.
        errors.sort_by_cached_key(|error| {
            (error.policy_id().to_string(), first_span(*error).map(|span| span.start), error.to_string())
        });
        for error in errors {
            let id = error.policy_id().to_string();
            let (file, span) = self.spans.get(&id).cloned().unwrap_or_default();
            let help = miette::Diagnostic::help(error).map(|help| help.to_string());
            findings.note(&file, first_span(error).or(Some(span)), schema_message(error), help);
        }
    }

    /// A name that exists nowhere would be a silent deny, or a forbid that never bites.
    fn check_names(
        &self,
        roles: &Roles,
        known: &KnownNames,
        files: &SourceFiles,
        findings: &mut Findings<'_>,
    ) {
        for (id, (file, span)) in &self.spans {
            let Some(policy) = self.policies.policy(&cedar::PolicyId::new(id)) else { continue };
            let mut literals: Vec<cedar::EntityUid> = policy.entity_literals();
            literals.sort_by_key(ToString::to_string);
            for literal in literals {
                let name: &str = literal.id().unescaped();
                let kind = literal.type_name().to_string();
                let (exists, place) = match kind.as_str() {
                    "Role" => (roles.contains(name), "roles.toml beside it"),
                    "Route" => (known.routes.contains(name), "schema/routes.toml"),
                    "Path" => (known.paths.contains(name), "schema/routes.toml"),
                    "Tag" => (known.tags.contains(name), "schema/routes.toml"),
                    "Tenant" => (
                        known.tenants.as_ref().is_none_or(|tenants| tenants.contains(name)),
                        "policies/issuers",
                    ),
                    _ => (true, ""),
                };
                if !exists {
                    let text = files.text(file).and_then(|text| text.get(span.clone())).unwrap_or_default();
                    let spelled = literal.to_string();
                    let at = text
                        .find(&spelled)
                        .map_or(span.clone(), |at| span.start + at..span.start + at + spelled.len());
                    let message = format!("policy `{id}` speaks of {spelled}, which does not exist");
                    findings.note(file, Some(at), message, format!("it would have to stand in {place}"));
                }
            }
        }
    }
}

/// Where a policy stands in its file: Cedar names them policy0, policy1, … in order.
fn file_order(id: &cedar::PolicyId) -> (usize, String) {
    let name = id.to_string();
    let number = name.strip_prefix("policy").and_then(|number| number.parse().ok()).unwrap_or(usize::MAX);
    (number, name)
}
