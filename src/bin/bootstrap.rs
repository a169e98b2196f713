//! The Lambda shell: checks the bundle before the first event, then posts the authorizer's reply to each one. What is needed
//! from outside is fetched before the first event, or during one: see [`Live`].
//!
//! `CEDAR_GATE_BUNDLE` may name a symbolic link. Where it leads is looked up while events are answered, and another bundle
//! takes over there when it is good. The folders that it leads to must not change: write a new one, then move the link
//! (`ln -s releases/43 next && mv -T next current`).
//!
//! **stdout** carries data: one decision record an answer, as far as the bundle's log policy wants it, and one shadow record
//! a disagreement, each a JSON object on a line of its own and not a string inside another log line. **stderr** carries talk: `tracing` events,
//! also as JSON lines. CloudWatch Logs receives both. No variable changes the format, and none raises a level,
//! because lambda_runtime prints whole events, tokens included, at TRACE.
//!
//! **After the answer.** A shadow version is asked when the answer has been posted, before the next event is: lambda_runtime
//! calls its layers around the call that posts. The caller does not wait for it; the function's billed time has it.
//!
//! | outcome | what the Runtime API receives |
//! |---|---|
//! | a JSON reply | `…/response` with the authorizer's bytes |
//! | unauthorized | `…/error`, `{"errorType":"Unauthorized","errorMessage":"Unauthorized"}`: API Gateway makes it 401 |
//! | a fault, a panic, a record that cannot be written | `…/error`, type `Fault`, message `cedar-gate: …`: 500 |
//! | no usable bundle | `/runtime/init/error`, type `BundleError`, then exit code 1, before any `/next` |
//! | a link that moves to no usable bundle | nothing: the last good one answers on, and a line of level `ERROR` says why |
//! | an issuer that cannot be reached at the start | nothing: the start goes on, and its tokens are a fault until it can |

use std::cell::RefCell;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use cedar_gate::authorizer::{Answered, ShadowQuestion};
use cedar_gate::fetch::http::HttpClient;
use cedar_gate::fetch::introspection::{IntrospectionError, IntrospectionReport};
use cedar_gate::fetch::keys::{FetchOutcome, FetchReport};
use cedar_gate::fetch::live::{Fetched, Followed, InCharge, Live, LoadError, WhenStale};
use cedar_gate::fetch::settings::from_environment;
use cedar_gate::record::DecisionRecord;
use cedar_gate::response::Reply;
use cedar_gate::time::Timestamp;
use lambda_runtime::tower::{Layer, Service};
use lambda_runtime::{Context, Diagnostic, LambdaEvent, LambdaInvocation, Runtime, service_fn};
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

/// The longest time that the start waits for issuers. Lambda gives it ten seconds; who has not answered by then is asked
/// again with the first token.
const PREFETCH_BUDGET: Duration = Duration::from_secs(2);

/// The longest time that an answer waits for its issuer: time for a request that the issuer does not answer, and for a redirect
/// or another one that it does. API Gateway waits ten seconds for an authorizer.
const FETCH_BUDGET: Duration = Duration::from_secs(3);

/// What is left of an invocation for the answer itself, when nothing is waited for any more.
const DEADLINE_MARGIN: Duration = Duration::from_millis(500);

/// Serves until Lambda ends the process.
fn run() -> Result<(), StartError> {
    let settings = Settings::from_environment()?;
    let tokio = tokio_runtime(settings.max_concurrency)?;
    tokio.block_on(async {
        match load(&settings) {
            Ok(live) => {
                prefetch(&live);
                serve(Arc::new(Shell { live, waiting: Waiting::of(settings.max_concurrency) })).await
            }
            Err(error) => {
                post_init_error(&error).await;
                Err(error)
            }
        }
    })
}

/// Reads and checks the bundle.
fn load(settings: &Settings) -> Result<Live, StartError> {
    let refused = |error: &dyn std::fmt::Display| StartError::Bundle(error.to_string());
    let (now, _) = clocks().map_err(|_| refused(&"the system clock is wrong"))?;
    let source = from_environment(&settings.task_root).map_err(|error| refused(&error))?;
    let (live, problem) = Live::start(&source, HttpClient::new(), now).map_err(|error| refused(&error))?;
    if let Some(problem) = problem {
        tracing::error!(reason = %problem, "the bundle is the one of the package, because there is no other");
    }
    let in_charge = live.in_charge();
    log_concerns(&in_charge);
    tracing::info!(
        digest = in_charge.authorizer.bundle().digest(),
        directory = %in_charge.origin,
        release = in_charge.release,
        signed_by = in_charge.signed_by,
        max_concurrency = settings.max_concurrency,
        "the bundle is loaded"
    );
    Ok(live)
}

