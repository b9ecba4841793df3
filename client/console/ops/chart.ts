// A line chart over time, in SVG. Its lines are redrawn as a whole: five minutes are three hundred points.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [600, 150];

/** A young chart is not drawn into its right edge: it spans at least so many points. */
const SPAN_MIN = 60;

/** One line: its name, its colour by number, and its values, the newest last; undefined is no value. */
export interface Line {
  readonly name: string;
  readonly values: readonly (number | undefined)[];
}

/** How a chart looks. */
export interface Look {
  /** Writes a value of the scale. */
  readonly format: (value: number) => string;
  /** Lines stand on each other. */
  readonly stacked?: boolean;
}

/** Draws into an element that is a chart's. */
export class Chart {
  readonly #svg: SVGSVGElement;
  readonly #scale = element("div", "scale");
  readonly #since = element("span", "since");
  readonly #hair = element("div", "hair");
  readonly #legend = element("ul", "legend");
  readonly #look: Look;
  #lines: readonly Line[] = [];
  #back: number | undefined;

  /** `pointed`: somebody points at the values of so many points before the last, or no longer. */
  constructor(root: HTMLElement, look: Look, pointed: (back: number | undefined) => void) {
    this.#look = look;
    this.#svg = document.createElementNS(SVG, "svg");
    this.#svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.#svg.setAttribute("preserveAspectRatio", "none");
    this.#svg.setAttribute("role", "img");
    this.#hair.hidden = true;
    const plot = element("div", "plot");
    plot.append(this.#svg, this.#scale, this.#since, this.#hair);
    plot.addEventListener("pointermove", ({ clientX }) => {
      const { right, width } = plot.getBoundingClientRect();
      pointed(Math.round(((right - clientX) / Math.max(1, width)) * (this.#span - 1)));
    });
    plot.addEventListener("pointerleave", () => pointed(undefined));
    root.append(plot, this.#legend);
  }

  /** Shows these lines. */
  draw(lines: readonly Line[]): void {
    this.#lines = lines;
    const stacked = this.#look.stacked === true ? stack(lines) : lines;
    const values = stacked.flatMap((line) => line.values).filter((value) => value !== undefined);
    const top = ceiling(Math.max(0, ...values));
    const shapes = [0.25, 0.5, 0.75].map((share) => rule(HEIGHT * share));
    // The last is drawn first, so that what is stacked above does not cover what is below.
    for (let at = stacked.length - 1; at >= 0; at--) {
      const line = stacked[at];
      if (line !== undefined) shapes.push(...this.#shapes(line, at, top));
    }
    this.#svg.replaceChildren(...shapes);
    this.#scale.replaceChildren(
      ...[top, top / 2, 0].map((value) => element("span", "", round(this.#look.format(value)))),
    );
    this.#tell();
  }

  /** Tells the values of so many points before the last, or the last. */
  point(back: number | undefined): void {
    this.#back = back;
    this.#tell();
  }

  get #span(): number {
    return Math.max(SPAN_MIN, ...this.#lines.map((line) => line.values.length));
  }

  #shapes(line: Line, at: number, top: number): SVGElement[] {
    const [step, from] = [WIDTH / (this.#span - 1), this.#span - line.values.length];
    const place = (value: number, index: number): string =>
      `${((from + index) * step).toFixed(1)},${(HEIGHT * (1 - value / top)).toFixed(1)}`;
    const runs: string[][] = [[]];
    line.values.forEach((value, index) => {
      if (value === undefined) runs.push([]);
      else runs.at(-1)?.push(place(value, index));
    });
    return runs.flatMap((run) => {
      const [first, last] = [run[0], run.at(-1)];
      if (first === undefined || last === undefined) return [];
      const path = shape("path", { d: `M${run.join("L")}`, class: `line c${at}` });
      const [left, right] = [first.split(",")[0], last.split(",")[0]];
      const area = `M${left},${HEIGHT}L${run.join("L")}L${right},${HEIGHT}Z`;
      const filled = this.#look.stacked === true || at === 0;
      return filled ? [shape("path", { d: area, class: `area c${at}` }), path] : [path];
    });
  }

  #tell(): void {
    const back = this.#back ?? 0;
    const told = this.#lines.map(({ name, values }) => {
      const value = values.at(-1 - back);
      return [name, value === undefined ? "–" : this.#look.format(value)] as const;
    });
    this.#svg.setAttribute(
      "aria-label",
      told.map(([name, value]) => `${name} ${value}`).join(", "),
    );
    this.#legend.replaceChildren(
      ...told.map(([name, value], at) => {
        const entry = element("li", "");
        entry.append(element("i", `c${at}`), name, " ", element("b", "", value));
        return entry;
      }),
    );
    this.#since.textContent = this.#back === undefined ? `last ${this.#span} s` : `${back} s ago`;
    this.#hair.hidden = this.#back === undefined;
    this.#hair.style.right = `${(back / (this.#span - 1)) * 100}%`;
  }
}

function stack(lines: readonly Line[]): Line[] {
  const below: number[] = [];
  return lines.map(({ name, values }) => ({
    name,
    values: values.map((value, index) => {
      const sum = (below[index] ?? 0) + (value ?? 0);
      below[index] = sum;
      return sum;
    }),
  }));
}

/** The next round number: 1, 2 or 5 times a power of ten. */
export function ceiling(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const round = [1, 2, 5, 10].find((times) => times * power >= value) ?? 10;
  return round * power;
}

/** A scale's numbers are round ones: `5 s`, not `5.00 s`. */
function round(text: string): string {
  return text.replace(/\.0+(?=\D|$)/, "");
}

function rule(y: number): SVGElement {
  return shape("line", { x1: "0", x2: `${WIDTH}`, y1: `${y}`, y2: `${y}`, class: "rule" });
}

function shape(name: string, attributes: Record<string, string>): SVGElement {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function element(name: string, look: string, text = ""): HTMLElement {
  const made = document.createElement(name);
  made.className = look;
  made.textContent = text;
  return made;
}
