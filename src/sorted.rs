//! Sorted maps and sets. Their order is part of the core's output. Code that depends on the types
//! of a map is compiled anew for each pair of them, and every visitor pays for it, so there is
//! little of it: entries lie in slots that never move, and what is kept sorted are the numbers of
//! the slots, by code that is the same for all.
//!
//! A change shifts the numbers of the shorter side, so changes near either end are cheap: messages,
//! leases and requests come and go in order.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::ops::{Bound, RangeBounds};

/// Slots that an empty map may keep.
const SLOTS_KEPT_MAX: usize = 1024;

/// The numbers of the slots in the order of their keys.
#[derive(Clone, Debug, Default)]
struct Order {
    slots: VecDeque<Slot>,
    free: Vec<Slot>,
}

/// A map of a million entries pays for each byte of this.
type Slot = u32;

fn place_of(slot: Slot) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

impl Order {
    /// The slot at a place.
    fn at(&self, place: usize) -> Option<usize> {
        self.slots.get(place).copied().map(place_of)
    }

    /// The place of a key: where it is, or where it belongs. `compare` tells how the key in a slot
    /// stands to it. Compiled for each type of key, for it is what most time is spent in.
    fn search(&self, compare: impl Fn(usize) -> Ordering) -> Result<usize, usize> {
        let (mut first, mut end, mut tried) = (0, self.slots.len(), 0_u32);
        // What comes in order belongs last and goes first, so these are looked at before others.
        while first < end {
            let place = match tried {
                0 => end - 1,
                1 => first,
                _ => first + (end - first) / 2,
            };
            tried += 1;
            match compare(self.at(place).unwrap_or_default()) {
                Ordering::Less => first = place + 1,
                Ordering::Equal => return Ok(place),
                Ordering::Greater => end = place,
            }
        }
        Err(first)
    }

    /// The slot of a key that was searched. A new key gets one that is free, or else the next.
    fn slot(&mut self, found: Result<usize, usize>) -> usize {
        match found {
            Ok(place) => self.at(place).unwrap_or_default(),
            Err(place) => {
                let next = Slot::try_from(self.slots.len()).unwrap_or(Slot::MAX);
                let slot = self.free.pop().unwrap_or(next);
                self.slots.insert(place, slot);
                place_of(slot)
            }
        }
    }

    /// Frees the slot at a place.
    fn close(&mut self, place: usize) -> Option<usize> {
        let slot = self.slots.remove(place)?;
        self.free.push(slot);
        Some(place_of(slot))
    }

    /// Frees every slot that `keep` does not want.
    #[inline(never)]
    fn retain(&mut self, keep: &mut dyn FnMut(usize) -> bool) {
        let Self { slots, free } = self;
        slots.retain(|slot| {
            let kept = keep(place_of(*slot));
            if !kept {
                free.push(*slot);
            }
            kept
        });
    }
}

/// A map in the order of its keys.
#[derive(Clone, Debug)]
pub struct Map<K, V> {
    order: Order,
    entries: Vec<Option<(K, V)>>,
}

/// A map of many entries that come and go near its ends.
pub type Line<K, V> = Map<K, V>;

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self { order: Order::default(), entries: Vec::new() }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for Map<K, V> {}

impl<K, V> Map<K, V> {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.order.slots.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.slots.is_empty()
    }

    fn at(&self, place: usize) -> Option<(&K, &V)> {
        let (key, value) = self.entries.get(self.order.at(place)?)?.as_ref()?;
        Some((key, value))
    }

    fn at_mut(&mut self, place: usize) -> Option<(&K, &mut V)> {
        let (key, value) = self.entries.get_mut(self.order.at(place)?)?.as_mut()?;
        Some((key, value))
    }

    fn take(&mut self, place: usize) -> Option<(K, V)> {
        let slot = self.order.close(place)?;
        let taken = self.entries.get_mut(slot)?.take();
        // What a peak needed is given back once it is over.
        if self.is_empty() && self.entries.len() > SLOTS_KEPT_MAX {
            self.clear();
        }
        taken
    }

    #[must_use]
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.at(0)
    }

    pub fn pop_first(&mut self) -> Option<(K, V)> {
        self.take(0)
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let entries = &mut self.entries;
        self.order.retain(&mut |slot| {
            let Some(entry) = entries.get_mut(slot) else { return false };
            let kept = entry.as_mut().is_some_and(|(key, value)| keep(key, value));
            if !kept {
                *entry = None;
            }
            kept
        });
    }

    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { map: self, first: 0, end: self.len() }
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Shows every value for a change, in the order of the keys.
    pub fn for_each_mut(&mut self, mut change: impl FnMut(&K, &mut V)) {
        for place in 0..self.len() {
            if let Some((key, value)) = self.at_mut(place) {
                change(key, value);
            }
        }
    }
}

