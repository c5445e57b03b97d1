//! What a round trip was for, from the messages that sshd got with it.

use sternline_tests::beats::Beat;

/// What the messages of RFC 4250 section 4.1.2 are for, as far as a command needs them.
fn purpose(message: u8) -> Option<&'static str> {
    Some(match message {
        5 => "service",
        20 => "KEXINIT",
        21 => "NEWKEYS",
        30 => "key exchange",
        50 => "authentication",
        90 => "session",
        98 => "command",
        _ => return None,
    })
}

/// Half round trips until the exit status is there; it leaves the server with a channel request.
pub(super) fn until_exit(beats: &[Beat]) -> Option<u32> {
    let exits = beats.iter().find(|beat| beat.sent().contains(&98))?;
    Some(exits.half_trips + 1)
}

/// One word for each round trip, or several: `session + command`.
pub(super) fn purposes(beats: &[Beat]) -> String {
    let Some(end) = until_exit(beats) else {
        return String::new();
    };
    let mut trips = Vec::new();
    if let Some(first) = beats.first()
        && first.half_trips == 3
    {
        trips.push("TCP".to_owned());
    }
    for beat in beats.iter().filter(|beat| beat.half_trips < end) {
        let mut names: Vec<&str> = Vec::new();
        for name in beat.received().into_iter().filter_map(purpose) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if beat.half_trips == 3 {
            names.insert(0, "identification");
        }
        if !names.is_empty() {
            trips.push(names.join(" + "));
        }
    }
    trips.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(half_trips: u32, log: &str) -> Beat {
        Beat {
            half_trips,
            to_server: 1,
            to_client: 1,
            log: log.to_owned(),
        }
    }

    #[test]
    fn each_trip_is_named_after_what_the_server_got() {
        let beats = [
            beat(3, ""),
            beat(
                5,
                "debug3: receive packet: type 20 [preauth]\nreceive packet: type 30",
            ),
            beat(7, "receive packet: type 98\ndebug3: send packet: type 98"),
            beat(9, "receive packet: type 97"),
        ];
        assert_eq!(until_exit(&beats), Some(8));
        assert_eq!(
            purposes(&beats),
            "TCP, identification, KEXINIT + key exchange, command"
        );
        assert_eq!(until_exit(&beats[..2]), None);
    }
}
