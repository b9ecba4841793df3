//! `tokenway check`: is a configuration right?

use std::{io::Write, path::Path};

use super::Failure;
use crate::config::{Config, Environment};

pub(super) fn check(file: &Path) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let config = Config::load(file, &environment).map_err(|error| error.to_string())?;
    let mut out = std::io::stdout();
    let (providers, models) = (config.providers.len(), config.models.len());
    let line = format!("{}: ok, {providers} providers, {models} models", file.display());
    writeln!(out, "{line}").map_err(|error| error.to_string())?;
    for note in &config.notes {
        writeln!(out, "note: {note}").map_err(|error| error.to_string())?;
    }
    Ok(())
}
