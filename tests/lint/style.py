"""How the code is written: format, banned functions, header tags, sizes, words, plain text."""

import re
import shutil
import subprocess

from source import TEXT_SUFFIXES, Finding, Skip, functions, line_of, without_directives


def formatted(tree):
    """clang-format would change nothing."""
    tool = shutil.which("clang-format") or shutil.which("clang-format-14")
    if not tool:
        raise Skip("clang-format is not installed")
    files = tree.c_files()
    for i in range(0, len(files), 50):
        result = subprocess.run([tool, "--dry-run", "--ferror-limit=0", *files[i:i + 50]], cwd=tree.root,
                                capture_output=True, text=True, check=False)
        seen = set()
        for line in result.stderr.splitlines():
            match = re.match(r"(\S+?):(\d+):\d+: (?:warning|error): code should be clang-formatted", line)
            if match and match.group(1) not in seen:
                seen.add(match.group(1))
                yield Finding(match.group(1), int(match.group(2)), "not formatted; run clang-format -i on it")
        if not seen and result.returncode != 0:
            yield Finding(".clang-format", 1, result.stderr.strip()[:300])


# Where, what, what to do instead. "unless" are files that exist to wrap the thing.
EVERYWHERE = ("common/", "server/", "client/", "tools/", "tests/")
LIBRARIES = ("common/", "server/core/", "client/core/")
PROGRAMS = ("common/", "server/", "client/", "tools/")
BANNED = (
    (EVERYWHERE, "strcpy strcat strncpy strncat stpcpy", "xf_str_* or memcpy with a checked length", ()),
    (EVERYWHERE, "sprintf vsprintf gets", "snprintf or xf_buf_printf", ()),
    (EVERYWHERE, "strtok strtok_r", "base/cursor.h", ()),
    (EVERYWHERE, "atoi atol atoll atof", "the strict number parsers of base/str.h", ()),
    (EVERYWHERE, "rand srand random srandom drand48 rand_r", "base/rng.h (seeded) or crypto/random.h (secret)", ()),
    (EVERYWHERE, "localtime gmtime ctime asctime localtime_r", "base/time.h", ()),
    (EVERYWHERE, "alloca tmpnam tempnam mktemp", "an arena or a bounded array; base/fs.h for files", ()),
    (EVERYWHERE, "system popen", "posix_spawn with an argument vector, where a process is needed at all", ()),
    (PROGRAMS, "time gettimeofday clock_gettime clock", "base/time.h; pure code takes the instant as an argument", ("common/base/time.c",)),
    (PROGRAMS, "malloc calloc realloc free strdup strndup reallocarray posix_memalign aligned_alloc", "base/alloc.h", ("common/base/alloc.c",)),
    (LIBRARIES, "abort exit _exit _Exit quick_exit", "an xf_rc; XF_ASSERT for a broken invariant of ours",
     ("common/base/assert.c", "common/base/alloc.c", "common/base/fail.c")),
    (LIBRARIES, "printf vprintf puts putchar perror fprintf vfprintf fputs putc", "base/log.h, or a struct xf_buf for text", ("common/base/assert.c",)),
    (("server/core/", "client/core/"), "xf_time_now xf_wall_now_s xf_wall_now_us", "the instant that the event carries", ()),
)


def banned(tree):
    """No call of a banned function. A line may say  lint: allow NAME, reason  (in a comment on it or above)."""
    rules = [(where, re.compile(r"(?<![\w.>])(" + "|".join(names.split()) + r")\s*\("), instead, unless)
             for where, names, instead, unless in BANNED]
    for path in tree.c_files():
        code = lines = None
        for where, pattern, instead, unless in rules:
            if not path.startswith(where) or path in unless:
                continue
            code = code or tree.code(path)
            for match in pattern.finditer(code):
                lines = lines or tree.read(path).splitlines()
                line = line_of(code, match.start())
                near = " ".join(lines[max(0, line - 2):line])
                if not re.search(r"lint: allow " + re.escape(match.group(1)) + r"\b,?\s*\w{3,}", near):
                    yield Finding(path, line, f"{match.group(1)}() is banned here; use {instead}")


GIVES_OBJECTS = re.compile(r"\*\*|\*\s*xf_\w+\s*\(|\bxf_\w+_(new|init|open|start|take)\s*\(")
TAGS = re.compile(r"@(own|err|shape|unit|thread|source)\b")


def tags(tree):
    """Headers say what they are for; every public function has at least one tag line in its comment."""
    for path in tree.c_files(".h"):
        if path.startswith("tests/"):
            continue
        text = tree.read(path)
        head = re.match(r"\s*/\*(.*?)\*/", text, re.S)
        if not head or len(head.group(1).split()) < 8:
            yield Finding(path, 1, "open the header with a comment: what it is for, what not for, who owns what, which thread")
        elif next(prototypes(tree, path), None):
            if not re.search(r"\bthreads?\b", text, re.I):
                yield Finding(path, 1, "the header nowhere says which thread may call; the opening comment is the place")
            if GIVES_OBJECTS.search(tree.code(path)) and not re.search(r"\bown(s|ed|er|ers|ership)?\b", text, re.I):
                yield Finding(path, 1, "the header nowhere says who owns what; the opening comment is the place")
        if not re.search(r"^#ifndef XF_\w+_H\n#define XF_\w+_H$|^#pragma once$", text, re.M):
            yield Finding(path, 1, "needs an include guard XF_<MODULE>_<FILE>_H")
        for name, line, comment in prototypes(tree, path):
            if not TAGS.search(comment):
                what = "has a comment without a tag" if comment else "has no comment"
                yield Finding(path, line, f"{name}() {what}; say at least one of @own @err @shape @unit @thread @source")
        module = tree.module_of(path)
        if module and module.name in ("fed", "priv") and "@source" not in text and next(prototypes(tree, path), None):
            yield Finding(path, 1, "an algorithm's header names its paper or RFC: @source", warn=True)


