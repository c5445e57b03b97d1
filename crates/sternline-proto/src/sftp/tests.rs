//! The whole codec: bytes of a real server, every packet there and back, every split, and bytes that mean nothing.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn all_of(pieces: impl IntoIterator<Item = Bytes>) -> Result<Vec<Pieces>, FrameError> {
    let (mut deframer, mut packets) = (Deframer::new(), Vec::new());
    for mut piece in pieces {
        while let Some(packet) = deframer.take(&mut piece)? {
            packets.push(packet);
        }
        assert!(piece.is_empty());
    }
    Ok(packets)
}

fn encoded(packet: &ClientPacket) -> Bytes {
    let mut out = BytesMut::new();
    packet.encode(&mut out).unwrap();
    out.freeze()
}

fn request(request: Request) -> ClientPacket {
    ClientPacket::Request { id: 7, request }
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn requests_are_written_as_the_draft_has_them() {
    let table: [(ClientPacket, &[u8]); 6] = [
        (ClientPacket::Init(Hello::new(&[])), b"\0\0\0\x05\x01\0\0\0\x03"),
        (
            request(Request::Open {
                path: bytes("a"),
                flags: OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE,
                attributes: Attributes {
                    permissions: Some(0o600),
                    ..Attributes::default()
                },
            }),
            b"\0\0\0\x16\x03\0\0\0\x07\0\0\0\x01a\0\0\0\x2a\0\0\0\x04\0\0\x01\x80",
        ),
        (
            request(Request::Read {
                handle: bytes("h"),
                offset: 0x0102_0304_0506_0708,
                length: 32768,
            }),
            b"\0\0\0\x16\x05\0\0\0\x07\0\0\0\x01h\x01\x02\x03\x04\x05\x06\x07\x08\0\0\x80\0",
        ),
        (
            request(Request::Write {
                handle: bytes("h"),
                offset: 1,
                data: bytes("xyz"),
            }),
            b"\0\0\0\x19\x06\0\0\0\x07\0\0\0\x01h\0\0\0\0\0\0\0\x01\0\0\0\x03xyz",
        ),
        // OpenSSH's order, not the draft's: the target comes first.
        (
            request(Request::SymLink {
                target: bytes("to"),
                link: bytes("at"),
            }),
            b"\0\0\0\x11\x14\0\0\0\x07\0\0\0\x02to\0\0\0\x02at",
        ),
        (
            request(Request::Extended(Extended::FSync { handle: bytes("h") })),
            b"\0\0\0\x1f\xc8\0\0\0\x07\0\0\0\x11fsync@openssh.com\0\0\0\x01h",
        ),
    ];
    for (packet, wire) in table {
        assert_eq!(encoded(&packet), wire, "{packet:?}");
    }
}

/// What OpenSSH 9.2's sftp-server wrote, without the length fields.
#[test]
fn what_a_real_server_wrote_is_understood() {
    let version = b"\x02\0\0\0\x03\0\0\0\x18posix-rename@openssh.com\0\0\0\x011\0\0\0\x13statvfs@openssh.com\0\0\0\x012\
        \0\0\0\x14fstatvfs@openssh.com\0\0\0\x012\0\0\0\x14hardlink@openssh.com\0\0\0\x011\
        \0\0\0\x11fsync@openssh.com\0\0\0\x011\0\0\0\x14lsetstat@openssh.com\0\0\0\x011\
        \0\0\0\x12limits@openssh.com\0\0\0\x011\0\0\0\x17expand-path@openssh.com\0\0\0\x011\
        \0\0\0\x09copy-data\0\0\0\x011\0\0\0\x0ehome-directory\0\0\0\x011\
        \0\0\0\x1eusers-groups-by-id@openssh.com\0\0\0\x011";
    let all = [
        Extension::POSIX_RENAME,
        Extension::STATVFS,
        Extension::FSTATVFS,
        Extension::HARDLINK,
        Extension::FSYNC,
        Extension::LSETSTAT,
        Extension::LIMITS,
        Extension::EXPAND_PATH,
        Extension::COPY_DATA,
        Extension::HOME_DIRECTORY,
        Extension::USERS_GROUPS_BY_ID,
    ];
    let hello = ServerPacket::decode(Bytes::from_static(version)).unwrap();
    assert_eq!(hello, ServerPacket::Version(Hello::new(&all)));

    let attributes = Attributes {
        size: Some(5),
        owner: Some(Owner { uid: 1000, gid: 1001 }),
        permissions: Some(0o100_644),
        times: Some(Times {
            atime: 1_700_000_001,
            mtime: 1_700_000_002,
        }),
        extended: Vec::new(),
    };
    let status = |code, message| {
        Response::Status(Status {
            code,
            message: bytes(message),
            language: Bytes::new(),
        })
    };
    let table: [(&[u8], Response); 7] = [
        (
            b"e\0\0\0\x09\0\0\0\x02\0\0\0\x0cNo such file\0\0\0\0",
            status(StatusCode::NoSuchFile, "No such file"),
        ),
        (
            b"e\0\0\0\x09\0\0\0\x01\0\0\0\x0bEnd of file\0\0\0\0",
            status(StatusCode::Eof, "End of file"),
        ),
        (
            b"i\0\0\0\x09\0\0\0\x0f\0\0\0\0\0\0\0\x05\0\0\x03\xe8\0\0\x03\xe9\0\0\x81\xa4eS\xf1\x01eS\xf1\x02",
            Response::Attributes(attributes),
        ),
        (
            b"f\0\0\0\x09\0\0\0\x04\0\0\0\0",
            Response::Handle(Bytes::from_static(&[0; 4])),
        ),
        (
            b"g\0\0\0\x09\0\0\0\x05hello",
            Response::Data(bytes("hello").into()),
        ),
        (
            b"h\0\0\0\x09\0\0\0\x01\0\0\0\x04caf\xe9\0\0\0\x04caf\xe9\0\0\0\0",
            Response::Name(vec![Entry {
                name: Bytes::from_static(b"caf\xe9"),
                long_name: Bytes::from_static(b"caf\xe9"),
                attributes: Attributes::default(),
            }]),
        ),
        (
            b"\xc9\0\0\0\x09\0\0\0\0\0\x04\0\0\0\0\0\0\0\x03\xfc\0\0\0\0\0\0\x03\xfc\0\0\0\0\0\0\0N\x1b",
            Response::Extended(
                Limits {
                    packet: 262_144,
                    read: 261_120,
                    write: 261_120,
                    handles: 19995,
                }
                .encode(),
            ),
        ),
    ];
    for (wire, response) in table {
        let packet = ServerPacket::decode(Bytes::from_static(wire));
        assert_eq!(packet, Ok(ServerPacket::Response { id: 9, response }));
    }
}

#[test]
fn an_extension_in_another_version_is_not_offered() {
    let hello = Hello {
        version: 3,
        extensions: vec![(bytes("statvfs@openssh.com"), bytes("1"))],
    };
    assert!(!hello.offers(Extension::STATVFS));
}

#[test]
fn a_status_without_words_is_a_status() {
    let packet = Bytes::from_static(b"\x65\0\0\0\x01\0\0\0\x04");
    let Ok(ServerPacket::Response {
        response: Response::Status(status),
        ..
    }) = ServerPacket::decode(packet)
    else {
        panic!("no STATUS");
    };
    assert_eq!(status.code, StatusCode::Failure);
    assert!(status.message.is_empty() && status.language.is_empty());
}

#[test]
fn every_status_has_its_number_and_words_of_its_own() {
    let mut words = std::collections::HashSet::new();
    for number in 0..25 {
        let code = StatusCode::from(number);
        assert_eq!(code.number(), number);
        assert!(words.insert(code.to_string()), "{number}: {code}");
    }
    assert_eq!(StatusCode::from(4711).to_string(), "status 4711");
    assert_eq!(StatusCode::from(2).as_str(), "no_such_file");
    assert_eq!(StatusCode::from(14).as_str(), "other");
}

#[test]
fn the_type_of_a_file_is_read_off_its_mode() {
    for (mode, file_type) in [
        (0o100_644, Some(FileType::File)),
        (0o040_755, Some(FileType::Directory)),
        (0o120_777, Some(FileType::Symlink)),
        (0o010_600, Some(FileType::Fifo)),
        (0o140_600, Some(FileType::Socket)),
        (0o060_600, Some(FileType::BlockDevice)),
        (0o020_600, Some(FileType::CharDevice)),
        (0o644, None),
    ] {
        let attributes = Attributes {
            permissions: Some(mode),
            ..Attributes::default()
        };
        assert_eq!(attributes.file_type(), file_type, "{mode:o}");
    }
    assert_eq!(Attributes::default().file_type(), None);
}

#[test]
fn a_length_that_makes_no_sense_ends_the_stream_for_good() {
    let too_long = |length: u32| Bytes::copy_from_slice(&length.to_be_bytes());
    let over = MAX_PACKET as u32 + 1;
    for (mut wire, error, words) in [
        (too_long(0), FrameError::Empty, "an SFTP packet is empty"),
        (
            too_long(over),
            FrameError::TooLong { length: over.into() },
            "an SFTP packet of 262145 bytes is longer than the limit of 262144",
        ),
        (
            bytes("Welcome to db-1"),
            FrameError::TooLong { length: 0x5765_6c63 },
            "text beginning with \"Welc\" arrived where an SFTP packet belongs",
        ),
    ] {
        let mut deframer = Deframer::new();
        assert_eq!(deframer.take(&mut wire), Err(error));
        assert_eq!(error.to_string(), words);
        let mut good = encoded(&ClientPacket::Init(Hello::new(&[])));
        assert_eq!(deframer.take(&mut good), Err(error));
    }
}

#[test]
fn the_longest_packet_passes_and_one_byte_more_is_not_written() {
    let write = |length: usize| {
        request(Request::Write {
            handle: Bytes::new(),
            offset: 0,
            data: vec![0; length].into(),
        })
    };
    // Type, number, two lengths and an offset.
    let room = MAX_PACKET - 1 - 4 - 4 - 8 - 4;
    assert_eq!(all_of([encoded(&write(room))]).unwrap()[0].len(), MAX_PACKET);
    let mut out = BytesMut::from(&b"before"[..]);
    let error = write(room + 1).encode(&mut out).unwrap_err();
    assert_eq!(
        error,
        FrameError::TooLong {
            length: MAX_PACKET as u64 + 1
        }
    );
    assert_eq!(out, "before");
}

/// What a client makes of 100,000 bytes that arrive cut at these places, and the bytes on the wire.
fn data_cut_at(cuts: &[usize]) -> (Pieces, Bytes) {
    let mut out = BytesMut::new();
    let data: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
    let packet = ServerPacket::Response {
        id: 1,
        response: Response::Data(Bytes::from(data).into()),
    };
    packet.encode(&mut out).unwrap();
    let wire = out.freeze();
    let (mut rest, mut pieces, mut at) = (wire.clone(), Vec::new(), 0);
    for cut in cuts {
        pieces.push(rest.split_to(cut - at));
        at = *cut;
    }
    pieces.push(rest);
    let body = all_of(pieces).unwrap().remove(0);
    let decoded = ServerPacket::decode(body.clone()).unwrap();
    // The same as in one piece.
    assert_eq!(ServerPacket::decode(Bytes::from(body)).as_ref(), Ok(&decoded));
    let ServerPacket::Response {
        response: Response::Data(read),
        ..
    } = decoded
    else {
        panic!("no DATA");
    };
    assert_eq!(Bytes::from(read.clone()), wire[13..]);
    (read, wire)
}

#[test]
fn data_is_not_copied_wherever_it_was_cut_into_large_pieces() {
    for cuts in [&[][..], &[4], &[13], &[33_000, 70_000], &[33_000, 33_001 + 9_000]] {
        let (read, wire) = data_cut_at(cuts);
        let mut at = 13;
        for piece in read.iter() {
            assert_eq!(piece.as_ptr(), wire[at..].as_ptr(), "{cuts:?} {at}");
            at += piece.len();
        }
    }
}

#[test]
fn small_pieces_are_put_together() {
    let everywhere: Vec<usize> = (1..90_000).collect();
    for (cuts, pieces) in [
        (&[1, 2, 5, 7, 11][..], 2),
        (&[50_000, 50_001, 50_002], 3),
        (&everywhere, 2),
    ] {
        assert!(data_cut_at(cuts).0.iter().count() <= pieces, "{}", cuts.len());
    }
}

#[test]
fn a_broken_packet_names_its_request() {
    for (packet, error, words) in [
        (
            &b"\x05\0\0\0\x2a\0\0\0\x09h"[..],
            PacketError::Truncated {
                packet_type: 5,
                id: Some(42),
            },
            "the SFTP packet READ ends before it is complete",
        ),
        (
            &b"\x63\0\0\0\x2a"[..],
            PacketError::UnexpectedType {
                packet_type: 99,
                id: Some(42),
            },
            "the SFTP packet 99 does not belong here",
        ),
        (
            &b"\x05\0"[..],
            PacketError::Truncated {
                packet_type: 5,
                id: None,
            },
            "the SFTP packet READ ends before it is complete",
        ),
    ] {
        let found = ClientPacket::decode(Bytes::from_static(packet)).unwrap_err();
        assert_eq!(found, error);
        assert_eq!(found.to_string(), words);
    }
    let from_the_wrong_side = ServerPacket::decode(Bytes::from_static(b"\x05\0\0\0\x2a"));
    assert_eq!(
        from_the_wrong_side,
        Err(PacketError::UnexpectedType {
            packet_type: 5,
            id: Some(42)
        })
    );
}

#[test]
fn counts_that_nothing_stands_behind_cost_nothing() {
    let names = Bytes::from_static(b"\x68\0\0\0\x01\xff\xff\xff\xff");
    let extended = Bytes::from_static(b"\x69\0\0\0\x01\x80\0\0\0\xff\xff\xff\xff");
    for packet in [names, extended] {
        let error = ServerPacket::decode(packet).unwrap_err();
        assert!(
            matches!(error, PacketError::Truncated { id: Some(1), .. }),
            "{error:?}"
        );
    }
}

fn string() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn attributes() -> impl Strategy<Value = Attributes> {
    (
        any::<Option<u64>>(),
        any::<Option<(u32, u32)>>(),
        any::<Option<u32>>(),
        any::<Option<(u32, u32)>>(),
        vec((string(), string()), 0..3),
    )
        .prop_map(|(size, owner, permissions, times, extended)| Attributes {
            size,
            owner: owner.map(|(uid, gid)| Owner { uid, gid }),
            permissions,
            times: times.map(|(atime, mtime)| Times { atime, mtime }),
            extended,
        })
}

fn hello() -> impl Strategy<Value = Hello> {
    (any::<u32>(), vec((string(), string()), 0..4))
        .prop_map(|(version, extensions)| Hello { version, extensions })
}

fn extended() -> impl Strategy<Value = Extended> {
    prop_oneof![
        (string(), string()).prop_map(|(from, to)| Extended::PosixRename { from, to }),
        string().prop_map(|path| Extended::StatVfs { path }),
        string().prop_map(|handle| Extended::FStatVfs { handle }),
        (string(), string()).prop_map(|(from, to)| Extended::HardLink { from, to }),
        string().prop_map(|handle| Extended::FSync { handle }),
        (string(), attributes()).prop_map(|(path, attributes)| Extended::LSetStat { path, attributes }),
        Just(Extended::Limits),
        string().prop_map(|path| Extended::ExpandPath { path }),
        (string(), any::<(u64, u64, u64)>(), string()).prop_map(
            |(from, (from_offset, length, to_offset), to)| {
                Extended::CopyData {
                    from,
                    from_offset,
                    length,
                    to,
                    to_offset,
                }
            }
        ),
        string().prop_map(|user| Extended::HomeDirectory { user }),
        (string(), string()).prop_map(|(name, body)| Extended::Other { name, body }),
    ]
}

fn any_request() -> impl Strategy<Value = Request> {
    let by_path = prop_oneof![
        string().prop_map(|path| Request::LStat { path }),
        string().prop_map(|path| Request::OpenDir { path }),
        string().prop_map(|path| Request::Remove { path }),
        string().prop_map(|path| Request::RmDir { path }),
        string().prop_map(|path| Request::RealPath { path }),
        string().prop_map(|path| Request::Stat { path }),
        string().prop_map(|path| Request::ReadLink { path }),
        (string(), attributes()).prop_map(|(path, attributes)| Request::SetStat { path, attributes }),
        (string(), attributes()).prop_map(|(path, attributes)| Request::MkDir { path, attributes }),
        (string(), any::<u32>(), attributes()).prop_map(|(path, flags, attributes)| Request::Open {
            path,
            flags: OpenFlags(flags),
            attributes,
        }),
    ];
    let by_handle = prop_oneof![
        string().prop_map(|handle| Request::Close { handle }),
        string().prop_map(|handle| Request::FStat { handle }),
        string().prop_map(|handle| Request::ReadDir { handle }),
        (string(), attributes()).prop_map(|(handle, attributes)| Request::FSetStat { handle, attributes }),
        (string(), any::<u64>(), any::<u32>()).prop_map(|(handle, offset, length)| Request::Read {
            handle,
            offset,
            length,
        }),
        (string(), any::<u64>(), string()).prop_map(|(handle, offset, data)| Request::Write {
            handle,
            offset,
            data,
        }),
    ];
    prop_oneof![
        3 => by_path,
        2 => by_handle,
        1 => (string(), string()).prop_map(|(from, to)| Request::Rename { from, to }),
        1 => (string(), string()).prop_map(|(target, link)| Request::SymLink { target, link }),
        3 => extended().prop_map(Request::Extended),
    ]
}

fn client_packet() -> impl Strategy<Value = ClientPacket> {
    prop_oneof![
        1 => hello().prop_map(ClientPacket::Init),
        9 => (any::<u32>(), any_request()).prop_map(|(id, request)| ClientPacket::Request { id, request }),
    ]
}

fn any_response() -> impl Strategy<Value = Response> {
    let entry = (string(), string(), attributes()).prop_map(|(name, long_name, attributes)| Entry {
        name,
        long_name,
        attributes,
    });
    prop_oneof![
        (any::<u32>(), string(), string()).prop_map(|(code, message, language)| Response::Status(Status {
            code: code.into(),
            message,
            language,
        })),
        (0..30_u32).prop_map(|code| Response::Status(Status::new(code.into()))),
        string().prop_map(Response::Handle),
        string().prop_map(|data| Response::Data(data.into())),
        vec(entry, 0..4).prop_map(Response::Name),
        attributes().prop_map(Response::Attributes),
        string().prop_map(Response::Extended),
    ]
}

fn server_packet() -> impl Strategy<Value = ServerPacket> {
    prop_oneof![
        1 => hello().prop_map(ServerPacket::Version),
        9 => (any::<u32>(), any_response()).prop_map(|(id, response)| ServerPacket::Response { id, response }),
    ]
}

/// The stream in pieces of the given sizes, over and over.
fn split(mut stream: Bytes, sizes: &[usize]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if stream.is_empty() {
            break;
        }
        pieces.push(stream.split_to((*size).min(stream.len())));
    }
    pieces
}

