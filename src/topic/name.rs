//! Topics are words joined by dots. In a filter `*` stands for one word and `#` for zero or more
//! words, anywhere (AMQP 0-9-1, section 3.1.3.3).

use alloc::borrow::ToOwned;
use alloc::string::String;

use crate::error::{Code, Refused};
use crate::limits::Limits;

/// The first word of topics on which only the node speaks. A filter has to name it: a wildcard does
/// not stand for it.
const SYSTEM: &str = "$tabmq";

/// A valid name of a bus, queue, service, method, role or group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Name<'a>(&'a str);

/// A valid topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Topic<'a>(&'a str);

/// A valid filter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Filter(String);

impl<'a> Name<'a> {
    /// # Errors
    /// `INVALID` for an empty name or one with control characters, `TOO_LARGE` for a long one.
    pub fn parse(text: &'a str, limits: &Limits) -> Result<Self, Refused> {
        check_text(text, limits, "name")?;
        Ok(Self(text))
    }

    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

impl<'a> Topic<'a> {
    /// # Errors
    /// `INVALID` for an empty word, a wildcard or a control character, `TOO_LARGE` for a topic that
    /// is too long or has too many words.
    pub fn parse(text: &'a str, limits: &Limits) -> Result<Self, Refused> {
        if check_words(text, limits, "topic")? {
            return Err(Refused::new(Code::Invalid, "topic"));
        }
        Ok(Self(text))
    }

    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }

    pub fn words(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.split('.')
    }

    /// Only the node speaks on it.
    #[must_use]
    pub fn is_system(&self) -> bool {
        begins_with_system(self.0)
    }
}

impl Filter {
    /// # Errors
    /// As for a topic, but wildcards are allowed as whole words.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, Refused> {
        check_words(text, limits, "filter")?;
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// It is for topics on which only the node speaks, and for no others.
    #[must_use]
    pub fn is_system(&self) -> bool {
        begins_with_system(&self.0)
    }

    /// Whether it stands for this name, which may be no topic: a wildcard stands for no word that
    /// only the node speaks under.
    #[must_use]
    pub fn stands_for(&self, name: &str) -> bool {
        begins_with_system(name) == self.is_system() && fits(&self.0, name)
    }
}

/// Whether a name fits a filter, word by word: at most as many steps as the product of their words.
/// A name that is no topic has words as well.
#[must_use]
pub fn fits(filter: &str, name: &str) -> bool {
    let (mut wanted, mut words) = (filter.split('.'), name.split('.'));
    // Behind the last `#`: what is to follow it, and the words it has not swallowed yet.
    let mut again: Option<(core::str::Split<'_, char>, core::str::Split<'_, char>)> = None;
    loop {
        let here = words.clone();
        match (wanted.next(), words.next()) {
            (None, None) => return true,
            (Some("#"), _) => {
                words = here;
                again = Some((wanted.clone(), words.clone()));
                continue;
            }
            (Some(want), Some(word)) if want == "*" || want == word => continue,
            _ => {}
        }
        let Some((behind, rest)) = &mut again else { return false };
        if rest.next().is_none() {
            return false;
        }
        (wanted, words) = (behind.clone(), rest.clone());
    }
}

