//! The stage: a coordinator `coord` in a folder of its own, and those who talk with it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{PATIENCE, Place, Wrapper, eventually, free_port};

/// A coordinator that runs alone.
pub(crate) struct Rig {
    pub(crate) place: Place,
    pub(crate) port: u16,
    pub(crate) wrapper: Wrapper,
}

impl Rig {
    /// With a request timeout of three seconds.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// With further keys of `[coordinator]`.
    pub(crate) fn with(keys: &[(&str, &str)]) -> Self {
        let place = Place::new();
        let port = free_port();
        let wrapper = Self::launch(&place, port, keys);
        let rig = Self { place, port, wrapper };
        rig.wait_until_up();
        rig
    }

    /// Starts a coordinator, which need not come up.
    pub(crate) fn launch(place: &Place, port: u16, keys: &[(&str, &str)]) -> Wrapper {
        let folder = place.at("d");
        let port = port.to_string();
        let words =
            ["coordinator", "-n", "coord", "-s", &folder, "-p", &port, "-t", "3", "-l", "info"];
        let mut command = place.command(&words);
        for (key, value) in keys {
            command.env(format!("COPROC_COORDINATOR__{}", key.to_uppercase()), value);
        }
        Wrapper::start(command)
    }

    #[track_caller]
    pub(crate) fn wait_until_up(&self) {
        let up = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        eventually(&format!("it is up\n{}", self.wrapper.dump()), up);
    }

    /// Waits until the log of one that runs alone holds this text.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        let what = format!("it says `{text}`\n{}", self.wrapper.dump());
        eventually(&what, || self.wrapper.stderr().contains(text));
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.place.path().join("d").join(name)
    }

    pub(crate) fn internal(&self) -> PathBuf {
        self.at("coordinator/coord.sock")
    }

    pub(crate) fn response(&self) -> PathBuf {
        self.at("response/coord.sock")
    }

    /// Sends a request from this machine; gives the ack.
    #[track_caller]
    pub(crate) fn ask(&self, request: &Value) -> Value {
        self.ask_text(request.to_string().as_bytes())
    }

    #[track_caller]
    pub(crate) fn ask_text(&self, text: &[u8]) -> Value {
        let answer = call(&self.internal(), &frame(text)).unwrap();
        serde_json::from_slice(body(&answer)).unwrap()
    }

    /// Posts a request; gives the ack of an answer with status 200.
    #[track_caller]
    pub(crate) fn post(&self, request: &Value) -> Value {
        self.post_text(request.to_string().as_bytes())
    }

    #[track_caller]
    pub(crate) fn post_text(&self, text: &[u8]) -> Value {
        let (status, body) = self.http("POST", "/", "", text);
        assert_eq!(status, 200, "{body:?}");
        serde_json::from_slice(&body).unwrap()
    }

    /// One exchange over HTTP: the status and the body, as far as it came.
    pub(crate) fn http(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        let (status, body, _) = self.http_whole(method, target, headers, body);
        (status, body)
    }

    /// The same, with whether the body came to its proper end.
    pub(crate) fn http_whole(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: &[u8],
    ) -> (u16, Vec<u8>, bool) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // Who refuses early may not read all of it.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        parse_answer(&answer)
    }

    /// Sends a response as a provider does; gives what comes back, byte by byte.
    #[track_caller]
    pub(crate) fn respond(&self, response: &Value) -> Vec<u8> {
        call(&self.response(), &frame(response.to_string().as_bytes())).unwrap()
    }

    /// The status of nothing that waits: all that was tracked is answered.
    pub(crate) fn provider(&self, task: &str, name: &str, answer: Answer) -> Provider {
        Provider::start(&self.at(task), name, answer)
    }
}

fn parse_answer(answer: &[u8]) -> (u16, Vec<u8>, bool) {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return (0, Vec::new(), false);
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut rest = &answer[end + 4..];
    if !head.contains("transfer-encoding: chunked") {
        return (status, rest.to_vec(), true);
    }
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else {
            return (status, body, false);
        };
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        rest = &rest[line + 2..];
        if size == 0 {
            return (status, body, true);
        }
        if rest.len() < size + 2 {
            body.extend_from_slice(&rest[..size.min(rest.len())]);
            return (status, body, false);
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

/// A message with its length before it.
pub(crate) fn frame(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text].concat()
}

/// Reads one message; `None` from a stream that has ended.
pub(crate) fn take_message(stream: &mut UnixStream) -> Option<Value> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).ok()?;
    let mut message = vec![0; u32::from_be_bytes(head) as usize];
    stream.read_exact(&mut message).unwrap();
    Some(serde_json::from_slice(&message).unwrap())
}

/// What follows the length.
pub(crate) fn body(frame: &[u8]) -> &[u8] {
    assert!(frame.len() >= 4, "no frame came: {frame:?}");
    let length = u32::from_be_bytes(frame[..4].try_into().unwrap());
    assert_eq!(usize::try_from(length).unwrap(), frame.len() - 4);
    &frame[4..]
}

/// Sends bytes to a socket and reads until it closes.
pub(crate) fn call(socket: &Path, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Who refuses early may not read all of it.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => Ok(answer),
        Err(_) if !answer.is_empty() => Ok(answer),
        Err(error) => Err(error),
    }
}

