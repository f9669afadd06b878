#!/usr/bin/python
"""Ansible module: a member of an etcd cluster, through memberflow's command line."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: memberflow_member
short_description: Joins, replaces or removes a member of an etcd cluster
description:
  - Runs C(memberflow) on the host of the task, which needs Temporal's address (TEMPORAL_ADDRESS) and nothing of etcd's.
  - In check mode it runs C(memberflow plan), and fails where the change would be refused.
options:
  cluster: {type: str, required: true, description: name of the cluster in the workers' clusters file}
  name: {type: str, required: true, description: name of the member}
  state: {type: str, choices: [present, absent], default: present, description: a voter of the cluster, or gone from it}
  peer_urls: {type: list, elements: str, description: peer URLs of the member, with state=present}
  replaces: {type: str, description: hex ID or name of the member that leaves in the same change}
  until: {type: str, choices: [added, done], default: done, description: when to return}
  timeout: {type: str, default: 1h, description: how long to wait (the change goes on after it)}
  force: {type: bool, default: false, description: a removal may break the policy, but never the quorum}
  executable: {type: str, default: memberflow, description: the command line}
"""

RETURN = """
outcome: {type: str, returned: success, description: how the change ended, as in the JSON of memberflow}
handover: {type: dict, returned: when the learner is added, description: the new member's ETCD_* values}
"""

UNCHANGED = ("already-voter", "already-removed")

ARGUMENTS = {
    "cluster": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "peer_urls": {"type": "list", "elements": "str", "default": []},
    "replaces": {"type": "str"},
    "until": {"type": "str", "choices": ["added", "done"], "default": "done"},
    "timeout": {"type": "str", "default": "1h"},
    "force": {"type": "bool", "default": False},
    "executable": {"type": "str", "default": "memberflow"},
}


def ask(module: AnsibleModule, *arguments: str) -> dict[str, Any]:
    """The JSON answer of a command. Ends the task with the command's own reason and hint when it fails."""
    code, out, err = module.run_command([module.params["executable"], *arguments, "--json"])
    try:
        answer = json.loads(out)
    except ValueError:
        module.fail_json(msg=err or out or f"exit {code}", rc=code)
    if code != 0:
        refusal = next((check for check in answer.get("checks", []) if check["verdict"] == "refuse"), {})
        reason = answer.get("error") or answer.get("reason") or refusal.get("evidence") or err
        hint = answer.get("hint") or refusal.get("hint")
        module.fail_json(msg=f"{reason} ({hint})" if hint else reason, rc=code, answer=answer)
    return answer


def change(params: dict[str, Any]) -> list[str]:
    """The words of the command line for the change that is asked for."""
    cluster, name = params["cluster"], params["name"]
    if params["state"] == "absent":
        return ["remove", cluster, name, *(["--force"] if params["force"] else [])]
    urls = [word for url in params["peer_urls"] for word in ("--peer-url", url)]
    if params["replaces"]:
        return ["replace", cluster, params["replaces"], name, *urls, *(["--force"] if params["force"] else [])]
    return ["join", cluster, name, *urls]


def members(module: AnsibleModule) -> dict[str, str]:
    """A line for each member, as they are now."""
    seen = ask(module, "status", module.params["cluster"])["status"]["members"]
    return {
        member["name"] or member["id"]: _line(member["peer_urls"], is_learner=member["is_learner"]) for member in seen
    }


def _line(peer_urls: list[str], *, is_learner: bool) -> str:
    return f"{'learner' if is_learner else 'voter'} {' '.join(sorted(peer_urls))}"


def expected(params: dict[str, Any], before: dict[str, str]) -> dict[str, str]:
    """The members as they are to be."""
    after = {name: line for name, line in before.items() if name not in (params["name"], params["replaces"])}
    if params["state"] == "present":
        after[params["name"]] = _line(params["peer_urls"], is_learner=False)
    return after


def as_text(seen: dict[str, str]) -> str:
    return "".join(f"{name} {line}\n" for name, line in sorted(seen.items()))


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True, required_if=[("state", "present", ["peer_urls"])])
    params = module.params
    before = members(module)
    after = expected(params, before)
    shown = {"before": as_text(before), "after": as_text(after), "before_header": params["cluster"]}
    if module.check_mode:
        plan = ask(module, "plan", *change(params))
        module.exit_json(changed=before != after, verdict=plan["verdict"], diff=shown)
    waiting = ["--timeout", params["timeout"]]
    if params["state"] == "present" and params["until"] == "added":
        waiting += ["--until", "added"]
    answer = ask(module, *change(params), *waiting)
    more = {}
    if answer["outcome"] == "added":
        more["handover"] = ask(module, "env", params["cluster"], params["name"])
    module.exit_json(changed=answer["outcome"] not in UNCHANGED, outcome=answer["outcome"], diff=shown, **more)


if __name__ == "__main__":
    main()
