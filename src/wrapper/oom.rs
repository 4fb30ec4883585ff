//! Whether the kernel killed for want of memory: it counts such kills for each cgroup. Whom it killed
//! it tells only in its own log, which a container cannot read.

use std::fs::read_to_string;

use coproc_core::exit::ExitStatus;
use coproc_core::signal::Signal;

/// How often it killed in the wrapper's cgroup and those below it; none where it does not say, as in
/// the root cgroup of version 2, or where nothing is mounted.
pub(super) fn kills() -> Option<u64> {
    let groups = read_to_string("/proc/self/cgroup").ok()?;
    files(&groups).iter().find_map(|file| count(&read_to_string(file).ok()?))
}

/// Where the count may be. In a container the path of the group is often the host's, and the group
/// itself is what is mounted.
fn files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let path = path.trim_end_matches('/');
        let (base, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.events"),
            of if of.split(',').any(|one| one == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.oom_control")
            }
            _ => continue,
        };
        files.push(format!("{base}{path}/{name}"));
        files.push(format!("{base}/{name}"));
    }
    files
}

fn count(text: &str) -> Option<u64> {
    let value = |line: &str| line.strip_prefix("oom_kill ")?.trim().parse().ok();
    text.lines().find_map(value)
}

/// Whether an end was one for want of memory, as far as the counts before and after it tell: none
/// where there are no counts. A shell tells the KILL of its last child as 137.
pub(super) fn is_one(end: ExitStatus, before: Option<u64>, after: Option<u64>) -> Option<bool> {
    match end {
        ExitStatus::Signal(Signal::KILL) | ExitStatus::Code(137) => Some(after? > before?),
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_have_their_file() {
        let first = "9:name=systemd:/\n4:cpu,memory:/pod/a\n1:cpu:/x\n0::/\n";
        assert_eq!(
            files(first),
            [
                "/sys/fs/cgroup/memory/pod/a/memory.oom_control",
                "/sys/fs/cgroup/memory/memory.oom_control",
                "/sys/fs/cgroup/memory.events",
                "/sys/fs/cgroup/memory.events",
            ]
        );
        assert_eq!(files("0::/a:b\n")[0], "/sys/fs/cgroup/a:b/memory.events");
        assert_eq!(files("nonsense"), [""; 0]);
    }

    #[test]
    fn the_count_is_read_from_either_form() {
        assert_eq!(count("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!((count("oom 3\n"), count("oom_kill x\n")), (None, None));
    }

    #[test]
    fn a_kill_counts_when_the_kernel_counted_one() {
        let kill = ExitStatus::Signal(Signal::KILL);
        assert_eq!(is_one(kill, Some(1), Some(2)), Some(true));
        assert_eq!(is_one(ExitStatus::Code(137), Some(1), Some(2)), Some(true));
        assert_eq!(is_one(kill, Some(1), Some(1)), Some(false));
        assert_eq!((is_one(kill, None, Some(1)), is_one(kill, Some(1), None)), (None, None));
        assert_eq!(is_one(ExitStatus::Code(3), Some(1), Some(2)), Some(false));
        assert_eq!(is_one(ExitStatus::Signal(Signal::TERM), None, None), Some(false));
    }
}
