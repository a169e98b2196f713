//! `demo`: the example bundle of this repository, asked by three people, through the whole pipeline.

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::jose::Algorithm;
use cedar_gate::record::{DecisionRecord, Outcome};
use cedar_gate::response::Reply;
use cedar_gate::time::Timestamp;
use cedar_gate::tools::mint::{DevelopmentKey, TokenRequest, mint_for};
use comfy_table::{Cell, CellAlignment, Color, LineStyle, Table, TableStyle};
use owo_colors::OwoColorize;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::Format;
use crate::authorize::why;
use crate::shell::{self, Answer, Failure};

/// The example bundle, as it stands in the repository.
const BUNDLE: [(&str, &str); 16] = [
    ("policies/versions.toml", include_str!("../../../policies/versions.toml")),
    ("policies/v1/roles.toml", include_str!("../../../policies/v1/roles.toml")),
    ("policies/v1/admin.cedar", include_str!("../../../policies/v1/admin.cedar")),
    ("policies/v1/health.cedar", include_str!("../../../policies/v1/health.cedar")),
    ("policies/v1/orders.cedar", include_str!("../../../policies/v1/orders.cedar")),
    ("policies/v1/tenants.cedar", include_str!("../../../policies/v1/tenants.cedar")),
    ("policies/v1/users.cedar", include_str!("../../../policies/v1/users.cedar")),
    ("policies/issuers/acme.toml", include_str!("../../../policies/issuers/acme.toml")),
    ("policies/issuers/acme.jwks.json", include_str!("../../../policies/issuers/acme.jwks.json")),
    ("policies/issuers/globex.toml", include_str!("../../../policies/issuers/globex.toml")),
    ("policies/issuers/globex.jwks.json", include_str!("../../../policies/issuers/globex.jwks.json")),
    ("policies/issuers/dev.toml", include_str!("../../../policies/issuers/dev.toml")),
    ("schema/authorizer.toml", include_str!("../../../schema/authorizer.toml")),
    ("schema/gateway.cedarschema", include_str!("../../../schema/gateway.cedarschema")),
    ("schema/routes.toml", include_str!("../../../schema/routes.toml")),
    ("schema/routes.cedarschema", include_str!("../../../schema/routes.cedarschema")),
];

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The moment to decide for: RFC 3339, or seconds since the epoch. Without it, the clock.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
}

const HELP: &str = "\
The example is built in: the policies/ and schema/ of cedar-gate's repository. It needs no files and no network.

Examples:
  cedar-gate demo
  cedar-gate demo --format json";

struct Person {
    name: &'static str,
    roles: &'static [&'static str],
    tenant: &'static str,
}

const PEOPLE: [Person; 3] = [
    Person { name: "alice", roles: &["clerk"], tenant: "acme" },
    Person { name: "bob", roles: &["auditor"], tenant: "globex" },
    Person { name: "carol", roles: &["admin"], tenant: "acme" },
];

/// What they ask for: verb and path.
const REQUESTS: [(&str, &str); 12] = [
    ("GET", "orders"),
    ("POST", "orders"),
    ("GET", "orders/17"),
    ("PUT", "orders/17"),
    ("PUT", "orders/archive-3"),
    ("DELETE", "orders/17"),
    ("GET", "users/alice"),
    ("PUT", "users/alice"),
    ("GET", "admin/reports"),
    ("POST", "admin/users"),
    ("GET", "health"),
    ("GET", "secret"),
];

/// Which of their requests are shown whole: person and request.
const SHOWN: [(usize, usize); 3] = [(0, 2), (0, 4), (1, 3)];

#[derive(Serialize)]
struct Report {
    requests: Vec<RequestReport>,
}

#[derive(Serialize)]
struct RequestReport {
    who: &'static str,
    roles: &'static [&'static str],
    tenant: &'static str,
    request: String,
    outcome: Outcome,
    response: Value,
    record: DecisionRecord,
}

pub(crate) fn run(format: Format, args: &Args) -> Result<Answer, Failure> {
    let files = example();
    let mut bundle = Bundle::load(&files).map_err(|errors| Failure::Bundle(Box::new((errors, files))))?;
    let key =
        DevelopmentKey::generate(Algorithm::Es256).map_err(|error| Failure::Message(error.to_string()))?;
    bundle.add_development_keys(shell::public_keys(&key)?);
    let authorizer = Authorizer::new(bundle).map_err(|error| Failure::Message(error.to_string()))?;
    let now = args.now.map_or_else(shell::now, Ok)?;
    let answers: Vec<Vec<RequestReport>> = PEOPLE
        .iter()
        .map(|person| {
            let token = token(&authorizer, &key, person, now)?;
            REQUESTS.iter().map(|request| ask(&authorizer, person, &token, *request, now)).collect()
        })
        .collect::<Result<_, Failure>>()?;
    if format == Format::Json {
        let report = Report { requests: answers.into_iter().flatten().collect() };
        shell::print_json("cedar-gate/demo/1", &report)?;
        return Ok(Answer::Yes);
    }
    shell::print(&format!("{}\n", table(&answers)))?;
    for (person, request) in SHOWN {
        let Some(shown) = answers.get(person).and_then(|row| row.get(request)) else { continue };
        shell::print(&show(shown, &authorizer))?;
    }
    shell::print(NEXT)?;
    Ok(Answer::Yes)
}