/// What a bundle's owner must know, though it can be in charge.
fn log_concerns(in_charge: &InCharge) {
    if in_charge.authorizer.bundle().wants_development_keys() {
        tracing::warn!("this is a development bundle: whoever holds the development key can be anybody");
    }
    for missing in &in_charge.missing_secrets {
        tracing::error!(reason = %missing, "a secret is missing");
    }
}

/// Fetches what the issuers publish, so that the first tokens need not wait for it.
fn prefetch(live: &Live) {
    match clocks() {
        Ok((now, _)) => live.prefetch(now, PREFETCH_BUDGET).iter().for_each(log_keys),
        // Each event will say so too.
        Err(_) => tracing::error!("no keys are fetched: the system clock is wrong"),
    }
}

/// What was fetched for an answer.
fn log_fetch(fetched: &Fetched) {
    match fetched {
        Fetched::Keys(report) => log_keys(report),
        Fetched::Introspection(report) => log_introspection(report),
    }
}

/// One line for each time that an issuer could not be asked about a token; that it could, the decision record says.
fn log_introspection(report: &IntrospectionReport) {
    match &report.outcome {
        Ok(_) | Err(IntrospectionError::BackingOff { .. }) => {}
        Err(error) => tracing::warn!(
            issuer = report.issuer,
            host = report.url.host(),
            reason = %error,
            duration_ms = milliseconds(report.took),
            "the issuer cannot be asked about tokens"
        ),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One line for each place that was asked; none where it was not, because it was asked a moment ago.
fn log_keys(report: &FetchReport) {
    let (issuer, host) = (report.key_set.as_ref(), report.url.host());
    let duration_ms = milliseconds(report.took);
    match &report.outcome {
        FetchOutcome::Fetched { keys, skipped, changed } => {
            tracing::info!(issuer, host, keys, skipped, changed, duration_ms, "the keys are fetched");
        }
        FetchOutcome::Failed { error, retry_at } => {
            tracing::warn!(issuer, host, reason = %error, retry_at = %retry_at, duration_ms, "the keys cannot be fetched");
        }
        FetchOutcome::CutOff => {
            tracing::warn!(
                issuer,
                host,
                reason = "the time was up",
                duration_ms,
                "the keys cannot be fetched"
            );
        }
        FetchOutcome::Recent | FetchOutcome::BackingOff { .. } => {}
    }
}

/// What became of asking for another bundle, as a metric of CloudWatch in the embedded metric format: a line on stderr, which
/// stdout's records need not be told apart from.
fn write_metrics(followed: &Followed, age: Duration, now: Timestamp) {
    let count = |is: bool| u8::from(is);
    let line = serde_json::json!({
        "_aws": {
            "Timestamp": now.unix_millis(),
            "CloudWatchMetrics": [{
                "Namespace": "cedar-gate",
                "Dimensions": [[]],
                "Metrics": [
                    { "Name": "BundleAge", "Unit": "Seconds" },
                    { "Name": "BundleSwapped", "Unit": "Count" },
                    { "Name": "BundleRefused", "Unit": "Count" },
                ],
            }],
        },
        "BundleAge": age.as_secs(),
        "BundleSwapped": count(matches!(followed, Followed::Swapped { .. })),
        "BundleRefused": count(matches!(followed, Followed::Refused { .. })),
    });
    if let Err(error) = write_record(&line, &mut std::io::stderr().lock()) {
        tracing::error!(reason = %error, "the metrics cannot be written");
    }
}

/// What answers events.
struct Shell {
    live: Live,
    waiting: Waiting,
}

/// How a thread waits for the world outside.
#[derive(Clone, Copy)]
enum Waiting {
    /// It just does: there is one event at a time.
    InPlace,
    /// Another thread takes over its other events first.
    Aside,
}

impl Waiting {
    fn of(max_concurrency: u32) -> Self {
        if max_concurrency > 1 { Self::Aside } else { Self::InPlace }
    }

    fn run<T>(self, work: impl FnOnce() -> T) -> T {
        match self {
            Self::InPlace => work(),
            Self::Aside => tokio::task::block_in_place(work),
        }
    }
}

/// Polls for events: one after another, or `AWS_LAMBDA_MAX_CONCURRENCY` at a time on managed instances.
async fn serve(shell: Arc<Shell>) -> Result<(), StartError> {
    let around = AroundLayer { shell: Arc::clone(&shell) };
    let handler = service_fn(move |event: LambdaEvent<Unread>| {
        let shell = Arc::clone(&shell);
        async move { guarded(|| shell.respond(&event.context)) }
    });
    Runtime::new(handler).layer(around).run_concurrent().await.map_err(StartError::Serve)
}

tokio::task_local! {
    /// The invocation that is being answered.
    static UNDER_WAY: UnderWay;
}

/// What goes around lambda_runtime, which hands over an event read and takes an answer, and nothing else.
struct UnderWay {
    /// The event as it came.
    event: Bytes,
    /// What is left to do when the answer has been posted.
    afterwards: RefCell<Option<Afterwards>>,
}

/// What is done when the answer has been posted.
struct Afterwards {
    question: ShadowQuestion,
    record: DecisionRecord,
    in_charge: Arc<InCharge>,
    /// Milliseconds since the epoch.
    deadline: u64,
}

/// Sets each invocation's event aside before, and does what is left to do after it.
struct AroundLayer {
    shell: Arc<Shell>,
}

/// An invocation, what comes before and what after it.
#[derive(Clone)]
struct AroundService<S> {
    invocation: S,
    shell: Arc<Shell>,
}

impl<S> Layer<S> for AroundLayer {
    type Service = AroundService<S>;

    fn layer(&self, invocation: S) -> Self::Service {
        AroundService { invocation, shell: Arc::clone(&self.shell) }
    }
}

impl<S> Service<LambdaInvocation> for AroundService<S>
where
    S: Service<LambdaInvocation, Response = (), Error = lambda_runtime::Error>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = lambda_runtime::Error;
    type Future = Pin<Box<dyn Future<Output = Result<(), lambda_runtime::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut std::task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.invocation.poll_ready(context)
    }

    fn call(&mut self, mut invocation: LambdaInvocation) -> Self::Future {
        let event = std::mem::take(&mut invocation.body);
        let under_way = UnderWay { event, afterwards: RefCell::new(None) };
        let (posted, shell) = (self.invocation.call(invocation), Arc::clone(&self.shell));
        Box::pin(UNDER_WAY.scope(under_way, async move {
            let posted = posted.await;
            if let Some(afterwards) = UNDER_WAY.with(|under_way| under_way.afterwards.take()) {
                shell.ask_shadow(afterwards);
            }
            posted
        }))
    }
}

