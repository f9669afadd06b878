"""deploy/provisioning/join-http.sh: a join with curl and jq alone."""

from __future__ import annotations

import subprocess

from provisioning import EXAMPLES

from local.processes import free_port
from messages.ids import change_id
from support.parts.command import eventually

SCRIPT = EXAMPLES / "join-http.sh"


def test_a_member_joins_with_curl_and_jq(host, lab):
    """The handover starts the member, and the same command waits for its promote; a third run finds it done."""
    cluster = lab.cluster()
    new = cluster.new_member()
    env_file = host.folder / "join.env"
    command = (SCRIPT, cluster.name, new.name, new.peer_url, env_file)
    added = host.run(*command, UNTIL="added")
    assert (added.code, added.answer["outcome"]) == (0, "added"), added
    host.start_member(new, env_file)
    assert host.run(*command).answer["outcome"] == "promoted"
    assert new.name in host.voters(cluster)
    assert host.run(*command).answer["outcome"] == "already-voter"
    assert host.run(*command, UNTIL="added").answer["outcome"] == "already-voter"


def test_a_join_goes_on_when_the_script_is_killed(host, lab):
    """Killed and started again, it attaches to its join: one learner is added."""
    cluster = lab.cluster()
    new = cluster.new_member()
    env_file = host.folder / "join.env"
    command = [str(SCRIPT), cluster.name, new.name, new.peer_url, str(env_file)]
    first = subprocess.Popen(command, env=host.env, stdout=subprocess.DEVNULL)
    eventually(env_file.exists, "the first handover")
    first.kill()
    first.wait()
    env_file.unlink()
    second = subprocess.Popen(command, env=host.env, stdout=subprocess.PIPE, text=True)
    eventually(env_file.exists, "the second handover")
    host.start_member(new, env_file)
    answer, _ = second.communicate(timeout=60)
    assert second.returncode == 0
    assert '"add": 1' in answer


def test_another_request_under_the_same_name_is_refused(host, lab):
    """It names the running request, exits 2, and leaves the running join alone."""
    cluster = lab.cluster()
    new = cluster.new_member()
    env_file = host.folder / "join.env"
    assert host.run(SCRIPT, cluster.name, new.name, new.peer_url, env_file, UNTIL="added").code == 0
    other = host.run(SCRIPT, cluster.name, new.name, "http://127.0.0.1:2", env_file)
    assert other.code == 2
    assert new.peer_url in other.stderr
    assert lab.status(change_id(cluster.name, "join", new.name)).endswith("RUNNING")


def test_a_refusal_has_the_command_lines_exit_code(host, lab):
    """Refused by the preflight is 5; an unknown cluster and a wrong request are 2."""
    cluster = lab.cluster()
    taken = cluster.members[0]
    env_file = host.folder / "join.env"
    refused = host.run(SCRIPT, cluster.name, "another-name", taken.peer_url, env_file)
    assert (refused.code, refused.answer["outcome"]) == (5, "refused"), refused
    assert host.run(SCRIPT, "nowhere", "etcd-9", "http://127.0.0.1:2", env_file).code == 2
    wrong = host.run(SCRIPT, cluster.name, "etcd-9", "ftp://127.0.0.1:2", env_file)
    assert wrong.code == 2
    assert "ftp" in wrong.stderr
    assert not env_file.exists()


def test_silence_of_temporal_or_of_the_workers_is_3(host, lab):
    """It gives up after its patience, and says that the join can be run again."""
    cluster = lab.cluster()
    env_file = host.folder / "join.env"
    command = (SCRIPT, cluster.name, "etcd-9", "http://127.0.0.1:2", env_file)
    away = host.run(*command, PATIENCE="1", TEMPORAL_HTTP=f"http://127.0.0.1:{free_port()}")
    assert away.code == 3
    assert "run this again" in away.stderr
    untaken = host.run(*command, PATIENCE="1", MEMBERFLOW_TASK_QUEUE="nobody-polls")
    assert untaken.code == 3
    assert "no worker" in untaken.stderr


def test_an_api_key_is_no_argument_of_a_process(host):
    """Other users of the machine see the arguments of curl; the key is in a file that they cannot read."""
    fake = host.folder / "curl"
    fake.write_text("""#!/bin/sh
        echo "$@" >>"$SEEN"
        for word; do case $word in @*) cat "${word#@}" >>"$HEADERS" ;; esac; done
        exit 7
    """)
    fake.chmod(0o755)
    seen, headers = host.folder / "seen", host.folder / "headers"
    path = f"{host.folder}:{host.env['PATH']}"
    more = {"SEEN": str(seen), "HEADERS": str(headers), "TEMPORAL_API_KEY": "s3cret", "PATIENCE": "0", "PATH": path}
    host.run(SCRIPT, "prod", "etcd-4", "http://127.0.0.1:2", host.folder / "join.env", **more)
    assert "s3cret" not in seen.read_text()
    assert "Authorization: Bearer s3cret" in headers.read_text()
