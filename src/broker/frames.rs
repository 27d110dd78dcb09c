//! Transport messages and frames: checked, then handed to the part they concern.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::calls::Calling;
use crate::broker::commits::Committing;
use crate::broker::operate::Deleting;
use crate::broker::sends::Sending;
use crate::broker::session::Leaving;
use crate::broker::timetable::Ordering;
use crate::error::Code;
use crate::id::{ClientId, ConnId};
use crate::time::Now;
use crate::wire::envelope::decode_frame;
use crate::wire::{Frame, Message};

impl Broker {
    pub(super) fn on_received(&mut self, now: Now, conn: ConnId, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else {
            return self.hang_up(now, conn, Code::Protocol);
        };
        let head = message.envelope;
        let Some(link) = self.links.get_mut(conn) else { return };
        let in_order = head.position == link.received + 1;
        let same_link =
            link.client.is_none() || (link.client, link.nonce) == (Some(head.client), head.link);
        if !same_link {
            return self.hang_up(now, conn, Code::Protocol);
        }
        if link.client.is_none() && in_order && self.links.has_ended(head.link) {
            // A late copy of the Hello that began it would begin it anew.
            return self.close_conn(conn, Code::Closed);
        }
        let Some(link) = self.links.get_mut(conn) else { return };
        link.received = head.position;
        // Before the position is judged, or a client whose link ended here would not be told.
        self.set_link(conn, head.client, head.link);
        if !in_order && self.rules.order_per_producer() {
            return self.hang_up(now, conn, Code::Protocol);
        }
        let open = self.sessions.get(&head.client).is_some_and(|s| s.conn == Some(conn));
        if open && head.epoch != self.log.epoch() {
            // Two nodes took its Hello, and it was the other's Welcome that reached it.
            return self.hang_up(now, conn, Code::Unavailable);
        }
        if open || self.links.granted(conn).is_none() {
            self.hear(head.client);
        }
        for frame in message.frames() {
            let Ok(frame) = frame else { return self.hang_up(now, conn, Code::Protocol) };
            self.on_link_frame(now, conn, head.client, frame);
            if self.links.get_mut(conn).is_none() {
                return;
            }
        }
    }

    /// A frame of a link, which may be a part of a longer one.
    fn on_link_frame(&mut self, now: Now, conn: ConnId, client: ClientId, frame: Frame<'_>) {
        let Some(link) = self.links.get_mut(conn) else { return };
        let Frame::Fragment { last, bytes } = frame else {
            if !link.reassembly.is_idle() {
                return self.hang_up(now, conn, Code::Protocol);
            }
            return self.on_whole_frame(now, conn, client, frame);
        };
        match link.reassembly.push(last, bytes) {
            Ok(None) => {}
            Ok(Some(whole)) => match decode_frame(&whole) {
                Ok(Frame::Fragment { .. }) | Err(_) => self.hang_up(now, conn, Code::Protocol),
                Ok(frame) => self.on_whole_frame(now, conn, client, frame),
            },
            Err(_) => self.hang_up(now, conn, Code::TooLarge),
        }
    }

    fn on_whole_frame(&mut self, now: Now, conn: ConnId, client: ClientId, frame: Frame<'_>) {
        let open = self.sessions.get(&client).is_some_and(|session| session.conn == Some(conn));
        self.log.begin_batch();
        match frame {
            Frame::Hello(hello) if !open => self.on_hello(now, conn, client, &hello),
            Frame::Hangup { .. } => self.detach(now, conn),
            frame if open => match self.judge_frame(conn, client, &frame) {
                Ok(()) => self.on_frame(now, conn, client, frame),
                Err(refused) => self.refuse_frame(now, conn, client, frame, refused),
            },
            _ => self.hang_up(now, conn, Code::Protocol),
        }
        self.log.end_batch();
    }

