//! The ratchet file: what may exceed a budget, and by how much. Entries get smaller or go; a new
//! one has to be argued for in review.

use std::collections::BTreeMap;
use std::fmt;

/// What exceeds a budget: a file, or one function of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub path: String,
    /// Absent for the file as a whole.
    pub function: Option<String>,
}

/// Lines allowed, by key.
pub type Ratchet = BTreeMap<Key, usize>;

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(function) => write!(formatter, "function {} {function}", self.path),
            None => write!(formatter, "file {}", self.path),
        }
    }
}

/// Reads `file PATH LINES` and `function PATH NAME LINES`; `#` starts a comment line. An error is
/// the number of the line that is neither.
pub fn parse(text: &str) -> Result<Ratchet, usize> {
    let mut ratchet = Ratchet::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, lines) = parse_line(line).ok_or(index + 1)?;
        ratchet.insert(key, lines);
    }
    Ok(ratchet)
}

/// The whole file again: comments of `text` first, then the entries in order.
pub fn render(text: &str, ratchet: &Ratchet) -> String {
    let mut out = String::new();
    for comment in text.lines().filter(|line| line.starts_with('#')) {
        out.push_str(comment);
        out.push('\n');
    }
    for (key, lines) in ratchet {
        out.push_str(&format!("{key} {lines}\n"));
    }
    out
}

fn parse_line(line: &str) -> Option<(Key, usize)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let key = |path: &str, function| Key { path: path.to_owned(), function };
    match words.as_slice() {
        ["file", path, lines] => Some((key(path, None), lines.parse().ok()?)),
        ["function", path, name, lines] => {
            Some((key(path, Some((*name).to_owned())), lines.parse().ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_can_be_parsed() {
        let text = "# why\nfile src/a.rs 510\nfunction src/a.rs Broker::poll_output 80\n";
        let ratchet = parse(text).unwrap();
        assert_eq!(ratchet.len(), 2);
        assert_eq!(render(text, &ratchet), text);
    }

    #[test]
    fn a_line_of_another_form_is_refused() {
        assert_eq!(parse("file src/a.rs 510\nfile src/b.rs\n"), Err(2));
    }
}
