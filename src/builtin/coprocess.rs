//! The task `coprocess`: what runs, and start, stop and restart.

use actix::Recipient;
use coproc_control::request::{Ask, Order, Request as Asked};
use coproc_provider::{Answer, Request, Value};
use serde::Deserialize;
use tokio::sync::oneshot;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    action: Action,
    name: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Status,
    Start,
    Stop,
    Restart,
}

/// Does it, and answers as the control socket does; the status of one where one is named.
pub(super) async fn carry_out(request: Request, root: Recipient<Ask>) -> Result<Answer, String> {
    let Args { action, name } = request.args().map_err(|error| error.to_string())?;
    let order = |order| match name.clone() {
        Some(name) => Ok(Asked::Order(name, order)),
        None => Err("args: missing field `name`".to_owned()),
    };
    let asked = match action {
        Action::Status => Asked::Status(None),
        Action::Start => order(Order::Start)?,
        Action::Stop => order(Order::Stop)?,
        Action::Restart => order(Order::Restart)?,
    };
    let (reply, answer) = oneshot::channel();
    root.do_send(Ask { request: asked, reply });
    let answer = answer.await.map_err(|_| "the wrapper is leaving".to_owned())?;
    let value = answer.map_err(|refused| refused.why)?;
    match (action, name) {
        (Action::Status, Some(name)) => one(&value, &name).map(Into::into),
        _ => Ok(value.into()),
    }
}

/// The part of a status that is about one process.
fn one(status: &Value, name: &str) -> Result<Value, String> {
    if name == coproc_core::name::MAIN {
        return Ok(status["main"].clone());
    }
    let all = status["coprocesses"].as_array().into_iter().flatten();
    let found = all.into_iter().find(|one| one["name"] == name);
    found.cloned().ok_or_else(|| format!("there is no coprocess `{name}`"))
}
