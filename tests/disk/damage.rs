//! Bytes that change or are cut anywhere in the files are noticed and never served.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use proptest::{prelude::*, test_runner::TestCaseError};
use tokenway::{
    channel::{Channel, Channels, NoChannel, Step},
    event::{Custom, Event, Kind},
    sequence::{Cursor, Epoch, From},
};

use crate::scene::{Said, copy, events, is_lost, key, open, open_with, quiet, rest, say};

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
            // Of one channel the journal tells more than the shelf: said by a process that is gone, and by one that is not.
            for (id, ends) in [("journal-1", true), ("journal-2", false), ("journal-3", true)] {
                said.push(say(&channels, id, 2, 300, ends).await);
            }
            let Said { key, epoch, mut events } = said.remove(0);
            let channel = channels.find(&key).await.expect("it is at rest");
            for n in 0..200 {
                let note = Custom { kind: format!("note-{n:0>90}"), data: (&b"1"[..]).into() };
                channel.publish(note.clone()).expect("room");
                events.push(Event::new(Kind::Custom(note)));
            }
            channel.shown(events.len() as u64).await;
            said.push(Said { key, epoch, events });
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
        quiet(&channel).await;
        let now = events(&channel);
        let same = now.iter().zip(all).take_while(|(now, then)| now == then).count();
        prop_assert!(now[same..].iter().all(is_lost), "{}: {:?}", key.id, &now[same..]);
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
        let publish = async |channel: &Arc<Channel>, texts: &str, count: usize| {
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

/// A store whose `shelf` channel was put on a shelf twice, the second time with half of it lost; and what was said by then.
async fn twice(live: &Path) -> ([Vec<Event>; 2], Epoch) {
    let channels = open_with(live, 64);
    let first = say(&channels, "shelf", 1, 200, true).await;
    rest(&channels).await;
    let shelves = || {
        let all = files(live).into_iter();
        let shelves = all.filter(|it| it.extension().is_some_and(|it| it == "shelf"));
        let length = |it: &PathBuf| fs::metadata(it).expect("it is there").len();
        shelves.filter(|it| length(it) > 64).collect::<Vec<_>>()
    };
    let old = shelves().pop().expect("it is at rest");
    let bytes = fs::read(&old).expect("it is there");
    let channel = channels.find(&key("shelf")).await.expect("it is at rest");
    let mut all = first.events.clone();
    for n in 0..200 {
        let note = Custom { kind: format!("note-{n:0>90}"), data: (&b"1"[..]).into() };
        channel.publish(note.clone()).expect("room");
        all.push(Event::new(Kind::Custom(note)));
    }
    channel.shown(all.len() as u64).await;
    drop(channel);
    let journal: Vec<_> = files(live)
        .into_iter()
        .filter(|it| it.extension().is_some_and(|it| it == "journal"))
        .map(|it| (fs::read(&it).expect("it is there"), it))
        .collect();
    rest(&channels).await;
    let new = shelves().pop().expect("it is at rest");
    assert_ne!(new, old);
    // As before anything was freed: that is done only once the newest is safe.
    fs::write(&old, bytes).expect("it can be written");
    for (bytes, path) in journal {
        fs::write(path, bytes).expect("it can be written");
    }
    let mut bytes = fs::read(&new).expect("it is there");
    let half = bytes.len() / 2;
    bytes[half..].fill(0);
    fs::write(new, bytes).expect("it can be written");
    ([first.events, all], first.epoch)
}

/// How much a reader with a cursor of an earlier epoch is told to keep; `None`: its epoch goes on.
fn kept_of(channel: &Arc<Channel>, cursor: Cursor) -> Option<u64> {
    let mut reader = channel.read(From::Cursor(cursor)).expect("the epoch is known");
    match reader.step() {
        Step::Rewind { past, .. } => Some(past.valid_through),
        _ => None,
    }
}

/// A machine that failed may have kept of a blob what it says of itself and not its events.
#[test]
fn what_takes_a_blobs_place_holds_only_where_it_can_be_read() {
    let (live, left) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("one"));
    runtime().block_on(async {
        let ([_, all], epoch) = twice(live.path()).await;
        copy(live.path(), left.path());
        let channels = open(left.path());
        let channel = channels.find(&key("shelf")).await.expect("it is there");
        assert!(events(&channel) == all, "the journal has what the newest blob has not");
        assert_eq!(channel.epoch(), epoch);
    });
}

