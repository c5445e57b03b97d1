//! A plot for each kind of work: a bar for each peer, as an SVG that can be read on a light and on a dark page.

use std::fmt::Write;

use super::figure;
use crate::results::{Row, Work};

const WIDTH: f64 = 800.0;
const LEFT: f64 = 230.0;
/// What is kept for the figure behind the longest bar.
const RIGHT: f64 = 130.0;
const TOP: f64 = 44.0;
const STEP: f64 = 26.0;
const BAR: f64 = 16.0;

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.ours { fill: #0969da; }
.peer { fill: #8c959f; }
.spread { stroke: #1f2328; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .ours { fill: #4493f8; }
  .peer { fill: #6e7681; }
  .spread { stroke: #e6edf3; }
}";

/// The first quantity of a work.
pub(super) fn plot(work: &Work) -> String {
    let (key, title) = work.quantities.first().map_or_else(
        || (String::new(), String::new()),
        |quantity| {
            (
                quantity.key.clone(),
                format!("{}: {}, {}", work.title, quantity.title, quantity.unit).replace('`', ""),
            )
        },
    );
    let largest = work
        .rows
        .iter()
        .filter_map(|row| row.summary(&key))
        .map(|summary| summary.max)
        .fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / largest;
    let height = TOP + STEP * work.rows.len() as f64 + 8.0;
    let title = escaped(&title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{title}</title>\n\
         <style>\n{STYLE}\n</style>\n<text class=\"title\" x=\"8\" y=\"24\">{title}</text>\n"
    );
    for (index, row) in work.rows.iter().enumerate() {
        bar(&mut svg, row, &key, scale, TOP + STEP * index as f64);
    }
    svg.push_str("</svg>\n");
    svg
}

fn bar(svg: &mut String, row: &Row, key: &str, scale: f64, top: f64) {
    let baseline = top + 13.0;
    let _ = writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"{baseline:.0}\" text-anchor=\"end\">{}</text>",
        LEFT - 10.0,
        escaped(&row.peer)
    );
    let Some(summary) = row.summary(key) else {
        let _ = writeln!(svg, "<text x=\"{LEFT:.0}\" y=\"{baseline:.0}\">not run</text>");
        return;
    };
    let class = if row.ours { "ours" } else { "peer" };
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{LEFT:.0}\" y=\"{top:.0}\" width=\"{:.1}\" height=\"{BAR:.0}\" rx=\"2\"/>",
        (summary.median * scale).max(1.0)
    );
    if summary.min < summary.max {
        let (from, to, middle) = (
            LEFT + summary.min * scale,
            LEFT + summary.max * scale,
            top + BAR / 2.0,
        );
        let _ = writeln!(
            svg,
            "<path class=\"spread\" d=\"M{from:.1} {middle:.1}H{to:.1}\"/>"
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{baseline:.0}\">{}</text>",
        LEFT + summary.max * scale + 8.0,
        figure(summary.median)
    );
}

/// Text for XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Quantity, Session};

    #[test]
    fn every_peer_has_a_bar_or_says_that_it_did_not_run() {
        let mut ours = Row::ours("sternline");
        ours.add("time", 1.0);
        ours.add("time", 3.0);
        let svg = plot(&Work {
            name: "w".into(),
            title: "`true` & <more>".into(),
            timed: String::new(),
            quantities: vec![Quantity::new("time", "time", "s")],
            rows: vec![ours, Row::not_run("slow", "why")],
            wanted: Vec::new(),
            session: Session::default(),
        });
        assert!(svg.contains("true &amp; &lt;more&gt;"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 1);
        assert_eq!(svg.matches("not run").count(), 1);
        // The median is two thirds of the largest value.
        assert!(svg.contains("width=\"293.3\""), "{svg}");
        assert!(svg.contains("prefers-color-scheme: dark"));
    }
}
