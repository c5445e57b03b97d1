"""parallel-ssh as a peer of the fan-out. It checks no host key."""

from pssh.clients import ParallelSSHClient

import worker

PORT, USER, KEY, _, HOSTS, AT_ONCE = worker.fan_out()


def main():
    clock = worker.Clock()
    client = ParallelSSHClient(
        HOSTS,
        user=USER,
        port=PORT,
        pkey=KEY,
        pool_size=AT_ONCE,
        allow_agent=False,
        identity_auth=False,
        timeout=60,
    )
    output = client.run_command("true")
    client.join(output)
    for host in output:
        if host.exit_code != 0:
            raise SystemExit(f"true ended with {host.exit_code} on {host.host}")
    clock.tell()


main()
