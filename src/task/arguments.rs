//! The arguments of a task as the command line says them: `KEY=VALUE`, with dots between levels.

use serde_json::{Map, Value};

/// The words that Go's `strconv.ParseBool` reads; 0 and 1 are numbers before they are booleans.
const WORDS: [(&str, bool); 10] = [
    ("t", true),
    ("T", true),
    ("TRUE", true),
    ("true", true),
    ("True", true),
    ("f", false),
    ("F", false),
    ("FALSE", false),
    ("false", false),
    ("False", false),
];

/// Puts the object together: `typed` of `-a`, with commas between several, then `texts`, whose values
/// are taken as they are.
///
/// # Errors
/// A sentence, in the words of the client that this one succeeds.
pub(super) fn object(typed: &[String], texts: &[String]) -> Result<Value, String> {
    let mut object = Map::new();
    for list in typed {
        for pair in split(list)? {
            let (key, value) = assignment(&pair)?;
            set(&mut object, key, read(value))?;
        }
    }
    for pair in texts {
        let (key, value) = assignment(pair)?;
        set(&mut object, key, value.into())?;
    }
    Ok(object.into())
}

fn assignment(pair: &str) -> Result<(&str, &str), String> {
    pair.split_once('=').ok_or_else(|| format!("invalid request arg: '{pair}'"))
}

/// A whole number of 64 bits, a boolean, or a text.
fn read(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return number.into();
    }
    let word = WORDS.iter().find(|(word, _)| *word == text);
    word.map_or_else(|| text.into(), |(_, flag)| (*flag).into())
}

fn set(object: &mut Map<String, Value>, key: &str, value: Value) -> Result<(), String> {
    let mut at = object;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            at.insert(part.to_owned(), value);
            return Ok(());
        }
        let below = at.entry(part).or_insert_with(|| Map::new().into());
        at = below
            .as_object_mut()
            .ok_or_else(|| format!("intermediate nested key {part} defined and not a map"))?;
    }
    Ok(())
}

/// Splits at commas. A part in double quotes is taken whole; two of them within stand for one.
fn split(list: &str) -> Result<Vec<String>, String> {
    let mut parts = Vec::new();
    let mut rest = list;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (part, after) = match rest.split_once(',') {
                Some((part, after)) => (part, Some(after)),
                None => (rest, None),
            };
            parts.push(part.to_owned());
            match after {
                Some(after) => rest = after,
                None => return Ok(parts),
            }
            continue;
        };
        let mut part = String::new();
        let mut letters = quoted.chars();
        loop {
            match letters.next() {
                Some('"') if letters.as_str().starts_with('"') => {
                    letters.next();
                    part.push('"');
                }
                Some('"') => break,
                Some(letter) => part.push(letter),
                None => return Err(format!("a quote is not closed in: '{list}'")),
            }
        }
        parts.push(part);
        match letters.as_str() {
            "" => return Ok(parts),
            after => match after.strip_prefix(',') {
                Some(after) => rest = after,
                None => return Err(format!("a comma has to follow the quote in: '{list}'")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn typed(words: &[&str]) -> Result<Value, String> {
        object(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), &[])
    }

    #[test]
    fn c65_numbers_booleans_texts_and_levels() {
        let words =
            ["a.b=1", "a.c=true,d=x=y", "e=t", "f=", "=g", "h=1.5", "i=-3", "j=0", "k=T", "l=1"];
        let expected = json!({
            "": "g", "a": {"b": 1, "c": true}, "d": "x=y", "e": true, "f": "", "h": "1.5", "i": -3,
            "j": 0, "k": true, "l": 1
        });
        assert_eq!(typed(&words).unwrap(), expected);
        assert_eq!(
            typed(&["n=12345678901234567890"]).unwrap(),
            json!({"n": "12345678901234567890"})
        );
    }

    #[test]
    fn c66_what_is_no_argument() {
        assert_eq!(typed(&["x"]).unwrap_err(), "invalid request arg: 'x'");
        assert_eq!(typed(&["a=1,x"]).unwrap_err(), "invalid request arg: 'x'");
        let nested = "intermediate nested key a defined and not a map";
        assert_eq!(typed(&["a=1", "a.b=2"]).unwrap_err(), nested);
        assert_eq!(typed(&["a.b=2", "a=1"]).unwrap(), json!({"a": 1}));
    }

    #[test]
    fn commas_within_quotes() {
        assert_eq!(typed(&[r#""a=1,2",b=3"#]).unwrap(), json!({"a": "1,2", "b": 3}));
        assert_eq!(typed(&[r#""a=say ""hi""""#]).unwrap(), json!({"a": "say \"hi\""}));
        assert!(typed(&[r#""a=1"#]).unwrap_err().starts_with("a quote is not closed"));
        assert!(typed(&[r#""a=1"x"#]).unwrap_err().starts_with("a comma has to follow"));
        let texts = ["x=1,true".to_owned(), "y=t".to_owned()];
        assert_eq!(object(&[], &texts).unwrap(), json!({"x": "1,true", "y": "t"}));
    }
}