proptest! {
    #[test]
    fn what_a_client_sends_arrives_however_it_is_split(
        packets in vec(client_packet(), 1..5), sizes in vec(1..60_usize, 1..4),
    ) {
        let mut stream = BytesMut::new();
        for packet in &packets {
            packet.encode(&mut stream).unwrap();
        }
        let arrived = all_of(split(stream.freeze(), &sizes)).unwrap();
        let decoded: Result<Vec<_>, _> = arrived.into_iter().map(ClientPacket::decode).collect();
        prop_assert_eq!(decoded, Ok(packets));
    }

    #[test]
    fn what_a_server_sends_arrives_however_it_is_split(
        packets in vec(server_packet(), 1..5), sizes in vec(1..60_usize, 1..4),
    ) {
        let mut stream = BytesMut::new();
        for packet in &packets {
            packet.encode(&mut stream).unwrap();
        }
        let arrived = all_of(split(stream.freeze(), &sizes)).unwrap();
        let decoded: Result<Vec<_>, _> = arrived.into_iter().map(ServerPacket::decode).collect();
        prop_assert_eq!(decoded, Ok(packets));
    }

    #[test]
    fn a_packet_cut_short_is_an_error_or_another_packet_but_no_panic(packet in client_packet(), keep in any::<u16>()) {
        let body = encoded(&packet).split_off(4);
        let _ = ClientPacket::decode(body.slice(..usize::from(keep) % body.len()));
    }

    /// Behind a valid type, so that the fields are reached.
    #[test]
    fn bytes_that_mean_nothing_are_no_panic(packet_type in any::<u8>(), rest in vec(any::<u8>(), 0..80)) {
        let mut packet = BytesMut::new();
        packet.put_u8(packet_type);
        packet.put_slice(&rest);
        let packet = packet.freeze();
        let _ = ClientPacket::decode(packet.clone());
        let _ = ServerPacket::decode(packet.clone());
        let _ = Limits::decode(packet.clone());
        let _ = FileSystem::decode(packet.clone());
        let _ = all_of([packet]);
    }

    #[test]
    fn limits_and_file_systems_come_back(n in any::<[u64; 11]>()) {
        let limits = Limits { packet: n[0], read: n[1], write: n[2], handles: n[3] };
        prop_assert_eq!(Limits::decode(limits.encode()), Ok(limits));
        let file_system = FileSystem {
            block_size: n[0], fragment_size: n[1], blocks: n[2], blocks_free: n[3], blocks_available: n[4],
            files: n[5], files_free: n[6], files_available: n[7], id: n[8], flags: n[9], name_max: n[10],
        };
        prop_assert_eq!(FileSystem::decode(file_system.encode()), Ok(file_system));
    }
}
