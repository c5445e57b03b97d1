//! Private keys and user certificates: our types over the protocol crate's.

use std::fmt;
use std::sync::Arc;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::ssh_key::{self, Algorithm};
use russh::keys::{Certificate, decode_secret_key};
use sternline_proto::key::PublicKey;
use sternline_proto::text::escape;
use thiserror::Error as ThisError;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// A private key that is ready to sign: Ed25519, ECDSA (P-256, P-384, P-521) or RSA.
///
/// Clones share one key. Its memory is overwritten when the last of them goes, and `Debug` shows only the algorithm
/// and the fingerprint.
#[derive(Clone)]
pub struct PrivateKey {
    pub(super) key: Arc<russh::keys::PrivateKey>,
    public: PublicKey,
}

/// Why bytes are not a private key that can be used.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum KeyParseError {
    /// The key is encrypted and no passphrase was given.
    #[error("the key is encrypted and no passphrase was given")]
    Encrypted,
    /// The key is encrypted with another passphrase, or is damaged: the formats cannot tell the two apart.
    #[error("the passphrase is wrong, or the key is damaged")]
    WrongPassphrase,
    /// The bytes are not a private key in a format that is read here; the text says what is wrong with them.
    #[error("not a private key in OpenSSH, PKCS#8, PEM or PuTTY format: {0}")]
    InvalidFormat(String),
    /// A private key of a kind that cannot sign here; the text says what to do.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// What can be told of a private key without its passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySummary {
    /// Whether a passphrase is needed.
    pub(crate) encrypted: bool,
    /// The public part, where the format keeps it in the open.
    pub(crate) public: Option<PublicKey>,
}

impl PrivateKey {
    /// Makes a new Ed25519 key from the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn generate() -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|error| {
            Error::new(ErrorKind::Local, "cannot get randomness for a key").with_source_text(&error)
        })?;
        Self::new(Ed25519Keypair::from_seed(&seed).into())
            .map_err(|error| Error::new(ErrorKind::Local, format!("cannot make a key: {error}")))
    }

    /// Reads a private key: OpenSSH's own format, PKCS#8, PKCS#1 or SEC1 PEM, and PuTTY's PPK versions 2 and 3, each
    /// plain or encrypted. The passphrase is ignored when the key is not encrypted.
    ///
    /// # Errors
    /// [`KeyParseError::Encrypted`] when a passphrase is needed and none was given; otherwise what is wrong.
    pub fn parse(bytes: &[u8], passphrase: Option<&Secret>) -> Result<Self, KeyParseError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| KeyParseError::InvalidFormat("it is not text, but binary data".into()))?;
        match Format::of(text)? {
            Format::OpenSsh => {
                let key =
                    ssh_key::PrivateKey::from_openssh(text.trim_start()).or_else(|_| decode(text, None));
                match (key, passphrase) {
                    (Ok(key), Some(passphrase)) if key.is_encrypted() => Self::new(
                        key.decrypt(passphrase.expose())
                            .map_err(|_| KeyParseError::WrongPassphrase)?,
                    ),
                    (Ok(key), None) if key.is_encrypted() => Err(KeyParseError::Encrypted),
                    (Ok(key), _) => Self::new(key),
                    (Err(KeyParseError::Encrypted), Some(passphrase)) => {
                        Self::new(decode(text, Some(passphrase)).map_err(|_| KeyParseError::WrongPassphrase)?)
                    }
                    (Err(error), _) => Err(error),
                }
            }
            Format::Plain => Self::new(decode(text, None)?),
            Format::Encrypted => {
                let passphrase = passphrase.ok_or(KeyParseError::Encrypted)?;
                Self::new(decode(text, Some(passphrase)).map_err(|_| KeyParseError::WrongPassphrase)?)
            }
        }
    }

    fn new(key: russh::keys::PrivateKey) -> Result<Self, KeyParseError> {
        match key.key_data() {
            KeypairData::Ed25519(_) | KeypairData::Ecdsa(_) | KeypairData::Rsa(_) => {}
            KeypairData::SkEd25519(_) | KeypairData::SkEcdsaSha2NistP256(_) => {
                return Err(KeyParseError::Unsupported(
                    "the file only points to a security key, which signs through the agent: add it with ssh-add",
                ));
            }
            _ => {
                return Err(KeyParseError::Unsupported(
                    "keys of this type are not supported (DSA is broken): make an Ed25519 key with ssh-keygen",
                ));
            }
        }
        let public = public_key(key.public_key())?;
        Ok(Self {
            key: Arc::new(key),
            public,
        })
    }

    /// The public part.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn is_rsa(&self) -> bool {
        matches!(self.key.key_data(), KeypairData::Rsa(_))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PrivateKey({} {})",
            self.public.algorithm(),
            self.public.fingerprint()
        )
    }
}

