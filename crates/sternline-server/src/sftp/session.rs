//! Requests, and what is answered to them. Blocking.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sternline_proto::sftp::{
    Attributes, ClientPacket, Entry, Extension, FrameError, Hello, OpenFlags, PacketError, Request, Response,
    ServerPacket, Status, StatusCode,
};
use thiserror::Error;

use super::handle::{Handle, Handles, ServedFile};
use super::long_name::long_name;
use crate::fault::Cut;
use crate::files::{FileAction, Links, Served};

/// The most that one READ gives, as OpenSSH's sftp-server has it.
pub(super) const MAX_DATA: u32 = 255 * 1024;
/// Entries of a directory in one answer.
const ENTRIES: usize = 100;
/// What a new file gets when the client does not say.
const FILE_MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o755;

const EXTENSIONS: [Extension; 10] = [
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
];

/// Why the session ends before the client ends it.
#[derive(Debug, Error)]
pub(super) enum Ending {
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Packet(PacketError),
    #[error("the client did not begin with INIT, or sent it twice")]
    NotInit,
    #[error("{0}")]
    Io(io::Error),
    #[error("cut off, as a fault has it")]
    Cut(Cut),
}

pub(super) struct Session {
    pub(super) served: Arc<Served>,
    user: String,
    pub(super) handles: Handles,
    begun: bool,
    /// Bytes of files that have passed.
    moved: u64,
}

impl Session {
    pub(super) fn new(served: Arc<Served>, user: String) -> Self {
        Self {
            served,
            user,
            handles: Handles::default(),
            begun: false,
            moved: 0,
        }
    }

    /// Does what the packet asks for, and appends the answer.
    pub(super) fn answer(&mut self, packet: Bytes, out: &mut BytesMut) -> Result<(), Ending> {
        if let Some(cut) = self.served.faults.cut(self.moved) {
            return Err(Ending::Cut(cut));
        }
        let (id, response) = match ClientPacket::decode(packet) {
            Ok(ClientPacket::Init(_)) if !self.begun => {
                self.begun = true;
                let offered: &[Extension] = match self.served.faults.hides_extensions() {
                    true => &[],
                    false => &EXTENSIONS,
                };
                ServerPacket::Version(Hello::new(offered)).encode(out)?;
                return Ok(());
            }
            Ok(ClientPacket::Request { id, request }) if self.begun => {
                let response = self.perform(request).unwrap_or_else(|error| refusal(&error));
                (id, response)
            }
            Ok(_) => return Err(Ending::NotInit),
            // A request that makes no sense is refused; a packet that is none ends the session.
            Err(PacketError::Truncated { id: Some(id), .. }) => (id, status(StatusCode::BadMessage)),
            Err(PacketError::UnexpectedType { id: Some(id), .. }) => (id, status(StatusCode::OpUnsupported)),
            Err(error) => return Err(Ending::Packet(error)),
        };
        ServerPacket::Response { id, response }.encode(out)?;
        Ok(())
    }

    fn perform(&mut self, request: Request) -> io::Result<Response> {
        let tree = &self.served.tree;
        match request {
            Request::Open {
                path,
                flags,
                attributes,
            } => return self.open(path, flags, &attributes),
            Request::Close { handle } => self.close(&handle)?,
            Request::Read {
                handle,
                offset,
                length,
            } => return self.read(&handle, offset, length),
            Request::Write { handle, offset, data } => {
                let file = self.handles.file(&handle)?;
                file.file.write_at(offset, &data)?;
                let bytes = data.len() as u64;
                *file.written.get_or_insert(0) += bytes;
                self.moved += bytes;
            }
            Request::LStat { path } => return tree.stat(&path, Links::Keep).map(Response::Attributes),
            Request::Stat { path } => return tree.stat(&path, Links::Follow).map(Response::Attributes),
            Request::FStat { handle } => {
                return self.handles.file(&handle)?.file.stat().map(Response::Attributes);
            }
            Request::SetStat { path, attributes } => tree.set(&path, Links::Follow, &attributes)?,
            Request::FSetStat { handle, attributes } => {
                self.handles.file(&handle)?.file.set(&attributes)?;
            }
            Request::OpenDir { path } => {
                self.handles.have_room()?;
                let dir = tree.open_dir(&path)?;
                return Ok(Response::Handle(self.handles.add(Handle::Dir(dir))));
            }
            Request::ReadDir { handle } => return self.read_dir(&handle),
            Request::Remove { path } => {
                tree.remove_file(&path)?;
                self.tell(path, FileAction::Removed);
            }
            Request::MkDir { path, attributes } => {
                tree.make_dir(&path, attributes.permissions.unwrap_or(DIR_MODE))?;
            }
            Request::RmDir { path } => {
                tree.remove_dir(&path)?;
                self.tell(path, FileAction::Removed);
            }
            Request::RealPath { path } => return tree.real_path(or_here(&path)).map(one_name),
            Request::Rename { from, to } => self.rename(from, to, false)?,
            Request::ReadLink { path } => return tree.read_link(&path).map(one_name),
            Request::SymLink { target, link } => tree.symlink(&target, &link)?,
            Request::Extended(extended) => return self.extended(extended),
        }
        Ok(status(StatusCode::Ok))
    }

