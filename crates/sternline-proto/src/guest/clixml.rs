//! CLIXML (MS-PSRP section 2.2.5): how PowerShell writes its streams to a standard error that is no console.

use std::borrow::Cow;

/// The line with which PowerShell announces what follows.
const HEADER: &str = "#< CLIXML";

/// The text of what PowerShell wrote to its standard error.
///
/// PowerShell writes XML there, headed by `#< CLIXML`: errors, warnings and more as text in records, and its progress
/// bars even where nothing went wrong. What remains is the text of errors as it is, warnings and their like with the
/// word that PowerShell shows before them (`WARNING: `), and whatever was written there as plain text, by native
/// programs for one. Progress is left out. Without the header nothing is changed; XML that breaks off or makes no
/// sense is kept as it is.
#[must_use]
pub fn without_clixml(stderr: &str) -> Cow<'_, str> {
    if !stderr.contains(HEADER) {
        return Cow::Borrowed(stderr);
    }
    let mut out = String::with_capacity(stderr.len());
    let mut rest = stderr;
    while let Some(at) = next_mark(rest) {
        let (before, mark) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = mark.strip_prefix(HEADER) {
            rest = after
                .strip_prefix("\r\n")
                .or_else(|| after.strip_prefix('\n'))
                .unwrap_or(after);
            continue;
        }
        let document = mark.find("</Objs>").map(|end| mark.split_at(end));
        let Some((text, after)) = document.and_then(|(document, after)| Some((records(document)?, after)))
        else {
            // What it was meant to say may stand in it.
            out.push_str(mark);
            return Cow::Owned(out);
        };
        out.push_str(&text);
        rest = after.strip_prefix("</Objs>").unwrap_or(after);
        // The line's end behind a document is PowerShell's; where text follows it, it is somebody else's line.
        rest = rest
            .strip_prefix("\r\n")
            .or_else(|| rest.strip_prefix('\n'))
            .unwrap_or(rest);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Looks no further than the mark itself, however many of them the guest writes.
fn next_mark(text: &str) -> Option<usize> {
    let mut begins = text.match_indices(['#', '<']).map(|(at, _)| at);
    begins.find(|at| {
        let rest = text.get(*at..).unwrap_or_default();
        rest.starts_with(HEADER) || rest.starts_with("<Objs ")
    })
}

/// The text of a document's records; `None` if it is no such document.
fn records(document: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = document.get(document.find('>')? + 1..)?;
    while let Some(at) = rest.find('<') {
        if !rest.get(..at)?.trim().is_empty() {
            return None;
        }
        rest = rest.get(at..)?;
        let tag = rest.get(..=rest.find('>')?)?;
        let name = tag_name(tag);
        let content = rest.get(tag.len()..)?;
        if tag.ends_with("/>") {
            rest = content;
            continue;
        }
        let end = closing(content, name)?;
        let (content, after) = content.split_at(end);
        match (name, stream(tag)) {
            ("S", Some(stream)) => out.push_str(&labelled(stream, &text(content))),
            // An error as a whole: what it would say if it were shown.
            ("Obj", Some("error")) => {
                if let Some(said) = element(content, "ToString") {
                    out.push_str(&text(said));
                    out.push('\n');
                }
            }
            _ => {}
        }
        rest = after.get(after.find('>')? + 1..)?;
    }
    rest.trim().is_empty().then_some(out)
}

fn tag_name(tag: &str) -> &str {
    tag.trim_start_matches('<')
        .split([' ', '>', '/', '\t', '\r', '\n'])
        .next()
        .unwrap_or_default()
}

/// Where the element of this name ends in whose content the text begins: at the `</NAME>` that is its own.
fn closing(content: &str, name: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        at += content.get(at..)?.find('<')?;
        let rest = content.get(at..)?;
        let tag = rest.get(..=rest.find('>')?)?;
        if let Some(closed) = tag.strip_prefix("</") {
            if tag_name(closed) == name {
                match depth.checked_sub(1) {
                    None => return Some(at),
                    Some(less) => depth = less,
                }
            }
        } else if tag_name(tag) == name && !tag.ends_with("/>") {
            depth += 1;
        }
        at += tag.len();
    }
}

