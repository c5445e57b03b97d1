//! Keys made by the tools that people make them with.

use super::super::certificate::{CertificateParseError, UserCertificate};
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

/// One P-256 key in 512 has a secret number that fits into 31 bytes, and is then written with fewer bytes.
#[test]
fn a_p256_key_with_a_small_secret_number_is_read_plain_and_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    for zeros in [1, 2, 8] {
        let mut scalar = [0x11; 32];
        scalar[..zeros].fill(0);
        // SEC1 (RFC 5915): version, the number, and the curve's name.
        let mut der = vec![0x30, 0x31, 2, 1, 1, 4, 32];
        der.extend(scalar);
        der.extend([0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
        let base64 = data_encoding::BASE64.encode(&der);
        let path = dir.path().join(format!("key-{zeros}"));
        let pem = format!("-----BEGIN EC PRIVATE KEY-----\n{base64}\n-----END EC PRIVATE KEY-----\n");
        std::fs::write(&path, &pem).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let expected = PrivateKey::parse(pem.as_bytes(), None).unwrap();
        let file = path.to_str().unwrap();
        // Written anew, it is in OpenSSH's own format.
        run("ssh-keygen", &["-q", "-p", "-P", "", "-N", "", "-f", file]);
        check(&std::fs::read(&path).unwrap(), expected.public(), None, "plain");
        run(
            "ssh-keygen",
            &["-q", "-p", "-P", "", "-N", "open sesame", "-f", file],
        );
        check(
            &std::fs::read(&path).unwrap(),
            expected.public(),
            Some("open sesame"),
            "encrypted",
        );
        assert_eq!(
            expected.key.key_data().ecdsa().unwrap().private_key_bytes(),
            scalar
        );
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
                    let error = PrivateKey::parse(&bytes, Some(&Secret::from("open sesame"))).unwrap_err();
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

/// PuTTY writes the seed as a number, lowest byte first, and leaves out the zeros at its end: a seed that begins or ends
/// with one is what readers get wrong.
#[test]
fn putty_keys_whose_seed_begins_or_ends_with_zeros_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("passphrase"), "open sesame").unwrap();
    std::fs::write(at("empty"), "").unwrap();
    let seed = |first: [u8; 2], last: [u8; 2]| {
        let mut seed = [7; 32];
        seed[..2].copy_from_slice(&first);
        seed[30..].copy_from_slice(&last);
        seed
    };
    for seed in [
        seed([0, 0], [7, 7]),
        seed([0, 0x7f], [7, 7]),
        seed([0, 0x80], [7, 7]),
        seed([0xff, 0xff], [7, 0xff]),
        seed([7, 7], [7, 0]),
        seed([0, 0], [0, 0]),
    ] {
        let key = PrivateKey::new(Ed25519Keypair::from_seed(&seed).into()).unwrap();
        let text = key.key.to_openssh(ssh_key::LineEnding::LF).unwrap();
        std::fs::write(at("key"), text.as_bytes()).unwrap();
        // puttygen takes no key that others may read.
        run("chmod", &["600", &at("key")]);
        for version in ["2", "3"] {
            for passphrase in [None, Some("open sesame")] {
                let file = if passphrase.is_some() {
                    at("passphrase")
                } else {
                    at("empty")
                };
                let stretch = format!("version={version},memory=64,passes=1");
                let convert = [
                    &at("key"),
                    "-O",
                    "private",
                    "-o",
                    &at("ppk"),
                    "--new-passphrase",
                    &file,
                ];
                run("puttygen", &[&convert[..], &["--ppk-param", &stretch]].concat());
                let bytes = std::fs::read(at("ppk")).unwrap();
                let read = PrivateKey::parse(&bytes, passphrase.map(Secret::from).as_ref());
                let read = read.unwrap_or_else(|error| panic!("{seed:?} {version} {passphrase:?}: {error}"));
                assert_eq!(
                    read.key.key_data(),
                    key.key.key_data(),
                    "{version} {passphrase:?}"
                );
                check(&bytes, key.public(), passphrase, "PPK of Ed25519");
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
        (
            b"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: aes256-cbc\nArgon2-Memory: 8192\nArgon2-Passes: 4294967295\n",
            "passes",
        ),
        (b"PuTTY-User-Key-File-3: ssh-ed25519\n", "Encryption"),
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
