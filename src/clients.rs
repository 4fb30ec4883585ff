//! The commands that talk to a running wrapper.

use std::fmt::Write;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use coproc_control::client::{Call, ClientError, Target, send};
use coproc_control::token::Token;
use coproc_core::exit::{FAILURE, USAGE};
use coproc_core::process::hung_up;
use serde_json::{Map, Value};

use crate::cli::{Client, Command, StatusFormat, Stop};
use crate::config::{self, Sources};
use crate::console::{self, answer, complain};
use crate::event_loop;
use crate::plans;
use crate::reasons;

/// The variable that names the socket of the wrapper one runs under.
const SOCKET_VARIABLE: &str = "COPROC_SOCKET";

/// The variable that names a port of a wrapper.
const URL_VARIABLE: &str = "COPROC_URL";
/// The variable that names the file with the token for it.
const TOKEN_FILE_VARIABLE: &str = "COPROC_TOKEN_FILE";

/// Nobody answers on the socket.
pub(crate) const NOBODY_THERE: u8 = 3;

/// It has not come to be so in time, as timeout(1) has it.
const LATE: u8 = 124;

/// Who asks may not.
const DENIED: u8 = 4;

/// How an answer is shown.
enum Show {
    /// Nothing: the exit status says it.
    Nothing,
    /// As it comes.
    Raw,
    /// As this makes of it.
    Told(fn(&Value) -> String),
    /// As lines of a log.
    Lines,
    /// As the culprits of a health check.
    Culprits,
}

