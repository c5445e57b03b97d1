//! Files to and from all hosts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sternline::fleet::Skipped;
use sternline::transfer::{FileOutcome, SkipReason, TransferEvent};
use sternline::{Fleet, Result, Transfer, TransferResult};

use super::result::{Moved, reason};
use crate::stop::Stop;

/// What is moved, as the script named it.
pub(super) struct Named {
    pub(super) src: String,
    pub(super) dst: String,
    /// The file or directory of this machine.
    pub(super) local: PathBuf,
    /// Whether that is the target.
    pub(super) is_download: bool,
}

/// Where files have arrived, by the host's place in the list.
type Places = Arc<Mutex<HashMap<usize, Vec<u8>>>>;

/// Moves them. When the script has to stop, what is incomplete is removed.
///
/// # Errors
/// When nothing could be begun.
pub(super) async fn run(
    fleet: &Fleet,
    labels: &[String],
    transfer: Transfer,
    named: &Named,
    stop: &Stop,
) -> Result<Vec<Moved>> {
    let places = Places::default();
    let noted = Arc::clone(&places);
    let mut run = fleet.start_transfer(move |index| {
        let places = Arc::clone(&noted);
        transfer
            .clone()
            .on_event(move |event| note(&places, index, event))
    })?;
    let mut results: Vec<Option<Moved>> = labels.iter().map(|_| None).collect();
    let mut stopped = false;
    loop {
        let next = tokio::select! {
            biased;
            _ = stop.stopped(), if !stopped => {
                stopped = true;
                run.cancel();
                continue;
            }
            next = run.next() => next,
        };
        let Some((index, result)) = next else { break };
        let place = places
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&index);
        if let (Some(slot), Some(label)) = (results.get_mut(index), labels.get(index)) {
            *slot = Some(moved(label, result, named, place));
        }
    }
    let lost = |label: &String| Moved {
        host: label.clone(),
        src: named.src.clone(),
        dst: named.dst.clone(),
        error: "the work on this host was interrupted".to_owned(),
        ..Moved::default()
    };
    let results = results.into_iter().zip(labels);
    Ok(results
        .map(|(moved, label)| moved.unwrap_or_else(|| lost(label)))
        .collect())
}

fn note(places: &Places, index: usize, event: &TransferEvent) {
    if let TransferEvent::Ended { result, .. } = event
        && matches!(
            result.outcome,
            FileOutcome::Copied | FileOutcome::Skipped(SkipReason::Unchanged)
        )
    {
        let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
        places.insert(index, result.dst.clone());
    }
}

fn moved(label: &str, result: TransferResult, named: &Named, place: Option<Vec<u8>>) -> Moved {
    let (duration, bytes, copied, ok) = (result.duration, result.bytes, result.copied, result.ok());
    let failure = result.success().err();
    Moved {
        host: label.to_owned(),
        ok,
        bytes,
        src: named.src.clone(),
        dst: place
            .filter(|_| ok)
            .and_then(|place| named.shown(&place))
            .unwrap_or_else(|| named.dst.clone()),
        dry_run: false,
        changed: copied > 0,
        skipped: failure.as_ref().is_some_and(|error| Skipped::of(error).is_some()),
        error: failure.as_ref().map(reason).unwrap_or_default(),
        duration,
    }
}

impl Named {
    /// A place on this machine the way the script named it.
    fn shown(&self, place: &[u8]) -> Option<String> {
        if !self.is_download {
            return None;
        }
        let (place, local) = (std::str::from_utf8(place).ok()?, self.local.to_str()?);
        match place.strip_prefix(local) {
            Some(rest) => Some(format!("{}{rest}", self.dst)),
            None => Some(place.to_owned()),
        }
    }
}

/// What would be moved, for each host.
pub(super) fn dry_run(labels: &[String], src: &str, dst: &str) -> Vec<Moved> {
    let moved = |label: &String| Moved {
        host: label.clone(),
        ok: true,
        src: src.to_owned(),
        dst: dst.to_owned(),
        dry_run: true,
        ..Moved::default()
    };
    labels.iter().map(moved).collect()
}

/// Looks at a file that is to be sent before anybody is connected to.
///
/// # Errors
/// When it cannot be read, or is a directory.
pub(super) async fn check_source(path: &Path, shown: &str) -> anyhow::Result<()> {
    let shown = sternline::proto::text::escape(shown);
    match tokio::fs::metadata(path).await {
        Ok(metadata) if metadata.is_dir() => {
            Err(anyhow::anyhow!("upload: {shown} is a directory: name a file"))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(anyhow::anyhow!(
            "upload: failed to read local file: {shown}: {error}"
        )),
    }
}
