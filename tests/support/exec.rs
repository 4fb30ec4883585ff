//! An exec socket under test: a server of its own, and clients that speak its protocol byte by byte.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{PATIENCE, Place, Wrapper, alive, eventually};

/// E01's request, and its answer.
pub const UNAME: &str = "1:1,5:uname,0:,";
/// E01's answer.
pub const LINUX: &str = "6:stdout,6:Linux\n,8:exitcode,1:0,";

/// A running `coproc exec-server`.
pub struct Server {
    /// Its folder.
    pub place: Place,
    /// Its process.
    pub wrapper: Wrapper,
    path: String,
}

impl Server {
    /// A server with these options, signals told by their names.
    #[track_caller]
    pub fn new(options: &[&str]) -> Self {
        Self::with(options, &[("TERMSIG", "name")])
    }

    /// A server with these options, and settings that sockexec has no options for.
    #[track_caller]
    pub fn with(options: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::in_place(Place::new(), options, settings)
    }

    /// The same in a folder that is there already.
    #[track_caller]
    pub fn in_place(place: Place, options: &[&str], settings: &[(&str, &str)]) -> Self {
        let path = place.at("e.sock");
        let mut command = place.command(&[&["exec-server"], options, &[&path]].concat());
        for (key, value) in settings {
            command.env(format!("COPROC_EXEC_SOCKET__{key}"), value);
        }
        let wrapper = Wrapper::start(command);
        let server = Self { place, wrapper, path };
        eventually("the socket is served", || match UnixStream::connect(&server.path) {
            // Over when it is closed, so that it takes nobody's place.
            Ok(mut probe) => {
                probe.shutdown(Shutdown::Write).is_ok() && probe.read(&mut [0]).is_ok()
            }
            Err(_) => false,
        });
        server
    }

    /// The path of its socket.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A new client.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::new(&self.path)
    }

    /// The whole answer to a request that is sent at once.
    #[track_caller]
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.client();
        client.send(request);
        client.rest()
    }

    /// Whether E01 is answered; a client that is refused cannot even send.
    pub fn serves(&self) -> bool {
        let mut client = self.client();
        client.try_send(UNAME).is_ok() && client.rest().bytes == LINUX.as_bytes()
    }

    /// The whole answer to a program, run without a shell and without input.
    #[track_caller]
    pub fn run(&self, argv: &[&str]) -> Answer {
        self.ask([request(argv), "0:,".to_owned()].concat())
    }

    /// The answer to a shell command.
    #[track_caller]
    pub fn sh(&self, script: &str) -> Answer {
        self.run(&["sh", "-c", script])
    }

    /// The server still serves, and then ends in order.
    #[track_caller]
    pub fn done(mut self) {
        assert_eq!(self.ask(UNAME).text(), LINUX);
        assert_eq!(self.wrapper.stop(), 0, "{}", self.wrapper.dump());
        assert!(!std::path::Path::new(&self.path).exists());
    }

    /// TERM to the server.
    pub fn term(&self) {
        self.wrapper.signal(Signal::SIGTERM);
    }

    /// The resident memory of the server in KiB.
    pub fn resident(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.wrapper.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// The netstrings of a program and its arguments, without the end mark.
pub fn request(argv: &[&str]) -> String {
    let mut out = netstring(&argv.len().to_string());
    argv.iter().for_each(|word| out.push_str(&netstring(word)));
    out
}

/// One netstring.
pub fn netstring(payload: &str) -> String {
    format!("{}:{payload},", payload.len())
}

/// One connection.
pub struct Client {
    stream: UnixStream,
    began: Instant,
}

impl Client {
    /// Connects.
    #[track_caller]
    pub fn new(path: &str) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, began: Instant::now() }
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends bytes as far as they are taken.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Waits.
    pub fn pause(&self, ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }

    /// Closes the sending half.
    #[track_caller]
    pub fn shut(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads exactly these bytes.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let mut bytes = vec![0; text.len()];
        let read = self.stream.read_exact(&mut bytes);
        assert_eq!(String::from_utf8_lossy(&bytes), text, "{read:?}");
    }

    /// Reads until so many bytes of values came.
    #[track_caller]
    pub fn read_some(&mut self) -> usize {
        let mut bytes = [0; 65536];
        self.stream.read(&mut bytes).unwrap()
    }

    /// Reads what there is; 0 is the end.
    #[track_caller]
    pub fn read_into(&mut self, buffer: &mut [u8]) -> usize {
        self.stream.read(buffer).unwrap()
    }

    /// A second handle on the same connection, for another thread.
    pub fn twin(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), began: self.began }
    }

    /// Reads to the end.
    #[track_caller]
    pub fn rest(mut self) -> Answer {
        let mut bytes = Vec::new();
        let end = self.stream.read_to_end(&mut bytes).map_err(|error| error.kind());
        Answer { bytes, end: end.map(|_| ()), took: self.began.elapsed() }
    }
}

