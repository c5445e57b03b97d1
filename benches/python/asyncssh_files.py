"""asyncssh as a peer at files."""

import asyncio
import os

import asyncssh

import worker


async def main():
    port, user, key, known_hosts, verb, item, source, into = worker.files()
    clock = worker.Clock()
    async with asyncssh.connect(
        "127.0.0.1",
        port,
        username=user,
        client_keys=[key],
        known_hosts=known_hosts,
        agent_path=None,
        config=[],
        encryption_algs=["aes128-gcm@openssh.com"],
    ) as connection:
        async with connection.start_sftp_client() as sftp:
            call = sftp.put if verb == "put" else sftp.get
            await call(source, os.path.join(into, item), recurse=item == "tree")
    clock.tell()


asyncio.run(main())
