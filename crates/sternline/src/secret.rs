//! Secrets: overwritten when dropped, and absent from anything that is printed.

use std::fmt;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use zeroize::Zeroizing;

/// A password, passphrase or one-time code.
///
/// Its memory is overwritten when the last clone goes, and its `Debug` output is `[REDACTED]`. There is no
/// `Display` and no serialisation.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes ownership of the text. A caller that holds another copy is responsible for that one.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself. Keep it no longer than the call that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The secret and a line's end, to be sent. Its memory is overwritten once it was.
pub(crate) fn line_of(secret: &Secret) -> Bytes {
    let text = secret.expose();
    // As long as it has to be from the start, so that no copy is left behind by growing.
    let mut line = Zeroizing::new(Vec::with_capacity(text.len() + 1));
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
    Bytes::from_owner(line)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// A password that several hosts may ask for. Clones are one and the same.
///
/// If it is wrong for one host it is likely to be wrong for all, and where all of them ask one directory, as many failed attempts lock the
/// account. So the first that asks is told it, and the others wait until it was taken. Once it was refused instead, no
/// other host is told it. After it was taken once, every host is told it at once.
#[derive(Debug, Clone)]
pub struct SharedSecret {
    secret: Secret,
    tried: watch::Sender<Tried>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    NotYet,
    /// By one host, whose answer is waited for.
    Underway,
    Taken,
    Refused,
}

impl SharedSecret {
    /// A password that nobody has been told so far.
    #[must_use]
    pub fn new(secret: impl Into<Secret>) -> Self {
        Self {
            secret: secret.into(),
            tried: watch::Sender::new(Tried::NotYet),
        }
    }

    /// The password itself, whoever may have refused it.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Waits until a host may be told it; `None` if another one has refused it. Cancel-safe.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        let mut tried = self.tried.subscribe();
        loop {
            // The sender lives in `self`, so waiting does not fail.
            let _ = tried.wait_for(|tried| *tried != Tried::Underway).await;
            let mut before = Tried::Underway;
            self.tried.send_if_modified(|tried| {
                before = *tried;
                if before == Tried::NotYet {
                    *tried = Tried::Underway;
                }
                before == Tried::NotYet
            });
            match before {
                Tried::NotYet => return Some(Turn(Some(self.tried.clone()))),
                Tried::Taken => return Some(Turn(None)),
                Tried::Refused => return None,
                // Somebody else was quicker.
                Tried::Underway => {}
            }
        }
    }
}

impl<S: Into<Secret>> From<S> for SharedSecret {
    fn from(secret: S) -> Self {
        Self::new(secret)
    }
}

/// A host is being told a [`SharedSecret`]. Dropped without an answer, it is the next one's turn.
#[derive(Debug)]
pub(crate) struct Turn(Option<watch::Sender<Tried>>);

impl Turn {
    pub(crate) fn taken(mut self) {
        self.end(Tried::Taken);
    }

    pub(crate) fn refused(mut self) {
        self.end(Tried::Refused);
    }

    fn end(&mut self, tried: Tried) {
        if let Some(sender) = self.0.take() {
            sender.send_replace(tried);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end(Tried::NotYet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_the_secret() {
        let secret = Secret::from("hunter2");
        assert_eq!(format!("{secret:?}"), "[REDACTED]");
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(line_of(&secret), "hunter2\n");
    }

    #[tokio::test]
    async fn one_host_is_told_first_and_the_others_once_it_was_taken() {
        let shared = SharedSecret::from("hunter2");
        let other = shared.clone();
        assert!(!format!("{shared:?}").contains("hunter2"));
        let first = shared.turn().await.unwrap();
        let mut second = looked_at(other.turn());
        assert!(second.poll().is_none(), "it has to wait");
        first.taken();
        assert!(second.poll().is_some_and(|turn| turn.is_some()));
        // One that refuses it later is an exception.
        shared.turn().await.unwrap().refused();
        assert!(shared.turn().await.is_some());
    }

    #[tokio::test]
    async fn what_one_host_has_refused_no_other_is_told() {
        let shared = SharedSecret::new("hunter2");
        // A host that was lost meanwhile has said nothing.
        drop(shared.turn().await.unwrap());
        shared.clone().turn().await.unwrap().refused();
        assert!(shared.turn().await.is_none());
        assert!(SharedSecret::new("hunter2").turn().await.is_some(), "another one");
    }

    /// A future that can be looked at.
    struct Polled<F: Future>(std::pin::Pin<Box<F>>);

    fn looked_at<F: Future>(future: F) -> Polled<F> {
        Polled(Box::pin(future))
    }

    impl<F: Future> Polled<F> {
        fn poll(&mut self) -> Option<F::Output> {
            let waker = std::task::Waker::noop();
            match self.0.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            }
        }
    }
}
