// Each side of the comparison: how it receives, and what the driver does to it.
import * as echo from "./sides/echo.mjs";
import * as nats from "./sides/nats.mjs";
import * as object from "./sides/object.mjs";
import * as tabmq from "./sides/tabmq.mjs";

const SIDES = { echo, nats, object, tabmq };

/** Hears, handles and answers; `count(kind)` is told of each message. */
export function receive(side, url, count) {
  return SIDES[side].receive(url, count);
}

/** What the rows are done with: `post`, `send`, `call`, `end`, as far as the side has them. */
export function drive(side, url) {
  return SIDES[side].drive(url);
}
