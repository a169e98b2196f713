//! `revoke`: tokens are refused before they expire.

use std::path::Path;
use std::str::FromStr;

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::revocations::{REVOCATIONS, RevocationEntry};
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::jose::{CompactJws, Cutoff, Excerpt, Revocation, TokenError, TrustedIssuer};
use cedar_gate::time::{Timestamp, TimestampError};
use serde::Serialize;

use crate::Format;
use crate::shell::{self, Answer, Failure, Readers};

const HELP: &str = "\
Appends an entry to policies/revocations.toml; to take it back, remove the entry. It takes
effect when the bundle is released, and cedar-gate check says how soon after. What is refused
already is not written again.

--sub signs out everywhere: what counts is the moment of sign-in, the token's `auth_time`. Where
the provider sends none it is `iat`, which a refreshed token has anew: end the session at the
provider too. --client counts by `iat`. A token without the claim that counts is refused. Without
--not-before the moment is now, up to the next full second.

stdout has the entry, stderr what it means. Exit codes: 0 it is refused, 2 nothing was written.

Examples:
  cedar-gate revoke --issuer acme-staff --sub 8a1f6c2e-77b0-4d1e --reason 'lost laptop'
  cedar-gate revoke --issuer acme-staff --sub 8a1f6c2e-77b0-4d1e --for-good
  cedar-gate revoke --issuer acme-staff --client 1example2345 --not-before 2026-11-21T10:00:00Z
  cedar-gate revoke --issuer acme-staff --jti 7f3c6f1e-5a0c-4c9b
  cedar-gate revoke --token - < token

The last takes the issuer and the jti that a token names, or the sub where it has no jti; nothing
of it is verified.";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The issuer: the alias of a file in policies/issuers.
    #[arg(long, value_name = "ALIAS", required_unless_present = "token", conflicts_with = "token")]
    issuer: Option<String>,
    #[command(flatten)]
    what: What,
    /// Refuse tokens from before this moment: RFC 3339, seconds since the epoch, or the word now.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["jti", "token"])]
    not_before: Option<Moment>,
    /// Refuse every token, those of the future too.
    #[arg(long, conflicts_with_all = ["not_before", "jti", "token"])]
    for_good: bool,
    /// Why, for people; it stands in the file and nowhere else.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// What now is: RFC 3339, or seconds since the epoch. Without it, the clock.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Tokens that speak for this subject.
    #[arg(long)]
    sub: Option<String>,
    /// Tokens that this client got.
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// The one token with this id.
    #[arg(long)]
    jti: Option<String>,
    /// The token on stdin.
    #[arg(long, value_name = "-", value_parser = ["-"])]
    token: Option<String>,
}

/// `--not-before` as it is written.
#[derive(Clone, Copy)]
enum Moment {
    Now,
    At(Timestamp),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Self::Now);
        }
        let moment: Timestamp = text.parse().map_err(|error: TimestampError| error.to_string())?;
        if moment.is_numeric_date() {
            return Ok(Self::At(moment));
        }
        Err(format!("`{text}` is not a time from the year 1970 to the year 9999"))
    }
}

/// What `revoke --format json` prints.
#[derive(Serialize)]
struct Report<'a> {
    written: bool,
    file: &'static str,
    entry: EntryReport<'a>,
    /// The digest of the bundle as it is now.
    bundle: &'a str,
}

#[derive(Default, Serialize)]
struct EntryReport<'a> {
    issuer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

pub(crate) fn run(root: &Path, format: Format, args: &Args) -> Result<Answer, Failure> {
    // Of two that are started at once the second reads what the first has written, and no entry is lost.
    let _held = shell::lock_folder(&root.join("policies"));
    let files = shell::read_files(root)?;
    let bundle = Bundle::load(&files).map_err(|errors| Failure::Bundle(Box::new((errors, files.clone()))))?;
    let now = args.now.map_or_else(shell::now, Ok)?;
    let (issuer, revocation) = asked(&bundle, args, now)?;
    let entry = RevocationEntry { issuer: issuer.name().to_owned(), revocation, reason: args.reason.clone() };
    let written = !issuer.revocations().covers(&entry.revocation);
    let changed = written.then(|| write(root, files, &entry)).transpose()?;
    let digest = changed.as_ref().unwrap_or(&bundle).digest();
    match format {
        Format::Json => {
            let report = Report { written, file: REVOCATIONS, entry: report(&entry), bundle: digest };
            shell::print_json("cedar-gate/revoke/1", &report)?;
        }
        Format::Text if written => shell::print(&shell::printable(&toml(&entry)?))?,
        Format::Text => {}
    }
    notes(&entry, issuer, now).iter().for_each(|note| shell::talk(&format!("note: {note}")));
    shell::talk(&match written {
        true => format!("wrote {}: {}", root.join(REVOCATIONS).display(), meaning(&entry)),
        false => format!("nothing to write: {} already", meaning(&entry)),
    });
    if written {
        shell::talk("it takes effect when this bundle is released; cedar-gate check says how soon after");
    }
    Ok(Answer::Yes)
}

