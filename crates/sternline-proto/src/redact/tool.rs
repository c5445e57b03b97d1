//! Which options and operands of well-known tools are secrets, where their names do not say so.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::line::Part::{self, After, Pass, Random, Slash, Typed, Whole};
use Rule::{Attached, Behind, Both, Operand, Operands, Separate};

/// Programs that take secrets in the same places.
pub(super) struct Tool {
    pub(super) names: &'static [&'static str],
    /// Words or options one of which makes the rules apply; none means that they always do.
    pub(super) when: &'static [&'static str],
    /// Whether its first operand begins another command.
    pub(super) ends: bool,
    pub(super) rules: &'static [Rule],
}

/// Where a tool takes a secret.
pub(super) enum Rule {
    /// `-px`.
    Attached(&'static str, Part),
    /// `-p x` and `-p=x`.
    Separate(&'static str, Part),
    /// Either.
    Both(&'static str, Part),
    /// The word behind this word.
    Behind(&'static str, Part),
    /// The operand of this number, from 1.
    Operand(usize, Part),
    /// Every operand.
    Operands(Part),
}

const fn tool(names: &'static [&'static str], rules: &'static [Rule]) -> Tool {
    Tool {
        names,
        when: &[],
        ends: false,
        rules,
    }
}

const fn when(when: &'static [&'static str], names: &'static [&'static str], rules: &'static [Rule]) -> Tool {
    Tool {
        names,
        when,
        ends: false,
        rules,
    }
}

const COLON: Part = After(b':');

/// The rows that name a program.
pub(super) fn tools(name: &str) -> &'static [&'static Tool] {
    static BY_NAME: LazyLock<HashMap<&str, Vec<&Tool>>> = LazyLock::new(|| {
        let mut by_name: HashMap<&str, Vec<&Tool>> = HashMap::new();
        for tool in TOOLS {
            for name in tool.names {
                by_name.entry(name).or_default().push(tool);
            }
        }
        by_name
    });
    BY_NAME.get(name).map_or(&[], Vec::as_slice)
}

