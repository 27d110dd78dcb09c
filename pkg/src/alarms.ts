/** Who is woken. */
export interface Sleeper {
  ring(): void;
}

interface Line {
  readonly wait_ms: number;
  readonly alarms: Set<Alarm>;
  timer: ReturnType<typeof setTimeout>;
}

/** Waits of one length end in the order they began, so one timer for the first of them will do. */
const lines = new Map<number, Line>();

/**
 * Wakes one sleeper after so long, unless it is cancelled before. A timer for each of thousands of
 * waits that end early would cost more than all else that a message does in JavaScript.
 */
export class Alarm {
  readonly due: number;
  readonly sleeper: Sleeper;
  readonly #line: Line;

  /** `due` is `wait_ms` from now, on the running clock. */
  constructor(wait_ms: number, sleeper: Sleeper, due = performance.now() + wait_ms) {
    let line = lines.get(wait_ms);
    if (!line) lines.set(wait_ms, (line = open(wait_ms)));
    this.due = due;
    this.sleeper = sleeper;
    this.#line = line;
    line.alarms.add(this);
  }

  cancel(): void {
    const { alarms } = this.#line;
    if (alarms.delete(this) && !alarms.size) close(this.#line);
  }
}

/** Runs after so long, unless the answer is called before. */
export function setAlarm(wait_ms: number, run: () => void): () => void {
  const alarm = new Alarm(wait_ms, { ring: run });
  return () => alarm.cancel();
}

function open(wait_ms: number): Line {
  const line: Line = {
    wait_ms,
    alarms: new Set(),
    timer: setTimeout(() => ring(line), wait_ms),
  };
  return line;
}

/** A timer that is left would keep a process alive. */
function close(line: Line): void {
  clearTimeout(line.timer);
  if (lines.get(line.wait_ms) === line) lines.delete(line.wait_ms);
}

/** Runs what is due. A timer may come a little early: what is not due yet waits for the next. */
function ring(line: Line): void {
  const now = performance.now();
  for (const alarm of line.alarms) {
    if (alarm.due > now) {
      line.timer = setTimeout(() => ring(line), Math.ceil(alarm.due - now));
      return;
    }
    line.alarms.delete(alarm);
    alarm.sleeper.ring();
  }
  close(line);
}
