"""Whom an activity obeys: its own name, the change that runs it and the worker's file, and no payload against them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from temporalio.testing import ActivityEnvironment

from activities.callers import NotTrusted
from activities.trust import STEPS, NotAllowed, Trust
from membership.allow import Allow
from membership.errors import MemberflowError
from membership.policy import Policy
from membership.verdicts import Facts
from messages.launching import Launch
from messages.orders import LaunchOrder, StepOrder
from messages.turns import Ticket
from support.memory.cluster import CLUSTER_ID, MemoryCluster
from support.memory.etcd import MemoryEtcd
from support.memory.inside import inside, ticket

FACTS = Facts("prod", CLUSTER_ID, Policy(), "etcd-4", ("http://etcd-4:2380",), "a1")
HANDOVER = {
    "ETCD_NAME": "etcd-4",
    "ETCD_INITIAL_CLUSTER": "etcd-1=http://etcd-1:2380,etcd-4=http://etcd-4:2380",
    "ETCD_INITIAL_CLUSTER_STATE": "existing",
    "ETCD_INITIAL_ADVERTISE_PEER_URLS": "http://etcd-4:2380",
}


class File:
    """A clusters file with one cluster in memory."""

    def __init__(self, policy: Policy | None = None, allow: Allow | None = None):
        self.etcd = MemoryEtcd(MemoryCluster(3))
        self._policy, self._allow = policy or Policy(), allow or Allow()

    def policy(self, cluster):
        return self._policy

    def allow(self, cluster):
        return self._allow

    def connect(self, cluster):
        return self.etcd


class Server:
    """Temporal, of which the run is asked whose it was at first."""

    client = None

    def __init__(self, original: str = "another-run"):
        self._original = original

    def call(self, question):
        question.close()
        return self._original


def asked(environment: ActivityEnvironment, do, *args, file: File | None = None, server: Server | None = None):
    """The answer of Trust's method, asked from within an activity."""
    trust = Trust(file or File(), server or Server())
    return environment.run(lambda: getattr(trust, do)(*args))


def refusal(*args, **more) -> MemberflowError:
    with pytest.raises((NotTrusted, NotAllowed)) as caught:
        asked(*args, **more)
    return caught.value


def order(environment: ActivityEnvironment, step: str = "add", **facts) -> StepOrder:
    return StepOrder(step, replace(FACTS, **facts), ticket(environment))


@pytest.mark.parametrize("activity", STEPS)
@pytest.mark.parametrize("step", ["add", "promote", "rollback", "move", "remove", "sync", "gone"])
def test_the_step_of_an_act_is_its_own(activity, step):
    """An order that says `add` to a removal would have it judged as an add, which a removal always passes."""
    environment = inside(activity, "replace")
    assert asked(environment, "act", order(environment, step)).step == STEPS[activity]


@pytest.mark.parametrize(
    ("activity", "verb"),
    [
        ("add_learner", "remove"),
        ("promote_learner", "remove"),
        ("remove_member", "join"),
        ("move_leader", "join"),
    ],
)
def test_a_change_has_no_steps_of_another_kind(activity, verb):
    """A join removes no voter, and a removal adds nothing."""
    environment = inside(activity, verb)
    assert f"{activity} must not be run by" in str(refusal(environment, "act", order(environment)))


@pytest.mark.parametrize("kind", [None, "", "InspectCluster", "PlanChange", "ClusterTurns", "Evil"])
def test_an_act_runs_in_changes_alone(kind):
    """Neither by itself nor in a workflow of another type."""
    environment = inside("remove_member", "remove")
    environment.info = replace(environment.info, workflow_type=kind)
    assert "remove_member must not be run by" in str(refusal(environment, "act", order(environment)))


@pytest.mark.parametrize(
    "workflow_id", ["", "mine", "memberflow:prod", "memberflow:prod:join:x", "memberflow:q:remove:x"]
)
def test_an_act_runs_under_the_id_of_its_change(workflow_id):
    """The ID has the cluster and the verb in it; with another one the change would have no turn of this cluster."""
    environment = inside("remove_member", "remove")
    environment.info = replace(environment.info, workflow_id=workflow_id)
    assert "no RemoveMember of that cluster has the ID" in str(refusal(environment, "act", order(environment)))


