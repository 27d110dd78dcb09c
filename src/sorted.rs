//! Sorted maps and sets over flat storage. Their order is part of the core's output, and their code
//! is a tenth of that of a B-tree, which is compiled anew for every pair of types; the difference
//! is paid for by every visitor.
//!
//! `Map` and `Set` shift what stands behind a change, so they are for what a device has few of:
//! sessions, queues, handles. `Line` and `LineSet` shift the shorter side, so changes near either
//! end are cheap: they are for messages, leases and requests, which come and go in order.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::marker::PhantomData;
use core::ops::{Bound, RangeBounds};

/// A map of few entries.
pub type Map<K, V> = Sorted<K, V, Vec<(K, V)>>;
/// A map of many entries that come and go near its ends.
pub type Line<K, V> = Sorted<K, V, VecDeque<(K, V)>>;
/// A set of few elements.
pub type Set<K> = SortedSet<K, Vec<(K, ())>>;
/// A set of many elements that come and go near its ends.
pub type LineSet<K> = SortedSet<K, VecDeque<(K, ())>>;

/// Storage with places, such as a vector.
pub trait Places<T>: Default + IntoIterator<Item = T> {
    fn count(&self) -> usize;
    fn at(&self, place: usize) -> Option<&T>;
    fn at_mut(&mut self, place: usize) -> Option<&mut T>;
    fn put(&mut self, place: usize, item: T);
    fn take(&mut self, place: usize) -> Option<T>;
    fn keep(&mut self, keep: impl FnMut(&mut T) -> bool);
    fn between<'a>(&'a self, first: usize, end: usize) -> impl DoubleEndedIterator<Item = &'a T>
    where
        T: 'a;
    fn between_mut<'a>(&'a mut self, first: usize, end: usize) -> impl Iterator<Item = &'a mut T>
    where
        T: 'a;
}

impl<T> Places<T> for Vec<T> {
    fn count(&self) -> usize {
        self.len()
    }

    fn at(&self, place: usize) -> Option<&T> {
        self.get(place)
    }

    fn at_mut(&mut self, place: usize) -> Option<&mut T> {
        self.get_mut(place)
    }

    fn put(&mut self, place: usize, item: T) {
        self.insert(place, item);
    }

    fn take(&mut self, place: usize) -> Option<T> {
        (place < self.len()).then(|| self.remove(place))
    }

    fn keep(&mut self, keep: impl FnMut(&mut T) -> bool) {
        self.retain_mut(keep);
    }

    fn between<'a>(&'a self, first: usize, end: usize) -> impl DoubleEndedIterator<Item = &'a T>
    where
        T: 'a,
    {
        self.get(first..end).unwrap_or_default().iter()
    }

    fn between_mut<'a>(&'a mut self, first: usize, end: usize) -> impl Iterator<Item = &'a mut T>
    where
        T: 'a,
    {
        self.get_mut(first..end).unwrap_or_default().iter_mut()
    }
}

impl<T> Places<T> for VecDeque<T> {
    fn count(&self) -> usize {
        self.len()
    }

    fn at(&self, place: usize) -> Option<&T> {
        self.get(place)
    }

    fn at_mut(&mut self, place: usize) -> Option<&mut T> {
        self.get_mut(place)
    }

    fn put(&mut self, place: usize, item: T) {
        if place == self.len() {
            self.push_back(item);
        } else {
            self.insert(place, item);
        }
    }

    fn take(&mut self, place: usize) -> Option<T> {
        if place == 0 { self.pop_front() } else { self.remove(place) }
    }

    fn keep(&mut self, keep: impl FnMut(&mut T) -> bool) {
        self.retain_mut(keep);
    }

    fn between<'a>(&'a self, first: usize, end: usize) -> impl DoubleEndedIterator<Item = &'a T>
    where
        T: 'a,
    {
        self.range(first.min(end)..end)
    }

    fn between_mut<'a>(&'a mut self, first: usize, end: usize) -> impl Iterator<Item = &'a mut T>
    where
        T: 'a,
    {
        self.range_mut(first.min(end)..end)
    }
}

/// A map in the order of its keys.
#[derive(Clone, Debug)]
pub struct Sorted<K, V, S> {
    items: S,
    types: PhantomData<(K, V)>,
}

impl<K, V, S: PartialEq> PartialEq for Sorted<K, V, S> {
    fn eq(&self, other: &Self) -> bool {
        self.items == other.items
    }
}

impl<K, V, S: Eq> Eq for Sorted<K, V, S> {}

impl<K, V, S: Default> Default for Sorted<K, V, S> {
    fn default() -> Self {
        Self { items: S::default(), types: PhantomData }
    }
}

