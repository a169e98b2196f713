//! `issuer add`: a new issuer file, written when the whole bundle holds together with it.

use std::fs;
use std::path::Path;

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::jose::TrustedIssuer;
use cedar_gate::jose::issuer::{Provider, TokenUse};
use cedar_gate::tools::issuer_file::{NewIssuer, NewKeys, NewTenant};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use owo_colors::OwoColorize;

use super::address::{Address, ProviderName};
use crate::Format;
use crate::shell::{self, Answer, Failure, Readers};

const HELP: &str = "\
Exit codes: 0 written (or, with --dry-run, printed), 2 refused: nothing was written.

Examples:
  cedar-gate issuer add --provider cognito --name acme --pool eu-west-1_AbC123456 \\
    --client-id 1example23456789 --tenant acme --role clerk
  cedar-gate issuer add --provider entra --name partners --audience api://orders --role auditor \\
    --tenant-id 2f4a9838-26b7-47ee-be60-ccc1fdec5953 \\
    --tenant-id 6e0f7c2d-0f4c-4d1e-9d2b-0d6a5f7f4b11
  cedar-gate issuer add --provider oidc --name partner --issuer https://idp.partner.example \\
    --audience orders-api --role auditor --dry-run";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Whose product it is: says where keys and claims stand.
    #[arg(long, value_enum)]
    provider: ProviderName,
    /// What we call it: the file is policies/issuers/NAME.toml.
    #[arg(long)]
    name: String,
    /// For whom a token must be made: an audience, or for Cognito a client id; `any` accepts all. Repeat it for more.
    #[arg(long = "audience", visible_alias = "client-id", required = true)]
    audience: Vec<String>,
    /// The kind of token that is accepted. Without it, access tokens, and of Google ID tokens.
    #[arg(long, value_enum)]
    token_use: Option<TokenUseName>,
    /// Whose people they are.
    #[arg(long, conflicts_with = "tenant_claim")]
    tenant: Option<String>,
    /// The claim that says the tenant.
    #[arg(long, value_name = "CLAIM", requires = "allow_tenants")]
    tenant_claim: Option<String>,
    /// A tenant that this claim may name, or `any`. Repeat it for more.
    #[arg(long = "allow-tenant", value_name = "TENANT", requires = "tenant_claim")]
    allow_tenants: Vec<String>,
    /// A role that it may confer. Repeat it for more; without it, none.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// The claim that names the roles, where it is not the provider's usual one.
    #[arg(long, value_name = "CLAIM", requires = "roles")]
    roles_claim: Option<String>,
    /// A claim that policies may read, as principal.claims.ATTRIBUTE. Repeat it for more.
    #[arg(long = "claim", value_name = "ATTRIBUTE=CLAIM", value_parser = attribute)]
    claims: Vec<(String, String)>,
    /// Where its keys are published, where the provider's preset does not know.
    #[arg(long, value_name = "URL", conflicts_with = "keys_file")]
    keys_url: Option<String>,
    /// A JWK Set in policies/issuers with its keys, instead of fetching them.
    #[arg(long, value_name = "FILE")]
    keys_file: Option<String>,
    /// For development only: its keys may be at an http address of this machine.
    #[arg(long)]
    development: bool,
    /// Print the file instead of writing it.
    #[arg(long)]
    dry_run: bool,
    /// Replace the file of that name.
    #[arg(long)]
    force: bool,
    // Last, because its heading stands above whatever follows.
    #[command(flatten)]
    address: Address,
}

/// [`TokenUse`] as an option's value.
#[derive(Clone, Copy)]
struct TokenUseName(TokenUse);

impl ValueEnum for TokenUseName {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(TokenUse::Access), Self(TokenUse::Id), Self(TokenUse::Any)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()))
    }
}

pub(super) fn run(root: &Path, format: Format, args: &Args) -> Result<Answer, Failure> {
    let text = new_issuer(args)?.to_toml();
    // First alone: what is wrong with its name must not become a path.
    TrustedIssuer::from_toml(&text).map_err(|error| Failure::Message(error.to_string()))?;
    let file = format!("policies/issuers/{}.toml", args.name);
    if args.name.starts_with('.') {
        let message =
            format!("`{}` would be a hidden file, which no bundle has: choose another name", args.name);
        return Err(Failure::Message(message));
    }
    let mut files = shell::read_files(root)?;
    if files.contains(&file) && !args.force {
        return Err(Failure::Message(format!(
            "{file} exists: choose another name, or replace it with --force"
        )));
    }
    files.insert(&file, text.as_str());
    check_with(&files, &file)?;
    if !args.dry_run {
        write(&root.join(&file), &text)?;
    }
    report(root, format, args, &file, &text)?;
    Ok(Answer::Yes)
}

