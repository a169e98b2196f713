//! The real `bootstrap` on a small Runtime API of its own, on loopback: push an event, wait for its answer.
//!
//! [`RuntimeApi`] speaks the four calls that a custom runtime makes (Lambda Developer Guide, "Using the Lambda runtime
//! API"); [`Function`] starts the process against it and ends it. Benchmarks use them too.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long anything may take: generous, because the machine may be busy; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the function posted for an invocation, or for its failed start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Posted {
    /// To `/runtime/invocation/{id}/response`.
    Response(String),
    /// To `/runtime/invocation/{id}/error` or `/runtime/init/error`.
    Error(String),
}

/// A function process and its Runtime API. Dropping it kills the process first, then closes the API.
pub(crate) struct Function {
    child: Child,
    stdout: Collected,
    stderr: Collected,
    api: RuntimeApi,
}

impl Function {
    /// Starts `program` with the environment that Lambda gives to a function of 128 MB, and nothing else from here.
    /// `configure` adds or removes variables, or redirects stdout.
    pub(crate) fn start(program: &str, task_root: &Path, configure: impl FnOnce(&mut Command)) -> Self {
        let api = RuntimeApi::start();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "authorizer")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/authorizer")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/21/[$LATEST]0")
            .env("LAMBDA_TASK_ROOT", task_root)
            .env("_HANDLER", "bootstrap")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        configure(&mut command);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        let stdout = Collected::start(child.stdout.take(), || {});
        let shared = Arc::clone(&api.shared);
        let stderr = Collected::start(child.stderr.take(), move || {
            // The process has ended, so nobody needs to wait for it any longer.
            shared.lock().ended = true;
            shared.changed.notify_all();
        });
        Self { child, stdout, stderr, api }
    }

    /// Queues an event and returns the request id that it gets.
    pub(crate) fn push(&self, event: impl Into<Vec<u8>>) -> String {
        let mut state = self.api.shared.lock();
        state.pushed += 1;
        let request_id = format!("8476a536-e9f4-11e8-9739-{:012}", state.pushed);
        state.queue.push_back((request_id.clone(), event.into()));
        self.api.shared.changed.notify_all();
        request_id
    }

    /// Waits for what is posted for `request_id`, and takes it.
    pub(crate) fn answer(&self, request_id: &str) -> Posted {
        self.wait(&format!("an answer to {request_id}"), |state| state.answers.remove(request_id))
    }

    /// One event, one answer.
    pub(crate) fn invoke(&self, event: impl Into<Vec<u8>>) -> Posted {
        let request_id = self.push(event);
        self.answer(&request_id)
    }

    /// Waits until `count` calls of `/next` are open at the same time.
    pub(crate) fn wait_for_pollers(&self, count: usize) {
        self.wait(&format!("{count} open /next calls"), |state| (state.polling == count).then_some(()));
    }

    /// The calls so far, in the order of their arrival: `GET …/next`, with the request id cut out.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.api.shared.lock().calls.clone()
    }

    /// The body and the error-type header of the init error.
    pub(crate) fn init_error(&self) -> (Posted, Option<String>) {
        self.wait("an init error", |state| state.init_error.clone())
    }

    /// Waits for the process to end by itself.
    pub(crate) fn exit_status(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "the process did not end; stderr: {}", self.stderr.text());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends the process and returns all of its stdout and stderr.
    pub(crate) fn finish(mut self) -> (String, String) {
        self.kill();
        (self.stdout.finish(), self.stderr.finish())
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A line of `/proc/{pid}/status`, such as `Threads` or `VmRSS` (in kB).
    #[cfg(target_os = "linux")]
    pub(crate) fn process_status(&self, key: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("the process lives");
        let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let value = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
        value.unwrap_or_else(|| panic!("no number {key} in {status}"))
    }

    fn wait<T>(&self, what: &str, found: impl FnMut(&mut State) -> Option<T>) -> T {
        self.api.shared.wait(found).unwrap_or_else(|| panic!("no {what}; stderr: {}", self.stderr.text()))
    }

    fn kill(&mut self) {
        // It fails only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The Runtime API of one execution environment.
struct RuntimeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pushed: usize,
    queue: VecDeque<(String, Vec<u8>)>,
    polling: usize,
    answers: HashMap<String, Posted>,
    init_error: Option<(Posted, Option<String>)>,
    calls: Vec<String>,
    /// The process has ended.
    ended: bool,
    /// The test has ended.
    closed: bool,
}

impl RuntimeApi {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming() {
                if accepting.lock().closed {
                    break;
                }
                let (Ok(connection), shared) = (connection, Arc::clone(&accepting)) else { continue };
                thread::spawn(move || serve(&connection, &shared));
            }
        });
        Self { address, shared }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        // Wakes the accepting thread, which then sees that it is closed.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the Runtime API panics")
    }

    /// Waits until `found` finds something; at most until the process has ended, and for [`PATIENCE`].
    fn wait<T>(&self, mut found: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.lock();
        loop {
            if let Some(found) = found(&mut state) {
                return Some(found);
            }
            if state.ended {
                return None;
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.changed.wait_timeout(state, left).expect("no thread of the Runtime API panics").0;
        }
    }
}

