//! What `coproc stop --plan` and `coproc reload --config` make of the wrapper's plans.

use std::fmt::Write;
use std::time::Duration;

use coproc_core::duration::rough;
use serde_json::Value;

/// A line for each step.
pub(crate) fn table(plan: &Value) -> String {
    let time = |key: &Value| Duration::try_from_secs_f64(key.as_f64().unwrap_or_default());
    let time = |key: &Value| rough(time(key).unwrap_or_default());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut rows = vec![["AT THE LATEST", "WHO", "WHAT"].map(str::to_owned)];
    for step in plan["steps"].as_array().into_iter().flatten() {
        let what = match (step["signal"].as_str(), step["action"].as_str()) {
            (Some(signal), _) => signal.to_owned(),
            (None, Some("stop-command")) => {
                format!("its stop command, killed after {}", time(&step["limit_s"]))
            }
            (None, Some("start")) => {
                format!(
                    "is started by exit, which waits for its end for {}",
                    time(&step["limit_s"])
                )
            }
            (None, Some("drain")) => "finish what they have".to_owned(),
            (None, other) => other.unwrap_or_default().to_owned(),
        };
        rows.push([time(&step["by_s"]), text(&step["who"]), what]);
    }
    rows.push([time(&plan["limit_s"]), "all that is left".to_owned(), "KILL".to_owned()]);
    rows.push([time(&plan["gone_s"]), "coproc".to_owned(), "leaves".to_owned()]);
    if !plan["strays_s"].is_null() {
        let what = format!("TERM, and KILL {} later", time(&plan["strays_s"]));
        rows.push([time(&plan["gone_s"]), "what left its group".to_owned(), what]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let [first, second] = [0, 1].map(|column| width(column).unwrap_or(0));
    let mut out = String::new();
    for [by, who, what] in &rows {
        let _ = writeln!(out, "{by:first$}  {who:second$}  {what}");
    }
    for late in plan["cut"].as_array().into_iter().flatten() {
        let (late, limit) = (text(late), time(&plan["limit_s"]));
        let _ = writeln!(
            out,
            "{late}: if all before it take their time, shutdown_timeout ({limit}) leaves no time \
             for all of its steps"
        );
    }
    out
}

/// A line for each thing that a changed config does.
pub(crate) fn change(plan: &Value) -> String {
    let lines = plan["lines"].as_array().into_iter().flatten();
    lines.filter_map(Value::as_str).map(|line| format!("{line}\n")).collect()
}

/// Who does not run although a changed config has started it.
pub(crate) fn failing(answer: &Value) -> Option<String> {
    let all = answer["failing"].as_array().filter(|all| !all.is_empty())?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |one: &Value| {
        format!(
            "error: `{}` does not run: it is in state {}\n",
            text(&one["name"]),
            text(&one["state"])
        )
    };
    Some(all.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_plan_is_read_from_top_to_bottom() {
        let plan = json!({
            "limit_s": 30.0, "gone_s": 31.0, "strays_s": 1.0,
            "steps": [
                { "by_s": 0.0, "who": "main", "signal": "QUIT" },
                { "by_s": 25.0, "who": "agent", "action": "stop-command", "limit_s": 10.0 },
            ],
            "cut": ["agent"],
        });
        assert_eq!(
            table(&plan),
            "AT THE LATEST  WHO                  WHAT\n\
             0.0 s          main                 QUIT\n\
             25.0 s         agent                its stop command, killed after 10.0 s\n\
             30.0 s         all that is left     KILL\n\
             31.0 s         coproc               leaves\n\
             31.0 s         what left its group  TERM, and KILL 1.0 s later\n\
             agent: if all before it take their time, shutdown_timeout (30.0 s) leaves no time for \
             all of its steps\n"
        );
    }
}
