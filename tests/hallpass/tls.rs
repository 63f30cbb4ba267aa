//! TLS under the loopback server: a certificate authority of the test's own, and what it vouches for.
#![allow(dead_code, reason = "not every test binary needs all of it")]

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use time::OffsetDateTime;

use crate::server::{ReadWrite, Reply, Request, Server};

impl Server {
    /// Listens on any free port of 127.0.0.1, as this identity. Only what was decrypted counts as received.
    pub(crate) fn start_tls(
        identity: &Identity,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Server {
        Server::start_changing_tls(&Arc::new(Mutex::new(identity.clone())), answer)
    }

    /// The same, as the identity that it has at the time of each connection.
    pub(crate) fn start_changing_tls(
        identity: &Arc<Mutex<Identity>>,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let identity = Arc::clone(identity);
        let encrypt = move |tcp| {
            let config = Arc::clone(&identity.lock().expect("no test panicked").0);
            encrypted(tcp, &config)
        };
        Server::start_over("https", 0, encrypt, answer)
    }

    /// A proxy that reaches no host: as this identity, it replies in place of each.
    pub(crate) fn start_in_place_of_all(
        identity: &Identity,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let config = Arc::clone(&identity.0);
        let encrypt = move |mut tcp: TcpStream| {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                tcp.read_exact(&mut byte)?;
                head.extend(byte);
            }
            if !head.starts_with(b"CONNECT ") {
                return Err(io::ErrorKind::InvalidData.into());
            }
            tcp.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
            encrypted(tcp, &config)
        };
        Server::start_over("http", 0, encrypt, answer)
    }
}

/// The handshake happens when HTTP reads its first byte.
fn encrypted(tcp: TcpStream, config: &Arc<ServerConfig>) -> io::Result<Box<dyn ReadWrite>> {
    let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    Ok(Box::new(TlsStream(StreamOwned::new(session, tcp))))
}

/// A certificate authority that only programs with its PEM know.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, ready to serve.
#[derive(Clone)]
pub(crate) struct Identity(Arc<ServerConfig>);

impl Authority {
    pub(crate) fn new() -> Authority {
        Authority::with(KeyPair::generate().expect("a key for the test authority"))
    }

    /// Of the same name as all others, with a key of another kind.
    pub(crate) fn of_another_kind() -> Authority {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519);
        Authority::with(key.expect("a key for the test authority"))
    }

    fn with(key: KeyPair) -> Authority {
        Authority(
            CertifiedIssuer::self_signed(certificate_for_authority(), key)
                .expect("a certificate for the test authority"),
        )
    }

    /// The certificate, for a trust store.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// The certificate again, with another end of its validity.
    pub(crate) fn pem_until(&self, until: OffsetDateTime) -> String {
        let mut params = certificate_for_authority();
        params.not_after = until;
        let certificate = params.self_signed(self.0.key());
        certificate
            .expect("a certificate for the test authority")
            .pem()
    }

    /// Vouches for these host names and addresses.
    pub(crate) fn identity(&self, names: &[&str]) -> Identity {
        self.sign(&certificate_for(names))
    }

    /// Vouched for these, until 2001.
    pub(crate) fn expired_identity(&self, names: &[&str]) -> Identity {
        let mut params = certificate_for(names);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key for the server");
        let certificate = params
            .signed_by(&key, &self.0)
            .expect("a certificate for the server");
        Identity::of(&[&certificate], &key)
    }
}

fn certificate_for_authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "hallpass test authority");
    params
}

fn certificate_for(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names that a certificate can have");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// Says goodbye when it is dropped, so that the client can tell the end of an answer from a cut line.
struct TlsStream(StreamOwned<ServerConnection, TcpStream>);

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        self.0.conn.send_close_notify();
        // A client that refused the certificate is gone already.
        let _ = self.0.flush();
    }
}

impl Identity {
    /// Nobody vouches for it but itself.
    pub(crate) fn self_signed(names: &[&str]) -> Identity {
        let key = KeyPair::generate().expect("a key for the server");
        let certificate = certificate_for(names)
            .self_signed(&key)
            .expect("a certificate for the server");
        Identity::of(&[&certificate], &key)
    }

    fn of(chain: &[&rcgen::Certificate], key: &KeyPair) -> Identity {
        let chain = chain.iter().map(|certificate| certificate.der().clone());
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("the protocol versions of rustls")
                .with_no_client_auth()
                .with_single_cert(chain.collect(), key.into())
                .expect("a certificate that fits its key");
        Identity(Arc::new(config))
    }
}