/// The same without the journal: what can be read is the older blob, and the newest tells that more was said.
#[test]
fn an_older_blob_does_not_pass_for_all_that_was_said() {
    let (live, left) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("one"));
    runtime().block_on(async {
        let ([old, _], epoch) = twice(live.path()).await;
        copy(live.path(), left.path());
        for file in files(left.path()) {
            if file.extension().is_some_and(|it| it == "journal") {
                fs::remove_file(file).expect("it can be deleted");
            }
        }
        let channels = open(left.path());
        let channel = channels.find(&key("shelf")).await.expect("it is there");
        assert!(events(&channel) == old);
        assert_ne!(channel.epoch(), epoch);
        let cursor = Cursor { epoch, seq: old.len() as u64 + 5 };
        assert_eq!(kept_of(&channel, cursor), Some(old.len() as u64));
    });
}

/// Of a channel at rest that a damaged journal no longer tells of, more may have been said.
#[test]
fn a_damaged_journal_puts_the_channels_on_shelves_in_doubt() {
    let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().expect("one")).collect();
    runtime().block_on(async {
        // In files so small that the journal no longer tells of what is on a shelf.
        let channels = open_with(dirs[0].path(), 64);
        let said = say(&channels, "shelf", 1, 200, true).await;
        rest(&channels).await;
        // What the journal tells from here on will be lost.
        let journal = |dir: &Path| {
            let all = files(dir).into_iter();
            all.filter(|it| it.extension().is_some_and(|it| it == "journal")).collect::<Vec<_>>()
        };
        let length = |path: &Path| fs::metadata(path).map_or(0, |it| it.len()) as usize;
        let before: std::collections::HashMap<_, _> = journal(dirs[0].path())
            .into_iter()
            .map(|it| (it.file_name().expect("a name").to_owned(), length(&it)))
            .collect();
        let channel = channels.find(&key("shelf")).await.expect("it is at rest");
        let note = Custom { kind: "lost".into(), data: (&b"1"[..]).into() };
        channel.publish(note).expect("room");
        channel.shown(said.events.len() as u64 + 1).await;
        copy(dirs[0].path(), dirs[1].path());
        for path in journal(dirs[1].path()) {
            // A file that was begun since has only its magic before.
            let from = before.get(path.file_name().expect("a name")).copied().unwrap_or(8).max(8);
            let mut bytes = fs::read(&path).expect("it is there");
            if let Some(byte) = bytes.get_mut(from) {
                *byte ^= 1;
                fs::write(path, bytes).expect("it can be written");
            }
        }
        // Not asked for in the life that finds the damage, but in the next.
        assert_eq!(open(dirs[1].path()).health().cuts, 1);
        copy(dirs[1].path(), dirs[2].path());
        let channels = open(dirs[2].path());
        let channel = channels.find(&key("shelf")).await.expect("it is at rest");
        assert!(events(&channel) == said.events);
        assert_ne!(channel.epoch(), said.epoch, "a number would mean two events");
        let seen = Cursor { epoch: said.epoch, seq: said.events.len() as u64 };
        assert_eq!(kept_of(&channel, seen), Some(seen.seq));
        // From then on it is as good as any.
        copy(dirs[2].path(), dirs[3].path());
        let again = open(dirs[3].path());
        let again = again.find(&key("shelf")).await.expect("it is at rest");
        assert_eq!(again.epoch(), channel.epoch());
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
        // What was published on the last one was safe before it was shown: no machine that fails takes that away.
        let (_, said) = left.said.split_last().expect("some");
        runtime().block_on(check(&open(dir.path()), said))?;
    }
}
