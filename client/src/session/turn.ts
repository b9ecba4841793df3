// One step of the session's decisions while it is taken: the model that comes of it and the commands so far.

import type { Command, Heartbeat, Model, Step } from "./model.js";

/** A step that is being taken. The models that it makes are values. */
export class Turn implements Step {
  model: Model;
  readonly commands: Command[] = [];
  readonly now: number;
  /** In [0, 1). */
  readonly random: number;

  constructor(model: Model, now: number, random: number) {
    this.model = model;
    this.now = now;
    this.random = random;
  }

  /** The link that is live. */
  get link(): number | undefined {
    const { phase } = this.model;
    return phase.name === "live" ? phase.link : undefined;
  }

  know(more: Partial<Model>): void {
    this.model = { ...this.model, ...more };
  }

  /** Changes the live link's heartbeat, if there is one. */
  beat(more: Partial<Heartbeat>): void {
    const { phase } = this.model;
    if (phase.name === "live") this.know({ phase: { ...phase, beat: { ...phase.beat, ...more } } });
  }

  say(command: Command): void {
    this.commands.push(command);
  }

  hangUp(attempt: number | undefined): void {
    if (attempt) this.say({ type: "hangUp", attempt });
  }

  /** Hangs up whatever there is. */
  hangUpAll(): void {
    this.hangUp(this.link);
    this.hangUp(this.model.pending?.id);
    this.know({ pending: undefined });
  }

  /** Whether anybody speaks on this link. */
  isCurrent(link: number): boolean {
    return link === this.link || link === this.model.pending?.id;
  }
}
