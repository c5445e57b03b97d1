//! What the shell says: the output of one command, cut where its marker stands.

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

use super::marker::Marker;

/// Which process the shell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShellIds {
    /// Its own process id.
    pub pid: u64,
    /// Its parent's, which is the server's process for the connection.
    pub parent: u64,
}

/// Reads the answer to [`hello_line`](super::hello_line); `None` until it is complete. What stands before it is somebody else's.
#[must_use]
pub fn parse_hello(output: &[u8], marker: &Marker) -> Option<ShellIds> {
    let finder = Finder::new(marker.text());
    finder.find_iter(output).find_map(|at| {
        let behind = output.get(at + marker.text().len()..)?;
        let end = behind.iter().position(|byte| *byte == b'\n')?;
        let text = str::from_utf8(behind.get(..end)?).ok()?;
        let mut numbers = text.strip_prefix(' ')?.split(' ').map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(pid)), Some(Ok(parent)), None) => Some(ShellIds { pid, parent }),
            _ => None,
        }
    })
}

/// The output of one command, in pieces of any size, until both of its streams have ended in the marker.
#[derive(Debug)]
pub struct FramedOutput {
    marker: Finder<'static>,
    stdout: Stream,
    stderr: Stream,
    status: Option<u32>,
}

/// One of the two streams.
#[derive(Debug, Default)]
struct Stream {
    data: BytesMut,
    /// Before this no marker begins.
    searched: usize,
    /// Where the marker begins.
    end: Option<usize>,
    /// Some of it was taken out.
    taken: bool,
}

/// What stands behind a marker.
enum Behind {
    /// More has to come first.
    Unknown,
    /// Nothing of ours: the marker's letters are output.
    Foreign,
    /// The end, on standard output with the exit status.
    End(Option<u32>),
}

impl FramedOutput {
    /// Before the first byte of a command's output.
    #[must_use]
    pub fn new(marker: &Marker) -> Self {
        Self {
            marker: Finder::new(marker.text()).into_owned(),
            stdout: Stream::default(),
            stderr: Stream::default(),
            status: None,
        }
    }

    /// Takes in the next piece of standard output. What comes behind the marker is dropped.
    pub fn push_stdout(&mut self, bytes: &[u8]) {
        let Self {
            marker,
            stdout,
            status,
            ..
        } = self;
        if let Some(found) = stdout.push(bytes, marker, status_behind) {
            *status = found;
        }
    }

    /// Takes in the next piece of standard error.
    pub fn push_stderr(&mut self, bytes: &[u8]) {
        let _ = self.stderr.push(bytes, &self.marker, line_behind);
    }

    /// The exit status, once all output has arrived: the command's, or 128 and the number of the signal that has ended it.
    #[must_use]
    pub fn status(&self) -> Option<u32> {
        self.stderr.end.and(self.status)
    }

    /// Whether any byte of the command's has arrived, or its end.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        [&self.stdout, &self.stderr]
            .iter()
            .any(|stream| stream.taken || !stream.data.is_empty())
    }

    /// Takes out what is certainly the command's, of standard output and standard error: all of it, but for what may turn out to
    /// be the beginning of a marker.
    pub fn take_settled(&mut self) -> (Bytes, Bytes) {
        let needle = self.marker.needle();
        (self.stdout.take_settled(needle), self.stderr.take_settled(needle))
    }

    /// What the command has written to standard output and standard error, without the markers, and without what was taken out.
    #[must_use]
    pub fn into_output(self) -> (Bytes, Bytes) {
        (self.stdout.into_data(), self.stderr.into_data())
    }
}

impl Stream {
    /// Gives what stood behind the marker when it is found. What comes behind that is nobody's.
    fn push(
        &mut self,
        bytes: &[u8],
        marker: &Finder<'_>,
        behind: impl Fn(&[u8]) -> Behind,
    ) -> Option<Option<u32>> {
        if self.end.is_some() {
            return None;
        }
        self.data.extend_from_slice(bytes);
        let length = marker.needle().len();
        loop {
            let Some(found) = marker.find(self.data.get(self.searched..)?) else {
                // The end of what has arrived may be the beginning of a marker.
                self.searched = self.searched.max((self.data.len() + 1).saturating_sub(length));
                return None;
            };
            let at = self.searched + found;
            match behind(self.data.get(at + length..)?) {
                Behind::Unknown => {
                    self.searched = at;
                    return None;
                }
                Behind::Foreign => self.searched = at + 1,
                Behind::End(status) => {
                    self.end = Some(at);
                    return Some(status);
                }
            }
        }
    }

