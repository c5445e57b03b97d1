//! The module `runtime`: what the script runs on.

use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;
use starlark::values::dict::AllocDict;
use starlark::values::{Heap, Value};

/// Adds the module.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("runtime", functions);
}

#[cfg(unix)]
fn uname() -> anyhow::Result<[(&'static str, String); 5]> {
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    Ok([
        ("system", text(uname.sysname())),
        ("node", text(uname.nodename())),
        ("release", text(uname.release())),
        ("version", text(uname.version())),
        ("machine", text(uname.machine())),
    ])
}

#[cfg(not(unix))]
fn uname() -> anyhow::Result<[(&'static str, String); 5]> {
    anyhow::bail!("runtime.uname: this platform has none")
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// The operating system: `linux`, `darwin`, `windows`.
    fn platform() -> anyhow::Result<&'static str> {
        Ok(match std::env::consts::OS {
            // As scripts know it.
            "macos" => "darwin",
            os => os,
        })
    }

    /// The processor: `amd64`, `arm64`.
    fn arch() -> anyhow::Result<&'static str> {
        Ok(match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            arch => arch,
        })
    }

    /// How many processors there are.
    fn cpu_count() -> anyhow::Result<u32> {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// The version of Sternline.
    fn version() -> anyhow::Result<&'static str> {
        Ok(env!("CARGO_PKG_VERSION"))
    }

    /// What the system says of itself: a dict of `system`, `node`, `release`, `version` and `machine`.
    fn uname<'v>(heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(heap.alloc(AllocDict(uname()?)))
    }
}
