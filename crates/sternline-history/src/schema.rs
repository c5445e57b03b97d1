//! The tables, how they came to be what they are, and how the database is opened.

use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

/// What each version of the format added. A database says how many of these it has (`user_version`). Steps are only ever
/// appended: a step that was released does not change.
pub(crate) const STEPS: &[&str] = &["
    CREATE TABLE meta (
        name TEXT PRIMARY KEY,
        value BLOB NOT NULL
    );
    -- The key of the hashes, different in every database.
    INSERT INTO meta VALUES ('hash_key', randomblob(32));
    CREATE TABLE run (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        begun_ms INTEGER NOT NULL,
        ended_ms INTEGER,
        interrupted INTEGER NOT NULL DEFAULT 0,
        verb TEXT NOT NULL,
        command TEXT NOT NULL,
        command_line TEXT NOT NULL,
        options TEXT NOT NULL,
        user TEXT NOT NULL,
        machine TEXT NOT NULL,
        version TEXT NOT NULL,
        records_output INTEGER NOT NULL,
        hosts INTEGER NOT NULL,
        ok INTEGER NOT NULL DEFAULT 0,
        failed INTEGER NOT NULL DEFAULT 0,
        skipped INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE host (
        run INTEGER NOT NULL,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        target TEXT NOT NULL,
        outcome TEXT,
        exit_code INTEGER,
        signal TEXT,
        error_type TEXT,
        message TEXT,
        phase TEXT,
        sent TEXT,
        skipped TEXT,
        duration_us INTEGER,
        attempts INTEGER,
        stdout_bytes INTEGER,
        stdout_hash BLOB,
        stderr_bytes INTEGER,
        stderr_hash BLOB,
        PRIMARY KEY (run, position)
    ) WITHOUT ROWID;
    CREATE TABLE output (
        run INTEGER NOT NULL,
        position INTEGER NOT NULL,
        stream TEXT NOT NULL,
        data BLOB NOT NULL,
        cut INTEGER NOT NULL,
        PRIMARY KEY (run, position, stream)
    );
"];

/// How long another process may keep the database locked.
const BUSY: Duration = Duration::from_secs(10);

/// What holds for every connection to the database.
pub(crate) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    // What is removed is overwritten, and with a write-ahead log no commit has to wait for the disk: a process that is
    // killed loses nothing, a machine that loses its power the last moments.
    connection.execute_batch(
        "PRAGMA secure_delete = ON; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 4194304;",
    )
}

/// How many steps the database has.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Takes the steps that the database lacks. Nobody else may be doing it.
pub(crate) fn migrate(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let mut taken = version(connection)?;
    if taken == 0 {
        // Only while there is no table: the file gets smaller when runs are removed.
        connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
        // Some file systems cannot have a write-ahead log. Then it goes on without.
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    }
    for step in steps.iter().skip(usize::try_from(taken).unwrap_or(usize::MAX)) {
        taken += 1;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", taken)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_gets_the_steps_that_it_lacks_and_keeps_what_it_holds() {
        let mut connection = Connection::open_in_memory().unwrap();
        let first = &["CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7);"][..];
        migrate(&mut connection, first).unwrap();
        assert_eq!(version(&connection).unwrap(), 1);
        let both = &[first[0], "ALTER TABLE a ADD COLUMN y TEXT NOT NULL DEFAULT 'new'"][..];
        for _ in 0..2 {
            migrate(&mut connection, both).unwrap();
            assert_eq!(version(&connection).unwrap(), 2);
        }
        let row: (i64, String) = connection
            .query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(row, (7, "new".to_owned()));
    }

    #[test]
    fn a_step_that_fails_leaves_the_database_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = [
            "CREATE TABLE a (x INTEGER)",
            "CREATE TABLE b (x INTEGER); CREATE TABLE a (x INTEGER)",
        ];
        migrate(&mut connection, &steps).unwrap_err();
        assert_eq!(version(&connection).unwrap(), 1);
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 1);
    }
}
