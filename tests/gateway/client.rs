//! Just enough of an HTTP/1.1 client, and the parsing that the upstream shares with it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use crate::support::PATIENCE;

/// A message: what the upstream saw, or what a client got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The first value of a header, its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, value)| value.as_str()).collect()
    }

    /// The status of an answer.
    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        let status = self.start.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no answer but {:?}", self.start))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The method of a request.
    pub(crate) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap()
    }

    /// The target of a request.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap()
    }
}

/// Reads one message; `None` at the end of the stream, or if it ends within a head.
pub(crate) fn read_message(reader: &mut impl BufRead, bodiless: bool) -> Option<Message> {
    let mut line = String::new();
    let mut next = |reader: &mut dyn BufRead| {
        line.clear();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        Some(line.trim_end().to_owned())
    };
    let mut message = Message { start: next(reader)?, ..Message::default() };
    loop {
        let line = next(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        message.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    if bodiless {
        return Some(message);
    }
    let is_request = !message.start.starts_with("HTTP/");
    let length = message.header("content-length").map(|length| length.parse().unwrap());
    match (message.header("transfer-encoding"), length) {
        (Some(_), _) => loop {
            let size = usize::from_str_radix(&next(reader)?, 16).ok()?;
            let mut chunk = vec![0; size];
            reader.read_exact(&mut chunk).ok()?;
            message.body.extend(chunk);
            next(reader)?;
            if size == 0 {
                break;
            }
        },
        (None, Some(length)) => {
            message.body = vec![0; length];
            reader.read_exact(&mut message.body).ok()?;
        }
        (None, None) if is_request => {}
        (None, None) => {
            reader.read_to_end(&mut message.body).ok()?;
        }
    }
    Some(message)
}

/// A request that is being put together.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    port: u16,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(port: u16, method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { port, method, target, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", content_type)
    }

    /// Sends it on a connection of its own; gives what came.
    #[track_caller]
    pub(crate) fn send(self) -> Message {
        self.try_send().unwrap_or_else(|| panic!("no answer to {} {}", self.method, self.target))
    }

    /// The same, where no answer is one, too.
    pub(crate) fn try_send(&self) -> Option<Message> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            head.push_str("Host: gateway.test\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() || self.method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        // Who refuses early may not read all of it.
        let _ = stream.write_all(&self.body);
        read_message(&mut BufReader::new(stream), self.method == "HEAD")
    }
}
