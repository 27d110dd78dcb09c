// Made by `cargo xtask build` from src/sim/fault.rs and src/rules.rs. Edit those files.

/** Every kind of fault, and what the number counts that says how often it occurs. */
export const FAULTS = {
  /** A transport message on a channel is lost. */
  "message-dropped": "operation",
  /** A transport message on a channel comes twice. */
  "message-duplicated": "operation",
  /** One direction between two parties stalls; what follows on it waits, other ways do not. */
  "link-delayed": "operation",
  /** A message overtakes an earlier one of the same sender that took another way. */
  "links-reordered": "others",
  /** A socket breaks: what is under way is lost and both ends learn of it. */
  "link-cut": "moment",
  /** Nothing passes between one process and the rest for a while. */
  partitioned: "moment",
  /** One receiver misses a message to everyone. */
  "broadcast-lost": "operation",
  /** A transaction is rolled back and may be tried again. */
  "commit-aborted": "operation",
  /** Writes find no room for a while. */
  "disk-full": "moment",
  /** A node died while a commit was written: a part of it is there. */
  "commit-torn": "run",
  /** The newest commits that were not flushed are gone. */
  "tail-lost": "moment",
  /** The connection to the storage broke: whether the write happened is not known. */
  "storage-lost": "operation",
  /** A chunk that the log needs is gone. Recovery has to refuse. */
  "chunk-missing": "run",
  /** A bit of a chunk in the middle of the log is wrong. Recovery has to refuse. */
  "bit-flipped": "run",
  /** A write takes up to two seconds. */
  "write-slow": "operation",
  /** A tab is gone without a word. */
  "client-died": "moment",
  /** A tab is loaded again and keeps what a page may keep. */
  "client-reloaded": "moment",
  /** A tab stands still, and goes on later. */
  "client-frozen": "moment",
  /** A tab says goodbye, keeps its lane, and comes back. */
  "client-parked": "moment",
  /** The node is gone, between two inputs. */
  "node-died": "moment",
  /** The node is gone after some of the effects of one input. */
  "node-died-midway": "moment",
  /** The node is gone just before or after a checkpoint, a delete or a move is written. */
  "node-died-rewriting": "operation",
  /** The tab of the node stands still, and goes on later. */
  "node-frozen": "moment",
  /** A node goes on after another took over. */
  "node-fenced": "others",
  /** The lock is taken from a node that lives. */
  "lock-stolen": "moment",
  /** The wall clock jumps ahead. */
  "wall-jumped-ahead": "moment",
  /** The wall clock jumps back. */
  "wall-jumped-back": "moment",
  /** A page goes out of view: its timers come once a second at most, or once a minute. */
  "page-hidden": "moment",
  /** A page comes into view again, and its timers with it. */
  "page-shown": "others",
  /** A page that stood still goes on, with all that came meanwhile. */
  "page-thawed": "others",
  /** A page that stood still is thrown away, and loaded again when its user comes back. */
  "page-discarded": "moment",
  /** A page comes back out of the cache. */
  "page-restored": "others",
  /** A page is thrown out of the cache, and loaded again. */
  "page-evicted": "moment",
  /** A worker that hosts is gone with the page that started it; its other users live. */
  "worker-died": "others",
  /** A page died before all that it wrote down of its sends was written. */
  "outbox-cut": "others",
  /** What a page in the cache had written down was sent by another page. */
  "outbox-taken": "others",
} as const;

/** The safety rules that a run may go without. */
export const SAFETY_RULES = {
  store_epoch_check: "The store refuses a write whose epoch is not the stored one.",
  confirm_after_store: "Nothing that reveals a write leaves before the write is stored.",
  lane_dedupe: "A send at or below the lane's position is confirmed again, not stored again.",
  id_dedupe: "A message whose id its queue remembers is not stored again.",
  lease_number_check: "An acknowledgement counts only with the number of the live lease.",
  torn_tail_cut: "A chunk at the end of the log whose checksum fails is cut.",
  missing_chunk_detection:
    "A chunk that is listed or lies between others and is missing stops recovery.",
  delete_by_checkpoint:
    "A chunk is deleted by the checkpoint that knows where its messages went, and not before.",
  changes_written: "A checkpoint writes each part of the index in which something changed.",
  number_before_transmit: "What a page wrote down goes out once its number is written as well.",
  resend_after_resume: "A client sends what has no answer again after it resumed.",
  order_per_producer: "A send is accepted only right after the one before it in its lane.",
  writes_with_ack: "A transaction whose delivery is another's by now stores nothing.",
  key_lock:
    "Of a queue that orders by key, a message comes only when those before it with its key are "
    + "done.",
  higher_first:
    "Of a queue with priorities, a message comes only when none of a higher one is ready.",
  few_per_key:
    "What a queue keeps of each key is refused or let go where it is more than its bound.",
  rate_limit: "A queue with a rate is served no more often.",
  next_time_with_message:
    "When a schedule is due next is stored with the message of the last time.",
  sampled_once: "A schedule that samples a topic sends a value once.",
  due_is_fired: "What a schedule is due to send is sent.",
  slow_after_its_time:
    "A consumer is slow when it has held a delivery for as long as its queue says.",
  prepared_hidden: "A prepared message stands in no line before it is committed.",
} as const;
