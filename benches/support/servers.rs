//! Processes that benches start: each in a group of its own, which ends with its handle.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::load::BODY;

/// A process on its cores; it ends with this.
pub struct Started {
    pub child: Child,
}

impl Started {
    /// Starts a program on its cores, in a group of its own.
    pub fn new(program: &Path, words: &[&str], cores: &str) -> Self {
        // The command becomes the program, with the same pid.
        let mut command = Command::new("taskset");
        command.args(["-c", cores]).arg(program).args(words);
        let child = command.stdin(Stdio::null()).process_group(0).spawn().unwrap();
        Self { child }
    }

    /// The processor time of the process and those that it started, in seconds.
    pub fn seconds(&self) -> f64 {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let pids = children.split_whitespace().map(|pid| pid.parse().unwrap()).chain([pid]);
        let ticks = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
            fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
        };
        pids.map(ticks).sum::<f64>() / rustix::param::clock_ticks_per_second() as f64
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

/// An nginx that listens.
pub struct Nginx {
    /// Its process.
    pub started: Started,
    /// Where.
    pub port: u16,
}

impl Nginx {
    /// One with a `http` block.
    pub fn new(folder: &Path, port: u16, workers: usize, cores: &str, http: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        let config = format!(
            "daemon off;\nworker_processes {workers};\npid {0}/pid;\nerror_log {0}/error.log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\naccess_log off;\nkeepalive_requests 100000000;\n\
             client_body_temp_path {0}/c;\nproxy_temp_path {0}/p;\nfastcgi_temp_path {0}/f;\n\
             uwsgi_temp_path {0}/u;\nscgi_temp_path {0}/s;\n{http}\n}}\n",
            folder.display()
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, config).unwrap();
        let prefix = folder.display().to_string();
        let words = ["-p", &prefix, "-c", &file.display().to_string(), "-e", "stderr"];
        let started = Started::new(Path::new("nginx"), &words, cores);
        await_port(port);
        Self { started, port }
    }

    /// One that answers everything from memory.
    pub fn upstream(folder: &Path) -> Self {
        let port = free_port();
        let http = format!(
            "server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"{}\"; }} }}",
            "x".repeat(BODY)
        );
        Self::new(folder, port, 1, "0,1", &http)
    }
}

/// A port that is free just now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until there is a file.
pub fn await_file(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !path.exists() {
        assert!(Instant::now() < deadline, "there is no {}", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until somebody listens.
pub fn await_port(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {port}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
