//! Formatting as Go's `fmt` does it, for scripts that were written for a runtime in Go. Pure: values in, text out.

use super::float;

/// A value as the formatter knows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arg {
    Nil,
    Bool(bool),
    Int(i128),
    /// Too large for the one above: its sign and its decimal digits.
    Big {
        negative: bool,
        digits: String,
    },
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
    List(Vec<Arg>),
    Map(Vec<(Arg, Arg)>),
    /// Anything else, by the name of its type, and as `str` shows it.
    Other {
        type_name: String,
        text: String,
    },
}

/// What stands between `%` and the verb.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spec {
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
}

/// As far as Go goes.
const MAX_WIDTH: usize = 1_000_000;

/// Puts values into a format.
pub(crate) fn format(format: &str, args: &[Arg]) -> String {
    let mut printer = Printer {
        chars: format.chars().peekable(),
        args,
        next: 0,
        reordered: false,
        out: String::new(),
    };
    while let Some(c) = printer.chars.next() {
        if c == '%' {
            printer.verb();
        } else {
            printer.out.push(c);
        }
    }
    let rest = args.get(printer.next..).unwrap_or_default();
    if !printer.reordered && !rest.is_empty() {
        let rest: Vec<String> = rest
            .iter()
            .map(|arg| match arg {
                Arg::Nil => "<nil>".to_owned(),
                arg => format!("{}={}", type_name(arg), plain(arg)),
            })
            .collect();
        printer.out.push_str(&format!("%!(EXTRA {})", rest.join(", ")));
    }
    printer.out
}

/// What `%v` makes of a value.
pub(crate) fn plain(arg: &Arg) -> String {
    value(arg, Spec::default(), 'v')
}

struct Printer<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    args: &'a [Arg],
    next: usize,
    /// Whether a verb has named its value by number, so that nobody counts which ones were left over.
    reordered: bool,
    out: String,
}

impl Printer<'_> {
    fn verb(&mut self) {
        let mut spec = Spec::default();
        while let Some(flag) = self.chars.next_if(|c| "-+# 0".contains(*c)) {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                _ => spec.zero = true,
            }
        }
        let mut good_index = self.index();
        match self.number() {
            Ok(Some(width)) => {
                spec.minus |= width < 0;
                spec.width = usize::try_from(width.unsigned_abs()).ok();
            }
            Ok(None) => {}
            Err(()) => self.out.push_str("%!(BADWIDTH)"),
        }
        if self.chars.next_if_eq(&'.').is_some() {
            good_index &= self.index();
            match self.number() {
                // As in Go, a precision below zero is none.
                Ok(precision) => spec.precision = usize::try_from(precision.unwrap_or(0)).ok(),
                Err(()) => self.out.push_str("%!(BADPREC)"),
            }
        }
        good_index &= self.index();
        spec.zero &= !spec.minus;
        let Some(verb) = self.chars.next() else {
            self.out.push_str("%!(NOVERB)");
            return;
        };
        if verb == '%' {
            self.out.push('%');
            return;
        }
        if !good_index {
            self.out.push_str(&format!("%!{verb}(BADINDEX)"));
            return;
        }
        let Some(arg) = self.args.get(self.next) else {
            self.out.push_str(&format!("%!{verb}(MISSING)"));
            return;
        };
        self.next += 1;
        self.out.push_str(&value(arg, spec, verb));
    }

    /// `[2]`: the number of the next value, from 1. Whether it is a good one, or there is none.
    fn index(&mut self) -> bool {
        if self.chars.next_if_eq(&'[').is_none() {
            return true;
        }
        self.reordered = true;
        let mut digits = String::new();
        while let Some(c) = self.chars.next_if(|c| *c != ']') {
            digits.push(c);
        }
        let closed = self.chars.next().is_some();
        match digits.parse::<usize>() {
            Ok(index) if closed && (1..=self.args.len()).contains(&index) => {
                self.next = index - 1;
                true
            }
            _ => false,
        }
    }

    /// A width or a precision, from the text or, for `*`, from the values.
    fn number(&mut self) -> Result<Option<i64>, ()> {
        if self.chars.next_if_eq(&'*').is_some() {
            let arg = self.args.get(self.next);
            self.next += 1;
            return match arg {
                Some(Arg::Int(number)) if number.unsigned_abs() <= MAX_WIDTH as u128 => {
                    i64::try_from(*number).map(Some).map_err(|_| ())
                }
                _ => Err(()),
            };
        }
        let mut number: Option<i64> = None;
        while let Some(digit) = self.chars.peek().and_then(|c| c.to_digit(10)) {
            self.chars.next();
            number = Some(
                number
                    .unwrap_or(0)
                    .saturating_mul(10)
                    .saturating_add(i64::from(digit)),
            );
        }
        match number {
            Some(number) if number > MAX_WIDTH as i64 => Err(()),
            number => Ok(number),
        }
    }
}