    fn take_settled(&mut self, marker: &[u8]) -> Bytes {
        let rest = self.data.get(self.searched..).unwrap_or_default();
        let settled = match self.end {
            Some(end) => end,
            // A whole marker, and what has to stand behind it has not come.
            None if rest.len() >= marker.len() => self.searched,
            None => {
                let begins = |length: &usize| {
                    marker
                        .get(..*length)
                        .is_some_and(|beginning| rest.ends_with(beginning))
                };
                self.data.len() - (0..=rest.len()).rev().find(begins).unwrap_or_default()
            }
        };
        self.searched = self.searched.saturating_sub(settled);
        self.end = self.end.map(|end| end - settled);
        self.taken |= settled > 0;
        self.data.split_to(settled).freeze()
    }

    fn into_data(mut self) -> Bytes {
        if let Some(end) = self.end {
            self.data.truncate(end);
        }
        self.data.freeze()
    }
}

/// A blank, an exit status and a line's end.
fn status_behind(bytes: &[u8]) -> Behind {
    /// As many as the largest number of 32 bits has.
    const DIGITS: usize = 10;
    let Some((blank, rest)) = bytes.split_first() else {
        return Behind::Unknown;
    };
    let digits: &[u8] = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if *blank != b' ' || digits.len() > DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return Behind::Foreign;
    }
    if digits.len() == rest.len() {
        return Behind::Unknown;
    }
    match str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()) {
        Some(status) => Behind::End(Some(status)),
        None => Behind::Foreign,
    }
}

