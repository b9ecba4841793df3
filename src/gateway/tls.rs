//! The operator's own certificate, for HTTP and for WebTransport alike, and how another takes its place.
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

use crate::{
    config,
    transport::webtransport::{Certificate, load_certificate},
};

/// What a client may speak once its hands are shaken, the best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate of now.
pub(super) struct Tls {
    presented: Arc<Presented>,
    quic: watch::Sender<Certificate>,
}

/// A certificate that was read and fits its key.
pub(super) struct Loaded {
    tcp: Arc<CertifiedKey>,
    quic: Certificate,
}

#[derive(Debug)]
struct Presented(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Presented {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

/// Reads a certificate chain and its key. Err: what is wrong, without a word of the key.
pub(super) async fn load(files: &config::Tls) -> Result<Loaded, String> {
    let config::Tls { cert, key } = files;
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
    pub(super) fn new(Loaded { tcp, quic }: Loaded) -> Self {
        Self { presented: Arc::new(Presented(RwLock::new(tcp))), quic: watch::Sender::new(quic) }
    }

    /// From now on new connections are shown this one.
    pub(super) fn replace(&self, Loaded { tcp, quic }: Loaded) {
        *self.presented.0.write() = tcp;
        self.quic.send_replace(quic);
    }

    /// For TCP.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let presented = Arc::clone(&self.presented) as Arc<dyn ResolvesServerCert>;
        let mut config =
            ServerConfig::builder().with_no_client_auth().with_cert_resolver(presented);
        config.alpn_protocols = ALPN.map(Vec::from).into();
        TlsAcceptor::from(Arc::new(config))
    }

    /// For QUIC, and its successors.
    pub(super) fn quic(&self) -> watch::Receiver<Certificate> {
        self.quic.subscribe()
    }
}
