"""What the help says of each of the course's commands: in a line, and in a few sentences."""

HELP: dict[str, tuple[str, str]] = {
    "lab": (
        "open the course in JupyterLab",
        "Your own copy of the notebooks is made or updated first; nothing that you wrote is "
        "changed. Options after the notebook, such as --no-browser or --port 8890, are for "
        "JupyterLab.",
    ),
    "check": (
        "run your notebook and tell how each exercise stands",
        "The file itself stays as it is. Without a name, all your notebooks are run.",
    ),
    "chat": (
        "talk to a model in the terminal",
        "Without a folder it is the course's own model, which continues what you type. The "
        "answer comes as it is written; Ctrl-C stops it, Ctrl-D ends the conversation. Sampling is "
        "what the checkpoint asks for, unless an option says otherwise.",
    ),
    "ask": (
        "search Python's documentation, and let a model answer from it",
        "Prints the passages that answer best, each with the page on which it stands. With --model "
        "a checkpoint answers from them, and what they do not support is reported.",
    ),
    "serve": (
        "answer many clients at once, over OpenAI's HTTP API",
        "Without a folder it is the course's own model. Only this machine is answered unless "
        "--host says otherwise; then give an --api-key too. Ctrl-C lets running answers finish.",
    ),
    "mcp": (
        "offer a calculator and a search of Python's documentation to any MCP client",
        "A client starts this command itself and talks over stdio; with --port it is served over "
        "HTTP at /mcp, to this machine only.",
    ),
    "evaluate": (
        "score a model on a task, with intervals, and compare two",
        "Without a folder it is the course's own model. A result that is kept with --output holds "
        "every answer, the seed, the versions and hashes of items and weights.",
    ),
    "progress": (
        "show what you have done",
        "Exercises count as solved once they have passed; questions by your last answer. Nothing "
        "leaves your machine; --export writes what you may hand to a teacher, for you to look at.",
    ),
    "review": (
        "answer the quiz questions that are due again, in the terminal",
        "A question that was missed comes back the next day, one that was right after a growing "
        "number of days.",
    ),
    "train": (
        "train one of the course's models from scratch",
        "Interrupt it whenever you like: the same command goes on where it last saved.",
    ),
    "reset": (
        "begin a notebook again, or forget results",
        "Your notebook is kept under a name with the date. Asks before it acts.",
    ),
    "update": (
        "bring your copy of the notebooks up to date",
        "What you wrote stays, cell by cell; where the course has a newer text, it comes below "
        "yours.",
    ),
    "class": (
        "teach a class: a hub for it, updates, and a report on what learners hand in",
        "hub FOLDER writes the configuration of a JupyterHub, and update FOLDER brings the "
        "notebooks of everybody in it up to date. report FOLDER gathers what learners wrote with "
        "`course progress --export`. The hub itself starts each learner's server.",
    ),
    "doctor": (
        "look for what is wrong with the installation",
        "Prints a report to paste into a bug report, with a remedy for each thing that is wrong.",
    ),
    "test": (
        "check the course itself: style, types, tests, the browser and every notebook",
        "For those who change the course. Says first what runs and about how long it takes on this "
        "machine. Each part runs even when an earlier one has failed. The "
        "tests in a browser need Chromium: root on Debian gets it from the system's packages, "
        "others are told how to install it.",
    ),
    "new": (
        "begin a chapter: write a small one that works, to be filled",
        "For authors: writes the chapter's module, folder, notebook source and tests, its line in "
        "the catalogue and its row in the README. Later notebooks move up by one.",
    ),
    "build": (
        "make the notebooks from their sources, or the course as pages to read",
        "For authors: runs notebooks/source/NN_name.py and stores the result as a notebook. With "
        "--html the stored notebooks become pages that need no network and no kernel. What the "
        "explorers show is drawn for every stop of their controls, which takes minutes the first "
        "time; of notebooks that are not named, or with --still, they stay pictures.",
    ),
}
