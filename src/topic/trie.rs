//! Filters by their words. Matching follows all ways through the trie at once, word by word, so
//! its work is bounded by words times nodes whatever the filters look like.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use crate::topic::{Filter, Topic};

#[derive(Debug, Default)]
struct Node<T> {
    words: BTreeMap<Box<str>, usize>,
    star: Option<usize>,
    hash: Option<usize>,
    /// Reached by `#`: stays where it is whatever word comes.
    stays: bool,
    values: Vec<T>,
}

impl<T> Node<T> {
    fn new(stays: bool) -> Self {
        Self { words: BTreeMap::new(), star: None, hash: None, stays, values: Vec::new() }
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
}

impl<T: Ord + Copy> FilterTrie<T> {
    #[must_use]
    pub fn new() -> Self {
        Self { nodes: vec![Node::new(false)], free: Vec::new() }
    }

    /// Adds `value` under `filter`; once is enough.
    pub fn insert(&mut self, filter: &Filter, value: T) {
        let mut at = 0;
        for word in filter.words() {
            at = match self.nodes[at].child(word) {
                Some(child) => child,
                None => {
                    let child = self.add_node(word == "#");
                    self.nodes[at].set_child(word, Some(child));
                    child
                }
            };
        }
        let values = &mut self.nodes[at].values;
        if let Err(place) = values.binary_search(&value) {
            values.insert(place, value);
        }
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
        for word in filter.words() {
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
        let mut states = Vec::new();
        self.enter(0, &mut states);
        let mut next = Vec::new();
        for word in topic.words() {
            for state in states.drain(..) {
                let node = &self.nodes[state];
                if node.stays {
                    self.enter(state, &mut next);
                }
                let ways = [node.words.get(word).copied(), node.star];
                for child in ways.into_iter().flatten() {
                    self.enter(child, &mut next);
                }
            }
            next.sort_unstable();
            next.dedup();
            core::mem::swap(&mut states, &mut next);
        }
        let start = out.len();
        for state in states {
            out.extend_from_slice(&self.nodes[state].values);
        }
        out[start..].sort_unstable();
        let mut found = out.split_off(start);
        found.dedup();
        out.append(&mut found);
    }

    /// A node, and what follows it without a word: `#` stands for none, too.
    fn enter(&self, node: usize, states: &mut Vec<usize>) {
        let mut at = Some(node);
        while let Some(state) = at {
            states.push(state);
            at = self.nodes[state].hash;
        }
    }
}

impl<T: Ord + Copy> Default for FilterTrie<T> {
    fn default() -> Self {
        Self::new()
    }
}
