use super::*;
use OutputStream::{Stderr, Stdout};

fn queue(limit: u64) -> (tempfile::TempDir, Queue) {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::new(SpillTo {
        dir: dir.path().to_owned(),
        limit,
    });
    (dir, queue)
}

fn chunk(n: usize) -> Bytes {
    Bytes::from(vec![(n % 251) as u8; 32 * 1024])
}

#[tokio::test]
async fn everything_comes_back_in_order_whether_it_was_spilled_or_not() {
    let (_dir, queue) = queue(u64::MAX);
    let mut sent = Vec::new();
    for n in 0..200 {
        let stream = if n % 3 == 0 { Stderr } else { Stdout };
        queue.push_data(stream, chunk(n)).await;
        sent.push((stream, chunk(n)));
    }
    queue.push(Incoming::ExitStatus(7));
    queue.finish();
    let mut received: Vec<(OutputStream, Vec<u8>)> = Vec::new();
    let mut exit = None;
    while let Some(incoming) = queue.next().await {
        match incoming {
            Incoming::Data { stream, bytes, .. } => match received.last_mut() {
                Some((last, data)) if *last == stream => data.extend_from_slice(&bytes),
                _ => received.push((stream, bytes.to_vec())),
            },
            Incoming::ExitStatus(code) => exit = Some(code),
            other => panic!("unexpected {other:?}"),
        }
    }
    let mut expected: Vec<(OutputStream, Vec<u8>)> = Vec::new();
    for (stream, bytes) in sent {
        match expected.last_mut() {
            Some((last, data)) if *last == stream => data.extend_from_slice(&bytes),
            _ => expected.push((stream, bytes.to_vec())),
        }
    }
    assert_eq!(exit, Some(7));
    assert!(received == expected);
}

