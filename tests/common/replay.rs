//! Bytes as a provider sends them, cut as a network cuts them, and the events they become.

use bytes::Bytes;
use rand::{Rng, rngs::StdRng};
use tokenway::{
    dialect::{Dialect, Ending, Flow, Wire},
    event::{Event, Failed, FailureCode, Kind, Started},
    provider::sse::Item,
};

/// The generation whose id made-up ids derive from.
pub(crate) const GENERATION: &str = "gen_AAAAAAAAAAAAAAAAAAAAAA";

/// The events of a stream whose bytes arrive as `chunks`.
pub(crate) fn decode(
    dialect: Dialect,
    content_type: &str,
    chunks: impl IntoIterator<Item = Bytes>,
) -> Vec<Event> {
    decode_as(GENERATION, dialect, content_type, chunks)
}

/// The same, of a generation with this id.
pub(crate) fn decode_as(
    generation: &str,
    dialect: Dialect,
    content_type: &str,
    chunks: impl IntoIterator<Item = Bytes>,
) -> Vec<Event> {
    let mut framing = dialect.framing(content_type).expect("a stream's content type");
    let mut decoder = dialect.decoder(generation);
    let mut out = Vec::new();
    for chunk in chunks {
        framing.push(chunk);
        loop {
            let payload = match framing.next() {
                Ok(Some(Item::Payload(payload))) => payload,
                Ok(Some(Item::Comment)) => continue,
                Ok(None) => break,
                Err(error) => {
                    let failed = Failed::new(FailureCode::UpstreamError, error.to_string());
                    decoder.finish(Ending::Stopped(failed), &mut out);
                    return out;
                }
            };
            if decoder.decode(&payload, &mut out).flow == Flow::Ended {
                decoder.finish(Ending::Terminator, &mut out);
                return out;
            }
        }
    }
    let mut ending = Ending::Eof;
    if let Some(payload) = framing.finish()
        && decoder.decode(&payload, &mut out).flow == Flow::Ended
    {
        ending = Ending::Terminator;
    }
    decoder.finish(ending, &mut out);
    out
}

/// A generation's first event, which its decoder does not say.
pub(crate) fn started(dialect: Dialect) -> Event {
    Event::new(Kind::Started(Started {
        id: GENERATION.into(),
        model: "fast".into(),
        provider: "p".into(),
        dialect: dialect.as_str().into(),
        created_ms: 1_790_000_000_000,
        ..Started::default()
    }))
}

/// What an app reads, one chunk for each payload.
pub(crate) fn framed(wires: &[Wire]) -> Vec<Bytes> {
    let name = |wire: &Wire| match wire.name {
        "" => String::new(),
        name => format!("event: {name}\n"),
    };
    let frame = |wire| [name(wire).as_bytes(), b"data: ", &wire.data[..], b"\n\n"].concat().into();
    wires.iter().map(frame).collect()
}

/// `body` cut before each of `places`.
pub(crate) fn cut(body: &Bytes, mut places: Vec<usize>) -> Vec<Bytes> {
    places.extend([0, body.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| body.slice(pair[0]..pair[1])).collect()
}

/// Up to `most` random places in `body`.
pub(crate) fn places(body: &Bytes, most: usize, random: &mut StdRng) -> Vec<usize> {
    let count = random.random_range(0..=body.len().min(most));
    (0..count).map(|_| random.random_range(0..=body.len())).collect()
}
