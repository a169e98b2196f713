//! `check`: whether the bundle holds together, and says what was meant.

mod explain;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::deployment::Api;
use cedar_gate::bundle::finding::{Code, Finding, Severity};
use cedar_gate::bundle::propagation::Delay;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::bundle::{self, Bundle, ROUTES_SCHEMA};
use cedar_gate::jose::{TrustedIssuer, VerifiedClaims};
use cedar_gate::tools::cache_safety::{self, CacheFinding};
use cedar_gate::tools::whole_api::{self, ApiDocuments, Unstated};
use cedar_gate::tools::{format, github, lint, sarif};
use clap::ValueEnum;
use owo_colors::OwoColorize;
use serde::Serialize;

use crate::format::{FormatName, Known};
use crate::shell::{self, Answer, Failure, Readers};
use crate::tested;

/// The form of `--format json`.
const SCHEMA: &str = "cedar-gate/check/2";

/// How findings are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
    Sarif,
    Github,
}

impl Known for Format {
    const ALL: &'static [(FormatName, Self)] = &[
        (FormatName::Text, Self::Text),
        (FormatName::Json, Self::Json),
        (FormatName::Sarif, Self::Sarif),
        (FormatName::Github, Self::Github),
    ];
}

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Fail on warnings too, or on notes and warnings.
    #[arg(long, value_enum, value_name = "SEVERITY")]
    deny: Option<Denied>,
    /// The same as --deny warnings.
    #[arg(long, conflicts_with = "deny")]
    deny_warnings: bool,
    /// Leave out a warning or note, by its code or its name; may be given several times.
    #[arg(long, value_name = "CODE")]
    allow: Vec<String>,
    /// First format the policies, and write schema/routes.cedarschema anew where it is out of step.
    #[arg(long)]
    fix: bool,
    /// Tell what a code means, why it matters and what to do; `all` lists every code.
    #[arg(long, value_name = "CODE", conflicts_with_all = ["deny", "deny_warnings", "allow", "fix"])]
    explain: Option<String>,
}

/// What is taken for an error.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Denied {
    // A doc comment on a value would spread the help text over twice as many lines.
    Warnings,
    Notes,
}

const HELP: &str = "\
Reads policies/ and schema/, and says all that is known without a request, at once: file, line, why
it matters, what to do. Each kind of finding has a code (CG0107) that stays the same for good.
  error    the bundle does not start, or an answer could be wrong
  warning  it starts, and says something else than was meant, or less; the Lambda runs with it
  note     worth knowing
A policy hides a warning or a note about itself by an annotation: @allow(\"CG1005\").

Of a bundle that holds together it says how long, at most, a call is still admitted that should not
be: after the release of the bundle that changes a policy, revokes the token or removes its pinned
key; after its issuer has removed its published key, calls it inactive or takes a role away; and
after the token has expired. The terms of the sum:
  result TTL       the gateway answers from its cache
  open connection  a WebSocket API asks on $connect alone
  new bundle       a running function follows the link to its bundle; with the bundle in its
                   zip, the deployment is the release, and nothing is waited for
  token cache      what was verified is forgotten with the bundle, and with the key
  key max_age      published keys are believed
  introspection    an issuer's word about an opaque token is believed
  token life       a token says what it said when it was made; `max_token_age` bounds it
  leeway           of the issuer's file, after a token's end

Where the gateway keeps answers (result_ttl_seconds above 0) it says which policies could make a
kept answer the wrong one, by which fact, for which operations, and what to do: an error where a
request could be allowed that Cedar denies, a warning where one can be denied that Cedar allows.
So that nobody is surprised by the second, documents about the whole API are made for a User and a
Client without a role, with each role (of the first 32), with those that a policy names together and
with all of them, and for each principal of the tests; what Cedar allows and they do not is listed.

--format json    `ok`, `bundle` (its digest), `counts` by severity, `findings`, `documents` and
                 `delays`; of a finding: `code`, `slug`, `severity`, `file`, `line`, `column`,
                 `end_line`, `end_column` (counted from 1; the end is after the last character),
                 `message`, `why`, `help`
--format sarif   SARIF 2.1.0, for code scanning
--format github  annotations beside the lines of a pull request, in a job of GitHub Actions

Exit codes: 0 no errors, 1 errors (with --deny warnings: or warnings), 2 it could not be read.

Examples:
  cedar-gate check
  cedar-gate check --deny warnings --allow like-crosses-segments
  cedar-gate check --explain CG1004
  cedar-gate check --fix
  cedar-gate check --bundle ../orders --format sarif > check.sarif";

/// What `check --format json` prints.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    /// Absent where the bundle does not load.
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<&'a str>,
    counts: Counts,
    findings: Vec<FindingReport<'a>>,
    /// Of each API whose answers are about the whole of it and are kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    documents: Vec<DocumentsReport<'a>>,
    /// How soon each API refuses what is believed no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    delays: Option<Vec<ApiDelays<'a>>>,
}

