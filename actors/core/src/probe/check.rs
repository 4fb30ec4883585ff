//! One try of an active probe: it knocks, within its time, and says what it heard.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::config::{Address, HttpTarget, TcpAddress};
use crate::exit::ExitStatus;
use crate::output::Output;
use crate::process::{self, Command, Ended, plain};
use crate::world::Answer;

/// As much of an answer is read to find its status line.
const HEAD: usize = 4096;

/// What an active probe does, with its paths interpolated.
pub(super) enum Check {
    /// Runs a program; it is made anew for each try, since what it is told may change.
    Exec(Box<dyn Fn() -> Command>, Output),
    /// Asks an HTTP server.
    Http(HttpTarget),
    /// Connects to a port.
    Tcp(TcpAddress),
    /// Connects to a socket.
    Unix(String),
    /// Looks for a file.
    File(PathBuf),
    /// Hears what an imagined world says.
    Imagined(watch::Receiver<Answer>),
}

impl Check {
    /// Tries once; the error says in a few words what was wrong.
    pub(super) async fn run(&self, limit: Duration) -> Result<(), String> {
        let tried = async {
            match self {
                // The program's end within its time is bounded by the one who runs it.
                Self::Exec(command, output) => exec(command(), output, limit).await,
                Self::Http(target) => bounded(limit, http(target)).await,
                Self::Tcp(address) => bounded(limit, connect(address)).await.map(drop),
                Self::Unix(path) => {
                    bounded(limit, async { UnixStream::connect(path).await.map_err(words) })
                        .await
                        .map(drop)
                }
                Self::File(path) => bounded(limit, file(path.clone())).await,
                Self::Imagined(answers) => answers.borrow().clone(),
            }
        };
        tried.await
    }
}

impl Check {
    /// Waits until there can be another answer, where that can be known: an imagined world says so, and
    /// need not be asked a million times until then.
    pub(super) async fn news(&self) {
        if let Self::Imagined(answers) = self {
            let mut answers = answers.clone();
            answers.mark_unchanged();
            if answers.changed().await.is_err() {
                // What ended it ends the probe as well.
                std::future::pending().await
            }
        }
    }
}

async fn bounded<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    match timeout(limit, work).await {
        Ok(answer) => answer,
        Err(_) => Err(too_late(limit)),
    }
}

fn too_late(limit: Duration) -> String {
    format!("no answer within {}", humantime::format_duration(limit))
}

fn words(error: io::Error) -> String {
    plain(&error)
}

async fn exec(command: Command, output: &Output, limit: Duration) -> Result<(), String> {
    match process::run(command, output, limit).await {
        Ok(Ended::InTime(ExitStatus::Code(0))) => Ok(()),
        Ok(Ended::InTime(status)) => Err(status.to_string()),
        Ok(Ended::TooLate) => Err(too_late(limit)),
        Err(error) => Err(error.to_string()),
    }
}

async fn connect(address: &TcpAddress) -> Result<TcpStream, String> {
    TcpStream::connect((address.host.as_str(), address.port)).await.map_err(words)
}

async fn http(target: &HttpTarget) -> Result<(), String> {
    match &target.address {
        Address::Tcp(address) => {
            get(connect(address).await?, &target.path, &address.to_string()).await
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(words)?;
            get(stream, &target.path, "localhost").await
        }
    }
}

/// A GET over a stream of its own. Only the status line is looked at.
async fn get(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
    host: &str,
) -> Result<(), String> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: coproc\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(words)?;
    let mut head = Vec::with_capacity(256);
    let mut buffer = [0; 512];
    while !head.contains(&b'\n') && head.len() < HEAD {
        match stream.read(&mut buffer).await.map_err(words)? {
            0 => break,
            read => head.extend_from_slice(&buffer[..read]),
        }
    }
    match status(&head) {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("status {status}")),
        None => Err("the answer is not HTTP".to_owned()),
    }
}

/// The status of an answer's first line.
fn status(head: &[u8]) -> Option<u16> {
    let end = head.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&head[..end]).ok()?.trim_end();
    let (version, rest) = line.split_once(' ')?;
    let digits = rest.split(' ').next()?;
    let known = matches!(version, "HTTP/1.0" | "HTTP/1.1");
    let three = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    (known && three).then(|| digits.parse().ok()).flatten()
}

/// In a thread of the pool: a file may lie on a file system that does not answer.
async fn file(path: PathBuf) -> Result<(), String> {
    match tokio::task::spawn_blocking(move || std::fs::metadata(path).map(drop)).await {
        Ok(found) => found.map_err(words),
        Err(_) => Err("it could not be looked for".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, UnixListener};

    const LIMIT: Duration = Duration::from_millis(500);

    #[test]
    fn status_lines() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 503\n", Some(503)),
            ("HTTP/1.1 404 Not Found\r\nX: y\r\n", Some(404)),
            ("HTTP/1.1 200 OK", None),
            ("HTTP/2 200\r\n", None),
            ("HTTP/1.1 20 OK\r\n", None),
            ("HTTP/1.1 +20 OK\r\n", None),
            ("220 mail.example\r\n", None),
            ("\r\n", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head}");
        }
    }

    /// Answers one connection with these bytes, after it has read something.
    async fn server(answer: &'static str) -> Check {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
        });
        let address = Address::Tcp(TcpAddress { host: "127.0.0.1".into(), port });
        Check::Http(HttpTarget { address, path: "/".into() })
    }

    #[test]
    fn answers_good_bad_and_none() {
        actix_rt::System::new().block_on(async {
            let run = async |answer| server(answer).await.run(LIMIT).await;
            assert_eq!(run("HTTP/1.1 204 No Content\r\n\r\n").await, Ok(()));
            assert_eq!(run("HTTP/1.1 302 Found\r\n\r\n").await, Ok(()));
            assert_eq!(run("HTTP/1.1 500 Oops\r\n\r\n").await, Err("status 500".into()));
            assert_eq!(run("hello\n").await, Err("the answer is not HTTP".into()));
            assert_eq!(run("").await, Err("no answer within 500ms".into()));
        });
    }

    #[test]
    fn an_endless_first_line_is_not_read_to_its_end() {
        actix_rt::System::new().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::task::spawn_local(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
            });
            let address = Address::Tcp(TcpAddress { host: "127.0.0.1".into(), port });
            let check = Check::Http(HttpTarget { address, path: "/".into() });
            assert_eq!(check.run(LIMIT * 20).await, Err("the answer is not HTTP".into()));
        });
    }

    #[test]
    fn sockets_and_files() {
        actix_rt::System::new().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("socket");
            let unix = Check::Unix(path.display().to_string());
            assert_eq!(unix.run(LIMIT).await, Err("no such file or directory".into()));
            let listener = UnixListener::bind(&path).unwrap();
            assert_eq!(unix.run(LIMIT).await, Ok(()));
            drop(listener);
            assert_eq!(unix.run(LIMIT).await, Err("connection refused".into()));
            assert_eq!(Check::File(path).run(LIMIT).await, Ok(()));
            let nothing = Check::File(folder.path().join("nothing"));
            assert_eq!(nothing.run(LIMIT).await, Err("no such file or directory".into()));
        });
    }
}
