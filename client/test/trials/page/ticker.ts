// A page that only counts its timer's ticks and animation frames, and the longest time without a tick.

declare global {
  interface Window {
    ticker?: { frames: number; longest: number };
  }
}

const ticker = { frames: 0, longest: 0 };
window.ticker = ticker;
let last = performance.now();
setInterval(() => {
  ticker.longest = Math.max(ticker.longest, performance.now() - last);
  last = performance.now();
}, 20);
const frame = (): void => {
  ticker.frames += 1;
  requestAnimationFrame(frame);
};
requestAnimationFrame(frame);

export {};
