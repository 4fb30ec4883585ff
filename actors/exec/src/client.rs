//! The client's side of an exec socket: one run, its streams passed both ways at once.
//!
//! A thread reads stdin and sends it while the caller's thread reads the answer and writes it, so that
//! neither direction ever waits for the other. Both read and write as their files do by nature: a
//! descriptor that is shared with a shell is not to be made non-blocking.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use coproc_core::exit::ExitStatus;

use crate::answer::{Answer, NoAnswer};
use crate::netstring::encode;
use crate::protocol::Stream;

/// How much is read at a time, of stdin and of the answer.
const PIECE: usize = 64 << 10;

/// Why it is not known how the program ended.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No server answers at this path.
    #[error("no exec socket answers at `{path}`: {error}")]
    NobodyThere {
        /// The socket.
        path: String,
        /// The system's word.
        error: io::Error,
    },
    /// The server left without a word of the status.
    #[error(
        "the server closed the connection and did not say how the program ended: it may be full, \
         be stopping, or refuse this client"
    )]
    NoStatus,
    /// The server says what no exec socket says.
    #[error("the answer is not that of an exec socket: {0}")]
    NoAnswer(#[from] NoAnswer),
    /// The connection failed.
    #[error("the conversation with the server broke off: {0}")]
    Broken(io::Error),
    /// Stdin cannot be read; the program was told to end.
    #[error("standard input cannot be read: {0}")]
    Stdin(io::Error),
    /// Output cannot be written; the program was told to end.
    #[error("the output cannot be written: {0}")]
    Output(io::Error),
}

/// One run.
#[derive(Debug)]
pub struct Run {
    connection: UnixStream,
}

/// Ends a run from another thread.
#[derive(Debug)]
pub struct HangUp(UnixStream);

impl HangUp {
    /// Closes the connection: the server ends the program. What has come already can still be read.
    pub fn hang_up(&self) {
        // It was closed before.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Run {
    /// Connects to the socket at `path` and sends the arguments, which starts the program.
    ///
    /// # Errors
    /// [`ClientError::NobodyThere`] where nobody accepts.
    pub fn start(path: &Path, argv: &[OsString]) -> Result<Self, ClientError> {
        let nobody = |error| ClientError::NobodyThere { path: path.display().to_string(), error };
        let mut connection = UnixStream::connect(path).map_err(nobody)?;
        let mut arguments = Vec::new();
        encode(argv.len().to_string().as_bytes(), &mut arguments);
        argv.iter().for_each(|argument| encode(argument.as_bytes(), &mut arguments));
        // A server that takes no more may have said why.
        let _ = connection.write_all(&arguments);
        Ok(Self { connection })
    }

    /// What ends this run from another thread.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn hang_up(&self) -> Result<HangUp, ClientError> {
        self.connection.try_clone().map(HangUp).map_err(ClientError::Broken)
    }

    /// Passes the streams until the server has closed the connection; gives how the program ended.
    /// Stdin may be read a little further than the program reads it.
    ///
    /// # Errors
    /// As [`ClientError`] says. The connection is closed then, so that the server ends the program.
    pub fn pass(
        mut self,
        stdin: impl Read + Send + 'static,
        stdout: impl Write,
        stderr: impl Write,
    ) -> Result<ExitStatus, ClientError> {
        let hang_up = self.hang_up()?;
        let unreadable = Unreadable::default();
        let feeder = Feeder {
            connection: self.connection.try_clone().map_err(ClientError::Broken)?,
            unreadable: unreadable.clone(),
        };
        // It may wait for a terminal when all else is over, and is not waited for.
        thread::Builder::new()
            .name("coproc-stdin".into())
            .spawn(move || feeder.feed(stdin))
            .map_err(ClientError::Broken)?;
        let result = self.write_answer(stdout, stderr);
        if result.is_err() {
            hang_up.hang_up();
        }
        let unreadable = unreadable.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (result, unreadable) {
            (Err(_), Some(error)) => Err(ClientError::Stdin(error)),
            (result, _) => result,
        }
    }

    fn write_answer(
        &mut self,
        mut stdout: impl Write,
        mut stderr: impl Write,
    ) -> Result<ExitStatus, ClientError> {
        let mut answer = Answer::default();
        let mut piece = vec![0; PIECE];
        loop {
            let read = match self.connection.read(&mut piece) {
                // A server that did not read all of stdin leaves by a reset.
                Ok(0) => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(ClientError::Broken(error)),
            };
            let mut bytes = &piece[..read];
            while let Some((stream, output)) = answer.next(&mut bytes)? {
                match stream {
                    Stream::Stdout => stdout.write_all(output),
                    Stream::Stderr => stderr.write_all(output),
                }
                .map_err(ClientError::Output)?;
            }
        }
        answer.status().ok_or(ClientError::NoStatus)
    }
}

/// Why stdin could not be read on.
type Unreadable = Arc<Mutex<Option<io::Error>>>;

/// What sends stdin.
struct Feeder {
    connection: UnixStream,
    unreadable: Unreadable,
}

impl Feeder {
    /// Sends everything and the end mark. It ends without a word where the server takes no more.
    fn feed(mut self, mut stdin: impl Read) {
        let mut piece = vec![0; PIECE];
        let mut string = Vec::new();
        loop {
            let read = match stdin.read(&mut piece) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    *self.unreadable.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    // The program would take what it has for all.
                    let _ = self.connection.shutdown(Shutdown::Both);
                    return;
                }
            };
            string.clear();
            // The end is an empty string, the end mark.
            encode(&piece[..read], &mut string);
            if self.connection.write_all(&string).is_err() || read == 0 {
                return;
            }
        }
    }
}
