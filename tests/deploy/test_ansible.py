"""deploy/provisioning/ansible: the roles, run by a real ansible-playbook on this machine."""

from __future__ import annotations

import json
import sys

import pytest
from provisioning import EXAMPLES, run

from support.checks.puts import Puts
from support.parts.lab import ends

ANSIBLE = EXAMPLES / "ansible"


@pytest.fixture(scope="session")
def ansible(tools):
    """The programs of ansible-core, from PyPI."""
    return tools.install("ansible", "ansible-core==2.19.*")


class Play:
    """A playbook of the example, with an inventory of hosts that are all this machine."""

    def __init__(self, programs, host, cluster, hosts, playbook="playbook.yml"):
        self.programs, self.host, self.hosts, self.playbook = programs, host, hosts, playbook
        self.inventory = host.folder / "inventory.json"
        self.given = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "memberflow_cluster": cluster.name,
        }

    def run(self, *options, **variables):
        hosts = {name: {**self.given, **own, **variables} for name, own in self.hosts.items()}
        self.inventory.write_text(json.dumps({"etcd": {"hosts": hosts}}))
        env = {
            **self.host.env,
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCAL_TEMP": str(self.host.folder / "local"),
            "ANSIBLE_REMOTE_TEMP": str(self.host.folder / "remote"),
            "LC_ALL": "C.UTF-8",
        }
        command = (
            self.programs / "ansible-playbook",
            "--inventory",
            self.inventory,
            ANSIBLE / self.playbook,
            *options,
        )
        return run(*command, env=env)


def variables_of(host, cluster, new):
    """The variables of a host whose member is this one; its start script starts it for real."""
    env_file = host.folder / f"{new.name}.env"
    cluster.at_end.append(lambda: host.kill_pid_in(host.folder / f"{new.name}.pid"))
    return {
        "memberflow_peer_urls": [new.peer_url],
        "memberflow_env_file": str(env_file),
        "memberflow_start": str(host.start_script(new, env_file)),
    }


def test_a_play_brings_a_member_and_takes_it_away(ansible, host, lab):
    """Check mode changes nothing and shows the difference; the play joins; again it changes nothing; absent removes."""
    cluster = lab.cluster()
    new = cluster.new_member()
    play = Play(ansible, host, cluster, {new.name: variables_of(host, cluster, new)})

    planned = play.run("--check", "--diff")
    assert planned.code == 0, planned
    assert f"+{new.name} voter {new.peer_url}" in planned.stdout
    assert "changed=1" in planned.stdout
    assert len(cluster.rows()) == 3
    assert not (host.folder / f"{new.name}.env").exists()

    joined = play.run()
    assert joined.code == 0, joined
    assert new.name in host.voters(cluster)
    again = play.run()
    assert "changed=0" in again.stdout, again

    gone = play.run(memberflow_state="absent")
    assert gone.code == 0, gone
    assert new.name not in host.voters(cluster)
    assert "changed=0" in play.run(memberflow_state="absent").stdout


def test_a_play_replaces_all_members_under_load(ansible, host, lab):
    """An inventory of three new hosts: the old members leave, and no write fails for longer than an election."""
    cluster = lab.cluster()
    cluster.single_use = True
    new = [cluster.new_member() for _ in range(3)]
    hosts = {member.name: variables_of(host, cluster, member) for member in new}
    play = Play(ansible, host, cluster, hosts, "members.yml")

    planned = play.run("--check", "--diff")
    assert planned.code == 0, planned
    assert f"+{new[0].name} voter {new[0].peer_url}" in planned.stdout
    assert cluster.changes() == []

    with Puts(cluster, ports=[member.client_port for member in cluster.members]) as puts:
        replaced = play.run()
    assert replaced.code == 0, replaced
    assert host.voters(cluster) == set(hosts)
    assert len(cluster.rows()) == 3
    puts.check()

    for old in cluster.members[:3]:
        ends(old)
    # As an operator does after it: the endpoints of the clusters file have all left.
    cluster.members[:] = new
    cluster.named = [member.advertised for member in new]
    lab.write_clusters_file()
    again = play.run()
    assert again.stdout.count("changed=0") == 3, again


def test_a_refusal_fails_the_task_with_its_reason(ansible, host, lab):
    """In check mode as well as in a run: the reason of memberflow's own plan."""
    cluster = lab.cluster()
    other = cluster.members[0]
    play = Play(ansible, host, cluster, {"another-name": {"memberflow_peer_urls": [other.peer_url]}})
    for options in (("--check",), ()):
        refused = play.run(*options)
        assert refused.code == 2, refused
        assert other.peer_url in refused.stdout
