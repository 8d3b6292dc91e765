"""Griffe extension: convert the docstrings of the package to Markdown and to Griffe's numpy style."""

import re

import griffe

ROLE = re.compile(r":\w+:`([^`]+)`")
DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
#: Choices, of which Griffe would take the first as the default.
CHOICES = re.compile(r"^(\w+ : )\{(.+)\}", re.MULTILINE)
#: Parameters with a common description, to which Griffe would give the type of the first.
NAMES = re.compile(r"^(\w+(?:, \w+)+)\n((?: {4}.+\n?)+)", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Converts references, which become links to objects of the API pages, and doctests."""

    def on_instance(self, *, obj, **_):
        if obj.docstring:
            obj.docstring.value = convert(obj.docstring.value)


def convert(text):
    summary, *rest = text.split("\n\n", 1)
    text = "\n\n".join([summary.replace("\n", " "), *rest])  # summaries consist of the first line
    text = text.replace("array-like", "array_like")  # Griffe reads the hyphen as a minus
    text = CHOICES.sub(r"\1one of \2", text)
    text = NAMES.sub(separate, text)
    text = ROLE.sub(r'<autoref identifier="\1" optional><code>\1</code></autoref>', text)
    return DOCTEST.sub(r"```pycon\n\g<0>\n```", text)


def separate(match):
    return "".join(f"{name}\n{match[2]}" for name in match[1].split(", "))