/// Answers the calls of one connection until it or the API is closed.
fn serve(connection: &TcpStream, shared: &Shared) {
    let _ = connection.set_nodelay(true);
    let mut reader = BufReader::new(connection);
    while let Some(request) = Request::read(&mut reader) {
        let Some(response) = route(request, shared) else { return };
        if { connection }.write_all(&response).is_err() {
            return;
        }
    }
}

/// The response to a call; `None` when the API was closed while it waited.
fn route(request: Request, shared: &Shared) -> Option<Vec<u8>> {
    const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n\
                            {\"status\":\"OK\"}";
    let path = request.path.strip_prefix("/2018-06-01/runtime/").unwrap_or_default().to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    let mut state = shared.lock();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["invocation", "next"]) => {
            state.calls.push("GET …/next".to_owned());
            drop(state);
            return next(shared);
        }
        ("POST", ["invocation", request_id, "response"]) => {
            state.calls.push("POST …/response".to_owned());
            state.answers.insert((*request_id).to_owned(), Posted::Response(request.body));
        }
        ("POST", ["invocation", request_id, "error"]) => {
            state.calls.push("POST …/error".to_owned());
            state.answers.insert((*request_id).to_owned(), Posted::Error(request.body));
        }
        ("POST", ["init", "error"]) => {
            state.calls.push("POST …/init/error".to_owned());
            state.init_error = Some((Posted::Error(request.body), request.error_type));
        }
        _ => {
            state.calls.push(format!("{} {}", request.method, request.path));
            return Some(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec());
        }
    }
    shared.changed.notify_all();
    Some(ACCEPTED.as_bytes().to_vec())
}

/// Holds the call until there is an event, as Lambda does.
fn next(shared: &Shared) -> Option<Vec<u8>> {
    let mut state = shared.lock();
    state.polling += 1;
    shared.changed.notify_all();
    let (request_id, event) = loop {
        if state.closed {
            return None;
        }
        if let Some(invocation) = state.queue.pop_front() {
            break invocation;
        }
        state = shared.changed.wait(state).expect("no thread of the Runtime API panics");
    };
    state.polling -= 1;
    shared.changed.notify_all();
    let head = format!(
        "HTTP/1.1 200 OK\r\n\
         content-type: application/json\r\n\
         lambda-runtime-aws-request-id: {request_id}\r\n\
         lambda-runtime-deadline-ms: 4102444800000\r\n\
         lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-west-1:123456789012:function:authorizer\r\n\
         lambda-runtime-trace-id: Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0\r\n\
         content-length: {}\r\n\r\n",
        event.len()
    );
    Some([head.into_bytes(), event].concat())
}

struct Request {
    method: String,
    path: String,
    error_type: Option<String>,
    body: String,
}

impl Request {
    /// Reads one request with a `content-length` body, the only kind that lambda_runtime sends for whole replies;
    /// `None` at the end of the connection and for any other kind, so that the caller's wait fails.
    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let line = read_line(reader)?;
        let mut words = line.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (mut length, mut error_type) = (0, None);
        loop {
            let line = read_line(reader)?;
            let Some((name, value)) = line.split_once(':') else { break };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "transfer-encoding" => return None,
                "lambda-runtime-function-error-type" => error_type = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { method, path, error_type, body: String::from_utf8(body).ok()? })
    }
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}

/// What a process wrote, read by a thread so that a full pipe never stops it.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Collected {
    fn start(pipe: Option<impl Read + Send + 'static>, at_end: impl FnOnce() + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let collecting = Arc::clone(&bytes);
        let thread = pipe.map(|mut pipe| {
            thread::spawn(move || {
                let mut chunk = [0; 8192];
                while let Ok(read @ 1..) = pipe.read(&mut chunk) {
                    collecting
                        .lock()
                        .expect("nothing panics with this lock")
                        .extend_from_slice(&chunk[..read]);
                }
                at_end();
            })
        });
        Self { bytes, thread }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("nothing panics with this lock")).into_owned()
    }

    /// All of it; the process must have ended.
    fn finish(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the collecting thread does not panic");
        }
        self.text()
    }
}

/// Sets one variable: `start(program, root, env("RUST_LOG", "trace"))`.
pub(crate) fn env(name: &'static str, value: impl AsRef<OsStr>) -> impl FnOnce(&mut Command) {
    move |command| {
        command.env(name, value);
    }
}
