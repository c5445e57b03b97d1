//! Programs that ask questions, driven on a real sshd.

use std::time::Duration;

use sternline::exec::{ExitStatus, Pty};
use sternline::expect::{ExpectPattern, ExpectRespond, Key};
use sternline::{AutomationEngine, Command, Connection, ExecRequest, Secret};
use sternline_tests::left_out::left_out;
use sternline_tests::sshd::{Settings, Sshd};
use sternline_tests::throwaway::Throwaway;
use sternline_tests::users;

/// Far away: reached only by a test that fails.
const LIMIT: Duration = Duration::from_secs(60);

const OLD: &str = "Tr0ub4dor&3 oldest";
const NEW: &str = "c0rrect-h0rse newest";

/// A server into which the account logs in, or `None` if nobody here may make accounts.
fn server_for(account: impl FnOnce() -> Throwaway, what: &str) -> Option<(Throwaway, Sshd)> {
    if !users::is_root() {
        left_out(
            what,
            "as root: cargo test -p sternline-tests --test expect_programs",
        );
        return None;
    }
    let account = account();
    let sshd = Settings::default().user(account.user()).start();
    Some((account, sshd))
}

async fn in_a_terminal(connection: &Connection, command: impl Into<Command>) -> AutomationEngine {
    let request = ExecRequest::new(command.into()).pty(Pty::default());
    connection
        .automate(request)
        .await
        .unwrap()
        .ignore_control_sequences(true)
}

fn says_nothing_of(engine: &AutomationEngine, secrets: &[&str]) {
    let written = serde_json::Value::Object(engine.transcript().danger_to_dict()).to_string();
    for secret in secrets {
        assert!(!written.contains(secret), "{written}");
    }
    assert!(written.contains("[REDACTED]"), "{written}");
}

#[tokio::test]
async fn passwd_changes_a_password_that_then_logs_in() {
    let Some((account, sshd)) = server_for(|| Throwaway::new(OLD), "passwd by expect") else {
        return;
    };
    let connection = sshd.builder().connect().await.unwrap();
    let mut passwd = in_a_terminal(&connection, "passwd").await;
    let sequence = [
        ExpectRespond::new("urrent password: ", Secret::from(OLD)).unwrap(),
        ExpectRespond::new("ew password: ", Secret::from(NEW)).unwrap(),
        ExpectRespond::new("ew password: ", Secret::from(NEW)).unwrap(),
    ];
    let results = passwd.run_sequence(&sequence).await.unwrap();
    assert!(results.len() == 3 && results.iter().all(|result| result.matched));
    let end = passwd.expect("updated successfully", LIMIT).await.unwrap();
    assert!(end.matched, "{end:?}");
    assert_eq!(passwd.expect_end(LIMIT).await.unwrap(), Some(ExitStatus::Code(0)));
    says_nothing_of(&passwd, &[OLD, NEW]);

    // It did change: su takes the new one.
    let mut su = in_a_terminal(
        &connection,
        format!("su {} -c 'echo I am $(id -un)'", account.name()).as_str(),
    )
    .await;
    su.expect_respond("assword: ", Secret::from(NEW), LIMIT, Duration::ZERO)
        .await
        .unwrap();
    su.expect(&format!("I am {}", account.name())[..], LIMIT)
        .await
        .unwrap();
    assert_eq!(su.expect_end(LIMIT).await.unwrap(), Some(ExitStatus::Code(0)));
    connection.close().await;
}

#[tokio::test]
async fn su_takes_the_right_password_and_refuses_another() {
    let Some((_account, sshd)) = server_for(|| Throwaway::new(OLD), "su by expect") else {
        return;
    };
    let other = Throwaway::new(NEW);
    let connection = sshd.builder().connect().await.unwrap();
    for (password, right) in [(NEW, true), ("wrong password", false)] {
        let command = format!("su {} -c 'echo I am $(id -un)'", other.name());
        let mut su = in_a_terminal(&connection, command.as_str()).await;
        su.expect("assword: ", LIMIT).await.unwrap();
        su.send_secret(&Secret::from(password)).await.unwrap();
        let welcome = format!("I am {}", other.name());
        let outcome = su.expect_any([&welcome[..], "failure"], LIMIT).await.unwrap();
        assert_eq!(outcome.match_text == welcome, right, "{outcome:?}");
        let status = su.expect_end(LIMIT).await.unwrap();
        assert_eq!(status == Some(ExitStatus::Code(0)), right);
        says_nothing_of(&su, &[password]);
    }
    connection.close().await;
}

