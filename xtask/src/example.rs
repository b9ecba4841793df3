//! Runs every program in `examples/` beside a demo gateway. One that ends with an error, or does not end, fails.
//!
//! An example takes no argument. `TOKENWAY_URL` says where the gateway is; `OPENAI_BASE_URL` and `OPENAI_API_KEY` say
//! the same to programs that only know OpenAI.

use std::{fs, path::Path, time::Duration};

use crate::{gateway::Gateway, part::GATEWAY, run::Run};

/// Compiling is done by then; this is for running.
const EACH: Duration = Duration::from_secs(60);
const BUILD: Duration = Duration::from_secs(12 * 60);

pub(crate) fn run(root: &Path) -> Result<(), String> {
    let names = names(&root.join("examples"))?;
    // The whole workspace, as the tests do: with other features all would be compiled anew.
    Run::new("cargo build --locked --workspace --bins --examples", root, BUILD).must()?;
    let gateway = Gateway::start(&root.join(GATEWAY), &["demo"])?;
    let url = format!("http://{}", gateway.http);
    let failed: Vec<String> = names
        .iter()
        .filter_map(|name| {
            Run::new(&format!("target/debug/examples/{name}"), root, EACH)
                .env("TOKENWAY_URL", &url)
                .env("OPENAI_BASE_URL", format!("{url}/v1"))
                .env("OPENAI_API_KEY", "unused-in-open-mode")
                .must()
                .err()
        })
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// Single files and folders with a `main.rs`, as cargo finds them.
fn names(folder: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension().is_some_and(|it| it == "rs") || path.join("main.rs").exists()
        })
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    if names.is_empty() { Err("examples/ holds no example".into()) } else { Ok(names) }
}
