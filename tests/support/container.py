"""Postgres in a container, by testcontainers.

`DBFIREWALL_TEST_IMAGE` names the image (default `postgres:18`). `DBFIREWALL_TEST_NETWORK=host` puts it on the
host's own network: for engines without a bridge, such as the one that .ci/run starts.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from docker.errors import DockerException, ImageNotFound
from testcontainers.community.postgres import PostgresContainer

import docker
from tests.support.ports import free_port

SUPERUSER = "postgres"
PASSWORD = "postgres"


def image() -> str:
    """The image that tests run on."""
    return os.environ.get("DBFIREWALL_TEST_IMAGE", "postgres:18")


def usable() -> bool:
    """Whether a Docker engine answers and has the image, or can fetch it."""
    if not _something_listens(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")):
        return False
    try:
        client = docker.from_env(timeout=5)
    except DockerException:
        return False
    try:
        client.ping()
        try:
            client.images.get(image())
        except ImageNotFound:
            client.images.pull(image())
    except DockerException:
        return False
    else:
        return True
    finally:
        client.close()


def _something_listens(url: str) -> bool:
    """Whether a Unix socket is served; True for other addresses: docker itself has to try those."""
    if not url.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(url.removeprefix("unix://")) == 0


class HostNetworkPostgres(PostgresContainer):
    """A container on the host's network: it listens on a port of its own, on loopback only."""

    def __init__(self, image: str, port: int) -> None:
        super().__init__(image, port, SUPERUSER, PASSWORD, SUPERUSER, driver=None)
        self.ports = {}
        self.with_kwargs(network_mode="host").with_env("PGPORT", str(port))
        self.with_command("postgres -c listen_addresses=127.0.0.1")

    def get_container_host_ip(self) -> str:
        """Where the server answers."""
        return "127.0.0.1"

    def get_exposed_port(self, port: int) -> int:
        """No mapping: a port is itself."""
        return port


@contextmanager
def started() -> Iterator[tuple[str, int, str, str]]:
    """(host, port, superuser, password) of a fresh container, removed at the end of the block."""
    if os.environ.get("DBFIREWALL_TEST_NETWORK") == "host":
        server: PostgresContainer = HostNetworkPostgres(image(), free_port())
    else:
        server = PostgresContainer(image(), 5432, SUPERUSER, PASSWORD, SUPERUSER, driver=None)
    try:
        server.start()
        host, port = server.get_container_host_ip(), int(server.get_exposed_port(server.port))
        yield host, port, SUPERUSER, PASSWORD
    except DockerException as error:
        raise RuntimeError(f"the container of {image()} failed: {error}\n{_logs(server)}") from error
    finally:
        server.stop()


def _logs(server: PostgresContainer) -> str:
    if server.get_wrapped_container() is None:
        return "(it never started)"
    out, err = server.get_logs()
    return (out + err).decode(errors="replace")