/// All that came after something was asked.
#[derive(Debug)]
pub struct Answer {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How the stream ended.
    pub end: Result<(), ErrorKind>,
    /// How long it took since the client connected.
    pub took: Duration,
}

impl Answer {
    /// As text; the end was orderly.
    #[track_caller]
    pub fn text(&self) -> String {
        assert_eq!(self.end, Ok(()), "{}", String::from_utf8_lossy(&self.bytes));
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// As pairs of a tag and a value, whatever they hold.
    #[track_caller]
    pub fn pairs(&self) -> Vec<(String, Vec<u8>)> {
        let mut strings = Vec::new();
        let mut rest = &self.bytes[..];
        while !rest.is_empty() {
            let colon = rest.iter().position(|byte| *byte == b':').expect("a length");
            let length: usize = std::str::from_utf8(&rest[..colon]).unwrap().parse().unwrap();
            strings.push(rest[colon + 1..colon + 1 + length].to_vec());
            assert_eq!(rest[colon + 1 + length], b',');
            rest = &rest[colon + 2 + length..];
        }
        assert_eq!(strings.len() % 2, 0, "a tag without a value");
        let pairs = strings.chunks(2).map(|pair| {
            let tag = String::from_utf8(pair[0].clone()).unwrap();
            assert!(["stdout", "stderr", "exitcode", "termsig"].contains(&&*tag), "{tag}");
            (tag, pair[1].clone())
        });
        pairs.collect()
    }

    /// All values of one tag, joined.
    #[track_caller]
    pub fn all(&self, tag: &str) -> Vec<u8> {
        self.pairs().into_iter().filter(|(t, _)| t == tag).flat_map(|(_, value)| value).collect()
    }

    /// The last pair, which is the only status.
    #[track_caller]
    pub fn status(&self) -> String {
        let pairs = self.pairs();
        let is_status = |tag: &str| tag == "exitcode" || tag == "termsig";
        let (tag, value) = pairs.last().unwrap_or_else(|| panic!("nothing came: {self:?}"));
        assert!(is_status(tag), "it ends in {tag}");
        assert_eq!(pairs.iter().filter(|(tag, _)| is_status(tag)).count(), 1);
        format!("{tag} {}", String::from_utf8_lossy(value))
    }

    /// Stdout as text, the status being success.
    #[track_caller]
    pub fn stdout(&self) -> String {
        assert_eq!(self.status(), "exitcode 0", "{:?}", String::from_utf8_lossy(&self.bytes));
        String::from_utf8(self.all("stdout")).unwrap()
    }

    /// It came not before and not much after this; a slow machine gets some grace.
    #[track_caller]
    pub fn at(self, ms: u64) -> Self {
        let took = self.took.as_millis() as u64;
        assert!((ms.saturating_sub(20)..=ms + 1000).contains(&took), "{took} ms, not {ms}");
        self
    }

    /// It came at once.
    #[track_caller]
    pub fn at_once(self) -> Self {
        self.at(0)
    }
}

/// Waits until a process that was named by its pid is gone.
#[track_caller]
pub fn gone(pid: i32) {
    eventually("the process is gone", || !alive(pid));
}
