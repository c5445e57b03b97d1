//! Archives, written and read, and compared with those of real tars.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::block::{BLOCK, CHECKSUM, Field, MTIME, NAME, PREFIX, SIZE, TYPE, checksums};
use super::*;

const LIMIT: usize = 4 * 1024 * 1024;

fn header(name: &[u8]) -> Header {
    Header {
        name: name.to_vec(),
        mode: 0o640,
        mtime: 1_700_000_000,
    }
}

/// Reads an archive in pieces of this size.
fn read_in_pieces(archive: &[u8], size: usize) -> (Vec<Member>, Result<bool, TarError>) {
    let mut reader = Reader::new(LIMIT);
    let mut members = Vec::new();
    for piece in archive.chunks(size.max(1)) {
        reader.push(Bytes::copy_from_slice(piece));
        loop {
            match reader.next() {
                Ok(Some(member)) => members.push(member),
                Ok(None) => break,
                Err(error) => return (members, Err(error)),
            }
        }
    }
    (members, Ok(reader.is_complete()))
}

fn read(archive: &[u8]) -> (Vec<Member>, Result<bool, TarError>) {
    read_in_pieces(archive, archive.len())
}

fn names(members: &[Member]) -> Vec<&[u8]> {
    members
        .iter()
        .map(|member| member.header.name.as_slice())
        .collect()
}

