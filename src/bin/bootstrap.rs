//! The Lambda shell: checks the bundle before the first event, then posts the [`Authorizer`]'s reply to each one.
//!
//! **stdout** carries data: one decision record an answer, as far as the bundle's log policy wants it, each a JSON
//! object on a line of its own and not a string inside another log line. **stderr** carries talk: `tracing` events,
//! also as JSON lines. CloudWatch Logs receives both. No variable changes the format, and none raises a level,
//! because lambda_runtime prints whole events, tokens included, at TRACE.
//!
//! | outcome | what the Runtime API receives |
//! |---|---|
//! | a JSON reply | `…/response` with the authorizer's bytes |
//! | unauthorized | `…/error`, `{"errorType":"Unauthorized","errorMessage":"Unauthorized"}`: API Gateway makes it 401 |
//! | a fault, a panic, a record that cannot be written | `…/error`, type `Fault`, message `cedar-gate: …`: 500 |
//! | no usable bundle | `/runtime/init/error`, type `BundleError`, then exit code 1, before any `/next` |

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use cedar_gate::authorizer::{Answered, Authorizer};
use cedar_gate::bundle::Bundle;
use cedar_gate::fetch;
use cedar_gate::record::DecisionRecord;
use cedar_gate::response::Reply;
use cedar_gate::time::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    log_to_stderr();
    std::panic::set_hook(Box::new(log_panic));
    let result = run();
    if let Err(error) = &result {
        tracing::error!(reason = %error, "{}", error.summary());
    }
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Serves until Lambda ends the process.
fn run() -> Result<(), StartError> {
    let settings = Settings::from_environment()?;
    let tokio = tokio_runtime(settings.max_concurrency)?;
    tokio.block_on(async {
        match load(&settings) {
            Ok(authorizer) => serve(Arc::new(authorizer)).await,
            Err(error) => {
                post_init_error(&error).await;
                Err(error)
            }
        }
    })
}

/// Reads and checks the bundle. A panic in there is a refusal too, so that Lambda hears of it.
fn load(settings: &Settings) -> Result<Authorizer, StartError> {
    let directory = bundle_directory(settings.bundle.as_deref(), &settings.task_root)?;
    let authorizer = catch_unwind(|| {
        let files = fetch::read_bundle(&directory).map_err(|error| error.to_string())?;
        let mut bundle = Bundle::load(&files).map_err(|errors| errors.to_string())?;
        if bundle.wants_development_keys() {
            tracing::warn!("this is a development bundle: whoever holds the development key can be anybody");
        }
        fetch::add_development_keys(&mut bundle).map_err(|error| error.to_string())?;
        Authorizer::new(bundle).map_err(|error| error.to_string())
    })
    .unwrap_or_else(|_| Err("checking the bundle panicked: the log names the place".to_owned()))
    .map_err(StartError::Bundle)?;
    tracing::info!(
        digest = authorizer.bundle().digest(),
        directory = %directory.display(),
        max_concurrency = settings.max_concurrency,
        "the bundle is loaded"
    );
    Ok(authorizer)
}

/// The directory of the bundle: the one that `CEDAR_GATE_BUNDLE` names, below the task root when it is relative.
/// Otherwise `bundle` in the task root, or the task root itself when it holds `policies` and `schema`, as a checkout
/// does. Where both are there, nothing says which one is meant, and an authorizer does not guess.
fn bundle_directory(named: Option<&Path>, task_root: &Path) -> Result<PathBuf, StartError> {
    if let Some(named) = named {
        return Ok(task_root.join(named));
    }
    let below = task_root.join("bundle");
    let checkout = task_root.join("policies").is_dir() && task_root.join("schema").is_dir();
    let root = task_root.display();
    match (below.exists(), checkout) {
        (true, false) => Ok(below),
        (false, true) => Ok(task_root.to_owned()),
        (true, true) => Err(StartError::Bundle(format!(
            "`{root}` holds both `bundle` and `policies` with `schema`: set CEDAR_GATE_BUNDLE to the one that decides"
        ))),
        (false, false) => Err(StartError::Bundle(format!(
            "`{root}` holds neither `bundle` nor `policies` with `schema`: set CEDAR_GATE_BUNDLE to the bundle's directory"
        ))),
    }
}

