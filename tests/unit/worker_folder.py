"""A folder with a clusters file, as a worker reads it."""

from __future__ import annotations

import pytest

from clusters import ClustersFile
from etcdapi.discovery import Undiscovered
from launchers.docker_launcher import DockerLauncher
from membership.errors import InvalidConfiguration

PLAIN = '[clusters.prod]\nendpoints = ["http://10.0.0.1:2379"]\n'
SECURE = '[clusters.prod]\nendpoints = ["https://10.0.0.1:2379"]\nca = "ca.crt"\n'
FULL = f'{SECURE}cert = "c.crt"\nkey = "c.key"\nusername = "memberflow"\npassword_file = "password"\n'
FILES = {"ca": "ca.crt", "cert": "c.crt", "key": "c.key", "password_file": "password"}


class Client:
    """Stands for an etcd client: what matters is which one it is and what it was made from."""

    def __init__(self, access):
        self.access = access
        self.closed = False

    def close(self):
        self.closed = True


def found_nothing(domain, *, tls):
    """DNS has no records."""
    raise Undiscovered(domain)


class Worker:
    """A folder with a clusters file, as a worker reads it."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "clusters.toml"

    def put(self, name, text):
        """Puts a file in place at once, as operators' tools do."""
        new = self.folder / f"{name}.new"
        new.write_text(text)
        new.replace(self.folder / name)

    def put_files(self):
        for name in FILES.values():
            self.put(name, "one")

    def read(self, text=None, **more):
        if text is not None:
            self.put("clusters.toml", text)
        return ClustersFile(self.file, Client, DockerLauncher, **{"discover": found_nothing, **more})

    def refusal(self, text):
        """What is said of a file with this text, without the file's name in front."""
        with pytest.raises(InvalidConfiguration) as caught:
            self.read(text).names()
        told = str(caught.value)
        assert told.startswith(f"{self.file}: ")
        return told.removeprefix(f"{self.file}: ")
