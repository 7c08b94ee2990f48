"""What a part of the suite can be made of: commands, builds, test programs, fuzz targets, pytest.

Each public function returns a function of a Run, for the table in run.py. Test programs speak TAP
(cmocka does when asked); a program that prints no TAP counts as one test by its exit status, 77 meaning
skipped with its last line as the reason.
"""

import concurrent.futures
import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import xml.etree.ElementTree

PYTHON = "/usr/bin/python3"
JOBS = str(os.cpu_count() or 2)
WORKERS = 2 * int(JOBS)  # of pytest; federations mostly wait
KINDS = ("unit", "grad", "prop", "replay")
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:suppressions=" + os.path.join(os.path.dirname(os.path.abspath(__file__)), "tsan.supp"),
}

# A small quarantine: a fuzzer allocates without end, and its resident size must stay a sign of a leak.
FUZZ_ENV = {"ASAN_OPTIONS": SANITIZER_ENV["ASAN_OPTIONS"] + ":quarantine_size_mb=32"}


class Expired(Exception):
    """The part's time is over."""


class Part:
    """One line of the table: a name, a function of a Run, a time limit, the suites it belongs to."""

    def __init__(self, name, function, limit_s, suites):
        self.name, self.function, self.limit_s, self.suites = name, function, limit_s, suites


class Run:
    """One execution of a part: its log, its results (name, passed|failed|skipped, text), its end."""

    def __init__(self, name, log, end):
        self.name, self.log, self.end = name, log, end
        self.results = []
        self.lock = threading.Lock()

    def add(self, name, outcome, text=""):
        with self.lock:
            self.results.append((name, outcome, text))

    def counts(self):
        return {key: sum(1 for r in self.results if r[1] == key) for key in ("passed", "failed", "skipped")}

    def call(self, argv, env=None):
        """Runs a command to its end or the part's; returns (status, output). Its children go with it."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
        full = {**inherited, **SANITIZER_ENV, "CMOCKA_MESSAGE_OUTPUT": "TAP", "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
        begin = time.monotonic()
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=full, start_new_session=True) as proc:
            try:
                out, _ = proc.communicate(timeout=max(0.1, self.end - time.monotonic()))
                expired = False
            except subprocess.TimeoutExpired:
                os.killpg(proc.pid, signal.SIGKILL)
                out, _ = proc.communicate()
                expired = True
        text = out.decode("utf-8", "replace")
        with self.lock:
            self.log.write(f"$ {' '.join(argv)}\n{text}[status {proc.returncode}, {time.monotonic() - begin:.1f} s]\n")
            self.log.flush()
        if expired:
            raise Expired(" ".join(argv)[:200])
        return proc.returncode, text


def status_text(status):
    if status < 0:
        try:
            return "killed by " + signal.Signals(-status).name
        except ValueError:
            return f"killed by signal {-status}"
    return f"exit status {status}"


def read_tap(text):
    """Tests and the announced number of a TAP output: ([(name, outcome, text)], planned or None)."""
    results, planned, said = [], None, ""
    for line in text.splitlines():
        plan = re.match(r"1\.\.(\d+)", line)
        test = re.match(r"(not ok|ok) \d+\s*(?:- )?(.*)", line)
        if plan:
            planned = (planned or 0) + int(plan.group(1))
        elif test:
            name = test.group(2)
            skip = re.match(r"# SKIP\s*(.*)", name)  # cmocka: "not ok 3 # SKIP name"
            if skip:
                results.append((skip.group(1), "skipped", said))
            else:
                results.append((name, "passed" if test.group(1) == "ok" else "failed", ""))
            said = ""
        elif line.startswith("# ") and results and results[-1][1] == "failed":
            name, outcome, why = results[-1]
            results[-1] = (name, outcome, (why + " " + line[2:]).strip()[:400])
        elif line.strip() and not line.startswith("#"):
            said = line.strip()
    return results, planned


def judge(run, name, status, text):
    """Turns one program's output into results."""
    results, planned = read_tap(text)
    for test, outcome, why in results:
        run.add(f"{name}: {test}", outcome, why)
    if planned is None and not results:
        summary = re.findall(r"^SUMMARY: .*|^WARNING: ThreadSanitizer.*", text, re.M)  # a sanitizer's
        last = (summary or text.strip().splitlines() or [""])[-1]
        outcome = "passed" if status == 0 else "skipped" if status == 77 else "failed"
        run.add(name, outcome, "" if outcome == "passed" else last if status == 77 else f"{status_text(status)}: {last}")
        return
    bad = any(r[1] == "failed" for r in results)
    if not results:
        run.add(name, "failed", f"no test ran; {status_text(status)}")
    elif planned is not None and planned != len(results):
        run.add(name, "failed", f"{planned} tests announced, {len(results)} reported; {status_text(status)}")
    elif status != 0 and not bad:
        summary = " ".join(re.findall(r"^SUMMARY: .*", text, re.M))
        run.add(name, "failed", f"every test passed but {status_text(status)} {summary}".rstrip())


