//! `tokenway check`: is a configuration right?

use std::{io::Write, path::Path};

use super::Failure;
use crate::config::{Config, Environment};

pub(super) fn check(file: &Path) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let config = Config::load(file, &environment).map_err(|error| error.to_string())?;
    let mut out = std::io::stdout();
    let (providers, models) = (config.providers.len(), config.models.len());
    let several = |count: usize| if count == 1 { "" } else { "s" };
    let (s, ss) = (several(providers), several(models));
    let line = format!("{}: ok, {providers} provider{s}, {models} model{ss}", file.display());
    writeln!(out, "{line}").map_err(|error| error.to_string())?;
    for note in &config.notes {
        writeln!(out, "note: {note}").map_err(|error| error.to_string())?;
    }
    Ok(())
}