/// Polls for events: one after another, or `AWS_LAMBDA_MAX_CONCURRENCY` at a time on managed instances.
async fn serve(authorizer: Arc<Authorizer>) -> Result<(), StartError> {
    let handler = service_fn(move |event: LambdaEvent<Payload>| {
        let authorizer = Arc::clone(&authorizer);
        async move { guarded(|| respond(&authorizer, &event)) }
    });
    Runtime::new(handler).run_concurrent().await.map_err(StartError::Serve)
}

/// Turns a panic into a fault. lambda_runtime would do so too, but it would post the panic's message, which may
/// quote what it was working on.
fn guarded<T>(respond: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(respond)).unwrap_or_else(|_| {
        Err(Failure::Fault("the authorizer panicked: the log names the place".to_owned()))
    })
}

fn respond(authorizer: &Authorizer, event: &LambdaEvent<Payload>) -> Result<Box<RawValue>, Failure> {
    let (now, started) = clocks()?;
    let Answered { reply, mut record, token_known, .. } = authorizer.answer(event.payload.bytes(), now);
    record.set_duration(started.elapsed());
    record.set_token_cached(token_known);
    record.set_invocation_id(&event.context.request_id);
    if record.wanted(authorizer.log_allow(), sample(&event.context.request_id)) {
        // An answer that nobody can account for is not given.
        write_record(&record, &mut std::io::stdout().lock())
            .map_err(|error| Failure::Fault(format!("the decision record cannot be written: {error}")))?;
    }
    match reply {
        Reply::Json(body) => verbatim(body),
        Reply::Unauthorized => Err(Failure::Unauthorized),
        Reply::Fault(reason) => Err(Failure::Fault(reason)),
    }
}

/// The time of the decision, and the moment from which its duration counts.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell is where time enters; the library takes it as an argument"
)]
fn clocks() -> Result<(Timestamp, Instant), Failure> {
    Ok((timestamp(SystemTime::now())?, Instant::now()))
}

fn timestamp(time: SystemTime) -> Result<Timestamp, Failure> {
    let since_epoch = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|_| Failure::Fault("the system clock stands before 1970".to_owned()))?;
    i64::try_from(since_epoch.as_millis())
        .map(Timestamp::from_unix_millis)
        .map_err(|_| Failure::Fault("the system clock stands too far in the future".to_owned()))
}

/// An even spread of numbers for sampling: taken from the request id, so that no counter is shared between
/// invocations, many short-lived environments sample as one long-lived would, and a retry is sampled alike.
fn sample(request_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    request_id.hash(&mut hasher);
    hasher.finish()
}

/// Writes the record and its newline at once, so that lines of concurrent invocations do not mix.
fn write_record(record: &DecisionRecord, out: &mut impl Write) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

/// The reply as a value that serialises to exactly these bytes.
fn verbatim(body: Vec<u8>) -> Result<Box<RawValue>, Failure> {
    String::from_utf8(body)
        .ok()
        .and_then(|text| RawValue::from_string(text).ok())
        .ok_or_else(|| Failure::Fault("the reply is not JSON".to_owned()))
}

/// The event as it came. Its deserialization cannot fail: lambda_runtime answers and logs a failure by itself, and
/// here a payload that is not JSON gets its fault and its record like any other event.
struct Payload(Option<Box<RawValue>>);

impl Payload {
    /// The event's bytes; none for a payload that is not JSON, which no event looks like.
    fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |event| event.get().as_bytes())
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = Box::<RawValue>::deserialize(deserializer);
        if let Err(error) = &event {
            // The message of a raw value's failure is a syntax error and its place, never a piece of the payload.
            tracing::warn!(reason = %error, "the payload is not JSON");
        }
        Ok(Self(event.ok()))
    }
}

/// What is posted to `/runtime/invocation/{id}/error`.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Unauthorized,
    Fault(String),
}

