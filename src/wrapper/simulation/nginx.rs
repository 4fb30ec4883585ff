//! What an imagined nginx writes to its log: the lines that tell of its workers.

use coproc_core::process::Taps;

/// An nginx with one worker.
pub(super) struct Nginx {
    pid: i32,
    /// The number of its worker; one more after each reload.
    worker: i32,
}

impl Nginx {
    pub(super) fn new(pid: i32) -> Self {
        // Numbers that no imagined program has.
        Self { pid, worker: 1_000_000 }
    }

    pub(super) fn start(&self, taps: &mut Taps) {
        self.say(taps, "nginx/1.0.0");
        self.begin_worker(taps);
    }

    pub(super) fn reload(&mut self, taps: &mut Taps) {
        let old = self.worker;
        self.worker += 1;
        self.begin_worker(taps);
        self.say(taps, &format!("worker process {old} exited with code 0"));
    }

    pub(super) fn exit(&self, taps: &mut Taps) {
        self.say(taps, &format!("worker process {} exited with code 0", self.worker));
        self.say(taps, "exit");
    }

    fn begin_worker(&self, taps: &mut Taps) {
        self.say(taps, "start worker processes");
        self.say(taps, &format!("start worker process {}", self.worker));
    }

    fn say(&self, taps: &mut Taps, text: &str) {
        if let Some(tap) = &mut taps.stderr {
            let pid = self.pid;
            tap.line(format!("2000/01/01 00:00:00 [notice] {pid}#{pid}: {text}").as_bytes());
        }
    }
}
