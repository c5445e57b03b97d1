//! Hosts that said the same.

use std::collections::HashMap;

use crate::error::Result;
use crate::fleet::outcome::Outcome;

/// What makes two outcomes the same: how it ended, and the hashes of what was written.
type Key = (String, [u8; 32], [u8; 32]);

/// Puts outcomes together that are the same: the same exit status, or the same error, and the same output byte for byte.
/// Gives the places of the outcomes, group by group, in the order in which the groups' first ones come.
///
/// # Errors
/// When output that is in a file cannot be read.
pub async fn group(outcomes: &[Outcome]) -> Result<Vec<Vec<usize>>> {
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, outcome) in outcomes.iter().enumerate() {
        let ended = match &outcome.result {
            Ok(result) => result.status.to_string(),
            Err(error) => format!("{}: {error}", error.error_type()),
        };
        let key = (
            ended,
            outcome.stdout.sha256().await?,
            outcome.stderr.sha256().await?,
        );
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    Ok(groups)
}
