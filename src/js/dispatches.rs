//! Calls under way at this realm's services, under numbers that JavaScript can hold.

use crate::sorted::Map;
use crate::wire::frame::CallKey;

#[derive(Debug, Default)]
pub struct Dispatches {
    last: u32,
    keys: Map<u32, CallKey>,
    numbers: Map<CallKey, u32>,
}

impl Dispatches {
    pub fn insert(&mut self, key: CallKey) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.keys.insert(self.last, key);
        self.numbers.insert(key, self.last);
        self.last
    }

    pub fn key(&self, number: u32) -> Option<CallKey> {
        self.keys.get(&number).copied()
    }

    pub fn remove(&mut self, number: u32) {
        if let Some(key) = self.keys.remove(&number) {
            self.numbers.remove(&key);
        }
    }

    /// Forgets a call whose caller waits no more. Gives its number.
    pub fn cancel(&mut self, key: CallKey) -> Option<u32> {
        let number = self.numbers.remove(&key)?;
        self.keys.remove(&number);
        Some(number)
    }
}
