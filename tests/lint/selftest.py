#!/usr/bin/python3
"""Proves that every lint check can fail: a clean little tree passes, and each planted offender is found by its check.
Also that the test runner tells passed, failed and skipped apart. Prints TAP.
"""

import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import lint
import parts
from source import Tree

HERE = os.path.dirname(os.path.abspath(__file__))

HEADER = """/*
 * {name}.h - a thing to look at. Not for anything else.
 * Owner: the caller. Thread: any.
 */
#ifndef XF_{guard}_H
#define XF_{guard}_H

#include <stddef.h>

/* Adds one. @unit none */
size_t xf_{name}_add(size_t n);

#endif
"""
SOURCE = """#include "{module}/{name}.h"

size_t xf_{name}_add(size_t n) {{ return n + 1; }}
"""
CLEAN = {
    "common/base/module.mk": "DEPS :=\nHEADERS := uthash.h\n",
    "common/base/rc.h": HEADER.format(name="rc", guard="BASE_RC"),
    "common/base/rc.c": SOURCE.format(module="base", name="rc"),
    "common/param/module.mk": "DEPS := base\n",
    "common/param/vec.h": HEADER.format(name="vec", guard="PARAM_VEC"),
    "common/param/vec.c": SOURCE.format(module="param", name="vec"),
    "common/wire/module.mk": "DEPS := base param\n",
    "common/wire/frame.h": HEADER.format(name="frame", guard="WIRE_FRAME"),
    "server/core/module.mk": "DEPS := base param wire\n",
    "server/core/round.h": HEADER.format(name="round", guard="CORE_ROUND"),
    "server/io/module.mk": "DEPS := base server/core\n",
    "tests/unit/param/test_vec.c": '#include "base/rc.h"\n#include "param/vec.h"\n\nint main(void) { return xf_vec_add(1) == 2 ? 0 : 1; }\n',
    "docs/NOTES.md": "Plain words.\n",
    "build/bin/crossfed": "no such string\n",
}

LONG_FUNCTION = "int xf_long_add(int a);\nint xf_long_add(int a) {\n" + "  a++;\n" * 101 + "  return a;\n}\n"
WORD = "TO" + "DO"