#[tokio::test]
async fn sudo_asks_again_after_a_wrong_password() {
    let Some((account, sshd)) = server_for(
        || Throwaway::new(OLD).may_use_sudo(),
        "sudo with a password by expect",
    ) else {
        return;
    };
    let connection = sshd.builder().connect().await.unwrap();
    let mut sudo = in_a_terminal(&connection, "sudo -k id -un; echo status=$?").await;
    let prompt = ExpectPattern::regex(r"\[sudo\] password for ([^:]+): ").unwrap();
    let asked = sudo.expect(&prompt, LIMIT).await.unwrap();
    assert_eq!(asked.group(1), Some(account.name()));
    sudo.send_secret(&Secret::from("wrong password")).await.unwrap();
    let again = sudo.expect(&prompt, LIMIT).await.unwrap();
    assert!(again.before().contains("try again"), "{again:?}");
    sudo.send_secret(&Secret::from(OLD)).await.unwrap();
    let done = sudo
        .expect(ExpectPattern::regex(r"(\w+)\s+status=(\d+)"), LIMIT)
        .await
        .unwrap();
    assert_eq!((done.group(1), done.group(2)), (Some("root"), Some("0")));
    says_nothing_of(&sudo, &[OLD, "wrong password"]);
    connection.close().await;
}

#[tokio::test]
async fn python_answers_in_a_terminal_and_without_one() {
    let sshd = Sshd::start();
    let connection = sshd.builder().connect().await.unwrap();
    let command = "PYTHON_BASIC_REPL=1 python3 -q -i";
    let mut terminal = in_a_terminal(&connection, command).await;
    let mut plain = connection.automate(command).await.unwrap();
    for python in [&mut terminal, &mut plain] {
        python.expect(">>> ", LIMIT).await.unwrap();
        python.send_line("print(6 * 7, 'is it')").await.unwrap();
        let answer = python
            .expect(ExpectPattern::regex(r"(?Rm)^(\d+) is it$"), LIMIT)
            .await
            .unwrap();
        assert_eq!(answer.group(1), Some("42"));
        python.expect(">>> ", LIMIT).await.unwrap();
        python.send_line("1 / 0").await.unwrap();
        python.expect("ZeroDivisionError", LIMIT).await.unwrap();
        python.expect(">>> ", LIMIT).await.unwrap();
        python.send_eof().await.unwrap();
        assert_eq!(python.expect_end(LIMIT).await.unwrap(), Some(ExitStatus::Code(0)));
    }
    connection.close().await;
}

#[tokio::test]
async fn python_is_interrupted_by_control_c() {
    let sshd = Sshd::start();
    let connection = sshd.builder().connect().await.unwrap();
    let mut python = in_a_terminal(&connection, "PYTHON_BASIC_REPL=1 python3 -q -i").await;
    python.expect(">>> ", LIMIT).await.unwrap();
    python
        // Short sleeps: a signal between Python's last look at its signals and a system call does not wake that call.
        .send_line(
            "import time; print('now', 'sleeping', flush=True); [time.sleep(0.05) for _ in range(12000)]",
        )
        .await
        .unwrap();
    python.expect("now sleeping", LIMIT).await.unwrap();
    python.send_control('c').await.unwrap();
    python.expect("KeyboardInterrupt", LIMIT).await.unwrap();
    python.expect(">>> ", LIMIT).await.unwrap();
    python.send_line("raise SystemExit(7)").await.unwrap();
    assert_eq!(python.expect_end(LIMIT).await.unwrap(), Some(ExitStatus::Code(7)));
    connection.close().await;
}

#[tokio::test]
async fn sqlite_runs_statements_one_by_one() {
    let sshd = Sshd::start();
    let connection = sshd.builder().connect().await.unwrap();
    let mut sqlite = in_a_terminal(&connection, "sqlite3 :memory:").await;
    for statement in [
        "CREATE TABLE host (name TEXT, port INTEGER);",
        "INSERT INTO host VALUES ('web', 2022), ('db', 2200);",
    ] {
        sqlite.expect("sqlite> ", LIMIT).await.unwrap();
        sqlite.send_line(statement).await.unwrap();
    }
    sqlite.expect("sqlite> ", LIMIT).await.unwrap();
    sqlite
        .send_line("SELECT name || ':' || sum(port) FROM host WHERE port > 2100;")
        .await
        .unwrap();
    let row = sqlite
        .expect(ExpectPattern::regex(r"(?m)^db:(\d+)$"), LIMIT)
        .await
        .unwrap();
    assert_eq!(row.group(1), Some("2200"));
    sqlite.expect("sqlite> ", LIMIT).await.unwrap();
    sqlite.send_line(".quit").await.unwrap();
    assert_eq!(sqlite.expect_end(LIMIT).await.unwrap(), Some(ExitStatus::Code(0)));
    connection.close().await;
}

