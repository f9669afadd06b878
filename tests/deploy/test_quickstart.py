"""docs/quickstart.md, block by block: from an empty home to a voter of a TLS cluster, here and on a bare Debian."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from contextlib import suppress

import pytest
import trustme
from provisioning import ROOT, run

from local.etcd_cluster import LocalMember, kill_all
from local.processes import free_port

MINUTES = 10 * 60
# Seconds from the clone to the voter that the page promises.
PROMISED = 5 * 60
PAGE = (ROOT / "docs" / "quickstart.md").read_text()
SYSTEM = "/usr/local/bin:/usr/bin:/bin"
NETWORK = {name: value for name, value in os.environ.items() if name in ("SSL_CERT_FILE", "PIP_CERT", "HTTPS_PROXY")}
NOT_CLONED = (".git", ".venv", ".uv", ".*_cache", ".hypothesis", "build", "dist", "node_modules", "__pycache__")


@pytest.fixture
def clone(tmp_path):
    """The repository without anything that was built in it."""
    shutil.copytree(ROOT, tmp_path / "clone", ignore=shutil.ignore_patterns(*NOT_CLONED))
    return tmp_path / "clone"


@pytest.fixture
def members(etcd_binary, clone):
    """Three voters that want client certificates, and a machine for a fourth. The client's files are in the clone."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(clone / "ca.crt")
    for name in ("server", "client"):
        issued = authority.issue_cert("127.0.0.1", "localhost", common_name=name)
        issued.cert_chain_pems[0].write_to_path(clone / f"{name}.crt")
        issued.private_key_pem.write_to_path(clone / f"{name}.key")
        (clone / f"{name}.key").chmod(0o600)
    files = {"cert-file": "server.crt", "key-file": "server.key", "trusted-ca-file": "ca.crt"}
    flags = (*(f"--{flag}={clone / file}" for flag, file in files.items()), "--client-cert-auth")
    names = [f"etcd-{number}" for number in range(1, 5)]
    etcd = shutil.copy(etcd_binary, clone.parent / "etcd")
    found = [LocalMember(name, etcd, clone.parent / name, scheme="https", flags=flags) for name in names]
    cluster = ",".join(f"{member.name}={member.peer_url}" for member in found[:3])
    for member in found[:3]:
        member.start({"ETCD_INITIAL_CLUSTER": cluster, "ETCD_INITIAL_ADVERTISE_PEER_URLS": member.peer_url})
    yield found
    kill_all(found)


@pytest.fixture
def env(tmp_path):
    """A user whose home is empty, and ports that no other test uses."""
    home = tmp_path / "home"
    home.mkdir()
    port = str(free_port())
    values = {**NETWORK, "HOME": str(home), "PATH": SYSTEM, "PORT": port, "TEMPORAL_ADDRESS": f"127.0.0.1:{port}"}
    yield values
    run(home / ".local" / "bin" / "memberflow", "down", env=values)


def start_script(member, folder):
    """A program in the place of systemd, which starts the member with the file that the page names."""
    script = folder / "start-etcd"
    urls = f"--listen-client-urls={member.client_url} --advertise-client-urls={member.client_url}"
    etcd = f"{member.binary} --data-dir={member.folder} {urls} --listen-peer-urls={member.peer_url}"
    script.write_text(
        "#!/bin/sh\nset -a; . ./join.env; set +a\n"
        f"setsid {etcd} {' '.join(member.flags)} >{folder}/etcd.log 2>&1 &\necho $! >{folder}/etcd.pid\n"
    )
    script.chmod(0o755)
    return script


def script_of_the_page(members, folder):
    """Every block, with the addresses and ports of this machine."""
    changes = {
        "https://10.0.0.11:2379": members[0].client_url,
        "https://10.0.0.12:2379": members[1].client_url,
        "https://10.0.0.14:2380": members[3].peer_url,
        "systemctl start etcd": str(start_script(members[3], folder)),
        "memberflow up --detach": f'memberflow up --detach --port "$PORT" --ui-port {free_port()}',
    }
    text = "".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.mark.timeout(MINUTES)
def test_the_page_leads_from_an_empty_home_to_a_voter(members, clone, env):
    """Copied from the page, line by line: uv, the command line and Temporal come from PyPI."""
    script = script_of_the_page(members, clone.parent)
    try:
        done = run("sh", "-ec", script, env=env, cwd=clone, timeout=MINUTES)
    finally:
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((clone.parent / "etcd.pid").read_text()), signal.SIGTERM)
    assert done.code == 0, done
    assert re.search(r"^etcd-4 .* (voter|leader) ", done.stdout, re.MULTILINE), done


@pytest.mark.timeout(2 * MINUTES)
def test_the_page_leads_from_a_bare_debian_to_a_voter_in_five_minutes(members, clone, env, bare_debian):
    """With the packages that the page names and nothing else, as a user who is not root."""
    packages = re.search(r"`apt-get install ([^`]+)`", PAGE)[1].split()
    ready = bare_debian.install(*packages)
    assert ready.code == 0, ready
    if "SSL_CERT_FILE" in NETWORK:  # the page's own words about a proxy that inspects TLS
        proxy = shutil.copy(NETWORK["SSL_CERT_FILE"], clone.parent / "proxy.crt")
        env |= {"SSL_CERT_FILE": str(proxy), "PIP_CERT": str(proxy)}
    script = f"cd {clone}\n{script_of_the_page(members, clone.parent)}"
    began = time.monotonic()
    done = bare_debian.as_user(script, clone.parent, env, timeout=MINUTES)
    took = time.monotonic() - began
    assert done.code == 0, done
    assert re.search(r"^etcd-4 .* (voter|leader) ", done.stdout, re.MULTILINE), done
    assert took < PROMISED
