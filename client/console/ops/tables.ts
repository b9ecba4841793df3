// The tables: providers, channels, sessions. A row is kept as long as what it shows is there.

import { count } from "../dom.js";
import type { Channel, Provider, Session } from "./gateway.js";

/** A cell's text, and how it looks. */
type Cell = string | { readonly text: string; readonly look: string };

/** Fills a table's body: one row for each item, by its key. */
export function fill<T>(
  body: HTMLTableSectionElement,
  items: readonly T[],
  key: (item: T) => string,
  cells: (item: T) => readonly Cell[],
  chosen?: (item: T) => void,
): void {
  const rows = new Map([...body.rows].map((row) => [row.dataset.key ?? "", row]));
  const wanted = items.map((item) => {
    const row = rows.get(key(item)) ?? make(key(item));
    write(row, cells(item));
    if (chosen !== undefined) {
      row.tabIndex = 0;
      row.onclick = () => chosen(item);
      row.onkeydown = (event) => {
        if (event.key === "Enter") chosen(item);
      };
    }
    return row;
  });
  const same =
    wanted.length === body.rows.length && wanted.every((row, at) => body.rows[at] === row);
  if (!same) body.replaceChildren(...wanted);
}

function make(key: string): HTMLTableRowElement {
  const row = document.createElement("tr");
  row.dataset.key = key;
  return row;
}

function write(row: HTMLTableRowElement, cells: readonly Cell[]): void {
  cells.forEach((cell, at) => {
    const { text, look } = typeof cell === "string" ? { text: cell, look: "" } : cell;
    const node = row.cells[at] ?? row.insertCell();
    if (node.textContent !== text) node.textContent = text;
    if (node.className !== look) node.className = look;
  });
}

/** A provider and one of its models, as a row. */
export interface TargetRow {
  readonly provider: Provider;
  readonly model: string;
  readonly cells: readonly Cell[];
}

/** A row for each model that was called lately, and one for each provider that was not. */
export function targetRows(
  providers: readonly Provider[],
  figures: (name: string) => string[],
): TargetRow[] {
  return providers.flatMap((provider) => {
    const { name, dialect, address, targets } = provider;
    const head: Cell[] = [
      { text: name, look: "strong" },
      dialect,
      { text: address ?? "built in", look: "soft" },
    ];
    const of = figures(name);
    if (targets.length === 0) {
      return [
        {
          provider,
          model: "",
          cells: [...head, "–", { text: "not called yet", look: "soft" }, "0", ...of],
        },
      ];
    }
    return targets.map((target, at) => ({
      provider,
      model: target.model,
      cells: [
        ...(at === 0 ? head : ["", "", ""]),
        target.model,
        breaker(target.breaker, target.opens_in_ms),
        count(target.in_flight),
        ...(at === 0 ? of : of.map(() => "")),
      ],
    }));
  });
}

function breaker(state: string, opensInMs: number | null): Cell {
  if (state === "closed") return { text: "closed", look: "good" };
  if (state === "half_open") return { text: "half-open", look: "warn" };
  return { text: `open for ${age(opensInMs ?? 0)}`, look: "bad" };
}

/** A channel's cells. */
export function channelCells(channel: Channel): readonly Cell[] {
  const state: Cell =
    channel.running > 0
      ? { text: channel.running === 1 ? "running" : `${channel.running} running`, look: "good" }
      : { text: channel.closed ? "closed" : "open", look: "soft" };
  return [
    { text: channel.id, look: "id" },
    state,
    channel.model ?? "–",
    channel.provider ?? "–",
    `${count(channel.first_seq)}–${count(channel.last_seq)}`,
    bytes(channel.bytes),
    count(channel.viewers),
    { text: channel.running > 0 ? "now" : age(channel.idle_ms), look: "soft" },
  ];
}

/** A session's cells. */
export function sessionCells(session: Session): readonly Cell[] {
  return [
    { text: session.id, look: "id" },
    session.transport,
    count(session.subscriptions),
    count(session.frames),
    bytes(session.bytes),
    { text: age(session.age_ms), look: "soft" },
  ];
}

/** 812 B, 4.1 KiB, 3.0 MiB. */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  let [scaled, unit] = [value, 0];
  while (scaled >= 1_024 && unit < units.length - 1) [scaled, unit] = [scaled / 1_024, unit + 1];
  return `${unit === 0 ? scaled : scaled.toFixed(1)} ${units[unit]}`;
}

/** 9 s, 4 min, 2 h, 3 d. */
export function age(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
