#!/usr/bin/python3
"""Each rule of tidy.py sees its defect in a small tree made for it, and spares its neighbours."""
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import tidy  # noqa: E402

KIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kit")
FUNCTION = "void f(void)\n{{\n{}}}\n"


def findings(rule, tree):
    """What a rule finds in a tree {path: text}, as "path:line"."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in tree.items():
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        return [f"{path}:{line}" for path, line, _, _ in tidy.findings(root)["rule_" + rule]]


class Rules(unittest.TestCase):
    def assert_found(self, rule, path, text, line=1, **others):
        self.assertEqual(findings(rule, {path: text, **others}), [f"{path}:{line}"])

    def assert_clean(self, rule, path, text, **others):
        self.assertEqual(findings(rule, {path: text, **others}), [])

    def test_include_that_points_up_is_found(self):
        rule = "includes_point_down"
        for path, header in [("runtime/base/a.c", "runtime/runtime.h"),
                             ("config/a.c", "runtime/runtime.h"),
                             ("runtime/a.c", "actors/x/x_messages.h"),
                             ("actors/x/a.c", "node/node.h"), ("node/a.c", "cli/cli.h"),
                             ("include/capstan/a.h", "runtime/base/slice.h")]:
            self.assert_found(rule, path, f'\n#include "{header}"\n', line=2)
        self.assert_clean(rule, "runtime/a.c", '#include "config/a.h"\n#include <capstan/ref.h>\n')
        self.assert_clean(rule, "runtime/a.c", '/* #include "cli/cli.h" */\n')
        self.assert_clean(rule, "tests/unit/a.c", '#include "cli/cli.h"\n')

    def test_foreign_concern_is_reached_only_by_its_messages(self):
        rule = "includes_point_down"
        path = "actors/journal/a.c"
        self.assert_found(rule, path, '#include "actors/ordering/partition.h"\n')
        self.assert_found(rule, path, '#define CAPSTAN_TABLE "brokers/gateway/x_settings.def"\n')
        self.assert_clean(rule, path, '#include "actors/ordering/ordering_messages.h"\n'
                                      '#include "actors/journal/store.h"\n')

    def test_include_not_written_from_the_root_is_found(self):
        self.assert_found("includes_point_down", "runtime/a.c", '#include "mailbox.h"\n')
        self.assert_found("includes_point_down", "runtime/a.c", '#include "tests/kit/a.h"\n')

    def test_lock_outside_runtime_is_found(self):
        rule = "locks_stay_in_runtime"
        self.assert_found(rule, "actors/x/a.c", "\npthread_mutex_t m;\n", line=2)
        self.assert_found(rule, "node/a.c", "atomic_flag f;\n")
        self.assert_clean(rule, "runtime/a.c", "pthread_mutex_t m;\n")
        self.assert_clean(rule, "actors/x/a.c", "/* no pthread_mutex_t */ pthread_t t;\n")

    def test_banned_call_is_found_outside_comments_and_strings(self):
        rule = "no_banned_calls"
        for call in "strcpy strcat sprintf vsprintf sleep usleep rand atoi strtok gets".split():
            self.assert_found(rule, "cli/a.c", f"/* a\n * b */\nint x = {call} (y);\n", line=3)
        self.assert_clean(rule, "cli/a.c", '/* sprintf(x) */ f("atoi(x)"); // rand()\n'
                                           "snprintf(x); nanosleep(y); self->rand(z);\n")

    def test_long_function_is_found(self):
        rule = "functions_are_short"
        self.assert_found(rule, "cli/a.c", FUNCTION.format("    x();\n" * 69), line=2)
        self.assert_clean(rule, "cli/a.c", FUNCTION.format("    x();\n" * 68) * 2)

    def test_long_file_is_found(self):
        rule = "files_are_short"
        self.assert_found(rule, "cli/a.c", "int x;\n" * 801, line=801)
        self.assert_clean(rule, "cli/a.c", "int x;\n" * 800)
        self.assert_found(rule, "cli/a.h", "int x;\n" * 151, line=151)
        self.assert_clean(rule, "cli/a.h", "int x;\n/* why\n * so */\n\n" * 150)

    def test_long_line_is_found_except_in_tables(self):
        rule = "lines_fit"
        self.assert_found(rule, "cli/a.c", "\n" + "x" * 101 + "\n", line=2)
        self.assert_found(rule, "run", "#!/bin/bash\n" + "x" * 101 + "\n", line=2)
        self.assert_clean(rule, "cli/a.c", "x" * 100 + "\n")
        self.assert_clean(rule, "cli/a.def", "x" * 300 + "\n")

    def test_message_without_a_vector_is_found(self):
        rule = "messages_have_vectors"
        table = '/* MESSAGE(1, id, ...) */\nMESSAGE(1, hello, REQUEST, 1, "", "", "Greets.")\n'
        path = "brokers/x/x_messages.def"
        self.assert_found(rule, path, table, line=2)
        self.assert_clean(rule, path, table, **{"tests/contract/vectors/hello.hex": "81"})

    def test_document_path_that_does_not_exist_is_found(self):
        rule = "documents_name_what_exists"
        self.assert_found(rule, "README.md", "| `cli/a.c` |\n[the guide](docs/guide.md)\n", line=2,
                          **{"cli/a.c": ""})
        self.assert_found(rule, "README.md", "| `runtime/*.def` |\n")
        self.assert_clean(rule, "README.md", "`tcp://127.0.0.1:7700` `build/x` `--set a=b/c` "
                                             "[site](https://example.org/a)\n")

    def test_document_that_names_one_machine_is_found(self):
        rule = "documents_stay_on_any_machine"
        for path in ["/home/me/x", "/tmp/x", "/root/x", "/srv/x"]:
            self.assert_found(rule, "docs/a.md", f"\nrun `{path}`\n", line=2)
        self.assert_clean(rule, "docs/a.md", "`actors/home/x` `$HOME/x` /usr/bin/x\n")

    def test_test_name_that_is_no_sentence_is_found(self):
        rule = "tests_are_sentences"
        self.assert_found(rule, "tests/unit/a_test.c", "\nTest(mailbox, works)\n{\n}\n", line=2)
        self.assert_found(rule, "tests/unit/a_test.py", "def test_works(self):\n")
        self.assert_clean(rule, "tests/unit/a_test.c",
                          "Test(mailbox,\n     drops_nothing_silently)\n")

    def test_every_rule_has_a_test_here(self):
        with open(os.path.abspath(__file__), encoding="utf-8") as file:
            text = file.read()
        for rule in tidy.RULES:
            self.assertIn(f'"{rule.__name__[len("rule_"):]}"', text)


class Counting(unittest.TestCase):
    """tests/kit/count_tests.awk, on which the last line of ./check rests."""

    def count(self, *lines):
        output = subprocess.run(["awk", "-f", os.path.join(KIT, "count_tests.awk")], text=True,
                                input="\n".join(lines) + "\n", capture_output=True, check=True)
        return output.stdout.strip()

    def test_suite_counts_what_it_says(self):
        self.assertEqual("3 1", self.count(
            "1: 3 passed, 1 failed", "1/1 Test #1: unit .......***Failed    0.04 sec"))

    def test_script_counts_its_unittest_summary(self):
        self.assertEqual("5 0", self.count(
            "7: Ran 6 tests in 0.1s", "7: OK (skipped=1)",
            "1/1 Test #7: a.b .........   Passed    0.04 sec"))
        self.assertEqual("3 3", self.count(
            "7: Ran 6 tests in 0.1s", "7: FAILED (failures=2, errors=1)",
            "1/1 Test #7: a.b .........***Failed    0.04 sec"))

    def test_entry_without_a_summary_counts_as_one(self):
        self.assertEqual("1 1", self.count(
            "1/2 Test #1: a ...........   Passed    0.04 sec",
            "2/2 Test #2: b ...........***Timeout   9.00 sec"))

    def test_crash_after_a_good_summary_is_a_failure(self):
        self.assertEqual("3 1", self.count(
            "1: 3 passed, 0 failed", "1/1 Test #1: a ....***Exception: SegFault  0.04 sec"))

    def test_output_without_a_test_counts_nothing(self):
        self.assertEqual("0 0", self.count("No tests were found!!!"))


if __name__ == "__main__":
    unittest.main()
