//! The SFTP codec against OpenSSH's sftp-server, over pipes and without SSH.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bytes::{Bytes, BytesMut};
use sternline_proto::sftp::{
    Attributes, ClientPacket, Deframer, Extended, Extension, FileSystem, FileType, Hello, Limits, OpenFlags,
    Owner, Request, Response, ServerPacket, StatusCode, Times,
};

/// An sftp-server that works in an empty directory, and the bytes that it has written so far.
struct Server {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    deframer: Deframer,
    arrived: Bytes,
    sent: u32,
    hello: Hello,
    dir: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("/usr/lib/openssh/sftp-server")
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut server = Self {
            child,
            input,
            output,
            deframer: Deframer::new(),
            arrived: Bytes::new(),
            sent: 0,
            hello: Hello::new(&[]),
            dir,
        };
        server.send(&ClientPacket::Init(Hello::new(&[])));
        match server.receive() {
            ServerPacket::Version(hello) => server.hello = hello,
            other => panic!("no VERSION: {other:?}"),
        }
        server
    }

    fn send(&mut self, packet: &ClientPacket) {
        let mut out = BytesMut::new();
        packet.encode(&mut out).unwrap();
        self.input.write_all(&out).unwrap();
    }

    fn receive(&mut self) -> ServerPacket {
        loop {
            if let Some(packet) = self.deframer.take(&mut self.arrived).unwrap() {
                return ServerPacket::decode(packet).unwrap();
            }
            // Odd on purpose: packets come in several pieces.
            let mut buffer = [0; 1021];
            let length = self.output.read(&mut buffer).unwrap();
            assert!(length > 0, "sftp-server has ended");
            self.arrived = Bytes::copy_from_slice(&buffer[..length]);
        }
    }

    fn ask(&mut self, request: Request) -> Response {
        self.sent += 1;
        self.send(&ClientPacket::Request {
            id: self.sent,
            request,
        });
        match self.receive() {
            ServerPacket::Response { id, response } if id == self.sent => response,
            other => panic!("not the answer to {}: {other:?}", self.sent),
        }
    }

    fn status(&mut self, request: Request) -> StatusCode {
        match self.ask(request) {
            Response::Status(status) => status.code,
            other => panic!("no STATUS: {other:?}"),
        }
    }

    fn handle(&mut self, request: Request) -> Bytes {
        match self.ask(request) {
            Response::Handle(handle) => handle,
            other => panic!("no HANDLE: {other:?}"),
        }
    }

    fn name(&mut self, request: Request) -> Bytes {
        match self.ask(request) {
            Response::Name(mut entries) if entries.len() == 1 => entries.remove(0).name,
            other => panic!("no single NAME: {other:?}"),
        }
    }

    fn attributes(&mut self, request: Request) -> Attributes {
        match self.ask(request) {
            Response::Attributes(attributes) => attributes,
            other => panic!("no ATTRS: {other:?}"),
        }
    }

    fn extended(&mut self, extended: Extended) -> Bytes {
        match self.ask(Request::Extended(extended)) {
            Response::Extended(body) => body,
            other => panic!("no EXTENDED_REPLY: {other:?}"),
        }
    }

    fn open(&mut self, path: &'static [u8], flags: OpenFlags) -> Bytes {
        self.handle(Request::Open {
            path: path.into(),
            flags,
            attributes: Attributes::default(),
        })
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        self.dir.path().join(Path::new(std::ffi::OsStr::from_bytes(name)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bytes(text: &'static [u8]) -> Bytes {
    Bytes::from_static(text)
}

const NEW: OpenFlags = OpenFlags(OpenFlags::WRITE.0 | OpenFlags::CREATE.0 | OpenFlags::EXCLUSIVE.0);

#[test]
fn a_file_is_written_and_read_back_by_a_name_that_is_not_utf8() {
    let mut server = Server::start();
    let name = b"caf\xe9\n'*";
    let data: Bytes = (0..255 * 1024_u32).map(|n| (n % 251) as u8).collect();
    let handle = server.open(name, NEW);
    let write = Request::Write {
        handle: handle.clone(),
        offset: 3,
        data: data.clone(),
    };
    assert_eq!(server.status(write), StatusCode::Ok);
    let sync = Request::Extended(Extended::FSync {
        handle: handle.clone(),
    });
    assert_eq!(server.status(sync), StatusCode::Ok);
    assert_eq!(
        server
            .attributes(Request::FStat {
                handle: handle.clone()
            })
            .size,
        Some(3 + 255 * 1024)
    );
    assert_eq!(server.status(Request::Close { handle }), StatusCode::Ok);
    assert_eq!(&fs::read(server.path(name)).unwrap()[3..], &data[..]);

    let handle = server.open(name, OpenFlags::READ);
    let read = |offset| Request::Read {
        handle: handle.clone(),
        offset,
        length: 255 * 1024,
    };
    assert_eq!(server.ask(read(3)), Response::Data(data.into()));
    assert_eq!(server.status(read(3 + 255 * 1024)), StatusCode::Eof);

    let again = Request::Open {
        path: bytes(name),
        flags: NEW,
        attributes: Attributes::default(),
    };
    assert_eq!(server.status(again), StatusCode::Failure);
}

#[test]
fn attributes_are_set_and_read_as_the_file_system_has_them() {
    let mut server = Server::start();
    fs::write(server.path(b"f"), "hello").unwrap();
    let metadata = fs::metadata(server.path(b"f")).unwrap();
    let set = Attributes {
        size: Some(2),
        owner: None,
        permissions: Some(0o640),
        times: Some(Times {
            atime: 1_700_000_001,
            mtime: 1_700_000_002,
        }),
        extended: Vec::new(),
    };
    let request = Request::SetStat {
        path: bytes(b"f"),
        attributes: set.clone(),
    };
    assert_eq!(server.status(request), StatusCode::Ok);
    let attributes = server.attributes(Request::Stat { path: bytes(b"f") });
    let owner = Owner {
        uid: metadata.uid(),
        gid: metadata.gid(),
    };
    assert_eq!(
        attributes,
        Attributes {
            permissions: Some(0o100_640),
            owner: Some(owner),
            ..set
        }
    );

    let handle = server.open(b"f", OpenFlags::WRITE);
    let attributes = Attributes {
        permissions: Some(0o600),
        ..Attributes::default()
    };
    let request = Request::FSetStat { handle, attributes };
    assert_eq!(server.status(request), StatusCode::Ok);
    let mode = fs::metadata(server.path(b"f")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn directories_are_made_listed_and_removed() {
    let mut server = Server::start();
    let mkdir = Request::MkDir {
        path: bytes(b"d"),
        attributes: Attributes::default(),
    };
    assert_eq!(server.status(mkdir), StatusCode::Ok);
    for name in [&b"a"[..], b"b\xff"] {
        fs::write(server.path(b"d").join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
    }
    let handle = server.handle(Request::OpenDir { path: bytes(b"d") });
    let mut names = Vec::new();
    loop {
        match server.ask(Request::ReadDir {
            handle: handle.clone(),
        }) {
            Response::Name(entries) => names.extend(entries.into_iter().map(|entry| entry.name)),
            Response::Status(status) => {
                assert_eq!(status.code, StatusCode::Eof);
                break;
            }
            other => panic!("neither NAME nor STATUS: {other:?}"),
        }
    }
    names.sort();
    assert_eq!(names, [&b"."[..], b"..", b"a", b"b\xff"]);
    assert_eq!(server.status(Request::Close { handle }), StatusCode::Ok);
    let rmdir = Request::RmDir { path: bytes(b"d") };
    assert_eq!(server.status(rmdir.clone()), StatusCode::Failure);
    for path in [bytes(b"d/a"), bytes(b"d/b\xff")] {
        assert_eq!(server.status(Request::Remove { path }), StatusCode::Ok);
    }
    assert_eq!(server.status(rmdir), StatusCode::Ok);
    let gone = Request::LStat { path: bytes(b"d") };
    assert_eq!(server.status(gone), StatusCode::NoSuchFile);
}

#[test]
fn links_and_renames_do_what_their_fields_say() {
    let mut server = Server::start();
    fs::write(server.path(b"one"), "one").unwrap();
    fs::write(server.path(b"two"), "two").unwrap();
    let symlink = Request::SymLink {
        target: bytes(b"one"),
        link: bytes(b"link"),
    };
    assert_eq!(server.status(symlink), StatusCode::Ok);
    assert_eq!(fs::read_link(server.path(b"link")).unwrap(), Path::new("one"));
    assert_eq!(server.name(Request::ReadLink { path: bytes(b"link") }), "one");
    let link = server.attributes(Request::LStat { path: bytes(b"link") });
    assert_eq!(link.file_type(), Some(FileType::Symlink));
    let target = server.attributes(Request::Stat { path: bytes(b"link") });
    assert_eq!(target.file_type(), Some(FileType::File));
    let times = Attributes {
        times: Some(Times { atime: 1, mtime: 2 }),
        ..Attributes::default()
    };
    let of_the_link = Extended::LSetStat {
        path: bytes(b"link"),
        attributes: times,
    };
    assert_eq!(server.status(Request::Extended(of_the_link)), StatusCode::Ok);
    assert_eq!(fs::symlink_metadata(server.path(b"link")).unwrap().mtime(), 2);

    let taken = Request::Rename {
        from: bytes(b"one"),
        to: bytes(b"two"),
    };
    assert_eq!(server.status(taken), StatusCode::Failure);
    let replacing = Extended::PosixRename {
        from: bytes(b"one"),
        to: bytes(b"two"),
    };
    assert_eq!(server.status(Request::Extended(replacing)), StatusCode::Ok);
    assert_eq!(fs::read(server.path(b"two")).unwrap(), b"one");
    let plain = Request::Rename {
        from: bytes(b"two"),
        to: bytes(b"three"),
    };
    assert_eq!(server.status(plain), StatusCode::Ok);
    let hard = Extended::HardLink {
        from: bytes(b"three"),
        to: bytes(b"four"),
    };
    assert_eq!(server.status(Request::Extended(hard)), StatusCode::Ok);
    assert_eq!(fs::metadata(server.path(b"four")).unwrap().nlink(), 2);
}

#[test]
fn every_extension_that_is_offered_answers_as_documented() {
    let mut server = Server::start();
    let dir = Bytes::copy_from_slice(
        fs::canonicalize(server.dir.path())
            .unwrap()
            .as_os_str()
            .as_bytes(),
    );
    for extension in [
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
    ] {
        assert!(server.hello.offers(extension), "{extension:?}");
    }
    let limits = Limits::decode(server.extended(Extended::Limits)).unwrap();
    assert_eq!(
        (limits.packet, limits.read, limits.write),
        (262_144, 261_120, 261_120)
    );
    assert!(limits.handles > 0);
    let by_path = server.extended(Extended::StatVfs { path: bytes(b".") });
    let by_path = FileSystem::decode(by_path).unwrap();
    assert!(by_path.blocks >= by_path.blocks_free && by_path.name_max >= 255 && !by_path.is_read_only());

    fs::write(server.path(b"from"), "0123456789").unwrap();
    let from = server.open(b"from", OpenFlags::READ);
    let to = server.open(b"to", NEW);
    let by_handle = server.extended(Extended::FStatVfs { handle: to.clone() });
    assert_eq!(FileSystem::decode(by_handle).unwrap().id, by_path.id);
    let copy = Extended::CopyData {
        from,
        from_offset: 2,
        length: 5,
        to,
        to_offset: 1,
    };
    assert_eq!(server.status(Request::Extended(copy)), StatusCode::Ok);
    assert_eq!(fs::read(server.path(b"to")).unwrap(), b"\x0023456");

    let expand = |path| Request::Extended(Extended::ExpandPath { path: bytes(path) });
    assert_eq!(server.name(expand(b".")), dir);
    assert_eq!(server.name(Request::RealPath { path: bytes(b"./") }), dir);
    let home = server.name(Request::Extended(Extended::HomeDirectory {
        user: bytes(b"root"),
    }));
    assert_eq!(server.name(expand(b"~root")), home);
    let users = Extended::Other {
        name: bytes(b"users-groups-by-id@openssh.com"),
        body: bytes(b"\0\0\0\x04\0\0\0\0\0\0\0\x04\0\0\0\0"),
    };
    assert_eq!(
        server.extended(users),
        &b"\0\0\0\x08\0\0\0\x04root\0\0\0\x08\0\0\0\x04root"[..]
    );
    let unknown = Extended::Other {
        name: bytes(b"no-such-extension@example.com"),
        body: Bytes::new(),
    };
    assert_eq!(
        server.status(Request::Extended(unknown)),
        StatusCode::OpUnsupported
    );
}
