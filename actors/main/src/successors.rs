//! Whether nginx's new workers are there, seen in the table of processes: for an nginx whose log is not
//! heard, and for one whose log is late.
//!
//! A worker that has crashed and was started again is no successor. So all that were there before have
//! to be gone, or to say by their title that they are shutting down.

use std::fs;

/// How workers are titled, and what is added on their way out.
const TITLE: &[u8] = b"nginx: worker process";
const LEAVING: &[u8] = b"is shutting down";

/// A worker in the table of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worker {
    pid: i32,
    leaving: bool,
}

/// The workers of a master.
pub(crate) fn workers(master: i32) -> Vec<Worker> {
    let worker = |pid: i32| {
        let title = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let rest = title.strip_prefix(TITLE)?;
        let leaving = rest.windows(LEAVING.len()).any(|part| part == LEAVING);
        Some(Worker { pid, leaving })
    };
    children(master).into_iter().filter_map(worker).collect()
}

/// Whether those that are there `now` have taken over from those `before`.
pub(crate) fn have_taken_over(before: &[Worker], now: &[Worker]) -> bool {
    let was = |worker: &Worker| before.iter().any(|old| old.pid == worker.pid);
    now.iter().any(|worker| !was(worker) && !worker.leaving)
        && !now.iter().any(|worker| was(worker) && !worker.leaving)
}

/// The children of a process, zombies included.
fn children(pid: i32) -> Vec<i32> {
    let numbers = |text: &str| text.split_ascii_whitespace().flat_map(str::parse).collect();
    match fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) {
        Ok(text) => numbers(&text),
        // A kernel without that list has the parents in another one.
        Err(_) => {
            let is_child = |child: &i32| {
                let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
                let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
                parent.is_some_and(|parent| parent.parse() == Ok(pid))
            };
            let all = fs::read_dir("/proc").into_iter().flatten().flatten();
            let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            all.filter(is_child).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_crashed_has_no_successor() {
        let worker = |pid, leaving| Worker { pid, leaving };
        let before = [worker(1, false), worker(2, false)];
        for (now, expected) in [
            (&before[..], false),
            (&[worker(1, false), worker(3, false)], false),
            (&[worker(1, true), worker(2, false), worker(3, false)], false),
            (&[worker(1, true), worker(2, true)], false),
            (&[worker(1, true), worker(2, true), worker(3, false)], true),
            (&[worker(3, false), worker(4, false)], true),
            (&[worker(3, true)], false),
            (&[], false),
        ] {
            assert_eq!(have_taken_over(&before, now), expected, "{now:?}");
        }
        assert!(have_taken_over(&[], &[worker(1, false)]), "there were none");
    }

    #[test]
    fn who_is_no_nginx_has_no_workers() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert_eq!(workers(me), []);
    }
}
