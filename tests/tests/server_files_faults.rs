//! Files of the embedded server that fail by name.

mod server_support;

use std::fs;

use server_support::files::{Served, remote};
use server_support::{answer, binary};
use sternline::transfer::{OpenFlags, StatusCode};
use sternline::{Connection, ErrorKind, Sftp};
use sternline_server::fault::ServerFault;

const WRITE: OpenFlags = OpenFlags(OpenFlags::WRITE.0 | OpenFlags::CREATE.0);

async fn failing(fault: &str) -> (Served, Connection) {
    let served = Served::start().await;
    served
        .files
        .add_file("/dir/file", binary(1 << 20), 0o644)
        .unwrap();
    served
        .fixture
        .server
        .set_fault(fault.parse::<ServerFault>().unwrap());
    let connection = served.connect().await;
    (served, connection)
}

async fn sftp(connection: &Connection) -> Sftp {
    connection.sftp().await.unwrap()
}

fn code(error: &sternline::Error) -> StatusCode {
    match error.kind() {
        ErrorKind::RemoteFile(code) => *code,
        other => panic!("{other:?}: {error}"),
    }
}

/// What `scp -O` says when it downloads the directory.
async fn scp_errors(served: &Served) -> String {
    let mut scp = served.fixture.openssh("scp");
    scp.args(["-O", "-r"])
        .arg(remote(b"/dir"))
        .arg(served.local("copy"));
    let output = answer(scp).await;
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_disk_is_full_after_so_many_bytes() {
    let (served, connection) = failing("disk-full:1000").await;
    let sftp = sftp(&connection).await;
    let file = sftp.open("/new", WRITE, None).await.unwrap();
    file.write_at(0, binary(600)).await.unwrap();
    let error = file.write_at(600, binary(600)).await.unwrap_err();
    assert!(error.to_string().contains("no storage space"), "{error}");
    file.write_at(600, binary(400)).await.unwrap();
    served.fixture.server.heal();
    file.write_at(1000, binary(600)).await.unwrap();
    assert_eq!(served.files.file("/new").unwrap().content.len(), 1600);
}

#[tokio::test]
async fn a_path_is_refused_with_what_is_below_it() {
    let (served, connection) = failing("deny:/dir").await;
    let sftp = sftp(&connection).await;
    let error = sftp.open("/dir/file", OpenFlags::READ, None).await.unwrap_err();
    assert_eq!(code(&error), StatusCode::PermissionDenied);
    let error = sftp.rename("/other", "dir/x").await.unwrap_err();
    assert_eq!(code(&error), StatusCode::PermissionDenied);
    assert!(scp_errors(&served).await.contains("scp: /dir: Permission denied"));
    assert!(served.files.file("/dir/file").is_some());
}

#[tokio::test]
async fn a_directory_holds_a_name_that_leads_out_of_it() {
    for name in ["../evil", "/evil", ".."] {
        let (served, connection) = failing(&format!("list-name:{name}")).await;
        let mut listing = sftp(&connection).await.list("/dir").await.unwrap();
        let mut names = Vec::new();
        let mut refused = 0;
        while let Some(entry) = listing.next().await {
            match entry {
                Ok(entry) => names.push(entry.name),
                Err(_) => {
                    refused += 1;
                    break;
                }
            }
        }
        assert!(
            !names.contains(&name.as_bytes().to_vec()),
            "our client passes no path on as a name"
        );
        assert!(refused == 1 || names == [b"file"], "{names:?}");
        assert!(scp_errors(&served).await.contains("unexpected filename"));
        assert!(!served.local("evil").exists());
    }
}

#[tokio::test]
async fn a_file_is_shorter_than_it_is_said_to_be() {
    let (served, connection) = failing("shrink:70000").await;
    let sftp = sftp(&connection).await;
    let file = sftp.open("/dir/file", OpenFlags::READ, None).await.unwrap();
    assert_eq!(file.stat().await.unwrap().size, Some(1 << 20));
    let data = file.read_at(0, 1 << 20).await.unwrap();
    assert!(data == binary(1 << 20)[..70_000]);
    let errors = scp_errors(&served).await;
    assert!(errors.contains("the file has become shorter"), "{errors}");
}

#[tokio::test]
async fn sftp_has_no_extensions_or_is_not_there_at_all() {
    let (served, connection) = failing("no-extensions").await;
    let bare = sftp(&connection).await;
    assert!(bare.limits().is_none() && bare.statvfs("/").await.is_err());
    bare.stat("/dir/file").await.unwrap();
    served
        .fixture
        .server
        .set_fault("no-sftp".parse::<ServerFault>().unwrap());
    assert!(connection.sftp().await.is_err());
    let copy = served.local("copy");
    let mut scp = served.fixture.openssh("scp");
    scp.arg("-O").arg(remote(b"/dir/file")).arg(&copy);
    assert!(answer(scp).await.status.success());
    assert!(fs::read(copy).unwrap() == binary(1 << 20));
}

#[tokio::test]
async fn a_session_is_closed_after_so_many_bytes_and_the_next_one_begins_anew() {
    let (served, connection) = failing("close-after:300000").await;
    for _ in 0..2 {
        let sftp = sftp(&connection).await;
        let file = sftp.open("/dir/file", OpenFlags::READ, None).await.unwrap();
        file.read_at(0, 299_999).await.unwrap();
        assert!(file.read_at(299_999, 700_000).await.is_err());
        assert!(sftp.stat("/").await.is_err());
    }
    scp_errors(&served).await;
    let copied = fs::metadata(served.local("copy/file")).unwrap().len();
    assert!(copied < 1 << 20, "{copied}");
}

#[tokio::test]
async fn a_session_says_nothing_any_more_while_others_do() {
    let (served, connection) = failing("stall-after:300000").await;
    let stalled = sftp(&connection).await;
    let file = stalled.open("/dir/file", OpenFlags::READ, None).await.unwrap();
    file.read_at(0, 300_000).await.unwrap();
    let others = async {
        for _ in 0..20 {
            sftp(&connection).await.stat("/dir").await.unwrap();
        }
    };
    tokio::select! {
        answer = stalled.stat("/dir") => panic!("{answer:?}"),
        () = others => {}
    }
    served.fixture.server.heal();
}
