//! PuTTY's private keys (appendix C of PuTTY's manual: PPK versions 2 and 3), with a repair for what the protocol crate
//! misreads: Ed25519.

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit as _, Mac};
use russh::keys::ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey};
use russh::keys::{PrivateKey, ssh_key};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use sternline_proto::key::PublicKey;
use zeroize::Zeroizing;

use super::openssh::string;
use super::{KeyParseError, decode};
use crate::secret::Secret;

const HEADER: &str = "PuTTY-User-Key-File-";

/// How much memory a file may ask for.
const MOST_KIB: u64 = 1024 * 1024;

/// How much memory a file may ask to be gone through in all its passes, which takes some ten seconds. PuTTY asks for as
/// much as takes a tenth of a second.
const MOST_KIB_IN_ALL: u64 = 16 * 1024 * 1024;

/// The lines of a file. Those that are not there are empty.
#[derive(Default)]
struct Ppk<'a> {
    version: &'a str,
    algorithm: &'a str,
    encryption: &'a str,
    comment: &'a str,
    derivation: &'a str,
    memory: &'a str,
    passes: &'a str,
    parallelism: &'a str,
    salt: &'a str,
    mac: &'a str,
    public: String,
    private: Zeroizing<String>,
}

/// What a passphrase becomes.
struct Keys {
    cipher: Zeroizing<[u8; 32]>,
    iv: [u8; 16],
    mac: Zeroizing<Vec<u8>>,
}

pub(super) fn is_ppk(text: &str) -> bool {
    text.trim_start().starts_with(HEADER)
}

/// Reads a key, with its passphrase if it is encrypted.
pub(super) fn parse(text: &str, passphrase: Option<&Secret>) -> Result<PrivateKey, KeyParseError> {
    let ppk = Ppk::read(text);
    ppk.check_derivation()?;
    let passphrase = match ppk.encryption {
        "none" => None,
        "" => return Err(damaged("it does not say whether it is encrypted (Encryption)")),
        _ => Some(passphrase.ok_or(KeyParseError::Encrypted)?),
    };
    let read = match ppk.algorithm {
        "ssh-ed25519" => ppk.ed25519(passphrase),
        _ => decode(text, passphrase),
    };
    match passphrase {
        Some(_) => read.map_err(|_| KeyParseError::WrongPassphrase),
        None => read,
    }
}

/// The public part, which the format keeps in the open.
pub(super) fn public(text: &str) -> Option<PublicKey> {
    let ppk = Ppk::read(text);
    PublicKey::from_text(ppk.algorithm, &ppk.public).ok()
}