/// Carries out a client command; `None` for a command that is none. `sources` reads the config that
/// names the socket.
pub fn client(command: &Command, sources: impl Fn(&Client) -> Sources) -> Option<ExitCode> {
    let ask = |name: &str, action| Call::post(&["coprocesses", name, action], None);
    let order = |name: &str, action| ask(name, action).waiting();
    let (client, call, show) = match command {
        Command::Status(status) => {
            let show = match status.format {
                StatusFormat::Text => Show::Told(table),
                StatusFormat::Json => Show::Raw,
            };
            let query: Vec<_> =
                status.name.clone().map(|name| ("name", name)).into_iter().collect();
            (&status.client, Call::get(&["status"], &query), show)
        }
        Command::Why(why) => {
            let show = match (why.format, &why.name) {
                (StatusFormat::Json, _) => Show::Raw,
                (StatusFormat::Text, Some(_)) => Show::Told(reasons::each),
                (StatusFormat::Text, None) => Show::Told(reasons::unwanted),
            };
            let query: Vec<_> = why.name.clone().map(|name| ("name", name)).into_iter().collect();
            (&why.client, Call::get(&["why"], &query), show)
        }
        Command::Events(events) => {
            let mut query = vec![("since", events.since.unwrap_or(0).to_string())];
            if events.follow {
                query.push(("follow", "1".to_owned()));
            }
            let call = Call::get(&["events"], &query).following(events.follow);
            (&events.client, call, Show::Raw)
        }
        Command::Logs(logs) => {
            let mut query = Vec::new();
            query.extend(logs.name.clone().map(|name| ("name", name)));
            query.extend(logs.lines.map(|n| ("n", n.to_string())));
            if logs.follow {
                query.push(("follow", "1".to_owned()));
            }
            let call = Call::get(&["logs"], &query).following(logs.follow);
            (&logs.client, call, Show::Lines)
        }
        Command::Wait(wait) => {
            let query = [("for", wait.until.clone())];
            let call = Call::get(&["coprocesses", &wait.name, "wait"], &query).waiting();
            (&wait.client, call, Show::Nothing)
        }
        Command::Start(one) => (&one.client, order(&one.name, "start"), Show::Nothing),
        Command::Stop(Stop { client, plan: false, name: Some(name), .. }) => {
            (client, order(name, "stop"), Show::Nothing)
        }
        Command::Stop(stop) => {
            let show = match stop.format {
                StatusFormat::Text => Show::Told(plans::table),
                StatusFormat::Json => Show::Raw,
            };
            (&stop.client, Call::get(&["plan"], &[]), show)
        }
        Command::Restart(one) => (&one.client, order(&one.name, "restart"), Show::Nothing),
        Command::Background(one) => (&one.client, ask(&one.name, "background"), Show::Nothing),
        Command::Foreground(one) => (&one.client, ask(&one.name, "foreground"), Show::Nothing),
        Command::Set(set) => {
            let changes: Map<String, Value> =
                set.changes.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
            let call = Call::post(&["coprocesses", &set.name, "set"], Some(changes.into()));
            (&set.client, call, Show::Nothing)
        }
        Command::Signal(signal) => {
            let body = serde_json::json!({ "signal": signal.signal.to_string() });
            let call = Call::post(&["coprocesses", &signal.name, "signal"], Some(body));
            (&signal.client, call, Show::Nothing)
        }
        Command::Reload(reload) if reload.is_of_config() => {
            let call = match reload.plan {
                true => Call::get(&["reconfigure", "plan"], &[]),
                false => Call::post(&["reconfigure"], None),
            };
            let show = match reload.format {
                StatusFormat::Text => Show::Told(plans::change),
                StatusFormat::Json => Show::Raw,
            };
            (&reload.client, call.waiting(), show)
        }
        Command::Reload(reload) => {
            (&reload.client, Call::post(&["reload"], None).waiting(), Show::Nothing)
        }
        Command::Emit(one) => {
            let body = serde_json::json!({ "name": one.name });
            (&one.client, Call::post(&["emit"], Some(body)), Show::Nothing)
        }
        Command::Keys(keys) => match keys.action.call() {
            Ok(call) => (keys.action.client(), call, Show::Told(keys.action.show())),
            Err(why) => {
                complain(&format!("error: {why}\n"));
                return Some(ExitCode::from(USAGE));
            }
        },
        Command::Health(client) => (client, Call::health(), Show::Culprits),
        Command::Run(_) | Command::Coordinator(_) | Command::ExecServer(_) => return None,
        Command::Simulate(_) | Command::Doctor(_) | Command::Import(_) => return None,
        Command::Check(_) | Command::Debug(_) | Command::Schema(_) | Command::Version => {
            return None;
        }
        Command::Exec(_) | Command::Task(_) => return None,
        #[cfg(feature = "top")]
        Command::Top(_) => return None,
        Command::Completions(_) | Command::Man(_) => return None,
    };
    let limit = match command {
        Command::Wait(wait) => wait.timeout.map(|limit| limit.pause()),
        _ => None,
    };
    let limit = limit.filter(|limit| !limit.is_zero());
    Some(match target(client, sources) {
        Ok(target) => converse(&target, call, &show, limit),
        Err(complaint) => {
            complain(&complaint);
            // For a health check there are only well and not well, and the config that `reload` is about
            // may well be the one that names the socket.
            let refused = matches!(command, Command::Reload(reload) if reload.is_of_config());
            let code = if refused || matches!(show, Show::Culprits) { FAILURE } else { USAGE };
            ExitCode::from(code)
        }
    })
}

/// The wrapper: the flags', the surrounding one, the variables', or the config's.
pub(crate) fn target(
    client: &Client,
    sources: impl Fn(&Client) -> Sources,
) -> Result<Target, String> {
    if let Some(path) = &client.socket {
        return Ok(Target::Socket(path.clone()));
    }
    // The wrapper may have been started with a main program and no file.
    let sources = Sources { file_optional: true, ..sources(client) };
    let port = |url: &str| {
        let file = client.token_file.as_deref();
        let file = file.or_else(|| sources.variable(TOKEN_FILE_VARIABLE).map(Path::new));
        let token = file.map(Token::of_file).transpose();
        token.and_then(|token| Target::read(url, token)).map_err(|why| format!("error: {why}\n"))
    };
    if let Some(url) = &client.url {
        return port(url);
    }
    if let Some(path) = sources.variable(SOCKET_VARIABLE) {
        return Ok(Target::Socket(path.into()));
    }
    if let Some(url) = sources.variable(URL_VARIABLE) {
        return port(url);
    }
    let loaded = config::load(&sources).map_err(|errors| errors.to_string())?;
    loaded.config.control.socket.map(Target::Socket).ok_or_else(|| {
        "error: control.socket is `none`, so that no wrapper can be asked\n".to_owned()
    })
}

