use tabmq::error::Code;

use crate::harness::World;

/// The opening, four actions of the recovery, and the lane of the host's own client.
const UNTIL_IT_SERVES: usize = 6;

#[test]
fn all_pages_follow_the_first() {
    let mut world = World::start(10);
    world.pass_ms(1000);
    assert_eq!(world.host(), Some(0));
    assert!((0..10).all(|page| world.is_ready(page)));
    world.pass_ms(600_000);
    assert_eq!(world.host(), Some(0), "nobody doubts a host that answers");
}

#[test]
fn a_host_whose_storage_answers_no_more_gives_way_to_the_next() {
    // It stands still at the opening, at each action after it, and while all others wait.
    for answers in 0..=UNTIL_IT_SERVES {
        let mut world = World::start(10);
        world.answer_only(0, answers);
        world.pass_ms(5000);
        assert_eq!(world.host(), Some(0), "after {answers} answers");
        assert!(!(1..10).any(|page| world.is_ready(page)), "after {answers} answers");
        world.pass_ms(7000);
        assert_ne!(world.host(), Some(0), "after {answers} answers");
        world.pass_ms(5000);
        assert!((0..10).all(|page| world.is_ready(page)), "after {answers} answers");
    }
}

#[test]
fn what_a_silent_storage_left_unconfirmed_is_stored_by_the_next_host() {
    let mut world = World::start(2);
    world.pass_ms(1000);
    world.answer_only(0, 0);
    for page in [0, 1] {
        world.send(page);
    }
    world.pass_ms(9000);
    // Its node answers every probe meanwhile, so no client has reason to doubt it.
    assert_eq!((world.host(), world.confirmed(1)), (Some(0), 0));
    world.pass_ms(6000);
    assert_eq!((world.host(), world.confirmed(0), world.confirmed(1)), (Some(1), 1, 1));
    let trace = world.trace(0);
    let asked = trace.iter().filter(|line| line.contains("node>storage #")).count();
    let answered = trace.iter().filter(|line| line.contains("node<storage #")).count();
    assert!(asked > answered, "the report tells what was not answered");
}

#[test]
fn a_lone_host_opens_its_storage_anew() {
    let mut world = World::start(1);
    world.answer_only(0, 3);
    world.pass_ms(9000);
    world.answer_only(0, usize::MAX);
    assert!(!world.is_ready(0));
    world.pass_ms(3000);
    assert!(world.is_ready(0));
    assert_eq!(world.errors(0), [""; 0]);
}

#[test]
fn a_storage_that_never_answers_is_told_about_and_tried_again() {
    let mut world = World::start(1);
    world.answer_only(0, 0);
    world.pass_ms(35_000);
    assert_eq!(world.errors(0), ["silent"]);
    world.answer_only(0, usize::MAX);
    world.pass_ms(60_000);
    assert!(world.is_ready(0));
}

#[test]
fn a_page_that_was_stopped_does_not_blame_its_storage() {
    let mut world = World::start(1);
    world.pass_ms(1000);
    world.stop(0);
    world.pass_ms(60_000);
    world.resume(0);
    world.pass_ms(60_000);
    assert_eq!((world.host(), world.begun(0)), (Some(0), 1));
}

#[test]
fn a_page_that_is_opened_while_the_host_stands_still_takes_over() {
    let mut world = World::start(2);
    world.answer_only(0, UNTIL_IT_SERVES);
    world.pass_ms(100);
    assert!(world.is_ready(0) && !world.is_ready(1));
    world.stop(0);
    world.pass_ms(8000);
    assert_eq!(world.host(), Some(1));
    assert!(world.is_ready(1));
}

#[test]
fn a_host_that_is_alone_and_was_replaced_is_over_and_does_not_come_back() {
    let mut world = World::start_alone();
    world.pass_ms(1000);
    world.send(0);
    world.pass_ms(1000);
    assert_eq!(world.confirmed(0), 1);
    world.take_over();
    world.send(0);
    world.pass_ms(100);
    assert_eq!((world.confirmed(0), world.errors(0)), (1, &["fenced"][..]));
    assert_eq!(world.ends(0), (&[Code::Unavailable][..], Some(Code::Unavailable)));
    world.pass_ms(120_000);
    assert_eq!((world.host(), world.begun(0)), (None, 1));
}

#[test]
fn a_host_that_is_alone_is_over_when_its_storage_fails_again_and_again() {
    let mut world = World::start_alone();
    world.pass_ms(1000);
    world.answer_only(0, 0);
    world.send(0);
    world.pass_ms(40_000);
    assert_eq!(world.errors(0), ["silent"]);
    let (failed, ended) = world.ends(0);
    assert_eq!(ended, Some(Code::Storage));
    assert_eq!(failed, [Code::Storage]);
    world.pass_ms(120_000);
    assert_eq!((world.host(), world.begun(0)), (None, 3));
}

#[test]
fn a_storage_that_is_cleared_under_an_idle_host_is_noticed_and_told() {
    let mut world = World::start(2);
    for page in [0, 1] {
        world.send(page);
    }
    world.pass_ms(1000);
    let begun = world.begun(0) + world.begun(1);
    world.clear_storage();
    world.pass_ms(1000);
    assert_eq!(world.begun(0) + world.begun(1), begun + 1, "one node more");
    for page in [0, 1] {
        assert_eq!(world.cleared(page), Some(1), "each had one send confirmed");
        assert_eq!(world.rolled_back(page), 0);
        assert_eq!(world.errors(page), [""; 0]);
        world.send(page);
    }
    world.pass_ms(1000);
    assert_eq!((world.confirmed(0), world.confirmed(1)), (2, 2));
}

#[test]
fn a_connection_that_is_lost_and_found_again_changes_nothing() {
    let mut world = World::start(2);
    world.pass_ms(1000);
    for _ in 0..3 {
        world.lose_connection();
        world.send(1);
        world.pass_ms(100);
    }
    assert_eq!((world.begun(0), world.begun(1)), (1, 0), "the same node goes on");
    assert_eq!((world.confirmed(1), world.rolled_back(1)), (3, 0));
}

#[test]
fn a_host_whose_storage_is_atomic_takes_damage_at_the_end_for_damage() {
    let mut world = World::start(1);
    world.send(0);
    world.pass_ms(1000);
    world.damage_newest();
    world.kill_host();
    world.pass_ms(1000);
    assert_eq!(world.errors(0), ["corruption"]);
}
