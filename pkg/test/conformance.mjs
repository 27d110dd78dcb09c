// A step of tests/log/conformance.json, for whatever storage, in whatever runtime.

const KINDS = { manifest: 0, chunk: 1, page: 2 };
const utf8 = new TextEncoder();
export const bytes = (text) => utf8.encode(text);
export const text = (value) => (value ? new TextDecoder().decode(value) : null);
export const half = (number) => number.toString(16).padStart(16, "0");
export const epoch = (counter) => (counter ? half(counter) + half(counter) : undefined);
export const counter = (fence) =>
  fence === undefined ? null : Number.parseInt(fence.slice(0, 16), 16);

/** What the storage answers, as the scenario has it. */
export async function performStep(store, keyOf, name, given) {
  const key = ([kind, number]) => keyOf(KINDS[kind], number);
  switch (name) {
    case "open": {
      const { fence, manifest } = await store.look();
      return { fence: counter(fence), manifest: text(manifest) };
    }
    case "fence":
      return counter(await store.fence());
    case "list":
      return store.list();
    case "read":
      return (await store.read(given.map(key))).map(text);
    default: {
      const { expect, claim, strict = false, puts = [], deletes = [] } = given;
      const commit = {
        expect: epoch(expect),
        claim: epoch(claim),
        strict,
        puts: puts.map(([kind, number, value]) => ({
          key: key([kind, number]),
          bytes: bytes(value),
        })),
        deletes: deletes.map(key),
      };
      return store.commit(commit).then(
        () => "committed",
        ({ fault }) => fault,
      );
    }
  }
}
