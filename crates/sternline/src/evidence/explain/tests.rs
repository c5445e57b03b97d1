use serde_json::{Value, json};

use super::*;
use crate::error::DisconnectReason;
use crate::event::{Event, EventType};
use crate::evidence::bundle::EvidenceBundle;
use crate::evidence::facts::PhaseTiming;
use crate::evidence::sample;
use crate::evidence::{RecordedCommand, RecordedInput, RecordedOutput};

/// A bundle with this error and these events (`[type, time, data]`).
fn bundle(error: &Value, events: &Value) -> EvidenceBundle {
    let mut bundle = sample::bundle();
    bundle.error_context = sample::map(error);
    bundle.events = events.as_array().unwrap().iter().map(event).collect();
    if !bundle.error_context.is_empty() {
        bundle.disconnect_reason = DisconnectReason::NetworkError;
    }
    bundle
}

fn event(event: &Value) -> Event {
    let event_type = EventType::from_name(event[0].as_str().unwrap()).unwrap();
    sample::event(event_type, event[1].as_f64().unwrap(), &event[2])
}

/// What a test says of an explanation: its phase, and texts that have to stand in its cause, its facts, its next steps.
type Expected = (&'static str, &'static str, &'static [&'static str], &'static str);

fn check(name: &str, bundle: &EvidenceBundle, (phase, cause, facts, step): Expected) {
    let found = explain(bundle);
    let dict = found.to_dict();
    assert_eq!(found.outcome, Outcome::Failed, "{name}: {dict:#}");
    assert_eq!(
        found.phase.as_deref(),
        (!phase.is_empty()).then_some(phase),
        "{name}: {dict:#}"
    );
    assert!(
        found.cause.contains(cause),
        "{name}: {:?} lacks {cause:?}",
        found.cause
    );
    for text in facts {
        assert!(
            found.facts.iter().any(|fact| fact.text.contains(text)),
            "{name}: no fact {text:?} in {dict:#}"
        );
    }
    assert!(
        found.next_steps.iter().any(|found| found.contains(step)),
        "{name}: no step {step:?} in {dict:#}"
    );
    let texts = found
        .facts
        .iter()
        .map(|fact| &fact.text)
        .chain(&found.next_steps)
        .chain(&found.not_known);
    for text in texts.chain([&found.cause, &found.how_far]) {
        assert!(text.ends_with(['.', '!', '?']), "{name}: no sentence: {text:?}");
        assert!(!text.contains("..") || text.contains("..."), "{name}: {text:?}");
        assert!(
            !text.contains("  ") && !text.contains("the the"),
            "{name}: {text:?}"
        );
    }
}

fn error(kind: &str, phase: &str, message: &str, more: &Value) -> Value {
    let mut error = json!({"error_type": kind, "phase": phase, "message": message, "sent": "not_sent", "host": "web-1",
                           "port": 22, "username": "ann", "hint": "do what the program says"});
    error.as_object_mut().unwrap().extend(sample::map(more));
    error
}

