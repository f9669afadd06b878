"""Launcher tables, placeholders, container states: bad input names the field and the fix, and tells no secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from launchers import containers
from launchers.config import LauncherConfig
from messages.launching import LOG_BYTES, LOG_LINES, ContainerState, Launch, Launched, LauncherUnavailable, last_lines
from messages.validation import explain

IMAGE = {"image": "etcd:3.7"}
FILES = {"ca": "ca.crt", "cert": "client.crt", "key": "client.key"}
TCP = {"engine": "tcp://10.0.0.14:2376"}


def launch(peer_urls="https://10.0.0.14:2380,https://[fd00::1]:2380"):
    return Launch("prod", "etcd-4", "8211f1d0f64f3269", {"ETCD_INITIAL_ADVERTISE_PEER_URLS": peer_urls})


def test_an_image_is_all_a_table_needs():
    """The local engine, the host's network, a container that comes back after a reboot."""
    config = LauncherConfig(**IMAGE)
    assert config.engine == "unix:///var/run/docker.sock"
    assert (config.network, config.restart, config.pull) == ("host", "unless-stopped", "missing")
    assert (config.command, str(config.data_dir)) == (("etcd",), "/var/lib/etcd")


def test_every_key_is_described():
    """For the documentation, which lists them from here."""
    assert all(field.description for field in LauncherConfig.model_fields.values())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image": None}, "image: Input should be a valid string"),
        ({"images": "x"}, "images: unknown key"),
        ({"engine": "http://a:1"}, "engine: 'http://a:1' is not the address of an engine: write unix:///"),
        ({"engine": "unix://docker.sock"}, "engine: 'unix://docker.sock' is not the address of an engine"),
        ({"engine": "tcp://a"}, "engine: 'tcp://a' is not the address of an engine"),
        ({"engine": "tcp://a:99999"}, "engine: is not a valid address"),
        ({"engine": "tcp://a:1/x"}, "engine: 'tcp://a:1/x' is not the address of an engine"),
        ({**TCP, "ca": "ca.crt"}, "ca, cert and key go together"),
        (FILES, "ca, cert and key need a tcp:// engine"),
        ({"ports": ["2379:2379"]}, "ports can't be published on the host network"),
        ({"network": "n", "ports": ["2379"]}, "ports[0]: '2379' is not a published port: write HOST:CONTAINER"),
        ({"network": "n", "ports": ["1:0"]}, "ports[0]: '1:0' is not a published port"),
        ({"network": "n", "ports": ["1:1", "70000:1"]}, "ports[1]: '70000:1' is not a published port"),
        ({"data_dir": "data"}, "data_dir: should be an absolute path"),
        ({"data_dir": "/"}, "data_dir: should be an absolute path"),
        ({"mounts": ["certs:/certs"]}, "mounts[0]: 'certs:/certs' is not a mount: write SRC:DST"),
        ({"mounts": ["/certs"]}, "mounts[0]: '/certs' is not a mount"),
        ({"mounts": ["/a:/b:rw"]}, "mounts[0]: '/a:/b:rw' is not a mount"),
        ({"mounts": ["/a:/b/../c"]}, "mounts[0]: '/a:/b/../c' is not a mount"),
        ({"mounts": ["/a/{peer_host}:/b"]}, "mounts[0]: has an unknown placeholder {peer_host}: known are {cluster}"),
        ({"mounts": ["/a:/var/lib/etcd"]}, "the mount at /var/lib/etcd overlaps data_dir /var/lib/etcd"),
        ({"mounts": ["/a:/var/lib/etcd/member"]}, "the mount at /var/lib/etcd/member overlaps data_dir"),
        ({"mounts": ["/a:/var"]}, "the mount at /var overlaps data_dir"),
        ({"flags": "--x"}, "flags: should be a list"),
        ({"flags": ["--x={who}"]}, "flags[0]: has an unknown placeholder {who}: known are {cluster}, {name}"),
        ({"flags": ["--x={}"]}, "flags[0]: has an unknown placeholder {}"),
        ({"flags": ["--x={name.__class__}"]}, "flags[0]: has an unknown placeholder {name.__class__}"),
        ({"flags": ["--x={name!r}"]}, "flags[0]: has an unknown placeholder {name}"),
        ({"flags": ["--x={"]}, "flags[0]: has a bad placeholder"),
        ({"flags": ["--initial-cluster-state", "new"]}, "flags[0]: --initial-cluster-state is set by memberflow"),
        ({"flags": ["-name=x"]}, "flags[0]: --name is set by memberflow"),
        ({"command": ["etcd", "--data-dir=/x"]}, "command[1]: --data-dir is set by memberflow"),
        ({"environment": {"ETCD_INITIAL_CLUSTER": "x"}}, "environment.ETCD_INITIAL_CLUSTER: is set by memberflow"),
        ({"environment": {"ETCD_DATA_DIR": "x"}}, "environment.ETCD_DATA_DIR: is set by memberflow"),
        ({"environment": {"ETCD_CONFIG_FILE": "x"}}, "environment.ETCD_CONFIG_FILE: is set by memberflow"),
        ({"environment": {"A=B": "x"}}, "environment.A=B: is not a name of an environment variable"),
        ({"environment": {"A": "{b}"}}, "environment.A: has an unknown placeholder {b}"),
        ({"restart": "never"}, "restart: Input should be 'no', 'on-failure', 'unless-stopped' or 'always'"),
        ({"pull": "often"}, "pull: Input should be 'missing', 'never' or 'always'"),
    ],
)
def test_a_bad_table_names_the_key(change, told):
    """Every key, by its path."""
    with pytest.raises(ValidationError) as caught:
        LauncherConfig.model_validate({**IMAGE, **change})
    assert told in explain(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "tcp://me:hunter2@a:1"},
        {"engine": "tcp://a:1?token=hunter2"},
        {"environment": {"ETCD_ROOT_PASSWORD": "hunter2"}},
        {"environment": {"ETCD_CONFIG_FILE": "hunter2"}},
        {"environment": {"TOKEN": "{hunter2"}},
        {"flags": ["--initial-cluster-token=hunter2"]},
    ],
)
def test_a_bad_table_tells_no_values(change):
    """Whoever put a secret there finds it refused, not repeated."""
    with pytest.raises(ValidationError) as caught:
        LauncherConfig.model_validate({**IMAGE, **change})
    assert "hunter2" not in explain(caught.value)


