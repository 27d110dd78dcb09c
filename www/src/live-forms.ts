import type { Subscription, TopicMessage } from "tabmq";
import { byId, make, makeButton, onSubmit, setText, textOf } from "./dom";
import { readFields, readJson, readWord } from "./fields";
import { errorText, millisecondsOf, plural, shortJson } from "./format";
import type { Log } from "./log";
import type { Roster } from "./roster";
import type { PlaygroundBus } from "./schema";

const SUBSCRIPTIONS_MAX = 8;

export function mountPublish(bus: PlaygroundBus, log: Log): void {
  const form = byId("publish", HTMLFormElement);
  const answer = byId("publish-answer", HTMLElement);
  onSubmit(form, async () => {
    const fields = readFields(form, answer, () => ({
      topic: readWord(form, "topic", "The topic"),
      body: readJson(form, "body"),
    }));
    if (!fields) return;
    const { topic, body } = fields;
    const before = performance.now();
    try {
      log.add("sent", `${topic} ${shortJson(body)}`);
      await bus.publish(topic, body);
      const took = millisecondsOf(performance.now() - before);
      say(answer, "done", `The host has it, after ${took}`);
    } catch (error) {
      say(answer, "error", errorText(error));
      log.add("error", `publish: ${errorText(error)}`);
    }
  });
}

/** Subscribes as the form says, and from the start to what it says first. */
export function mountSubscribe(bus: PlaygroundBus, log: Log, roster: Roster): void {
  const form = byId("subscribe", HTMLFormElement);
  const answer = byId("subscribe-answer", HTMLElement);
  const list = byId("subscriptions", HTMLElement);
  const subscribe = async (filter: string) => {
    if (list.childElementCount >= SUBSCRIPTIONS_MAX) {
      return say(answer, "error", `${SUBSCRIPTIONS_MAX} subscriptions are enough here`);
    }
    let subscription: Subscription<TopicMessage<unknown>> | undefined;
    try {
      subscription = open(bus, log, roster, list, filter);
      await subscription.ready();
      return say(answer, "done", "");
    } catch (error) {
      subscription?.close();
      log.add("error", `subscribe: ${errorText(error)}`);
      return say(answer, "error", errorText(error));
    }
  };
  onSubmit(form, () => {
    const filter = readFields(form, answer, () => readWord(form, "filter", "The filter"));
    if (filter) void subscribe(filter);
  });
  void subscribe(textOf(form, "filter"));
}

function open(
  bus: PlaygroundBus, log: Log, roster: Roster, list: HTMLElement, filter: string,
): Subscription<TopicMessage<unknown>> {
  let heard = 0;
  const count = make("span", "row-note", "nothing yet");
  const subscription = bus.subscribe<unknown>(filter, {
    onGap: ({ publisher, first, last }) => {
      const missed = plural(last - first + 1, "message");
      log.add("gap", `${missed} of ${roster.nameOf(publisher)} never came`);
    },
  }, ({ topic, body, publisher }) => {
    heard += 1;
    setText(count, plural(heard, "message"));
    log.add("received", `${topic} ${shortJson(body)} from ${roster.nameOf(publisher)}`);
  });
  const close = makeButton("Close", `Close the subscription ${filter}`, () => subscription.close());
  const row = make("li", "row", make("code", "", filter), count, close);
  list.append(row);
  subscription.closed.addEventListener("abort", () => row.remove());
  return subscription;
}

export function say(answer: Element, kind: "done" | "error", text: string): void {
  answer.setAttribute("data-kind", kind);
  setText(answer, text);
}
