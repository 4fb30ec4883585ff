//! A whole `coproc run` with one API, before which one hook runs that sees headers alone.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::servers::{Started, await_port, free_port};

/// How long it may take until its hook answers.
const START: Duration = Duration::from_secs(20);

/// It ends with this, and so does all that it started.
pub struct Whole {
    /// Its process.
    pub started: Started,
    /// Where the API is served.
    pub port: u16,
    _folder: TempDir,
}

impl Whole {
    /// One with these keys of `[gateway]` and these tables, in a folder that has what they name.
    pub fn start(folder: TempDir, upstream: u16, driver: &str, keys: &str, tables: &str) -> Self {
        let (port, run) = (free_port(), folder.path().join("run"));
        fs::create_dir(&run).unwrap();
        let config = format!(
            "run_path = \"{}\"\n[log]\nlevel = \"ERROR\"\n[main]\nkind = \"none\"\n\
             [gateway]\nlisten = \"127.0.0.1:{port}\"\n{keys}\n\
             [[gateway.api]]\napi_id = \"b1\"\norg_id = \"bench\"\nuse_keyless = true\n\
             version_data = {{ not_versioned = true, versions = {{ Default = {{ name = \"Default\" }} }} }}\n\
             proxy = {{ listen_path = \"/bench/\", target_url = \"http://127.0.0.1:{upstream}/\", \
             strip_listen_path = true }}\n\
             [gateway.api.custom_middleware]\ndriver = \"{driver}\"\n\
             pre = [{{ name = \"SetHeader\", body = \"none\" }}]\n{tables}\n",
            run.display()
        );
        let file = folder.path().join("coproc.toml");
        fs::write(&file, config).unwrap();
        let words = ["run", "-c", &file.display().to_string()];
        let started = Started::new(Path::new(env!("CARGO_BIN_EXE_coproc")), &words, "0,1");
        await_port(port);
        let deadline = Instant::now() + START;
        while !answers(port) {
            assert!(Instant::now() < deadline, "its hook does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { started, port, _folder: folder }
    }

    /// Of it and of each process that it started: its command, the KiB of memory that it has, and how many
    /// descriptors.
    pub fn held(&self) -> Vec<(String, u64, usize)> {
        let mut pids = vec![self.started.child.id()];
        let mut next = 0;
        while let Some(&pid) = pids.get(next) {
            next += 1;
            for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                pids.extend(children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
            }
        }
        let of = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name))?;
                line.split_whitespace().next().map(str::to_owned)
            };
            let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
            Some((field("Name:")?, field("VmRSS:")?.parse().ok()?, descriptors))
        };
        pids.into_iter().filter_map(of).collect()
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        // What it started ends with it only if it is asked to end.
        let _ = kill_process(Pid::from_child(&self.started.child), Signal::TERM);
        let _ = self.started.child.wait();
    }
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    stream.set_read_timeout(Some(START)).unwrap();
    let request = b"GET /bench/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.write_all(request).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200 ")
}
