//! Opening and reading the history.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, ToSql, params};

use crate::error::{HistoryError, shown};
use crate::id::{RunId, RunRef};
use crate::place::Place;
use crate::record::{Host, HostError, Outcome, Output, Run, State, Stream};
use crate::schema::{self, STEPS};

/// How much is kept. Where it is more, the oldest runs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many runs. Default 100.
    pub runs: u64,
    /// How many bytes all runs may take. Default 1 GiB.
    pub bytes: u64,
    /// How many bytes of output are kept of one run. Default 256 MiB.
    pub output_of_run: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            runs: 100,
            bytes: 1024 * 1024 * 1024,
            output_of_run: 256 * 1024 * 1024,
        }
    }
}

/// Which runs are wanted. By default all are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only runs with a host of this name, or this target.
    pub host: Option<String>,
    /// Only runs in which not every host is known to have succeeded.
    pub failed: bool,
    /// Only runs that began at this time or later, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// An open database. All calls block; several processes may have it open, and wait for one another for some seconds.
#[derive(Debug)]
pub struct History {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
    pub(crate) limits: Limits,
    /// The key of the hashes.
    pub(crate) key: Vec<u8>,
    /// The name that a damaged database was given.
    set_aside: Option<String>,
    pub(crate) place: Place,
}

const RUN: &str = "seq, id, begun_ms, ended_ms, interrupted, verb, command, command_line, options, user, machine, version, \
                   records_output, hosts, ok, failed, skipped";

const HOST: &str = "position, name, target, outcome, exit_code, signal, error_type, message, phase, sent, skipped, duration_us, \
                    attempts, stdout_bytes, stdout_hash, stderr_bytes, stderr_hash";

