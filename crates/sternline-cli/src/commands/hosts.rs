//! `sternline hosts`: which hosts a selection means, and how each would be reached.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use sternline::proto::inventory::{HostId, Inventory};
use sternline::proto::redact::redact_secrets;
use sternline::proto::target::Target;
use sternline::proto::text::escape;

use crate::connect::{ConnectOptions, Connector, HostSettings, labels, parse_hosts};
use crate::ui::{Failure, Ui};

/// The name and version of the JSON objects. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.hosts/1";

const NOTES: &str = "\
Nothing is connected to. Each line has the host's name, how it would be reached, its groups, and its labels; -v adds where \
settings come from.

In an inventory HOSTS is a selection: groups, hosts, names with ranges, patterns such as web*, regular expressions behind ~, labels \
such as env=prod and targets such as user@host, with commas or colons between them. & keeps what is common, ! takes away, wherever \
they stand: web:&prod:!canary. web[0], web[-1] and web[0:2] choose from a group or pattern.

JSON, one object a line: schema (sternline.hosts/1), host, address, user, port, groups, labels, vars (without secrets), and sources, \
which says where each of them comes from.";

/// List the hosts that a selection means
#[derive(Debug, clap::Args)]
#[command(
    after_help = NOTES,
    mut_arg("ask_password", |arg| arg.hide(true)),
    mut_arg("connect_timeout", |arg| arg.hide(true)),
    mut_arg("timeout", |arg| arg.hide(true)),
    mut_arg("events", |arg| arg.hide(true)),
    mut_arg("evidence", |arg| arg.hide(true)),
)]
pub(crate) struct Args {
    /// A selection, or a comma list of [user@]host[:port] where there is no inventory
    #[arg(value_name = "HOSTS", default_value = "all")]
    hosts: String,

    #[command(flatten)]
    connect: ConnectOptions,
}

pub(crate) fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    if args.hosts == "all" && !args.connect.hosts.has_inventory() {
        return Err(
            Failure::usage("there is no inventory whose hosts could be listed")
                .with_hint("name one with -I, or name hosts"),
        );
    }
    let targets = parse_hosts(&args.hosts, &args.connect.hosts, ui)?;
    let options = ConnectOptions {
        evidence: None,
        ..args.connect.clone()
    };
    let mut connector = Connector::new(&options, targets.len() == 1, ui)?.explaining();
    let mut rows = Vec::with_capacity(targets.len());
    for (target, label) in targets.iter().zip(labels(&targets)) {
        let settings = connector.settings(target)?;
        rows.push(Row::new(
            label,
            target,
            &settings,
            args.connect.hosts.chosen_from(),
        ));
    }
    let text = match args.connect.json {
        true => rows.iter().map(|row| format!("{}\n", row.json())).collect(),
        false => table(&rows, ui.is_verbose()),
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::output(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// What is told of a host.
struct Row {
    host: String,
    address: String,
    user: Option<String>,
    port: u16,
    groups: Vec<String>,
    labels: BTreeMap<String, Vec<String>>,
    vars: Map<String, Value>,
    origins: Vec<String>,
    sources: Map<String, Value>,
}

impl Row {
    fn new(label: String, target: &Target, settings: &HostSettings, inventory: Option<&Inventory>) -> Self {
        let mut row = Self {
            host: label,
            address: settings.address().to_owned(),
            user: settings.target().user().map(str::to_owned),
            port: settings.port(),
            groups: Vec::new(),
            labels: BTreeMap::new(),
            vars: Map::new(),
            origins: settings.origins.clone(),
            sources: Map::new(),
        };
        for (name, place) in settings.sources() {
            row.sources.insert((*name).to_owned(), place.as_str().into());
        }
        let known = inventory.and_then(|inventory| Some((inventory, inventory.host(target.host())?)));
        if let Some((inventory, host)) = known {
            row.describe(inventory, host);
        }
        row
    }

    fn describe(&mut self, inventory: &Inventory, host: HostId) {
        self.groups = inventory.groups_of(host).into_iter().map(str::to_owned).collect();
        for (key, label) in inventory.labels(host) {
            let place = label.source.to_string();
            self.origins
                .push(format!("label {key}={} ({place})", label.value.join(",")));
            self.sources.insert(format!("labels.{key}"), place.into());
            self.labels.insert(key, label.value);
        }
        for (name, var) in inventory.vars(host) {
            self.sources
                .insert(format!("vars.{name}"), var.source.to_string().into());
            self.vars.insert(name, var.value);
        }
    }

    fn json(&self) -> Value {
        json!({
            "schema": SCHEMA,
            "host": self.host,
            "address": self.address,
            "user": self.user,
            "port": self.port,
            "groups": self.groups,
            "labels": self.labels,
            "vars": redact_secrets(&Value::Object(self.vars.clone())),
            "sources": self.sources,
        })
    }

    /// The columns.
    fn columns(&self) -> [String; 4] {
        let user = self
            .user
            .as_ref()
            .map(|user| format!("{user}@"))
            .unwrap_or_default();
        let address = match self.address.contains(':') {
            true => format!("[{}]", self.address),
            false => self.address.clone(),
        };
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(key, words)| format!("{key}={}", words.join(",")))
            .collect();
        [
            self.host.clone(),
            escape(&format!("{user}{address}:{}", self.port)),
            escape(&self.groups.join(",")),
            escape(&labels.join(" ")),
        ]
    }
}

fn table(rows: &[Row], with_origins: bool) -> String {
    let columns: Vec<[String; 4]> = rows.iter().map(Row::columns).collect();
    let mut widths = [0_usize; 4];
    for row in &columns {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = text.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for (row, columns) in rows.iter().zip(&columns) {
        let cells = columns.iter().zip(widths).filter(|(_, width)| *width > 0);
        let line: Vec<String> = cells.map(|(text, width)| format!("{text:width$}")).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
        for origin in row.origins.iter().filter(|_| with_origins) {
            out.push_str(&format!("    {origin}\n"));
        }
    }
    out
}