    fn open(&mut self, path: Bytes, flags: OpenFlags, attributes: &Attributes) -> io::Result<Response> {
        self.handles.have_room()?;
        let mode = attributes.permissions.unwrap_or(FILE_MODE) & 0o7777;
        let file = self.served.tree.open(&path, flags, mode)?;
        let truncated = flags.contains(OpenFlags::WRITE | OpenFlags::TRUNCATE)
            || flags.contains(OpenFlags::WRITE | OpenFlags::EXCLUSIVE);
        let file = ServedFile {
            file,
            path,
            read: 0,
            // An empty file is uploaded without a write.
            written: truncated.then_some(0),
        };
        Ok(Response::Handle(self.handles.add(Handle::File(file))))
    }

    fn close(&mut self, handle: &[u8]) -> io::Result<()> {
        if let Handle::File(file) = self.handles.remove(handle)? {
            match file.written {
                Some(bytes) => self.tell(file.path, FileAction::Uploaded { bytes }),
                None if file.read > 0 => {
                    self.tell(file.path, FileAction::Downloaded { bytes: file.read });
                }
                None => {}
            }
        }
        Ok(())
    }

    fn read(&mut self, handle: &[u8], offset: u64, length: u32) -> io::Result<Response> {
        let file = self.handles.file(handle)?;
        let mut data = vec![0; length.min(MAX_DATA) as usize];
        let count = file.file.read_at(offset, &mut data)?;
        if count == 0 && length > 0 {
            return Ok(status(StatusCode::Eof));
        }
        file.read += count as u64;
        self.moved += count as u64;
        data.truncate(count);
        Ok(Response::Data(Bytes::from(data).into()))
    }

    fn read_dir(&mut self, handle: &[u8]) -> io::Result<Response> {
        let entries = self.handles.dir(handle)?.next(ENTRIES)?;
        if entries.is_empty() {
            return Ok(status(StatusCode::Eof));
        }
        let entries = entries.into_iter().map(|(name, attributes)| Entry {
            long_name: long_name(&name, &attributes),
            name,
            attributes,
        });
        Ok(Response::Name(entries.collect()))
    }

    pub(super) fn rename(&self, from: Bytes, to: Bytes, replace: bool) -> io::Result<()> {
        self.served.tree.rename(&from, &to, replace)?;
        self.tell(from, FileAction::Renamed { to });
        Ok(())
    }

    fn tell(&self, path: Bytes, action: FileAction) {
        self.served.log.add(&self.user, path, action);
    }
}

/// An empty path is where the client begins (draft section 6.11).
fn or_here(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

pub(super) fn one_name(name: Bytes) -> Response {
    Response::Name(vec![Entry {
        long_name: name.clone(),
        name,
        attributes: Attributes::default(),
    }])
}

pub(super) fn status(code: StatusCode) -> Response {
    Response::Status(Status::new(code))
}

/// What a client is told of an error: version 3 has few codes, so the words say the rest.
fn refusal(error: &io::Error) -> Response {
    let code = match error.kind() {
        ErrorKind::NotFound => StatusCode::NoSuchFile,
        ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
        ErrorKind::Unsupported => StatusCode::OpUnsupported,
        _ => StatusCode::Failure,
    };
    let mut status = Status::new(code);
    if code == StatusCode::Failure {
        status.message = error.to_string().into();
    }
    Response::Status(status)
}
