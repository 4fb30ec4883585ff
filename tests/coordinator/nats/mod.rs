//! Coordinators that share tasks through a real NATS server.

mod claims;
mod failure;
mod login;
mod sharing;

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::rig::{Hook, Rig, ok};
use crate::support::{eventually, free_port};

const NONE: &str = "no providers available for task";

/// A server on a port of its own, ended with the test.
pub(crate) struct Server {
    port: u16,
    child: Option<Child>,
    words: Vec<String>,
}

impl Server {
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut server = Self::absent(words);
        server.begin();
        server
    }

    /// One that is not there yet.
    pub(crate) fn absent(words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { port: free_port(), child: None, words }
    }

    #[allow(clippy::disallowed_methods)]
    pub(crate) fn begin(&mut self) {
        let program = ["/usr/sbin/nats-server", "/usr/bin/nats-server"];
        let installed = program.into_iter().find(|path| std::path::Path::new(path).exists());
        let child = Command::new(installed.unwrap_or("nats-server"))
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string()])
            .args(&self.words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server is installed by .ci/install");
        self.child = Some(child);
        let up = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        eventually("the NATS server is up", up);
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A coordinator that shares over this server, with these keys more.
    pub(crate) fn rig(&self, keys: &[(&str, &str)]) -> Rig {
        let url = self.url();
        Rig::with(&[&[("nats__url", url.as_str()), ("request_timeout", "5s")], keys].concat())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until a coordinator's task is taken for another.
pub(crate) fn wait_until_shared(from: &Rig, task: &str) {
    let hook = Hook::start();
    let mut number = 0;
    eventually(&format!("`{task}` is shared\n{}", from.wrapper.dump()), || {
        number += 1;
        let id = format!("first{number}");
        let request = json!({ "id": id, "task": task, "responsehook": hook.url("/") });
        from.post(&request) == ok(&id)
    });
}

pub(crate) fn request(id: &str, task: &str, hook: &Value) -> Value {
    json!({ "id": id, "task": task, "responsehook": hook, "args": { "k": id } })
}
