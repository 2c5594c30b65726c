"""Consent to added processors, from Python.

- `SetPage`: the active set of a partition, read from shared memory.
- `Partition`: adds, removes and rehearses processors, and reports.
- `Agent`: is asked before a processor joins, and may refuse by raising `Veto`. For asyncio.
- `parallelism`: how many threads or processes to use now.
"""

from ._errors import HotaddError, PageError, PartitionError, Veto
from ._parallelism import parallelism
from ._wire import Processor
from .agent import Agent, Details, Registration
from .page import ActiveSet, SetPage
from .partition import Absent, Answer, Change, Partition, Party, Rehearsal, Status, Waiting

__all__ = [
    "Absent", "ActiveSet", "Agent", "Answer", "Change", "Details", "HotaddError", "PageError", "Partition", "PartitionError",
    "Party", "Processor", "Registration", "Rehearsal", "SetPage", "Status", "Veto", "Waiting", "parallelism",
]
