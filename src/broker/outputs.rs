//! What leaves the broker, and in which order: events, storage, last words, messages.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::io::{Event, Output};
use crate::broker::settling::Settling;
use crate::broker::timetable::ZoneQuestion;
use crate::error::Code;
use crate::id::{ClientId, ConnId, LinkNonce};
use crate::time::{Instant, Now, UnixMillis};
use crate::wire::envelope::{encode_envelope, encode_frame};
use crate::wire::{Envelope, Frame, MessageWriter};

impl Broker {
    /// The next thing for the host to do; `Idle` when there is none.
    pub fn poll_output(&mut self) -> Output {
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        let asked = match self.paused_until() {
            None => self.log.poll_storage(),
            Some(_) => self.log.poll_read(),
        };
        if let Some((op, action)) = asked {
            return Output::Storage { op, action };
        }
        if let Some(ZoneQuestion { zone, from, until }) = self.timetable.take_question() {
            return Output::Zone { zone, from, until };
        }
        if let Some((conn, code, last)) = self.hangups.pop_front() {
            let Some(bytes) = last else { return Output::Hangup { conn, code } };
            self.hangups.push_front((conn, code, None));
            return Output::Transmit { conn, bytes };
        }
        if let Some((conn, bytes)) = self.links.take_message() {
            return Output::Transmit { conn, bytes };
        }
        match self.broadcasts.pop_front() {
            Some((None, bytes)) => Output::Broadcast { bytes },
            Some((Some(sockets), bytes)) => Output::Multicast { sockets, bytes },
            None => Output::Idle { wake_at: self.wake_at() },
        }
    }

    /// When it next has something to do.
    pub fn wake_at(&self) -> Option<Instant> {
        let wall =
            |due_at: UnixMillis| self.now.mono.after_ms(due_at.0.saturating_sub(self.now.unix.0));
        let delayed = self.delayed.first().map(wall);
        let expiries = self.state.expiries.next_at().map(wall);
        let draining = self.draining;
        let scheduled = self.timetable.due_at().map(wall).filter(|_| !draining);
        let held = self.timetable.held_until().filter(|_| !draining);
        let grants = self.links.grants_end_at().map(wall);
        let settles = self.settling.is_some();
        let questions = self.questions.wake_at().filter(|_| !draining && !settles);
        let pauses = self.pauses.first().map(wall);
        let housekeeping = self.house_at();
        let settling = self.settling.as_ref().map(Settling::until);
        [
            self.lease_times.first(),
            self.redrive_at(),
            self.rates.wake_at(),
            self.watches.wake_at(),
            self.peer_lists.wake_at(),
            self.gatherings.first(),
            self.result_ends.first(),
            self.call_ends.first(),
            self.live.wake_at(),
            grants,
            delayed,
            expiries,
            scheduled,
            held,
            questions,
            pauses,
            housekeeping,
            settling,
            self.paused_until().filter(|_| self.log.appended() > self.log.durable()),
            self.room_sought_at(),
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|at| at.max(self.now.mono))
        .filter(|_| !self.over)
    }

    pub(super) fn finish_drain(&mut self) {
        if self.draining && self.log.appended() <= self.log.durable() && self.gate.is_empty() {
            self.over = true;
            for conn in self.links.all() {
                self.links.push(conn, &Frame::Hangup { code: Code::Unavailable });
            }
            self.events.push_back(Event::Drained);
        }
    }

    /// Says that this broker is there: whoever followed another one says Hello.
    pub fn announcement(&self) -> Vec<u8> {
        let mut bytes = encode_envelope(&Envelope { epoch: self.epoch(), ..Envelope::default() });
        encode_frame(&Frame::Announce { log: self.log.id() }, &mut bytes);
        bytes
    }

    pub(super) fn broadcast(&mut self, frame: &Frame<'_>) {
        let mut writer = MessageWriter::new(self.limits.fragment_bytes_max as usize);
        writer.push(frame);
        let epoch = self.log.epoch();
        let head = || Envelope {
            epoch,
            client: ClientId::default(),
            link: LinkNonce::default(),
            position: 0,
        };
        while let Some(bytes) = writer.take_message(head) {
            self.broadcasts.push_back((None, bytes));
        }
    }

    /// Ends a connection for something its peer did.
    pub(super) fn hang_up(&mut self, now: Now, conn: ConnId, code: Code) {
        self.links.push(conn, &Frame::Hangup { code });
        let last = self.links.take_message_of(conn);
        self.detach(now, conn);
        self.hangups.push_back((conn, code, last));
    }

    /// Ends a connection without a word.
    pub(super) fn close_conn(&mut self, conn: ConnId, code: Code) {
        self.drop_trackers_of(conn);
        self.gate.drop_conn(conn);
        self.stalled.remove(&conn);
        self.leave_audience(conn);
        self.links.remove(conn);
        self.hangups.push_back((conn, code, None));
    }
}
