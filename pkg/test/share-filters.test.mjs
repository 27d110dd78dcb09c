// Filters of `share` against every topic of a small language, as src/topic tests those of the core.
import assert from "node:assert/strict";
import { test } from "node:test";

import { internals } from "./internals.mjs";

const { canMeet, covers, faultOf, fits } = internals;

/** All texts of up to so many words. */
function texts(words, longest) {
  let last = words;
  const all = [...words];
  for (let length = 2; length <= longest; length += 1) {
    last = last.flatMap((text) => words.map((word) => `${text}.${word}`));
    all.push(...last);
  }
  return all;
}

const filters = texts(["a", "*", "#"], 3);
const topics = texts(["a", "b"], 6);
const fitting = new Map(filters.map((filter) => {
  return [filter, new Set(topics.filter((topic) => fits(filter, topic)))];
}));

/** The rules by which a filter stands for a name, one after the other. */
function plainFits([want, ...wanted], [word, ...words]) {
  if (want === undefined) return word === undefined;
  if (want === "#") {
    const none = plainFits(wanted, word === undefined ? [] : [word, ...words]);
    return none || (word !== undefined && plainFits([want, ...wanted], words));
  }
  return word !== undefined && (want === "*" || want === word) && plainFits(wanted, words);
}

test("share filters: a name fits word by word", () => {
  for (const filter of filters)
    for (const topic of topics) {
      const expected = plainFits(filter.split("."), topic.split("."));
      assert.equal(fits(filter, topic), expected, `${filter} ${topic}`);
    }
  // Words of a name are none of a filter, and no wildcard stands for those of the system.
  assert.deepEqual([fits("a", "*"), fits("*", "*"), fits("a.*", "a.#")], [false, true, true]);
  assert.deepEqual([fits("#", "$tabmq.x"), fits("#", "$tabmqs.x")], [false, true]);
});

test("share filters: two meet if there is a topic for both", () => {
  for (const ours of filters)
    for (const theirs of filters) {
      const both = [...fitting.get(ours)].some((topic) => fitting.get(theirs).has(topic));
      assert.equal(canMeet(ours, theirs), both, `${ours} ${theirs}`);
    }
  assert.equal(canMeet("#", "$tabmq.#"), false);
});

test("share filters: one covers another never by mistake, and seldom does not", () => {
  let missed = 0;
  for (const ours of filters)
    for (const theirs of filters) {
      const all = [...fitting.get(theirs)].every((topic) => fitting.get(ours).has(topic));
      const said = covers(ours, theirs);
      assert.ok(!said || all, `${ours} ${theirs}`);
      if (all && !said) missed += 1;
    }
  assert.ok(missed * 20 < filters.length ** 2, `${missed} were missed`);
});

test("share filters: what is none is told why", () => {
  const limits = { name_bytes_max: 9, topic_words_max: 3 };
  for (const good of ["#", "a.*.#", "123456789"]) assert.equal(faultOf(good, limits), undefined);
  for (const bad of ["", ".", "a..b", "a.", "1234567890", "a.b.c.d", "a\u0085", 7, null])
    assert.equal(typeof faultOf(bad, limits), "string", String(bad));
});
