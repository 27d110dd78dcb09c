//! Questions about prepared messages for which nobody decides, and how these end.

use tabmq::error::Code;
use tabmq::id::{CheckerId, Sequence};
use tabmq::limits::Limits;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Item, Prepare, QueueMessage, QueuePlace};

use crate::advisories::{listen, told};
use crate::harness::{Bench, Peer};
use crate::overflow::{bodies, counts, take};
use crate::prepared::{decide, digest, half, open, prepare};

const MINUTE_MS: u64 = 60_000;
const CHECKER: CheckerId = CheckerId(1);

fn check(bench: &mut Bench, peer: &mut Peer) {
    let frame = Frame::Checker { checker: CHECKER, queue: Some("q") };
    bench.say(peer, &[frame]);
    let taken = Frame::Check { checker: CHECKER, message: None, refused: None };
    assert_eq!(bench.frames(peer).first(), Some(&taken));
}

fn asked(bench: &mut Bench, peer: &Peer) -> Vec<QueueMessage<'static>> {
    let message = |frame| match frame {
        Frame::Check { message, .. } => message,
        _ => None,
    };
    bench.frames(peer).into_iter().filter_map(message).collect()
}

#[test]
fn somebody_is_asked_about_a_message_for_which_nobody_decides() {
    let (mut bench, mut peer) = open();
    let id = prepare(&mut bench, &mut peer, half(b"half"));
    let mut checker = bench.join(2);
    check(&mut bench, &mut checker);
    bench.pass_ms(MINUTE_MS - 1);
    assert_eq!(asked(&mut bench, &checker), []);
    bench.pass_ms(1);
    let questions = asked(&mut bench, &checker);
    let [question] = *questions else { panic!("{questions:?}") };
    let told = (question.body, question.place, question.attempts, question.sender);
    assert_eq!(told, (&b"half"[..], QueuePlace::Prepared, 1, Some(peer.id)));
    assert_eq!((question.lane, question.sequence), (peer.lane, Sequence(1)));
    // It does not know.
    bench.pass_ms(MINUTE_MS);
    assert_eq!(asked(&mut bench, &checker)[0].attempts, 2);
    decide(&mut bench, &mut checker, &id, true).unwrap();
    bench.pass_ms(10 * MINUTE_MS);
    assert_eq!(asked(&mut bench, &checker), []);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "q", 9)), [b"half"]);
}

#[test]
fn one_of_several_is_asked_each_time_and_who_left_is_not() {
    let (mut bench, mut peer) = open();
    let quick = Item { prepare: Some(Prepare { check_after_ms: Some(100) }), ..half(b"half") };
    prepare(&mut bench, &mut peer, quick);
    let mut checkers = [bench.join(2), bench.join(3)];
    for checker in &mut checkers {
        check(&mut bench, checker);
    }
    let mut counted = [0, 0];
    for _ in 0..6 {
        bench.pass_ms(100);
        for (checker, count) in checkers.iter().zip(&mut counted) {
            *count += asked(&mut bench, checker).len();
        }
    }
    assert_eq!(counted, [3, 3]);
    let [mut gone, mut left] = checkers;
    bench.say(&mut gone, &[Frame::Checker { checker: CHECKER, queue: None }]);
    bench.pass_ms(300);
    assert_eq!(asked(&mut bench, &gone).len(), 0);
    assert_eq!(asked(&mut bench, &left).len(), 3);
    bench.say(&mut left, &[Frame::Goodbye { park: false }]);
    // Nobody is left: it waits for one, and no question is counted.
    bench.pass_ms(MINUTE_MS);
    let mut late = bench.join(4);
    bench.say(&mut late, &[Frame::Checker { checker: CHECKER, queue: Some("q") }]);
    let questions = asked(&mut bench, &late);
    assert_eq!(questions.iter().map(|question| question.attempts).collect::<Vec<_>>(), [10]);
}

