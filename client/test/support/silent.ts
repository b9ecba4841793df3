// Says too little, so that docs.test.ts has something to find.

export interface Quiet {
  readonly member: string;
}

/** Says what it is. */
export interface Told {
  readonly member: string;
  /** And what this is. */
  readonly other: string;
}
