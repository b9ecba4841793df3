import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { peek, renamed } from "./alias.js";
import { ChannelEvent } from "./event.js";
import { Frame } from "./frame.js";
import { WireError } from "./protobuf.js";

const alias = fc.integer({ min: 1, max: 4_294_967_295 });
const news: fc.Arbitrary<Partial<Frame>> = fc.oneof(
  fc.record({
    firstSeq: fc.nat(),
    events: fc.array(
      fc.string().map((text) => ChannelEvent.create({ text })),
      { minLength: 1 },
    ),
  }),
  fc.record({ lastSeq: fc.nat() }).map(({ lastSeq }) => ({
    news: { case: "end" as const, value: { reason: "complete" as const, lastSeq } },
  })),
  fc.record({ validThrough: fc.nat() }).map(({ validThrough }) => ({
    news: {
      case: "rewind" as const,
      value: { previousEpoch: "0000000a", validThrough, epoch: "0000000b" },
    },
  })),
);

describe("a frame that is passed on", () => {
  it("tells its alias and whether it ends its subscription, and is the same under another alias", () => {
    fc.assert(
      fc.property(alias, alias, news, (before, after, said) => {
        const frame = Frame.create({ alias: before, ...said });
        const bytes = Frame.encode(frame);
        const ends = said.news?.case === "end";
        expect(peek(bytes)).toEqual({ alias: before, ends });
        const copy = renamed(bytes, after);
        expect(Frame.decode(copy)).toEqual({ ...frame, alias: after });
      }),
    );
  });

  it("is refused where it is no frame", () => {
    expect(() => peek(Uint8Array.of(0x08))).toThrow(WireError);
    expect(() => peek(Uint8Array.of(0x1a, 9, 1))).toThrow(WireError);
  });
});
