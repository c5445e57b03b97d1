"""paramiko as a peer of the fan-out: a pool of threads."""

import concurrent.futures
import socket

import paramiko

import worker

PORT, USER, KEY, KNOWN_HOSTS, HOSTS, AT_ONCE = worker.fan_out()


class OneKey(paramiko.MissingHostKeyPolicy):
    """Takes the one key that all hosts have: its known_hosts knows no patterns, and would look through a line for each host."""

    def __init__(self):
        with open(KNOWN_HOSTS) as lines:
            self.key = lines.readline().split()[2]

    def missing_host_key(self, client, hostname, key):
        if key.get_base64() != self.key:
            raise paramiko.BadHostKeyException(hostname, key, key)


def run(host, key, policy):
    connection = socket.create_connection((host, PORT))
    # Without it Nagle's algorithm would be most of what is measured.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(policy)
    client.connect(
        host,
        PORT,
        sock=connection,
        username=USER,
        pkey=key,
        allow_agent=False,
        look_for_keys=False,
        timeout=60,
        banner_timeout=60,
        auth_timeout=60,
    )
    _, stdout, _ = client.exec_command("true")
    status = stdout.channel.recv_exit_status()
    client.close()
    if status != 0:
        raise SystemExit(f"true ended with {status} on {host}")


def main():
    clock = worker.Clock()
    # Read once for all hosts.
    key, policy = paramiko.Ed25519Key.from_private_key_file(KEY), OneKey()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(run, host, key, policy) for host in HOSTS]:
            done.result()
    clock.tell()


main()