/// How many findings there are.
#[derive(Clone, Copy, Default, Serialize)]
struct Counts {
    error: usize,
    warning: usize,
    note: usize,
}

impl Counts {
    fn of(findings: &[Found]) -> Self {
        let count = |severity| findings.iter().filter(|found| found.severity() == severity).count();
        Self { error: count(Severity::Error), warning: count(Severity::Warning), note: count(Severity::Note) }
    }

    /// `2 errors, 1 warning`; empty where there is nothing.
    fn told(self) -> String {
        let counts = [(self.error, "error"), (self.warning, "warning"), (self.note, "note")];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        counts.map(|(count, what)| shell::count(count, what)).collect::<Vec<_>>().join(", ")
    }
}

/// A finding, and what it is about where that is no mistake in a file.
enum Found {
    Plain(Finding),
    Cache(CacheFinding),
    Document(Unstated),
}

impl Found {
    const fn finding(&self) -> &Finding {
        match self {
            Self::Plain(finding) => finding,
            Self::Cache(found) => &found.finding,
            Self::Document(found) => &found.finding,
        }
    }

    const fn severity(&self) -> Severity {
        self.finding().severity()
    }
}

/// What a document does not state, and to whom.
#[derive(Serialize)]
struct UnstatedReport<'a> {
    api: &'a str,
    /// Null where there is no document at all.
    operation: Option<&'a str>,
    witness: Option<&'a str>,
    principals: &'a [String],
}

/// What the documents of an API are like, for the principals that were tried.
#[derive(Serialize)]
struct DocumentsReport<'a> {
    api: &'a str,
    principals: usize,
    exact: usize,
    exact_but_for_collisions: usize,
    longest_bytes: usize,
}

impl<'a> From<&'a ApiDocuments> for DocumentsReport<'a> {
    fn from(documents: &'a ApiDocuments) -> Self {
        Self {
            api: &documents.api,
            principals: documents.principals,
            exact: documents.exact,
            exact_but_for_collisions: documents.exact_but_for_collisions,
            longest_bytes: documents.longest,
        }
    }
}

#[derive(Serialize)]
struct ApiDelays<'a> {
    api: &'a str,
    revocation: DelayReport,
    /// Of the issuer where it takes longest; null where no issuer has keys that can be removed.
    removed_key: Option<IssuerDelayReport<'a>>,
    /// The same; null where no issuer is asked about opaque tokens.
    inactive_token: Option<IssuerDelayReport<'a>>,
    changed_policy: DelayReport,
    /// Of the issuer where it takes longest; null where there is no issuer.
    expired_token: Option<IssuerDelayReport<'a>>,
    /// The same.
    removed_role: Option<IssuerDelayReport<'a>>,
}

#[derive(Serialize)]
struct IssuerDelayReport<'a> {
    issuer: &'a str,
    #[serde(flatten)]
    delay: DelayReport,
}

#[derive(Serialize)]
struct DelayReport {
    /// Null where a term has no bound; so is that term.
    seconds: Option<u64>,
    terms: BTreeMap<&'static str, Option<u64>>,
}

impl<'a> From<(&'a TrustedIssuer, Delay)> for IssuerDelayReport<'a> {
    fn from((issuer, delay): (&'a TrustedIssuer, Delay)) -> Self {
        Self { issuer: issuer.name(), delay: DelayReport::from(&delay) }
    }
}

impl From<&Delay> for DelayReport {
    fn from(delay: &Delay) -> Self {
        let terms = delay.terms().iter().map(|term| (term.wait.slug(), term.seconds));
        Self { seconds: delay.seconds(), terms: terms.collect() }
    }
}

#[derive(Serialize)]
struct FindingReport<'a> {
    code: &'static str,
    slug: &'static str,
    severity: &'static str,
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<usize>,
    message: &'a str,
    why: &'static str,
    help: &'a str,
    #[serde(flatten)]
    about: Option<About<'a>>,
}