# check, what is wrong, {path: new content, or (old, new)}
OFFENDERS = (
    ("graph", "a dependency on a higher layer", {"common/base/module.mk": "DEPS := wire\n"}),
    ("graph", "a cycle", {"common/base/module.mk": "DEPS := param\n"}),
    ("graph", "an unknown dependency", {"common/base/module.mk": "DEPS := nowhere\n"}),
    ("graph", "a module without a layer", {"common/extra/module.mk": "DEPS := base\n"}),
    ("includes", "an include outside DEPS", {"common/param/module.mk": "DEPS :=\n", "common/param/vec.c": ('#include "param/vec.h"', '#include "base/rc.h"\n#include "param/vec.h"')}),
    ("includes", "a transitive dependency not named", {"server/io/app.c": '#include "param/vec.h"\n'}),
    ("includes", "a header that does not exist", {"common/base/rc.c": '#include "base/none.h"\n'}),
    ("includes", "a test that reaches above its module", {"tests/unit/param/test_vec.c": '#include "wire/frame.h"\n'}),
    ("includes", "files in a pure core", {"common/base/fs.h": HEADER.format(name="fs", guard="BASE_FS"), "server/core/round.c": '#include "base/fs.h"\n'}),
    ("thirdparty", "a header not in HEADERS", {"common/param/vec.c": "#include <sqlite3.h>\n"}),
    ("thirdparty", "a header in HEADERS but confined elsewhere", {"common/param/module.mk": "HEADERS := sodium.h\n", "common/param/vec.c": "#include <sodium.h>\n"}),
    ("thirdparty", "a second user of a one-file header", {"common/base/a.c": "#include <uthash.h>\n", "common/base/b.c": "#include <uthash.h>\n"}),
    ("thirdparty", "a library nobody registered", {"common/base/module.mk": "HEADERS := curl/curl.h\n", "common/base/rc.c": "#include <curl/curl.h>\n"}),
    ("thirdparty", "a socket in a pure core", {"server/core/round.c": "#include <sys/socket.h>\n"}),
    ("thirdparty", "a test with a library it does not link", {"tests/unit/param/test_vec.c": "#include <uv.h>\n"}),
    ("thirdparty", "generated messages outside their module", {"server/core/round.c": '#include "xf.pb-c.h"\n'}),
    ("format", "badly laid out code", {"common/base/rc.c": "int  f( int a ){return a ;}\n"}),
    ("banned", "strcpy", {"common/base/rc.c": "void f(char *a, const char *b) { strcpy(a, b); }\n"}),
    ("banned", "sprintf in a test", {"tests/unit/param/test_vec.c": 'void f(char *a) { sprintf(a, "x"); }\n'}),
    ("banned", "a clock in a library", {"common/param/vec.c": "long f(void) { return time(NULL); }\n"}),
    ("banned", "a clock of ours in a core", {"server/core/round.c": "long f(void) { return xf_time_now().ns; }\n"}),
    ("banned", "raw malloc", {"common/param/vec.c": "void *f(void) { return malloc(1); }\n"}),
    ("banned", "exit in a library", {"common/param/vec.c": "void f(void) { exit(1); }\n"}),
    ("banned", "an exception without a reason", {"common/param/vec.c": "void f(void) { exit(1); } /* lint: allow exit */\n"}),
    ("tags", "a public function without a tag", {"common/base/rc.h": ("Adds one. @unit none", "Adds one.")}),
    ("tags", "a public function without a comment", {"common/base/rc.h": ("/* Adds one. @unit none */\n", "")}),
    ("tags", "an inline function without a tag", {"common/base/rc.h": ("#endif", "static inline int xf_rc_is(int a) {\n  return a;\n}\n\n#endif")}),
    ("tags", "a header without an opening comment", {"common/base/rc.h": "#ifndef XF_BASE_RC_H\n#define XF_BASE_RC_H\n#endif\n"}),
    ("tags", "a header silent about threads", {"common/base/rc.h": (" Thread: any.", "")}),
    ("tags", "a header without a guard", {"common/base/rc.h": ("#define XF_BASE_RC_H", "")}),
    ("sizes", "a long file", {"common/base/rc.c": "int x;\n" * 801}),
    ("sizes", "a long header", {"common/base/rc.h": "int x;\n" * 301}),
    ("sizes", "a long function", {"common/base/long.c": LONG_FUNCTION}),
    ("standalone", "a header that needs another first", {"common/base/rc.h": ("#include <stddef.h>\n", "")}),
    ("standalone", "a header that cannot be included twice", {"common/base/rc.h": "struct xf_rc_pair {\n  int a;\n};\n"}),
    ("words", "a marker without an owner", {"common/base/rc.c": f"/* {WORD}: later */\n"}),
    ("words", "a path of a machine", {"docs/NOTES.md": "See /" + "home/someone/src.\n"}),
    ("text", "no newline at the end", {"docs/NOTES.md": "cut off"}),
    ("text", "a tab in C", {"common/base/rc.c": "int a;\n\tint b;\n"}),
    ("text", "carriage returns", {"docs/NOTES.md": "a\r\n"}),
    ("binaries", "a failpoint in a release program", {"build/bin/crossfed": "xf_fail" + "point\n"}),
    ("binaries", "no failpoint in a program built with them", {"server/io/app.c": 'XF_FAILPOINT("K1");\n', "build/faults/bin/crossfed-server": "none\n"}),
)
# check, what must be let pass
HARMLESS = (
    ("banned", "the name in a comment, a string, a longer name, a member", {"common/base/rc.c": '/* strcpy() */\nconst char *s = "exit(1)";\nint my_exit(int a);\nint f(struct x *x) { return x->free(1) + x->ops.time(2); }\n'}),
    ("banned", "an exception with a reason", {"common/param/vec.c": "void f(void *p) { free(p); /* lint: allow free, the library allocated it */ }\n"}),
    ("words", "a marker with an owner", {"common/base/rc.c": f"/* {WORD}(maintainer): later */\n"}),
    ("tags", "prototypes that share a comment", {"common/base/rc.h": ("\n#endif", "size_t xf_rc_sub(size_t n);\nenum { XF_RC_N = 3 };\nsize_t xf_rc_mul(size_t n);\n\n#endif")}),
    ("includes", "a module of its layer's dependencies in a test", {"tests/prop/mix.c": '// modules: wire\n#include "base/rc.h"\n#include "wire/frame.h"\n'}),
    ("sizes", "a long table", {"common/base/t.c": "static const int t[] = {\n" + "    1,\n" * 300 + "};\n"}),
)

