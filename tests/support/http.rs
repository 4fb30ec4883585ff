//! Just enough of an HTTP client: one request on one connection, the target sent as it is.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::PATIENCE;

/// Sends a request and gives the connection, from which the answer is to be read.
pub fn ask(port: u16, target: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
        .unwrap();
    stream
}

/// The whole answer to a request: status line, headers and body.
pub fn get(port: u16, target: &str) -> String {
    let mut answer = String::new();
    ask(port, target, "").read_to_string(&mut answer).unwrap();
    answer
}
