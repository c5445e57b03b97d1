//! A file may hold anything in each of the formats: reading it must end, must not panic, and must keep passwords and control
//! characters out of what it says. Whatever it says of how a host is reached must be single lines of ssh_config.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::inventory::{Inventory, VarsFile};

fuzz_target!(|input: (u8, &str, &str)| {
    let (format, text, vars) = input;
    let path = ["hosts", "hosts.ini", "hosts.yml", "hosts.toml"][usize::from(format % 4)];
    let mut inventory = Inventory::new();
    let mut read = inventory.add(path, text);
    let file = VarsFile {
        path: "vars.yml",
        text: vars,
        source: 0,
    };
    if let Some(host) = inventory.hosts().next() {
        read = read.and_then(|()| inventory.add_host_vars(host, file));
    }
    for group in inventory.groups().take(2) {
        read = read.and_then(|()| inventory.add_group_vars(group, file));
    }
    match read.and_then(|()| inventory.finish()) {
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
        Ok(()) => {
            for host in inventory.hosts().take(20) {
                let _ = inventory.other_connection(host);
                if let Ok(settings) = inventory.ssh_settings(host) {
                    for line in settings.lines {
                        assert!(!line.value.is_empty());
                    }
                }
                assert!(inventory.vars(host).iter().all(|(name, var)| {
                    name != "ansible_password" || var.value == sternline_proto::redact::REDACTED
                }));
            }
        }
    }
});