#[test]
fn what_fails_on_the_way_is_explained() {
    let cases: [(&str, Value, Expected); 16] = [
        (
            "refused",
            error(
                "ConnectionRefused",
                "tcp",
                "connection refused by web-1 port 22",
                &json!({"addresses": ["10.0.0.1:22: Connection refused (os error 111)"]}),
            ),
            (
                "tcp",
                "Nothing accepts connections at web-1 port 22",
                &["Tried 10.0.0.1:22", "A refusal is an answer"],
                "ss -ltn",
            ),
        ),
        (
            "resolve timeout",
            error(
                "ConnectionTimeout",
                "resolve",
                "timed out while resolving",
                &json!({"timings_ms": {"resolve": 10000.0}}),
            ),
            ("resolve", "was not resolved within 10 s", &[], "resolvectl"),
        ),
        (
            "tcp timeout",
            error(
                "ConnectionTimeout",
                "tcp",
                "timed out while opening the TCP connection",
                &json!({}),
            ),
            ("tcp", "did not answer", &[], "firewall"),
        ),
        (
            "banner timeout",
            error("ConnectionTimeout", "banner", "timed out", &json!({})),
            (
                "banner",
                "did not introduce itself as an SSH server",
                &[],
                "Check the port",
            ),
        ),
        (
            "kex timeout",
            error(
                "ConnectionTimeout",
                "kex",
                "timed out",
                &json!({"server_identification": "SSH-2.0-x"}),
            ),
            (
                "kex",
                "fell silent in the middle of the handshake",
                &["introduced itself as SSH-2.0-x"],
                "MTU",
            ),
        ),
        (
            "auth timeout",
            error("ConnectionTimeout", "auth", "timed out", &json!({})),
            ("auth", "did not decide about the login", &[], "PAM"),
        ),
        (
            "proxy timeout",
            error("ConnectionTimeout", "proxy", "timed out", &json!({})),
            ("proxy", "The way to web-1 was not open", &[], "jump host"),
        ),
        (
            "unresolved",
            error(
                "HostUnreachable",
                "resolve",
                "cannot resolve web-1",
                &json!({"original_error": "Name or service not known"}),
            ),
            (
                "resolve",
                "does not lead to an address: Name or service not known",
                &[],
                "getent ahosts web-1",
            ),
        ),
        (
            "no route",
            error(
                "HostUnreachable",
                "tcp",
                "web-1 cannot be reached from here",
                &json!({"addresses": ["10.9.9.9:22: No route to host (os error 113)"]}),
            ),
            (
                "tcp",
                "no way from this machine to web-1",
                &["No route to host"],
                "ip route get",
            ),
        ),
        (
            "no ssh",
            error(
                "SSHConnectionError",
                "banner",
                "this is not an SSH server: it sent HTTP/1.1",
                &json!({}),
            ),
            (
                "banner",
                "this is not an SSH server: it sent HTTP/1.1",
                &[],
                "Check the port",
            ),
        ),
        (
            "a proxy command that ends",
            error(
                "SSHConnectionError",
                "banner",
                "the proxy command ended with exit status 1 and said nothing",
                &json!({"proxy_command": "corkscrew gate 22"}),
            ),
            (
                "banner",
                "Over the proxy command, no SSH server at web-1 port 22 introduced itself: the proxy command ended",
                &["over the proxy command `corkscrew gate 22`"],
                "Run the proxy command by itself",
            ),
        ),
        (
            "a proxy command that says nothing",
            error(
                "ConnectionTimeout",
                "banner",
                "timed out",
                &json!({"proxy_command": "sleep 9"}),
            ),
            (
                "banner",
                "The proxy command runs, but no SSH server",
                &[],
                "Run the proxy command by itself",
            ),
        ),
        (
            "no common algorithm, with signals among them",
            error(
                "NoMutualKex",
                "kex",
                "no key exchange algorithm in common",
                &json!({"algorithm_kind": "key exchange", "algorithms_ours": ["a"],
                        "algorithms_theirs": ["old", "kex-strict-s-v00@openssh.com", "ext-info-s"]}),
            ),
            (
                "kex",
                "the server offers only old.",
                &["The server offers old."],
                "Update the SSH server",
            ),
        ),
        (
            "closed in kex",
            error(
                "SSHConnectionError",
                "kex",
                "the server closed the connection while exchanging keys",
                &json!({}),
            ),
            (
                "kex",
                "The handshake with web-1 port 22 was broken off",
                &[],
                "server's log",
            ),
        ),
        (
            "no common algorithm",
            error(
                "NoMutualKex",
                "kex",
                "no cipher algorithm in common: we offer a; the server offers 3des-cbc",
                &json!({}),
            ),
            ("kex", "the server offers 3des-cbc", &[], "Update the SSH server"),
        ),
        (
            "no common algorithm, with lists",
            error(
                "NoMutualKex",
                "kex",
                "no",
                &json!({"algorithm_kind": "cipher", "algorithms_ours": ["a", "b"], "algorithms_theirs": ["3des-cbc"]}),
            ),
            (
                "kex",
                "no cipher algorithm in common: the server offers only 3des-cbc",
                &["This side offers a, b"],
                "sshd -T",
            ),
        ),
    ];
    for (name, error, expected) in cases {
        check(name, &bundle(&error, &json!([])), expected);
    }
}

#[test]
fn a_hop_that_fails_is_named_and_the_host_is_not_blamed() {
    let error = error(
        "ConnectionRefused",
        "tcp",
        "jump host 1 of 2 (ops@bastion:2200): connection refused by bastion port 2200",
        &json!({"hop": "ops@bastion:2200", "hop_number": 1, "hop_count": 2}),
    );
    let bundle = bundle(&error, &json!([]));
    check(
        "hop",
        &bundle,
        (
            "tcp",
            "jump host 1 of 2 (ops@bastion:2200)",
            &["on the way to web-1; web-1 itself was not reached"],
            "port 2200",
        ),
    );
    assert_eq!(explain(&bundle).hop.as_deref(), Some("ops@bastion:2200"));
}

