//! Live messages that a grant does not cover. They are numbered with others of their publisher, so
//! one that was left out would be taken for lost: what passes in its place has its number and
//! nothing else, and everyone counts it and shows it to nobody.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::grants::{Action, Granted};
use crate::cbor;
use crate::id::{ClientId, ConnId};
use crate::marks::{Mark, mark};
use crate::wire::envelope::encode_frame;
use crate::wire::frame::Live;
use crate::wire::{Frame, Message};

impl Broker {
    /// What a host may take for `Input::Heard`, and pass on, of a message to everyone that came on
    /// this connection: all of it, or with a veil over what the grant does not cover. `None`: it is
    /// no message of live publishes of the client that the connection is of, and nobody gets it.
    #[must_use]
    pub fn publishable<'a>(&self, conn: ConnId, bytes: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let client = self.links.client_of(conn);
        let Some(granted) = self.links.granted(conn) else {
            return self.links.is_here(conn).then_some(Cow::Borrowed(bytes));
        };
        let message = Message::parse(bytes).ok()?;
        let publisher = message.envelope.client;
        if client != Some(publisher) || !self.is_open(conn) {
            return None;
        }
        let mut own = message.frames().map(|frame| match frame {
            Ok(Frame::Publish(live)) => live.publisher == publisher,
            _ => false,
        });
        if !own.all(|own| own) {
            return None;
        }
        veil(bytes, |topic| self.passes(granted, Action::Publish, topic))
    }

    /// Whether the connection may publish live on the topic.
    #[must_use]
    pub fn may_publish(&self, conn: ConnId, topic: &str) -> bool {
        self.may_touch(conn, Action::Publish, topic)
    }

    /// Whether a live message of the topic may go to the connection.
    #[must_use]
    pub fn may_hear(&self, conn: ConnId, topic: &str) -> bool {
        self.may_touch(conn, Action::Subscribe, topic)
    }

    fn may_touch(&self, conn: ConnId, action: Action, topic: &str) -> bool {
        match self.links.granted(conn) {
            Some(granted) => self.is_open(conn) && self.passes(granted, action, topic),
            None => self.links.is_here(conn),
        }
    }

    fn passes(&self, granted: &Granted, action: Action, topic: &str) -> bool {
        granted.may(action, topic) || !self.rules.veil_uncovered()
    }

    fn is_open(&self, conn: ConnId) -> bool {
        let session = self.links.client_of(conn).and_then(|client| self.sessions.get(&client));
        session.is_some_and(|session| session.conn == Some(conn))
    }

    /// A live message as its publisher may say it. `None`: it is of a user who is not here, and
    /// will come again.
    pub(super) fn veil_of_publisher<'a>(&self, live: Live<'a>) -> Option<Live<'a>> {
        let publisher: ClientId = live.publisher;
        let Some(session) = self.sessions.get(&publisher) else { return Some(live) };
        if session.user.is_none() {
            return Some(live);
        }
        let may = self.may_publish(session.conn?, live.topic);
        Some(if may { live } else { live.veiled() })
    }
}

/// Gives the bytes as they are if all their topics may be seen.
fn veil(bytes: &[u8], may: impl Fn(&str) -> bool) -> Option<Cow<'_, [u8]>> {
    let message = Message::parse(bytes).ok()?;
    let hidden = |frame: &Frame<'_>| match frame {
        Frame::Publish(live) => !live.is_veiled() && !may(live.topic),
        _ => false,
    };
    let mut is_whole = true;
    for frame in message.frames() {
        is_whole &= !hidden(&frame.ok()?);
    }
    if is_whole {
        return Some(Cow::Borrowed(bytes));
    }
    mark(Mark::Veiled);
    let mut veiled = Vec::new();
    cbor::encode(&message.envelope, &mut veiled);
    for frame in message.frames().flatten() {
        match frame {
            Frame::Publish(live) if hidden(&frame) => {
                encode_frame(&Frame::Publish(live.veiled()), &mut veiled);
            }
            frame => encode_frame(&frame, &mut veiled),
        }
    }
    Some(Cow::Owned(veiled))
}
