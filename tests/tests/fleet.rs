//! One command on several hosts: bounded, in order, and stoppable.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sternline::exec::OutputStream;
use sternline::fleet::{Fleet, FleetEvent};
use sternline::host_key::KnownHosts;
use sternline::{ErrorKind, ExecRequest};
use sternline_server::{Credential, ExitOutcome, Reply, Server, ServerBuilder};
use tokio::io::AsyncWriteExt;

fn server() -> ServerBuilder {
    Server::builder().user("ann", Credential::password("secret"))
}

/// A fleet that knows the server's key and password.
fn fleet(server: &Server, targets: impl IntoIterator<Item = String>) -> Fleet {
    let known_hosts = KnownHosts::from_bytes("known_hosts", server.known_hosts_line().as_bytes());
    Fleet::new(targets).configure(move |_, builder| {
        builder
            .username("ann")
            .password("secret")
            .known_hosts_parsed(known_hosts.clone(), None)
    })
}

fn address(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port())
}

#[tokio::test]
async fn outcomes_stand_in_the_order_of_the_hosts_and_one_failure_stops_no_other() {
    let server = server()
        .answer_with(|request| Reply::new(format!("{}\nend", request.command_text()), "oops\n", 3))
        .bind()
        .await
        .unwrap();
    let unreachable = "127.0.0.1:1".to_owned();
    let fleet = fleet(&server, [address(&server), unreachable.clone(), address(&server)]);
    let outcomes = fleet.exec("uptime").await.unwrap();
    let hosts: Vec<_> = outcomes.iter().map(|outcome| outcome.host.clone()).collect();
    assert_eq!(hosts, [address(&server), unreachable, address(&server)]);
    assert_eq!(
        *outcomes[1].result.as_ref().unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    for outcome in [&outcomes[0], &outcomes[2]] {
        let result = outcome.result.as_ref().unwrap();
        assert_eq!(outcome.stdout.text().await.unwrap(), "uptime\nend");
        assert_eq!(outcome.stderr.text().await.unwrap(), "oops\n");
        assert_eq!((result.exit_code(), outcome.ok()), (Some(3), false));
    }
}

#[tokio::test]
async fn no_more_hosts_are_worked_on_at_once_than_allowed() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
    let server = server()
        .on_exec(move |_request| {
            let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
            async move {
                peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // Long enough for others to begin, if they were allowed to.
                for _ in 0..200 {
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, Ordering::SeqCst);
                ExitOutcome::SUCCESS
            }
        })
        .bind()
        .await
        .unwrap();
    let outcomes = fleet(&server, (0..40).map(|_| address(&server)))
        .parallel(5)
        .exec("x")
        .await
        .unwrap();
    assert!(
        outcomes.len() == 40 && outcomes.iter().all(|outcome| outcome.ok()),
        "{outcomes:?}"
    );
    let most = most.load(Ordering::SeqCst);
    assert!((1..=5).contains(&most), "{most} at once");
}

#[tokio::test]
async fn events_hold_every_byte_as_whole_lines_and_one_end_per_host() {
    let server = server()
        .command(
            "count",
            Reply::stdout((1..=5000).map(|n| format!("{n}\n")).collect::<String>() + "rest"),
        )
        .bind()
        .await
        .unwrap();
    let mut run = fleet(&server, [address(&server), address(&server)])
        .start(|_| ExecRequest::from("count"))
        .unwrap();
    let mut output = [Vec::new(), Vec::new()];
    let mut done = Vec::new();
    while let Some(event) = run.next().await {
        match event {
            FleetEvent::Lines { index, stream, bytes } => {
                assert_eq!(stream, OutputStream::Stdout);
                assert!(bytes.ends_with(b"\n") || &bytes[..] == b"rest");
                output[index].extend_from_slice(&bytes);
            }
            FleetEvent::Done { index, outcome } => {
                assert!(outcome.ok());
                done.push(index);
            }
            _ => {}
        }
    }
    done.sort_unstable();
    assert_eq!(done, [0, 1]);
    let expected = (1..=5000).map(|n| format!("{n}\n")).collect::<String>() + "rest";
    assert!(output.iter().all(|bytes| bytes == expected.as_bytes()));
}

#[tokio::test]
async fn cancelling_ends_what_runs_and_begins_nothing_more() {
    let started = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&started);
    let server = server()
        .on_exec(move |mut request| {
            let count = Arc::clone(&count);
            async move {
                // What is to end a command is a command too.
                if request.command_text() != "wait" {
                    return ExitOutcome::Code(127);
                }
                count.fetch_add(1, Ordering::SeqCst);
                let _ = request.stdout.write_all(b"begun\n").await;
                std::future::pending().await
            }
        })
        .bind()
        .await
        .unwrap();
    let hosts = (0..10).map(|_| address(&server));
    let mut run = fleet(&server, hosts)
        .parallel(2)
        .start(|_| ExecRequest::from("wait"))
        .unwrap();
    let mut begun = 0;
    let mut ends = Vec::new();
    while let Some(event) = run.next().await {
        match event {
            FleetEvent::Lines { .. } => {
                begun += 1;
                if begun == 2 {
                    run.cancel();
                }
            }
            FleetEvent::Done { outcome, .. } => ends.push(outcome.result.unwrap_err().kind().clone()),
            _ => {}
        }
    }
    assert_eq!(ends, vec![ErrorKind::Cancelled; 10]);
    assert_eq!(
        started.load(Ordering::SeqCst),
        2,
        "the other hosts were left alone"
    );
}
