//! Transfers whose connection is lost: on a supervised one they go on by themselves, on another one they end with the reason.

mod supervisor_support;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sternline::transfer::{Source, TransferEvent};
use sternline::{AuthConfig, ConnectionBuilder, ErrorKind, Supervisor, Transfer, TransferResult};
use sternline_server::fault::{Fault, FaultProxy};
use sternline_tests::sshd::{Settings, Sshd};
use supervisor_support::{quick, start};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(120);

/// A server behind a link that can be cut, and two directories: what is on this side, and what is on the other.
struct Ends {
    server: Sshd,
    link: Arc<FaultProxy>,
    here: PathBuf,
    there: PathBuf,
}

impl Ends {
    async fn new() -> Self {
        Self::of(Settings::default().option("Subsystem sftp internal-sftp")).await
    }

    /// Everything goes through the server's shell.
    async fn without_sftp() -> Self {
        Self::of(Settings::default().option("#Subsystem none")).await
    }

    async fn of(settings: Settings) -> Self {
        let server = settings.option("MaxStartups 1000").start();
        let link = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
        let link = Arc::new(link.await.unwrap());
        let (here, there) = (server.path("here"), server.path("there"));
        fs::create_dir(&here).unwrap();
        fs::create_dir(&there).unwrap();
        Self {
            server,
            link,
            here,
            there,
        }
    }

    fn builder(&self) -> ConnectionBuilder {
        ConnectionBuilder::from(format!("{}@{}", self.server.user().name, self.link.addr()))
            .auth([AuthConfig::key(self.server.key())])
            .danger_accept_any_host_key()
    }

    async fn supervisor(&self) -> Supervisor {
        start(self.builder(), quick(100)).await
    }
}

/// Draws numbers that are the same in every run.
struct Draw(u64);

impl Draw {
    fn up_to(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }

    fn content(&mut self, length: usize) -> Vec<u8> {
        let mut content = Vec::with_capacity(length + 8);
        while content.len() < length {
            content.extend_from_slice(&self.up_to(u64::MAX).to_le_bytes());
        }
        content.truncate(length);
        content
    }
}

/// Cuts the link six times, each time when a drawn number of bytes has passed.
async fn cut(link: Arc<FaultProxy>, supervisor: Supervisor, seed: u64, most: u64) {
    let mut draw = Draw(seed);
    let mut status = supervisor.watch();
    for cut in 0..6 {
        let connected = status.wait_for(|status| status.open_connection().is_some());
        if connected.await.is_err() {
            return;
        }
        let bytes = draw.up_to(most);
        println!("cut {cut}: after {bytes} bytes more");
        let before = link.faults().counters().connections;
        link.faults().set_open(Fault::DropAfter(bytes));
        link.faults()
            .until(|counters| counters.connections > before)
            .await;
    }
}

/// Runs a transfer whose link is cut again and again.
async fn through_cuts(ends: &Ends, seed: u64, most: u64, transfer: Transfer) -> (TransferResult, u32) {
    let supervisor = ends.supervisor().await;
    println!("seed {seed}");
    let cutting = tokio::spawn(cut(Arc::clone(&ends.link), supervisor.clone(), seed, most));
    let result = timeout(LONG, supervisor.transfer(transfer)).await.unwrap();
    cutting.abort();
    let _ = cutting.await;
    ends.link.faults().heal();
    let lost = supervisor.reconnection_count();
    supervisor.close().await;
    (result, lost)
}

