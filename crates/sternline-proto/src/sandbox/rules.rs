//! Which commands may be run, and with which arguments.

use super::error::Refusal;
use super::path;
use super::pattern::{Slash, matches};
use super::profile::SandboxProfile;

/// What is wrong with a pattern of commands.
pub(super) fn check_pattern(pattern: &str) -> Result<(), String> {
    if pattern.is_empty() {
        return Err("must be a non-empty string".to_owned());
    }
    if pattern.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    if !pattern.contains('/') {
        return match pattern {
            "." | ".." => Err("must be the name of a program".to_owned()),
            _ => Ok(()),
        };
    }
    match path::normal(pattern) {
        Ok(whole) if whole == pattern && whole != "/" => Ok(()),
        Ok(_) => Err(format!(
            "must be written without doubled slashes, dots and a slash at its end: {pattern}"
        )),
        Err(reason) if reason.starts_with("must be absolute") => {
            Err(format!("must be a bare name or an absolute path: {pattern}"))
        }
        Err(reason) => Err(reason),
    }
}

/// Whether a pattern allows a program in this spelling.
///
/// A path that can be read in more than one way, such as `/usr/bin/../lib/x`, is allowed by none.
pub(super) fn allows(pattern: &str, program: &str) -> bool {
    let is_plain = match program.contains('/') {
        true => path::normal(program).is_ok_and(|whole| whole == program),
        false => program != "." && program != "..",
    };
    is_plain && matches(pattern, program, Slash::Apart)
}

/// Whether the profile lets this be run. Every way into a sandbox asks here first.
///
/// # Errors
/// [`Refusal::EmptyCommand`], [`Refusal::NotAllowed`], [`Refusal::ArgumentNotAllowed`] or [`Refusal::Nul`].
pub fn check_allowed<S: AsRef<str>>(profile: &SandboxProfile, argv: &[S]) -> Result<(), Refusal> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Refusal::EmptyCommand);
    };
    let program = program.as_ref();
    if program.is_empty() {
        return Err(Refusal::EmptyCommand);
    }
    if let Some(index) = argv.iter().position(|word| word.as_ref().contains('\0')) {
        return Err(Refusal::Nul { index });
    }
    let allowed = profile.allows_any_command()
        || profile
            .allowed_commands()
            .iter()
            .any(|pattern| allows(pattern, program));
    if !allowed {
        return Err(Refusal::NotAllowed {
            profile: profile.name().to_owned(),
            command: program.to_owned(),
        });
    }
    let name = program.rsplit('/').next().unwrap_or(program);
    let about_it = |command: &str| match command.contains('/') {
        true => allows(command, program),
        false => matches(command, name, Slash::Apart),
    };
    for rule in profile
        .argument_rules()
        .iter()
        .filter(|rule| about_it(rule.command()))
    {
        let is = |pattern: &String, argument: &str| matches(pattern, argument, Slash::Plain);
        let refused = arguments.iter().map(AsRef::as_ref).find(|argument| {
            rule.denied().iter().any(|pattern| is(pattern, argument))
                || (!rule.allowed().is_empty() && !rule.allowed().iter().any(|pattern| is(pattern, argument)))
        });
        if let Some(argument) = refused {
            return Err(Refusal::ArgumentNotAllowed {
                profile: profile.name().to_owned(),
                command: program.to_owned(),
                argument: argument.to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::parts::ArgumentRule;
    use super::*;

    fn profile(commands: &[&str]) -> SandboxProfile {
        SandboxProfile::builder("p")
            .allow_commands(commands.iter().copied())
            .build()
            .unwrap()
    }

    #[test]
    fn only_the_spelling_on_the_list_is_allowed() {
        for (pattern, program, expected) in [
            ("ls", "ls", true),
            ("ls", "/bin/ls", false),
            ("ls", "./ls", false),
            ("/usr/bin/*", "/usr/bin/ls", true),
            ("/usr/bin/*", "/usr/bin/../../bin/sh", false),
            ("/usr/bin/*", "/usr/bin//ls", false),
            ("/usr/*/ls", "/usr//ls", false),
            ("/usr/*/ls", "/usr/./ls", false),
            ("/usr/bin/*", "/usr/bin/", false),
            ("*", "sh", true),
            ("*", "/bin/sh", false),
            ("*", "..", false),
            ("LS", "ls", false),
        ] {
            let verdict = check_allowed(&profile(&[pattern]), &[program]);
            assert_eq!(verdict.is_ok(), expected, "{pattern} {program}");
        }
    }

    #[test]
    fn an_empty_command_and_a_nul_are_refused_whatever_is_allowed() {
        let any = SandboxProfile::builder("p")
            .allow_any_command(true)
            .build()
            .unwrap();
        assert_eq!(check_allowed::<&str>(&any, &[]), Err(Refusal::EmptyCommand));
        assert_eq!(check_allowed(&any, &[""]), Err(Refusal::EmptyCommand));
        assert_eq!(
            check_allowed(&any, &["ls", "a\0b"]),
            Err(Refusal::Nul { index: 1 })
        );
        assert_eq!(check_allowed(&any, &["/any/where", "-x"]), Ok(()));
    }

    #[test]
    fn rules_hold_for_a_command_in_every_directory() {
        let find = ArgumentRule::new("find").deny("-exec*").deny("-delete");
        let systemctl = ArgumentRule::new("/usr/bin/systemctl")
            .allow("status")
            .allow("[a-z]*.service");
        let profile = SandboxProfile::builder("p")
            .allow_commands(["find", "/usr/bin/*", "/bin/*"])
            .argument_rule(find)
            .argument_rule(systemctl)
            .build()
            .unwrap();
        for (argv, expected) in [
            (&["find", "/", "-name", "x"][..], true),
            (&["find", "/", "-exec", "sh"], false),
            (&["/usr/bin/find", "/", "-execdir", "sh"], false),
            (&["/bin/find", "-delete"], false),
            (&["/usr/bin/systemctl", "status", "ssh.service"], true),
            (&["/usr/bin/systemctl", "stop", "ssh.service"], false),
            (&["/bin/systemctl", "stop", "ssh.service"], true),
            (&["/usr/bin/systemctl"], true),
        ] {
            assert_eq!(check_allowed(&profile, argv).is_ok(), expected, "{argv:?}");
        }
    }

    #[test]
    fn patterns_that_could_be_read_in_two_ways_are_refused() {
        for pattern in [
            "",
            ".",
            "..",
            "./ls",
            "bin/ls",
            "/usr//bin/ls",
            "/usr/bin/",
            "/usr/../bin/*",
            "/",
            "a\nb",
        ] {
            assert!(check_pattern(pattern).is_err(), "{pattern:?}");
        }
        for pattern in ["ls", "*", "git-*", "/usr/bin/*", "/usr/bin/[a-z]?"] {
            assert_eq!(check_pattern(pattern), Ok(()), "{pattern}");
        }
    }
}
