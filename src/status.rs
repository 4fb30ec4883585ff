//! What a running wrapper does, as a table for people.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

/// The status as a table whose columns are as wide as their widest cell.
pub(crate) fn table(status: &Value) -> String {
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
            humantime::format_duration(Duration::from_secs(seconds)),
        );
    }
}

fn row(name: &str, value: &Value) -> [String; 8] {
    let dash = || "-".to_owned();
    let number = |key: &str| value[key].as_u64().map_or_else(dash, |number| number.to_string());
    let uptime = value["uptime_s"].as_f64().map_or_else(dash, |seconds| {
        let whole = Duration::from_secs(seconds as u64);
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
