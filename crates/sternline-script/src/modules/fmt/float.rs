//! Numbers with a fraction, as Go writes them.

use super::format::{Spec, pad};

/// By one of the verbs for such numbers; `None` if it is another.
pub(super) fn format(number: f64, spec: Spec, verb: char) -> Option<String> {
    let size = number.abs();
    let digits = match verb {
        _ if !number.is_finite() && "eEfFgGv".contains(verb) => {
            let word = if number.is_nan() { "NaN" } else { "Inf" };
            word.to_owned()
        }
        'e' => exponent(size, Some(spec.precision.unwrap_or(6))),
        'E' => exponent(size, Some(spec.precision.unwrap_or(6))).to_uppercase(),
        'f' | 'F' => format!("{size:.*}", spec.precision.unwrap_or(6)),
        'g' | 'G' | 'v' => {
            let zeros = spec.sharp && verb != 'v';
            let precision = spec.precision.or(zeros.then_some(6));
            let text = general(size, precision, zeros);
            if verb == 'G' { text.to_uppercase() } else { text }
        }
        _ => return None,
    };
    let negative = number.is_sign_negative() && !number.is_nan();
    let sign = match (negative, spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (.., true) => " ",
        // Go shows which infinity it is.
        _ if number.is_infinite() => "+",
        _ => "",
    };
    if spec.zero && number.is_finite() {
        let width = spec.width.unwrap_or(0).saturating_sub(sign.len());
        return Some(format!("{sign}{digits:0>width$}"));
    }
    Some(pad(format!("{sign}{digits}"), Spec { zero: false, ..spec }))
}

/// `1.5e+06`. Without a precision, as many digits as tell the number from its neighbours.
fn exponent(size: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(precision) => format!("{size:.precision$e}"),
        None => format!("{size:e}"),
    };
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, power) = match power.strip_prefix('-') {
        Some(power) => ('-', power),
        None => ('+', power),
    };
    format!("{digits}e{sign}{power:0>2}")
}

/// The shorter of the two ways, without zeros at the end unless they are wanted.
fn general(size: f64, precision: Option<usize>, zeros: bool) -> String {
    let significant = precision.map(|precision| precision.max(1));
    let scientific = exponent(size, significant.map(|significant| significant - 1));
    let (digits, power) = scientific.split_once('e').unwrap_or((&scientific, "+00"));
    let power: i32 = power.parse().unwrap_or(0);
    // Where it takes as many digits as it needs, Go decides as if they were six.
    let limit = significant.map_or(6, |significant| i32::try_from(significant).unwrap_or(i32::MAX));
    if power < -4 || power >= limit {
        let digits = if zeros { digits } else { without_zeros(digits) };
        return format!(
            "{digits}e{}{:02}",
            if power < 0 { '-' } else { '+' },
            power.unsigned_abs()
        );
    }
    match significant {
        None => format!("{size}"),
        Some(significant) => {
            let decimals = i32::try_from(significant)
                .unwrap_or(i32::MAX)
                .saturating_sub(1 + power);
            let text = format!("{size:.*}", usize::try_from(decimals).unwrap_or(0));
            if zeros {
                text
            } else {
                without_zeros(&text).to_owned()
            }
        }
    }
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}
