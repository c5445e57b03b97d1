//! Work that may block its thread, such as reading a file from a disk that has gone.

use starlark::eval::Evaluator;

use crate::wait::wait;

/// Does it on a thread of the runtime's, while the script's own stays there for callbacks. When the script has to end, nobody waits for
/// it any more.
pub(crate) fn blocking<T: Send + 'static>(
    eval: &mut Evaluator<'_, '_, '_>,
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    Ok(wait(
        eval,
        async move { tokio::task::spawn_blocking(work).await },
    )??)
}