impl KeySummary {
    /// Looks at a private key without a passphrase.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, KeyParseError> {
        match PrivateKey::parse(bytes, None) {
            Ok(key) => Ok(Self {
                encrypted: false,
                public: Some(key.public),
            }),
            Err(KeyParseError::Encrypted) => {
                let text = std::str::from_utf8(bytes).unwrap_or_default();
                Ok(Self {
                    encrypted: true,
                    public: openssh_public(text).or_else(|| ppk_public(text)),
                })
            }
            Err(error) => Err(error),
        }
    }
}

/// How a key's text has to be read.
enum Format {
    /// OpenSSH's own: what is inside says whether it is encrypted.
    OpenSsh,
    Plain,
    Encrypted,
}

impl Format {
    fn of(text: &str) -> Result<Self, KeyParseError> {
        let has_line = |start: &str| text.lines().any(|line| line.starts_with(start));
        if text.trim_start().starts_with("PuTTY-User-Key-File-") {
            check_argon2_memory(text)?;
            let plain = has_line("Encryption: none");
            return Ok(if plain { Self::Plain } else { Self::Encrypted });
        }
        if has_line("-----BEGIN OPENSSH PRIVATE KEY-----") {
            return Ok(Self::OpenSsh);
        }
        if has_line("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Ok(Self::Encrypted);
        }
        if has_line("Proc-Type: 4,ENCRYPTED") {
            if has_line("-----BEGIN RSA PRIVATE KEY-----") && has_line("DEK-Info: AES-128-CBC,") {
                return Ok(Self::Encrypted);
            }
            return Err(KeyParseError::Unsupported(
                "this old PEM encryption is not supported: convert the key with ssh-keygen -p -f FILE",
            ));
        }
        if has_line("-----BEGIN PRIVATE KEY-----")
            || has_line("-----BEGIN RSA PRIVATE KEY-----")
            || has_line("-----BEGIN EC PRIVATE KEY-----")
        {
            return Ok(Self::Plain);
        }
        if has_line("-----BEGIN DSA PRIVATE KEY-----") {
            return Err(KeyParseError::Unsupported(
                "DSA keys are broken: make an Ed25519 key with ssh-keygen",
            ));
        }
        let looks_public = ["ssh-", "ecdsa-", "sk-"]
            .iter()
            .any(|start| text.trim_start().starts_with(start));
        let looks_public = looks_public || has_line("---- BEGIN SSH2 PUBLIC KEY");
        Err(KeyParseError::InvalidFormat(
            if looks_public {
                "it is a public key, the private one has no .pub"
            } else {
                "no key header found"
            }
            .into(),
        ))
    }
}

/// A PPK file names how much memory its key derivation takes; one that asks for more than 1 GiB is not obeyed.
fn check_argon2_memory(text: &str) -> Result<(), KeyParseError> {
    const MOST_KIB: u64 = 1024 * 1024;
    let asked = text.lines().find_map(|line| line.strip_prefix("Argon2-Memory: "));
    match asked.map(|kib| kib.trim().parse::<u64>()) {
        Some(Ok(kib)) if kib > MOST_KIB => Err(KeyParseError::Unsupported(
            "the key's Argon2 derivation asks for more than 1 GiB of memory",
        )),
        _ => Ok(()),
    }
}

