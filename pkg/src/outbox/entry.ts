import { decode } from "../codec/decode.js";
import { encodeNow } from "../codec/encode.js";
import { codeOf } from "../errors.js";
import type { OutboxEntry, OutboxState } from "../types.js";

/** What became of a send that nobody waits for. */
export type Failure = readonly [code: number, reason: string, inDoubt: boolean];

/** A send as it lies in a database. */
export interface Kept {
  /** An encoded `KeptSend`: see src/client/keeping.rs. */
  readonly send: Uint8Array;
  readonly at: number;
  readonly failure?: Failure;
}

type KeptSend = [
  sequence: number | null,
  lane: number,
  log: Uint8Array | null,
  durability: number | null,
  what: readonly [kind: number, queue: string, ...parts: unknown[]],
];

const TRANSACTION = 2;

/** As src/web/names.rs makes it. */
export function scopeOf(bus: string, user: string | undefined, at_hub = false): string {
  const escape = (name: string) => name.replaceAll("%", "%25").replaceAll(":", "%3A");
  const whose = user === undefined ? "" : `:${escape(user)}`;
  return `tabmq${at_hub ? "-hub" : ""}:${escape(bus)}${whose}`;
}

/** Where the sends of a user stand that a hub told, among those of a bus. */
export function scopeOfUser(scope: string, user: string | undefined): string {
  return user === undefined ? scope : JSON.stringify([scope, user]);
}

export function entryOf(id: string, kept: Kept, own: boolean): OutboxEntry {
  const { send, at, failure } = kept;
  const [code, reason] = failure ?? [];
  const [, , , , [kind, queue]] = decode(send) as KeptSend;
  return {
    id,
    queue: kind === TRANSACTION ? undefined : queue,
    state: stateOf(kept),
    at: new Date(at),
    bytes: send.length,
    own,
    code: code === undefined ? undefined : codeOf(code),
    reason,
  };
}

export function stateOf({ send, failure }: Kept): OutboxState {
  if (failure) return failure[2] ? "in-doubt" : "refused";
  const [sequence] = decode(send) as KeptSend;
  return sequence === null ? "accepted" : "sent";
}

/** The same send without its number. */
export function unnumbered(send: Uint8Array): Uint8Array {
  const [, , , durability, what] = decode(send) as KeptSend;
  return encodeNow([null, 0, null, durability, what]);
}
