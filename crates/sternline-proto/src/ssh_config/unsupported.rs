//! The options of ssh that are not obeyed, and what becomes of each.
//!
//! Four questions, in this order: Would a connection be less secure than ssh's without it, or lead elsewhere? Then it is
//! refused. Does it concern security otherwise? Then it is named, with what happens instead. Does ssh obey it by itself
//! no longer, or does it change nothing about the connection? Then it is only listed. A value that asks for what happens
//! anyway is never refused nor named.

use super::pattern::fits;

/// What becomes of an option that is not obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Without {
    /// The connection is what it would be with it, as far as its user can tell.
    Harmless,
    /// It concerns security, and without it a connection is as secure, or more so: what happens instead.
    Named(&'static str),
    /// Going on would be less secure, or lead elsewhere: what would go wrong, and how to go on.
    Refused(&'static str),
}

/// Decides about an option, whose name is in lower case and of which [`is_known`] is true.
pub(super) fn without(word: &str, values: &[String]) -> Without {
    use Without::{Harmless, Named, Refused};
    let all = |accepted: &[&str]| {
        let is_accepted = |value: &String| {
            let value = value.to_ascii_lowercase();
            accepted.iter().any(|pattern| fits(pattern, &value))
        };
        !values.is_empty() && values.iter().all(is_accepted)
    };
    let (harmless, otherwise): (&[&str], Without) = match word {
        // Who the host is.
        "verifyhostkeydns" => (
            OFF,
            Named("fingerprints in DNS are not looked up: only known_hosts says which keys are trusted"),
        ),
        "nohostauthenticationforlocalhost" => {
            (OFF, Named("the host key of localhost is checked as any other"))
        }
        "checkhostip" => (
            OFF,
            Named("the host key is looked up by name only, not by address too"),
        ),
        "updatehostkeys" => (
            OFF,
            Named("keys that a server announces are not recorded: record them with `sternline hostkeys add`"),
        ),
        "knownhostscommand" => (
            NONE,
            Refused(
                "the keys that the command would name or revoke are not known: write them into a file for \
                 UserKnownHostsFile, or set `KnownHostsCommand none` for this host",
            ),
        ),
        // Without a list of its own the server's key or our own signature could be of a kind that was ruled out.
        "casignaturealgorithms" if all(ADDING) => (
            &[],
            Named("authorities may sign with the same algorithms as ever"),
        ),
        "casignaturealgorithms" => (
            &[],
            Refused(
                "it rules algorithms out, and certificates signed with them would be accepted all the same: remove it, \
                 or set HostKeyAlgorithms without certificates",
            ),
        ),
        "pubkeyacceptedalgorithms" if all(ADDING) => (
            &[],
            Named("keys sign with the same algorithms as ever; signatures with SHA-1 are never made"),
        ),
        "pubkeyacceptedalgorithms" => (
            &[],
            Refused(
                "it rules algorithms out, and keys would sign with them all the same: remove it, or name the key to use \
                 with IdentityFile and IdentitiesOnly",
            ),
        ),
        // ssh's own default.
        "requiredrsasize" => (
            &["?", "??", "???", "1024"],
            Refused(
                "shorter RSA keys would be accepted all the same: remove it, or have HostKeyAlgorithms name no RSA",
            ),
        ),
        // Ways to log in that are not tried.
        "gssapiauthentication" => (OFF, Named("Kerberos is not tried: the other ways to log in are")),
        "gssapikeyexchange" => (
            OFF,
            Named("keys are exchanged without Kerberos, and the host key is checked"),
        ),
        "gssapidelegatecredentials" => (OFF, Named("no Kerberos credentials are forwarded")),
        "gssapitrustdns" | "gssapirenewalforcesrekey" => (OFF, Named("Kerberos is not used")),
        "gssapiclientidentity" | "gssapiserveridentity" | "gssapikexalgorithms" => {
            (&[], Named("Kerberos is not used"))
        }
        "hostbasedauthentication" => (OFF, Named("no host key of this machine is used to log in")),
        "enablesshkeysign" => (OFF, Named("no host key of this machine is used to log in")),
        "hostbasedacceptedalgorithms" => (&[], Named("no host key of this machine is used to log in")),
        "pkcs11provider" => (
            NONE,
            Named("keys on the token are used only through the agent: add them with `ssh-add -s`"),
        ),
        "securitykeyprovider" => (
            &["internal"],
            Named("security keys are used only through the agent: add them with `ssh-add`"),
        ),
        // What the host would be given.
        "forwardagent" => (OFF, Named("the agent is not forwarded")),
        "forwardx11" => (OFF, Named("X11 is not forwarded")),
        "forwardx11trusted" => (OFF, Named("X11 is not forwarded")),
        "addkeystoagent" => (OFF, Named("keys are not added to the agent")),
        "tunnel" => (OFF, Named("no tunnel device is made")),
        // What would run here or there.
        "permitlocalcommand" => (OFF, Named("no command is run here")),
        "remotecommand" => (NONE, Named("what runs is named on the command line only")),
        // The way to the host.
        "canonicalizehostname" => (
            OFF,
            Refused(
                "the name would not be completed from CanonicalDomains and could lead to another host: write it in full \
                 and set `CanonicalizeHostname no` for it, or set another file with -F",
            ),
        ),
        "bindinterface" => (
            &[],
            Refused(
                "the connection would leave by any interface: set BindAddress to the address of the one that is meant",
            ),
        ),
        "proxyusefdpass" => (
            OFF,
            Refused(
                "the command would be taken for the connection itself: use one that passes data on, such as nc without \
                 -F, and set `ProxyUseFdpass no`",
            ),
        ),
        "refuseconnection" => (
            &[],
            Refused("the configuration says that nobody is to connect to this host"),
        ),
        _ => return Harmless,
    };
    if all(harmless) { Harmless } else { otherwise }
}

const OFF: &[&str] = &["no", "false"];
const NONE: &[&str] = &["none"];
/// Lists that leave the default as it is, but for its order and what is added.
const ADDING: &[&str] = &["+*", "^*"];

/// The name under which an option is decided about: ssh has several for some.
pub(super) fn canonical(word: &str) -> &str {
    match word {
        "pubkeyacceptedkeytypes" => "pubkeyacceptedalgorithms",
        "hostbasedkeytypes" => "hostbasedacceptedalgorithms",
        "smartcarddevice" => "pkcs11provider",
        other => other,
    }
}

/// Whether ssh knows the option, up to OpenSSH 10; the name has to be in lower case.
pub(super) fn is_known(word: &str) -> bool {
    UNSUPPORTED.binary_search(&word).is_ok()
}

/// All of them, sorted.
const UNSUPPORTED: &[&str] = &[
    "addkeystoagent",
    "afstokenpassing",
    "bindinterface",
    "canonicaldomains",
    "canonicalizefallbacklocal",
    "canonicalizehostname",
    "canonicalizemaxdots",
    "canonicalizepermittedcnames",
    "casignaturealgorithms",
    "channeltimeout",
    "checkhostip",
    "cipher",
    "clearallforwardings",
    "compression",
    "compressionlevel",
    "connectionattempts",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "dynamicforward",
    "enableescapecommandline",
    "enablesshkeysign",
    "escapechar",
    "exitonforwardfailure",
    "fallbacktorsh",
    "fingerprinthash",
    "forkafterauthentication",
    "forwardagent",
    "forwardx11",
    "forwardx11timeout",
    "forwardx11trusted",
    "gatewayports",
    "globalknownhostsfile2",
    "gssapiauthentication",
    "gssapiclientidentity",
    "gssapidelegatecredentials",
    "gssapikexalgorithms",
    "gssapikeyexchange",
    "gssapirenewalforcesrekey",
    "gssapiserveridentity",
    "gssapitrustdns",
    "hostbasedacceptedalgorithms",
    "hostbasedauthentication",
    "hostbasedkeytypes",
    "ipqos",
    "kbdinteractivedevices",
    "keepalive",
    "kerberosauthentication",
    "kerberostgtpassing",
    "knownhostscommand",
    "localcommand",
    "localforward",
    "loglevel",
    "logverbose",
    "nohostauthenticationforlocalhost",
    "obscurekeystroketiming",
    "permitlocalcommand",
    "permitremoteopen",
    "pkcs11provider",
    "protocol",
    "protocolkeepalives",
    "proxyusefdpass",
    "pubkeyacceptedalgorithms",
    "pubkeyacceptedkeytypes",
    "refuseconnection",
    "rekeylimit",
    "remotecommand",
    "remoteforward",
    "requesttty",
    "requiredrsasize",
    "rhostsauthentication",
    "rhostsrsaauthentication",
    "rsaauthentication",
    "securitykeyprovider",
    "sendenv",
    "sessiontype",
    "setenv",
    "setuptimeout",
    "smartcarddevice",
    "stdinnull",
    "streamlocalbindmask",
    "streamlocalbindunlink",
    "syslogfacility",
    "tag",
    "tcpkeepalive",
    "tunnel",
    "tunneldevice",
    "updatehostkeys",
    "useblacklistedkeys",
    "useprivilegedport",
    "userknownhostsfile2",
    "useroaming",
    "usersh",
    "verifyhostkeydns",
    "versionaddendum",
    "visualhostkey",
    "warnweakcrypto",
    "xauthlocation",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(word: &str, value: &str) -> Without {
        without(canonical(word), &[value.to_owned()])
    }

    #[test]
    fn what_would_be_less_secure_or_lead_elsewhere_is_refused() {
        for (word, value) in [
            ("knownhostscommand", "/bin/x"),
            ("casignaturealgorithms", "ssh-ed25519"),
            ("casignaturealgorithms", "-rsa*"),
            ("pubkeyacceptedalgorithms", "ssh-ed25519"),
            ("pubkeyacceptedkeytypes", "-ssh-rsa"),
            ("requiredrsasize", "3072"),
            ("requiredrsasize", "1025"),
            ("canonicalizehostname", "always"),
            ("bindinterface", "eth0"),
            ("proxyusefdpass", "yes"),
            ("refuseconnection", "closed"),
        ] {
            assert!(
                matches!(decided(word, value), Without::Refused(_)),
                "{word} {value}"
            );
        }
    }

    #[test]
    fn what_concerns_security_otherwise_is_named() {
        for (word, value) in [
            ("verifyhostkeydns", "ask"),
            ("nohostauthenticationforlocalhost", "yes"),
            ("checkhostip", "yes"),
            ("updatehostkeys", "ask"),
            ("pubkeyacceptedalgorithms", "+ssh-rsa"),
            ("casignaturealgorithms", "^ssh-rsa"),
            ("gssapiauthentication", "yes"),
            ("hostbasedauthentication", "yes"),
            ("pkcs11provider", "/lib/x.so"),
            ("smartcarddevice", "/lib/x.so"),
            ("securitykeyprovider", "/lib/x.so"),
            ("forwardagent", "YES"),
            ("forwardagent", "$AGENT"),
            ("permitlocalcommand", "yes"),
            ("remotecommand", "tmux"),
            ("addkeystoagent", "confirm"),
        ] {
            assert!(
                matches!(decided(word, value), Without::Named(_)),
                "{word} {value}"
            );
        }
    }

    #[test]
    fn a_value_that_asks_for_what_happens_anyway_is_harmless() {
        for (word, value) in [
            ("verifyhostkeydns", "no"),
            ("forwardagent", "False"),
            ("knownhostscommand", "none"),
            ("pkcs11provider", "NONE"),
            ("securitykeyprovider", "internal"),
            ("canonicalizehostname", "no"),
            ("requiredrsasize", "0"),
            ("requiredrsasize", "1024"),
            ("compression", "yes"),
            ("sendenv", "LANG"),
            ("controlmaster", "auto"),
        ] {
            assert_eq!(decided(word, value), Without::Harmless, "{word} {value}");
        }
    }

    #[test]
    fn the_list_is_sorted_and_every_name_is_on_it_once() {
        assert!(UNSUPPORTED.is_sorted_by(|a, b| a < b));
        for word in UNSUPPORTED {
            assert!(is_known(canonical(word)), "{word}");
        }
    }
}