/// Changes a header, and its checksum with it.
fn change(block: &mut [u8], (start, length): Field, text: &[u8]) {
    block[start..start + length].fill(0);
    block[start..start + text.len()].copy_from_slice(text);
    let (sum, _) = checksums(&block[..BLOCK]);
    block[CHECKSUM.0..CHECKSUM.0 + 8].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A header of this type, with this data, and nothing else.
fn block(type_flag: u8, name: &[u8], data: &[u8]) -> Vec<u8> {
    let mut archive = BytesMut::new();
    header(b"x").encode(data, &mut archive).unwrap();
    let mut archive = archive.to_vec();
    change(&mut archive, NAME, name);
    change(&mut archive, TYPE, &[type_flag]);
    archive
}

const NAMES: [&[u8]; 9] = [
    b"plain",
    b"-rf",
    b"--checkpoint-action=exec=false",
    b"a\nb",
    b"it's \"quoted\" $(here) `there` \\n",
    b"\xff\xfe\x80",
    b" ",
    b"sub/dir/file",
    b"#x",
];

/// Names that no header has room for, in components that every file system allows.
fn long_names() -> Vec<Vec<u8>> {
    let lengths: [&[usize]; 9] = [
        &[100],
        &[101],
        &[255],
        &[155, 100],
        &[156, 100],
        &[100, 101],
        &[1, 100],
        &[200, 200, 200],
        &[99, 1, 99, 1, 99],
    ];
    let name = |(letter, lengths): (u8, &[usize])| {
        let parts: Vec<Vec<u8>> = lengths.iter().map(|length| vec![letter; *length]).collect();
        parts.join(&b'/')
    };
    (b'a'..).zip(lengths).map(name).collect()
}

#[test]
fn every_name_and_size_comes_back_in_pieces_of_any_size() {
    let mut archive = BytesMut::new();
    let mut expected = Vec::new();
    let long = long_names();
    let names = NAMES.into_iter().chain(long.iter().map(Vec::as_slice));
    for (number, name) in names.enumerate() {
        let content = vec![number as u8; [0, 1, 511, 512, 513, 5000][number % 6]];
        header(name).encode(&content, &mut archive).unwrap();
        expected.push(Member {
            header: header(name),
            content: Content::File(content.into()),
        });
    }
    finish(&mut archive);
    for size in [1, 7, 511, 512, 513, 10_000, archive.len()] {
        let (members, end) = read_in_pieces(&archive, size);
        assert_eq!(members, expected, "{size}");
        assert_eq!(end, Ok(true));
    }
    let (members, end) = read(&archive[..archive.len() - 2 * BLOCK]);
    assert_eq!((members.len(), end), (expected.len(), Ok(false)), "cut short");
}

#[test]
fn names_that_lead_elsewhere_are_not_written() {
    for name in [
        &b""[..],
        b"/etc/passwd",
        b"..",
        b"../x",
        b"a/../b",
        b"a/..",
        b"dir/",
        b"a\0b",
    ] {
        let mut archive = BytesMut::new();
        assert_eq!(
            header(name).encode(b"", &mut archive),
            Err(NameError(name.to_vec()))
        );
        assert!(archive.is_empty());
    }
    header(b"...").encode(b"", &mut BytesMut::new()).unwrap();
}

#[test]
fn what_a_member_is_comes_from_its_type() {
    for (type_flag, name, content) in [
        (b'0', &b"x"[..], Content::File(Bytes::new())),
        (0, b"x", Content::File(Bytes::new())),
        (b'7', b"x", Content::File(Bytes::new())),
        (0, b"x/", Content::Directory),
        (b'5', b"x/", Content::Directory),
        (b'1', b"x", Content::HardLink),
        (b'2', b"x", Content::Symlink),
        (b'6', b"x", Content::Other),
        (b'V', b"x", Content::Other),
    ] {
        let (members, end) = read(&block(type_flag, name, b""));
        assert_eq!(end, Ok(false));
        assert_eq!(members[0].content, content, "{}", char::from(type_flag));
    }
}

#[test]
fn records_about_the_next_member_count_for_one_member() {
    let file = block(b'0', b"short", b"12");
    let archive = [
        block(b'L', b"././@LongLink", b"from gnu\0"),
        file.clone(),
        block(b'x', b"PaxHeaders/x", b"17 path=from pax\n19 mtime=12345.678\n"),
        block(b'L', b"././@LongLink", b"from gnu\0"),
        file.clone(),
        block(b'x', b"PaxHeaders/x", b"22 GNU.sparse.major=1\n"),
        file.clone(),
        block(b'g', b"global", b"15 comment=abc\n"),
        block(b'K', b"././@LongLink", b"the target of a link\0"),
        file,
    ]
    .concat();
    let (members, end) = read(&archive);
    assert_eq!(end, Ok(false));
    assert_eq!(
        names(&members),
        [&b"from gnu"[..], b"from pax", b"short", b"short"]
    );
    assert_eq!(members[1].header.mtime, 12_345);
    assert_eq!(members[2].content, Content::Sparse);
    assert_eq!(members[3].content, Content::File(Bytes::from_static(b"12")));
}

#[test]
fn a_size_in_pax_counts_for_the_member_and_not_for_other_records() {
    let mut file = block(b'0', b"x", b"1234567");
    change(&mut file, SIZE, b"00000000000\0");
    let archive = [
        block(b'x', b"x", b"9 size=7\n"),
        block(b'L', b"././@LongLink", b"long\0"),
        file,
    ]
    .concat();
    let (members, end) = read(&archive);
    assert_eq!(end, Ok(false));
    assert_eq!(members[0].header.name, b"long");
    assert_eq!(members[0].content, Content::File(Bytes::from_static(b"1234567")));
}

#[test]
fn the_prefix_counts_only_where_there_is_one() {
    let mut posix = block(b'0', b"name", b"");
    change(&mut posix, PREFIX, b"some/prefix");
    assert_eq!(names(&read(&posix).0), [b"some/prefix/name"]);
    // GNU tar keeps other things there.
    let mut gnu = posix;
    change(&mut gnu, (257, 8), b"ustar  \0");
    assert_eq!(names(&read(&gnu).0), [b"name"]);
}

#[test]
fn times_may_be_before_1970() {
    let mut file = block(b'0', b"x", b"");
    change(
        &mut file,
        MTIME,
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
    );
    assert_eq!(read(&file).0[0].header.mtime, -2);
}

#[test]
fn a_hostile_stream_is_refused_and_stays_refused() {
    let large = |size: &[u8]| {
        let mut file = block(b'0', b"x", b"");
        change(&mut file, SIZE, size);
        file
    };
    let mut symlink = block(b'2', b"x", b"");
    change(&mut symlink, SIZE, b"00000000001\0");
    let mut wrong_sum = block(b'0', b"x", b"");
    wrong_sum[0] = b'y';
    for (archive, said) in [
        (
            b"Last login: yesterday\n".repeat(40),
            "text beginning with \"Last login: yesterday\\n",
        ),
        (wrong_sum, "text beginning with \"y\\x00"),
        (
            large(b"00020000001\0"),
            "a member of 4194305 bytes, \"x\", where 4194304 are the limit",
        ),
        (large(b"77777777777\0"), "a member of 8589934591 bytes"),
        (
            large(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
            "a member of 9223372036854775807 bytes",
        ),
        (
            large(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            "a size below zero",
        ),
        (large(b"9          \0"), "a number that is none"),
        (symlink, "a size where there is no content"),
        (block(b'S', b"x", b""), "a file with holes in GNU's old form"),
        (block(b'x', b"x", b"nonsense"), "a record of pax that is none"),
        (block(b'g', b"x", b"10 path=a\n"), "what only one can have"),
        (
            [block(b'x', b"x", b"11 path=\0a\n"), block(b'0', b"x", b"")].concat(),
            "a zero byte",
        ),
        (block(b'0', b"", b""), "a name that is empty"),
        (
            block(b'L', b"x", b"n\0").repeat(9),
            "records about a member that does not come",
        ),
        (
            [
                block(b'x', b"x", b"9 size=0\n"),
                block(b'x', b"x", b"24 size=999999999999999\n"),
                block(b'0', b"x", b""),
            ]
            .concat(),
            "999999999999999 bytes",
        ),
        (vec![0; 2 * 1024 * 1024], "too much comes behind its end"),
    ] {
        let mut reader = Reader::new(LIMIT);
        reader.push(archive.into());
        let error = loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{said}: no error"),
                Err(error) => break error,
            }
        };
        let text = error.to_string();
        assert!(text.contains(said), "{text}");
        assert!(!text.chars().any(char::is_control));
        reader.push(Bytes::from(block(b'0', b"good", b"")));
        assert_eq!(reader.next(), Err(error));
        assert!(!reader.is_complete());
    }
    let record = block(b'L', b"x", &vec![b'n'; 1024 * 1024 + 1]);
    assert!(matches!(
        read(&record).1,
        Err(TarError::TooLarge { limit: 0x10_0000, .. })
    ));
}

/// Unpacks an archive with a tar, as it is done on servers.
fn unpack(tar: &[&str], archive: &[u8], folder: &Path) {
    let (program, arguments) = tar.split_first().unwrap();
    let mut child = Command::new(program)
        .args(arguments)
        .args(["-x", "-p", "-o", "-f", "-"])
        .current_dir(folder)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(archive).unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success() && said.is_empty(), "{tar:?}: {said}");
}

