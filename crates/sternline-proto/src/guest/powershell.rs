//! A Windows guest's variables: scripts for its PowerShell, and what it answers.
//!
//! A script goes in on standard input, so that neither it nor a secret in it is seen among the processes or bounded
//! by the length of a command line, and everything that varies goes in as base64, so that no quote, line's end or
//! code page changes it.

use data_encoding::BASE64;
use serde_json::Value;
use zeroize::Zeroizing;

use super::environment::{Variables, check_name, check_variable};
use super::error::GuestError;
use super::shell::encoded;

/// The variable in which a Windows guest keeps the names of those that were set from here, separated by commas.
pub const MANAGED_KEYS: &str = "STERNLINE_ENV_MANAGED_KEYS";

/// Runs the script on its standard input, which is base64 of UTF-8.
const BOOTSTRAP: &str = "$ProgressPreference='SilentlyContinue'\n\
    $ErrorActionPreference='Stop'\n\
    $b=[Console]::In.ReadToEnd()\n\
    &([ScriptBlock]::Create([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($b))))";

/// The line that runs a script in PowerShell; [`script_input`] is what it reads.
#[must_use]
pub fn script_line() -> String {
    encoded(BOOTSTRAP)
}

/// What the line of [`script_line`] has to read to run this script.
#[must_use]
pub fn script_input(script: &str) -> Zeroizing<String> {
    Zeroizing::new(BASE64.encode(script.as_bytes()))
}

/// The names in the books, as an array that may be empty.
const MANAGED: &str = "$k=@([Environment]::GetEnvironmentVariable('STERNLINE_ENV_MANAGED_KEYS','User') -split ',' | Where-Object {$_})\n";

/// A script that writes the variables which were set from here, for [`parse_variables`]. Those that are gone are left
/// out.
#[must_use]
pub fn read_script() -> String {
    format!(
        "{MANAGED}$h=@{{}}\n\
         foreach($n in $k){{$v=[Environment]::GetEnvironmentVariable($n,'User');if($null -ne $v){{$h[$n]=$v}}}}\n\
         [Console]::Out.Write([Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes((ConvertTo-Json -Compress $h))))\n"
    )
}

/// A script that makes these the variables that were set from here: it sets them all, and removes those that were set
/// before and are not among them. They are the account's own (`HKCU\Environment`).
///
/// # Errors
/// As [`check_variable`], and for an empty value, which Windows takes for no variable at all.
pub fn write_script(variables: &Variables) -> Result<Zeroizing<String>, GuestError> {
    let room: usize = variables
        .iter()
        .map(|(name, value)| 2 * name.len() + value.len() * 4 + 160)
        .sum();
    let mut script = Zeroizing::new(String::with_capacity(MANAGED.len() + room + 512));
    script.push_str(MANAGED);
    script.push_str("$n=@(");
    for (index, name) in variables.keys().enumerate() {
        check_name(name)?;
        script.push_str(if index == 0 { "'" } else { ",'" });
        script.push_str(name);
        script.push('\'');
    }
    script.push_str(")\n");
    // The books first: whatever happens next, nothing is set that they do not know.
    script.push_str("$e=[EnvironmentVariableTarget]::User\n");
    script.push_str(&set(
        MANAGED_KEYS,
        "((@($k)+@($n) | Sort-Object -Unique) -join ',')",
    ));
    for (name, value) in variables {
        check_variable(name, value)?;
        if value.is_empty() {
            return Err(GuestError::VariableValue {
                name: name.clone(),
                problem: "is empty, which Windows takes for no variable at all",
            });
        }
        let text = Zeroizing::new(BASE64.encode(value.as_bytes()));
        let expression = Zeroizing::new(format!(
            "([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('{}')))",
            *text
        ));
        script.push_str(&Zeroizing::new(set(name, &expression)));
    }
    script.push_str(
        "foreach($o in $k){if($n -notcontains $o){[Environment]::SetEnvironmentVariable($o,$null,$e)}}\n",
    );
    script.push_str(&set(MANAGED_KEYS, "($n -join ',')"));
    Ok(script)
}

