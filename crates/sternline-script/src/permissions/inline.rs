//! Rules in one line: `allow:RULE,RULE;deny:RULE;default:deny`.

use super::rule::Effect;
use super::{Permissions, PermissionsError};

const SECTIONS: [&str; 3] = ["allow:", "deny:", "default:"];

/// Whether a value of `--permissions` is meant as rules.
pub(super) fn looks_like(text: &str) -> bool {
    SECTIONS.iter().any(|section| text.starts_with(section))
}

pub(super) fn parse(text: &str) -> Result<Permissions, PermissionsError> {
    let mut permissions = Permissions::deny_all();
    let mut is_empty = true;
    for section in split(text, ';') {
        let section = section.trim();
        if section.is_empty() {
            continue;
        }
        is_empty = false;
        let (name, rest) = section.split_once(':').unwrap_or((section, ""));
        match name.trim() {
            "allow" => rules(&mut permissions, Effect::Allow, rest)?,
            "deny" => rules(&mut permissions, Effect::Deny, rest)?,
            "default" => permissions.by_default = by_default(rest.trim())?,
            other => {
                return Err(PermissionsError::Syntax(format!(
                    "`{other}` begins nothing: write `allow:RULE,RULE;deny:RULE`"
                )));
            }
        }
    }
    if is_empty {
        return Err(PermissionsError::Syntax(
            "there are no rules: write `allow:RULE,RULE;deny:RULE`, or deny-all".to_owned(),
        ));
    }
    Ok(permissions)
}

/// What `default` may be.
pub(super) fn by_default(text: &str) -> Result<bool, PermissionsError> {
    match text {
        "allow" => Ok(true),
        "deny" => Ok(false),
        other => Err(PermissionsError::Syntax(format!(
            "the default is `allow` or `deny`, and not `{other}`"
        ))),
    }
}

fn rules(permissions: &mut Permissions, effect: Effect, text: &str) -> Result<(), PermissionsError> {
    for rule in split(text, ',') {
        if !rule.trim().is_empty() {
            permissions.add(effect, rule)?;
        }
    }
    Ok(())
}

/// Splits at a character that stands outside of all parentheses. A `\` takes the meaning from what follows.
fn split(text: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut escaped) = (0, 0_usize, false);
    for (place, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if c == at && depth == 0 => {
                parts.push(text.get(start..place).unwrap_or_default());
                start = place + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}
