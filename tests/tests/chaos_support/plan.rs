//! What happens in a round: drawn from the seed and the number of the round, and from nothing else.

use std::fmt;

use sternline_server::fault::{Direction, Fault, FaultPlan};

/// How many commands run beside the stream.
pub(crate) const COMMANDS: usize = 20;

/// The commands that run until the blow has fallen. Few enough that the others find sessions.
const HELD: usize = 3;

/// More bytes than the server's identification and proposal of algorithms take.
const PROPOSAL: u64 = 2 << 10;

#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) seed: u64,
    pub(crate) number: u64,
    pub(crate) commands: Vec<Kind>,
    pub(crate) moment: Moment,
    pub(crate) blow: Blow,
    /// What meets those who come back, until healing.
    pub(crate) meanwhile: Option<Fault>,
    /// After how many connections, or failed attempts at one, all is well again.
    pub(crate) attempts: u64,
    /// How many bytes a link that is slow but not broken passes before it is quick again.
    pub(crate) slow_bytes: u64,
    /// Whether a stall ends when the first probe is sent, rather than when the link has been given up.
    pub(crate) short_stall: bool,
    /// Whether the user has had enough as soon as the blow has fallen, and closes.
    pub(crate) closes: bool,
}

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Says its name.
    Quick,
    /// Says its name on standard error, and exits with 7.
    Fails,
    /// Says its name, and may be run as often as it takes.
    Repeatable,
    /// Writes this many bytes.
    Output(usize),
    /// Gives back this many bytes of input.
    Input(usize),
    /// Says its name once the blow has fallen.
    Held,
}

/// When the blow falls, unless the work is done before.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// When this many commands have answered.
    Answers(usize),
    /// When this many thousandths of the stream have been read.
    Stream(u64),
    /// When this many bytes have come from the server.
    FromServer(u64),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Blow {
    /// The server's process of the connection is killed.
    Kill,
    /// The whole server is killed with all that it runs, and started again.
    Restart,
    /// The link fails.
    Link(Fault),
}

impl Round {
    pub(crate) fn draw(seed: u64, number: u64) -> Self {
        let mixed = FaultPlan::from_seed(seed).draw(u64::MAX) ^ number;
        let mut plan = FaultPlan::from_seed(mixed);
        let mut commands = vec![Kind::Held; HELD];
        while commands.len() < COMMANDS {
            commands.push(match plan.draw(5) {
                0 => Kind::Quick,
                1 => Kind::Fails,
                2 => Kind::Repeatable,
                3 => Kind::Output((1 << 20) + below(&mut plan, 2 << 20)),
                _ => Kind::Input(below(&mut plan, 1 << 20)),
            });
        }
        for index in (1..commands.len()).rev() {
            commands.swap(index, below(&mut plan, index as u64 + 1));
        }
        let moment = match plan.draw(3) {
            0 => Moment::Answers(below(&mut plan, 12)),
            1 => Moment::Stream(plan.draw(1000)),
            _ => Moment::FromServer(plan.draw(2 << 20)),
        };
        let mut meanwhile = plan.next().filter(|_| plan.draw(2) == 0);
        let blow = match (number % 4, plan.draw(8)) {
            (0, _) => Blow::Kill,
            (_, 0) => Blow::Restart,
            _ => match plan.next() {
                // These are for connections that are yet to come.
                Some(fault @ (Fault::Refuse | Fault::TruncateKex | Fault::BannerOnly)) => {
                    meanwhile = Some(fault);
                    Blow::Link(Fault::Drop)
                }
                fault => Blow::Link(fault.unwrap_or(Fault::Drop)),
            },
        };
        Self {
            seed,
            number,
            commands,
            moment,
            blow,
            meanwhile: meanwhile.map(after_proposal),
            attempts: 1 + plan.draw(3),
            slow_bytes: 1 + plan.draw(64 << 10),
            short_stall: plan.draw(2) == 0,
            closes: plan.draw(6) == 0,
        }
    }

    /// Whether a link is slow for a while, and otherwise good.
    pub(crate) fn slows(&self) -> bool {
        let slow = |fault| matches!(fault, Fault::Slow(_) | Fault::Latency(_));
        self.meanwhile.is_some_and(slow) || matches!(self.blow, Blow::Link(fault) if slow(fault))
    }

    /// Commands that do not wait for the blow.
    pub(crate) fn free(&self) -> usize {
        self.commands.iter().filter(|kind| **kind != Kind::Held).count()
    }
}

fn below(plan: &mut FaultPlan, bound: u64) -> usize {
    usize::try_from(plan.draw(bound)).unwrap()
}

/// A proposal that was damaged may leave no algorithm in common, which is final. So what is damaged comes after it.
fn after_proposal(fault: Fault) -> Fault {
    match fault {
        Fault::Corrupt {
            direction: Direction::ToClient,
            byte,
        } => Fault::Corrupt {
            direction: Direction::ToClient,
            byte: byte + PROPOSAL,
        },
        other => other,
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, number, .. } = self;
        write!(f, "chaos seed {seed} round {number}: ")?;
        match self.blow {
            Blow::Kill => f.write_str("kill the connection's process")?,
            Blow::Restart => f.write_str("restart the server")?,
            Blow::Link(fault) => write!(f, "{fault}")?,
        }
        match self.moment {
            Moment::Answers(count) => write!(f, " after {count} answers")?,
            Moment::Stream(part) => write!(f, " after {part}/1000 of the stream")?,
            Moment::FromServer(bytes) => write!(f, " after {bytes} bytes from the server")?,
        }
        if let Some(fault) = self.meanwhile {
            write!(f, ", then {fault}")?;
        }
        if self.closes {
            return f.write_str(", and close");
        }
        write!(f, ", until attempt {}", self.attempts)
    }
}
