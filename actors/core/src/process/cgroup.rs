//! A control group of a program's own, in the unified hierarchy: whatever the program starts is in it,
//! also what leaves its process group, and all of it can be killed at once.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::descriptor::watch;

/// How long what was killed may take to be dead.
const DEATH: Duration = Duration::from_secs(1);

/// A control group that holds one program and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// One below the wrapper's own, by this name, which no other wrapper's has; it is made when a program
    /// is put into it. `None` where there is no unified hierarchy.
    pub fn below_own(name: &str) -> Option<Self> {
        let read = |path: &str| fs::read_to_string(path).ok();
        let own = folder_of(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?)?;
        Some(Self { folder: own.join(format!("coproc-{}-{name}", std::process::id())) })
    }

    /// Makes the group, for a program that is about to be put into it.
    ///
    /// # Errors
    /// Where the wrapper may not, or the kernel has no `cgroup.kill`.
    pub(super) fn make(&self) -> io::Result<()> {
        match fs::create_dir(&self.folder) {
            // Of a run before, whose last process was still dying.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let usable = || {
            fs::metadata(self.file("cgroup.kill"))?;
            fs::OpenOptions::new().write(true).open(self.entrance())
        };
        usable().map(drop).inspect_err(|_| self.remove())
    }

    /// The file by which a process is put into it.
    pub(super) fn entrance(&self) -> PathBuf {
        self.file("cgroup.procs")
    }

    /// Kills all that is in it, waits until that is dead, and removes it.
    pub(super) async fn end(&self) {
        // Opened before they die: the numbers are theirs.
        let members: Vec<_> = self.members().into_iter().filter_map(ended_by).collect();
        if fs::write(self.file("cgroup.kill"), "1").is_ok() && !members.is_empty() {
            let dead = async {
                for member in members {
                    // The event loop is going.
                    let _ = member.readable().await;
                }
            };
            // What is not dead by then hangs in the kernel, and its group stays.
            let _ = tokio::time::timeout(DEATH, dead).await;
        }
        self.remove();
    }

    fn members(&self) -> Vec<Pid> {
        let listed = fs::read_to_string(self.entrance()).unwrap_or_default();
        listed.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()
    }

    /// Removes it if it is empty.
    pub(super) fn remove(&self) {
        // One that is not empty yet is used again, or goes with the wrapper's own.
        let _ = fs::remove_dir(&self.folder);
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn ended_by(pid: Pid) -> Option<AsyncFd<OwnedFd>> {
    watch(pidfd_open(pid, PidfdFlags::empty()).ok()?, Interest::READABLE).ok()
}

/// The folder of a process's group in the unified hierarchy, from its `mountinfo` and its `cgroup` in
/// /proc; `None` where none is mounted that shows it.
fn folder_of(mounts: &str, groups: &str) -> Option<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        if !kind.starts_with("cgroup2 ") {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        // Only what lies below the mount's root is seen through it.
        let below = Path::new(group).strip_prefix(root).ok()?;
        Some(Path::new(point).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_wrappers_own_group_is() {
        let unified =
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";
        let hybrid = "40 31 0:37 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        let part = "30 23 0:26 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup ro";
        for (mounts, groups, folder) in [
            (unified, "0::/", Some("/sys/fs/cgroup")),
            (unified, "0::/app.slice/a", Some("/sys/fs/cgroup/app.slice/a")),
            (hybrid, "8:pids:/x\n0::/y", Some("/sys/fs/cgroup/unified/y")),
            (part, "0::/docker/ab/c", Some("/sys/fs/cgroup/c")),
            (part, "0::/elsewhere", None),
            (unified, "8:pids:/x", None),
            ("40 31 0:37 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids", "0::/", None),
            ("", "", None),
        ] {
            assert_eq!(folder_of(mounts, groups), folder.map(PathBuf::from), "{mounts} {groups}");
        }
    }

    #[test]
    fn what_is_written_into_which_file() {
        let above = tempfile::tempdir().unwrap();
        let group = Cgroup { folder: above.path().join("coproc-1-a") };
        // A folder that is none of the kernel's has no files of its own: that is no group.
        assert!(group.make().is_err() && !group.folder.exists());
        fs::create_dir(&group.folder).unwrap();
        fs::write(group.file("cgroup.kill"), "").unwrap();
        assert!(group.make().is_err(), "nothing can be put into it");
        fs::write(group.entrance(), "7\n0\n42\n").unwrap();
        group.make().unwrap();
        let members: Vec<_> =
            group.members().iter().map(|pid| pid.as_raw_nonzero().get()).collect();
        assert_eq!(members, [7, 42]);
        fs::write(group.entrance(), "").unwrap();
        actix_rt::System::new().block_on(group.end());
        assert_eq!(fs::read_to_string(group.file("cgroup.kill")).unwrap(), "1");
    }

    #[test]
    fn one_whose_folder_cannot_be_made_is_told() {
        let group = Cgroup { folder: "/proc/no/such/group".into() };
        assert!(group.make().is_err());
    }
}
