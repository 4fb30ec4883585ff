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

    if runs_with_glibc_here() {
        if packs_relocations() {
            println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
        if let Some(folder) = unwinder() {
            println!("cargo:rustc-link-arg-bins=-L{folder}");
        }
    }

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

/// What is known of the target.
fn target(what: &str) -> String {
    std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default()
}

/// Whether the program will be linked to a glibc like the one of this machine, and at run time.
fn runs_with_glibc_here() -> bool {
    let is_static = target("FEATURE").split(',').any(|feature| feature == "crt-static");
    let own = std::env::var("HOST") == std::env::var("TARGET");
    own && target("ENV") == "gnu" && !is_static
}

/// Whether the program's pointers into itself can be listed in RELR's form, a hundredth of the usual size, all of
/// which is read whenever the program starts. glibc has known it since 2.36: the one that is here is the oldest
/// that the program will run with, as far as can be known.
fn packs_relocations() -> bool {
    target("ARCH") == "x86_64" && glibc().is_some_and(|version| version >= (2, 36))
}

/// A folder in which the linker finds, in place of the shared libgcc_s, the same unwinder to link: a library less to
/// be mapped whenever the program starts, and one that asks a virtual machine's host for the processor's kind.
fn unwinder() -> Option<String> {
    for library in ["libgcc_eh.a", "libgcc.a"] {
        // What is not found is printed as it was asked for.
        let found = said(Command::new("cc").arg(format!("-print-file-name={library}")))?;
        Path::new(&found).is_absolute().then_some(())?;
    }
    let folder = std::env::var("OUT_DIR").ok()?;
    let script = Path::new(&folder).join("libgcc_s.so");
    std::fs::write(script, "INPUT ( -lgcc_eh -lgcc )\n").ok()?;
    Some(folder)
}

/// The version of the C library on this machine.
fn glibc() -> Option<(u32, u32)> {
    let text = said(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
    let (major, minor) = text.strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
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
    said(Command::new("git").args(arguments))
}

/// What a program printed, if that is anything and it ended well.
fn said(command: &mut Command) -> Option<String> {
    // Not one of coproc's processes: this is cargo's.
    #[allow(clippy::disallowed_methods)]
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
