//! Deadlines of many things of one kind: set, moved, removed, and taken in order of time.

use crate::sorted::{Line, LineSet};

/// `T` is the clock: running time or wall time.
#[derive(Debug)]
pub struct Deadlines<K, T> {
    at: Line<K, T>,
    order: LineSet<(T, K)>,
}

impl<K, T> Default for Deadlines<K, T> {
    fn default() -> Self {
        Self { at: Line::default(), order: LineSet::default() }
    }
}

impl<K: Ord + Copy, T: Ord + Copy> Deadlines<K, T> {
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets or moves the deadline of `key`.
    pub fn set(&mut self, key: K, at: T) {
        if let Some(old) = self.at.insert(key, at) {
            self.order.remove(&(old, key));
        }
        self.order.insert((at, key));
    }

    pub fn remove(&mut self, key: K) {
        if let Some(at) = self.at.remove(&key) {
            self.order.remove(&(at, key));
        }
    }

    /// All of them, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, T)> + '_ {
        self.at.iter().map(|(key, at)| (*key, *at))
    }

    /// The earliest deadline.
    pub fn first(&self) -> Option<T> {
        self.order.first().map(|(at, _)| *at)
    }

    /// What comes first.
    pub fn first_key(&self) -> Option<K> {
        self.order.first().map(|(_, key)| *key)
    }

    /// Takes the earliest key whose deadline has come.
    pub fn pop_due(&mut self, now: T) -> Option<K> {
        let (at, key) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.remove(key);
        Some(key)
    }
}
