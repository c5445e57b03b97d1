//! A configuration file may hold anything, and include itself: resolving it must end, must not panic, and must not let
//! a host or user name through that a target could not have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::ssh_config::{ConfigFile, Env, Query, resolve};
use sternline_proto::target::check_user;

/// A machine whose only file is the fuzzed one, whatever an include asks for.
struct Machine<'a>(&'a str);

impl Env for Machine<'_> {
    fn home(&self) -> Option<String> {
        Some("/home/ann".to_owned())
    }

    fn user(&self) -> Option<String> {
        Some("ann".to_owned())
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "KEYS").then(|| "/keys".to_owned())
    }

    fn include(&self, pattern: &str) -> Result<Vec<(String, String)>, String> {
        if pattern.contains("missing") {
            return Ok(Vec::new());
        }
        Ok(vec![(pattern.to_owned(), self.0.to_owned())])
    }
}

fuzz_target!(|input: (&str, &str, Vec<String>)| {
    let (text, included, options) = input;
    let file = ConfigFile {
        path: "config".to_owned(),
        text: text.to_owned(),
        include_directory: "/home/ann/.ssh".to_owned(),
    };
    let query = Query {
        host: "web-1",
        user: None,
        port: None,
        options: &options,
        inventory: &[],
        files: &[file],
    };
    match resolve(&query, &Machine(included)) {
        Ok(found) => {
            if let Some(user) = found.user {
                check_user(&user.value).expect("a user name that a target could have");
            }
        }
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
    }
});
