import { invalid } from "../errors.js";

/** Options of a message: in the query by this name, in a header with `tabmq-` before it. */
const OPTIONS = [
  "id",
  "key",
  "delay",
  "at",
  "ttl",
  "priority",
  "replyTo",
  "correlationId",
] as const;
type Option = (typeof OPTIONS)[number];

/** What begins the name of a header of the message. */
const IN_QUERY = "header.";
const IN_HEADERS = "tabmq-header-";
const OWN_HEADERS = "tabmq-";

const READ: { readonly [option in Option]?: (text: string) => unknown } = {
  delay: duration,
  ttl: duration,
  at: (text) => new Date(text),
  priority: (text) => (/^\d+$/.test(text) ? Number(text) : text),
};

/**
 * The options that a request gives in its query and its headers, as `send` and `publish` take
 * them; what they mean is checked there. Throws `INVALID` for one that there is not, and for one
 * that is given twice.
 */
export function messageOptions(query: URLSearchParams, headers: Headers): object {
  const options: Record<string, unknown> = {};
  const properties: Record<string, string> = {};
  const set = (into: Record<string, unknown>, name: string, value: unknown, where: string) => {
    if (Object.hasOwn(into, name)) throw invalid(`${where} is given twice`, name);
    // A name is anything, also one that objects have a meaning for.
    Object.defineProperty(into, name, { value, enumerable: true });
  };
  const option = (name: Option | undefined, text: string, where: string) => {
    if (!name) throw invalid(`there is no option "${where}"`, where);
    set(options, name, READ[name]?.(text) ?? text, where);
  };
  for (const [name, text] of query) {
    if (name.startsWith(IN_QUERY)) set(properties, name.slice(IN_QUERY.length), text, name);
    else option(OPTIONS.find((known) => known === name), text, name);
  }
  for (const [name, text] of headers) {
    if (name.startsWith(IN_HEADERS)) set(properties, name.slice(IN_HEADERS.length), text, name);
    else if (name.startsWith(OWN_HEADERS)) option(optionOf(name), text, name);
  }
  const traceparent = headers.get("traceparent");
  return {
    ...options,
    ...(Object.keys(properties).length && { headers: properties }),
    ...(traceparent !== null && { traceparent }),
  };
}

function optionOf(header: string): Option | undefined {
  const name = header.slice(OWN_HEADERS.length);
  return OPTIONS.find((known) => known.toLowerCase() === name);
}

/** A plain number is one of milliseconds, as everywhere. */
function duration(text: string): unknown {
  return /^\d+$/.test(text) ? Number(text) : text;
}
