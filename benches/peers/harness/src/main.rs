//! Starts one authorizer against a Runtime API of its own, asks it, and prints what that cost as one JSON object.
//!
//! `peers-harness --events FILE --warm N --invokes N --log FILE [--answers FILE] -- PROGRAM ARGUMENTS…`
//!
//! `FILE` has a line an event, `{"name", "expect", "event"}`; they are asked in turn, from the top again after the last.
//! The first answer is timed alone, then `--warm` more are not, then `--invokes` are. Each answer is compared with what
//! its line expects. CPU time is that of the whole process tree, by the kernel's CPU clock of each process, which counts
//! nanoseconds and threads that have ended.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, killpg};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long a start or an answer may take: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match Arguments::parse().and_then(|arguments| run(&arguments)) {
        Ok(measured) => {
            println!("{measured}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("peers-harness: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Arguments {
    events: Vec<Line>,
    warm: usize,
    invokes: usize,
    log: String,
    answers: Option<String>,
    command: Vec<String>,
}

/// An event and the answer that it must get: `allow`, `deny` or `unauthorized`.
#[derive(Deserialize)]
struct Line {
    name: String,
    expect: String,
    event: Box<RawValue>,
}

impl Arguments {
    fn parse() -> Result<Self, Error> {
        let mut arguments = std::env::args().skip(1);
        let (mut events, mut warm, mut invokes, mut log, mut answers) =
            (None, 0, 0, "/dev/null".to_owned(), None);
        while let Some(option) = arguments.next() {
            if option == "--" {
                break;
            }
            let value = arguments.next().ok_or_else(|| format!("{option} wants a value"))?;
            match option.as_str() {
                "--events" => events = Some(value),
                "--warm" => warm = value.parse()?,
                "--invokes" => invokes = value.parse()?,
                "--log" => log = value,
                "--answers" => answers = Some(value),
                _ => return Err(format!("unknown option {option}").into()),
            }
        }
        let events = std::fs::read_to_string(events.ok_or("--events is missing")?)?;
        let events: Vec<Line> = events.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let command: Vec<String> = arguments.collect();
        if events.is_empty() || command.is_empty() {
            return Err("there must be an event and a program".into());
        }
        Ok(Self { events, warm, invokes, log, answers, command })
    }
}

/// What is printed. Times of the machine are in milliseconds for a start and microseconds for an invocation.
#[derive(Serialize)]
struct Measured {
    /// From starting the process to its first GET of `next`.
    init_ms: f64,
    init_cpu_ms: f64,
    /// From handing over the first event to its answer; CPU until the next GET of `next`.
    first_ms: f64,
    first_cpu_ms: f64,
    cpu_us: Option<f64>,
    wall_us_median: Option<f64>,
    wall_us_min: Option<f64>,
    /// The highest resident memory so far, summed over the processes.
    peak_rss_kb: u64,
    processes: usize,
    threads: u64,
    /// Answers that were not what their line expects, and the first of them.
    wrong: usize,
    first_wrong: Option<String>,
}

/// What the connections tell the main thread, in order.
enum Said {
    /// A GET of `next`, which waits for the event to be sent here.
    Next(Instant, Sender<(usize, String)>),
    /// An answer: the number of its event and what it says.
    Answer(Instant, usize, String),
    /// The process says that it cannot start.
    InitError(String),
}

fn run(arguments: &Arguments) -> Result<String, Error> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let (said, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let said = said.clone();
            std::thread::spawn(move || {
                // A connection ends with its process; what was wrong about it shows in the answers that are missing.
                let _ = serve(stream, &said);
            });
        }
    });
    let started = Instant::now();
    let child = start(arguments, &address)?;
    let pid = i32::try_from(child.id())?;
    let child = Arc::new(Mutex::new(child));
    let measured = measure(arguments, &heard, started, pid, &child);
    // The whole group, so that nothing that the authorizer started outlives it.
    let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    let _ = child.lock().unwrap_or_else(PoisonError::into_inner).wait();
    Ok(serde_json::to_string(&measured?)?)
}

/// With the environment that Lambda gives to a function, beside the one from here.
fn start(arguments: &Arguments, address: &str) -> Result<Child, Error> {
    let log = File::create(&arguments.log)?;
    let (program, rest) = arguments.command.split_first().ok_or("no program")?;
    let child = Command::new(program)
        .args(rest)
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .env("AWS_LAMBDA_FUNCTION_NAME", "authorizer")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/authorizer")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/21/[$LATEST]0")
        .env("AWS_REGION", "eu-west-1")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    Ok(child)
}

