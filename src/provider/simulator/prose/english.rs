//! The English phrasebook.

pub(super) const OPENINGS: [&str; 7] = [
    "Let me {begin|start} with what {travels|moves}.",
    "{Gladly|With pleasure}.",
    "A {good|fair} question, and {an old one|older than the web}.",
    "{Short answer|In one line}: {nothing is lost|every word arrives once}. The long answer is {nicer|more fun}.",
    "{Imagine|Picture} a {station|harbour} at {night|first light}.",
    "It {helps|pays} to {look at|watch} one {word|token} at a time.",
    "Sure! ✨",
];

pub(super) const TITLES: [&str; 16] = [
    "What the {log|river} remembers",
    "{After|Through} the tunnel",
    "A number for every word",
    "Two screens, one {text|voice}",
    "The reader who {went away|closed the lid}",
    "Where {the gap|silence} begins",
    "{Slow|Patient} readers",
    "Letters from {the middle|the far shore}",
    "The {last|smallest} thing it said",
    "How to {come back|return}",
    "The tide and the gauge",
    "Nobody {holds|stops} the water",
    "{Once|Exactly once}, in order",
    "The {lamp|light} on the second pier",
    "What the ferryman {counts|writes}",
    "Everything up to {here|this line}",
];

pub(super) const SENTENCES: [&str; 40] = [
    "A {word|token} leaves the model {once|only once}, and from that moment it has {a number|a place of its own}.",
    "{Nobody|No reader} has to be there when it arrives: the log {keeps|holds} it for whoever comes {later|back}.",
    "Think of {a river and its gauge|a tide table|a ship's log}: the water moves on, the mark stays.",
    "When the {train|lift|ferry} goes into the {tunnel|dark}, the phone falls silent.",
    "When it {comes out again|sees the sky}, it says one thing only: *{I have seen up to 217|217 was my last|after 217, please}*.",
    "And {the answer|what follows} begins at 218, {as if nothing had happened|in the middle of the sentence}.",
    "{Silence|A pause} is not an ending; an ending is something that is **said**.",
    "A stream that {breaks off|stops} without a {last word|farewell} has *failed*, and everyone who {reads|listens} is told so.",
    "{Two|Three} screens show the same {text|sentence}, because there is only one {text|sentence}.",
    "A slow reader {delays|disturbs} no one: it {falls behind|takes its time}, and {later takes bigger slices|catches up in one gulp}.",
    "The {laptop|lid} closes, the {kettle|coffee} {boils|cools}, the {thought|generation} goes on.",
    "On the other side of the {city|ocean}, {a second window|an old tablet} opens and {reads along|joins in} from the first word.",
    "What is written {never changes|stays written}; what is not yet written {cannot be lost|has no number}.",
    "{Batching|Waiting a little} is a courtesy: sixteen milliseconds, one {frame|breath}, one {write|wave}.",
    "The first {word|token} never waits; it {leaves|runs} at once, because someone is {looking at an empty page|waiting for a sign}.",
    "You can {measure|count} it: gaps, {zero|none}; duplicates, {zero|none}; {patience|goodwill}, plenty.",
    "In the {café|library} the wireless {sighs|blinks} and {gives up|wanders off}; the phone finds {another network|a mast on the hill} and asks again.",
    "A {cursor|bookmark} is {a small thing|eight letters and a number}, yet it {holds|carries} the whole {way back|journey}.",
    "The {ferryman|lighthouse keeper} does not ask {who you are|why you left}, only {how far you had read|which line was your last}.",
    "{Naïve|Hasty} clients {start again|ask for everything}; {patient|careful} ones {ask for the rest|turn to the right page}.",
    "Some {letters|signs} are made of {several|many} parts, like e\u{301} or 👩🏽‍🚀, and {even they|they too} {arrive whole|stay together}.",
    "The log is the {waist|narrow part} of the hourglass: whatever {pours in|arrives} above, it {leaves|runs out} below in the same order.",
    "{Every|Each} {wave|packet} that is lost {costs|takes} one {frame|blink}, not the whole {evening|conversation}.",
    "It is {surprisingly|wonderfully} {quiet|calm} here when {nothing is missing|everything has its number}.",
    "The {old|former} keeper left; the {new|next} one opened {a fresh volume|a new book}, and wrote on its first page {where the old one ends|what may be trusted}.",
    "{Ask|Try} it: pull the plug, count to {three|five}, and put it back.",
    "{By then|Meanwhile} the {sentence|story} had gone on for {forty|two hundred} {words|tokens}, and all of them were {waiting at the door|still warm}.",
    "A {snapshot|summary} is what you give to {those who come too late|a guest who missed the first act}: everything so far, then the rest {live|as it happens}.",
    "{Cancel|Stop} and {leave|goodbye} are different words; {it is a kindness|it matters} to keep them apart.",
    "Text is {cheap|light}; {trust|attention} is not.",
    "{Rain|Snow} fell on the {antenna|harbour} and nobody {noticed|minded}. 🌧️",
    "There is a {small|brass} bell at the end of every {answer|page}, and it {always rings|is never left out}. 🔔",
    "On {Tuesday|a clear night} the signal reached as far as {the islands|Ålesund|Þórshöfn}.",
    "The {gulls|cranes} over the {pier|yard} {argued|talked} about it until {dusk|the lamps were lit}.",
    "One {reader|passenger} reads at 500 ms, another at 16; they {nod|smile} at the same {joke|line}, {almost|nearly} together.",
    "If the {shelf|memory} is full, the oldest {pages|chapters} are folded, not {torn|thrown away}.",
    "Order is {the whole trick|what remains}: 1, 2, 3, {and so on|without a gap}.",
    "A good {gateway|pier} {disappears|is not noticed}: you {see|remember} only the {ships|words}.",
    "The {clock|timer} {ticks|beats} once for all {subscriptions|readers} of a session, and one {push|breath} carries everything.",
    "Then the {model|voice} {pauses|hesitates}, {as if|perhaps because} it had {seen|heard} something {outside|beautiful}. 👀",
];

