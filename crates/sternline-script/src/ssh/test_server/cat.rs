//! The one command that a test server knows by itself: `cat FILE...`.

use std::iter::Peekable;
use std::str::Chars;

use sternline_server::{Reply, VirtualFiles};

/// What `cat` says of the files. `None` when the command is another one, or needs more of a shell than quotes.
pub(super) fn reply(files: &VirtualFiles, command: &str) -> Option<Reply> {
    let words = words(command)?;
    let (program, paths) = words.split_first()?;
    if program != "cat" && program != "/bin/cat" && program != "/usr/bin/cat" {
        return None;
    }
    let paths = paths.strip_prefix(&["--".to_owned()]).unwrap_or(paths);
    let (mut stdout, mut stderr) = (Vec::new(), String::new());
    for path in paths {
        match files.file(path) {
            Some(file) => stdout.extend_from_slice(&file.content),
            None => stderr.push_str(&format!("cat: {path}: No such file or directory\n")),
        }
    }
    let code = u32::from(!stderr.is_empty());
    Some(Reply::new(stdout, stderr, code))
}

/// The words of a simple command of a POSIX shell; `None` when the shell would do more with it.
fn words(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    // `None` between words.
    let mut word: Option<String> = None;
    let mut chars = command.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => quoted(&mut chars, word.get_or_insert_default(), false)?,
            '"' => quoted(&mut chars, word.get_or_insert_default(), true)?,
            '\\' => word.get_or_insert_default().push(chars.next()?),
            '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '$' | '`' | '*' | '?' | '[' | '#' | '~' => {
                return None;
            }
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    Some(words)
}

/// The rest of what stands in quotes; in double ones the shell would expand some of it.
fn quoted(chars: &mut Peekable<Chars<'_>>, word: &mut String, double: bool) -> Option<()> {
    let end = if double { '"' } else { '\'' };
    loop {
        match chars.next()? {
            char if char == end => return Some(()),
            '$' | '`' if double => return None,
            '\\' if double => match chars.next_if(|next| "\"\\$`".contains(*next)) {
                Some(escaped) => word.push(escaped),
                None => word.push('\\'),
            },
            char => word.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sternline::proto::quoting::quote_str;

    fn said(command: &str) -> Option<(String, String)> {
        let files = VirtualFiles::new();
        files.add_file("/etc/motd", "Hello\n", 0o644).unwrap();
        files.add_file("/a b", "two words\n", 0o644).unwrap();
        let reply = reply(&files, command)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some((text(&reply.stdout), text(&reply.stderr)))
    }

    #[test]
    fn cat_shows_files_one_after_another_and_complains_of_missing_ones() {
        assert_eq!(said("cat /etc/motd").unwrap(), ("Hello\n".into(), String::new()));
        assert_eq!(said("cat -- '/a b' /etc/motd").unwrap().0, "two words\nHello\n");
        let (out, err) = said("cat /none /etc/motd").unwrap();
        assert_eq!(
            (out.as_str(), err.as_str()),
            ("Hello\n", "cat: /none: No such file or directory\n")
        );
    }

    #[test]
    fn what_needs_a_shell_is_not_guessed() {
        for command in [
            "cat /etc/*",
            "cat $F",
            "cat \"$F\"",
            "cat /etc/motd | wc",
            "cat 'x",
            "cat x\\",
            "uptime",
            "",
        ] {
            assert_eq!(said(command), None, "{command}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_word_is_read_as_it_was(word in "[^\0]{1,20}") {
            let command = format!("cat {}", quote_str(&word).unwrap());
            prop_assert_eq!(words(&command), Some(vec!["cat".to_owned(), word]));
        }
    }
}