fn measure(
    arguments: &Arguments,
    heard: &Receiver<Said>,
    started: Instant,
    pid: i32,
    child: &Mutex<Child>,
) -> Result<Measured, Error> {
    let mut answers = Answers { arguments, wrong: 0, first_wrong: None, kept: Vec::new() };
    let (init, mut waiting) = next(heard, arguments, child)?;
    let init_cpu = Usage::of(pid)?;
    let (first, then) = ask(arguments, heard, child, &mut answers, 0, waiting)?;
    waiting = then;
    let first_cpu = Usage::of(pid)?;
    for number in 1..=arguments.warm {
        (_, waiting) = ask(arguments, heard, child, &mut answers, number, waiting)?;
    }
    let before = Usage::of(pid)?;
    let mut walls = Vec::with_capacity(arguments.invokes);
    for number in (1..=arguments.invokes).map(|number| arguments.warm + number) {
        let (wall, then) = ask(arguments, heard, child, &mut answers, number, waiting)?;
        waiting = then;
        walls.push(wall.as_secs_f64() * 1e6);
    }
    let after = Usage::of(pid)?;
    walls.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a count of invocations")]
    let invokes = arguments.invokes as f64;
    if let Some(file) = &arguments.answers {
        std::fs::write(file, answers.kept.join("\n"))?;
    }
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
    Ok(Measured {
        init_ms: milliseconds(init - started),
        init_cpu_ms: milliseconds(init_cpu.cpu),
        first_ms: milliseconds(first),
        first_cpu_ms: milliseconds(first_cpu.cpu.saturating_sub(init_cpu.cpu)),
        cpu_us: (arguments.invokes > 0)
            .then(|| after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / invokes),
        wall_us_median: walls.get(walls.len() / 2).copied(),
        wall_us_min: walls.first().copied(),
        peak_rss_kb: after.peak_rss_kb,
        processes: after.processes,
        threads: after.threads,
        wrong: answers.wrong,
        first_wrong: answers.first_wrong,
    })
}

/// Compares what comes in with what is expected.
struct Answers<'a> {
    arguments: &'a Arguments,
    wrong: usize,
    first_wrong: Option<String>,
    kept: Vec<&'static str>,
}

impl Answers<'_> {
    fn take(&mut self, number: usize, said: &str) {
        let line = &self.arguments.events[number % self.arguments.events.len()];
        if self.arguments.answers.is_some() {
            self.kept.push(kind(said));
        }
        let found = kind(said);
        if found != line.expect {
            self.wrong += 1;
            self.first_wrong
                .get_or_insert_with(|| format!("{}: {found} instead of {}: {said}", line.name, line.expect));
        }
    }
}

/// Which of the answers of an authorizer it is: the body of a response, or `!` and the body of an error.
fn kind(said: &str) -> &'static str {
    let dense: String = said.chars().filter(|character| !character.is_whitespace()).collect();
    match dense.strip_prefix('!') {
        Some(error) if error.contains(r#""errorMessage":"Unauthorized""#) => "unauthorized",
        Some(_) => "fault",
        None if dense.contains(r#""Effect":"Allow""#) => "allow",
        None if dense.contains(r#""Effect":"Deny""#) => "deny",
        None => "fault",
    }
}

/// The process calls for the next event.
fn next(
    heard: &Receiver<Said>,
    arguments: &Arguments,
    child: &Mutex<Child>,
) -> Result<(Instant, Sender<(usize, String)>), Error> {
    match hear(heard, arguments, child)? {
        Said::Next(at, waiting) => Ok((at, waiting)),
        Said::Answer(_, number, said) => Err(format!("a second answer to event {number}: {said}").into()),
        Said::InitError(said) => Err(format!("it does not start: {said}").into()),
    }
}

/// One event: how long its answer took, and the next call, which waits.
fn ask(
    arguments: &Arguments,
    heard: &Receiver<Said>,
    child: &Mutex<Child>,
    answers: &mut Answers<'_>,
    number: usize,
    waiting: Sender<(usize, String)>,
) -> Result<(Duration, Sender<(usize, String)>), Error> {
    let event = arguments.events[number % arguments.events.len()].event.get().to_owned();
    let sent = Instant::now();
    waiting.send((number, event)).map_err(|_| "the connection is gone")?;
    let Said::Answer(at, answered, said) = hear(heard, arguments, child)? else {
        return Err(format!("event {number} is not answered").into());
    };
    if answered != number {
        return Err(format!("an answer to event {answered} instead of {number}").into());
    }
    let (_, waiting) = next(heard, arguments, child)?;
    answers.take(number, &said);
    Ok((at - sent, waiting))
}

fn hear(heard: &Receiver<Said>, arguments: &Arguments, child: &Mutex<Child>) -> Result<Said, Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(said) = heard.recv_timeout(Duration::from_millis(200)) {
            return Ok(said);
        }
        let ended = child.lock().unwrap_or_else(PoisonError::into_inner).try_wait()?;
        if ended.is_some() || Instant::now() > deadline {
            let how =
                ended.map_or_else(|| "it says nothing".to_owned(), |status| format!("it ended: {status}"));
            let log = std::fs::read_to_string(&arguments.log).unwrap_or_default();
            let tail = log.lines().rev().take(12).collect::<Vec<_>>();
            return Err(format!("{how}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n")).into());
        }
    }
}

