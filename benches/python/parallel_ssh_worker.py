"""parallel-ssh's client for one host as a peer of the benchmark. It checks no host key."""

import importlib.metadata
import time

from pssh.clients import SSHClient

import worker

PORT, USER, KEY, _ = worker.target()


def connect():
    return SSHClient("127.0.0.1", user=USER, port=PORT, pkey=KEY, allow_agent=False, identity_auth=False)


def run(client, command="true"):
    """Runs it, and counts the bytes of its output."""
    output = client.run_command(command)
    received = sum(len(chunk) for chunk in output.buffers.stdout.rw_buffer)
    client.wait_finished(output)
    if output.exit_code != 0:
        raise SystemExit(f"{command} ended with {output.exit_code}")
    return received


def warm(client, count):
    started = time.perf_counter()
    for _ in range(count):
        run(client)
    return time.perf_counter() - started


def cold(count):
    seconds = 0
    for _ in range(count):
        started = time.perf_counter()
        client = connect()
        run(client)
        seconds += time.perf_counter() - started
        client.disconnect()
    return seconds


def stream(client, mebibytes):
    started = time.perf_counter()
    received = run(client, f"head -c {mebibytes}M /dev/zero")
    seconds = time.perf_counter() - started
    worker.check_length(received, mebibytes)
    return seconds


def main():
    client = connect()
    worker.serve(
        importlib.metadata.version("parallel-ssh"),
        {
            "exec": lambda count: warm(client, count),
            "connect": cold,
            "stream": lambda count: stream(client, count),
        },
    )


main()
