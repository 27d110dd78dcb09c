//! Filters by their words. Matching follows all ways through the trie at once, word by word, so
//! its work is bounded by words times nodes whatever the filters look like.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

use crate::sorted::Map;
use crate::topic::{Filter, Topic};

#[derive(Debug)]
struct Node<T> {
    words: Map<Box<str>, usize>,
    star: Option<usize>,
    hash: Option<usize>,
    /// Reached by `#`: stays where it is whatever word comes.
    stays: bool,
    values: Vec<T>,
    /// The turn in which a match came here last. Two ways to one node would double the work at
    /// each `#`.
    entered: Cell<u64>,
}

impl<T> Node<T> {
    fn new(stays: bool) -> Self {
        let (values, entered) = (Vec::new(), Cell::new(0));
        Self { words: Map::new(), star: None, hash: None, stays, values, entered }
    }

    fn is_empty(&self) -> bool {
        self.words.is_empty()
            && self.star.is_none()
            && self.hash.is_none()
            && self.values.is_empty()
    }

    fn child(&self, word: &str) -> Option<usize> {
        match word {
            "*" => self.star,
            "#" => self.hash,
            word => self.words.get(word).copied(),
        }
    }

    fn set_child(&mut self, word: &str, child: Option<usize>) {
        match (word, child) {
            ("*", child) => self.star = child,
            ("#", child) => self.hash = child,
            (word, Some(child)) => {
                self.words.insert(word.into(), child);
            }
            (word, None) => {
                self.words.remove(word);
            }
        }
    }
}

/// Which values' filters match a topic.
#[derive(Debug)]
pub struct FilterTrie<T> {
    nodes: Vec<Node<T>>,
    free: Vec<usize>,
    /// Words that were matched so far: each is one turn.
    turns: Cell<u64>,
}

impl<T: Ord + Copy> FilterTrie<T> {
    #[must_use]
    pub fn new() -> Self {
        Self { nodes: vec![Node::new(false)], free: Vec::new(), turns: Cell::new(0) }
    }

