//! The modules for data, time, concurrency, retries, logs, tables, inventories and variables, as tests and scripts use them.

#![allow(clippy::unwrap_used, reason = "what a test does not expect ends it")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sternline::config::Env;
use sternline_script::testing::TestPlan;
use sternline_script::{ErrorKind, Layer, Output, SessionBuilder, Source, Stop, Variables, Why, run};
use support::{assert_passed, directory, session, tests_of};

#[tokio::test(flavor = "multi_thread")]
async fn modules_do_in_tests_what_they_do_in_scripts() {
    let directory = directory(&[
        ("modules_test.star", include_str!("data/modules_test.star")),
        (
            "hosts.yaml",
            "- {name: web-1, address: 10.0.0.1}\n- {name: web-2, address: 10.0.0.2}\n",
        ),
        (
            "lib.star",
            "def nap(x):\n    time.sleep(\"50ms\")\n    return x\n",
        ),
    ]);
    assert_passed(&tests_of(directory.path(), TestPlan::default()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_work_on_hosts_overlap() {
    let directory = directory(&[("concur_ssh_test.star", include_str!("data/concur_ssh_test.star"))]);
    assert_passed(&tests_of(directory.path(), TestPlan::default()).await);
}

#[tokio::test]
async fn variables_come_from_all_layers() {
    let directory = directory(&[]);
    let mut env = Env::default();
    env.vars.insert("STARKITE_VAR_REGION".to_owned(), "eu".to_owned());
    env.vars.insert("STARKITE_VAR_USER".to_owned(), "env".to_owned());
    let variables = Variables::from_layers(
        &env.vars,
        [
            Layer::from_settings(
                "config.yaml",
                "user: settings\nproviders: {ssh: {}}\nreplicas: 3\n",
            )
            .unwrap(),
            Layer::from_file("values.yaml", "replicas: 5\ntags: [a]\n").unwrap(),
            Layer::from_argument("tags=[\"b\", \"c\"]").unwrap(),
        ],
    );
    let (builder, kept) = session(directory.path());
    let source = Source {
        name: "s.star".to_owned(),
        path: None,
        text: "print(var_str(\"region\"), var_str(\"user\"), var_int(\"replicas\"), var_list(\"tags\"), var_names())".to_owned(),
    };
    let session = builder
        .variables(variables)
        .build(tokio::runtime::Handle::current());
    run(session, source).await.unwrap();
    assert_eq!(
        kept.text(),
        "eu settings 5 [\"b\", \"c\"] [\"region\", \"replicas\", \"tags\", \"user\"]\n"
    );
}

/// Ends the script as soon as it says that it waits.
struct Impatient(Stop);

impl Output for Impatient {
    fn out(&self, _: &str) {
        self.0.stop(Why::Interrupted);
    }

    fn message(&self, _: &str) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_waits_ends_when_the_script_has_to() {
    for text in [
        "print(\"waits\")\ntime.sleep(\"1h\")",
        "print(\"waits\")\ntime.try_sleep(\"1h\")\nfor _ in range(100000000):\n    pass",
        "retry.do(lambda: print(\"waits\") or False, delay = \"1h\")",
        "retry.try_with_backoff(lambda: print(\"waits\") or fail(\"no\"), delay = \"1h\", on_retry = lambda n, e: None)",
        "def nap(x):\n    if x == 3:\n        print(\"waits\")\n    time.sleep(\"1h\")\nconcur.map(range(5), nap, on_error = \"continue\")",
        "concur.try_exec(lambda: time.sleep(\"1h\"), lambda: print(\"waits\"), lambda: time.sleep(\"1h\"))",
    ] {
        let stop = Stop::default();
        let output = Arc::new(Impatient(stop.clone()));
        let session = SessionBuilder::new(Env::default(), "/", output).stop(stop);
        let source = Source {
            name: "s.star".to_owned(),
            path: None,
            text: text.to_owned(),
        };
        let began = Instant::now();
        let error = run(session.build(tokio::runtime::Handle::current()), source)
            .await
            .unwrap_err();
        assert_eq!(
            error.kind(),
            &ErrorKind::Stopped(Why::Interrupted),
            "{text}: {error}"
        );
        assert!(began.elapsed() < Duration::from_secs(30), "{text}");
    }
}