#[test]
fn a_host_key_that_is_not_trusted_is_explained_by_the_reason() {
    let sha = "SHA256:new";
    let more = |reason: &str| json!({"host_key_reason": reason, "offered_fingerprint": sha, "hint": "run `sternline hostkeys add web-1`"});
    for (reason, expected) in [
        (
            "unknown",
            (
                "host_key",
                "web-1 port 22 is not known",
                &["offered the key SHA256:new", "No credential was sent"][..],
                "hostkeys add",
            ),
        ),
        (
            "changed",
            (
                "host_key",
                "is not the one it is known by",
                &["known_hosts:3", "No credential was sent"],
                "by another channel",
            ),
        ),
        (
            "revoked",
            ("host_key", "is marked as revoked", &[], "Do not connect"),
        ),
        (
            "revoked_authority",
            (
                "host_key",
                "signed by an authority that is marked as revoked",
                &[],
                "Do not connect",
            ),
        ),
        (
            "certificate",
            (
                "host_key",
                "does not vouch for it: it expired in /home/ann/.ssh/known_hosts:3",
                &[],
                "hostkeys add",
            ),
        ),
    ] {
        let error = error(
            "HostKeyMismatch",
            "host_key",
            "it expired in /home/ann/.ssh/known_hosts:3",
            &more(reason),
        );
        check(reason, &bundle(&error, &json!([])), expected);
    }
    let expected = json!({"host_key_reason": "changed", "offered_fingerprint": sha, "known_keys": [
        {"algorithm": "ssh-ed25519", "fingerprint": "SHA256:old", "file": "/k", "line": 7}]});
    let error = error("HostKeyMismatch", "host_key", "changed", &expected);
    check(
        "expected keys",
        &bundle(&error, &json!([])),
        (
            "host_key",
            "somebody else answers",
            &["known by ssh-ed25519 SHA256:old in /k:7"],
            "fingerprint",
        ),
    );
}

fn auth(time: f64, method: &str, more: &Value) -> Value {
    let mut data = json!({"status": "failed", "method": method, "username": "ann", "duration_ms": 2.0,
                          "error_type": "AuthFailed", "error_message": "refused"});
    data.as_object_mut().unwrap().extend(sample::map(more));
    json!(["AUTH", time, data])
}

