//! Which algorithms are offered, and in which order.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, compression, kex, mac};
use sternline_proto::ssh_config::AlgorithmList;

/// Which of the algorithms that Sternline has may be used, and which are preferred. No list adds an algorithm to them:
/// what is not offered by default is never offered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlgorithmChoice {
    /// Key exchange (`KexAlgorithms`).
    pub kex: Option<AlgorithmList>,
    /// The server's key and its signature (`HostKeyAlgorithms`).
    pub host_key: Option<AlgorithmList>,
    /// Encryption (`Ciphers`).
    pub cipher: Option<AlgorithmList>,
    /// Message authentication (`MACs`).
    pub mac: Option<AlgorithmList>,
}

impl AlgorithmChoice {
    /// The algorithms that are offered, by the options of ssh_config. With which host key algorithm a server is asked to
    /// begin depends on what is known of it too.
    #[must_use]
    pub fn offered(&self) -> Vec<(&'static str, Vec<String>)> {
        let lists = self.lists().into_iter();
        lists
            .map(|(option, list, supported)| match list {
                None => (option, supported),
                Some(list) => {
                    let supported: Vec<&str> = supported.iter().map(String::as_str).collect();
                    let chosen = list.choose(&supported).into_iter();
                    (option, chosen.map(str::to_owned).collect())
                }
            })
            .collect()
    }

    /// The option of ssh_config whose list leaves nothing over, if one does, and what there is.
    #[must_use]
    pub fn leaves_nothing(&self) -> Option<(&'static str, Vec<String>)> {
        if *self == Self::default() {
            return None;
        }
        let empty = self.offered().into_iter().find(|(_, left)| left.is_empty())?.0;
        let mut lists = self.lists().into_iter();
        let (option, _, supported) = lists.find(|(option, ..)| *option == empty)?;
        Some((option, supported))
    }

