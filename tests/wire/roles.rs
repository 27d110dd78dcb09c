//! Who stands for a role and who leads.

use tabmq::error::Code;
use tabmq::id::{CandidateId, Term};
use tabmq::wire::Frame;

use crate::golden::Golden;

pub fn goldens() -> Vec<Golden> {
    let candidate = CandidateId(1);
    vec![
        ("stand", "holds nothing yet", Frame::Stand { candidate, role: "cron", holds: None }),
        (
            "stand-again",
            "after a resume",
            Frame::Stand { candidate, role: "cron", holds: Some(Term(2)) },
        ),
        ("lead", "", Frame::Lead { candidate, term: Term(2) }),
        ("depose", "", Frame::Depose { candidate, refused: None }),
        (
            "depose-refused",
            "the grant of the link does not cover the role",
            Frame::Depose { candidate, refused: Some(Code::NotAuthorized) },
        ),
        ("resign", "", Frame::Resign { candidate }),
    ]
}
