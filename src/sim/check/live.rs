//! `live-order-and-gap`: each subscription sees what matches, of each publisher in order, at most
//! once; what it does not see is reported as a gap, in place. Of a group one member sees it. What
//! grants do not cover it does not see, unless it came on a channel of its own device.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::client::io::Event;
use crate::id::{ClientId, PublishNumber, SubscriptionId};
use crate::sim::check::advisories::is_system;
use crate::sim::check::audible::{Audible, Passes};
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, NodeId, ProcessId, Tag};
use crate::wire::Frame;

const LIVE: &str = "live-order-and-gap";

#[derive(Debug)]
struct Publish {
    topic: String,
    tag: Tag,
    number: PublishNumber,
    /// How many facts had been seen when it was posted.
    posted: u64,
}

#[derive(Debug)]
struct Subscription {
    filter: String,
    group: Option<String>,
    /// From when on it must miss nothing unsaid: subscribed, and welcomed once.
    sure_since: Option<u64>,
    subscribed: bool,
    /// The newest number seen or reported of each publisher.
    newest: BTreeMap<ClientId, PublishNumber>,
    /// Ranges that were reported as lost.
    gaps: Vec<(ClientId, PublishNumber, PublishNumber)>,
    active: bool,
}

#[derive(Debug, Default)]
pub struct Live {
    time: u64,
    clients: BTreeMap<ProcessId, ClientId>,
    living: BTreeSet<ProcessId>,
    welcomed: BTreeSet<ProcessId>,
    /// What was asked for and not posted yet.
    asked: BTreeMap<Tag, String>,
    posted: BTreeMap<ClientId, Vec<Publish>>,
    subscriptions: BTreeMap<(ProcessId, SubscriptionId), Subscription>,
    /// How often a node began to serve, and the last time of each.
    lives: usize,
    serving: BTreeMap<NodeId, usize>,
    /// In which lives of nodes a message left for a member of a group.
    given: BTreeMap<(ClientId, SubscriptionId, Tag), BTreeSet<usize>>,
    /// In which lives of nodes each group has seen a message.
    groups: BTreeMap<(String, String, Tag), BTreeSet<usize>>,
    audible: Audible,
    delivered: usize,
    gaps: usize,
}

impl Live {
    /// How many live messages were delivered.
    #[must_use]
    pub const fn delivered(&self) -> usize {
        self.delivered
    }

    /// How many gaps were reported.
    #[must_use]
    pub const fn gaps(&self) -> usize {
        self.gaps
    }

    /// A publish leaves its publisher, perhaps again.
    fn post(
        &mut self,
        process: ProcessId,
        number: PublishNumber,
        tag: Tag,
    ) -> Result<(), Violation> {
        let client = self.clients.get(&process).copied().unwrap_or_default();
        let posted = self.posted.entry(client).or_default();
        if let Some(earlier) = posted.iter().find(|publish| publish.number == number) {
            if earlier.tag != tag {
                return violated(LIVE, format!("number {} of {client:?} is used twice", number.0));
            }
            return Ok(());
        }
        let Some(topic) = self.asked.remove(&tag) else { return Ok(()) };
        posted.push(Publish { topic, tag, number, posted: self.time });
        Ok(())
    }

