//! `coproc task`: has a task done through the coordinator, and prints what comes of it.

mod arguments;
mod listing;
mod remote;

use std::future::pending;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use coproc_acomm::Url;
use coproc_coordinator::router::{Order, is_task};
use coproc_core::exit::{FAILURE, USAGE};
use coproc_core::scalar::printable;
use coproc_provider::{Call, CallError, Caller, Offer, is_served, remove_stale};
use serde_json::value::{RawValue, to_raw_value};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use crate::cli::Task;
use crate::clients::NOBODY_THERE;
use crate::config::{self, Sources};
use crate::console::{self, answer, complain};
use crate::event_loop;
use remote::Remote;

pub use remote::TOKEN_VARIABLE;

/// The variable that names the socket of the coordinator that one runs under.
pub const COORDINATOR_VARIABLE: &str = "COPROC_COORDINATOR_SOCKET";
/// The name under which streams of this command are offered.
const NAME: &str = "coproc-task";
/// How long an answer may take where neither the command line nor the config says it.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How much of a stream is written at a time.
const PIECE: usize = 64 << 10;

/// A coordinator, as far as its clients have to know it.
struct Coordinator {
    socket: PathBuf,
    timeout: Duration,
    order: Order,
}

/// Where a coordinator is reached.
enum Place {
    /// By its socket.
    Here(Coordinator),
    /// Over HTTP.
    There(Remote),
}

/// Why there is no answer, in a sentence, and the exit status that says so.
struct Failure {
    why: String,
    code: u8,
}

impl Failure {
    fn new(code: u8, why: impl Into<String>) -> Self {
        Self { why: why.into(), code }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let code = match error {
            CallError::NobodyThere { .. } => NOBODY_THERE,
            CallError::Refused(_) | CallError::TooLate => FAILURE,
        };
        Self::new(code, error.to_string())
    }
}

/// Carries the command out. `sources` is the config that names the coordinator.
pub fn task(task: &Task, sources: Sources) -> ExitCode {
    match carry_out(task, sources) {
        Ok(written) => console::status(written),
        Err(Failure { why, code }) => {
            complain(&format!("error: {}\n", harmless(why.trim_end())));
            ExitCode::from(code)
        }
    }
}

/// A text that somebody else may have written, for a terminal: lines stay lines, and no other control
/// character acts.
fn harmless(text: &str) -> String {
    let lines = text.split('\n').map(|line| line.split('\t').map(printable).collect::<Vec<_>>());
    lines.map(|parts| parts.join("\t")).collect::<Vec<_>>().join("\n")
}

fn carry_out(task: &Task, sources: Sources) -> Result<io::Result<()>, Failure> {
    let (task, sources, url) = settle(task, sources)?;
    let task = &task;
    let args = arguments(task)?;
    let place = match url.filter(|url| !url.is_unix()) {
        Some(url) => Place::There(remote(url, task, &sources)?),
        None => Place::Here(coordinator(task, sources)?),
    };
    let system = event_loop::start().map_err(|why| Failure::new(FAILURE, why))?;
    system.block_on(async {
        tokio::select! {
            // Signals are heeded before there is a socket: nothing is left behind, since the sockets
            // go with the conversation.
            biased;
            code = interrupted() => Err(Failure::new(code, "interrupted")),
            done = async {
                match place {
                    Place::Here(coordinator) if task.list => list(&coordinator),
                    Place::Here(coordinator) => converse(&coordinator, args, task).await,
                    Place::There(remote) => remote.converse(args, task).await,
                }
            } => done,
        }
    })
}

/// Settles what can be said in two ways: the task's name, and the coordinator's address, which the old
/// client has in the place of a config file.
fn settle(task: &Task, mut sources: Sources) -> Result<(Task, Sources, Option<Url>), Failure> {
    let wrong = |why: String| Failure::new(USAGE, why);
    let mut task = task.clone();
    if task.task.is_some() {
        if task.json.is_some() {
            let why = "the task is named twice, by -t and by itself".to_owned();
            return Err(wrong(why));
        }
        task.json = task.name.take();
    }
    let given = task.json.is_some() && !(task.args.is_empty() && task.texts.is_empty());
    if given {
        return Err(wrong("the arguments are either JSON or -a and --raw-string".to_owned()));
    }
    match task.task_name() {
        None if !task.list => return Err(wrong("the name of a TASK is missing".to_owned())),
        Some(name) if !is_task(name) => {
            return Err(wrong(format!("`{}` is not the name of a task", printable(name))));
        }
        _ => {}
    }
    if let Some(at) = task.response_address.as_deref().filter(|at| !is_listened_on(at)) {
        let why = "is not an address to listen on: expected `HOST:PORT` or `:PORT`";
        return Err(wrong(format!("`{}` {why}", printable(at))));
    }
    let is_url = |file: &PathBuf| file.to_str().is_some_and(|text| text.contains("://"));
    let mut urls: Vec<_> = task.url.iter().cloned().collect();
    for file in sources.files.extract_if(.., |file| is_url(file)) {
        urls.push(file.to_string_lossy().into_owned());
    }
    let Some(text) = urls.pop() else { return Ok((task, sources, None)) };
    let url = Url::parse(&text).ok().filter(|url| {
        let http = url.scheme == "http" && !url.host.is_empty() && !url.user;
        http || (url.is_unix() && !url.path.is_empty())
    });
    let Some(url) = url else {
        let why =
            "is not the address of a coordinator: expected `http://HOST:PORT` or `unix://PATH`";
        return Err(wrong(format!("`{}` {why}", printable(&text))));
    };
    if url.is_unix() {
        task.socket = Some(url.socket());
    } else if task.list {
        return Err(wrong("tasks are listed on the coordinator's own machine alone".to_owned()));
    }
    Ok((task, sources, Some(url)))
}

