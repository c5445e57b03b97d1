//! Private key files: reading them, and what can be known of them before their passphrase is.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sternline_proto::key::PublicKey;
use sternline_proto::text::escape;
use zeroize::Zeroizing;

use crate::config::paths::others_may_read;
use crate::error::{Error, ErrorKind, KeyLoadReason, Result};
use crate::secret::Secret;
use crate::transport::certificate::UserCertificate;
use crate::transport::keys::{KeyParseError, KeySummary, PrivateKey};

/// No key or certificate is larger; a device or a log file would be.
const LARGEST: u64 = 1024 * 1024;

/// A key named by a path: as much of it as can be had without a passphrase.
#[derive(Debug)]
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    /// The public part, from the file itself or from `NAME.pub`.
    pub(super) public: Option<PublicKey>,
    pub(super) private: Result<Sealed>,
    pub(super) certificate: Option<Result<UserCertificate>>,
}

/// The private part, as it stands in the file.
pub(super) struct Sealed {
    bytes: Zeroizing<Vec<u8>>,
    pub(super) encrypted: bool,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed")
            .field("encrypted", &self.encrypted)
            .finish_non_exhaustive()
    }
}

impl KeyFile {
    /// Reads the key, and the certificate at `certificate` or beside the key. Blocks.
    pub(super) fn read(path: &Path, certificate: Option<&Path>) -> Self {
        let named_public = path.extension().is_some_and(|extension| extension == "pub");
        let (public, private) = if named_public {
            (read_public(path), Err(only_public(path)))
        } else {
            match read_private(path) {
                Ok((sealed, public)) => (public, Ok(sealed)),
                Err(error) => (None, Err(error)),
            }
        };
        // The public part of a key that cannot be read, or that keeps it encrypted, often stands beside it.
        let public = public.or_else(|| read_public(&with_suffix(path, ".pub")));
        let certificate = match certificate {
            Some(path) => Some(read_certificate(path)),
            None => {
                let bare = if named_public {
                    path.with_extension("")
                } else {
                    path.to_owned()
                };
                let beside = with_suffix(&bare, "-cert.pub");
                beside.is_file().then(|| read_certificate(&beside))
            }
        };
        let certificate = certificate.map(|read| {
            read.and_then(|certificate| match &public {
                Some(public) if certificate.key() != public => Err(failed(
                    path,
                    KeyLoadReason::InvalidFormat,
                    "its certificate is for another key",
                    "sign this key's .pub file with ssh-keygen -s, or remove the certificate",
                )),
                _ => Ok(certificate),
            })
        });
        Self {
            path: path.to_owned(),
            public,
            private,
            certificate,
        }
    }
}

impl Sealed {
    /// The key itself. Deriving the cipher's key from a passphrase takes long by design: call it where blocking is
    /// allowed.
    pub(super) fn unlock(&self, path: &Path, passphrase: Option<&Secret>) -> Result<PrivateKey> {
        PrivateKey::parse(&self.bytes, passphrase).map_err(|error| parse_error(path, &error))
    }
}

/// Opens a key; off the runtime's threads when a passphrase has to be stretched, which takes a while by design.
pub(super) async fn unlock(
    sealed: &Arc<Sealed>,
    path: &Path,
    passphrase: Option<&Secret>,
) -> Result<PrivateKey> {
    if !sealed.encrypted {
        return sealed.unlock(path, None);
    }
    let (sealed, owned, passphrase) = (Arc::clone(sealed), path.to_owned(), passphrase.cloned());
    tokio::task::spawn_blocking(move || sealed.unlock(&owned, passphrase.as_ref()))
        .await
        .unwrap_or_else(|error| {
            Err(
                failed(path, KeyLoadReason::Unknown, "decrypting it failed", "try again")
                    .with_source_text(&error),
            )
        })
}

fn read_private(path: &Path) -> Result<(Sealed, Option<PublicKey>)> {
    let (bytes, exposed) = read(path).map_err(|error| open_error(path, &error))?;
    let summary = KeySummary::of(&bytes).map_err(|error| parse_error(path, &error))?;
    if exposed {
        return Err(failed(
            path,
            KeyLoadReason::PermissionDenied,
            "other users can read it, so it is not used",
            &format!("run chmod 600 {}", escape(&path.display().to_string())),
        ));
    }
    Ok((
        Sealed {
            bytes,
            encrypted: summary.encrypted,
        },
        summary.public,
    ))
}

