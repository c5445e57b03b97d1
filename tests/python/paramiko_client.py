"""paramiko as a client of the embedded server, for server_python.rs.

Takes one JSON request on standard input and prints one JSON answer.
"""

import base64
import concurrent.futures
import io
import json
import socket
import sys
import threading

import paramiko


def encode(data):
    return base64.b64encode(data).decode()


def connect(request):
    sock = socket.create_connection((request.get("host", "127.0.0.1"), request["port"]))
    transport = paramiko.Transport(sock)
    transport.start_client(timeout=30)
    known = {tuple(line.split()[1:3]) for line in open(request["known_hosts"], encoding="utf-8")}
    key = transport.get_remote_server_key()
    if (key.get_name(), key.get_base64()) not in known:
        raise paramiko.SSHException("the host key is not the expected one")
    user, answers = request["user"], request.get("answers")
    if request.get("key"):
        transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(request["key"]))
    if request.get("password"):
        transport.auth_password(user, request["password"], fallback=False)
    if answers is not None:
        transport.auth_interactive(user, lambda title, text, prompts: [answers[prompt] for prompt, _ in prompts])
    if not transport.is_authenticated():
        raise paramiko.AuthenticationException("more is required")
    return transport


def drain(channel):
    """Reads both streams to their end, at the same time."""
    streams = {}

    def read(name, receive):
        data = bytearray()
        while chunk := receive(65536):
            data += chunk
        streams[name] = bytes(data)

    threads = [
        threading.Thread(target=read, args=arguments)
        for arguments in [("stdout", channel.recv), ("stderr", channel.recv_stderr)]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "stdout": encode(streams["stdout"]),
        "stderr": encode(streams["stderr"]),
        "exit_code": channel.recv_exit_status(),
    }


def start(transport, request):
    channel = transport.open_session()
    if request.get("term"):
        channel.get_pty(request["term"], *request.get("size", []))
    if request.get("env"):
        channel.update_environment(request["env"])
    channel.exec_command(request["command"])
    return channel


def exec_(request):
    with connect(request) as transport:
        channel = start(transport, request)

        def feed():
            channel.sendall(base64.b64decode(request.get("input", "")))
            channel.shutdown_write()

        feeder = threading.Thread(target=feed)
        feeder.start()
        result = drain(channel)
        feeder.join()
        return result


def shell(request):
    """Plays [line to send, text to wait for] pairs in an interactive shell, resizing it first where a pair says so."""
    with connect(request) as transport:
        channel = transport.open_session()
        channel.get_pty("xterm", 80, 24)
        channel.invoke_shell()
        seen = ""
        for step in request["steps"]:
            if "resize" in step:
                channel.resize_pty(*step["resize"])
            channel.sendall(step["send"] + "\n")
            while "expect" in step and step["expect"] not in seen:
                chunk = channel.recv(4096)
                if not chunk:
                    return {"error": "the shell ended early", "seen": seen}
                seen += chunk.decode()
        return {"exit_code": channel.recv_exit_status(), "seen": seen}


def many(request):
    """Runs `count` commands at once on each of `connections` connections."""

    def one(transport, name):
        channel = start(transport, {"command": f"{request['command']} {name}"})
        return drain(channel)["stdout"]

    transports = [connect(request) for _ in range(request["connections"])]
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        futures = [
            pool.submit(one, transport, f"{number}-{n}")
            for number, transport in enumerate(transports)
            for n in range(request["count"])
        ]
        outputs = [future.result() for future in futures]
    for transport in transports:
        transport.close()
    return {"stdout": outputs}


def sessions(request):
    """Opens `count` sessions, counts those refused, ends one, and tries again."""
    with connect(request) as transport:
        opened, refused = [], 0
        for _ in range(request["count"]):
            try:
                opened.append(start(transport, request))
            except paramiko.ChannelException:
                refused += 1
        opened[0].shutdown_write()
        drain(opened[0])
        again = start(transport, request)
        again.shutdown_write()
        drain(again)
        return {"opened": len(opened), "refused": refused}


def forwards(request):
    """Sends through the server to `open`, asks for `closed`, and has the server listen for this client."""

    def receive(stream):
        data = bytearray()
        while chunk := stream.recv(65536):
            data += chunk
        return bytes(data)

    def answer(channel, origin, server):
        def serve():
            channel.sendall(receive(channel).swapcase())
            channel.close()

        threading.Thread(target=serve).start()

    with connect(request) as transport:

        def direct(port):
            return transport.open_channel("direct-tcpip", ("127.0.0.1", port), ("127.0.0.1", 0))

        data = base64.b64decode(request["input"])
        channel = direct(request["open"])
        sender = threading.Thread(target=lambda: (channel.sendall(data), channel.shutdown_write()))
        sender.start()
        got = receive(channel)
        sender.join()
        refused = None
        try:
            direct(request["closed"])
        except paramiko.ChannelException as error:
            refused = error.code
        port = transport.request_port_forward("localhost", 0, handler=answer)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            remote = receive(client)
        transport.cancel_port_forward("localhost", port)
        gone = False
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            gone = True
        return {"direct": encode(got), "refused": refused, "remote": remote.decode(), "gone": gone}


def files(request):
    """Does what SFTP has, and sends and receives a file as an scp program of its own."""
    data = base64.b64decode(request["input"])
    with connect(request) as transport:
        with transport.open_sftp_client() as sftp:
            sftp.mkdir("d")
            sftp.putfo(io.BytesIO(data), "d/f")
            got = io.BytesIO()
            sftp.getfo("d/f", got)
            sftp.chmod("d/f", 0o640)
            sftp.utime("d/f", (5, 6))
            sftp.posix_rename("d/f", "d/g")
            sftp.symlink("g", "d/hard")
            missing = None
            try:
                sftp.stat("d/f")
            except FileNotFoundError:
                missing = 2
            found = sftp.stat("/d/hard")
            names = sorted(sftp.listdir("d"))
        channel = transport.open_session()
        channel.exec_command("scp -t '/by scp'")
        assert channel.recv(1) == b"\0"
        channel.sendall(b"C0640 %d name\n" % len(data))
        assert channel.recv(1) == b"\0"
        channel.sendall(data + b"\0")
        assert channel.recv(1) == b"\0"
        channel.shutdown_write()
        assert channel.recv_exit_status() == 0
        channel = transport.open_session()
        channel.exec_command("scp -f '/by scp'")
        channel.sendall(b"\0")
        header = b"C0640 %d by scp\n" % len(data)
        assert channel.recv(1024) == header
        channel.sendall(b"\0")
        back = b""
        while len(back) < len(data) + 1:
            back += channel.recv(65536)
        channel.sendall(b"\0")
        assert channel.recv_exit_status() == 0
        return {
            "same": got.getvalue() == data and back == data + b"\0",
            "missing": missing,
            "mode": found.st_mode & 0o7777,
            "mtime": found.st_mtime,
            "names": names,
        }


ACTIONS = {"files": files, "exec": exec_, "shell": shell, "many": many, "sessions": sessions, "forwards": forwards}


def main():
    request = json.load(sys.stdin)
    try:
        answer = ACTIONS[request["action"]](request)
    except (paramiko.SSHException, OSError) as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))


main()
