"""asyncssh as a peer of the benchmark of forwards: holds one local forward until the input ends."""

import asyncio
import sys

import asyncssh


async def main():
    port, user, key, known_hosts, listen_port, target_port = sys.argv[1:]
    connection = await asyncssh.connect(
        "127.0.0.1",
        int(port),
        username=user,
        client_keys=[key],
        known_hosts=known_hosts,
        agent_path=None,
        config=[],
    )
    await connection.forward_local_port("127.0.0.1", int(listen_port), "127.0.0.1", int(target_port))
    await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
