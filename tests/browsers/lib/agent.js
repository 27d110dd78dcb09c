// Runs in a page that no driver controls: takes orders from the test server, reports back,
// and sends on what the page writes to its console. A classic script, first in the page.
(() => {
  const PREFIX = "tabmq-test-tab:";
  const url = new URL(location.href);
  const given = url.searchParams.get("__tab");
  if (given !== null) {
    // The name outlives reloads and navigation; the address should look as the test wrote it.
    window.name = PREFIX + given;
    url.searchParams.delete("__tab");
    history.replaceState(history.state, "", url);
  }
  if (!window.name.startsWith(PREFIX)) return;
  const tab = window.name.slice(PREFIX.length);

  let socket;
  const unsent = [];
  const send = (report) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(report));
    else unsent.push(report);
  };

  // What a page must do even where its policy forbids to evaluate text.
  const commands = {
    assign: (address) => location.assign(address),
    reload: () => location.reload(),
    close: () => window.close(),
  };

  async function obey({ id, expression, command, argument }) {
    if (command !== undefined) return commands[command](argument);
    try {
      // Orders are expressions, and they run in the page's own scope.
      // oxlint-disable-next-line no-eval
      send({ id, value: await (0, eval)(expression) });
    } catch (error) {
      send({ id, error: String(error?.stack ? `${error}\n${error.stack}` : error) });
    }
  }

  function dial() {
    socket = new WebSocket(`ws://${location.host}/__orders?tab=${encodeURIComponent(tab)}`);
    socket.onopen = () => unsent.splice(0).forEach(send);
    socket.onmessage = ({ data }) => obey(JSON.parse(data));
  }
  dial();
  // An open socket may keep a page out of the back/forward cache.
  addEventListener("pagehide", () => socket.close());
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) dial();
    send({ shown: true });
  });

  const write = (level, values) => {
    const text = values.map((value) => {
      if (typeof value === "string") return value;
      return value instanceof Error ? `${value}\n${value.stack}` : JSON.stringify(value);
    });
    send({ console: { level, text: text.join(" ") } });
  };
  for (const level of ["debug", "log", "info", "warn", "error"]) {
    const original = console[level];
    console[level] = (...values) => {
      original.apply(console, values);
      write(level, values);
    };
  }
  addEventListener("error", ({ message, error }) => write("error", [error ?? message]));
  addEventListener("unhandledrejection", ({ reason }) => write("error", ["unhandled", reason]));
})();
