//! The embedded server with asyncssh and paramiko, which the same scenarios drive.
//!
//! Python is `python3`, or what `STERNLINE_TEST_PYTHON` names.

mod server_support;

use serde_json::json;
use server_support::python::{ASYNCSSH, Client, PARAMIKO, bytes, with};
use server_support::{Fixture, PASSWORD, binary};
use sternline_server::{Credential, KeyPair, Reply, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

async fn streams_and_exit_code_are_told_apart(client: Client) {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let command = "echo out; echo err >&2; exit 9";
    let answer = client
        .ask(with(f.request("exec"), json!({ "command": command })))
        .await;
    assert_eq!(bytes(&answer, "stdout"), b"out\n");
    assert_eq!(bytes(&answer, "stderr"), b"err\n");
    assert_eq!(answer["exit_code"], 9);
}

async fn eight_mebibytes_come_back_from_cat(client: Client) {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let data = binary(8 << 20);
    let input = data_encoding::BASE64.encode(&data);
    let answer = client
        .ask(with(
            f.request("exec"),
            json!({ "command": "cat", "input": input }),
        ))
        .await;
    assert_eq!(answer["exit_code"], 0);
    assert!(bytes(&answer, "stdout") == data);
}

async fn environment_variables_reach_the_command(client: Client) {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let more = json!({ "command": "printf %s \"$GREETING\"", "env": { "GREETING": "two words, $HOME" } });
    let answer = client.ask(with(f.request("exec"), more)).await;
    assert_eq!(bytes(&answer, "stdout"), b"two words, $HOME");
}

async fn a_command_gets_the_terminal_it_asks_for(client: Client) {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let more =
        json!({ "command": "tty >/dev/null && stty size && echo $TERM", "term": "vt220", "size": [132, 43] });
    let answer = client.ask(with(f.request("exec"), more)).await;
    assert_eq!(answer["exit_code"], 0, "{answer}");
    assert_eq!(
        String::from_utf8(bytes(&answer, "stdout")).unwrap(),
        "43 132\r\nvt220\r\n"
    );
}

async fn an_interactive_shell_is_resized_and_ends_with_its_code(client: Client) {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let steps = json!([
        { "send": "echo answer-$((6 * 7))", "expect": "answer-42" },
        { "send": "stty size", "expect": "40 100", "resize": [100, 40] },
        { "send": "exit 5" },
    ]);
    let answer = client
        .ask(with(f.request("shell"), json!({ "steps": steps })))
        .await;
    assert_eq!(answer["exit_code"], 5, "{answer}");
}

async fn a_password_logs_in_and_a_wrong_one_does_not(client: Client) {
    let f = Fixture::start(Server::builder().command("id", Reply::stdout("deploy\n"))).await;
    let request = with(
        f.request("exec"),
        json!({ "command": "id", "key": null, "password": PASSWORD }),
    );
    assert_eq!(bytes(&client.ask(request.clone()).await, "stdout"), b"deploy\n");
    let answer = client.ask(with(request, json!({ "password": "wrong" }))).await;
    let error = answer["error"]
        .as_str()
        .unwrap_or_else(|| panic!("logged in: {answer}"));
    assert!(
        error.contains("PermissionDenied") || error.contains("AuthenticationException"),
        "{error}"
    );
}

async fn keyboard_interactive_asks_all_its_questions(client: Client) {
    let questions = [("Code: ", true, "123456"), ("Pin: ", false, "0000")];
    let builder = Server::builder()
        .user("otp", Credential::keyboard_interactive(questions))
        .command("id", Reply::stdout("otp\n"));
    let f = Fixture::start(builder).await;
    let answers = json!({ "Code: ": "123456", "Pin: ": "0000" });
    let more = json!({ "command": "id", "user": "otp", "key": null, "answers": answers });
    let request = with(f.request("exec"), more);
    assert_eq!(bytes(&client.ask(request.clone()).await, "stdout"), b"otp\n");
    let wrong = json!({ "answers": { "Code: ": "123456", "Pin: ": "1111" } });
    assert!(client.ask(with(request, wrong)).await["error"].is_string());
}

async fn fifty_commands_at_once_get_their_own_answers(client: Client) {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let more = json!({ "command": "echo", "connections": 5, "count": 10 });
    let answer = client.ask(with(f.request("many"), more)).await;
    let outputs = answer["stdout"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let got: Vec<Vec<u8>> = outputs
        .iter()
        .map(|output| {
            data_encoding::BASE64
                .decode(output.as_str().unwrap().as_bytes())
                .unwrap()
        })
        .collect();
    let expected: Vec<Vec<u8>> = (0..5)
        .flat_map(|c| (0..10).map(move |n| format!("{c}-{n}\n").into_bytes()))
        .collect();
    assert_eq!(got, expected);
}

async fn sessions_beyond_the_limit_are_refused_until_one_ends(client: Client) {
    let f = Fixture::start(Server::builder().real_shell().max_sessions(3)).await;
    let answer = client
        .ask(with(
            f.request("sessions"),
            json!({ "command": "cat", "count": 5 }),
        ))
        .await;
    assert_eq!(answer["opened"], 3, "{answer}");
    assert_eq!(answer["refused"], 2, "{answer}");
}

async fn a_server_without_users_refuses_everybody(client: Client) {
    let server = Server::builder().real_shell().bind().await.unwrap();
    let f = Fixture::of(server, &KeyPair::generate_ed25519().unwrap());
    let by_key = with(f.request("exec"), json!({ "command": "id" }));
    assert!(client.ask(by_key.clone()).await["error"].is_string());
    let by_password = with(by_key, json!({ "key": null, "password": "" }));
    assert!(client.ask(by_password).await["error"].is_string());
    assert!(f.server.log().is_empty());
}

async fn forwards_work_in_both_directions_and_refusals_have_their_code(client: Client) {
    let f = Fixture::start(Server::builder().allow_forwarding()).await;
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = json!({
        "open": target.local_addr().unwrap().port(),
        "closed": closed.local_addr().unwrap().port(),
        "input": data_encoding::BASE64.encode(&binary(1 << 20)),
    });
    drop(closed);
    let give_back = async {
        let (mut stream, _) = target.accept().await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        stream.write_all(&got).await.unwrap();
    };
    let request = with(f.request("forwards"), ports);
    let (answer, ()) = tokio::join!(client.ask(request), give_back);
    assert!(bytes(&answer, "direct") == binary(1 << 20));
    assert_eq!(answer["refused"], 2, "SSH_OPEN_CONNECT_FAILED");
    assert_eq!(answer["remote"], "HELLO");
    assert_eq!(answer["gone"], true, "the port is let go when it is cancelled");
}

/// One test per scenario and client.
macro_rules! with_both_clients {
    ($($scenario:ident)*) => {
        mod with_asyncssh {
            $(#[tokio::test] async fn $scenario() { super::$scenario(super::ASYNCSSH).await })*
        }
        mod with_paramiko {
            $(#[tokio::test] async fn $scenario() { super::$scenario(super::PARAMIKO).await })*
        }
    };
}

with_both_clients! {
    streams_and_exit_code_are_told_apart
    eight_mebibytes_come_back_from_cat
    environment_variables_reach_the_command
    a_command_gets_the_terminal_it_asks_for
    an_interactive_shell_is_resized_and_ends_with_its_code
    a_password_logs_in_and_a_wrong_one_does_not
    keyboard_interactive_asks_all_its_questions
    fifty_commands_at_once_get_their_own_answers
    sessions_beyond_the_limit_are_refused_until_one_ends
    a_server_without_users_refuses_everybody
    forwards_work_in_both_directions_and_refusals_have_their_code
}

// paramiko neither sends signals nor shows how a signal ended a command. For a second method of logging in it asks for the
// authentication service again, which the protocol crate leaves unanswered.

#[tokio::test]
async fn asyncssh_sees_which_signal_ended_a_command() {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let answer = ASYNCSSH
        .ask(with(f.request("exec"), json!({ "command": "kill -SEGV $$" })))
        .await;
    assert_eq!(answer["signal"], "SEGV", "{answer}");
}

#[tokio::test]
async fn a_signal_from_asyncssh_reaches_the_whole_process_group() {
    let f = Fixture::start(Server::builder().real_shell()).await;
    // The trap interrupts the first wait; the second one ends only because sleep got the signal as well. It is the child
    // that says "ready": between fork and exec it still has the trap of its parent, and would lose the signal.
    let command = "trap 'echo caught' TERM; sh -c 'echo ready; exec sleep 600' & wait; wait; exit 3";
    let more = json!({ "command": command, "signal": "TERM" });
    let answer = ASYNCSSH.ask(with(f.request("signal"), more)).await;
    assert_eq!(answer["exit_code"], 3, "{answer}");
    assert_eq!(bytes(&answer, "stdout"), b"caught\n");
}

#[tokio::test]
async fn asyncssh_needs_both_of_two_factors() {
    let pair = KeyPair::generate_ed25519().unwrap();
    let server = Server::builder()
        .user("deploy", Credential::public_key(&pair.public_line()).unwrap())
        .user(
            "deploy",
            Credential::keyboard_interactive([("Code: ", true, "123456")]),
        )
        .require_all("deploy")
        .command("id", Reply::stdout("in\n"))
        .bind()
        .await
        .unwrap();
    let f = Fixture::of(server, &pair);
    let both = with(
        f.request("exec"),
        json!({ "command": "id", "answers": { "Code: ": "123456" } }),
    );
    assert_eq!(bytes(&ASYNCSSH.ask(both.clone()).await, "stdout"), b"in\n");
    let only_key = with(both.clone(), json!({ "answers": null }));
    assert!(ASYNCSSH.ask(only_key).await["error"].is_string());
    let only_code = with(both, json!({ "key": null }));
    assert!(ASYNCSSH.ask(only_code).await["error"].is_string());
    assert_eq!(f.server.log().len(), 1);
}
