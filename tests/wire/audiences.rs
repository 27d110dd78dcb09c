//! What a hub and the clients of a socket tell each other of who listens.

use tabmq::id::{AudienceId, PublishNumber, SubscriptionId};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Newest, Welcome};

use crate::frames::Dice;
use crate::golden::{CLIENT, Golden};

pub fn goldens() -> Vec<Golden> {
    let (subscription, audience) = (SubscriptionId(1), AudienceId(9));
    let last = Newest { publisher: CLIENT, number: PublishNumber(7), index: 6 };
    let first = PublishNumber(5);
    let welcome = Welcome { audience: Some(audience), ..crate::grants::welcome() };
    vec![
        ("welcome-audience", "the link shares a socket", Frame::Welcome(welcome)),
        ("listen", "to a filter", Frame::Listen { subscription, filter: "price.#" }),
        ("audience", "the links of the socket are others", Frame::Audience { audience }),
        ("skipped", "nobody listened to 5 to 7", Frame::Skipped { audience, first, last }),
    ]
}

pub fn audience_frame<'a>(dice: &mut Dice<'a>, tag: u64) -> Option<Frame<'a>> {
    let audience = AudienceId(dice.number());
    Some(match tag {
        89 => Frame::Listen { subscription: SubscriptionId(dice.short()), filter: dice.text() },
        90 => Frame::Audience { audience },
        91 => Frame::Skipped { audience, first: PublishNumber(dice.number()), last: dice.newest() },
        _ => return None,
    })
}
