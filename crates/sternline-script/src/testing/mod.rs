//! What runs the tests of scripts: finds their files, runs each test by itself, and reports.

mod capture;
mod case;
mod discover;
mod file;
mod filter;
mod json;
mod junit;
mod limit;
mod report;
mod run;
mod text;

pub use discover::{DiscoverError, discover};
pub use filter::Filter;
pub use json::{json_case, json_file, json_summary};
pub use junit::junit;
pub use report::{CaseReport, Counts, FileReport, Outcome, Problem, Stage, TestReport};
pub use run::{TestEvent, TestPlan, run_tests};
pub use text::{text_case, text_failures, text_file, text_summary};
