//! Backoffs that a queue does not take.

use tabmq::error::Code;
use tabmq::id::RequestId;
use tabmq::options::{Backoff, QueueOptions};
use tabmq::wire::Frame;

use crate::harness::Bench;

#[test]
fn a_ladder_that_can_not_be_followed_is_refused() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let ladder = |step_ms, waits: usize| Backoff {
        first_ms: 0,
        factor_percent: 100,
        wait_ms_max: 5,
        jitter_percent: 0,
        step_ms,
        ladder_ms: Some(vec![1; waits]),
    };
    for backoff in [ladder(None, 0), ladder(None, 101), ladder(Some(1), 1)] {
        let options = QueueOptions { backoff: Some(backoff), ..QueueOptions::default() };
        let (request, code, reason) = (RequestId(1), Code::Invalid, "backoff");
        bench.say(&mut peer, &[Frame::Declare { request, queue: "jobs", options }]);
        let refused = Frame::RequestRefused { request, code, reason };
        assert_eq!(bench.frames(&peer).pop(), Some(refused));
    }
    let state = bench.node.broker().expect("it serves").state();
    assert_eq!(state.queues.len(), 0);
    let options = QueueOptions { backoff: Some(ladder(None, 100)), ..QueueOptions::default() };
    bench.say(&mut peer, &[Frame::Declare { request: RequestId(2), queue: "jobs", options }]);
    assert!(matches!(bench.frames(&peer).pop(), Some(Frame::QueueState { .. })));
}
