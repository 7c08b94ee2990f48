"""What the checks look at: the tree's files, its modules, and C text without comments and strings."""

import fnmatch
import functools
import glob
import os
import re

SKIP_DIRS = {".git", "build", "__pycache__", ".pytest_cache", "bench-results", "node_modules"}
TEXT_SUFFIXES = (".c", ".h", ".inc", ".py", ".sh", ".md", ".mk", ".yaml", ".yml", ".proto", ".json", ".service", ".conf", ".txt", ".cnf")


class Finding:
    """One offence (or, with warn, one remark that does not fail the lint)."""

    def __init__(self, path, line, text, warn=False):
        self.path, self.line, self.text, self.warn = path, line, text, warn

    def __str__(self):
        return f"{self.path}:{self.line}: {'warning: ' if self.warn else ''}{self.text}"


class Skip(Exception):
    """The check cannot run here; the text says why."""


class Module:
    """A folder with a module.mk."""

    def __init__(self, tree, makefile):
        self.makefile = makefile
        self.folder = os.path.dirname(makefile)
        self.name = self.folder.removeprefix("common/")
        values = {}
        for line in tree.read(makefile).replace("\\\n", " ").splitlines():
            match = re.match(r"\s*([A-Z]+)\s*:?=([^#]*)", line)
            if match:
                values[match.group(1)] = match.group(2).split()
        self.deps = values.get("DEPS", [])
        self.pkgs = values.get("PKGS", [])
        self.headers = values.get("HEADERS", [])
        self.proto = values.get("PROTO", [])

    def allows(self, header):
        """Whether HEADERS (or PROTO, for generated ones) admits this third-party header."""
        if header.endswith(".pb-c.h"):
            return header[: -len(".pb-c.h")] + ".proto" in self.proto
        return any(fnmatch.fnmatch(header, pattern) for pattern in self.headers)


class Tree:
    """A source tree. Paths are relative to its root, with forward slashes."""

    def __init__(self, root):
        self.root = root
        self.files = sorted(self._walk())
        self.modules = {}
        for path in self.files:
            if os.path.basename(path) == "module.mk":
                module = Module(self, path)
                self.modules[module.name] = module

    def _walk(self):
        for folder, dirs, names in os.walk(self.root):
            dirs[:] = [d for d in dirs if d not in SKIP_DIRS]
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), self.root)

    def full(self, path):
        return os.path.join(self.root, path)

    @functools.lru_cache(maxsize=None)
    def read(self, path):
        with open(self.full(path), encoding="utf-8", errors="replace", newline="") as f:
            return f.read()

    @functools.lru_cache(maxsize=None)
    def code(self, path):
        """The C text with comments and literals blanked, every line still in its place."""
        return strip(self.read(path))

    def c_files(self, *suffixes):
        return [p for p in self.files if p.endswith(suffixes or (".c", ".h", ".inc")) and (self.module_of(p) or p.startswith("tests/"))]

    def module_of(self, path):
        """The module whose folder the file is in, or None."""
        folder = os.path.dirname(path)
        return self.modules.get(folder.removeprefix("common/"))

    def test_modules(self, path):
        """Names of the modules a test file is linked with: its folder's, or those it lists."""
        match = re.match(r"tests/unit/([^/]+)/", path)
        if match:
            return [m for m in self.modules if m.replace("/", "_") == match.group(1)]
        folder = os.path.dirname(path)
        main = path if folder.count("/") < 2 else folder + "/main.c"
        if main not in self.files:  # a file that several programs share names its modules itself
            main = os.path.splitext(path)[0] + ".c"
        if main not in self.files:
            return []
        match = re.search(r"^// modules:(.*)$", self.read(main), re.M)
        return match.group(1).split() if match else []

    def closure(self, names):
        seen, todo = set(), list(names)
        while todo:
            name = todo.pop()
            if name in seen or name not in self.modules:
                continue
            seen.add(name)
            todo += self.modules[name].deps
        return seen

    def includes(self, path):
        """(line, kind, name) of every #include; kind is '"' or '<'."""
        for number, line in enumerate(self.read(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if match:
                yield number, match.group(1), match.group(2)

    def resolve(self, path, name):
        """The file of the tree that #include "name" of path means, or None (-Icommon -I. -Itests and its own folder)."""
        for candidate in (os.path.join(os.path.dirname(path), name), "common/" + name, name, "tests/" + name):
            candidate = os.path.normpath(candidate)
            if candidate in self._file_set:
                return candidate
        return None

    @functools.cached_property
    def _file_set(self):
        return set(self.files)

    def built(self, *patterns):
        return sorted(p for pattern in patterns for p in glob.glob(self.full(pattern)) if os.path.isfile(p))


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def strip(text):
    def blank(match):
        s = match.group(0)
        if s[0] in "\"'":
            return s[0] + " " * (len(s) - 2) + s[0]
        return re.sub(r"[^\n]", " ", s)
    return TOKEN.sub(blank, text)


def without_directives(code):
    """Stripped code with preprocessor lines (and their continuations) blanked."""
    out, inside = [], False
    for line in code.split("\n"):
        directive = inside or line.lstrip().startswith("#")
        inside = directive and line.rstrip().endswith("\\")
        out.append("" if directive else line)
    return "\n".join(out)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def functions(code):
    """(name, first line, lines) of every function body in stripped code."""
    text = without_directives(code)
    depth, start, name = 0, 0, None
    statement = 0
    for match in re.finditer(r"[{};]", text):
        at, ch = match.start(), match.group(0)
        if ch == "{":
            if depth == 0:
                head = text[statement:at].strip()
                called = re.search(r"(\w+)\s*\(", head)
                is_body = head.endswith(")") and called and "=" not in head.split("(")[0]
                name = called.group(1) if is_body else None
                start = at
            depth += 1
        elif ch == "}":
            depth = max(0, depth - 1)
            if depth == 0:
                if name:
                    first, last = line_of(text, start), line_of(text, at)
                    yield name, first, last - first + 1
                    name = None
                statement = at + 1
        elif depth == 0:
            statement = at + 1
