//! The module `runtime`: what the script runs on.

use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;

/// Adds the module.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("runtime", functions);
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
}
