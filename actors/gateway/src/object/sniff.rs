//! The content type of an answer whose hook names none, found as Go finds it in texts.

/// What a document of HTML begins with; a space or `>` has to follow.
const HTML: [&str; 17] = [
    "<!DOCTYPE HTML",
    "<HTML",
    "<HEAD",
    "<SCRIPT",
    "<IFRAME",
    "<H1",
    "<DIV",
    "<FONT",
    "<TABLE",
    "<A",
    "<STYLE",
    "<TITLE",
    "<B",
    "<BODY",
    "<BR",
    "<P",
    "<!--",
];

/// How far Go looks.
const LOOKED_AT: usize = 512;

/// The content type of a body that is text.
pub(super) fn content_type(body: &str) -> &'static str {
    let seen = &body.as_bytes()[..body.len().min(LOOKED_AT)];
    let start = seen.iter().position(|byte| !b"\t\n\x0c\r ".contains(byte)).unwrap_or(seen.len());
    let text = &seen[start..];
    let begins = |tag: &&str| {
        text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
            && matches!(text.get(tag.len()), Some(b' ' | b'>'))
    };
    let binary = |byte: &u8| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    if HTML.iter().any(begins) {
        "text/html; charset=utf-8"
    } else if text.starts_with(b"<?xml") {
        "text/xml; charset=utf-8"
    } else if text.iter().any(binary) {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn texts_are_told_apart() {
        for (body, kind) in [
            ("body", "text/plain; charset=utf-8"),
            ("{\"foo\": \"bar\"}", "text/plain; charset=utf-8"),
            (" \n<html>", "text/html; charset=utf-8"),
            ("<!doctype html><p>", "text/html; charset=utf-8"),
            ("<p>", "text/html; charset=utf-8"),
            ("<pre>", "text/plain; charset=utf-8"),
            ("<html", "text/plain; charset=utf-8"),
            ("<?xml version=\"1.0\"?>", "text/xml; charset=utf-8"),
            ("a\0b", "application/octet-stream"),
        ] {
            assert_eq!(content_type(body), kind, "{body}");
        }
    }
}
