//! Who the gateway is: certificates and the deployment secret.
//!
//! Without a certificate of its own the gateway makes them for development: two at a time, the one of now and the next,
//! each valid for 13 days and 11 days apart, so that the hash of the next is known to pages before it is used (browsers
//! take a hash instead of an authority for at most 14 days). They and a secret are kept under the state directory,
//! readable by their owner only.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;
use wtransport::{Identity, tls::self_signed::time::OffsetDateTime};

use super::DeploymentSecret;
use crate::files;

/// A certificate's SHA-256, which a page may give in place of an authority.
pub type Hash = [u8; 32];

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Browsers accept at most 14.
const VALID_SECONDS: u64 = 13 * DAY_SECONDS;

/// The next one takes over when this much of the one before is left.
const OVERLAP_SECONDS: u64 = 2 * DAY_SECONDS;

/// A clock that is an hour behind still finds the first certificate valid.
const BACKDATED_SECONDS: u64 = 60 * 60;

const SECRET_FILE: &str = "deployment-secret";

/// A certificate chain and its key.
#[derive(Debug)]
pub struct Certificate {
    identity: Identity,
}

/// Why certificates or the secret could not be kept.
#[derive(Debug, Error)]
#[error("{path}: {error}", path = path.display())]
pub struct CannotKeep {
    /// The file.
    pub path: PathBuf,
    /// What went wrong.
    pub error: io::Error,
}

impl Certificate {
    /// The SHA-256 of the certificate itself.
    pub fn hash(&self) -> Hash {
        let chain = self.identity.certificate_chain().as_slice();
        *chain.first().expect("a chain has a certificate").hash().as_ref()
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity.clone_identity()
    }
}

impl Clone for Certificate {
    fn clone(&self) -> Self {
        Self { identity: self.identity() }
    }
}

/// Reads a certificate chain and its key from PEM files.
pub async fn load_certificate(chain: &Path, key: &Path) -> Result<Certificate, CannotKeep> {
    let loaded = Identity::load_pemfiles(chain, key).await;
    let cannot = |error: &dyn std::fmt::Display| CannotKeep {
        path: chain.to_owned(),
        error: io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
    };
    let identity = loaded.map_err(|error| cannot(&error))?;
    if identity.certificate_chain().as_slice().is_empty() {
        return Err(cannot(&"no certificate in it"));
    }
    Ok(Certificate { identity })
}

/// Keeps the development certificates and the secret under a directory.
#[derive(Debug)]
pub struct Keeper {
    directory: PathBuf,
    now: (u64, Certificate),
    next: (u64, Certificate),
    secret: DeploymentSecret,
}

impl Keeper {
    /// Reads what is kept there, and makes what is missing or too old. `now_ms` is the time of day.
    pub async fn open(directory: &Path, now_ms: u64) -> Result<Self, CannotKeep> {
        let path = directory.to_owned();
        tokio::fs::create_dir_all(directory).await.map_err(|error| CannotKeep { path, error })?;
        let kept = starts_kept(directory).await?;
        let (now, next) = rotation(&kept, now_ms / 1_000);
        let keeper = Self {
            directory: directory.to_owned(),
            now: (now, keep_certificate(directory, now).await?),
            next: (next, keep_certificate(directory, next).await?),
            secret: keep_secret(directory).await?,
        };
        keeper.forget_others(&kept).await;
        Ok(keeper)
    }

    /// Makes the next certificate the one of now, if it is time. Tells whether it was.
    pub async fn rotate(&mut self, now_ms: u64) -> Result<bool, CannotKeep> {
        let kept = [self.now.0, self.next.0];
        let (now, next) = rotation(&kept, now_ms / 1_000);
        if now == self.now.0 {
            return Ok(false);
        }
        self.now = (now, keep_certificate(&self.directory, now).await?);
        self.next = (next, keep_certificate(&self.directory, next).await?);
        self.forget_others(&kept).await;
        Ok(true)
    }

    /// The certificate to serve.
    pub fn certificate(&self) -> &Certificate {
        &self.now.1
    }

    /// The hashes to publish: of now, and of the next.
    pub fn hashes(&self) -> [Hash; 2] {
        [self.now.1.hash(), self.next.1.hash()]
    }

    /// The secret kept beside them, for deployments without a configured one.
    pub fn secret(&self) -> &DeploymentSecret {
        &self.secret
    }

    async fn forget_others(&self, kept: &[u64]) {
        for start in kept.iter().filter(|start| ![self.now.0, self.next.0].contains(start)) {
            // One that stays does no harm: it is not used, and is tried again next time.
            let _ = tokio::fs::remove_file(certificate_file(&self.directory, *start)).await;
        }
    }
}

