//! Pages beside workers that host for them.

use tabmq::error::Code;
use tabmq::web::worker::{Part, WorkerNews};

use crate::harness::World;

const STANDS_BY: Part = Part::Page { stands_by: true };
const ONLY_WORKER: Part = Part::Page { stands_by: false };

/// A worker and two pages that were told of it.
fn world(pages: Part) -> World {
    let mut world = World::start_parts(&[Part::Worker, pages, pages]);
    for page in [1, 2] {
        world.tell_of_worker(page, WorkerNews::Up);
    }
    world.pass_ms(1000);
    world
}

#[test]
fn a_worker_hosts_for_pages() {
    for pages in [STANDS_BY, ONLY_WORKER] {
        let mut world = world(pages);
        assert_eq!(world.host(), Some(0));
        assert!((1..=2).all(|page| world.is_ready(page)));
        assert!(!world.is_ready(0), "it has no client");
        world.send(1);
        world.pass_ms(600_000);
        assert_eq!((world.host(), world.confirmed(1)), (Some(0), 1));
    }
}

#[test]
fn a_page_waits_for_news_of_its_worker_before_it_hosts() {
    let mut world = World::start_parts(&[STANDS_BY]);
    world.pass_ms(1000);
    assert_eq!(world.host(), None);
    world.tell_of_worker(0, WorkerNews::Down);
    world.pass_ms(1000);
    assert_eq!(world.host(), Some(0));
    assert!(world.is_ready(0));
}

#[test]
fn a_page_that_stands_by_hosts_as_soon_as_the_worker_dies() {
    let mut world = world(STANDS_BY);
    world.kill(0);
    world.send(2);
    world.pass_ms(100);
    assert_eq!((world.host(), world.confirmed(2)), (Some(1), 1));
}

#[test]
fn a_page_that_began_to_host_makes_room_for_its_worker() {
    // The news comes at each moment of the recovery.
    for answers in 0..8 {
        let mut world = World::start_parts(&[STANDS_BY]);
        world.answer_only(0, answers);
        world.tell_of_worker(0, WorkerNews::Down);
        world.pass_ms(100);
        assert_eq!(world.host(), Some(0), "after {answers} answers");
        let worker = world.add(Part::Worker);
        world.tell_of_worker(0, WorkerNews::Up);
        world.answer_only(0, usize::MAX);
        // What was not answered is never answered: then the storage counts as lost.
        world.pass_ms(20_000);
        assert_eq!(world.host(), Some(worker), "after {answers} answers");
        assert!(world.is_ready(0), "after {answers} answers");
    }
}

#[test]
fn a_page_asks_its_worker_first_to_replace_a_silent_host() {
    // The host is a page that stands still; the worker waits behind it.
    let mut world = World::start_parts(&[Part::Whole, Part::Worker, ONLY_WORKER]);
    world.tell_of_worker(2, WorkerNews::Up);
    world.pass_ms(1000);
    assert_eq!(world.host(), Some(0));
    world.stop(0);
    world.send(2);
    world.pass_ms(7000);
    assert_eq!((world.host(), world.asked(2)), (Some(0), 1));
    world.steal(1);
    world.pass_ms(1000);
    assert_eq!((world.host(), world.confirmed(2)), (Some(1), 1));
}

#[test]
fn a_page_hosts_itself_when_its_worker_stands_still() {
    for pages in [STANDS_BY, ONLY_WORKER] {
        let mut world = world(pages);
        world.stop(0);
        world.send(1);
        world.pass_ms(7000);
        assert_eq!((world.host(), world.asked(1)), (Some(0), 1));
        // It does not answer the order to steal.
        world.tell_of_worker(1, WorkerNews::Down);
        world.pass_ms(1000);
        assert_eq!((world.host(), world.confirmed(1)), (Some(1), 1));
        // Once it runs again it waits in the line, and gets the node back.
        world.resume(0);
        world.pass_ms(1000);
        assert_eq!(world.host(), Some(0));
        world.send(1);
        world.pass_ms(100);
        assert_eq!(world.confirmed(1), 2);
    }
}

#[test]
fn a_worker_whose_storage_is_silent_gives_way_to_a_page() {
    let mut world = world(STANDS_BY);
    world.answer_only(0, 0);
    world.send(1);
    world.pass_ms(16_000);
    assert_eq!((world.host(), world.confirmed(1)), (Some(1), 1));
}

#[test]
fn a_worker_that_closes_hands_over() {
    let mut world = world(STANDS_BY);
    world.send(1);
    world.close(0);
    world.pass_ms(100);
    assert_eq!(world.ends(0), (&[][..], Some(Code::Closed)));
    assert_eq!((world.host(), world.confirmed(1)), (Some(1), 1));
}
