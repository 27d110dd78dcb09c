import { forget, type Line, lineTo, type MakeWorker } from "./line.js";
import type { FromPage, FromWorker, Opening } from "./messages.js";

/** Whoever has not said by then that it is up counts as down, until it says so. */
const START_MS = 2000;
/** So soon a worker that runs answers. */
const ANSWER_MS = 1000;
/** A worker that died is started again this often, and then no more. */
const DEATHS_MAX = 5;
const DEATHS_PER_MS = 60_000;

export type WorkerKind = "shared-worker" | "worker";

/** How each runtime of the package starts its workers. */
export type DefaultWorkers = Readonly<Record<WorkerKind, MakeWorker>>;

let defaults: DefaultWorkers | undefined;

/** How the workers of one address are started: one way each, so that buses share them. */
const makers = new Map<string, MakeWorker>();

/** Each entry of the package whose runtime has workers puts them here. */
export function setDefaultWorkers(workers: DefaultWorkers): void {
  defaults = workers;
}

/** Whether this realm can have a worker of this kind. */
export function hasWorkers(kind: WorkerKind): boolean {
  const maker = kind === "worker" ? globalThis.Worker : globalThis.SharedWorker;
  return typeof document === "object" && typeof maker === "function";
}

/** How a worker is started: as `source` says, or as the package does. */
export function workerMaker(
  kind: WorkerKind,
  source: string | URL | MakeWorker | undefined,
): MakeWorker | undefined {
  if (typeof source === "function") return source;
  if (source === undefined) return defaults?.[kind];
  const key = `${kind} ${source}`;
  const options = { type: "module", name: "tabmq" } as const;
  const make = () =>
    kind === "worker" ? new Worker(source, options) : new SharedWorker(source, options);
  const known = makers.get(key) ?? make;
  makers.set(key, known);
  return known;
}

/** A compiled module stays among the pages and workers of one process. */
function openingFor(worker: SharedWorker | Worker, opening: Opening): Opening {
  const local = opening.wasm instanceof WebAssembly.Module && "port" in worker;
  return local ? { ...opening, wasm: undefined } : opening;
}

/** What a page does about its worker. */
export interface WorkerHooks {
  /** It waits for the lock (`true`), or does not host. */
  news(up: boolean): void;
  /** It can't be had, or no more if it `ran`; it is not tried again. */
  failed(why: string, ran: boolean): void;
  /** Its core began anew after a defect. */
  restarted(why: string): void;
  /** Events of the realm that hosts. */
  events(batch: Uint8Array): void;
}

/** The worker that hosts for this page, from start to end, and over its deaths. */
export class PageWorker {
  readonly #make: MakeWorker;
  readonly #opening: Opening;
  readonly #hooks: WorkerHooks;
  #line: Line | undefined;
  /** The wait for the worker's death, and for an error of its script. */
  #watch = new AbortController();
  #watches = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** There while it is asked whether it runs. */
  #asking: ReturnType<typeof setTimeout> | undefined;
  #deaths: number[] = [];
  #up: boolean | undefined;

  constructor(make: MakeWorker, opening: Opening, hooks: WorkerHooks) {
    this.#make = make;
    this.#opening = opening;
    this.#hooks = hooks;
    for (const type of ["pagehide", "pageshow"]) addEventListener(type, this.#page);
    for (const type of ["freeze", "resume"]) document.addEventListener(type, this.#page);
    this.#start();
  }

  /** What was last told of it. */
  get up(): boolean | undefined {
    return this.#up;
  }

  /** What it offers with its next socket to the hub. */
  offer(protocols: readonly string[]): void {
    this.#say({ say: "offer", protocols });
  }

  /** Has it take the lock by force, if it answers. Else it stands as still as the host. */
  steal(): void {
    clearTimeout(this.#asking);
    this.#asking = setTimeout(() => {
      this.#asking = undefined;
      this.#tell(false);
    }, ANSWER_MS);
    this.#say({ say: "ping" });
  }

  /** This page needs it no more. */
  stop(): void {
    for (const type of ["pagehide", "pageshow"]) removeEventListener(type, this.#page);
    for (const type of ["freeze", "resume"]) document.removeEventListener(type, this.#page);
    this.#leave();
  }

  #start(): void {
    try {
      const line = lineTo(this.#make);
      this.#line = line;
      this.#watch = new AbortController();
      const { signal } = this.#watch;
      const failed = (event: Event) => {
        // An error of the script once it runs is reported as well, and changes nothing.
        if (!this.#up) this.#fail((event as ErrorEvent).message ?? "the script can't be loaded");
      };
      line.worker.addEventListener("error", failed, { signal });
      line.port.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        if (this.#line === line) this.#take(data);
      };
      this.#timer = setTimeout(() => this.#tell(false), START_MS);
      this.#say({ say: "open", opening: openingFor(line.worker, this.#opening) });
    } catch (error) {
      this.#fail(String(error));
    }
  }

  #take(message: FromWorker): void {
    switch (message.say) {
      case "up":
        clearTimeout(this.#timer);
        if (!this.#watches) this.#awaitDeath(message.life);
        return this.#tell(true);
      case "pong":
        // Too late to take the lock, for which it waits since it came up: others have it by now.
        if (this.#asking === undefined) return this.#up ? undefined : this.#tell(true);
        this.#say({ say: "steal" });
        clearTimeout(this.#asking);
        this.#asking = undefined;
        return;
      case "down":
        return this.#fail(message.why, message.ran);
      case "restart":
        return this.#hooks.restarted(message.why);
      case "events":
        return this.#hooks.events(message.batch);
    }
  }

  #awaitDeath(life: string): void {
    const watch = this.#watch;
    this.#watches = true;
    const died = () => {
      if (watch.signal.aborted) return;
      this.#leave(true);
      this.#tell(false);
      const now = performance.now();
      this.#deaths = this.#deaths.filter((at) => now - at < DEATHS_PER_MS).concat(now);
      if (this.#deaths.length > DEATHS_MAX) this.#hooks.failed("it died too often", true);
      else this.#start();
    };
    navigator.locks
      .request(life, { mode: "shared", signal: watch.signal }, died)
      // It was given up.
      .catch(() => {});
  }

  #fail(why: string, ran = false): void {
    this.#leave(true);
    this.#tell(false);
    this.#hooks.failed(why, ran);
  }

  #tell(up: boolean): void {
    this.#up = up;
    this.#hooks.news(up);
  }

  #say(message: FromPage): void {
    this.#line?.port.postMessage(message);
  }

  /** A worker of this page alone must not hold the lock while the page can't let it run. */
  readonly #page = (event: Event): void => {
    const { type } = event;
    const frozen = type === "freeze" || type === "resume";
    if (frozen && this.#line && "port" in this.#line.worker) return;
    if (type === "pagehide" || type === "freeze") return this.#leave(true);
    if (!this.#line && (frozen || (event as PageTransitionEvent).persisted)) this.#start();
  };

  /** `over`: no bus of this page is to reach this worker any more. */
  #leave(over = false): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#asking);
    this.#asking = undefined;
    this.#watch.abort();
    this.#watches = false;
    this.#say({ say: "close" });
    this.#line?.close();
    if (over && this.#line) forget(this.#make, this.#line.worker);
    this.#line = undefined;
  }
}