/// Carries a call out. What takes longer than `limit` is given up.
fn converse(target: &Target, call: Call, show: &Show, limit: Option<Duration>) -> ExitCode {
    let system = match event_loop::start() {
        Ok(system) => system,
        Err(why) => {
            complain(&format!("error: {why}\n"));
            return ExitCode::from(FAILURE);
        }
    };
    let mut whole = Vec::new();
    let mut partial = Vec::new();
    let mut written = Ok(());
    let conversation = send(target, call, |piece| {
        match show {
            Show::Nothing | Show::Culprits => {}
            Show::Raw => written = answer(&String::from_utf8_lossy(piece)),
            Show::Told(_) => whole.extend_from_slice(piece),
            Show::Lines => {
                partial.extend_from_slice(piece);
                while let Some(end) = partial.iter().position(|byte| *byte == b'\n')
                    && written.is_ok()
                {
                    let line: Vec<u8> = partial.drain(..=end).collect();
                    written = answer(&log_line(&line));
                }
            }
        }
        written.is_ok()
    });
    let result = system.block_on(async {
        tokio::select! {
            result = conversation => result,
            // Who follows may have nothing to write for hours, and would not notice.
            () = reader_gone(), if matches!(show, Show::Raw | Show::Lines) => Ok(()),
            Some(limit) = late(limit) => Err(ClientError::Late(limit)),
        }
    });
    match result {
        Ok(()) => {
            if let Show::Told(tell) = show {
                written = match serde_json::from_slice(&whole) {
                    Ok(value) => {
                        let told = answer(&tell(&value));
                        if let Some(failing) = plans::failing(&value) {
                            complain(&failing);
                            return ExitCode::from(FAILURE);
                        }
                        told
                    }
                    Err(error) => {
                        complain(&format!("error: the wrapper's answer is not valid: {error}\n"));
                        return ExitCode::from(FAILURE);
                    }
                };
            }
            console::status(written)
        }
        Err(ClientError::Refused(culprits)) if matches!(show, Show::Culprits) => {
            // Not well, whoever reads it.
            let _ = console::status(answer(&format!("{}\n", culprits.trim_end())));
            ExitCode::from(FAILURE)
        }
        Err(error) => {
            complain(&match &error {
                // The report of a config that is not valid is whole as it is.
                ClientError::Refused(report) if report.ends_with('\n') => report.clone(),
                error => format!("error: {error}\n"),
            });
            ExitCode::from(match show {
                Show::Culprits => FAILURE,
                _ => exit_code(&error),
            })
        }
    }
}

/// The exit code that tells why there is no answer.
pub(crate) fn exit_code(error: &ClientError) -> u8 {
    match error {
        ClientError::NobodyThere { .. } => NOBODY_THERE,
        ClientError::Denied(_) => DENIED,
        ClientError::Late(_) => LATE,
        ClientError::Refused(_) | ClientError::Silent | ClientError::Broken(_) => FAILURE,
    }
}

/// Over when the time is; at once where there is no limit.
async fn late(limit: Option<Duration>) -> Option<Duration> {
    tokio::time::sleep(limit?).await;
    limit
}

/// Resolves once nobody reads standard output any more; never where it is a file.
async fn reader_gone() {
    hung_up(io::stdout().as_fd().try_clone_to_owned()).await;
}

/// A line of the log for people: time, name and text.
fn log_line(json: &[u8]) -> String {
    let Ok(line) = serde_json::from_slice::<Value>(json) else {
        return String::from_utf8_lossy(json).into_owned();
    };
    let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut out = String::new();
    if let Some(missed) = line.get("missed") {
        let _ = writeln!(out, "({missed} lines were missed)");
    }
    let _ = writeln!(out, "{} {} | {}", text("time"), text("logger"), text("msg"));
    out
}

