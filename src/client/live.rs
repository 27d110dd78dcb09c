//! Live messages to this tab: subscriptions, and what is heard of other tabs.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::client::Client;
use crate::client::gaps::{Held, Passed, Place, Publishers, Start, after};
use crate::client::io::{Event, Handle};
use crate::client::link::Link;
use crate::error::{Code, Refused};
use crate::id::{AudienceId, ClientId, Epoch, NUMBERS_END, PublishNumber, SubscriptionId};
use crate::marks::{Mark, mark};
use crate::sorted::Map;
use crate::topic::{Filter, FilterTrie, Name, Topic};
use crate::wire::frame::{Live, Newest};
use crate::wire::{Frame, Message};

#[derive(Debug)]
struct Subscription {
    filter: Filter,
    group: Option<String>,
    /// It may miss nothing without a word: it is no group, and has taken effect.
    is_counted: bool,
}

#[derive(Debug, Default)]
pub(super) struct LiveMessages {
    subscriptions: Map<SubscriptionId, Subscription>,
    last_subscription: u32,
    /// Of those without a group.
    filters: FilterTrie<SubscriptionId>,
    /// How many are counted.
    plain: usize,
    publishers: Publishers,
    /// A node has said how far each publisher is: what was not heard of then is new.
    seeded: bool,
}

impl LiveMessages {
    pub fn has_groups(&self) -> bool {
        self.subscriptions.values().any(|subscription| subscription.group.is_some())
    }

    /// It has taken effect: what comes now it may not miss.
    fn count(&mut self, subscription: SubscriptionId) {
        let known = self.subscriptions.get_mut(&subscription);
        if let Some(known) = known.filter(|known| known.group.is_none() && !known.is_counted) {
            known.is_counted = true;
            self.plain += 1;
        }
    }

    /// Returns whether it was there.
    fn remove(&mut self, subscription: SubscriptionId) -> Option<Subscription> {
        let ended = self.subscriptions.remove(&subscription)?;
        if ended.group.is_none() {
            self.filters.remove(&ended.filter, subscription);
        }
        if ended.is_counted {
            self.plain -= 1;
            if self.plain == 0 {
                self.publishers.skip_all();
            }
        }
        Some(ended)
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
        let is_asked = group.is_some() || self.link.audience().is_some();
        if group.is_none() {
            self.live.filters.insert(&filter, subscription);
        }
        let group = group.map(ToOwned::to_owned);
        let subscribed = Subscription { filter, group, is_counted: false };
        self.live.subscriptions.insert(subscription, subscribed);
        if is_asked {
            self.declare_subscription(subscription);
        } else {
            self.live.count(subscription);
        }
        if !is_asked && self.link.is_open() {
            self.events.push_back(Event::Subscribed { subscription });
        } else {
            self.awaited.insert(Handle::Subscription(subscription));
        }
        Ok(subscription)
    }

    pub(super) fn end_subscription(&mut self, subscription: SubscriptionId) {
        self.awaited.remove(&Handle::Subscription(subscription));
        let Some(ended) = self.live.remove(subscription) else { return };
        if ended.group.is_some() || self.link.audience().is_some() {
            self.push(&Frame::LeaveGroup { subscription });
        }
    }

    /// Tells the node of what it has to know of.
    pub(super) fn declare_subscriptions(&mut self) {
        let all: Vec<SubscriptionId> = self.live.subscriptions.keys().copied().collect();
        for subscription in all {
            self.declare_subscription(subscription);
        }
    }

    fn declare_subscription(&mut self, subscription: SubscriptionId) {
        let is_asked = self.link.audience().is_some();
        let Some(writer) = self.link.writer() else { return };
        let Some(known) = self.live.subscriptions.get(&subscription) else { return };
        let filter = known.filter.as_str();
        match &known.group {
            Some(group) => writer.push(&Frame::JoinGroup { subscription, filter, group }),
            None if is_asked => writer.push(&Frame::Listen { subscription, filter }),
            None => {}
        }
    }

    /// The links on the socket are others now, and this one is still among them.
    pub(super) fn on_audience(&mut self, audience: AudienceId) {
        if let Link::Open(open) = &mut self.link {
            open.audience = Some(audience);
        }
    }

