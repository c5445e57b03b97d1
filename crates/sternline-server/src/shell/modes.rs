//! Terminal modes of a `pty-req` (RFC 4254 section 8), put into effect.

use std::os::fd::AsFd;

use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, tcgetattr,
    tcsetattr,
};

/// Sets what the client asked for; opcodes that this system does not know are passed over, as the RFC wants.
pub(super) fn apply(terminal: impl AsFd, modes: &[(u8, u32)]) -> rustix::io::Result<()> {
    let terminal = terminal.as_fd();
    let mut termios = tcgetattr(terminal)?;
    for &(opcode, value) in modes {
        let on = value != 0;
        if let Some(index) = special_code(opcode) {
            // 255 switches a character off, which POSIX writes as 0.
            termios.special_codes[index] =
                u8::try_from(value).map_or(0, |code| if code == 255 { 0 } else { code });
        } else if let Some(flag) = input(opcode) {
            termios.input_modes.set(flag, on);
        } else if let Some(flag) = local(opcode) {
            termios.local_modes.set(flag, on);
        } else if let Some(flag) = output(opcode) {
            termios.output_modes.set(flag, on);
        } else if let Some(flag) = control(opcode) {
            termios.control_modes.set(flag, on);
        }
    }
    tcsetattr(terminal, OptionalActions::Now, &termios)
}

fn special_code(opcode: u8) -> Option<SpecialCodeIndex> {
    Some(match opcode {
        1 => SpecialCodeIndex::VINTR,
        2 => SpecialCodeIndex::VQUIT,
        3 => SpecialCodeIndex::VERASE,
        4 => SpecialCodeIndex::VKILL,
        5 => SpecialCodeIndex::VEOF,
        6 => SpecialCodeIndex::VEOL,
        7 => SpecialCodeIndex::VEOL2,
        8 => SpecialCodeIndex::VSTART,
        9 => SpecialCodeIndex::VSTOP,
        10 => SpecialCodeIndex::VSUSP,
        12 => SpecialCodeIndex::VREPRINT,
        13 => SpecialCodeIndex::VWERASE,
        14 => SpecialCodeIndex::VLNEXT,
        18 => SpecialCodeIndex::VDISCARD,
        _ => return None,
    })
}

fn input(opcode: u8) -> Option<InputModes> {
    Some(match opcode {
        30 => InputModes::IGNPAR,
        31 => InputModes::PARMRK,
        32 => InputModes::INPCK,
        33 => InputModes::ISTRIP,
        34 => InputModes::INLCR,
        35 => InputModes::IGNCR,
        36 => InputModes::ICRNL,
        38 => InputModes::IXON,
        39 => InputModes::IXANY,
        40 => InputModes::IXOFF,
        41 => InputModes::IMAXBEL,
        _ => return None,
    })
}

fn local(opcode: u8) -> Option<LocalModes> {
    Some(match opcode {
        50 => LocalModes::ISIG,
        51 => LocalModes::ICANON,
        53 => LocalModes::ECHO,
        54 => LocalModes::ECHOE,
        55 => LocalModes::ECHOK,
        56 => LocalModes::ECHONL,
        57 => LocalModes::NOFLSH,
        58 => LocalModes::TOSTOP,
        59 => LocalModes::IEXTEN,
        60 => LocalModes::ECHOCTL,
        61 => LocalModes::ECHOKE,
        62 => LocalModes::PENDIN,
        _ => return None,
    })
}

fn output(opcode: u8) -> Option<OutputModes> {
    Some(match opcode {
        70 => OutputModes::OPOST,
        72 => OutputModes::ONLCR,
        73 => OutputModes::OCRNL,
        74 => OutputModes::ONOCR,
        75 => OutputModes::ONLRET,
        _ => return None,
    })
}

fn control(opcode: u8) -> Option<ControlModes> {
    Some(match opcode {
        92 => ControlModes::PARENB,
        93 => ControlModes::PARODD,
        _ => return None,
    })
}
