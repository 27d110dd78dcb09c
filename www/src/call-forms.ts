import type { Call, Service } from "tabmq";
import { byId, control, make, makeButton, onSubmit, setText, textOf } from "./dom";
import { readFields, readNumber } from "./fields";
import { errorText, millisecondsOf, plural } from "./format";
import { say } from "./live-forms";
import type { Log } from "./log";
import type { Roster } from "./roster";
import type { Calc, PlaygroundBus } from "./schema";
import { Work } from "./work";

const CALLS_SHOWN_MAX = 5;
const SERVICE = "calc@1";

type Result = { by: string; sum?: number; slept_ms?: number };

interface Asked {
  readonly text: string;
  readonly call: Call<Result>;
}

/** Calls the method that the form names, on whichever tab the host picks. */
export function mountCall(bus: PlaygroundBus, log: Log, roster: Roster): void {
  const form = byId("call", HTMLFormElement);
  const list = byId("calls", HTMLElement);
  const showFields = () => {
    const method = textOf(form, "method");
    for (const part of form.querySelectorAll<HTMLElement>("[data-for]")) {
      part.hidden = part.dataset["for"] !== method;
    }
  };
  form.addEventListener("change", showFields);
  showFields();
  const problem = make("p", "answer");
  problem.id = "call-answer";
  form.append(problem);
  onSubmit(form, () => {
    const asked = readFields(form, problem, () => ask(bus, form));
    if (!asked) return;
    say(problem, "done", "");
    void follow(asked, list, log, roster);
  });
}

function ask(bus: PlaygroundBus, form: HTMLFormElement): Asked {
  const calc = bus.client(SERVICE);
  const method = textOf(form, "method");
  if (method === "slow") {
    const work_ms = readNumber(form, "slow", "Takes");
    return { text: `slow(${work_ms})`, call: calc.slow(work_ms) };
  }
  if (method === "throws") {
    const message = textOf(form, "message");
    return { text: `throws(${JSON.stringify(message)})`, call: calc.throws(message) };
  }
  const a = readNumber(form, "a", "a");
  const b = readNumber(form, "b", "b");
  return { text: `add(${a}, ${b})`, call: calc.add(a, b) };
}

/** One row per call: what was asked, what came of it, and a way to give up. */
async function follow(
  { text, call }: Asked, list: HTMLElement, log: Log, roster: Roster,
): Promise<void> {
  const note = make("span", "row-note", "waiting");
  const cancel = makeButton("Cancel", `Cancel ${text}`, () => call.cancel());
  const row = make("li", "row", make("code", "", text), note, cancel);
  list.prepend(row);
  while (list.childElementCount > CALLS_SHOWN_MAX) list.lastElementChild?.remove();
  const before = performance.now();
  log.add("sent", `call ${text}`);
  try {
    const { by, sum, slept_ms } = await call;
    const value = sum ?? `slept ${slept_ms} ms`;
    const took = millisecondsOf(performance.now() - before);
    setText(note, `${value}, by ${roster.nameOf(by)} in ${took}`);
    row.dataset["kind"] = "done";
    log.add("received", `${text} = ${value} from ${roster.nameOf(by)}`);
  } catch (error) {
    setText(note, errorText(error));
    row.dataset["kind"] = "error";
    log.add("error", `${text}: ${errorText(error)}`);
  }
  cancel.remove();
}

/** Answers calls in this tab, as long as the box is ticked. */
export function mountServe(bus: PlaygroundBus, log: Log): void {
  const form = byId("serve", HTMLFormElement);
  const answer = byId("serve-answer", HTMLElement);
  const work = new Work();
  let answered = 0;
  const count = () => {
    answered += 1;
    setText(answer, `${plural(answered, "call")} answered`);
    return bus.peer.id;
  };
  const calc = {
    add: (a: number, b: number) => ({ sum: a + b, by: count() }),
    slow: async (work_ms: number) => {
      const by = count();
      await work.do(work_ms);
      return { slept_ms: work_ms, by };
    },
    throws: (message: string): never => {
      count();
      throw new RangeError(message);
    },
  };
  let service: Service | undefined;
  const apply = () => {
    const { checked } = control(form, "on");
    if (checked === (service !== undefined)) return;
    service?.close();
    service = checked ? bus.serve<Calc>(SERVICE, calc) : undefined;
    service?.ready().catch((error: unknown) => {
      say(answer, "error", errorText(error));
      log.add("error", `serve: ${errorText(error)}`);
    });
  };
  form.addEventListener("change", apply);
  onSubmit(form, apply);
  apply();
}
