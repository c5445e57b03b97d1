//! Layouts, and what is written in them.

use jiff::Zoned;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

const RFC3339: &str = "2006-01-02T15:04:05Z07:00";

fn moment(text: &str) -> Zoned {
    parse(RFC3339, text).unwrap()
}

#[test]
fn a_layout_says_how_a_time_is_written() {
    let time = moment("2026-03-01T14:05:09.120Z");
    for (layout, text) in [
        (RFC3339, "2026-03-01T14:05:09Z"),
        ("2006-01-02T15:04:05.999999999Z07:00", "2026-03-01T14:05:09.12Z"),
        ("15:04:05.000", "14:05:09.120"),
        ("15:04:05,000000", "14:05:09,120000"),
        ("3:04PM", "2:05PM"),
        ("03:04:05 pm", "02:05:09 pm"),
        ("Mon, 02 Jan 2006 15:04:05 MST", "Sun, 01 Mar 2026 14:05:09 UTC"),
        ("Monday, January 2, 06", "Sunday, March 1, 26"),
        ("Jan _2 2006 __2 002", "Mar  1 2026  60 060"),
        ("1/2/06 3:4:5", "3/1/26 2:5:9"),
        ("-07 -0700 -07:00 Z0700", "+00 +0000 +00:00 Z"),
        ("at 15h in Januaryx, Janus", "at 14h in Marchx, Janus"),
        ("_2006", "_2026"),
        ("naïve", "naïve"),
        ("", ""),
    ] {
        assert_eq!(format(&time, layout), text, "{layout}");
    }
    let west = moment("2026-03-01T14:05:09-05:30");
    assert_eq!(
        format(&west, "Z07:00 -0700 Z07 -07:00:00"),
        "-05:30 -0530 -05 -05:30:00"
    );
}

#[test]
fn what_is_written_in_a_layout_can_be_read() {
    for (layout, text, time) in [
        ("2006-01-02", "2024-06-15", "2024-06-15T00:00:00Z"),
        ("3:04PM", "2:30PM", "0000-01-01T14:30:00Z"),
        ("3:04PM", "12:30AM", "0000-01-01T00:30:00Z"),
        (
            "2 Jan 2006 15:04 MST",
            "5 jun 2024 10:00 UTC",
            "2024-06-05T10:00:00Z",
        ),
        (
            "Monday, January 2 2006",
            "Saturday, June 15 2024",
            "2024-06-15T00:00:00Z",
        ),
        ("06 1 2", "69 6 5", "1969-06-05T00:00:00Z"),
        ("2006 002", "2024 060", "2024-02-29T00:00:00Z"),
        ("15:04:05", "10:20:30.5", "0000-01-01T10:20:30.5Z"),
        ("15:04:05.000", "10:20:30.250", "0000-01-01T10:20:30.25Z"),
        (
            "2006-01-02 15:04:05 -0700",
            "2024-06-15   10:30:00 +0230",
            "2024-06-15T10:30:00+02:30",
        ),
    ] {
        assert_eq!(parse(layout, text), Ok(moment(time)), "{text}");
    }
}

#[test]
fn what_does_not_fit_is_said_in_gos_words() {
    for (layout, text, message) in [
        (
            RFC3339,
            "x",
            "parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\"",
        ),
        (
            "2006-01-02",
            "2024-06",
            "parsing time \"2024-06\" as \"2006-01-02\": cannot parse \"\" as \"-\"",
        ),
        (
            "2006",
            "20245",
            "parsing time \"20245\" as \"2006\": extra text: \"5\"",
        ),
        (
            "2006-01-02",
            "2024-02-30",
            "parsing time \"2024-02-30\" as \"2006-01-02\": there is no such day or time",
        ),
        (
            "15:04 MST",
            "10:00 CEST",
            "parsing time \"10:00 CEST\" as \"15:04 MST\": cannot parse \"CEST\" as \"MST\"",
        ),
    ] {
        assert_eq!(parse(layout, text), Err(message.to_owned()));
    }
    assert!(parse("3PM", "13PM").is_err());
    assert!(parse("15:04:05.000", "10:00:00.5").is_err());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(layout in "[ -~é]{0,30}", odd in "(2006|01|2|Jan|PM|Z07:00|.999|_2|é| ){0,6}", text in any::<String>()) {
        let time = moment("2026-03-01T14:05:09.120Z");
        let _ = format(&time, &layout);
        let _ = parse(&odd, &text);
        let _ = parse(&odd, &format(&time, &odd));
    }

    #[test]
    fn rfc_3339_reads_as_it_was(second in -60_000_000_000i64..250_000_000_000, nano in 0i32..1_000_000_000) {
        let layout = "2006-01-02T15:04:05.999999999Z07:00";
        let time = jiff::Timestamp::new(second, nano).unwrap().to_zoned(TimeZone::UTC);
        prop_assert_eq!(parse(layout, &format(&time, layout)), Ok(time));
    }
}
