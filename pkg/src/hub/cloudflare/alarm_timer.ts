import type { RawTimer } from "../../raw.js";
import type { ObjectStorage } from "./platform.js";

/** A shorter wait is a timer of the runtime, which keeps the object from sleeping meanwhile. */
const SHORT_MS = 3000;
/** So much later the alarm of a short wait rings, in case the object does not live to its end. */
const SPARE_MS = 20_000;
/** An alarm that rings too early by less is left as it is: each change is a write. */
const EARLY_MS = 5000;
/** Nobody waits for longer. */
const WAIT_MS_MAX = 100 * 366 * 86_400_000;

/** The one timer of a hub in a Durable Object, over the one alarm that each object has. */
export class AlarmTimer implements RawTimer {
  readonly #storage: ObjectStorage;
  readonly #report: (error: unknown) => void;
  #run: (() => void) | undefined;
  /** When it is to run. */
  #due_at: number | undefined;
  #timeout: ReturnType<typeof setTimeout> | undefined;
  /** When the alarm rings, as far as storage was told. */
  #alarm_at: number | undefined;
  #planned = false;

  /** `alarm_at` is that of an earlier instance. */
  constructor(
    storage: ObjectStorage,
    alarm_at: number | undefined,
    report: (error: unknown) => void,
  ) {
    this.#storage = storage;
    this.#alarm_at = alarm_at;
    this.#report = report;
  }

  set(run: () => void, wait_ms: number): void {
    this.#run = run;
    this.#due_at = wait_ms <= WAIT_MS_MAX ? Date.now() + wait_ms : undefined;
    this.#plan();
  }

  clear(): void {
    this.#due_at = undefined;
    this.#plan();
  }

  /** The alarm rings: it comes at least once. Resolves when what it led to is done. */
  async ring(): Promise<void> {
    this.#alarm_at = undefined;
    this.#run?.();
    await new Promise((resolve) => setTimeout(resolve));
    this.#plan();
  }

  /** Once for all changes of a turn. */
  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => {
      this.#planned = false;
      this.#arm();
    });
  }

  #arm(): void {
    clearTimeout(this.#timeout);
    this.#timeout = undefined;
    if (this.#due_at === undefined) return this.#setAlarm(undefined);
    const wait_ms = this.#due_at - Date.now();
    if (wait_ms >= SHORT_MS) return this.#setAlarm(this.#due_at);
    this.#timeout = setTimeout(() => this.#run?.(), Math.max(0, wait_ms));
    this.#setAlarm(this.#due_at + SPARE_MS);
  }

  #setAlarm(at: number | undefined): void {
    const has = this.#alarm_at;
    if (at === has) return;
    if (at !== undefined && has !== undefined && has <= at && at - has < EARLY_MS) return;
    this.#alarm_at = at;
    const storage = this.#storage;
    const told = at === undefined ? storage.deleteAlarm() : storage.setAlarm(at);
    told.catch(this.#report);
  }
}
