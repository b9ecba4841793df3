//! `cargo xtask dist`: builds the console's file, which is committed, from the sources in `client/`.

use std::{path::Path, time::Duration};

use crate::{run::Run, setup::Ground};

const BUILD: Duration = Duration::from_secs(5 * 60);

pub(crate) fn run(root: &Path) -> Result<(), String> {
    let ground = Ground::new(root);
    ground.npm("client")?;
    let npm = |line: &str| Run::new(line, &root.join("client"), BUILD).envs([ground.path()]).must();
    npm("npm run build")?;
    npm("npm run verify-dist")
}
