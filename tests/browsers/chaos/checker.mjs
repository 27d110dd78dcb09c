// Judges a run from what was recorded and what is stored. It knows what was promised and nothing of
// how the product keeps it: it shares no code with it, and reads no clock.
//
// Records may be missing: those a killed process had not sent. Every judgement is drawn from those
// that are there, so a missing one hides a fault at most and never makes one up.

/** Two clocks of one machine agree within this. */
const CLOCKS_MS = 1_000;
/** Errors that nobody but the product can be to blame for. */
const DEFECTS = new Set(["INTERNAL", "PROTOCOL", "CONTRACT_MISMATCH", "UPGRADE_REQUIRED"]);

/** Each returns what is broken, in words. */
const JUDGES = {
  lost: findLost,
  double_effects: findDoubleEffects,
  order_breaks: findOrderBreaks,
  epoch_breaks: findEpochBreaks,
  claim_breaks: findClaimBreaks,
  number_breaks: findNumberBreaks,
  stale_confirms: findStaleConfirms,
  live_breaks: findLiveBreaks,
  wrong_answers: findWrongAnswers,
  defects: findDefects,
  left_over: findLeftOver,
};

/** The names of all that is judged. */
export const JUDGED = Object.keys(JUDGES);

/**
 * `records`: `{ realm, number, at_ms, kind, values }`; the number is the place among those of its
 * realm. `effects`: the stored rows, `[number, id]`, in the order in which they were written.
 * `left`: `{ waiting, dead }`, what the queues have left at the end. Returns for each name of
 * `JUDGED` what is broken; all of them are empty if all holds.
 */
export function judge({ records, effects, left }) {
  // By realm and number, because batches may overtake each other.
  const ordered = records.toSorted(
    (a, b) => a.realm.localeCompare(b.realm) || a.number - b.number,
  );
  const kinds = new Map();
  for (const record of ordered) {
    if (!kinds.has(record.kind)) kinds.set(record.kind, []);
    kinds.get(record.kind).push(record);
  }
  const of = (kind) => kinds.get(kind) ?? [];
  const facts = { of, effects, left };
  return Object.fromEntries(Object.entries(JUDGES).map(([name, find]) => [name, find(facts)]));
}

/** A message that was confirmed to its sender, or whose effect was, has a stored effect. */
function findLost({ of, effects }) {
  const stored = new Set(effects.map(([, id]) => id));
  const missing = (kind) =>
    of(kind)
      .filter(({ values: [id] }) => !stored.has(id))
      .map(({ realm, values: [id] }) => `${id}: ${kind} in ${realm} and not stored`);
  return [...missing("confirmed"), ...missing("effect")];
}

/** No message has two rows, and no two handlers were told that theirs was the effect. */
function findDoubleEffects({ of, effects }) {
  const broken = [];
  const rows = new Map();
  for (const [number, id] of effects) {
    if (rows.has(id)) broken.push(`${id}: rows ${rows.get(id)} and ${number}`);
    rows.set(id, number);
  }
  const told = new Map();
  for (const { realm, values } of of("effect")) {
    const [id] = values;
    if (told.has(id)) broken.push(`${id}: effects in ${told.get(id)} and ${realm}`);
    told.set(id, realm);
  }
  return broken;
}

/** What one realm sent to `orders` with one key took effect in the order of its numbers. */
function findOrderBreaks({ effects }) {
  const broken = [];
  const newest = new Map();
  for (const [row, id] of effects) {
    const [queue, realm, key, text] = id.split("/");
    if (queue !== "orders") continue;
    const line = `${realm}/${key}`;
    const number = Number(text);
    if (number < newest.get(line)) broken.push(`${id}: row ${row}, behind ${newest.get(line)}`);
    newest.set(line, Math.max(number, newest.get(line) ?? number));
  }
  return broken;
}