#[test]
fn a_refused_login_tells_what_was_offered_and_what_the_server_takes() {
    let key = |time, path: &str| {
        auth(
            time,
            "private_key",
            &json!({"key_path": path, "fingerprint": format!("SHA256:{path}")}),
        )
    };
    let cases: [(&str, Value, Value, Expected); 12] = [
        (
            "one key",
            json!({"methods_offered": ["publickey", "password"]}),
            json!([key(5.0, "/k1")]),
            (
                "auth",
                "the key /k1 (SHA256:/k1), the only key that was offered for ann",
                &[
                    "The server refused the key /k1 (SHA256:/k1).",
                    "The server accepts publickey, password.",
                ],
                "authorized_keys",
            ),
        ),
        (
            "several keys",
            json!({"methods_offered": ["publickey"]}),
            json!([
                key(5.0, "/k1"),
                auth(6.0, "ssh_agent", &json!({"fingerprint": "SHA256:a"}))
            ]),
            (
                "auth",
                "each of the 2 keys",
                &["refused the agent's key SHA256:a"],
                "StrictModes",
            ),
        ),
        (
            "password",
            json!({"methods_offered": ["password"]}),
            json!([auth(5.0, "password", &json!({}))]),
            (
                "auth",
                "refused the password of ann",
                &["refused a password"],
                "has not expired",
            ),
        ),
        (
            "no passwords taken",
            json!({"methods_offered": ["publickey"]}),
            json!([auth(5.0, "password", &json!({}))]),
            ("auth", "refused the password of ann", &[], "takes no passwords"),
        ),
        (
            "a key that cannot be used, and questions that the server does not ask",
            json!({"methods_offered": ["publickey"]}),
            json!([
                ["AUTH", 5.0, {"status": "failed", "method": "private_key", "key_path": "/k1", "error_type": "KeyLoadError",
                    "error_message": "cannot use the key file /k1: the passphrase is wrong"}],
                auth(6.0, "keyboard_interactive", &json!({})),
            ]),
            ("auth", "the passphrase is wrong", &[], "may log in"),
        ),
        (
            "too many attempts",
            json!({"message": "the server ended the connection: no more of this"}),
            json!([key(5.0, "/k1"), key(6.0, "/k2")]),
            (
                "auth",
                "after 2 attempts",
                &["refused the key /k2"],
                "IdentitiesOnly",
            ),
        ),
        (
            "keys not taken",
            json!({"methods_offered": ["password"]}),
            json!([key(5.0, "/k1")]),
            ("auth", "refused the key", &[], "takes no keys at all"),
        ),
        (
            "a password is taken and was not given",
            json!({"methods_offered": ["password"]}),
            json!([key(5.0, "/k1")]),
            ("auth", "refused the key", &[], "`--ask-password`"),
        ),
        (
            "nothing to offer",
            json!({"methods_offered": ["publickey"], "message": "authentication failed for ann: there is no credential to try"}),
            json!([]),
            (
                "auth",
                "No key and no password was offered for ann",
                &["accepts publickey"],
                "kind that the server accepts",
            ),
        ),
        (
            "too many",
            json!({"methods_offered": ["publickey"], "not_tried": ["key /k6", "key /k7"]}),
            json!([key(5.0, "/k1"), key(6.0, "/k2")]),
            (
                "auth",
                "2 were left out",
                &["Not tried: key /k6."],
                "IdentitiesOnly",
            ),
        ),
        (
            "second factor",
            json!({"methods_offered": ["password"]}),
            json!([auth(
                5.0,
                "private_key",
                &json!({"status": "success", "partial": true, "key_path": "/k1"})
            )]),
            (
                "auth",
                "then wanted another factor (password)",
                &["as one factor of several", "still wants password"],
                "each factor",
            ),
        ),
        (
            "only unusable keys",
            json!({}),
            json!([auth(
                5.0,
                "private_key",
                &json!({"key_path": "/k1", "error_type": "KeyLoadError",
                                                    "error_message": "cannot use the key file /k1: it is encrypted"})
            )]),
            (
                "auth",
                "No credential could be offered for ann: cannot use the key file /k1: it is encrypted",
                &["Could not offer the key /k1"],
                "Do what the program says.",
            ),
        ),
    ];
    for (name, more, events, expected) in cases {
        let error = error(
            "AuthFailed",
            "auth",
            "authentication failed for ann: it was refused",
            &more,
        );
        let mut bundle = bundle(&error, &events);
        bundle.disconnect_reason = DisconnectReason::AuthFailure;
        check(name, &bundle, expected);
        let says_not = explain(&bundle)
            .not_known
            .iter()
            .any(|text| text.contains("methods the server accepts"));
        assert_eq!(says_not, more.get("methods_offered").is_none(), "{name}");
    }
}

#[test]
fn a_server_that_ends_the_login_after_refusals_is_explained_by_them() {
    let error = error(
        "SSHConnectionError",
        "auth",
        "the server ended the connection: Too many authentication failures",
        &json!({}),
    );
    let events = json!([
        auth(5.0, "private_key", &json!({"key_path": "/k1"})),
        auth(6.0, "private_key", &json!({"key_path": "/k2"}))
    ]);
    check(
        "too many",
        &bundle(&error, &events),
        (
            "auth",
            "Too many authentication failures",
            &["refused the key /k1"],
            "MaxAuthTries",
        ),
    );
}

#[test]
fn keys_and_agents_that_cannot_be_used_are_explained_by_the_reason() {
    for (kind, reason, cause, step) in [
        (
            "KeyLoadError",
            "file_not_found",
            "/k1 is not there",
            "Check the path",
        ),
        (
            "KeyLoadError",
            "permission_denied",
            "may not be read",
            "chmod 600",
        ),
        (
            "KeyLoadError",
            "wrong_passphrase",
            "passphrase is missing or wrong",
            "ssh-add",
        ),
        (
            "KeyLoadError",
            "invalid_format",
            "not a private key in a format",
            "ssh-keygen -yf",
        ),
        (
            "KeyLoadError",
            "unknown",
            "could not be loaded: it is odd",
            "See the reason",
        ),
        (
            "AgentError",
            "no_auth_sock",
            "SSH_AUTH_SOCK was not set",
            "ssh-agent",
        ),
        (
            "AgentError",
            "socket_not_found",
            "socket does not exist",
            "start an agent anew",
        ),
        ("AgentError", "connection_failed", "nobody answers on it", "died"),
        (
            "AgentError",
            "communication_error",
            "refused or did not understand",
            "ssh-add -l",
        ),
        ("AgentError", "no_keys", "holds no key", "Add the key"),
    ] {
        let error = error(
            kind,
            "auth",
            "it is odd",
            &json!({"reason": reason, "key_path": "/k1"}),
        );
        check(
            reason,
            &bundle(&error, &json!([])),
            ("auth", cause, &["The program said: it is odd."], step),
        );
    }
}

