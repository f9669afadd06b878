"""The list that `apply` reads: a member a line. An error names file and line."""

from __future__ import annotations

import pytest

from client.exit_codes import USAGE, CommandError
from console.members_file import read_members


@pytest.fixture
def file(tmp_path):
    return tmp_path / "members.txt"


def refused(path) -> str:
    """What is said of a file that can't be used."""
    with pytest.raises(CommandError) as caught:
        read_members(path)
    assert caught.value.code == USAGE
    return caught.value.message


def test_names_and_peer_urls(file):
    """A line each, in the order in which they join."""
    file.write_text("etcd-2 https://b:2380\netcd-1\thttp://a:2380,http://a:12380\n")
    assert read_members(file) == [("etcd-2", ["https://b:2380"]), ("etcd-1", ["http://a:2380", "http://a:12380"])]


@pytest.mark.parametrize(
    "line",
    [
        "etcd-1=http://a:2380,http://a:12380",
        "etcd-1 = http://a:2380 http://a:12380",
        "etcd-1 http://a:2380 http://a:12380",
        "etcd-1 http://a:2380, http://a:12380",
    ],
)
def test_other_ways_to_write_it(file, line):
    """As ETCD_INITIAL_CLUSTER has them, and with blanks where people put them."""
    file.write_text(line)
    assert read_members(file) == [("etcd-1", ["http://a:2380", "http://a:12380"])]


def test_comments_and_empty_lines(file):
    """For people."""
    file.write_text("# rack 1\n\n  etcd-1   http://a:2380   # the old machine\n   \n#etcd-2 http://b:2380\n")
    assert read_members(file) == [("etcd-1", ["http://a:2380"])]


def test_a_file_without_an_end_of_line(file):
    """As editors leave them, with either kind of line end."""
    file.write_bytes(b"etcd-1 http://a:2380\r\netcd-2 http://b:2380")
    assert [name for name, _ in read_members(file)] == ["etcd-1", "etcd-2"]


EXPECTED = "expected a name and its peer URLs, e.g. `etcd-4 https://h:2380`"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("etcd-2", EXPECTED),
        ("http://b:2380", EXPECTED),
        ("etcd-2=", EXPECTED),
        ("etcd-2 http://b:2380,", EXPECTED),
        ("etcd-2 http://b:2380 voter", "'voter' has the scheme '', not http or https"),
        ("etcd/2 http://b:2380", "'etcd/2' is not a valid name"),
    ],
)
def test_a_bad_line_names_file_and_line(file, line, says):
    """And shows how to write it."""
    file.write_text(f"etcd-1 http://a:2380\n\n{line}\n")
    assert refused(file).startswith(f"--from: {file}:3: {says}")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("etcd-1 http://b:2380", "the name etcd-1 is in line 1 already"),
        ("etcd-2 http://b:2380,http://a:2380", "the peer URL http://a:2380 is in line 1 already"),
        ("etcd-2 http://b:2380,http://b:2380", "the peer URL http://b:2380 is in line 3 already"),
    ],
)
def test_what_is_there_twice(file, line, says):
    """Two joins of one name would be one, and two of one URL never end well."""
    file.write_text(f"etcd-1 http://a:2380\n\n{line}\n")
    assert refused(file) == f"--from: {file}:3: {says}"


@pytest.mark.parametrize("content", ["", "\n\n", "# nobody yet\n"])
def test_a_file_without_members(file, content):
    """A growth by nobody is a mistake."""
    file.write_text(content)
    assert refused(file) == f"--from: {file}: no members in it"


def test_a_missing_file(file, tmp_path):
    """Or one that can't be read: the reason is the system's."""
    assert refused(file) == f"--from: {file}: No such file or directory"
    assert refused(tmp_path) == f"--from: {tmp_path}: Is a directory"
