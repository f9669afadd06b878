"""
Stubs of etcd's API, generated from the .proto files beside this one by `make stubs`.

etcd3 0.12.0 ships stubs that do not load with protobuf 4 and later and know no learners. `install` puts
these in their place; it must run before etcd3 is imported for the first time.
"""

from __future__ import annotations

import sys
from types import ModuleType

from etcdapi.stubs import rpc_pb2, rpc_pb2_grpc


def install() -> None:
    """
    Puts the generated stubs in place as `etcd3.etcdrpc`.

    Raises RuntimeError when etcd3 was imported before, with its own stubs.
    """
    present = sys.modules.get("etcd3.etcdrpc")
    if present is not None:
        if getattr(present, "MemberPromoteRequest", None) is not rpc_pb2.MemberPromoteRequest:
            raise RuntimeError("etcd3 was imported before etcdapi.stubs.install()")
        return
    module = ModuleType("etcd3.etcdrpc")
    for source in (rpc_pb2, rpc_pb2_grpc):
        vars(module).update({name: value for name, value in vars(source).items() if not name.startswith("_")})
    sys.modules["etcd3.etcdrpc"] = module
