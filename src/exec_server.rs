//! `coproc exec-server`: one exec socket and nothing else, with the options and exit codes of sockexec.
//!
//! It is a config with one table and no main process, run by the same tree as any other.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use crate::config::Sources;
use crate::console::{answer, complain, status};
use crate::wrapper::{self, Manner};

/// A wrong command line.
const USAGE: u8 = 100;
/// The system refuses.
const SYSTEM: u8 = 111;
/// The longest path that a socket's address has room for.
const MAX_PATH: usize = 107;

const MANNER: Manner = Manner {
    complaint: |why| format!("exec-server: fatal: {why}\n"),
    usage: USAGE,
    failure: SYSTEM,
    run_path: false,
};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Version,
    /// Settings as `--set` writes them, and the path.
    Serve {
        set: Vec<String>,
        path: OsString,
    },
}

/// Does what the words after `exec-server` ask for.
pub fn exec_server(words: &[OsString]) -> ExitCode {
    let (mut set, path) = match read(words) {
        Some(Asked::Version) => {
            return status(answer(&format!("coproc version: {}\n", env!("CARGO_PKG_VERSION"))));
        }
        Some(Asked::Serve { set, path }) => (set, path),
        None => {
            complain(
                "exec-server: usage: coproc exec-server [-v] [-d] [-q queue] [-M mode] [-m max] \
                 [-t seconds] [-k seconds] PATH\n",
            );
            return ExitCode::from(USAGE);
        }
    };
    let refused = |why: &str| {
        complain(&(MANNER.complaint)(&format!("unable to bind `{}`: {why}", path.display())));
        ExitCode::from(SYSTEM)
    };
    if path.len() > MAX_PATH {
        return refused("the path is too long");
    }
    let Some(text) = path.to_str() else { return refused("the path is not UTF-8 text") };
    set.push(format!("exec_socket.path={text}"));
    wrapper::run(&Sources::alone("exec_socket", set), MANNER)
}

/// Reads options as getopt(3) does: bundled or not, a value attached or the next word, until the first
/// word that is none. `None` is a wrong command line.
fn read(words: &[OsString]) -> Option<Asked> {
    let mut set = Vec::new();
    let mut debug = false;
    let mut words = words.iter();
    let path = loop {
        let word = words.next()?;
        let mut letters = match word.as_bytes() {
            b"--" => break words.next()?,
            [b'-', letters @ ..] if !letters.is_empty() => letters,
            _ => break word,
        };
        while let Some((letter, rest)) = letters.split_first() {
            letters = rest;
            let key = match letter {
                b'v' => return Some(Asked::Version),
                b'd' => {
                    debug = true;
                    continue;
                }
                b'q' => "max_queue",
                b'M' => "mode",
                b'm' => "max_connections",
                b't' => "timeout",
                b'k' => "kill_timeout",
                _ => return None,
            };
            let value = match rest.is_empty() {
                true => words.next()?.as_bytes(),
                false => std::mem::take(&mut letters),
            };
            let value = std::str::from_utf8(value).ok()?;
            set.push(format!("exec_socket.{key}={}", setting(*letter, value)?));
        }
    };
    if path.is_empty() {
        return None;
    }
    if debug {
        set.extend(["exec_socket.log_arguments=true", "log.level=DEBUG"].map(str::to_owned));
    }
    Some(Asked::Serve { set, path: path.clone() })
}

/// The value of an option as the config has it.
fn setting(letter: u8, value: &str) -> Option<String> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return None;
    }
    if letter == b'M' {
        // Only the bits of a mode count.
        return Some(format!("{:04o}", u64::from_str_radix(value, 8).ok()? & 0o777));
    }
    let number: u32 = value.parse().ok()?;
    let zero_means_something = letter == b't';
    if number == 0 && !zero_means_something {
        return None;
    }
    Some(match letter {
        b't' | b'k' => format!("{number}s"),
        _ => number.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Asked> {
        read(&text.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    fn serve(set: &[&str]) -> Option<Asked> {
        let set = set.iter().map(|set| format!("exec_socket.{set}")).collect();
        Some(Asked::Serve { set, path: "/e".into() })
    }

    #[test]
    fn options_bundled_attached_and_apart() {
        assert_eq!(asked("/e"), serve(&[]));
        assert_eq!(asked("/e -z more"), serve(&[]));
        assert_eq!(asked("-- /e"), serve(&[]));
        assert_eq!(asked("-t 0 -k1 /e"), serve(&["timeout=0s", "kill_timeout=1s"]));
        assert_eq!(
            asked("-q7 -m 4294967295 /e"),
            serve(&["max_queue=7", "max_connections=4294967295"])
        );
        for (mode, set) in [("1777", "0777"), ("0", "0000"), ("666", "0666"), ("0640", "0640")] {
            assert_eq!(asked(&format!("-M {mode} /e")), serve(&[&format!("mode={set}")]));
        }
        assert_eq!(asked("-t 1 -v -z"), Some(Asked::Version));
        let Some(Asked::Serve { set, .. }) = asked("-dt5 /e") else { panic!("a server") };
        assert_eq!(
            set,
            ["exec_socket.timeout=5s", "exec_socket.log_arguments=true", "log.level=DEBUG"]
        );
    }

    #[test]
    fn wrong_command_lines() {
        for text in [
            "",
            "-",
            "-h /e",
            "-z /e",
            "-q 0 /e",
            "-k 0 /e",
            "-m 0 /e",
            "-t abc /e",
            "-t -1 /e",
            "-M 8 /e",
            "-M 0x1 /e",
            "-t 99999999999 /e",
            "-t",
            "-t 5",
            "-q +1 /e",
            "--help",
        ] {
            // A lone `-` is a path, as getopt sees it.
            assert_eq!(asked(text).is_some(), text == "-", "{text}");
        }
    }
}
