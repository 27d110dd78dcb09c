// Where the buses of a test are, when a page runs it: in this tab, over a node in another one.
export const AT_HUB = false;
export const IN_MEMORY = false;

const host = new URL(location.href).searchParams.get("host");
const channel = new BroadcastChannel("cases");
const asked = new Map();
let last = 0;

channel.onmessage = ({ data: { id, error } }) => {
  const { resolve, reject } = asked.get(id);
  asked.delete(id);
  if (error === undefined) resolve();
  else reject(new Error(`in the other tab: ${error}`));
};

function ask(order, name, options) {
  last += 1;
  const message = { id: last, order, name, options };
  return new Promise((resolve, reject) => {
    asked.set(last, { resolve, reject });
    channel.postMessage(message);
  });
}

export const optionsAt = (_, __, options) => ({ ...options, host });

/** Has the other tab run the node of a bus, under the limits that its user asks for. */
export async function startNode(name, { limits, durability } = {}) {
  await ask("open", name, { limits, durability });
  return {
    requireElsewhere(bus) {
      const { here, kind } = bus.host.get();
      if (here) throw new Error(`the node is in this tab: ${kind}`);
    },
    stop: () => ask("close", name),
  };
}

export const turn = () => new Promise((resolve) => setTimeout(resolve));

export function runScript() {
  throw new Error("a page starts no process");
}
