//! The sample that needs no rights, run without any.

use std::os::unix::fs::chown;

use crate::sample::Sample;
use crate::support::{Wrapper, http, is_root, skipped};

/// Debian's nobody.
const NOBODY: u32 = 65534;

/// Becomes nobody, with no way back.
const SETPRIV: [&str; 7] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--no-new-privs",
    "--inh-caps=-all",
    "--bounding-set=-all",
];

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
    let sample = Sample::copy("unprivileged", &[8080], &[]);
    let (above, uid) = match is_root() {
        true => (&SETPRIV[..], NOBODY),
        false => (&[][..], nix::unistd::geteuid().as_raw()),
    };
    if is_root() {
        chown(sample.place.path().join("run"), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let wrapper = Wrapper::start(sample.command_below(above, &["run"]));
    wrapper.wait_for("[start-worker]");
    sample.healthy();
    serves_its_page(&sample, wrapper, uid);
}

/// Only the run path can be written to, all else is as in a container with a read-only root.
#[test]
#[allow(clippy::disallowed_methods)]
fn nothing_but_the_run_path_is_written_to() {
    let sample = Sample::copy("unprivileged", &[8080], &[]);
    let run = sample.place.at("run");
    // Every file system that the folder may lie on, innermost last.
    let read_only = format!(
        "set -e; mount --make-rprivate /; mount -t tmpfs -o mode=0755,uid=65534,gid=65534 x {run}; \
         for at in / /tmp /var/tmp; do ! mountpoint -q $at || mount -o remount,bind,ro $at; done; \
         ! touch {run}/../new 2>/dev/null; exec \"$@\""
    );
    let above = ["unshare", "--mount", "sh", "-c", &read_only, "sh"];
    let probe = std::process::Command::new(above[0]).args(&above[1..]).arg("true").status();
    if !is_root() || !probe.is_ok_and(|status| status.success()) {
        skipped("no mount namespace may be made here");
        return;
    }
    let above = [&above[..], &SETPRIV].concat();
    let wrapper = Wrapper::start(sample.command_below(&above, &["run"]));
    serves_its_page(&sample, wrapper, NOBODY);
    assert!(!sample.place.path().join("run/html").exists(), "the tmpfs is gone with it");
}