fn connected() -> Value {
    json!(["CONNECT", 3.0, {"status": "connected", "host": "web-1", "port": 22, "auth_method": "private_key"}])
}

#[test]
fn what_fails_on_an_open_connection_is_explained() {
    let exec = |more: Value| {
        let mut data = json!({"command": "make all", "exit_code": null, "bytes_stdout": 10, "bytes_stderr": 0, "duration_ms": 9.0,
                              "error": "it failed"});
        data.as_object_mut().unwrap().extend(sample::map(&more));
        json!(["EXEC", 20.0, data])
    };
    let keepalive =
        json!(["KEEPALIVE_TIMEOUT", 19.0, {"unanswered": 3, "interval_sec": 15.0, "silence_sec": 61.0}]);
    let cases: [(&str, Value, Value, Expected); 10] = [
        (
            "mid-command loss",
            error("SSHConnectionError", "exec", "it failed", &json!({"sent": "ran"})),
            json!([connected(), exec(json!({"error_type": "SSHConnectionError"}))]),
            (
                "exec",
                "was lost, while `make all` was running",
                &["may have finished, or still run", "10 bytes of its output"],
                "before you run it again",
            ),
        ),
        (
            "loss before it started",
            error(
                "SSHConnectionError",
                "exec",
                "it failed",
                &json!({"sent": "may_have_run"}),
            ),
            json!([connected(), exec(json!({}))]),
            ("exec", "was lost", &["may or may not have run"], "took effect"),
        ),
        (
            "keepalive",
            error("SSHConnectionError", "exec", "it failed", &json!({"sent": "ran"})),
            json!([connected(), keepalive, exec(json!({}))]),
            (
                "exec",
                "went silent, while `make all` was running",
                &["3 probes stayed unanswered; nothing had been heard for 61 s"],
                "ServerAliveInterval",
            ),
        ),
        (
            "command timeout",
            error(
                "CommandTimeout",
                "exec",
                "it failed",
                &json!({"sent": "ran", "remote_process_may_survive": true}),
            ),
            json!([connected(), exec(json!({}))]),
            (
                "exec",
                "`make all` did not end within its time limit",
                &["may still run there"],
                "Look on web-1",
            ),
        ),
        (
            "expect timeout",
            error(
                "ExpectTimeout",
                "exec",
                "no output matched",
                &json!({"sent": "ran", "pattern": "Password:", "timeout_sec": 5.0, "buffer_tail": "hello\\nlogin: "}),
            ),
            json!([connected()]),
            (
                "exec",
                "did not write \"Password:\" within 5 s",
                &["It wrote last: \"login:\"."],
                "evidence show",
            ),
        ),
        (
            "progress timeout",
            error(
                "ProgressTimeout",
                "exec",
                "it failed",
                &json!({"sent": "ran", "remote_process_may_survive": false}),
            ),
            json!([connected(), exec(json!({}))]),
            (
                "exec",
                "neither wrote nor read anything",
                &["It was ended on the host."],
                "waits for",
            ),
        ),
        (
            "channel",
            error("ChannelError", "channel", "it failed", &json!({})),
            json!([connected(), exec(json!({}))]),
            (
                "channel",
                "The login went well, but it failed",
                &["ForceCommand"],
                "authorized_keys",
            ),
        ),
        (
            "no exit status",
            error("NoExitStatus", "exec", "it failed", &json!({"sent": "ran"})),
            json!([connected(), exec(json!({}))]),
            ("exec", "ended without a status", &[], "out of memory"),
        ),
        (
            "sudo",
            error(
                "SudoError",
                "exec",
                "it failed",
                &json!({"reason": "password_refused"}),
            ),
            json!([connected(), exec(json!({}))]),
            (
                "exec",
                "Sudo on web-1 refused the password",
                &["make all"],
                "targetpw",
            ),
        ),
        (
            "a file",
            error(
                "RemoteFileError",
                "transfer",
                "cannot open /x: no such file",
                &json!({"path": "/x"}),
            ),
            json!([connected()]),
            (
                "transfer",
                "with a file of its own: cannot open /x: no such file",
                &[],
                "Do what the program says.",
            ),
        ),
    ];
    for (name, error, events, expected) in cases {
        check(name, &bundle(&error, &events), expected);
    }
}

