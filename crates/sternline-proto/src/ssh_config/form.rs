//! The form of the options that are not obeyed: what ssh refuses for its form is refused here as well, for whoever wrote it meant
//! something else. Where versions of ssh differ, what one of them takes is taken.

use super::error::Problem;
use super::value;

/// What an option takes.
enum Form {
    /// One word.
    Word,
    /// One word that a function accepts; the text says what it would have accepted.
    Checked(fn(&str) -> bool, &'static str),
    /// One of these words, in capitals or not; the text lists them.
    OneOf(&'static [&'static str], &'static str),
    /// One or more words that a function accepts.
    Each(fn(&str) -> bool, &'static str),
    /// All words together.
    Together(fn(&[String]) -> bool, &'static str),
    /// What follows is a command, and left to a shell.
    Command,
    /// Anything: ssh does not look at it.
    Unread,
}

/// Checks the value of an option, whose name is in lower case and known. `keyword` is the name as it was written.
pub(super) fn check(word: &str, keyword: &str, values: &[String]) -> Result<(), Problem> {
    let form = form(word);
    let [first, more @ ..] = values else {
        return Err(Problem::NoValue {
            keyword: keyword.to_owned(),
        });
    };
    let refused = |value: &str, expected| {
        Err(Problem::Value {
            keyword: keyword.to_owned(),
            value: value.to_owned(),
            expected,
        })
    };
    if matches!(form, Form::Command | Form::Unread) {
        return Ok(());
    }
    if values.iter().any(String::is_empty) {
        return Err(Problem::NoValue {
            keyword: keyword.to_owned(),
        });
    }
    match form {
        Form::Together(takes, expected) => match takes(values) {
            true => return Ok(()),
            false => return refused(&values.join(" "), expected),
        },
        Form::Each(takes, expected) => {
            return match values.iter().find(|value| !takes(value)) {
                None => Ok(()),
                Some(value) => refused(value, expected),
            };
        }
        Form::Checked(takes, expected) if !takes(first) => return refused(first, expected),
        Form::OneOf(words, expected) if !words.iter().any(|word| first.eq_ignore_ascii_case(word)) => {
            return refused(first, expected);
        }
        _ => {}
    }
    match more {
        [] => Ok(()),
        _ => Err(Problem::ExtraValue {
            keyword: keyword.to_owned(),
        }),
    }
}

fn form(word: &str) -> Form {
    match word {
        "canonicalizefallbacklocal"
        | "checkhostip"
        | "clearallforwardings"
        | "enableescapecommandline"
        | "enablesshkeysign"
        | "exitonforwardfailure"
        | "forkafterauthentication"
        | "forwardx11"
        | "forwardx11trusted"
        | "gatewayports"
        | "gssapiauthentication"
        | "gssapidelegatecredentials"
        | "gssapikeyexchange"
        | "gssapirenewalforcesrekey"
        | "gssapitrustdns"
        | "hostbasedauthentication"
        | "keepalive"
        | "nohostauthenticationforlocalhost"
        | "permitlocalcommand"
        | "proxyusefdpass"
        | "stdinnull"
        | "streamlocalbindunlink"
        | "tcpkeepalive"
        | "visualhostkey" => Form::Checked(|text| value::boolean(text).is_ok(), "write yes or no"),
        "compression" => Form::OneOf(&["yes", "no"], "write yes or no"),
        "controlmaster" => Form::OneOf(
            &["yes", "true", "no", "false", "auto", "ask", "autoask"],
            "write yes, no, ask, auto or autoask",
        ),
        "canonicalizehostname" => Form::OneOf(
            &["yes", "true", "no", "false", "always"],
            "write yes, no or always",
        ),
        "updatehostkeys" | "verifyhostkeydns" => {
            Form::OneOf(&["yes", "true", "no", "false", "ask"], "write yes, no or ask")
        }
        "requesttty" => Form::OneOf(
            &["yes", "true", "no", "false", "force", "auto"],
            "write yes, no, force or auto",
        ),
        "sessiontype" => Form::OneOf(
            &["none", "subsystem", "default"],
            "write none, subsystem or default",
        ),
        "tunnel" => Form::OneOf(
            &["yes", "true", "no", "false", "point-to-point", "ethernet"],
            "write yes, no, point-to-point or ethernet",
        ),
        "loglevel" => Form::OneOf(
            &[
                "quiet", "silent", "fatal", "error", "info", "verbose", "debug", "debug1", "debug2", "debug3",
            ],
            "write QUIET, FATAL, ERROR, INFO, VERBOSE, DEBUG, DEBUG2 or DEBUG3",
        ),
        "syslogfacility" => Form::OneOf(
            &[
                "daemon", "user", "auth", "authpriv", "local0", "local1", "local2", "local3", "local4",
                "local5", "local6", "local7",
            ],
            "write DAEMON, USER, AUTH or LOCAL0 to LOCAL7",
        ),
        "fingerprinthash" => Form::OneOf(
            &["md5", "sha1", "sha256", "sha384", "sha512"],
            "write md5 or sha256",
        ),
        "canonicalizemaxdots" | "connectionattempts" | "requiredrsasize" => {
            Form::Checked(|text| value::count(text).is_ok(), "write a whole number")
        }
        "forwardx11timeout" | "protocolkeepalives" | "setuptimeout" => {
            Form::Checked(|text| value::time(text).is_ok(), TIME)
        }
        "controlpersist" => Form::Checked(
            |text| ["yes", "true", "no", "false"].contains(&text) || is_time(text),
            "write yes, no, or a time such as 30 or 10m",
        ),
        "escapechar" => Form::Checked(is_escape, "write one character, ^ and a letter, or none"),
        "streamlocalbindmask" => Form::Checked(is_mask, "write a number in octal up to 0777"),
        "tunneldevice" => Form::Checked(is_tunnel, "write LOCAL[:REMOTE], each a number or any"),
        "obscurekeystroketiming" => Form::Checked(is_obscured, "write yes, no or interval:MILLISECONDS"),
        "dynamicforward" => Form::Word,
        "localforward" => Form::Together(is_local_forward, "write [ADDRESS:]PORT HOST:HOSTPORT"),
        "remoteforward" => Form::Together(
            is_remote_forward,
            "write [ADDRESS:]PORT, or [ADDRESS:]PORT HOST:HOSTPORT",
        ),
        "addkeystoagent" => Form::Together(is_adding, "write yes, no, ask, confirm, or how long, such as 1h"),
        "ipqos" => Form::Together(
            is_qos,
            "write one or two of AF11 to AF43, CS0 to CS7, EF, LE, none, or a number to 255",
        ),
        "rekeylimit" => Form::Together(
            is_rekey,
            "write an amount such as 1G or default, and none or a time behind it",
        ),
        "canonicaldomains" => Form::Each(is_domain, "write the names of domains, or none"),
        "canonicalizepermittedcnames" => {
            Form::Each(is_cname, "write FROM:TO, each a list of domains, or none")
        }
        "sendenv" => Form::Each(
            |text| !text.contains('='),
            "write names of variables, without values",
        ),
        "setenv" => Form::Each(|text| text.contains('='), "write NAME=VALUE"),
        "permitremoteopen" => Form::Each(is_open, "write HOST:PORT, any or none"),
        "channeltimeout" | "logverbose" | "versionaddendum" => Form::Each(|_| true, ""),
        "knownhostscommand" | "localcommand" | "remotecommand" => Form::Command,
        // Nothing has come of these for a long time, whatever they say.
        "afstokenpassing"
        | "cipher"
        | "compressionlevel"
        | "fallbacktorsh"
        | "globalknownhostsfile2"
        | "kerberosauthentication"
        | "kerberostgtpassing"
        | "protocol"
        | "rhostsauthentication"
        | "rhostsrsaauthentication"
        | "rsaauthentication"
        | "useblacklistedkeys"
        | "useprivilegedport"
        | "userknownhostsfile2"
        | "useroaming"
        | "usersh" => Form::Unread,
        _ => Form::Word,
    }
}

const TIME: &str = "write a time such as 30, 90s or 1m30s";

fn is_time(text: &str) -> bool {
    matches!(value::time(text), Ok(Some(_)))
}

fn is_escape(text: &str) -> bool {
    match text.as_bytes() {
        [_] => true,
        [b'^', letter] => (64..128).contains(letter),
        _ => text == "none",
    }
}

/// What stands behind the digits is not looked at, as for ssh.
fn is_mask(text: &str) -> bool {
    let digits = text.bytes().take_while(|byte| (b'0'..b'8').contains(byte));
    let (count, value) = digits.fold((0_u32, 0_u32), |(count, value), digit| {
        (count + 1, (value * 8 + u32::from(digit - b'0')).min(0o1000))
    });
    count > 0 && value <= 0o777
}

fn is_tunnel(text: &str) -> bool {
    let is_device = |text: &str| text.eq_ignore_ascii_case("any") || value::count(text).is_ok();
    match text.split_once(':') {
        None => is_device(text),
        Some((local, remote)) => is_device(local) && is_device(remote),
    }
}

fn is_obscured(text: &str) -> bool {
    let interval = text.strip_prefix("interval:").map(value::count);
    match interval {
        Some(millis) => millis.is_ok_and(|millis| (1..=1000).contains(&millis)),
        None => value::boolean(text).is_ok(),
    }
}

/// Whether it can be a host with a port or the name of a service, or a path.
fn is_end(text: &str) -> bool {
    let is_host = |(host, port): (&str, &str)| !host.is_empty() && !port.is_empty();
    text.contains('/') || text.rsplit_once(':').is_some_and(is_host)
}

fn is_local_forward(values: &[String]) -> bool {
    matches!(values, [_, to] if is_end(to))
}

fn is_remote_forward(values: &[String]) -> bool {
    values.len() == 1 || is_local_forward(values)
}

fn is_adding(values: &[String]) -> bool {
    match values {
        [confirm, time] => confirm.eq_ignore_ascii_case("confirm") && is_time(time),
        [one] => {
            let words = ["ask", "confirm"];
            value::boolean(one).is_ok()
                || words.iter().any(|word| one.eq_ignore_ascii_case(word))
                || is_time(one)
        }
        _ => false,
    }
}

fn is_qos(values: &[String]) -> bool {
    const WORDS: [&str; 6] = ["ef", "le", "lowdelay", "throughput", "reliability", "none"];
    let is_class = |word: &str| match word.as_bytes() {
        [b'a', b'f', class, drop] => (b'1'..=b'4').contains(class) && (b'1'..=b'3').contains(drop),
        [b'c', b's', class] => (b'0'..=b'7').contains(class),
        _ => false,
    };
    let is_number = |word: &str| {
        let number = match word.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => word.parse(),
        };
        number.is_ok_and(|number: u32| number <= 255)
    };
    let takes = |value: &String| {
        let word = value.to_ascii_lowercase();
        WORDS.contains(&word.as_str()) || is_class(&word) || is_number(&word)
    };
    values.len() <= 2 && values.iter().all(takes)
}

fn is_rekey(values: &[String]) -> bool {
    let is_amount = |text: &str| {
        let last = text.chars().last().map(|unit| unit.to_ascii_lowercase());
        let has_unit = last.is_some_and(|last| "bkmgtpe".contains(last));
        let digits = match has_unit {
            true => text.get(..text.len() - 1).unwrap_or_default(),
            false => text,
        };
        let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && digits.matches('.').count() <= 1;
        // ssh refuses to exchange keys for every few bytes.
        let is_tiny = matches!(digits.parse::<u64>(), Ok(1..16)) && (!has_unit || last == Some('b'));
        is_number && !is_tiny
    };
    match values {
        [amount] => amount == "default" || is_amount(amount),
        [amount, time] => (amount == "default" || is_amount(amount)) && value::time(time).is_ok(),
        _ => false,
    }
}

fn is_domain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        && !text.contains("..")
}

fn is_cname(text: &str) -> bool {
    text.eq_ignore_ascii_case("none")
        || text == "*"
        || text.split_once(':').is_some_and(|(_, to)| !to.is_empty())
}

fn is_open(text: &str) -> bool {
    text == "any" || text == "none" || is_end(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(word: &str, values: &[&str]) -> Result<(), String> {
        let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
        check(word, word, &values).map_err(|problem| problem.to_string())
    }

    #[test]
    fn what_ssh_would_refuse_is_refused_with_what_would_be_taken() {
        for (word, values, expected) in [
            (
                "compression",
                &["maybe"][..],
                "maybe is no value for compression: write yes or no",
            ),
            ("compression", &[], "compression needs a value"),
            ("compression", &[""], "compression needs a value"),
            (
                "loglevel",
                &["loud"],
                "loud is no value for loglevel: write QUIET, ",
            ),
            ("controlpath", &["a", "b"], "controlpath takes one value"),
            ("visualhostkey", &["yes", "no"], "visualhostkey takes one value"),
            (
                "localforward",
                &["8080"],
                "8080 is no value for localforward: write [ADDRESS:]PORT HOST:HOSTPORT",
            ),
            (
                "setenv",
                &["A=b", "C"],
                "C is no value for setenv: write NAME=VALUE",
            ),
            ("remotecommand", &[], "remotecommand needs a value"),
        ] {
            let told = told(word, values).unwrap_err();
            assert!(told.starts_with(expected), "{word} {values:?}: {told}");
        }
    }

    #[test]
    fn what_ssh_has_long_ceased_to_read_is_not_read() {
        for values in [&[""][..], &["anything", "at", "all"]] {
            assert_eq!(told("useroaming", values), Ok(()));
        }
    }
}