/// From which seconds on the certificates of now and next are valid. Pure.
fn rotation(kept: &[u64], now: u64) -> (u64, u64) {
    let serves = |start: &u64| *start <= now && now < *start + VALID_SECONDS - OVERLAP_SECONDS;
    let current = kept.iter().copied().filter(serves).max();
    let current = current.unwrap_or_else(|| now.saturating_sub(BACKDATED_SECONDS));
    (current, current + VALID_SECONDS - OVERLAP_SECONDS)
}

fn certificate_file(directory: &Path, start: u64) -> PathBuf {
    directory.join(format!("certificate-{start}.pem"))
}

async fn starts_kept(directory: &Path) -> Result<Vec<u64>, CannotKeep> {
    let cannot = |error| CannotKeep { path: directory.to_owned(), error };
    let mut entries = tokio::fs::read_dir(directory).await.map_err(cannot)?;
    let mut starts = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(cannot)? {
        let name = entry.file_name();
        let start = name.to_str().and_then(|name| name.strip_prefix("certificate-"));
        let start = start.and_then(|name| name.strip_suffix(".pem"));
        starts.extend(start.and_then(|start| start.parse::<u64>().ok()));
    }
    Ok(starts)
}

/// Reads the certificate that begins at `start`, or makes it.
async fn keep_certificate(directory: &Path, start: u64) -> Result<Certificate, CannotKeep> {
    let path = certificate_file(directory, start);
    if tokio::fs::try_exists(&path).await.unwrap_or(false) {
        return load_certificate(&path, &path).await;
    }
    let from = OffsetDateTime::from_unix_timestamp(start as i64).expect("a time of this age");
    let until = from + std::time::Duration::from_secs(VALID_SECONDS);
    let identity = Identity::self_signed_builder()
        .subject_alt_names(["localhost", "127.0.0.1", "::1"])
        .validity_period(from, until)
        .build()
        .expect("the names are plain");
    let certificate = identity.certificate_chain().as_slice()[0].to_pem();
    let pem = certificate + &identity.private_key().to_secret_pem();
    write_private(&path, pem.as_bytes()).await?;
    Ok(Certificate { identity })
}

async fn keep_secret(directory: &Path) -> Result<DeploymentSecret, CannotKeep> {
    let path = directory.join(SECRET_FILE);
    match tokio::fs::read(&path).await {
        Ok(bytes) => bytes.try_into().map(DeploymentSecret::new).map_err(|_| CannotKeep {
            path,
            error: io::Error::new(io::ErrorKind::InvalidData, "not a secret of 32 bytes"),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = DeploymentSecret::random();
            write_private(&path, secret.as_bytes()).await?;
            Ok(secret)
        }
        Err(error) => Err(CannotKeep { path, error }),
    }
}

/// Writes a file that only its owner can read, whole or not at all.
async fn write_private(path: &Path, bytes: &[u8]) -> Result<(), CannotKeep> {
    files::replace(path, bytes).await.map_err(|error| CannotKeep { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn each_certificate_serves_eleven_days_and_the_next_is_known_before() {
        let start = 1_000_000;
        let (now, next) = rotation(&[], start + BACKDATED_SECONDS);
        assert_eq!((now, next), (start, start + 11 * DAY_SECONDS));
        let kept = [now, next];
        assert_eq!(rotation(&kept, next - 1), (now, next));
        assert_eq!(rotation(&kept, next), (next, next + 11 * DAY_SECONDS), "two days are left");
        let late = next + 30 * DAY_SECONDS;
        assert_eq!(rotation(&kept, late).0, late - BACKDATED_SECONDS, "both are too old");
    }

    #[tokio::test]
    async fn a_restart_keeps_hashes_and_secret_and_rotation_keeps_the_next() {
        let directory = tempfile::tempdir().expect("a directory");
        let now_ms = clock::now_ms();
        let first = Keeper::open(directory.path(), now_ms).await.expect("made");
        let mut again = Keeper::open(directory.path(), now_ms).await.expect("read");
        assert_eq!(first.hashes(), again.hashes());
        assert_eq!(first.secret().as_bytes(), again.secret().as_bytes());
        assert!(!again.rotate(now_ms + 10 * DAY_SECONDS * 1_000).await.expect("not yet"));
        assert!(again.rotate(now_ms + 12 * DAY_SECONDS * 1_000).await.expect("rotated"));
        assert_eq!(again.hashes()[0], first.hashes()[1], "the next is now");
        assert_ne!(again.hashes()[1], first.hashes()[0]);
        let files = std::fs::read_dir(directory.path()).expect("readable").count();
        assert_eq!(files, 3, "two certificates and the secret");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_can_read_what_is_kept() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        Keeper::open(directory.path(), clock::now_ms()).await.expect("made");
        for entry in std::fs::read_dir(directory.path()).expect("readable") {
            let mode = entry.expect("an entry").metadata().expect("its mode").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