/// A line's end.
fn line_behind(bytes: &[u8]) -> Behind {
    match bytes.first() {
        None => Behind::Unknown,
        Some(b'\n') => Behind::End(None),
        Some(_) => Behind::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marker() -> Marker {
        Marker::new([7; 12])
    }

    fn end(status: &str) -> Vec<u8> {
        format!("{}{status}\n", marker().text()).into_bytes()
    }

    #[test]
    fn the_hello_is_found_behind_what_start_up_files_have_said() {
        let marker = marker();
        let text = marker.text();
        let ids = Some(ShellIds { pid: 12, parent: 7 });
        for (output, expected) in [
            (format!("{text} 12 7\n"), ids),
            (format!("Welcome!\nno line's end{text} 12 7\nmore"), ids),
            (format!("{text} 12 7"), None),
            (format!("{text} 12\n"), None),
            (format!("{text} 12 x\n{text} 12 7\n"), ids),
            (format!("{text} 12 7 9\n"), None),
            (String::new(), None),
        ] {
            assert_eq!(parse_hello(output.as_bytes(), &marker), expected, "{output:?}");
        }
    }

    #[test]
    fn the_status_is_known_when_both_streams_have_ended() {
        let mut output = FramedOutput::new(&marker());
        output.push_stdout(&[b"out\0", end(" 3").as_slice()].concat());
        assert_eq!(output.status(), None);
        output.push_stderr(&end(""));
        assert_eq!(output.status(), Some(3));
        let (stdout, stderr) = output.into_output();
        assert_eq!((&stdout[..], &stderr[..]), (&b"out\0"[..], &b""[..]));
    }

    #[test]
    fn what_comes_behind_the_marker_is_nobodys() {
        let mut output = FramedOutput::new(&marker());
        output.push_stdout(&[b"a", end(" 0").as_slice(), b"late"].concat());
        output.push_stdout(b"later");
        output.push_stderr(&[b"b", end("").as_slice(), b"late"].concat());
        assert_eq!(output.status(), Some(0));
        let (stdout, stderr) = output.into_output();
        assert_eq!((&stdout[..], &stderr[..]), (&b"a"[..], &b"b"[..]));
    }

    #[test]
    fn what_cannot_be_a_marker_is_the_commands_at_once() {
        let marker = marker();
        let mut output = FramedOutput::new(&marker);
        let (begins, ends) = marker.text().split_at(5);
        output.push_stdout(b"begun\n");
        output.push_stderr(format!("half {begins}").as_bytes());
        let taken = |output: &mut FramedOutput| {
            let (stdout, stderr) = output.take_settled();
            [stdout, stderr].map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
        };
        assert_eq!(taken(&mut output), ["begun\n", "half "]);
        assert!(output.has_begun());
        output.push_stderr(format!("{ends}\n").as_bytes());
        output.push_stdout(format!("x{} ", marker.text()).as_bytes());
        assert_eq!(taken(&mut output), ["x", ""]);
        output.push_stdout(b"7\n");
        assert_eq!(
            (taken(&mut output), output.status()),
            (["".into(), "".into()], Some(7))
        );
        assert_eq!(output.into_output(), Default::default());
    }

    #[test]
    fn a_marker_without_a_status_is_output() {
        let text = marker().text().to_owned();
        for foreign in [
            "",
            "\n",
            " \n",
            " x\n",
            " 12345678901\n",
            " 9999999999\n",
            "0\n",
            " 1 \n",
        ] {
            let own = format!("{text}{foreign}");
            let mut output = FramedOutput::new(&marker());
            output.push_stdout(own.as_bytes());
            assert_eq!(output.status, None, "{foreign:?}");
            output.push_stdout(&end(" 1"));
            output.push_stderr(&end(""));
            assert_eq!(output.status(), Some(1), "{foreign:?}");
            assert_eq!(output.into_output().0, own, "{foreign:?}");
        }
    }

    /// Bytes among which markers, beginnings of markers and ends that lack something are frequent.
    fn like_markers() -> impl Strategy<Value = Vec<u8>> {
        let text = marker().text().to_owned().into_bytes();
        let piece = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            (1..text.len()).prop_map({
                let text = text.clone();
                move |length| text[..length].to_vec()
            }),
            Just([text.as_slice(), b" 1x"].concat()),
            Just([text.as_slice(), b"  "].concat()),
            Just(b" 0\n".to_vec()),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn output_comes_through_whole_however_it_is_cut(
            stdout in like_markers(),
            stderr in like_markers(),
            status in any::<u32>(),
            cuts in prop::collection::vec(1_usize..40, 1..20),
            early in any::<bool>(),
        ) {
            // What is the end itself cannot be output; the strategy cannot make one but by putting pieces together.
            let whole = marker().text().as_bytes().to_vec();
            // Wherever it stands: this marker's letters repeat, so that one may begin within another.
            let behind_each = |bytes: &[u8]| -> Vec<Vec<u8>> {
                let found = bytes.windows(whole.len()).enumerate().filter(|(_, window)| *window == whole);
                found.map(|(at, _)| bytes[at + whole.len()..].to_vec()).collect()
            };
            let is_foreign = |behind: Behind| matches!(behind, Behind::Foreign);
            prop_assume!(behind_each(&stdout).iter().all(|behind| is_foreign(status_behind(behind))));
            prop_assume!(behind_each(&stderr).iter().all(|behind| is_foreign(line_behind(behind))));

            let mut output = FramedOutput::new(&marker());
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut take = |output: &mut FramedOutput| {
                let (stdout, stderr) = output.take_settled();
                out.extend_from_slice(&stdout);
                err.extend_from_slice(&stderr);
            };
            let sent = [
                ([stdout.as_slice(), &end(&format!(" {status}"))].concat(), true),
                ([stderr.as_slice(), &end("")].concat(), false),
            ];
            for (bytes, is_stdout) in sent {
                prop_assert_eq!(output.status(), None);
                let mut cuts = cuts.iter().cycle();
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let (piece, behind) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                    match is_stdout {
                        true => output.push_stdout(piece),
                        false => output.push_stderr(piece),
                    }
                    rest = behind;
                    if early {
                        take(&mut output);
                    }
                }
            }
            prop_assert_eq!(output.status(), Some(status));
            let (last_out, last_err) = output.into_output();
            out.extend_from_slice(&last_out);
            err.extend_from_slice(&last_err);
            prop_assert_eq!(&out[..], stdout);
            prop_assert_eq!(&err[..], stderr);
        }
    }
}
