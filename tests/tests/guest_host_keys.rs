//! Which host key a guest may have: the one of its first login, or one that the caller names.

mod guest_support;

use guest_support::{client, guest};
use sternline::ErrorKind;
use sternline::guest::GuestClient;
use sternline_tests::processes::eventually;
use sternline_tests::sshd::{Settings, Sshd, keygen};

/// Gives the server another host key. It comes back on the same port, and the client knows that its connection is gone.
async fn made_anew(server: &mut Sshd, guest: &GuestClient, kind: &str) {
    server.stop();
    eventually("the loss is noticed", || !guest.connected()).await;
    let path = server.path(&format!("host_{kind}"));
    std::fs::remove_file(&path).unwrap();
    keygen(&path, kind);
    server.start_again();
}

fn fingerprint(server: &Sshd, kind: &str) -> String {
    let output = std::process::Command::new("ssh-keygen")
        .arg("-lf")
        .arg(server.path(&format!("host_{kind}.pub")))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn the_key_of_the_first_login_is_kept_in_memory_and_another_one_is_refused() {
    let mut server = Sshd::start();
    let guest = guest(&server);
    let before = fingerprint(&server, "ed25519");
    guest.run("true").await.unwrap();
    guest.close().await;
    guest.run("true").await.unwrap();
    made_anew(&mut server, &guest, "ed25519").await;
    let after = fingerprint(&server, "ed25519");
    let error = guest.run("true").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::HostKeyMismatch);
    let text = error.to_string();
    assert!(text.contains(&before) && text.contains(&after), "{text}");
    assert!(text.contains("has changed"), "{text}");
    assert!(error.hint().contains("forget_host_key"), "{}", error.hint());
    // Waiting does not mend it either.
    let begun = std::time::Instant::now();
    let error = guest.wait_ready().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::HostKeyMismatch);
    assert!(begun.elapsed().as_secs() < 30, "at once, and not after 60 s");
    // No credential was offered to it.
    assert!(!server.log().contains("authenticating"), "{}", server.log());
    guest.forget_host_key().await;
    guest.run("true").await.unwrap();
}

#[tokio::test]
async fn what_a_server_shows_before_it_lets_us_in_is_not_held_against_it() {
    // As a guest that makes itself new host keys at its first boot: the key of a refused login is not kept.
    let mut server = Sshd::start();
    let guest = guest(&server);
    let keys = std::fs::read(server.path("authorized_keys")).unwrap();
    std::fs::write(server.path("authorized_keys"), "").unwrap();
    assert_eq!(
        guest.run("true").await.unwrap_err().kind(),
        &ErrorKind::AuthFailed
    );
    made_anew(&mut server, &guest, "ed25519").await;
    std::fs::write(server.path("authorized_keys"), keys).unwrap();
    guest.run("true").await.unwrap();
}

#[tokio::test]
async fn a_file_keeps_the_key_for_other_clients_and_names_both_when_it_changes() {
    let mut server = Sshd::start();
    let file = server.path("guest_known_hosts");
    let known = || client(&server).known_hosts(&file).build().unwrap();
    known().run("true").await.unwrap();
    let content = std::fs::read_to_string(&file).unwrap();
    assert_eq!(content.lines().count(), 1, "{content}");
    assert!(content.starts_with(&format!("[127.0.0.1]:{} ssh-ed25519 ", server.port())));
    known().run("true").await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
    let before = fingerprint(&server, "ed25519");
    let later = known();
    made_anew(&mut server, &later, "ed25519").await;
    let error = later.run("true").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::HostKeyMismatch);
    let text = error.to_string();
    assert!(text.contains(&before), "{text}");
    assert!(text.contains(&fingerprint(&server, "ed25519")), "{text}");
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        content,
        "nothing is overwritten"
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_an_error_and_not_passed_over() {
    let server = Sshd::start();
    // A directory stands in its place.
    let guest = client(&server).known_hosts(server.path("home")).build().unwrap();
    let error = guest.run("true").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Local, "{error}");
    assert!(!guest.connected());
}

#[tokio::test]
async fn a_key_that_the_caller_names_is_taken_and_no_other_is() {
    let server = Settings::default()
        .host_key("ed25519")
        .host_key("ecdsa")
        .host_key("rsa")
        .start();
    let public = |kind: &str| std::fs::read_to_string(server.path(&format!("host_{kind}.pub"))).unwrap();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        for given in [
            public(kind),
            fingerprint(&server, kind),
            server.known_hosts_line(kind),
        ] {
            let guest = client(&server).host_key(given.clone()).build().unwrap();
            let result = guest.run("echo in").await;
            assert_eq!(result.unwrap().output(), "in", "{kind}: {given}");
            // What was found by a fingerprint holds for the next connection as well.
            guest.close().await;
            guest.run("true").await.unwrap();
        }
    }
    let other = server.path("other");
    keygen(&other, "ed25519");
    let other = std::fs::read_to_string(server.path("other.pub")).unwrap();
    let wrong = sternline_proto::key::PublicKey::from_text("ssh-ed25519", other.split(' ').nth(1).unwrap())
        .unwrap()
        .fingerprint();
    for given in [other, wrong.clone()] {
        let guest = client(&server).host_key(given).build().unwrap();
        let error = guest.run("true").await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::HostKeyMismatch, "{error}");
        let text = error.to_string();
        assert!(text.contains(&wrong), "{text}");
        assert!(text.contains(&fingerprint(&server, "ed25519")), "{text}");
        assert!(!guest.connected());
    }
    // One that is right beside one that is wrong.
    let both = client(&server)
        .host_key(wrong)
        .host_key(fingerprint(&server, "ecdsa"));
    both.build().unwrap().run("true").await.unwrap();
}

#[tokio::test]
async fn only_by_its_dangerous_name_is_the_check_switched_off() {
    let mut server = Sshd::start();
    let guest = client(&server).danger_accept_any_host_key().build().unwrap();
    guest.run("true").await.unwrap();
    made_anew(&mut server, &guest, "ed25519").await;
    guest.run("true").await.unwrap();
    let error = GuestClient::builder("guest")
        .host_key("no key")
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid);
}