impl Authority {
    /// Vouches for this name the old way, only as the subject's common name.
    pub(crate) fn identity_by_common_name(&self, name: &str) -> Identity {
        let mut params = certificate_for(&[]);
        params.distinguished_name.push(DnType::CommonName, name);
        self.sign(&params)
    }

    /// Vouches for these names from the year 2100 on.
    pub(crate) fn future_identity(&self, names: &[&str]) -> Identity {
        let mut params = certificate_for(names);
        params.not_before = rcgen::date_time_ymd(2100, 1, 1);
        params.not_after = rcgen::date_time_ymd(2101, 1, 1);
        self.sign(&params)
    }
}

impl Authority {
    /// Vouches for these names, and shows that an older authority vouched for this one, until 2001.
    pub(crate) fn identity_once_by(&self, older: &Authority, names: &[&str]) -> Identity {
        let mut params = certificate_for_authority();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        let link = params.signed_by(self.0.key(), &older.0);
        let key = KeyPair::generate().expect("a key for the server");
        let certificate = certificate_for(names).signed_by(&key, &self.0);
        let chain = [certificate, link].map(|made| made.expect("a certificate"));
        Identity::of(&[&chain[0], &chain[1]], &key)
    }

    /// A certificate for a server with these names, and its key, both as PEM.
    pub(crate) fn server_pem(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().expect("a key for the server");
        let certificate = certificate_for(names)
            .signed_by(&key, &self.0)
            .expect("a certificate for the server");
        (certificate.pem(), key.serialize_pem())
    }

    /// The same for a server that is also a client of others like it.
    pub(crate) fn peer_pem(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().expect("a key for the server");
        let mut params = certificate_for(names);
        params
            .extended_key_usages
            .push(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
        let certificate = params.signed_by(&key, &self.0);
        let certificate = certificate.expect("a certificate for the server");
        (certificate.pem(), key.serialize_pem())
    }

    /// A certificate for a client with this name and this key (PKCS#8), as PEM.
    pub(crate) fn client_certificate(&self, name: &str, key: &str) -> String {
        let key = KeyPair::from_pem(key).expect("the client's key");
        let certificate = certificate_for_client(name).signed_by(&key, &self.0);
        certificate.expect("a certificate for the client").pem()
    }
}

/// The same, valid until this moment.
pub(crate) fn client_certificate_until(name: &str, key: &str, until: OffsetDateTime) -> String {
    let key = KeyPair::from_pem(key).expect("the client's key");
    let mut params = certificate_for_client(name);
    params.not_after = until;
    let certificate = params.self_signed(&key);
    certificate.expect("a certificate for the client").pem()
}

/// The same, and nobody vouches for it but itself.
pub(crate) fn self_signed_client_certificate(name: &str, key: &str) -> String {
    let key = KeyPair::from_pem(key).expect("the client's key");
    let certificate = certificate_for_client(name).self_signed(&key);
    certificate.expect("a certificate for the client").pem()
}

fn certificate_for_client(name: &str) -> CertificateParams {
    let mut params = certificate_for(&[name]);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    params
}

impl Authority {
    /// For these names, on servers that insist on something unusual.
    pub(crate) fn identity_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut ServerConfig),
    ) -> Identity {
        let mut config = ServerConfig::clone(&self.identity(names).0);
        change(&mut config);
        Identity(Arc::new(config))
    }

    /// For these names, on a server that requires a client certificate of this authority.
    pub(crate) fn identity_for_known_clients(&self, names: &[&str]) -> Identity {
        self.identity_for_known_clients_with(names, rustls::ALL_VERSIONS)
    }

    /// The same, with these versions of TLS.
    pub(crate) fn identity_for_known_clients_with(
        &self,
        names: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Identity {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a CA certificate");
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&provider),
        );
        let key = KeyPair::generate().expect("a key for the server");
        let certificate = certificate_for(names).signed_by(&key, &self.0);
        let chain = vec![certificate.expect("a certificate").der().clone()];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("the protocol versions of rustls")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(chain, key.into())
            .expect("a certificate that fits its key");
        Identity(Arc::new(config))
    }
}

impl Identity {
    /// As `openssl req -x509` makes it: a CA certificate for these names, valid for these years,
    /// and its PEM.
    pub(crate) fn own_ca(names: &[&str], years: std::ops::Range<i32>) -> (Identity, String) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "own");
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let key = KeyPair::generate().expect("a key for the server");
        let certificate = params.self_signed(&key).expect("a certificate");
        (Identity::of(&[&certificate], &key), certificate.pem())
    }
}