@pytest.mark.parametrize(
    "good",
    [
        {**TCP, **FILES},
        {"engine": "tcp://docker-proxy:2375/"},
        {"network": "etcd", "ports": ["2379:2379", "127.0.0.1:2381:2381", "[::1]:2382:2381"]},
        {"mounts": ["/etc/etcd/{cluster}/{name}:/certs"]},
        {"flags": ["--initial-election-tick-advance=false"], "command": []},
        {"environment": {"ETCD_ROOT_PASSWORD_FILE": "/run/secret", "ETCD_AUTH_TOKEN": "simple"}},
    ],
)
def test_what_operators_write(good):
    """All of it is accepted."""
    LauncherConfig.model_validate({**IMAGE, **good})


def test_files_are_relative_to_the_clusters_file():
    """An absolute one stays what it is."""
    config = LauncherConfig.model_validate({**IMAGE, **TCP, **FILES, "ca": "/etc/ca.crt"})
    folder = Path("/etc/memberflow")
    files = {"ca": Path("/etc/ca.crt"), "cert": folder / "client.crt", "key": folder / "client.key"}
    assert files == config.relative_to(folder).files


def test_placeholders():
    """One table serves several members; a brace written twice is a brace."""
    config = LauncherConfig(
        **IMAGE,
        network="etcd",
        ports=("127.0.0.1:1:2379", "2:2379"),
        flags=("--listen-peer-urls=https://{peer_host}:{peer_port}", "--x={{{name}}}"),
        environment={"OF": "{cluster}"},
        mounts=("/etc/{cluster}/{name}:/certs",),
    )
    settings = containers.settings(config, launch())
    assert settings["command"] == ["etcd", "--listen-peer-urls=https://10.0.0.14:2380", "--x={etcd-4}"]
    assert settings["environment"]["OF"] == "prod"
    assert [m["Source"] for m in settings["mounts"]] == ["memberflow-prod-etcd-4-8211f1d0f64f3269", "/etc/prod/etcd-4"]
    assert [m["ReadOnly"] for m in settings["mounts"]] == [False, True]
    assert settings["ports"] == {"2379/tcp": [("127.0.0.1", 1), ("", 2)]}