#[test]
fn a_command_that_the_end_of_the_connection_cut_off_is_what_is_told_of() {
    let lost = json!({"reason": "network_error", "error_type": "SSHConnectionError", "message": "reset by peer",
                      "sent": "not_sent"});
    let exec = json!(["EXEC", 20.0, {"command": "make all", "exit_code": null, "error": "reset by peer", "sent": "ran",
                                     "error_type": "SSHConnectionError"}]);
    let end = json!(["DISCONNECT", 20.0, lost]);
    for events in [json!([connected(), exec, end]), json!([connected(), end, exec])] {
        let expected = (
            "exec",
            "was lost, while `make all` was running",
            &["may have finished, or still run"][..],
            "before you run it again",
        );
        check("cut off", &bundle(&lost, &events), expected);
    }
    let idle = bundle(&lost, &json!([connected(), end]));
    let found = explain(&idle);
    assert!(found.cause.contains("was lost: reset by peer"), "{found:?}");
    assert!(!found.how_far.contains("never sent"), "{found:?}");
}

#[test]
fn the_reason_of_the_end_is_enough_where_there_is_no_error() {
    let mut bundle = bundle(
        &json!({}),
        &json!([connected(), ["DISCONNECT", 9.0, {"reason": "keepalive_timeout"}]]),
    );
    bundle.disconnect_reason = DisconnectReason::KeepaliveTimeout;
    check(
        "keepalive",
        &bundle,
        (
            "",
            "went silent",
            &["The connection ended (reason: keepalive timeout)"],
            "probes",
        ),
    );
    assert!(
        explain(&bundle)
            .not_known
            .iter()
            .any(|text| text.contains("whether anything was running"))
    );
}

fn ran(command: &str, code: Value, signal: Option<&str>) -> Value {
    json!(["EXEC", 10.0, {"command": command, "exit_code": code, "signal": signal, "duration_ms": 5.0}])
}

#[test]
fn sudo_that_may_not_ask_is_given_a_password() {
    for (command, code, advised) in [
        ("sudo -n -- sh -c id", 1, true),
        ("sudo -n -- sh -c id", 2, false),
        ("false", 1, false),
    ] {
        let found = explain(&bundle(
            &json!({}),
            &json!([connected(), ran(command, json!(code), None)]),
        ));
        let steps = found.next_steps.join(" ");
        assert_eq!(steps.contains("--ask-password"), advised, "{command}: {steps}");
    }
}

#[test]
fn a_command_that_fails_is_not_the_connections_fault() {
    for (code, signal, cause, step) in [
        (json!(1), None, "ended with status 1", "standard error"),
        (json!(126), None, "could not be run", "noexec"),
        (json!(127), None, "was not found", "PATH"),
        (json!(137), None, "which shells give for the signal 9", "signal"),
        (
            Value::Null,
            Some("KILL"),
            "ended by the signal KILL",
            "out-of-memory",
        ),
        (
            Value::Null,
            Some("SEGV"),
            "ended by the signal SEGV",
            "coredumpctl",
        ),
    ] {
        let found = explain(&bundle(
            &json!({}),
            &json!([connected(), ran("make", code, signal)]),
        ));
        assert_eq!(
            (found.outcome, found.error_type.as_deref()),
            (Outcome::CommandFailed, None),
            "{cause}"
        );
        assert!(
            found.cause.contains(cause) && found.cause.contains("The connection worked"),
            "{}",
            found.cause
        );
        assert!(
            found.next_steps.iter().any(|found| found.contains(step)),
            "{:?}",
            found.next_steps
        );
        assert!(
            found
                .not_known
                .iter()
                .any(|text| text.contains("--record-output"))
        );
    }
    let mut recorded = bundle(&json!({}), &json!([connected(), ran("make", json!(2), None)]));
    recorded.commands.push(RecordedCommand {
        command: "make".into(),
        started_ms: 5.0,
        duration_ms: 5.0,
        stdin: RecordedInput::default(),
        stdout: RecordedOutput::default(),
        stderr: RecordedOutput {
            data: b"a\nno rule\x1b[2J\n\n".to_vec(),
            bytes: 14,
        },
        exit_code: Some(2),
        signal: None,
        error: None,
    });
    let found = explain(&recorded);
    assert!(
        found
            .facts
            .iter()
            .any(|fact| fact.text.ends_with("standard error was: no rule\\x1b[2J")),
        "{found:?}"
    );
    assert!(found.not_known.is_empty());
}

