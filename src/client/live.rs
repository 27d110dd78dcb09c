//! Live messages to this tab: subscriptions, and what is heard of other tabs.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::client::Client;
use crate::client::gaps::{Held, Passed, Place, Publishers, Start, after};
use crate::client::io::{Event, Handle};
use crate::error::{Code, Refused};
use crate::id::{ClientId, Epoch, NUMBERS_END, PublishNumber, SubscriptionId};
use crate::marks::{Mark, mark};
use crate::sorted::Map;
use crate::topic::{Filter, FilterTrie, Name, Topic};
use crate::wire::frame::{Live, Newest};
use crate::wire::{Frame, Message};

#[derive(Debug)]
struct Subscription {
    filter: Filter,
    group: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct LiveMessages {
    subscriptions: Map<SubscriptionId, Subscription>,
    last_subscription: u32,
    /// The plain ones.
    filters: FilterTrie<SubscriptionId>,
    plain: usize,
    publishers: Publishers,
    /// A node has said how far each publisher is: what was not heard of then is new.
    seeded: bool,
}

impl LiveMessages {
    pub fn has_groups(&self) -> bool {
        self.subscriptions.len() > self.plain
    }

    pub fn forget_link(&mut self) {
        self.publishers.forget_link();
    }

    pub fn is_waiting(&self) -> bool {
        self.publishers.is_waiting()
    }
}

impl Client {
    pub(super) fn begin_subscribe(
        &mut self,
        filter: &str,
        group: Option<&str>,
    ) -> Result<SubscriptionId, Refused> {
        let filter = Filter::parse(filter, &self.limits)?;
        if let Some(group) = group {
            Name::parse(group, &self.limits)?;
        }
        // The node speaks on the links of those who listen, so it has to know of them.
        let group = group.or(Some("").filter(|_| filter.is_system()));
        self.check_handles(self.live.subscriptions.len())?;
        self.live.last_subscription = self.live.last_subscription.saturating_add(1);
        let subscription = SubscriptionId(self.live.last_subscription);
        if let Some(group) = group {
            let filter = filter.as_str();
            self.push(&Frame::JoinGroup { subscription, filter, group });
        } else {
            self.live.filters.insert(&filter, subscription);
            self.live.plain += 1;
        }
        let subscribed = Subscription { filter, group: group.map(ToOwned::to_owned) };
        self.live.subscriptions.insert(subscription, subscribed);
        if group.is_none() && self.link.is_open() {
            self.events.push_back(Event::Subscribed { subscription });
        } else {
            self.awaited.insert(Handle::Subscription(subscription));
        }
        Ok(subscription)
    }

    pub(super) fn end_subscription(&mut self, subscription: SubscriptionId) {
        self.awaited.remove(&Handle::Subscription(subscription));
        let Some(ended) = self.live.subscriptions.remove(&subscription) else { return };
        if ended.group.is_some() {
            return self.push(&Frame::LeaveGroup { subscription });
        }
        self.live.filters.remove(&ended.filter, subscription);
        self.live.plain -= 1;
        if self.live.plain == 0 {
            self.live.publishers.skip_all();
        }
    }

    pub(super) fn declare_groups(&mut self) {
        let Some(writer) = self.link.writer() else { return };
        for (id, subscription) in self.live.subscriptions.iter() {
            if let Some(group) = &subscription.group {
                let filter = subscription.filter.as_str();
                writer.push(&Frame::JoinGroup { subscription: *id, filter, group });
            }
        }
    }

    pub(super) fn on_group_joined(&mut self, subscription: SubscriptionId, refused: Option<Code>) {
        let handle = Handle::Subscription(subscription);
        match refused {
            None => self.confirm(handle, Event::Subscribed { subscription }),
            Some(code) => {
                let known = self.live.subscriptions.remove(&subscription).is_some();
                self.refuse(handle, known, code);
            }
        }
    }

    pub(super) fn on_group_message(&mut self, subscription: SubscriptionId, live: &Live<'_>) {
        if self.live.subscriptions.contains_key(&subscription) {
            self.events.push_back(live_event(subscription, live));
        }
    }

    /// A transport message to everyone.
    pub(super) fn on_heard(&mut self, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else {
            self.bad_messages += 1;
            return;
        };
        for frame in message.frames() {
            let good = match frame {
                Ok(Frame::Announce { .. }) => {
                    self.on_announce(message.envelope.epoch);
                    true
                }
                Ok(Frame::NewestNumbers { newest }) => {
                    if self.hear_epoch(message.envelope.epoch) {
                        self.learn_newest(&newest);
                    }
                    true
                }
                Ok(Frame::Publish(live)) => {
                    live.publisher == message.envelope.client && self.on_live(&live)
                }
                Ok(_) | Err(_) => false,
            };
            if !good {
                self.bad_messages += 1;
                return;
            }
        }
    }

    fn on_announce(&mut self, epoch: Epoch) {
        if self.hear_epoch(epoch) {
            self.dial_now();
        }
    }

