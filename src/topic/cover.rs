//! Whether all that one filter stands for is among what another stands for.

use alloc::vec;
use alloc::vec::Vec;

use crate::topic::Filter;

impl Filter {
    /// Whether every topic that fits `other` fits this one. Never true by mistake. It may be false
    /// though it is so where a `#` of this filter has to be taken in several ways at once.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        if self.is_system() != other.is_system() {
            // The wildcards of `other` stand for no topic of the system, and neither do ours.
            return false;
        }
        let (ours, theirs) = (in_order(self), in_order(other));
        // Whether what is left of ours covers what is left of theirs: for each place in theirs, the
        // row of the word of ours that was looked at last, from the end on.
        let mut behind: Vec<bool> = vec![false; theirs.len() + 1];
        behind[theirs.len()] = true;
        for word in ours.into_iter().rev() {
            let mut row = vec![false; theirs.len() + 1];
            row[theirs.len()] = word == "#" && behind[theirs.len()];
            for (place, their) in theirs.iter().enumerate().rev() {
                row[place] = match (word, *their) {
                    ("#", _) => behind[place] || row[place + 1],
                    // None of theirs, or one and then any number again.
                    (word, "#") => word == "*" && row[place + 1] && behind[place],
                    (word, their) => (word == "*" || word == their) && behind[place + 1],
                };
            }
            behind = row;
        }
        behind[0]
    }
}

/// The words, and of wildcards that follow each other each `*` before one `#`: they stand for the
/// same in any order.
fn in_order(filter: &Filter) -> Vec<&str> {
    let mut words = Vec::new();
    let mut any = false;
    for word in filter.words() {
        if any && word != "*" && word != "#" {
            words.push("#");
            any = false;
        }
        if word == "#" {
            any = true;
        } else {
            words.push(word);
        }
    }
    words.extend(any.then_some("#"));
    words
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    use crate::limits::Limits;
    use crate::topic::{Filter, fits};

    fn filter(text: &str) -> Filter {
        Filter::parse(text, &Limits::DEFAULTS).unwrap()
    }

    #[test]
    fn a_filter_covers_what_stands_for_no_more() {
        for (ours, theirs, expected) in [
            ("#", "#", true),
            ("#", "a.*.#", true),
            ("a.#", "a", true),
            ("a.#", "#", false),
            ("a.*", "a.#", false),
            ("a.*", "a.*", true),
            ("a.*", "a.b", true),
            ("a.b", "a.*", false),
            ("*.#", "#.a", true),
            ("*.#", "#", false),
            ("#.*", "*.#", true),
            ("*.#", "#.*", true),
            ("#.a.#", "#.a.b.#", true),
            ("#.b", "a.#", false),
            ("*.*.#", "#.*.a", true),
            ("#", "$tabmq.#", false),
            ("$tabmq.#", "#", false),
            ("$tabmq.#", "$tabmq.queue.*.a", true),
            ("*.queue.#", "$tabmq.queue.#", false),
        ] {
            assert_eq!(filter(ours).covers(&filter(theirs)), expected, "{ours} {theirs}");
        }
    }

    /// Every filter and topic of up to four words of a small language.
    fn texts(words: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = words.iter().map(ToString::to_string).collect();
        let mut last = all.clone();
        for _ in 0..3 {
            let longer = last.iter().flat_map(|text| words.iter().map(move |w| (text, w)));
            last = longer.map(|(text, word)| [text, *word].join(".")).collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    #[test]
    fn nothing_is_covered_that_does_not_fit() {
        let (filters, topics) = (texts(&["a", "*", "#"]), texts(&["a", "b"]));
        let mut missed = 0;
        for ours in &filters {
            let fitting: Vec<bool> = topics.iter().map(|topic| fits(ours, topic)).collect();
            for theirs in &filters {
                let mut all = topics.iter().zip(&fitting);
                let is_covered = all.all(|(topic, fits_ours)| *fits_ours || !fits(theirs, topic));
                let covers = filter(ours).covers(&filter(theirs));
                assert!(!covers || is_covered, "{ours} {theirs}");
                missed += u32::from(is_covered && !covers);
            }
        }
        assert!(missed * 50 < (filters.len() * filters.len()) as u32, "{missed} were missed");
    }
}
