//! Keyboard-interactive authentication (RFC 4256): the server asks, a known password or a person answers.

use sternline_proto::text::escape;

use super::authenticate::AuthRequest;
use crate::error::{Error, ErrorKind, Result};
use crate::prompt::{SecretQuestion, SecretSubject};
use crate::secret::Secret;
use crate::transport::handshake::Login;
use crate::transport::login::{AuthReply, KbdReply, Prompts, Refusal};

/// How an exchange ended.
pub(super) struct Exchange {
    pub(super) reply: AuthReply,
    /// The server's refusal of an exchange that was given up for want of an answer.
    pub(super) given_up: Option<Refusal>,
}

/// Runs one exchange. `password` answers a single prompt that does not echo, once; everything else goes to the
/// prompter. `others_follow` says whether further attempts are planned on the connection: a question without an
/// answer must then be answered with nothing, because the server waits for it.
pub(super) async fn exchange(
    login: &mut Login,
    request: &AuthRequest<'_>,
    mut password: Option<&Secret>,
    attempt: u32,
    others_follow: bool,
) -> Result<Exchange> {
    let mut unanswered = None;
    let mut asked = false;
    let mut reply = login.keyboard_interactive_start(request.username).await?;
    loop {
        let prompts = match reply {
            KbdReply::Prompts(prompts) => prompts,
            KbdReply::Success => {
                return Ok(Exchange {
                    reply: AuthReply::Success,
                    given_up: None,
                });
            }
            KbdReply::Failure(refusal) => {
                // A server that has nothing to ask (sshd without PAM) has nothing to ask the next time either.
                let mute = (!asked && !refusal.partial).then(|| {
                    Error::new(
                        ErrorKind::AuthFailed,
                        "the server refused it without asking anything",
                    )
                });
                return Ok(match unanswered.or(mute) {
                    Some(error) => Exchange {
                        reply: AuthReply::NotMade(error),
                        given_up: Some(refusal),
                    },
                    None => Exchange {
                        reply: AuthReply::Failure(refusal),
                        given_up: None,
                    },
                });
            }
        };
        asked = true;
        let answers = if unanswered.is_some() {
            None
        } else if answered_by_password(&prompts)
            && let Some(password) = password.take()
        {
            Some(vec![password.clone()])
        } else {
            ask(login, request, &prompts, attempt).await
        };
        let answers = match answers {
            Some(answers) => answers,
            None => {
                let error = unanswered.take().unwrap_or_else(|| no_answer(&prompts));
                if !others_follow {
                    return Ok(Exchange {
                        reply: AuthReply::NotMade(error),
                        given_up: None,
                    });
                }
                unanswered = Some(error);
                prompts.prompts.iter().map(|_| Secret::new("")).collect()
            }
        };
        reply = login.keyboard_interactive_respond(&answers).await?;
    }
}

/// A stored password is given to the question that is surely for it, and to no other: two questions, or one whose
/// answer may be shown, ask for something else, and so does one that names a one-time code.
fn answered_by_password(prompts: &Prompts) -> bool {
    matches!(prompts.prompts.as_slice(), [only] if !only.echo && !asks_for_code(&only.text))
}

/// Whether a question is for something that counts once, as in `Verification code: ` and `One-time password (OATH) for ann: `.
fn asks_for_code(prompt: &str) -> bool {
    const WORDS: &[&str] = &["code", "passcode", "token", "verification"];
    let prompt = prompt.to_ascii_lowercase();
    let has = |wanted: &[&str]| {
        let mut words = prompt.split(|c: char| !c.is_alphanumeric());
        words.any(|word| wanted.contains(&word))
    };
    // The account or the host may be called like one of these words.
    let names_code = has(WORDS) && !prompt.contains("password");
    names_code || has(&["otp"]) || prompt.contains("one-time") || prompt.contains("one time")
}

/// Puts each prompt to the person, with the clock stopped. A round without prompts needs no answer.
async fn ask(
    login: &Login,
    request: &AuthRequest<'_>,
    prompts: &Prompts,
    attempt: u32,
) -> Option<Vec<Secret>> {
    let mut answers = Vec::with_capacity(prompts.prompts.len());
    for prompt in &prompts.prompts {
        let subject = SecretSubject::Challenge {
            name: prompts.name.clone(),
            instructions: prompts.instructions.clone(),
            prompt: prompt.text.clone(),
            echo: prompt.echo,
        };
        answers.push(request.ask(login, subject, attempt).await?);
    }
    Some(answers)
}

fn no_answer(prompts: &Prompts) -> Error {
    let asked: Vec<_> = prompts
        .prompts
        .iter()
        .map(|prompt| format!("{:?}", escape(prompt.text.trim())))
        .collect();
    Error::new(
        ErrorKind::AuthFailed,
        format!("nobody answered the server's question {}", asked.join(", ")),
    )
    .with_hint("log in from a terminal, where the question can be answered")
}

impl AuthRequest<'_> {
    /// Asks the person, if there is one to ask. The clock stands still meanwhile. The answer is masked from now on.
    pub(super) async fn ask(&self, login: &Login, subject: SecretSubject, attempt: u32) -> Option<Secret> {
        let prompter = self.prompter?;
        let question = SecretQuestion {
            subject,
            username: self.username.to_owned(),
            host: self.host.to_owned(),
            attempt,
        };
        let _pause = login.clock().pause();
        let answer = prompter.secret(&question).await;
        if let Some(answer) = &answer {
            self.emitter.redactor().mark(answer.expose());
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::login::Prompt;

    #[test]
    fn a_password_answers_only_a_single_prompt_that_does_not_echo() {
        let prompts = |echoes: &[bool]| Prompts {
            name: String::new(),
            instructions: String::new(),
            prompts: echoes
                .iter()
                .map(|echo| Prompt {
                    text: "Password: ".into(),
                    echo: *echo,
                })
                .collect(),
        };
        for (echoes, answered) in [
            (&[false][..], true),
            (&[true], false),
            (&[false, false], false),
            (&[], false),
        ] {
            assert_eq!(answered_by_password(&prompts(echoes)), answered, "{echoes:?}");
        }
        for (text, answered) in [
            ("Verification code: ", false),
            ("One-time password (OATH) for `ann': ", false),
            ("Enter your TOKEN:", false),
            ("(ann@web) Password for ann@web.barcode.org: ", true),
            ("(code@token) Password: ", true),
            ("Mot de passe : ", true),
        ] {
            let mut prompts = prompts(&[false]);
            prompts.prompts[0].text = text.into();
            assert_eq!(answered_by_password(&prompts), answered, "{text}");
        }
    }
}
