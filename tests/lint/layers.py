"""Who may include whom: the module graph, its layers, third-party headers and where they are confined."""

import os
import re

from source import Finding

# A module depends only on lower layers (docs/ARCHITECTURE.md has the table with the reasons).
LAYERS = {
    "base": 0,
    "conf": 1, "json": 1, "tensor": 1, "param": 1, "crypto": 1,
    "nn": 2, "data": 2, "priv": 2, "fed": 2, "wire": 2, "store": 2, "plan": 2, "pki": 2,
    "model": 3, "net": 3, "tools/exper": 3,
    "train": 4, "rec": 4, "http": 4, "server/core": 4, "client/core": 4,
    "resolve": 5, "client/api": 5, "silo": 6,
    "server/io": 7, "client/io": 7, "tools/sim": 7, "tools/bench": 7,
    "tools": 8,
}

# Third-party headers: pattern, the modules that may use them, at most how many files of the first of them (None: any).
SHELLS = ("net", "server/io", "client/io", "tools", "tools/sim", "tools/bench")
CONFINED = (
    (r"uthash\.h|utlist\.h|utarray\.h", ("base",), 1),
    (r"yaml\.h", ("conf",), None),
    (r"jansson\.h", ("json",), None),
    (r"cblas\.h|openblas_config\.h", ("tensor",), 1),
    (r"sodium(/.*)?\.h", ("crypto",), 1),
    (r"openssl/ssl\.h|openssl/tls1\.h", ("net",), None),
    (r"openssl/(x509\w*|pem|asn1\w*|objects|obj_mac|safestack|stack|conf)\.h", ("pki", "net"), None),
    (r"openssl/(evp|kdf|core_names|params)\.h", ("crypto", "pki"), 1),
    (r"openssl/(bio|err|bn|ec|crypto|opensslv|types|rand)\.h", ("net", "pki", "crypto"), None),
    (r"zlib\.h", ("data",), None),
    (r"protobuf-c/.*\.h|.*\.pb-c\.h", ("wire",), None),
    (r"sqlite3\.h", ("store",), None),
    (r"uv\.h", SHELLS, None),
    (r"microhttpd\.h", ("http",), None),
)

# The pure state machines see no socket, file, thread or clock.
PURE = ("server/core", "client/core", "fed", "priv", "param", "wire")
IMPURE_HEADERS = re.compile(r"unistd|fcntl|dirent|poll|pthread|time|threads|signal|netdb|sys/(socket|stat|types|mman|time|epoll|file|select|uio|wait|un)|"
                            r"netinet/.*|arpa/.*")
IMPURE_OURS = ("base/worker.h", "base/fs.h")

SYSTEM = re.compile(r"""(
    assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|stdalign|stdarg|stdatomic|stdbool|stddef|
    stdint|stdio|stdlib|stdnoreturn|string|strings|tgmath|threads|time|uchar|wchar|wctype|
    aio|dirent|dlfcn|elf|endian|byteswap|err|execinfo|fcntl|fnmatch|ftw|getopt|glob|grp|ifaddrs|libgen|link|malloc|net/if|netdb|poll|
    pthread|pwd|regex|sched|semaphore|spawn|syslog|termios|ucontext|unistd|features|
    arpa/\w+|netinet/\w+|linux/\w+|asm/\w+|sys/\w+|sanitizer/\w+|
    \w*intrin|cpuid|valgrind/\w+
)\.h""", re.X)


def graph(tree):
    """Every dependency exists, goes to a lower layer, and the graph has no cycle."""
    for module in tree.modules.values():
        if module.name not in LAYERS:
            yield Finding(module.makefile, 1, f'module "{module.name}" has no layer in tests/lint/layers.py; give it one')
        for dep in module.deps:
            if dep == module.name:
                yield Finding(module.makefile, 1, f'"{dep}" depends on itself')
            elif dep not in tree.modules and dep not in LAYERS:
                yield Finding(module.makefile, 1, f'depends on "{dep}", which does not exist')
            elif dep not in tree.modules:
                yield Finding(module.makefile, 1, f'depends on "{dep}", which has no module.mk yet', warn=True)
            elif LAYERS.get(dep, 0) >= LAYERS.get(module.name, 99):
                yield Finding(module.makefile, 1, f'"{module.name}" (layer {LAYERS[module.name]}) may not depend on "{dep}" '
                              f'(layer {LAYERS[dep]}); only on lower layers')
    yield from cycles(tree)


