//! The files of a store's directory: how they are named, made and replaced.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The files of this kind in a directory, the oldest first.
pub(super) fn numbered(dir: &Path, suffix: &str) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|it| it.to_str()).and_then(|it| it.parse().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|it| it == suffix)) {
            files.push((number, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Where a file of this kind is.
pub(super) fn path(dir: &Path, number: u32, suffix: &str) -> PathBuf {
    dir.join(format!("{number:010}.{suffix}"))
}

/// A new file that begins with `magic`, safe in its directory. What is said there is nobody else's to read.
pub(super) fn create(dir: &Path, number: u32, suffix: &str, magic: [u8; 8]) -> io::Result<File> {
    let path = path(dir, number, suffix);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all_at(&magic, 0)?;
    File::open(dir)?.sync_all()?;
    Ok(file)
}

/// Writes a small file in one step: it is what it was, or what it should be, and that is safe.
pub(super) fn replace(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    fs::rename(new, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// Makes a directory that is nobody else's to read, where there is none, and the ones above it; all of them are safe then.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    make_dir(above)?;
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        made => made?,
    }
    File::open(above)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_made_is_nobody_elses_to_read() {
        let root = tempfile::tempdir().expect("a directory");
        let dir = root.path().join("a").join("b");
        make_dir(&dir).expect("it can be made");
        make_dir(&dir).expect("it is there");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!((mode(&dir) & 0o777, mode(&root.path().join("a")) & 0o777), (0o700, 0o700));
    }
}
