//! `policies/<version>/*.cedar`: parsed, named by their `@id`, and validated strictly against the schema.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Deref, Range};
use std::sync::Arc;

use cedar_policy as cedar;

use super::finding::{Code, Finding, Findings, meant, with_meant};
use super::nesting::{self, Syntax};
use super::roles::Roles;
use super::source::SourceFiles;
use super::validation::Validation;
use super::vocabulary::{first_span, schema_message};

/// What a version of the policies is called, and its roles.
#[derive(Clone, Debug)]
pub struct VersionHead {
    /// The version's name: its folder.
    pub name: String,
    /// The digest over its policies and roles: see [`SourceFiles::version_digest`].
    pub digest: String,
    /// The roles that exist.
    pub roles: Roles,
}

/// One version of the policies, read from its sources.
#[derive(Clone, Debug)]
pub struct PolicyVersion {
    head: Arc<VersionHead>,
    policies: cedar::PolicySet,
    notes: HashMap<String, PolicyNote>,
    remarks: Vec<Finding>,
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

impl Deref for PolicyVersion {
    type Target = VersionHead;

    fn deref(&self) -> &VersionHead {
        &self.head
    }
}

impl PolicyVersion {
    /// Its name and roles.
    #[must_use]
    pub fn head(&self) -> &Arc<VersionHead> {
        &self.head
    }

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

    /// What the validator remarked that is no mistake: a policy that never applies, letters that look like others.
    #[must_use]
    pub fn remarks(&self) -> &[Finding] {
        &self.remarks
    }

    /// Reads one version; what is wrong goes to `findings`.
    pub(super) fn load(
        name: &str,
        files: &SourceFiles,
        validation: Option<&Validation<'_>>,
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
        let remarks =
            validation.map(|validation| set.validate(validation, files, findings)).unwrap_or_default();
        if let (Some(roles), Some(known)) = (&roles, known) {
            set.check_names(roles, known, files, findings);
        }
        (findings.len() == before).then_some(())?;
        let head = VersionHead { name: name.to_owned(), digest: files.version_digest(name), roles: roles? };
        Some(Self { head: Arc::new(head), policies: set.policies, notes: set.notes, remarks })
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
            findings.note(Code::NotText, path, None, "the file is not UTF-8 text", None);
            return;
        };
        if let Err(error) = nesting::check(text, Syntax::Policies) {
            findings.note(Code::TooDeep, path, Some(error.span.clone()), error.to_string(), None);
            return;
        }
        let parsed: cedar::PolicySet = match text.parse() {
            Ok(parsed) => parsed,
            Err(errors) => {
                let errors: cedar::ParseErrors = errors;
                for error in errors.iter() {
                    findings.note(Code::PolicySyntax, path, first_span(error), schema_message(error), None);
                }
                return;
            }
        };
        for template in parsed.templates() {
            let message = "a template decides nothing until it is linked, and nothing links it here";
            findings.note_text(
                Code::PolicyTemplate,
                path,
                &template.to_cedar(),
                message,
                "write the policy out".to_owned(),
            );
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
                Code::PolicyWithoutId,
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
            findings.note(
                Code::PolicyId,
                path,
                Some(span),
                message,
                "use 1 to 128 of A-Z a-z 0-9 . _ : / -".to_owned(),
            );
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
                Code::DenyMessage,
                path,
                Some(span),
                message,
                "use at most 256 bytes without \" \\ $ # < > & and control characters".to_owned(),
            );
            return;
        }
        if let Some((other, _)) = self.spans.get(id) {
            let message = format!("two policies have the @id `{id}`; the other stands in {other}");
            findings.note(Code::PolicyIdTwice, path, Some(span), message, None);
            return;
        }
        if let Err(error) = self.policies.add(policy.new_id(cedar::PolicyId::new(id))) {
            findings.note(Code::PolicyInvalid, path, Some(span), error.to_string(), None);
            return;
        }
        self.spans.insert(id.to_owned(), (path.to_owned(), span.clone()));
        let note = PolicyNote { file: path.to_owned(), line, span, deny_message };
        self.notes.insert(id.to_owned(), note);
    }

    /// Notes the errors, and gives what is remarked beside them.
    fn validate(
        &self,
        validation: &Validation<'_>,
        files: &SourceFiles,
        findings: &mut Findings<'_>,
    ) -> Vec<Finding> {
        let result = validation.validate(&self.policies);
        // Cedar gives them in no order; a person meets them as they stand.
        let in_order = |id: &cedar::PolicyId, error: &(dyn miette::Diagnostic + 'static)| {
            (id.to_string(), first_span(error).map(|span| span.start), error.to_string())
        };
        let mut errors: Vec<&cedar::ValidationError> = result.validation_errors().collect();
        errors.sort_by_cached_key(|error| in_order(error.policy_id(), *error));
        for error in errors {
            self.note_diagnostic(code_of(error), error.policy_id(), error, findings);
        }
        let mut warnings: Vec<&cedar::ValidationWarning> = result.validation_warnings().collect();
        warnings.sort_by_cached_key(|warning| in_order(warning.policy_id(), *warning));
        let mut remarks = Findings::new(files);
        for warning in warnings {
            let code = code_of_warning(warning);
            match code {
                Code::ImpossiblePolicy => self.note_impossible(warning.policy_id(), files, &mut remarks),
                _ => self.note_diagnostic(code, warning.policy_id(), warning, &mut remarks),
            }
        }
        remarks.into_vec()
    }

    /// What is impossible is the policy as a whole, which Cedar's place covers from end to end.
    fn note_impossible(&self, policy: &cedar::PolicyId, files: &SourceFiles, findings: &mut Findings<'_>) {
        let id = policy.to_string();
        let (file, span) = self.spans.get(&id).cloned().unwrap_or_default();
        let named = format!("{id:?}");
        let text = files.text(&file).and_then(|text| text.get(span.clone())).unwrap_or_default();
        let place = text.find(&named).map_or(span.clone(), |at| {
            let start = span.start + at;
            start..start + named.len()
        });
        let message =
            format!("policy `{id}` can never apply: its scope or its condition is false for every request");
        findings.note(Code::ImpossiblePolicy, &file, Some(place), message, None);
    }

    fn note_diagnostic(
        &self,
        code: Code,
        policy: &cedar::PolicyId,
        error: &(dyn miette::Diagnostic + 'static),
        findings: &mut Findings<'_>,
    ) {
        let (file, span) = self.spans.get(&policy.to_string()).cloned().unwrap_or_default();
        let help = error.help().map(|help| help.to_string());
        findings.note(code, &file, first_span(error).or(Some(span)), schema_message(error), help);
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
                let Some((code, names, place)) = known.names_of(&kind, roles) else { continue };
                if names.contains(&name) {
                    continue;
                }
                let text = files.text(file).and_then(|text| text.get(span.clone())).unwrap_or_default();
                let spelled = literal.to_string();
                let at = text
                    .find(&spelled)
                    .map_or(span.clone(), |at| span.start + at..span.start + at + spelled.len());
                let message = format!("policy `{id}` speaks of {spelled}, which does not exist");
                let meant = meant(name, names).map(|name| format!("{kind}::{name:?}"));
                let help = with_meant(meant, format!("it would have to stand in {place}"));
                findings.note(code, file, Some(at), message, help);
            }
        }
    }
}

