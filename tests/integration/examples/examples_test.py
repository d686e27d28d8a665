#!/usr/bin/python3
"""Every example in C prints what the comment at its head says, and ends well."""
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "kit"))
from real_postgres import RealPostgres  # noqa: E402

SOURCE = pathlib.Path(os.environ.get("CAPSTAN_SOURCE_DIR", pathlib.Path(__file__).parents[3]))
BUILD = pathlib.Path(os.environ.get("CAPSTAN_BUILD_DIR", SOURCE / "build" / "dev"))
HELLO_LINES = 14
SAGA_LINES = 25  # definition, participant, start and result; not the node's and its end
WAIT_S = 120

EXAMPLES = dict(re.findall(r"^example\((\w+) ([\w/]+\.c)",
                           (SOURCE / "examples" / "CMakeLists.txt").read_text(), re.MULTILINE))


def promise(text):
    """(input, output) that the head comment promises: its last paragraph."""
    head = text[:text.index("*/")]
    given, output = re.search(r'(?:With the input "(.*)" it|It) prints:\n((?: \*   .*\n?)+)',
                              head).groups()
    lines = re.findall(r"^ \*   (.*?)\s*$", output, re.MULTILINE)
    return (given or "").replace("\\n", "\n"), "".join(line + "\n" for line in lines)


def lines_of_code(text):
    """Without comments, blank lines, includes, and lines of a brace alone."""
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return [line for line in code.splitlines() if not re.fullmatch(r"\s*[{}]?|#include .*", line)]


class Examples(unittest.TestCase):
    def test_each_prints_what_its_comment_promises(self):
        self.assertGreaterEqual(len(EXAMPLES), 5)
        postgres = self.enterContext(RealPostgres())
        for name, source in EXAMPLES.items():
            with self.subTest(name):
                given, wanted = promise((SOURCE / "examples" / source).read_text())
                result = subprocess.run([BUILD / "examples" / name], input=given, text=True,
                                        capture_output=True, timeout=WAIT_S, check=False,
                                        env=os.environ | postgres.environment)
                self.assertEqual((result.stdout, result.returncode), (wanted, 0), result.stderr)

    def test_no_example_is_left_out(self):
        mains = {str(path.relative_to(SOURCE / "examples"))
                 for path in (SOURCE / "examples").rglob("*.c")
                 if re.search(r"^int main\(", path.read_text(), re.MULTILINE)}
        self.assertEqual(mains, set(EXAMPLES.values()))

    def test_hello_is_as_short_as_it_says(self):
        lines = lines_of_code((SOURCE / "examples" / "hello.c").read_text())
        self.assertLessEqual(len(lines), HELLO_LINES, "\n".join(lines))

    def test_a_saga_is_as_short_as_it_says(self):
        lines = lines_of_code((SOURCE / "examples" / "saga.c").read_text())
        host = next(i for i, line in enumerate(lines) if line.startswith("int main("))
        made = [line for line in lines[host:]
                if re.search("capstan_(participant_start|saga_define)", line)]
        self.assertEqual(len(made), 2)
        self.assertLessEqual(host + len(made), SAGA_LINES, "\n".join(lines))


if __name__ == "__main__":
    unittest.main()