/// The content, and whether other users can read it.
fn read(path: &Path) -> io::Result<(Zeroizing<Vec<u8>>, bool)> {
    // Opening a pipe would wait for its writer.
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() > LARGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is too large to be a key",
        ));
    }
    let length = usize::try_from(metadata.len()).unwrap_or_default();
    // Room for the whole file, so that growing leaves no copy of it behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok((bytes, others_may_read(&metadata)))
}

fn read_public(path: &Path) -> Option<PublicKey> {
    let (bytes, _) = read(path).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?;
    let mut fields = text
        .lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with('#'))?
        .split_whitespace();
    PublicKey::from_text(fields.next()?, fields.next()?).ok()
}

pub(super) fn read_certificate(path: &Path) -> Result<UserCertificate> {
    let (bytes, _) = read(path).map_err(|error| open_error(path, &error))?;
    UserCertificate::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| {
        failed(
            path,
            KeyLoadReason::InvalidFormat,
            &error.to_string(),
            "make a certificate with ssh-keygen -s",
        )
    })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(super) fn failed(path: &Path, reason: KeyLoadReason, what: &str, hint: &str) -> Error {
    let shown = escape(&path.display().to_string());
    Error::new(
        ErrorKind::KeyLoad(reason),
        format!("cannot use the key file {shown}: {what}"),
    )
    .with_hint(hint)
    .with_key_path(path)
}

fn only_public(path: &Path) -> Error {
    failed(
        path,
        KeyLoadReason::InvalidFormat,
        "it is a public key, and the agent does not hold the private one",
        "name the private key (without .pub), or add it to the agent with ssh-add",
    )
}

fn open_error(path: &Path, error: &io::Error) -> Error {
    let (reason, what, hint) = match error.kind() {
        io::ErrorKind::NotFound => (
            KeyLoadReason::FileNotFound,
            "it does not exist".into(),
            "check the path",
        ),
        io::ErrorKind::PermissionDenied => (
            KeyLoadReason::PermissionDenied,
            "it may not be read".into(),
            "check its owner and mode",
        ),
        io::ErrorKind::InvalidInput => (KeyLoadReason::InvalidFormat, error.to_string(), "check the path"),
        _ => (KeyLoadReason::Unknown, error.to_string(), "check the path"),
    };
    failed(path, reason, &what, hint).with_source_text(error)
}