/// The name of Go's type for it.
fn type_name(arg: &Arg) -> &str {
    match arg {
        Arg::Nil => "<nil>",
        Arg::Bool(_) => "bool",
        Arg::Int(number) if i64::try_from(*number).is_ok() => "int64",
        Arg::Int(_) | Arg::Big { .. } => "*big.Int",
        Arg::Float(_) => "float64",
        Arg::Str(_) => "string",
        Arg::Bytes(_) => "[]uint8",
        Arg::List(_) => "[]interface {}",
        Arg::Map(_) => "map[string]interface {}",
        Arg::Other { type_name, .. } => type_name,
    }
}

/// One value by one verb.
fn value(arg: &Arg, spec: Spec, verb: char) -> String {
    if verb == 'T' {
        return pad(type_name(arg).to_owned(), spec);
    }
    let formatted = match arg {
        Arg::Nil if verb == 'v' => Some(pad(
            if spec.sharp { "interface {}(nil)" } else { "<nil>" }.to_owned(),
            spec,
        )),
        Arg::Nil => None,
        Arg::Bool(truth) => matches!(verb, 't' | 'v').then(|| pad(truth.to_string(), spec)),
        Arg::Int(number) => integer(*number, spec, verb),
        Arg::Big { negative, digits } => {
            matches!(verb, 'd' | 'v').then(|| signed(*negative, digits.clone(), "", spec))
        }
        Arg::Float(number) => float::format(*number, spec, verb),
        Arg::Str(text) | Arg::Other { text, .. } => string(text, spec, verb),
        Arg::Bytes(bytes) => self::bytes(bytes, spec, verb),
        Arg::List(items) => Some(list(items, spec, verb)),
        Arg::Map(fields) => Some(map(fields, spec, verb)),
    };
    formatted.unwrap_or_else(|| match arg {
        Arg::Nil => format!("%!{verb}(<nil>)"),
        arg => format!("%!{verb}({}={})", type_name(arg), plain(arg)),
    })
}

fn list(items: &[Arg], spec: Spec, verb: char) -> String {
    if verb == 'v' && spec.sharp {
        let items: Vec<String> = items.iter().map(|item| value(item, spec, verb)).collect();
        return format!("[]interface {{}}{{{}}}", items.join(", "));
    }
    let items: Vec<String> = items.iter().map(|item| value(item, spec, verb)).collect();
    format!("[{}]", items.join(" "))
}

/// Go sorts maps by their keys.
fn map(fields: &[(Arg, Arg)], spec: Spec, verb: char) -> String {
    let mut fields: Vec<&(Arg, Arg)> = fields.iter().collect();
    fields.sort_by(|(a, _), (b, _)| match (a, b) {
        (Arg::Int(a), Arg::Int(b)) => a.cmp(b),
        (Arg::Str(a), Arg::Str(b)) => a.cmp(b),
        (a, b) => plain(a).cmp(&plain(b)),
    });
    let fields: Vec<String> = fields
        .into_iter()
        .map(|(key, item)| format!("{}:{}", value(key, spec, verb), value(item, spec, verb)))
        .collect();
    if verb == 'v' && spec.sharp {
        return format!("map[string]interface {{}}{{{}}}", fields.join(", "));
    }
    format!("map[{}]", fields.join(" "))
}

fn integer(number: i128, spec: Spec, verb: char) -> Option<String> {
    let negative = number < 0;
    let size = number.unsigned_abs();
    let sharp = |prefix: &'static str| if spec.sharp { prefix } else { "" };
    let character = || {
        u32::try_from(number)
            .ok()
            .and_then(char::from_u32)
            .unwrap_or('\u{fffd}')
    };
    match verb {
        'd' | 'v' => Some(signed(negative, size.to_string(), "", spec)),
        'b' => Some(signed(negative, format!("{size:b}"), sharp("0b"), spec)),
        'o' => Some(signed(negative, format!("{size:o}"), sharp("0"), spec)),
        'O' => Some(signed(negative, format!("{size:o}"), "0o", spec)),
        'x' => Some(signed(negative, format!("{size:x}"), sharp("0x"), spec)),
        'X' => Some(signed(negative, format!("{size:X}"), sharp("0X"), spec)),
        'c' => Some(pad(character().to_string(), spec)),
        'q' => Some(pad(quote(&character().to_string(), '\'', spec.plus), spec)),
        'U' => {
            let shown = if spec.sharp {
                format!(" '{}'", character())
            } else {
                String::new()
            };
            Some(pad(format!("U+{size:04X}{shown}"), Spec { zero: false, ..spec }))
        }
        _ => None,
    }
}