TAP = (
    ("a passing program", 0, "1..1\nok 1 - a\n", (1, 0, 0)),
    ("a failing test", 1, "1..2\nok 1 - a\nnot ok 2 - b\n# 1 != 2\n", (1, 1, 0)),
    ("a skipped test and its reason", 0, "1..1\nno data\nnot ok 1 # SKIP a\n", (0, 0, 1)),
    ("a crash before the end", -11, "1..2\nok 1 - a\n", (1, 1, 0)),
    ("a sanitizer report after the last test", 1, "1..1\nok 1 - a\n", (1, 1, 0)),
    ("a silent success", 0, "", (1, 0, 0)),
    ("a silent failure", 3, "", (0, 1, 0)),
    ("a program that skips itself", 77, "needs AVX-512\n", (0, 0, 1)),
)

# what is wrong, each worker's report (None: no file) and exit status (None: its time was over), passed failed skipped, time over
REPORT = '<testsuites><testsuite><testcase classname="test_a" name="test_one"/></testsuite></testsuites>'
REPORTS = (
    ("a report", ((REPORT, 0), (None, 5)), (1, 0, 0), False),
    ("a report that ends in the middle", ((REPORT[:60], -9), (None, 5)), (0, 1, 0), False),
    ("an empty report", (("", -9), (None, 5)), (0, 1, 0), False),
    ("a worker at its time limit", ((None, None), (REPORT, 0)), (1, 0, 0), True),
)


def plant(root, files):
    for path, content in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if isinstance(content, tuple):
            with open(full, encoding="utf-8") as f:
                before = f.read()
            assert content[0] in before, f"the clean tree's {path} has no {content[0]!r}"
            content = before.replace(*content)
        with open(full, "w", encoding="utf-8", newline="") as f:
            f.write(content)


def findings(check, files):
    """Offences that one check finds in the clean tree with some files changed; a skip reason or None."""
    with tempfile.TemporaryDirectory(prefix="xf-lint-") as root:
        plant(root, CLEAN)
        shutil.copy(os.path.join(HERE, "../../.clang-format"), root)
        plant(root, files)
        found, skipped = lint.run_check(Tree(root), check)
        return [f for f in found if not f.warn], skipped


def cases():
    """(name, function returning (ok, explanation, skip reason))"""
    for check in lint.CHECKS:
        yield f"{check}: the clean tree passes", lambda c=check: clean(c, {})
        if not any(o[0] == check for o in OFFENDERS):
            yield f"{check}: has an offender here", lambda: (False, "add one to OFFENDERS", None)
    for check, what, files in OFFENDERS:
        yield f"{check}: finds {what}", lambda c=check, f=files: offended(c, f)
    for check, what, files in HARMLESS:
        yield f"{check}: lets pass {what}", lambda c=check, f=files: clean(c, f)
    for what, status, output, expected in TAP:
        yield f"runner: {what}", lambda s=status, o=output, e=expected: counted(s, o, e)
    for what, workers, expected, late in REPORTS:
        yield f"runner: {what}", lambda w=workers, e=expected, t=late: reported(w, e, t)


def clean(check, files):
    found, skipped = findings(check, files)
    return not found, "; ".join(map(str, found)), skipped


def offended(check, files):
    found, skipped = findings(check, files)
    return bool(found), "nothing was found", skipped


def counted(status, output, expected):
    run = parts.Run("x", None, 0)
    parts.judge(run, "x", status, output)
    got = tuple(run.counts().values())
    return got == expected, f"expected {expected}, got {got}", None


class Workers(parts.Run):
    """A run whose pytest are not started: they leave what they are told to."""

    def __init__(self, workers):
        super().__init__("x", None, 0)
        self.workers = workers

    def call(self, argv, env=None):
        report = next(arg for arg in argv if arg.startswith("--junitxml=")).removeprefix("--junitxml=")
        text, status = self.workers[int(os.path.basename(report).removesuffix(".xml"))]
        if text is not None:
            with open(report, "w", encoding="utf-8") as f:
                f.write(text)
        if status is None:
            raise parts.Expired("pytest")
        return status, ""


def reported(workers, expected, expected_late):
    run, late = Workers(workers), False
    try:
        parts.share(run, "folder", "release", len(workers), "not alone")
    except parts.Expired:
        late = True
    got = tuple(run.counts().values())
    told = all(text for _, outcome, text in run.results if outcome == "failed")
    return (got, late, told) == (expected, expected_late, True), f"expected {expected}, {expected_late}; got {run.results}, {late}", None


def main():
    every = list(cases())
    print(f"1..{len(every)}")
    failed = 0
    for number, (name, function) in enumerate(every, 1):
        ok, why, skipped = function()
        if skipped:
            print(f"{skipped}\nnot ok {number} # SKIP {name}")
        elif ok:
            print(f"ok {number} - {name}")
        else:
            failed += 1
            print(f"not ok {number} - {name}\n# {why}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
