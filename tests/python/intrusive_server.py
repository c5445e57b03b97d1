"""An SSH server that tries to open channels to its client, and says what came of it. Argument: its folder."""

import asyncio
import sys

import asyncssh

FOLDER = sys.argv[1]


class Server(asyncssh.SSHServer):
    def connection_made(self, conn):
        self.conn = conn


async def attempt(conn, channel_type, *fields):
    channel = asyncssh.channel.SSHTCPChannel(conn, asyncio.get_running_loop(), None, "strict", 65536, 32768)
    channel._session = None
    try:
        await channel._open(channel_type, *fields)
        return "opened"
    except asyncssh.ChannelOpenError:
        return "refused"


async def handle(process):
    conn = process.channel.get_connection()
    string, uint32 = asyncssh.packet.String, asyncssh.packet.UInt32
    tcp = (string("127.0.0.1"), uint32(22), string("127.0.0.1"), uint32(1))
    for channel_type, fields in (
        ("forwarded-tcpip", tcp),
        ("session", ()),
        ("auth-agent@openssh.com", ()),
    ):
        outcome = await attempt(conn, channel_type.encode(), *fields)
        process.stdout.write(f"{channel_type} {outcome}\n")
    process.exit(0)


async def main():
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[FOLDER + "/host"],
        authorized_client_keys=FOLDER + "/user.pub",
        process_factory=handle,
    )
    print(server.get_port(), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
