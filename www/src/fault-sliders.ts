// A slider for each kind of fault. One that nobody touched leaves the kind to the plan of the seed.
import type { FaultKind, Faults } from "tabmq/sim";
import { FAULTS, FAULT_PER_MILLE_MAX } from "tabmq/sim";

import { byId, make, setText } from "./dom";
import { plural } from "./format";

type Settable = keyof Faults;
type Per = "operation" | "moment" | "run";

const GROUPS: { readonly [per in Per]: { readonly title: string; readonly note: string } } = {
  operation: { title: "Network and disk", note: "of 1000 messages or writes" },
  moment: { title: "Pages, hosts and clocks", note: "of 1000 moments at which something may come" },
  run: { title: "Damage", note: "1 lets it occur in the run" },
};

interface Slider {
  readonly input: HTMLInputElement;
  readonly value: HTMLOutputElement;
  readonly occurred: HTMLElement;
  touched: boolean;
}

export class FaultSliders {
  readonly #sliders = new Map<Settable, Slider>();

  constructor() {
    const place = byId("fault-groups", HTMLElement);
    for (const per of Object.keys(GROUPS) as Per[]) place.append(this.#group(per));
    (place.querySelector("details") as HTMLDetailsElement).open = true;
    byId("faults-planned", HTMLButtonElement).addEventListener("click", () => this.reset());
    byId("faults-none", HTMLButtonElement).addEventListener("click", () => this.#setAll(0));
  }

  /** What was set. */
  get faults(): Faults {
    const touched = [...this.#sliders].filter(([, slider]) => slider.touched);
    return Object.fromEntries(touched.map(([kind, { input }]) => [kind, Number(input.value)]));
  }

  /** Shows how often each kind occurred. */
  count(faults: Readonly<Record<FaultKind, number>> | undefined): void {
    for (const [kind, { occurred }] of this.#sliders) {
      setText(occurred, faults ? `came ${plural(faults[kind], "time")}` : "");
    }
  }

  reset(): void {
    for (const slider of this.#sliders.values()) {
      slider.touched = false;
      slider.input.value = "0";
      show(slider);
    }
  }

  #setAll(value: number): void {
    for (const slider of this.#sliders.values()) {
      slider.touched = true;
      slider.input.value = String(value);
      show(slider);
    }
  }

  #group(per: Per): HTMLDetailsElement {
    const { title, note } = GROUPS[per];
    const summary = make("summary", "", `${title} `, make("small", "", note));
    const rows = make("div", "faults");
    for (const [kind, counted] of Object.entries(FAULTS)) {
      if (counted === per) rows.append(this.#slider(kind as Settable, per));
    }
    return make("details", "fault-group", summary, rows);
  }

  #slider(kind: Settable, per: Per): HTMLElement {
    const input = make("input", "");
    input.type = "range";
    input.name = `fault-${kind}`;
    input.min = "0";
    input.max = String(per === "run" ? 1 : FAULT_PER_MILLE_MAX[per]);
    input.value = "0";
    const slider: Slider = {
      input,
      value: make("output", ""),
      occurred: make("small", "fault-occurred"),
      touched: false,
    };
    input.addEventListener("input", () => {
      slider.touched = true;
      show(slider);
    });
    this.#sliders.set(kind, slider);
    show(slider);
    const words = make("span", "", `${kind.replaceAll("-", " ")} `, slider.occurred);
    return make("label", "field", words, slider.value, input);
  }
}

function show({ input, value, touched }: Slider): void {
  const text = touched ? input.value : "as planned";
  setText(value, text);
  input.setAttribute("aria-valuetext", text);
}
