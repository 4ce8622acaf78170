"""The course's commands, as a learner types them: `course lab`, `course check 04`, ...

This file only reads the command line and hands on; what a command needs is imported when it runs,
so that help appears at once.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib import SYLLABUS, Notebook, find_notebook
from course_lib.cli_options import add_options

if TYPE_CHECKING:
    from course_lib.study.record.progress import Store

Command = Callable[[argparse.Namespace], int]

OFFLINE = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)
FIRST_HOUR = """\
a first hour:
  course lab             open the course and start with 00_start_here
  course check 04        run your notebook 04 and see which exercises are solved
  course progress        see what you have done so far
  course review          answer the questions that are due again
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, or 1 when something is wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    given, for_jupyter = _split(given)
    options = _parser().parse_args(given)
    options.for_jupyter = for_jupyter
    try:
        return int(options.run(options))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("course_lib"):
            raise
        print(f"{error}. `python3 start.py {options.command}` installs it.", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
    return 1


def _split(given: list[str]) -> tuple[list[str], list[str]]:
    """Cut the command line where Jupyter's part begins: at the first option after `lab`."""
    if given[:1] == ["lab"] or given[:2] == ["class", "server"]:
        for place, word in enumerate(given):
            if word.startswith("-") and word not in ("-h", "--help"):
                return given[:place], given[place:]
    return given, []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="course",
        description="A hands-on course on the insides of large language models.",
        epilog=FIRST_HOUR,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (run, short, more) in COMMANDS.items():
        text = f"{short[0].upper()}{short[1:]}. {more}"
        commands.add_parser(name, help=short, description=text).set_defaults(run=run)
    add_options(commands.choices)
    return parser


def _lab(options: argparse.Namespace) -> int:
    chosen = find_notebook(options.notebook)
    from course_lib.study.files.workspace import ensure_workspace, workspace_path

    folder = workspace_path()
    print(ensure_workspace(folder))
    print("JupyterLab starts; to stop it, press Ctrl-C here.", flush=True)
    command = [sys.executable, "-m", "jupyterlab", f"{chosen.stem}.ipynb"]
    asked = ("--allow-root",) if _is_root() else ()  # JupyterLab asks root for it
    return _become([*command, *OFFLINE, *asked, *options.for_jupyter], folder)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _become(command: list[str], folder: Path) -> int:
    """Go on as another program, which then hears Ctrl-C and every other signal itself."""
    if os.name != "nt":
        os.chdir(folder)
        os.execv(command[0], command)
    with subprocess.Popen(command, cwd=folder) as child:  # Windows has no such change of program
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue  # the program has heard it too, and decides


def _chat(options: argparse.Namespace) -> int:
    from course_lib.chat_command import chat

    asked = {name: getattr(options, name) for name in ("temperature", "top_p", "top_k")}
    changes = {name: value for name, value in asked.items() if value is not None}
    limits = (options.seed, options.max_new_tokens, options.cache_bits)
    return chat(options.source, *limits, **changes)


def _ask(options: argparse.Namespace) -> int:
    from course_lib.ask_command import ask

    return ask(" ".join(options.question), options.count, options.model)


def _serve(options: argparse.Namespace) -> int:
    from course_lib.compression import quantised_pool
    from course_lib.serving import empty_pool
    from course_lib.serving.command import start

    place = (options.host, options.port, options.api_key)
    make_pool = quantised_pool(options.cache_bits) if options.cache_bits else empty_pool
    return start(options.source, *place, options.blocks, options.draft, make_pool)


def _mcp(options: argparse.Namespace) -> int:
    from course_lib.agents.mcp_command import start

    return start(options.port)


def _evaluate(options: argparse.Namespace) -> int:
    from course_lib.evaluation.command import evaluate_command

    which = (options.source, options.task, options.against)
    return evaluate_command(*which, options.limit, options.seed, options.output, options.repeat)


def _test(options: argparse.Namespace) -> int:
    from course_lib.authoring.suite import run_whole

    return run_whole(options.quick, options.resume, options.store_times)


def _check(options: argparse.Namespace) -> int:
    if options.bank:
        return _check_bank()
    if options.device:
        from course_lib.authoring.device_replay import replay_on

        return int(replay_on(options.device, options.names) > 0)
    names = options.names or [notebook.slug for notebook in SYLLABUS]
    wrong = [name for name in names if _check_own_copy(name)]
    return int(bool(wrong))


def _check_own_copy(name: str) -> bool:
    """Run a learner's notebook, tell how its exercises stand, and return whether one is wrong."""
    from course_lib.authoring.replay import exercise_outcomes
    from course_lib.study.chapter_parts import find_exercise
    from course_lib.study.outcomes import Outcome

    exercise = find_exercise(name).id if "." in name else None
    notebook = find_notebook(name.partition(".")[0])
    print(f"{notebook.stem}: running your copy", flush=True)
    outcomes = exercise_outcomes(_own_copy(notebook))
    if exercise is not None and exercise not in outcomes:
        raise ValueError(f"Your copy of {notebook.stem} has no cell with {exercise!r} any more.")
    shown = {each: it for each, it in outcomes.items() if exercise in (None, each)}
    for each, outcome in shown.items():
        print(f"  {each:<36} {outcome}")
    return any(it not in (Outcome.PASSED, Outcome.NOT_ATTEMPTED) for it in shown.values())


def _check_bank() -> int:
    from course_lib.study.chapter_parts import all_exercises
    from course_lib.study.check.bank_proof import bank_report

    table, problems = bank_report(all_exercises())
    print(table)
    print("\n".join(["", *problems] if problems else ["", "Every claim holds."]))
    return int(bool(problems))


def _own_copy(notebook: Notebook) -> Path:
    from course_lib.study.files.workspace import workspace_path

    path = workspace_path() / f"{notebook.stem}.ipynb"
    if not path.exists():
        raise ValueError(f"You have no copy of {notebook.stem} yet; `course lab` makes it.")
    return path


def _progress(options: argparse.Namespace) -> int:
    from course_lib.study.record.progress import store

    results = store()
    if options.export is not None:
        return _export(options, results)
    if options.report is not None:
        from course_lib.study.record.report import write_report

        print(f"Written: {write_report(Path(options.report), results)}")
        return 0
    from course_lib.study.record.progress_table import progress_table

    print(progress_table(results))
    print(f"\nKept in {results.path}." if results.path else "\nNothing is recorded here.")
    return 0


def _export(options: argparse.Namespace, results: "Store") -> int:
    from course_lib.study.record.export import exported, write_export

    slugs = [find_notebook(name).slug for name in options.only]
    name = options.name or os.environ.get("JUPYTERHUB_USER", "")
    export = exported(results, name, slugs)
    print(f"Written: {write_export(Path(options.export), export)}, under the name {export.name!r}.")
    print(
        f"It holds counts and dates of {len(export.runs)} exercises and {len(export.answers)} "
        "questions, and none of your code or answers. It is text: look at it before you hand it in."
    )
    return 0


def _class(options: argparse.Namespace) -> int:
    from course_lib import class_command

    if options.action == "server":
        command, folder = class_command.server()
        return _become([*command, *OFFLINE, *options.for_jupyter], folder)
    folder = Path(options.folder)
    if options.action == "report":
        return class_command.report(folder, options.html, options.csv)
    return class_command.hub(folder) if options.action == "hub" else class_command.update(folder)


def _review(options: argparse.Namespace) -> int:
    from course_lib.study.ask.terminal import session

    slug = find_notebook(options.notebook).slug if options.notebook else None
    session(slug, options.count, options.mixed)
    return 0


def _reset(options: argparse.Namespace) -> int:
    chosen = [find_notebook(options.notebook)] if options.notebook else list(SYLLABUS)
    names = ", ".join(each.stem for each in chosen)
    if options.progress:
        question = f"This forgets the recorded results of {names}; they cannot be brought back."
    else:
        question = f"This puts fresh notebooks in place of yours, which are kept: {names}."
    if not (options.yes or _agreed(question)):
        print("Nothing was changed.")
        return 1
    if options.progress:
        from course_lib.study.record.progress import store

        gone = store().reset(chosen[0].slug if options.notebook else None)
        print(f"Forgotten: {gone} results.")
        return 0
    from course_lib.study.files.workspace import reset_notebook, workspace_path

    for each in chosen:
        print(f"Fresh: {reset_notebook(each.stem)}")
    print(f"What was there is in {workspace_path() / '.course' / 'backups'}")
    return 0


def _agreed(question: str) -> bool:
    try:
        return input(f"{question} Go on? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # nobody is there to answer
        print()
        return False


def _update(options: argparse.Namespace) -> int:
    from course_lib.study.files.workspace import ensure_workspace, workspace_path

    print(ensure_workspace(workspace_path()))
    return 0


def _train(options: argparse.Namespace) -> int:
    from course_lib.train_command import train

    return train(
        options.recipe,
        Path(options.folder) if options.folder else None,
        seed=options.seed,
        start=Path(options.start) if options.start else None,
        until=options.until,
        parallel=options.parallel,
    )


def _new(options: argparse.Namespace) -> int:
    from course_lib.authoring.new_chapter import MARK, ROOT, new_chapter

    for path in new_chapter(options.slug, options.after):
        print(path.relative_to(ROOT))
    print(
        f"\nThe chapter runs as it is. Replace what is marked {MARK} and the example with your "
        f"own, then `course build {options.slug}` and `course test`."
    )
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from course_lib.study.files.doctor import doctor

    return doctor()


def _build(options: argparse.Namespace) -> int:
    if options.html:
        from course_lib.authoring.edition import write_edition

        named = [find_notebook(name) for name in options.notebooks]
        moving = () if options.still else named or SYLLABUS
        print(write_edition(Path(options.html), moving=moving)[0])
        return 0
    from course_lib.authoring.build import build

    for path in build([find_notebook(name).stem for name in options.notebooks]):
        print(path)
    return 0


COMMANDS: dict[str, tuple[Command, str, str]] = {
    "lab": (
        _lab,
        "open the course in JupyterLab",
        "Your own copy of the notebooks is made or updated first; nothing that you wrote is "
        "changed. Options after the notebook, such as --no-browser or --port 8890, are for "
        "JupyterLab.",
    ),
    "check": (
        _check,
        "run your notebook and tell how each exercise stands",
        "The file itself stays as it is. Without a name, all your notebooks are run.",
    ),
    "chat": (
        _chat,
        "talk to a model in the terminal",
        "Without a folder it is the course's own model, which continues what you type. The "
        "answer comes as it is written; Ctrl-C stops it, Ctrl-D ends the conversation. Sampling is "
        "what the checkpoint asks for, unless an option says otherwise.",
    ),
    "ask": (
        _ask,
        "search Python's documentation, and let a model answer from it",
        "Prints the passages that answer best, each with the page on which it stands. With --model "
        "a checkpoint answers from them, and what they do not support is reported.",
    ),
    "serve": (
        _serve,
        "answer many clients at once, over OpenAI's HTTP API",
        "Without a folder it is the course's own model. Only this machine is answered unless "
        "--host says otherwise; then give an --api-key too. Ctrl-C lets running answers finish.",
    ),
    "mcp": (
        _mcp,
        "offer a calculator and a search of Python's documentation to any MCP client",
        "A client starts this command itself and talks over stdio; with --port it is served over "
        "HTTP at /mcp, to this machine only.",
    ),
    "evaluate": (
        _evaluate,
        "score a model on a task, with intervals, and compare two",
        "Without a folder it is the course's own model. A result that is kept with --output holds "
        "every answer, the seed, the versions and hashes of items and weights.",
    ),
    "progress": (
        _progress,
        "show what you have done",
        "Exercises count as solved once they have passed; questions by your last answer. Nothing "
        "leaves your machine; --export writes what you may hand to a teacher, for you to look at.",
    ),
    "review": (
        _review,
        "answer the quiz questions that are due again, in the terminal",
        "A question that was missed comes back the next day, one that was right after a growing "
        "number of days.",
    ),
    "train": (
        _train,
        "train one of the course's models from scratch",
        "Interrupt it whenever you like: the same command goes on where it last saved.",
    ),
    "reset": (
        _reset,
        "begin a notebook again, or forget results",
        "Your notebook is kept under a name with the date. Asks before it acts.",
    ),
    "update": (
        _update,
        "bring your copy of the notebooks up to date",
        "What you wrote stays, cell by cell; where the course has a newer text, it comes below "
        "yours.",
    ),
    "class": (
        _class,
        "teach a class: a hub for it, updates, and a report on what learners hand in",
        "hub FOLDER writes the configuration of a JupyterHub, and update FOLDER brings the "
        "notebooks of everybody in it up to date. report FOLDER gathers what learners wrote with "
        "`course progress --export`. The hub itself starts each learner's server.",
    ),
    "doctor": (
        _doctor,
        "look for what is wrong with the installation",
        "Prints a report to paste into a bug report, with a remedy for each thing that is wrong.",
    ),
    "test": (
        _test,
        "check the course itself: style, types, tests, the browser and every notebook",
        "For those who change the course. Says first what runs and about how long it takes on this "
        "machine. Each part runs even when an earlier one has failed. The "
        "tests in a browser need Chromium: root on Debian gets it from the system's packages, "
        "others are told how to install it.",
    ),
    "new": (
        _new,
        "begin a chapter: write a small one that works, to be filled",
        "For authors: writes the chapter's module, folder, notebook source and tests, its line in "
        "the catalogue and its row in the README. Later notebooks move up by one.",
    ),
    "build": (
        _build,
        "make the notebooks from their sources, or the course as pages to read",
        "For authors: runs notebooks/source/NN_name.py and stores the result as a notebook. With "
        "--html the stored notebooks become pages that need no network and no kernel. What the "
        "explorers show is drawn for every stop of their controls, which takes minutes the first "
        "time; of notebooks that are not named, or with --still, they stay pictures.",
    ),
}


if __name__ == "__main__":
    sys.exit(main())
