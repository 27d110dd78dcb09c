//! What a user sends: to which queue, how much at a time, and with what beside the bodies.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::client::Client;
use crate::id::RequestId;
use crate::options::Durability;
use crate::sim::dice::{Dice, Ratio};
use crate::sim::expiry::ttl_ms_of;
use crate::sim::fact::{Ask, Tag};
use crate::sim::ids::with_id;
use crate::sim::queues::{OWN_QUEUES, STAGES, key_properties, priority};
use crate::time::{Now, UnixMillis};
use crate::wire::frame::{Item, Past};

/// A send that is not sent yet.
#[derive(Debug)]
pub struct Draft {
    pub queue: &'static str,
    pub tags: Vec<Tag>,
    ids: Vec<String>,
    contents: Vec<Content>,
    past: Option<Past<'static>>,
    pub track: bool,
    durability: Option<Durability>,
}

#[derive(Debug)]
struct Content {
    body: Vec<u8>,
    properties: Option<Vec<u8>>,
    delay_ms: Option<u64>,
}

impl Draft {
    /// `tag` gives the next one of the user.
    pub fn draw(dice: &mut Dice, mut tag: impl FnMut() -> Tag) -> Self {
        let one_in = |dice: &mut Dice, denominator| dice.chance(Ratio::one_in(denominator));
        let queue = if one_in(dice, 5) { STAGES[0] } else { *dice.choose(&OWN_QUEUES) };
        let count = if one_in(dice, 5) { dice.between(2, 6) } else { 1 };
        let delayed = one_in(dice, 8);
        let identify = queue == "once";
        let track = !identify && one_in(dice, 4);
        let past = Past { attempts: 1, stored_at: UnixMillis(1), deaths: None };
        let past = one_in(dice, 12).then_some(past);
        let tags: Vec<Tag> = (0..count).map(|_| tag()).collect();
        // Few ids, so that they come again, from others as well.
        let ids: Vec<String> = if identify {
            tags.iter().map(|_| format!("id-{}", dice.between(0, 60))).collect()
        } else {
            Vec::new()
        };
        let content = |(index, tag): (usize, &Tag)| {
            let delay_ms = delayed.then(|| dice.between(1, 3000));
            let key = key_properties(queue, *tag);
            let properties = ids.get(index).map(|id| with_id(id)).or(key);
            Content { body: tag.body(body_bytes(dice)), properties, delay_ms }
        };
        let contents = tags.iter().enumerate().map(content).collect();
        let durability = one_in(dice, 10).then_some(Durability::Strict);
        Self { queue, tags, ids, contents, past, track, durability }
    }

    /// `None` if the client refuses it at once.
    pub fn send(&self, client: &mut Client, now: Now) -> Option<RequestId> {
        let items: Vec<Item<'_>> = self
            .contents
            .iter()
            .zip(&self.tags)
            .map(|(content, tag)| Item {
                body: &content.body,
                properties: content.properties.as_deref(),
                delay_ms: content.delay_ms,
                track: self.track.then_some(true),
                past: self.past,
                ttl_ms: ttl_ms_of(*tag),
                priority: priority(self.queue, *tag),
                prepare: None,
            })
            .collect();
        client.send(now, self.queue, &items, self.durability).ok()
    }

    pub fn ask(self, request: RequestId) -> Ask {
        let Self { queue, tags, ids, durability, .. } = self;
        Ask::Send { request, queue: queue.to_owned(), tags, ids, durability }
    }
}

pub fn body_bytes(dice: &mut Dice) -> usize {
    let long = dice.chance(Ratio::one_in(30));
    let bytes = if long { dice.between(1000, 9000) } else { dice.between(8, 200) };
    usize::try_from(bytes).unwrap_or(8)
}
