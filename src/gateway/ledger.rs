//! What was spent of budgets, kept in a file under the state directory: a gateway that starts again does not give every key a
//! new month.
//!
//! Written at most once a second, when something has changed, and at shutdown: a crash forgets the last second, and what was
//! running. The file is one gateway's; several gateways each count for themselves.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use time::{Date, Month};

use crate::{
    access::{Access, Money, Spent},
    files,
};

const FILE: &str = "budgets.json";

/// What was spent, by the keys' names.
pub(super) struct Ledger {
    file: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: BTreeMap<String, Entry>,
    /// The file has all of them.
    written: bool,
}

/// One key's line: the day and the month that are counted, and what was spent in them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Entry {
    day: String,
    day_spent: Money,
    month: String,
    month_spent: Money,
}

impl Ledger {
    /// Reads what was kept. A file that cannot be understood is left where it is until something is spent.
    pub(super) async fn open(state_dir: &Path) -> Self {
        let file = state_dir.join(FILE);
        let entries = match tokio::fs::read(&file).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error.to_string()),
        };
        let entries = entries.unwrap_or_else(|error| {
            let file = file.display();
            tracing::error!(%file, error, "what was spent of budgets cannot be read; they begin anew");
            BTreeMap::new()
        });
        Self { file, kept: Mutex::new(Kept { entries, written: true }) }
    }

    /// Tells keys that have not spent anything yet what was spent on their account.
    pub(super) fn restore(&self, access: &Access) {
        let kept = self.kept.lock();
        for key in access.keys() {
            if let Some(entry) = kept.entries.get(key.owner.as_str()) {
                key.meter.restore(entry.spent());
            }
        }
    }

    /// Writes what was spent since, if anything was. What cannot be written is tried again next time.
    pub(super) async fn save(&self, access: &Access) {
        let Some(text) = self.changed(access) else { return };
        let written = files::replace(&self.file, &text).await;
        self.kept.lock().written = written.is_ok();
        if let Err(error) = written {
            let file = self.file.display();
            tracing::warn!(%file, %error, "what was spent of budgets cannot be kept");
        }
    }

    /// The whole file, if it is to be written.
    fn changed(&self, access: &Access) -> Option<Vec<u8>> {
        let mut kept = self.kept.lock();
        let mut written = kept.written;
        for key in access.keys() {
            let Some(entry) = key.meter.spent_of_budget().and_then(|spent| Entry::of(&spent))
            else {
                continue;
            };
            let name = key.owner.as_str();
            if kept.entries.get(name) != Some(&entry) {
                written = false;
                kept.entries.insert(name.to_owned(), entry);
            }
        }
        // Whatever happens to it from here on, it is not written until it is.
        kept.written = written;
        (!written).then(|| serde_json::to_vec_pretty(&kept.entries).unwrap_or_default())
    }
}

impl Entry {
    /// `None`: nothing was spent in this month.
    fn of(Spent { day, month }: &Spent) -> Option<Self> {
        let ((day, day_spent), (month, month_spent)) = ((*day)?, (*month)?);
        let month_of = format!("{:04}-{:02}", month.year(), u8::from(month.month()));
        (month_spent > 0.0).then(|| Self {
            day: day.to_string(),
            day_spent,
            month: month_of,
            month_spent,
        })
    }

    /// What is no date counts nothing.
    fn spent(&self) -> Spent {
        let day = date(&self.day).map(|day| (day, self.day_spent));
        let month = date(&format!("{}-01", self.month)).map(|month| (month, self.month_spent));
        Spent { day, month }
    }
}

/// As ISO 8601 writes it.
fn date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let year = parts.next()?.parse().ok()?;
    let month = Month::try_from(parts.next()?.parse::<u8>().ok()?).ok()?;
    Date::from_calendar_date(year, month, parts.next()?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        access::Asked,
        config::{self, BudgetLimits, Key, KeyLimits},
    };

    fn access(day: Money) -> Access {
        let budget = BudgetLimits { day: Some(day), month: None };
        let limits = KeyLimits { budget, ..KeyLimits::default() };
        let key = |name, secret| Key { limits: limits.clone(), ..Key::new(name, secret) };
        let keys = vec![key("web", "web-key-0123456789"), key("idle", "idle-key-0123456789")];
        Access::new(&config::Access { keys, ..config::Access::default() })
    }

    fn spend(access: &Access, cost: Money) -> bool {
        let meter = Arc::clone(&access.keys()[0].meter);
        let begun = meter.begin(Asked { tokens: 0, cost });
        begun.map(|mut running| running.used(Asked { tokens: 0, cost })).is_ok()
    }

    #[tokio::test]
    async fn what_was_spent_outlives_the_process() {
        let directory = tempfile::tempdir().expect("a directory");
        let (ledger, before) = (Ledger::open(directory.path()).await, access(1.0));
        ledger.restore(&before);
        ledger.save(&before).await;
        assert!(!directory.path().join(FILE).exists(), "nothing was spent");
        assert!(spend(&before, 0.75));
        ledger.save(&before).await;
        assert!(ledger.changed(&before).is_none(), "it is written");

        let (ledger, after) = (Ledger::open(directory.path()).await, access(1.0));
        ledger.restore(&after);
        assert!(!spend(&after, 0.5), "a quarter is left");
        assert!(spend(&after, 0.25));
        ledger.restore(&after);
        assert_eq!(after.keys()[0].meter.spent(), (1.0, 1.0), "what is counted already stays");
        assert_eq!(after.keys()[1].meter.spent(), (0.0, 0.0));
    }

    #[tokio::test]
    async fn what_cannot_be_read_or_written_is_survived() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(FILE), "{ not JSON").expect("written");
        let (ledger, access) = (Ledger::open(directory.path()).await, access(1.0));
        ledger.restore(&access);
        assert!(spend(&access, 0.5));
        let nowhere = Ledger::open(&directory.path().join("missing")).await;
        nowhere.save(&access).await;
        assert!(nowhere.changed(&access).is_some(), "it is tried again");
        ledger.save(&access).await;
        assert!(Ledger::open(directory.path()).await.kept.lock().entries.contains_key("web"));
        for text in ["", "2026", "2026-13-01", "2026-02-30", "x-y-z"] {
            assert_eq!(date(text), None, "{text}");
        }
    }
}
