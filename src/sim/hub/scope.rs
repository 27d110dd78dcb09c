//! What the users of a device may do: the lists that the host of the hub grants by, and, apart
//! from how the broker reads them, what they mean.

use alloc::format;
use alloc::vec::Vec;

use crate::broker::{Grant, Granting};
use crate::limits::Limits;
use crate::options::{DeadLetter, QueueOptions};
use crate::sim::check::live::matches;
use crate::sim::fact::Ask;
use crate::time::UnixMillis;

/// Lists of patterns, as a host writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    pub publish: &'static [&'static str],
    pub subscribe: &'static [&'static str],
    pub consume: &'static [&'static str],
    pub serve: &'static [&'static str],
    pub call: &'static [&'static str],
    pub admin: bool,
}

const ANY: &[&str] = &["#"];
const HEARS_ALL: &[&str] = &["#", "$tabmq.#"];

/// May do everything.
pub const WIDE: Scope =
    Scope { publish: ANY, subscribe: HEARS_ALL, consume: ANY, serve: ANY, call: ANY, admin: true };

/// Nobody is let in.
pub static NOTHING: Scope =
    Scope { publish: &[], subscribe: &[], consume: &[], serve: &[], call: &[], admin: false };

/// What a grant may be.
pub static SCOPES: [Scope; 4] = [
    WIDE,
    // It sends, and looks after little of it.
    Scope {
        publish: ANY,
        subscribe: HEARS_ALL,
        consume: &["plain", "stage.*", "brief.#"],
        serve: &["names"],
        call: &["sums"],
        admin: false,
    },
    // It works on what others send.
    Scope {
        publish: &["a.#", "d", "plain", "stage.#", "faded", "keyed", "once"],
        subscribe: HEARS_ALL,
        consume: ANY,
        serve: &["sums", "scribe"],
        call: ANY,
        admin: false,
    },
    // It says little, and hears less.
    Scope {
        publish: &["a.b", "a.b.#", "strict", "brief", "stage.1", "spills.#"],
        subscribe: &["a.#", "$tabmq.#"],
        consume: &["*", "stage.1"],
        serve: ANY,
        call: &["names"],
        admin: false,
    },
];

fn any(patterns: &[&str], name: &str) -> bool {
    // No wildcard stands for the first word of what is the system's.
    let own = |pattern: &&&str| pattern.starts_with('$') == name.starts_with('$');
    patterns.iter().filter(own).any(|pattern| matches(pattern, name))
}

impl Scope {
    #[must_use]
    pub fn may_publish(&self, name: &str) -> bool {
        any(self.publish, name)
    }

    #[must_use]
    pub fn may_hear(&self, topic: &str) -> bool {
        any(self.subscribe, topic)
    }

    #[must_use]
    pub fn may_consume(&self, queue: &str) -> bool {
        any(self.consume, queue)
    }

    /// Whether a verb is covered; `None` where the verb alone does not tell.
    #[must_use]
    pub fn covers(&self, ask: &Ask) -> Option<bool> {
        Some(match ask {
            // What a schedule sends: it may sample a topic, too.
            Ask::Send { tags, .. } if tags.is_empty() => return None,
            Ask::Send { queue, .. } | Ask::Decide { queue, .. } => self.may_publish(queue),
            Ask::Consume { queue, .. } => self.may_consume(queue),
            Ask::Inspect { queue, .. } | Ask::Watch { queue, .. } => {
                self.admin || self.may_publish(queue) || self.may_consume(queue)
            }
            Ask::Declare { queue, options, .. } => {
                (self.may_publish(queue) || self.may_consume(queue)) && self.may_name(options)
            }
            Ask::Serve { name, .. } | Ask::Lead { role: name, .. } => any(self.serve, name),
            _ => return None,
        })
    }

    /// Whether it may send to the queues that a declaration names.
    fn may_name(&self, options: &QueueOptions) -> bool {
        let dead = match &options.dead_letter {
            Some(DeadLetter::Queue(dead)) => self.may_publish(dead),
            _ => true,
        };
        dead && options.expired.as_ref().is_none_or(|expired| self.may_publish(expired))
    }

    /// As the host of a hub grants it to the user of a device.
    #[must_use]
    pub fn grant(&self, device: usize, expires_at: Option<UnixMillis>) -> Grant {
        let user = format!("user-{device}");
        let Self { publish, subscribe, consume, serve, call, admin } = *self;
        let granting =
            Granting { user: &user, expires_at, publish, subscribe, consume, serve, call, admin };
        match Grant::new(&granting, &Limits::DEFAULTS) {
            Ok(grant) => grant,
            Err(_) => unreachable!("the patterns are patterns"),
        }
    }
}

/// The scopes that differ from one.
#[must_use]
pub fn others(of: usize) -> Vec<usize> {
    (0..SCOPES.len()).filter(|scope| *scope != of).collect()
}
