//! Which messages of the model are not over: those that most of its questions are about. A run ends
//! with thousands of messages, of which some dozens live.

use crate::id::MessageNumber;
use crate::sim::model::{Message, Model, Whereabouts};
use crate::sim::prepared::Fate;

impl Message {
    /// Whether it left by a recorded act. What did never comes back.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.whereabouts, Whereabouts::Acked | Whereabouts::Discarded)
    }

    #[must_use]
    pub const fn waits(&self) -> bool {
        matches!(self.whereabouts, Whereabouts::Waiting { .. })
    }
}

impl Model {
    /// Messages that wait or are leased, by number.
    pub fn living(&self) -> impl Iterator<Item = (MessageNumber, &Message)> {
        let numbers = self.numbers_living.iter();
        let known = numbers.filter_map(|number| Some((*number, self.messages.get(number)?)));
        known.filter(|(_, message)| !message.is_over())
    }

    /// Prepared messages that nobody decided about, as they are to stand in their queues.
    pub fn undecided(&self) -> impl Iterator<Item = &Message> {
        let halves = self.numbers_open.iter().filter_map(|number| self.halves.get(number));
        halves.filter(|half| half.fate == Fate::Open).map(|half| &half.message)
    }

    /// Forgets the numbers of those that are over.
    pub fn forget_what_is_over(&mut self) {
        let messages = &self.messages;
        let lives = |number: &MessageNumber| messages.get(number).is_some_and(|m| !m.is_over());
        self.numbers_living.retain(lives);
        let halves = &self.halves;
        let open =
            |number: &MessageNumber| halves.get(number).is_some_and(|half| half.fate == Fate::Open);
        self.numbers_open.retain(open);
    }
}