#[test]
fn questions_are_counted_over_nodes_and_end_with_a_rollback_that_is_told() {
    let (mut bench, mut peer) = open();
    let id = prepare(&mut bench, &mut peer, half(b"half"));
    let mut checker = bench.join(2);
    check(&mut bench, &mut checker);
    bench.pass_ms(10 * MINUTE_MS);
    assert_eq!(asked(&mut bench, &checker).len(), 10);
    let before = digest(&bench);
    bench.restart();
    assert_eq!(digest(&bench), before);
    let mut checker = bench.join(2);
    check(&mut bench, &mut checker);
    let listener = listen(&mut bench, 9, "$tabmq.queue.rolled-back.#");
    bench.pass_ms(6 * MINUTE_MS - 1);
    let attempts = asked(&mut bench, &checker).iter().map(|q| q.attempts).collect::<Vec<_>>();
    assert_eq!(attempts, [11, 12, 13, 14, 15]);
    assert_eq!(told(&mut bench, &listener), []);
    bench.pass_ms(1);
    let body = format!("number=1 id={id} reason=unanswered");
    assert_eq!(told(&mut bench, &listener), [("$tabmq.queue.rolled-back.q", body)]);
    let mut peer = bench.join(3);
    let gone = Err((Code::Discarded, "unanswered"));
    assert_eq!(decide(&mut bench, &mut peer, &id, true), gone);
    assert_eq!(decide(&mut bench, &mut peer, &id, false), Ok(0));
    assert_eq!(counts(&mut bench, &mut peer, "q").prepared, None);
}

#[test]
fn one_that_nobody_can_be_asked_about_is_rolled_back_when_it_is_too_old() {
    let (mut bench, mut peer) = open();
    let id = prepare(&mut bench, &mut peer, half(b"half"));
    bench.pass_ms(4 * 60 * MINUTE_MS - 1);
    assert_eq!(counts(&mut bench, &mut peer, "q").prepared, Some(1));
    bench.pass_ms(1);
    assert_eq!(counts(&mut bench, &mut peer, "q").prepared, None);
    assert_eq!(decide(&mut bench, &mut peer, &id, true), Err((Code::Discarded, "age")));
}

#[test]
fn one_that_grew_old_while_no_node_ran_can_still_be_decided_about() {
    let (mut bench, mut peer) = open();
    let ids = [b"a", b"b"].map(|body| prepare(&mut bench, &mut peer, half(body)));
    bench.now.unix.0 += 100 * 60 * MINUTE_MS;
    bench.restart();
    bench.pass_ms(MINUTE_MS - 1);
    let mut peer = bench.join(2);
    assert_eq!(decide(&mut bench, &mut peer, &ids[0], true), Ok(0));
    bench.pass_ms(1);
    assert_eq!(decide(&mut bench, &mut peer, &ids[1], true), Err((Code::Discarded, "age")));
}

#[test]
fn a_question_about_a_message_that_is_not_in_memory_waits_until_it_is_read() {
    let limits = Limits { chunk_bytes_max: 256, resident_bytes_max: 256, ..Limits::default() };
    let mut bench = Bench::with(limits);
    let mut peer = bench.join(1);
    prepare(&mut bench, &mut peer, half(b"half"));
    for round in 0..50_u8 {
        bench.send(&mut peer, "other", &[round; 100]);
    }
    let mut checker = bench.join(2);
    check(&mut bench, &mut checker);
    bench.pass_ms(MINUTE_MS);
    let questions = asked(&mut bench, &checker);
    assert_eq!(questions.iter().map(|question| question.body).collect::<Vec<_>>(), [b"half"]);
}

#[test]
fn a_client_may_check_so_many_queues_and_those_that_do_not_exist() {
    let mut bench = Bench::with(Limits { handles_max: 1, ..Limits::default() });
    let mut peer = bench.join(1);
    check(&mut bench, &mut peer);
    check(&mut bench, &mut peer);
    for (queue, code) in [("other", Code::Full), ("", Code::Invalid)] {
        let checker = CheckerId(2);
        bench.say(&mut peer, &[Frame::Checker { checker, queue: Some(queue) }]);
        let refused = Frame::Check { checker, message: None, refused: Some(code) };
        assert_eq!(bench.frames(&peer), [refused]);
    }
    let mut sender = bench.join(2);
    prepare(&mut bench, &mut sender, half(b"half"));
    bench.pass_ms(MINUTE_MS);
    assert_eq!(asked(&mut bench, &peer).len(), 1);
}
