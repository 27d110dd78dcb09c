// The other tab: it opens each bus before the tab that runs the cases does, so the node is here, or
// in the worker that this tab started.
import { connect } from "tabmq";

const host = new URL(location.href).searchParams.get("host");
const buses = new Map();

const orders = {
  async open(name, options) {
    buses.set(name, await connect(name, { ...options, host }));
  },
  async close(name) {
    await buses.get(name).close();
    buses.delete(name);
  },
};

const channel = new BroadcastChannel("cases");
channel.onmessage = async ({ data: { id, order, name, options } }) => {
  try {
    await orders[order](name, options);
    channel.postMessage({ id });
  } catch (error) {
    channel.postMessage({ id, error: String(error) });
  }
};
globalThis.listens = true;
