//! Files of the embedded server with asyncssh and paramiko.

mod server_support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use serde_json::{Value, json};
use server_support::binary;
use server_support::files::Served;
use server_support::python::{ASYNCSSH, Client, PARAMIKO, bytes, with};

/// What both clients find the same.
async fn everyday_work(served: &Served, client: Client, more: Value) -> Value {
    let data = data_encoding::BASE64.encode(&binary(3 << 20));
    let request = with(served.fixture.request("files"), json!({ "input": data }));
    let answer = client.ask(with(request, more)).await;
    assert_eq!(answer["same"], true, "{answer}");
    assert_eq!(answer["missing"], 2, "the code of SSH_FX_NO_SUCH_FILE");
    assert_eq!((&answer["mode"], &answer["mtime"]), (&json!(0o640), &json!(6)));
    assert_eq!(answer["names"], json!(["g", "hard"]));
    assert!(served.files.file("/d/hard").unwrap().content == binary(3 << 20));
    answer
}

fn check_tree(tree: &Path) {
    let file = fs::metadata(tree.join("sub/file")).unwrap();
    assert_eq!((file.mode() & 0o7777, file.mtime()), (0o604, 1_600_000_000));
    assert!(fs::read(tree.join("sub/file")).unwrap() == binary(300_000));
    assert_eq!(fs::read(tree.join("empty")).unwrap(), b"");
}

#[tokio::test]
async fn asyncssh_moves_trees_by_sftp_and_by_its_own_scp() {
    let served = Served::start().await;
    let (tree, back) = (served.local("tree"), served.local("back"));
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::create_dir(&back).unwrap();
    fs::write(tree.join("empty"), "").unwrap();
    let file = tree.join("sub/file");
    fs::write(&file, binary(300_000)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_modified(time)
        .unwrap();
    let more = json!({ "tree": tree.to_str().unwrap(), "back": back.to_str().unwrap() });
    let answer = everyday_work(&served, ASYNCSSH, more).await;
    assert_eq!(answer["space"], 4096);
    for way in ["sftp", "scp"] {
        check_tree(&back.join(way));
        let file = served.files.file(format!("/by-{way}/sub/file")).unwrap();
        assert_eq!((file.mode, file.mtime), (0o604, 1_600_000_000));
    }
}

#[tokio::test]
async fn paramiko_works_on_files_and_speaks_scp_by_hand() {
    let served = Served::start().await;
    everyday_work(&served, PARAMIKO, json!({})).await;
    let file = served.files.file("/by scp").unwrap();
    assert_eq!(file.mode, 0o640);
    assert_eq!(served.files.file("/d/g").unwrap().mtime, 6);
}

#[tokio::test]
async fn a_client_that_speaks_no_sftp_loses_its_channel_and_nothing_else() {
    let served = Served::start().await;
    let answer = ASYNCSSH.ask(served.fixture.request("violate")).await;
    let said = String::from_utf8(bytes(&answer, "said")).unwrap();
    assert!(said.contains("text beginning with \"GET \" arrived"), "{said}");
    assert_eq!(
        (&answer["exit_code"], &answer["alive"]),
        (&json!(255), &json!(true))
    );
}
