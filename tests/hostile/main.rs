//! Hostile and clumsy inputs against a gateway in a process of its own, over real sockets: each is refused in the right
//! way, the gateway answers others meanwhile, and its memory comes back to where it was. Prints what came of each.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its own settings and owns its own tasks"
)]

mod doors;
mod floods;
mod gateway;
mod http;
mod sessions;
mod tokens;
mod webtransport;

use std::time::{Duration, Instant};

use doors::Doors;
use gateway::Gateway;

/// What was tried, what should have come of it, what did, and whether the gateway was well afterwards.
struct Table<'a> {
    gateway: &'a Gateway,
    count: usize,
    wrong: usize,
    since: Instant,
}

impl Table<'_> {
    /// Notes what came of an input; `expected` is one of several that would do, with `|` in between.
    fn note(&mut self, input: impl Into<String>, expected: &str, got: impl Into<String>) {
        let got: String = got.into();
        let right =
            expected.split('|').any(|one| got == one || got.starts_with(&format!("{one}:")));
        let healthy = self.gateway.is_healthy();
        let mark = if right && healthy { ' ' } else { '!' };
        let (input, got): (String, String) = (input.into(), got.chars().take(40).collect());
        let took = self.since.elapsed().as_millis();
        println!("{mark}{input:<57} {expected:<28} {got:<40} {healthy:<8} {took:>6} ms");
        self.since = Instant::now();
        self.count += 1;
        self.wrong += usize::from(!right || !healthy);
    }
}

/// Everything, once. Gives how many inputs there were.
fn try_all(gateway: &Gateway, doors: &Doors) -> usize {
    println!(" {:<57} {:<28} {:<40} healthy", "input", "expected", "got");
    let mut table = Table { gateway, count: 0, wrong: 0, since: Instant::now() };
    http::try_all(&mut table);
    tokens::try_all(&mut table);
    sessions::try_all(&mut table);
    webtransport::try_all(&mut table);
    doors.try_all(&mut table);
    floods::try_all(&mut table);
    assert_eq!(table.wrong, 0, "the marked ones are not as they should be");
    table.count
}

#[test]
fn every_hostile_input_is_refused_and_the_gateway_stays_well() {
    let files = floods::raise_file_limit();
    let (gateway, doors) = (Gateway::start(), Doors::open());
    floods::warm_up(&gateway);
    let inputs = try_all(&gateway, &doors);
    let once = gateway.settled_memory();
    try_all(&gateway, &doors);
    let twice = gateway.settled_memory();
    println!(
        "{inputs} inputs; {files} files; memory: {once} KiB before, {twice} KiB after all of it again"
    );
    assert!(inputs >= 60, "{inputs}");
    assert!(twice <= once + once / 10 + 4_096, "it grew from {once} to {twice} KiB");
    gateway.stop(Duration::from_secs(20));
    doors.close(Duration::from_secs(20));
}
