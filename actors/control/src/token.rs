//! Tokens by which clients of a port have a role, and the files that they stand in.

use std::fmt;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use coproc_core::regular;
use sha2::{Digest, Sha256};

use crate::role::Role;

/// How few characters a token may have: what is shorter can be tried out.
pub const SHORTEST: usize = 32;
/// How many it may have.
pub const LONGEST: usize = 512;
/// How large a file of tokens may be, in bytes.
const FILE: u64 = 64 * 1024;

/// A token that a client shows. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

impl Token {
    /// The first token of a file, for a client.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn of_file(path: &Path) -> Result<Self, String> {
        let mut all = read(path)?;
        if all.len() > 1 {
            return Err(format!("`{}` has several tokens; a client shows one", path.display()));
        }
        all.pop().ok_or_else(|| format!("`{}` has no token", path.display()))
    }

    /// What the header `Authorization` says.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

/// The tokens of a file: one a line; blank lines and those that begin with `#` are passed over.
fn read(path: &Path) -> Result<Vec<Token>, String> {
    let shown = path.display();
    let bytes =
        regular::read(path, FILE).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    if bytes.len() as u64 > FILE {
        return Err(format!("`{shown}` has more than {FILE} bytes"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| format!("`{shown}` cannot be read: it is not UTF-8"))?;
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| {
            let wrong = |what: String| Err(format!("`{shown}`, line {at}: {what}"));
            // What RFC 6750 lets a token consist of.
            let fit = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
            match line.chars().count() {
                short if short < SHORTEST => {
                    wrong(format!("a token of {short} characters; expected at least {SHORTEST}"))
                }
                long if long > LONGEST => {
                    wrong(format!("a token of {long} characters; expected at most {LONGEST}"))
                }
                _ if !line.chars().all(fit) => {
                    wrong("a token has letters, digits and `-._~+/=` only".to_owned())
                }
                _ => Ok(Token(line.to_owned())),
            }
        })
        .collect()
}

/// Which tokens have which role. Of the tokens themselves only digests are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens(Vec<([u8; 32], Role)>);

impl Tokens {
    /// Reads the files.
    ///
    /// # Errors
    /// A sentence that names the key, the file and the line, and no token.
    pub fn read(files: &[Option<PathBuf>; 3]) -> Result<Self, String> {
        let mut all = Vec::new();
        for (role, file) in Role::ALL.into_iter().zip(files) {
            let Some(file) = file else { continue };
            let key = |why| format!("control.token_files.{role}: {why}");
            let tokens = read(file).map_err(key)?;
            if tokens.is_empty() {
                return Err(key(format!("`{}` has no token", file.display())));
            }
            all.extend(tokens.iter().map(|Token(text)| (Sha256::digest(text).into(), role)));
        }
        Ok(Self(all))
    }

    /// The greatest role of a token. It takes as long for one that nobody has.
    pub(crate) fn role(&self, shown: &str) -> Option<Role> {
        let shown: [u8; 32] = Sha256::digest(shown).into();
        self.0.iter().fold(None, |found, (digest, role)| {
            let differs = digest.iter().zip(shown).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
            if differs == 0 { found.max(Some(*role)) } else { found }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_their_roles() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let (one, two, three) = ("1".repeat(32), "2".repeat(40), "3".repeat(512));
        let read = file("r", &format!("# for the dashboard\n{one}\n\n  {two}\n"));
        let admin = file("a", &format!("{three}\n{two}"));
        let tokens = Tokens::read(&[read, None, admin]).unwrap();
        assert_eq!(tokens.role(&one), Some(Role::Read));
        assert_eq!(tokens.role(&two), Some(Role::Admin), "the greatest counts");
        assert_eq!(tokens.role(&three), Some(Role::Admin));
        for wrong in ["", "1", &"1".repeat(31), &"1".repeat(33), "# for the dashboard"] {
            assert_eq!(tokens.role(wrong), None, "{wrong}");
        }
        assert_eq!(Tokens::default().role(""), None);
    }

    #[test]
    fn what_is_no_token_is_told_with_its_place_and_without_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        for (text, what) in [
            (format!("\n{}\n", "x".repeat(31)), "line 2: a token of 31 characters"),
            ("x".repeat(513), "line 1: a token of 513 characters"),
            (format!("{} {}", "x".repeat(20), "x".repeat(20)), "line 1: a token has letters"),
            ("# none\n".to_owned(), "has no token"),
            (" \n".repeat(40_000), "has more than 65536 bytes"),
        ] {
            std::fs::write(&path, text).unwrap();
            let why = Tokens::read(&[None, Some(path.clone()), None]).unwrap_err();
            assert!(why.starts_with("control.token_files.operate: `"), "{why}");
            assert!(why.contains(what) && !why.contains("xxx"), "{why}");
        }
        std::fs::write(&path, "\n".to_owned() + &"y".repeat(32)).unwrap();
        let token = Token::of_file(&path).unwrap();
        assert_eq!(format!("{token:?}"), "Token(...)");
        assert_eq!(token.header(), format!("Bearer {}", "y".repeat(32)));
    }
}
