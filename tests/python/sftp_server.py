"""An SSH server with asyncssh's SFTP server and nothing else. Argument: its folder."""

import asyncio
import sys

import asyncssh

FOLDER = sys.argv[1]


async def main():
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[FOLDER + "/host"],
        authorized_client_keys=FOLDER + "/user.pub",
        sftp_factory=True,
    )
    print(server.get_port(), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
