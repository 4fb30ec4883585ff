//! TLS on both sides, by rustls with ring.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme, WantsVerifier,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::config::Tls;

/// By which HTTP/2 is agreed upon.
pub(crate) const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not what it should be.
    #[error("`{path}` {what}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What it is not: `is no certificate in PEM` or `is no key in PEM`.
        what: &'static str,
        /// Why.
        error: String,
    },
    /// Certificate and key do not fit.
    #[error("the certificate `{certificate}` cannot be used with the key `{key}`: {error}")]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        error: String,
    },
}

impl TlsError {
    fn no_certificate(path: &Path, error: impl fmt::Display) -> Self {
        let what = "is no certificate in PEM";
        Self::File { path: path.to_owned(), what, error: error.to_string() }
    }

    fn no_key(path: &Path, error: impl fmt::Display) -> Self {
        Self::File { path: path.to_owned(), what: "is no key in PEM", error: error.to_string() }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| TlsError::no_certificate(path, error))?;
    if all.is_empty() {
        return Err(TlsError::no_certificate(path, "there is none in it"));
    }
    Ok(all)
}

/// Trusts the certificates of a file.
fn trusting(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::no_certificate(path, error))?;
    }
    Ok(roots)
}

/// What is wrong with the files that TLS needs, as sentences that begin with the key which names them.
pub fn problems(tls: Option<&Tls>, upstream_ca: Option<&Path>) -> Vec<String> {
    let own = tls.and_then(|tls| server(tls).err()).map(|why| format!("tls: {why}"));
    let theirs = upstream_ca.and_then(|ca| trusting(ca).err());
    let theirs = theirs.map(|why| format!("upstream_ca: {why}"));
    own.into_iter().chain(theirs).collect()
}

/// Accepts TLS of clients.
pub(crate) struct Acceptor {
    files: Tls,
    now: ArcSwap<ServerConfig>,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

impl Acceptor {
    /// One with a certificate and its key.
    pub(crate) fn new(tls: &Tls) -> Result<Self, TlsError> {
        Ok(Self { files: tls.clone(), now: ArcSwap::new(server(tls)?) })
    }

    /// Reads certificate and key anew, for connections from now on. An error leaves those that were there.
    pub(crate) fn renew(&self) -> Result<(), TlsError> {
        self.now.store(server(&self.files)?);
        Ok(())
    }

    /// The connection once both sides are agreed.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        Ok(TlsAcceptor::from(self.now.load_full()).accept(stream).await?.into())
    }
}

fn server(tls: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| TlsError::no_key(&tls.key, error))?;
    let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| TlsError::Pair {
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
            error: error.to_string(),
        })?;
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
    Ok(Arc::new(config))
}

/// What speaks TLS to upstreams, made when the first one asks for it.
#[derive(Default)]
pub(crate) struct Connector(OnceLock<Result<TlsConnector, String>>);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector that trusts the certificates in `ca`, or those of the system.
    pub(crate) fn get(&self, ca: Option<&Path>) -> io::Result<&TlsConnector> {
        let made = self.0.get_or_init(|| connector(ca));
        made.as_ref().map_err(|why| io::Error::other(why.as_str()))
    }

    /// A connector that takes servers for whoever they say they are.
    pub(crate) fn get_unverifying(&self) -> io::Result<&TlsConnector> {
        let made = self.0.get_or_init(|| {
            let config = client()?.dangerous();
            let config = config.with_custom_certificate_verifier(Arc::new(Anybody));
            Ok(speaking(config.with_no_client_auth()))
        });
        made.as_ref().map_err(|why| io::Error::other(why.as_str()))
    }
}

/// Takes any certificate. That its server has the key to it is seen all the same.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = ring::default_provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, &known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn client() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, String> {
    ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())
}

fn speaking(mut config: ClientConfig) -> TlsConnector {
    config.alpn_protocols = vec![HTTP_1.to_vec()];
    TlsConnector::from(Arc::new(config))
}

fn connector(ca: Option<&Path>) -> Result<TlsConnector, String> {
    let roots = match ca {
        Some(path) => trusting(path).map_err(|error| error.to_string())?,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
    };
    if roots.is_empty() {
        return Err("there are no trusted certificates".to_owned());
    }
    Ok(speaking(client()?.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_trusted_is_a_problem_before_anybody_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        for (text, why) in [
            ("", "there is none in it"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "BadEncoding"),
        ] {
            std::fs::write(&path, text).unwrap();
            let told = problems(None, Some(&path));
            let begin = format!("upstream_ca: `{}` is no certificate in PEM: ", path.display());
            assert!(told.len() == 1 && told[0].starts_with(&begin), "{told:?}");
            assert!(told[0].contains(why), "{told:?}");
        }
    }
}
