//! Snapshots of whole invocations: exit status, standard output and standard error.

use std::path::Path;
use std::process::{Command, Stdio};

/// What differs from machine to machine, and what stands for it in a snapshot.
const FILTERS: [(&str, &str); 5] = [
    (r"/(private/)?tmp/\.tmp[A-Za-z0-9]+", "[FOLDER]"),
    (r"coproc \S+ \(([0-9a-f]{7,}|unknown)\) (\S+Z|unknown)", "coproc [VERSION] ([COMMIT]) [TIME]"),
    (r"(host_id: )[0-9a-f]{32}", "$1[HOST]"),
    (r"(vcpu_count: )\d+(  \(default\))", "$1[N]$2"),
    (r"[ \t]+\n", "\n"),
];

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        if text.starts_with("#!") {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    folder
}

/// Runs coproc with no environment but the given one.
pub(crate) fn coproc(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    // A test is no supervisor: it waits for its one child right here.
    #[allow(clippy::disallowed_methods)]
    let output = Command::new(env!("CARGO_BIN_EXE_coproc"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What an invocation left behind.
pub(crate) struct Output {
    /// The exit status.
    pub(crate) code: Option<i32>,
    /// All of standard output.
    pub(crate) stdout: String,
    /// All of standard error.
    pub(crate) stderr: String,
}

impl Output {
    /// In the form of the snapshots.
    pub(crate) fn show(&self) -> String {
        let code = self.code.map_or("signal".to_owned(), |code| code.to_string());
        let mut out = format!("exit_code: {code}\n");
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                out.push_str(&format!("----- {name} -----\n{text}"));
            }
        }
        out
    }
}

/// Compares with the snapshot of that name.
pub(crate) fn assert(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, stand_in) in FILTERS {
        settings.add_filter(pattern, stand_in);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}
