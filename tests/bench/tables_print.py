"""Results of tests/bench/tables.py as Markdown.

Programs print rows of their own kinds, so nothing here knows a program: rows with the same columns are one table, columns with one value
are said once above it, and rows that have an `arm` are laid out with the arms as columns. A simulator's summary is one row per silo and one
for the costs. Figures without a column for their error get none.
"""

import json
import re

ERRORS = ("se", "sd")  # "ndcg_10" has its error in "ndcg_10_se", "se_ndcg_10" or in "se" right after it
FIGURE = re.compile(r"^(valid_)?(ndcg|hr|recall|mrr|auc|acc|f1|rmse|ild|coverage|gini)")
PIVOT_MIN, PIVOT_MAX = 2, 16


def number(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    if isinstance(value, float):
        if 0 < abs(value) < 5e-4:
            return f"{value:.2g}"
        return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def flatten(row):
    """A simulator's summary as one row per silo and arm, and one of costs; any other row as it is. Nested values are dropped."""
    metrics = row.get("metrics")
    if isinstance(metrics, list) and metrics and all(isinstance(m, dict) for m in metrics):
        rest = {k: v for k, v in row.items() if k != "metrics"}
        return metrics + flatten(rest)
    return [{k: v for k, v in row.items() if not isinstance(v, (list, dict))}]


def groups(rows):
    """Rows by their columns, in order of first appearance. Optional words (stamp, served) do not part a table."""
    out = {}
    for row in (flat for raw in rows for flat in flatten(raw)):
        out.setdefault(tuple(k for k in row if k not in ("stamp", "served")), []).append(row)
    return out


def error_column(name, columns):
    for error in ERRORS:
        for candidate in (f"{name}_{error}", f"{error}_{name}"):
            if candidate in columns:
                return candidate
    following = dict(zip(columns, columns[1:])).get(name)
    return following if following in ERRORS else None


def with_error(row, name, columns):
    column = error_column(name, columns)
    text = number(row.get(name))
    return f"{text} ({number(row[column])})" if column and row.get(column) is not None else text


def constants(rows, columns):
    return [c for c in columns if len(rows) > 1 and all(row.get(c) == rows[0].get(c) for row in rows) and not isinstance(rows[0].get(c), float)]


def split_arm(rows, columns):
    """(columns that name a line, columns that are figures) of rows with an arm, or None when they do not make a grid."""
    figures = [c for c in columns if FIGURE.match(c) or c.startswith("minus_") or "_minus_" in c]
    errors = {error_column(c, columns) for c in figures} | {c for c in columns if re.search(r"(^|_)(se|sd)(_|$)", c)}
    figures = [c for c in figures if c not in errors]
    names = [c for c in columns if c != "arm" and c not in figures and c not in errors]
    keys = [(tuple(row.get(c) for c in names), row["arm"]) for row in rows]
    arms = list(dict.fromkeys(arm for _, arm in keys))
    if not figures or len(set(keys)) < len(keys) or not PIVOT_MIN <= len(arms) <= PIVOT_MAX:
        return None
    return names, figures, arms


def pivot(rows, columns):
    """Arms as columns, a table per figure; None when the rows are not of that kind."""
    parted = split_arm(rows, columns) if "arm" in columns else None
    if not parted:
        return None
    names, figures, arms = parted
    same = constants(rows, names)
    names = [c for c in names if c not in same]
    lines = []
    for figure in figures:
        table = {}
        for row in rows:
            text = with_error(row, figure, columns) + (" *" if row.get("served") else "")
            table.setdefault(tuple(number(row.get(c)) for c in names), {})[row["arm"]] = text
        lines += ["", f"{figure}:" if len(names) else f"{figure}", ""]
        lines += markdown([*names, *map(number, arms)], [[*key, *(line.get(arm, "") for arm in arms)] for key, line in table.items()])
    return caption(rows, same) + lines


def caption(rows, same):
    words = [f"{c} {number(rows[0].get(c))}" for c in same]
    words += sorted({row["stamp"] for row in rows if row.get("stamp")})
    if any(row.get("served") for row in rows):
        words.append("* is what the silo serves")
    return ["", "; ".join(words) + "."] if words else []


def plain(rows, columns):
    same = constants(rows, columns)
    shown = [c for c in columns if c not in same] or list(columns)
    if len(rows) == 1:
        return ["", "; ".join(f"{c} {number(rows[0][c])}" for c in columns) + (f"; {rows[0]['stamp']}" if rows[0].get("stamp") else "") + "."]
    return caption(rows, same) + [""] + markdown(shown, [[number(row.get(c)) for c in shown] for row in rows])


def cell(result):
    """One result."""
    command = " ".join([*(f"{k}={v}" for k, v in sorted(result["env"].items())), *result["command"]])
    host = result["host"]
    lines = ["", f"### {result['cell']}, {result['part']}", "", f"    {command}", "",
             f"Commit {(result['commit'] or 'unknown')[:12]}{'-changed' if (result['commit'] or '').endswith('-changed') else ''}, {result['started']},"
             f" {host['processor']} with {host['cores']} cores, {result['seconds']:.1f} s, at most {result['peak_rss_bytes'] / 1e6:.0f} MB resident"
             + (f"; seeds: {result['seeds']}" if result["seeds"] else "") + "."]
    if result["status"] != "ok":
        return lines + ["", f"**{result['status']}**: {result['reason']}"]
    for columns, rows in groups(result["rows"]).items():
        lines += pivot(rows, columns) or plain(rows, columns)
    if result["text"]:
        lines += ["", *("    " + line for line in result["text"])]
    return lines


def final_reads(path):
    """How often each cell's test labels were read here."""
    count = {}
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                name = json.loads(line)["cell"]
                count[name] = count.get(name, 0) + 1
    except FileNotFoundError:
        return []
    return ["", "Test labels were read here by " + ", ".join(f"{name} ({n})" for name, n in sorted(count.items())) + "."]


def document(results, reads):
    """All results under the headings of the tables they feed."""
    lines, heading = [], None
    for result in results:
        if result["table"] != heading:
            heading = result["table"]
            lines += ["", f"## {heading}"]
        lines += cell(result)
    lines += final_reads(reads)
    return "\n".join(lines).lstrip("\n") + "\n" if lines else "no results yet; make bench-tables makes them\n"
