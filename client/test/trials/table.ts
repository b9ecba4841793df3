// The figures of a trial, by what they are of: printed as a table that docs can take as it is.

interface Row {
  readonly of: readonly string[];
  readonly tries: (number | undefined)[][];
  /** What the first figure of each try may be; undefined where it is only reported. */
  readonly allowed: (number | undefined)[];
  /** How often each note was made. */
  readonly notes: Map<string, number>;
}

/** Figures in milliseconds. */
export class Table {
  readonly #title: string;
  readonly #columns: readonly string[];
  readonly #rows = new Map<string, Row>();

  constructor(title: string, columns: readonly string[]) {
    this.#title = title;
    this.#columns = columns;
  }

  /** One try. Where `allowed` is given the first figure may be at most that, in half of the tries. */
  add(
    of: readonly string[],
    figures: readonly (number | undefined)[],
    allowed: number | undefined,
    note = "",
  ): void {
    const key = of.join("|");
    const row: Row = this.#rows.get(key) ?? { of, tries: [], allowed: [], notes: new Map() };
    row.tries.push([...figures]);
    row.allowed.push(allowed);
    row.notes.set(note, (row.notes.get(note) ?? 0) + 1);
    this.#rows.set(key, row);
  }

  /** Rows that begin with `first` where less than half of the tries were as soon as allowed, and by how much. */
  missed(first: string): { readonly of: readonly string[]; readonly lateMs: number }[] {
    const rows = [...this.#rows.values()].filter(({ of }) => of[0] === first);
    return rows.flatMap(({ of, tries, allowed }) => {
      const late = tries.map(([figure], at) => {
        const most = allowed[at];
        return most === undefined ? 0 : (figure ?? Number.POSITIVE_INFINITY) - most;
      });
      const lateMs = percentile(late, 0.5);
      return lateMs > 0 ? [{ of, lateMs }] : [];
    });
  }

  print(): void {
    const lines = [...this.#rows.values()].map(({ of, tries, notes }) => {
      const figures = this.#columns.map((_, column) =>
        told(tries.flatMap((one) => one[column] ?? [])),
      );
      const said = [...notes].map(([note, times]) => `${note} ${times}`).join(", ");
      return `| ${[...of, String(tries.length), ...figures, said].join(" | ")} |`;
    });
    const head = ["", "", "", "tries", ...this.#columns.map((name) => `${name}, p50 / max ms`), ""];
    console.log([`${this.#title}:`, `| ${head.join(" | ")} |`, ...lines].join("\n"));
  }
}

/** The share-th of sorted figures. */
export function percentile(figures: readonly number[], share: number): number {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
}

function told(figures: readonly number[]): string {
  if (figures.length === 0) return "–";
  return [0.5, 1].map((share) => percentile(figures, share).toFixed(0)).join(" / ");
}
