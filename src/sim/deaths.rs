//! What a message's deaths mean, told as plainly as possible. Shares no code with the broker.

use alloc::string::String;
use alloc::vec::Vec;

use crate::time::UnixMillis;
use crate::wire::frame::{self, History, Reason};

/// One death of one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Death {
    /// The name of the queue it died in.
    pub queue: String,
    pub reason: Reason,
    pub attempts: u32,
    pub at: UnixMillis,
    pub note: Option<String>,
}

/// Whether a message with these deaths, the last one last, has been pushed out of `target`, and
/// since then only out of other queues.
#[must_use]
pub fn is_circle(deaths: &[Death], target: &str) -> bool {
    let pushed = deaths.iter().rev().take_while(|death| death.reason == Reason::Overflow);
    pushed.into_iter().any(|death| death.queue == target)
}

/// What the message brings along.
#[must_use]
pub fn history(deaths: &[Death]) -> History<'_> {
    let mut entries: Vec<frame::Death<'_>> = Vec::new();
    for death in deaths.iter().rev() {
        let kind = |other: &&Death| (&other.queue, other.reason) == (&death.queue, death.reason);
        let seen = entries.iter().any(|e| (e.queue, e.reason) == (&*death.queue, death.reason));
        if seen {
            continue;
        }
        let same: Vec<&Death> = deaths.iter().filter(kind).collect();
        entries.push(frame::Death {
            queue: &death.queue,
            reason: death.reason,
            count: u32::try_from(same.len()).unwrap_or(u32::MAX),
            attempts: same.iter().map(|death| death.attempts).sum(),
            first_at: same[0].at,
            last_at: death.at,
            note: death.note.as_deref(),
        });
    }
    let recent = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    History { recent, deaths: entries }
}
