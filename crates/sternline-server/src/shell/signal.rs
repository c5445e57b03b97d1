//! Signals by the names of RFC 4254 section 6.10.

use rustix::process::Signal;

const NAMED: [(&str, Signal); 13] = [
    ("ABRT", Signal::ABORT),
    ("ALRM", Signal::ALARM),
    ("FPE", Signal::FPE),
    ("HUP", Signal::HUP),
    ("ILL", Signal::ILL),
    ("INT", Signal::INT),
    ("KILL", Signal::KILL),
    ("PIPE", Signal::PIPE),
    ("QUIT", Signal::QUIT),
    ("SEGV", Signal::SEGV),
    ("TERM", Signal::TERM),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
];

/// The signal that a client means, if this is one of the protocol's names.
pub(super) fn from_name(name: &str) -> Option<Signal> {
    NAMED
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, signal)| *signal)
}

/// The protocol's name for a signal number. The others get sshd's collective name.
pub(super) fn name(raw: i32) -> &'static str {
    NAMED
        .iter()
        .find(|(_, signal)| signal.as_raw() == raw)
        .map_or("SIG@openssh.com", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_a_number_and_back() {
        for (known, signal) in NAMED {
            assert_eq!(from_name(known), Some(signal));
            assert_eq!(name(signal.as_raw()), known);
        }
        assert_eq!(from_name("STOP"), None);
        assert_eq!(name(Signal::BUS.as_raw()), "SIG@openssh.com");
    }
}
