//! asyncssh and paramiko, driven by scripts that take a request and print an answer.
//!
//! Python is `python3`, or what `STERNLINE_TEST_PYTHON` names.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use super::run;

/// A Python library that speaks SSH.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client(&'static str);

pub(crate) const ASYNCSSH: Client = Client("asyncssh");
pub(crate) const PARAMIKO: Client = Client("paramiko");

impl Client {
    pub(crate) async fn ask(self, request: Value) -> Value {
        let python = std::env::var_os("STERNLINE_TEST_PYTHON").unwrap_or_else(|| "python3".into());
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("python")
            .join(format!("{}_client.py", self.0));
        let mut command = Command::new(&python);
        command.arg(script).env_remove("SSH_AUTH_SOCK").kill_on_drop(true);
        let output = run(command, request.to_string().into_bytes()).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !errors.contains("ModuleNotFoundError"),
            "{} has no module {}: run `{0} -m pip install {1}`, or name another Python in STERNLINE_TEST_PYTHON",
            python.display(),
            self.0
        );
        assert!(output.status.success(), "{self:?} failed: {errors}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "{self:?} gave no answer ({error}): {} {errors}",
                String::from_utf8_lossy(&output.stdout)
            )
        })
    }
}

/// A request with more in it.
pub(crate) fn with(mut request: Value, more: Value) -> Value {
    request
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    request
}

/// A field that holds bytes.
pub(crate) fn bytes(answer: &Value, field: &str) -> Vec<u8> {
    let text = answer[field]
        .as_str()
        .unwrap_or_else(|| panic!("no {field} in {answer}"));
    data_encoding::BASE64.decode(text.as_bytes()).unwrap()
}
