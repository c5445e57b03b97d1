//! `ssh.test_key`: a key pair on disk for one test.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use allocative::Allocative;
use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use starlark::any::ProvidesStaticType;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::values::{Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};
use sternline_server::KeyPair;

use super::test_server::Shared;
use crate::context::Context;

/// The keys that `ssh.test_key` has made in a run and that still exist, and the servers that let them in.
#[derive(Debug, Default)]
pub(crate) struct RunKeys {
    lines: Mutex<Vec<String>>,
    servers: Mutex<Vec<Weak<Shared>>>,
}

impl RunKeys {
    /// The public keys, as lines of `.pub` files.
    pub(super) fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    /// Tells a server of every change, as long as it is there.
    pub(super) fn serve(&self, server: &Arc<Shared>) {
        lock(&self.servers).push(Arc::downgrade(server));
    }

    fn add(&self, line: String) {
        lock(&self.lines).push(line);
        self.tell();
    }

    fn remove(&self, line: &str) {
        lock(&self.lines).retain(|known| known != line);
        self.tell();
    }

    fn tell(&self) {
        let mut servers = lock(&self.servers);
        servers.retain(|server| server.strong_count() > 0);
        let told: Vec<_> = servers.iter().filter_map(Weak::upgrade).collect();
        drop(servers);
        for server in told {
            server.users_changed();
        }
    }
}

/// A key pair that exists until the test has ended.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct TestKey(#[allocative(skip)] Arc<Made>);
starlark_simple_value!(TestKey);

#[derive(Debug)]
struct Made {
    path: String,
    public_line: String,
    fingerprint: String,
}

impl TestKey {
    pub(super) fn public_line(&self) -> &str {
        &self.0.public_line
    }
}

impl fmt::Display for TestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SSHTestKey(path = {:?})", self.0.path)
    }
}

#[starlark_value(type = "SSHTestKey")]
impl<'v> StarlarkValue<'v> for TestKey {
    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        match attribute {
            "path" => Some(heap.alloc(self.0.path.as_str())),
            "public_key" => Some(heap.alloc(self.0.public_line.as_str())),
            "fingerprint" => Some(heap.alloc(self.0.fingerprint.as_str())),
            _ => None,
        }
    }

    fn dir_attr(&self) -> Vec<String> {
        ["fingerprint", "path", "public_key"].map(str::to_owned).to_vec()
    }
}

#[starlark_module]
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    /// Makes an ed25519 key pair on disk, for `ssh.config(key=...)`. Test servers of the same run let it in where no other key
    /// was named for the user. The files are removed when the test has ended. Only in tests.
    ///
    /// Returns a value with `path`, where the private key is (mode 0600, with the public key beside it as `.pub`), `public_key`,
    /// the line of the `.pub` file, and `fingerprint`, its SHA-256 as `ssh-keygen -l` shows it.
    fn test_key(eval: &mut Evaluator<'_, '_, '_>) -> anyhow::Result<TestKey> {
        let context = Context::of(eval)?;
        let directory = tempfile::Builder::new()
            .prefix("sternline-test-key-")
            .tempdir_in(&context.session.env().temp_dir)
            .context("ssh.test_key: cannot make a directory for the key")?;
        let pair = KeyPair::generate_ed25519().context("ssh.test_key")?;
        let path = directory.path().join("id_ed25519");
        let private = pair.private_openssh().context("ssh.test_key")?;
        write_private(&path, private.expose_secret())
            .context("ssh.test_key: cannot write the private key")?;
        let public_line = pair.public_line();
        std::fs::write(path.with_extension("pub"), format!("{public_line}\n"))
            .context("ssh.test_key: cannot write the public key")?;
        let path = path.into_os_string().into_string();
        let path = path.map_err(|_| {
            anyhow::anyhow!(
                "ssh.test_key: the directory for temporary files has a name that is no text: set TMPDIR"
            )
        })?;
        let keys = context.run_keys.clone();
        keys.add(public_line.clone());
        let line = public_line.clone();
        context.at_end(async move {
            keys.remove(&line);
            // What is left behind is a key that nobody lets in.
            let _ = directory.close();
        });
        let fingerprint = pair.public_key().fingerprint();
        Ok(TestKey(Arc::new(Made {
            path,
            public_line,
            fingerprint,
        })))
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