def prototypes(tree, path):
    """(name, line, comment) of the functions a header declares. Prototypes that follow each other without a blank
    line share the comment above the first; a constant between the comment and its function does no harm."""
    text, code = tree.read(path), without_directives(tree.code(path))
    lines, depth, statement, group = text.splitlines(), 0, 0, ""
    previous_end = None
    for match in re.finditer(r"[{};]", code):
        at, ch = match.start(), match.group(0)
        if ch == "{":
            if depth == 0:
                head_end = at
            depth += 1
            continue
        if ch == "}":
            depth = max(0, depth - 1)
            if depth:
                continue
            end, head = at + 1, code[statement:head_end]
            inline_body = head.rstrip().endswith(")")
        elif depth:
            continue
        else:
            end, head, inline_body = at + 1, code[statement:at], False
        found = re.search(r"\b(xf_\w+)\s*\(", head)
        first = line_of(code, statement + len(head) - len(head.lstrip()))
        above = comment_above(lines, first)
        adjacent = previous_end is not None and all(s.strip() for s in lines[previous_end:first - 1])
        group = above or (group if adjacent else "")
        previous_end = line_of(code, end)
        declares = found and "(*" not in head[:found.end() + 1].replace(" ", "") and not re.match(r"\s*typedef", head)
        if declares and (ch == ";" or inline_body):
            last = lines[previous_end - 1]
            yield found.group(1), first, group + (last[last.find("/*"):] if "/*" in last else "")
        statement = end


def comment_above(lines, first):
    """The comment that ends on the line before line number `first`."""
    i = first - 2
    if i < 0 or not lines[i].rstrip().endswith("*/"):
        return ""
    block = []
    while i >= 0:
        block.insert(0, lines[i])
        if "/*" in lines[i]:
            break
        i -= 1
    return "\n".join(block)


SOFT_C, HARD_C, SOFT_H, HARD_H, SOFT_FN, HARD_FN = 500, 800, 200, 300, 60, 100


def sizes(tree):
    """Files and functions stay small: soft limits warn, hard limits fail."""
    for path in tree.c_files():
        n = tree.read(path).count("\n")
        soft, hard = (SOFT_C, HARD_C) if not path.endswith(".h") else (SOFT_H, HARD_H)
        if n > soft:
            yield Finding(path, n, f"{n} lines, limit {hard if n > hard else soft}; split it by idea", warn=n <= hard)
        for name, line, lines in functions(tree.code(path)):
            if lines > SOFT_FN:
                limit = HARD_FN if lines > HARD_FN else SOFT_FN
                yield Finding(path, line, f"{name}() has {lines} lines, limit {limit}", warn=lines <= HARD_FN)


MARKERS = re.compile(r"\b(TO[D]O|FIX[M]E|HAC[K]|X{3})\b(?!\([\w.@-]+\))")
PLACES = re.compile(r"(?<![\w.])/(?:home|root|Users|mnt|work)/[\w.-]+")


def words(tree):
    """No path of a developer's machine; unfinished work has an owner in parentheses."""
    for path in tree.files:
        if not (path.endswith(TEXT_SUFFIXES) or "." not in path.rsplit("/", 1)[-1]) or path == "LICENSE" or "/corpus/" in path:
            continue
        for number, line in enumerate(tree.read(path).splitlines(), 1):
            marker, place = MARKERS.search(line), PLACES.search(line)
            if marker:
                yield Finding(path, number, f"{marker.group(1)} without an owner: do it now, or write {marker.group(1)}(name)")
            if place:
                yield Finding(path, number, f"{place.group(0)} is a path of some machine; derive it or take it as an option")


def text(tree):
    """Plain text: UTF-8, newline at the end, no trailing blanks, no tabs in C."""
    for path in tree.files:
        if not path.endswith((".c", ".h", ".inc", ".py", ".sh", ".mk", ".md", ".proto", ".yaml")) or "/corpus/" in path or "/golden/" in path:
            continue
        content = tree.read(path)
        if "\r" in content or "\ufffd" in content or content.startswith("\ufeff"):
            yield Finding(path, 1, "must be UTF-8 with plain newlines and no byte order mark")
        if content and not content.endswith("\n"):
            yield Finding(path, content.count("\n") + 1, "no newline at the end of the file")
        for number, line in enumerate(content.splitlines(), 1):
            if line != line.rstrip() and not path.endswith(".md"):
                yield Finding(path, number, "blanks at the end of the line")
            if "\t" in line and path.endswith((".c", ".h", ".inc", ".py", ".proto", ".yaml")):
                yield Finding(path, number, "a tab; indent with spaces (in a literal write \\t)")