/** In no realm an epoch goes back; all that see one agree on where it is and what it stores. */
function findEpochBreaks({ of }) {
  const broken = [];
  const seen = new Map();
  const agreed = new Map();
  const hosting = new Map();
  for (const { realm, values } of of("host")) {
    const [epoch, kind, here, ...storage] = values;
    if (epoch < seen.get(realm)) broken.push(`${realm}: ${epoch} after ${seen.get(realm)}`);
    seen.set(realm, epoch);
    const node = JSON.stringify([kind, ...storage]);
    const other = agreed.get(epoch) ?? node;
    if (other !== node) broken.push(`epoch ${epoch}: ${other} and ${node}`);
    agreed.set(epoch, node);
    if (!here) continue;
    const host = hosting.get(epoch) ?? realm;
    if (host !== realm) broken.push(`epoch ${epoch} is here in ${host} and in ${realm}`);
    hosting.set(epoch, host);
  }
  return broken;
}

/** No two nodes wrote one epoch into the log as the current one. */
function findClaimBreaks({ of }) {
  const broken = [];
  const claimed = new Map();
  for (const { realm, values } of of("claim")) {
    const [epoch, bytes] = values;
    const claim = `${realm} (${bytes})`;
    const other = claimed.get(epoch) ?? claim;
    if (other !== claim) broken.push(`epoch ${epoch}: ${other} and ${claim}`);
    claimed.set(epoch, claim);
  }
  return broken;
}

/** One place in the log of a queue has one message: two nodes that both accept would share them. */
function findNumberBreaks({ of }) {
  const broken = [];
  const taken = new Map();
  for (const { values } of of("delivered")) {
    const [id, queue, number] = values;
    const place = `${queue} ${number}`;
    const other = taken.get(place) ?? id;
    if (other !== id) broken.push(`${place}: ${other} and ${id}`);
    taken.set(place, other);
  }
  return broken;
}

/** Nothing is confirmed in an epoch that was sent after a later epoch had confirmed something. */
function findStaleConfirms({ of }) {
  const by_time = of("confirmed").toSorted((a, b) => a.at_ms - b.at_ms);
  /** When each epoch that was higher than all before it confirmed for the first time. */
  const first = [];
  for (const { at_ms, values } of by_time) {
    const [, , epoch] = values;
    if (epoch > (first.at(-1)?.epoch ?? 0)) first.push({ epoch, at_ms });
  }
  const broken = [];
  for (const { realm, values } of by_time) {
    const [id, begun_ms, epoch] = values;
    const later = first.find((other) => other.epoch > epoch);
    if (later !== undefined && begun_ms > later.at_ms + CLOCKS_MS) {
      broken.push(`${id}: confirmed to ${realm} in epoch ${epoch}, after ${later.epoch} had begun`);
    }
  }
  return broken;
}

/** Live messages of one realm come to a subscription in their order, none twice. */
function findLiveBreaks({ of }) {
  const broken = [];
  const newest = new Map();
  for (const { realm, values } of of("beat")) {
    const [publisher, number, subscription] = values;
    const line = `${publisher} to ${realm}, subscription ${subscription}`;
    if (number <= newest.get(line)) broken.push(`${line}: ${number} after ${newest.get(line)}`);
    newest.set(line, number);
  }
  return broken;
}

function findWrongAnswers({ of }) {
  const wrong = of("call").filter(({ values: [outcome] }) => outcome === "wrong");
  return wrong.map(({ realm, number }) => `${realm}: record ${number}`);
}

function findDefects({ of }) {
  const codes = [...of("refused").map(codeOfRefusal), ...of("error"), ...of("call")];
  return codes
    .filter(({ values: [code] }) => DEFECTS.has(code))
    .map(({ realm, values }) => `${realm}: ${values.join(" ")}`);
}

function codeOfRefusal({ realm, values: [id, code] }) {
  return { realm, values: [code, id] };
}

function findLeftOver({ left }) {
  const broken = [];
  if (left.waiting > 0) broken.push(`${left.waiting} messages wait in the queues`);
  if (left.dead > 0) broken.push(`${left.dead} messages are dead letters`);
  return broken;
}
