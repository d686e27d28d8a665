#!/usr/bin/python3
"""Checks the rules of the house that no compiler checks.

usage: tidy.py [ROOT]

Each finding is printed as "file:line: what is wrong: what to do". The last line counts the rules
that passed and failed; exit status 1 when one failed. The rules are the functions named rule_*;
the first line of each one's docstring says what it asks for.
"""
import glob
import os
import re
import sys

FUNCTION_LINES = 70
SOURCE_LINES = 800
HEADER_LINES = 150
COLUMNS = 100
TEST_NAME_WORDS = 3

PRODUCT = ("include", "runtime", "config", "actors", "brokers", "node", "cli")
SKIPPED = {".git", "build", "out", "__pycache__", "node_modules"}
SUFFIXES = (".c", ".h", ".cpp", ".hpp", ".erl", ".def", ".py", ".js", ".awk", ".sql", ".cmake",
            ".md", ".txt", ".json", ".yaml")
# Includes point from a later row to the same or an earlier one.
LAYERS = ["include/capstan", "runtime/base", "config", "runtime", ("actors", "brokers"), "node",
          "cli"]


class Source:
    """A file of the tree, and its text without comments and without what strings say."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            self.text = file.read()
        self.lines = self.text.split("\n")
        if self.text.endswith("\n"):
            self.lines.pop()
        self._code = None

    def is_c(self):
        return self.path.endswith((".c", ".h"))

    def is_product(self):
        return self.path.split("/")[0] in PRODUCT

    @property
    def code(self):
        """The text with comments and string contents blanked; lines stay where they are."""
        if self._code is None:
            self._code = blanked(self.text, strings=True)
        return self._code

    def line_of(self, position):
        return self.text.count("\n", 0, position) + 1


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def blanked(text, strings):
    """Blanks comments, and the contents of strings where asked; keeps every newline in place."""
    def blank(match):
        token = match.group()
        if token[0] in "\"'" and not strings:
            return token
        return re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(blank, text)


def sources(root):
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(files):
            path = os.path.relpath(os.path.join(folder, name), root)
            if name.endswith(SUFFIXES) or starts_with_shebang(os.path.join(root, path)):
                yield Source(root, path)


def starts_with_shebang(path):
    if os.path.islink(path) and not os.path.exists(path):
        return False
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


# --- where code may look --------------------------------------------------------------------------

def layer(path):
    """The row of LAYERS that a path belongs to: its longest match; None outside the product."""
    best, length = None, 0
    for index, row in enumerate(LAYERS):
        for prefix in (row if isinstance(row, tuple) else (row,)):
            if path.startswith(prefix + "/") and len(prefix) > length:
                best, length = index, len(prefix)
    return best


INCLUDE = re.compile(r'^[ \t]*#[ \t]*(?:include|define[ \t]+CAPSTAN_TABLE)[ \t]+'
                     r'(?:"([^"]+)"|<(capstan/[^>]+)>)', re.MULTILINE)


def included(source):
    """(line, path from the root) of each include of a file of ours."""
    text = blanked(source.text, strings=False)
    for match in INCLUDE.finditer(text):
        yield source.line_of(match.start()), match.group(1) or "include/" + match.group(2)


def rule_includes_point_down(files, _root):
    """Includes point one way, as docs/architecture.md says."""
    for source in files:
        own = layer(source.path)
        if own is None:
            continue
        for line, path in included(source):
            other = layer(path)
            if other is None:
                yield (source.path, line, f'"{path}" is not a path from the root of the product',
                       "write the whole path, and include no tests or examples")
            elif other > own:
                yield (source.path, line, f"{path} lies above this file",
                       "move what is needed down, or hand it in from above")
            elif foreign_concern(source.path, path) and "_messages." not in path:
                yield (source.path, line, f"{path} belongs to another concern",
                       "include its X_messages.h only, and talk to it by messages")


def foreign_concern(path, other):
    own_parts, other_parts = path.split("/"), other.split("/")
    return other_parts[0] in LAYERS[4] and own_parts[0] in LAYERS[4] and \
        own_parts[:2] != other_parts[:2]


def rule_locks_stay_in_runtime(files, _root):
    """No lock outside runtime/: state has one owner."""
    lock = re.compile(r"\b(pthread_(?:mutex|rwlock|spin|cond|barrier)\w*|atomic_flag\w*|"
                      r"(?:mtx|cnd)_\w+|sem_(?:init|open|wait|trywait|timedwait|post))\b")
    for source in files:
        if source.is_c() and source.is_product() and not source.path.startswith("runtime/"):
            for match in lock.finditer(source.code):
                yield (source.path, source.line_of(match.start()), f"{match.group()} is a lock",
                       "let one actor own the state and send it messages")


def rule_no_banned_calls(files, _root):
    """No call that overflows, blocks, or hides errors."""
    instead = {"strcpy": "snprintf or memcpy with a length", "strcat": "buffer_t or snprintf",
               "sprintf": "snprintf", "vsprintf": "vsnprintf", "sleep": "a timer or a poll",
               "usleep": "a timer or a poll", "rand": "a seeded generator that is handed in",
               "atoi": "strtol with its checks", "strtok": "strcspn", "gets": "fgets or getline"}
    call = re.compile(r"(?<![\w.>])(" + "|".join(instead) + r")\s*\(")
    for source in files:
        if source.is_c():
            for match in call.finditer(source.code):
                yield (source.path, source.line_of(match.start()), f"{match.group(1)} is banned",
                       f"use {instead[match.group(1)]}")


# --- size -----------------------------------------------------------------------------------------

def rule_functions_are_short(files, _root):
    """A function has 70 lines at most."""
    for source in files:
        if not source.is_c():
            continue
        begin = None
        for number, text in enumerate(source.lines, 1):
            if text == "{":
                begin = number
            elif text.startswith("}") and begin:
                length = number - begin + 1
                if length > FUNCTION_LINES:
                    yield (source.path, begin, f"a function of {length} lines",
                           f"split it: {FUNCTION_LINES} lines at most")
                begin = None


def rule_files_are_short(files, _root):
    """A .c has 800 lines at most, a .h 150 without comments and blank lines."""
    for source in files:
        if source.path.endswith(".c") and len(source.lines) > SOURCE_LINES:
            yield (source.path, SOURCE_LINES + 1, f"a file of {len(source.lines)} lines",
                   f"split it by role: {SOURCE_LINES} lines at most")
        if source.path.endswith(".h"):
            code = blanked(source.text, strings=False).split("\n")
            length = sum(1 for line in code if line.strip())
            if length > HEADER_LINES:
                yield (source.path, len(source.lines), f"a header of {length} lines of code",
                       f"split it: {HEADER_LINES} lines at most")


def rule_lines_fit(files, _root):
    """A line has 100 columns at most; rows of .def tables and of documents may be longer."""
    for source in files:
        if not source.path.endswith((".def", ".md", ".json")):
            for number, text in enumerate(source.lines, 1):
                if len(text) > COLUMNS:
                    yield (source.path, number, f"{len(text)} columns",
                           f"break the line: {COLUMNS} columns at most")


# --- tables, documents, tests ---------------------------------------------------------------------

def rule_messages_have_vectors(files, root):
    """Each message has a golden vector."""
    for source in files:
        if source.is_product() and source.path.endswith("_messages.def"):
            rows = re.finditer(r"^MESSAGE\(\s*\w+\s*,\s*(\w+)", source.code, re.MULTILINE)
            for match in rows:
                vector = f"tests/contract/vectors/{match.group(1)}.hex"
                if not os.path.exists(os.path.join(root, vector)):
                    yield (source.path, source.line_of(match.start()), f"{vector} is missing",
                           "write a vector that sets every field of the message")


def named_paths(text):
    """(position, path) of what a document names as files of ours: links, and code with a slash."""
    for match in re.finditer(r"\]\(([^)#\s]+)\)|`([^`\s]+)`", text):
        link, code = match.groups()
        name = link or code
        if "://" in name or not re.fullmatch(r"[\w.*/-]+", name):
            continue
        if link or "/" in name or name.endswith((".md", ".def", ".h", ".c", ".py", ".txt")):
            yield match.start(), name


def rule_documents_name_what_exists(files, root):
    """The README and SECURITY name only paths that exist."""
    for source in files:
        if source.path in ("README.md", "SECURITY.md"):
            for position, name in named_paths(source.text):
                if name.startswith("build/"):
                    continue
                if not glob.glob(os.path.join(root, name)):
                    yield (source.path, source.line_of(position), f"{name} does not exist",
                           "correct the path, or remove the row")


def rule_documents_stay_on_any_machine(files, _root):
    """Documents and samples name no absolute home or temporary path."""
    path = re.compile(r"(?<![\w.~$}])/(?:home|root|tmp|var/tmp|Users|srv)/[\w.]")
    for source in files:
        if source.path.endswith((".md", ".json", ".yaml")):
            for match in path.finditer(source.text):
                yield (source.path, source.line_of(match.start()),
                       "an absolute path of one machine", "write it from the project's root")


def rule_tests_are_sentences(files, _root):
    """A test's name is a sentence of behaviour."""
    in_c = re.compile(r"^(?:Test|ParameterizedTest|Theory)\(\s*\w+\s*,\s*(\w+)", re.MULTILINE)
    in_python = re.compile(r"^ *def test_(\w+)\(", re.MULTILINE)
    for source in files:
        if not source.path.startswith("tests/"):
            continue
        pattern = in_c if source.is_c() else in_python if source.path.endswith(".py") else None
        for match in pattern.finditer(source.text) if pattern else ():
            if len(match.group(1).strip("_").split("_")) < TEST_NAME_WORDS:
                yield (source.path, source.line_of(match.start()),
                       f"{match.group(1)} is not a sentence",
                       "say what must happen, for example keeps_the_order_of_each_key")


RULES = [rule for name, rule in sorted(globals().items()) if name.startswith("rule_")]


def findings(root):
    """{rule: [(path, line, what, remedy), ...]} over a tree."""
    files = list(sources(root))
    return {rule.__name__: list(rule(files, root)) for rule in RULES}


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    found = findings(root)
    for rule in RULES:
        rows = found[rule.__name__]
        if rows:
            print(f"{rule.__doc__}")
        for path, line, what, remedy in rows:
            print(f"{path}:{line}: {what}: {remedy}")
    failed = sum(1 for rows in found.values() if rows)
    print(f"{len(RULES) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
