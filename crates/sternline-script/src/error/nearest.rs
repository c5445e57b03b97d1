//! What somebody may have meant who wrote a name that nothing has.

/// The name that is most like this one, if one is like it. Of several, the first.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match word.chars().count() {
        0 | 1 => return None,
        2 => 1,
        3..=7 => 2,
        _ => 3,
    };
    let wanted = word.to_lowercase();
    let mut best: Option<(usize, &str)> = None;
    for name in names {
        if name == word {
            continue;
        }
        let steps = distance(&wanted, &name.to_lowercase());
        // Less than half of it may differ, or two letters of three would make another word.
        let alike = steps <= limit && steps * 2 <= name.chars().count().max(2);
        if alike && best.is_none_or(|(least, _)| steps < least) {
            best = Some((steps, name));
        }
    }
    best.map(|(_, name)| name)
}

/// How many letters have to be added, left out, changed, or exchanged with the one beside them.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let change = at(&last, j) + usize::from(letter != other);
            let mut steps = change.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let exchanged = i > 0 && j > 0 && a.get(i - 1) == Some(other) && b.get(j - 1) == Some(letter);
            if exchanged {
                steps = steps.min(at(&before, j - 1) + 1);
            }
            row.push(steps);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_name() {
        let names = ["config", "connect", "exec", "host_key_check", "hosts", "user"];
        for (word, expected) in [
            ("conect", "connect"),
            ("cofnig", "config"),
            ("exce", "exec"),
            ("host", "hosts"),
            ("Hosts", "hosts"),
            ("hostkeycheck", "host_key_check"),
            ("usr", "user"),
        ] {
            assert_eq!(nearest(word, names), Some(expected), "{word}");
        }
    }

    #[test]
    fn another_word_finds_none() {
        let names = ["config", "exec", "ok", "user"];
        for word in ["", "zip", "upload", "ab", "prot"] {
            assert_eq!(nearest(word, names), None, "{word}");
        }
    }
}
