//! Bytes that change or are cut anywhere in the files are noticed and never served.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use proptest::{prelude::*, test_runner::TestCaseError};
use tokenway::{
    channel::{Channel, Channels, NoChannel},
    event::{Custom, Event, Kind},
    sequence::{Cursor, From},
};

use crate::scene::{Said, copy, events, is_lost, key, open, rest, say};

/// A store that a killed process left: channels on a shelf, others in the journal, and some in both.
struct Left {
    dir: tempfile::TempDir,
    said: Vec<Said>,
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one")
}

fn left() -> &'static Left {
    static LEFT: OnceLock<Left> = OnceLock::new();
    LEFT.get_or_init(|| {
        let (live, dir) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("one"));
        let said = runtime().block_on(async {
            let channels = open(live.path());
            let mut said = Vec::new();
            for id in ["shelf-1", "shelf-2"] {
                said.push(say(&channels, id, 1, 300, true).await);
            }
            rest(&channels).await;
            for (id, ends) in [("journal-1", true), ("journal-2", false), ("journal-3", true)] {
                said.push(say(&channels, id, 2, 300, ends).await);
            }
            copy(live.path(), dir.path());
            said
        });
        Left { dir, said }
    })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).expect("the store").map(|entry| entry.expect("an entry").path());
    let holds = |path: &PathBuf| fs::metadata(path).is_ok_and(|it| it.len() > 0);
    let mut files: Vec<_> = all.filter(holds).collect();
    files.sort();
    files
}

/// Whatever is served was said, and no number means two events. Says whether something is missing.
async fn check(channels: &Channels, said: &[Said]) -> Result<bool, TestCaseError> {
    channels.recover().await;
    let mut lost = false;
    for Said { key, epoch, events: all } in said {
        let channel = match channels.find(key).await {
            Ok(channel) => channel,
            Err(NoChannel::Unknown | NoChannel::Store(_)) => {
                lost = true;
                continue;
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let now = events(&channel);
        let same = now.iter().zip(all).take_while(|(now, then)| now == then).count();
        prop_assert!(now[same..].iter().all(is_lost), "{}: {:?}", key.id, &now[same..]);
        prop_assert_eq!(channel.status().running, 0);
        if same < all.len() {
            lost = true;
            prop_assert_ne!(channel.epoch(), *epoch, "{}: a number means two events", key.id);
        }
    }
    Ok(lost)
}

#[test]
fn what_was_left_untouched_is_all_there_in_its_epoch() {
    let left = left();
    let dir = tempfile::tempdir().expect("one");
    copy(left.dir.path(), dir.path());
    runtime().block_on(async {
        let channels = open(dir.path());
        assert_eq!(channels.recover().await, 1);
        for Said { key, epoch, events: all } in &left.said {
            let channel = channels.find(key).await.expect("it is there");
            let now = events(&channel);
            assert_eq!((&now[..all.len()], channel.epoch()), (&all[..], *epoch), "{}", key.id);
            assert!(now[all.len()..].iter().all(is_lost));
        }
        let unfinished = channels.find(&key("journal-2")).await.expect("it is there");
        assert!(events(&unfinished).last().is_some_and(is_lost));
        assert_eq!((channels.health().cuts, channels.health().damages), (0, 0));
    });
}

/// A channel that was cut where it is damaged goes on in a new epoch. What the journal still holds of what was cut off is not
/// taken for what was said since.
#[test]
fn what_was_said_after_a_cut_is_not_mistaken_for_what_was_cut_off() {
    let (live, left) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("one"));
    runtime().block_on(async {
        let note = |text: String| {
            Event::new(Kind::Custom(Custom { kind: text, data: (&b"1"[..]).into() }))
        };
        let publish = async |channel: &std::sync::Arc<Channel>, texts: &str, count: usize| {
            let mut notes = Vec::new();
            for n in 0..count {
                let event = note(format!("{texts}-{n:0>90}"));
                let Kind::Custom(custom) = event.kind.clone() else { unreachable!("it is one") };
                channel.publish(custom).expect("room");
                notes.push(event);
            }
            channel.shown(channel.status().last_seq.max(count as u64)).await;
            notes
        };
        let channels = open(live.path());
        let channel = channels.open(key("chat")).await.expect("it opens");
        let before = channel.epoch();
        // More than one part of a shelf's.
        let old = publish(&channel, "old", 400).await;
        drop(channel);
        rest(&channels).await;
        let shelf = files(live.path())
            .into_iter()
            .rfind(|it| it.extension().is_some_and(|it| it == "shelf"));
        let shelf = shelf.expect("it is at rest");
        let mut bytes = fs::read(&shelf).expect("it is there");
        let at = bytes.len() - 100;
        bytes[at] ^= 1;
        fs::write(&shelf, bytes).expect("it can be written");

        let channel = channels.find(&key("chat")).await.expect("its beginning is there");
        let cut = events(&channel).len();
        assert!(cut > 0 && cut < 400 && events(&channel) == old[..cut]);
        assert_ne!(channel.epoch(), before);
        let cursor = Cursor { epoch: channel.epoch(), seq: cut as u64 };
        let new = publish(&channel, "new", cut + 3).await;
        let all: Vec<Event> = old[..cut].iter().chain(&new).cloned().collect();
        channel.shown(all.len() as u64).await;
        assert!(events(&channel) == all);
        copy(live.path(), left.path());

        let channels = open(left.path());
        let channel = channels.find(&key("chat")).await.expect("it is there");
        assert!(events(&channel) == all, "what was said last holds");
        assert_eq!(channel.epoch(), cursor.epoch);
        assert_eq!(channel.read(From::Cursor(cursor)).expect("known").seq(), cut as u64);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_byte_that_changes_anywhere_is_noticed_and_never_served(at in 0f64..1.0, change in 1u8..=255) {
        let left = left();
        let dir = tempfile::tempdir().expect("one");
        copy(left.dir.path(), dir.path());
        let files = files(dir.path());
        let all: u64 = files.iter().map(|it| fs::metadata(it).expect("it is there").len()).sum();
        let mut at = (at * all as f64) as usize;
        for file in files {
            let mut bytes = fs::read(&file).expect("it is there");
            if at < bytes.len() {
                bytes[at] ^= change;
                fs::write(&file, bytes).expect("it can be written");
                break;
            }
            at -= bytes.len();
        }
        runtime().block_on(async {
            let channels = open(dir.path());
            let lost = check(&channels, &left.said).await?;
            let health = channels.health();
            prop_assert!(!lost || health.cuts + health.damages > 0, "nothing was told");
            Ok::<(), TestCaseError>(())
        })?;
    }

    #[test]
    fn what_a_machine_that_failed_did_not_keep_changes_the_epoch(of: prop::sample::Index, keeps in 0f64..1.0) {
        let left = left();
        let dir = tempfile::tempdir().expect("one");
        copy(left.dir.path(), dir.path());
        // Of another run of the machine.
        fs::write(dir.path().join("proof"), "another").expect("it can be written");
        let files = files(dir.path());
        let file = fs::File::options().write(true).open(of.get(&files)).expect("it is there");
        let length = file.metadata().expect("it is there").len();
        file.set_len((keeps * length as f64) as u64).expect("it is cut");
        runtime().block_on(check(&open(dir.path()), &left.said))?;
    }
}
