//! What the model says of moves: each finds its message where the one before left it.

use alloc::format;

use crate::log::{Place, Record};
use crate::sim::check::{Violation, violated};
use crate::sim::fact::Tag;
use crate::sim::model::{Model, Whereabouts};
use crate::sim::prepared::Fate;

const MOVED: &str = "moved-is-the-same";

impl Model {
    /// A move changes where a message is and nothing else.
    pub(super) fn relocate(&mut self, place: Place, record: &Record<'_>) -> Result<(), Violation> {
        let Record::Moved { from, queue, lease, message: moved } = record else { return Ok(()) };
        let number = moved.number;
        let half = self.halves.get_mut(&number).filter(|half| half.fate == Fate::Open);
        let half = half.map(|half| &mut half.message);
        let Some(message) = self.messages.get_mut(&number).or(half) else {
            return violated(MOVED, format!("message {} was never stored", number.0));
        };
        let stands = match lease {
            Some(lease) => message.whereabouts == Whereabouts::Leased(*lease),
            None => matches!(message.whereabouts, Whereabouts::Waiting { .. }),
        };
        if !stands || message.queue != *queue || message.place != *from {
            let what = format!("message {} does not stand where it is moved from", number.0);
            return violated(MOVED, what);
        }
        let sent = (message.lane, message.sequence, message.index);
        if Tag::of_message(moved.body, moved.lane, moved.number) != Some(message.tag)
            || sent != (moved.lane, moved.sequence, moved.index)
        {
            return violated(MOVED, format!("message {} is another after its move", number.0));
        }
        message.place = place;
        Ok(())
    }
}
