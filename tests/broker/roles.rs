use tabmq::broker::io::Input;
use tabmq::id::{CandidateId, Term};
use tabmq::wire::Frame;

use crate::harness::{Bench, Peer, client};

const CANDIDATE: CandidateId = CandidateId(1);

fn stand(bench: &mut Bench, peer: &mut Peer, holds: Option<Term>) -> Option<Term> {
    bench.say(peer, &[Frame::Stand { candidate: CANDIDATE, role: "sync", holds }]);
    leading(bench, peer)
}

fn leading(bench: &mut Bench, peer: &Peer) -> Option<Term> {
    let term = |frame| match frame {
        Frame::Lead { term, .. } => Some(term),
        _ => None,
    };
    bench.frames(peer).into_iter().find_map(term)
}

#[test]
fn exactly_one_candidate_leads_and_the_next_has_a_higher_term() {
    let mut bench = Bench::new();
    let (mut first, mut second) = (bench.join(1), bench.join(2));
    let term = stand(&mut bench, &mut first, None).unwrap();
    assert_eq!(stand(&mut bench, &mut second, None), None);
    bench.input(Input::Gone { client: client(1) });
    assert!(leading(&mut bench, &second).unwrap() > term);
}

#[test]
fn a_term_is_stored_before_anybody_leads() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bench.hold_storage = true;
    assert_eq!(stand(&mut bench, &mut peer, None), None);
    bench.release_storage();
    assert!(leading(&mut bench, &peer).is_some());
}

#[test]
fn a_leader_goes_on_after_its_node_died() {
    let mut bench = Bench::new();
    let (mut first, mut second) = (bench.join(1), bench.join(2));
    let term = stand(&mut bench, &mut first, None);
    stand(&mut bench, &mut second, None);
    bench.restart();
    bench.input(Input::Present { clients: &[client(1), client(2)] });
    let mut second = bench.join(2);
    assert_eq!(stand(&mut bench, &mut second, None), None, "the leader may come back");
    let (mut first, _) = bench.hello(1, |hello| hello.terms = term.into_iter().collect());
    assert_eq!(stand(&mut bench, &mut first, term), term);
}

#[test]
fn a_leader_that_does_not_come_back_is_replaced_after_settling() {
    let mut bench = Bench::new();
    let (mut first, mut second) = (bench.join(1), bench.join(2));
    let term = stand(&mut bench, &mut first, None);
    stand(&mut bench, &mut second, None);
    bench.restart();
    bench.input(Input::Present { clients: &[client(1), client(2)] });
    let mut second = bench.join(2);
    stand(&mut bench, &mut second, None);
    bench.pass_ms(bench.limits.settle_ms);
    let replaced = leading(&mut bench, &second);
    assert!(replaced > term);
    let (mut first, _) = bench.hello(1, |hello| hello.terms = term.into_iter().collect());
    bench.say(&mut first, &[Frame::Stand { candidate: CANDIDATE, role: "sync", holds: term }]);
    assert!(bench.frames(&first).contains(&Frame::Depose { candidate: CANDIDATE, refused: None }));
}

#[test]
fn a_page_made_anew_does_not_keep_the_role() {
    let mut bench = Bench::new();
    let (mut first, mut second) = (bench.join(1), bench.join(2));
    stand(&mut bench, &mut first, None);
    stand(&mut bench, &mut second, None);
    bench.hello(1, |hello| hello.fresh = true);
    assert!(leading(&mut bench, &second).is_some());
}

#[test]
fn resigning_passes_the_role_on() {
    let mut bench = Bench::new();
    let (mut first, mut second) = (bench.join(1), bench.join(2));
    stand(&mut bench, &mut first, None);
    stand(&mut bench, &mut second, None);
    bench.say(&mut first, &[Frame::Resign { candidate: CANDIDATE }]);
    assert!(leading(&mut bench, &second).is_some());
}

#[test]
fn resigning_one_of_two_candidacies_ends_only_its_own_term() {
    let mut bench = Bench::new();
    let (mut first, mut second) = (bench.join(1), bench.join(2));
    stand(&mut bench, &mut first, None);
    stand(&mut bench, &mut second, None);
    let again = CandidateId(2);
    bench.say(&mut first, &[Frame::Stand { candidate: again, role: "sync", holds: None }]);
    bench.say(&mut first, &[Frame::Resign { candidate: again }]);
    assert_eq!(leading(&mut bench, &second), None);
    bench.say(&mut first, &[Frame::Resign { candidate: CANDIDATE }]);
    assert!(leading(&mut bench, &second).is_some());
}
