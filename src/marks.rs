//! Coverage marks: rare paths of the core say that they were taken. The simulator counts that and
//! demands each of them, so that no rule rests on a path that never runs. In a build without the
//! feature `sim` a mark is nothing.

macro_rules! marks {
    ($($(#[$doc:meta])+ $name:ident = $text:literal,)+) => {
        /// A path that is rarely taken.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Mark {
            $($(#[$doc])+ $name,)+
        }

        impl Mark {
            #[cfg(feature = "sim")]
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            #[cfg(feature = "sim")]
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

marks! {
    /// The last chunk of a log was torn and is written anew.
    TornTailCut = "torn-tail-cut",
    /// A chunk that the log needs is not there.
    MissingChunk = "missing-chunk",
    /// A chunk among others, or a page of the checkpoint, is not what was written.
    DamageFound = "damage-found",
    /// Another node claimed between the look and the claim of this one.
    ClaimLost = "claim-lost",
    /// A log looked damaged because another node had taken it over.
    DoubtedWhileFenced = "doubted-while-fenced",
    /// A commit was aborted and is tried again.
    CommitAgain = "commit-again",
    /// The reserve made way for what was to be written.
    ReserveUsed = "reserve-used",
    /// There is room again, and the reserve with it.
    ReserveBack = "reserve-back",
    /// A node threw its memory away and replays its log under the same epoch.
    ReplayedInPlace = "replayed-in-place",
    /// A chunk was read back for the body of a message.
    ChunkReadBack = "chunk-read-back",
    /// What lives moves out of a sparse chunk.
    MovedOutOfSparse = "moved-out-of-sparse",
    /// What was to move out of a chunk left by itself before that.
    PlannedInVain = "planned-in-vain",
    /// A piece of the index got too long and is cut.
    PieceSplit = "piece-split",
    /// A short piece is written together with one beside it.
    PieceMerged = "piece-merged",
    /// Nothing in a piece waits any more.
    PieceEmptied = "piece-emptied",

    /// A node that may fall asleep left a note.
    Noted = "noted",
    /// Something happened, and the note is made void before that.
    NoteVoid = "note-void",
    /// A node went on in the place of one that fell asleep.
    Woken = "woken",

    /// The socket to a hub keeps too much, and the clients of its device hold back.
    SocketFull = "socket-full",

    /// After a pause the fence said that this node is still the one.
    StillTheOne = "still-the-one",
    /// After a pause the fence said that another node took over.
    FoundFenced = "found-fenced",
    /// A peer named an epoch above this node's.
    HeardOfSuccessor = "heard-of-successor",
    /// An input had to wait for the fence.
    HeldForFence = "held-for-fence",

    /// A send came again and was confirmed, not stored.
    LaneDeduped = "lane-deduped",
    /// Numbers that never came are used up.
    LaneVoid = "lane-void",
    /// A lane that nobody used for long is closed.
    LaneRetired = "lane-retired",
    /// A client sends on another lane than it did, and the earlier one is closed.
    LaneLeft = "lane-left",
    /// A client has confirmations that the log has lost.
    RollbackNoticed = "rollback-noticed",
    /// A send was refused because an earlier one to the same queue was.
    SendBlocked = "send-blocked",
    /// A refusal could not be recorded for lack of room.
    RefusalUnrecorded = "refusal-unrecorded",
    /// A message repeats the id of another.
    IdRepeated = "id-repeated",

    /// A settlement was refused for its lease is over.
    StaleLeaseRefused = "stale-lease-refused",
    /// A settlement came again and is confirmed again.
    SettledAgain = "settled-again",
    /// A lease ran out.
    LeaseRanOut = "lease-ran-out",
    /// A new node delivers what an earlier one had leased to a client that did not know of it.
    LeaseFoundByHello = "lease-found-by-hello",
    /// A consumer with credit was passed over for its client is silent.
    ConsumerPassedOver = "consumer-passed-over",
    /// A slow consumer was told, and its deliveries given to others.
    SlowDetached = "slow-detached",

    /// A node stopped waiting for clients that did not come back.
    SettleTimeout = "settle-timeout",
    /// Every client that was there came back before that.
    SettledByAll = "settled-by-all",

    /// A call ended for its server is gone.
    CallPeerLost = "call-peer-lost",
    /// A server named a call that its caller had not said again yet.
    CallClaimed = "call-claimed",
    /// No server named a call that an earlier node may have dispatched.
    CallInDoubt = "call-in-doubt",
    /// An answer was kept for a caller that came back later.
    AnswerKept = "answer-kept",

    /// A subscription was told of a gap.
    GapTold = "gap-told",
    /// A live message was repaired from the memory of the node.
    LiveRepaired = "live-repaired",
    /// A client sends again what has no answer, to another node or link.
    Resent = "resent",
    /// A client found its node silent.
    NodeSilent = "node-silent",

    /// A node goes on with an order that an earlier one began.
    RedriveTakenOver = "redrive-taken-over",
    /// A message would have gone in a circle.
    CircleCut = "circle-cut",
    /// A schedule was found due after its node had started.
    DueAfterStart = "due-after-start",
    /// A prepared message was given up after all questions.
    Unanswered = "unanswered",
    /// A prepared message was given up for its age.
    TooOld = "too-old",
    /// Nobody was there to be asked about a prepared message.
    NobodyToAsk = "nobody-to-ask",

    /// A socket that does not open was given up, and the next door is tried.
    DialGivenUp = "dial-given-up",
    /// A socket that brought nothing though something was awaited was dropped.
    HalfOpenDropped = "half-open-dropped",
    /// A realm relayed until another took the lock by force, and had the clients begin anew.
    RelayRobbed = "relay-robbed",
    /// A client goes on where it was while the socket on which it spoke seems to be open.
    SocketChanged = "socket-changed",
    /// What came on a socket is of a client that has gone on to another.
    LateWordIgnored = "late-word-ignored",
    /// A client is said to be gone on another socket than that on which it spoke last.
    GoneElsewhere = "gone-elsewhere",
    /// A client died while nobody of its device relayed.
    DiedUnrelayed = "died-unrelayed",
    /// A frame was refused because the grant of its connection does not cover it.
    NotCovered = "not-covered",
    /// A connection is over because its grant came to its end.
    GrantEnded = "grant-ended",
    /// A consumer was ended because a renewed grant does not cover it.
    GrantNarrowed = "grant-narrowed",
    /// A client counts live messages that a hub skipped, because nobody on its socket listened.
    Skipped = "skipped",
    /// A client hears of messages that were skipped for others, and does not count them.
    SkippedElsewhere = "skipped-elsewhere",
    /// A live message passed with a veil over it.
    Veiled = "veiled",
}

/// Says that a path was taken.
#[cfg(not(feature = "sim"))]
#[inline(always)]
pub const fn mark(_mark: Mark) {}

#[cfg(feature = "sim")]
pub use counting::{Counts, mark, take};

#[cfg(feature = "sim")]
mod counting {
    use std::cell::RefCell;

    use super::Mark;

    /// How often each path was taken, in the order of `Mark::ALL`.
    pub type Counts = [u64; Mark::ALL.len()];

    const NONE: Counts = [0; Mark::ALL.len()];

    std::thread_local! {
        static COUNTS: RefCell<Counts> = const { RefCell::new(NONE) };
    }

    /// Says that a path was taken.
    pub fn mark(mark: Mark) {
        COUNTS.with_borrow_mut(|counts| counts[mark as usize] += 1);
    }

    /// What this thread took since the last time.
    #[must_use]
    pub fn take() -> Counts {
        COUNTS.replace(NONE)
    }
}