/// Whether a text has a port, and a host or none before it.
fn is_listened_on(at: &str) -> bool {
    let url = Url { host: at.to_owned(), ..Url::default() };
    url.port().is_some()
}

fn remote(url: Url, task: &Task, sources: &Sources) -> Result<Remote, Failure> {
    let token = sources.variable(TOKEN_VARIABLE).map(str::to_owned);
    if token.as_ref().is_some_and(|token| token.chars().any(char::is_control)) {
        let why = format!("{TOKEN_VARIABLE} has a control character");
        return Err(Failure::new(USAGE, why));
    }
    Ok(Remote { url, token, timeout: task.limit().unwrap_or(TIMEOUT) })
}

/// The arguments of the task, in one of their forms.
fn arguments(task: &Task) -> Result<Option<Box<RawValue>>, Failure> {
    let wrong = |why: String| Failure::new(USAGE, why);
    let text = match task.json.as_deref() {
        None if task.args.is_empty() && task.texts.is_empty() => return Ok(None),
        None => {
            let object = arguments::object(&task.args, &task.texts).map_err(wrong)?;
            return to_raw_value(&object).map(Some).map_err(|error| wrong(error.to_string()));
        }
        Some("-") if task.stream => {
            return Err(wrong("standard input is either the arguments or the stream".into()));
        }
        Some("-") => {
            let mut text = String::new();
            let read = io::stdin().lock().read_to_string(&mut text);
            read.map_err(|error| wrong(format!("standard input cannot be read: {error}")))?;
            text
        }
        Some(text) => text.to_owned(),
    };
    let args: Box<RawValue> =
        serde_json::from_str(&text).map_err(|error| wrong(format!("JSON: {error}")))?;
    Ok(Some(args).filter(|args| args.get() != "null"))
}

/// The coordinator: the flag's, the surrounding wrapper's, or the config's.
fn coordinator(task: &Task, sources: Sources) -> Result<Coordinator, Failure> {
    let sources = Sources { file_optional: true, ..sources };
    let named = task.socket.clone();
    let named = named.or_else(|| sources.variable(COORDINATOR_VARIABLE).map(PathBuf::from));
    let (socket, timeout, order) = match named {
        Some(socket) => (socket, TIMEOUT, Order::default()),
        None => {
            let loaded = config::load(&sources);
            let loaded = loaded.map_err(|errors| {
                let text = errors.to_string();
                Failure::new(USAGE, text.strip_prefix("error: ").unwrap_or(&text))
            })?;
            let none = || {
                let why = "the config has no [coordinator]; `--socket PATH` names one";
                Failure::new(USAGE, why)
            };
            let coordinator = loaded.coordinator().map_err(|why| Failure::new(USAGE, why))?;
            let coordinator = coordinator.ok_or_else(none)?;
            (coordinator.internal(), coordinator.request_timeout, coordinator.priority_order)
        }
    };
    let timeout = task.limit().unwrap_or(timeout);
    // The provider that answers has another working directory.
    let socket = std::path::absolute(&socket).unwrap_or(socket);
    Ok(Coordinator { socket, timeout, order })
}

impl Coordinator {
    /// The folder of sockets: `SOCKET_DIR/coordinator/NAME.sock`.
    fn socket_dir(&self) -> &Path {
        self.socket.ancestors().nth(2).unwrap_or(Path::new("/"))
    }

    /// Opens the socket to which the answer comes: beside the coordinator's, or in the folder of
    /// temporary files where that one is not for us.
    fn caller(&self) -> io::Result<Caller> {
        let name = format!("{NAME}-{}.sock", std::process::id());
        let open = |folder: PathBuf| {
            remove_stale(&folder, &format!("{NAME}-"));
            Caller::open(&self.socket, &folder.join(&name), self.timeout)
        };
        match open(self.socket_dir().join("response")) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                open(std::env::temp_dir())
            }
            opened => opened,
        }
    }
}

fn list(coordinator: &Coordinator) -> Result<io::Result<()>, Failure> {
    let shown = coordinator.socket.display();
    match is_served(&coordinator.socket) {
        Ok(true) => {}
        Ok(false) => {
            let why = format!("no coordinator answers at `{shown}`");
            return Err(Failure::new(NOBODY_THERE, why));
        }
        Err(error) => return Err(Failure::new(NOBODY_THERE, format!("`{shown}`: {error}"))),
    }
    Ok(answer(&listing::table(coordinator.socket_dir(), coordinator.order)))
}

