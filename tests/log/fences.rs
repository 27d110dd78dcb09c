//! Which node may write.

use tabmq::id::{ChunkNumber, Epoch};
use tabmq::log::{LogEvent, MemoryStore, Recovery, RecoveryFault};
use tabmq::store::{Key, StorageAction, StorageFault, StorageResult, Stored, Sync};

use crate::harness::{Bench, config, identity, recover, recover_with};

/// Performs what `recovery` asks for until it has asked `count` times, or faults.
fn steps(
    store: &mut MemoryStore,
    recovery: &mut Recovery,
    count: usize,
) -> Result<bool, RecoveryFault> {
    let mut done = false;
    for _ in 0..count {
        let Some((op, action)) = recovery.poll_storage() else { break };
        let result = store.perform(&action);
        done = recovery.handle_stored(op, result, &mut |_, _| {})?;
    }
    Ok(done)
}

fn recovery(start: u64) -> Recovery {
    Recovery::new(config(), identity(start), Epoch::default())
}

#[test]
fn the_claim_is_strict_and_above_the_store_and_what_was_heard() {
    let mut store = MemoryStore::default();
    let heard = Epoch { counter: 41, incarnation: 7 };
    let mut recovery = Recovery::new(config(), identity(1), heard);
    let (op, open) = recovery.poll_storage().unwrap();
    assert_eq!(open, StorageAction::Open);
    assert_eq!(recovery.poll_storage(), None, "one operation at a time");
    recovery.handle_stored(op, store.perform(&open), &mut |_, _| {}).unwrap();
    let (_, claim) = recovery.poll_storage().unwrap();
    let StorageAction::Commit { expect: None, claim: Some(claim), sync, puts, .. } = claim else {
        panic!("{claim:?}");
    };
    assert_eq!(claim, Epoch { counter: 42, incarnation: 1001 });
    assert_eq!(sync, Sync::Strict);
    assert_eq!(puts.iter().map(|put| put.0).collect::<Vec<_>>(), [Key::Manifest]);

    let (log, _) = recover(&mut store, 1).unwrap();
    assert_eq!((log.epoch().counter, log.id()), (1, identity(1).log));
    let (log, _) = recover(&mut store, 2).unwrap();
    assert_eq!((log.epoch().counter, log.id()), (2, identity(1).log), "the id stays");
    let last = Epoch { counter: u64::MAX, incarnation: 0 };
    *store.fence_mut() = Some(last);
    let recovery = Recovery::new(config(), identity(3), last);
    assert_eq!(recover_with(&mut store, recovery).unwrap().0.epoch().counter, u64::MAX);
}

#[test]
fn of_two_nodes_that_start_at_once_the_first_is_fenced() {
    let mut store = MemoryStore::default();
    let (mut first, mut second) = (recovery(1), recovery(2));
    steps(&mut store, &mut first, 1).unwrap();
    steps(&mut store, &mut second, 1).unwrap();
    // Both have looked. The first claims; the second's claim is refused, so it looks again.
    steps(&mut store, &mut first, 100).unwrap();
    assert_eq!(steps(&mut store, &mut second, 100), Ok(true));
    let (mut first, second) = (first.finish(), second.finish());
    assert_eq!((first.epoch().counter, second.epoch().counter), (1, 2));
    assert_eq!(first.id(), second.id());
    first.append(&crate::harness::message(1, b"late"));
    let (op, action) = first.poll_storage().unwrap();
    let result = store.perform(&action);
    assert_eq!(first.handle_stored(op, result), LogEvent::Failed(StorageFault::Fenced));
}

#[test]
fn what_was_written_between_the_look_and_the_claim_is_read() {
    let mut bench = Bench::new();
    for _ in 0..20 {
        let number = bench.send(200);
        bench.drain();
        bench.end(number);
    }
    let kept = bench.send(10);
    let mut next = recovery(2);
    steps(&mut bench.store, &mut next, 1).unwrap();
    // The old node still holds the fence: its checkpoint is good, and deletes what it covers.
    bench.checkpoint();
    bench.drain();
    let (_, live) = recover_with(&mut bench.store, next).unwrap();
    assert_eq!(live.keys().map(|number| number.0).collect::<Vec<_>>(), [kept]);
}

#[test]
fn a_log_whose_first_node_died_between_its_claim_and_its_manifest_gets_one() {
    // A medium without transactions: the claim was written, the manifest was not.
    let mut store = MemoryStore::default();
    recover(&mut store, 1).unwrap();
    store.values_mut().clear();
    let (log, _) = recover(&mut store, 2).unwrap();
    assert_eq!((log.epoch().counter, log.id()), (2, identity(2).log));
    let (log, _) = recover(&mut store, 3).unwrap();
    assert_eq!(log.id(), identity(2).log);
}

