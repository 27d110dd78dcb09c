import type { PlainRequest, PlainResponse } from "./types.js";

/**
 * A request of Node.js as the web has it. Throws for what is none, such as one without a valid
 * host. What is not read of its body is thrown away by Node.js once the request is answered.
 */
export function adapt(incoming: PlainRequest): Request {
  const { method = "GET", url = "/" } = incoming;
  const headers = new Headers();
  for (let at = 0; at + 1 < incoming.rawHeaders.length; at += 2)
    headers.append(incoming.rawHeaders[at] as string, incoming.rawHeaders[at + 1] as string);
  const base = `http://${headers.get("host") ?? "localhost"}`;
  // A path may begin with two slashes, which would be another host.
  const address = new URL(url.startsWith("/") ? `${base}${url}` : url);
  const has_body = method !== "GET" && method !== "HEAD";
  // The types of browsers do not know `duplex`, which Node.js demands.
  const init = has_body ? { body: bodyOf(incoming), duplex: "half" } : {};
  return new Request(address, { method, headers, ...init });
}

/** Nothing is read before it is asked for. Whoever cancels it keeps the connection. */
function bodyOf(incoming: PlainRequest): ReadableStream<Uint8Array> {
  let dropped = false;
  let began = false;
  const begin = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    incoming.on("data", (chunk) => {
      if (dropped) return;
      controller.enqueue(chunk);
      incoming.pause();
    });
    incoming.on("end", () => {
      if (!dropped) controller.close();
      dropped = true;
    });
    const fail = () => {
      if (!dropped) controller.error(new Error("the connection is gone"));
      dropped = true;
    };
    incoming.on("error", fail);
    incoming.on("close", fail);
  };
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (!began) begin(controller);
        began = true;
        incoming.resume();
      },
      cancel() {
        dropped = true;
        incoming.resume();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Hands a response over to Node.js. */
export async function respond(outgoing: PlainResponse, response: Response): Promise<void> {
  const body = new Uint8Array(await response.arrayBuffer());
  const headers = Object.fromEntries(response.headers);
  if (body.length) headers["content-length"] = String(body.length);
  outgoing.writeHead(response.status, headers);
  outgoing.end(body);
}
