import { PROBE, PROBE_ANSWER } from "../sockets.js";

/** After so many bytes the other side is asked whether it has read them. */
const ASK_BYTES = 65_536;

/**
 * What was sent on a socket and may not be read yet. The runtime does not tell, so a question goes
 * behind what was sent, and its answer says that everything before it was read. Nobody can answer
 * who has not read it.
 */
export class Unread {
  /** Bytes sent since the last answer, or ever. */
  bytes = 0;
  /** What an answer is to be; there is at most one question under way. */
  #answer: string | undefined;
  /** Bytes sent before the question. */
  #asked_bytes = 0;

  get is_asked(): boolean {
    return this.#answer !== undefined;
  }

  /** Gives a question that is to be sent now, if it is time for one. */
  sent(bytes: number): string | undefined {
    this.bytes += bytes;
    return this.#ask();
  }

  /** Takes what may be an answer; gives the next question, if it is time for one. */
  heard(text: string): string | undefined {
    if (text !== this.#answer) return undefined;
    this.#answer = undefined;
    this.bytes -= this.#asked_bytes;
    return this.#ask();
  }

  #ask(): string | undefined {
    if (this.#answer !== undefined || this.bytes < ASK_BYTES) return undefined;
    const nonce = crypto.randomUUID();
    this.#answer = `${PROBE_ANSWER} ${nonce}`;
    this.#asked_bytes = this.bytes;
    return `${PROBE} ${nonce}`;
  }
}
