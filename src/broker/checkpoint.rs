//! The durable state as records: replaying them gives the state again.

use crate::broker::pieces;
use crate::broker::state::State;
use crate::broker::tracks::End;
#[cfg(feature = "sim")]
use crate::id::MessageNumber;
use crate::id::{LaneId, Sequence};
use crate::log::{Log, Record};
use crate::rules::Rules;
use crate::time::UnixMillis;
use crate::wire::frame::Duplicate;

/// Writes a checkpoint of `state`: whole, but for the waiting messages, of which the log has those
/// pieces in which nothing changed.
pub fn write(state: &mut State, log: &mut Log, rules: Rules) {
    write_queues(state, &mut |record| log.checkpoint_record(record));
    pieces::write(state, log, rules);
    write_rest(state, &mut |record| log.checkpoint_record(record));
    for (lane, opened) in state.lanes.iter() {
        for (position, code) in opened.refused.iter() {
            let (lane, position, refused) = (*lane, *position, Some(*code));
            log.checkpoint_record(&Record::LaneVoid { lane, position, refused });
        }
        for (sequence, Duplicate { index, number }) in opened.duplicates.iter().copied() {
            let lane = *lane;
            log.checkpoint_record(&Record::Duplicate { lane, sequence, index, number });
        }
    }
    log.finish_checkpoint();
}

/// A hash of everything durable, but for refusals and duplicates: when they are forgotten is not
/// recorded.
#[cfg(feature = "sim")]
pub fn digest(state: &State) -> u64 {
    xxhash_rust::xxh64::xxh64(&records(state), 0)
}

/// What `digest` is a hash of: the records of a whole checkpoint.
#[cfg(feature = "sim")]
pub fn records(state: &State) -> alloc::vec::Vec<u8> {
    let mut bytes = alloc::vec::Vec::new();
    let mut write = |record: &Record<'_>| crate::cbor::encode(record, &mut bytes);
    write_queues(state, &mut write);
    for (id, queue) in state.queues.iter() {
        for (number, entry, due_at) in queue.waiting_in(MessageNumber(0)..MessageNumber(u64::MAX)) {
            write(&state.kept(*id, number, &entry, due_at));
        }
    }
    write_rest(state, &mut write);
    bytes
}

fn write_queues(state: &State, write: &mut dyn FnMut(&Record<'_>)) {
    // Before the queues, so that each follows its policy once.
    for (name, policy) in state.policies.iter() {
        write(&Record::Policy(policy.as_frame(name)));
    }
    for (id, queue) in state.queues.iter() {
        let (id, options, owner) = (*id, queue.declared.clone(), queue.owner);
        write(&Record::Declared { queue: id, name: &queue.name, options, owner });
        if let Some(pause) = queue.paused {
            write(&Record::Paused { queue: id, paused: true, until: pause.until });
        }
        if queue.traced {
            write(&Record::Traced { queue: id, traced: true });
        }
    }
}

/// What follows the waiting messages.
fn write_rest(state: &State, write: &mut dyn FnMut(&Record<'_>)) {
    write_leases(state, write);
    for (queue, number, id, stored_at) in state.dedupe.iter() {
        write(&Record::IdKept { queue, number, id, stored_at });
    }
    for (lane, closed) in state.senders.iter() {
        let (lane, client, position) = (*lane, closed.client, closed.position);
        write(&Record::LaneOpened { lane, client, position, user: closed.user.as_deref() });
        write(&Record::LaneClosed { lane });
    }
    for (lane, opened) in state.lanes.iter() {
        write(&Record::LaneOpened {
            lane: *lane,
            client: opened.client,
            position: opened.position,
            user: opened.user.as_deref(),
        });
    }
    for (role, leader) in state.leaders.iter() {
        let (term, client) = (leader.term, leader.client);
        write(&Record::TermBegan { role, term, client });
    }
    for (client, leases) in state.settled_lately.iter() {
        let leases = leases.iter().copied().collect();
        write(&Record::SettledLately { client: *client, leases });
    }
    // The ended ones in the order in which they ended, which is the order in which they go.
    let ended = state.tracks.ended().filter_map(|number| Some((number, state.tracks.get(number)?)));
    let open = state.tracks.iter().filter(|(_, track)| track.end.is_none());
    for (number, track) in open.chain(ended) {
        write(&Record::Tracked {
            number,
            queue: track.queue,
            id: &track.id,
            delivered: track.delivered,
            end: track.end.as_ref().map(End::as_record),
        });
    }
    for ((client, request), redriving) in state.redrives.iter() {
        write(&Record::Redrive {
            client: *client,
            request: *request,
            order: &redriving.order,
            moved: redriving.moved,
            reached: redriving.reached,
        });
    }
    for (number, schedule) in state.schedules.iter() {
        let Some(scheduling) = schedule.order() else { continue };
        let (lane, sequence) = (LaneId(0), Sequence(0));
        let (queue, due_at, last) = (schedule.queue, schedule.due_at, schedule.last);
        write(&Record::Scheduled { queue, number, lane, sequence, scheduling, due_at, last });
    }
    write_prepared(state, write);
    write(&Record::Counters {
        queue: state.next.queue,
        lane: state.next.lane,
        message: state.next.message,
        lease: state.next.lease,
        term: state.next.term,
    });
}

/// Prepared messages, then what was decided lately about others.
fn write_prepared(state: &State, write: &mut dyn FnMut(&Record<'_>)) {
    for (number, prepared) in state.prepared.iter() {
        let entry = &prepared.entry;
        write(&Record::PreparedKept {
            queue: prepared.queue,
            number,
            id: &prepared.id,
            own_id: prepared.own_id,
            place: entry.place,
            body_bytes: entry.body_bytes,
            properties_bytes: entry.properties_bytes,
            prepared_at: prepared.prepared_at,
            tracked: prepared.tracked,
            checks: prepared.checks,
            check_after_ms: prepared.check_after_ms,
            due_at: prepared.due_at,
            expires_at: prepared.expires_at,
            key: prepared.mark.key(),
            priority: prepared.mark.priority(),
        });
    }
    for (number, (queue, id), decision) in state.prepared.decisions() {
        let (queue, id, at) = (*queue, Some(&**id), UnixMillis(0));
        write(&Record::Decided { queue, number, id, decision, at });
    }
}

/// Leased messages, then their leases, then the totals, which replaying the leases would move.
fn write_leases(state: &State, write: &mut dyn FnMut(&Record<'_>)) {
    for (number, lease) in state.leases.iter() {
        write(&state.kept(lease.queue, lease.number, &lease.entry, None));
        write(&Record::Leased {
            lease: *number,
            queue: lease.queue,
            number: lease.number,
            client: lease.client,
            lease_ms: lease.lease_ms,
            attempt: lease.attempt,
            consumer: lease.consumer,
        });
    }
    for (id, queue) in state.queues.iter() {
        write(&Record::Totals {
            queue: *id,
            sent: queue.totals.sent_total,
            acked: queue.totals.acked_total,
            redelivered: queue.totals.redelivered_total,
            dead_lettered: queue.totals.dead_lettered_total,
            discarded: queue.totals.discarded_total,
        });
    }
}
