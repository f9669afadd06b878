"""deploy/provisioning/cloud-init: valid for cloud-init and systemd; its join unit brings a member into a cluster."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from provisioning import EXAMPLES, run

USER_DATA = EXAMPLES / "cloud-init" / "user-data.yaml"
FILES = {file["path"]: file["content"] for file in yaml.safe_load(USER_DATA.read_text())["write_files"]}
UNITS = "/etc/systemd/system"


def unit(name):
    """The values of each key of a unit, in order."""
    found = defaultdict(list)
    for line in FILES[f"{UNITS}/{name}"].splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found[key].append(value)
    return found


@pytest.fixture(scope="session")
def cloud_config_schema(tmp_path_factory):
    """cloud-init's own schema, out of Debian's package."""
    folder = tmp_path_factory.mktemp("cloud-init")
    if not shutil.which("apt-get"):
        pytest.skip("cloud-init's schema comes from a package of Debian")
    command = ("apt-get", "download", "cloud-init")
    if run(*command, env={"PATH": "/usr/bin:/bin"}, cwd=folder).code:
        run("apt-get", "update", "--quiet", env={"PATH": "/usr/bin:/bin"})
        fetched = run(*command, env={"PATH": "/usr/bin:/bin"}, cwd=folder)
        assert fetched.code == 0, fetched
    (package,) = folder.glob("*.deb")
    assert run("dpkg-deb", "--extract", package, folder, env={"PATH": "/usr/bin:/bin"}).code == 0
    return next(folder.rglob("schema-cloud-config-v1.json"))


def test_cloud_init_accepts_the_user_data(cloud_config_schema, tools):
    """The schema with which `cloud-init schema` judges knows every key and type."""
    check = tools.install("check-jsonschema", "check-jsonschema==0.37.*") / "check-jsonschema"
    checked = run(check, "--schemafile", cloud_config_schema, USER_DATA, env={})
    assert checked.code == 0, checked
    assert USER_DATA.read_text().startswith("#cloud-config\n")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path):
    """In a root folder that has nothing but the programs that the units start."""
    for path, content in FILES.items():
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path[1:]).write_text(content)
    for program in ("/usr/local/bin/etcd", "/usr/local/bin/memberflow", "/bin/sh", "/bin/systemctl"):
        (tmp_path / program[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program[1:]).write_text("#!/bin/sh\n")
        (tmp_path / program[1:]).chmod(0o755)
    shutil.copytree("/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    names = [Path(path).name for path in FILES if path.startswith(UNITS)]
    verified = run("systemd-analyze", "verify", "--man=no", f"--root={tmp_path}", *names, env={"PATH": "/usr/bin:/bin"})
    assert verified.code == 0, verified
    assert not [line for line in verified.stderr.splitlines() if any(name in line for name in names)], verified


class Boot:
    """Runs the join unit's commands as systemd does, below a folder in the place of the machine's root."""

    def __init__(self, host, cluster, member):
        self.host, self.member = host, member
        self.root = host.folder / "root"
        for folder in ("etc/etcd", "run", "var/lib/etcd"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.values = {"CLUSTER": cluster.name, "NAME": member.name, "PEER_URL": member.peer_url}

    @property
    def handover(self):
        return self.root / "etc/etcd/join.env"

    def run(self):
        """The exit code of the first command that fails, and its stderr; None where the condition skips the unit."""
        join = unit("memberflow-join.service")
        (condition,) = join["ConditionPathExists"]
        if Path(self._here(condition.removeprefix("!"))).exists():
            return None
        for command in [*join["ExecStartPre"], *join["ExecStart"], *join["ExecStartPost"]]:
            expanded = re.sub(r"\$\{(\w+)\}", lambda found: self.values[found[1]], command).replace("$$", "$")
            words = [self._here(word) for word in shlex.split(expanded)]
            if words[0] == "/bin/systemctl":
                assert words[1:] == ["enable", "--now", "--no-block", "etcd.service"]
                self.host.start_member(self.member, self.handover)
                continue
            ended = self.host.run(*words, **self.values)
            if ended.code:
                return ended
        return ended

    def _here(self, text):
        text = text.replace("/usr/local/bin/memberflow", str(Path(sys.executable).with_name("memberflow")))
        return re.sub(r"(?<![\w.])/(etc|run|var)/", rf"{self.root}/\1/", text)


def test_the_join_unit_makes_the_machine_a_voter(host, lab):
    """It starts etcd with the handover; where the machine has data it does nothing; without data it refuses."""
    cluster = lab.cluster()
    new = cluster.new_member()
    boot = Boot(host, cluster, new)
    first = boot.run()
    assert first.code == 0, first
    assert new.name in host.voters(cluster)

    emptied = boot.run()
    assert emptied.code == 5, emptied
    assert "its data is gone" in emptied.stdout

    (boot.root / "var/lib/etcd/member").mkdir()
    assert boot.run() is None


def test_etcd_reads_the_file_that_the_join_writes():
    """One path in three places, and the data directory that the join's condition looks for."""
    join, etcd = unit("memberflow-join.service"), unit("etcd.service")
    (written,) = re.findall(r"--env-file (\S+)", join["ExecStart"][0])
    assert written in etcd["EnvironmentFile"]
    assert "ETCD_DATA_DIR=/var/lib/etcd\n" in FILES["/etc/etcd/etcd.env"]
    assert join["ConditionPathExists"] == ["!/var/lib/etcd/member"]
