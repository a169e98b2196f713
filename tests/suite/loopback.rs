//! An HTTP server on loopback, with TLS or without, whose answers are data: what it shall do at a path is set, and what it
//! was asked is counted.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Status, header lines, body; with a `Content-Length` of its own unless the headers have one.
    Reply { status: u16, headers: Vec<String>, body: Vec<u8> },
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// These bytes, and then nothing, until the client goes away.
    Stall(Vec<u8>),
    /// These bytes one at a time with a pause before each, then the end of the connection.
    Drip(Vec<u8>, Duration),
    /// The same, later.
    After(Duration, Box<Answer>),
    /// 304 to who knows this `ETag` already (`If-None-Match`), and otherwise the reply with it.
    Tagged(String, Box<Answer>),
}

impl Answer {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Reply { status: 200, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Reply { status, headers: Vec::new(), body: b"{}".to_vec() }
    }

    pub(crate) fn redirect(location: &str) -> Self {
        Self::status(302).with_header("Location", location)
    }

    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        match &mut self {
            Self::Reply { headers, .. } => headers.push(format!("{name}: {value}")),
            other => panic!("{other:?} has no headers"),
        }
        self
    }

    /// The bytes of a whole reply.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self::Reply { status, headers, body } = self else { panic!("{self:?} is no reply") };
        let mut head = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\n");
        for line in headers {
            head.push_str(&format!("{line}\r\n"));
        }
        let has_length = |line: &String| {
            let line = line.to_lowercase();
            line.starts_with("content-length:") || line.starts_with("transfer-encoding:")
        };
        if !headers.iter().any(has_length) {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        [head.as_bytes(), b"\r\n", body].concat()
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Request line and headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    /// Method and path.
    fn target(&self) -> (&str, &str) {
        let mut words = self.head.split(' ');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// The value of a header field; its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.clone().find_map(|(field, value)| (field.to_lowercase() == name).then_some(value.trim()))
    }
}

#[derive(Default)]
struct Shared {
    answers: Mutex<BTreeMap<String, Answer>>,
    requests: Mutex<Vec<Request>>,
    counts: Mutex<BTreeMap<String, usize>>,
    closed: AtomicBool,
}

/// The server; dropped, it stops.
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::serving("http", |shared, stream| shared.serve(stream))
    }

    pub(crate) fn start_tls(config: ServerConfig) -> Self {
        let config = Arc::new(config);
        Self::serving("https", move |shared, stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            shared.serve(StreamOwned::new(connection, stream));
        })
    }

    fn serving(scheme: &'static str, serve: impl Fn(&Shared, TcpStream) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.closed.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, serve) = (Arc::clone(&serving), serve.clone());
                thread::spawn(move || serve(&shared, stream.unwrap()));
            }
        });
        Self { address, scheme, shared }
    }

    /// `http://127.0.0.1:port` and the path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The same, by the name of the machine's loopback.
    pub(crate) fn url_by_name(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    /// From now on, what stands at a path. Where nothing does, the answer is 404.
    pub(crate) fn set(&self, path: &str, answer: Answer) {
        self.shared.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// How often a path was asked for.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.shared.counts.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    /// Everything that was asked, in its order.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn serve(&self, mut stream: impl Read + Write) {
        let Some(request) = read_request(&mut stream) else { return };
        let path = request.target().1.to_owned();
        *self.counts.lock().unwrap().entry(path.clone()).or_default() += 1;
        let known = request.header("if-none-match").map(str::to_owned);
        self.requests.lock().unwrap().push(request);
        let answer = match self.answers.lock().unwrap().get(&path).cloned() {
            None => Answer::status(404),
            Some(Answer::Tagged(etag, _)) if known.as_ref() == Some(&etag) => {
                Answer::Reply { status: 304, headers: vec![format!("ETag: {etag}")], body: Vec::new() }
            }
            Some(Answer::Tagged(etag, answer)) => answer.with_header("ETag", &etag),
            Some(answer) => answer,
        };
        self.send(answer, &mut stream);
    }

    /// A client that has gone away ends it.
    fn send(&self, answer: Answer, stream: &mut (impl Read + Write)) {
        match answer {
            reply @ Answer::Reply { .. } => drop(stream.write_all(&reply.bytes())),
            Answer::Raw(bytes) => drop(stream.write_all(&bytes)),
            Answer::Stall(bytes) => {
                drop(stream.write_all(&bytes));
                drop(stream.flush());
                // The client has nothing more to say: this waits until it goes away.
                drop(stream.read(&mut [0]));
            }
            Answer::Drip(bytes, pause) => {
                for byte in bytes {
                    thread::sleep(pause);
                    if stream.write_all(&[byte]).is_err() || self.closed.load(Ordering::SeqCst) {
                        return;
                    }
                }
            }
            Answer::After(pause, answer) => {
                thread::sleep(pause);
                self.send(*answer, stream);
            }
            Answer::Tagged(..) => panic!("{answer:?} stands at a path alone"),
        }
    }
}

/// Reads a head and the body that its `Content-Length` announces; `None` where the client went away before.
fn read_request(stream: &mut impl Read) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let mut request = Request { head: String::from_utf8(bytes).unwrap(), body: String::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}
