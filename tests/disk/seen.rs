//! What clients were told, and whether it still holds.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;
use serde_json::Value;

/// Everything that clients were told by all gateways on one directory.
#[derive(Default)]
pub(crate) struct World {
    channels: Mutex<HashMap<String, Channel>>,
}

/// What clients were told of one channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Channel {
    /// By seq: the event's cursor, name and data.
    pub(crate) events: BTreeMap<u64, (String, String, Value)>,
    /// The last cursor that each client held.
    pub(crate) cursors: Vec<String>,
    /// Generations that an app was told have finished, or were accepted.
    pub(crate) finished: Vec<String>,
    pub(crate) accepted: Vec<String>,
    /// What was published and acknowledged: its cursor and its data.
    pub(crate) published: Vec<(String, Value)>,
}

pub(crate) fn seq_of(cursor: &str) -> u64 {
    cursor.split_once('.').and_then(|(_, seq)| seq.parse().ok()).expect("a cursor")
}

impl World {
    pub(crate) fn of<T>(&self, channel: &str, change: impl FnOnce(&mut Channel) -> T) -> T {
        change(self.channels.lock().entry(channel.to_owned()).or_default())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.channels.lock().keys().cloned().collect();
        names.sort();
        names
    }

    /// Notes an event that a viewer was told.
    pub(crate) fn told(&self, channel: &str, cursor: &str, name: &str, data: Value) {
        self.of(channel, |channel| {
            let event = (cursor.to_owned(), name.to_owned(), data);
            let seq = seq_of(cursor);
            if let Some(before) = channel.events.get(&seq) {
                let same_epoch = before.0 == event.0;
                assert!(
                    !same_epoch || *before == event,
                    "one cursor, two events: {before:?} {event:?}"
                );
            }
            channel.events.insert(seq, event);
        });
    }

    /// Asks a gateway that has just been started for everything again. Says how many events were compared.
    /// Where the tails of all channels were proved, nobody is rewound.
    pub(crate) async fn verify(
        &self,
        http: &reqwest::Client,
        url: &str,
        name: &str,
        proved: bool,
    ) -> u64 {
        let known = self.of(name, |channel| channel.clone());
        let told = replay(http, url, name, "0").await.expect("the channel is there");
        let seqs: Vec<u64> = told.iter().map(|(cursor, ..)| seq_of(cursor)).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "{name}: seqs have no gap");
        for (seq, (cursor, event, data)) in &known.events {
            let now =
                told.get(*seq as usize - 1).unwrap_or_else(|| panic!("{name}: {cursor} is lost"));
            assert_eq!((&now.1, &now.2), (event, data), "{name}: {cursor} changed");
        }
        for (cursor, data) in &known.published {
            let now = told.get(seq_of(cursor) as usize - 1);
            let now = now.unwrap_or_else(|| panic!("{name}: {cursor}, published, is lost"));
            assert_eq!((&now.1[..], &now.2["data"]), ("custom", data), "{name}: {cursor}");
        }
        for cursor in &known.cursors {
            let after = replay(http, url, name, cursor).await;
            let after =
                after.unwrap_or_else(|status| panic!("{name}: {cursor} is refused: {status}"));
            let rest: Vec<_> = told.iter().skip(seq_of(cursor) as usize).collect();
            match after.first() {
                Some((_, event, _)) if event == "rewind" => {
                    assert!(!proved, "{name}: {cursor} is rewound for nothing");
                }
                _ => assert!(after.iter().eq(rest), "{name}: what follows {cursor}"),
            }
        }
        let state: Value = http
            .get(format!("{url}/v1/channels/{name}"))
            .send()
            .await
            .expect("it answers")
            .json()
            .await
            .expect("JSON");
        let generations = state["generations"].as_array().expect("a list");
        for generation in generations {
            let (id, state) = (generation["generation"].as_str(), generation["state"].as_str());
            let (id, state) = (id.expect("an id"), state.expect("a state"));
            assert_ne!(state, "running", "{name}: {generation}");
            if known.finished.iter().any(|it| it == id) {
                assert_eq!(state, "finished", "{name}: its app was told so");
            }
            if state == "failed" {
                assert_eq!(generation["error"]["code"], "gateway_lost", "{name}: {generation}");
            }
        }
        for id in known.finished.iter().chain(&known.accepted) {
            let there = generations.iter().any(|it| it["generation"] == id.as_str());
            assert!(there, "{name}: {id} is lost");
        }
        // From now on this is what it holds.
        for (cursor, event, data) in told {
            self.told(name, &cursor, &event, data);
        }
        known.events.len() as u64
    }
}

type Told = Vec<(String, String, Value)>;

/// Everything after a cursor, by long polls that do not wait.
pub(crate) async fn replay(
    http: &reqwest::Client,
    url: &str,
    name: &str,
    after: &str,
) -> Result<Told, reqwest::StatusCode> {
    let (mut told, mut after) = (Told::new(), after.to_owned());
    loop {
        let request = http.get(format!("{url}/v1/channels/{name}/events?after={after}&wait=0s"));
        let response = request.send().await.expect("it answers");
        if response.status() == 204 {
            return Ok(told);
        }
        if !response.status().is_success() {
            return Err(response.status());
        }
        let page: Value = response.json().await.expect("JSON");
        let events = page["events"].as_array().expect("a list");
        if events.is_empty() {
            return Ok(told);
        }
        for event in events {
            let id = event["id"].as_str().unwrap_or_default().to_owned();
            let name = event["event"].as_str().expect("a name").to_owned();
            told.push((id, name, event["data"].clone()));
        }
        after = page["cursor"].as_str().expect("a cursor").to_owned();
    }
}