impl History {
    /// Opens the database in this directory for writing. Both are made if they are not there. A damaged database is given
    /// another name, and a new one takes its place: see [`History::set_aside`].
    ///
    /// # Errors
    /// When the directory or a file in it is not private and cannot be made so, when a newer version wrote the database, or
    /// when the system or SQLite refuses.
    pub fn open(folder: &Path, limits: Limits) -> Result<Self, HistoryError> {
        let place = Place::make(folder)?;
        match Self::ready(&place, limits) {
            Ok(Some(history)) => return Ok(history),
            Ok(None) | Err(HistoryError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        let _only_one = place.lock()?;
        // Another process may have done meanwhile what is to be done.
        let set_aside = match Self::ready(&place, limits) {
            Ok(Some(history)) => return Ok(history),
            Ok(None) => None,
            Err(HistoryError::Damaged { .. }) => Some(place.set_aside()?),
            Err(error) => return Err(error),
        };
        let path = place.database();
        let mut connection = connect(&path)?;
        schema::migrate(&mut connection, STEPS)
            .map_err(|error| HistoryError::database(&path, "written", &error))?;
        drop(connection);
        match Self::ready(&place, limits)? {
            Some(history) => Ok(Self { set_aside, ..history }),
            None => Err(HistoryError::Damaged {
                path: shown(&path),
                reason: "it could not be prepared".to_owned(),
            }),
        }
    }

    /// Opens the database in this directory if there is one.
    ///
    /// # Errors
    /// As [`History::open`], and when the database is damaged.
    pub fn find(folder: &Path) -> Result<Option<Self>, HistoryError> {
        let Some(place) = Place::find(folder)? else {
            return Ok(None);
        };
        match Self::ready(&place, Limits::default())? {
            Some(history) => Ok(Some(history)),
            // An older format is brought up to date; an empty file becomes a database without runs.
            None => Self::open(folder, Limits::default()).map(Some),
        }
    }

    /// The database if it has the format of today; `None` for an older one or an empty file.
    fn ready(place: &Place, limits: Limits) -> Result<Option<Self>, HistoryError> {
        let path = place.database();
        let connection = connect(&path)?;
        let failed = |error: rusqlite::Error| HistoryError::database(&path, "read", &error);
        let found = schema::version(&connection).map_err(failed)?;
        let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
        if found > known {
            return Err(HistoryError::Newer {
                path: shown(&path),
                found,
                known,
            });
        }
        if found < known {
            return Ok(None);
        }
        let key = connection
            .query_row("SELECT value FROM meta WHERE name = 'hash_key'", [], |row| {
                row.get(0)
            })
            .map_err(failed)?;
        Ok(Some(Self {
            connection,
            path,
            limits,
            key,
            set_aside: None,
            place: place.clone(),
        }))
    }

    /// The name that a damaged database was given when this one was opened; escaped.
    #[must_use]
    pub fn set_aside(&self) -> Option<&str> {
        self.set_aside.as_deref()
    }

    /// Gives the database another name, because a use of it has shown that it is damaged, and opens a new one.
    pub(crate) fn begin_anew(self) -> Result<Self, HistoryError> {
        let Self {
            connection,
            limits,
            place,
            ..
        } = self;
        drop(connection);
        let aside = {
            let _only_one = place.lock()?;
            place.set_aside()?
        };
        let history = Self::open(place.folder(), limits)?;
        Ok(Self {
            set_aside: Some(aside),
            ..history
        })
    }

    /// The recorded runs, the latest first.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Run>, HistoryError> {
        let mut sql = format!("SELECT {RUN} FROM run WHERE TRUE");
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        if let Some(host) = &filter.host {
            sql.push_str(
                " AND EXISTS (SELECT 1 FROM host WHERE host.run = run.seq AND (host.name = ? OR host.target = ?))",
            );
            values.push(Box::new(host.clone()));
            values.push(Box::new(host.clone()));
        }
        if filter.failed {
            sql.push_str(" AND run.ok < run.hosts");
        }
        if let Some(since) = filter.since_ms {
            sql.push_str(" AND begun_ms >= ?");
            values.push(Box::new(int(since)));
        }
        sql.push_str(" ORDER BY seq DESC LIMIT ?");
        let limit = filter.limit.and_then(|limit| i64::try_from(limit).ok());
        // SQLite takes a negative limit for none.
        values.push(Box::new(limit.unwrap_or(-1)));
        let values = rusqlite::params_from_iter(values);
        let runs = self.rows(&sql, values, run_of)?;
        Ok(runs.into_iter().map(|run| self.with_state(run)).collect())
    }

    /// The run that is meant.
    ///
    /// # Errors
    /// When there is none, or more than one, and when SQLite refuses.
    pub fn run(&self, run: &RunRef) -> Result<Run, HistoryError> {
        let nobody = || HistoryError::NoSuchRun(run.to_string());
        match run {
            RunRef::Last(back) => {
                let sql = format!("SELECT {RUN} FROM run ORDER BY seq DESC LIMIT 1 OFFSET ?");
                let found = self.connection.query_row(&sql, [i64::from(*back)], run_of);
                let found = self.checked(found.optional())?;
                found.map(|run| self.with_state(run)).ok_or_else(nobody)
            }
            RunRef::Prefix(prefix) => {
                let sql = format!("SELECT {RUN} FROM run WHERE substr(id, 1, length(?1)) = ?1 ORDER BY seq");
                let mut found = self.rows(&sql, [prefix], run_of)?;
                match (found.pop(), found.len()) {
                    (Some(run), 0) => Ok(self.with_state(run)),
                    (None, _) => Err(nobody()),
                    (Some(_), others) => Err(HistoryError::Ambiguous {
                        prefix: prefix.clone(),
                        count: others + 1,
                    }),
                }
            }
        }
    }

    /// A run without an end is one that goes on, if somebody shows that.
    fn with_state(&self, mut run: Run) -> Run {
        if run.state == State::Unfinished && self.place.is_going_on(&run.id) {
            run.state = State::Running;
        }
        run
    }

    /// The hosts of a run, in their order.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn hosts(&self, run: &Run) -> Result<Vec<Host>, HistoryError> {
        let sql = format!("SELECT {HOST} FROM host WHERE run = ? ORDER BY position");
        self.rows(&sql, [run.seq], host_of)
    }