@pytest.mark.parametrize(
    ("peer_url", "filled"),
    [("https://[fd00::1]:2380", "[fd00::1] 2380"), ("http://etcd-4:1", "etcd-4 1")],
)
def test_a_peer_urls_host_can_stand_in_another_url(peer_url, filled):
    """An IPv6 address keeps its brackets."""
    assert filled == launch(peer_url).fill("{peer_host} {peer_port}")


def test_the_handover_has_the_last_word():
    """Whatever a table says."""
    environment = {"ETCD_NAME": "etcd-4", **launch().environment}
    config = LauncherConfig.model_construct(**{**LauncherConfig(**IMAGE).__dict__, "environment": {"ETCD_NAME": "x"}})
    settings = containers.settings(config, Launch("prod", "etcd-4", "1", environment))
    assert settings["environment"] == {**environment, "ETCD_DATA_DIR": "/var/lib/etcd"}


@pytest.mark.parametrize(
    "value",
    [
        launch(),
        Launched("memberflow-prod-etcd-4", "0123456789ab", "v", "unix:///x", created=True),
        ContainerState("exited", 2, out_of_memory=True, error="e", restarts=1, log=("a",)),
    ],
)
def test_what_goes_through_a_history_comes_out_the_same(value):
    """As Temporal's pydantic converter writes and reads it."""
    adapter = TypeAdapter(type(value))
    assert value == adapter.validate_json(adapter.dump_json(value))


@given(st.binary())
def test_last_lines_are_few_short_and_printable(output):
    """Whatever a container wrote: the text stands in a failure's reason."""
    lines = last_lines(output)
    assert len(lines) <= LOG_LINES
    assert len("\n".join(lines).encode()) <= LOG_BYTES
    assert all(c.isprintable() or c == "\t" for line in lines for c in line)


def test_last_lines_keep_the_end_and_the_beginnings():
    """The last lines are those that tell, and of a long one its beginning."""
    output = b"\n".join(b"%d" % n for n in range(100)) + b"\n\n" + b"fatal " * 1000 + b"\r\n\x1b[31mend"
    lines = last_lines(output)
    assert lines[0] == "82"
    assert lines[-2].startswith("fatal fatal")
    assert lines[-2].endswith("…")
    assert lines[-1] == "[31mend"


def test_last_lines_leave_out_the_first_where_room_is_short():
    """Whole lines, within the limit."""
    lines = last_lines(b"\n".join(b"%02d" % n + b"x" * 400 for n in range(20)))
    assert [line[:2] for line in lines] == ["15", "16", "17", "18", "19"]


@pytest.mark.parametrize(
    ("state", "died", "text"),
    [
        (ContainerState("running"), False, "running"),
        (ContainerState("created", error="port is taken"), False, "created, port is taken"),
        (ContainerState("exited", 2, log=("a", "b")), True, "exited, exit code 2; its last lines:\na\nb"),
        (
            ContainerState("restarting", 137, out_of_memory=True, restarts=3),
            True,
            "restarting, exit code 137, out of memory, restarted 3 times",
        ),
    ],
)
def test_a_state_in_words(state, died, text):
    """As it stands in the reason of a failed join."""
    assert (state.died, str(state)) == (died, text)


def test_the_hint_of_an_unavailable_engine():
    """A special one, or where to look first."""
    assert LauncherUnavailable("x", "do y").hint == "do y"
    assert "running" in LauncherUnavailable("x").hint
