"""What needs a compiler or its output: headers that compile alone, binaries without failpoints."""

import concurrent.futures
import hashlib
import json
import os
import shutil
import subprocess

from source import Finding, Skip

FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wstrict-prototypes", "-Wundef", "-Werror", "-fsyntax-only", "-Icommon", "-I."]
CACHE = "build/lint/headers.json"
GEN = "build/lint/gen"


def standalone(tree):
    """Every header of a module compiles alone and may be included twice. Remembered by content."""
    compiler = shutil.which("gcc")
    if not compiler:
        raise Skip("gcc is not installed")
    os.makedirs(tree.full(GEN), exist_ok=True)
    known = load(tree)
    fresh, todo = {}, []
    for path in tree.c_files(".h"):
        if tree.module_of(path):
            key = content_key(tree, path)
            if known.get(path) == key:
                fresh[path] = key
            else:
                todo.append((path, key))
    if any(module.proto for module in tree.modules.values()) and todo:
        generate(tree)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for (path, key), error in zip(todo, pool.map(lambda item: compile_alone(tree, compiler, item[0]), todo)):
            if error:
                yield Finding(path, 1, "does not compile alone: " + error)
            else:
                fresh[path] = key
    save(tree, fresh)


def load(tree):
    try:
        with open(tree.full(CACHE), encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError):
        return {}


def save(tree, known):
    temporary = tree.full(f"{CACHE}.{os.getpid()}")
    with open(temporary, "w", encoding="utf-8") as f:
        json.dump(known, f)
    os.replace(temporary, tree.full(CACHE))


def content_key(tree, path):
    """Digest of the header and of everything of ours that it includes."""
    seen, stack = set(), [path]
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        stack += [t for _, kind, name in tree.includes(current) if kind == '"' for t in [tree.resolve(current, name)] if t]
    module = tree.module_of(path)
    digest = hashlib.sha256(" ".join(FLAGS + module.pkgs).encode())
    for name in sorted(seen | {p for p in tree.files if p.startswith("proto/") and module.proto}):
        digest.update(name.encode() + b"\0" + tree.read(name).encode())
    return digest.hexdigest()


def generate(tree):
    tool = shutil.which("protoc-c")
    if not tool:
        raise Skip("protoc-c is not installed")
    for module in tree.modules.values():
        for proto in module.proto:
            subprocess.run([tool, "-Iproto", "--c_out=" + GEN, "proto/" + proto], cwd=tree.root, check=True)


def compile_alone(tree, compiler, path):
    """The first line of the compiler's complaint, or None."""
    module = tree.module_of(path)
    cflags = []
    if module.pkgs:
        found = subprocess.run(["pkg-config", "--cflags", *module.pkgs], capture_output=True, text=True, check=False)
        if found.returncode != 0:
            return found.stderr.strip().splitlines()[0]
        cflags = found.stdout.split()
    name = path.removeprefix("common/")
    unit = f'#include "{name}"\n#include "{name}"\nint xf_lint_unit;\n'
    result = subprocess.run([compiler, *FLAGS, "-isystem", GEN, *cflags, "-x", "c", "-"], input=unit, cwd=tree.root,
                            capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return None
    errors = [line for line in result.stderr.splitlines() if "error:" in line]
    return (errors or result.stderr.splitlines() or ["no message"])[0]


MARK = b"xf_failpoint"


def binaries(tree):
    """Release programs hold no failpoint; programs of the flavour `faults` do (or the check would prove nothing)."""
    release = tree.built("build/bin/*", "build/release/lib/*.a", "build/release-clang/bin/*")
    if not release:
        raise Skip("no release build to look at")
    for path in release:
        with open(path, "rb") as f:
            if MARK in f.read():
                yield Finding(os.path.relpath(path, tree.root), 1, "a release binary contains a failpoint (XF_FAULTS leaked)")
    uses = any("XF_FAILPOINT(" in tree.code(p) for p in tree.c_files(".c") if p.startswith(("server/io/", "client/io/")))
    for path in tree.built("build/faults/bin/crossfed-server", "build/faults/bin/crossfed-client") if uses else []:
        with open(path, "rb") as f:
            if MARK not in f.read():
                yield Finding(os.path.relpath(path, tree.root), 1, "built with XF_FAULTS, yet no failpoint in it")
