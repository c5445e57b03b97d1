//! The words of ssh_config(5), up to OpenSSH 10, and what becomes of each.

/// What a word means to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Host,
    Match,
    Include,
    IgnoreUnknown,
    HostName,
    User,
    Port,
    IdentityFile,
    IdentitiesOnly,
    IdentityAgent,
    UserKnownHostsFile,
    StrictHostKeyChecking,
    BatchMode,
    ConnectTimeout,
    ServerAliveInterval,
    ServerAliveCountMax,
    ProxyJump,
    ProxyCommand,
    /// Not supported, and it changes security or the way to the host, unless the value is one of these.
    Refused(&'static [&'static str]),
    /// Not supported, and the connection is the same without it.
    Ignored,
}

/// Looks a word up; it has to be in lower case.
pub(super) fn lookup(word: &str) -> Option<Keyword> {
    use Keyword as K;
    const ON: &[&str] = &["yes", "true"];
    const OFF: &[&str] = &["no", "false"];
    const NONE: &[&str] = &["none"];
    Some(match word {
        "host" => K::Host,
        "match" => K::Match,
        "include" => K::Include,
        "ignoreunknown" => K::IgnoreUnknown,
        "hostname" => K::HostName,
        "user" => K::User,
        "port" => K::Port,
        "identityfile" | "identityfile2" => K::IdentityFile,
        "identitiesonly" => K::IdentitiesOnly,
        "identityagent" => K::IdentityAgent,
        "userknownhostsfile" => K::UserKnownHostsFile,
        "stricthostkeychecking" => K::StrictHostKeyChecking,
        "batchmode" => K::BatchMode,
        "connecttimeout" => K::ConnectTimeout,
        "serveraliveinterval" => K::ServerAliveInterval,
        "serveralivecountmax" => K::ServerAliveCountMax,
        "proxyjump" => K::ProxyJump,
        "proxycommand" => K::ProxyCommand,

        "certificatefile" | "pkcs11provider" | "smartcarddevice" | "revokedhostkeys"
        | "knownhostscommand" => K::Refused(NONE),
        "proxyusefdpass"
        | "verifyhostkeydns"
        | "hostbasedauthentication"
        | "canonicalizehostname"
        | "nohostauthenticationforlocalhost" => K::Refused(OFF),
        "passwordauthentication"
        | "pubkeyauthentication"
        | "dsaauthentication"
        | "kbdinteractiveauthentication"
        | "challengeresponseauthentication"
        | "skeyauthentication"
        | "tisauthentication" => K::Refused(ON),
        "addressfamily" => K::Refused(&["any"]),
        "securitykeyprovider" => K::Refused(&["internal"]),
        "ciphers"
        | "macs"
        | "kexalgorithms"
        | "hostkeyalgorithms"
        | "casignaturealgorithms"
        | "pubkeyacceptedalgorithms"
        | "pubkeyacceptedkeytypes"
        | "requiredrsasize"
        | "hostkeyalias"
        | "globalknownhostsfile"
        | "numberofpasswordprompts"
        | "preferredauthentications"
        | "bindaddress"
        | "bindinterface"
        | "refuseconnection" => K::Refused(&[]),

        "addkeystoagent"
        | "afstokenpassing"
        | "canonicaldomains"
        | "canonicalizefallbacklocal"
        | "canonicalizemaxdots"
        | "canonicalizepermittedcnames"
        | "channeltimeout"
        | "checkhostip"
        | "cipher"
        | "clearallforwardings"
        | "compression"
        | "compressionlevel"
        | "connectionattempts"
        | "controlmaster"
        | "controlpath"
        | "controlpersist"
        | "dynamicforward"
        | "enableescapecommandline"
        | "enablesshkeysign"
        | "escapechar"
        | "exitonforwardfailure"
        | "fallbacktorsh"
        | "fingerprinthash"
        | "forkafterauthentication"
        | "forwardagent"
        | "forwardx11"
        | "forwardx11timeout"
        | "forwardx11trusted"
        | "gatewayports"
        | "globalknownhostsfile2"
        | "gssapiauthentication"
        | "gssapiclientidentity"
        | "gssapidelegatecredentials"
        | "gssapikexalgorithms"
        | "gssapikeyexchange"
        | "gssapirenewalforcesrekey"
        | "gssapiserveridentity"
        | "gssapitrustdns"
        | "hashknownhosts"
        | "hostbasedacceptedalgorithms"
        | "hostbasedkeytypes"
        | "ipqos"
        | "kbdinteractivedevices"
        | "kerberosauthentication"
        | "kerberostgtpassing"
        | "keepalive"
        | "localcommand"
        | "localforward"
        | "loglevel"
        | "logverbose"
        | "obscurekeystroketiming"
        | "permitlocalcommand"
        | "permitremoteopen"
        | "protocol"
        | "protocolkeepalives"
        | "rekeylimit"
        | "remotecommand"
        | "remoteforward"
        | "requesttty"
        | "rhostsauthentication"
        | "rhostsrsaauthentication"
        | "rsaauthentication"
        | "sendenv"
        | "sessiontype"
        | "setenv"
        | "setuptimeout"
        | "stdinnull"
        | "streamlocalbindmask"
        | "streamlocalbindunlink"
        | "syslogfacility"
        | "tag"
        | "tcpkeepalive"
        | "tunnel"
        | "tunneldevice"
        | "updatehostkeys"
        | "useblacklistedkeys"
        | "useprivilegedport"
        | "userknownhostsfile2"
        | "useroaming"
        | "usersh"
        | "versionaddendum"
        | "visualhostkey"
        | "warnweakcrypto"
        | "xauthlocation" => K::Ignored,
        _ => return None,
    })
}
