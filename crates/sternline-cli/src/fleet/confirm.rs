//! The question before something is done on many hosts.

use std::io::IsTerminal;

use super::names::folded;
use crate::exit;
use crate::ui::{Failure, Signals, Ui, prompter};

/// From how many hosts on nobody is asked any more: what is mistyped for these is soon mended.
const UNASKED: usize = 50;

/// Asks whether to go on, if there are many hosts and somebody to ask. `does` begins the question, as in "Run `reboot`".
///
/// Scripts are asked nothing: they have to be as sure of their list of hosts as of everything else.
pub(crate) async fn confirm(
    does: &str,
    labels: &[String],
    yes: bool,
    signals: &mut Signals,
    ui: &Ui,
) -> Result<(), Failure> {
    let has_somebody = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if yes || labels.len() <= UNASKED || !has_somebody || !prompter::can_ask() {
        return Ok(());
    }
    let places: Vec<usize> = (0..labels.len()).collect();
    let question = format!(
        "{does} on {} hosts: {}\nGo on? (yes/no) [no] ",
        labels.len(),
        folded(labels, &places)
    );
    let agreed = tokio::select! {
        agreed = prompter::agree(question) => agreed,
        signal = signals.next() => {
            ui.line("");
            return Err(Failure::interrupted(signal));
        }
    };
    match agreed {
        true => Ok(()),
        false => Err(Failure::usage("nothing was done, for nobody agreed")
            .with_hint("answer yes, or give --yes to be asked nothing")
            .with_status(exit::FAILED)),
    }
}