fn path(folder: &Path, name: &[u8]) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    folder.join(std::ffi::OsStr::from_bytes(name))
}

/// The tars of this machine. GNU's is everywhere; which of the others are there is the machine's affair.
fn tars() -> Vec<&'static [&'static str]> {
    let all: [&[&str]; 3] = [&["tar"], &["bsdtar"], &["busybox", "tar"]];
    let there = |tar: &&[&str]| {
        let mut command = Command::new(tar[0]);
        let quiet = command.arg("--help").stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok()
    };
    all.into_iter().filter(there).collect()
}

#[test]
fn real_tars_unpack_what_is_written() {
    use std::os::unix::fs::MetadataExt as _;
    let mut archive = BytesMut::new();
    let mut names: Vec<Vec<u8>> = NAMES.iter().map(|name| name.to_vec()).collect();
    names.extend(long_names());
    for (number, name) in names.iter().enumerate() {
        let content = vec![number as u8; number * 100];
        header(name).encode(&content, &mut archive).unwrap();
    }
    finish(&mut archive);
    for tar in tars() {
        let folder = tempfile::tempdir().unwrap();
        unpack(tar, &archive, folder.path());
        for (number, name) in names.iter().enumerate() {
            let file = path(folder.path(), name);
            let content = std::fs::read(&file).unwrap_or_else(|error| panic!("{tar:?} {file:?}: {error}"));
            assert_eq!(content, vec![number as u8; number * 100]);
            let metadata = std::fs::metadata(&file).unwrap();
            assert_eq!(
                (metadata.mode() & 0o7777, metadata.mtime()),
                (0o640, 1_700_000_000)
            );
        }
    }
}