fn set(name: &str, expression: &str) -> String {
    format!("[Environment]::SetEnvironmentVariable('{name}',{expression},$e)\n")
}

/// Reads what the script of [`read_script`] has written.
///
/// # Errors
/// [`GuestError::Answer`] when it is something else.
pub fn parse_variables(stdout: &str) -> Result<Variables, GuestError> {
    let json = BASE64
        .decode(stdout.trim().as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| GuestError::Answer)?;
    let Ok(Value::Object(found)) = serde_json::from_slice(&json) else {
        return Err(GuestError::Answer);
    };
    found
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(value) => Ok((name, Zeroizing::new(value))),
            _ => Err(GuestError::Answer),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Zeroizing::new((*value).to_owned())))
            .collect()
    }

    #[test]
    fn the_script_sets_what_is_wanted_and_removes_what_was_set_before() {
        let script = write_script(&variables(&[("A", "x"), ("B", "it's\n‘two’")])).unwrap();
        let lines: Vec<&str> = script.lines().collect();
        let value = "([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String";
        assert_eq!(
            lines,
            [
                MANAGED.trim_end(),
                "$n=@('A','B')",
                "$e=[EnvironmentVariableTarget]::User",
                "[Environment]::SetEnvironmentVariable('STERNLINE_ENV_MANAGED_KEYS',((@($k)+@($n) | Sort-Object -Unique) -join ','),$e)",
                &format!("[Environment]::SetEnvironmentVariable('A',{value}('eA=='))),$e)"),
                &format!("[Environment]::SetEnvironmentVariable('B',{value}('aXQncwrigJh0d2/igJk='))),$e)"),
                "foreach($o in $k){if($n -notcontains $o){[Environment]::SetEnvironmentVariable($o,$null,$e)}}",
                "[Environment]::SetEnvironmentVariable('STERNLINE_ENV_MANAGED_KEYS',($n -join ','),$e)",
            ]
        );
        assert!(write_script(&Variables::new()).unwrap().contains("$n=@()\n"));
    }

    #[test]
    fn what_windows_cannot_hold_is_refused() {
        for (name, value) in [("A", ""), ("A-B", "x"), ("A", "x\0"), (MANAGED_KEYS, "x")] {
            assert!(
                write_script(&variables(&[(name, value)])).is_err(),
                "{name:?} {value:?}"
            );
        }
    }

    #[test]
    fn an_answer_is_read_and_anything_else_is_not_taken_for_one() {
        let answer = BASE64.encode(r#"{"A":"x","B":"it's\n\"two\""}"#.as_bytes());
        assert_eq!(
            parse_variables(&format!("{answer}\r\n")),
            Ok(variables(&[("A", "x"), ("B", "it's\n\"two\"")]))
        );
        assert_eq!(parse_variables(&BASE64.encode(b"{}")), Ok(Variables::new()));
        for wrong in ["", "hello", &BASE64.encode(b"[1]"), &BASE64.encode(br#"{"A":1}"#)] {
            assert_eq!(parse_variables(wrong), Err(GuestError::Answer), "{wrong:?}");
        }
    }

    #[test]
    fn a_script_goes_in_as_base64_of_utf_8_behind_a_line_that_is_always_the_same() {
        assert_eq!(*script_input("é\n"), "w6kK");
        assert!(script_line().starts_with("powershell.exe -NoProfile -EncodedCommand "));
        assert!(script_line().len() < 1000, "cmd.exe takes 8191");
    }

    proptest! {
        /// Whatever a value holds, the script consists of the same lines: nothing of it is ever read as PowerShell.
        #[test]
        fn no_value_gets_out_of_its_quotes(value in "[^\u{0}]{1,40}") {
            let script = write_script(&variables(&[("A", &value)])).unwrap();
            prop_assert_eq!(script.lines().count(), 7);
            prop_assert!(script.is_ascii());
        }
    }
}
