//! Colours, where they are wanted.

use std::io::IsTerminal;

/// For hosts: none of those that say good or bad.
const HOSTS: [&str; 8] = ["36", "35", "34", "33", "96", "95", "94", "93"];

/// Whether what is written somewhere is seen on a terminal, and with colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colour {
    terminal: bool,
    colours: bool,
}

impl Colour {
    /// Not on a terminal.
    #[cfg(test)]
    pub(crate) const NONE: Self = Self {
        terminal: false,
        colours: false,
    };

    /// For standard output.
    pub(crate) fn of_stdout() -> Self {
        Self::of(std::io::stdout())
    }

    /// For standard error.
    pub(crate) fn of_stderr() -> Self {
        Self::of(std::io::stderr())
    }

    #[cfg(test)]
    pub(crate) fn terminal(colours: bool) -> Self {
        Self {
            terminal: true,
            colours,
        }
    }

    /// Colours are used only on a terminal that has them, and not where `NO_COLOR` is set.
    fn of(stream: impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = stream.is_terminal();
        Self {
            terminal,
            colours: terminal && !refused,
        }
    }

    pub(crate) fn is_terminal(self) -> bool {
        self.terminal
    }

    #[cfg(feature = "script")]
    pub(crate) fn has_colours(self) -> bool {
        self.colours
    }

    /// A host's name in its colour, which is the same in every run.
    pub(crate) fn of_host(self, label: &str) -> String {
        // FNV-1a: the standard library's hash may differ from run to run.
        let hash = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let place = usize::try_from(hash % HOSTS.len() as u64).unwrap_or_default();
        self.styled(HOSTS.get(place).copied().unwrap_or_default(), label)
    }

    /// The text in a style (ECMA-48, SGR).
    pub(crate) fn styled(self, style: &str, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[{style}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_same_colour_each_time_and_none_where_none_are_wanted() {
        let colour = Colour::terminal(true);
        assert_eq!(colour.of_host("web-1"), colour.of_host("web-1"));
        let different: std::collections::HashSet<_> = (0..100)
            .map(|n| {
                colour
                    .of_host(&format!("web-{n}"))
                    .split('m')
                    .next()
                    .map(str::to_owned)
            })
            .collect();
        assert_eq!(different.len(), HOSTS.len());
        assert_eq!(Colour::terminal(false).of_host("web-1"), "web-1");
    }
}