    pub(super) fn on_group_joined(&mut self, subscription: SubscriptionId, refused: Option<Code>) {
        let handle = Handle::Subscription(subscription);
        match refused {
            None => {
                self.live.count(subscription);
                self.confirm(handle, Event::Subscribed { subscription });
            }
            Some(code) => {
                let known = self.live.remove(subscription).is_some();
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
                Ok(Frame::Skipped { audience, first, last }) => {
                    self.on_skipped(audience, first, &last)
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

    /// Nobody who shares the socket listened to what is from `first` to `last`. Of another socket,
    /// or of this one when others were on it, that says nothing of this client.
    fn on_skipped(&mut self, audience: AudienceId, first: PublishNumber, last: &Newest) -> bool {
        if first > last.number || last.number.0 >= NUMBERS_END || last.index >= last.number.0 {
            return false;
        }
        if self.link.audience() != Some(audience) && self.rules.skips_of_own_audience() {
            mark(Mark::SkippedElsewhere);
            return true;
        }
        let Newest { publisher, number, .. } = *last;
        if publisher != self.id {
            mark(Mark::Skipped);
            self.follow(publisher, last.first(), first);
            self.live.publishers.skip_range(publisher, first, number);
            self.pass_on(publisher);
        }
        true
    }

    fn on_announce(&mut self, epoch: Epoch) {
        if self.hear_epoch(epoch) {
            self.dial_now();
        }
    }

    /// Its topic, if it is valid.
    fn topic_of<'a>(&self, live: &Live<'a>) -> Option<Topic<'a>> {
        let topic = Topic::parse(live.topic, &self.limits).ok()?;
        // One that is veiled says no more than that there was one.
        let is_valid = (!topic.is_system() || live.is_veiled())
            && live.body.len() <= self.limits.body_bytes_max as usize
            && live.properties.map_or(0, <[u8]>::len) <= self.limits.headers_bytes_max as usize
            && live.number.0 < NUMBERS_END
            && live.index < live.number.0;
        is_valid.then_some(topic)
    }

    /// A live message of another client. False if it is not valid.
    fn on_live(&mut self, live: &Live<'_>) -> bool {
        if live.publisher == self.id {
            return true;
        }
        let Some(topic) = self.topic_of(live) else { return false };
        if self.live.publishers.step_quietly(live) {
            self.deliver_to(&topic, live);
            return true;
        }
        self.follow(live.publisher, live.first(), live.number);
        match self.live.publishers.place(live) {
            Place::Seen => {}
            Place::Next => {
                self.live.publishers.step(live.publisher);
                self.deliver_to(&topic, live);
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
                Passed::Skipped => {}
            }
        }
        let Some(writer) = self.link.writer() else { return };
        if let Some((first, last)) = self.live.publishers.ask(publisher) {
            writer.push(&Frame::Repair { publisher, first, last });
        }
    }

    pub(super) fn deliver_live(&mut self, live: &Live<'_>) {
        if let Ok(topic) = Topic::parse(live.topic, &self.limits) {
            self.deliver_to(&topic, live);
        }
    }

    fn deliver_to(&mut self, topic: &Topic<'_>, live: &Live<'_>) {
        let mut matching = Vec::new();
        self.live.filters.matches(topic, &mut matching);
        let events = matching.into_iter().map(|subscription| live_event(subscription, live));
        self.events.extend(events);
    }

    fn deliver_gap(&mut self, publisher: ClientId, first: PublishNumber, last: PublishNumber) {
        for (subscription, subscribed) in self.live.subscriptions.iter() {
            if subscribed.is_counted {
                let subscription = *subscription;
                mark(Mark::GapTold);
                self.events.push_back(Event::Gap { subscription, publisher, first, last });
            }
        }
    }

    pub(super) fn learn_newest(&mut self, newest: &[Newest]) {
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
        if self.link.audience().is_some() {
            return;
        }
        let plain = self.live.subscriptions.iter().filter(|(_, s)| s.group.is_none());
        for subscription in plain.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.live.count(subscription);
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
