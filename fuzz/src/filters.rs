//! Topics, filters and the trie: the first line is a topic, the others are filters.
//!
//! Holds: nothing panics; a parsed text is what its words say; the trie matches what a plain
//! comparison of words matches, before and after filters are removed from it.

use tabmq::limits::Limits;
use tabmq::topic::{Filter, FilterTrie, Topic, fits};

/// The lines as a topic and filters on it.
pub fn filters(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let limits = Limits::DEFAULTS;
    let mut lines = text.split('\n');
    let name = lines.next().unwrap_or_default();
    let parsed: Vec<Filter> =
        lines.filter_map(|line| Filter::parse(line, &limits).ok()).take(64).collect();
    for filter in &parsed {
        assert_eq!(filter.words().collect::<Vec<_>>().join("."), filter.as_str());
        assert!(filter.as_str().len() <= limits.name_bytes_max as usize);
        assert!(filter.words().count() <= limits.topic_words_max as usize);
        assert_eq!(fits(filter.as_str(), name), plainly(filter.as_str(), name), "{filter:?}");
    }
    let Ok(topic) = Topic::parse(name, &limits) else { return false };
    assert_eq!(topic.words().collect::<Vec<_>>().join("."), name);
    let mut trie = FilterTrie::new();
    for (value, filter) in parsed.iter().enumerate() {
        trie.insert(filter, value);
        trie.insert(filter, value);
    }
    agrees(&trie, &parsed, &topic, |_| true);
    for (value, filter) in parsed.iter().enumerate().step_by(2) {
        trie.remove(filter, value);
    }
    agrees(&trie, &parsed, &topic, |value| value % 2 == 1);
    !parsed.is_empty()
}

fn agrees(
    trie: &FilterTrie<usize>,
    parsed: &[Filter],
    topic: &Topic<'_>,
    is_there: impl Fn(usize) -> bool,
) {
    let matches = |filter: &Filter| {
        filter.is_system() == topic.is_system() && plainly(filter.as_str(), topic.as_str())
    };
    let there = parsed.iter().enumerate().filter(|(value, _)| is_there(*value));
    let expected: Vec<usize> =
        there.filter(|(_, filter)| matches(filter)).map(|(value, _)| value).collect();
    let mut found = Vec::new();
    trie.matches(topic, &mut found);
    found.sort_unstable();
    assert_eq!(found, expected, "{topic:?} among {parsed:?}");
}

/// By a table of which words the first words of the filter fit.
fn plainly(filter: &str, name: &str) -> bool {
    let words: Vec<&str> = name.split('.').collect();
    let mut fit = vec![false; words.len() + 1];
    fit[0] = true;
    for wanted in filter.split('.') {
        let before = fit.clone();
        for count in 0..fit.len() {
            let last = || before[count - 1] && (wanted == "*" || wanted == words[count - 1]);
            fit[count] = match wanted {
                "#" => before[..=count].contains(&true),
                _ => count > 0 && last(),
            };
        }
    }
    fit[words.len()]
}
