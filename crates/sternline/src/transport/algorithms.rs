//! Which algorithms are offered, and in which order.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, compression, kex, mac};

/// Post-quantum first, then elliptic curves, then the large finite-field groups that appliances offer. SHA-1 is out.
/// The last two lines announce RFC 8308 extensions and strict key exchange.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G18_SHA512,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

const AES_GCM: [cipher::Name; 2] = [cipher::AES_128_GCM, cipher::AES_256_GCM];
const CTR: [cipher::Name; 3] = [cipher::AES_256_CTR, cipher::AES_192_CTR, cipher::AES_128_CTR];

const MAC: &[mac::Name] = &[
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256,
    mac::HMAC_SHA512,
];

/// The host key algorithms that are ever accepted, most preferred first.
fn host_keys() -> Vec<Algorithm> {
    vec![
        Algorithm::Ed25519,
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP384,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP521,
        },
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha512),
        },
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha256),
        },
    ]
}

/// What to offer a host of which we hold keys of `known` types (names as in known_hosts, such as `ssh-rsa`).
///
/// Known types come first, so that a host known by one type of key never looks changed because it has another one
/// too. Certificates are asked for only where an authority is trusted for the host.
pub(super) fn preferred(known: &[String], certificates: bool) -> Preferred {
    let mut keys = host_keys();
    let is_known = |algorithm: &Algorithm| known.iter().any(|name| name == key_type(algorithm));
    // A stable sort: within the known and within the rest the order of preference stays.
    keys.sort_by_key(|algorithm| !is_known(algorithm));
    Preferred {
        kex: Cow::Borrowed(KEX),
        host_key_certificates: if certificates {
            Cow::Owned(keys.clone())
        } else {
            Cow::Borrowed(&[])
        },
        key: Cow::Owned(keys),
        cipher: Cow::Owned(ciphers(aes_in_hardware())),
        mac: Cow::Borrowed(MAC),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// The type a key of this algorithm has in known_hosts: for RSA the hash is a matter of the signature.
fn key_type(algorithm: &Algorithm) -> &str {
    match algorithm {
        Algorithm::Rsa { .. } => "ssh-rsa",
        other => other.as_str(),
    }
}

/// AES-GCM is half as fast again as ChaCha20 where the processor has AES instructions, and slower where it has not.
fn ciphers(aes_in_hardware: bool) -> Vec<cipher::Name> {
    let chacha = [cipher::CHACHA20_POLY1305];
    let (first, second): (&[_], &[_]) = if aes_in_hardware {
        (&AES_GCM, &chacha)
    } else {
        (&chacha, &AES_GCM)
    };
    [first, second, &CTR].concat()
}

fn aes_in_hardware() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        std::arch::is_x86_feature_detected!("aes")
    }
    #[cfg(target_arch = "aarch64")]
    {
        std::arch::is_aarch64_feature_detected!("aes")
    }
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_that_known_hosts_holds_are_asked_for_first() {
        let offered = |known: &[&str]| {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            preferred(&known, false)
                .key
                .iter()
                .map(|key| key.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(offered(&[])[0], "ssh-ed25519");
        assert_eq!(offered(&["ssh-rsa"])[..2], ["rsa-sha2-512", "rsa-sha2-256"]);
        assert_eq!(offered(&["ecdsa-sha2-nistp384"])[0], "ecdsa-sha2-nistp384");
        assert_eq!(
            offered(&["ssh-rsa"]).len(),
            offered(&[]).len(),
            "nothing is dropped, only moved"
        );
    }

    #[test]
    fn strict_and_post_quantum_key_exchange_are_always_offered_and_sha1_never() {
        let names: Vec<&str> = KEX.iter().map(AsRef::as_ref).collect();
        assert_eq!(names[0], "mlkem768x25519-sha256");
        assert!(names.contains(&"kex-strict-c-v00@openssh.com"));
        assert!(!names.iter().any(|name| name.ends_with("sha1")));
    }

    #[test]
    fn aes_gcm_comes_first_where_the_processor_has_aes() {
        assert_eq!(ciphers(true)[0].as_ref(), "aes128-gcm@openssh.com");
        assert_eq!(ciphers(false)[0].as_ref(), "chacha20-poly1305@openssh.com");
    }

    #[test]
    fn certificates_are_offered_only_on_request() {
        assert!(preferred(&[], false).host_key_certificates.is_empty());
        assert!(!preferred(&[], true).host_key_certificates.is_empty());
    }
}
