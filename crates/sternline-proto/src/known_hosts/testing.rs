//! Keys for the tests of this folder, as files hold them.

use crate::key::{CertificateKind, HostCertificate, PublicKey};

pub(super) const ED25519: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
pub(super) const OTHER_ED25519: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC";
pub(super) const AUTHORITY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD";
pub(super) const OTHER_AUTHORITY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
pub(super) const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgFpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa";

/// The key of one of the texts above.
pub(super) fn key(text: &str) -> PublicKey {
    let (algorithm, base64) = text.split_once(' ').unwrap();
    PublicKey::from_text(algorithm, base64).unwrap()
}

/// A certificate for `web1`, signed by [`AUTHORITY`] for the key [`ED25519`], valid for ever.
pub(super) fn certificate() -> HostCertificate {
    HostCertificate {
        key: key(ED25519),
        authority: key(AUTHORITY),
        kind: CertificateKind::Host,
        key_id: "web1".into(),
        signature_algorithm: "ssh-ed25519".into(),
        serial: 1,
        principals: vec!["web1".into()],
        valid_after: 0,
        valid_before: u64::MAX,
        critical_options: Vec::new(),
    }
}
