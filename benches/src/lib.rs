//! Benchmarks: Sternline and its peers at the same work, and the page that shows what came out.
//!
//! `peers` measures, `page` writes the page. `benches/README.md` says how.

mod cpu;
mod expect;
mod fan_out;
mod files;
mod forwards;
mod idle;
mod measure;
pub mod page;
mod peer;
mod process;
pub mod results;
mod round_trips;
mod script;
mod suite;
mod turns;
mod work;
mod worker;

pub use suite::run as peers;
