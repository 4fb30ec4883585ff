//! Paths that a server may take for other ones than they look like. Pure.
//!
//! Hooks and checks belong to a path as it stands in the request. Who serves it in the end may undo escapes,
//! merge slashes, take a backslash for one, or leave parameters of segments out, and serve something else.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Whether a path has segments `.` or `..`, plain or escaped, with parameters or without, also between
/// slashes that are escaped or the wrong way round: whoever resolves them serves another path than the one
/// whose hooks ran.
pub(crate) fn has_dots(path: &str) -> bool {
    let bytes = path.as_bytes();
    if !bytes.contains(&b'.') && !bytes.contains(&b'%') {
        return false;
    }
    // How many dots a segment has so far; `None` once it has something else.
    let mut dots = Some(0);
    let mut rest = bytes;
    loop {
        let (ends, is_dot, after) = match rest {
            [] => return is_dots(dots),
            [b'/' | b'\\', after @ ..] => (true, false, after),
            [b'%', b'2', b'f' | b'F', after @ ..] | [b'%', b'5', b'c' | b'C', after @ ..] => {
                (true, false, after)
            }
            // What follows is a parameter: the segment is what came before.
            [b';', after @ ..] | [b'%', b'3', b'b' | b'B', after @ ..] => (false, false, {
                if is_dots(dots) {
                    return true;
                }
                after
            }),
            [b'.', after @ ..] | [b'%', b'2', b'e' | b'E', after @ ..] => (false, true, after),
            [_, after @ ..] => (false, false, after),
        };
        rest = after;
        if ends {
            if is_dots(dots) {
                return true;
            }
            dots = Some(0);
        } else {
            dots = dots.filter(|_| is_dot).map(|dots| dots + 1);
        }
    }
}

fn is_dots(dots: Option<usize>) -> bool {
    matches!(dots, Some(1 | 2))
}

/// A path as a server may read it that undoes escapes, leaves parameters of segments out, and takes any
/// number of slashes, forward or backward, for one. `None` where nothing of it changes.
pub(crate) fn plain(path: &str) -> Option<String> {
    let bytes = path.as_bytes();
    let odd = |pair: &[u8]| matches!(pair, [b'/', b'/']);
    let is_odd = bytes.iter().any(|byte| b"%;\\".contains(byte)) || bytes.windows(2).any(odd);
    if !is_odd {
        return None;
    }
    let text: Cow<'_, str> = percent_decode_str(path).decode_utf8_lossy();
    let mut plain = String::with_capacity(text.len());
    let mut in_parameter = false;
    for one in text.chars() {
        let is_slash = matches!(one, '/' | '\\');
        in_parameter = !is_slash && (in_parameter || one == ';');
        if is_slash && !plain.ends_with('/') {
            plain.push('/');
        } else if !is_slash && !in_parameter {
            plain.push(one);
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_found_however_they_are_written() {
        for path in [
            "/a/../b",
            "/a/%2e%2E/b",
            "/a/.",
            "/a/%2e%2fe",
            "/a%2f..%2Fb",
            "/a%5c..\\b",
            "/a%2F%2e",
            "/a/..;/b",
            "/a/.;x=1",
            "/a/%2e.%3Bx/b",
        ] {
            assert!(has_dots(path), "{path}");
        }
        for path in
            ["/", "/a.b/c", "/a/.../b.c/..d/.e%2f%2ef/g%2f...", "/a;../b", "/a;x=..", "/...;/"]
        {
            assert!(!has_dots(path), "{path}");
        }
    }

    #[test]
    fn a_path_as_others_may_read_it() {
        for path in ["/", "/a/b", "/a.b/-c_~/", "*", ""] {
            assert_eq!(plain(path), None, "{path}");
        }
        for (path, expected) in [
            ("/%6beyed/x", "/keyed/x"),
            ("//keyed///x/", "/keyed/x/"),
            ("/keyed%2fx", "/keyed/x"),
            ("/\\keyed%5Cx", "/keyed/x"),
            ("/keyed;a=1/x;b", "/keyed/x"),
            ("/keyed%3ba/x", "/keyed/x"),
            ("/%zz%", "/%zz%"),
            ("/caf%C3%A9", "/caf\u{e9}"),
        ] {
            assert_eq!(plain(path).as_deref(), Some(expected), "{path}");
        }
    }
}
