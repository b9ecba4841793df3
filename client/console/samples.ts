// Prompts for somebody who has none, and so that many at once are not all the same.

export const SAMPLES: readonly string[] = [
  "Explain QUIC to a ship's captain",
  "A short story about a lighthouse that streams",
  "Compare three ways to keep a log",
  "Write a haiku in five languages",
  "Why is the first token the slowest?",
  "Plan a weekend in Lisbon with the children",
  "Draft a postmortem for a lost packet",
  "Teach me binary search with a dictionary",
  "Describe an orchestra tuning up",
  "Turn this recipe into a checklist: pancakes",
  "What would Ada Lovelace ask first?",
  "Translate a weather report into a love letter",
];

/** The n-th sample, round and round. */
export function sample(n: number): string {
  return SAMPLES[n % SAMPLES.length] ?? "";
}
