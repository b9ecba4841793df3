//! `docs/dialects.md` says what `LOSSES` says; `UPDATE=1` writes it.

use std::{env, fmt::Write, fs, path::Path};

use tokenway::dialect::Dialect;

use crate::{
    common::{LOSSES, Member},
    pairs::APPS,
};

const HEAD: &str = "\
# What the dialects cannot say to each other

An app speaks its own dialect, the provider another, and the answer between them is events. Below is what an app reads of
an answer that came in another dialect; `yes` means that it gets all of it. Between like and like everything passes as it
came. Whatever the app speaks, the channel has the whole: this table is about apps only.

Every recorded stream is checked against this table by `tests/transcripts`, which also writes it (`UPDATE=1`).

";

fn page() -> String {
    let mut page = HEAD.to_owned();
    page += "| of an answer |";
    APPS.iter().for_each(|app| write!(page, " `{}` apps read |", app.as_str()).expect("text"));
    page += "\n| --- |";
    page += &" --- |".repeat(APPS.len());
    page.push('\n');
    for member in Member::ALL {
        write!(page, "| {} |", member.title()).expect("text");
        for app in APPS {
            let lines = LOSSES.iter().filter(|loss| loss.app == app && loss.member == member);
            let of = |provider: Dialect| format!(" (from `{}`)", provider.as_str());
            let said: Vec<String> = lines
                .map(|loss| {
                    format!("{}{}", loss.becomes, loss.provider.map(of).unwrap_or_default())
                })
                .collect();
            let said = if said.is_empty() { "yes".to_owned() } else { said.join("; ") };
            write!(page, " {said} |").expect("text");
        }
        page.push('\n');
    }
    page
}

#[test]
fn the_docs_say_what_cannot_be_said() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dialects.md");
    let page = page();
    if env::var("UPDATE").is_ok_and(|update| update == "1") {
        fs::write(&place, &page).expect("the docs can be written");
    }
    let there = fs::read_to_string(&place).unwrap_or_default();
    assert!(
        there == page,
        "docs/dialects.md is not current: UPDATE=1 cargo test --test transcripts"
    );
}
