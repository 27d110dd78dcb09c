// What happens when, from a seed alone: the same seed and count give the same events.

export const SLOTS = 8;

/** Where a page asks for the node to run. */
export const MODES = ["auto", "tab", "worker", "shared-worker"];

/** How often each kind of event comes, in parts of the sum. */
export const WEIGHTS = {
  kill: 20,
  close: 14,
  stop: 14,
  trip: 10,
  reload: 6,
  steal: 10,
  "kill-node": 6,
  rejoin: 10,
  "storage-throws": 4,
  "storage-aborts": 4,
  "storage-full": 4,
  "storage-mute": 1,
};

const STORAGE_MS = { "storage-mute": [500, 1_500] };
const FAULT_MS = [200, 2_500];
const STOP_MS = [300, 8_000];
const PAUSE_MS = [0, 400];
/** Of a hundred events, so many wait for the one before to be over. */
const WAITING_PERCENT = 70;
/** Of a hundred events on a tab, so many look for the one whose process hosts. */
const AIMED_PERCENT = 50;

/** A generator of whole numbers (mulberry32). */
export class Dice {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** From 0 up to below `bound`. */
  below(bound) {
    return this.next() % bound;
  }

  between([least, most]) {
    return least + this.below(most - least + 1);
  }

  percent(share) {
    return this.below(100) < share;
  }

  pick(list) {
    return list[this.below(list.length)];
  }
}

function pickKind(dice) {
  let left = dice.below(Object.values(WEIGHTS).reduce((sum, weight) => sum + weight));
  for (const [kind, weight] of Object.entries(WEIGHTS)) {
    if (left < weight) return kind;
    left -= weight;
  }
  throw new Error("the weights have another sum");
}

/** Every event takes as many numbers from the generator, whatever its kind. */
function event(dice, number, modes) {
  const kind = pickKind(dice);
  return {
    number,
    kind,
    slot: dice.below(SLOTS),
    aimed: dice.percent(AIMED_PERCENT),
    mode: dice.pick(modes),
    stopped_ms: dice.between(STOP_MS),
    fault_ms: dice.between(STORAGE_MS[kind] ?? FAULT_MS),
    everywhere: dice.percent(30),
    waits: dice.percent(WAITING_PERCENT),
    pause_ms: dice.between(PAUSE_MS),
  };
}

/** `{ first_modes, events }`: what each slot asks for at first, and what happens then. */
export function makePlan({ seed, events, modes = MODES }) {
  const dice = new Dice(seed);
  const first_modes = Array.from({ length: SLOTS }, (_, slot) => modes[slot % modes.length]);
  const list = Array.from({ length: events }, (_, number) => event(dice, number + 1, modes));
  return { first_modes, events: list };
}