def command(*argv, env=None):
    """One command, whose output is TAP or whose status is the result."""
    def function(run):
        status, text = run.call(list(argv), env)
        judge(run, os.path.basename(argv[1] if argv[0] == PYTHON else argv[0]), status, text)
    return function


def make(run, flavour, goals, cc=None, name=None):
    """Builds; a failure is a failed test, a success none (build() counts it)."""
    argv = ["make", "--no-print-directory", "-k", "-j" + JOBS, "FLAVOUR=" + flavour] + (["CC=" + cc] if cc else []) + goals
    status, text = run.call(argv)
    if status != 0:
        errors = [line for line in text.splitlines() if re.search(r"error:|\*\*\*|undefined reference", line)]
        run.add(name or f"build {flavour}{' ' + cc if cc else ''}", "failed", "; ".join(errors[:3]))
    return status == 0


def build(flavour, goals, cc=None):
    """Builds the goals with warnings as errors."""
    def function(run):
        if make(run, flavour, goals.split(), cc):
            run.add(f"build {flavour}{' ' + cc if cc else ''}", "passed")
    return function


def build_dir(flavour, cc=None):
    return "build/" + flavour + ("-clang" if cc == "clang" else "")


def sources(kind, manual=False):
    """Test sources of a kind, without those that a part of their own runs ("// part: name")."""
    pattern = ["tests/unit/*/test_*.c"] if kind == "unit" else [f"tests/{kind}/*.c", f"tests/{kind}/*/main.c"]
    found = sorted(path for g in pattern for path in glob.glob(g))
    return [path for path in found if manual or not re.search(r"^// part:", read(path), re.M)]


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def binary(source, flavour, cc=None):
    name = re.sub(r"/main\.c$|\.c$", "", source)
    return os.path.join(build_dir(flavour, cc), name)


def tsan_prefix(flavour):
    """gcc's TSan cannot live with much address randomisation."""
    return ["setarch", "-R"] if flavour == "tsan" and shutil.which("setarch") else []


def run_all(run, flavour, programs_, env=None):
    """Runs test programs, as many at a time as there are processors."""
    def one(path):
        status, text = run.call(tsan_prefix(flavour) + [path], env)
        judge(run, re.sub(r"^build/[^/]+/tests/", "", path), status, text)
    with concurrent.futures.ThreadPoolExecutor(int(JOBS)) as pool:
        for future in [pool.submit(one, path) for path in programs_]:
            future.result()


def programs(flavour, kinds, cc=None, only=None, env=None):
    """Builds and runs every test program of some kinds; only: those with a line in their source that matches."""
    def function(run):
        found = [path for kind in kinds.split() for path in sources(kind)]
        if only:
            found = [path for path in found if re.search(only, read(path), re.M)]
            if not found:
                run.add(run.name, "failed", f"no source has a line that matches {only}")
        built = [binary(path, flavour, cc) for path in found]
        if built and make(run, flavour, built, cc):
            run_all(run, flavour, built, env)
    return function


def program(flavour, name, *args, env=None):
    """Builds and runs one test program (say "replay/dst") with arguments, when its source exists."""
    def function(run):
        kind = name.split("/")[0]
        found = [path for path in sources(kind, manual=True) if re.sub(r"/main\.c$|\.c$", "", path) == "tests/" + name]
        if not found:
            return
        built = binary(found[0], flavour)
        if make(run, flavour, [built]):
            status, text = run.call([built, *args], env)
            judge(run, name, status, text)
    return function


def on_cpu(flag, function):
    """The part where the CPU has a flag of /proc/cpuinfo, else one skip."""
    def guarded(run):
        if flag in read("/proc/cpuinfo").split():
            function(run)
        else:
            run.add(run.name, "skipped", f"this CPU has no {flag}")
    return guarded


def pytest(folder, flavour="release", marks=None):
    """The Python tests of a folder against the programs of a flavour: shared by WORKERS, then those marked alone one by one."""
    def function(run):
        if not glob.glob(folder + "/**/test_*.py", recursive=True):
            return
        if not make(run, flavour, ["all"]) or not make(run, "faults", ["all"]):
            return
        before = len(run.results)
        share(run, folder, flavour, WORKERS, f"not alone and {marks}" if marks else "not alone")
        share(run, folder, flavour, 1, f"alone and {marks}" if marks else "alone")
        if len(run.results) == before:
            run.add("pytest", "failed", "no test was found")
    return function


