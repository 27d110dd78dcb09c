// An app in Rust that uses the crate alone: two tabs of it meet on one bus.
import { join } from "node:path";
import { ROOT } from "../lib/run.mjs";
import { test } from "../lib/runner.mjs";

const folders = {
  "/rust-app/": join(ROOT, "examples/rust-app"),
  "/rust-app/app/": join(ROOT, "target/rust-app"),
};

const hasLine = (text) =>
  [...document.querySelectorAll("#log li")].some((line) => line.textContent.includes(text));

test("an app in Rust needs no JavaScript of ours", { folders }, async (t) => {
  const first = await t.openTab("/rust-app/");
  for (const text of ["hello from Rust", "a job says 42", "2 + 3 = 5", "every part has answered"]) {
    await first.waitFor(hasLine, { args: [text], what: `the first tab writes "${text}"` });
  }
  const second = await t.openTab("/rust-app/");
  const done = { args: ["every part has answered"], what: "the second tab is done" };
  await second.waitFor(hasLine, done);
  const greetings = (count) =>
    [...document.querySelectorAll("#log li")].filter((line) =>
      line.textContent.includes("hello from Rust"),
    ).length === count;
  await first.waitFor(greetings, { args: [2], what: "the first tab hears the second" });
});
