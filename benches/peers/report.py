"""The results as a Markdown table and as a chart: the same layout whatever the figures are."""

from dataclasses import dataclass
from html import escape

OURS = "cedar-gate"


@dataclass
class Results:
    subjects: list
    sizes: list
    effort: object
    # How many rounds there were, of those that the effort has.
    rounds: int
    # How many requests each was asked beforehand.
    checked: int
    # (name of the subject, policies) -> figure -> (median, least)
    figures: dict
    # name of a subject -> how often its process ended by itself
    ended: dict
    facts: dict

    def of(self, subject, policies):
        """The figures of a subject; of one that has no rules, whatever the policies are."""
        return self.figures[subject.name, policies if subject.decides else self.sizes[0]]


def number(value):
    """Three digits that mean something: 0.94, 7.1, 42, 1,234."""
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def pair(figure):
    return f"{number(figure[0])} ({number(figure[1])})"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def ratio(results, subject, policies, figure):
    """How many times cedar-gate's. What disturbs a measurement only ever adds to it, so the least are compared."""
    if (OURS, policies) not in results.figures:
        return "-"
    times = results.of(subject, policies)[figure][1] / results.figures[OURS, policies][figure][1]
    return (f"{times:.2g}" if times < 1 else number(times)) + " ×"


def markdown(results):
    sizes, effort, facts = results.sizes, results.effort, results.facts
    middle = sizes[len(sizes) // 2]
    by_size = lambda text: [text.format(f"{policies:,}") for policies in sizes]

    def rows(figure, with_ratios=True):
        for subject in results.subjects:
            row = [subject.title] + [pair(results.of(subject, policies)[figure]) for policies in sizes]
            if with_ratios:
                row += [ratio(results, subject, policies, figure) for policies in sizes]
            yield row

    rest = ([subject.title, pair(results.of(subject, middle)["first_ms"]),
             pair(results.of(subject, middle)["first_cpu_ms"]), pair(results.of(subject, middle)["wall_us_median"]),
             *(number(results.of(subject, policies)["rss_mb"][0]) for policies in sizes)]
            for subject in results.subjects)
    low, typical, high = facts["load"]
    pinned = "Harness and authorizer shared one CPU (`taskset`)." if facts["pinned"] else "Nothing was pinned to a CPU."
    return f"""# cedar-gate and its peers at the same work

Written by `benches/peers/run`; [its README](./README.md) says what is asked and how each peer is set up. Figures are
median (least); "×" compares the least with cedar-gate's. Compare within this page only.

- Machine: {facts["machine"]}. {pinned}
- Date: {facts["date"]}. Load average (1 min) while measuring: least {low:.1f}, median {typical:.1f}, highest {high:.1f};
  niceness {facts["niceness"]}. The one process that is measured at a time makes up to 1.0 of it; what is above that disturbed it.
- {results.rounds} rounds, all in turns; in each, per authorizer and size, {effort.starts + 1} starts, and {effort.invokes:,} invocations after
  {effort.warm:,} that were not counted, each with a token of its own.
- Before that, {results.checked} requests per authorizer and size got the answers that the rules say; so did all measured ones.
- Processes that ended by themselves and were started again: {", ".join(f"{name} {times} ×" for name, times in sorted(results.ended.items())) or "none"}.
- Versions: {", ".join(f"{name} {version}" for name, version in facts["versions"].items())}.

## CPU time per invocation, µs

Of the whole process tree: Runtime API call, event, token, decision, answer.

{table(["authorizer", *by_size("{} policies"), *by_size("× at {}")], rows("cpu_us"))}

## From starting the process to its first `GET /next`, ms

{table(["authorizer", *by_size("{} policies"), *by_size("× at {}")], rows("init_ms"))}

## First answer, latency and memory

At {middle:,} policies but for the memory. The latency is the median of a run as the Runtime API sees it, so with one CPU for both.

{table(["authorizer", "first answer, ms", "its CPU, ms", "latency, µs", *by_size("peak RSS, MB: {}")], rest)}

## Who does less

{less(results)}
"""


def less(results):
    rows = [[subject.title, subject.does_less or "–"] for subject in results.subjects]
    return table(["authorizer", "does less"], rows).replace("---:", "---")


# --- the chart ------------------------------------------------------------------------------------------------------

# Greys and two hues that can be read on white and on black alike: a picture does not know what it stands on.
TEXT, BAR, OWN_BAR = "#767f8a", "#8c8fa8", "#1f9d6b"
WIDTH, LEFT, RIGHT, ROW, BAR_HEIGHT = 760, 275, 95, 22, 13


def svg(results):
    """Two charts of bars, at the middle size: CPU time per invocation, and the start."""
    middle = results.sizes[len(results.sizes) // 2]
    # What makes no difference to a start, and what only shows what records cost, stands in the tables.
    loud = [subject for subject in results.subjects if subject.name != "cedar-gate-quiet"]
    every = [subject for subject in loud if subject.name != "cedar-gate-folder"]
    starting = [subject for subject in loud if subject.events == "distinct"]
    parts, y = [], 8
    for title, figure, unit, shown in [
        (f"CPU time per invocation, {middle:,} policies (µs, less is better)", "cpu_us", "µs", every),
        (f"Start of the process until it is ready, {middle:,} policies (ms, less is better)", "init_ms", "ms", starting),
    ]:
        y = bars(parts, y, title, [(subject, results.of(subject, middle)[figure][0]) for subject in shown], unit)
    versions = results.facts["versions"]
    note = f"{results.facts['date']}, {results.facts['machine'].split(',')[0]}, one CPU; medians. cedar-gate {versions['cedar-gate']}"
    parts.append(f'<text x="0" y="{y + 12}" font-size="11">{escape(note)}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 22}" viewBox="0 0 {WIDTH} {y + 22}" '
            f'role="img" font-family="system-ui, sans-serif" font-size="13" fill="{TEXT}">\n'
            "<title>cedar-gate and its peers: CPU time per invocation and start</title>\n" + "\n".join(parts) + "\n</svg>\n")


def bars(parts, y, title, values, unit):
    """One bar an authorizer, all on one linear scale; returns where the next chart begins."""
    parts.append(f'<text x="0" y="{y + 12}" font-weight="600">{escape(title)}</text>')
    y += 24
    longest = max(value for _, value in values)
    for subject, value in values:
        own = subject.name.startswith(OURS)
        label = escape(subject.title.replace("**", ""))
        weight = ' font-weight="600"' if own else ""
        length = max(1.0, value / longest * (WIDTH - LEFT - RIGHT))
        parts.append(f'<text x="{LEFT - 8}" y="{y + 11}" text-anchor="end"{weight}>{label}</text>'
                     f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR_HEIGHT}" rx="2" fill="{OWN_BAR if own else BAR}"/>'
                     f'<text x="{LEFT + length + 6:.1f}" y="{y + 11}"{weight}>{number(value)} {unit}</text>')
        y += ROW
    return y + 14