/// The stream that a record belongs to, from its attribute `S`, in lower case.
fn stream(tag: &str) -> Option<&'static str> {
    let value = tag.split(" S=\"").nth(1)?.split('"').next()?;
    ["error", "warning", "verbose", "debug", "information", "progress"]
        .into_iter()
        .find(|known| value.eq_ignore_ascii_case(known))
}

fn labelled(stream: &str, text: &str) -> String {
    let label = match stream {
        "warning" => "WARNING: ",
        "verbose" => "VERBOSE: ",
        "debug" => "DEBUG: ",
        "progress" => return String::new(),
        _ => return text.to_owned(),
    };
    match text.ends_with('\n') {
        true => format!("{label}{text}"),
        false => format!("{label}{text}\n"),
    }
}

/// The content of the first element of this name.
fn element<'a>(content: &'a str, name: &str) -> Option<&'a str> {
    let open = format!("<{name}>");
    let inner = content.get(content.find(&open)? + open.len()..)?;
    inner.get(..inner.find(&format!("</{name}>"))?)
}

/// Text as it was before XML's entities and CLIXML's `_xHHHH_` (one unit of UTF-16 each) stood for parts of it.
fn text(content: &str) -> String {
    let mut units: Vec<u16> = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(c) = rest.chars().next() {
        let found = match c {
            '&' => entity(rest),
            '_' => unit(rest).map(|unit| (vec![unit], "_xHHHH_".len())),
            _ => None,
        };
        let (decoded, length) = found.unwrap_or_else(|| (c.encode_utf16(&mut [0; 2]).to_vec(), c.len_utf8()));
        units.extend(decoded);
        rest = rest.get(length..).unwrap_or_default();
    }
    // PowerShell ends its lines as Windows does.
    String::from_utf16_lossy(&units).replace("\r\n", "\n")
}

fn entity(rest: &str) -> Option<(Vec<u16>, usize)> {
    /// `&#x10FFFF;`, and some zeros.
    const LONGEST: usize = 16;
    let end = rest.bytes().take(LONGEST).position(|byte| byte == b';')?;
    let name = rest.get(1..end)?;
    let c = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)?
        }
    };
    Some((c.encode_utf16(&mut [0; 2]).to_vec(), end + 1))
}