/// How the message of a fault begins.
const PREFIX: &str = "cedar-gate: ";

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        match failure {
            // API Gateway answers 401 to exactly this message, and 500 to any other.
            Failure::Unauthorized => {
                Self { error_type: "Unauthorized".to_owned(), error_message: "Unauthorized".to_owned() }
            }
            Failure::Fault(reason) => {
                let line = reason.replace(char::is_control, " ");
                // Whatever the reason is, the message is not the word above.
                let error_message = match line.starts_with(PREFIX) {
                    true => line,
                    false => format!("{PREFIX}{line}"),
                };
                Self { error_type: "Fault".to_owned(), error_message }
            }
        }
    }
}

/// Why the process ends.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(
        "`{variable}` is not set{}: AWS Lambda sets it; to answer an event anywhere else, use `cedar-gate authorize --event FILE`",
        .expected
    )]
    Environment { variable: &'static str, expected: &'static str },
    #[error("{0}")]
    Bundle(String),
    #[error("tokio cannot start: {0}")]
    Tokio(std::io::Error),
    #[error("the Runtime API cannot be used any more: {0}")]
    Serve(lambda_runtime::Error),
}

impl StartError {
    const fn summary(&self) -> &'static str {
        match self {
            Self::Environment { .. } => "this is not an AWS Lambda environment",
            Self::Bundle(_) => "the bundle is refused",
            Self::Tokio(_) | Self::Serve(_) => "the Lambda runtime stopped",
        }
    }
}

/// Reports an unusable bundle. lambda_runtime has no public call for it, its client has.
async fn post_init_error(error: &StartError) {
    let diagnostic = Diagnostic { error_type: "BundleError".to_owned(), error_message: error.to_string() };
    let posted = async {
        let request = lambda_runtime_api_client::build_request()
            .method("POST")
            .uri("/2018-06-01/runtime/init/error")
            .header("lambda-runtime-function-error-type", "Runtime.BundleError")
            .body(serde_json::to_vec(&diagnostic)?.into())?;
        lambda_runtime_api_client::PooledClient::builder().build().call(request).await
    };
    if let Err(error) = posted.await {
        tracing::error!(reason = %error, "the init error cannot be posted");
    }
}

/// What the environment says. Lambda sets all of it but `CEDAR_GATE_BUNDLE`.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    /// `CEDAR_GATE_BUNDLE`, unless it is empty.
    bundle: Option<PathBuf>,
    /// `LAMBDA_TASK_ROOT`, or the current directory.
    task_root: PathBuf,
    /// `AWS_LAMBDA_MAX_CONCURRENCY`, read as lambda_runtime reads it: 1 when it is unset, zero or not a number.
    max_concurrency: u32,
}

impl Settings {
    #[expect(clippy::disallowed_methods, reason = "the shell is where settings enter")]
    fn from_environment() -> Result<Self, StartError> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, StartError> {
        // lambda_runtime panics without these.
        for name in ["AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION"] {
            if variable(name).is_none() {
                return Err(StartError::Environment { variable: name, expected: "" });
            }
        }
        let name = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
        if number::<i32>(variable(name)).is_none() {
            return Err(StartError::Environment { variable: name, expected: " to a number of megabytes" });
        }
        Ok(Self {
            bundle: variable("CEDAR_GATE_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from),
            task_root: variable("LAMBDA_TASK_ROOT").unwrap_or_else(|| ".".into()).into(),
            max_concurrency: number(variable("AWS_LAMBDA_MAX_CONCURRENCY")).unwrap_or(1).max(1),
        })
    }
}

fn number<T: std::str::FromStr>(value: Option<OsString>) -> Option<T> {
    value?.to_str()?.parse().ok()
}

/// One thread for one event at a time, which costs half the CPU time of a thread pool; a pool for several.
fn tokio_runtime(max_concurrency: u32) -> Result<tokio::runtime::Runtime, StartError> {
    let mut builder = if max_concurrency > 1 {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build().map_err(StartError::Tokio)
}

fn log_to_stderr() {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines).with(levels()).init();
}

/// What is logged, by the target's name. The list is closed: other crates log nothing, whatever the environment says.
fn levels() -> Targets {
    Targets::new()
        .with_target("bootstrap", LevelFilter::INFO)
        .with_target("lambda_runtime", LevelFilter::WARN)
        // It logs each error that the handler returns, so each 401, at ERROR; the decision record says more.
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF)
}

