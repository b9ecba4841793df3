//! The gateway's own certificate, the operator's or an authority's, for HTTP and for WebTransport alike, and how another
//! takes its place.
//!
//! A new one is for new connections; those that stand are not touched. One that cannot be read, or whose key is another's,
//! changes nothing.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::acme::{ACME_TLS, Challenges};
use crate::{
    config::TlsFiles,
    transport::webtransport::{Certificate, load_certificate},
};

/// What a client may speak once its hands are shaken, the best first. The last is for authorities, where they are answered.
const ALPN: [&[u8]; 3] = [b"h2", b"http/1.1", ACME_TLS];

/// The certificate of now.
pub(super) struct Tls {
    presented: Arc<Presented>,
    challenged: bool,
    quic: watch::Sender<Certificate>,
}

/// A certificate that was read and fits its key.
pub(super) struct Loaded {
    tcp: Arc<CertifiedKey>,
    quic: Certificate,
}

#[derive(Debug)]
struct Presented {
    certificate: RwLock<Arc<CertifiedKey>>,
    challenges: Option<Arc<Challenges>>,
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // An authority offers this and nothing else (RFC 8737, section 3).
        let asks = hello
            .alpn()
            .is_some_and(|mut all| all.next() == Some(ACME_TLS) && all.next().is_none());
        match (&self.challenges, asks) {
            (Some(challenges), true) => challenges.proof(hello.server_name()?),
            _ => Some(Arc::clone(&self.certificate.read())),
        }
    }
}

/// Reads a certificate chain and its key. Err: what is wrong, without a word of the key.
pub(super) async fn load(files: &TlsFiles) -> Result<Loaded, String> {
    let TlsFiles { cert, key } = files;
    let wrong = |file: &std::path::Path, error: &dyn std::fmt::Display| {
        format!("{}: {error}", file.display())
    };
    let chain =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| wrong(cert, &error))?;
    if chain.is_empty() {
        return Err(wrong(cert, &"no certificate in it"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let provider = CryptoProvider::get_default().expect("the gateway has installed one");
    // Also whether they belong together.
    let tcp =
        CertifiedKey::from_der(chain, private, provider).map_err(|error| wrong(key, &error))?;
    let quic = load_certificate(cert, key).await.map_err(|error| error.to_string())?;
    Ok(Loaded { tcp: Arc::new(tcp), quic })
}

impl Tls {
    /// With `challenges`: authorities are answered.
    pub(super) fn new(Loaded { tcp, quic }: Loaded, challenges: Option<Arc<Challenges>>) -> Self {
        let challenged = challenges.is_some();
        let presented = Presented { certificate: RwLock::new(tcp), challenges };
        Self { presented: Arc::new(presented), challenged, quic: watch::Sender::new(quic) }
    }

    /// From now on new connections are shown this one.
    pub(super) fn replace(&self, Loaded { tcp, quic }: Loaded) {
        *self.presented.certificate.write() = tcp;
        self.quic.send_replace(quic);
    }

    /// For TCP.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let presented = Arc::clone(&self.presented) as Arc<dyn ResolvesServerCert>;
        let mut config =
            ServerConfig::builder().with_no_client_auth().with_cert_resolver(presented);
        config.alpn_protocols = ALPN.map(Vec::from).into();
        if !self.challenged {
            config.alpn_protocols.pop();
        }
        TlsAcceptor::from(Arc::new(config))
    }

    /// For QUIC, and its successors.
    pub(super) fn quic(&self) -> watch::Receiver<Certificate> {
        self.quic.subscribe()
    }
}