pub(super) const THOUGHTS: [&str; 16] = [
    "The user {wants|asks for} {an explanation|something clear}; let me {think|work it out} {first|step by step}.",
    "What would be {lost|at stake} if the connection {broke|dropped} right {here|now}?",
    "{Hmm|Wait}, {not quite|let me check that}: the {number|seq} must be given *before* anyone {reads|sees} it.",
    "So the {order|sequence} is: {write|append}, then {tell|deliver}.",
    "An {example|image} would help; {a ferry|a tunnel|a tide gauge}, {perhaps|maybe}.",
    "I should {avoid|not use} jargon, and keep it {short|kind}.",
    "Counting {again|once more}: 1, 2, 3 … no gap.",
    "{Is|Could} there be an edge case with {two|several} writers? {Yes|Then}: the {epoch|volume} changes.",
    "{Good|Right}, that {settles|decides} the {middle|structure}.",
    "Now the {ending|tone}: {calm|warm}, with a {small|light} smile.",
    "Let me {compare|weigh} both {ways|options}: starting over is {simple|easy} but {rude|wasteful}; resuming is {better|right}.",
    "The {table|list} might be {clearer|easier to read} than {prose|a long paragraph} here.",
    "{Actually|In fact}, the reader {needs|wants} only one {fact|promise}: nothing twice, nothing missing.",
    "{Checking|Testing} it with {217|the last cursor}: the next one is {218|one more}. ✓",
    "{Also|And} mention {slow readers|the second screen}.",
    "{Enough|That is enough}; time to {write|answer}.",
];

pub(super) const QUOTES: [&str; 6] = [
    "“{Write it down|Number it}, and {then|only then} {say|tell} it.” — *the keeper's first rule*",
    "“I was {gone|away} for {a minute|one stop}. I missed {nothing|not a comma}.”",
    "“The sea does not {repeat|explain} itself, but the log {can|does}.”",
    "“{Tell|Show} me the last line you {saw|have}, and I will {find|give} you the next.”",
    "“A {gap|hole} you are told of is {a fact|information}; one you are not told of is {a lie|a bug}.”",
    "“{Slow|Late} is not {lost|wrong}.” — {a reader on the 23:40|graffiti on pier two}",
];

pub(super) const POINTS: [&str; 12] = [
    "**{Number|Count}** every {word|event} before it is {shown|sent}.",
    "**Keep** it {a while|ten minutes} after the end; {people|readers} come back.",
    "**Resume** from the last {number|line} seen, {never|not} from the {beginning|top}.",
    "**Say** how it ended: `finished` or `failed`, {nothing else|no third way}.",
    "**Never** let a slow reader {slow|hold up} the writer.",
    "**Batch** by {the frame|16 ms}, but let the first {token|word} {run|go at once}.",
    "**Detach** when the {lid|window} closes; **cancel** only when {asked|told}.",
    "**Fold** what is old, {so that|and then} late {guests|readers} get a snapshot.",
    "**Check** for {gaps|duplicates}; {expect|find} none. ✅",
    "**Race** the fast road and the {safe|old} one, and {take|keep} whichever {opens|answers} first.",
    "**Share** one {text|log} among {all screens|every device}.",
    "**Watch** the {clock|first token}: silence has {four|several} kinds of timeout.",
];

pub(super) const CLOSINGS: [&str; 7] = [
    "{That is all|And that is the whole secret}: one log, many readers, nothing {lost|twice}. 🌊",
    "Pull the plug now, if you {like|dare}; I will {be here|wait}. 🔌",
    "Thank you for {reading|staying} to the last {word|token}. 👋🏽",
    "The rest is {silence|weather}, and this time it was {announced|intended}. 🕯️",
    "From all of us, the whole {family|crew}: 👨‍👩‍👧‍👦 {good night|safe travels}.",
    "{Shall I|Want me to} go on? I {know|have} {another|one more} {story|page}. 📖",
    "End of the {page|line}. The bell {rings|has rung}. 🔔",
];

pub(super) const PLACES: [&str; 8] = [
    "tunnel 🚇",
    "café ☕",
    "ferry ⛴️",
    "lift",
    "island 🏝️",
    "night train 🌙",
    "stadium",
    "kitchen",
];

/// Not templates: braces mean what they mean.
pub(super) const CODE: [&str; 5] = [
    "```rust\nlet mut reader = channel.reader(cursor);\nwhile let Some(frame) = reader.next().await {\n    \
     screen.append(frame.text());   // in order, each once\n    cursor = frame.end();\n}\n```",
    "```ts\nfor await (const event of channel.events({ after: cursor })) {\n  render(event.text); // 👀\n  \
     cursor = event.cursor;\n}\n```",
    "```python\nstream = client.chat.completions.create(model=\"chat\", messages=messages, stream=True)\nfor chunk \
     in stream:\n    print(chunk.choices[0].delta.content or \"\", end=\"\", flush=True)\n```",
    "```sh\n$ curl -N localhost:8080/v1/channels/chat-42/events?after=9f3a6c1e.217\nid: 9f3a6c1e.218\nevent: text\n\
     data: {\"seq\":218,\"text\":\" again\"}\n```",
    "```json\n{ \"channel\": \"chat-42\", \"epoch\": \"9f3a6c1e\", \"first_seq\": 1, \"last_seq\": 217 }\n```",
];