    fn told(&mut self, process: ProcessId, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Ready { .. } => {
                self.welcomed.insert(process);
                self.become_sure(process);
            }
            Event::Subscribed { subscription } => {
                if let Some(subscribed) = self.subscriptions.get_mut(&(process, *subscription)) {
                    subscribed.subscribed = true;
                }
                self.become_sure(process);
            }
            Event::Live { topic, .. } if is_system(topic) => {}
            Event::Live { subscription, publisher, number, topic, body, .. } => {
                let seen = Seen { publisher: *publisher, number: *number, topic, body };
                return self.seen(process, *subscription, seen);
            }
            Event::Gap { subscription, publisher, first, last } => {
                return self.gap((process, *subscription), *publisher, *first, *last);
            }
            Event::Closed { .. } => self.end(process),
            _ => {}
        }
        Ok(())
    }

    fn become_sure(&mut self, process: ProcessId) {
        if !self.welcomed.contains(&process) {
            return;
        }
        for ((owner, _), subscription) in &mut self.subscriptions {
            if *owner == process && subscription.subscribed && subscription.sure_since.is_none() {
                subscription.sure_since = Some(self.time);
            }
        }
    }

    fn end(&mut self, process: ProcessId) {
        self.living.remove(&process);
        for ((owner, _), subscription) in &mut self.subscriptions {
            subscription.active &= *owner != process;
        }
    }

    fn seen(
        &mut self,
        process: ProcessId,
        id: SubscriptionId,
        seen: Seen<'_>,
    ) -> Result<(), Violation> {
        let Some(subscription) = self.subscriptions.get_mut(&(process, id)) else { return Ok(()) };
        let who = format!("process {} subscription {}", process.0, id.0);
        self.delivered += 1;
        let posted = self.posted.get(&seen.publisher);
        let publish = posted.and_then(|all| all.iter().find(|p| p.number == seen.number));
        let same = publish.is_some_and(|publish| {
            Tag::of(seen.body) == Some(publish.tag) && publish.topic == *seen.topic
        });
        let Some(publish) = publish.filter(|_| same) else {
            return violated(LIVE, format!("{who} sees what nobody published"));
        };
        if !subscription.active {
            return violated(LIVE, format!("{who} sees {} after its end", publish.tag));
        }
        if !matches(&subscription.filter, seen.topic) {
            return violated(LIVE, format!("{who} sees {} on {}", publish.tag, seen.topic));
        }
        let from = publish.tag.process;
        let on_channel = subscription.group.is_none() && self.audible.are_neighbours(from, process);
        let passes = self.audible.passes(publish.posted, from, process, seen.topic);
        if passes == Passes::Never && !on_channel {
            return violated(LIVE, format!("{who} sees {} without a grant", publish.tag));
        }
        if let Some(group) = &subscription.group {
            let key = (subscription.filter.clone(), group.clone(), publish.tag);
            let client = self.clients.get(&process).copied().unwrap_or_default();
            let given = self.given.get(&(client, id, publish.tag));
            let seen = self.groups.entry(key).or_default();
            // A message of an earlier node may still be under way when the next one serves.
            let life = given.and_then(|given| given.iter().find(|life| !seen.contains(life)));
            return match life {
                Some(life) => {
                    seen.insert(*life);
                    Ok(())
                }
                None => violated(LIVE, format!("group {group} sees {} twice", publish.tag)),
            };
        }
        let newest = subscription.newest.insert(seen.publisher, seen.number);
        if newest.is_some_and(|newest| newest >= seen.number) {
            return violated(LIVE, format!("{who} sees {} again or out of order", publish.tag));
        }
        let tag = publish.tag;
        let run = Run { client: seen.publisher, process: tag.process };
        match self.unseen((process, id), run, newest, seen.number) {
            Some(missed) => violated(LIVE, format!("{who} misses {missed} and sees {tag}")),
            None => Ok(()),
        }
    }

    /// What lies between two numbers of one run, matches, and was neither seen nor reported. What
    /// an earlier run of the publisher lost at its end is not counted: nobody can tell of it.
    fn unseen(
        &self,
        key: (ProcessId, SubscriptionId),
        run: Run,
        after: Option<PublishNumber>,
        before: PublishNumber,
    ) -> Option<Tag> {
        let subscription = self.subscriptions.get(&key)?;
        let sure_since = subscription.sure_since?;
        let reported = |number: PublishNumber| {
            subscription
                .gaps
                .iter()
                .any(|(who, first, last)| *who == run.client && *first <= number && number <= *last)
        };
        self.posted
            .get(&run.client)?
            .iter()
            .filter(|p| p.tag.process == run.process)
            .filter(|p| after.is_none_or(|after| p.number > after) && p.number < before)
            .filter(|p| p.posted > sure_since && matches(&subscription.filter, &p.topic))
            .filter(|p| {
                self.audible.passes(p.posted, p.tag.process, key.0, &p.topic) == Passes::Always
            })
            .find(|p| !reported(p.number))
            .map(|p| p.tag)
    }

    fn gap(
        &mut self,
        key: (ProcessId, SubscriptionId),
        publisher: ClientId,
        first: PublishNumber,
        last: PublishNumber,
    ) -> Result<(), Violation> {
        let Some(subscription) = self.subscriptions.get_mut(&key) else { return Ok(()) };
        self.gaps += 1;
        let newest = subscription.newest.insert(publisher, last);
        if first > last || newest.is_some_and(|newest| newest >= first) {
            let what = format!("process {} has a gap of what it saw", key.0.0);
            return violated(LIVE, what);
        }
        subscription.gaps.push((publisher, first, last));
        Ok(())
    }

    fn asked(&mut self, process: ProcessId, ask: &Ask) {
        match ask {
            Ask::Publish { topic, tag, .. } => {
                self.asked.insert(*tag, topic.clone());
            }
            Ask::Subscribe { subscription, filter, group } => {
                let subscribed = Subscription {
                    filter: filter.clone(),
                    group: group.clone(),
                    sure_since: None,
                    subscribed: false,
                    newest: BTreeMap::new(),
                    gaps: Vec::new(),
                    active: true,
                };
                self.subscriptions.insert((process, *subscription), subscribed);
            }
            Ask::Unsubscribe { subscription } => {
                if let Some(ended) = self.subscriptions.get_mut(&(process, *subscription)) {
                    ended.active = false;
                }
            }
            _ => {}
        }
    }
}

