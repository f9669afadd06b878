"""A Debian with nothing in it, in which a test is a new user."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from provisioning import run

from support.parts.command import Ended
from support.parts.etcd_tools import unavailable

MIRROR = "http://deb.debian.org/debian"
SUITE = "bookworm"
# Where Python's ssl module and Debian's programs look for authorities.
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_USER = 1000


class BareDebian:
    """The smallest Debian, as `debootstrap` makes it. Its network is that of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if os.geteuid() != 0 or not shutil.which("debootstrap", path=_PATH):
            unavailable("a bare Debian needs root and debootstrap")
        command = ["debootstrap", "--variant=minbase", SUITE, str(folder), MIRROR]
        subprocess.run(command, check=True, capture_output=True, timeout=600, env={"PATH": _PATH})
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", folder / "etc" / name)
        self._run(f"useradd --uid {_USER} --user-group user", "", {}, timeout=60)

    def install(self, *packages: str) -> Ended:
        """Installs packages, as root."""
        quiet = "DEBIAN_FRONTEND=noninteractive apt-get -qq -o=Dpkg::Use-Pty=0"
        return self._run(f"{quiet} update && {quiet} install --yes {shlex.join(packages)}", "", {}, timeout=600)

    def as_user(self, script: str, shared: Path, env: dict[str, str], *, timeout: float) -> Ended:
        """
        Runs a script as a user that is not root. The `shared` folder is at the same place, and becomes the user's.

        Everything that the script leaves running ends with it.
        """
        place = self.folder / shared.relative_to("/")
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["chown", "--recursive", str(_USER), shared], check=True)
        mounted = shlex.join(["mount", "--bind", str(shared), str(place)])
        who = f"--userspec={_USER}:{_USER}"
        return self._run(script, f"{mounted} && ", env, who, timeout=timeout)

    def _run(self, script: str, first: str, env: dict[str, str], *options: str, timeout: float) -> Ended:
        mounts = f"mount -t proc proc {self.folder}/proc && mount --rbind /dev {self.folder}/dev"
        inside = shlex.join(["/usr/sbin/chroot", *options, str(self.folder), "sh", "-ec", script])
        apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")
        return run(
            *apart, "sh", "-ec", f"{first}{mounts} && exec {inside}", env={"PATH": _PATH, **env}, timeout=timeout
        )