/// What a finding is about that is no mistake in a file.
#[derive(Serialize)]
#[serde(untagged)]
enum About<'a> {
    Cache(CacheReport<'a>),
    Document(UnstatedReport<'a>),
}

/// What a finding about kept answers is about.
#[derive(Serialize)]
struct CacheReport<'a> {
    api: &'a str,
    /// Null where the form of the answers alone is the matter.
    policy: Option<&'a str>,
    fact: &'a str,
    operations: &'a [String],
}

impl<'a> FindingReport<'a> {
    fn of(found: &'a Found, files: &SourceFiles) -> Self {
        let finding = found.finding();
        let (line, column) = finding.position.unzip();
        let (end_line, end_column) = finding.end(files).unzip();
        let about = match found {
            Found::Plain(_) => None,
            Found::Cache(found) => Some(About::Cache(CacheReport {
                api: &found.api,
                policy: found.policy.as_deref(),
                fact: &found.fact,
                operations: &found.operations,
            })),
            Found::Document(found) => Some(About::Document(UnstatedReport {
                api: &found.api,
                operation: found.operation.as_deref(),
                witness: found.witness.as_deref(),
                principals: &found.principals,
            })),
        };
        let code = finding.code;
        Self {
            code: code.number(),
            slug: code.slug(),
            severity: code.severity().as_str(),
            file: &finding.file,
            line,
            column,
            end_line,
            end_column,
            message: &finding.message,
            why: code.why(),
            help: finding.remedy(),
            about,
        }
    }
}

pub(crate) fn run(root: &Path, format: Format, args: &Args) -> Result<Answer, Failure> {
    if let Some(name) = &args.explain {
        return explain::run(name, format);
    }
    let allowed = args.allow.iter().map(|name| allowed(name)).collect::<Result<BTreeSet<Code>, Failure>>()?;
    let mut files = shell::read_files(root)?;
    if args.fix && fix(root, &files)? {
        files = shell::read_files(root)?;
    }
    let checked = Checked::of(root, &files, &allowed)?;
    let counts = Counts::of(&checked.findings);
    let is_ok = counts.error == 0
        && match (args.deny, args.deny_warnings) {
            (Some(Denied::Notes), _) => counts.warning + counts.note == 0,
            (Some(Denied::Warnings), _) | (None, true) => counts.warning == 0,
            (None, false) => true,
        };
    let findings: Vec<&Finding> = checked.findings.iter().map(Found::finding).collect();
    match format {
        Format::Text => {
            let findings: Vec<Finding> = findings.into_iter().cloned().collect();
            shell::print(&shell::explained(&findings, &files))?;
        }
        Format::Json => shell::print_json(SCHEMA, &checked.report(is_ok, counts, &files))?,
        Format::Sarif => shell::print_document(&sarif::log(&findings, &files, &folder(root)))?,
        Format::Github => shell::print(&github::annotations(&findings, &files, &folder(root)))?,
    }
    checked.tell(is_ok, counts);
    Ok(if is_ok { Answer::Yes } else { Answer::No })
}

/// The code of a warning or note that is to be left out.
fn allowed(name: &str) -> Result<Code, Failure> {
    let code = Code::named(name).ok_or_else(|| explain::unknown(name))?;
    match code.severity() {
        Severity::Error => Err(Failure::Message(format!(
            "{} is an error, which cannot be allowed; see: cedar-gate check --explain {}",
            code.number(),
            code.number()
        ))),
        Severity::Warning | Severity::Note => Ok(code),
    }
}

/// The bundle's folder, from where the reader of a report stands; empty where that is the same.
pub(crate) fn folder(root: &Path) -> String {
    let folder = root.to_string_lossy().replace('\\', "/");
    folder.trim_start_matches("./").trim_end_matches('.').to_owned()
}

/// Formats the policies and writes the routes' schema anew; whether anything was written. What cannot be read is left for
/// the check to tell.
fn fix(root: &Path, files: &SourceFiles) -> Result<bool, Failure> {
    let mut written = Vec::new();
    for path in crate::fmt::policies(files) {
        let Some(text) = files.text(path) else { continue };
        match format::policies(text) {
            Ok(pretty) if pretty != text => written.push((path.to_owned(), pretty)),
            Ok(_) | Err(_) => {}
        }
    }
    if let Ok(routes) = bundle::load_route_table(files) {
        let schema = routes.cedarschema();
        let in_step = |text: &str| text.lines().eq(schema.lines());
        if files.contains(bundle::ROUTES) && !files.text(ROUTES_SCHEMA).is_some_and(in_step) {
            written.push((ROUTES_SCHEMA.to_owned(), schema));
        }
    }
    for (file, text) in &written {
        let path = root.join(file);
        shell::write_through(&path, text, Readers::All)
            .map_err(|error| Failure::Message(format!("cannot write `{}`: {error}", path.display())))?;
        shell::talk(&format!("wrote {file}"));
    }
    Ok(!written.is_empty())
}

