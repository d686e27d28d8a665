#!/usr/bin/env python3
"""The manual pages: those of the program are what it prints, each command has one, each option of
--help is in it, the library's example is examples/hello.c, and groff finds nothing to warn of.
"""
import os
import pathlib
import re
import subprocess
import unittest

SOURCE = pathlib.Path(os.environ.get("CAPSTAN_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
PROGRAM = os.environ.get("CAPSTAN_PROGRAM", str(SOURCE / "build" / "dev" / "capstan"))
PAGES = SOURCE / "docs" / "man"
REMEDY = "write it anew with: CAPSTAN_REGENERATE=1 tests/contract/manual_test.py"
COMMANDS = re.findall(r"^COMMAND\((\w+),", (SOURCE / "cli/commands.def").read_text(), re.MULTILINE)
PRINTED = {"capstan.1": (), **{f"capstan-{name}.1": (name,) for name in COMMANDS}}


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], check=True, stdout=subprocess.PIPE,
                          encoding="utf-8").stdout


def formatted(page):
    """The page as a terminal shows it, without the marks of bold and underlined letters."""
    result = subprocess.run(["groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-P-cbou", str(page)],
                            capture_output=True, encoding="utf-8", check=True)
    assert not result.stderr, result.stderr
    return result.stdout


class Manual(unittest.TestCase):
    def test_pages_are_what_the_program_prints(self):
        for name, arguments in PRINTED.items():
            text = run("help", "--man", *arguments)
            if os.environ.get("CAPSTAN_REGENERATE"):
                (PAGES / name).write_text(text, encoding="utf-8")
            self.assertEqual((PAGES / name).read_text(encoding="utf-8"), text,
                             f"docs/man/{name} differs from what the program prints; {REMEDY}")

    def test_there_is_no_page_without_its_command(self):
        self.assertEqual({path.name for path in PAGES.iterdir()}, {*PRINTED, "capstan.3"})

    def test_pages_name_the_version_of_the_program(self):
        version = run("--version").strip()
        for path in PAGES.iterdir():
            self.assertIn(f'"{version}"', path.read_text(encoding="utf-8"), path.name)

    def test_groff_has_nothing_to_warn_of(self):
        for path in PAGES.iterdir():
            shown = formatted(path)
            for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "SEE ALSO"):
                self.assertRegex(shown, rf"(?m)^{heading}$", path.name)

    def test_every_option_and_every_example_is_shown(self):
        for command in COMMANDS:
            shown, text = formatted(PAGES / f"capstan-{command}.1"), run(command, "--help")
            options, examples = text.split("\nOptions:\n")[1].split("\nExamples:\n")
            names = re.findall(r"(?m)^  (--[\w-]+)", options)
            self.assertTrue(names, command)
            for name in names:
                self.assertRegex(shown, rf"(?m)^ +{name}\b", command)
            for line in filter(None, map(str.strip, examples.splitlines())):
                self.assertIn(line, shown)

    def test_the_library_page_shows_hello(self):
        code = re.search(r"\.SH EXAMPLES\n\.EX\n(.*?)\.EE", (PAGES / "capstan.3").read_text(),
                         re.DOTALL).group(1).replace("\\-", "-").replace("\\e", "\\")
        hello = (SOURCE / "examples" / "hello.c").read_text()
        self.assertEqual(code, hello[hello.index("#include"):])

    def test_the_library_page_names_every_header(self):
        text = (PAGES / "capstan.3").read_text()
        included = {"export.h", "field_types.def", "message_structs.h", "message_descriptors.h"}
        for path in (SOURCE / "include" / "capstan").iterdir():
            self.assertTrue(path.name in included or f"capstan/{path.name}" in text, path.name)


if __name__ == "__main__":
    unittest.main()