/// Turns a panic into a fault. lambda_runtime would do so too, but it would post the panic's message, which may
/// quote what it was working on.
fn guarded<T>(respond: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(respond)).unwrap_or_else(|_| {
        Err(Failure::Fault("the authorizer panicked: the log names the place".to_owned()))
    })
}

impl Shell {
    fn respond(&self, invocation: &Context) -> Result<Box<RawValue>, Failure> {
        let (now, started) = clocks()?;
        if self.live.is_due(now) {
            let within = time_to_wait(now, started.elapsed(), invocation.deadline);
            self.waiting.run(|| self.follow(now, within));
        }
        let event = UNDER_WAY.try_with(|under_way| under_way.event.clone());
        let event = event.map_err(|_| Failure::Fault("there is no invocation".to_owned()))?;
        let mut answer = self.live.ask(&event, now);
        if answer.answered.need.is_some() {
            let within = time_to_wait(now, started.elapsed(), invocation.deadline);
            answer = self.waiting.run(|| self.live.ask_again(answer, &event, now, within));
            answer.fetched.iter().for_each(log_fetch);
        }
        let in_charge = answer.in_charge;
        let log = in_charge.authorizer.log();
        let sample = sample(&invocation.request_id);
        let Answered { reply, mut record, token_known, document, shadow, .. } = answer.answered;
        record.set_duration(started.elapsed());
        record.set_bundle_age(self.live.bundle_age(now));
        record.set_token_cached(token_known);
        record.set_document_cached(document.is_some_and(|document| document.known));
        record.set_invocation_id(&invocation.request_id);
        if record.wanted(log.allow, sample) {
            // An answer that nobody can account for is not given.
            write_record(&record, &mut std::io::stdout().lock())
                .map_err(|error| Failure::Fault(format!("the decision record cannot be written: {error}")))?;
        }
        if let Some(question) = shadow.filter(|_| log.shadow.takes(sample)) {
            let deadline = invocation.deadline;
            let afterwards = Afterwards { question, record, in_charge, deadline };
            // Outside of an invocation there is no afterwards, and then nothing is lost but an opinion.
            let _ = UNDER_WAY.try_with(|under_way| under_way.afterwards.replace(Some(afterwards)));
        }
        match reply {
            Reply::Json(body) => Ok(body.into_raw()),
            Reply::Unauthorized => Err(Failure::Unauthorized),
            Reply::Fault(reason) => Err(Failure::Fault(reason)),
        }
    }

