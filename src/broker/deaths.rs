//! The histories of the messages that died at least once. They are kept as they travel.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::cbor;
use crate::id::MessageNumber;
use crate::sorted::Line;
use crate::wire::frame::{Death, History};

#[derive(Debug)]
pub struct Deaths {
    /// Encoded.
    histories: Line<MessageNumber, Box<[u8]>>,
    deaths_max: usize,
}

impl Deaths {
    pub fn new(deaths_max: u32) -> Self {
        Self { histories: Line::new(), deaths_max: deaths_max as usize }
    }

    /// The encoded history of a message, if it died before.
    pub fn of(&self, number: MessageNumber) -> Option<&[u8]> {
        self.histories.get(&number).map(|history| &**history)
    }

    /// The history of a message; an empty one if it never died.
    pub fn history(&self, number: MessageNumber) -> History<'_> {
        self.of(number).and_then(|bytes| cbor::decode(bytes).ok()).unwrap_or_default()
    }

    pub fn add(&mut self, number: MessageNumber, death: Death<'_>) {
        let mut history = self.history(number);
        history.add(death, self.deaths_max);
        let bytes = encoded(&history);
        self.histories.insert(number, bytes);
    }

    /// Takes a history as it was kept.
    pub fn keep(&mut self, number: MessageNumber, history: &[u8]) {
        self.histories.insert(number, history.into());
    }

    /// The message has left for good.
    pub fn remove(&mut self, number: MessageNumber) {
        self.histories.remove(&number);
    }

    /// The message is back where it died, or where someone put it.
    pub fn move_back(&mut self, number: MessageNumber) {
        if self.of(number).is_none() {
            return;
        }
        let mut history = self.history(number);
        history.recent = 0;
        let bytes = encoded(&history);
        self.histories.insert(number, bytes);
    }

    /// Whether a message that leaves for the queue `target` without a consumer's doing goes in a
    /// circle.
    pub fn is_circle(&self, number: MessageNumber, target: &str) -> bool {
        self.history(number).is_circle(target, self.deaths_max)
    }
}

fn encoded(history: &History<'_>) -> Box<[u8]> {
    let mut bytes = Vec::new();
    cbor::encode(history, &mut bytes);
    bytes.into()
}