fn decode(text: &str, passphrase: Option<&Secret>) -> Result<russh::keys::PrivateKey, KeyParseError> {
    decode_secret_key(text, passphrase.map(Secret::expose)).map_err(|error| match error {
        russh::keys::Error::KeyIsEncrypted => KeyParseError::Encrypted,
        // The texts of these errors quote positions and names, never key material.
        error => KeyParseError::InvalidFormat(escape(&error.to_string())),
    })
}

fn public_key(key: &ssh_key::PublicKey) -> Result<PublicKey, KeyParseError> {
    let blob = key
        .to_bytes()
        .map_err(|error| KeyParseError::InvalidFormat(error.to_string()))?;
    PublicKey::from_blob(blob).map_err(|error| KeyParseError::InvalidFormat(error.to_string()))
}

/// The public part of an encrypted key in OpenSSH's format.
fn openssh_public(text: &str) -> Option<PublicKey> {
    let key = ssh_key::PrivateKey::from_openssh(text.trim_start()).ok()?;
    public_key(key.public_key()).ok()
}

/// The public part of a PPK file: the lines that `Public-Lines` counts.
fn ppk_public(text: &str) -> Option<PublicKey> {
    let mut lines = text.trim_start().lines();
    let (_, algorithm) = lines.next()?.split_once(": ")?;
    let count = lines
        .find_map(|line| line.strip_prefix("Public-Lines: "))?
        .trim()
        .parse()
        .ok()?;
    let base64: String = lines.take(count).collect();
    PublicKey::from_text(algorithm.trim(), &base64).ok()
}

/// An OpenSSH user certificate (PROTOCOL.certkeys): an authority's word that a key may log in as certain users.
#[derive(Clone)]
pub struct UserCertificate {
    pub(super) certificate: Arc<Certificate>,
    blob: PublicKey,
    key: PublicKey,
}

/// Why text is not a user certificate.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum CertificateParseError {
    /// The text is not an OpenSSH certificate; the reason follows.
    #[error("not an OpenSSH certificate: {0}")]
    InvalidFormat(String),
    /// A host certificate, which proves a server and never a user.
    #[error("it is a host certificate, not a user certificate")]
    Host,
}

impl UserCertificate {
    /// Reads the line that `ssh-keygen -s` writes into `id-cert.pub`.
    ///
    /// # Errors
    /// When the text is something else, or certifies a host.
    pub fn parse(text: &str) -> Result<Self, CertificateParseError> {
        let mut fields = text.split_whitespace();
        let (Some(algorithm), Some(base64)) = (fields.next(), fields.next()) else {
            return Err(CertificateParseError::InvalidFormat("it is empty".into()));
        };
        let blob = PublicKey::from_text(algorithm, base64)
            .map_err(|error| CertificateParseError::InvalidFormat(escape(&error.to_string())))?;
        // A certificate that certifies certificates would recurse for as long as it likes.
        const MARKER: &[u8] = b"-cert-v01@";
        if blob
            .blob()
            .windows(MARKER.len())
            .filter(|window| *window == MARKER)
            .count()
            > 2
        {
            return Err(CertificateParseError::InvalidFormat(
                "certificates are nested".into(),
            ));
        }
        let certificate = Certificate::from_bytes(blob.blob())
            .map_err(|error| CertificateParseError::InvalidFormat(error.to_string()))?;
        Self::new(certificate, blob)
    }

    pub(super) fn new(certificate: Certificate, blob: PublicKey) -> Result<Self, CertificateParseError> {
        if certificate.cert_type() != CertType::User {
            return Err(CertificateParseError::Host);
        }
        let key = public_key(&certificate.public_key().clone().into())
            .map_err(|error| CertificateParseError::InvalidFormat(error.to_string()))?;
        Ok(Self {
            certificate: Arc::new(certificate),
            blob,
            key,
        })
    }

    /// The key that is certified.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The certificate's own blob: two certificates for one key differ in it.
    pub(crate) fn blob(&self) -> &PublicKey {
        &self.blob
    }

