"""asyncssh as a peer of the fan-out: a semaphore bounds how many hosts are worked on at once."""

import asyncio

import asyncssh

import worker

PORT, USER, KEY, KNOWN_HOSTS, HOSTS, AT_ONCE = worker.fan_out()


async def run(host, key, known_hosts, turns):
    async with turns:
        async with asyncssh.connect(
            host,
            PORT,
            username=USER,
            client_keys=[key],
            known_hosts=known_hosts,
            agent_path=None,
            config=[],
        ) as connection:
            await connection.run("true", check=True)


async def main():
    clock = worker.Clock()
    # Read once for all hosts.
    key = asyncssh.read_private_key(KEY)
    known_hosts = asyncssh.read_known_hosts(KNOWN_HOSTS)
    turns = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(run(host, key, known_hosts, turns) for host in HOSTS))
    clock.tell()


asyncio.run(main())
