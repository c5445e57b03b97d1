//! Whole logins against a server that does as each test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::authenticate::AuthOutcome;
use super::*;
use crate::config::Env;
use crate::deadline::{Deadlines, Phase};
use crate::error::{Error, ErrorKind, KeyLoadReason, Result};
use crate::event::{Emitter, Event, EventCollector, EventType};
use crate::prompt::{Answer, HostKeyQuestion, Prompter, SecretQuestion, SecretSubject};
use crate::secret::Secret;
use crate::transport::handshake::Login;
use crate::transport::test_server::{Asked, Says, connect};

const PASSWORD: &str = "hunter2-the-password";
const ALL: &[&str] = &["publickey", "password", "keyboard-interactive"];

/// A person who gives these answers in turn, each after `delay`, and then none; keeps what was asked.
#[derive(Default)]
struct Person {
    answers: Mutex<Vec<&'static str>>,
    asked: Mutex<Vec<SecretQuestion>>,
    delay: Duration,
}

impl Person {
    fn who_says(answers: &[&'static str]) -> Self {
        let answers = answers.iter().rev().copied().collect();
        Self {
            answers: Mutex::new(answers),
            ..Self::default()
        }
    }

    fn asked(&self) -> Vec<SecretQuestion> {
        self.asked.lock().unwrap().clone()
    }
}

impl Prompter for Person {
    fn trust_host_key<'a>(&'a self, _: &'a HostKeyQuestion) -> Answer<'a, bool> {
        Box::pin(async { false })
    }

    fn secret<'a>(&'a self, question: &'a SecretQuestion) -> Answer<'a, Option<Secret>> {
        Box::pin(async {
            self.asked.lock().unwrap().push(question.clone());
            tokio::time::sleep(self.delay).await;
            self.answers.lock().unwrap().pop().map(Secret::new)
        })
    }
}

/// What a login came to.
struct Done {
    result: Result<AuthOutcome>,
    events: Vec<Event>,
    asked: Vec<Asked>,
}

impl Done {
    fn error(&self) -> &Error {
        self.result.as_ref().unwrap_err()
    }