/// Digits with their sign, filled up to the precision and to the width.
fn signed(negative: bool, digits: String, prefix: &str, spec: Spec) -> String {
    let sign = match (negative, spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (.., true) => " ",
        _ => "",
    };
    let digits = match spec.precision {
        // As in Go and C: nothing of nothing.
        Some(0) if digits == "0" => return pad(String::new(), Spec { zero: false, ..spec }),
        Some(precision) => format!("{digits:0>precision$}"),
        None if spec.zero => {
            let taken = sign.len() + prefix.len();
            let width = spec.width.unwrap_or(0).saturating_sub(taken);
            format!("{digits:0>width$}")
        }
        None => digits,
    };
    pad(format!("{sign}{prefix}{digits}"), Spec { zero: false, ..spec })
}

fn string(text: &str, spec: Spec, verb: char) -> Option<String> {
    let cut: String = match spec.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    };
    match verb {
        'v' if spec.sharp => Some(pad(quote(text, '"', false), spec)),
        's' | 'v' => Some(pad(cut, spec)),
        'q' if spec.sharp && !cut.contains('`') && !cut.chars().any(|c| c.is_control() && c != '\t') => {
            Some(pad(format!("`{cut}`"), spec))
        }
        'q' => Some(pad(quote(&cut, '"', spec.plus), spec)),
        'x' | 'X' => Some(hex(text.as_bytes(), spec, verb)),
        _ => None,
    }
}

fn bytes(bytes: &[u8], spec: Spec, verb: char) -> Option<String> {
    match verb {
        's' | 'q' => string(&String::from_utf8_lossy(bytes), spec, verb),
        'x' | 'X' => Some(hex(bytes, spec, verb)),
        'v' | 'd' => {
            let items: Vec<Arg> = bytes.iter().map(|byte| Arg::Int(i128::from(*byte))).collect();
            Some(list(&items, Spec { sharp: false, ..spec }, 'd'))
        }
        _ => None,
    }
}

fn hex(bytes: &[u8], spec: Spec, verb: char) -> String {
    let bytes = bytes
        .get(..spec.precision.unwrap_or(bytes.len()))
        .unwrap_or(bytes);
    let prefix = match (spec.sharp, verb) {
        (false, _) => "",
        (true, 'X') => "0X",
        (true, _) => "0x",
    };
    let digits = bytes.iter().map(|byte| {
        if verb == 'X' {
            format!("{byte:02X}")
        } else {
            format!("{byte:02x}")
        }
    });
    let text = if spec.space {
        digits
            .map(|digits| format!("{prefix}{digits}"))
            .collect::<Vec<_>>()
            .join(" ")
    } else if bytes.is_empty() {
        String::new()
    } else {
        format!("{prefix}{}", digits.collect::<String>())
    };
    pad(text, spec)
}

/// A text in quotes, as Go writes it in a program.
fn quote(text: &str, mark: char, ascii_only: bool) -> String {
    let mut out = String::from(mark);
    for c in text.chars() {
        match c {
            c if c == mark || c == '\\' => out.extend(['\\', c]),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            ' '..='~' => out.push(c),
            c if c.is_ascii() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if !ascii_only && is_printable(c) => out.push(c),
            c if u32::from(c) < 0x10000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push(mark);
    out
}

/// Near to Go's notion: what has a shape of its own.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !c.is_whitespace()
        && sternline::proto::text::escape(c.encode_utf8(&mut [0; 4]))
            .chars()
            .count()
            == 1
}

/// Fills up to the width, which counts characters.
pub(super) fn pad(text: String, spec: Spec) -> String {
    let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    match (missing, spec.minus, spec.zero) {
        (0, ..) => text,
        (_, true, _) => text + &" ".repeat(missing),
        (_, _, true) => "0".repeat(missing) + &text,
        _ => " ".repeat(missing) + &text,
    }
}
