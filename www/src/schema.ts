import { type Bus, type Job, connect, createBus } from "tabmq";

/** What a tab tells about its part of the work. */
export interface Progress {
  /** Jobs whose effect this tab has recorded. */
  readonly done: number;
  /** Deliveries whose effect was recorded before. */
  readonly repeats: number;
  readonly busy: number;
  /** Jobs at a time; 0 if this tab takes none. */
  readonly slots: number;
  /** The epoch, if this tab hosts; else 0. */
  readonly hosts: number;
}

export interface Calc {
  add(a: number, b: number): { sum: number; by: string };
  slow(work_ms: number): Promise<{ slept_ms: number; by: string }>;
  throws(message: string): never;
}

export interface Playground {
  queues: {
    jobs: Job<unknown, void>;
    "jobs.dead": Job<unknown, void>;
    "jobs.aside": Job<unknown, void>;
  };
  services: { "calc@1": Calc };
}

export type PlaygroundBus = Bus<Playground>;

export const TOPIC_PROGRESS = "playground.progress";
export const TOPIC_CLEARED = "playground.cleared";

/** Where jobs may be put by hand. Nobody takes them from there. */
export const ASIDE = "jobs.aside";

/** Queues that hold jobs. */
export const JOB_QUEUES: ReadonlySet<string> = new Set(["jobs", "jobs.dead", ASIDE]);

/** Short, so that what a lost lease does can be watched. */
export const JOB_QUEUE = {
  lease: "10s",
  maxDeliver: 3,
  backoff: { first: "500ms", factor: 2, max: "5s" },
} as const;

/** Where the node may run, as the page offers it. */
export const HOSTS = ["auto", "shared-worker", "worker", "tab"] as const;

/** What `?host=` asks for. */
export function hostOf(address: URL): (typeof HOSTS)[number] {
  const asked = address.searchParams.get("host");
  return HOSTS.find((host) => host === asked) ?? "auto";
}

/** What `?hub=` asks for, if that is an address at all. */
export function hubOf(address: URL): string | undefined {
  const hub = address.searchParams.get("hub") ?? "";
  return /^wss?:\/\//.test(hub) && URL.canParse(hub) ? hub : undefined;
}

/** The filters of what lives at the hub. Without any everything does. */
export function shareOf(address: URL): string[] {
  const filters = address.searchParams.get("share") ?? "";
  return filters.split(/[\s,]+/).filter(Boolean);
}

/** A part of the names lives at a hub, and the rest on this device. */
export function hasTwoHomes(address: URL): boolean {
  return hubOf(address) !== undefined && shareOf(address).length > 0;
}

/** `?bus=NAME` keeps groups of tabs apart. */
export async function openBus(address: URL): Promise<PlaygroundBus> {
  const name = address.searchParams.get("bus") || "playground";
  const url = hubOf(address);
  const share = shareOf(address);
  // What is only for pages that are served over TLS would be refused to others.
  const page = Math.random().toString(36).slice(2);
  const options = { host: hostOf(address), peer: { tags: { page } } };
  if (!url) return createBus<Playground>(name, options);
  if (!share.length) return createBus<Playground>(name, { ...options, hub: url });
  return connect<Playground>(name, { ...options, hub: { url, share } });
}
