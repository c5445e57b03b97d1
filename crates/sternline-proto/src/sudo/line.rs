//! The command line that runs something through sudo with a password.

use super::markers::SudoMarkers;
use crate::quoting::{QuoteError, quote};

/// Gives the command the `LC_ALL` that the login has, where sudo has let ours through.
pub(super) const LOCALE: &[u8] =
    br#"[ "${LC_ALL-}" = C ] && case $1 in x*) LC_ALL=${1#x} ;; *) unset LC_ALL ;; esac; "#;

/// The name of the inner shell, and the `LC_ALL` of the login for it.
pub(super) const END: &[u8] = br#" sh "${LC_ALL+x}${LC_ALL-}""#;

/// `exec sh -c '...'`, for any login shell.
///
/// `options` are sudo's own (`-u USER `, or nothing). `body` is what the shell that sudo starts becomes, beginning with `exec`. Outside,
/// from the outside in:
///
/// ```text
/// exec sh -c '...'                    a POSIX shell, whatever the login shell is; it shows nothing of what it runs
/// exec env LC_ALL=C sudo -S -p MARKER  sudo's messages in English, its password from standard input
/// sh -c '...' sh "${LC_ALL...}"        the command's LC_ALL as it was
/// printf MARKER >&2; exec ...          the command has started, and standard input is its own
/// ```
pub(crate) fn sudo_line(options: &[u8], body: &[u8], markers: &SudoMarkers) -> Result<Vec<u8>, QuoteError> {
    let inner = [
        LOCALE,
        format!("printf %s {} >&2; ", markers.ready().word()).as_bytes(),
        body,
    ]
    .concat();
    let outer = [
        b"set +x; exec env LC_ALL=C sudo ".as_slice(),
        options,
        format!("-S -p {} -- sh -c ", markers.prompt().word()).as_bytes(),
        &quote(&inner)?,
        END,
    ]
    .concat();
    Ok([b"exec sh -c ".as_slice(), &quote(&outer)?].concat())
}