impl<K: Ord, V, S: Places<(K, V)>> Sorted<K, V, S> {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.items.count()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.count() == 0
    }

    /// The place of a key: where it is, or where it belongs. What comes in order belongs last, so
    /// that is looked at first.
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        let count = self.items.count();
        match count.checked_sub(1).and_then(|last| self.items.at(last)) {
            Some((last, _)) if last.borrow() < key => return Err(count),
            None => return Err(0),
            Some(_) => {}
        }
        let place = self.lower(|item| item < key);
        let found = self.items.at(place).is_some_and(|(item, _)| item.borrow() == key);
        if found { Ok(place) } else { Err(place) }
    }

    /// The first place whose key is not before, which `before` tells.
    fn lower<Q: ?Sized>(&self, before: impl Fn(&Q) -> bool) -> usize
    where
        K: Borrow<Q>,
    {
        let (mut first, mut end) = (0, self.items.count());
        while first < end {
            let middle = first + (end - first) / 2;
            match self.items.at(middle) {
                Some((item, _)) if before(item.borrow()) => first = middle + 1,
                _ => end = middle,
            }
        }
        first
    }

    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key).ok()?;
        self.items.at(place).map(|(_, value)| value)
    }

    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key).ok()?;
        self.items.at_mut(place).map(|(_, value)| value)
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
        match self.place(&key) {
            Ok(place) => {
                let before = self.items.at_mut(place)?;
                Some(core::mem::replace(&mut before.1, value))
            }
            Err(place) => {
                self.items.put(place, (key, value));
                None
            }
        }
    }

    /// The value of a key, made if there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = match self.place(&key) {
            Ok(place) => place,
            Err(place) => {
                self.items.put(place, (key, make()));
                place
            }
        };
        match self.items.at_mut(place) {
            Some((_, value)) => value,
            None => unreachable!("a key that was just found or put is there"),
        }
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
        let place = self.place(key).ok()?;
        self.items.take(place).map(|(_, value)| value)
    }

    #[must_use]
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.items.at(0).map(|(key, value)| (key, value))
    }

    pub fn pop_first(&mut self) -> Option<(K, V)> {
        self.items.take(0)
    }

    pub fn clear(&mut self) {
        self.items = S::default();
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.items.keep(|(key, value)| keep(key, value));
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.items.between(0, self.items.count()).map(|(key, value)| (key, value))
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let count = self.items.count();
        self.items.between_mut(0, count).map(|(_, value)| value)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        let count = self.items.count();
        self.items.between_mut(0, count).map(|(key, value)| (&*key, value))
    }

    /// The entries of a range of keys; none if it ends before it starts.
    pub fn range(&self, range: impl RangeBounds<K>) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        let (first, end) = self.places(&range);
        self.items.between(first, end).map(|(key, value)| (key, value))
    }

    pub fn range_mut(&mut self, range: impl RangeBounds<K>) -> impl Iterator<Item = (&K, &mut V)> {
        let (first, end) = self.places(&range);
        self.items.between_mut(first, end).map(|(key, value)| (&*key, value))
    }

    fn places(&self, range: &impl RangeBounds<K>) -> (usize, usize) {
        let first = match range.start_bound() {
            Bound::Included(start) => self.lower(|key: &K| key < start),
            Bound::Excluded(start) => self.lower(|key: &K| key <= start),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => self.lower(|key: &K| key <= end),
            Bound::Excluded(end) => self.lower(|key: &K| key < end),
            Bound::Unbounded => self.items.count(),
        };
        (first, end.max(first))
    }
}

impl<K: Ord, V, S: Places<(K, V)>> FromIterator<(K, V)> for Sorted<K, V, S> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        let mut map = Self::new();
        map.extend(items);
        map
    }
}

impl<K: Ord, V, S: Places<(K, V)>> Extend<(K, V)> for Sorted<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, items: I) {
        for (key, value) in items {
            self.insert(key, value);
        }
    }
}

impl<K, V, S: IntoIterator<Item = (K, V)>> IntoIterator for Sorted<K, V, S> {
    type Item = (K, V);
    type IntoIter = S::IntoIter;

    fn into_iter(self) -> S::IntoIter {
        self.items.into_iter()
    }
}

/// A set in order.
#[derive(Clone, Debug)]
pub struct SortedSet<K, S>(Sorted<K, (), S>);

impl<K, S: PartialEq> PartialEq for SortedSet<K, S> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K, S: Eq> Eq for SortedSet<K, S> {}

impl<K, S: Default> Default for SortedSet<K, S> {
    fn default() -> Self {
        Self(Sorted::default())
    }
}

impl<K: Ord, S: Places<(K, ())>> SortedSet<K, S> {
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

impl<K: Ord, S: Places<(K, ())>> FromIterator<K> for SortedSet<K, S> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        let mut set = Self::new();
        set.extend(keys);
        set
    }
}

impl<K: Ord, S: Places<(K, ())>> Extend<K> for SortedSet<K, S> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        for key in keys {
            self.insert(key);
        }
    }
}

impl<K, S: IntoIterator<Item = (K, ())>> IntoIterator for SortedSet<K, S> {
    type Item = K;
    type IntoIter = core::iter::Map<S::IntoIter, fn((K, ())) -> K>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(key, ())| key)
    }
}
