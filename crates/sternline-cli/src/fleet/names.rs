//! Lists of hosts as people read them.

use sternline::proto::target::fold;

/// The most names and ranges in one list: more would hide what is said about them.
const MOST: usize = 12;

/// The hosts with these places in the list, with ranges, and how many are left out where they are too many.
pub(crate) fn folded(labels: &[String], places: &[usize]) -> String {
    let folded = fold(&chosen(labels, places));
    let shown: Vec<&str> = folded
        .iter()
        .take(MOST)
        .map(|names| names.text.as_str())
        .collect();
    let left_out: usize = folded.iter().skip(MOST).map(|names| names.count).sum();
    match left_out {
        0 => shown.join(","),
        more => format!("{} and {more} more", shown.join(",")),
    }
}

/// All of them, with ranges.
pub(crate) fn folded_all(labels: &[String], places: &[usize]) -> String {
    let texts: Vec<String> = fold(&chosen(labels, places))
        .into_iter()
        .map(|names| names.text)
        .collect();
    texts.join(",")
}

fn chosen<'a>(labels: &'a [String], places: &[usize]) -> Vec<&'a str> {
    let label = |place: &usize| labels.get(*place).map(String::as_str);
    places.iter().filter_map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_says_how_many_it_leaves_out() {
        let labels: Vec<String> = (0..40).map(|n| format!("{}-{n}", "x".repeat(n + 1))).collect();
        let places: Vec<usize> = (0..40).collect();
        let text = folded(&labels, &places);
        assert!(
            text.starts_with("x-0,xx-1,") && text.ends_with(" and 28 more"),
            "{text}"
        );
        assert_eq!(folded_all(&labels, &places).split(',').count(), 40);
        assert_eq!(folded(&labels, &[3]), "xxxx-3");
    }
}
