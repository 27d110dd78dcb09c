//! Why a message is a dead letter: each way it died in each queue, the last one first.

use alloc::vec::Vec;

use crate::cbor::{Read, Reader, Write, structure, write_uint};
use crate::time::UnixMillis;

macro_rules! reasons {
    ($($(#[$doc:meta])+ $number:literal => $name:ident, $text:literal;)+) => {
        /// Why a message left its queue for a dead-letter queue.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Reason {
            $($(#[$doc])+ $name = $number,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The stable text that users see.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }

        /// A reason is its number. One of a newer version is malformed.
        impl Read<'_> for Reason {
            fn read(reader: &mut Reader<'_>) -> Self {
                match reader.uint(u64::MAX) {
                    $($number => Self::$name,)+
                    _ => {
                        reader.fail();
                        Self::Rejected
                    }
                }
            }
        }
    };
}

reasons! {
    /// Its consumer would not have it.
    1 => Rejected, "rejected";
    /// Its last delivery failed, as its consumer said.
    2 => DeliveriesMax, "deliveries-max";
    /// Its last delivery failed: the lease ran out, or the consumer died.
    3 => LeaseLost, "lease-lost";
    /// Its queue was full.
    4 => Overflow, "overflow";
    /// It outlived its time to live.
    5 => Expired, "expired";
}

impl Reason {
    /// No consumer had a part in it. Such deaths could follow each other for ever.
    #[must_use]
    pub const fn is_automatic(self) -> bool {
        matches!(self, Self::Overflow | Self::Expired)
    }
}

impl Write for Reason {
    fn write(&self, out: &mut Vec<u8>) {
        write_uint(out, *self as u64);
    }
}

structure! {
    /// All deaths of one message in one queue for one reason.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Death<'a> {
        /// The queue it died in.
        pub queue: &'a str,
        pub reason: Reason,
        pub count: u32,
        /// Failed deliveries, over all of these deaths.
        pub attempts: u32,
        /// By the wall clock of the node.
        pub first_at: UnixMillis,
        pub last_at: UnixMillis,
        /// What the consumer said the last time.
        pub note: Option<&'a str>,
    }
}

structure! {
    /// The deaths of one message. It goes with the message, back from a dead-letter queue as well.
    #[derive(Clone, PartialEq, Eq, Debug, Default)]
    pub struct History<'a> {
        /// How many of `deaths` came after it was last moved back; 0: it is no dead letter now.
        pub recent: u32,
        /// The last one first. At most `limits.deaths_max`; the oldest are forgotten.
        pub deaths: Vec<Death<'a>>,
    }
}

impl<'a> History<'a> {
    /// Adds a death, to those of the same queue and reason if there are any.
    pub fn add(&mut self, mut death: Death<'a>, deaths_max: usize) {
        let same = |known: &Death<'_>| (known.queue, known.reason) == (death.queue, death.reason);
        let known = self.deaths.iter().position(same);
        if known.is_none_or(|place| place >= self.recent as usize) {
            self.recent = self.recent.saturating_add(1);
        }
        if let Some(place) = known {
            let earlier = self.deaths.remove(place);
            death.count = death.count.saturating_add(earlier.count);
            death.attempts = death.attempts.saturating_add(earlier.attempts);
            death.first_at = earlier.first_at;
        }
        self.deaths.insert(0, death);
        self.deaths.truncate(deaths_max.max(1));
        self.recent = self.recent.min(self.deaths.len() as u32);
    }

    /// Whether a message that now leaves a queue for `target` without a consumer's doing goes in a
    /// circle: it died in `target` before, and no consumer and no redrive came between. One that
    /// has died so in as many queues as are remembered is taken to be in a circle, too.
    #[must_use]
    pub fn is_circle(&self, target: &str, deaths_max: usize) -> bool {
        let recent = self.deaths.iter().take(self.recent as usize);
        let mut automatic = recent.take_while(|death| death.reason.is_automatic());
        let count = automatic.clone().count();
        count >= deaths_max.max(1) || automatic.any(|death| death.queue == target)
    }

    /// Why the message is a dead letter, if it is one: what its consumer said, or else the reason.
    #[must_use]
    pub fn dead_reason(&self) -> Option<&'a str> {
        let last = self.deaths.first().filter(|_| self.recent > 0)?;
        Some(last.note.unwrap_or(last.reason.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(queue: &'static str, reason: Reason, at: u64) -> Death<'static> {
        let (first_at, last_at) = (UnixMillis(at), UnixMillis(at));
        Death { queue, reason, count: 1, attempts: 2, first_at, last_at, note: None }
    }

    fn history(deaths: &[(&'static str, Reason)]) -> History<'static> {
        let mut history = History::default();
        for (at, (queue, reason)) in (1..).zip(deaths) {
            history.add(death(queue, *reason, at), 4);
        }
        history
    }

    #[test]
    fn deaths_of_one_kind_are_one_entry_and_the_last_comes_first() {
        let found =
            history(&[("a", Reason::Rejected), ("b", Reason::Overflow), ("a", Reason::Rejected)]);
        let again = Death {
            count: 2,
            attempts: 4,
            last_at: UnixMillis(3),
            ..death("a", Reason::Rejected, 1)
        };
        assert_eq!(found.deaths, [again, death("b", Reason::Overflow, 2)]);
        assert_eq!((found.recent, found.dead_reason()), (2, Some("rejected")));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let names = ["a", "b", "c", "d", "e"];
        let found = history(&names.map(|name| (name, Reason::Rejected)));
        let kept: Vec<&str> = found.deaths.iter().map(|death| death.queue).collect();
        assert_eq!((kept, found.recent), (["e", "d", "c", "b"].into(), 4));
    }

    #[test]
    fn a_circle_has_no_consumer_in_it() {
        let overflow = |name| (name, Reason::Overflow);
        assert!(history(&[overflow("a"), overflow("b")]).is_circle("a", 4));
        assert!(!history(&[overflow("a"), overflow("b")]).is_circle("c", 4));
        assert!(!history(&[overflow("a"), ("b", Reason::Rejected)]).is_circle("a", 4));
        assert!(history(&["a", "b", "c", "d"].map(overflow)).is_circle("e", 4));
        let mut moved = history(&[overflow("a"), overflow("b")]);
        moved.recent = 0;
        assert!(!moved.is_circle("a", 4));
        assert_eq!(moved.dead_reason(), None);
        moved.add(death("b", Reason::Overflow, 9), 4);
        assert_eq!(moved.recent, 1);
        assert!(!moved.is_circle("a", 4));
    }

    #[test]
    fn every_reason_comes_back_and_an_unknown_one_does_not() {
        for reason in Reason::ALL {
            let mut bytes = Vec::new();
            crate::cbor::encode(reason, &mut bytes);
            assert_eq!(crate::cbor::decode(&bytes), Ok(*reason));
        }
        assert!(crate::cbor::decode::<Reason>(&[99]).is_err());
    }
}
