//! Percent-encoding of parts of a target (RFC 3986, 2.1).

/// Percent-decoding; `None` for what is not UTF-8 or not hexadecimal.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digit = |at: usize| char::from(*tail.get(at)?).to_digit(16);
            bytes.push(u8::try_from(digit(0)? << 4 | digit(1)?).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes a part of a path or a query.
pub(crate) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_reads_back() {
        for text in ["a b", "ä/?&=%", "plain-name_1~"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
        for wrong in ["%", "%f", "%zz", "%+f", "%ff"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
