//! A password that somebody has typed into a target, as in `user:password@host`. To ssh all of it is the name of a user, and so it is to
//! us; but it is not what a history is for.

use sternline::proto::redact::REDACTED;
use sternline::proto::target::Target;

/// The passwords in targets, each with what stands around it.
#[derive(Debug, Default)]
pub(crate) struct TypedPasswords(Vec<(String, String)>);

impl TypedPasswords {
    pub(crate) fn of<'a>(targets: impl IntoIterator<Item = &'a Target>) -> Self {
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, password) in targets.into_iter().filter_map(split) {
            let typed = format!("{name}:{password}@");
            // Many hosts have the same.
            if found.last().is_none_or(|(known, _)| *known != typed) {
                found.push((typed, format!("{name}:{REDACTED}@")));
            }
        }
        // A longer one may begin with a shorter one.
        found.sort_by_key(|(typed, _)| std::cmp::Reverse(typed.len()));
        found.dedup();
        Self(found)
    }

    /// The text without them.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (typed, hidden)| {
            text.replace(typed, hidden)
        })
    }
}

/// The target as the history has it.
pub(crate) fn without_password(target: &Target) -> String {
    TypedPasswords::of([target]).hide(&target.to_string())
}

/// What stands before and behind the colon in the name of the user.
fn split(target: &Target) -> Option<(&str, &str)> {
    target
        .user()?
        .split_once(':')
        .filter(|(_, password)| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sternline::proto::target::parse_targets;

    #[test]
    fn a_password_in_a_target_is_hidden_wherever_the_target_is_named() {
        let targets = parse_targets("deploy:pw@web-[1-2],deploy:pwd@db:22,ann@db,x:@db")
            .unwrap()
            .targets;
        let typed = TypedPasswords::of(&targets);
        assert_eq!(typed.0.len(), 2);
        assert_eq!(
            typed.hide("sternline ssh deploy:pw@web-[1-2],deploy:pwd@db:22,ann@db,x:@db uptime"),
            "sternline ssh deploy:[REDACTED]@web-[1-2],deploy:[REDACTED]@db:22,ann@db,x:@db uptime"
        );
        let shown: Vec<String> = targets.iter().map(without_password).collect();
        assert_eq!(
            shown[..3],
            [
                "deploy:[REDACTED]@web-1",
                "deploy:[REDACTED]@web-2",
                "deploy:[REDACTED]@db:22"
            ]
        );
    }
}
