//! `check`: whether the bundle holds together.

use std::collections::BTreeMap;
use std::path::Path;

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::deployment::Api;
use cedar_gate::bundle::finding::Finding;
use cedar_gate::bundle::propagation::Delay;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::jose::TrustedIssuer;
use cedar_gate::tools::cache_safety::{self, CacheFinding, Severity};
use cedar_gate::tools::whole_api::{self, ApiDocuments, Unstated};
use owo_colors::OwoColorize;
use serde::Serialize;

use crate::Format;
use crate::shell::{self, Answer, Failure};

/// The form of `--format json`.
const SCHEMA: &str = "cedar-gate/check/1";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Take warnings for findings.
    #[arg(long)]
    deny_warnings: bool,
}

const HELP: &str = "\
Reads policies/ and schema/, and says all that is wrong with them at once: file, line, what to do.

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
Client without a role, with each role (of the first 32) and with all of them, and what Cedar allows
and they do not is listed.

Exit codes: 0 it holds together, 1 it does not, 2 it could not be read.

Examples:
  cedar-gate check
  cedar-gate check --bundle ../orders --format json";

/// What `check --format json` prints.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<&'a str>,
    findings: Vec<FindingReport<'a>>,
    warnings: Vec<FindingReport<'a>>,
    /// Of each API whose answers are about the whole of it and are kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    documents: Vec<DocumentsReport<'a>>,
    /// How soon each API refuses what is believed no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    delays: Option<Vec<ApiDelays<'a>>>,
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
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
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

impl<'a> From<&'a Finding> for FindingReport<'a> {
    fn from(finding: &'a Finding) -> Self {
        let (line, column) = finding.position.unzip();
        let (message, help) = (finding.message.as_str(), finding.help.as_deref());
        Self { file: &finding.file, line, column, message, help, about: None }
    }
}

impl<'a> From<&'a CacheFinding> for FindingReport<'a> {
    fn from(found: &'a CacheFinding) -> Self {
        let cache = CacheReport {
            api: &found.api,
            policy: found.policy.as_deref(),
            fact: &found.fact,
            operations: &found.operations,
        };
        Self { about: Some(About::Cache(cache)), ..Self::from(&found.finding) }
    }
}

impl<'a> From<&'a Unstated> for FindingReport<'a> {
    fn from(found: &'a Unstated) -> Self {
        let unstated = UnstatedReport {
            api: &found.api,
            operation: found.operation.as_deref(),
            witness: found.witness.as_deref(),
            principals: &found.principals,
        };
        Self { about: Some(About::Document(unstated)), ..Self::from(&found.finding) }
    }
}

pub(crate) fn run(root: &Path, format: Format, args: Args) -> Result<Answer, Failure> {
    let files = shell::read_files(root)?;
    let bundle = match Bundle::load(&files) {
        Ok(bundle) => bundle,
        Err(errors) => return refused(errors.findings(), &files, format),
    };
    // A bundle that loads can be answered by; this is the last step that the Lambda takes before its first request.
    let failed = |error: &dyn std::fmt::Display| Failure::Message(error.to_string());
    let authorizer = Authorizer::new(bundle).map_err(|error| failed(&error))?;
    let bundle = authorizer.bundle();
    let kept = cache_safety::check(&authorizer, &files).map_err(|error| failed(&error))?;
    let documents = whole_api::check(&authorizer, &files).map_err(|error| failed(&error))?;
    let of = |severity| kept.iter().filter(move |found| found.severity == severity);
    let unstated = || documents.iter().flat_map(|documents| &documents.unstated);
    let (errors, warnings) =
        (of(Severity::Error).count(), of(Severity::Warning).count() + unstated().count());
    let is_ok = errors == 0 && (warnings == 0 || !args.deny_warnings);
    match format {
        Format::Json => {
            let apis = bundle.deployment().apis.iter();
            let warnings = of(Severity::Warning).map(FindingReport::from);
            let report = Report {
                ok: is_ok,
                bundle: Some(bundle.digest()),
                findings: of(Severity::Error).map(FindingReport::from).collect(),
                warnings: warnings.chain(unstated().map(FindingReport::from)).collect(),
                documents: documents.iter().map(DocumentsReport::from).collect(),
                delays: Some(apis.map(|api| ApiDelays::of(api, bundle)).collect()),
            };
            shell::print_json(SCHEMA, &report)?;
        }
        Format::Text => {
            let findings = |severity| of(severity).map(|found| found.finding.clone());
            let errors: Vec<Finding> = findings(Severity::Error).collect();
            let warnings = findings(Severity::Warning).chain(unstated().map(|found| found.finding.clone()));
            let warnings: Vec<Finding> = warnings.collect();
            shell::print(&(shell::snippets(&errors, &files) + &shell::warnings(&warnings, &files)))?;
        }
    }
    let counts = [(errors, "finding"), (warnings, "warning")].into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, what)| shell::count(count, what)).collect();
    if !is_ok {
        shell::talk(&format!("{} {}", "failed:".red().bold(), counts.join(", ")));
        return Ok(Answer::No);
    }
    let counts: String = counts.iter().map(|count| format!("{count}; ")).collect();
    shell::talk(&format!("{} {counts}{}", "ok:".green().bold(), summary(bundle)));
    documents.iter().for_each(|documents| shell::talk(&documents_as_text(documents)));
    delays_as_text(bundle).iter().for_each(|line| shell::talk(line));
    Ok(Answer::Yes)
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

/// What is wrong with a bundle that does not load.
fn refused(findings: &[Finding], files: &SourceFiles, format: Format) -> Result<Answer, Failure> {
    match format {
        Format::Json => {
            let findings = findings.iter().map(FindingReport::from).collect();
            let report = Report {
                ok: false,
                bundle: None,
                findings,
                warnings: Vec::new(),
                documents: Vec::new(),
                delays: None,
            };
            shell::print_json(SCHEMA, &report)?;
        }
        Format::Text => shell::print(&shell::snippets(findings, files))?,
    }
    shell::talk(&format!("{} {}", "failed:".red().bold(), shell::count(findings.len(), "finding")));
    Ok(Answer::No)
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