def cycles(tree):
    done, path = set(), []

    def visit(name):
        if name in path:
            loop = path[path.index(name):] + [name]
            yield Finding(tree.modules[name].makefile, 1, "module cycle: " + " -> ".join(loop))
            return
        if name in done or name not in tree.modules:
            return
        path.append(name)
        for dep in tree.modules[name].deps:
            yield from visit(dep)
        path.pop()
        done.add(name)

    for name in tree.modules:
        yield from visit(name)


def includes(tree):
    """Every #include "..." names a file of the own module or of one in DEPS (tests: of what they link)."""
    for path in tree.c_files():
        module = tree.module_of(path)
        test = path.startswith("tests/")
        if not module and not test:
            continue
        allowed = {module.name, *module.deps} if module else tree.closure(tree.test_modules(path))
        for line, kind, name in tree.includes(path):
            if kind != '"' or name.endswith(".pb-c.h"):
                continue
            target = tree.resolve(path, name)
            if target is None:
                yield Finding(path, line, f'#include "{name}" finds no file; write third-party headers as <{name}>')
                continue
            owner = tree.module_of(target)
            if owner is None and not (test and target.startswith("tests/")):
                yield Finding(path, line, f'#include "{name}" is not in a module')
            elif owner and owner.name not in allowed:
                fix = f"add it to DEPS of {module.makefile} if the layers allow" if module else "name its module in the \"// modules:\" line"
                yield Finding(path, line, f'#include "{name}" belongs to "{owner.name}", which is not a dependency; {fix}')
            elif module and "/" not in name:
                yield Finding(path, line, f'#include "{name}": write the module too ("{module.name}/{name}")')
            elif module and module.name in PURE and name in IMPURE_OURS:
                yield Finding(path, line, f'#include "{name}" in "{module.name}", which is a pure module')


def thirdparty(tree):
    """Third-party headers only where module.mk names them and where they are confined."""
    users = {}
    for path in tree.c_files():
        module = tree.module_of(path)
        linked = tree.closure(tree.test_modules(path)) if path.startswith("tests/") else ()
        for line, kind, name in tree.includes(path):
            generated = name.endswith(".pb-c.h")
            if kind == '"' and not generated:
                continue
            if SYSTEM.fullmatch(name):
                if module and module.name in PURE and IMPURE_HEADERS.fullmatch(name[:-2]):
                    yield Finding(path, line, f"<{name}> in \"{module.name}\", which is pure: no socket, file, thread or clock")
                continue
            if path.startswith("tests/"):
                if name != "cmocka.h" and not any(tree.modules[m].allows(name) for m in linked):
                    yield Finding(path, line, f"<{name}> is not a header of any module this test links")
                continue
            if not module:
                continue
            if not module.allows(name):
                yield Finding(path, line, f"<{name}> is not in HEADERS of {module.makefile}")
            for pattern, modules, most in CONFINED:
                if re.fullmatch(pattern, name):
                    if module.name not in modules:
                        yield Finding(path, line, f"<{name}> is confined to {', '.join(modules)}")
                    elif most and module.name == modules[0]:
                        users.setdefault((pattern, module.name, most), {}).setdefault(path, line)
                    break
            else:
                yield Finding(path, line, f"<{name}> is confined nowhere; add it to CONFINED in tests/lint/layers.py")
    for (pattern, name, most), where in users.items():
        if len(where) > most:
            for path, line in sorted(where.items()):
                others = ", ".join(os.path.basename(p) for p in sorted(where) if p != path)
                yield Finding(path, line, f'at most {most} file of "{name}" may include {pattern}; also {others} does')
