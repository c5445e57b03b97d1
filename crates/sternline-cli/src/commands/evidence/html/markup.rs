//! HTML that is right by construction: names of elements and attributes are constants of ours, and every text and every value
//! of an attribute is encoded here, in one place.

use sternline::proto::text::escape_again;

/// A page while it is written.
#[derive(Debug, Default)]
pub(super) struct Html(String);

/// The attributes of an element.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a str)];

impl Html {
    /// A constant of ours, as it is: the style, the script, the first line.
    pub(super) fn constant(&mut self, text: &'static str) {
        self.0.push_str(text);
    }

    /// A text.
    pub(super) fn text(&mut self, text: &str) {
        encode(&escape_again(text), &mut self.0);
    }

    /// A text of several lines, which stay lines. Tabs stay too.
    pub(super) fn lines(&mut self, text: &str) {
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.0.push('\n');
            }
            let line = line.strip_suffix('\r').unwrap_or(line);
            for (index, part) in line.split('\t').enumerate() {
                if index > 0 {
                    self.0.push('\t');
                }
                encode(&escape_again(part), &mut self.0);
            }
        }
    }

    /// An element that holds what `inside` writes.
    pub(super) fn element(
        &mut self,
        name: &'static str,
        attributes: Attributes<'_>,
        inside: impl FnOnce(&mut Self),
    ) {
        self.empty(name, attributes);
        inside(self);
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// An element that holds nothing and has no end (HTML's void elements).
    pub(super) fn empty(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.0.push('<');
        self.0.push_str(name);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            encode(&escape_again(value), &mut self.0);
            self.0.push('"');
        }
        self.0.push('>');
    }

    /// An element that holds a text.
    pub(super) fn leaf(&mut self, name: &'static str, attributes: Attributes<'_>, text: &str) {
        self.element(name, attributes, |html| html.text(text));
    }

    /// The page so far.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// What could end a text or a quoted value, or begin something in it, as a character reference.
fn encode(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '`' => out.push_str("&#96;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_in_texts_and_values_is_text() {
        let mut html = Html::default();
        let evil = "</td><script>alert('1')</script>\" onload=\"x\u{202e}\0";
        html.leaf("td", &[("title", evil)], evil);
        html.element("pre", &[], |html| html.lines("a\n\tb<\r\n\x1b[2J"));
        assert_eq!(
            html.finish(),
            "<td title=\"&lt;/td&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot; onload=&quot;x\\u{202e}\\x00\">\
             &lt;/td&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot; onload=&quot;x\\u{202e}\\x00</td>\
             <pre>a\n\tb&lt;\n\\x1b[2J</pre>"
        );
    }

    proptest! {
        #[test]
        fn no_text_and_no_value_ends_what_it_stands_in(text in any::<String>()) {
            let mut html = Html::default();
            html.leaf("b", &[("title", &text)], &text);
            html.element("pre", &[], |html| html.lines(&text));
            let page = html.finish();
            prop_assert_eq!(page.matches('<').count(), 4);
            prop_assert_eq!(page.matches('>').count(), 4);
            prop_assert_eq!(page.matches('"').count(), 2);
            prop_assert!(!page.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
        }
    }
}
