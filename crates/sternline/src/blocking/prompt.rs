//! Questions to a person who may take their time.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::prompt::{Answer, HostKeyQuestion, Prompter as Asynchronous, SecretQuestion};
use crate::secret::Secret;

/// Answers questions on behalf of a person, as [`prompt::Prompter`](crate::prompt::Prompter) does. Its methods may block.
pub trait Prompter: Send + Sync {
    /// Whether to trust and record an unknown host key.
    fn trust_host_key(&self, question: &HostKeyQuestion) -> bool;

    /// A password, passphrase or challenge response; `None` gives the method up.
    fn secret(&self, question: &SecretQuestion) -> Option<Secret>;
}

/// One that others ask as well.
impl<P: Prompter + ?Sized> Prompter for Arc<P> {
    fn trust_host_key(&self, question: &HostKeyQuestion) -> bool {
        (**self).trust_host_key(question)
    }

    fn secret(&self, question: &SecretQuestion) -> Option<Secret> {
        (**self).secret(question)
    }
}

/// A prompter for [`ConnectionBuilder::prompter`](crate::ConnectionBuilder::prompter) whose questions are asked on a thread of
/// their own, so that nothing else stands still meanwhile. One that panics has no answer.
///
/// ```no_run
/// use sternline::Secret;
/// use sternline::blocking::{self, Connection};
/// use sternline::prompt::{HostKeyQuestion, SecretQuestion};
///
/// struct Terminal;
///
/// impl blocking::Prompter for Terminal {
///     fn trust_host_key(&self, _: &HostKeyQuestion) -> bool {
///         false
///     }
///
///     fn secret(&self, question: &SecretQuestion) -> Option<Secret> {
///         eprintln!("password of {} on {}:", question.username, question.host);
///         let mut line = String::new();
///         std::io::stdin().read_line(&mut line).ok()?;
///         Some(Secret::from(line.trim_end()))
///     }
/// }
///
/// # fn example() -> sternline::Result<()> {
/// let settings = Connection::builder("alice@example.com").prompter(blocking::prompter(Terminal));
/// let connection = Connection::connect(settings)?;
/// # Ok(()) }
/// ```
pub fn prompter(prompter: impl Prompter + 'static) -> Arc<dyn Asynchronous> {
    Arc::new(OnThread(Arc::new(prompter)))
}

struct OnThread<P>(Arc<P>);

impl<P: Prompter + 'static> Asynchronous for OnThread<P> {
    fn trust_host_key<'a>(&'a self, question: &'a HostKeyQuestion) -> Answer<'a, bool> {
        let (prompter, question) = (Arc::clone(&self.0), question.clone());
        Box::pin(async move {
            let asked = spawn_blocking(move || prompter.trust_host_key(&question));
            asked.await.unwrap_or(false)
        })
    }

    fn secret<'a>(&'a self, question: &'a SecretQuestion) -> Answer<'a, Option<Secret>> {
        let (prompter, question) = (Arc::clone(&self.0), question.clone());
        Box::pin(async move {
            let asked = spawn_blocking(move || prompter.secret(&question));
            asked.await.unwrap_or(None)
        })
    }
}