    /// A frame of an open link.
    fn on_frame(&mut self, now: Now, conn: ConnId, client: ClientId, frame: Frame<'_>) {
        match frame {
            Frame::Ping { nonce } => self.links.push(conn, &Frame::Pong { nonce }),
            Frame::Pong { .. } => {}
            Frame::Renew { token } => self.on_renew(now, conn, token),
            Frame::Resumed => {
                self.present_resumed(client);
                self.audience_resumed(conn);
            }
            Frame::Goodbye { park } => self.end_session(now, client, Leaving::Goodbye { park }),
            Frame::PeerInfo { peer } if peer.len() > self.limits.headers_bytes_max as usize => {
                self.hang_up(now, conn, Code::TooLarge);
            }
            Frame::PeerInfo { peer } => {
                if let Some(session) = self.sessions.get_mut(&client) {
                    session.peer = peer.to_vec();
                }
                self.peer_lists.changed();
            }
            Frame::Publish(live) if live.publisher == client => self.on_publish_again(now, live),
            Frame::Repaired { publisher, .. } if publisher == client => {
                self.live.answered(publisher);
            }
            Frame::JoinGroup { subscription, filter, group } => {
                self.on_join_group(conn, client, subscription, filter, group);
            }
            Frame::Listen { subscription, filter } => {
                self.on_listen(now, conn, subscription, filter);
            }
            Frame::LeaveGroup { subscription } => {
                self.on_leave_group(client, subscription);
                self.end_listening(conn, subscription);
            }
            Frame::Repair { publisher, first, last } => {
                self.on_repair(now, conn, publisher, first, last);
            }
            Frame::Stand { candidate, role, holds } => {
                self.on_stand(conn, client, candidate, role, holds);
            }
            Frame::Resign { candidate } => self.on_resign(client, candidate),
            Frame::Serve { .. }
            | Frame::Unserve { .. }
            | Frame::Method { .. }
            | Frame::Call { .. }
            | Frame::Reply { .. }
            | Frame::CallsDone { .. }
            | Frame::CancelCall { .. } => self.on_call_frame(now, conn, client, frame),
            _ => self.on_queue_frame(now, conn, client, frame),
        }
    }

    fn on_call_frame(&mut self, now: Now, conn: ConnId, client: ClientId, frame: Frame<'_>) {
        match frame {
            Frame::Serve { service, name, concurrency } => {
                self.on_serve(conn, client, service, name, concurrency);
            }
            Frame::Unserve { service } => self.on_unserve(client, service),
            Frame::Method { method, service, name } => {
                self.on_method(client, method, service, name)
            }
            Frame::Call { call, method, timeout_ms, arguments, first_epoch, traceparent } => {
                let calling =
                    Calling { call, method, timeout_ms, arguments, first_epoch, traceparent };
                self.on_call(now, conn, client, calling);
            }
            Frame::Reply { key, outcome } => self.on_reply(conn, client, key, outcome),
            Frame::CallsDone { below } => self.on_calls_done(client, below),
            Frame::CancelCall { call } => self.on_cancel_call(client, call),
            _ => self.hang_up(now, conn, Code::Protocol),
        }
    }

