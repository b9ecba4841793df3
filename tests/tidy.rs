//! Rules about the files themselves: each opens by saying what it is, none grows past reading, none names a machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines before the test module. Past the first number a file is named here when this test runs with `--nocapture`; at
/// the second it fails.
const RUST_LINES: (usize, usize) = (400, 600);
const TYPESCRIPT_LINES: (usize, usize) = (300, 400);

/// What is built or fetched, and so is nobody's prose.
const NOT_OURS: [&str; 5] = ["target", "node_modules", ".git", "dist", "__pycache__"];
/// Files whose text is ours to answer for.
const TEXT: [&str; 17] = [
    "rs", "toml", "md", "proto", "ts", "mjs", "js", "json", "html", "css", "py", "txt", "yaml",
    "yml", "sh", "sse", "lock",
];

#[test]
fn every_rust_file_opens_by_saying_what_it_is() {
    // `tests.rs` says it by its name, and its parent says the rest.
    let speaks =
        |(name, text): &(String, String)| text.starts_with("//! ") || name.ends_with("/tests.rs");
    let silent = names(files("rs").filter(|file| !speaks(file)));
    assert!(silent.is_empty(), "no `//!` line at the top: {silent:?}");
}

#[test]
fn no_file_grows_past_reading() {
    let rust = files("rs").map(|(name, text)| (name, lines_before_tests(&text), RUST_LINES));
    let typescript = files("ts")
        .filter(|(name, _)| name.starts_with("client/src/"))
        .map(|(name, text)| (name, text.lines().count(), TYPESCRIPT_LINES));
    let mut too_long = Vec::new();
    for (name, lines, (think, fail)) in rust.chain(typescript) {
        if lines > fail {
            too_long.push(format!("{name}: {lines} lines, at most {fail}"));
        } else if lines > think {
            println!("{name} has {lines} lines: is it still one idea?");
        }
    }
    assert!(too_long.is_empty(), "{too_long:#?}");
}

#[test]
fn nothing_names_a_place_on_somebodys_machine() {
    // Put together here, or this file would find itself.
    let places = ["root", "home", "work", "Users"].map(|top| format!("/{top}/"));
    let mut found = Vec::new();
    for (name, text) in all_files() {
        for (number, line) in text.lines().enumerate() {
            // A path begins a word: a folder within a name and a URL's are none.
            let names_place = |place: &String| {
                let mut at = line.match_indices(place.as_str()).map(|(at, _)| &line[..at]);
                at.any(|before| {
                    !before.ends_with(|c: char| c.is_alphanumeric() || "._-*}$)".contains(c))
                })
            };
            if places.iter().any(names_place) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn nothing_is_put_off_in_a_comment() {
    let marks = ["TO", "FIX", "XX"].map(|half| {
        format!(
            "{half}{}",
            match half {
                "TO" => "DO",
                "FIX" => "ME",
                _ => "X",
            }
        )
    });
    let found = names(all_files().filter(|(name, text)| {
        !name.ends_with(".lock")
            && !name.ends_with("package-lock.json")
            && marks.iter().any(|mark| text.contains(mark.as_str()))
    }));
    assert!(found.is_empty(), "say it in an issue instead: {found:?}");
}

#[test]
fn every_field_of_the_protocol_says_what_it_means() {
    let mut silent = Vec::new();
    for (name, text) in files("proto") {
        silent.extend(silent_fields(&text).into_iter().map(|line| format!("{name}:{line}")));
    }
    assert!(silent.is_empty(), "no comment: {silent:#?}");
}

#[test]
fn a_field_without_a_comment_is_found() {
    let text = "// Said.\nmessage A {\n  // Said.\n  string a = 1;\n  string b = 2;\n  uint32 c = 3; // Said here.\n\
        \n  oneof body {\n    Hello hello = 4;\n    // Said.\n    uint64 n = 5;\n    string d = 6;\n  }\n}\n\
        // Its fields go together.\nenum E {\n  // Said.\n  NONE = 0;\n  SOME = 1;\n}\nmessage B {}\n";
    assert_eq!(silent_fields(text), [5, 12, 19, 21]);
}

#[test]
fn packages_come_from_the_public_registry() {
    for (name, text) in all_files().filter(|(name, _)| name.ends_with("package-lock.json")) {
        for line in text.lines().filter(|line| line.trim_start().starts_with("\"resolved\":")) {
            assert!(line.contains("\"https://registry.npmjs.org/"), "{name}: {line}");
        }
    }
    let cargo = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file is committed");
    for line in cargo.lines().filter(|line| line.starts_with("source = ")) {
        assert_eq!(line, "source = \"registry+https://github.com/rust-lang/crates.io-index\"");
    }
}

#[test]
fn the_changelog_has_a_place_for_the_next_line() {
    let text = fs::read_to_string(root().join("CHANGELOG.md")).expect("CHANGELOG.md is there");
    let (_, unreleased) =
        text.split_once("\n## [Unreleased]\n").expect("a section `## [Unreleased]`");
    let section = unreleased.split("\n## [").next().unwrap_or_default();
    let kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];
    for heading in section.lines().filter_map(|line| line.strip_prefix("### ")) {
        assert!(kinds.contains(&heading), "`### {heading}` is not one of {kinds:?}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let released = text.contains(&format!("\n## [{version}]"));
    assert!(
        released || section.contains("\n- "),
        "version {version} is neither released nor described"
    );
}

/// The numbers of the lines that declare a message, a field, an enum or a value of which no comment speaks. A field
/// named like its type needs none: the type says it.
fn silent_fields(text: &str) -> Vec<usize> {
    let mut silent = Vec::new();
    let mut before = "";
    for (number, line) in text.lines().map(str::trim).enumerate() {
        let code = line.split("//").next().unwrap_or_default().trim();
        let is_type = code.starts_with("message ") || code.starts_with("enum ");
        let is_field = code.contains(" = ") && code.ends_with(';') && !code.starts_with("syntax ");
        let words: Vec<&str> = code.split_whitespace().collect();
        let says_itself = words.len() > 2 && words[1].replace('_', "") == words[0].to_lowercase();
        let said = line.contains("//") || before.starts_with("//");
        if is_type && !said || is_field && !said && !says_itself {
            silent.push(number + 1);
        }
        before = line;
    }
    silent
}

fn lines_before_tests(text: &str) -> usize {
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn names(files: impl Iterator<Item = (String, String)>) -> Vec<String> {
    files.map(|(name, _)| name).collect()
}

fn files(extension: &'static str) -> impl Iterator<Item = (String, String)> {
    all_files()
        .filter(move |(name, _)| name.rsplit_once('.').is_some_and(|(_, it)| it == extension))
}

/// Every text file of the repository, by its name from the root.
fn all_files() -> impl Iterator<Item = (String, String)> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the repository can be read") {
            let path = entry.expect("the repository can be read").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
            if path.is_symlink() || NOT_OURS.contains(&name) {
                continue;
            } else if path.is_dir() {
                folders.push(path);
            } else if TEXT.contains(&extension) || folder_of_scripts(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 30, "the repository was not found");
    found.into_iter().filter_map(|path| {
        let name = path.strip_prefix(root()).ok()?.to_string_lossy().replace('\\', "/");
        Some((name, fs::read_to_string(&path).ok()?))
    })
}

/// Scripts without an extension.
fn folder_of_scripts(path: &Path) -> bool {
    path.parent().and_then(Path::file_name).is_some_and(|name| name == ".ci")
}
