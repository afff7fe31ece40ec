"""Trial of an NNI experiment: makes one call of the search in a worker process of its own and returns its result."""

from __future__ import annotations

import json
import os
import pickle
import sys
import threading
from multiprocessing.connection import Client, Connection
from typing import Any

import nni

from ..errors import WorkerError
from ..failures import Raised, attempt, reason
from .capped_output import output_of
from .nni_messages import read_messages_as_json
from .process_executor import ProcessExecutor
from .remote_call import perform_in

TRIAL = b"trial "
"""Beginning of the first message to the search's process; the rest is the number of the call."""


def main(address: str) -> None:
    """Makes the call that NNI's parameters name, and reports its score to NNI, for its page alone.

    Args:
        address: Socket of the search's process.
    """
    read_messages_as_json()
    number = int(nni.get_next_parameter()["call"])
    connection: Connection[Any, Any] = Client(address, "AF_UNIX")
    connection.send_bytes(TRIAL + str(number).encode())
    call, deadline_s, limits = pickle.loads(connection.recv_bytes())
    with ProcessExecutor(1, deadline_s=deadline_s, limits=limits) as executor:
        future = perform_in(executor, call, {})
        threading.Thread(target=_end_with_search, args=(connection, executor), daemon=True).start()
        outcome: Any = attempt(future.result)
    output = output_of(future)
    answer: Any = attempt(pickle.dumps, (outcome, output))
    if answer.error is not None:
        answer = attempt(pickle.dumps, (Raised(WorkerError(reason(answer.error))), output))
    connection.send_bytes(answer.value)
    score = getattr(outcome.value.value, "value", 0.0) if outcome.error is None else 0.0
    nni.report_final_result({"default": float(score), "call": number})
    if outcome.error is not None:
        sys.exit(1)  # so that NNI's page shows it as failed


def _end_with_search(connection: Connection[Any, Any], executor: ProcessExecutor) -> None:
    """Ends this process and its worker when the search's process is gone."""
    try:
        connection.poll(None)
        connection.recv_bytes()
    except (EOFError, OSError):
        executor.kill()
        os._exit(1)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
