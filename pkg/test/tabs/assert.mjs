// What the cases use of node:assert/strict, for pages. tabs-assert.test.mjs holds it against that.

class AssertionError extends Error {
  name = "AssertionError";
  code = "ERR_ASSERTION";
}

const isObject = (value) => typeof value === "object" && value !== null;
const kindOf = (value) => Object.prototype.toString.call(value).slice(8, -1);

/** Own enumerable properties, symbols too. */
function keysOf(value) {
  const symbols = Object.getOwnPropertySymbols(value);
  const shown = symbols.filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
  return [...Object.keys(value), ...shown];
}

/** What two objects of one kind must have in common besides their properties. */
const contents = {
  Object: () => [],
  Array: ({ length }) => [length],
  Arguments: ({ length }) => [length],
  Date: (date) => [date.getTime()],
  Uint8Array: ({ length }) => [length],
  Error: ({ name, message, cause }) => [name, message, cause],
};

function isSame(actual, expected) {
  if (Object.is(actual, expected)) return true;
  if (!isObject(actual) || !isObject(expected)) return false;
  const kind = kindOf(actual);
  if (kind !== kindOf(expected)) return false;
  if (Object.getPrototypeOf(actual) !== Object.getPrototypeOf(expected)) return false;
  // A comparison that is not written yet must not find two values equal.
  if (!(kind in contents)) throw new TypeError(`no comparison of ${kind}`);
  if (!isSameList(contents[kind](actual), contents[kind](expected))) return false;
  const keys = keysOf(actual);
  return (
    keys.length === keysOf(expected).length
    && keys.every((key) => Object.hasOwn(expected, key) && isSame(actual[key], expected[key]))
  );
}

const isSameList = (actual, expected) =>
  actual.every((value, index) => isSame(value, expected[index]));

function show(value) {
  const text = (_, part) =>
    part === undefined || typeof part === "bigint" || typeof part === "function"
      ? String(part)
      : part;
  return value instanceof Error ? `${value}` : JSON.stringify(value, text);
}

function demand(holds, message, what) {
  if (holds) return;
  throw message instanceof Error ? message : new AssertionError(message ?? what());
}

function assert(value, message) {
  demand(value, message, () => `${show(value)} is not true`);
}

export default Object.assign(assert, {
  AssertionError,
  ok: assert,
  equal(actual, expected, message) {
    const what = () => `${show(actual)} is not ${show(expected)}`;
    demand(Object.is(actual, expected), message, what);
  },
  notEqual(actual, expected, message) {
    demand(!Object.is(actual, expected), message, () => `both are ${show(actual)}`);
  },
  deepEqual(actual, expected, message) {
    demand(isSame(actual, expected), message, () => `${show(actual)} is not ${show(expected)}`);
  },
  match(text, pattern, message) {
    const holds = typeof text === "string" && pattern.test(text);
    demand(holds, message, () => `${show(text)} does not match ${pattern}`);
  },
  throws(run, expected) {
    let thrown;
    try {
      run();
    } catch (error) {
      thrown = { error };
    }
    demand(thrown, undefined, () => "nothing was thrown");
    check(thrown.error, expected);
  },
  async rejects(promise, expected) {
    const reason = await (typeof promise === "function" ? promise() : promise).then(
      () => undefined,
      (error) => ({ error }),
    );
    demand(reason, undefined, () => "it did not reject");
    check(reason.error, expected);
  },
});

/** `expected`: nothing, a function that answers `true`, or properties; texts may be patterns. */
function check(error, expected) {
  if (expected === undefined) return;
  if (typeof expected === "function") {
    return demand(expected(error) === true, undefined, () => `${show(error)} is another error`);
  }
  for (const key of keysOf(expected)) {
    const [actual, wanted] = [error[key], expected[key]];
    const fits =
      wanted instanceof RegExp && typeof actual === "string"
        ? wanted.test(actual)
        : isSame(actual, wanted);
    demand(key in error && fits, undefined, () => `${key} of ${error} is ${show(actual)}`);
  }
}
