//! The tags of frames.

use tabmq::wire::Frame;

/// The highest tag in use. Every tag from 1 to here is a frame.
pub const TAG_MAX: u64 = 91;

/// The tag of a frame; zero for one that is not here. Then the comparison with the encoded one
/// fails.
pub const fn tag_of(frame: &Frame<'_>) -> u64 {
    match frame {
        Frame::Hello(_) => 1,
        Frame::Welcome(_) => 2,
        Frame::Hangup { .. } => 3,
        Frame::Ping { .. } => 4,
        Frame::Pong { .. } => 5,
        Frame::Goodbye { .. } => 6,
        Frame::Announce { .. } => 7,
        Frame::Fragment { .. } => 8,
        Frame::Publish(_) => 9,
        Frame::Published { .. } => 10,
        Frame::GroupMessage { .. } => 11,
        Frame::Send { .. } => 12,
        Frame::Sent { .. } => 13,
        Frame::Deliver(_) => 14,
        Frame::Settle { .. } => 15,
        Frame::Settled { .. } => 16,
        Frame::Call { .. } => 17,
        Frame::Dispatch { .. } => 18,
        Frame::Reply { .. } => 19,
        Frame::ReplyTaken { .. } => 20,
        Frame::CallResult { .. } => 21,
        Frame::Method { .. } => 22,
        Frame::CancelCall { .. } => 23,
        Frame::JoinGroup { .. } => 24,
        Frame::GroupJoined { .. } => 25,
        Frame::LeaveGroup { .. } => 26,
        Frame::NewestNumbers { .. } => 27,
        Frame::Listen { .. } => 89,
        Frame::Audience { .. } => 90,
        Frame::Skipped { .. } => 91,
        Frame::Repair { .. } => 28,
        Frame::Repaired { .. } => 29,
        Frame::Serve { .. } => 38,
        Frame::Serving { .. } => 39,
        Frame::Unserve { .. } => 40,
        Frame::CancelDispatch { .. } => 41,
        Frame::Stand { .. } => 42,
        Frame::Lead { .. } => 43,
        Frame::Depose { .. } => 44,
        Frame::Resign { .. } => 45,
        Frame::PeerInfo { .. } => 46,
        Frame::Peers { .. } => 47,
        Frame::Resumed => 48,
        Frame::CallsDone { .. } => 49,
        Frame::Renew { .. } => 85,
        Frame::Granted { .. } => 86,
        _ => queue_tag_of(frame),
    }
}

const fn queue_tag_of(frame: &Frame<'_>) -> u64 {
    match frame {
        Frame::Declare { .. } => 30,
        Frame::Inspect { .. } => 31,
        Frame::QueueState { .. } => 32,
        Frame::RequestRefused { .. } => 33,
        Frame::SendRefused { .. } => 34,
        Frame::Consume { .. } => 35,
        Frame::Consuming { .. } => 36,
        Frame::CancelConsumer { .. } => 37,
        Frame::Visible { .. } => 50,
        Frame::ConsumerActive { .. } => 51,
        Frame::Pause { .. } => 52,
        Frame::Purge { .. } => 53,
        Frame::DeleteQueue { .. } => 54,
        Frame::Browse { .. } => 55,
        Frame::Browsed { .. } => 56,
        Frame::Counted { .. } => 57,
        Frame::QueueDeleted { .. } => 58,
        Frame::Track { .. } => 59,
        Frame::Tracked { .. } => 60,
        Frame::Progress { .. } => 61,
        Frame::Progressed { .. } => 62,
        Frame::Redrive { .. } => 63,
        Frame::EndRedrive { .. } => 64,
        Frame::ListQueues { .. } => 65,
        Frame::QueueList { .. } => 66,
        Frame::WatchQueue { .. } => 67,
        Frame::UnwatchQueue { .. } => 68,
        Frame::QueueStats { .. } => 69,
        Frame::SetPolicy { .. } => 70,
        Frame::ListPolicies { .. } => 71,
        Frame::PolicyList { .. } => 72,
        Frame::Trace { .. } => 73,
        Frame::Commit { .. } => 74,
        Frame::Duplicates { .. } => 75,
        Frame::Ingest { .. } => 76,
        Frame::Window { .. } => 77,
        Frame::Schedule { .. } => 78,
        Frame::Unschedule { .. } => 79,
        Frame::ListSchedules { .. } => 80,
        Frame::ScheduleList { .. } => 81,
        Frame::Decide { .. } => 82,
        Frame::Checker { .. } => 83,
        Frame::Check { .. } => 84,
        Frame::ListServices { .. } => 87,
        Frame::ServiceList { .. } => 88,
        _ => 0,
    }
}

#[test]
fn every_tag_of_a_frame_is_here() {
    let mut tags = Frame::TAGS.to_vec();
    tags.sort_unstable();
    assert_eq!(tags, (1..=TAG_MAX).collect::<Vec<_>>());
}