/// Whose token is to be refused, and which.
fn asked<'b>(
    bundle: &'b Bundle,
    args: &Args,
    now: Timestamp,
) -> Result<(&'b TrustedIssuer, Revocation), Failure> {
    let next_second = Timestamp::from_unix_seconds(now.unix_seconds().saturating_add(1));
    let cutoff = match (args.for_good, args.not_before) {
        (true, _) => Cutoff::Always,
        (false, Some(Moment::At(moment))) => Cutoff::Before(moment),
        (false, Some(Moment::Now) | None) => Cutoff::Before(next_second),
    };
    let What { sub, client, jti, .. } = &args.what;
    let revocation = match (sub.clone(), client.clone(), jti.clone()) {
        (Some(sub), _, _) => Revocation::Subject { sub, cutoff },
        (None, Some(client), _) => Revocation::Client { client, cutoff },
        (None, None, Some(jti)) => Revocation::Token { jti },
        (None, None, None) => return by_token(bundle, cutoff),
    };
    let issuer = shell::issuer_named(bundle, args.issuer.as_deref().unwrap_or_default())?;
    Ok((issuer, revocation))
}

/// What the token on stdin says of itself. It is not verified: who revokes it may have no keys, and it may have expired.
fn by_token(bundle: &Bundle, cutoff: Cutoff) -> Result<(&TrustedIssuer, Revocation), Failure> {
    let bytes = shell::read_input("-", 1024 * 1024)?;
    let text =
        str::from_utf8(&bytes).map_err(|_| Failure::Message("the token is not text".to_owned()))?.trim();
    let told = |error: TokenError| Failure::Message(format!("the token cannot be revoked: {error}"));
    let jws = CompactJws::parse(text.strip_prefix("Bearer ").unwrap_or(text)).map_err(told)?;
    Revocation::of_token(&jws, bundle.issuers(), cutoff).map_err(told)
}

/// Writes the entry, where the bundle holds together with it: the bundle as it is then.
fn write(root: &Path, mut files: SourceFiles, entry: &RevocationEntry) -> Result<Bundle, Failure> {
    let text =
        entry.append_to(files.text(REVOCATIONS)).map_err(|error| Failure::Message(error.to_string()))?;
    files.insert(REVOCATIONS, text.as_str());
    let bundle = Bundle::load(&files).map_err(|errors| {
        shell::talk(shell::snippets(errors.findings(), &files).trim_end());
        Failure::Message("nothing was written: with this entry the bundle would not hold together".to_owned())
    })?;
    let path = root.join(REVOCATIONS);
    shell::write_through(&path, &text, Readers::All)
        .map_err(|error| Failure::Message(format!("cannot write `{}`: {error}", path.display())))?;
    Ok(bundle)
}

fn toml(entry: &RevocationEntry) -> Result<String, Failure> {
    entry.to_toml().map_err(|error| Failure::Message(error.to_string()))
}

fn report(entry: &RevocationEntry) -> EntryReport<'_> {
    let base =
        EntryReport { issuer: &entry.issuer, reason: entry.reason.as_deref(), ..EntryReport::default() };
    let not_before = |cutoff: &Cutoff| match cutoff {
        Cutoff::Before(moment) => Some(moment.to_string()),
        Cutoff::Always => None,
    };
    match &entry.revocation {
        Revocation::Subject { sub, cutoff } => {
            EntryReport { sub: Some(sub), not_before: not_before(cutoff), ..base }
        }
        Revocation::Client { client, cutoff } => {
            EntryReport { client: Some(client), not_before: not_before(cutoff), ..base }
        }
        Revocation::Token { jti } => EntryReport { jti: Some(jti), ..base },
    }
}

/// What the entry does, in a sentence.
fn meaning(entry: &RevocationEntry) -> String {
    let issuer = &entry.issuer;
    match &entry.revocation {
        Revocation::Subject { sub, cutoff: Cutoff::Always } => {
            format!("every token of `{}` by issuer `{issuer}` is refused", Excerpt::of(sub))
        }
        Revocation::Subject { sub, cutoff: Cutoff::Before(moment) } => {
            let sub = Excerpt::of(sub);
            format!("every token of `{sub}` by issuer `{issuer}` from a sign-in before {moment} is refused")
        }
        Revocation::Client { client, cutoff: Cutoff::Always } => {
            format!("every token of client `{}` by issuer `{issuer}` is refused", Excerpt::of(client))
        }
        Revocation::Client { client, cutoff: Cutoff::Before(moment) } => {
            let client = Excerpt::of(client);
            format!("every token of client `{client}` by issuer `{issuer}` issued before {moment} is refused")
        }
        Revocation::Token { jti } => format!("token `{}` by issuer `{issuer}` is refused", Excerpt::of(jti)),
    }
}

/// What may not be as it was meant.
fn notes(entry: &RevocationEntry, issuer: &TrustedIssuer, now: Timestamp) -> Vec<String> {
    let alias = &entry.issuer;
    let (name, cutoff) = match &entry.revocation {
        Revocation::Subject { sub, cutoff } => (sub, *cutoff),
        Revocation::Client { client, cutoff } => (client, *cutoff),
        Revocation::Token { .. } => return Vec::new(),
    };
    let mut notes = Vec::new();
    // A principal in a log is `<alias>|<sub>`, and some providers have a `|` in the `sub` itself.
    if let Some(rest) = name.strip_prefix(alias.as_str()).and_then(|rest| rest.strip_prefix('|')) {
        notes.push(format!(
            "if that is a principal from a log, the token itself says `{}`",
            Excerpt::of(rest)
        ));
    }
    if let Cutoff::Before(moment) = cutoff {
        if !issuer.promises_issue_time() {
            notes.push(format!(
                "tokens of issuer `{alias}` may have no `iat`; those without are refused as well"
            ));
        }
        if moment.unix_seconds() > now.unix_seconds().saturating_add(1) {
            notes.push(format!("{moment} is in the future: what is issued until then is refused as well"));
        }
    }
    notes
}
