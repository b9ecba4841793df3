//! What is kept of an authority under the state directory: the account, the certificate with its key, and a makeshift until
//! there is one. Each authority and each set of names has files of its own, so that a changed config never shows what was
//! for another.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};

use crate::{
    config::{Acme, TlsFiles},
    files,
};

/// Where it is kept.
pub(super) struct Kept {
    account: PathBuf,
    certificate: PathBuf,
    makeshift: PathBuf,
    domains: Vec<String>,
}

impl Kept {
    pub(super) async fn open(settings: &Acme, state_dir: &Path) -> Result<Self, String> {
        let directory = state_dir.join("acme");
        let made = tokio::fs::create_dir_all(&directory).await;
        made.map_err(|error| format!("{}: {error}", directory.display()))?;
        let authority = print(&[settings.directory.to_string()]);
        let names = print(&settings.domains);
        Ok(Self {
            account: directory.join(format!("account-{authority}.json")),
            certificate: directory.join(format!("certificate-{authority}-{names}.pem")),
            makeshift: directory.join("makeshift.pem"),
            domains: settings.domains.clone(),
        })
    }

    /// The certificate and its key are in one file: there is no moment between them.
    pub(super) fn certificate(&self) -> TlsFiles {
        TlsFiles { cert: self.certificate.clone(), key: self.certificate.clone() }
    }

    /// When the one that is kept is to be renewed. `None`: there is none.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let first = CertificateDer::pem_file_iter(&self.certificate).ok()?.next()?.ok()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&first).ok()?;
        let validity = parsed.validity();
        let [from, until] = [validity.not_before, validity.not_after]
            .map(|time| u64::try_from(time.timestamp()).unwrap_or_default());
        Some(due(from, until) * 1_000)
    }

    /// One that nobody trusts.
    pub(super) async fn makeshift(&self) -> Result<TlsFiles, String> {
        let params = CertificateParams::new(self.domains.clone());
        let made = params.and_then(|params| {
            let key = KeyPair::generate()?;
            Ok(params.self_signed(&key)?.pem() + &key.serialize_pem())
        });
        let pem = made.map_err(|error| error.to_string())?;
        write(&self.makeshift, pem.as_bytes()).await?;
        Ok(TlsFiles { cert: self.makeshift.clone(), key: self.makeshift.clone() })
    }

    pub(super) async fn keep_certificate(&self, pem: &str) -> Result<(), String> {
        write(&self.certificate, pem.as_bytes()).await
    }

    /// `None`: there is no account yet.
    pub(super) fn account(&self) -> Result<Option<Vec<u8>>, String> {
        match fs::read(&self.account) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", self.account.display())),
        }
    }

    pub(super) async fn keep_account(&self, json: &[u8]) -> Result<(), String> {
        write(&self.account, json).await
    }
}

/// From which second on a certificate is renewed: once two thirds of its time are over, as authorities advise.
fn due(from: u64, until: u64) -> u64 {
    until.saturating_sub(until.saturating_sub(from) / 3)
}

/// A name for a file.
fn print(names: &[String]) -> String {
    let digest = Sha256::digest(names.join("\n"));
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Whole, or not at all, for the owner's eyes only.
async fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let written = files::replace(path, bytes).await;
    written.map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_time() {
        const DAY: u64 = 24 * 60 * 60;
        assert_eq!(due(0, 90 * DAY), 60 * DAY);
        assert_eq!(due(DAY, 7 * DAY), 5 * DAY);
        assert_eq!(due(5, 5), 5);
        assert_eq!(due(9, 5), 5, "one that makes no sense is over");
    }

    #[test]
    fn other_names_and_other_authorities_have_other_files() {
        let names =
            |names: &[&str]| print(&names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert_ne!(names(&["a.example"]), names(&["a.example", "b.example"]));
        assert_eq!(names(&["a.example"]), names(&["a.example"]));
    }
}