/// One row for each family of tools. Options such as `--password` need no row.
static TOOLS: &[Tool] = &[
    // Databases.
    tool(
        &[
            "mysql",
            "mysqldump",
            "mysqladmin",
            "mysqlimport",
            "mysqlshow",
            "mysqlcheck",
            "mysqlbinlog",
            "mysqlslap",
            "mysqlpump",
            "mysqlsh",
            "mariadb",
            "mariadb-dump",
            "mariadb-admin",
            "mycli",
            "xtrabackup",
            "mariabackup",
            "innobackupex",
        ],
        &[Attached("-p", Whole)],
    ),
    tool(
        &[
            "mongo",
            "mongosh",
            "mongodump",
            "mongorestore",
            "mongoexport",
            "mongoimport",
            "mongostat",
            "mongotop",
            "mongofiles",
            "cqlsh",
            "couchbase-cli",
            "cbq",
            "clickhouse-client",
            "nodetool",
        ],
        &[Both("-p", Whole)],
    ),
    tool(
        &["redis-cli", "redis-benchmark", "valkey-cli", "keydb-cli"],
        &[
            Both("-a", Whole),
            Behind("auth", Whole),
            Behind("requirepass", Whole),
            Behind("masterauth", Whole),
        ],
    ),
    tool(&["sqlcmd", "bcp", "osql", "tsql"], &[Both("-P", Whole)]),
    tool(
        &["sqlplus", "sqlldr", "expdp", "impdp", "exp", "imp", "rman", "sql"],
        &[Operand(1, Slash)],
    ),
    tool(
        &["etcdctl", "influx"],
        &[Separate("--user", COLON), Both("-t", Random)],
    ),
    // HTTP.
    tool(
        &["curl", "curlie"],
        &[
            Both("-u", COLON),
            Separate("--user", COLON),
            Both("-U", COLON),
            Separate("--proxy-user", COLON),
            Separate("--oauth2-bearer", Whole),
            Both("-b", After(b'=')),
            Separate("--cookie", After(b'=')),
            Both("-E", COLON),
            Separate("--cert", COLON),
            Separate("--proxy-cert", COLON),
        ],
    ),
    tool(&["ncat", "nc", "netcat"], &[Separate("--proxy-auth", COLON)]),
    tool(
        &["http", "https", "httpie", "xh", "xhs", "hey"],
        &[Both("-a", COLON), Separate("--auth", COLON)],
    ),
    tool(&["ab", "siege"], &[Both("-A", COLON), Both("-P", COLON)]),
    tool(
        &["wget", "wget2", "aria2c"],
        &[Separate("--http-passwd", Whole), Separate("--ftp-passwd", Whole)],
    ),
    tool(
        &["lftp", "lftpget", "ncftpget", "ncftpput", "ncftp"],
        &[Both("-u", After(b',')), Both("-p", Whole)],
    ),
    // Directories, shares, tickets.
    tool(
        &[
            "ldapsearch",
            "ldapmodify",
            "ldapadd",
            "ldapdelete",
            "ldapwhoami",
            "ldapmodrdn",
            "ldapcompare",
            "ldapexop",
            "kadmin",
            "kadmin.local",
        ],
        &[Both("-w", Whole), Behind("-pw", Whole), Separate("-pw", Whole)],
    ),
    tool(
        &["ldappasswd"],
        &[Both("-w", Whole), Both("-s", Whole), Both("-a", Whole)],
    ),
    tool(
        &[
            "smbclient",
            "rpcclient",
            "smbcacls",
            "smbget",
            "smbtree",
            "net",
            "smbcquotas",
            "winexe",
            "wmic",
            "nmblookup",
        ],
        &[Both("-U", After(b'%')), Separate("--user", After(b'%'))],
    ),
    tool(
        &["smbmap", "crackmapexec", "netexec", "nxc", "evil-winrm"],
        &[Both("-p", Whole)],
    ),
    tool(
        &["xfreerdp", "xfreerdp3", "wlfreerdp", "cmdkey"],
        &[Attached("/p:", Whole), Attached("/pass:", Whole)],
    ),
    tool(&["rdesktop", "psexec", "paexec"], &[Both("-p", Whole)]),
    // Logging in elsewhere.
    Tool {
        names: &["sshpass"],
        when: &[],
        ends: true,
        rules: &[Both("-p", Whole)],
    },
    tool(&["plink", "pscp", "psftp", "puttygen"], &[Separate("-pw", Whole)]),
    when(&["-b"], &["htpasswd"], &[Operand(3, Whole)]),
    when(&["-n"], &["htpasswd"], &[Operand(2, Whole)]),
    tool(&["ipmitool"], &[Both("-P", Whole), Both("-K", Whole)]),
    tool(
        &[
            "snmpwalk",
            "snmpget",
            "snmpset",
            "snmpgetnext",
            "snmpbulkwalk",
            "snmpbulkget",
            "snmptable",
            "snmptrap",
        ],
        &[Both("-c", Whole), Both("-A", Whole), Both("-X", Whole)],
    ),
    tool(
        &["useradd", "usermod"],
        &[Both("-p", Whole), Separate("--password", Whole)],
    ),
    tool(&["wpa_passphrase"], &[Operand(2, Whole)]),
    tool(&["isql"], &[Operand(3, Whole)]),
    tool(
        &["nmcli"],
        &[
            Behind("password", Whole),
            Behind("wifi-sec.psk", Whole),
            Behind("802-11-wireless-security.psk", Whole),
        ],
    ),
    when(
        &["add_user", "change_password", "authenticate_user"],
        &["rabbitmqctl"],
        &[Operand(3, Whole)],
    ),
    tool(&["rabbitmqadmin"], &[Both("-p", Whole)]),
    tool(
        &["mosquitto_pub", "mosquitto_sub", "mosquitto_rr", "mqttcli"],
        &[Both("-P", Whole), Separate("--pw", Whole)],
    ),
    tool(&["swaks"], &[Separate("-ap", Whole)]),
    // Registries, packages and forges.
    when(
        &["login"],
        &[
            "docker",
            "podman",
            "nerdctl",
            "buildah",
            "skopeo",
            "helm",
            "crane",
            "oras",
            "regctl",
            "docker-credential-pass",
        ],
        &[
            Both("-p", Whole),
            Separate("--creds", COLON),
            Separate("--src-creds", COLON),
            Separate("--dest-creds", COLON),
        ],
    ),
    when(
        &["copy", "inspect", "pull", "push", "sync", "delete", "bud"],
        &["skopeo", "buildah", "podman"],
        &[
            Separate("--creds", COLON),
            Separate("--src-creds", COLON),
            Separate("--dest-creds", COLON),
        ],
    ),
    tool(
        &["twine", "nuget", "jf", "jfrog", "conan"],
        &[Both("-p", Whole), Separate("--apikey", Whole)],
    ),
    tool(&["cargo"], &[Behind("login", Random)]),
    when(
        &["secret"],
        &["gh"],
        &[Separate("--body", Whole), Both("-b", Whole)],
    ),
    when(
        &["secrets"],
        &["fly", "flyctl", "doppler"],
        &[Operands(After(b'='))],
    ),
    tool(&["npm", "yarn", "pnpm"], &[Separate("--otp", Whole)]),
    tool(
        &["snyk", "ngrok"],
        &[
            Behind("auth", Random),
            Behind("authtoken", Random),
            Behind("add-authtoken", Random),
        ],
    ),
    // Clouds and clusters.
    when(&["login", "sp", "acr"], &["az"], &[Both("-p", Whole)]),
    when(
        &["login"],
        &["oc", "rancher", "doctl", "flyctl", "fly", "vercel", "argocd"],
        &[
            Both("-p", Whole),
            Both("-t", Random),
            Separate("--auth-token", Whole),
        ],
    ),
    tool(
        &["kubectl", "k3s", "microk8s.kubectl"],
        &[Separate("--from-literal", After(b'='))],
    ),
    tool(
        &["aws"],
        &[
            Behind("aws_secret_access_key", Whole),
            Behind("aws_session_token", Whole),
            Separate("--secret-string", Whole),
            Separate("--secret-binary", Whole),
        ],
    ),
    when(&["SecureString"], &["aws"], &[Separate("--value", Whole)]),
    tool(
        &["vault", "bao"],
        &[
            Behind("login", Random),
            Behind("unwrap", Random),
            Behind("unseal", Random),
            Behind("revoke", Random),
        ],
    ),
    when(
        &["put", "write", "patch"],
        &["vault", "bao"],
        &[Operands(After(b'='))],
    ),
    tool(&["consul", "nomad"], &[Separate("-token", Whole)]),
    tool(
        &["tailscale"],
        &[Separate("--authkey", Whole), Separate("--auth-key", Whole)],
    ),
    tool(
        &["rclone"],
        &[
            Behind("obscure", Whole),
            Behind("reveal", Whole),
            Behind("pass", Whole),
            Behind("password", Whole),
            Behind("secret_access_key", Whole),
        ],
    ),
    tool(&["bw"], &[Behind("unlock", Random), Separate("--session", Whole)]),
    // Archives and cryptography.
    tool(&["zip", "unzip", "zipcloak"], &[Both("-P", Whole)]),
    tool(
        &["7z", "7za", "7zr", "7zz", "rar", "unrar"],
        &[Attached("-p", Whole), Attached("-hp", Whole)],
    ),
    tool(
        &["openssl"],
        &[
            Separate("-passin", Pass),
            Separate("-passout", Pass),
            Separate("-pass", Pass),
            Separate("-k", Whole),
            Separate("-K", Whole),
            Separate("-hmac", Whole),
            Separate("-macopt", COLON),
        ],
    ),
    tool(
        &["keytool", "jarsigner", "apksigner"],
        &[
            Separate("-storepass", Whole),
            Separate("-keypass", Whole),
            Separate("-new", Whole),
            Separate("-srcstorepass", Whole),
            Separate("-deststorepass", Whole),
            Separate("-srckeypass", Whole),
            Separate("-destkeypass", Whole),
            Separate("--ks-pass", Pass),
            Separate("--key-pass", Pass),
        ],
    ),
    tool(
        &["powershell", "pwsh", "powershell.exe", "pwsh.exe"],
        &[
            Separate("-EncodedCommand", Whole),
            Separate("-enc", Whole),
            Separate("-e", Random),
        ],
    ),
    tool(
        &["ConvertTo-SecureString"],
        &[Operand(1, Whole), Separate("-String", Whole)],
    ),
    tool(&["schtasks"], &[Behind("/rp", Whole), Behind("/p", Whole)]),
    // Routers.
    tool(
        &["enable", "username", "neighbor"],
        &[Behind("password", Typed), Behind("secret", Typed)],
    ),
    tool(&["snmp-server"], &[Behind("community", Whole)]),
];
