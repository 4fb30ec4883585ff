//! The sample that needs no rights, run without any.

use std::os::unix::fs::chown;

use crate::sample::Sample;
use crate::support::{Wrapper, http, is_root, skipped};

/// Debian's nobody, and one whom no user database knows, in root's group: so some clusters run
/// every image.
const USERS: [(u32, u32); 2] = [(65534, 65534), (1_000_650_000, 0)];

/// Becomes this user, with no way back.
fn setpriv((uid, gid): (u32, u32)) -> [String; 7] {
    [
        "setpriv".to_owned(),
        format!("--reuid={uid}"),
        format!("--regid={gid}"),
        "--clear-groups".to_owned(),
        "--no-new-privs".to_owned(),
        "--inh-caps=-all".to_owned(),
        "--bounding-set=-all".to_owned(),
    ]
}

fn serves_its_page(sample: &Sample, mut wrapper: Wrapper, uid: u32) {
    wrapper.wait_for("[start-worker]");
    let answer = http::get(sample.port(8080), "/");
    assert!(answer.contains(&format!("served by uid {uid}\n")), "{answer}\n{}", wrapper.dump());
    for word in ["denied", "Read-only", "[alert]", "[emerg]", "level=error", "level=warn"] {
        assert_eq!(wrapper.count(word), 0, "{}", wrapper.dump());
    }
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
fn nothing_needs_root() {
    let serves = |above: &[&str], user: Option<(u32, u32)>, uid: u32| {
        let sample = Sample::copy("unprivileged", &[8080], &[]);
        if let Some((uid, gid)) = user {
            chown(sample.place.path().join("run"), Some(uid), Some(gid)).unwrap();
        }
        let wrapper = Wrapper::start(sample.command_below(above, &["run"]));
        wrapper.wait_for("[start-worker]");
        sample.healthy();
        serves_its_page(&sample, wrapper, uid);
    };
    if !is_root() {
        return serves(&[], None, nix::unistd::geteuid().as_raw());
    }
    for user in USERS {
        serves(&setpriv(user).each_ref().map(String::as_str), Some(user), user.0);
    }
}

/// Only the run path can be written to, all else is as in a container with a read-only root.
#[test]
fn nothing_but_the_run_path_is_written_to() {
    USERS.into_iter().for_each(serves_from_a_read_only_root);
}

#[allow(clippy::disallowed_methods)]
fn serves_from_a_read_only_root(user: (u32, u32)) {
    let sample = Sample::copy("unprivileged", &[8080], &[]);
    let run = sample.place.at("run");
    let (uid, gid) = user;
    // Every file system that the folder may lie on, innermost last.
    let read_only = format!(
        "set -e; mount --make-rprivate /; mount -t tmpfs -o mode=0755,uid={uid},gid={gid} x {run}; \
         for at in / /tmp /var/tmp; do ! mountpoint -q $at || mount -o remount,bind,ro $at; done; \
         ! touch {run}/../new 2>/dev/null; exec \"$@\""
    );
    let above = ["unshare", "--mount", "sh", "-c", &read_only, "sh"];
    let probe = std::process::Command::new(above[0]).args(&above[1..]).arg("true").status();
    if !is_root() || !probe.is_ok_and(|status| status.success()) {
        skipped("no mount namespace may be made here");
        return;
    }
    let setpriv = setpriv(user);
    let above = [&above[..], &setpriv.each_ref().map(String::as_str)].concat();
    let wrapper = Wrapper::start(sample.command_below(&above, &["run"]));
    serves_its_page(&sample, wrapper, uid);
    assert!(!sample.place.path().join("run/html").exists(), "the tmpfs is gone with it");
}
