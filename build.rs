//! Stamps the commit and the time of the build, where they can be known; has the program show hooks in native
//! code what they call.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What `coproc.h` declares.
const EXPORTED: [&str; 4] = ["TykStoreData", "TykGetData", "TykTriggerEvent", "CoProcessLog"];

fn main() {
    println!("cargo:rerun-if-env-changed=BUILT_FROM");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // Of a checkout HEAD changes with the branch, and its log with every commit.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file])
            && Path::new(&path).exists()
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rerun-if-changed=build.rs");

    if std::env::var_os("CARGO_FEATURE_NATIVE").is_some() {
        for symbol in EXPORTED {
            for target in ["bins", "benches"] {
                println!("cargo:rustc-link-arg-{target}=-Wl,--export-dynamic-symbol={symbol}");
            }
        }
    }

    // A build outside of a checkout, such as a package's, says its commit in a variable.
    let commit = std::env::var("BUILT_FROM").ok().filter(|commit| !commit.is_empty());
    if let Some(commit) = commit.or_else(|| git(&["rev-parse", "--short=12", "HEAD"])) {
        println!("cargo:rustc-env=BUILT_FROM={commit}");
    }
    if let Some(time) = build_time() {
        println!("cargo:rustc-env=BUILT_AT={time}");
    }
}

/// The time of the build, or the one that a reproducible build asks for.
fn build_time() -> Option<String> {
    let time = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => UNIX_EPOCH + Duration::from_secs(seconds.trim().parse().ok()?),
        Err(_) => SystemTime::now(),
    };
    Some(humantime::format_rfc3339_seconds(time).to_string())
}

fn git(arguments: &[&str]) -> Option<String> {
    // Not one of coproc's processes: this is cargo's.
    #[allow(clippy::disallowed_methods)]
    let output = Command::new("git").args(arguments).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