    /// The hosts of a run that are not known to have succeeded, in their order: those that failed, those that were not
    /// begun, and those of which nothing is recorded. Their targets are as they were given.
    ///
    /// # Errors
    /// When the run is still going on, since what it is about to do would be done twice, and when SQLite refuses.
    pub fn failed_hosts(&self, run: &Run) -> Result<Vec<Host>, HistoryError> {
        if run.state == State::Running {
            return Err(HistoryError::GoingOn(run.id.to_string()));
        }
        let sql = format!(
            "SELECT {HOST} FROM host WHERE run = ? AND (outcome IS NULL OR outcome <> 'ok') ORDER BY position"
        );
        self.rows(&sql, [run.seq], host_of)
    }

    /// What was kept of a host's standard output and standard error.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn output(&self, run: &Run, host: &Host) -> Result<[Option<Output>; 2], HistoryError> {
        let sql = "SELECT data, cut FROM output WHERE run = ? AND position = ? AND stream = ?";
        let read = |stream: &str| {
            let found = self
                .connection
                .query_row(sql, params![run.seq, int(host.index), stream], |row| {
                    Ok(Output {
                        data: row.get(0)?,
                        cut: row.get(1)?,
                    })
                });
            self.checked(found.optional())
        };
        Ok([read("stdout")?, read("stderr")?])
    }

    fn rows<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        of: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, HistoryError> {
        let read = || {
            let mut statement = self.connection.prepare(sql)?;
            statement.query_map(values, of)?.collect()
        };
        self.checked(read())
    }

    fn checked<T>(&self, result: rusqlite::Result<T>) -> Result<T, HistoryError> {
        result.map_err(|error| HistoryError::database(&self.path, "read", &error))
    }
}

fn connect(path: &Path) -> Result<Connection, HistoryError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        schema::configure(&connection)?;
        Ok(connection)
    };
    open().map_err(|error| HistoryError::database(path, "read", &error))
}

fn run_of(row: &Row<'_>) -> rusqlite::Result<Run> {
    let ended: Option<i64> = row.get(3)?;
    let options: String = row.get(8)?;
    Ok(Run {
        seq: row.get(0)?,
        id: RunId::stored(row.get(1)?),
        state: match (ended, row.get(4)?) {
            (None, _) => State::Unfinished,
            (Some(_), false) => State::Finished,
            (Some(_), true) => State::Interrupted,
        },
        begun_ms: uint(row.get(2)?),
        ended_ms: ended.map(uint),
        verb: row.get(5)?,
        command: row.get(6)?,
        command_line: row.get(7)?,
        options: serde_json::from_str(&options).unwrap_or_default(),
        user: row.get(9)?,
        machine: row.get(10)?,
        version: row.get(11)?,
        records_output: row.get(12)?,
        hosts: uint(row.get(13)?),
        ok: uint(row.get(14)?),
        failed: uint(row.get(15)?),
        skipped: uint(row.get(16)?),
    })
}

fn host_of(row: &Row<'_>) -> rusqlite::Result<Host> {
    let outcome: Option<String> = row.get(3)?;
    let stream = |bytes: usize| -> rusqlite::Result<Option<Stream>> {
        let length: Option<i64> = row.get(bytes)?;
        let hash: Option<Vec<u8>> = row.get(bytes + 1)?;
        Ok(length.zip(hash).map(|(bytes, hash)| Stream {
            bytes: uint(bytes),
            hash,
        }))
    };
    let error_type: Option<String> = row.get(6)?;
    let error = match error_type {
        None => None,
        Some(error_type) => Some(HostError {
            error_type,
            message: row.get::<_, Option<String>>(7)?.unwrap_or_default(),
            phase: row.get(8)?,
            sent: row.get::<_, Option<String>>(9)?.unwrap_or_default(),
        }),
    };
    let duration: Option<i64> = row.get(11)?;
    Ok(Host {
        index: uint(row.get(0)?),
        name: row.get(1)?,
        target: row.get(2)?,
        outcome: outcome.as_deref().and_then(Outcome::from_name),
        exit_code: row.get(4)?,
        signal: row.get(5)?,
        error,
        skipped: row.get(10)?,
        duration: duration.map(|us| Duration::from_micros(uint(us))),
        attempts: row.get::<_, Option<u32>>(12)?.unwrap_or_default(),
        stdout: stream(13)?,
        stderr: stream(15)?,
    })
}

/// A number as SQLite keeps it.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
