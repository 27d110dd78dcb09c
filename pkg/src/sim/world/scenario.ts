import type { WasmSource } from "../../types.js";

/** Faults of a world of pages. Those of pages come at moments, the others to operations. */
export const SCENARIO_FAULTS = {
  /** A message between two pages is lost. */
  "message-dropped": "operation",
  /** A message is late by up to 1.5 s, and what follows on its way with it. */
  "link-delayed": "operation",
  /** An operation of the storage takes up to 2 s. */
  "write-slow": "operation",
  /** A page is gone without a word; a second later its user opens it anew. */
  "client-died": "moment",
  /** A page is loaded anew and keeps its session storage. */
  "client-reloaded": "moment",
  /** A page stands still for up to 6 s and goes on. */
  "client-frozen": "moment",
  /** The page of the host is gone; a second later its user opens it anew. */
  "node-died": "moment",
  /** The wall clock jumps ahead by up to 30 s. */
  "wall-jumped-ahead": "moment",
  /** The wall clock jumps back by up to 30 s. */
  "wall-jumped-back": "moment",
} as const;

export type ScenarioFault = keyof typeof SCENARIO_FAULTS;

/** In whole thousandths, as `Faults`; what is not named does not occur. */
export type ScenarioFaults = { readonly [fault in ScenarioFault]?: number };

/** What a page is given in place of its imports and globals. */
export interface Page {
  /** The package, in a copy of its own as in every page: `createBus`, `connect`, `Retry`. */
  readonly tabmq: typeof import("../../index.js");
  /** `tabmq/idb`. */
  readonly idb: typeof import("../../idb.js");
  /** The databases of the device, which all pages share. */
  readonly indexedDB: IDBFactory;
  /** Virtual milliseconds since the run began. */
  now(): number;
  /** Resolves after so many virtual milliseconds, unless the page is gone by then. */
  sleep(ms: number): Promise<void>;
}

/** What a page does once it is loaded, and again each time it is loaded anew. */
export type PageScript = (page: Page) => unknown;

/** A place for one page at a time. */
export interface Tab {
  readonly index: number;
  readonly alive: boolean;
  /** Loads a page in place of the one that is there, with an empty session storage. */
  load(script: PageScript): void;
  /** Loads its page anew, with what it keeps in its session storage. */
  reload(): void;
  /** The page is gone without a word. */
  kill(): void;
  /** The page stands still, with all that comes to it. */
  freeze(): void;
  thaw(): void;
}

export interface SimulatedWorld {
  readonly tabs: readonly Tab[];
  /** Virtual milliseconds since the run began. */
  now(): number;
  sleep(ms: number): Promise<void>;
  /** Resolves as soon as it is true; it is looked at after everything that happens. */
  until(condition: () => boolean): Promise<void>;
  /** No fault occurs from here on. Pages that stand still go on. */
  heal(): void;
}

export type Scenario<T = unknown> = (world: SimulatedWorld) => T | Promise<T>;

export interface ScenarioOptions {
  /** A whole number from 0 to 2^53 - 1. The same seed and scenario give the same history. */
  readonly seed: number;
  /** 2 unless given, 16 at most. */
  readonly tabs?: number;
  readonly faults?: ScenarioFaults;
  /**
   * The first page of a tab, by its index, is gone just before the thing of that number happens in
   * the world, counted from 1 since the page was loaded. Its user opens it anew a second later.
   */
  readonly killAt?: { readonly tab: number; readonly step: number };
  /** The run is given up after so much virtual time; 600,000 ms unless given. */
  readonly virtualMsMax?: number;
  /** Where the modules come from, if not from beside the package. */
  readonly wasm?: { readonly simulator?: WasmSource; readonly tabmq?: WasmSource };
}

export interface ScenarioFinding {
  /** `scenario`: it threw. `page`: a page threw. `stuck`: it did not end. */
  readonly checker: "scenario" | "page" | "stuck";
  readonly what: string;
  readonly error?: unknown;
}

export interface ScenarioReport<T = unknown> {
  readonly seed: number;
  /** Of everything that happened, as 16 hexadecimal digits. */
  readonly hash: string;
  readonly virtualMs: number;
  /** Things that happened while the first page of each tab was there, which `killAt` counts. */
  readonly steps: readonly number[];
  readonly faults: Readonly<Record<ScenarioFault, number>>;
  readonly findings: readonly ScenarioFinding[];
  /** What the scenario returned. */
  readonly value?: T;
}

export interface CrashOptions extends Omit<ScenarioOptions, "killAt"> {
  /** The index of the tab whose page is gone. */
  readonly tab: number;
}

export interface CrashReport<T = unknown> {
  /** As many as there are steps. */
  readonly runs: number;
  /** In the order of the steps. */
  readonly reports: readonly ScenarioReport<T>[];
  /** The first step with a finding, as `killAt` counts; absent if there is none. */
  readonly firstFailing?: number;
}
