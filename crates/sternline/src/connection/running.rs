//! Which commands of a connection have been started and have not exited yet, in the order of their start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The place of a command in the order of starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StartOrder(u64);

#[derive(Debug, Default)]
pub(super) struct Running {
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    next: u64,
    /// How many have been taken out again.
    exited: u64,
    commands: BTreeMap<StartOrder, Arc<[u8]>>,
}

impl Running {
    /// Adds a command; dropping the guard takes it out again.
    pub(super) fn add(self: &Arc<Self>, command: &[u8]) -> (StartOrder, RunningGuard) {
        let mut list = self.lock();
        let order = StartOrder(list.next);
        list.next += 1;
        list.commands.insert(order, command.into());
        drop(list);
        (
            order,
            RunningGuard {
                running: Arc::clone(self),
                order,
            },
        )
    }

    pub(super) fn contains(&self, order: StartOrder) -> bool {
        self.lock().commands.contains_key(&order)
    }

    /// How many commands have exited so far.
    pub(super) fn exited(&self) -> u64 {
        self.lock().exited
    }

    /// The commands started before `before`, oldest first, and where among them `wanted` is, if it still runs.
    pub(super) fn before(&self, before: StartOrder, wanted: StartOrder) -> (Vec<Arc<[u8]>>, Option<usize>) {
        let list = self.lock();
        let earlier = || list.commands.range(..before);
        let index = earlier().position(|(order, _)| *order == wanted);
        (earlier().map(|(_, command)| Arc::clone(command)).collect(), index)
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct RunningGuard {
    running: Arc<Running>,
    order: StartOrder,
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        let mut list = self.running.lock();
        list.commands.remove(&self.order);
        list.exited += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_listed_in_the_order_of_their_start_until_their_guard_falls() {
        let running = Arc::new(Running::default());
        let (first, first_guard) = running.add(b"first");
        let (second, _second_guard) = running.add(b"second");
        let (third, _third_guard) = running.add(b"third");
        let (commands, index) = running.before(third, second);
        assert_eq!(
            commands
                .iter()
                .map(|command| command.to_vec())
                .collect::<Vec<_>>(),
            [b"first".to_vec(), b"second".to_vec()]
        );
        assert_eq!(index, Some(1));
        drop(first_guard);
        assert!(!running.contains(first));
        assert_eq!(running.before(third, second).1, Some(0));
        assert_eq!(running.before(third, first).1, None);
    }
}