/// What to do after the table: in a folder with policies/ and schema/, such as the repository itself.
const NEXT: &str = r#"
Ask for yourself, in a folder with policies/ and schema/ (a clone of cedar-gate is one):
  cedar-gate check
  TOKEN=$(cedar-gate token mint --issuer dev --sub alice --role clerk --tenant acme)
  echo '{"type": "TOKEN", "authorizationToken": "Bearer '$TOKEN'", "methodArn":
    "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/PUT/orders/17"}' | cedar-gate authorize --event -
"#;

fn example() -> SourceFiles {
    let mut files = SourceFiles::default();
    for (path, text) in BUNDLE {
        files.insert(path, text);
    }
    files
}

fn token(
    authorizer: &Authorizer,
    key: &DevelopmentKey,
    person: &Person,
    now: Timestamp,
) -> Result<String, Failure> {
    let issuer = authorizer.bundle().issuers().by_name().find(|issuer| issuer.development());
    let issuer =
        issuer.ok_or_else(|| Failure::Message("the example has no development issuer".to_owned()))?;
    let request = TokenRequest {
        subject: person.name.to_owned(),
        client_id: None,
        roles: person.roles.iter().map(ToString::to_string).collect(),
        scopes: Vec::new(),
        tenant: Some(person.tenant.to_owned()),
        issued_at: now,
        expires_at: Timestamp::from_unix_seconds(now.unix_seconds().saturating_add(3600)),
        claims: Map::new(),
    };
    mint_for(issuer, key, &request).map_err(|error| Failure::Message(error.to_string()))
}

/// Asks as API Gateway does: a TOKEN event of the example's first REST API.
fn ask(
    authorizer: &Authorizer,
    person: &Person,
    token: &str,
    (verb, path): (&str, &str),
    now: Timestamp,
) -> Result<RequestReport, Failure> {
    let event = json!({
        "type": "TOKEN",
        "authorizationToken": format!("Bearer {token}"),
        "methodArn": format!("arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/{verb}/{path}"),
    });
    let answered = authorizer.answer(event.to_string().as_bytes(), now);
    let response = match &answered.reply {
        Reply::Json(json) => {
            serde_json::from_str(json.as_str()).map_err(|error| Failure::Message(error.to_string()))?
        }
        Reply::Unauthorized => json!("401 Unauthorized"),
        Reply::Fault(message) => json!(format!("500: {message}")),
    };
    Ok(RequestReport {
        who: person.name,
        roles: person.roles,
        tenant: person.tenant,
        request: format!("{verb} /{path}"),
        outcome: answered.record.outcome,
        response,
        record: answered.record,
    })
}

fn table(answers: &[Vec<RequestReport>]) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    let heads = PEOPLE.iter().map(|person| {
        Cell::new(format!("{}\n{}, {}", person.name, person.roles.join(" "), person.tenant))
            .set_alignment(CellAlignment::Center)
    });
    table.set_header(std::iter::once(Cell::new("who may do what")).chain(heads));
    for (index, (verb, path)) in REQUESTS.iter().enumerate() {
        let cells = answers.iter().filter_map(|row| row.get(index)).map(|report| match report.outcome {
            Outcome::Allow => Cell::new("yes").fg(Color::Green).set_alignment(CellAlignment::Center),
            Outcome::Deny => Cell::new("no").fg(Color::Red).set_alignment(CellAlignment::Center),
            Outcome::Unauthorized => Cell::new("401").fg(Color::Yellow).set_alignment(CellAlignment::Center),
            Outcome::Fault => Cell::new("500").fg(Color::Red).set_alignment(CellAlignment::Center),
        });
        table.add_row(std::iter::once(Cell::new(format!("{verb} /{path}"))).chain(cells));
    }
    table.trim_fmt()
}

fn show(report: &RequestReport, authorizer: &Authorizer) -> String {
    let asks = format!("{} asks for {}", report.who, report.request);
    format!("\n{}\n{}\n{:#}\n", asks.bold(), why(&report.record, authorizer), report.response)
}
