//! What carries this client's messages to a node may be slower than the client. Then it holds back
//! what can wait: sends and calls, which stay where they are until they are transmitted. What keeps
//! others waiting goes on: settlements, replies, questions, and what says who is there.

use crate::client::Client;
use crate::time::{Instant, Now};

/// Until when this client holds back.
#[derive(Debug, Default)]
pub(super) struct Holding {
    pub until: Option<Instant>,
}

impl Client {
    /// The way to the node takes no more for now. That ends with `release`, with the link, or after
    /// so long: who tells may be gone.
    pub fn hold_back(&mut self, now: Now, at_most_ms: u64) {
        self.begin(now);
        if self.link.is_open() {
            self.holding.until = Some(self.now.mono.after_ms(at_most_ms));
        }
        self.settle_forward();
    }

    /// The way to the node has room again. What was published meanwhile may not have got there.
    pub fn release(&mut self, now: Now) {
        self.begin(now);
        if self.is_held() {
            self.end_holding();
        }
        self.settle_forward();
    }

    pub(super) const fn is_held(&self) -> bool {
        self.holding.until.is_some()
    }

    pub(super) fn release_if_due(&mut self) {
        if self.holding.until.is_some_and(|until| until <= self.now.mono) {
            self.end_holding();
        }
    }

    fn end_holding(&mut self) {
        self.holding.until = None;
        self.pump();
        self.transmit_calls();
        self.catch_up();
    }
}
