"""The commands of `whywait`, in the order of the help, for those who have the analysis extra and those who have not."""

from typing import Final

BASE: Final = {
    "run": "Trace a service, with no change to its code.",
    "doctor": "What whywait can observe on this machine, and why not more.",
}
ANALYSIS: Final = {
    "report": "Why requests were slow, what delayed them, what to change.",
    "diff": "What changed between two runs, and why.",
    "whatif": "What a change would bring: predicted, with intervals.",
    "top": "What requests wait for now, in the terminal.",
    "metrics": "Send the causes as OpenTelemetry metrics.",
    "export": "Write a timeline for Perfetto's UI.",
    "convert": "Write traces as one small file (Parquet) that is read fast.",
    "annotate": "Add the causes to traces, so that Jaeger shows them.",
    "logs": "What timestamped logs show, and what they cannot show.",
    "causes": "What each cause means, and what to change.",
    "demo": "A demonstration: a service in six modes under load.",
}
READER: Final = "whywait.analysis.cli"  # has these; it needs the extra
INSTALL: Final = "pip install 'whywait[analysis]'"

FIRST_STEPS: Final = """\
From a service to its answer:
  whywait doctor                              what whywait can observe here
  whywait run -- uvicorn app:app              traces go to ./traces
  whywait report traces --html report.html    why requests were slow, what delayed them, what to change
  whywait diff before after                   what changed between two runs
"""
EXIT_CODES: Final = """\
Exit codes: 0 success; 1 negative result (doctor: something is missing; diff --fail-if-slower: slower); 2 bad input or
arguments; 3 cannot tell (diff --fail-if-slower); 130 interrupted.
"""
