//! Frames of an open link, handed to the part they concern.

use crate::client::Client;
use crate::client::io::{Event, Peer};
use crate::client::services::Dispatch;
use crate::wire::Frame;
use crate::wire::frame::PeerEntry;

impl Client {
    /// False if a node must not send this.
    pub(super) fn on_frame(&mut self, frame: Frame<'_>) -> bool {
        match frame {
            Frame::Ping { nonce } => self.push(&Frame::Pong { nonce }),
            Frame::Pong { .. } => {}
            Frame::Peers { peers } => self.on_peers(&peers),
            Frame::Granted { ends_in_ms } => self.events.push_back(Event::Granted { ends_in_ms }),
            Frame::Published { number } => self.on_published(number),
            Frame::GroupJoined { subscription, refused } => {
                self.on_group_joined(subscription, refused);
            }
            Frame::Audience { audience } => self.on_audience(audience),
            Frame::NewestNumbers { newest } => self.learn_newest(&newest),
            Frame::GroupMessage { subscription, live } => {
                self.on_group_message(subscription, &live);
            }
            Frame::Repair { publisher, first, last } => {
                if publisher == self.id {
                    self.say_again(first, last);
                }
            }
            Frame::Repaired { publisher, first: _, last, messages } => {
                self.on_repaired(publisher, last, &messages);
            }
            Frame::Serving { service, refused } => self.on_serving(service, refused),
            Frame::Dispatch { key, service, method, timeout_ms, arguments, traceparent } => {
                let dispatch =
                    Dispatch { key, service, method, timeout_ms, arguments, traceparent };
                self.on_dispatch(&dispatch);
            }
            Frame::ReplyTaken { key } => self.on_reply_taken(key),
            Frame::CallResult { call, outcome } => self.on_call_result(call, outcome),
            Frame::CancelDispatch { key } => self.on_cancel_dispatch(key),
            Frame::Lead { candidate, term } => self.on_lead(candidate, term),
            Frame::Depose { candidate, refused } => self.on_depose(candidate, refused),
            _ => return self.on_queue_frame(frame),
        }
        true
    }

    fn on_queue_frame(&mut self, frame: Frame<'_>) -> bool {
        match frame {
            Frame::QueueState { request, state, policy } => {
                self.on_queue_state(request, state, policy);
            }
            Frame::Tracked { request, outcome } => self.on_tracked(request, &outcome),
            Frame::Progressed { request, value } => self.on_progressed(request, value),
            Frame::Counted { request, count } => self.on_counted(request, count),
            Frame::Browsed { request, messages, more } => self.on_list(request, &messages, more),
            Frame::QueueList { request, queues, more } => self.on_list(request, &queues, more),
            Frame::ServiceList { request, services, more } => {
                self.on_list(request, &services, more);
            }
            Frame::ScheduleList { request, schedules, more } => {
                self.on_list(request, &schedules, more);
            }
            Frame::PolicyList { request, policies } => self.on_list(request, &policies, false),
            Frame::QueueStats { watch, at, stats, refused } => {
                self.on_queue_stats(watch, at, stats, refused);
            }
            Frame::Check { checker, message, refused } => {
                self.on_check(checker, message.as_ref(), refused);
            }
            Frame::QueueDeleted { queue } => self.on_queue_deleted(queue),
            Frame::RequestRefused { request, code, reason } => {
                self.on_request_refused(request, code, reason);
            }
            Frame::Sent { position } => return self.on_sent(position),
            Frame::Duplicates { sequence, items } => {
                return self.on_duplicates(sequence, items);
            }
            Frame::Window { items } => self.events.push_back(Event::Window { items }),
            Frame::SendRefused { sequence, code, reason } => {
                return self.on_send_refused(sequence, code, reason);
            }
            Frame::Consuming { consumer, refused, single_active } => {
                self.on_consuming(consumer, refused, single_active == Some(true));
            }
            Frame::ConsumerActive { consumer, active } => {
                self.on_consumer_active(consumer, active);
            }
            Frame::Deliver(delivery) => return self.on_deliver(&delivery),
            Frame::Settled { lease, refused } => self.on_settled(lease, refused),
            _ => return false,
        }
        true
    }

    fn on_peers(&mut self, peers: &[PeerEntry<'_>]) {
        let peer = |entry: &PeerEntry<'_>| Peer { client: entry.client, info: entry.peer.to_vec() };
        let peers = peers.iter().map(peer).collect();
        self.events.push_back(Event::Peers { peers });
    }
}