#[test]
fn a_claim_that_is_lost_again_and_again_is_given_up() {
    let mut store = MemoryStore::default();
    let mut recovery = recovery(1);
    let mut claims = 0;
    let fault = loop {
        let (op, action) = recovery.poll_storage().unwrap();
        let result: StorageResult = match action {
            StorageAction::Commit { .. } => {
                claims += 1;
                Err(StorageFault::Fenced)
            }
            action => store.perform(&action),
        };
        if let Err(fault) = recovery.handle_stored(op, result, &mut |_, _| {}) {
            break fault;
        }
    };
    assert_eq!(fault, RecoveryFault::Storage(StorageFault::Fenced));
    assert_eq!(claims, 8);
}

#[test]
fn a_node_that_was_replaced_while_it_reads_says_so_and_not_that_the_log_is_damaged() {
    let mut bench = Bench::new();
    for _ in 0..20 {
        let number = bench.send(200);
        bench.drain();
        bench.end(number);
    }
    bench.drain();
    // The slow node has opened, claimed and listed; then another one takes over and cleans up.
    let mut slow = recovery(2);
    steps(&mut bench.store, &mut slow, 4).unwrap();
    bench.restart().unwrap();
    bench.checkpoint();
    bench.drain();
    let fault = steps(&mut bench.store, &mut slow, 100);
    assert_eq!(fault, Err(RecoveryFault::Storage(StorageFault::Fenced)));
}

#[test]
fn a_node_opens_its_own_log_again_under_its_own_epoch() {
    let mut bench = Bench::new();
    bench.send(10);
    bench.drain();
    bench.send(10);
    let own = bench.log.epoch();
    let again = Recovery::reopen(config(), identity(9), own);
    let (log, live) = recover_with(&mut bench.store, again).unwrap();
    assert_eq!((log.epoch(), live.len()), (own, 1));
    recover(&mut bench.store, 2).unwrap();
    let again = Recovery::reopen(config(), identity(9), own);
    let fault = recover_with(&mut bench.store, again).err();
    assert_eq!(fault, Some(RecoveryFault::Storage(StorageFault::Fenced)));
}

#[test]
fn an_aborted_step_of_a_recovery_is_tried_again_and_other_faults_end_it() {
    let mut bench = Bench::new();
    bench.send(10);
    bench.drain();
    for step in 0..5 {
        for fault in [StorageFault::Aborted, StorageFault::Lost, StorageFault::Quota] {
            let mut recovery = recovery(2);
            steps(&mut bench.store, &mut recovery, step).unwrap();
            let (op, action) = recovery.poll_storage().unwrap();
            let outcome = recovery.handle_stored(op, Err(fault), &mut |_, _| {});
            if fault == StorageFault::Aborted {
                assert_eq!(outcome, Ok(false));
                let (_, again) = recovery.poll_storage().unwrap();
                assert_eq!(again, action);
            } else {
                assert_eq!(outcome, Err(RecoveryFault::Storage(fault)));
            }
        }
    }
    let mut recovery = recovery(2);
    let mut tries = 0;
    let fault = loop {
        let (op, _) = recovery.poll_storage().unwrap();
        tries += 1;
        let outcome = recovery.handle_stored(op, Err(StorageFault::Aborted), &mut |_, _| {});
        if let Err(fault) = outcome {
            break fault;
        }
    };
    assert_eq!((tries, fault), (4, RecoveryFault::Storage(StorageFault::Aborted)));
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let mut bench = Bench::new();
    let mut recovery = recovery(2);
    let (op, action) = recovery.poll_storage().unwrap();
    let stale = tabmq::id::OpId(op.0 + 10);
    let lost = Err(StorageFault::Lost);
    assert_eq!(recovery.handle_stored(stale, lost.clone(), &mut |_, _| {}), Ok(false));
    let result = bench.store.perform(&action);
    assert_eq!(recovery.handle_stored(op, result, &mut |_, _| {}), Ok(false));
    assert_eq!(bench.log.handle_stored(stale, lost), LogEvent::Nothing);
    bench.send(10);
    assert_eq!(bench.drain(), [LogEvent::Durable(ChunkNumber(1))]);
    let wrong = recovery.poll_storage().unwrap().0;
    let outcome = recovery.handle_stored(wrong, Ok(Stored::Fence(None)), &mut |_, _| {});
    assert_eq!(outcome, Err(RecoveryFault::Storage(StorageFault::Lost)), "not an answer to this");
}

#[test]
fn an_epoch_that_is_far_above_the_stored_one_is_not_taken_for_one() {
    let claimed = |heard: u64| {
        let mut store = MemoryStore::default();
        *store.fence_mut() = Some(Epoch { counter: 7, incarnation: 1 });
        let heard = Epoch { counter: heard, incarnation: 1 };
        let mut recovery = Recovery::new(config(), identity(2), heard);
        while let Some((op, action)) = recovery.poll_storage() {
            let result = store.perform(&action);
            recovery.handle_stored(op, result, &mut |_, _| {}).unwrap();
        }
        store.fence_mut().unwrap().counter
    };
    assert_eq!(claimed(3), 8);
    assert_eq!(claimed(20), 21);
    assert_eq!(claimed(7 + (1 << 32)), 8 + (1 << 32));
    assert_eq!(claimed(8 + (1 << 32)), 8);
    assert_eq!(claimed(u64::MAX), 8);
}
