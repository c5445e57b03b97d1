"""asyncssh as a peer of the benchmark."""

import asyncio
import time

import asyncssh

import worker

PORT, USER, KEY, KNOWN_HOSTS = worker.target()


def connect():
    return asyncssh.connect(
        "127.0.0.1",
        PORT,
        username=USER,
        client_keys=[KEY],
        known_hosts=KNOWN_HOSTS,
        agent_path=None,
        config=[],
    )


async def warm(connection, count, command="true"):
    started = time.perf_counter()
    for _ in range(count):
        await connection.run(command, check=True)
    return time.perf_counter() - started


async def cold(count):
    seconds = 0
    for _ in range(count):
        started = time.perf_counter()
        connection = await connect()
        await connection.run("true", check=True)
        seconds += time.perf_counter() - started
        connection.close()
        await connection.wait_closed()
    return seconds


async def stream(connection, mebibytes):
    started = time.perf_counter()
    received = 0
    async with connection.create_process(f"head -c {mebibytes}M /dev/zero", encoding=None) as process:
        while chunk := await process.stdout.read(256 * 1024):
            received += len(chunk)
    seconds = time.perf_counter() - started
    worker.check_length(received, mebibytes)
    return seconds


async def mebibytes(connection, count):
    started = time.perf_counter()
    received = 0
    for _ in range(count):
        result = await connection.run(worker.MEBIBYTE, check=True, encoding=None)
        received += len(result.stdout)
    seconds = time.perf_counter() - started
    worker.check_length(received, count)
    return seconds


def main():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    connection = loop.run_until_complete(connect())
    run = loop.run_until_complete
    worker.serve(
        asyncssh.__version__,
        {
            "exec": lambda count: run(warm(connection, count)),
            "connect": lambda count: run(cold(count)),
            "stream": lambda count: run(stream(connection, count)),
            "guest-run": lambda count: run(warm(connection, count)),
            "guest-builtin": lambda count: run(warm(connection, count, ":")),
            "guest-subshell": lambda count: run(warm(connection, count, "test -d /")),
            "guest-kept": lambda count: run(warm(connection, count, "test -d /")),
            "guest-program": lambda count: run(warm(connection, count, "/bin/true")),
            "guest-output": lambda count: run(mebibytes(connection, count)),
        },
    )


main()
