"""The course's commands, as a learner types them: `course lab`, `course check 04`, ...

This file only reads the command line and hands on; what a command needs is imported when it runs,
so that help appears at once.
"""

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from course_lib import SYLLABUS, find_notebook
from course_lib.cli_help import HELP
from course_lib.cli_options import add_options

Command = Callable[[argparse.Namespace], int]

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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console or a pipe may lack a letter
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
    for name, run in COMMANDS.items():
        short, more = HELP[name]
        text = f"{short[0].upper()}{short[1:]}. {more}"
        commands.add_parser(name, help=short, description=text).set_defaults(run=run)
    add_options(commands.choices)
    return parser


def _lab(options: argparse.Namespace) -> int:
    from course_lib.lab_command import lab

    return lab(options.notebook, options.for_jupyter)


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
    from course_lib.check_command import check_bank, check_on, check_own

    if options.bank:
        return check_bank()
    return check_on(options.device, options.names) if options.device else check_own(options.names)


def _progress(options: argparse.Namespace) -> int:
    from course_lib.record_command import progress

    return progress(options.report, options.export, options.name, options.only)


def _class(options: argparse.Namespace) -> int:
    from course_lib import class_command

    if options.action == "server":
        return class_command.server(options.for_jupyter)
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
    from course_lib.record_command import reset

    return reset(options.notebook, options.progress, options.yes)


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


COMMANDS: dict[str, Command] = {
    "lab": _lab,
    "check": _check,
    "chat": _chat,
    "ask": _ask,
    "serve": _serve,
    "mcp": _mcp,
    "evaluate": _evaluate,
    "progress": _progress,
    "review": _review,
    "train": _train,
    "reset": _reset,
    "update": _update,
    "class": _class,
    "doctor": _doctor,
    "test": _test,
    "new": _new,
    "build": _build,
}


if __name__ == "__main__":
    sys.exit(main())