/// What is known of a bundle.
struct Checked {
    /// Errors first, then warnings, then notes.
    findings: Vec<Found>,
    /// `None` where it does not load.
    authorizer: Option<Authorizer>,
    documents: Vec<ApiDocuments>,
}

impl Checked {
    fn of(root: &Path, files: &SourceFiles, allowed: &BTreeSet<Code>) -> Result<Self, Failure> {
        let bundle = match Bundle::load(files) {
            Ok(bundle) => bundle,
            Err(errors) => {
                let findings = errors.findings().iter().cloned().map(Found::Plain).collect();
                return Ok(Self { findings, authorizer: None, documents: Vec::new() });
            }
        };
        // A bundle that loads can be answered by; this is the last step that the Lambda takes before its first request.
        let failed = |error: &dyn std::fmt::Display| Failure::Message(error.to_string());
        let authorizer = Authorizer::new(bundle).map_err(|error| failed(&error))?;
        let kept = cache_safety::check(&authorizer, files).map_err(|error| failed(&error))?;
        let bundle = authorizer.read_bundle().ok_or_else(|| failed(&"the bundle has no sources"))?;
        let tested = tested::principals(bundle, root, shell::now()?)?;
        let tested = tested.into_iter().filter_map(|(name, verified)| Some((name, verified.ok()?)));
        let tested: Vec<(String, VerifiedClaims)> = tested.collect();
        let mut documents = whole_api::check(&authorizer, files, &tested).map_err(|error| failed(&error))?;
        let lints = lint::check(bundle, files).map_err(|error| failed(&error))?;
        let unstated = documents.iter_mut().flat_map(|documents| std::mem::take(&mut documents.unstated));
        let mut findings: Vec<Found> = kept.into_iter().map(Found::Cache).collect();
        findings.extend(unstated.map(Found::Document));
        findings.extend(lints.into_iter().map(Found::Plain));
        findings.retain(|found| !allowed.contains(&found.finding().code));
        findings.sort_by_key(Found::severity);
        Ok(Self { findings, authorizer: Some(authorizer), documents })
    }

    fn bundle(&self) -> Option<&Bundle> {
        self.authorizer.as_ref().and_then(Authorizer::read_bundle)
    }

    fn report<'a>(&'a self, is_ok: bool, counts: Counts, files: &SourceFiles) -> Report<'a> {
        Report {
            ok: is_ok,
            bundle: self.bundle().map(|bundle| bundle.digest()),
            counts,
            findings: self.findings.iter().map(|found| FindingReport::of(found, files)).collect(),
            documents: self.documents.iter().map(DocumentsReport::from).collect(),
            delays: self.bundle().map(|bundle| {
                bundle.deployment().apis.iter().map(|api| ApiDelays::of(api, bundle)).collect()
            }),
        }
    }

    /// The last lines, for people.
    fn tell(&self, is_ok: bool, counts: Counts) {
        let told = counts.told();
        if !is_ok {
            shell::talk(&format!("{} {told}", "failed:".red().bold()));
        }
        if let Some(finding) = self.findings.first().map(Found::finding) {
            shell::talk(&format!(
                "  more about a code: cedar-gate check --explain {}",
                finding.code.number()
            ));
        }
        let (true, Some(bundle)) = (is_ok, self.bundle()) else { return };
        let told = if told.is_empty() { told } else { format!("{told}; ") };
        shell::talk(&format!("{} {told}{}", "ok:".green().bold(), summary(bundle)));
        self.documents.iter().for_each(|documents| shell::talk(&documents_as_text(documents)));
        delays_as_text(bundle).iter().for_each(|line| shell::talk(line));
    }
}

/// What the documents of an API are like, for the principals that were tried.
fn documents_as_text(documents: &ApiDocuments) -> String {
    format!(
        "  documents for the whole API: {} tried, {} exact, at most {} bytes; {}",
        shell::count(documents.principals, "principal"),
        documents.exact,
        documents.longest,
        documents.api
    )
}

