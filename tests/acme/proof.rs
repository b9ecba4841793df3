//! How an authority looks whether a name leads to who asks for it.

use std::{net::SocketAddr, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring::default_provider, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

/// RFC 8737, section 6.1.
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

/// Takes any certificate: what is in it is looked at afterwards.
#[derive(Debug)]
struct Any(Arc<CryptoProvider>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // By the key alone: the library refuses a certificate with a critical extension that it does not know.
        let (_, parsed) =
            parse_x509_certificate(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The digest in the certificate that is shown to an authority (RFC 8737, section 3).
pub(crate) async fn of_name(at: SocketAddr, name: &str) -> Result<Vec<u8>, String> {
    let provider = Arc::new(default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("they are")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Any(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let stream = TcpStream::connect(at).await.map_err(|error| error.to_string())?;
    let host = ServerName::try_from(name.to_owned()).expect("a name");
    let shaken = TlsConnector::from(Arc::new(config)).connect(host, stream).await;
    let shaken = shaken.map_err(|error| error.to_string())?;
    let (_, session) = shaken.get_ref();
    if session.alpn_protocol() != Some(b"acme-tls/1") {
        return Err("acme-tls/1 was not agreed on".into());
    }
    let shown = session.peer_certificates().and_then(|all| all.first()).ok_or("no certificate")?;
    let (_, parsed) = parse_x509_certificate(shown).map_err(|error| error.to_string())?;
    let names = parsed.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = &names.ok_or("no names")?.value.general_names;
    if !matches!(&names[..], [GeneralName::DNSName(only)] if *only == name) {
        return Err(format!("not for {name} alone"));
    }
    let identifier = parsed.extensions().iter().find(|it| it.oid.to_id_string() == ACME_IDENTIFIER);
    let identifier = identifier.filter(|it| it.critical).ok_or("no critical acmeIdentifier")?;
    match identifier.value {
        // An OCTET STRING of 32 bytes.
        [4, 32, digest @ ..] if digest.len() == 32 => Ok(digest.to_vec()),
        _ => Err("no digest in it".into()),
    }
}