def test_a_ticket_is_its_own_changes():
    """By workflow ID and run ID; after a reset the first run's ID counts."""
    environment = inside("remove_member", "remove")
    own = order(environment)
    assert "the ticket belongs to 'memberflow:prod:remove:x'" in str(
        refusal(environment, "act", replace(own, ticket=Ticket("memberflow:prod:remove:x", own.ticket.run_id)))
    )
    reset = replace(own, ticket=replace(own.ticket, run_id="first"))
    assert asked(environment, "act", reset, server=Server("first")).ticket == reset.ticket
    assert "another run" in str(refusal(environment, "act", reset, server=Server("another")))


@pytest.mark.parametrize(
    ("own", "told", "expected"),
    [
        ((3, 1, 100), (1, 0, 10**9), (3, 1, 100)),
        ((1, 0, 100), (3, 2, 10), (3, 2, 10)),
        ((3, 0, 50), (2, 1, 60), (3, 1, 50)),
    ],
)
def test_the_stricter_policy_holds(own, told, expected):
    """Of the worker's file and of what the change began with."""
    own, told = (Policy(min_voters=v, min_spare=s, max_lag_entries=lag) for v, s, lag in (own, told))
    environment = inside("remove_member", "remove")
    policy = asked(environment, "act", order(environment, policy=told), file=File(own)).facts.policy
    assert (policy.min_voters, policy.min_spare, policy.max_lag_entries) == expected


def test_only_a_replace_has_another_half():
    """A removal that says that voters will return, or that it began with one, would be judged by that."""
    told = {"returning": 5, "began_with": (1, -1)}
    remove, replacing = inside("remove_member", "remove"), inside("remove_member", "replace")
    facts = asked(remove, "act", order(remove, **told)).facts
    assert (facts.returning, facts.began_with) == (0, None)
    facts = asked(replacing, "act", order(replacing, **told)).facts
    assert (facts.returning, facts.began_with) == (1, (1, -1))


@pytest.mark.parametrize(
    ("activity", "verb", "facts", "allow"),
    [
        ("remove_member", "remove", {"force": True}, Allow(force=False)),
        ("remove_member", "remove", {}, Allow(verbs=("join",))),
        ("add_learner", "join", {}, Allow(peer_urls=("http://*.example:2380",))),
        ("promote_learner", "join", {}, Allow(peer_urls=("http://*.example:2380",))),
        ("move_leader", "remove", {}, Allow(verbs=())),
    ],
)
def test_what_the_file_does_not_allow_is_not_done(activity, verb, facts, allow):
    """Whatever was allowed when the change began; what it added may still be taken back."""
    environment = inside(activity, verb)
    refused = refusal(environment, "act", order(environment, **facts), file=File(allow=allow))
    assert refused.name == "NotAllowed"
    environment = inside("remove_learner", verb)
    assert asked(environment, "act", order(environment, **facts), file=File(allow=allow))


@pytest.mark.parametrize(
    "facts",
    [
        {"name": "a\nb"},
        {"name": "x" * 200},
        {"peer_urls": ("http://a,b:2380",)},
        {"peer_urls": ("http://0.0.0.0:2380",)},
        {"peer_urls": ("http://root:secret@etcd-4:2380",)},
        {"peer_urls": tuple(f"http://etcd-4:{port}" for port in range(1, 18))},
        {"member_id": "../a1"},
        {"member_id": "A1"},
    ],
)
def test_names_in_an_order_are_checked_as_in_a_request(facts):
    """They go to etcd, to a log and to a handover all the same."""
    environment = inside("add_learner", "join")
    assert refusal(environment, "act", order(environment, **facts)).name == "NotTrusted"


def test_an_act_sends_a_url_in_its_one_spelling():
    """The judgements compare text, and etcd is sent the text that was judged."""
    environment = inside("add_learner", "join")
    odd = order(environment, peer_urls=("\x01HTTP://ETCD-4:02380/",))
    assert asked(environment, "act", odd).facts.peer_urls == ("http://etcd-4:2380",)


