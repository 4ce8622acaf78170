"""The proof of a chapter's exercises, in a process of its own, in which types are not checked.

What every chapter needs is imported once, by a process that does nothing but divide itself.
"""

import multiprocessing
import sys
import time
import traceback
from multiprocessing.connection import Connection

from course_lib.study.chapter_parts import exercises_of
from course_lib.study.check.bank_proof import findings
from course_lib.study.check.mutation_score import survivors

CONTEXT = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
CONTEXT.set_forkserver_preload(["torch._dynamo", __name__])


def proven_elsewhere(slug: str) -> tuple[list[str], float]:
    """Return a line for each claim that does not hold, and how long the processor was used."""
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_prove, args=(slug, sender))
    with receiver:
        with sender:
            process.start()
        try:
            return receiver.recv()
        except EOFError:
            process.join()
            return [f"the proof of {slug} ended with exit code {process.exitcode}"], 0.0
        finally:
            process.kill()
            process.join()
            process.close()


def _prove(slug: str, sender: Connection) -> None:
    try:
        found = _problems(slug)
    except BaseException:
        found = traceback.format_exc().splitlines()
    sender.send((found, time.process_time()))


def _problems(slug: str) -> list[str]:
    exercises = exercises_of(slug)
    claims = [each for exercise in exercises for each in findings(exercise)]
    return [*(str(each) for each in claims if not each.holds), *survivors(exercises)]
