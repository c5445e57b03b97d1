"""The conversation of a worker with the measuring process; see benches/src/worker/mod.rs."""

import sys
import time

# A command with exactly so much output.
MEBIBYTE = "head -c 1048576 /dev/zero"


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


def files():
    """What `target` gives, then `put` or `get`, `file` or `tree`, the source and the directory it is moved into."""
    port, user, key, known_hosts, verb, item, source, into = sys.argv[1:]
    return int(port), user, key, known_hosts, verb, item, source, into


class Clock:
    """Time and the processor's time from now on: of a script that does one thing, without the start of its interpreter."""

    def __init__(self):
        self.started, self.used = time.perf_counter(), time.process_time()

    def tell(self):
        print(time.perf_counter() - self.started, time.process_time() - self.used, flush=True)


def fan_out():
    """What `target` gives, then all hosts, and how many of them at once."""
    port, user, key, known_hosts, hosts, at_once = sys.argv[1:]
    with open(hosts) as lines:
        return int(port), user, key, known_hosts, lines.read().split(), int(at_once)
