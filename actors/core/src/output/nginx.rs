//! Recognises the head that nginx puts before its own lines, and nothing that only resembles it.

use super::Level;

/// A line of nginx itself, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// nginx's word for the level, mapped to ours.
    pub level: Level,
    /// Written before nginx had read its configuration: `nginx: [emerg] ...`, without a time.
    pub early: bool,
    /// What follows the head: the prefix `pid#tid: `, the `*connection` and the text.
    pub message: &'a [u8],
}

/// The process and thread that nginx names before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix<'a> {
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// What follows.
    pub text: &'a [u8],
}

/// The shape of `2026/11/21 08:28:12 [`: `d` stands for a digit.
const STAMP: &[u8] = b"dddd/dd/dd dd:dd:dd [";

/// The head of `line`, if nginx itself wrote it. A line that a visitor of the site can shape never
/// has one unless it begins with it, since nothing is searched for: every byte has its place.
pub fn head(line: &[u8]) -> Option<Head<'_>> {
    if let Some(rest) = line.strip_prefix(b"nginx: [") {
        let (level, message) = level_and_rest(rest)?;
        return Some(Head { level, early: true, message });
    }
    let (stamp, rest) = line.split_at_checked(STAMP.len())?;
    let fits = |(&byte, &shape): (&u8, &u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        _ => byte == shape,
    };
    if !stamp.iter().zip(STAMP).all(fits) {
        return None;
    }
    let (level, message) = level_and_rest(rest)?;
    Some(Head { level, early: false, message })
}

/// The prefix of a message, if it has one.
pub fn prefix(message: &[u8]) -> Option<Prefix<'_>> {
    let (pid, rest) = number(message)?;
    let (tid, rest) = number(rest.strip_prefix(b"#")?)?;
    Some(Prefix { pid, tid, text: rest.strip_prefix(b": ")? })
}

fn level_and_rest(text: &[u8]) -> Option<(Level, &[u8])> {
    const WORDS: [(&[u8], Level); 8] = [
        (b"notice] ", Level::Info),
        (b"info] ", Level::Info),
        (b"warn] ", Level::Warn),
        (b"error] ", Level::Error),
        (b"debug] ", Level::Debug),
        (b"crit] ", Level::Error),
        (b"alert] ", Level::Error),
        (b"emerg] ", Level::Error),
    ];
    WORDS.iter().find_map(|&(word, level)| Some((level, text.strip_prefix(word)?)))
}

fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eight_words() {
        for (word, level) in [
            ("debug", Level::Debug),
            ("info", Level::Info),
            ("notice", Level::Info),
            ("warn", Level::Warn),
            ("error", Level::Error),
            ("crit", Level::Error),
            ("alert", Level::Error),
            ("emerg", Level::Error),
        ] {
            let line = format!("2026/11/21 08:28:12 [{word}] 7#7: *3 text [x]");
            let found = head(line.as_bytes()).unwrap();
            assert_eq!(
                (found.level, found.early, found.message),
                (level, false, &b"7#7: *3 text [x]"[..])
            );
            let line = format!("nginx: [{word}] still could not bind()");
            let found = head(line.as_bytes()).unwrap();
            assert_eq!(
                (found.level, found.early, found.message),
                (level, true, &b"still could not bind()"[..])
            );
        }
    }

    #[test]
    fn what_only_resembles_a_head() {
        for line in [
            "",
            "p]q[r",
            "x ] y",
            "[notice] x",
            "2026/11/21 08:28:12 [notice]",
            "2026/11/21 08:28:12 [warning] x",
            "2026/11/21 08:28:12 [NOTICE] x",
            "2026/11/21 08:28:12 [notice]x",
            "2026-11-21 08:28:12 [notice] x",
            "2026/11/21  8:28:12 [notice] x",
            " 2026/11/21 08:28:12 [notice] x",
            "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok",
            "nginx: [loud] x",
            "127.0.0.1 - - [21/Nov/2026:08:28:12 +0000] \"GET / HTTP/1.1\" 200 615",
        ] {
            assert_eq!(head(line.as_bytes()), None, "{line}");
        }
        assert_eq!(head(&[0xFF; 40]), None);
    }

    #[test]
    fn prefixes() {
        let found = prefix(b"4657#4658: start worker process 4660").unwrap();
        assert_eq!(
            (found.pid, found.tid, found.text),
            (4657, 4658, &b"start worker process 4660"[..])
        );
        for none in
            ["", "12", "#1: x", "1#: x", "1#2 x", "1#2:x", "99999999999#1: x", "-1#1: x", "+1#1: x"]
        {
            assert_eq!(prefix(none.as_bytes()), None, "{none}");
        }
    }
}