fn new_issuer(args: &Args) -> Result<NewIssuer, Failure> {
    for (option, names) in [("--audience", &args.audience), ("--allow-tenant", &args.allow_tenants)] {
        if names.len() > 1 && names.iter().any(|name| name == "any") {
            return Err(Failure::Message(format!("{option} any accepts all: leave out the others, or it")));
        }
    }
    let tenant = match (&args.tenant, &args.tenant_claim) {
        (Some(name), _) => Some(NewTenant::Fixed(name.clone())),
        (None, Some(claim)) => {
            Some(NewTenant::Claimed { claim: claim.clone(), allow: args.allow_tenants.clone() })
        }
        (None, None) => None,
    };
    let keys = match (&args.keys_url, &args.keys_file) {
        (Some(url), _) => NewKeys::Url(url.clone()),
        (None, Some(file)) => NewKeys::File(file.clone()),
        (None, None) => NewKeys::Preset,
    };
    let provider = args.provider.0;
    Ok(NewIssuer {
        name: args.name.clone(),
        provider,
        issuer: args.address.iss(provider).map_err(Failure::Message)?,
        also_issuers: args.address.also_issuers.clone(),
        token_use: args.token_use.map_or(usual_token_use(provider), |token_use| token_use.0),
        audience: args.audience.clone(),
        tenant,
        roles: args.roles.clone(),
        roles_claim: args.roles_claim.clone(),
        claims: args.claims.clone(),
        keys,
        development: args.development,
    })
}

/// Access tokens, which are made for APIs; Google's are no JWTs.
fn usual_token_use(provider: Provider) -> TokenUse {
    match provider {
        Provider::Google => TokenUse::Id,
        Provider::Oidc
        | Provider::Cognito
        | Provider::Auth0
        | Provider::Okta
        | Provider::Entra
        | Provider::Keycloak => TokenUse::Access,
    }
}

/// Refuses what would make a bundle that does not hold together, and shows why.
fn check_with(files: &SourceFiles, file: &str) -> Result<(), Failure> {
    let Err(errors) = Bundle::load(files) else { return Ok(()) };
    shell::talk(shell::snippets(errors.findings(), files).trim_end());
    Err(Failure::Message(format!("nothing was written: with {file} the bundle would not hold together")))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    folder
        .and_then(|()| shell::write_whole(path, text, Readers::All))
        .map_err(|error| Failure::Message(format!("cannot write `{}`: {error}", path.display())))
}

fn report(root: &Path, format: Format, args: &Args, file: &str, text: &str) -> Result<(), Failure> {
    let next = next_steps(root, args);
    match format {
        Format::Json => shell::print_json(
            "cedar-gate/issuer-add/1",
            &serde_json::json!({ "file": file, "written": !args.dry_run, "text": text, "next": next }),
        )?,
        Format::Text if args.dry_run => shell::print(text)?,
        Format::Text => {}
    }
    if args.roles.is_empty() {
        shell::talk("note: it may confer no role; --role names one");
    }
    if !args.dry_run {
        shell::talk(&format!("{} {}", "wrote".green().bold(), root.join(file).display()));
        for step in next {
            shell::talk(&format!("next: {step}"));
        }
    }
    Ok(())
}

/// What to run now that the file is written.
fn next_steps(root: &Path, args: &Args) -> Vec<String> {
    let bundle = match root.to_str() {
        Some(".") | None => String::new(),
        // As a shell takes it.
        Some(root) => format!(" --bundle '{}'", root.replace('\'', "'\\''")),
    };
    let check = format!("cedar-gate check{bundle}");
    match args.keys_file {
        None => vec![format!("cedar-gate issuer probe {}{bundle}", args.name), check],
        Some(_) => vec![check],
    }
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (attribute, claim) = text.split_once('=').ok_or("expected ATTRIBUTE=CLAIM")?;
    Ok((attribute.to_owned(), claim.to_owned()))
}