    /// Each option, its list, and what there is.
    fn lists(&self) -> [(&'static str, &Option<AlgorithmList>, Vec<String>); 4] {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let ciphers = ciphers(aes_in_hardware());
        [
            ("KexAlgorithms", &self.kex, owned(as_strs(&key_exchanges().0))),
            ("HostKeyAlgorithms", &self.host_key, host_key_names()),
            ("Ciphers", &self.cipher, owned(as_strs(&ciphers))),
            ("MACs", &self.mac, owned(as_strs(MAC))),
        ]
    }
}

fn as_strs<T: AsRef<str>>(names: &[T]) -> Vec<&str> {
    names.iter().map(AsRef::as_ref).collect()
}

/// What the list leaves, in its order.
fn chosen<T: AsRef<str> + Clone>(list: &AlgorithmList, supported: &[T]) -> Vec<T> {
    let names = list.choose(&as_strs(supported)).into_iter();
    names
        .filter_map(|name| supported.iter().find(|known| known.as_ref() == name).cloned())
        .collect()
}

/// Post-quantum first, then elliptic curves, then the large finite-field groups that appliances offer. SHA-1 is out.
/// The last two lines announce RFC 8308 extensions and strict key exchange: they stand among the algorithms and are none.
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
/// Of the algorithms only those are offered that `choice` leaves. Known types come first, so that a host known by one type of key never looks changed because it has another one
/// too. Certificates are asked for only where an authority is trusted for the host.
pub(super) fn preferred(known: &[String], certificates: bool, choice: &AlgorithmChoice) -> Preferred {
    let (mut keys, mut certified) = chosen_host_keys(choice.host_key.as_ref());
    let is_known = |algorithm: &Algorithm| known.iter().any(|name| name == key_type(algorithm));
    // A stable sort: within the known and within the rest the order of preference stays.
    keys.sort_by_key(|algorithm| !is_known(algorithm));
    certified.sort_by_key(|algorithm| !is_known(algorithm));
    Preferred {
        kex: match &choice.kex {
            None => Cow::Borrowed(KEX),
            Some(list) => {
                let (exchanges, announcements) = key_exchanges();
                Cow::Owned([chosen(list, &exchanges), announcements].concat())
            }
        },
        host_key_certificates: if certificates {
            Cow::Owned(certified)
        } else {
            Cow::Borrowed(&[])
        },
        key: Cow::Owned(keys),
        cipher: Cow::Owned(match &choice.cipher {
            None => ciphers(aes_in_hardware()),
            Some(list) => chosen(list, &ciphers(aes_in_hardware())),
        }),
        mac: match &choice.mac {
            None => Cow::Borrowed(MAC),
            Some(list) => Cow::Owned(chosen(list, MAC)),
        },
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// The key exchanges, and what is announced among them.
fn key_exchanges() -> (Vec<kex::Name>, Vec<kex::Name>) {
    let announcements = [
        kex::EXTENSION_SUPPORT_AS_CLIENT,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    ];
    KEX.iter()
        .copied()
        .partition(|name| !announcements.contains(name))
}

/// The names of ssh for what a server may sign with: those of certificates first.
fn host_key_names() -> Vec<String> {
    let keys = host_keys();
    let certified = keys.iter().map(certified_name);
    certified
        .chain(keys.iter().map(|key| key.as_str().to_owned()))
        .collect()
}

fn certified_name(algorithm: &Algorithm) -> String {
    format!("{}-cert-v01@openssh.com", algorithm.as_str())
}

/// The plain algorithms that the list leaves, and those of certificates.
fn chosen_host_keys(list: Option<&AlgorithmList>) -> (Vec<Algorithm>, Vec<Algorithm>) {
    let names = match list {
        None => host_key_names(),
        Some(list) => chosen(list, &host_key_names()),
    };
    let all = host_keys();
    let find = |fits: &dyn Fn(&Algorithm, &str) -> bool| {
        let found = names
            .iter()
            .filter_map(|name| all.iter().find(|key| fits(key, name)));
        found.cloned().collect::<Vec<_>>()
    };
    (
        find(&|key, name| key.as_str() == name),
        find(&|key, name| certified_name(key) == name),
    )
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
            preferred(&known, false, &AlgorithmChoice::default())
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
        let offered = preferred(&[], false, &choice("KexAlgorithms", "^ecdh-sha2-nistp256"));
        assert_eq!(offered.kex[0].as_ref(), "ecdh-sha2-nistp256");
        assert_eq!(offered.kex[1].as_ref(), "mlkem768x25519-sha256");
        let offered = preferred(&[], false, &AlgorithmChoice::default());
        let names: Vec<&str> = offered.kex.iter().map(AsRef::as_ref).collect();
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
        let all = AlgorithmChoice::default();
        assert!(preferred(&[], false, &all).host_key_certificates.is_empty());
        assert!(!preferred(&[], true, &all).host_key_certificates.is_empty());
    }

    fn choice(option: &str, list: &str) -> AlgorithmChoice {
        let list = Some(AlgorithmList::parse(list).unwrap());
        let none = AlgorithmChoice::default();
        match option {
            "KexAlgorithms" => AlgorithmChoice { kex: list, ..none },
            "HostKeyAlgorithms" => AlgorithmChoice {
                host_key: list,
                ..none
            },
            "Ciphers" => AlgorithmChoice { cipher: list, ..none },
            _ => AlgorithmChoice { mac: list, ..none },
        }
    }

    #[test]
    fn a_list_leaves_out_what_it_does_not_name_and_keeps_strict_key_exchange() {
        let offered = preferred(
            &[],
            true,
            &choice("KexAlgorithms", "curve25519-sha256,diffie-hellman-group1-sha1"),
        );
        let names: Vec<&str> = offered.kex.iter().map(AsRef::as_ref).collect();
        assert_eq!(
            names,
            ["curve25519-sha256", "ext-info-c", "kex-strict-c-v00@openssh.com"]
        );

        let offered = preferred(&[], true, &choice("Ciphers", "aes128-cbc,aes256-ctr"));
        assert_eq!(as_strs(&offered.cipher), ["aes256-ctr"]);
        let offered = preferred(&[], true, &choice("MACs", "-hmac-sha2-256*"));
        assert_eq!(
            as_strs(&offered.mac),
            ["hmac-sha2-512-etm@openssh.com", "hmac-sha2-512"]
        );

        let keys = |list: &str, known: &[&str]| {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            let offered = preferred(&known, true, &choice("HostKeyAlgorithms", list));
            let names =
                |keys: &[Algorithm]| keys.iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>();
            (names(&offered.key), names(&offered.host_key_certificates))
        };
        let (plain, certified) = keys("rsa-sha2-512,ssh-ed25519", &["ssh-ed25519"]);
        assert_eq!(plain, ["ssh-ed25519", "rsa-sha2-512"]);
        assert!(certified.is_empty());
        let (plain, certified) = keys("ssh-ed25519-cert-v01@openssh.com", &[]);
        assert_eq!((plain.len(), certified.len()), (0, 1));
        let (plain, certified) = keys("-*-cert-v01@openssh.com,ecdsa*", &[]);
        assert_eq!(plain, ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"]);
        assert!(certified.is_empty());
    }

    #[test]
    fn a_list_of_what_there_is_not_leaves_nothing() {
        for (option, list) in [
            ("KexAlgorithms", "diffie-hellman-group1-sha1"),
            ("HostKeyAlgorithms", "ssh-dss"),
            ("Ciphers", "-*"),
            ("MACs", "hmac-md5"),
        ] {
            let (named, supported) = choice(option, list).leaves_nothing().unwrap();
            assert_eq!(named, option);
            assert!(supported.len() > 3 && !supported.contains(&list.to_owned()));
        }
        assert_eq!(choice("Ciphers", "+3des-cbc").leaves_nothing(), None);
        assert_eq!(AlgorithmChoice::default().leaves_nothing(), None);
    }
}
