//! Where in a JSON text a value stands. Pure; the text is known to be JSON.

/// Line and column, from 1, of the value that a path leads to, or of the innermost on the way to it that is
/// there.
pub(super) fn of(text: &str, path: &[String]) -> (usize, usize) {
    let mut at = blanks(text.as_bytes(), 0);
    for key in path {
        match child(text, at, key) {
            Some(inner) => at = inner,
            None => break,
        }
    }
    let before = &text[..at.min(text.len())];
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Where the value of a key begins in the object or array that begins at `at`. Of several keys of one name
/// it is the last, since that one counts.
fn child(text: &str, at: usize, key: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let object = match bytes.get(at)? {
        b'{' => true,
        b'[' => false,
        _ => return None,
    };
    let mut found = None;
    let mut at = blanks(bytes, at + 1);
    let mut number = 0;
    while !matches!(bytes.get(at)?, b'}' | b']') {
        let began = at;
        let mut fits = !object && key.parse() == Ok(number);
        if object {
            let end = value(bytes, at);
            let name: String = serde_json::from_str(text.get(at..end)?).ok()?;
            fits = name == key;
            // The colon.
            at = blanks(bytes, blanks(bytes, end) + 1);
        }
        if fits {
            found = Some(at);
        }
        at = blanks(bytes, value(bytes, at));
        if bytes.get(at)? == &b',' {
            at = blanks(bytes, at + 1);
        }
        if at == began {
            return None;
        }
        number += 1;
    }
    found
}

/// The end of the blanks at `at`.
fn blanks(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// The end of the value that begins at `at`.
fn value(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            b':' if depth == 0 => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return at.min(bytes.len());
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').filter(|key| !key.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn values_are_found_by_their_paths() {
        let text = "\n{ \"a\": 1, \"b\\u0063\": [true, \"x]\\\"\", {\"d\": null}],\n\t\"ä\":\"\",\"e\" :-1.5e3}";
        for (key, place) in [
            ("", (2, 1)),
            ("a", (2, 8)),
            ("bc", (2, 22)),
            ("bc.0", (2, 23)),
            ("bc.1", (2, 29)),
            ("bc.2", (2, 37)),
            ("bc.2.d", (2, 43)),
            ("bc.2.none", (2, 37)),
            ("bc.3", (2, 22)),
            ("ä", (3, 6)),
            ("e", (3, 14)),
            ("e.f", (3, 14)),
        ] {
            assert_eq!(of(text, &path(key)), place, "{key}");
        }
    }

    #[test]
    fn the_last_of_two_keys_counts() {
        assert_eq!(of("{\"a\":1,\"a\":2}", &path("a")), (1, 12));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]{}:,\"a1 \\\\\n]{0,40}", key in "[a01.]{0,6}") {
            of(&text, &path(&key));
        }
    }
}
