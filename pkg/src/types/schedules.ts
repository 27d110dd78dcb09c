import type { Duration } from "../duration.js";
import type { Durability, Wait } from "./common.js";
import type { MessageOptions } from "./messages.js";

/**
 * When a schedule is due.
 *
 * - `cron`: minute, hour, day of the month, month and day of the week, perhaps with the second
 *   before them, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. In UTC, or by the clocks
 *   of `timeZone`: a time that a change of the clocks leaves out is at that change, one that comes
 *   twice is at its first coming.
 * - `every`: at least the limit `schedule_every_ms_min` (1 s); the first time after so long.
 * - `at`: once. A time that is over is now.
 */
export type ScheduleTime = { cron: string; timeZone?: string } | { every: Duration } | { at: Date };

/**
 * When a schedule sends the latest value of a topic: what was published live to `latest` since it
 * was due before, with its headers and key, and of several values the newest. If there is none,
 * nothing is sent. `latest` is one topic, without wildcards, and not one of the system.
 */
export type SamplingTime = ({ cron: string; timeZone?: string } | { every: Duration }) & {
  latest: string;
};

export interface ScheduleOptions extends Omit<MessageOptions, "id">, Wait {
  /** How long each message may wait for a consumer; see `send`. */
  ttl?: Duration;
  /** Of each message; see `send`. */
  priority?: number;
  /** Of the schedule. Its messages are stored as the queue is declared. */
  durability?: Durability;
}

export type SamplingOptions = Pick<ScheduleOptions, "ttl" | "priority" | "durability" | keyof Wait>;

export interface Schedule {
  readonly key: string;
  readonly when: ScheduleTime | SamplingTime;
  /** Absent if the host does not know the zone, or it was due once and is gone. */
  readonly dueAt: Date | undefined;
  readonly last:
    | {
        readonly dueAt: Date;
        readonly firedAt: Date;
        /** How long after `dueAt` that was, in milliseconds. */
        readonly late: number;
        /** How often it was fired; also if it samples a topic and had nothing to send. */
        readonly count: number;
      }
    | undefined;
}
