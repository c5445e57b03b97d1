"""asyncssh as the client of many hosts; see benches/src/idle/client.rs."""

import asyncio
import ipaddress
import json
import os
import sys
import time

import asyncssh

USER, PORT, KEY, KNOWN_HOSTS, HOSTS, AT_ONCE = sys.argv[1:]


def resident_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


async def open_one(slots, host, key, known_hosts):
    async with slots:
        connection = await asyncssh.connect(
            host,
            int(PORT),
            username=USER,
            client_keys=[key],
            known_hosts=known_hosts,
            agent_path=None,
            config=[],
        )
        await connection.run("true", check=True)
        return connection


async def main():
    # Read once for all connections, as every program for many hosts would.
    key = asyncssh.read_private_key(KEY)
    known_hosts = asyncssh.read_known_hosts(KNOWN_HOSTS)
    first = ipaddress.IPv4Address("127.1.0.1")
    slots = asyncio.Semaphore(int(AT_ONCE))
    memory_before = resident_kib()
    began, cpu_before = time.perf_counter(), time.process_time()
    opening = [open_one(slots, str(first + index), key, known_hosts) for index in range(int(HOSTS))]
    opened = await asyncio.gather(*opening, return_exceptions=True)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_before
    connections = [one for one in opened if isinstance(one, asyncssh.SSHClientConnection)]
    state = {
        "succeeded": len(connections),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "before_kib": memory_before,
        "resident_kib": resident_kib(),
    }
    print(json.dumps(state), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


asyncio.run(main())