impl<'a> Ppk<'a> {
    fn read(text: &'a str) -> Self {
        let mut ppk = Self::default();
        let mut lines = text.trim_start().lines();
        while let Some(line) = lines.next() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            // What follows the one space is the value, spaces included.
            let value = value.strip_prefix(' ').unwrap_or(value);
            let count = || value.parse().unwrap_or(0);
            match name {
                "Encryption" => ppk.encryption = value,
                "Comment" => ppk.comment = value,
                "Key-Derivation" => ppk.derivation = value,
                "Argon2-Memory" => ppk.memory = value,
                "Argon2-Passes" => ppk.passes = value,
                "Argon2-Parallelism" => ppk.parallelism = value,
                "Argon2-Salt" => ppk.salt = value,
                "Private-MAC" => ppk.mac = value,
                "Public-Lines" => ppk.public.extend(lines.by_ref().take(count())),
                "Private-Lines" => {
                    // Room for all of it, so that growing leaves no copy behind.
                    ppk.private.reserve(text.len());
                    ppk.private.extend(lines.by_ref().take(count()));
                }
                _ => {
                    if let Some(version) = name.strip_prefix(HEADER) {
                        (ppk.version, ppk.algorithm) = (version, value);
                    }
                }
            }
        }
        ppk
    }

    /// A file names how much memory and time its key derivation takes; one that asks for too much is not obeyed.
    fn check_derivation(&self) -> Result<(), KeyParseError> {
        let number = |text: &str| text.trim().parse::<u64>().unwrap_or_default();
        let (memory, passes) = (number(self.memory), number(self.passes));
        if memory > MOST_KIB {
            return Err(KeyParseError::Unsupported(
                "the key's Argon2 derivation asks for more than 1 GiB of memory",
            ));
        }
        if memory.saturating_mul(passes) > MOST_KIB_IN_ALL {
            return Err(KeyParseError::Unsupported(
                "the key's Argon2 derivation asks for so many passes that it would take minutes or more",
            ));
        }
        Ok(())
    }

    /// PuTTY writes the seed as a number, its lowest byte first and without the zeros at its end. The protocol crate takes
    /// it for an `mpint`: it refuses or misreads one key in 170.
    fn ed25519(&self, passphrase: Option<&Secret>) -> Result<PrivateKey, KeyParseError> {
        let public = BASE64
            .decode(self.public.as_bytes())
            .map_err(|_| damaged("its public part is not valid base64"))?;
        let mut private = BASE64
            .decode(self.private.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| damaged("its private part is not valid base64"))?;
        let keys = self.keys(passphrase)?;
        if passphrase.is_some() {
            ssh_key::Cipher::Aes256Cbc
                .decrypt(keys.cipher.as_slice(), &keys.iv, &mut private, None)
                .map_err(|_| damaged("its private part is cut short"))?;
        }
        if !self.is_genuine(&keys.mac, &public, &private) {
            return Err(damaged("its check sum (Private-MAC) is wrong"));
        }
        let key = ssh_key::PublicKey::from_bytes(&public).ok();
        let key = key.as_ref().and_then(|key| key.key_data().ed25519());
        let mut seed = Zeroizing::new([0; 32]);
        let number = string(&mut private.as_slice());
        let place = number.and_then(|number| seed.get_mut(..number.len()));
        let (Some(public), Some(number), Some(place)) = (key, number, place) else {
            return Err(damaged("its parts are not those of an Ed25519 key"));
        };
        place.copy_from_slice(number);
        let pair = Ed25519Keypair {
            public: *public,
            private: Ed25519PrivateKey::from_bytes(&seed),
        };
        if Ed25519Keypair::from_seed(&seed).public != pair.public {
            return Err(damaged("its two parts do not belong together"));
        }
        Ok(pair.into())
    }

    fn keys(&self, passphrase: Option<&Secret>) -> Result<Keys, KeyParseError> {
        let passphrase = passphrase.map(|passphrase| passphrase.expose().as_bytes());
        let mut keys = Keys {
            cipher: Zeroizing::default(),
            iv: [0; 16],
            mac: Zeroizing::default(),
        };
        match (self.version, passphrase) {
            ("2", passphrase) => {
                let passphrase = passphrase.unwrap_or_default();
                let digest = |salt: &[u8]| Sha1::new().chain_update(salt).chain_update(passphrase).finalize();
                let stretched = Zeroizing::new([digest(&[0, 0, 0, 0]), digest(&[0, 0, 0, 1])].concat());
                keys.cipher
                    .iter_mut()
                    .zip(stretched.iter())
                    .for_each(|(to, from)| *to = *from);
                keys.mac.extend(digest(b"putty-private-key-file-mac-key"));
            }
            ("3", None) => {}
            ("3", Some(passphrase)) => {
                let mut stretched = Zeroizing::new([0; 80]);
                self.stretch(passphrase, stretched.as_mut_slice())?;
                let (cipher, rest) = stretched.split_at(32);
                let (iv, mac) = rest.split_at(16);
                keys.cipher.copy_from_slice(cipher);
                keys.iv.copy_from_slice(iv);
                keys.mac.extend(mac);
            }
            _ => return Err(damaged("its version is neither 2 nor 3")),
        }
        Ok(keys)
    }

    fn stretch(&self, passphrase: &[u8], out: &mut [u8]) -> Result<(), KeyParseError> {
        let algorithm = match self.derivation {
            "Argon2id" => Algorithm::Argon2id,
            "Argon2i" => Algorithm::Argon2i,
            "Argon2d" => Algorithm::Argon2d,
            _ => return Err(damaged("its Key-Derivation is none of Argon2's")),
        };
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let params = match (number(self.memory), number(self.passes), number(self.parallelism)) {
            (Some(memory), Some(passes), Some(parallelism)) => {
                Params::new(memory, passes, parallelism, None).ok()
            }
            _ => None,
        };
        let salt = HEXLOWER_PERMISSIVE.decode(self.salt.trim().as_bytes()).ok();
        let (Some(params), Some(salt)) = (params, salt) else {
            return Err(damaged("its Argon2 parameters make no sense"));
        };
        Argon2::new(algorithm, Version::V0x13, params)
            .hash_password_into(passphrase, &salt, out)
            .map_err(|_| damaged("its Argon2 parameters make no sense"))
    }

    /// Whether whoever wrote the file knew the passphrase, and nothing has changed since.
    fn is_genuine(&self, key: &[u8], public: &[u8], private: &[u8]) -> bool {
        let Ok(mac) = HEXLOWER_PERMISSIVE.decode(self.mac.trim().as_bytes()) else {
            return false;
        };
        let fields = [
            self.algorithm.as_bytes(),
            self.encryption.as_bytes(),
            self.comment.as_bytes(),
            public,
            private,
        ];
        match self.version {
            "2" => verify(Hmac::<Sha1>::new_from_slice(key), &fields, &mac),
            _ => verify(Hmac::<Sha256>::new_from_slice(key), &fields, &mac),
        }
    }
}

fn verify<M: Mac, E>(mac: Result<M, E>, fields: &[&[u8]], expected: &[u8]) -> bool {
    let Ok(mut mac) = mac else {
        return false;
    };
    for field in fields {
        mac.update(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        mac.update(field);
    }
    mac.verify_slice(expected).is_ok()
}

fn damaged(what: &str) -> KeyParseError {
    KeyParseError::InvalidFormat(what.to_owned())
}
