import { TabmqError } from "../errors.js";
import type { Limited } from "./log.js";
import type { HubLimits } from "./types.js";

/** A socket whose peer can be made to wait. What it sends meanwhile stays with it. */
export interface Pausable {
  pause(): void;
  resume(): void;
}

/** One socket among those of its user. */
export interface Presence {
  /** So much came on it. May pause all sockets of the user for a while. */
  took(bytes: number): void;
  leave(): void;
}

/** From so many users on those are looked for that have nothing to be remembered. */
const SWEEP_USERS_MIN = 1000;
/** A longer timer fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

type Rates = Pick<HubLimits, "user_bytes_per_s" | "user_messages_per_s">;

/**
 * Two token buckets, each full after a second. What came is always taken, if need be on credit;
 * nothing more is until that is paid back.
 */
class Bucket {
  readonly #rates: Rates;
  #bytes: number;
  #messages: number;
  #at_ms = performance.now();

  constructor(rates: Rates) {
    this.#rates = rates;
    this.#bytes = rates.user_bytes_per_s;
    this.#messages = rates.user_messages_per_s;
  }

  take(bytes: number, messages: number): void {
    this.#refill();
    this.#bytes -= bytes;
    this.#messages -= messages;
  }

  /** How long nothing more may be taken, and by which limit. 0: for no time. */
  get debt(): { readonly ms: number; readonly limit: keyof Rates } {
    this.#refill();
    const { user_bytes_per_s, user_messages_per_s } = this.#rates;
    const bytes_ms = (-this.#bytes / user_bytes_per_s) * 1000;
    const messages_ms = (-this.#messages / user_messages_per_s) * 1000;
    const limit = bytes_ms > messages_ms ? "user_bytes_per_s" : "user_messages_per_s";
    return { ms: Math.max(0, bytes_ms, messages_ms), limit };
  }

  get full(): boolean {
    this.#refill();
    const { user_bytes_per_s, user_messages_per_s } = this.#rates;
    return this.#bytes >= user_bytes_per_s && this.#messages >= user_messages_per_s;
  }

  #refill(): void {
    const now_ms = performance.now();
    const seconds = (now_ms - this.#at_ms) / 1000;
    this.#at_ms = now_ms;
    const { user_bytes_per_s, user_messages_per_s } = this.#rates;
    const more = (level: number, rate: number) => Math.min(rate, level + seconds * rate);
    this.#bytes = more(this.#bytes, user_bytes_per_s);
    this.#messages = more(this.#messages, user_messages_per_s);
  }
}

interface User {
  readonly bucket: Bucket;
  readonly sockets: Set<Pausable>;
  waiting: ReturnType<typeof setTimeout> | undefined;
}

/** What the users of a hub have open, and how much comes from each, over all buses. */
export class Users {
  readonly #limits: HubLimits;
  readonly #limited: Limited;
  readonly #users = new Map<string, User>();
  #sweep_at = SWEEP_USERS_MIN;

  constructor(limits: HubLimits, limited: Limited) {
    this.#limits = limits;
    this.#limited = limited;
  }

  /** Throws `FULL` if the user has too many sockets. */
  enter(name: string, socket: Pausable): Presence {
    const user = this.#user(name);
    const { user_sockets_max } = this.#limits;
    if (user.sockets.size >= user_sockets_max) {
      this.#limited("user_sockets_max", name);
      throw full("this user has too many sockets", "user_sockets_max");
    }
    user.sockets.add(socket);
    if (user.waiting !== undefined) socket.pause();
    return {
      took: (bytes) => {
        user.bucket.take(bytes, 1);
        this.#hold(name, user);
      },
      leave: () => {
        user.sockets.delete(socket);
        if (!user.sockets.size && user.bucket.full) this.#users.delete(name);
      },
    };
  }

  /**
   * A request, of whose body is told what comes. Throws `FULL` while there was too much before.
   */
  request(name: string): (bytes: number) => void {
    const { bucket } = this.#user(name);
    const { ms, limit } = bucket.debt;
    if (ms > 0) {
      this.#limited(limit, name);
      throw full("too much comes from this user", limit);
    }
    bucket.take(0, 1);
    return (bytes) => bucket.take(bytes, 0);
  }

  /** Lets nobody wait any more. */
  close(): void {
    for (const user of this.#users.values()) clearTimeout(user.waiting);
    this.#users.clear();
  }

  #user(name: string): User {
    const known = this.#users.get(name);
    if (known) return known;
    if (this.#users.size >= this.#sweep_at) this.#sweep();
    const made: User = { bucket: new Bucket(this.#limits), sockets: new Set(), waiting: undefined };
    this.#users.set(name, made);
    return made;
  }

  /** Who posts has no end that is told; after a second it is as if it had never been there. */
  #sweep(): void {
    for (const [name, { bucket, sockets }] of this.#users)
      if (!sockets.size && bucket.full) this.#users.delete(name);
    this.#sweep_at = Math.max(SWEEP_USERS_MIN, this.#users.size * 2);
  }

  #hold(name: string, user: User): void {
    const { ms, limit } = user.bucket.debt;
    if (ms <= 0 || user.waiting !== undefined) return;
    this.#limited(limit, name);
    for (const socket of user.sockets) socket.pause();
    user.waiting = setTimeout(() => {
      user.waiting = undefined;
      for (const socket of user.sockets) socket.resume();
      // What was read before the pause took hold came after it was measured.
      this.#hold(name, user);
    }, Math.min(Math.ceil(ms), TIMER_MS_MAX));
  }
}

function full(message: string, reason: string): TabmqError {
  return new TabmqError("FULL", message, { data: { reason } });
}