/// One process that publishes, and its client.
#[derive(Clone, Copy, Debug)]
struct Run {
    client: ClientId,
    process: ProcessId,
}

#[derive(Clone, Copy, Debug)]
struct Seen<'a> {
    publisher: ClientId,
    number: PublishNumber,
    topic: &'a String,
    body: &'a [u8],
}

/// The naive matcher: `*` is one word, `#` any number.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    let filter: Vec<&str> = filter.split('.').collect();
    let topic: Vec<&str> = topic.split('.').collect();
    words_match(&filter, &topic)
}

fn words_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter.split_first(), topic.split_first()) {
        (None, None) => true,
        (Some((&"#", rest)), _) => {
            (0..=topic.len()).any(|taken| words_match(rest, &topic[taken..]))
        }
        (Some((word, rest)), Some((said, more))) => {
            (*word == "*" || word == said) && words_match(rest, more)
        }
        _ => false,
    }
}

impl Checker for Live {
    fn observe(&mut self, _view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        self.time += 1;
        match fact {
            Fact::Began { process, client } => {
                self.clients.insert(*process, *client);
                self.living.insert(*process);
            }
            Fact::Granted { process, device, scope } => {
                self.audible.granted(self.time, *process, *device, scope);
            }
            Fact::Ended { process } => self.end(*process),
            Fact::Asked { process, ask } => self.asked(*process, ask),
            Fact::Posted { process, number, tag } => return self.post(*process, *number, *tag),
            Fact::Told { process, event } => return self.told(*process, event),
            Fact::Serves { node, .. } => {
                self.lives += 1;
                self.serving.insert(*node, self.lives);
            }
            Fact::Left { node, client, frame: Frame::GroupMessage { subscription, live } } => {
                let life = self.serving.get(node).copied().unwrap_or_default();
                if let Some(tag) = Tag::of(live.body) {
                    self.given.entry((*client, *subscription, tag)).or_default().insert(life);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _view: View<'_>) -> Result<(), Violation> {
        for key @ (process, id) in self.subscriptions.keys().copied().collect::<Vec<_>>() {
            let subscription = &self.subscriptions[&key];
            if !subscription.active || subscription.group.is_some() {
                continue;
            }
            for publisher in &self.living {
                let Some(client) = self.clients.get(publisher).copied() else { continue };
                let newest = subscription.newest.get(&client).copied();
                let run = Run { client, process: *publisher };
                let end = PublishNumber(u64::MAX);
                if let Some(tag) = self.unseen(key, run, newest, end) {
                    let what = format!("process {} subscription {}", process.0, id.0);
                    return violated(LIVE, format!("{what} never hears of {tag}"));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_stand_for_words() {
        for (filter, topic, expected) in [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.#", "a", true),
            ("#.c", "a.b.c", true),
            ("#", "a.b", true),
            ("*.b", "a.c", false),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }
}