impl KnownNames {
    /// The names that exist of a kind of entity, where they are written, and what it is to speak of another; `None` where
    /// any name may exist.
    fn names_of<'n>(&'n self, kind: &str, roles: &'n Roles) -> Option<(Code, Vec<&'n str>, &'static str)> {
        fn all(names: &BTreeSet<String>) -> Vec<&str> {
            names.iter().map(String::as_str).collect()
        }
        const ROUTES: &str = "schema/routes.toml";
        match kind {
            "Role" => Some((Code::UnknownRole, roles.names().collect(), "roles.toml beside it")),
            "Route" => Some((Code::UnknownRoute, all(&self.routes), ROUTES)),
            "Path" => Some((Code::UnknownPath, all(&self.paths), ROUTES)),
            "Tag" => Some((Code::UnknownTag, all(&self.tags), ROUTES)),
            "Tenant" => Some((Code::UnknownTenant, all(self.tenants.as_ref()?), "policies/issuers")),
            _ => None,
        }
    }
}

/// What kind of finding an error of the validator is.
fn code_of(error: &cedar::ValidationError) -> Code {
    use cedar::ValidationError as E;
    match error {
        E::UnrecognizedEntityType(_) => Code::UnknownType,
        E::UnrecognizedActionId(_) => Code::UnknownAction,
        E::UnexpectedType(_) | E::IncompatibleTypes(_) | E::HierarchyNotRespected(_) => Code::TypeMismatch,
        E::UnsafeAttributeAccess(_) | E::UnsafeTagAccess(_) | E::NoTagsAllowed(_) => Code::UnknownAttribute,
        E::UnsafeOptionalAttributeAccess(_) => Code::OptionalAttribute,
        E::UndefinedFunction(_)
        | E::WrongNumberArguments(_)
        | E::FunctionArgumentValidation(_)
        | E::NonLitExtConstructor(_) => Code::FunctionMisused,
        E::EntityDerefLevelViolation(_) => Code::EntityTooFar,
        // Among them those of a newer Cedar.
        _ => Code::PolicyInvalid,
    }
}

fn code_of_warning(warning: &cedar::ValidationWarning) -> Code {
    use cedar::ValidationWarning as W;
    match warning {
        W::ImpossiblePolicy(_) | W::InvalidActionApplication(_) => Code::ImpossiblePolicy,
        // Mixed scripts, marks of direction and confusable letters, and what a newer Cedar remarks.
        _ => Code::LookalikeText,
    }
}

/// Where a policy stands in its file: Cedar names them policy0, policy1, … in order.
fn file_order(id: &cedar::PolicyId) -> (usize, String) {
    let name = id.to_string();
    let number = name.strip_prefix("policy").and_then(|number| number.parse().ok()).unwrap_or(usize::MAX);
    (number, name)
}
