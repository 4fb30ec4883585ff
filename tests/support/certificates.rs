//! Certificates of a test's own.

use std::path::PathBuf;

/// Certificates that were made for one test, and go with it.
pub struct Certificates(tempfile::TempDir);

impl Certificates {
    /// A root, and a certificate of `localhost` that it signed.
    #[allow(
        clippy::new_without_default,
        clippy::disallowed_methods,
        reason = "nothing else waits for processes here"
    )]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let extensions = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
        std::fs::write(folder.path().join("extensions"), extensions).unwrap();
        for line in [
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
             -days 9 -subj /CN=root -addext basicConstraints=critical,CA:TRUE",
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out request \
             -subj /CN=localhost",
            "x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 9 \
             -extfile extensions",
        ] {
            let mut command = std::process::Command::new("openssl");
            let made = command.args(line.split_whitespace()).current_dir(&folder).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        Self(folder)
    }

    /// `ca.pem`, `cert.pem` or `key.pem`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
