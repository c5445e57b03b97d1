//! A configuration file may hold anything, and include itself: resolving it must end, must not panic, and must not let
//! a host or user name through that a target could not have. Neither may an answer hang on who asks first.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

use sternline_proto::ssh_config::{ConfigFile, Env, Query, RootFile, resolve};
use sternline_proto::target::{check_host, check_user};

/// A machine whose only file is the fuzzed one, whatever an include asks for.
struct Machine(Arc<[ConfigFile]>);

impl Env for Machine {
    fn home(&self) -> Option<String> {
        Some("/home/ann".to_owned())
    }

    fn user(&self) -> Option<String> {
        Some("ann".to_owned())
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "KEYS").then(|| "/keys".to_owned())
    }

    fn user_id(&self) -> Option<u32> {
        Some(1000)
    }

    fn local_host(&self) -> Option<String> {
        Some("here.example".to_owned())
    }

    fn include(&self, pattern: &str) -> Result<Arc<[ConfigFile]>, String> {
        match pattern.contains("missing") {
            true => Ok(Arc::default()),
            false => Ok(Arc::clone(&self.0)),
        }
    }
}

fuzz_target!(|input: (&str, &str, Vec<String>)| {
    let (text, included, options) = input;
    let file = RootFile {
        file: ConfigFile::parse("config", text),
        include_directory: "/home/ann/.ssh".to_owned(),
    };
    let machine = Machine([ConfigFile::parse("included", included)].into());
    let query = Query {
        host: "web-1",
        user: None,
        port: None,
        options: &options,
        inventory: &[],
        files: &[file],
    };
    let found = resolve(&query, &machine);
    assert_eq!(found, resolve(&query, &machine));
    match found {
        Ok(found) => {
            check_host(&found.host_name.value).expect("a host name that a target could have");
            if let Some(user) = &found.user {
                check_user(&user.value).expect("a user name that a target could have");
            }
            assert!(found.shown().iter().all(|shown| !shown.keyword.is_empty()));
        }
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
    }
});
