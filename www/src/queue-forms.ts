import { byId, control, onSubmit, setText } from "./dom";
import { readFields, readJson, readNumber } from "./fields";
import { errorText, millisecondsOf, plural, shortJson } from "./format";
import type { Jobs } from "./jobs";
import type { Ledger } from "./ledger";
import { say } from "./live-forms";
import type { Log } from "./log";
import type { PlaygroundBus } from "./schema";
import { sendJobs } from "./send";

/** The answer is a function that sends jobs as the form describes them. */
export function mountSend(
  bus: PlaygroundBus, ledger: Ledger, log: Log,
): (count: number) => Promise<void> {
  const form = byId("send", HTMLFormElement);
  const answer = byId("send-answer", HTMLElement);
  const send = async (body: unknown, count: number, delay_ms: number) => {
    const before = performance.now();
    try {
      const stored = await sendJobs(bus, ledger, body, count, delay_ms);
      const took = millisecondsOf(performance.now() - before);
      const here = stored?.durability === "memory" ? "held in memory" : "written to this device";
      const where = stored?.at === "hub" ? "taken by the hub" : here;
      say(answer, "done", `${plural(count, "job")} ${where} in ${took}`);
      log.add("sent", `${plural(count, "job")} ${shortJson(body)}, ${where} in ${took}`);
    } catch (error) {
      say(answer, "error", errorText(error));
      log.add("error", `send: ${errorText(error)}`);
    }
  };
  onSubmit(form, () => {
    const fields = readFields(form, answer, () => ({
      body: readJson(form, "body"),
      count: readNumber(form, "count", "Count"),
      delay_ms: readNumber(form, "delay", "Delay"),
    }));
    if (fields) void send(fields.body, fields.count, fields.delay_ms);
  });
  return async (count) => {
    const body = readFields(form, answer, () => ({ value: readJson(form, "body") }));
    if (body) await send(body.value, count, 0);
  };
}

/** Each change takes effect at once. */
export function mountProcess(jobs: Jobs): void {
  const form = byId("process", HTMLFormElement);
  const answer = byId("process-answer", HTMLElement);
  const apply = () => {
    setText(byId("fail-rate", HTMLElement), `${control(form, "fail").value} %`);
    const settings = readFields(form, answer, () => ({
      on: control(form, "on").checked,
      concurrency: readNumber(form, "concurrency", "At a time"),
      work_ms: readNumber(form, "work", "Work per job"),
      fail_percent: readNumber(form, "fail", "Fails"),
    }));
    if (!settings) return;
    jobs.apply(settings);
    say(answer, "done", "");
  };
  form.addEventListener("input", apply);
  onSubmit(form, apply);
  apply();
}
