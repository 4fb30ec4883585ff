//! A coordinator that is reached over HTTP, as that of another machine is.

use std::io::{self, Write};
use std::time::Duration;

use coproc_acomm::{Request, Url};
use coproc_coordinator::requester::{RequestError, Requester, Stream, fetch};
use coproc_core::exit::FAILURE;
use serde_json::value::RawValue;

use super::{Failure, compact, standard_input};
use crate::cli::Task;
use crate::clients::NOBODY_THERE;
use crate::console::answer;

/// The variable that has the token which the coordinator asks for.
pub const TOKEN_VARIABLE: &str = "COPROC_COORDINATOR_TOKEN";

/// A coordinator, and what it takes to ask it.
pub(super) struct Remote {
    pub(super) url: Url,
    pub(super) token: Option<String>,
    pub(super) timeout: Duration,
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let code = match error {
            RequestError::NobodyThere { .. } => NOBODY_THERE,
            RequestError::Port { .. } | RequestError::Refused(_) => FAILURE,
        };
        Self::new(code, error.to_string())
    }
}

impl Remote {
    /// Has the task done, and writes what comes of it.
    pub(super) async fn converse(
        self,
        args: Option<Box<RawValue>>,
        task: &Task,
    ) -> Result<io::Result<()>, Failure> {
        let name = task.task_name().unwrap_or_default().to_owned();
        let request = Request { task: name, args, ..Request::default() };
        let stream = match task.stream {
            true => Some(
                standard_input()
                    .map_err(|error| Failure::new(FAILURE, format!("standard input: {error}")))?,
            ),
            false => None,
        };
        let asked = async {
            let at = task.response_address.as_deref();
            let requester = Requester::open(self.url, at, self.token).await?;
            requester.ask(request, stream).await
        };
        let late = |_| Failure::new(FAILURE, "response timeout");
        let response = tokio::time::timeout(self.timeout, asked).await.map_err(late)??;
        match &response.stream {
            None => {
                let result = response.result.as_deref().map_or("null", |result| result.get());
                Ok(answer(&format!("{}\n", compact(result))))
            }
            Some(url) => copy_from(url).await,
        }
    }
}

/// Writes a stream that is read over HTTP to standard output.
pub(super) async fn copy_from(url: &Url) -> Result<io::Result<()>, Failure> {
    match fetch(url).await {
        Ok(stream) => copy(stream).await,
        Err(why) => Err(Failure::new(FAILURE, format!("the stream cannot be fetched: {why}"))),
    }
}

/// Writes a stream to standard output as it comes.
async fn copy(mut stream: Stream) -> Result<io::Result<()>, Failure> {
    while let Some(piece) = stream.next().await {
        let broken = |error| Failure::new(FAILURE, format!("the stream broke off: {error}"));
        let piece = piece.map_err(broken)?;
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(&piece).and_then(|()| out.flush()) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}
