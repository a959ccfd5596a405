//! TLS as wire 1.2 wants it: raw Ed25519 public keys both ways, and nothing else.

use super::entropy::Source;
use crate::{
    Identity, PeerId,
    identity::{from_spki, spki},
};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::TLS13,
};
use std::sync::Arc;

/// The one application protocol (wire 1.1).
const ALPN: &[u8] = b"p2p-v2/1";

/// The TLS alert of a dialler whose peer proved another identity than the dialled one: `access_denied`.
pub(super) const WRONG_IDENTITY_ALERT: u8 = 49;

/// Our side of every TLS handshake.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    key: Arc<CertifiedKey>,
}

impl Tls {
    pub(super) fn new(identity: &Identity, source: &Source) -> Result<Self, Error> {
        let key = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(identity.pkcs8()))?;
        let key = Arc::new(CertifiedKey::new(vec![spki(identity.peer_id()).into()], key));
        Ok(Self { provider: Arc::new(provider(source)), key })
    }

    /// Accepts any Ed25519 key, and insists on one.
    pub(super) fn server(&self) -> Result<rustls::ServerConfig, Error> {
        let verifier = Arc::new(AnyPeer(self.provider.signature_verification_algorithms));
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&self.key))));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Every connection proves its key afresh: no ticket, no early data, no per-peer memory.
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(config)
    }

    /// Accepts this one key.
    pub(super) fn client(&self, peer: PeerId) -> Result<rustls::ClientConfig, Error> {
        let verifier = ThisPeer { peer, algorithms: self.provider.signature_verification_algorithms };
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(
                &self.key,
            ))));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok(config)
    }
}

fn provider(source: &Source) -> CryptoProvider {
    match source {
        Source::Os => ring::default_provider(),
        #[cfg(feature = "simulation")]
        Source::Seeded(_) => super::seeded::provider(source),
    }
}

/// The server name that a dialler sends for an identity (wire 1.2).
pub(super) fn server_name(peer: PeerId) -> String {
    let mut name = data_encoding::BASE32HEX_NOPAD.encode(peer.as_bytes());
    name.make_ascii_lowercase();
    name.push_str(".iroh.invalid");
    name
}

/// The one Ed25519 key that was presented.
fn presented(entry: &CertificateDer<'_>, further: &[CertificateDer<'_>]) -> Result<PeerId, Error> {
    if !further.is_empty() {
        return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
    }
    from_spki(entry).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

fn check_signature(
    message: &[u8],
    entry: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = SubjectPublicKeyInfoDer::from(entry.as_ref());
    verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
}

fn only_tls13() -> Error {
    Error::General("only TLS 1.3 is spoken".into())
}

#[derive(Debug)]
struct AnyPeer(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyPeer {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        entry: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        presented(entry, further).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _entry: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        entry: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, entry, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct ThisPeer {
    peer: PeerId,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ThisPeer {
    fn verify_server_cert(
        &self,
        entry: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if presented(entry, further)? == self.peer {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _entry: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        entry: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, entry, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_name_of_the_specification_comes_out() {
        let id = "6db71c11cdf84f78a052c60d4fb8d6c6059ac5b8b81f0714f2a9763895d5e964".parse().unwrap();
        assert_eq!(server_name(id), "dmrho4edv17nh82ioo6kve6moo2plhdon0fge57il5r3h5elt5i0.iroh.invalid");
    }
}