/// What a tree holds: each name with its kind, and with its content's digest or where it leads.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let what = if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            "directory".to_owned()
        } else if meta.is_symlink() {
            format!("link to {}", fs::read_link(&path).unwrap().display())
        } else {
            format!("{:x?}", Sha256::digest(fs::read(&path).unwrap()))
        };
        found.insert(path.strip_prefix(root).unwrap().to_owned(), what);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_arrives_through_one_cut_after_another() {
    large_file(Ends::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_arrives_through_a_shell_and_one_cut_after_another() {
    large_file(Ends::without_sftp().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_memory_arrives_through_a_shell_and_one_cut_after_another() {
    let ends = Ends::without_sftp().await;
    let content = Draw(7).content(50 << 20);
    let source = Source::Bytes {
        name: b"bytes".to_vec(),
        content: content.clone().into(),
    };
    // How often it was begun, and what was moved since then.
    let told = Arc::new(Mutex::new((0, 0)));
    let listener = Arc::clone(&told);
    let up = Transfer::upload(source, ends.there.join("bytes"))
        .checksum(true)
        .on_event(move |event| {
            let mut told = listener.lock().unwrap();
            match event {
                TransferEvent::Started { file: 0, .. } => *told = (told.0 + 1, 0),
                TransferEvent::Progress { file: 0, bytes } => told.1 += bytes,
                _ => {}
            }
        });
    let (result, lost) = through_cuts(&ends, 8, 24 << 20, up).await;
    let (begun, moved) = *told.lock().unwrap();
    assert!(begun >= 3, "begun {begun} times");
    assert_eq!(moved, content.len() as u64);
    assert_eq!(result.success().unwrap().bytes, content.len() as u64);
    assert!(lost >= 3, "{lost} losses");
    let arrived = fs::read(ends.there.join("bytes")).unwrap();
    assert_eq!(Sha256::digest(arrived), Sha256::digest(content));
    assert_eq!(tree(&ends.there).len(), 2, "{:?}", tree(&ends.there));
}

async fn large_file(ends: Ends) {
    let content = Draw(1).content(90 << 20);
    fs::write(ends.here.join("large"), &content).unwrap();
    let up = Transfer::upload(ends.here.join("large"), ends.there.join("copy"));
    let (result, lost) = through_cuts(&ends, 2, 24 << 20, up).await;
    // What a lost connection took with it is not counted.
    assert_eq!(result.success().unwrap().bytes, content.len() as u64);
    assert!(lost >= 3, "{lost} losses");
    let digest = Sha256::digest(&content);
    assert_eq!(Sha256::digest(fs::read(ends.there.join("copy")).unwrap()), digest);

    let down = Transfer::download(ends.there.join("copy"), ends.here.join("back"));
    let (result, lost) = through_cuts(&ends, 3, 24 << 20, down).await;
    result.success().unwrap();
    assert!(lost >= 3, "{lost} losses");
    assert_eq!(Sha256::digest(fs::read(ends.here.join("back")).unwrap()), digest);
    assert_eq!(tree(&ends.there).len(), 2, "{:?}", tree(&ends.there));
    assert_eq!(tree(&ends.here).len(), 3, "{:?}", tree(&ends.here));
}

/// It would begin anew for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_no_connection_lives_long_enough_for_ends_with_the_progress_timeout() {
    let ends = Ends::without_sftp().await;
    fs::write(ends.here.join("large"), Draw(9).content(30 << 20)).unwrap();
    let supervisor = ends.supervisor().await;
    let (link, watched) = (Arc::clone(&ends.link), supervisor.clone());
    let cutting = tokio::spawn(async move {
        let mut status = watched.watch();
        loop {
            let connected = status.wait_for(|status| status.open_connection().is_some());
            connected.await.unwrap();
            let before = link.faults().counters().connections;
            link.faults().set_open(Fault::DropAfter(2 << 20));
            link.faults()
                .until(|counters| counters.connections > before)
                .await;
        }
    });
    let up = Transfer::upload(ends.here.join("large"), ends.there.join("copy"))
        .progress_timeout(Duration::from_secs(2));
    let result = timeout(LONG, supervisor.transfer(up)).await.unwrap();
    cutting.abort();
    let error = result.success().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ProgressTimeout, "{error}");
    assert!(supervisor.reconnection_count() >= 2);
    assert!(!ends.there.join("copy").exists());
    ends.link.faults().heal();
    supervisor.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_earlier_transfers_left_of_a_file_is_gone_after_a_cut() {
    let ends = Ends::without_sftp().await;
    let content = Draw(10).content(20 << 20);
    fs::write(ends.here.join("large"), &content).unwrap();
    let left = |random: &str| ends.there.join(format!(".large.{random}.sternline-part"));
    // The larger one is tried first; it is part of the file, or of something else.
    for larger in [&content[..12 << 20], &vec![7; 12 << 20]] {
        fs::write(left("abcdefghijklmnop"), larger).unwrap();
        fs::write(left("bbcdefghijklmnop"), &content[..6 << 20]).unwrap();
        let supervisor = ends.supervisor().await;
        let link = Arc::clone(&ends.link);
        let cut = AtomicBool::new(false);
        let up = Transfer::upload(ends.here.join("large"), ends.there.join("large"))
            .resume(true)
            .on_event(move |event| {
                if matches!(event, TransferEvent::Progress { .. }) && !cut.swap(true, Ordering::Relaxed) {
                    link.faults().set_open(Fault::Drop);
                }
            });
        let result = timeout(LONG, supervisor.transfer(up)).await.unwrap();
        result.success().unwrap();
        assert_eq!(supervisor.reconnection_count(), 1);
        assert!(fs::read(ends.there.join("large")).unwrap() == content);
        assert_eq!(tree(&ends.there).len(), 2, "{:?}", tree(&ends.there));
        supervisor.close().await;
        fs::remove_file(ends.there.join("large")).unwrap();
    }
}

/// As when the server shuts down, or the account's processes are ended: what writes the file is gone a moment before
/// the connection is.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_ended_with_its_connection_is_a_loss_and_no_failure() {
    let ends = Ends::without_sftp().await;
    let content = Draw(11).content(60 << 20);
    fs::write(ends.here.join("large"), &content).unwrap();
    let supervisor = ends.supervisor().await;
    let of_the_session = supervisor.connection().unwrap().exec("echo $PPID").await.unwrap();
    let session = String::from_utf8(of_the_session.stdout.to_vec()).unwrap();
    let session = session.trim().to_owned();
    let ended = AtomicBool::new(false);
    let up = Transfer::upload(ends.here.join("large"), ends.there.join("large")).on_event(move |event| {
        if matches!(event, TransferEvent::Progress { .. }) && !ended.swap(true, Ordering::Relaxed) {
            // Its children, and then it itself.
            let script = "for p in $(ps -o pid= --ppid $1); do kill $p; done; kill $1";
            let status = std::process::Command::new("sh")
                .args(["-c", script, "sh", &session])
                .status();
            assert!(status.unwrap().success());
        }
    });
    let result = timeout(LONG, supervisor.transfer(up)).await.unwrap();
    result.success().unwrap();
    assert_eq!(supervisor.reconnection_count(), 1);
    assert!(fs::read(ends.there.join("large")).unwrap() == content);
    supervisor.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_arrives_through_one_cut_after_another_and_replaces_what_was_there() {
    whole_tree(Ends::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_arrives_through_a_shell_and_one_cut_after_another() {
    whole_tree(Ends::without_sftp().await).await;
}

async fn whole_tree(ends: Ends) {
    let source = ends.here.join("tree");
    let mut draw = Draw(4);
    for directory in 0..10 {
        let path = source.join(format!("d{directory}/deeper"));
        fs::create_dir_all(&path).unwrap();
        for file in 0..40 {
            let length = usize::try_from(draw.up_to(60_000)).unwrap();
            fs::write(path.join(format!("f{file}")), draw.content(length)).unwrap();
        }
        std::os::unix::fs::symlink("deeper/f0", source.join(format!("d{directory}/link"))).unwrap();
    }
    // A directory and some files are there, and stay under their names until the new ones are complete.
    let target = ends.there.join("tree");
    fs::create_dir_all(target.join("d3/deeper")).unwrap();
    for file in 0..20 {
        fs::write(target.join(format!("d3/deeper/f{file}")), "old").unwrap();
    }
    let up = Transfer::upload(&source, &target).recursive(true).preserve(true);
    let (result, lost) = through_cuts(&ends, 5, 4 << 20, up).await;
    assert_eq!(result.failures.len(), 0, "{:?}", result.failures);
    result.success().unwrap();
    assert!(lost >= 3, "{lost} losses");
    let landed = if target.join("tree").exists() {
        target.join("tree")
    } else {
        target.clone()
    };
    let arrived = tree(&landed);
    assert!(arrived.len() > 400);

    let back = ends.here.join("back");
    let down = Transfer::download(&landed, &back).recursive(true);
    let (result, lost) = through_cuts(&ends, 6, 4 << 20, down).await;
    result.success().unwrap();
    assert!(lost >= 3, "{lost} losses");
    assert_eq!(tree(&back), arrived);
    let left = |root: &Path| {
        let names: Vec<_> = tree(root).into_keys().collect();
        names
            .into_iter()
            .filter(|name| name.to_string_lossy().contains("sternline-part"))
            .collect::<Vec<_>>()
    };
    assert_eq!(left(&ends.there), Vec::<PathBuf>::new());
    assert_eq!(left(&ends.here), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_ends_with_the_progress_timeout_and_leaves_the_old_file_whole() {
    let ends = Ends::new().await;
    fs::write(ends.here.join("new"), Draw(7).content(64 << 20)).unwrap();
    fs::write(ends.there.join("file"), "old").unwrap();
    let supervisor = ends.supervisor().await;
    let link = Arc::clone(&ends.link);
    let stalled = AtomicBool::new(false);
    let transfer = Transfer::upload(ends.here.join("new"), ends.there.join("file"))
        .progress_timeout(Duration::from_millis(700))
        .on_event(move |event| {
            if matches!(event, TransferEvent::Progress { .. }) && !stalled.swap(true, Ordering::Relaxed) {
                link.faults().set(Fault::Stall);
            }
        });
    // Less than what the removal of an incomplete file may take on a server that answers.
    let limit = Duration::from_secs(8);
    let result = timeout(limit, supervisor.transfer(transfer)).await.unwrap();
    let error = result.success().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ProgressTimeout, "{error}");
    assert_eq!(fs::read(ends.there.join("file")).unwrap(), b"old");
    ends.link.faults().heal();
    supervisor.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_supervisor_a_lost_connection_is_an_error_that_names_host_and_file() {
    let ends = Ends::new().await;
    let content = Draw(8).content(8 << 20);
    fs::write(ends.here.join("file"), &content).unwrap();
    fs::write(ends.there.join("file"), &content).unwrap();
    for (source, target, up) in [(&ends.here, &ends.there, true), (&ends.there, &ends.here, false)] {
        fs::write(target.join("copy"), "old").unwrap();
        let connection = ends.builder().connect().await.unwrap();
        ends.link.faults().set_open(Fault::DropAfter(3 << 20));
        let (source, target) = (source.join("file"), target.join("copy"));
        let transfer = if up {
            Transfer::upload(&source, &target)
        } else {
            Transfer::download(&source, &target)
        };
        let result = timeout(LONG, connection.transfer(transfer)).await.unwrap();
        let error = result.success().unwrap_err();
        assert!(error.kind().is_connection(), "{error:?}");
        assert_eq!(error.context().host.as_deref(), Some("127.0.0.1"), "{error:?}");
        assert!(
            error.to_dict().get("path").is_some() || error.to_string().contains("file"),
            "{error:?}"
        );
        assert_eq!(fs::read(&target).unwrap(), b"old");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_supervisor_gives_up_its_last_error_ends_the_transfer() {
    let ends = Ends::new().await;
    fs::write(ends.here.join("file"), Draw(9).content(64 << 20)).unwrap();
    let supervisor = start(ends.builder(), quick(2)).await;
    let link = Arc::clone(&ends.link);
    let cut = AtomicBool::new(false);
    let transfer = Transfer::upload(ends.here.join("file"), ends.there.join("copy")).on_event(move |event| {
        if matches!(event, TransferEvent::Progress { .. }) && !cut.swap(true, Ordering::Relaxed) {
            link.faults().set_next(Fault::Refuse);
            link.faults().set_open(Fault::Drop);
        }
    });
    let result = timeout(LONG, supervisor.transfer(transfer)).await.unwrap();
    let error = result.success().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ConnectionRefused, "{error:?}");
    assert!(!ends.there.join("copy").exists());
}
