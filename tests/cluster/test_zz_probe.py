import sys, time
sys.path.insert(0,"/tmp/w4/tests/cluster")
from test_steering import *
def test_probe(lab):
    cluster = lab.cluster()
    cluster.policy = {"start_timeout": "2s", "on_failure": "hold"}
    join = cluster.join(cluster.new_member())
    join.handover()
    workflow_id = cluster.workflow_id(join.new)
    t=time.time()
    eventually(lambda: "StartTimeout" in lab.held(workflow_id), "the join to be held")
    print("held", time.time()-t)
    by_cli(lab, cluster, "resume", join)
    print("resumed", time.time()-t)
    while time.time()-t < 25:
        v=lab.view(workflow_id); print(round(time.time()-t,1), v["stage"], v["waits_for"], v["held"])
        if v["held"]: break
        time.sleep(.3)
    import json
    for e in lab._cli("workflow","show","--workflow-id",workflow_id)["events"]:
        a=[x for k,x in e.items() if k.endswith("Attributes")][0]
        print(e["eventTime"][17:23], e["eventType"][11:], (a.get("activityType") or {}).get("name",""), a.get("startToFireTimeout",""))
    assert 0
