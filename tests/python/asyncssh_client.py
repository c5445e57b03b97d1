"""asyncssh as a client of the embedded server, for server_python.rs.

Takes one JSON request on standard input and prints one JSON answer.
"""

import asyncio
import base64
import json
import sys

import asyncssh


def encode(data):
    return base64.b64encode(data or b"").decode()


class Client(asyncssh.SSHClient):
    """Answers keyboard-interactive prompts with the request's answers."""

    def __init__(self, answers):
        self.answers = answers

    def kbdint_auth_requested(self):
        return "" if self.answers is not None else None

    def kbdint_challenge_received(self, name, instructions, lang, prompts):
        return [self.answers[text] for text, _ in prompts]


def connect(request):
    return asyncssh.connect(
        request.get("host", "127.0.0.1"),
        request["port"],
        username=request["user"],
        password=request.get("password"),
        client_keys=[request["key"]] if request.get("key") else None,
        client_factory=lambda: Client(request.get("answers")),
        known_hosts=request["known_hosts"],
        agent_path=None,
        config=[],
    )


async def run(connection, request):
    size = request.get("size")
    result = await connection.run(
        request["command"],
        input=base64.b64decode(request.get("input", "")),
        env=request.get("env", {}),
        term_type=request.get("term"),
        term_size=tuple(size) if size else None,
        encoding=None,
    )
    return {
        "stdout": encode(result.stdout),
        "stderr": encode(result.stderr),
        "exit_code": result.exit_status,
        "signal": result.exit_signal[0] if result.exit_signal else None,
    }


async def exec_(request):
    async with connect(request) as connection:
        return await run(connection, request)


async def shell(request):
    """Plays [line to send, text to wait for] pairs in an interactive shell, resizing it first where a pair says so."""
    async with connect(request) as connection:
        process = await connection.create_process(term_type="xterm", term_size=(80, 24))
        seen = ""
        for step in request["steps"]:
            if "resize" in step:
                process.change_terminal_size(*step["resize"])
            process.stdin.write(step["send"] + "\n")
            while "expect" in step and step["expect"] not in seen:
                chunk = await process.stdout.read(4096)
                if not chunk:
                    return {"error": "the shell ended early", "seen": seen}
                seen += chunk
        await process.wait_closed()
        return {"exit_code": process.exit_status, "seen": seen}


async def many(request):
    """Runs `count` commands at once on each of `connections` connections."""

    async def one_connection(number):
        async with connect(request) as connection:
            commands = [f"{request['command']} {number}-{n}" for n in range(request["count"])]
            results = await asyncio.gather(*(connection.run(command, encoding=None) for command in commands))
            return [encode(result.stdout) for result in results]

    outputs = await asyncio.gather(*(one_connection(n) for n in range(request["connections"])))
    return {"stdout": [output for connection in outputs for output in connection]}


async def sessions(request):
    """Opens `count` sessions, counts those refused, ends one, and tries again."""
    async with connect(request) as connection:
        opened, refused = [], 0
        for _ in range(request["count"]):
            try:
                opened.append(await connection.create_process(request["command"]))
            except asyncssh.ChannelOpenError:
                refused += 1
        opened[0].stdin.write_eof()
        await opened[0].wait_closed()
        again = await connection.create_process(request["command"])
        again.stdin.write_eof()
        await again.wait_closed()
        return {"opened": len(opened), "refused": refused}


async def signal(request):
    """Sends a signal once the command has said something."""
    async with connect(request) as connection:
        process = await connection.create_process(request["command"])
        await process.stdout.readline()
        process.send_signal(request["signal"])
        result = await process.wait()
        return {
            "exit_code": result.exit_status,
            "signal": result.exit_signal[0] if result.exit_signal else None,
            "stdout": encode(result.stdout.encode()),
        }


async def forwards(request):
    """Sends through the server to `open`, asks for `closed`, and has the server listen for this client."""

    async def exchange(reader, writer, data):
        writer.write(data)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    async def answer(reader, writer):
        writer.write((await reader.read()).swapcase())
        writer.write_eof()

    async with connect(request) as connection:
        data = base64.b64decode(request["input"])
        direct = await exchange(*await connection.open_connection("127.0.0.1", request["open"]), data)
        refused = None
        try:
            await connection.open_connection("127.0.0.1", request["closed"])
        except asyncssh.ChannelOpenError as error:
            refused = error.code
        listener = await connection.start_server(lambda host, port: answer, "localhost", 0)
        port = listener.get_port()
        remote = await exchange(*await asyncio.open_connection("127.0.0.1", port), b"hello")
        listener.close()
        await listener.wait_closed()
        gone = False
        try:
            await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            gone = True
        return {"direct": encode(direct), "refused": refused, "remote": remote.decode(), "gone": gone}


async def files(request):
    """Uploads `tree` and downloads it to `back`, by SFTP and by SCP, and does what else SFTP has."""
    async with connect(request) as connection:
        data = base64.b64decode(request["input"])
        async with connection.start_sftp_client() as sftp:
            await sftp.mkdir("d")
            async with sftp.open("d/f", "wb") as file:
                await file.write(data)
            async with sftp.open("d/f", "rb") as file:
                same = await file.read() == data
            await sftp.chmod("d/f", 0o640)
            await sftp.utime("d/f", times=(5, 6))
            await sftp.posix_rename("d/f", "d/g")
            await sftp.link("d/g", "d/hard")
            missing = None
            try:
                await sftp.stat("d/f")
            except asyncssh.SFTPNoSuchFile as error:
                missing = error.code
            found = await sftp.stat("d/g")
            names = sorted(await sftp.listdir("/d"))
            await sftp.put(request["tree"], "/by-sftp", recurse=True, preserve=True)
            await sftp.get("/by-sftp", request["back"] + "/sftp", recurse=True, preserve=True)
            space = (await sftp.statvfs("/")).bsize
        await asyncssh.scp(request["tree"], (connection, "/by-scp"), recurse=True, preserve=True)
        await asyncssh.scp((connection, "/by-scp"), request["back"] + "/scp", recurse=True, preserve=True)
        return {
            "same": same,
            "missing": missing,
            "mode": found.permissions & 0o7777,
            "mtime": found.mtime,
            "names": names,
            "space": space,
        }


async def violate(request):
    """Says what is no SFTP on one channel, and goes on with another one."""
    async with connect(request) as connection:
        process = await connection.create_process(subsystem="sftp", encoding=None)
        process.stdin.write(b"GET / HTTP/1.1\r\n\r\n")
        said = await process.stderr.read()
        await process.wait()
        async with connection.start_sftp_client() as sftp:
            alive = await sftp.isdir("/")
        return {"said": encode(said), "exit_code": process.exit_status, "alive": alive}


ACTIONS = {
    "files": files,
    "violate": violate,
    "exec": exec_,
    "shell": shell,
    "many": many,
    "sessions": sessions,
    "signal": signal,
    "forwards": forwards,
}


async def main():
    request = json.load(sys.stdin)
    try:
        answer = await ACTIONS[request["action"]](request)
    except (asyncssh.Error, OSError) as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))


asyncio.run(main())
