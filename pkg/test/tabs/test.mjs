// What the cases use of node:test: they are declared here, and run one after the other when asked.

/** Longest a case may take. */
const CASE_MS = 60_000;

const declared = [];

export function test(name, options, body) {
  declared.push(body ? { name, ...options, body } : { name, body: options });
}

/** Rejects with the first error of the page that nobody handles. */
function unhandled() {
  const listening = new AbortController();
  const promise = new Promise((_, reject) => {
    const { signal } = listening;
    addEventListener("error", ({ error, message }) => reject(error ?? message), { signal });
    addEventListener("unhandledrejection", ({ reason }) => reject(reason), { signal });
  });
  return { promise, ignore: () => listening.abort() };
}

async function runOne({ body }) {
  const afterwards = [];
  const { promise, ignore } = unhandled();
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${CASE_MS} ms`)), CASE_MS);
  });
  const guarded = async (run) => Promise.race([run(), promise, late]);
  try {
    try {
      await guarded(() => body({ after: (run) => afterwards.push(run) }));
    } finally {
      for (const run of afterwards) await guarded(run);
    }
  } finally {
    clearTimeout(timer);
    ignore();
  }
}

/** As text: some engines leave the message out of the stack. */
function describe(error) {
  const { message, stack } = Object(error);
  return stack?.includes(message) ? stack : `${error}\n${stack ?? ""}`;
}

/**
 * Runs what is declared, but not the names in `leftOut`. `passed` and `leftOut` are lists of names,
 * `skipped` has by name why the case itself asks to be skipped, and `failed` the error.
 */
export async function runDeclared(leftOut) {
  const results = { passed: [], leftOut: [], skipped: {}, failed: {} };
  for (const each of declared) {
    const { name, skip } = each;
    if (leftOut.includes(name)) results.leftOut.push(name);
    else if (skip) results.skipped[name] = skip;
    else {
      await runOne(each).then(
        () => results.passed.push(name),
        (error) => (results.failed[name] = describe(error)),
      );
    }
  }
  return results;
}