/// Whether the first word is that of topics of the system.
fn begins_with_system(text: &str) -> bool {
    text.strip_prefix(SYSTEM).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether one of the words is a wildcard. In one pass over the bytes: it is done several times for
/// each live message.
fn check_words(text: &str, limits: &Limits, what: &'static str) -> Result<bool, Refused> {
    check_text(text, limits, what)?;
    let (mut words, mut is_invalid, mut has_wildcard) = (0, false, false);
    let mut end_word = |length, last| {
        words += 1;
        is_invalid |= length == 0;
        has_wildcard |= length == 1 && (last == b'*' || last == b'#');
    };
    let (mut length, mut last) = (0, 0);
    for byte in text.bytes() {
        if byte == b'.' {
            end_word(length, last);
            length = 0;
        } else {
            length += 1;
            last = byte;
        }
    }
    end_word(length, last);
    if is_invalid {
        return Err(Refused::new(Code::Invalid, what));
    }
    if words > limits.topic_words_max {
        return Err(Refused::new(Code::TooLarge, "topic_words_max"));
    }
    Ok(has_wildcard)
}

fn check_text(text: &str, limits: &Limits, what: &'static str) -> Result<(), Refused> {
    if text.len() > limits.name_bytes_max as usize {
        return Err(Refused::new(Code::TooLarge, "name_bytes_max"));
    }
    if text.is_empty() || has_control(text.as_bytes()) {
        return Err(Refused::new(Code::Invalid, what));
    }
    Ok(())
}

/// Whether a text has control characters, which are those below a space, 0x7f, and 0x80 to 0x9f:
/// the last are of two bytes.
fn has_control(bytes: &[u8]) -> bool {
    let mut before = 0;
    bytes.iter().any(|byte| {
        let follows = before == 0xc2 && *byte < 0xa0;
        before = *byte;
        *byte < b' ' || *byte == 0x7f || follows
    })
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    const LIMITS: Limits = Limits { name_bytes_max: 9, topic_words_max: 3, ..Limits::DEFAULTS };

    fn refusal<T>(result: Result<T, Refused>) -> (Code, &'static str) {
        let refused = result.err().expect("the text is refused");
        (refused.code, refused.reason)
    }

    #[test]
    fn names_are_free_but_for_length_and_control_characters() {
        for text in ["a", "calc@1", "a..b", "*", "\u{fc}n\u{ef}"] {
            assert_eq!(Name::parse(text, &LIMITS).unwrap().as_str(), text);
        }
        for text in ["", "a\n", "\0", "a\u{85}"] {
            assert_eq!(refusal(Name::parse(text, &LIMITS)), (Code::Invalid, "name"));
        }
        let long = refusal(Name::parse("0123456789", &LIMITS));
        assert_eq!(long, (Code::TooLarge, "name_bytes_max"));
    }

    #[test]
    fn topics_have_words_and_no_wildcards() {
        let topic = Topic::parse("a.bb.c#", &LIMITS).unwrap();
        assert_eq!(topic.words().collect::<alloc::vec::Vec<_>>(), ["a", "bb", "c#"]);
        for text in ["", ".", "a.", ".a", "a..b", "*", "a.#", "a.\t"] {
            assert_eq!(refusal(Topic::parse(text, &LIMITS)), (Code::Invalid, "topic"), "{text:?}");
        }
        let many = refusal(Topic::parse("a.b.c.d", &LIMITS));
        assert_eq!(many, (Code::TooLarge, "topic_words_max"));
    }

    #[test]
    fn names_fit_filters_word_by_word() {
        for (filter, name, expected) in [
            ("#", "a.b", true),
            ("a", "a", true),
            ("a", "a.b", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.#", "a", true),
            ("#.c", "a.b.c", true),
            ("#.b.#.d", "a.b.c.b.d", true),
            ("#.b.*.d", "a.b.b.c.d", true),
            ("#.b.*.d", "a.b.d", false),
            ("*.#.*", "a", false),
            ("a.*.b", "a..b", true),
            ("a.#.#.b", "a.b", true),
        ] {
            assert_eq!(fits(filter, name), expected, "{filter} {name}");
        }
    }

    #[test]
    fn filters_may_have_wildcards() {
        for text in ["#", "*", "a.*.#", "#.#.#"] {
            assert_eq!(Filter::parse(text, &LIMITS).unwrap().as_str().to_string(), text);
        }
        for text in ["", "a..#", "#."] {
            assert_eq!(refusal(Filter::parse(text, &LIMITS)), (Code::Invalid, "filter"));
        }
        let long = refusal(Filter::parse("0123456.#.#", &LIMITS));
        assert_eq!(long, (Code::TooLarge, "name_bytes_max"));
    }
}
