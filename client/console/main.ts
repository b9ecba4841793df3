// The console: composes its parts. `?channel=ID` shows that channel alone, `?transport=websocket` does without
// WebTransport.

import { connect, websocket } from "../src/index.js";
import { models } from "./api.js";
import { bar } from "./bar.js";
import { composer } from "./composer.js";
import { Deck } from "./deck.js";
import { KeyWanted, lock, tokens } from "./key.js";
import { probe } from "./probe.js";
import { theme } from "./theme.js";

const query = new URLSearchParams(location.search);
const alone = query.get("channel");

const client = connect({
  url: location.origin,
  ...tokens(),
  ...(query.get("transport") === "websocket" ? { transports: [websocket] } : {}),
});

theme();
const deck = new Deck(client, alone === null);
deck.onfigures = bar(client);
probe(client, deck);
const known = models();
known.catch((error: unknown) => {
  if (error instanceof KeyWanted) lock(error.message);
});
if (alone === null) {
  composer(deck, known);
  deck.restore();
} else {
  document.documentElement.classList.add("solo");
  const card = deck.show({ channel: alone, title: "", model: "", generation: "" });
  card.ontitle = (title) => {
    document.title = `${title} · Tokenway`;
  };
}