/// The status as a table whose columns are as wide as their widest cell.
fn table(status: &Value) -> String {
    let mut rows = vec![
        ["NAME", "STATE", "PID", "UPTIME", "RESTARTS", "POLICY", "LAST EXIT", "READY"]
            .map(str::to_owned),
    ];
    if !status["main"].is_null() {
        rows.push(row("main", &status["main"]));
    }
    for coprocess in status["coprocesses"].as_array().into_iter().flatten() {
        rows.push(row(coprocess["name"].as_str().unwrap_or_default(), coprocess));
    }
    let widths: [usize; 8] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    for socket in status["exec_sockets"].as_array().into_iter().flatten() {
        exec_socket(socket, &mut out);
    }
    if !status["coordinator"].is_null() {
        coordinator(&status["coordinator"], &mut out);
    }
    for (name, lines) in status["dropped_lines"].as_object().into_iter().flatten() {
        let _ = writeln!(out, "log: {lines} lines of {name} dropped");
    }
    out
}

/// A line for the coordinator, and one for each task that somebody registered for.
fn coordinator(coordinator: &Value, out: &mut String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let figure = |key: &str| coordinator["figures"][key].as_u64().unwrap_or_default();
    let _ = write!(
        out,
        "coordinator {} at {}: {} waiting, {} taken, {} refused",
        text(&coordinator["service_name"]),
        text(&coordinator["internal"]),
        figure("waiting"),
        figure("taken"),
        figure("refused"),
    );
    if let Some(up) = coordinator["nats_up"].as_bool() {
        let (sent, received) = (figure("sent"), figure("received"));
        let away = if up { "" } else { ", NATS is away" };
        let _ = write!(out, ", {sent} sent to others, {received} received{away}");
    }
    out.push('\n');
    for task in coordinator["tasks"].as_array().into_iter().flatten() {
        let providers = task["providers"].as_array().into_iter().flatten();
        let names: Vec<_> = providers.map(|provider| text(&provider["service"])).collect();
        let _ = writeln!(out, "  {} by {}", text(&task["task"]), names.join(", "));
    }
}

/// A line for an exec socket, and one for each program that it runs.
fn exec_socket(socket: &Value, out: &mut String) {
    let text = |key: &str| socket[key].as_str().unwrap_or_default();
    let number = |key: &str| socket[key].as_u64().unwrap_or_default();
    let _ = writeln!(
        out,
        "exec socket {} at {}: {} of {} connections, {} started, {} refused",
        text("name"),
        text("path"),
        number("connected"),
        number("max_connections"),
        number("started"),
        number("refused"),
    );
    for run in socket["running"].as_array().into_iter().flatten() {
        let seconds = run["uptime_s"].as_f64().unwrap_or_default() as u64;
        let _ = writeln!(
            out,
            "  {} {} for uid {}, for {}",
            run["pid"],
            run["program"].as_str().unwrap_or_default(),
            run["uid"],
            humantime::format_duration(std::time::Duration::from_secs(seconds)),
        );
    }
}

fn row(name: &str, value: &Value) -> [String; 8] {
    let dash = || "-".to_owned();
    let number = |key: &str| value[key].as_u64().map_or_else(dash, |number| number.to_string());
    let uptime = value["uptime_s"].as_f64().map_or_else(dash, |seconds| {
        let whole = std::time::Duration::from_secs(seconds as u64);
        humantime::format_duration(whole).to_string()
    });
    let last = &value["last_exit"];
    let last_exit = match (last["code"].as_i64(), last["signal"].as_str()) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => signal.to_owned(),
        (None, None) => dash(),
    };
    let yes_or_no = if value["ready"] == true { "yes" } else { "no" };
    let next_run = value["next_run"].as_str().map(|at| format!("next run at {at}"));
    let wrong: Vec<_> = ["ready", "live"]
        .iter()
        .filter_map(|probe| value["probes"][probe].as_str())
        .chain(value["status"].as_str())
        .chain(next_run.as_deref())
        .collect();
    let ready = match wrong.is_empty() {
        true => yes_or_no.to_owned(),
        false => format!("{yes_or_no}: {}", wrong.join("; ")),
    };
    [
        name.to_owned(),
        value["state"].as_str().unwrap_or("-").to_owned(),
        number("pid"),
        uptime,
        number("restarts"),
        value["policy"].as_str().unwrap_or("-").to_owned(),
        last_exit,
        ready,
    ]
}
