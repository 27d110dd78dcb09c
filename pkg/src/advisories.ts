import { decode } from "./codec/decode.js";
import { encodeNow } from "./codec/encode.js";
import { hex } from "./message.js";
import type { Codec } from "./types.js";

/** How the topics begin on which only the node speaks. */
export const SYSTEM = "$tabmq.";

/** The codec of what the node says, whatever that of the bus is. */
export const ADVISORIES: Codec = {
  encode: encodeNow,
  decode(bytes) {
    const { at, client, ...told } = decode(bytes) as { at: number; client?: Uint8Array };
    return { ...told, at: new Date(at), ...(client && { client: hex(client) }) };
  },
};
