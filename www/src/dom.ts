/** The element of that id. It stands in the page, so its absence is a mistake of ours. */
export function byId<E extends Element>(id: string, kind: abstract new () => E): E {
  const found = document.querySelector(`#${id}`);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
}

/** A new element with its text or children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...content: (string | Node)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

export function makeButton(text: string, label: string, press: () => void): HTMLButtonElement {
  const button = make("button", "button quiet small", text);
  button.type = "button";
  button.setAttribute("aria-label", label);
  button.addEventListener("click", press);
  return button;
}

/** Writes only what differs: a live region would else be read out again. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** The control of that name in a form. */
export function control(form: HTMLFormElement, name: string): HTMLInputElement {
  const found = form.elements.namedItem(name);
  if (found instanceof HTMLInputElement) return found;
  throw new Error(`the form #${form.id} has no input ${name}`);
}

/** What a form says in one of its fields. */
export function textOf(form: HTMLFormElement, name: string): string {
  const value = new FormData(form).get(name);
  if (typeof value !== "string") throw new Error(`the form #${form.id} has no field ${name}`);
  return value;
}

/** Calls `submit` in place of sending the form to a server. */
export function onSubmit(form: HTMLFormElement, submit: () => unknown): void {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
}