    /// There is no filter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes[0].is_empty()
    }

    /// Adds `value` under `filter`; once is enough.
    pub fn insert(&mut self, filter: &Filter, value: T) {
        let mut at = 0;
        for word in steps(filter) {
            at = match self.nodes[at].child(word) {
                Some(child) => child,
                None => {
                    let child = self.add_node(word == "#");
                    self.nodes[at].set_child(word, Some(child));
                    child
                }
            };
        }
        insert_once(&mut self.nodes[at].values, 0, value);
    }

    fn add_node(&mut self, stays: bool) -> usize {
        let node = Node::new(stays);
        if let Some(free) = self.free.pop() {
            self.nodes[free] = node;
            return free;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Takes `value` away from `filter`, and the nodes that only it needed.
    pub fn remove(&mut self, filter: &Filter, value: T) {
        let mut path = Vec::new();
        let mut at = 0;
        for word in steps(filter) {
            let Some(child) = self.nodes[at].child(word) else { return };
            path.push((at, word));
            at = child;
        }
        let values = &mut self.nodes[at].values;
        let Ok(place) = values.binary_search(&value) else { return };
        values.remove(place);
        for (parent, word) in path.into_iter().rev() {
            if !self.nodes[at].is_empty() {
                break;
            }
            self.free.push(at);
            self.nodes[parent].set_child(word, None);
            at = parent;
        }
    }

    /// Appends the values whose filters match, ascending, each once.
    pub fn matches(&self, topic: &Topic<'_>, out: &mut Vec<T>) {
        if self.is_empty() {
            return;
        }
        let mut states = Vec::new();
        // No wildcard stands for the first word of such a topic.
        let mut literal = topic.is_system();
        self.turns.set(self.turns.get() + 1);
        if literal {
            states.push(0);
        } else {
            self.enter(0, &mut states);
        }
        let mut next = Vec::new();
        for word in topic.words() {
            self.turns.set(self.turns.get() + 1);
            for state in states.drain(..) {
                let node = &self.nodes[state];
                if node.stays {
                    self.enter(state, &mut next);
                }
                let star = node.star.filter(|_| !literal);
                let ways = [node.words.get(word).copied(), star];
                for child in ways.into_iter().flatten() {
                    self.enter(child, &mut next);
                }
            }
            literal = false;
            core::mem::swap(&mut states, &mut next);
        }
        let start = out.len();
        for state in states {
            for value in &self.nodes[state].values {
                insert_once(out, start, *value);
            }
        }
    }

    /// A node, and what follows it without a word: `#` stands for none, too.
    fn enter(&self, node: usize, states: &mut Vec<usize>) {
        let turn = self.turns.get();
        for node in [Some(node), self.nodes[node].hash].into_iter().flatten() {
            if self.nodes[node].entered.replace(turn) != turn {
                states.push(node);
            }
        }
    }
}

/// Puts a value into its place among those from `start` on, unless it is there. Values come in
/// ascending runs, so most go to the end; a sort is ten times the code.
fn insert_once<T: Ord>(values: &mut Vec<T>, start: usize, value: T) {
    if values.get(start..).and_then(<[T]>::last).is_none_or(|last| *last < value) {
        values.push(value);
    } else if let Err(place) = values[start..].binary_search(&value) {
        values.insert(start + place, value);
    }
}

/// The words of a filter. A `#` right after another adds nothing and is left out.
fn steps(filter: &Filter) -> impl Iterator<Item = &str> {
    let mut after_hash = false;
    filter.words().filter(move |word| {
        let hash = *word == "#";
        let repeated = hash && after_hash;
        after_hash = hash;
        !repeated
    })
}

impl<T: Ord + Copy> Default for FilterTrie<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::limits::Limits;
    use crate::sorted::Set;

    /// What the words mean, as plainly as it can be said.
    fn fits(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            ([], []) => true,
            (["#", rest @ ..], _) => (0..=topic.len()).any(|taken| fits(rest, &topic[taken..])),
            (["*", filter @ ..], [_, topic @ ..]) => fits(filter, topic),
            ([wanted, filter @ ..], [word, topic @ ..]) => wanted == word && fits(filter, topic),
            _ => false,
        }
    }

    fn filter(text: &str) -> Filter {
        Filter::parse(text, &Limits::DEFAULTS).unwrap()
    }

    fn matches(trie: &FilterTrie<u32>, topic: &str) -> Vec<u32> {
        let mut found = Vec::new();
        trie.matches(&Topic::parse(topic, &Limits::DEFAULTS).unwrap(), &mut found);
        found
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_the_plain_meaning(
            changes in vec(("([ab*#]\\.){0,5}[ab*#]", 0..4_u32, prop::bool::weighted(0.7)), 0..60),
            topics in vec("([abc]\\.){0,5}[abc]", 1..20),
        ) {
            let mut trie = FilterTrie::new();
            let mut model: Set<(String, u32)> = Set::new();
            for (text, value, add) in changes {
                if add {
                    trie.insert(&filter(&text), value);
                    // `#.#` means `#`, so both are one entry of the trie.
                    model.insert((collapsed(&text), value));
                } else {
                    trie.remove(&filter(&text), value);
                    model.remove(&(collapsed(&text), value));
                }
            }
            for topic in topics {
                let words: Vec<&str> = topic.split('.').collect();
                let fitting = model.iter().filter(|(text, _)| {
                    fits(&text.split('.').collect::<Vec<_>>(), &words)
                });
                let expected: Set<u32> = fitting.map(|(_, value)| *value).collect();
                prop_assert_eq!(matches(&trie, &topic), Vec::from_iter(expected));
            }
            for (text, value) in model.iter() {
                trie.remove(&filter(text), *value);
            }
            prop_assert_eq!(trie.nodes.len(), trie.free.len() + 1);
            prop_assert!(trie.nodes[0].is_empty());
        }
    }

    fn collapsed(text: &str) -> String {
        let mut words: Vec<&str> = text.split('.').collect();
        words.dedup_by(|second, first| (*second, *first) == ("#", "#"));
        words.join(".")
    }

    #[test]
    fn a_hash_stands_for_no_word_too() {
        let mut trie = FilterTrie::new();
        for (value, text) in ["#", "a.#", "#.b", "a.#.b", "*.b", "a.b.#.*"].iter().enumerate() {
            trie.insert(&filter(text), u32::try_from(value).unwrap());
        }
        assert_eq!(matches(&trie, "a.b"), [0, 1, 2, 3, 4]);
        assert_eq!(matches(&trie, "a"), [0, 1]);
        assert_eq!(matches(&trie, "a.b.c"), [0, 1, 5]);
    }

    #[test]
    fn no_wildcard_stands_for_the_first_word_of_the_system() {
        let mut trie = FilterTrie::new();
        let filters = ["#", "*.#", "#.a", "$tabmq.#", "$tabmq.*", "$tabmq.#.a", "$tabmq"];
        for (value, text) in (0..).zip(filters) {
            trie.insert(&filter(text), value);
        }
        assert_eq!(matches(&trie, "$tabmq.a"), [3, 4, 5]);
        assert_eq!(matches(&trie, "$tabmq"), [3, 6]);
        assert_eq!(matches(&trie, "$tabmqs.a"), [0, 1, 2]);
        assert_eq!(matches(&trie, "a.$tabmq"), [0, 1]);
    }

    #[test]
    fn matches_are_appended() {
        let mut trie = FilterTrie::new();
        trie.insert(&filter("a"), 1);
        let mut found = [9].into();
        trie.matches(&Topic::parse("a", &Limits::DEFAULTS).unwrap(), &mut found);
        assert_eq!(found, [9, 1]);
    }

    #[test]
    fn many_hashes_do_not_multiply_the_work() {
        // Each topic word can be taken by each `#`: the ways through grow like 31 choose 15, while
        // the nodes are only as many as there are words in the filters.
        let limits = Limits::DEFAULTS;
        let mut trie = FilterTrie::new();
        for (value, last) in ["a", "b", "*", "#"].iter().enumerate() {
            let words = ["#", "a"].repeat(15).join(".");
            trie.insert(&filter(&[&words, *last].join(".")), value);
        }
        let topic = ["a"; 32].join(".");
        let mut found = Vec::new();
        for _ in 0..1000 {
            found.clear();
            trie.matches(&Topic::parse(&topic, &limits).unwrap(), &mut found);
        }
        assert_eq!(found, [0, 2, 3]);
    }
}