impl<K: Ord, V> Map<K, V> {
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.order.search(|slot| match self.entries.get(slot) {
            Some(Some((found, _))) => found.borrow().cmp(key),
            _ => Ordering::Less,
        })
    }

    /// The entry of a key, made empty if there is none.
    fn entry(&mut self, key: &K) -> &mut Option<(K, V)> {
        let slot = self.order.slot(self.place(key));
        if slot == self.entries.len() {
            self.entries.push(None);
        }
        &mut self.entries[slot]
    }

    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.at(self.place(key).ok()?).map(|(_, value)| value)
    }

    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.at_mut(self.place(key).ok()?).map(|(_, value)| value)
    }

    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Sets the value of a key and gives the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let before = self.entry(&key).replace((key, value));
        before.map(|(_, value)| value)
    }

    /// The value of a key, made if there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let (_, value) = self.entry(&key).get_or_insert_with(|| (key, make()));
        value
    }

    /// The value of a key, the default one if there was none.
    pub fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.get_or_insert_with(key, V::default)
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.take(self.place(key).ok()?).map(|(_, value)| value)
    }

    /// The entries of a range of keys; none if it ends before it starts.
    pub fn range(&self, range: impl RangeBounds<K>) -> Iter<'_, K, V> {
        let before = |key: &K| self.place(key).unwrap_or_else(|place| place);
        let behind = |key: &K| self.place(key).map_or_else(|place| place, |place| place + 1);
        let first = match range.start_bound() {
            Bound::Included(start) => before(start),
            Bound::Excluded(start) => behind(start),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => behind(end),
            Bound::Excluded(end) => before(end),
            Bound::Unbounded => self.len(),
        };
        Iter { map: self, first, end: end.max(first) }
    }

    /// The first entry from a key on.
    pub fn next_mut(&mut self, from: &K) -> Option<(&K, &mut V)> {
        let place = self.place(from).unwrap_or_else(|place| place);
        self.at_mut(place)
    }
}

/// The entries of a part of a map.
#[derive(Debug)]
pub struct Iter<'a, K, V> {
    map: &'a Map<K, V>,
    first: usize,
    end: usize,
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        if self.first == self.end {
            return None;
        }
        self.first += 1;
        self.map.at(self.first - 1)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.first;
        (left, Some(left))
    }
}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.first == self.end {
            return None;
        }
        self.end -= 1;
        self.map.at(self.end)
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        let mut map = Self::new();
        map.extend(items);
        map
    }
}

impl<K: Ord, V> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, items: I) {
        for (key, value) in items {
            self.insert(key, value);
        }
    }
}

/// What was in a map.
#[derive(Debug)]
pub struct IntoIter<K, V>(Map<K, V>);

impl<K, V> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        self.0.pop_first()
    }
}

impl<K, V> DoubleEndedIterator for IntoIter<K, V> {
    fn next_back(&mut self) -> Option<(K, V)> {
        self.0.take(self.0.len().checked_sub(1)?)
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> IntoIter<K, V> {
        IntoIter(self)
    }
}

/// A set in order.
#[derive(Clone, Debug)]
pub struct Set<K>(Map<K, ()>);

/// A set of many elements that come and go near its ends.
pub type LineSet<K> = Set<K>;

impl<K: PartialEq> PartialEq for Set<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K: Eq> Eq for Set<K> {}

impl<K> Default for Set<K> {
    fn default() -> Self {
        Self(Map::default())
    }
}

impl<K> Set<K> {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn first(&self) -> Option<&K> {
        self.0.first_key_value().map(|(key, ())| key)
    }

    pub fn pop_first(&mut self) -> Option<K> {
        self.0.pop_first().map(|(key, ())| key)
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        self.0.retain(|key, ()| keep(key));
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.0.keys()
    }
}

impl<K: Ord> Set<K> {
    #[must_use]
    pub fn contains<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// True if it was not in the set.
    pub fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }

    /// True if it was in the set.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.remove(key).is_some()
    }
}

impl<K: Ord> FromIterator<K> for Set<K> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        let mut set = Self::new();
        set.extend(keys);
        set
    }
}

impl<K: Ord> Extend<K> for Set<K> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        for key in keys {
            self.insert(key);
        }
    }
}

impl<K> IntoIterator for Set<K> {
    type Item = K;
    type IntoIter = core::iter::Map<IntoIter<K, ()>, fn((K, ())) -> K>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(key, ())| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled_and_emptied(entries: u32) -> Map<u32, u32> {
        let mut map = Map::new();
        for key in 0..entries {
            map.insert(key, key);
        }
        while map.pop_first().is_some() {}
        map
    }

    #[test]
    fn an_empty_map_gives_back_what_a_peak_took_and_keeps_a_little() {
        assert!(filled_and_emptied(1000).entries.capacity() >= 1000);
        let mut map = filled_and_emptied(5000);
        assert_eq!(map.entries.capacity(), 0);
        assert!(map.insert(1, 2).is_none() && map.get(&1) == Some(&2));
    }
}
