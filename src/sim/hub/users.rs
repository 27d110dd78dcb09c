//! The users of pages, and what they and the checkers see of what is said.

use alloc::format;
use alloc::vec::Vec;

use crate::client::io::Event;
use crate::sim::check::{Violation, violated};
use crate::sim::fact::{Fact, ProcessId, Tag};
use crate::sim::hub::hub_plan::NIGHT_FACTOR;
use crate::sim::hub::{Action, HubWorld};
use crate::sim::run::Watch;
use crate::sim::schedule::Micros;
use crate::sim::user::Chore;
use crate::sim::world::frames_in_words;
use crate::web::io;
use crate::wire::frame::Frame;
use crate::wire::{Message, envelope};

impl HubWorld {
    /// The user of a page does something.
    pub(super) fn do_chore(&mut self, page: ProcessId, chore: Chore) -> Result<(), Violation> {
        let now = self.page_now(page);
        if self.is_lull() && chore == Chore::Work {
            let after = self.lull_left();
            self.schedule.after(after, Action::Chore { page, chore });
            return Ok(());
        }
        let (calm, idle) = (self.calm, self.idle_users);
        let Some(own) = self.pages.get_mut(&page).filter(|page| !page.closed && !idle) else {
            return Ok(());
        };
        let done = own.user.do_chore(&mut own.realm.client, now, chore, calm);
        self.inputs += 1;
        for ask in &done.asks {
            self.observe(&Fact::Asked { process: page, ask })?;
        }
        self.plan_chores(page, done.chores);
        self.drain_page(page)
    }

    fn plan_chores(&mut self, page: ProcessId, chores: Vec<(Micros, Chore)>) {
        for (after, chore) in chores {
            let slow = self.is_night() && chore == Chore::Work;
            let after = if slow { after * NIGHT_FACTOR } else { after };
            self.schedule.after(after, Action::Chore { page, chore });
        }
    }

    pub(super) fn client_event(
        &mut self,
        process: ProcessId,
        event: &Event,
    ) -> Result<(), Violation> {
        self.mix_event(event);
        self.observe(&Fact::Told { process, event })?;
        let calm = self.calm;
        let Some(page) = self.pages.get_mut(&process) else { return Ok(()) };
        let chores = page.user.hear(event, calm);
        match event {
            Event::Ready { epoch, .. } => page.linked = Some(*epoch),
            Event::Lost => page.linked = None,
            Event::Closed { .. } => {
                page.closed = true;
                self.schedule.after(0, Action::Close { page: process });
            }
            _ => {}
        }
        self.plan_chores(process, chores);
        match event {
            Event::Keep { .. } | Event::LetGo { .. } => self.client_keeps(process, event),
            _ => Ok(()),
        }
    }

    /// Adds an event to the hash of all outputs. Bodies go in as they are: as text they are long.
    fn mix_event(&mut self, event: &Event) {
        let body = match event {
            Event::Live { body, .. } | Event::Delivery { body, .. } => body,
            Event::Dispatch { arguments, .. } => arguments,
            _ => return self.mix(7, format!("{event:?}").as_bytes()),
        };
        self.mix(8, body);
    }

    /// Shows each live message that leaves its publisher to the checkers.
    pub(super) fn observe_publishes(
        &mut self,
        process: ProcessId,
        bytes: &[u8],
    ) -> Result<(), Violation> {
        if self.watch == Watch::Outputs {
            return Ok(());
        }
        // A signal of the device is no message.
        let Ok(message) = Message::parse(bytes) else { return Ok(()) };
        // What comes from a hub is passed on, not published.
        let own = self.pages.get(&process).map(|page| page.client_id);
        if own != Some(message.envelope.client) {
            return Ok(());
        }
        for frame in message.frames().flatten() {
            if let Frame::Publish(live) = frame {
                let Some(tag) = Tag::of(live.body) else { continue };
                self.observe(&Fact::Posted { process, number: live.number, tag })?;
            }
        }
        Ok(())
    }

    /// Shows each frame that leaves a hub to the checkers; parts once they are whole.
    pub(super) fn observe_frames(&mut self, hub: ProcessId, bytes: &[u8]) -> Result<(), Violation> {
        if self.watch == Watch::Outputs {
            return Ok(());
        }
        let Ok(message) = Message::parse(bytes) else {
            return violated("wire-is-well-formed", "a hub sends nonsense".into());
        };
        let (client, link) = (message.envelope.client, message.envelope.link);
        let Some(node) = self.servers.get(&hub).and_then(|server| server.node) else {
            return Ok(());
        };
        if link.0 == 0 {
            return Ok(());
        }
        for frame in message.frames() {
            let Ok(frame) = frame else {
                return violated("wire-is-well-formed", "a hub sends a broken frame".into());
            };
            let Frame::Fragment { last, bytes } = frame else {
                self.observe(&Fact::Left { node, client, frame: &frame })?;
                continue;
            };
            let bytes_max = self.hub_plan.plan.limits.link_bytes_max as usize;
            let parts = self.parts.entry((client, link));
            let parts = parts.or_insert_with(|| crate::wire::Reassembly::new(bytes_max));
            if let Ok(Some(whole)) = parts.push(last, bytes) {
                let Ok(frame) = envelope::decode_frame(&whole) else {
                    return violated("wire-is-well-formed", "parts make no frame".into());
                };
                self.observe(&Fact::Left { node, client, frame: &frame })?;
            }
        }
        Ok(())
    }

    /// Writes down what reaches a realm, if the world was asked to.
    pub(super) fn note_fact(&mut self, process: ProcessId, fact: &io::Fact) {
        if self.trace.is_none() || matches!(fact, io::Fact::Tick) {
            return;
        }
        let words = |bytes: &[u8]| match Message::parse(bytes) {
            Ok(message) => frames_in_words(&message),
            Err(_) => format!("{bytes:?}"),
        };
        let text = match fact {
            io::Fact::AtClient(bytes) => format!("at client: {}", words(bytes)),
            io::Fact::AtNode(bytes) => format!("at relay: {}", words(bytes)),
            io::Fact::AtAll(bytes) => format!("at all: {}", words(bytes)),
            io::Fact::FromHub(bytes) => format!("from hub: {}", words(bytes)),
            io::Fact::AtSocket { socket, bytes } => format!("at {socket:?}: {}", words(bytes)),
            fact => format!("{fact:?}"),
        };
        self.note(&crate::sim::world::shorten_lists(&format!("{process:?} gets {text}")));
    }

    /// The last things that are published, so that every hole before them shows.
    pub(super) fn say_last_words(&mut self) {
        for page in self.pages.keys() {
            let chore = Chore::LastWords;
            self.schedule.after(0, Action::Chore { page: *page, chore });
        }
    }
}
