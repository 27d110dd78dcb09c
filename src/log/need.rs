//! What is still needed of each chunk, and what the others would give back.

/// By so much the record of a message is longer than its body and properties, about.
const RECORD_BYTES: u32 = 48;
/// What a chunk costs beside its bytes: a key and a row in the store, a line in the manifest, a
/// read of its own.
const CHUNK_BYTES: u32 = 512;
/// A chunk of which less than one part in so many is needed is sparse: moving what is needed writes
/// at most a third of what it gives back.
const SPARSE_PARTS: u32 = 4;

/// What is needed of one chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Need {
    /// The chunk's length; zero while it fills.
    pub length: u32,
    messages: u32,
    /// About what the records of its live messages take.
    pub bytes: u32,
}

impl Need {
    pub const fn retain(&mut self, message_bytes: u32) {
        self.messages += 1;
        self.bytes = self.bytes.saturating_add(record_bytes(message_bytes));
    }

    pub const fn release(&mut self, message_bytes: u32) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(record_bytes(message_bytes));
    }

    /// No message in it is live.
    pub const fn is_dead(&self) -> bool {
        self.messages == 0
    }

    const fn weight(&self) -> u32 {
        self.length.saturating_add(CHUNK_BYTES)
    }

    /// It has live messages, so few that moving them is worth it.
    pub const fn is_sparse(&self) -> bool {
        self.length > 0 && self.messages > 0 && self.bytes < self.weight() / SPARSE_PARTS
    }

    const fn given_back(&self) -> usize {
        self.weight().saturating_sub(self.bytes) as usize
    }
}

/// About what a message takes in the log.
pub const fn record_bytes(message_bytes: u32) -> u32 {
    message_bytes.saturating_add(RECORD_BYTES)
}

/// What the store would get back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Garbage {
    /// From chunks that the next checkpoint deletes.
    pub dead_bytes: usize,
    /// From chunks whose live messages have to be moved first.
    pub sparse_bytes: usize,
}

impl Garbage {
    /// Counts a chunk that was counted as `before` as `after`.
    pub const fn recount(&mut self, before: Need, after: Need) {
        if let Some(bytes) = self.share_of(before) {
            *bytes -= before.given_back();
        }
        if let Some(bytes) = self.share_of(after) {
            *bytes += after.given_back();
        }
    }

    const fn share_of(&mut self, need: Need) -> Option<&mut usize> {
        if need.length == 0 {
            None
        } else if need.is_dead() {
            Some(&mut self.dead_bytes)
        } else if need.is_sparse() {
            Some(&mut self.sparse_bytes)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn of_length(length: u32) -> Need {
        Need { length, messages: 0, bytes: 0 }
    }

    #[test]
    fn a_chunk_is_sparse_when_little_of_it_is_needed_and_dead_when_nothing_is() {
        let (mut need, mut garbage) = (of_length(8000), Garbage::default());
        garbage.recount(Need::default(), need);
        assert_eq!(garbage, Garbage { dead_bytes: 8512, sparse_bytes: 0 });
        let mut change = |change: &mut dyn FnMut(&mut Need)| {
            let before = need;
            change(&mut need);
            garbage.recount(before, need);
            garbage
        };
        let one = change(&mut |need| need.retain(1000));
        assert_eq!(one, Garbage { dead_bytes: 0, sparse_bytes: 8512 - 1048 });
        assert_eq!(change(&mut |need| need.retain(2000)), Garbage::default());
        assert_eq!(change(&mut |need| need.release(2000)), one);
        assert_eq!(change(&mut |need| need.release(1000)).dead_bytes, 8512);
    }

    #[test]
    fn a_chunk_that_is_all_needed_is_never_sparse() {
        for (length, message_bytes) in [(48 + 1000, 950), (256 << 10, 0), (1 << 20, 1 << 20)] {
            let mut need = of_length(length);
            // No record is shorter than this or longer than its estimate by more than this.
            for _ in 0..(length / (message_bytes + 90)).max(1) {
                need.retain(message_bytes);
            }
            assert!(!need.is_sparse(), "{length} bytes of messages of {message_bytes}");
        }
    }
}
