use proptest::prelude::*;

use super::format::{Arg, format};

fn int(number: i128) -> Arg {
    Arg::Int(number)
}

fn text(text: &str) -> Arg {
    Arg::Str(text.to_owned())
}

/// `format | value | what comes out`
fn table(cases: &[(&str, Arg, &str)]) {
    for (pattern, arg, expected) in cases {
        assert_eq!(
            format(pattern, std::slice::from_ref(arg)),
            *expected,
            "{pattern} of {arg:?}"
        );
    }
}

#[test]
fn whole_numbers_are_written_in_every_base_and_width() {
    table(&[
        ("%d", int(42), "42"),
        ("%v", int(-42), "-42"),
        ("%5d|", int(42), "   42|"),
        ("%-5d|", int(42), "42   |"),
        ("%05d", int(-42), "-0042"),
        ("%-05d|", int(42), "42   |"),
        ("%+d", int(42), "+42"),
        ("% d", int(42), " 42"),
        ("%.4d", int(42), "0042"),
        ("%6.4d", int(42), "  0042"),
        ("%06.4d", int(42), "  0042"),
        ("%.0d|", int(0), "|"),
        ("%x", int(255), "ff"),
        ("%X", int(255), "FF"),
        ("%#x", int(255), "0xff"),
        ("%#08x", int(255), "0x0000ff"),
        ("%x", int(-255), "-ff"),
        ("%o", int(493), "755"),
        ("%#o", int(493), "0755"),
        ("%O", int(493), "0o755"),
        ("%b", int(5), "101"),
        ("%c", int(0x263a), "☺"),
        ("%q", int(65), "'A'"),
        ("%U", int(0x263a), "U+263A"),
        ("%#U", int(0x263a), "U+263A '☺'"),
        ("%s", int(5), "%!s(int64=5)"),
        (
            "%d",
            Arg::Big {
                negative: true,
                digits: "9".repeat(50),
            },
            &format!("-{}", "9".repeat(50)),
        ),
    ]);
}

#[test]
fn numbers_with_a_fraction_are_written_as_go_writes_them() {
    table(&[
        ("%v", Arg::Float(1.5), "1.5"),
        ("%v", Arg::Float(3.0), "3"),
        ("%v", Arg::Float(100_000.0), "100000"),
        ("%v", Arg::Float(1e6), "1e+06"),
        ("%v", Arg::Float(123_456_789.0), "1.23456789e+08"),
        ("%v", Arg::Float(0.0001), "0.0001"),
        ("%v", Arg::Float(0.00001), "1e-05"),
        ("%v", Arg::Float(-0.0), "-0"),
        ("%f", Arg::Float(3.25159), "3.251590"),
        ("%.2f", Arg::Float(3.25159), "3.25"),
        ("%8.2f|", Arg::Float(3.25159), "    3.25|"),
        ("%-8.2f|", Arg::Float(3.25159), "3.25    |"),
        ("%08.2f", Arg::Float(-3.25159), "-0003.25"),
        ("%+.1f", Arg::Float(3.0), "+3.0"),
        ("%.0f", Arg::Float(2.5), "2"),
        ("%e", Arg::Float(123_456.789), "1.234568e+05"),
        ("%.1E", Arg::Float(0.000_123), "1.2E-04"),
        ("%g", Arg::Float(1e100), "1e+100"),
        ("%.3g", Arg::Float(1234.5), "1.23e+03"),
        ("%.3g", Arg::Float(0.5), "0.5"),
        ("%#g", Arg::Float(0.5), "0.500000"),
        ("%.10g", Arg::Float(100_000.0), "100000"),
        ("%f", Arg::Float(f64::INFINITY), "+Inf"),
        ("%06f", Arg::Float(f64::NEG_INFINITY), "  -Inf"),
        ("%v", Arg::Float(f64::NAN), "NaN"),
        ("%d", Arg::Float(1.5), "%!d(float64=1.5)"),
    ]);
}

