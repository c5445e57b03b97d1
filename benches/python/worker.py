"""The conversation of a worker with the measuring process; see benches/src/worker/mod.rs."""

import sys
import time


def target():
    """Port, user, private key and known_hosts file, from the arguments."""
    port, user, key, known_hosts = sys.argv[1:]
    return int(port), user, key, known_hosts


def serve(version, works):
    """Answers requests until the input ends. Each work takes a count and returns the seconds that are compared."""
    print("ready", version, flush=True)
    for line in sys.stdin:
        work, count = line.split()
        before = time.process_time()
        seconds = works[work](int(count))
        print(seconds, time.process_time() - before, flush=True)


def check_length(received, mebibytes):
    if received != mebibytes * 1024 * 1024:
        raise SystemExit(f"only {received} bytes of output came")
