//! An upstream that notes what it is asked and answers 200 with a fixed answer, or one of its own.

use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::client::{Message, read_message};

type Answer = dyn Fn(&Message) -> String + Send + Sync;

/// A server on loopback. It ends with the test's process.
pub(crate) struct Upstream {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Message>>>,
}

impl Upstream {
    /// Answers everything with `upstream`.
    pub(crate) fn start() -> Self {
        Self::answering(|_| answer("", "upstream"))
    }

    /// The same on a port that was chosen before.
    pub(crate) fn at(port: u16) -> Self {
        Self::on(port, |_| answer("", "upstream"))
    }

    /// Answers with what `respond` says.
    pub(crate) fn answering(respond: impl Fn(&Message) -> String + Send + Sync + 'static) -> Self {
        Self::on(0, respond)
    }

    fn on(port: u16, respond: impl Fn(&Message) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, respond): (Arc<Mutex<Vec<_>>>, Arc<Answer>) =
            (Arc::default(), Arc::new(respond));
        let noted = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (noted, respond) = (noted.clone(), respond.clone());
                thread::spawn(move || serve(stream, &noted, &*respond));
            }
        });
        Self { port, seen }
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Message> {
        self.seen.lock().unwrap().clone()
    }

    /// The only request so far.
    #[track_caller]
    pub(crate) fn only(&self) -> Message {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }

    /// The last request.
    #[track_caller]
    pub(crate) fn last(&self) -> Message {
        self.seen().pop().expect("a request")
    }
}

/// A 200 with further headers, each with its end of line.
pub(crate) fn answer(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Message>>, respond: &Answer) {
    let Ok(reader) = stream.try_clone() else { return };
    let mut reader = BufReader::new(reader);
    while let Some(request) = read_message(&mut reader, false) {
        let answer = respond(&request);
        seen.lock().unwrap().push(request);
        if stream.write_all(answer.as_bytes()).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}
