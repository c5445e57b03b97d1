use super::*;
use proptest::prelude::*;

const MIB: u64 = 1024 * 1024;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn one_host() -> Progress {
    let mut progress = Progress::new(["web".to_owned()]);
    progress.tick(at(0));
    progress.found(0, 3, 400 * MIB, true);
    progress.started(0, 0, b"logs/app.log", Some(200 * MIB));
    progress.started(0, 1, b"stream", None);
    progress.moved(0, 0, 50 * MIB);
    progress.moved(0, 1, 10 * MIB);
    progress.ended(0, None, 40 * MIB, true);
    progress.tick(at(2));
    progress
}

#[test]
fn each_file_on_its_way_has_a_line_and_everything_together_the_last_two() {
    assert_eq!(
        one_host().lines(72, 24),
        [
            "logs/app.log                                50.0 MiB of 200.0 MiB   25%",
            "stream                                                          10.0 MiB",
            "total                                    1/3 files  100.0 MiB of 400.0 MiB",
            "[==========>                               ]   25%  50.0 MiB/s  ETA 0:06",
        ]
        .map(|line| if line.starts_with('[') {
            line.to_owned()
        } else {
            fill(line, 72)
        })
    );
}

/// Moves what stands behind the first run of blanks to the right.
fn fill(line: &str, columns: usize) -> String {
    match line.split_once("  ") {
        Some((name, figures)) => {
            let figures = figures.trim_start_matches(' ');
            format!("{name}{figures:>width$}", width = columns - name.width())
        }
        None => line.to_owned(),
    }
}

#[test]
fn as_long_as_nobody_has_counted_there_is_neither_a_whole_nor_an_end() {
    let mut progress = one_host();
    progress.found(0, 2, 300 * MIB, false);
    assert_eq!(
        progress.lines(50, 24).pop().unwrap(),
        fill("total  1 files  100.0 MiB  50.0 MiB/s", 50)
    );
}

#[test]
fn of_a_pipe_nobody_knows_the_whole_nor_the_end() {
    let mut progress = Progress::new(["a".to_owned(), "b".to_owned()]);
    progress.tick(at(0));
    for host in [0, 1] {
        progress.found(host, 1, 0, true);
        progress.started(host, 0, b"pipe", None);
        progress.moved(host, 0, MIB);
    }
    progress.tick(at(1));
    let lines = progress.lines(60, 24);
    assert_eq!(lines.len(), 5, "{lines:?}");
    for line in &lines {
        assert!(!line.contains(['%']) && !line.contains("of 0 B"), "{lines:?}");
    }
    assert_eq!(lines[4], fill("total  0/2 files  2.0 MiB  2.0 MiB/s", 60));
}

#[test]
fn several_hosts_have_a_line_each_until_they_are_done() {
    let mut progress = Progress::new(["web-1".to_owned(), "web-2".to_owned()]);
    for host in 0..2 {
        progress.found(host, 2, 20 * MIB, true);
        progress.started(host, 7, b"a", Some(10 * MIB));
    }
    progress.moved(0, 7, 5 * MIB);
    progress.ended(1, None, 0, false);
    assert_eq!(
        progress.lines(60, 24),
        [
            "web-1: a  5.0 MiB of 10.0 MiB   50%",
            "web-2: a  0 B of 10.0 MiB    0%",
            "web-1  0/2 files  5.0 MiB of 20.0 MiB   25%",
            "web-2  1/2 files  1 failed  0 B of 20.0 MiB    0%",
            "total  1/4 files  1 failed  5.0 MiB of 40.0 MiB",
            "[====>                              ]   12%  0 B/s  ETA -:--",
        ]
        .map(|line| if line.starts_with('[') {
            line.to_owned()
        } else {
            fill(line, 60)
        })
    );
    progress.ended(1, Some(7), 0, true);
    progress.moved(0, 7, 5 * MIB);
    assert_eq!(progress.lines(60, 24).len(), 4);
}

