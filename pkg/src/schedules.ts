import { encodeAll, part } from "./batch.js";
import { encodeNow } from "./codec/encode.js";
import type { Context } from "./context.js";
import type { Encoded } from "./engine.js";
import { invalid } from "./errors.js";
import type { checkSchedule, checkWhen } from "./options.js";
import type { RawSchedule, RawWhen } from "./raw.js";
import type { SamplingTime, Schedule, ScheduleTime } from "./types.js";

const NOTHING = new Uint8Array();

export function checkKey(verb: string, key: unknown): void {
  if (typeof key !== "string" || !key) throw invalid(`${verb}: the key must be a string`, "key");
}

/** A schedule as it crosses the border. */
export function encodeSchedule(
  context: Context,
  queue: string,
  key: string,
  [when, latest]: ReturnType<typeof checkWhen>,
  body: unknown,
  checked: ReturnType<typeof checkSchedule>,
): Encoded {
  checkKey("schedule", key);
  if (latest === undefined) {
    const { item } = part(context, queue, body, checked, "");
    return encodeAll([item], ([made]) => encodeNow([key, when, made]));
  }
  if (body !== undefined)
    throw invalid("schedule: what samples a topic has no body of its own", "body");
  const { ttl = null, priority = null } = checked;
  return encodeNow([key, when, [NOTHING, null, null, null, null, ttl, priority], latest]);
}

export function readSchedule([key, , when, dueAt, last, latest]: RawSchedule): Schedule {
  const time = readWhen(when);
  return {
    key,
    when: typeof latest === "string" ? ({ ...time, latest } as SamplingTime) : time,
    dueAt: typeof dueAt === "number" ? new Date(dueAt) : undefined,
    last: last ? readFiring(last) : undefined,
  };
}

function readFiring([dueAt, firedAt, count]: NonNullable<RawSchedule[4]>): Schedule["last"] {
  const late = firedAt - dueAt;
  return { dueAt: new Date(dueAt), firedAt: new Date(firedAt), late, count };
}

function readWhen(when: RawWhen): ScheduleTime {
  if (when[0] !== 1) return when[0] === 2 ? { every: when[1] } : { at: new Date(when[1]) };
  const [, cron, timeZone] = when;
  return timeZone ? { cron, timeZone } : { cron };
}