    fn on_queue_frame(&mut self, now: Now, conn: ConnId, client: ClientId, frame: Frame<'_>) {
        match frame {
            Frame::Declare { request, queue, options } => {
                self.on_declare(conn, client, request, queue, &options);
            }
            Frame::Inspect { request, queue } => self.on_inspect(conn, request, queue),
            Frame::Send { sequence, queue, refusals_seen, durability, items } => {
                let items = &items;
                let send = Sending { sequence, queue, refusals_seen, durability, items };
                self.on_send(now, conn, client, send);
            }
            Frame::Commit { sequence, refusals_seen, durability, writes, acks } => {
                let (writes, acks) = (&*writes, &*acks);
                let commit = Committing { sequence, refusals_seen, durability, writes, acks };
                self.on_commit(now, conn, client, commit);
            }
            Frame::Ingest { on } => self.on_ingest(conn, client, on),
            Frame::Consume { consumer, queue, options } => {
                self.on_consume(conn, client, consumer, queue, options);
            }
            Frame::Pause { request, queue, paused, for_ms } => {
                self.on_pause(conn, client, request, queue, paused, for_ms);
            }
            Frame::Purge { request, queue, through } => {
                self.on_purge(conn, client, request, queue, through);
            }
            Frame::DeleteQueue { request, queue, id, if_unused, if_empty } => {
                let deleting = Deleting { queue, id, if_unused, if_empty };
                self.on_delete_queue(conn, client, request, deleting);
            }
            Frame::Browse { request, queue, browse } => {
                self.on_browse(conn, client, request, queue, browse);
            }
            Frame::Track { request, queue, id, processed } => {
                self.on_track(conn, request, queue, id, processed);
            }
            Frame::Progress { lease, value } => self.on_progress(client, lease, value),
            Frame::Redrive { request, redrive } => {
                self.on_redrive(now, conn, client, request, &redrive);
            }
            Frame::Schedule { sequence, queue, refusals_seen, durability, scheduling } => {
                let scheduling = &scheduling;
                let order = Ordering { sequence, refusals_seen, queue, durability, scheduling };
                self.on_schedule(now, conn, client, order);
            }
            Frame::Unschedule { request, queue, number } => {
                self.on_unschedule(conn, request, queue, number);
            }
            Frame::ListSchedules { request, queue, after } => {
                self.on_list_schedules(conn, request, queue, after);
            }
            Frame::Decide { .. } | Frame::Checker { .. } => {
                self.on_decision_frame(now, conn, client, &frame);
            }
            Frame::EndRedrive { request } => self.on_end_redrive(client, request),
            Frame::ListQueues { .. }
            | Frame::ListServices { .. }
            | Frame::WatchQueue { .. }
            | Frame::UnwatchQueue { .. }
            | Frame::SetPolicy { .. }
            | Frame::ListPolicies { .. }
            | Frame::Trace { .. } => self.on_admin_frame(conn, client, frame),
            Frame::Visible { visible } => self.on_visible(client, visible),
            Frame::CancelConsumer { consumer } => self.on_cancel_consumer(client, consumer),
            Frame::Settle { lease, settlement } => {
                self.on_settle(now, conn, client, lease, settlement);
            }
            _ => self.hang_up(now, conn, Code::Protocol),
        }
    }

    fn on_admin_frame(&mut self, conn: ConnId, client: ClientId, frame: Frame<'_>) {
        match frame {
            Frame::ListQueues { request, after, filter } => {
                self.on_list_queues(conn, request, after, filter);
            }
            Frame::ListServices { request, after } => self.on_list_services(conn, request, after),
            Frame::WatchQueue { watch, queue } => self.on_watch(conn, client, watch, queue),
            Frame::UnwatchQueue { watch } => self.on_unwatch(client, watch),
            Frame::SetPolicy { request, name, policy } => {
                self.on_set_policy(conn, request, name, policy.as_ref());
            }
            Frame::ListPolicies { request } => self.on_list_policies(conn, request),
            Frame::Trace { request, queue, traced } => {
                self.on_trace(conn, client, request, queue, traced);
            }
            _ => {}
        }
    }

    /// A transport message to everyone.
    pub(super) fn on_heard(&mut self, now: Now, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let (mut heard, mut frames, mut is_shown) = (Vec::new(), 0, true);
        for frame in message.frames() {
            frames += 1;
            let Ok(frame) = frame else { break };
            match frame {
                Frame::Publish(live) if live.publisher == message.envelope.client => {
                    let passed = self.on_publish(now, live);
                    is_shown &=
                        passed.is_none_or(|(passed, _)| passed.is_veiled() == live.is_veiled());
                    heard.extend(passed);
                }
                _ => {}
            }
        }
        // Most go on as they came.
        let intact = Some(bytes).filter(|_| is_shown && heard.len() == frames);
        self.pass_on(&message.envelope, &heard, intact);
    }
}
