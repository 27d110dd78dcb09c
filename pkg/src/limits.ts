/** Bounds of one bus and their defaults, as in src/limits.rs. Each is an option of `connect`. */
export const LIMITS = {
  body_bytes_max: 1_048_576,
  headers_bytes_max: 16_384,
  name_bytes_max: 255,
  topic_words_max: 32,
  batch_items_max: 1000,
  fragment_bytes_max: 65_536,
  link_bytes_max: 8_388_608,
  requests_max: 100_000,
  request_bytes_max: 67_108_864,
  sessions_max: 1000,
  handles_max: 10_000,
  queues_max: 10_000,
  queue_messages_max: 10_000_000,
  advisories_max: 1000,
  redrives_max: 16,
  policies_max: 100,
  backoff_waits_max: 100,
  deaths_max: 16,
  lanes_max: 10_000,
  lane_keep_ms: 86_400_000,
  calls_max: 100_000,
  replies_max: 40_000,
  chunk_bytes_max: 262_144,
  resident_bytes_max: 67_108_864,
  checkpoint_bytes_min: 1_048_576,
  page_bytes_max: 262_144,
  log_reserve_bytes: 1_048_576,
  repair_bytes_max: 4_194_304,
  gap_messages_max: 1000,
  publishers_max: 10_000,
  settle_ms: 2000,
  result_keep_ms: 600_000,
  results_max: 100_000,
  results_bytes_max: 16_777_216,
  trackers_max: 100_000,
  browses_max: 1000,
  node_silence_ms: 3000,
  hello_retry_ms: 250,
  pause_ms_max: 2000,
  hidden_host_ms: 60_000,
  verb_timeout_ms: 30_000,
  call_timeout_ms: 30_000,
  park_ms: 300_000,
  newest_repeat_ms: 500,
} as const;

/** Those that TypeScript works with itself. An application that uses no others ships no others. */
export const OWN_LIMITS = {
  requests_max: 100_000,
  verb_timeout_ms: 30_000,
  call_timeout_ms: 30_000,
} as const satisfies Partial<typeof LIMITS>;

export type OwnLimits = { readonly [name in keyof typeof OWN_LIMITS]: number };

export type Limits = { readonly [name in keyof typeof LIMITS]: number };