/// Logs where a panic happened, and not its message: that may quote a token.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "panicked");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn variables(changed: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        const LAMBDA: [(&str, &str); 4] = [
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
            ("AWS_LAMBDA_FUNCTION_NAME", "authorizer"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ];
        move |name| {
            let found = changed.iter().chain(&LAMBDA).find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.into()).filter(|value| value != "(unset)")
        }
    }

    #[test]
    fn settings_have_the_defaults_that_the_readme_names() {
        let settings = Settings::from_variables(variables(&[("CEDAR_GATE_BUNDLE", "")])).unwrap();
        assert_eq!(settings, Settings { bundle: None, task_root: ".".into(), max_concurrency: 1 });
    }

    #[test]
    fn concurrency_is_what_lambda_runtime_makes_of_it() {
        for (value, expected) in [("4", 4), ("1", 1), ("0", 1), ("-1", 1), ("many", 1), ("", 1)] {
            let variable = |name: &str| match name {
                "AWS_LAMBDA_MAX_CONCURRENCY" => Some(value.into()),
                name => variables(&[])(name),
            };
            assert_eq!(Settings::from_variables(variable).unwrap().max_concurrency, expected, "{value}");
        }
    }

    #[test]
    fn outside_lambda_the_refusal_says_what_to_use_instead() {
        let error =
            Settings::from_variables(variables(&[("AWS_LAMBDA_FUNCTION_NAME", "(unset)")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`AWS_LAMBDA_FUNCTION_NAME` is not set: AWS Lambda sets it; to answer an event anywhere else, use \
             `cedar-gate authorize --event FILE`"
        );
        let error =
            Settings::from_variables(variables(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "much")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`AWS_LAMBDA_FUNCTION_MEMORY_SIZE` is not set to a number of megabytes: AWS Lambda sets it; to answer an \
             event anywhere else, use `cedar-gate authorize --event FILE`"
        );
    }

    #[test]
    fn the_bundle_is_the_named_one_or_the_only_one() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let found = |named: Option<&str>| {
            bundle_directory(named.map(Path::new), root)
                .map(|path| path.strip_prefix(root).unwrap_or(&path).display().to_string())
                .map_err(|error| error.to_string().replace(&root.display().to_string(), "ROOT"))
        };
        let neither = "`ROOT` holds neither `bundle` nor `policies` with `schema`: set CEDAR_GATE_BUNDLE to the \
                       bundle's directory";
        let both = "`ROOT` holds both `bundle` and `policies` with `schema`: set CEDAR_GATE_BUNDLE to the one that \
                    decides";

        assert_eq!(found(None), Err(neither.to_owned()));
        std::fs::create_dir(root.join("policies")).unwrap();
        assert_eq!(found(None), Err(neither.to_owned()));
        std::fs::create_dir(root.join("schema")).unwrap();
        assert_eq!(found(None), Ok(String::new()), "a checkout is its own bundle");
        std::fs::create_dir(root.join("bundle")).unwrap();
        assert_eq!(found(None), Err(both.to_owned()));
        std::fs::remove_dir(root.join("schema")).unwrap();
        assert_eq!(found(None), Ok("bundle".to_owned()));

        // A name is final: no other place is tried when there is nothing.
        assert_eq!(found(Some("absent")), Ok("absent".to_owned()));
        assert_eq!(found(Some("/opt/bundle")), Ok("/opt/bundle".to_owned()));
    }

    #[test]
    fn a_clock_before_the_epoch_is_a_fault() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_millis(1);
        assert_eq!(timestamp(before), Err(Failure::Fault("the system clock stands before 1970".to_owned())));
        let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(timestamp(moment), Ok(Timestamp::from_unix_millis(1_500)));
    }

    #[test]
    fn a_panic_is_a_fault_without_its_message() {
        let failure = guarded::<()>(|| panic!("Unauthorized")).unwrap_err();
        assert_eq!(failure, Failure::Fault("the authorizer panicked: the log names the place".to_owned()));
    }

    #[test]
    fn the_log_of_a_panic_names_its_place_and_nothing_else() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = Arc::new(file.reopen().unwrap());
        let log = tracing_subscriber::fmt().json().flatten_event(true).with_writer(lines).finish();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(log_panic));
        let failure = tracing::subscriber::with_default(log, || guarded::<()>(|| panic!("Bearer secret")));
        std::panic::set_hook(hook);
        assert!(failure.is_err());
        let line = std::io::read_to_string(file).unwrap();
        assert!(
            line.contains(r#""level":"ERROR","message":"panicked","place":"src/bin/bootstrap.rs:"#),
            "{line}"
        );
        assert!(!line.contains("secret") && line.lines().count() == 1, "{line}");
    }

    #[test]
    fn a_fault_is_one_line_and_never_the_word_that_means_401() {
        for reason in ["Unauthorized", "\nUnauthorized", ""] {
            let posted = Diagnostic::from(Failure::Fault(reason.to_owned()));
            assert_eq!(posted.error_type, "Fault");
            assert_eq!(posted.error_message, format!("cedar-gate: {}", reason.replace('\n', " ")));
        }
    }

    #[test]
    fn unauthorized_is_the_contract_of_api_gateway_to_the_byte() {
        let posted = serde_json::to_string(&Diagnostic::from(Failure::Unauthorized)).unwrap();
        assert_eq!(posted, r#"{"errorType":"Unauthorized","errorMessage":"Unauthorized"}"#);
    }

    #[test]
    fn a_reply_is_posted_as_it_is_or_not_at_all() {
        let odd = r#"{ "b" : 1.0,"a":"é\u0041" }"#;
        assert_eq!(serde_json::to_string(&verbatim(odd.into()).unwrap()).unwrap(), odd);
        for broken in [&b"{"[..], b"", b"{} {}", b"\"\xff\""] {
            assert_eq!(
                verbatim(broken.to_vec()).unwrap_err(),
                Failure::Fault("the reply is not JSON".to_owned())
            );
        }
    }

    #[test]
    fn any_payload_deserializes() {
        let payload =
            |bytes: &[u8]| serde_json::from_slice::<Payload>(bytes).map(|payload| payload.bytes().to_vec());
        assert_eq!(payload(br#"{ "a" : 1 }"#).unwrap(), br#"{ "a" : 1 }"#);
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert_eq!(payload(&deep).unwrap(), deep, "a raw value is read without recursion");
        // Like lambda_runtime, this does not ask for the end of the input.
        let lenient = |bytes: &[u8]| {
            let mut deserializer = serde_json::Deserializer::from_slice(bytes);
            Payload::deserialize(&mut deserializer).unwrap().bytes().to_vec()
        };
        for broken in [&b""[..], b"Bearer secret", b"{\"a\":", b"\"\xff\""] {
            assert_eq!(lenient(broken), b"");
        }
    }

    #[test]
    fn samples_spread_and_repeat() {
        let ids: Vec<String> = (0..10_000).map(|n| format!("8476a536-e9f4-11e8-9739-{n:012}")).collect();
        let kept = ids.iter().filter(|id| sample(id).is_multiple_of(100)).count();
        assert!((50..200).contains(&kept), "1 in 100 of 10,000 kept {kept}");
        assert_eq!(sample("8476a536"), sample("8476a536"));
    }

    #[test]
    fn no_target_is_logged_below_its_level() {
        use tracing::Level;
        let levels = levels();
        assert!(levels.would_enable("bootstrap", &Level::INFO));
        assert!(levels.would_enable("lambda_runtime::runtime", &Level::WARN));
        for target in
            ["lambda_runtime::layers::api_response", "hyper_util::client", "bootstrap", "cedar_gate::jose"]
        {
            assert!(!levels.would_enable(target, &Level::DEBUG), "{target}");
            assert!(!levels.would_enable(target, &Level::TRACE), "{target}");
        }
        assert!(!levels.would_enable("lambda_runtime::layers::panic", &Level::ERROR));
        assert!(!levels.would_enable("hyper_util::client", &Level::ERROR));
    }
}