fn parse_error(path: &Path, error: &KeyParseError) -> Error {
    let (reason, hint) = match error {
        KeyParseError::Encrypted => (
            KeyLoadReason::WrongPassphrase,
            "give its passphrase, or add it to the agent with ssh-add",
        ),
        KeyParseError::WrongPassphrase => (
            KeyLoadReason::WrongPassphrase,
            "check the passphrase with ssh-keygen -y -f FILE",
        ),
        KeyParseError::InvalidFormat(_) => (
            KeyLoadReason::InvalidFormat,
            "check the file with ssh-keygen -y -f FILE",
        ),
        KeyParseError::Unsupported(_) => (KeyLoadReason::InvalidFormat, "see the message"),
    };
    failed(path, reason, &error.to_string(), hint)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    fn keygen(dir: &Path, args: &[&str]) {
        let output = Command::new("ssh-keygen")
            .arg("-q")
            .args(args)
            .current_dir(dir)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn reason(error: &Error) -> KeyLoadReason {
        match error.kind() {
            ErrorKind::KeyLoad(reason) => *reason,
            kind => panic!("{kind:?}"),
        }
    }

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn an_encrypted_key_gives_its_public_part_and_opens_with_its_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        keygen(dir.path(), &["-t", "ed25519", "-N", "open sesame", "-f", "id"]);
        let path = dir.path().join("id");
        let file = KeyFile::read(&path, None);
        let sealed = file.private.unwrap();
        assert!(sealed.encrypted);
        let key = sealed.unlock(&path, Some(&"open sesame".into())).unwrap();
        assert_eq!(Some(key.public()), file.public.as_ref());
        for passphrase in [None, Some("wrong".into())] {
            let error = sealed.unlock(&path, passphrase.as_ref()).unwrap_err();
            assert_eq!(reason(&error), KeyLoadReason::WrongPassphrase);
            assert_eq!(error.context().key_path.as_deref(), Some(path.as_path()));
        }
    }

    #[test]
    fn the_public_part_of_an_encrypted_pkcs8_key_comes_from_the_file_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        keygen(
            dir.path(),
            &["-t", "ecdsa", "-m", "PKCS8", "-N", "open sesame", "-f", "id"],
        );
        let file = KeyFile::read(&dir.path().join("id"), None);
        assert!(file.public.is_some());
        std::fs::remove_file(dir.path().join("id.pub")).unwrap();
        assert!(KeyFile::read(&dir.path().join("id"), None).public.is_none());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_command_that_helps() {
        let dir = tempfile::tempdir().unwrap();
        keygen(dir.path(), &["-t", "ed25519", "-N", "", "-f", "id"]);
        let path = dir.path().join("id");
        for mode in [0o640, 0o604, 0o620] {
            chmod(&path, mode);
            let error = KeyFile::read(&path, None).private.unwrap_err();
            assert_eq!(reason(&error), KeyLoadReason::PermissionDenied);
            assert!(error.hint().starts_with("run chmod 600 /"), "{error:?}");
        }
        chmod(&path, 0o400);
        assert!(KeyFile::read(&path, None).private.is_ok());
    }

    #[test]
    fn each_way_in_which_a_key_cannot_be_loaded_has_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("nonsense"), "nonsense").unwrap();
        std::fs::create_dir(path("directory")).unwrap();
        File::create(path("huge")).unwrap().set_len(LARGEST + 1).unwrap();
        for (name, expected) in [
            ("missing", KeyLoadReason::FileNotFound),
            ("nonsense", KeyLoadReason::InvalidFormat),
            ("directory", KeyLoadReason::InvalidFormat),
            ("huge", KeyLoadReason::InvalidFormat),
        ] {
            let error = KeyFile::read(&path(name), None).private.unwrap_err();
            assert_eq!(reason(&error), expected, "{name}");
            assert!(!error.hint().is_empty());
        }
    }

    #[test]
    fn a_certificate_beside_the_key_is_found_and_one_for_another_key_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["ca", "id", "other"] {
            keygen(dir.path(), &["-t", "ed25519", "-N", "", "-f", name]);
        }
        let path = dir.path().join("id");
        assert!(KeyFile::read(&path, None).certificate.is_none());
        keygen(dir.path(), &["-s", "ca", "-I", "id", "-n", "alice", "id.pub"]);
        keygen(dir.path(), &["-s", "ca", "-I", "id", "-n", "alice", "other.pub"]);
        let file = KeyFile::read(&path, None);
        assert_eq!(
            file.certificate.unwrap().unwrap().key(),
            file.public.as_ref().unwrap()
        );
        let other = dir.path().join("other-cert.pub");
        let error = KeyFile::read(&path, Some(&other))
            .certificate
            .unwrap()
            .unwrap_err();
        assert!(error.to_string().contains("for another key"), "{error}");
        let error = KeyFile::read(&path, Some(&dir.path().join("nothing")))
            .certificate
            .unwrap()
            .unwrap_err();
        assert_eq!(reason(&error), KeyLoadReason::FileNotFound);
    }

    #[test]
    fn a_public_key_file_names_a_key_without_holding_it() {
        let dir = tempfile::tempdir().unwrap();
        keygen(dir.path(), &["-t", "ed25519", "-N", "", "-f", "id"]);
        let file = KeyFile::read(&dir.path().join("id.pub"), None);
        assert!(file.public.is_some());
        assert!(
            file.private
                .unwrap_err()
                .to_string()
                .contains("it is a public key")
        );
        std::fs::remove_file(dir.path().join("id")).unwrap();
        let file = KeyFile::read(&dir.path().join("id"), None);
        assert!(file.public.is_some());
        assert_eq!(reason(&file.private.unwrap_err()), KeyLoadReason::FileNotFound);
    }

    #[test]
    fn debug_output_shows_no_part_of_the_private_key() {
        let dir = tempfile::tempdir().unwrap();
        keygen(dir.path(), &["-t", "ed25519", "-N", "", "-f", "id"]);
        let text = std::fs::read_to_string(dir.path().join("id")).unwrap();
        let shown = format!("{:?}", KeyFile::read(&dir.path().join("id"), None));
        assert!(
            text.lines().skip(1).take(4).all(|line| !shown.contains(line)),
            "{shown}"
        );
        assert!(!shown.contains("bytes"), "{shown}");
    }
}
