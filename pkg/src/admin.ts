import type { Context } from "./context.js";
import { readCounts } from "./counts.js";
import { declaration, readOptions } from "./declaration.js";
import { NOTHING } from "./engine.js";
import { invalid } from "./errors.js";
import { homeOf } from "./keeping.js";
import { hex } from "./message.js";
import {
  checkImport,
  checkMove,
  checkPolicy,
  checkQueue,
  type CheckedWait,
  checkWait,
  patience,
} from "./options.js";
import { listed } from "./pages.js";
import { attempt } from "./pending.js";
import { QueueClient } from "./queue.js";
import type { RawBus, RawEventOf, RawPolicy, RawQueue, RawService } from "./raw.js";
import { encodePick, TASK } from "./redrive.js";
import { exportQueue, importQueue } from "./transfer.js";
import type {
  Admin,
  BrowseOptions,
  Home,
  ImportOptions,
  MoveOptions,
  Policy,
  PolicyOptions,
  QueueListing,
  QueueOptions,
  RedriveOptions,
  ServiceListing,
  Wait,
} from "./types.js";

type Begin = (raw: RawBus) => number;

const count = ([, , counted]: RawEventOf<"counted">) => counted;

export class AdminClient implements Admin {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  async *list(filter?: string, options?: Wait): AsyncGenerator<QueueListing> {
    const wait = checkWait("list", options);
    if (filter !== undefined && typeof filter !== "string")
      throw invalid("list: the filter must be a string", "filter");
    let after: string | undefined;
    for (let more = true; more; ) {
      const behind = after;
      const begin: Begin = (raw) => raw.listQueues(behind, filter);
      const [found, others] = await this.#ask("list", wait, begin, listed);
      for (const queue of found as readonly RawQueue[]) {
        [after] = queue;
        yield readQueue(queue, homeOf(this.#context.engine));
      }
      more = others;
    }
  }

  async *services(options?: Wait): AsyncGenerator<ServiceListing> {
    const wait = checkWait("services", options);
    let after: string | undefined;
    for (let more = true; more; ) {
      const behind = after;
      const begin: Begin = (raw) => raw.listServices(behind);
      const [found, others] = await this.#ask("services", wait, begin, listed);
      for (const service of found as readonly RawService[]) {
        [after] = service;
        yield readService(service, homeOf(this.#context.engine));
      }
      more = others;
    }
  }

  declare(queue: string, options?: QueueOptions, wait?: Wait) {
    return attempt(() => this.#queue(queue, options).ready(wait));
  }

  info(queue: string, options?: Wait) {
    return this.#queue(queue).info(options);
  }

  stats(queue: string) {
    return this.#queue(queue).stats;
  }

  peek(queue: string, options?: BrowseOptions) {
    return this.#queue(queue).browse(options) as AsyncGenerator<never>;
  }

  move(from: string, to: string, options?: MoveOptions): Promise<number> {
    return attempt(() => {
      const { signal, timeout, ...picked } = checkMove(options);
      this.#context.owns?.(to, "queue");
      const order = encodePick({ ...picked, task: TASK.move, queue: from, into: to });
      // One with a rate takes its time.
      const wait = { signal, timeout: timeout ?? (picked.rate ? Infinity : undefined) };
      return this.#ask("move", wait as CheckedWait, (raw) => raw.redrive(order), count);
    });
  }

  deleteMessage(queue: string, message: string | number, options?: Wait): Promise<boolean> {
    return attempt(async () => {
      const wait = checkWait("deleteMessage", options);
      const byNumber = Number.isSafeInteger(message) && (message as number) > 0;
      if (!byNumber && (typeof message !== "string" || !message))
        throw invalid("deleteMessage: the message must be an id or a number", "message");
      const where = byNumber ? { numbers: [message as number] } : { ids: [message as string] };
      const order = encodePick({ where, max: 1, task: TASK.discard, queue });
      const begin: Begin = (raw) => raw.redrive(order);
      return (await this.#ask("deleteMessage", wait, begin, count)) > 0;
    });
  }

  purge(queue: string, options?: Wait) {
    return this.#queue(queue).purge(options);
  }

  redrive(queue: string, options?: RedriveOptions) {
    return this.#queue(queue).redrive(options);
  }

  pause(queue: string, options?: Parameters<QueueClient["pause"]>[0]) {
    return this.#queue(queue).pause(options);
  }

  resume(queue: string, options?: Wait) {
    return this.#queue(queue).resume(options);
  }

  delete(queue: string, options?: Parameters<QueueClient["delete"]>[0]) {
    return this.#queue(queue).delete(options);
  }

  policy(
    name: string,
    pattern: string,
    options: PolicyOptions,
    more?: Wait & { priority?: number },
  ): Promise<number> {
    return attempt(() => {
      const { priority = 0, ...wait } = checkPolicy(more);
      if (typeof pattern !== "string")
        throw invalid("policy: the pattern must be a string", "pattern");
      const checked = checkQueue(options);
      if (checked.expired !== undefined) this.#context.owns?.(checked.expired, "queue");
      const given = declaration(checked);
      const begin: Begin = (raw) => raw.setPolicy(name, pattern, priority, given);
      return this.#ask("policy", wait, begin, count);
    });
  }

  removePolicy(name: string, options?: Wait): Promise<void> {
    return attempt(() => {
      const wait = checkWait("removePolicy", options);
      const begin: Begin = (raw) => raw.setPolicy(name, undefined, 0, {});
      return this.#ask("removePolicy", wait, begin, () => undefined);
    });
  }

  policies(options?: Wait): Promise<readonly Policy[]> {
    return attempt(() => {
      const wait = checkWait("policies", options);
      const read = ([, , found]: RawEventOf<"listed">) =>
        (found as readonly RawPolicy[]).map(readPolicy);
      return this.#ask("policies", wait, (raw) => raw.listPolicies(), read);
    });
  }

  trace(queue: string, on: boolean, options?: Wait): Promise<void> {
    return attempt(() => {
      const wait = checkWait("trace", options);
      if (typeof on !== "boolean") throw invalid("trace: on must be true or false", "on");
      return this.#ask("trace", wait, (raw) => raw.trace(queue, on), () => undefined);
    });
  }

  export(queue: string, options?: Wait): Promise<Blob> {
    return attempt(() => exportQueue(this.#context, this, queue, checkWait("export", options)));
  }

  import(file: Blob, options?: ImportOptions): Promise<number> {
    return attempt(() => importQueue(this.#context, file, checkImport(options)));
  }

  kill(): void {
    this.#context.engine.kill();
  }

  killHost(): void {
    const { engine } = this.#context;
    engine.run(
      (raw) => raw.killHost(),
      (error) => this.#context.report(error),
    );
  }

  frames(): readonly string[] {
    return this.#context.engine.raw?.frames() ?? [];
  }

  #queue(name: string, options?: QueueOptions): QueueClient {
    return new QueueClient(this.#context, name, options);
  }

  #ask<T>(verb: string, wait: CheckedWait, begin: Begin, read: (event: never) => T): Promise<T> {
    const { verb_timeout_ms } = this.#context.engine.limits;
    const patient = patience(`admin: ${verb}`, wait, verb_timeout_ms);
    return this.#context.ask(patient, "request", NOTHING, begin, read).promise;
  }
}

function readQueue(queue: RawQueue, home: Home): QueueListing {
  const [name, counts, bytes, options, owner, pausedUntil, policy, traced] = queue;
  return {
    ...readCounts(counts),
    name,
    bytes,
    options: readOptions(options),
    owner: owner ? hex(owner) : undefined,
    pausedUntil: pausedUntil ? new Date(pausedUntil) : undefined,
    policy: policy ?? undefined,
    traced: traced ?? false,
    home,
  };
}

function readService([name, servers, waiting]: RawService, home: Home): ServiceListing {
  const read = ([client, concurrency, running]: RawService[1][number]) => {
    return { peer: hex(client), concurrency, running };
  };
  return { name, servers: servers.map(read), waiting, home };
}

function readPolicy([name, pattern, priority, options]: RawPolicy): Policy {
  return { name, pattern, priority, options: readOptions(options) };
}