#[test]
fn where_nothing_went_wrong_nothing_has_to_be_done() {
    let mut good = bundle(
        &json!({}),
        &json!([connected(), ran("uptime", json!(0), None), ["DISCONNECT", 30.0, {"reason": "normal"}]]),
    );
    good.timing.phases = vec![PhaseTiming {
        phase: "tcp".into(),
        duration_ms: 3.0,
    }];
    let found = explain(&good);
    assert_eq!(
        (found.outcome, found.phase.as_deref()),
        (Outcome::Succeeded, None)
    );
    assert!(
        found.cause.starts_with("Nothing went wrong") && found.next_steps.is_empty(),
        "{found:?}"
    );
    assert!(
        found.steps.iter().all(|step| step.state == StepState::Passed),
        "{:?}",
        found.steps
    );

    let found = explain(&sample::bundle());
    assert_eq!(found.outcome, Outcome::Unknown);
    assert!(found.not_known.iter().any(|text| text.contains("no events")));
}

#[test]
fn who_only_asked_for_the_host_key_has_succeeded_and_not_logged_in() {
    let mut asked = bundle(
        &json!({}),
        &json!([
            ["CONNECT", 1.0, {"status": "initiating", "host": "web-1"}],
            ["CONNECT", 3.0, {"status": "host_key_seen", "host": "web-1"}],
        ]),
    );
    for phase in ["tcp", "banner", "kex"] {
        asked.timing.phases.push(PhaseTiming {
            phase: phase.into(),
            duration_ms: 2.0,
        });
    }
    let found = explain(&asked);
    assert_eq!(found.outcome, Outcome::Succeeded, "{found:?}");
    assert!(found.cause.contains("showed it"), "{found:?}");
    assert_eq!(
        found.how_far,
        "Tcp, banner and kex went well; a login was not tried."
    );
    assert!(
        found.next_steps.is_empty() && found.not_known.is_empty(),
        "{found:?}"
    );
}

#[test]
fn a_supervised_connection_tells_how_often_it_was_made_again() {
    let mut recovered = bundle(
        &json!({}),
        &json!([
            connected(),
            ["DISCONNECT", 5.0, {"reason": "network_error"}],
            ["STATE_CHANGE", 5.0, {"from_state": "connected", "to_state": "reconnecting", "reconnection_count": 0,
                                   "reason": "network_error", "error": "reset", "delay_ms": 100.0}],
            ["ERROR", 6.0, {"error_type": "ConnectionRefused", "message": "refused", "phase": "tcp"}],
            ["CONNECT", 7.0, {"status": "connected", "host": "web-1"}],
            ["STATE_CHANGE", 7.0, {"from_state": "connecting", "to_state": "connected", "reconnection_count": 1}],
        ]),
    );
    recovered.error_context = sample::map(&json!({"supervisor_state": "connected", "reconnection_count": 1}));
    let found = explain(&recovered);
    assert_eq!(found.outcome, Outcome::Recovered, "{found:?}");
    assert!(found.cause.contains("made again 1 time"), "{}", found.cause);
    assert!(
        found.facts.iter().any(|fact| fact.text.contains("network error")),
        "{found:?}"
    );

    let mut overcome = bundle(
        &json!({"error_type": "SSHConnectionError", "message": "reset by peer", "supervisor_state": "connected",
                "reconnection_count": 2, "connections": [
                    {"connected_ms": 1.0, "ended_ms": 2.0, "reason": "network_error"}, {"connected_ms": 3.0}]}),
        &json!([]),
    );
    overcome.disconnect_reason = DisconnectReason::Normal;
    let found = explain(&overcome);
    assert_eq!(found.outcome, Outcome::Recovered, "{found:?}");
    assert!(
        found
            .facts
            .iter()
            .any(|fact| fact.text == "Connection 1 ended: network error."),
        "{found:?}"
    );

    let exhausted = bundle(
        &json!({}),
        &json!([
            ["ERROR", 6.0, {"error_type": "ConnectionRefused", "message": "refused", "phase": "tcp", "host": "web-1", "port": 22}],
            ["STATE_CHANGE", 7.0, {"from_state": "connecting", "to_state": "failed", "reconnection_count": 0, "attempts": 4,
                                   "error": "max_retries_exceeded", "message": "gave up after 4 attempts: refused",
                                   "error_type": "ConnectionRefused"}],
        ]),
    );
    check(
        "exhausted",
        &exhausted,
        (
            "tcp",
            "Nothing accepts connections",
            &["gave up after 4 attempts"],
            "ss -ltn",
        ),
    );
}