    /// The free-text identity that the authority wrote, escaped.
    #[must_use]
    pub fn key_id(&self) -> String {
        escape(self.certificate.key_id())
    }

    /// Why the certificate cannot be accepted at `now` (seconds of Unix time), if it is outside its validity.
    pub(crate) fn outside_validity(&self, now: u64) -> Option<&'static str> {
        if now < self.certificate.valid_after() {
            Some("the certificate is not valid yet")
        } else if now >= self.certificate.valid_before() {
            Some("the certificate has expired")
        } else {
            None
        }
    }

    pub(super) fn is_rsa(&self) -> bool {
        matches!(self.certificate.algorithm(), Algorithm::Rsa { .. })
    }
}

impl fmt::Debug for UserCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "UserCertificate({:?} for {:?})",
            self.certificate.key_id(),
            self.key
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;
    use std::process::Command;

    /// Runs a tool that makes or converts keys; the test needs it.
    fn run(program: &str, args: &[&str]) {
        let output = Command::new(program)
            .args(args)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(
            output.status.success(),
            "{program} {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn keygen(path: &Path, kind: &[&str], passphrase: &str) {
        let mut args = vec![
            "-q",
            "-N",
            passphrase,
            "-C",
            "a comment",
            "-f",
            path.to_str().unwrap(),
        ];
        args.extend(kind);
        run("ssh-keygen", &args);
    }

    fn public_beside(path: &Path) -> PublicKey {
        let text = std::fs::read_to_string(format!("{}.pub", path.display())).unwrap();
        let mut fields = text.split_whitespace();
        PublicKey::from_text(fields.next().unwrap(), fields.next().unwrap()).unwrap()
    }

    /// What must hold for every key: it parses to the public key expected, plain or with its passphrase only.
    fn check(bytes: &[u8], expected: &PublicKey, passphrase: Option<&str>, what: &str) {
        let Some(passphrase) = passphrase else {
            assert_eq!(
                PrivateKey::parse(bytes, None).expect(what).public(),
                expected,
                "{what}"
            );
            let needless = PrivateKey::parse(bytes, Some(&Secret::from("needless")));
            assert_eq!(
                needless.expect(what).public(),
                expected,
                "{what}, needless passphrase"
            );
            let summary = KeySummary {
                encrypted: false,
                public: Some(expected.clone()),
            };
            assert_eq!(KeySummary::of(bytes), Ok(summary), "{what}");
            return;
        };
        let key = PrivateKey::parse(bytes, Some(&Secret::from(passphrase)));
        assert_eq!(key.expect(what).public(), expected, "{what}");
        assert_eq!(
            PrivateKey::parse(bytes, None).unwrap_err(),
            KeyParseError::Encrypted,
            "{what}"
        );
        let wrong = PrivateKey::parse(bytes, Some(&Secret::from("wrong")));
        assert_eq!(wrong.unwrap_err(), KeyParseError::WrongPassphrase, "{what}");
        let summary = KeySummary::of(bytes).expect(what);
        assert!(summary.encrypted, "{what}");
        assert!(summary.public.is_none_or(|public| public == *expected), "{what}");
    }

    const KINDS: [&[&str]; 5] = [
        &["-t", "ed25519"],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "ecdsa", "-b", "521"],
        &["-t", "rsa", "-b", "2048"],
    ];

    #[test]
    fn keys_made_by_ssh_keygen_are_read_plain_and_encrypted() {
        let dir = tempfile::tempdir().unwrap();
        for (index, kind) in KINDS.iter().enumerate() {
            for passphrase in [None, Some("open sesame")] {
                let path = dir.path().join(format!("{index}-{}", passphrase.is_some()));
                keygen(&path, kind, passphrase.unwrap_or_default());
                let bytes = std::fs::read(&path).unwrap();
                check(
                    &bytes,
                    &public_beside(&path),
                    passphrase,
                    &format!("{kind:?} {passphrase:?}"),
                );
                let public = KeySummary::of(&bytes).unwrap().public;
                assert_eq!(
                    public,
                    Some(public_beside(&path)),
                    "the public part needs no passphrase"
                );
            }
        }
    }

    #[test]
    fn keys_in_pem_and_pkcs8_are_read_plain_and_encrypted() {
        let dir = tempfile::tempdir().unwrap();
        for format in ["PEM", "PKCS8"] {
            for (index, kind) in KINDS.iter().enumerate().skip(1) {
                for passphrase in [None, Some("open sesame")] {
                    let path = dir
                        .path()
                        .join(format!("{format}-{index}-{}", passphrase.is_some()));
                    let kind = [kind, &["-m", format][..]].concat();
                    keygen(&path, &kind, passphrase.unwrap_or_default());
                    let bytes = std::fs::read(&path).unwrap();
                    let what = format!("{kind:?} {passphrase:?}");
                    let ecdsa_in_old_encryption =
                        format == "PEM" && passphrase.is_some() && kind.contains(&"ecdsa");
                    if ecdsa_in_old_encryption {
                        let error =
                            PrivateKey::parse(&bytes, Some(&Secret::from("open sesame"))).unwrap_err();
                        assert!(error.to_string().contains("ssh-keygen -p"), "{what}: {error}");
                        continue;
                    }
                    check(&bytes, &public_beside(&path), passphrase, &what);
                }
            }
        }
    }

    #[test]
    fn ed25519_keys_in_pkcs8_by_openssl_are_read_plain_and_encrypted() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        let sealed = dir.path().join("sealed");
        run(
            "openssl",
            &[
                "genpkey",
                "-algorithm",
                "ed25519",
                "-out",
                plain.to_str().unwrap(),
            ],
        );
        let (from, to) = (plain.to_str().unwrap(), sealed.to_str().unwrap());
        run(
            "openssl",
            &[
                "pkcs8",
                "-topk8",
                "-in",
                from,
                "-out",
                to,
                "-passout",
                "pass:open sesame",
            ],
        );
        let key = PrivateKey::parse(&std::fs::read(&plain).unwrap(), None).unwrap();
        assert_eq!(key.public().algorithm(), "ssh-ed25519");
        check(
            &std::fs::read(&sealed).unwrap(),
            key.public(),
            Some("open sesame"),
            "openssl pkcs8",
        );
    }

    #[test]
    fn putty_keys_of_both_versions_are_read_plain_and_encrypted() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("passphrase");
        std::fs::write(&secret, "open sesame").unwrap();
        let none = dir.path().join("empty");
        std::fs::write(&none, "").unwrap();
        for (index, kind) in KINDS.iter().enumerate() {
            let path = dir.path().join(format!("key-{index}"));
            keygen(&path, kind, "");
            for version in ["2", "3"] {
                for passphrase in [None, Some("open sesame")] {
                    let ppk = dir
                        .path()
                        .join(format!("{index}-{version}-{}.ppk", passphrase.is_some()));
                    let file = if passphrase.is_some() { &secret } else { &none };
                    run(
                        "puttygen",
                        &[
                            path.to_str().unwrap(),
                            "-O",
                            "private",
                            "-o",
                            ppk.to_str().unwrap(),
                            "--new-passphrase",
                            file.to_str().unwrap(),
                            "--ppk-param",
                            &format!("version={version},memory=64,passes=1"),
                        ],
                    );
                    let bytes = std::fs::read(&ppk).unwrap();
                    let what = format!("{kind:?} PPK {version} {passphrase:?}");
                    check(&bytes, &public_beside(&path), passphrase, &what);
                    assert_eq!(
                        KeySummary::of(&bytes).unwrap().public,
                        Some(public_beside(&path)),
                        "{what}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_no_usable_private_key_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        keygen(&path, KINDS[0], "");
        let public = std::fs::read(format!("{}.pub", path.display())).unwrap();
        for (bytes, reason) in [
            (&public[..], "it is a public key"),
            (b"", "no key header"),
            (b"\xff\xfe\x00", "binary data"),
            (
                b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
                "OpenSSH",
            ),
            (
                b"-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n",
                "ssh-keygen",
            ),
            (
                b"PuTTY-User-Key-File-3: ssh-rsa\nEncryption: aes256-cbc\nArgon2-Memory: 9999999\n",
                "1 GiB",
            ),
        ] {
            let error = KeySummary::of(bytes).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_certificate_names_the_key_it_certifies_and_its_validity() {
        let dir = tempfile::tempdir().unwrap();
        let (ca, path) = (dir.path().join("ca"), dir.path().join("id"));
        keygen(&ca, KINDS[0], "");
        keygen(&path, KINDS[1], "");
        let file = format!("{}.pub", path.display());
        let certificate = dir.path().join("id-cert.pub");
        for (kind, validity) in [
            ("-I", "19700101000002Z:19700101000010Z"),
            ("-hI", "always:forever"),
        ] {
            let mut args = vec![
                "-q",
                "-s",
                ca.to_str().unwrap(),
                "-V",
                validity,
                "-n",
                "alice",
                "-I",
                "who\x1b",
            ];
            if kind == "-hI" {
                args.push("-h");
            }
            args.push(&file);
            run("ssh-keygen", &args);
            let parsed = UserCertificate::parse(&std::fs::read_to_string(&certificate).unwrap());
            if kind == "-hI" {
                assert_eq!(parsed.unwrap_err(), CertificateParseError::Host);
                continue;
            }
            let parsed = parsed.unwrap();
            assert_eq!(parsed.key(), &public_beside(&path));
            assert_eq!(parsed.key_id(), "who\\x1b");
            assert_eq!(
                parsed.outside_validity(1),
                Some("the certificate is not valid yet")
            );
            assert_eq!(parsed.outside_validity(2), None);
            assert_eq!(parsed.outside_validity(10), Some("the certificate has expired"));
        }
    }

    #[test]
    fn a_public_key_is_not_a_certificate() {
        let key = PrivateKey::generate().unwrap();
        let line = format!("{} {}", key.public().algorithm(), key.public().to_base64());
        assert!(matches!(
            UserCertificate::parse(&line),
            Err(CertificateParseError::InvalidFormat(_))
        ));
        assert!(matches!(
            UserCertificate::parse(""),
            Err(CertificateParseError::InvalidFormat(_))
        ));
    }

    #[test]
    fn debug_output_shows_the_fingerprint_and_nothing_else() {
        let key = PrivateKey::generate().unwrap();
        assert_eq!(
            format!("{key:?}"),
            format!("PrivateKey(ssh-ed25519 {})", key.public().fingerprint())
        );
        assert_ne!(PrivateKey::generate().unwrap().public(), key.public());
    }

    proptest! {
        #[test]
        fn damaged_keys_never_panic(flips in prop::collection::vec((0usize..400, any::<u8>()), 1..4)) {
            let key = PrivateKey::generate().unwrap();
            let mut bytes = key.key.to_openssh(ssh_key::LineEnding::LF).unwrap().as_bytes().to_vec();
            for (at, value) in flips {
                let length = bytes.len();
                bytes[at % length] = value;
            }
            let _ = KeySummary::of(&bytes);
            let _ = PrivateKey::parse(&bytes, Some(&Secret::from("x")));
        }

        #[test]
        fn arbitrary_text_behind_a_key_header_never_panics(
            header in prop::sample::select(vec![
                "-----BEGIN OPENSSH PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----",
                "-----BEGIN EC PRIVATE KEY-----", "-----BEGIN ENCRYPTED PRIVATE KEY-----",
                "PuTTY-User-Key-File-2: ssh-rsa", "PuTTY-User-Key-File-3: ssh-ed25519",
            ]),
            body in "[A-Za-z0-9+/=\n :-]{0,200}",
        ) {
            let _ = KeySummary::of(format!("{header}\n{body}").as_bytes());
            let _ = PrivateKey::parse(format!("{header}\n{body}").as_bytes(), Some(&Secret::from("x")));
            let _ = UserCertificate::parse(&body);
        }
    }
}
