use tabmq::client::io::{Event, Handle};
use tabmq::error::Code;
use tabmq::id::{CandidateId, Term};
use tabmq::wire::Frame;

use crate::harness::{Tab, resumed_at};

fn standing() -> (Tab, CandidateId) {
    let mut tab = Tab::open();
    let candidate = tab.ask(|client, now| client.stand(now, "role")).expect("stands");
    assert_eq!(tab.frames(), [Frame::Stand { candidate, role: "role", holds: None }]);
    (tab, candidate)
}

fn leading() -> (Tab, CandidateId) {
    let (mut tab, candidate) = standing();
    tab.node(&[Frame::Lead { candidate, term: Term(3) }]);
    assert_eq!(tab.events(), [Event::Leading { candidate, term: Term(3) }]);
    (tab, candidate)
}

#[test]
fn a_leader_goes_on_under_its_term_after_a_resume() {
    let (mut tab, candidate) = leading();
    assert_eq!(tab.lose_link().terms, [Term(3)]);
    tab.welcome(resumed_at(0));
    tab.events();
    assert_eq!(tab.frames(), [Frame::Stand { candidate, role: "role", holds: Some(Term(3)) }]);
    tab.node(&[Frame::Lead { candidate, term: Term(3) }]);
    assert_eq!(tab.events(), []);
}

#[test]
fn a_deposed_leader_stands_on() {
    let (mut tab, candidate) = leading();
    tab.node(&[Frame::Depose { candidate, refused: None }]);
    assert_eq!(tab.events(), [Event::Deposed { candidate }]);
    tab.node(&[Frame::Lead { candidate, term: Term(5) }]);
    assert_eq!(tab.events(), [Event::Leading { candidate, term: Term(5) }]);
}

#[test]
fn a_new_term_ends_the_old_one() {
    let (mut tab, candidate) = leading();
    tab.node(&[Frame::Lead { candidate, term: Term(5) }]);
    let leading = Event::Leading { candidate, term: Term(5) };
    assert_eq!(tab.events(), [Event::Deposed { candidate }, leading]);
}

#[test]
fn a_candidate_without_a_place_is_refused() {
    let (mut tab, candidate) = standing();
    tab.node(&[Frame::Depose { candidate, refused: None }]);
    let handle = Handle::Candidate(candidate);
    assert_eq!(tab.events(), [Event::HandleRefused { handle, code: Code::Full }]);
    tab.lose_link();
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), []);
}

#[test]
fn resigning_ends_the_term_at_the_node() {
    let (mut tab, candidate) = leading();
    tab.ask(|client, now| client.resign(now, candidate));
    assert_eq!(tab.frames(), [Frame::Resign { candidate }]);
    tab.node(&[Frame::Lead { candidate, term: Term(4) }]);
    assert_eq!(tab.events(), []);
    assert_eq!(tab.lose_link().terms, []);
}

#[test]
fn resigning_without_a_link_is_told_on_the_next() {
    let (mut tab, candidate) = leading();
    assert_eq!(tab.lose_link().terms, [Term(3)]);
    tab.ask(|client, now| client.resign(now, candidate));
    tab.welcome(resumed_at(0));
    let stand = Frame::Stand { candidate, role: "role", holds: Some(Term(3)) };
    assert_eq!(tab.frames(), [stand, Frame::Resign { candidate }]);
    assert_eq!(tab.lose_link().terms, []);
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), []);
}

#[test]
fn a_candidate_that_may_not_lead_stands_no_more() {
    let (mut tab, candidate) = leading();
    let refused = Some(Code::NotAuthorized);
    tab.node(&[Frame::Depose { candidate, refused }]);
    let handle = Handle::Candidate(candidate);
    let ended = Event::HandleRefused { handle, code: Code::NotAuthorized };
    assert_eq!(tab.events(), [Event::Deposed { candidate }, ended]);
    assert_eq!(tab.lose_link().terms, []);
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), []);
}
