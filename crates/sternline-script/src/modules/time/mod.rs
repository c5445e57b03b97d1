//! The module `time`.

mod layout;
mod length;
mod moment;
mod zone;

use std::time::Duration;

use jiff::{Timestamp, Zoned};
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::none::NoneType;
use sternline::proto::text::escape;

use crate::context::Context;
use crate::duration;
use crate::outcome::with_try;
use crate::wait::wait;

pub(crate) use length::{Length, LengthArg};
pub(crate) use moment::Moment;

/// The layouts that have names in the module, and names that formats may have.
const LAYOUTS: [(&str, &str); 16] = [
    ("RFC3339", "2006-01-02T15:04:05Z07:00"),
    ("RFC3339Nano", "2006-01-02T15:04:05.999999999Z07:00"),
    ("RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"),
    ("RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700"),
    ("RFC850", "Monday, 02-Jan-06 15:04:05 MST"),
    ("RFC822", "02 Jan 06 15:04 MST"),
    ("RFC822Z", "02 Jan 06 15:04 -0700"),
    ("ANSIC", "Mon Jan _2 15:04:05 2006"),
    ("UnixDate", "Mon Jan _2 15:04:05 MST 2006"),
    ("Kitchen", "3:04PM"),
    ("Stamp", "Jan _2 15:04:05"),
    ("StampMilli", "Jan _2 15:04:05.000"),
    ("StampMicro", "Jan _2 15:04:05.000000"),
    ("DateTime", "2006-01-02 15:04:05"),
    ("DateOnly", "2006-01-02"),
    ("TimeOnly", "15:04:05"),
];

/// Adds the module `time`.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("time", |builder| {
        with_try(builder, functions);
        for (name, layout) in LAYOUTS {
            builder.set(name, layout);
        }
    });
}

/// A layout by its name, in capitals or not; anything else is a layout itself.
fn named_layout(name: &str) -> &str {
    let short = match name.to_ascii_lowercase().as_str() {
        "" => "RFC3339",
        "date" => "DateOnly",
        "time" => "TimeOnly",
        _ => name,
    };
    LAYOUTS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(short))
        .map_or(name, |(_, layout)| layout)
}

/// A time as it is to be written: by a name, by `%` as in strftime, or by a layout of Go's.
fn format_time(time: &Zoned, format: &str) -> anyhow::Result<String> {
    let format = named_layout(format);
    if format.contains('%') {
        return jiff::fmt::strtime::format(format, time)
            .map_err(|error| anyhow::anyhow!("time.format: \"{}\": {error}", escape(format)));
    }
    Ok(layout::format(time, format))
}