    fn is_valid_live(&self, live: &Live<'_>) -> bool {
        let topic = Topic::parse(live.topic, &self.limits);
        // One that is veiled says no more than that there was one.
        topic.is_ok_and(|topic| !topic.is_system() || live.is_veiled())
            && live.body.len() <= self.limits.body_bytes_max as usize
            && live.properties.map_or(0, <[u8]>::len) <= self.limits.headers_bytes_max as usize
            && live.number.0 < NUMBERS_END
            && live.index < live.number.0
    }

    /// A live message of another client. False if it is not valid.
    fn on_live(&mut self, live: &Live<'_>) -> bool {
        if live.publisher == self.id {
            return true;
        }
        if !self.is_valid_live(live) {
            return false;
        }
        self.follow(live.publisher, live.first(), live.number);
        match self.live.publishers.place(live) {
            Place::Seen => {}
            Place::Next => {
                self.live.publishers.step(live.publisher);
                self.deliver_live(live);
                self.pass_on(live.publisher);
            }
            Place::Ahead if self.live.plain == 0 => {
                self.live.publishers.skip(live.publisher, live.number);
            }
            Place::Ahead => {
                self.live.publishers.hold(live, &self.limits);
                self.pass_on(live.publisher);
            }
        }
        true
    }

    /// Follows the run that starts at `first`: the first one of a publisher from `at` on, or from
    /// its start if this client has listened since before it heard of it.
    fn follow(&mut self, publisher: ClientId, first: PublishNumber, at: PublishNumber) {
        let listens = self.live.seeded && self.live.plain > 0;
        let start = if listens { Start::First { at_most: at } } else { Start::At(at) };
        self.live.publishers.end_runs(publisher, first);
        self.pass_on(publisher);
        self.live.publishers.begin_run(publisher, first, start, &self.limits);
    }

    /// Delivers what is in order now, and asks for what is missing.
    fn pass_on(&mut self, publisher: ClientId) {
        while let Some(passed) = self.live.publishers.take_next(publisher) {
            match passed {
                Passed::Message { number, held } => {
                    let Held { topic, body, properties } = &held;
                    let properties = properties.as_deref();
                    let index = 0;
                    self.deliver_live(&Live { publisher, number, index, topic, body, properties });
                }
                Passed::Gap { first, last } => self.deliver_gap(publisher, first, last),
            }
        }
        let Some(writer) = self.link.writer() else { return };
        if let Some((first, last)) = self.live.publishers.ask(publisher) {
            writer.push(&Frame::Repair { publisher, first, last });
        }
    }

    pub(super) fn deliver_live(&mut self, live: &Live<'_>) {
        let Ok(topic) = Topic::parse(live.topic, &self.limits) else { return };
        let mut matching = Vec::new();
        self.live.filters.matches(&topic, &mut matching);
        let events = matching.into_iter().map(|subscription| live_event(subscription, live));
        self.events.extend(events);
    }

    fn deliver_gap(&mut self, publisher: ClientId, first: PublishNumber, last: PublishNumber) {
        for (subscription, subscribed) in self.live.subscriptions.iter() {
            if subscribed.group.is_none() {
                let subscription = *subscription;
                mark(Mark::GapTold);
                self.events.push_back(Event::Gap { subscription, publisher, first, last });
            }
        }
    }

    fn learn_newest(&mut self, newest: &[Newest]) {
        for newest in newest {
            let Newest { publisher, number, index } = *newest;
            if publisher == self.id || number.0 >= NUMBERS_END || index >= number.0 {
                continue;
            }
            self.follow(publisher, newest.first(), after(number));
            self.live.publishers.learn_newest(publisher, number);
            if self.live.plain == 0 {
                self.live.publishers.skip(publisher, number);
            } else {
                self.pass_on(publisher);
            }
        }
    }

    pub(super) fn on_repaired(
        &mut self,
        publisher: ClientId,
        last: PublishNumber,
        messages: &[Live<'_>],
    ) {
        let Self { live, limits, .. } = self;
        let topic_is_valid = |live: &Live<'_>| Topic::parse(live.topic, limits).is_ok();
        live.publishers.repair(publisher, last, messages, topic_is_valid);
        self.pass_on(publisher);
    }

    /// Takes up live messages on a new link.
    pub(super) fn resume_live(&mut self, newest: &[Newest]) {
        self.learn_newest(newest);
        self.live.seeded = true;
        for publisher in self.live.publishers.ids() {
            self.pass_on(publisher);
        }
        let plain = self.live.subscriptions.iter().filter(|(_, s)| s.group.is_none());
        for subscription in plain.map(|(subscription, _)| *subscription) {
            if self.awaited.remove(&Handle::Subscription(subscription)) {
                self.events.push_back(Event::Subscribed { subscription });
            }
        }
    }
}

fn live_event(subscription: SubscriptionId, live: &Live<'_>) -> Event {
    Event::Live {
        subscription,
        publisher: live.publisher,
        number: live.number,
        topic: live.topic.to_owned(),
        body: live.body.to_owned(),
        properties: live.properties.map(ToOwned::to_owned),
    }
}
