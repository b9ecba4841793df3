//! Small files that are kept from one start to the next: replaced whole or not at all, for the owner's eyes only.
//!
//! Logs that grow are not among them.

use std::{io, path::Path};

use tokio::io::AsyncWriteExt;

/// Writes a file beside the old one, safely, and puts it in its place.
pub(crate) async fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    // What a crash left behind, with whatever rights it had.
    let _ = tokio::fs::remove_file(&draft).await;
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(&draft).await?;
    file.write_all(bytes).await?;
    file.sync_all().await?;
    tokio::fs::rename(&draft, path).await
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_file_is_replaced_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("kept.json");
        for (file, left) in [(&path, "old"), (&path.with_extension("draft"), "half")] {
            std::fs::write(file, left).expect("written");
        }
        replace(&path, b"new").await.expect("written");
        assert_eq!(std::fs::read(&path).expect("it is there"), b"new");
        let mode = std::fs::metadata(&path).expect("its mode").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1);
    }
}
