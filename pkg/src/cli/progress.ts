import process from "node:process";

/** On a terminal the line is written anew; elsewhere each is one more. */
const EVERY_MS = { terminal: 200, lines: 1000 } as const;
const ERASE = "\r\x1b[K";

/** Tells on standard error how far long work is, until it is disposed. */
export interface Progress extends Disposable {
  /** Wipes the line away, so that something else can be printed. */
  clear(): void;
}

/**
 * Tells what `text` gives, again and again. By default only where standard error is a terminal on
 * which nothing else is printed meanwhile; `wanted` has it told everywhere.
 */
export function showProgress(text: () => string, wanted: boolean, prints = false): Progress {
  const is_terminal = process.stderr.isTTY === true && !(prints && process.stdout.isTTY === true);
  if (!wanted && !is_terminal) return { clear() {}, [Symbol.dispose]() {} };
  const show = () =>
    void process.stderr.write(is_terminal ? `${ERASE}${text()}` : `${text()}\n`);
  const timer = setInterval(show, EVERY_MS[is_terminal ? "terminal" : "lines"]);
  const clear = () => void (is_terminal && process.stderr.write(ERASE));
  return {
    clear,
    [Symbol.dispose]() {
      clearInterval(timer);
      clear();
    },
  };
}

/** A number with a space between thousands. */
export const grouped = (value: number): string =>
  String(Math.round(value)).replaceAll(/\B(?=(\d{3})+$)/g, " ");