async fn converse(
    coordinator: &Coordinator,
    args: Option<Box<RawValue>>,
    task: &Task,
) -> Result<io::Result<()>, Failure> {
    let broken = |what: &str, error: io::Error| Failure::new(FAILURE, format!("{what}: {error}"));
    if let Ok(false) = is_served(&coordinator.socket) {
        // Said here, since without a coordinator there may be no folder for the answer either.
        let why = format!("no coordinator answers at `{}`", coordinator.socket.display());
        return Err(Failure::new(NOBODY_THERE, why));
    }
    let caller =
        coordinator.caller().map_err(|error| broken("there is no socket for the answer", error))?;
    let name = task.task_name().unwrap_or_default();
    let mut call = Call::verbatim(name, args);
    let mut serving = None;
    if task.stream {
        // All of these are this command's.
        remove_stale(&coordinator.socket_dir().join("streams").join(name).join(NAME), "");
        let offer = Offer::bind(coordinator.socket_dir(), name, NAME);
        let offer = offer.map_err(|error| broken("standard input cannot be offered", error))?;
        call = call.with_stream(offer.url());
        let source = standard_input().map_err(|error| broken("standard input", error))?;
        serving = Some(tokio::task::spawn(offer.serve(source, pending())));
    }
    let reply = caller.call(call).await;
    let done = match reply {
        Ok(reply) => match reply.stream().await {
            // It comes from another coordinator.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => match reply.stream_url() {
                Some(url) => remote::copy_from(url).await,
                None => Err(broken("the stream cannot be fetched", error)),
            },
            Ok(Some(stream)) => copy(stream).await,
            Ok(None) => Ok(answer(&format!("{}\n", compact(reply.json())))),
            Err(error) => Err(broken("the stream cannot be fetched", error)),
        },
        Err(error) => Err(error.into()),
    };
    if let Some(serving) = serving {
        serving.abort();
        // Its socket goes with it.
        let _ = serving.await;
    }
    done
}

/// Writes a stream to standard output as it comes.
async fn copy(mut stream: UnixStream) -> Result<io::Result<()>, Failure> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = stream.read(&mut piece).await;
        let length =
            read.map_err(|error| Failure::new(FAILURE, format!("the stream broke off: {error}")))?;
        if length == 0 {
            return Ok(Ok(()));
        }
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(&piece[..length]).and_then(|()| out.flush()) {
            return Ok(Err(error));
        }
    }
}

/// Standard input, read by a thread that nobody waits for: reading a terminal cannot be given up.
fn standard_input() -> io::Result<UnixStream> {
    let (ours, mut theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    std::thread::Builder::new().name("stdin".into()).spawn(move || {
        // Whoever reads it sees the end, which is all that can be told.
        let _ = io::copy(&mut io::stdin().lock(), &mut theirs);
    })?;
    UnixStream::from_std(ours)
}

/// Resolves to the exit status when this process is told to end.
async fn interrupted() -> u8 {
    let (Ok(mut term), Ok(mut int)) = (told(SIGTERM), told(SIGINT)) else {
        return pending().await;
    };
    let signal = tokio::select! {
        _ = term.read_u8() => SIGTERM,
        _ = int.read_u8() => SIGINT,
    };
    128 + u8::try_from(signal).unwrap_or(0)
}

/// A stream with a byte for each of these signals from now on.
fn told(signal: i32) -> io::Result<UnixStream> {
    let (read, write) = StdStream::pair()?;
    pipe::register(signal, write)?;
    read.set_nonblocking(true)?;
    UnixStream::from_std(read)
}

/// JSON without blanks between its parts, and so in one line; numbers stay as they were written.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut within, mut escaped) = (false, false);
    for letter in json.chars() {
        if !within && letter.is_ascii_whitespace() {
            continue;
        }
        match letter {
            '"' if !escaped => within = !within,
            _ => {}
        }
        escaped = within && letter == '\\' && !escaped;
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_does_nothing_to_a_terminal() {
        let said = "one\n\ttwo\u{1b}[2J\u{9b}31m\r\u{7}";
        assert_eq!(harmless(said), "one\n\ttwo\\u{1b}[2J\\u{9b}31m\\r\\u{7}");
    }

    #[test]
    fn arguments_stay_as_they_were_written() {
        let args = |json: &str| {
            let task = Task { json: Some(json.to_owned()), ..Task::default() };
            arguments(&task).map(|args| args.map(|args| args.get().to_owned())).ok()
        };
        for json in ["18446744073709551616", "[1e400, 0.10000000000000000555]", "{\"a\": 1}"] {
            assert_eq!(args(json), Some(Some(json.to_owned())));
        }
        assert_eq!((args("null"), args("{")), (Some(None), None));
    }

    #[test]
    fn blanks_go_where_they_mean_nothing() {
        let json =
            "{ \"a b\" : [1.50,\n 12345678901234567890 ],\t\"c\\\" d\": \"\\\\\" , \"e\": 1 }";
        let expected = "{\"a b\":[1.50,12345678901234567890],\"c\\\" d\":\"\\\\\",\"e\":1}";
        assert_eq!(compact(json), expected);
    }
}