#[test]
fn what_finds_no_room_is_counted() {
    let mut progress = Progress::new(["web".to_owned()]);
    for file in 0..40 {
        progress.started(0, file, format!("f{file}").as_bytes(), None);
    }
    let lines = progress.lines(40, 24);
    assert_eq!(lines.len(), MOST_LINES);
    assert_eq!(lines[MOST_LINES - 2], "+26 more");
    let lines = progress.lines(40, 3);
    assert_eq!((lines.len(), lines[1].as_str()), (3, "+39 more"));
    assert_eq!(progress.lines(40, 1).len(), 1);

    let mut progress = Progress::new((0..100).map(|host| format!("h{host}")));
    for host in 0..100 {
        progress.started(host, 0, b"f", None);
    }
    let lines = progress.lines(40, 11);
    assert_eq!(lines.len(), 11);
    assert_eq!((lines[4].as_str(), lines[9].as_str()), ("+96 more", "+96 more"));
}

#[test]
fn figures_are_left_out_where_there_is_no_room_and_names_lose_their_middle() {
    let progress = one_host();
    for (columns, totals) in [
        (
            44,
            [
                "total  1/3 files  100.0 MiB of 400.0 MiB",
                "[===>          ]   25%  50.0 MiB/s  ETA 0:06",
            ],
        ),
        (37, ["total  1/3 files", "25%  50.0 MiB/s  ETA 0:06"]),
        (20, ["total  1/3 files", "25%  ETA 0:06"]),
        (6, ["total", "25%"]),
        (3, ["…al", ""]),
        (0, ["", ""]),
    ] {
        let lines = progress.lines(columns, 24);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let last: Vec<_> = lines.iter().rev().take(2).rev().map(|line| words(line)).collect();
        assert_eq!(last, totals.map(words), "{columns}");
    }
    assert_eq!(shorten("some/long/path/file.txt", 16), "some/…h/file.txt");
    assert_eq!(shorten("日本語日本語", 7), "日…本語");
}

#[test]
fn names_cannot_move_the_cursor() {
    let mut progress = Progress::new(["web".to_owned()]);
    progress.started(0, 0, b"a\x1b[2J\n\xff", None);
    let line = progress.lines(60, 24).remove(0);
    assert!(line.starts_with("a\\x1b[2J\\n\\xff  "), "{line}");
}

#[test]
fn sizes_and_times_are_shown_as_people_read_them() {
    for (bytes, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (MIB - 1, "1.0 MiB"),
        (5 * 1024 * MIB, "5.0 GiB"),
        (u64::MAX, "16.0 EiB"),
    ] {
        assert_eq!(size(bytes), text);
    }
    for (bytes, rate, text) in [
        (0, 0, "0:00"),
        (1, 0, "-:--"),
        (59, 1, "0:59"),
        (61, 1, "1:01"),
        (3661, 1, "1:01:01"),
        (u64::MAX, 1_000_000_000_000, "213 days"),
    ] {
        assert_eq!(eta(bytes, rate), text);
    }
    assert_eq!(
        (percent(0, 0), percent(999, 1000), percent(2, 1)),
        ("100%".into(), " 99%".into(), "100%".into())
    );
}

#[test]
fn the_rate_is_that_of_the_last_seconds() {
    let mut rate = Rate::default();
    assert_eq!(rate.bytes_per_second(), 0);
    for second in 0..10 {
        rate.take(at(second), second * 100);
    }
    assert_eq!(rate.bytes_per_second(), 100);
    // It stalls: the rate goes to zero.
    for second in 10..20 {
        rate.take(at(second), 900);
    }
    assert_eq!(rate.bytes_per_second(), 0);
    assert!(rate.samples.len() <= 7);
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_terminal(
        columns in 0..120_usize,
        rows in 0..30_usize,
        names in proptest::collection::vec(any::<Vec<u8>>(), 0..20),
        size in proptest::option::of(any::<u64>()),
    ) {
        let mut progress = Progress::new(["one".to_owned(), "another host with a long name".to_owned()]);
        for (file, name) in (0..).zip(&names) {
            progress.started(usize::from(file % 2 == 1), file, name, size);
            progress.moved(0, file, file);
        }
        let lines = progress.lines(columns, rows);
        prop_assert!(lines.len() <= rows.max(1));
        for line in lines {
            prop_assert!(line.width() <= columns, "{line:?}");
        }
    }
}
