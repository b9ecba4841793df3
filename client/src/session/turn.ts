// One step of the session's decisions while it is taken: the model that comes of it and the commands so far.

import type { Command, Episode, Handover, Heartbeat, Model, Phase, Step } from "./model.js";

/** The phases that most decisions are about. */
export type Live = Extract<Phase, { name: "live" }>;
export type Connecting = Extract<Phase, { name: "connecting" }>;

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

  get phase(): Phase {
    return this.model.phase;
  }

  know(more: Partial<Model>): void {
    this.model = { ...this.model, ...more };
  }

  enter(phase: Phase): void {
    this.know({ phase });
  }

  /** Changes the live link's heartbeat, if there is one. */
  beat(more: Partial<Heartbeat>): void {
    const { phase } = this;
    if (phase.name === "live") this.enter({ ...phase, beat: { ...phase.beat, ...more } });
  }

  say(command: Command): void {
    this.commands.push(command);
  }

  hangUp(attempt: number | undefined): void {
    if (attempt !== undefined) this.say({ type: "hangUp", attempt });
  }

  /** Hangs up whatever there is. */
  hangUpAll(): void {
    if (this.phase.name === "live") this.hangUp(this.phase.link);
    this.hangUp(pendingOf(this.phase)?.attempt?.id);
  }

  /** Whether anybody speaks on this link. */
  isCurrent(link: number): boolean {
    return this.isLive(link) || pendingOf(this.phase)?.attempt?.id === link;
  }

  isLive(link: number): boolean {
    return this.phase.name === "live" && this.phase.link === link;
  }
}

/** What is being tried, alone or beside a live link. */
export const pendingOf = (phase: Phase): Handover | Connecting | undefined =>
  phase.name === "connecting" ? phase : phase.name === "live" ? phase.handover : undefined;

export const episodeAt = (since: number): Episode => ({ since, unanswered: 0 });
