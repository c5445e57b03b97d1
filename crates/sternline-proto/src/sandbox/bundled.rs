//! The profiles that come with the library.

use super::error::ProfileError;
use super::parts::Bind;
use super::profile::SandboxProfile;

/// The names of the profiles that come with the library.
///
/// `minimal` lists and reads files, `readonly` looks at them more closely, `diagnostics` looks at the state of the host as
/// well, and `systemd` at its journal.
pub const BUNDLED: [&str; 4] = ["minimal", "readonly", "diagnostics", "systemd"];

/// The JSON of a bundled profile, for those who begin one of their own with it; `None` if there is none of this name.
#[must_use]
pub fn bundled_text(name: &str) -> Option<&'static str> {
    Some(match name {
        "minimal" => include_str!("bundled/minimal.json"),
        "readonly" => include_str!("bundled/readonly.json"),
        "diagnostics" => include_str!("bundled/diagnostics.json"),
        "systemd" => include_str!("bundled/systemd.json"),
        _ => return None,
    })
}

pub(super) fn profile(name: &str) -> Result<SandboxProfile, ProfileError> {
    let text = bundled_text(name).ok_or_else(|| ProfileError::NotBundled {
        name: name.to_owned(),
    })?;
    SandboxProfile::from_json(text, None)
}

/// What a profile that names no binds gets.
pub(super) fn minimal_binds() -> Result<Vec<Bind>, ProfileError> {
    Ok(profile("minimal")?.binds().to_vec())
}
