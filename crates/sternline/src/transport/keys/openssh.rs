//! OpenSSH's own format for private keys (PROTOCOL.key), with a repair for what the protocol crate does not read.

use data_encoding::BASE64;
use russh::keys::ssh_key::private::{EcdsaKeypair, EcdsaPrivateKey};
use russh::keys::ssh_key::public::EcdsaPublicKey;
use russh::keys::{PrivateKey, ssh_key};
use sternline_proto::key::PublicKey;
use sternline_proto::text::escape;
use zeroize::Zeroizing;

use super::{KeyParseError, public_key};
use crate::secret::Secret;

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// Reads a key, with its passphrase if it is encrypted.
pub(super) fn parse(text: &str, passphrase: Option<&Secret>) -> Result<PrivateKey, KeyParseError> {
    let bytes = body(text).ok_or_else(|| KeyParseError::InvalidFormat("it is not valid base64".into()))?;
    let key = match PrivateKey::from_bytes(&bytes) {
        Ok(key) => key,
        Err(error) => {
            let repaired = plain_section(&bytes).and_then(with_short_scalar);
            return repaired.ok_or_else(|| KeyParseError::InvalidFormat(escape(&error.to_string())));
        }
    };
    if !key.is_encrypted() {
        return Ok(key);
    }
    let passphrase = passphrase.ok_or(KeyParseError::Encrypted)?;
    key.decrypt(passphrase.expose()).or_else(|error| match error {
        // The passphrase was right, or decryption would have ended differently.
        ssh_key::Error::Encoding(_) => decrypted_section(&key, passphrase)
            .and_then(|section| with_short_scalar(&section))
            .ok_or(KeyParseError::WrongPassphrase),
        _ => Err(KeyParseError::WrongPassphrase),
    })
}

/// The public part, which the format keeps in the open.
pub(super) fn public(text: &str) -> Option<PublicKey> {
    let key = PrivateKey::from_bytes(&body(text)?).ok()?;
    public_key(key.public_key()).ok()
}

/// What stands in base64 between the first and the last line.
fn body(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| !line.starts_with("-----BEGIN "));
    // Room for all of it, so that growing leaves no copy behind.
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    for line in lines.skip(1).take_while(|line| !line.starts_with("-----END ")) {
        base64.push_str(line);
    }
    BASE64.decode(base64.as_bytes()).ok().map(Zeroizing::new)
}

/// The private section of a key that is not encrypted: the last string of the file.
fn plain_section(mut bytes: &[u8]) -> Option<&[u8]> {
    let rest = &mut bytes;
    *rest = rest.strip_prefix(MAGIC)?;
    let (cipher, _kdf, _options) = (string(rest)?, string(rest)?, string(rest)?);
    let _count = rest.split_off(..4)?;
    let _public = string(rest)?;
    let section = string(rest)?;
    (cipher == b"none").then_some(section)
}

fn decrypted_section(key: &PrivateKey, passphrase: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    let (secret, iv) = key
        .kdf()
        .derive_key_and_iv(key.cipher(), passphrase.expose())
        .ok()?;
    let mut section = Zeroizing::new(key.key_data().encrypted()?.to_vec());
    // An authenticated cipher would need its tag, which is not at hand here; ssh-keygen does not use one by default.
    key.cipher().decrypt(&secret, &iv, &mut section, None).ok()?;
    Some(section)
}

/// A P-256 key whose secret number happens to be small. It is written without leading zeros (RFC 4251 section 5,
/// `mpint`), which the protocol crate refuses: this concerns one key in 512.
fn with_short_scalar(section: &[u8]) -> Option<PrivateKey> {
    const NAME: &[u8] = b"ecdsa-sha2-nistp256";
    let mut rest = section;
    let (first, second) = (rest.split_off(..4)?, rest.split_off(..4)?);
    let public_start = rest;
    let (name, _curve, _point) = (string(&mut rest)?, string(&mut rest)?, string(&mut rest)?);
    let public = public_start.get(..public_start.len() - rest.len())?;
    let scalar = string(&mut rest)?;
    if first != second || name != NAME || scalar.is_empty() {
        return None;
    }
    let mut bytes = Zeroizing::new([0; 32]);
    let start = bytes.len().checked_sub(scalar.len())?;
    bytes.get_mut(start..)?.copy_from_slice(scalar);
    let public = ssh_key::PublicKey::from_bytes(public).ok()?;
    let Some(EcdsaPublicKey::NistP256(public)) = public.key_data().ecdsa() else {
        return None;
    };
    let private = EcdsaPrivateKey::from(*bytes);
    Some(
        EcdsaKeypair::NistP256 {
            public: *public,
            private,
        }
        .into(),
    )
}

/// The next string of the wire format: a 32-bit length and that many bytes.
pub(super) fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (value, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    Some(value)
}