/// A time that is written so. Without an offset or zone in it, it is one of UTC.
fn parse_time(format: &str, text: &str) -> anyhow::Result<Zoned> {
    let format = named_layout(format);
    if !format.contains('%') {
        return layout::parse(format, text).map_err(|problem| anyhow::anyhow!("time.parse: {problem}"));
    }
    let read = jiff::fmt::strtime::parse(format, text).and_then(|parts| {
        let zone = parts
            .offset()
            .map_or(jiff::tz::TimeZone::UTC, jiff::tz::TimeZone::fixed);
        match parts.to_datetime() {
            Ok(time) => time.to_zoned(zone),
            // Seconds since 1970, or a date alone.
            Err(error) => match (parts.to_timestamp(), parts.to_date()) {
                (Ok(time), _) => Ok(time.to_zoned(zone)),
                (_, Ok(date)) => date.to_zoned(zone),
                _ => Err(error),
            },
        }
    });
    read.map_err(|error| {
        anyhow::anyhow!(
            "time.parse: \"{}\" as \"{}\": {error}",
            escape(text),
            escape(format)
        )
    })
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// This moment, in the zone of the script's variable TZ or of this machine.
    fn now<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Moment> {
        let zone = zone::local(&Context::of(eval)?.session);
        Ok(Moment(Timestamp::now().to_zoned(zone)))
    }

    /// Waits. Handlers of test servers are called meanwhile, and Ctrl-C and time limits end it.
    ///
    /// Args:
    ///   duration: such as "10ms", "2s" or "1m30s", or a value of `time.duration`. What is below zero is no time.
    fn sleep<'v>(duration: LengthArg, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        let length = duration
            .read()
            .map_err(|error| anyhow::anyhow!("time.sleep: {error}"))?;
        let length = length.unsigned().unwrap_or(Duration::ZERO);
        wait(eval, async move { tokio::time::sleep(length).await })?;
        Ok(NoneType)
    }

    /// Reads a time. Without an offset or zone in it, it is one of UTC.
    ///
    /// Args:
    ///   layout: a constant such as `time.RFC3339`, a layout of Go's such as "2006-01-02 15:04", or directives of strftime
    ///     such as "%Y-%m-%d".
    ///   value: the text.
    fn parse(layout: &str, value: &str) -> anyhow::Result<Moment> {
        parse_time(layout, value).map(Moment)
    }

    /// Writes a time.
    ///
    /// Args:
    ///   layout: as for `parse`, or a name: rfc3339, kitchen, datetime, date, time, stamp, rfc822, rfc1123.
    fn format<'v>(time: &'v Moment, #[starlark(default = "")] layout: &str) -> anyhow::Result<String> {
        format_time(&time.0, layout)
    }

    /// A length of time.
    ///
    /// Args:
    ///   value: numbers with units, such as "1h30m" or "1.5s". Units: ns, us, ms, s, m, h.
    fn duration(value: &str) -> anyhow::Result<Length> {
        Ok(Length(duration::parse_signed(value)?))
    }

    /// How long ago a time was.
    fn since<'v>(time: &'v Moment) -> anyhow::Result<Length> {
        moment::between(&time.0, &Timestamp::now().to_zoned(time.0.time_zone().clone()))
    }

    /// How long it is until a time.
    fn until<'v>(time: &'v Moment) -> anyhow::Result<Length> {
        moment::between(&Timestamp::now().to_zoned(time.0.time_zone().clone()), &time.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::scratch::{fails, prints};

    #[test]
    fn times_are_read_written_and_reckoned_with() {
        let script = r#"
t = time.parse(time.RFC3339, "2026-03-11T14:30:00Z")
print(t.string(), t.string("kitchen"), t.string("Date"), t.string("%Y/%m/%d %H:%M"), t.string("2006"))
print(t.year, t.month, t.day, t.hour, t.minute, t.second, t.weekday, t.unix, t.unix_nano)
print(t.add("5m30s"), t.add("-1h").hour, t + time.duration("1h"), t - time.duration("1h"))
u = time.parse("%Y-%m-%d %H:%M", "2026-03-11 14:35")
print(u - t, u.sub(t).minutes, u > t, u == t, time.format(u, "time"))
print(sorted([u, t])[0] == t, {t: 1}[time.parse("datetime", "2026-03-11 14:30:00")])
print(time.parse(time.RFC3339, "2026-03-11T14:30:00+02:00") == time.parse(time.RFC3339, "2026-03-11T12:30:00Z"))
print(repr(time.parse("%s", "86400")), type(t))
"#;
        assert_eq!(
            prints(script),
            "2026-03-11T14:30:00Z 2:30PM 2026-03-11 2026/03/11 14:30 2026\n\
             2026 3 11 14 30 0 3 1773239400 1773239400000000000\n\
             2026-03-11T14:35:30Z 13 2026-03-11T15:30:00Z 2026-03-11T13:30:00Z\n\
             5m0s 5.0 True False 14:35:00\n\
             True 1\n\
             True\n\
             1970-01-02T00:00:00Z time.time\n"
        );
    }

    #[test]
    fn lengths_of_time_are_reckoned_with() {
        let script = r#"
d = time.duration("1h30m")
print(d, d.hours, d.minutes, d.seconds, d.milliseconds, d.nanoseconds, d.string())
print(d + time.duration("30m"), d - time.duration("2h"), d * 2, 2 * d, -d, time.duration("60m") == time.duration("1h"))
print(time.duration("1h") < d, d / 2, d / time.duration("30m"), bool(time.duration("0")))
print(time.since(time.now()) < time.duration("1m"), time.until(time.now()) <= time.duration("0"))
"#;
        assert_eq!(
            prints(script),
            "1h30m0s 1.5 90.0 5400.0 5400000 5400000000000 1h30m0s\n\
             2h0m0s -30m0s 3h0m0s 3h0m0s -1h30m0s True\n\
             True 45m0s 3.0 False\n\
             True True\n"
        );
    }

    #[test]
    fn sleeping_takes_as_long_as_it_is_told() {
        let script = "t = time.now()\ntime.sleep(\"20ms\")\ntime.sleep(time.duration(\"-1s\"))\nprint(time.since(t) >= time.duration(\"20ms\"))";
        assert_eq!(prints(script), "True\n");
    }

    #[test]
    fn mistakes_are_said_in_gos_words() {
        for (script, part) in [
            ("time.sleep(\"x\")", "time: invalid duration \"x\""),
            ("time.sleep(1)", "duration"),
            ("time.duration(\"30\")", "time: missing unit in duration \"30\""),
            (
                "time.parse(time.RFC3339, \"x\")",
                "cannot parse \"x\" as \"2006\"",
            ),
            ("time.format(time.now(), \"%!\")", "time.format"),
            ("time.now() + time.now()", ""),
            (
                "time.duration(\"2562047h\") + time.duration(\"2562047h\")",
                "longer than 292 years",
            ),
        ] {
            let error = fails(script);
            assert!(error.contains(part), "{script}: {error}");
        }
        assert_eq!(prints("print(time.try_duration(\"x\").ok)"), "False\n");
    }
}
