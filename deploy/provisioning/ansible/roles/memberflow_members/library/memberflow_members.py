#!/usr/bin/python
"""Ansible module: the members of an etcd cluster, through `memberflow apply`."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: memberflow_members
short_description: Gives an etcd cluster the members of a list
description:
  - Runs C(memberflow) on the host of the task, which needs Temporal's address (TEMPORAL_ADDRESS) and nothing of etcd's.
  - Tasks with the same list attach to the same apply, on however many hosts they run.
  - In check mode it runs C(memberflow plan apply), and fails where the list would be refused.
options:
  cluster: {type: str, required: true, description: name of the cluster in the workers' clusters file}
  members: {type: dict, required: true, description: peer URLs of each member, by its name}
  prune: {type: bool, default: false, description: members that are not in the list leave}
  member: {type: str, description: return as soon as this member may be started, or is a voter already}
  timeout: {type: str, default: 1h, description: how long to wait; the apply goes on after it}
  executable: {type: str, default: memberflow, description: the command line}
"""

RETURN = """
outcome: {type: str, returned: success, description: how the apply ended, or how far the member is}
handover: {type: dict, returned: when the member may be started, description: its ETCD_* values}
"""

UNCHANGED = ("no-changes", "already-voter")

ARGUMENTS = {
    "cluster": {"type": "str", "required": True},
    "members": {"type": "dict", "required": True},
    "prune": {"type": "bool", "default": False},
    "member": {"type": "str"},
    "timeout": {"type": "str", "default": "1h"},
    "executable": {"type": "str", "default": "memberflow"},
}


def ask(module: AnsibleModule, *arguments: str, stdin: str = "") -> dict[str, Any]:
    """The JSON answer of a command. Ends the task with the command's own reason and hint when it fails."""
    code, out, err = module.run_command([module.params["executable"], *arguments, "--json"], data=stdin)
    try:
        answer = json.loads(out)
    except ValueError:
        module.fail_json(msg=err or out or f"exit {code}", rc=code)
    if code != 0:
        checks = [*answer.get("checks", []), *answer.get("first", [])]
        refusal = next((check for check in checks if check["verdict"] == "refuse"), {})
        reason = answer.get("error") or answer.get("reason") or refusal.get("evidence") or err
        hint = answer.get("hint") or refusal.get("hint")
        module.fail_json(msg=f"{reason} ({hint})" if hint else reason, rc=code, answer=answer)
    return answer


def members_now(module: AnsibleModule) -> dict[str, str]:
    """A line for each member, as they are now."""
    shown = ask(module, "status", module.params["cluster"])["status"]["members"]
    return {
        member["name"] or member["id"]: _line(member["peer_urls"], is_learner=member["is_learner"]) for member in shown
    }


def _line(peer_urls: list[str], *, is_learner: bool) -> str:
    return f"{'learner' if is_learner else 'voter'} {' '.join(sorted(peer_urls))}"


def as_text(members: dict[str, str]) -> str:
    return "".join(f"{name} {line}\n" for name, line in sorted(members.items()))


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    params = module.params
    words = ["apply", params["cluster"], "--from", "-", *(["--prune"] if params["prune"] else [])]
    members = "".join(f"{name} {','.join(urls)}\n" for name, urls in params["members"].items())
    if module.check_mode:
        before = members_now(module)
        listed = {name: _line(urls, is_learner=False) for name, urls in params["members"].items()}
        after = listed if params["prune"] else {**before, **listed}
        shown = {"before": as_text(before), "after": as_text(after), "before_header": params["cluster"]}
        plan = ask(module, "plan", *words, stdin=members)
        module.exit_json(changed=bool(plan["steps"]), verdict=plan["verdict"], diff=shown)
    waiting = ["--timeout", params["timeout"], *(["--member", params["member"]] if params["member"] else [])]
    answer = ask(module, *words, *waiting, stdin=members)
    more = {}
    if answer["outcome"] == "added":
        more["handover"] = ask(module, "env", params["cluster"], params["member"])
    module.exit_json(changed=answer["outcome"] not in UNCHANGED, outcome=answer["outcome"], **more)


if __name__ == "__main__":
    main()
