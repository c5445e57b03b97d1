"""paramiko as a peer of the benchmark."""

import socket
import sys
import time

import paramiko

import worker

# By default Nagle's algorithm holds small messages back, and a warm exec takes some 46 ms instead of 3.
NODELAY = sys.argv[1] == "nodelay"
if NODELAY:
    del sys.argv[1]
PORT, USER, KEY, KNOWN_HOSTS = worker.target()


def connect():
    client = paramiko.SSHClient()
    client.load_host_keys(KNOWN_HOSTS)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    connection = None
    if NODELAY:
        connection = socket.create_connection(("127.0.0.1", PORT))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.connect(
        "127.0.0.1",
        PORT,
        sock=connection,
        username=USER,
        key_filename=KEY,
        allow_agent=False,
        look_for_keys=False,
    )
    return client


def run(client, command="true"):
    _, stdout, _ = client.exec_command(command)
    output = stdout.read()
    status = stdout.channel.recv_exit_status()
    if status != 0:
        raise SystemExit(f"{command} ended with {status}")
    return output


def warm(client, count, command="true"):
    started = time.perf_counter()
    for _ in range(count):
        run(client, command)
    return time.perf_counter() - started


def cold(count):
    seconds = 0
    for _ in range(count):
        started = time.perf_counter()
        client = connect()
        run(client)
        seconds += time.perf_counter() - started
        client.close()
    return seconds


def stream(mebibytes):
    # A connection of its own: paramiko gives up when it has to exchange keys anew, after 512 MiB, amid output.
    client = connect()
    started = time.perf_counter()
    received = 0
    _, stdout, _ = client.exec_command(f"head -c {mebibytes}M /dev/zero")
    while chunk := stdout.channel.recv(256 * 1024):
        received += len(chunk)
    seconds = time.perf_counter() - started
    client.close()
    worker.check_length(received, mebibytes)
    return seconds


def mebibytes(client, count):
    started = time.perf_counter()
    received = sum(len(run(client, worker.MEBIBYTE)) for _ in range(count))
    seconds = time.perf_counter() - started
    worker.check_length(received, count)
    return seconds


def main():
    client = connect()
    worker.serve(
        paramiko.__version__,
        {
            "exec": lambda count: warm(client, count),
            "connect": cold,
            "stream": stream,
            "guest-run": lambda count: warm(client, count),
            "guest-builtin": lambda count: warm(client, count, ":"),
            "guest-subshell": lambda count: warm(client, count, "test -d /"),
            "guest-kept": lambda count: warm(client, count, "test -d /"),
            "guest-program": lambda count: warm(client, count, "/bin/true"),
            "guest-output": lambda count: mebibytes(client, count),
        },
    )


main()
