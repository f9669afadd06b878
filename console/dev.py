"""memberflow dev: for working on memberflow itself"""

from __future__ import annotations

from console.app import SET_UP, examples, group
from console.options import Json, Output

dev = group("dev", SET_UP, "Work on memberflow itself.", "memberflow dev etcd-path")


@dev.command("etcd-path", epilog=examples("memberflow dev etcd-path"))
def etcd_path(output: Output = None, json: Json = False) -> None:
    """Find, download or build the etcd binary that the demo and the tests use, and print its path."""
    from client.exit_codes import FAILED, CommandError
    from console.terminal.output import answer, print_answer, say
    from local.binary import find_etcd
    from membership.errors import MemberflowError
    from settings import cache_dir

    answer.format = "json" if json else output or ""
    try:
        path = find_etcd(cache_dir(), say)
    except MemberflowError as error:
        raise CommandError(FAILED, str(error), error.hint) from error
    if not print_answer({"path": str(path)}):
        print(path)


@dev.callback()
def _root() -> None:
    """Keeps `etcd-path` a command of its own."""