#[test]
fn texts_are_cut_filled_and_quoted() {
    table(&[
        ("%s", text("hi"), "hi"),
        ("%5s|", text("hi"), "   hi|"),
        ("%-5s|", text("hi"), "hi   |"),
        ("%.2s", text("häuser"), "hä"),
        ("%5.1s|", text("hi"), "    h|"),
        ("%q", text("a \"b\"\n\\"), r#""a \"b\"\n\\""#),
        ("%q", text("\x1b\u{202e}é"), r#""\x1b\u202eé""#),
        ("%+q", text("é😀"), r#""\u00e9\U0001f600""#),
        ("%#q", text("a\"b"), "`a\"b`"),
        ("%x", text("hi"), "6869"),
        ("% X", text("hi"), "68 69"),
        ("%#x", text("hi"), "0x6869"),
        ("%d", text("hi"), "%!d(string=hi)"),
        ("%#v", text("hi"), "\"hi\""),
        ("%s", Arg::Bytes(b"hi".to_vec()), "hi"),
        ("%v", Arg::Bytes(b"hi".to_vec()), "[104 105]"),
        ("%x", Arg::Bytes(vec![0, 255]), "00ff"),
    ]);
}

#[test]
fn other_values_are_written_as_go_writes_them() {
    let list = Arg::List(vec![int(1), text("a"), Arg::Nil]);
    let map = Arg::Map(vec![(text("b"), int(2)), (text("a"), list.clone())]);
    let other = Arg::Other {
        type_name: "struct".into(),
        text: "struct(a=1)".into(),
    };
    table(&[
        ("%v", Arg::Nil, "<nil>"),
        ("%d", Arg::Nil, "%!d(<nil>)"),
        ("%t", Arg::Bool(true), "true"),
        ("%v", Arg::Bool(false), "false"),
        ("%6t|", Arg::Bool(true), "  true|"),
        ("%d", Arg::Bool(true), "%!d(bool=true)"),
        ("%v", list.clone(), "[1 a <nil>]"),
        ("%3d", Arg::List(vec![int(1), int(2)]), "[  1   2]"),
        ("%s", Arg::List(vec![text("a"), text("b")]), "[a b]"),
        ("%v", map.clone(), "map[a:[1 a <nil>] b:2]"),
        ("%#v", list, "[]interface {}{1, \"a\", interface {}(nil)}"),
        ("%v", other.clone(), "struct(a=1)"),
        ("%T", other, "struct"),
        ("%T", int(1), "int64"),
        ("%T", text(""), "string"),
        ("%T", Arg::Float(1.0), "float64"),
        ("%T", Arg::Nil, "<nil>"),
        ("%T", map, "map[string]interface {}"),
    ]);
}

#[test]
fn a_mistake_in_a_format_shows_in_the_text() {
    for (pattern, args, expected) in [
        ("100%%", vec![], "100%"),
        ("100%", vec![], "100%!(NOVERB)"),
        ("%d", vec![], "%!d(MISSING)"),
        ("%z", vec![int(1)], "%!z(int64=1)"),
        ("a", vec![int(1), Arg::Nil], "a%!(EXTRA int64=1, <nil>)"),
        ("%*d", vec![int(5), int(1)], "    1"),
        ("%-*d|", vec![int(3), int(1)], "1  |"),
        ("%*d|", vec![int(-3), int(1)], "1  |"),
        ("%.*f", vec![int(1), Arg::Float(1.25)], "1.2"),
        ("%*d", vec![text("x"), int(1)], "%!(BADWIDTH)1"),
        ("%99999999d", vec![int(1)], "%!(BADWIDTH)1"),
        ("%[2]s %[1]s", vec![text("a"), text("b")], "b a"),
        ("%[3]s", vec![text("a")], "%!s(BADINDEX)"),
        ("%é", vec![int(1)], "%!é(int64=1)"),
    ] {
        assert_eq!(format(pattern, &args), expected, "{pattern}");
    }
}

proptest! {
    #[test]
    fn no_format_brings_it_down(pattern in "[%vdsqxftTeg0-9.*+# \\[\\]-]{0,16}", number in any::<i64>(), float in any::<f64>(), word in ".{0,6}") {
        // A width of a million is allowed, but not worth the wait.
        prop_assume!(!pattern.contains(|c: char| c.is_ascii_digit()) || pattern.len() < 8);
        format(&pattern, &[int(number.into()), Arg::Float(float), text(&word), Arg::Nil]);
    }

    #[test]
    fn the_shortest_form_of_a_number_reads_back_as_itself(number in any::<f64>()) {
        prop_assume!(number.is_finite());
        prop_assert_eq!(format("%v", &[Arg::Float(number)]).parse::<f64>().unwrap(), number);
    }

    #[test]
    fn a_width_is_never_undercut(width in 0_usize..40, word in "\\PC{0,20}") {
        let out = format(&format!("%{width}s"), &[text(&word)]);
        prop_assert_eq!(out.chars().count(), width.max(word.chars().count()));
    }
}
