// Chromium's trace of what its threads did, as far as a trial asks: how long each task of a page's main thread had the CPU.

import type { Page } from "./browser.js";
import type { Exchange } from "./exchange.js";

/** A line of a trace; a task has how much of the CPU's time it had, in microseconds. */
interface Line {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly tdur?: number;
}

const CATEGORIES = ["toplevel", "blink.user_timing"];
const TASK = "ThreadControllerImpl::RunTask";

/** The tasks of each page's main thread while `work` is done: milliseconds of CPU time, in no order. */
export async function tasksOf(
  devtools: Exchange,
  pages: readonly Page[],
  work: () => Promise<void>,
): Promise<number[][]> {
  const lines: Line[] = [];
  const complete = new Promise<void>((resolve) => {
    devtools.on("Tracing.dataCollected", ({ value }) => lines.push(...(value as Line[])));
    devtools.on("Tracing.tracingComplete", () => resolve());
  });
  await devtools.send("Tracing.start", {
    transferMode: "ReportEvents",
    traceConfig: { includedCategories: CATEGORIES, excludedCategories: ["*"] },
  });
  // A mark tells whose thread it is.
  const marks = pages.map((_, at) => `trial: page ${at}`);
  await Promise.all(
    pages.map((page, at) => page.evaluate((mark) => void performance.mark(mark), marks[at] ?? "")),
  );
  await work();
  await devtools.send("Tracing.end");
  await complete;
  return marks.map((mark) => {
    const here = lines.find(({ name }) => name === mark);
    return (
      lines
        .filter(({ name, pid, tid }) => name === TASK && pid === here?.pid && tid === here.tid)
        // One that had not ended has none.
        .flatMap(({ tdur }) => (tdur === undefined ? [] : tdur / 1_000))
    );
  });
}