# ---- launches ----


def launch(**changes) -> LaunchOrder:
    return LaunchOrder("docker", replace(Launch("prod", "etcd-4", "f00", HANDOVER, cluster_id=CLUSTER_ID), **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../x"},
        {"member_id": "x y"},
        {"cluster_id": "x y"},
        {"members": ("x y",)},
        {"environment": {**HANDOVER, "LD_PRELOAD": "/x"}},
        {"environment": {**HANDOVER, "ETCD_INITIAL_CLUSTER": "a=http://a:1\nETCD_AUTO_TLS=true"}},
        {"environment": {**HANDOVER, "ETCD_NAME": "etcd-5"}},
        {"environment": {**HANDOVER, "ETCD_INITIAL_ADVERTISE_PEER_URLS": "http://{x}:1"}},
        {"cluster": "other"},
    ],
)
def test_a_launch_gets_a_handover_and_nothing_else(changes):
    """What runs in the container is the launcher's, from the worker's file."""
    assert refusal(inside("launch_member"), "launch", launch(**changes)).name == "NotTrusted"


def test_a_launcher_that_is_not_allowed_starts_nothing():
    """It may still be asked about what it started."""
    file = File(allow=Allow(launchers=("podman",)))
    assert refusal(inside("launch_member"), "launch", launch(), file=file).name == "NotAllowed"
    assert asked(inside("describe_launched"), "question", launch(), file=file) == "join"
    asked(inside("launch_member"), "launch", replace(launch(), launcher="podman"), file=file)


def test_a_member_at_another_address_than_allowed_is_not_launched():
    """A forged order would start the launcher's image for a cluster of the caller's own."""
    allowed, other = (File(allow=Allow(peer_urls=(f"http://{host}:2380",))) for host in ("etcd-4", "etcd-5"))
    asked(inside("launch_member"), "launch", launch(), file=allowed)
    refused = refusal(inside("launch_member"), "launch", launch(), file=other)
    assert (refused.name, "peer URL http://etcd-4:2380 is not allowed" in str(refused)) == ("NotAllowed", True)


def test_the_container_of_a_voter_is_not_stopped():
    """Only a look at its own cluster that shows the member gone, or a learner, makes way."""
    file = File()
    [voter, *_] = file.etcd.look().voters
    stop = inside("stop_launched")
    for changes, told in (
        ({"member_id": voter.id}, "is a voter, so its container and its data stay"),
        ({"member_id": ""}, "no member ID was given"),
        ({"cluster_id": "beef"}, "the container belongs to cluster ID beef"),
        ({"cluster_id": ""}, "the container belongs to cluster ID (none)"),
    ):
        assert told in str(refusal(stop, "stop", launch(**changes), file=file))
    asked(stop, "stop", launch(), file=file)
    learner = file.etcd.add_learner(("http://etcd-4:2380",), 5.0)
    asked(stop, "stop", launch(member_id=learner.id), file=file)


def test_without_a_look_nothing_is_stopped():
    """Silence is no evidence."""
    file = File()
    for member in file.etcd.look().members:
        file.etcd.cluster.members[member.id].alive = False
    with pytest.raises(MemberflowError):
        asked(inside("stop_launched"), "stop", launch(), file=file)


# ---- snapshots ----


def test_a_snapshot_goes_where_the_workers_file_says():
    """And a time of day is all that a payload adds."""
    file = File(Policy(snapshot_before_removal="/var/backups/{cluster}-{time}.db"))
    save = inside("save_snapshot", "remove")
    assert (
        str(asked(save, "snapshot", "prod", "20260102T030405Z", file=file)) == "/var/backups/prod-20260102T030405Z.db"
    )
    for time in ("", "../../etc/cron.d/x", "20260102T030405Z/../x"):
        assert "is not the time of a snapshot" in str(refusal(save, "snapshot", "prod", time, file=file))
    assert refusal(save, "snapshot", "prod", "20260102T030405Z").name == "NotAllowed"
    assert (
        refusal(inside("save_snapshot", "join"), "snapshot", "prod", "20260102T030405Z", file=file).name == "NotTrusted"
    )
