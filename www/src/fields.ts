import { textOf } from "./dom";

/** A field does not hold what it should. The message is for the person who filled it in. */
export class FieldError extends Error {}

/** Marks the field that `read` finds at fault, and says why. */
export function readFields<T>(
  form: HTMLFormElement, answer: Element, read: () => T,
): T | undefined {
  for (const marked of form.querySelectorAll("[aria-invalid]")) {
    marked.removeAttribute("aria-invalid");
    marked.removeAttribute("aria-describedby");
  }
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    answer.textContent = error.message;
    answer.setAttribute("data-kind", "error");
    return undefined;
  }
}

function refuse(form: HTMLFormElement, name: string, message: string): FieldError {
  const field = form.elements.namedItem(name);
  if (field instanceof HTMLElement) {
    const answer = form.querySelector(".answer");
    field.setAttribute("aria-invalid", "true");
    if (answer) field.setAttribute("aria-describedby", answer.id);
    field.focus();
  }
  return new FieldError(message);
}

export function readJson(form: HTMLFormElement, name: string): unknown {
  try {
    return JSON.parse(textOf(form, name));
  } catch (error) {
    throw refuse(form, name, `Not JSON: ${error instanceof Error ? error.message : error}`);
  }
}

export function readWord(form: HTMLFormElement, name: string, what: string): string {
  const text = textOf(form, name).trim();
  if (!text) throw refuse(form, name, `${what} is missing`);
  return text;
}

/** A number within the bounds that the input itself states. */
export function readNumber(form: HTMLFormElement, name: string, what: string): number {
  const field = form.elements.namedItem(name);
  if (!(field instanceof HTMLInputElement)) throw new Error(`no input ${name}`);
  const value = field.value.trim() === "" ? Number.NaN : Number(field.value);
  const min = field.min === "" ? Number.NEGATIVE_INFINITY : Number(field.min);
  const max = field.max === "" ? Number.POSITIVE_INFINITY : Number(field.max);
  const whole = field.step === "any" || Number.isInteger(value);
  if (whole && value >= min && value <= max) return value;
  const bounds = field.min === "" ? "" : ` from ${field.min} to ${field.max}`;
  throw refuse(form, name, `${what}: a number${bounds}, please`);
}
