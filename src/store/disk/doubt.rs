//! What a damaged journal may have told of channels at rest: nobody knows of which.
//!
//! A channel with a name may have been spoken on again after it was put on its shelf. Where the journal is damaged, what it
//! said of that may be lost, and seqs that were shown would be given to other events. So every named channel that was put on
//! its shelf before goes on in a new epoch: when it is opened, since there may be very many. A file says which these are.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use super::files;

/// The file: a decimal number. The named channels at rest whose number is lower are in doubt.
const NAME: &str = "doubt";

/// Below which number channels are in doubt; 0: none is. `None`: that cannot be told, so all of them are.
pub(super) fn read(dir: &Path) -> io::Result<Option<u64>> {
    match fs::read(dir.join(NAME)) {
        Ok(text) => Ok(str::from_utf8(&text).ok().and_then(|it| it.parse().ok())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(0)),
        Err(error) => Err(error),
    }
}

/// Puts all channels at rest with lower numbers in doubt.
pub(super) fn write(dir: &Path, below: u64) -> io::Result<()> {
    files::replace(dir, NAME, &below.to_string())
}
