//! A transcript of a session on a real sshd, played by asciinema.

use std::time::Duration;

use sternline::exec::{ExitStatus, Pty};
use sternline::{ExecRequest, Secret};
use sternline_tests::sshd::Sshd;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn asciinema_plays_a_transcript() {
    let server = Sshd::start();
    let connection = server.builder().connect().await.unwrap();
    let asks = "printf '\\033[1mName:\\033[0m '; read -r name; stty -echo; printf 'Password: '; read -r _; echo; \
                echo \"hello $name, naïve € 日本\"";
    let request = ExecRequest::new(asks).pty(Pty::default());
    let mut engine = connection.automate(request).await.unwrap();
    engine.expect("Name:", LIMIT).await.unwrap();
    engine.send_line("Ada").await.unwrap();
    engine.expect("Password: ", LIMIT).await.unwrap();
    engine.send_secret(&Secret::from("hunter2!")).await.unwrap();
    engine.expect_end(LIMIT).await.unwrap();
    let file = server.path("session.cast");
    engine.transcript().to_asciicast_file(&file, 80, 24).unwrap();
    // asciinema insists on a terminal.
    for how in ["cat", "play --speed 50"] {
        let config = server.path("asciinema");
        let play = format!(
            "LC_ALL=C.UTF-8 ASCIINEMA_CONFIG_HOME={} asciinema {how} {}",
            config.display(),
            file.display()
        );
        let request = ExecRequest::new(play).pty(Pty::default());
        let player = connection.automate(request).await.unwrap();
        let mut player = player.ignore_control_sequences(true);
        let status = player.expect_end(LIMIT).await.unwrap();
        let shown = player.buffer();
        assert_eq!(status, Some(ExitStatus::Code(0)), "{how}: {shown}");
        assert_eq!(shown, "Name: Ada\nPassword: \nhello Ada, naïve € 日本\n", "{how}");
    }
    connection.close().await;
}
