"""The arguments and options of each of the course's commands."""

import argparse
from collections.abc import Mapping

NOTEBOOK = "a notebook, by number (04) or name (softmax)"


def add_options(of: Mapping[str, argparse.ArgumentParser]) -> None:
    """Give each command, by name, its arguments and options."""
    _add_study_options(of)
    _add_check_options(of["check"])
    _add_train_options(of["train"])
    _add_author_options(of)
    _add_chat_options(of["chat"])
    _add_serve_options(of["serve"])
    _add_ask_options(of["ask"])
    of["mcp"].add_argument(
        "--port", type=int, metavar="N", help="serve over HTTP at this port; stdio without"
    )
    _add_evaluate_options(of["evaluate"])
    _add_class_options(of["class"])


def _add_study_options(of: Mapping[str, argparse.ArgumentParser]) -> None:
    of["lab"].add_argument("notebook", nargs="?", default="00", metavar="NN", help=NOTEBOOK)
    of["progress"].add_argument(
        "--report", metavar="FILE.html", help="write what is recorded into one HTML file"
    )
    of["progress"].add_argument(
        "--export", metavar="FILE.json", help="write what a teacher may gather into one text file"
    )
    of["progress"].add_argument(
        "--name", metavar="NAME", help="yours, or a pseudonym, as it stands in the export"
    )
    of["progress"].add_argument(
        "--only", nargs="+", default=[], metavar="NN", help="export these notebooks; all without"
    )
    of["review"].add_argument("notebook", nargs="?", metavar="NN", help=f"{NOTEBOOK}; all without")
    of["review"].add_argument("--mixed", action="store_true", help="ask what is not due as well")
    of["review"].add_argument(
        "--count", type=int, default=10, metavar="N", help="how many questions at most (10)"
    )
    of["reset"].add_argument("notebook", nargs="?", metavar="NN", help=f"{NOTEBOOK}; all without")
    of["reset"].add_argument(
        "--progress", action="store_true", help="forget recorded results instead of the notebook"
    )
    of["reset"].add_argument("--yes", action="store_true", help="do not ask")


def _add_check_options(check: argparse.ArgumentParser) -> None:
    check.add_argument(
        "names", nargs="*", metavar="NN", help=f"{NOTEBOOK}, or one exercise (softmax.stable)"
    )
    check.add_argument(
        "--device",
        metavar="NAME",
        help="for authors: replay the stored notebooks on cuda, mps or cpu and compare the outputs",
    )
    check.add_argument(
        "--bank",
        action="store_true",
        help="for authors: prove that each exercise accepts right answers and names wrong ones",
    )


def _add_train_options(train: argparse.ArgumentParser) -> None:
    train.add_argument(
        "--recipe",
        default="quick",
        metavar="NAME",
        help="quick (the default), course-model, a stage of the assistant, or another; an unknown "
        "name lists them all",
    )
    train.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of a stage's weights and data (0)"
    )
    train.add_argument(
        "--start", metavar="DIR", help="the model that a stage starts from; the stored one without"
    )
    train.add_argument(
        "--folder", metavar="DIR", help="where the run is kept; models/NAME in the data folder"
    )
    train.add_argument(
        "--until", type=int, metavar="STEP", help="stop there; the same command goes on later"
    )
    train.add_argument(
        "--parallel",
        metavar="dp=N,...",
        help="spread quick or course-model over the ranks of torchrun, by any of dp, tp, pp, cp, "
        "sequence, zero, microbatches, schedule: dp=2,tp=2,zero=1 or pp=2,microbatches=4; "
        "recompute=1 keeps only the inputs of layers, loss_scale=65536 scales losses for float16",
    )