#[test]
fn how_far_it_got_follows_from_the_phases() {
    let found = explain(&bundle(
        &error(
            "AuthFailed",
            "auth",
            "refused",
            &json!({"timings_ms": {"resolve": 1.0, "tcp": 2.0, "banner": 3.0, "kex": 4.0,
                                                                     "host_key": 0.5, "auth": 20.0}}),
        ),
        &json!([]),
    ));
    let states: Vec<_> = found
        .steps
        .iter()
        .map(|step| (step.phase.as_str(), step.state))
        .collect();
    assert_eq!(states.last(), Some(&("auth", StepState::Failed)));
    assert!(
        states
            .iter()
            .rev()
            .skip(1)
            .all(|(_, state)| *state == StepState::Passed),
        "{states:?}"
    );
    assert_eq!(
        found.how_far,
        "Resolve, tcp, banner, kex and host key went well; it failed in auth after 20 ms."
    );
    let found = explain(&bundle(
        &error("ConnectionRefused", "tcp", "refused", &json!({})),
        &json!([]),
    ));
    assert_eq!(
        found.how_far,
        "Resolve went well; it failed in tcp; banner, kex, host key and auth were not reached."
    );
}

#[test]
fn nothing_that_a_hostile_bundle_says_reaches_the_terminal_unescaped() {
    let evil = "\u{1b}[2J\u{202e}\r\n";
    for kind in [
        "ConnectionRefused",
        "ConnectionTimeout",
        "HostUnreachable",
        "SSHConnectionError",
        "AuthFailed",
        "HostKeyMismatch",
        "NoMutualKex",
        "KeyLoadError",
        "AgentError",
        "ChannelError",
        "CommandTimeout",
        "ProgressTimeout",
        "NoExitStatus",
        "SudoError",
        "RemoteFileError",
        evil,
    ] {
        for phase in ["tcp", "auth", "exec", evil] {
            let mut context = json!({"error_type": kind, "phase": phase});
            for name in [
                "message",
                "hint",
                "host",
                "username",
                "hop",
                "key_path",
                "original_error",
                "reason",
                "host_key_reason",
                "offered_fingerprint",
                "server_identification",
                "command",
                "proxy_command",
                "auth_banner",
                "path",
            ] {
                context[name] = evil.into();
            }
            for name in [
                "addresses",
                "attempts",
                "methods_offered",
                "not_tried",
                "algorithms_theirs",
            ] {
                context[name] = json!([evil, {"x": evil}]);
            }
            let events = json!([["AUTH", 1.0, {"method": evil, "key_path": evil, "error_message": evil}],
                                ["EXEC", 2.0, {"command": evil, "error": evil}]]);
            let mut bundle = bundle(&context, &events);
            bundle.timing.phases.push(PhaseTiming {
                phase: evil.into(),
                duration_ms: f64::NAN,
            });
            let found = explain(&bundle);
            let texts = found
                .facts
                .iter()
                .map(|fact| &fact.text)
                .chain(&found.next_steps)
                .chain(&found.not_known);
            let texts = texts
                .chain([&found.cause, &found.how_far])
                .chain(&found.error_type)
                .chain(&found.phase);
            for text in texts
                .chain(&found.hop)
                .chain(found.steps.iter().map(|step| &step.phase))
            {
                assert!(
                    !text.contains(|c: char| c.is_control() || c == '\u{202e}'),
                    "{kind} {phase}: {text:?}"
                );
            }
        }
    }
}

#[test]
fn a_huge_bundle_is_explained_at_once_and_in_few_words() {
    let failed = |number: usize| json!(["EXEC", number as f64, {"command": "make", "error": "lost", "error_type": "ChannelError"}]);
    let mut events: Vec<Value> = (1..20_000).map(failed).collect();
    events.push(json!(["EXEC", 200_000.0, {"command": "make", "exit_code": 0}]));
    events.push(connected());
    assert_eq!(
        explain(&bundle(&json!({}), &events.into())).outcome,
        Outcome::Succeeded
    );

    let attempts = (1..20_000).map(|number| {
        auth(
            number as f64,
            "private_key",
            &json!({"key_path": format!("/k{number}")}),
        )
    });
    let error = error("AuthFailed", "auth", "refused", &json!({}));
    let found = explain(&bundle(&error, &attempts.collect::<Vec<_>>().into()));
    assert_eq!(found.facts.len(), 100);
    assert!(
        found.not_known.iter().any(|text| text.starts_with("19899 facts")),
        "{:?}",
        found.not_known
    );
}