/// Goes down a menu, and reads the choice.
async fn choose(connection: &Connection, command: &str) {
    let mut menu = in_a_terminal(connection, command).await;
    menu.expect("Cherry", LIMIT).await.unwrap();
    menu.send_key(Key::Down).await.unwrap();
    menu.send_key(Key::Down).await.unwrap();
    menu.send_key(Key::Up).await.unwrap();
    menu.send_key(Key::Enter).await.unwrap();
    let chosen = menu
        .expect(ExpectPattern::regex(r"chose=(\w*) status=(\d+)"), LIMIT)
        .await
        .unwrap();
    assert_eq!(
        (chosen.group(1), chosen.group(2)),
        (Some("b"), Some("0")),
        "{command}"
    );
    assert_eq!(menu.expect_end(LIMIT).await.unwrap(), Some(ExitStatus::Code(0)));
}

#[tokio::test]
async fn a_menu_drawn_by_whiptail_is_chosen_from() {
    let sshd = Sshd::start();
    let connection = sshd.builder().connect().await.unwrap();
    choose(
        &connection,
        "choice=$(whiptail --title Fruit --menu Pick 15 40 4 a Apple b Banana c Cherry 3>&1 1>&2 2>&3); \
         echo chose=$choice status=$?",
    )
    .await;
    connection.close().await;
}

#[tokio::test]
async fn a_menu_drawn_by_dialog_is_chosen_from() {
    let sshd = Sshd::start();
    let connection = sshd.builder().connect().await.unwrap();
    choose(
        &connection,
        "choice=$(dialog --stdout --menu Pick 15 40 4 a Apple b Banana c Cherry); echo chose=$choice status=$?",
    )
    .await;
    connection.close().await;
}

/// What the mysql client shows of itself, as far as the seed's example needs it. The password is not echoed.
const MYSQL: &str = r#"
stty -echo
printf 'Enter password: '; read -r password; stty echo; echo
[ "$password" = "s3cret root" ] || { echo "ERROR 1045 (28000): Access denied for user 'root'@'localhost'"; exit 1; }
echo 'Welcome to the MySQL monitor.  Commands end with ; or \g.'
while printf 'mysql> '; read -r query; do
    case $query in
        'SELECT VERSION();') printf '+-----------+\n| VERSION() |\n+-----------+\n| 8.0.99    |\n+-----------+\n' ;;
        exit) echo Bye; exit 0 ;;
        *) echo 'ERROR 1064 (42000): You have an error in your SQL syntax' ;;
    esac
done
"#;

#[tokio::test]
async fn the_example_with_mysql_works_as_the_seed_has_it() {
    let sshd = Sshd::start();
    let script = sshd.path("mysql");
    std::fs::write(&script, MYSQL).unwrap();
    let connection = sshd.builder().connect().await.unwrap();
    let command = format!("bash {}", script.display());
    let request = ExecRequest::new(command.as_str())
        .pty(Pty::default())
        .stdin(sternline::exec::Stdin::Piped);
    let stream = connection.stream_exec(request).await.unwrap();
    let mut engine = AutomationEngine::new(stream);

    let result = engine
        .expect("Enter password: ", Duration::from_secs(10))
        .await
        .unwrap();
    assert!(result.matched);
    engine.send_secret(&Secret::from("s3cret root")).await.unwrap();
    let prompt = ExpectPattern::regex(r"mysql>").unwrap();
    engine.expect(&prompt, LIMIT).await.unwrap();
    engine.send_line("SELECT VERSION();").await.unwrap();
    let answer = engine.expect(&prompt, LIMIT).await.unwrap();
    assert!(answer.buffer.contains("| 8.0.99"), "{answer:?}");
    engine.send_line("exit").await.unwrap();
    assert_eq!(engine.expect_end(LIMIT).await.unwrap(), Some(ExitStatus::Code(0)));

    let file = sshd.path("session.jsonl");
    engine.transcript().to_file(&file).unwrap();
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written.contains("SELECT VERSION();") && !written.contains("s3cret"),
        "{written}"
    );
    let read = sternline::Transcript::from_jsonl(&written).unwrap();
    assert_eq!(read.len(), engine.transcript().len());
    connection.close().await;
}
