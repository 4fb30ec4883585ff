//! A gateway in this process, upstreams that do as they are told, and a client that sees every byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use coproc_core::threads::Threads;
use coproc_gateway::api::Api;
use coproc_gateway::config::{Config, Listen, StoreConfig, Tls};
use coproc_gateway::server::Bound;

use crate::support::certificates::Certificates;

/// How long a test waits for what is sure to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An API without hooks, whose id is `id-` and its name.
pub(crate) fn api(name: &str, listen_path: &str, url: &str) -> Api {
    Api {
        name: name.into(),
        org: "test".into(),
        disable_rate_limit: true,
        disable_quota: true,
        ..Api::new(&format!("id-{name}"), listen_path, url.parse().unwrap())
    }
}

/// A gateway on a free port.
pub(crate) struct Gate {
    pub(crate) bound: Bound,
    pub(crate) threads: Threads,
    pub(crate) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Gate {
    /// One that serves an API at `/a/` from `upstream`.
    pub(crate) fn to(upstream: SocketAddr) -> Self {
        Self::with(upstream, |_| {})
    }

    /// The same with changes to its config.
    pub(crate) fn with(upstream: SocketAddr, change: impl FnOnce(&mut Config)) -> Self {
        Self::serving(vec![api("a", "/a/", &format!("http://{upstream}/"))], change)
    }

    /// One that serves these APIs.
    pub(crate) fn serving(apis: Vec<Api>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            listen: vec![Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))],
            apis: apis.into_iter().map(Arc::new).collect(),
            worker_threads: Some(2),
            ..Config::default()
        };
        change(&mut config);
        let folder = tempfile::tempdir().unwrap();
        config.store = StoreConfig::File(Some(folder.path().join("keys.redb")));
        let bound = Bound::open(config, None).unwrap();
        let threads = bound.start().unwrap();
        let address = bound.listen().iter().find_map(|at| match at {
            Listen::Tcp(address) => Some(*address),
            Listen::Unix(_) => None,
        });
        let address = address.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Self { bound, threads, address, _folder: folder }
    }

    /// A connection to it.
    pub(crate) fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).unwrap())
    }

    /// The answer to a request on a connection of its own.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        let mut client = self.connect();
        client.send(request);
        client.answer()
    }

    /// Waits until the last thread has ended; false if that took too long.
    pub(crate) fn is_over(&self, limit: Duration) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let over = self.threads.over();
        runtime.block_on(async { tokio::time::timeout(limit, over).await.is_ok() })
    }
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One side of a connection.
pub(crate) struct Client {
    pub(crate) stream: BufReader<TcpStream>,
}

/// What a server says, or a client asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// The first line.
    pub(crate) first: String,
    /// Names in small letters.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        let word = self.first.split(' ').nth(1).unwrap_or_default();
        word.parse().unwrap_or_else(|_| panic!("no status: {:?}", self.first))
    }

    /// The values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let all = self.headers.iter().filter(|(own, _)| own == name);
        all.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// What a GET is answered.
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: gate.example\r\n\r\n"));
        self.answer()
    }

    /// Reads the next line without its end; `None` at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).unwrap_or(0);
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn headers(&mut self) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?}"));
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        headers
    }

    /// Reads a head; `None` at the end.
    pub(crate) fn head(&mut self) -> Option<Answer> {
        let first = self.line()?;
        Some(Answer { first, headers: self.headers(), ..Answer::default() })
    }

    /// Reads a message with its body.
    pub(crate) fn message(&mut self) -> Option<Answer> {
        let mut answer = self.head()?;
        if answer.header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            loop {
                let line = self.line()?;
                let size = usize::from_str_radix(&line, 16).unwrap();
                if size == 0 {
                    answer.trailers = self.headers();
                    break;
                }
                let old = answer.body.len();
                answer.body.resize(old + size, 0);
                self.stream.read_exact(&mut answer.body[old..]).unwrap();
                self.line()?;
            }
        } else if let Some(length) = answer.header("content-length") {
            answer.body.resize(length.parse().unwrap(), 0);
            self.stream.read_exact(&mut answer.body).unwrap();
        }
        Some(answer)
    }

    /// The same where there has to be one.
    pub(crate) fn answer(&mut self) -> Answer {
        self.message().expect("no answer")
    }

    /// Whether the other side has closed, waiting for it.
    pub(crate) fn is_closed(&mut self) -> bool {
        !matches!(self.stream.read(&mut [0]), Ok(1..))
    }
}

/// A server that hands each connection to `serve`, each in a thread of its own.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// How many connections came.
    pub(crate) connections: Arc<Mutex<usize>>,
}

/// Starts one.
pub(crate) fn upstream(serve: impl Fn(Client) + Send + Sync + 'static) -> Peer {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::<Mutex<usize>>::default();
    let (counted, serve) = (connections.clone(), Arc::new(serve));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            *counted.lock().unwrap() += 1;
            let serve = serve.clone();
            std::thread::spawn(move || serve(Client::new(stream.unwrap())));
        }
    });
    Peer { address, connections }
}

/// A server that answers each request with `answer`, and tells what it was asked.
pub(crate) fn answering(answer: &'static str) -> (Peer, Receiver<Answer>) {
    let (asked, asks) = channel();
    let server = upstream(move |mut client| {
        while let Some(request) = client.message() {
            let _ = asked.send(request);
            client.send(answer);
        }
    });
    (server, asks)
}

/// An answer with a body of two bytes.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A port that nobody listens on.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

impl Certificates {
    /// What a listener needs.
    pub(crate) fn tls(&self) -> Option<Tls> {
        Some(Tls { certificate: self.file("cert.pem"), key: self.file("key.pem") })
    }
}
