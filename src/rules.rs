//! The safety rules that the simulator switches off one at a time, to prove that its checkers
//! would notice. In a build without the feature `sim` every rule is a constant `true`.

macro_rules! rules {
    ($($(#[$doc:meta])+ $name:ident $(= $place:ident)?,)+) => {
        /// Which safety rules hold. Only the simulator can build one with a rule off.
        #[derive(Clone, Copy, Debug)]
        pub struct Rules {
            $(#[cfg(feature = "sim")] $name: bool,)+
        }

        impl Rules {
            pub const ON: Self = Self { $(#[cfg(feature = "sim")] $name: true,)+ };

            /// The names of all rules.
            #[cfg(feature = "sim")]
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)+];

            /// Whether nothing but a hub needs the rule.
            #[cfg(feature = "sim")]
            #[must_use]
            pub fn is_of_hubs(name: &str) -> bool {
                let of_hubs: &[&str] = &[$($(stringify!($name $place),)?)+];
                of_hubs.iter().any(|text| text.strip_suffix(" hub") == Some(name))
            }

            /// All rules but the named one; `None` if there is no such rule.
            #[cfg(feature = "sim")]
            #[must_use]
            pub fn without(name: &str) -> Option<Self> {
                let mut rules = Self::ON;
                match name {
                    $(stringify!($name) => rules.$name = false,)+
                    _ => return None,
                }
                Some(rules)
            }

            $($(#[$doc])+
            #[inline]
            #[must_use]
            pub const fn $name(&self) -> bool {
                #[cfg(feature = "sim")]
                return self.$name;
                #[cfg(not(feature = "sim"))]
                true
            })+
        }
    };
}

rules! {
    /// The store refuses a write whose epoch is not the stored one.
    store_epoch_check,
    /// Nothing that reveals a write leaves before the write is stored.
    confirm_after_store,
    /// A send at or below the lane's position is confirmed again, not stored again.
    lane_dedupe,
    /// A message whose id its queue remembers is not stored again.
    id_dedupe,
    /// An acknowledgement counts only with the number of the live lease.
    lease_number_check,
    /// A chunk at the end of the log whose checksum fails is cut.
    torn_tail_cut,
    /// A chunk that is listed or lies between others and is missing stops recovery.
    missing_chunk_detection,
    /// A chunk is deleted by the checkpoint that knows where its messages went, and not before.
    delete_by_checkpoint,
    /// A checkpoint writes each part of the index in which something changed.
    changes_written,
    /// What a page wrote down goes out once its number is written as well.
    number_before_transmit,
    /// A client sends what has no answer again after it resumed.
    resend_after_resume,
    /// A send is accepted only right after the one before it in its lane.
    order_per_producer,
    /// A transaction whose delivery is another's by now stores nothing.
    writes_with_ack,
    /// Of a queue that orders by key, a message comes only when those before it with its key are
    /// done.
    key_lock,
    /// Of a queue with priorities, a message comes only when none of a higher one is ready.
    higher_first,
    /// What a queue keeps of each key is refused or let go where it is more than its bound.
    few_per_key,
    /// A queue with a rate is served no more often.
    rate_limit,
    /// When a schedule is due next is stored with the message of the last time.
    next_time_with_message,
    /// A schedule that samples a topic sends a value once.
    sampled_once,
    /// What a schedule is due to send is sent.
    due_is_fired,
    /// A consumer is slow when it has held a delivery for as long as its queue says.
    slow_after_its_time,
    /// A prepared message stands in no line before it is committed.
    prepared_hidden,
    /// At a hub a connection does nothing that its grant does not cover.
    grant_check = hub,
    /// At a hub a connection is over when its grant comes to an end.
    grant_ends = hub,
    /// At a hub a live message that a grant does not cover passes with a veil over it.
    veil_uncovered = hub,
    /// What the audience of a socket was told that it did not hear is believed by nobody else.
    skips_of_own_audience = hub,
    /// What a node left before its host falls asleep is void before anything more is handled.
    note_void_first = hub,
}

impl Default for Rules {
    fn default() -> Self {
        Self::ON
    }
}
