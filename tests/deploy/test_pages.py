"""docs/provisioning.md: the commands that it shows are run, here or by test_install.py and the examples' tests."""

from __future__ import annotations

import re
import shlex

from provisioning import BUILDS, EXAMPLES, PAGE
from test_ansible import ANSIBLE

BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def block_with(text):
    (found,) = [block for block in BLOCKS if text in block]
    return found


def run_block(block, host, cluster, member):
    """Runs a block of the page in a shell, on this test's cluster, member and folder; the first failure ends it."""
    env_file = host.folder / "join.env"
    changes = {
        "prod": cluster.name,
        "etcd-4": member.name,
        "https://10.0.0.14:2380": member.peer_url,
        "/etc/etcd/join.env": str(env_file),
        "systemctl start etcd": str(host.start_script(member, env_file)),
        "join-http.sh": str(EXAMPLES / "join-http.sh"),
    }
    cluster.at_end.append(lambda: host.kill_pid_in(host.folder / f"{member.name}.pid"))
    script = re.sub("|".join(map(re.escape, changes)), lambda found: changes[found[0]], block)
    return host.run("sh", "-ec", script)


def test_the_four_steps_make_a_voter(host, lab):
    """Copied from the page, line by line; a second run ends as well."""
    cluster = lab.cluster()
    new = cluster.new_member()
    done = run_block(block_with("memberflow plan join"), host, cluster, new)
    assert done.code == 0, done
    assert new.name in host.voters(cluster)


def test_the_http_lines_make_a_voter(host, lab):
    """Copied from the page, line by line."""
    cluster = lab.cluster()
    new = cluster.new_member()
    done = run_block(block_with("join-http.sh"), host, cluster, new)
    assert done.code == 0, done
    assert new.name in host.voters(cluster)


def test_the_lines_for_a_list_run(host, lab):
    """Copied from the page, on a list of the members as they are: nothing is to be done, and each says so."""
    cluster = lab.cluster()
    members = "".join(f"{member.name} {member.peer_url}\n" for member in cluster.members)
    (host.folder / "members.txt").write_text(members)
    changes = {" prod ": f" {cluster.name} ", "etcd-5": cluster.members[0].name, "/etc/etcd": str(host.folder)}
    script = re.sub("|".join(changes), lambda found: changes[found[0]], block_with("memberflow plan apply"))
    before = len(cluster.changes())
    done = host.run("sh", "-ec", script, cwd=host.folder)
    assert (done.code, done.stderr.count("no changes") + done.stderr.count("already-voter")) == (0, 3), done
    assert len(cluster.changes()) == before


def test_a_shell_reads_the_file_as_the_page_says(host):
    """A value with blanks and quotes stays one value."""
    (line,) = re.findall(r"`(set -a; [^`]+)`", PAGE)
    file = host.folder / "join.env"
    file.write_text("ETCD_NAME='a b'\n")
    read = host.run("sh", "-ec", line.replace("/etc/etcd/join.env", str(file)) + "; sh -c 'echo \"$ETCD_NAME\"'")
    assert read.stdout == "a b\n"


def test_every_other_command_is_run_by_the_test_of_its_example():
    """The builds, and the playbook with its inventory and options."""
    builds = {shlex.join(word for word in command if word != "--silent") for row in BUILDS.values() for command in row}
    assert set(block_with("go generate").splitlines()) <= builds
    first, second, third = map(shlex.split, block_with("ansible-playbook").splitlines())
    assert second == [*first, "--check", "--diff"]
    assert {path.name for path in ANSIBLE.iterdir()} >= {first[2], first[3], third[3]}


def test_every_example_is_on_the_page():
    """A folder that nobody finds helps nobody."""
    for example in EXAMPLES.iterdir():
        assert f"deploy/provisioning/{example.name}" in PAGE, example.name