    /// The AUTH events, as "status method".
    fn events(&self) -> Vec<String> {
        let text = |event: &Event, name: &str| event.data[name].as_str().unwrap().to_owned();
        self.events
            .iter()
            .filter(|event| event.event_type == EventType::Auth)
            .map(|event| format!("{} {}", text(event, "status"), text(event, "method")))
            .collect()
    }
}

async fn log_in(
    auth: &[AuthConfig],
    env: &Env,
    person: Option<&Person>,
    script: impl FnMut(&Asked) -> Says + Send + 'static,
) -> Done {
    let (login, log) = connect(script).await;
    log_in_on(login, log, auth, env, person, false).await
}

async fn log_in_on(
    mut login: Login,
    log: Arc<Mutex<Vec<Asked>>>,
    auth: &[AuthConfig],
    env: &Env,
    person: Option<&Person>,
    probe: bool,
) -> Done {
    let collector = EventCollector::new();
    let mut emitter = Emitter::default();
    emitter.add_collector(collector.clone());
    let credentials = Credentials {
        auth,
        identity_files: &[],
        identities_only: false,
        fallback_password: None,
        prompter: person.is_some(),
        max_refusals: DEFAULT_MAX_REFUSALS,
        certificate_files: &[],
        methods: None,
        questions: 3,
    };
    let prepared = prepare(credentials, env).await;
    let request = AuthRequest {
        host: "db-1",
        username: "alice",
        prompter: person.map(|person| person as &dyn Prompter),
        emitter: &emitter,
        probe,
    };
    let result = authenticate(&mut login, &request, prepared).await;
    let asked = log.lock().unwrap().clone();
    Done {
        result,
        events: collector.events(),
        asked,
    }
}

fn fingerprint(key: &PrivateKey) -> String {
    key.public().fingerprint()
}

#[tokio::test]
async fn a_key_is_offered_and_then_signs_and_the_event_names_it() {
    let key = PrivateKey::generate().unwrap();
    let done = log_in(
        &[AuthConfig::key_data(key.clone())],
        &Env::default(),
        None,
        |_| Says::Yes,
    )
    .await;
    let outcome = done.result.as_ref().unwrap();
    assert_eq!(
        (outcome.method, outcome.needed_person),
        (Some(AuthMethod::PrivateKey), false)
    );
    let name = fingerprint(&key);
    assert_eq!(
        done.asked,
        [
            Asked::Offered(name.clone()),
            Asked::Signed(name.clone(), "ssh-ed25519".into())
        ]
    );
    let data = Value::Object(done.events[0].data.clone());
    assert_eq!(data["status"], "success");
    assert_eq!(data["username"], "alice");
    assert_eq!(data["fingerprint"], name);
    assert!(data["duration_ms"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn nothing_is_asked_of_the_server_that_the_login_does_not_need() {
    let done = log_in(&[AuthConfig::password(PASSWORD)], &Env::default(), None, |_| {
        Says::Yes
    })
    .await;
    assert!(done.result.is_ok());
    assert_eq!(
        done.asked,
        [Asked::Password(PASSWORD.into())],
        "no none request, and no second one"
    );
}

#[tokio::test]
async fn the_methods_are_asked_for_first_only_on_request() {
    let (login, log) = connect(|asked| match asked {
        Asked::None => Says::No(&["password"]),
        _ => Says::Yes,
    })
    .await;
    let chain = [
        AuthConfig::key_data(PrivateKey::generate().unwrap()),
        AuthConfig::password(PASSWORD),
    ];
    let done = log_in_on(login, log, &chain, &Env::default(), None, true).await;
    assert_eq!(done.result.unwrap().offered, ["password"]);
    assert_eq!(
        done.asked,
        [Asked::None, Asked::Password(PASSWORD.into())],
        "the key could not have helped"
    );
}

#[tokio::test]
async fn a_server_that_wants_no_credential_is_entered_without_one() {
    let done = log_in(&[], &Env::default(), None, |_| Says::Yes).await;
    assert_eq!(done.result.unwrap().method, None);
    assert_eq!(done.asked, [Asked::None]);
}

#[tokio::test]
async fn without_a_credential_the_error_says_what_the_server_takes() {
    let done = log_in(&[AuthConfig::ask_password()], &Env::default(), None, |_| {
        Says::No(ALL)
    })
    .await;
    let error = done.error();
    assert_eq!(error.kind(), &ErrorKind::AuthFailed);
    assert_eq!(error.phase(), Some(Phase::Auth));
    assert!(
        error.to_string().contains("there is no credential to try"),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("publickey,password,keyboard-interactive"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_takes_no_keys_is_not_said_to_lack_the_one_that_was_offered() {
    let key = [AuthConfig::key_data(PrivateKey::generate().unwrap())];
    let done = log_in(&key, &Env::default(), None, |_| Says::No(&["password"])).await;
    assert!(
        done.error().hint().contains("takes no keys"),
        "{:?}",
        done.error()
    );
}

#[tokio::test]
async fn refused_credentials_are_all_named_in_the_error() {
    let key = PrivateKey::generate().unwrap();
    let chain = [AuthConfig::key_data(key.clone()), AuthConfig::password(PASSWORD)];
    let done = log_in(&chain, &Env::default(), None, |_| Says::No(ALL)).await;
    let error = done.error();
    assert_eq!(error.kind(), &ErrorKind::AuthFailed);
    let expected = format!("key {} refused; password refused", fingerprint(&key));
    assert!(error.to_string().contains(&expected), "{error}");
    assert_eq!(
        error.context().auth_method.as_deref(),
        Some("private_key,password")
    );
    assert!(!error.hint().is_empty());
    assert_eq!(done.events(), ["failed private_key", "failed password"]);
    assert_eq!(done.events[0].data["error_type"], "AuthFailed");
}

#[tokio::test]
async fn two_factors_are_given_in_turn_and_an_accepted_key_is_not_offered_again() {
    let key = PrivateKey::generate().unwrap();
    let chain = [AuthConfig::password(PASSWORD), AuthConfig::key_data(key.clone())];
    let done = log_in(&chain, &Env::default(), None, |asked| match asked {
        Asked::Password(_) => Says::Yes,
        Asked::Signed(..) => Says::More(&["publickey", "password"]),
        _ => Says::No(&["publickey"]),
    })
    .await;
    // The first password is taken here because the script does not mind the order; a real server would refuse it.
    assert!(done.result.is_ok());
    let chain = [AuthConfig::key_data(key), AuthConfig::password(PASSWORD)];
    let done = log_in(&chain, &Env::default(), None, |asked| match asked {
        Asked::Offered(_) => Says::Yes,
        Asked::Signed(..) => Says::More(&["publickey", "password"]),
        Asked::Password(_) => Says::Yes,
        _ => Says::No(ALL),
    })
    .await;
    assert_eq!(done.result.as_ref().unwrap().method, Some(AuthMethod::Password));
    assert_eq!(done.events(), ["success private_key", "success password"]);
    assert_eq!(done.events[0].data["partial"], true);
}

#[tokio::test]
async fn a_missing_second_factor_is_told_from_a_refusal() {
    let chain = [AuthConfig::password(PASSWORD)];
    let done = log_in(&chain, &Env::default(), None, |_| Says::More(&["publickey"])).await;
    let error = done.error();
    assert!(
        error
            .to_string()
            .contains("password accepted as one factor of several"),
        "{error}"
    );
    assert!(error.to_string().contains("still wants publickey"), "{error}");
}

#[tokio::test]
async fn a_lost_connection_ends_the_login_at_once_and_no_further_credential_is_offered() {
    let chain = [
        AuthConfig::key_data(PrivateKey::generate().unwrap()),
        AuthConfig::password(PASSWORD),
        AuthConfig::password("another"),
    ];
    for hang_up_at in [0, 1] {
        let mut count = 0;
        let done = log_in(&chain, &Env::default(), None, move |_| {
            count += 1;
            if count > hang_up_at {
                Says::HangUp
            } else {
                Says::No(ALL)
            }
        })
        .await;
        assert!(done.error().kind().is_connection(), "{:?}", done.error());
        assert_eq!(done.error().phase(), Some(Phase::Auth));
        assert_eq!(done.asked.len(), hang_up_at + 1);
        assert_eq!(done.events().len(), hang_up_at + 1);
        assert_eq!(done.events[hang_up_at].data["error_type"], "SSHConnectionError");
    }
}

#[tokio::test]
async fn a_person_is_asked_for_a_password_three_times_and_it_counts_as_their_login() {
    let person = Person::who_says(&["wrong", "wrong again", PASSWORD]);
    let done = log_in(
        &[AuthConfig::ask_password()],
        &Env::default(),
        Some(&person),
        |asked| match asked {
            Asked::Password(given) if given == PASSWORD => Says::Yes,
            _ => Says::No(ALL),
        },
    )
    .await;
    assert!(done.result.unwrap().needed_person);
    let asked = person.asked();
    assert_eq!(
        asked.iter().map(|question| question.attempt).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(
        (asked[0].host.as_str(), asked[0].username.as_str()),
        ("db-1", "alice")
    );
    let stubborn = Person::who_says(&["1", "2", "3", "4"]);
    let done = log_in(
        &[AuthConfig::ask_password()],
        &Env::default(),
        Some(&stubborn),
        |_| Says::No(ALL),
    )
    .await;
    assert_eq!(done.error().kind(), &ErrorKind::AuthFailed);
    assert_eq!(stubborn.asked().len(), 3);
}

#[tokio::test]
async fn a_person_who_does_not_answer_is_not_asked_again_and_nothing_is_sent() {
    let person = Person::default();
    let done = log_in(
        &[AuthConfig::ask_password()],
        &Env::default(),
        Some(&person),
        |_| Says::No(ALL),
    )
    .await;
    assert_eq!(person.asked().len(), 1);
    assert_eq!(done.asked, []);
    assert!(
        done.error().to_string().contains("nobody gave a password"),
        "{}",
        done.error()
    );
}

#[tokio::test]
async fn the_password_is_asked_for_only_once_nothing_before_it_was_accepted() {
    let person = Person::who_says(&[PASSWORD]);
    let chain = [
        AuthConfig::key_data(PrivateKey::generate().unwrap()),
        AuthConfig::ask_password(),
    ];
    let done = log_in(&chain, &Env::default(), Some(&person), |_| Says::Yes).await;
    assert!(!done.result.unwrap().needed_person);
    assert!(person.asked().is_empty());
}

#[tokio::test]
async fn a_password_answers_a_single_hidden_prompt() {
    let done = log_in(
        &[AuthConfig::password(PASSWORD)],
        &Env::default(),
        None,
        |asked| match asked {
            Asked::Answers(None) => Says::Prompts(vec![("Password: ", false)]),
            Asked::Answers(Some(answers)) if answers == &[PASSWORD] => Says::Yes,
            _ => Says::No(&["publickey", "keyboard-interactive"]),
        },
    )
    .await;
    let outcome = done.result.unwrap();
    assert_eq!(outcome.method, Some(AuthMethod::KeyboardInteractive));
    assert!(
        outcome.needed_person,
        "the next login may be asked something else"
    );
}

#[tokio::test]
async fn a_password_is_never_given_to_another_kind_of_question() {
    for prompts in [
        vec![("User: ", true)],
        vec![("Password: ", false), ("Code: ", false)],
    ] {
        let done = log_in(
            &[AuthConfig::password(PASSWORD)],
            &Env::default(),
            None,
            move |asked| match asked {
                Asked::Answers(None) => Says::Prompts(prompts.clone()),
                _ => Says::No(&["keyboard-interactive"]),
            },
        )
        .await;
        assert!(
            done.error().to_string().contains("nobody answered"),
            "{}",
            done.error()
        );
        assert!(
            !format!("{:?}", done.asked[1..].to_vec()).contains(PASSWORD),
            "{:?}",
            done.asked
        );
    }
}

#[tokio::test]
async fn a_password_is_given_once_and_the_next_question_goes_to_the_person() {
    let person = Person::who_says(&["123456"]);
    let mut rounds = 0;
    let chain = [AuthConfig::password(PASSWORD)];
    let done = log_in(&chain, &Env::default(), Some(&person), move |asked| match asked {
        Asked::Answers(None) => Says::Prompts(vec![("Password: ", false)]),
        Asked::Answers(Some(_)) if rounds == 0 => {
            rounds += 1;
            Says::Prompts(vec![("One-time code: ", false)])
        }
        Asked::Answers(Some(answers)) if answers == &["123456"] => Says::Yes,
        _ => Says::No(&["keyboard-interactive"]),
    })
    .await;
    assert!(done.result.unwrap().needed_person);
    let SecretSubject::Challenge {
        name, prompt, echo, ..
    } = &person.asked()[0].subject
    else {
        panic!()
    };
    assert_eq!(
        (name.as_str(), prompt.as_str(), *echo),
        ("name", "One-time code: ", false)
    );
}

#[tokio::test]
async fn a_round_without_prompts_needs_no_answer() {
    let mut rounds = 0;
    let chain = [AuthConfig::password(PASSWORD)];
    let done = log_in(&chain, &Env::default(), None, move |asked| match asked {
        Asked::Answers(None) => Says::Prompts(vec![]),
        Asked::Answers(Some(_)) if rounds == 0 => {
            rounds += 1;
            Says::Prompts(vec![("Password: ", false)])
        }
        Asked::Answers(Some(_)) => Says::Yes,
        _ => Says::No(&["keyboard-interactive"]),
    })
    .await;
    assert!(done.result.is_ok());
    assert_eq!(done.asked[2], Asked::Answers(Some(vec![])));
}

#[tokio::test]
async fn an_unanswered_question_does_not_block_the_credential_after_it() {
    let key = PrivateKey::generate().unwrap();
    let person = Person::default();
    let chain = [AuthConfig::keyboard_interactive(), AuthConfig::key_data(key)];
    let done = log_in(&chain, &Env::default(), Some(&person), |asked| match asked {
        Asked::Answers(None) => Says::Prompts(vec![("Code: ", true)]),
        Asked::Answers(Some(_)) => Says::No(ALL),
        _ => Says::Yes,
    })
    .await;
    assert_eq!(done.result.unwrap().method, Some(AuthMethod::PrivateKey));
    assert_eq!(done.asked[1], Asked::Answers(Some(vec![String::new()])));
    assert_eq!(
        person.asked().len(),
        1,
        "whoever gave no answer is not asked again"
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_a_person_takes_counts_against_no_deadline() {
    let person = Person {
        delay: Duration::from_secs(300),
        ..Person::who_says(&[PASSWORD])
    };
    let (mut login, _log) = connect(|_| Says::Yes).await;
    let clock = login.clock().clone();
    let emitter = Emitter::default();
    let chain = [AuthConfig::ask_password()];
    let credentials = Credentials {
        auth: &chain,
        identity_files: &[],
        identities_only: false,
        fallback_password: None,
        prompter: true,
        max_refusals: DEFAULT_MAX_REFUSALS,
        certificate_files: &[],
        methods: None,
        questions: 3,
    };
    let prepared = prepare(credentials, &Env::default()).await;
    let request = AuthRequest {
        host: "h",
        username: "u",
        prompter: Some(&person),
        emitter: &emitter,
        probe: false,
    };
    let work = authenticate(&mut login, &request, prepared);
    clock.guard(&Deadlines::default(), work).await.unwrap();
}

#[cfg(unix)]
mod with_files {
    use super::*;
    use crate::transport::agent::tests::RealAgent;

    fn env(agent: &RealAgent) -> Env {
        Env {
            agent_socket: Some(agent.socket()),
            home: Some(agent.dir.path().into()),
            ..Env::default()
        }
    }

    fn keygen(agent: &RealAgent, name: &str, kind: &str, passphrase: &str) {
        agent.run(
            "ssh-keygen",
            &["-q", "-t", kind, "-N", passphrase, "-C", name, "-f", name],
        );
    }

    #[tokio::test]
    async fn a_passphrase_is_asked_for_when_the_keys_turn_comes_and_again_when_it_is_wrong() {
        let dir = RealAgent::start();
        keygen(&dir, "sealed", "ed25519", "open sesame");
        let path = dir.dir.path().join("sealed");
        let person = Person::who_says(&["wrong", "open sesame"]);
        let done = log_in(&[AuthConfig::key(&path)], &env(&dir), Some(&person), |_| {
            Says::Yes
        })
        .await;
        assert!(done.result.unwrap().needed_person);
        let asked = person.asked();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[1].subject, SecretSubject::Passphrase(path.clone()));
        assert_eq!(asked[1].attempt, 2);

        let unused = Person::who_says(&["open sesame"]);
        let chain = [AuthConfig::password(PASSWORD), AuthConfig::key(&path)];
        let done = log_in(&chain, &env(&dir), Some(&unused), |_| Says::Yes).await;
        assert!(done.result.is_ok());
        assert!(unused.asked().is_empty(), "its turn never came");
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_loaded_is_the_error_when_it_was_the_only_credential() {
        let dir = RealAgent::start();
        keygen(&dir, "sealed", "ed25519", "open sesame");
        for (name, passphrase, reason) in [
            ("missing", None, KeyLoadReason::FileNotFound),
            ("sealed", None, KeyLoadReason::WrongPassphrase),
            ("sealed", Some("wrong"), KeyLoadReason::WrongPassphrase),
        ] {
            let path = dir.dir.path().join(name);
            let config = AuthConfig::key(&path);
            let config = match passphrase {
                Some(passphrase) => config.passphrase(passphrase),
                None => config,
            };
            let done = log_in(std::slice::from_ref(&config), &env(&dir), None, |_| Says::No(ALL)).await;
            assert_eq!(
                done.error().kind(),
                &ErrorKind::KeyLoad(reason),
                "{:?}",
                done.error()
            );
            assert_eq!(done.error().context().key_path.as_deref(), Some(path.as_path()));
            assert_eq!(done.error().context().auth_method.as_deref(), Some("private_key"));
            assert_eq!(done.events(), ["failed private_key"]);
            assert_eq!(done.events[0].data["error_type"], "KeyLoadError");
            assert_eq!(done.events[0].data["key_path"], path.display().to_string());

            let chain = [config, AuthConfig::password(PASSWORD)];
            let done = log_in(&chain, &env(&dir), None, |_| Says::No(ALL)).await;
            assert_eq!(done.error().kind(), &ErrorKind::AuthFailed);
            assert!(
                done.error().to_string().contains("cannot use the key file"),
                "{}",
                done.error()
            );
            assert_eq!(done.events(), ["failed private_key", "failed password"]);
        }
    }

    #[tokio::test]
    async fn a_named_agent_that_cannot_be_used_is_the_error_when_it_was_the_only_credential() {
        let done = log_in(&[AuthConfig::agent()], &Env::default(), None, |_| Says::No(ALL)).await;
        assert!(
            matches!(done.error().kind(), ErrorKind::Agent(_)),
            "{:?}",
            done.error()
        );
        assert_eq!(done.events(), ["failed ssh_agent"]);
        let done = log_in(
            &[AuthConfig::agent(), AuthConfig::password(PASSWORD)],
            &Env::default(),
            None,
            |_| Says::Yes,
        )
        .await;
        assert!(done.result.is_ok());
        assert_eq!(done.events(), ["failed ssh_agent", "success password"]);
    }

    #[tokio::test]
    async fn the_agent_signs_for_an_encrypted_file_and_nobody_is_asked() {
        let dir = RealAgent::start();
        dir.add_key("key", "ed25519");
        dir.run(
            "ssh-keygen",
            &["-q", "-p", "-P", "", "-N", "open sesame", "-f", "key"],
        );
        let person = Person::default();
        let config = AuthConfig::key(dir.dir.path().join("key"));
        let done = log_in(&[config], &env(&dir), Some(&person), |_| Says::Yes).await;
        let outcome = done.result.unwrap();
        assert_eq!(
            (outcome.method, outcome.needed_person),
            (Some(AuthMethod::SshAgent), false)
        );
        assert!(person.asked().is_empty());
    }

    #[tokio::test]
    async fn an_agent_that_refuses_to_sign_costs_no_attempt_and_the_next_key_is_tried() {
        let dir = RealAgent::start();
        dir.add_key("gone", "ed25519");
        dir.add_key("held", "ed25519");
        let (login, log) = connect(|_| Says::Yes).await;
        let emitter = Emitter::default();
        let chain = [AuthConfig::agent()];
        let credentials = Credentials {
            auth: &chain,
            identity_files: &[],
            identities_only: false,
            fallback_password: None,
            prompter: false,
            max_refusals: DEFAULT_MAX_REFUSALS,
            certificate_files: &[],
            methods: None,
            questions: 3,
        };
        let prepared = prepare(credentials, &env(&dir)).await;
        dir.run("ssh-add", &["-q", "-d", "gone"]);
        let mut login = login;
        let request = AuthRequest {
            host: "h",
            username: "u",
            prompter: None,
            emitter: &emitter,
            probe: false,
        };
        let outcome = authenticate(&mut login, &request, prepared).await.unwrap();
        assert_eq!(outcome.method, Some(AuthMethod::SshAgent));
        assert_eq!(log.lock().unwrap().len(), 3, "offered, offered, signed");
    }

    #[tokio::test]
    async fn rsa_keys_and_certificates_sign_with_sha2_wherever_the_key_is() {
        let dir = RealAgent::start();
        for name in ["file", "held", "ca"] {
            dir.run(
                "ssh-keygen",
                &["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", name],
            );
        }
        dir.run("ssh-add", &["-q", "held"]);
        for (chain, expected) in [
            (
                [AuthConfig::key(dir.dir.path().join("file"))],
                AuthMethod::PrivateKey,
            ),
            ([AuthConfig::agent()], AuthMethod::SshAgent),
        ] {
            let done = log_in(&chain, &env(&dir), None, |_| Says::Yes).await;
            assert_eq!(done.result.unwrap().method, Some(expected));
            let Some(Asked::Signed(_, algorithm)) = done.asked.last() else {
                panic!("{:?}", done.asked)
            };
            assert!(algorithm.starts_with("rsa-sha2-"), "{algorithm}");
        }
        for (name, expected) in [("file", AuthMethod::PrivateKey), ("held", AuthMethod::SshAgent)] {
            dir.run(
                "ssh-keygen",
                &[
                    "-q",
                    "-s",
                    "ca",
                    "-I",
                    "the id",
                    "-n",
                    "alice",
                    &format!("{name}.pub"),
                ],
            );
            // Without the private file, only the agent can sign for the certificate.
            let path = dir
                .dir
                .path()
                .join(if name == "held" { "held.pub" } else { name });
            let done = log_in(&[AuthConfig::key(path)], &env(&dir), None, |_| Says::Yes).await;
            assert_eq!(done.result.unwrap().method, Some(expected));
            assert_eq!(done.asked.last(), Some(&Asked::Certificate("the id".into())));
        }
    }

    #[tokio::test]
    async fn an_expired_certificate_is_named_as_the_likely_reason() {
        let dir = RealAgent::start();
        keygen(&dir, "ca", "ed25519", "");
        keygen(&dir, "id", "ed25519", "");
        dir.run(
            "ssh-keygen",
            &["-q", "-s", "ca", "-I", "i", "-V", "19700101:19700102", "id.pub"],
        );
        let config = AuthConfig::key(dir.dir.path().join("id"));
        let done = log_in(&[config], &env(&dir), None, |_| Says::No(&["publickey"])).await;
        assert!(
            done.error()
                .to_string()
                .contains("refused (the certificate has expired)"),
            "{}",
            done.error()
        );
    }

    #[tokio::test]
    async fn no_secret_appears_in_any_error_event_or_debug_output() {
        let dir = RealAgent::start();
        keygen(&dir, "sealed", "ed25519", "hunter2-passphrase");
        let person = Person::who_says(&["hunter2-answer", "hunter2-answer", "hunter2-answer"]);
        let chain = [
            AuthConfig::key(dir.dir.path().join("sealed")).passphrase("hunter2-wrong"),
            AuthConfig::key(dir.dir.path().join("sealed")).passphrase("hunter2-passphrase"),
            AuthConfig::password("hunter2-password"),
            AuthConfig::keyboard_interactive(),
        ];
        let prepared = prepare(
            Credentials {
                auth: &chain,
                identity_files: &[],
                identities_only: false,
                fallback_password: None,
                prompter: true,
                max_refusals: DEFAULT_MAX_REFUSALS,
                certificate_files: &[],
                methods: None,
                questions: 3,
            },
            &env(&dir),
        )
        .await;
        let done = log_in(&chain, &env(&dir), Some(&person), |asked| match asked {
            Asked::Answers(None) => Says::Prompts(vec![("Code: ", true)]),
            _ => Says::No(ALL),
        })
        .await;
        assert!(!person.asked().is_empty());
        let events: Vec<_> = done.events.iter().map(Event::to_json).collect();
        let error = done.error();
        let shown = format!(
            "{chain:?} {prepared:?} {error} {error:?} {:?} {events:?} {:?}",
            error.to_dict(),
            error.hint()
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
