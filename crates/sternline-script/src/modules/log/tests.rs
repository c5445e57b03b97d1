//! What scripts see of logs.

use std::path::Path;

use crate::scratch::{fails, run_in, run_script};

/// What was said, without the times.
fn said(script: &str) -> Vec<String> {
    let ran = run_script(script);
    if let Err(error) = ran.ended {
        panic!("{script}\nfails: {error}");
    }
    let lines = ran.messages.iter();
    lines
        .map(
            |line| match line.strip_prefix("time=").and_then(|line| line.split_once(' ')) {
                Some((_, rest)) => rest.to_owned(),
                None => line.clone(),
            },
        )
        .collect()
}

#[test]
fn a_line_has_its_level_message_and_attributes() {
    let script = r#"
log.info("started", {"port": 8080, "name": "a b"})
log.warn("odd", attrs = {"x": None}, y = [1], z = {"a": {"b": 1}})
log.error("", path = "/x=y", f = len)
log.debug("not shown")
"#;
    assert_eq!(
        said(script),
        [
            "level=INFO msg=started port=8080 name=\"a b\"",
            "level=WARN msg=odd x=null y=[1] z.a.b=1",
            "level=ERROR msg=\"\" path=\"/x=y\" f=len",
        ]
    );
}

#[test]
fn no_text_forges_a_line_or_moves_the_cursor() {
    let lines = said("log.info(\"a\\nlevel=ERROR\", b = \"\\x1b[31m\\\"\")");
    assert_eq!(lines, ["level=INFO msg=\"a\\nlevel=ERROR\" b=\"\\x1b[31m\\\"\""]);
}

#[test]
fn secrets_are_masked() {
    let script = "log.info(\"with --password hunter22 and swordfish7\", password = \"hunter22\", other = \"swordfish7\")";
    let ran = run_in(Path::new("/"), &[], script, |builder| {
        let secrets = sternline::proto::redact::Redactor::new();
        secrets.mark("swordfish7");
        builder.secrets(secrets)
    });
    let line = ran.messages.join("\n");
    assert!(
        !line.contains("hunter22") && !line.contains("swordfish7"),
        "{line}"
    );
}

#[test]
fn levels_formats_and_outputs_can_be_set() {
    let script = r#"
log.set_level("debug")
log.debug("shown")
log.set_format("json")
log.set_output("stdout")
log.info("x", a = 1)
l = log.logger(level = "warn", format = "text")
print(type(l), l.level, l.format, l.output)
l.info("not shown")
l.warn("w")
l.attrs({"app": "a"}).group("db").attrs(kind = "pg").error("e", host = "h")
"#;
    let ran = run_script(script);
    assert!(ran.ended.is_ok());
    let (json, rest) = ran.out.split_once('\n').unwrap();
    assert!(
        json.starts_with("{\"time\":\"") && json.ends_with("\",\"level\":\"INFO\",\"msg\":\"x\",\"a\":1}"),
        "{json}"
    );
    assert_eq!(rest, "logger warn text stderr\n");
    let lines: Vec<&str> = ran
        .messages
        .iter()
        .map(|line| line.split_once(' ').unwrap().1)
        .collect();
    assert_eq!(
        lines,
        [
            "level=DEBUG msg=shown",
            "level=WARN msg=w",
            "level=ERROR msg=e app=a db.kind=pg db.host=h"
        ]
    );
}

#[test]
fn wrong_settings_are_said() {
    for (script, part) in [
        (
            "log.set_level(\"loud\")",
            "\"loud\" is none of debug, info, warn and error",
        ),
        ("log.set_format(\"xml\")", "neither text nor json"),
        ("log.logger(output = \"file\")", "neither stderr nor stdout"),
    ] {
        let error = fails(script);
        assert!(error.contains(part), "{script}: {error}");
    }
}
