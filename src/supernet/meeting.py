"""How processes that were started together find each other in a store that may outlive them.

The agent of `torchrun` keeps its store when it starts processes again, with all that those before them
wrote there. So each attempt has a room of its own in it, which the first process names.
"""

from __future__ import annotations

import json
import time
import uuid
from datetime import timedelta
from typing import Any

from supernet.errors import RanksError

__all__ = ["meet"]


def meet(store: Any, rank: int, count: int, timeout: timedelta) -> str:
    """Return a text that all processes of this attempt have, and none of another one.

    Process 0 names a room. The others write there who they are, and know that the room is of this
    attempt, and not of one before, once process 0 has read it.

    Args:
        store: `torch.distributed.Store` of all processes.
        rank: number of this process, from 0.
        count: number of processes.
        timeout: time after which waiting for another one is given up.

    Raises:
        RanksError: the others do not come.
    """
    me, until = uuid.uuid4().hex, time.monotonic() + timeout.total_seconds()
    if rank == 0:
        store.set("room", me)
    while time.monotonic() < until:
        room = me if rank == 0 else store.get("room").decode()
        store.set(f"{room}/{rank}", me)
        if rank == 0 and all(store.check([f"{room}/{other}"]) for other in range(count)):
            here = [store.get(f"{room}/{other}").decode() for other in range(count)]
            store.set(f"{room}/here", json.dumps(here))
        if store.check([f"{room}/here"]) and me in json.loads(store.get(f"{room}/here")):
            return room
        time.sleep(0.02)
    raise RanksError(
        f"process {rank} of {count} waited {timeout.total_seconds():,.0f} seconds for the others, which "
        "did not come; their own messages say why"
    )
