#!/usr/bin/python3
"""docs/embedding.md: its code is one program, which compiles without a warning against the public
headers and the shared library alone, and prints what the page says."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("CAPSTAN_SOURCE_DIR", pathlib.Path(__file__).parents[3]))
BUILD = pathlib.Path(os.environ.get("CAPSTAN_BUILD_DIR", SOURCE / "build" / "dev"))
PAGE = (SOURCE / "docs" / "embedding.md").read_text(encoding="utf-8")
WORDS_MAX = 2250  # ten minutes, code included
WAIT_S = 120


def cached(name):
    """A variable of the build's configuration."""
    cache = (BUILD / "CMakeCache.txt").read_text(encoding="utf-8")
    return re.search(rf"^{name}:\w+=(.*)$", cache, re.MULTILINE).group(1)


class Embedding(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="capstan-embedding-"))
        self.addCleanup(shutil.rmtree, self.folder)
        blocks = re.findall(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", PAGE,
                            re.DOTALL | re.MULTILINE)
        for kind, name, text in blocks:
            if name:
                (self.folder / name).write_text(text, encoding="utf-8")
        self.code = "\n".join(text for kind, name, text in blocks if kind == "c" and not name)
        self.output = "".join(text for kind, _, text in blocks if kind == "text")

    def test_its_code_compiles_and_prints_what_it_says(self):
        (self.folder / "gauge.c").write_text(self.code, encoding="utf-8")
        sanitizers = cached("CAPSTAN_SANITIZE")
        options = [f"-fsanitize={sanitizers}"] if sanitizers else []
        options += ["--coverage"] if cached("CAPSTAN_COVERAGE") == "ON" else []
        subprocess.run(
            [cached("CMAKE_C_COMPILER"), "-std=gnu11", "-g", "-Wall", "-Wextra", "-Wpedantic",
             "-Wshadow", "-Wconversion", "-Werror", *options, f"-I{SOURCE}/include",
             f"-I{self.folder}", str(self.folder / "gauge.c"), f"-L{BUILD}", "-lcapstan",
             f"-Wl,-rpath,{BUILD}", "-o", str(self.folder / "gauge")], check=True)
        result = subprocess.run([self.folder / "gauge"], stdin=subprocess.DEVNULL, text=True,
                                cwd=self.folder, capture_output=True, timeout=WAIT_S, check=False)
        self.assertEqual((result.stdout, result.returncode), (self.output, 0), result.stderr)

    def test_it_is_read_in_ten_minutes(self):
        self.assertLessEqual(len(PAGE.split()), WORDS_MAX)

    def test_it_names_only_what_exists(self):
        for name in re.findall(r"`((?:examples|docs|include)/[\w/.]+)`", PAGE):
            self.assertTrue((SOURCE / name).exists(), name)


if __name__ == "__main__":
    unittest.main()