    /// Asks the shadow what it thinks of what has been answered, and writes down where it disagrees. Nobody waits for it, and
    /// what fails here is logged and harms nobody.
    fn ask_shadow(&self, afterwards: Afterwards) {
        let Afterwards { question, record, in_charge, deadline } = afterwards;
        if clocks().map_or(true, |(now, _)| time_to_wait(now, Duration::ZERO, deadline).is_zero()) {
            tracing::warn!("the shadow is not asked: the invocation has no time left");
            return;
        }
        let Some(disagreement) = self.waiting.run(|| in_charge.authorizer.ask_shadow(&question, &record))
        else {
            return;
        };
        if let Err(error) = write_record(&disagreement, &mut std::io::stdout().lock()) {
            tracing::error!(reason = %error, "the shadow record cannot be written");
        }
    }

    /// Looks whether there is another bundle.
    fn follow(&self, now: Timestamp, within: Duration) {
        let followed = self.live.follow(now, within);
        if let (Some(followed), Some(age)) = (&followed, self.live.bundle_age(now)) {
            write_metrics(followed, age, now);
        }
        if self.live.stale(now) == Some(WhenStale::Stay) {
            tracing::error!("the bundle in charge is older than it may become, and stays as configured");
        }
        match followed {
            None | Some(Followed::Confirmed) => {}
            Some(Followed::Swapped { took }) => {
                let in_charge = self.live.in_charge();
                log_concerns(&in_charge);
                tracing::info!(
                    digest = in_charge.authorizer.bundle().digest(),
                    directory = %in_charge.origin,
                    release = in_charge.release,
                    signed_by = in_charge.signed_by,
                    duration_ms = milliseconds(took),
                    "another bundle is in charge"
                );
            }
            Some(Followed::Refused { place, error }) => {
                let in_charge = self.live.in_charge();
                let (directory, in_charge) = (place.as_str(), in_charge.authorizer.bundle().digest());
                let what = match error {
                    LoadError::Release(_) => {
                        "the bundle cannot be fetched, and the one before stays in charge"
                    }
                    _ => "the bundle is refused, and the one before stays in charge",
                };
                tracing::error!(reason = %error, directory, in_charge, "{what}");
            }
        }
    }
}

/// How long an answer may wait: [`FETCH_BUDGET`], and not until the invocation's deadline (milliseconds since the epoch).
fn time_to_wait(now: Timestamp, elapsed: Duration, deadline: u64) -> Duration {
    let now = Duration::from_millis(u64::try_from(now.unix_millis()).unwrap_or(0));
    let left = Duration::from_millis(deadline).saturating_sub(now + elapsed + DEADLINE_MARGIN);
    left.min(FETCH_BUDGET)
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
fn write_record(record: &impl serde::Serialize, out: &mut impl Write) -> std::io::Result<()> {
    thread_local! {
        /// The memory of the last line, for the next.
        static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    LINE.with_borrow_mut(|line| {
        line.clear();
        serde_json::to_writer(&mut *line, record)?;
        line.push(b'\n');
        out.write_all(line)?;
        out.flush()
    })
}

/// In place of the event, which is not for lambda_runtime to read: it answers and logs what it cannot read by itself, and
/// here a payload that is not JSON gets its fault and its record like any other event.
struct Unread;

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
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

/// What Lambda says in the environment; of the bundle, [`from_environment`] reads what is said there.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
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
        assert_eq!(settings, Settings { task_root: ".".into(), max_concurrency: 1 });
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
    fn a_clock_before_the_epoch_is_a_fault() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_millis(1);
        assert_eq!(timestamp(before), Err(Failure::Fault("the system clock stands before 1970".to_owned())));
        let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(timestamp(moment), Ok(Timestamp::from_unix_millis(1_500)));
    }

    #[test]
    fn nobody_waits_until_the_deadline() {
        let now = Timestamp::from_unix_seconds(1_795_255_200);
        let wait = |left: i64, elapsed: u64| {
            let deadline = u64::try_from(now.unix_millis() + left).unwrap();
            time_to_wait(now, Duration::from_millis(elapsed), deadline).as_millis()
        };
        for (left, elapsed, expected) in [
            (10_000, 0, 3_000),
            (3_500, 0, 3_000),
            (3_000, 0, 2_500),
            (3_000, 700, 1_800),
            (500, 0, 0),
            (0, 0, 0),
            (-1_000, 0, 0),
        ] {
            assert_eq!(wait(left, elapsed), expected, "{left} ms left, {elapsed} ms gone");
        }
        assert_eq!(
            time_to_wait(Timestamp::from_unix_millis(i64::MIN), Duration::ZERO, u64::MAX),
            FETCH_BUDGET
        );
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
    fn what_lambda_runtime_gets_of_an_event_is_nothing() {
        // Like lambda_runtime, this does not ask for the end of the input.
        for event in [&b""[..], b"null", b"Bearer secret", b"\xff"] {
            let mut deserializer = serde_json::Deserializer::from_slice(event);
            assert!(Unread::deserialize(&mut deserializer).is_ok());
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