#[tokio::test]
async fn memory_stays_bounded_and_the_file_goes_when_it_was_read() {
    let (_dir, queue) = queue(u64::MAX);
    for n in 0..320 {
        queue.push_data(Stdout, chunk(n)).await;
    }
    assert!(queue.lock().in_memory <= MEMORY_LIMIT);
    assert!(queue.lock().spill.is_some());
    let mut total = 0;
    while total < 320 * 32 * 1024 {
        match queue.next().await {
            Some(Incoming::Data { bytes, .. }) => total += bytes.len(),
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(queue.lock().spill.is_none());
}

#[tokio::test]
async fn a_reader_that_only_needs_its_turn_keeps_everything_out_of_the_file() {
    let (_dir, queue) = queue(u64::MAX);
    let writing = async {
        for n in 0..320 {
            queue.push_data(Stdout, chunk(n)).await;
        }
        queue.finish();
    };
    let reading = async {
        let mut total = 0;
        while let Some(incoming) = queue.next().await {
            match incoming {
                Incoming::Data { bytes, .. } => total += bytes.len(),
                other => panic!("unexpected {other:?}"),
            }
        }
        total
    };
    let ((), total) = tokio::join!(writing, reading);
    assert_eq!(total, 320 * 32 * 1024);
    assert_eq!(queue.lock().written, 0);
}

/// How long a writer of 10 MiB is held up by a reader who takes so much every five milliseconds, and how much goes to the file.
async fn held_up(reader_takes: usize) -> (Duration, u64) {
    let (_dir, queue) = queue(u64::MAX);
    let started = Instant::now();
    let writing = async {
        for n in 0..320 {
            queue.push_data(Stdout, chunk(n)).await;
        }
    };
    let reading = async {
        loop {
            tokio::time::sleep(PATIENCE / 4).await;
            queue.waiting_data(reader_takes);
        }
    };
    tokio::select! {
        () = writing => {}
        () = reading => {}
    }
    (started.elapsed(), queue.lock().written)
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_too_slow_holds_nothing_up_for_long() {
    for takes in [1, 64 * 1024] {
        let (elapsed, written) = held_up(takes).await;
        // Timers count whole milliseconds.
        assert!(elapsed < PATIENCE * 2 && written > 0, "{takes}: {elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_as_fast_as_a_fast_link_is_waited_for() {
    assert_eq!(held_up(MEMORY_LIMIT / 2).await.1, 0);
}

#[tokio::test]
async fn a_reader_that_wants_no_data_gets_the_rest_at_once() {
    let (_dir, queue) = queue(u64::MAX);
    for n in 0..100 {
        queue.push_data(Stdout, chunk(n)).await;
    }
    queue.push(Incoming::Reply(true));
    queue.discard();
    assert!(queue.lock().spill.is_none());
    for n in 0..100 {
        queue.push_data(Stdout, chunk(n)).await;
    }
    queue.push(Incoming::ExitStatus(0));
    queue.finish();
    assert_eq!(queue.next().await, Some(Incoming::Reply(true)));
    assert_eq!(queue.next().await, Some(Incoming::ExitStatus(0)));
    assert_eq!(queue.next().await, None);
}

#[tokio::test]
async fn what_comes_after_the_end_is_dropped_and_what_came_before_is_kept() {
    let (_dir, queue) = queue(u64::MAX);
    for n in 0..100 {
        queue.push_data(Stdout, chunk(n)).await;
    }
    queue.finish();
    queue.push_data(Stdout, chunk(100)).await;
    queue.push(Incoming::Eof);
    let mut total = 0;
    while let Some(incoming) = queue.next().await {
        match incoming {
            Incoming::Data { bytes, .. } => total += bytes.len(),
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(total, 100 * 32 * 1024);
}

#[tokio::test]
async fn waiting_data_ends_before_what_is_no_data_and_soon_after_the_limit() {
    let (_dir, queue) = queue(u64::MAX);
    for n in 0..6 {
        queue.push_data(Stdout, chunk(n)).await;
    }
    queue.push(Incoming::Eof);
    queue.push_data(Stdout, chunk(6)).await;
    assert_eq!(queue.waiting_data(96 * 1024), [chunk(0), chunk(1), chunk(2)]);
    assert_eq!(queue.waiting_data(usize::MAX), [chunk(3), chunk(4), chunk(5)]);
    assert!(queue.waiting_data(usize::MAX).is_empty());
    assert_eq!(queue.next().await, Some(Incoming::Eof));
    assert_eq!(queue.waiting_data(usize::MAX), [chunk(6)]);
    assert_eq!(queue.lock().in_memory, 0);
}

#[tokio::test]
async fn a_server_that_answers_without_end_overflows_and_fills_no_memory() {
    let (_dir, queue) = queue(u64::MAX);
    for _ in 0..100_000 {
        queue.push(Incoming::Reply(true));
    }
    assert!(queue.lock().items.len() <= RUN_LIMIT + OTHERS_LIMIT + 1);
    queue.finish();
    let mut last = None;
    while let Some(incoming) = queue.next().await {
        last = Some(incoming);
    }
    assert!(matches!(last, Some(Incoming::Overflow(_))), "{last:?}");
}

#[tokio::test]
async fn past_the_limit_the_stream_ends_with_the_reason_and_keeps_what_came_before() {
    let (_dir, queue) = queue(64 * 1024);
    for n in 0..100 {
        queue.push_data(Stdout, chunk(n)).await;
    }
    queue.finish();
    let mut total = 0;
    let mut overflow = None;
    while let Some(incoming) = queue.next().await {
        match incoming {
            Incoming::Data { bytes, .. } if overflow.is_none() => total += bytes.len(),
            Incoming::Overflow(reason) => overflow = Some(reason),
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(overflow.unwrap().contains("waiting to be read"));
    assert!(total >= MEMORY_LIMIT);
}

#[tokio::test]
async fn a_cancelled_read_loses_nothing() {
    let (_dir, queue) = queue(u64::MAX);
    for n in 0..100 {
        queue.push_data(Stdout, chunk(n)).await;
    }
    queue.finish();
    let mut total = 0;
    loop {
        // Polled once and dropped: the read may or may not have begun.
        let mut next = Box::pin(queue.next());
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx))).await;
        drop(next);
        let incoming = match polled {
            std::task::Poll::Ready(incoming) => incoming,
            std::task::Poll::Pending => queue.next().await,
        };
        match incoming {
            Some(Incoming::Data { bytes, .. }) => total += bytes.len(),
            Some(other) => panic!("unexpected {other:?}"),
            None => break,
        }
    }
    assert_eq!(total, 100 * 32 * 1024);
}

#[tokio::test]
async fn an_unusable_directory_is_reported_as_the_reason() {
    let queue = Queue::new(SpillTo {
        dir: "/nonexistent/dir".into(),
        limit: u64::MAX,
    });
    for n in 0..40 {
        queue.push_data(Stdout, chunk(n)).await;
    }
    queue.finish();
    let mut last = None;
    while let Some(incoming) = queue.next().await {
        last = Some(incoming);
    }
    assert!(matches!(last, Some(Incoming::Overflow(reason)) if reason.contains("/nonexistent/dir")));
}
