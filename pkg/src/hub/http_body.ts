import { closed, invalid, TabmqError } from "../errors.js";
import { HttpError } from "./http_failure.js";

/**
 * The body of a request as a value: JSON for `application/json` and what ends in `+json`, text for
 * `text/*`, bytes for all else. Throws `TOO_LARGE` as soon as there are more bytes, `INVALID` for
 * what is not well formed, and `CLOSED` if `closing` aborts before it is there. `took` is told of
 * each part that was read.
 */
export async function readBody(
  request: Request,
  bytes_max: number,
  closing: AbortSignal,
  took?: (bytes: number) => void,
): Promise<unknown> {
  const encoding = request.headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") {
    const data = { name: "content-encoding" };
    const error = new TabmqError("UNSUPPORTED", "bodies are sent as they are", { data });
    throw new HttpError(415, error);
  }
  const bytes = await readBytes(request, bytes_max, closing, took);
  return decode(bytes, request.headers.get("content-type"));
}

async function readBytes(
  request: Request,
  bytes_max: number,
  closing: AbortSignal,
  took?: (bytes: number) => void,
): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length")) > bytes_max) throw tooLarge(bytes_max);
  const reader = request.body?.getReader();
  if (!reader) return new Uint8Array();
  const cancel = () => void reader.cancel().catch(() => {});
  closing.addEventListener("abort", cancel);
  try {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (closing.aborted) throw closed("the hub");
      if (done) return join(chunks, length);
      length += value.length;
      took?.(value.length);
      if (length > bytes_max) throw tooLarge(bytes_max);
      chunks.push(value);
    }
  } catch (error) {
    cancel();
    if (error instanceof TabmqError) throw error;
    throw new TabmqError("CANCELLED", "the body of the request broke off", { cause: error });
  } finally {
    closing.removeEventListener("abort", cancel);
  }
}

function join(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function decode(bytes: Uint8Array, type: string | null): unknown {
  const [media = "", ...parameters] = (type ?? "").toLowerCase().split(/ *; */);
  if (media === "application/json" || media.endsWith("+json")) {
    try {
      return JSON.parse(text(bytes, "utf-8"));
    } catch (error) {
      throw invalid(`the body is no JSON: ${(error as Error).message}`, "body");
    }
  }
  if (!media.startsWith("text/")) return bytes;
  const charset = parameters.find((parameter) => parameter.startsWith("charset="));
  const name = charset?.slice("charset=".length).replaceAll('"', "") ?? "utf-8";
  try {
    return text(bytes, name);
  } catch {
    throw invalid(`the body is no text in ${name}`, "body");
  }
}

const text = (bytes: Uint8Array, charset: string) =>
  new TextDecoder(charset, { fatal: true }).decode(bytes);

function tooLarge(bytes_max: number): TabmqError {
  return new TabmqError("TOO_LARGE", `the body has more than ${bytes_max} bytes`, {
    data: { reason: "body_bytes_max" },
  });
}
