"""deploy/provisioning/ansible: the role, run by a real ansible-playbook on this machine."""

from __future__ import annotations

import json
import sys

import pytest
from provisioning import EXAMPLES, run

ANSIBLE = EXAMPLES / "ansible"


@pytest.fixture(scope="session")
def ansible(tools):
    """The programs of ansible-core, from PyPI."""
    return tools.install("ansible", "ansible-core==2.19.*")


class Play:
    """The example's playbook, with an inventory of one host that is this machine."""

    def __init__(self, programs, host, cluster, name, **variables):
        self.programs, self.host = programs, host
        self.inventory = host.folder / "inventory.json"
        self.given = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "memberflow_cluster": cluster.name,
            **variables,
        }
        self.name = name

    def run(self, *options, **variables):
        hosts = {self.name: {**self.given, **variables}}
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
            ANSIBLE / "playbook.yml",
            *options,
        )
        return run(*command, env=env)


def test_a_play_brings_a_member_and_takes_it_away(ansible, host, lab):
    """Check mode changes nothing and shows the difference; the play joins; again it changes nothing; absent removes."""
    cluster = lab.cluster()
    new = cluster.new_member()
    env_file = host.folder / "join.env"
    play = Play(
        ansible,
        host,
        cluster,
        new.name,
        memberflow_peer_urls=[new.peer_url],
        memberflow_env_file=str(env_file),
        memberflow_start=str(host.start_script(new, env_file)),
    )
    cluster.at_end.append(lambda: host.kill_pid_in(host.folder / f"{new.name}.pid"))

    planned = play.run("--check", "--diff")
    assert planned.code == 0, planned
    assert f"+{new.name} voter {new.peer_url}" in planned.stdout
    assert "changed=1" in planned.stdout
    assert len(cluster.rows()) == 3
    assert not env_file.exists()

    joined = play.run()
    assert joined.code == 0, joined
    assert new.name in host.voters(cluster)
    again = play.run()
    assert "changed=0" in again.stdout, again

    gone = play.run(memberflow_state="absent")
    assert gone.code == 0, gone
    assert new.name not in host.voters(cluster)
    assert "changed=0" in play.run(memberflow_state="absent").stdout


def test_a_refusal_fails_the_task_with_its_reason(ansible, host, lab):
    """In check mode as well as in a run: the reason of memberflow's own plan."""
    cluster = lab.cluster()
    other = cluster.members[0]
    play = Play(ansible, host, cluster, "another-name", memberflow_peer_urls=[other.peer_url])
    for options in (("--check",), ()):
        refused = play.run(*options)
        assert refused.code == 2, refused
        assert other.peer_url in refused.stdout
