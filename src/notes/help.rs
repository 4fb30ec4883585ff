//! The notes of a command as the end of its help.

use std::fmt::Write;

use super::of;

/// Where help texts are broken.
const WIDTH: usize = 100;

/// What is longer has its meaning on the next line.
const WIDEST: usize = 40;

/// The notes of a command as the end of its help.
pub fn help(command: &str) -> String {
    let mut out = String::new();
    for (heading, entries) in of(command).parts() {
        if !out.is_empty() {
            out.push('\n');
        }
        let _ = writeln!(out, "{heading}:");
        let lengths = entries.iter().map(|(what, _)| what.chars().count());
        let column = lengths.filter(|length| *length <= WIDEST).max().unwrap_or(8);
        for (what, meaning) in entries {
            let mut lead = format!("  {what:column$}  ");
            for line in broken(meaning, WIDTH - column - 4) {
                if lead.trim_end().chars().count() > column + 2 {
                    let _ = writeln!(out, "{}", lead.trim_end());
                    lead.clear();
                }
                let _ = writeln!(out, "{lead:width$}{line}", width = column + 4);
                lead.clear();
            }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// The text in lines of at most `width` characters.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_fits_its_width() {
        let text = help("man");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("\n  0  Printed or written.\n"), "{text}");
    }
}