def share(run, folder, flavour, workers, marks):
    """Some pytest at once that share the tests (tests/integration/claims.py), each with its own report. Nothing is run twice."""
    bin_dir = os.path.abspath("build/bin" if flavour == "release" else build_dir(flavour) + "/bin")
    with tempfile.TemporaryDirectory(prefix="xf-claims-") as claims:
        env = {"CROSSFED_BIN": bin_dir, "CROSSFED_FAULTS_BIN": os.path.abspath("build/faults/bin"), "CROSSFED_FLAVOUR": flavour,
               "CROSSFED_CLAIMS": claims, **({} if flavour == "release" else {"CROSSFED_TEST_LIMIT_S": "300"})}  # they are slow

        def one(k):
            argv = tsan_prefix(flavour) + [PYTHON, "-m", "pytest", "-q", "-c", "tests/pytest.ini", "--rootdir=tests", "-p",
                                           "no:cacheprovider", f"--junitxml={claims}/{k}.xml", "-m", marks, folder]
            return run.call(argv, env)
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            ended = [pool.submit(one, k) for k in range(workers)]
        seen, late = set(), None
        for k, future in enumerate(ended):
            try:
                seen |= read_junit(run, f"{claims}/{k}.xml", *future.result())
            except Expired as error:
                late = error
        if late:  # what the others reported counts
            raise late
        tests = os.path.join(claims, "tests")
        for name in read(tests).splitlines() if os.path.exists(tests) else []:
            if name not in seen:
                run.add(name, "failed", "it gave no result; its pytest ended before")


def read_junit(run, report, status, text):
    """Adds what a pytest reports; returns the names. Status 5 is that its marks chose nothing."""
    found, cases = [], []
    try:
        cases = xml.etree.ElementTree.parse(report).iter("testcase") if os.path.exists(report) else []
    except xml.etree.ElementTree.ParseError as error:
        found.append(("pytest", "failed", f"{status_text(status)}; its report is not whole: {error}"))
    for case in cases:
        name = f"{case.get('classname', '').split('.')[-1]}.{case.get('name')}"
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        skip = case.find("skipped")
        node = bad if bad is not None else skip
        outcome = "failed" if bad is not None else "skipped" if skip is not None else "passed"
        why = (node.get("message") or "").splitlines() if node is not None else []
        found.append((name, outcome, why[0][:300] if why else ""))
    if status not in (0, 5) and not any(r[1] == "failed" for r in found):
        found.append(("pytest", "failed", f"{status_text(status)}: {(text.strip().splitlines() or [''])[-1]}"))
    for result in found:
        if result not in run.results:  # a file that cannot be read is reported by all of them
            run.add(*result)
    return {r[0] for r in found}


def fuzz(seconds):
    """Every fuzz target: its corpus (tests/fuzz/corpus/<name>) once, then fresh inputs for some seconds."""
    def function(run):
        found = sorted(glob.glob("tests/fuzz/fuzz_*.c") + glob.glob("tests/fuzz/fuzz_*/main.c"))
        built = [binary(path, "fuzz") for path in found]
        if not built or not make(run, "fuzz", built):
            return
        with concurrent.futures.ThreadPoolExecutor(int(JOBS)) as pool:
            for future in [pool.submit(fuzz_one, run, path, seconds) for path in built]:
                future.result()
    return function


def fuzz_one(run, path, seconds):
    name = os.path.basename(path).removeprefix("fuzz_")
    corpus = f"tests/fuzz/corpus/{name}"
    with tempfile.TemporaryDirectory(prefix="xf-fuzz-") as scratch:
        common = [path, "-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={os.path.abspath('build/check')}/{name}-"]
        dictionary = f"tests/fuzz/{name}.dict"
        common += [f"-dict={dictionary}"] if os.path.exists(dictionary) else []
        for label, argv in (("corpus", common + ["-runs=0", scratch]), ("fresh", common + [f"-max_total_time={seconds}", scratch])):
            status, text = run.call(argv + ([corpus] if os.path.isdir(corpus) else []), FUZZ_ENV)
            last = [line for line in text.splitlines() if "ERROR" in line or "SUMMARY" in line]
            run.add(f"fuzz {name} {label}", "passed" if status == 0 else "failed",
                    "" if status == 0 else f"{status_text(status)}: {' '.join(last[-2:])}; artifact in build/check/")


def run_units(paths):
    """`make unit-<module>`: runs built programs, shows failures in full. Returns the exit status."""
    os.makedirs("build", exist_ok=True)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        run = Run("units", log, time.monotonic() + 600)
        try:
            for path in paths:
                start, mark = time.monotonic(), len(run.results)
                status, text = run.call(tsan_prefix(path.split("/")[1]) + [path])
                judge(run, os.path.basename(path), status, text)
                new = run.results[mark:]
                failed = sum(1 for r in new if r[1] == "failed")
                print(f"  {os.path.basename(path):32}{len(new):4} tests{failed:4} failed{time.monotonic() - start:8.2f} s")
                if failed:
                    print("\n".join("  | " + line for line in text.splitlines()[-80:]))
        except Expired:
            run.add(path, "failed", "time limit of 600 s")
        n = run.counts()
        for name, outcome, why in run.results:
            if outcome != "passed":
                print(f"  {outcome}: {name}: {why}")
        print(f"{n['passed']} passed, {n['failed']} failed, {n['skipped']} skipped")
        return 1 if n["failed"] else 0