fn summary(bundle: &Bundle) -> String {
    let versions: Vec<String> = bundle
        .policy_versions()
        .map(|version| {
            format!(
                "{} in version {}",
                shell::count(version.policies().num_of_policies(), "policy"),
                version.name
            )
        })
        .collect();
    let revoked = match bundle.issuers().by_name().map(|issuer| issuer.revocations().len()).sum() {
        0 => String::new(),
        entries => format!(", {}", shell::count(entries, "revocation")),
    };
    format!(
        "{}, {}, {}{revoked}, {}; {}",
        versions.join(", "),
        shell::count(bundle.routes().operations().len(), "operation"),
        shell::count(bundle.issuers().by_name().count(), "issuer"),
        shell::count(bundle.deployment().apis.len(), "API"),
        bundle.digest()
    )
}

/// What is told about an API: how long each of these takes at most, and whose fault it is where it depends on the issuer.
struct Delays<'b> {
    revocation: Delay,
    removed_key: Option<(&'b TrustedIssuer, Delay)>,
    inactive_token: Option<(&'b TrustedIssuer, Delay)>,
    changed_policy: Delay,
    expired_token: Option<(&'b TrustedIssuer, Delay)>,
    removed_role: Option<(&'b TrustedIssuer, Delay)>,
}

impl<'b> Delays<'b> {
    fn of(api: &Api, bundle: &'b Bundle) -> Self {
        let (issuers, document) = (bundle.issuers(), &bundle.deployment().document);
        let expired =
            |api: &Api, issuer: &TrustedIssuer| Some(Delay::of_expired_token(api, issuer, document));
        let removed = |api: &Api, issuer: &TrustedIssuer| Some(Delay::of_removed_role(api, issuer));
        Self {
            revocation: Delay::of_revocation(api),
            removed_key: Delay::longest(Delay::of_removed_key, api, issuers),
            inactive_token: Delay::longest(Delay::of_inactive_token, api, issuers),
            changed_policy: Delay::of_changed_policy(api),
            expired_token: Delay::longest(expired, api, issuers),
            removed_role: Delay::longest(removed, api, issuers),
        }
    }

    /// What happens, and how long it takes at most.
    fn lines(self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut add = |what: &str, delay: &Delay| lines.push(format!("{what} within {delay}"));
        match &self.removed_key {
            Some((_, removed)) if *removed == self.revocation => {
                add("a revoked token, or one by a removed key, is refused", &self.revocation);
            }
            Some((issuer, removed)) => {
                add("a revoked token is refused", &self.revocation);
                add(&format!("a token by a removed key of `{}` is refused", issuer.name()), removed);
            }
            None => add("a revoked token is refused", &self.revocation),
        }
        if let Some((issuer, inactive)) = &self.inactive_token {
            add(&format!("a token that `{}` calls inactive is refused", issuer.name()), inactive);
        }
        if let Some((_, expired)) = &self.expired_token {
            add("an expired token is refused", expired);
        }
        if let Some((issuer, removed)) = &self.removed_role {
            add(&format!("a role that `{}` takes away is gone", issuer.name()), removed);
        }
        add("a changed policy decides", &self.changed_policy);
        lines
    }
}

impl<'a> ApiDelays<'a> {
    fn of(api: &'a Api, bundle: &'a Bundle) -> Self {
        let delays = Delays::of(api, bundle);
        Self {
            api: &api.name,
            revocation: DelayReport::from(&delays.revocation),
            removed_key: delays.removed_key.map(IssuerDelayReport::from),
            inactive_token: delays.inactive_token.map(IssuerDelayReport::from),
            changed_policy: DelayReport::from(&delays.changed_policy),
            expired_token: delays.expired_token.map(IssuerDelayReport::from),
            removed_role: delays.removed_role.map(IssuerDelayReport::from),
        }
    }
}

/// A line for each different sum, with the APIs that it is about.
fn delays_as_text(bundle: &Bundle) -> Vec<String> {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for api in &bundle.deployment().apis {
        for line in Delays::of(api, bundle).lines() {
            match lines.iter_mut().find(|(known, _)| *known == line) {
                Some((_, apis)) => apis.push(&api.name),
                None => lines.push((line, vec![&api.name])),
            }
        }
    }
    lines.into_iter().map(|(line, apis)| format!("  {line}; {}", apis.join(", "))).collect()
}
