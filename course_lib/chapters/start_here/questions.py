"""The quiz of 00 start_here: three questions, to see how a quiz works."""

from course_lib.study.ask.question import OneAnswer, Option, OrderSteps, SeveralAnswers

QUESTIONS = (
    OneAnswer(
        "start_here.bytes",
        "How many integers does the text `é` become, as UTF-8 bytes?",
        (
            Option(
                "1",
                False,
                "It is one character. Outside ASCII, a character needs more than one byte.",
            ),
            Option(
                "2",
                True,
                "The bytes are 195 and 169. Every character outside ASCII takes two to four bytes.",
            ),
            Option(
                "4",
                False,
                "Four bytes are needed for emoji and for rare scripts; Latin letters with "
                "accents take two.",
            ),
        ),
    ),
    SeveralAnswers(
        "start_here.untouched",
        "You have not solved an exercise of a notebook. Which of these still work?",
        (
            Option(
                "Run All on that notebook",
                True,
                "Later cells use the library, never your answer.",
            ),
            Option("The interactive figures", True, "They draw what the library computes."),
            Option("The quiz at its end", True, "Questions are independent of exercises."),
            Option(
                "Its station on the map turns green",
                False,
                "The ring fills with the exercises that have passed, and only with those.",
            ),
        ),
    ),
    OrderSteps(
        "start_here.stages",
        "Put the stages of producing one token in order.",
        (
            "Text becomes integers",
            "Integers select rows of numbers",
            "Rows become scores",
            "Scores become probabilities",
            "A random number selects the next integer",
        ),
        "Every language model has these stages, whatever its size; they differ in how rows become "
        "scores.",
    ),
)
