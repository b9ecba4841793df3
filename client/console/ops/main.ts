// The operator's screen: what the gateway does now, and what it did in the last five minutes.

import { byId, count, duration, say } from "../dom.js";
import { theme } from "../theme.js";
import { Chart, type Line, type Look } from "./chart.js";
import { config, KeyWanted, metrics, type State, state, useKey } from "./gateway.js";
import { History, type Point } from "./history.js";
import { by, type Sample, sum } from "./openmetrics.js";
import { age, bytes, channelCells, fill, sessionCells, targetRows } from "./tables.js";
import { TimelinePanel } from "./timeline.js";

/** How often it looks. */
const EVERY_MS = 1_000;

theme();
const history = new History();
const timeline = new TimelinePanel();
const search = byId("search", HTMLInputElement);
const ms = (value: number): string => duration(value);
const plain = (value: number): string =>
  count(value < 100 ? Math.round(value * 10) / 10 : Math.round(value));
const chart = (id: string, look: Look): Chart => new Chart(byId(id, HTMLElement), look, point);
const charts = {
  tokens: chart("chart-tokens", { format: plain }),
  first: chart("chart-first", { format: ms }),
  gap: chart("chart-gap", { format: ms }),
  sessions: chart("chart-sessions", { format: plain, stacked: true }),
  resumes: chart("chart-resumes", { format: plain, stacked: true }),
  lag: chart("chart-lag", { format: ms }),
};

/** What is pointed at in one chart is told by all. */
function point(back: number | undefined): void {
  for (const one of Object.values(charts)) one.point(back);
}

function line(name: string, of: (point: Point) => number | undefined): Line {
  return { name, values: history.points.map(of) };
}

function stackOf(
  names: readonly string[],
  of: (point: Point) => ReadonlyMap<string, number>,
): Line[] {
  return names.map((name) => line(name, (point) => of(point).get(name) ?? 0));
}

function draw(): void {
  charts.tokens.draw([line("tokens/s", (point) => point.tokens)]);
  charts.first.draw([
    line("p50", (point) => point.firstP50),
    line("p95", (point) => point.firstP95),
  ]);
  charts.gap.draw([
    line("p50", (point) => point.gapP50),
    line("p95", (point) => point.gapP95),
    line("p99", (point) => point.gapP99),
  ]);
  charts.sessions.draw(stackOf(["webtransport", "websocket", "sse"], (point) => point.sessions));
  charts.resumes.draw(
    stackOf(["continued", "snapshot", "rewound", "refused"], (point) => point.resumes),
  );
  charts.lag.draw([line("p50", (point) => point.lagP50), line("p99", (point) => point.lagP99)]);
}

function tiles(now: Point): void {
  const shown: Record<string, string> = {
    "tile-tokens": count(Math.round(now.tokens)),
    "tile-running": count(now.running),
    "tile-first": now.firstP50 === undefined ? "–" : ms(now.firstP50),
    "tile-gap": now.gapP99 === undefined ? "–" : ms(now.gapP99),
    "tile-sessions": count([...now.sessions.values()].reduce((all, one) => all + one, 0)),
    "tile-subscriptions": count(now.subscriptions),
    "tile-failed": `${plain(now.failed)}/s`,
    "tile-log": bytes(now.logBytes),
    "tile-memory": bytes(now.memoryBytes),
  };
  for (const [id, text] of Object.entries(shown)) say(byId(id, HTMLElement), text);
  byId("tile-failed", HTMLElement).dataset.bad = `${now.failed > 0}`;
}

function tables(now: State, samples: readonly Sample[]): void {
  const rows = targetRows(now.providers, (provider) => [
    count(sum(samples, "tokenway_provider_calls_total", { provider })),
    errors(samples, provider),
  ]);
  const ofTarget = (row: (typeof rows)[number]): string => `${row.provider.name}/${row.model}`;
  fill(byId("providers", HTMLTableSectionElement), rows, ofTarget, (row) => row.cells);
  const { channels, sessions } = now;
  const ofChannel = (one: (typeof channels.shown)[number]): string => `${one.owner}/${one.id}`;
  fill(
    byId("channels", HTMLTableSectionElement),
    channels.shown,
    ofChannel,
    channelCells,
    (one) => {
      timeline.open(one).catch(complain);
    },
  );
  fill(byId("sessions", HTMLTableSectionElement), sessions.shown, (one) => one.id, sessionCells);
  say(byId("channel-count", HTMLElement), of(channels.shown.length, channels.count));
  say(byId("session-count", HTMLElement), of(sessions.shown.length, sessions.count));
  const pill = byId("pill", HTMLElement);
  pill.dataset.state = now.draining ? "waiting" : "live";
  say(byId("pill-text", HTMLElement), now.draining ? "Stopping" : "Serving");
  say(byId("about", HTMLElement), `${now.version}, up ${age(now.up_ms)}`);
}

function errors(samples: readonly Sample[], provider: string): string {
  const of = samples.filter((sample) => sample.labels.provider === provider);
  const kinds = [...by(of, "tokenway_provider_errors_total", "kind")].filter(
    ([, times]) => times > 0,
  );
  return kinds.length === 0
    ? "–"
    : kinds.map(([kind, times]) => `${kind} ${count(times)}`).join(", ");
}

function of(shown: number, all: number): string {
  return shown === all ? count(all) : `${count(shown)} of ${count(all)}`;
}

function complain(error: unknown): void {
  const pill = byId("pill", HTMLElement);
  const wanted = error instanceof KeyWanted;
  pill.dataset.state = "closed";
  say(byId("pill-text", HTMLElement), wanted ? "Locked" : "No answer");
  byId("lock", HTMLFormElement).hidden = !wanted;
  say(byId("lock-why", HTMLElement), error instanceof Error ? error.message : String(error));
}

async function look(): Promise<void> {
  try {
    const [samples, now] = await Promise.all([metrics(), state(search.value.trim())]);
    byId("lock", HTMLFormElement).hidden = true;
    history.add({ atMs: performance.now(), samples });
    tables(now, samples);
    const last = history.points.at(-1);
    if (last !== undefined) tiles(last);
    draw();
    await timeline.read();
  } catch (error) {
    complain(error);
    // It will not answer otherwise until somebody gives a key.
    if (error instanceof KeyWanted) return;
  }
  setTimeout(again, EVERY_MS);
}

/** Nobody sees a hidden page: the gateway is spared. */
function again(): void {
  if (document.visibilityState === "visible") void look();
  else document.addEventListener("visibilitychange", again, { once: true });
}

byId("lock", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key", HTMLInputElement).value);
  void look();
});
byId("config", HTMLDetailsElement).addEventListener("toggle", (event) => {
  if (event.target instanceof HTMLDetailsElement && event.target.open) {
    config().then((text) => say(byId("config-text", HTMLElement), text), complain);
  }
});
void look();