#[test]
fn what_real_tars_write_is_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let mut expected: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let long = long_names();
    let unicode = "f\u{fc}r".repeat(60);
    let long = long.iter().map(Vec::as_slice).filter(|name| name.len() < 400);
    for name in NAMES.into_iter().chain(long).chain([unicode.as_bytes()]) {
        let file = path(folder.path(), name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let content = vec![name.len() as u8; name.len() * 50];
        std::fs::write(&file, &content).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o751)).unwrap();
        expected.push((name.to_vec(), content));
    }
    expected.sort();
    std::os::unix::fs::symlink("plain", folder.path().join("link")).unwrap();
    std::fs::hard_link(folder.path().join("plain"), folder.path().join("second")).unwrap();
    let formats: [(&[&str], &[&str]); 6] = [
        (&["tar", "--format=gnu"], &["tar"]),
        (&["tar", "--format=posix"], &["tar"]),
        (&["tar", "--format=oldgnu"], &["tar"]),
        (&["bsdtar"], &["bsdtar"]),
        (&["bsdtar", "--format=gnutar"], &["bsdtar"]),
        (&["busybox", "tar"], &["busybox", "tar"]),
    ];
    for (tar, _) in formats.iter().filter(|(_, program)| tars().contains(program)) {
        let (program, arguments) = tar.split_first().unwrap();
        let made = Command::new(program)
            .args(arguments)
            .args(["-c", "-f", "-", "."])
            .current_dir(folder.path())
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (members, end) = read_in_pieces(&made.stdout, 1000);
        assert_eq!(end, Ok(true), "{tar:?}");
        let kinds = |wanted: &Content| members.iter().filter(|member| member.content == *wanted).count();
        assert_eq!(
            (kinds(&Content::Symlink), kinds(&Content::HardLink)),
            (1, 1),
            "{tar:?}"
        );
        let mut files: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for member in &members {
            if let Content::File(content) = &member.content {
                assert_eq!(member.header.mode, 0o751);
                assert!(member.header.mtime > 1_600_000_000);
                let name = member.header.name.strip_prefix(b"./").unwrap();
                // Whichever of the two came first.
                let name = if name == b"second" { b"plain" } else { name };
                files.push((name.to_vec(), content.to_vec()));
            }
        }
        files.sort();
        assert_eq!(files, expected, "{tar:?}");
    }
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_again(
        files in prop::collection::vec(
            (
                prop::collection::vec(any::<u8>(), 1..400),
                0_u32..0o10000,
                0_i64..0o77_777_777_777,
                prop::collection::vec(any::<u8>(), 0..2000),
            ),
            0..6,
        ),
        piece in 1_usize..3000,
    ) {
        let mut archive = BytesMut::new();
        let mut expected = Vec::new();
        for (name, mode, mtime, content) in files {
            let header = Header { name, mode, mtime };
            if header.encode(&content, &mut archive).is_ok() {
                expected.push(Member { header, content: Content::File(content.into()) });
            }
        }
        finish(&mut archive);
        prop_assert_eq!(archive.len() % BLOCK, 0);
        let (members, end) = read_in_pieces(&archive, piece);
        prop_assert_eq!(members, expected);
        prop_assert_eq!(end, Ok(true));
    }

    #[test]
    fn no_stream_panics_and_its_split_does_not_matter(
        mut archive in prop::collection::vec(any::<u8>(), 0..3000),
        types in prop::collection::vec(any::<u8>(), 3),
        piece in 1_usize..1500,
    ) {
        // Valid sums, so that more than the first check is reached.
        for (block, type_flag) in archive.chunks_exact_mut(BLOCK).zip(types) {
            change(block, SIZE, b"00000000010\0");
            change(block, TYPE, &[type_flag]);
        }
        prop_assert_eq!(read(&archive), read_in_pieces(&archive, piece));
    }
}
