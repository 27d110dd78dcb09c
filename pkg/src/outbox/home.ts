import type { Engine } from "../engine.js";
import { TabmqError } from "../errors.js";
import { hex } from "../message.js";
import { ignoreFailure } from "../pending.js";
import type { RawBus, RawEventOf } from "../raw.js";

/** Where sends of a device belong: a log at a hub, and a user that the hub knows it by. */
export interface Belonging {
  readonly log?: Uint8Array | undefined;
  readonly user?: string | undefined;
}

/** Where that is written down. */
export interface HomeShelf {
  /** How many sends wait here. */
  waiting(): Promise<number>;
  read(): Promise<Belonging | undefined>;
  write(belonging: Belonging): Promise<void>;
  /** What waits belongs to this user from now on, until `user` of the home is another. */
  claim(): Promise<void>;
}

/**
 * The log at a hub that the sends of this device belong to, and their user. All tabs share it: a
 * hub with another log gets nothing while something waits for this one, and another user nothing
 * at all.
 */
export class Home {
  readonly #engine: Engine;
  readonly #shelf: HomeShelf;
  #belonging: Belonging = {};
  #loaded: Promise<void> | undefined;
  /** The log that the hub at the door has instead. */
  #foreign: Uint8Array | undefined;

  constructor(engine: Engine, shelf: HomeShelf) {
    this.#engine = engine;
    this.#shelf = shelf;
  }

  /** As the hub knows it. Undefined until it is told, or if the hub has no users. */
  get user(): string | undefined {
    return this.#belonging.user;
  }

  /** What is written down of it is known before anything is dialed. */
  load(): Promise<void> {
    return (this.#loaded ??= this.#read());
  }

  async #read(): Promise<void> {
    this.#belonging = (await this.#shelf.read()) ?? {};
  }

  bind(raw: RawBus): void {
    const { log, user } = this.#belonging;
    if (this.#engine.options.hub) raw.bind(log, user);
  }

  /** Its hub has answered. */
  ready(): void {
    this.#foreign = undefined;
  }

  /** Whose turn it is the hub will tell. */
  leaveUser(): void {
    this.#belonging = { log: this.#belonging.log };
    ignoreFailure(this.#shelf.write(this.#belonging));
  }

  async boundTo([, log, user]: RawEventOf<"bound">): Promise<void> {
    const before = this.#belonging;
    this.#belonging = { log: log ?? undefined, user: user ?? undefined };
    await this.#shelf.write(this.#belonging);
    if (this.#belonging.user !== before.user) await this.#shelf.claim();
  }

  /** A device on which nothing waits goes along; else its user is told, and decides. */
  async foreign([, bound, found]: RawEventOf<"foreignLog">): Promise<void> {
    const { raw, events, name } = this.#engine;
    const waiting = await this.#shelf.waiting();
    const decided = (await this.#shelf.read())?.log;
    if (!raw || raw !== this.#engine.raw) return;
    if (!waiting || (decided && hex(decided) === hex(found))) return this.#take(raw, found);
    const told = this.#foreign && hex(this.#foreign) === hex(found);
    this.#foreign = found;
    const text = `the hub has another log than the one that ${waiting} sends wait for`;
    events.trouble = text;
    if (told) return;
    const data = { reason: "log", log: hex(bound), found: hex(found) };
    events.emit("error", new TabmqError("CONTRACT_MISMATCH", `bus "${name}": ${text}`, { data }));
  }

  /** What waits is sent to the log that the hub has; resolves with how many entries there are. */
  async redirect(): Promise<number> {
    const [raw, found] = [this.#engine.raw, this.#foreign];
    if (!raw || !found)
      throw new TabmqError("NOT_FOUND", "outbox.redirect: no hub with another log has answered");
    const waiting = await this.#shelf.waiting();
    await this.#take(raw, found);
    return waiting;
  }

  async #take(raw: RawBus, log: Uint8Array): Promise<void> {
    this.#belonging = { ...this.#belonging, log };
    await this.#shelf.write(this.#belonging);
    if (raw === this.#engine.raw) this.bind(raw);
  }
}