pub(crate) fn unix(path: impl Into<String>) -> Value {
    json!({ "Scheme": "unix", "Path": path.into() })
}

pub(crate) fn ok(id: &str) -> Value {
    json!({ "error": "", "id": id, "result": null, "stream_url": null })
}

pub(crate) fn failed(id: &str, error: &str) -> Value {
    json!({ "error": error, "id": id, "result": null, "stream_url": null })
}

/// What comes in, in its order.
pub(crate) struct Seen<T>(Arc<(Mutex<Vec<T>>, Condvar)>);

impl<T> Clone for Seen<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone> Seen<T> {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(Vec::new()), Condvar::new())))
    }

    fn add(&self, one: T) {
        self.0.0.lock().unwrap().push(one);
        self.0.1.notify_all();
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.0.0.lock().unwrap().clone()
    }

    /// Waits for the nth, from 0 on.
    #[track_caller]
    pub(crate) fn nth(&self, n: usize) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut all = self.0.0.lock().unwrap();
        while all.len() <= n {
            let left = deadline.checked_duration_since(Instant::now());
            let Some(left) = left else { panic!("only {} came, no {n}", all.len()) };
            all = self.0.1.wait_timeout(all, left).unwrap().0;
        }
        all[n].clone()
    }
}

/// How a provider answers a request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// It takes it.
    Ack,
    /// It refuses it with these words.
    Refuse(String),
    /// It sends these bytes and closes.
    Bytes(Vec<u8>),
    /// It says nothing for that long.
    Silence(Duration),
    /// It takes it, and sends a response with this result to the hook.
    Result(Value),
}

/// A provider's socket.
pub(crate) struct Provider {
    pub(crate) requests: Seen<Value>,
    path: PathBuf,
}

impl Provider {
    pub(crate) fn start(folder: &Path, name: &str, answer: Answer) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let requests = Seen::new();
        let seen = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answer) = (seen.clone(), answer.clone());
                thread::spawn(move || serve(stream.unwrap(), &seen, &answer));
            }
        });
        Self { requests, path }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // The thread ends with the test's process; nobody finds the socket any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn serve(mut stream: UnixStream, seen: &Seen<Value>, answer: &Answer) {
    let Some(request) = take_message(&mut stream) else { return };
    let id = request["id"].as_str().unwrap_or_default().to_owned();
    let ack = |value: Value| frame(value.to_string().as_bytes());
    seen.add(numbered(request.clone()));
    match answer {
        Answer::Ack => stream.write_all(&ack(ok(&id))).unwrap(),
        Answer::Refuse(why) => stream.write_all(&ack(failed(&id, why))).unwrap(),
        Answer::Bytes(bytes) => stream.write_all(bytes).unwrap(),
        Answer::Silence(time) => thread::sleep(*time),
        Answer::Result(result) => {
            stream.write_all(&ack(ok(&id))).unwrap();
            drop(stream);
            let response = json!({ "error": "", "id": id, "result": result, "stream_url": null });
            let hook = PathBuf::from(request["responsehook"]["Path"].as_str().unwrap());
            let bare = call(&hook, &frame(response.to_string().as_bytes())).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(body(&bare)).unwrap()["error"], "");
        }
    }
}

/// The request with a number that tells which came first, whoever got it.
fn numbered(mut request: Value) -> Value {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    request["number"] = NUMBER.fetch_add(1, Ordering::SeqCst).into();
    request
}

/// What a hook was sent.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    pub(crate) head: String,
    pub(crate) body: Value,
    pub(crate) at: Instant,
}

/// An HTTP server that notes what it is sent.
pub(crate) struct Hook {
    pub(crate) port: u16,
    pub(crate) posts: Seen<Posted>,
}

impl Hook {
    /// One that answers as a tracker does.
    pub(crate) fn start() -> Self {
        let ack = ok("").to_string();
        Self::answering(&[&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{ack}",
            ack.len()
        )])
    }

    /// One that gives these answers in turn, the last one for ever.
    pub(crate) fn answering(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let posts = Seen::new();
        let seen = posts.clone();
        let answers: Vec<_> = answers.iter().map(|text| (*text).to_owned()).collect();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let answer = answers[number.min(answers.len() - 1)].clone();
                let seen = seen.clone();
                thread::spawn(move || take(stream.unwrap(), &seen, &answer));
            }
        });
        Self { port, posts }
    }

    /// Its address with this path and query.
    pub(crate) fn url(&self, target: &str) -> Value {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let host = format!("127.0.0.1:{}", self.port);
        json!({ "Scheme": "http", "Host": host, "Path": path, "RawQuery": query })
    }
}

fn take(mut stream: TcpStream, seen: &Seen<Posted>, answer: &str) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut piece) {
            Ok(length) if length > 0 => bytes.extend_from_slice(&piece[..length]),
            _ => return,
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    while bytes.len() < end + 4 + length.unwrap_or(0) {
        match stream.read(&mut piece) {
            Ok(length) if length > 0 => bytes.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
    let body = serde_json::from_slice(&bytes[end + 4..]).unwrap_or(Value::Null);
    seen.add(Posted { head, body, at: Instant::now() });
    let _ = stream.write_all(answer.as_bytes());
}
