//! Results of calls, kept until their callers say that they have them: one that was lost with its
//! link must not make its call run again. None is forgotten to make room; over a bound of bytes the
//! oldest are cut to the fact that there was one.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::error::Code;
use crate::id::{CallId, ClientId};
use crate::sorted::{Line, Map, Set};
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::{CallKey, Outcome};

#[derive(Debug, Default)]
pub struct Answers {
    /// Encoded `CallResult` frames.
    pub(super) results: Line<CallKey, Vec<u8>>,
    /// Those that are not cut, the oldest first. Some may be forgotten meanwhile.
    whole: VecDeque<CallKey>,
    bytes: usize,
    /// Clients whose sessions were given up with all that was known of their calls, and the first
    /// call that each said for the first time since then.
    pub(super) given_up: Map<ClientId, Option<CallId>>,
}

/// Clients that are remembered for having been given up. One that is not may run a call again.
const GIVEN_UP_MAX: usize = 10_000;

impl Answers {
    pub fn len(&self) -> usize {
        self.results.len()
    }

    pub fn get(&self, key: &CallKey) -> Option<&Vec<u8>> {
        self.results.get(key)
    }

    /// All results: those that are cut, then the whole ones, the oldest first.
    pub fn in_turn(&self) -> impl Iterator<Item = (CallKey, &[u8])> {
        let whole: Set<CallKey> = self.whole.iter().copied().collect();
        let cut = self.results.keys().filter(move |key| !whole.contains(*key)).copied();
        let keys = cut.chain(self.whole.iter().copied());
        keys.filter_map(|key| Some((key, &**self.results.get(&key)?)))
    }

    /// A client that another of this node had given up.
    pub fn recall_giving_up(&mut self, caller: ClientId, first: Option<CallId>) {
        self.given_up.insert(caller, first);
    }

    pub fn callers(&self) -> impl Iterator<Item = ClientId> + '_ {
        self.results.keys().map(|key| key.caller)
    }

    /// Keeps a result; the first of a call counts.
    pub fn keep(&mut self, key: CallKey, result: Vec<u8>, bytes_max: usize) {
        if self.results.contains_key(&key) {
            return;
        }
        self.bytes += result.len();
        self.results.insert(key, result);
        self.whole.push_back(key);
        while self.bytes > bytes_max
            && let Some(oldest) = self.whole.pop_front()
        {
            self.cut(oldest);
        }
    }

    fn cut(&mut self, key: CallKey) {
        let Some(result) = self.results.get_mut(&key) else { return };
        let outcome = Outcome::Failed { code: Code::Unavailable, maybe_executed: true };
        let mut short = Vec::new();
        encode_frame(&Frame::CallResult { call: key.call, outcome }, &mut short);
        if short.len() < result.len() {
            self.bytes -= result.len() - short.len();
            *result = short;
        }
    }

    /// The session of a client is given up though its page may live, and say its calls again.
    pub fn give_up(&mut self, caller: ClientId) {
        if self.given_up.len() >= GIVEN_UP_MAX {
            self.given_up.pop_first();
        }
        self.given_up.insert(caller, None);
    }

    /// The page of the client is gone, or another one has come.
    pub fn forget_giving_up(&mut self, caller: ClientId) {
        self.given_up.remove(&caller);
    }

    /// A client says a call for the first time. Those that it says later have higher numbers.
    pub fn said_first(&mut self, key: CallKey) {
        if let Some(first) = self.given_up.get_mut(&key.caller) {
            first.get_or_insert(key.call);
        }
    }

    /// Whether a call that is said again may have been known before its caller was given up.
    pub fn was_given_up(&self, key: &CallKey) -> bool {
        let first = self.given_up.get(&key.caller);
        first.is_some_and(|first| first.is_none_or(|first| key.call < first))
    }

    pub fn drop_one(&mut self, key: CallKey) {
        self.bytes -= self.results.remove(&key).map_or(0, |result| result.len());
    }

    /// The caller has every result below `below`.
    pub fn forget_below(&mut self, caller: ClientId, below: CallId) {
        let first = CallKey { caller, call: CallId(0) };
        let end = CallKey { caller, call: below };
        let done: Vec<CallKey> = self.results.range(first..end).map(|(key, _)| *key).collect();
        for key in done {
            self.drop_one(key);
        }
        if self.whole.len() > 2 * self.results.len() {
            let results = &self.results;
            self.whole.retain(|key| results.contains_key(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(call: u32) -> CallKey {
        CallKey { caller: ClientId([1; 16]), call: CallId(call) }
    }

    #[test]
    fn over_the_bound_the_oldest_are_cut_and_none_is_forgotten() {
        let mut answers = Answers::default();
        for call in 1..=5 {
            answers.keep(key(call), alloc::vec![0; 100], 250);
        }
        let lengths: Vec<usize> = (1..=5).map(|n| answers.get(&key(n)).unwrap().len()).collect();
        assert!(lengths[..3].iter().all(|length| *length < 20), "{lengths:?}");
        assert_eq!(lengths[3..], [100, 100]);
        assert_eq!(answers.bytes, lengths.iter().sum::<usize>());
        answers.forget_below(ClientId([1; 16]), CallId(5));
        assert_eq!((answers.len(), answers.bytes), (1, 100));
        assert!(answers.whole.len() <= 2);
    }
}