fn unit(rest: &str) -> Option<u16> {
    let hex = rest.strip_prefix("_x")?.get(..4)?;
    let closed = rest.get(6..7) == Some("_");
    let digits = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    (closed && digits)
        .then(|| u16::from_str_radix(hex, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn however_much_a_guest_writes_it_is_read_once() {
        // Reading on to the end from every one of these would take hours.
        const MANY: usize = 400_000;
        for text in [
            HEADER.repeat(MANY),
            format!("{HEADER}{}", "<Objs ></Objs>".repeat(MANY)),
            format!(
                "{HEADER}<Objs ><S S=\"Error\">{}</S></Objs>",
                "&".repeat(MANY * 4)
            ),
            format!("{HEADER}<Objs >{}</Objs>", "<S S=\"Error\">x</S>".repeat(MANY)),
        ] {
            let begun = std::time::Instant::now();
            let read = without_clixml(&text);
            let took = begun.elapsed();
            assert!(took < std::time::Duration::from_secs(20), "{took:?}");
            assert!(!read.contains(HEADER));
        }
    }

    const OPEN: &str = r#"<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">"#;
    const PROGRESS: &str = r#"<Obj S="progress" RefId="0"><TN RefId="0"><T>System.Management.Automation.PSCustomObject</T><T>System.Object</T></TN><MS><I64 N="SourceId">1</I64><PR N="Record"><AV>Preparing modules for first use.</AV><AI>0</AI><Nil /><PI>-1</PI><PC>-1</PC><T>Completed</T><SR>-1</SR><SD> </SD></PR></MS></Obj>"#;

    fn document(records: &str) -> String {
        format!("#< CLIXML\r\n{OPEN}{records}</Objs>")
    }

    #[test]
    fn progress_leaves_nothing_behind() {
        assert_eq!(without_clixml(&document(PROGRESS)), "");
        assert_eq!(without_clixml(&document(&format!("{PROGRESS}{PROGRESS}"))), "");
        assert_eq!(without_clixml("#< CLIXML\r\n"), "");
    }

    #[test]
    fn the_text_of_an_error_is_what_remains() {
        let error = r#"<S S="Error">Get-Item : Cannot find path 'C:\nope' because it does not exist._x000D__x000A_</S><S S="Error">At line:1 char:1_x000D__x000A_+ Get-Item &lt;x&gt; &amp; &quot;y&quot;_x000D__x000A_</S>"#;
        let expected = "Get-Item : Cannot find path 'C:\\nope' because it does not exist.\nAt line:1 char:1\n+ Get-Item <x> & \"y\"\n";
        assert_eq!(without_clixml(&document(error)), expected);
        assert_eq!(
            without_clixml(&document(&format!("{PROGRESS}{error}{PROGRESS}"))),
            expected
        );
        let whole = r#"<Obj S="Error" RefId="1"><TN RefId="1"><T>System.Management.Automation.ErrorRecord</T></TN><ToString>no &lt;such&gt; thing</ToString><Props><Obj N="Exception" RefId="2"><ToString>inner</ToString></Obj></Props></Obj>"#;
        assert_eq!(without_clixml(&document(whole)), "no <such> thing\n");
    }

    #[test]
    fn other_streams_have_the_word_before_them_that_powershell_shows() {
        let records = r#"<S S="warning">low disk</S><S S="verbose">v_x000A_</S><S S="debug">d</S><S S="Information">i</S>"#;
        assert_eq!(
            without_clixml(&document(records)),
            "WARNING: low disk\nVERBOSE: v\nDEBUG: d\ni"
        );
    }

    #[test]
    fn what_others_wrote_beside_the_documents_stays_in_its_place() {
        let error = r#"<S S="Error">bad_x000A_</S>"#;
        for (stderr, expected) in [
            ("plain\n".to_owned(), "plain\n"),
            (format!("before\n{}", document(PROGRESS)), "before\n"),
            (format!("{}\r\nafter\n", document(error)), "bad\nafter\n"),
            // A native program in the middle, and two documents behind one header.
            (
                format!("#< CLIXML\r\nnative: no\r\n{OPEN}{error}</Objs>{OPEN}{error}</Objs>"),
                "native: no\r\nbad\nbad\n",
            ),
            (format!("{}{}", document(PROGRESS), document(error)), "bad\n"),
        ] {
            assert_eq!(without_clixml(&stderr), expected, "{stderr}");
        }
    }

    #[test]
    fn characters_are_decoded_from_units_of_utf_16() {
        for (content, expected) in [
            ("_xD834__xDD1E_", "𝄞"),
            ("_x005F_x0041_", "_x0041_"),
            (
                "a_b _x12 _xZZZZ_ &unknown; &#65;&#x42;",
                "a_b _x12 _xZZZZ_ &unknown; AB",
            ),
            ("_xD834_", "\u{fffd}"),
            ("grün_x001B_", "grün\u{1b}"),
        ] {
            let records = format!("<S S=\"Error\">{content}</S>");
            assert_eq!(without_clixml(&document(&records)), expected, "{content}");
        }
    }

    #[test]
    fn what_breaks_off_or_makes_no_sense_is_kept() {
        for broken in [
            format!("{OPEN}<S S=\"Error\">half"),
            format!("{OPEN}<S S=\"Error\">half</Objs>"),
            "<Objs <<>></Objs>".to_owned(),
        ] {
            let kept = without_clixml(&format!("#< CLIXML\r\n{broken}")).into_owned();
            assert!(kept.contains(&broken), "{broken:?} became {kept:?}");
        }
    }

    proptest! {
        #[test]
        fn no_input_is_too_strange(text in r#"(#< CLIXML|\r\n|<Objs |</Objs>|<S S="Error">|</S>|<Obj |/>|>|<|&amp;|&|_x00|_x000A_|é|[a-z ]){0,40}"#) {
            let _ = without_clixml(&text);
        }

        #[test]
        fn an_error_of_any_text_comes_through(said in "[^\r\u{0}]{0,60}") {
            let escaped: String = said
                .encode_utf16()
                .map(|unit| format!("_x{unit:04X}_"))
                .collect();
            let document = document(&format!("{PROGRESS}<S S=\"Error\">{escaped}</S>"));
            prop_assert_eq!(without_clixml(&document), said);
        }
    }
}