def _add_author_options(of: Mapping[str, argparse.ArgumentParser]) -> None:
    of["test"].add_argument(
        "--quick",
        action="store_true",
        help="five minutes on two idle cores: leave out the browser, the notebooks and the tests "
        "that take longest; they are named",
    )
    of["test"].add_argument(
        "--resume",
        action="store_true",
        help="run only what has not passed yet, as long as no file of the course has changed",
    )
    of["test"].add_argument(
        "--store-times",
        action="store_true",
        help="for authors: keep how long each part took, in tests/seconds.tsv",
    )
    of["new"].add_argument("slug", metavar="SLUG", help="its name, such as beam_search")
    of["new"].add_argument(
        "--after", metavar="NN", help=f"{NOTEBOOK} to stand before it; the last one without"
    )
    of["build"].add_argument("notebooks", nargs="*", metavar="NN", help=f"{NOTEBOOK}; all without")
    of["build"].add_argument(
        "--html", metavar="DIR", help="write the stored notebooks as HTML pages to read offline"
    )
    of["build"].add_argument(
        "--still", action="store_true", help="leave the explorers of the pages as pictures"
    )


def _add_chat_options(chat: argparse.ArgumentParser) -> None:
    chat.add_argument(
        "source", nargs="?", metavar="FOLDER", help="a checkpoint's folder, or its name on the hub"
    )
    chat.add_argument("--temperature", type=float, metavar="T", help="0 is greedy")
    chat.add_argument(
        "--top-p", type=float, metavar="P", help="such as 0.9: drop the unlikely tail"
    )
    chat.add_argument("--top-k", type=int, metavar="K", help="sample among the K likeliest tokens")
    chat.add_argument("--seed", type=int, metavar="N", help="makes sampled answers repeatable")
    chat.add_argument("--max-new-tokens", type=int, metavar="N", help="the longest answer (1024)")
    _add_cache_bits(chat)


def _add_ask_options(ask: argparse.ArgumentParser) -> None:
    ask.add_argument("question", nargs="+", metavar="WORDS", help='such as "how do I copy a file"')
    ask.add_argument("--count", type=int, default=3, metavar="N", help="how many passages (3)")
    ask.add_argument("--model", metavar="FOLDER", help="a checkpoint that answers from them")


def _add_serve_options(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "source", nargs="?", metavar="FOLDER", help="a checkpoint's folder, or its name on the hub"
    )
    serve.add_argument("--port", type=int, default=8000, metavar="N", help="8000 without")
    serve.add_argument("--host", default="127.0.0.1", help="127.0.0.1: this machine only")
    serve.add_argument("--api-key", metavar="KEY", help="answer only clients that send this key")
    serve.add_argument("--blocks", type=int, metavar="N", help="the size of the cache")
    _add_cache_bits(serve)
    serve.add_argument(
        "--draft", type=int, default=0, metavar="K", help="guess K tokens from the text so far"
    )


def _add_cache_bits(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cache-bits",
        type=int,
        choices=(8, 4),
        help="keep keys and values in 8 or 4 bits: less memory, and slower to read",
    )


def _add_evaluate_options(evaluate: argparse.ArgumentParser) -> None:
    checkpoint = "a checkpoint's folder, or its name on the hub"
    evaluate.add_argument("source", nargs="?", metavar="FOLDER", help=checkpoint)
    evaluate.add_argument("--task", metavar="NAME", help="what to do; without, a list")
    evaluate.add_argument("--against", metavar="FOLDER", help="compare with this one, in pairs")
    evaluate.add_argument("--limit", type=int, metavar="N", help="this many items")
    evaluate.add_argument("--seed", type=int, default=0, metavar="N", help="of the items (0)")
    evaluate.add_argument("--output", metavar="FILE.json", help="keep the result with all answers")
    evaluate.add_argument("--repeat", metavar="FILE.json", help="run again what a result describes")


def _add_class_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in (
        ("hub", "write the configuration of a JupyterHub for a class"),
        ("update", "bring the notebooks of everybody in a class up to date"),
        ("report", "gather the records that learners exported into one table or page"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("folder", metavar="FOLDER")
    report = actions.choices["report"]
    report.add_argument("--html", metavar="FILE.html", help="write the page")
    report.add_argument("--csv", metavar="FILE.csv", help="write the table for a spreadsheet")
    actions.add_parser("server", help="start a learner's server; what the hub calls")
