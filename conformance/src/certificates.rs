//! Certificates for servers that speak TLS.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use crate::directory::TempDir;

/// A certificate authority that lives as long as a test.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A server's certificate and key, as files that everybody can read.
#[derive(Debug)]
pub struct Certificate {
    /// The certificate, in PEM.
    pub chain: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    _files: TempDir,
}

impl Authority {
    /// A new one.
    #[track_caller]
    pub fn new() -> Self {
        // Two authorities of one name would be taken for each other.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut parameters = CertificateParams::new([]).expect("no name is a list of names");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        parameters.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key can be made");
        Self(CertifiedIssuer::self_signed(parameters, key).expect("an authority signs itself"))
    }

    /// Its certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate of `name`, a host's name or an IP address.
    #[track_caller]
    pub fn sign(&self, name: &str) -> Certificate {
        self.issue(name, |_| ())
    }

    /// The same, and it has expired.
    #[track_caller]
    pub fn sign_expired(&self, name: &str) -> Certificate {
        self.issue(name, |parameters| parameters.not_after = date_time_ymd(2001, 1, 1))
    }

    #[track_caller]
    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut parameters =
            CertificateParams::new([name.to_owned()]).expect("a name or an address");
        parameters.distinguished_name.push(DnType::CommonName, name);
        change(&mut parameters);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = parameters.signed_by(&key, &self.0).expect("an authority signs");
        let files = TempDir::new("certificate");
        let set_mode = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
                .expect("the mode of an own file can be changed");
        };
        // memcached gives up root's rights.
        set_mode(files.path(), 0o755);
        let write = |name: &str, text: String| {
            let path = files.path().join(name);
            std::fs::write(&path, text).expect("a file can be written");
            set_mode(&path, 0o644);
            path
        };
        let chain = write("chain.pem", certificate.pem());
        let key = write("key.pem", key.serialize_pem());
        Certificate { chain, key, _files: files }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