/// What a process and its descendants have used so far.
struct Usage {
    cpu: Duration,
    peak_rss_kb: u64,
    processes: usize,
    threads: u64,
}

impl Usage {
    fn of(pid: i32) -> Result<Self, Error> {
        let mut usage = Self { cpu: Duration::ZERO, peak_rss_kb: 0, processes: 0, threads: 0 };
        for pid in tree(pid)? {
            let time = clock_getcpuclockid(Pid::from_raw(pid))?.now()?;
            usage.cpu += Duration::from(time);
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            usage.peak_rss_kb += number(&status, "VmHWM:");
            usage.threads += number(&status, "Threads:");
            usage.processes += 1;
        }
        Ok(usage)
    }
}

fn number(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// The process itself and all below it.
fn tree(root: i32) -> Result<Vec<i32>, Error> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // It may have ended since; and its name may have spaces, so what counts stands behind the last parenthesis.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        parents.extend(parent.map(|parent: i32| (pid, parent)));
    }
    let mut found = vec![root];
    let mut position = 0;
    while let Some(&parent) = found.get(position) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        position += 1;
    }
    Ok(found)
}

/// One connection of the Runtime API, as far as authorizers use it.
fn serve(stream: TcpStream, said: &Sender<Said>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some((line, body)) = request(&mut reader)? {
        let now = Instant::now();
        let path = line.split_whitespace().nth(1).unwrap_or_default();
        if path.ends_with("/invocation/next") {
            let (waiting, event) = channel();
            said.send(Said::Next(now, waiting))?;
            // Nothing more comes when all has been measured: the process is ended while it waits.
            let Ok((number, event)) = event.recv() else { return Ok(()) };
            writer.write_all(&invocation(number, &event)?)?;
            continue;
        }
        writer.write_all(
            b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\": \"OK\"}",
        )?;
        let number = path.split('/').nth_back(1).and_then(|id| id.rsplit('-').next()?.parse().ok());
        let body = String::from_utf8_lossy(&body);
        match (path.rsplit('/').next(), number) {
            (Some("response"), Some(number)) => said.send(Said::Answer(now, number, body.into_owned()))?,
            (Some("error"), Some(number)) => said.send(Said::Answer(now, number, format!("!{body}")))?,
            _ => said.send(Said::InitError(format!("{path}: {body}")))?,
        }
    }
    Ok(())
}

/// The answer to `next`, in one piece.
fn invocation(number: usize, event: &str) -> Result<Vec<u8>, Error> {
    let deadline = (SystemTime::now().duration_since(UNIX_EPOCH)? + PATIENCE).as_millis();
    Ok(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
         Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-{number:012}\r\n\
         Lambda-Runtime-Deadline-Ms: {deadline}\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:authorizer\r\n\
         Lambda-Runtime-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0\r\n\
         Content-Length: {}\r\n\r\n{event}",
        event.len()
    )
    .into_bytes())
}

/// A request's first line and body; none when the connection was closed.
fn request(reader: &mut BufReader<TcpStream>) -> Result<Option<(String, Vec<u8>)>, Error> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        if line.starts_with("expect:") {
            reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    while chunked {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim().split(';').next().unwrap_or_default(), 16)?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        body.extend(chunk.iter().take(size));
        chunked = size > 0;
    }
    Ok(Some((first.trim().to_owned(), body)))
}
