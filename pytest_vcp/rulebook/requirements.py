"""Section 2: what the package requires."""

from __future__ import annotations

from pytest_vcp.rulebook.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "VCP201",
        "static",
        "the platform's section of requirements.in is intact",
        "the hub runs the model with its own MLflow version",
    ),
    Rule(
        "VCP202",
        "static",
        "every requirement in requirements.txt is an exact == pin",
        "an open range resolves to something else next month",
    ),
    Rule(
        "VCP203",
        "static",
        "requirements.txt names nothing that another machine can't fetch",
        "a path, an editable install or a moving branch exists only at the author's",
    ),
    Rule(
        "VCP204",
        "static",
        "a local version such as +cu118 comes with the index that serves it",
        "pypi.org has no local versions, so pip finds nothing for such a pin",
    ),
    Rule(
        "VCP205",
        "static",
        "no distribution is pinned twice",
        "two pins of one distribution contradict each other, or will",
    ),
    Rule(
        "VCP206",
        "static",
        "every requirement of requirements.in is met by its pin in requirements.txt",
        "a lock that was not compiled again installs something other than what was asked for",
    ),
    Rule(
        "VCP207",
        "environment",
        "every pin admits the target Python in its Requires-Python, upper bound included",
        "pip refuses such a pin; installers that overlook it install what was never tested so",
    ),
    Rule(
        "VCP208",
        "environment",
        "pip's resolver accepts the whole of requirements.txt",
        "the hub installs with the resolver on; a conflict stops it there",
    ),
    Rule(
        "VCP209",
        "environment",
        "everything that a pinned requirement needs is pinned as well",
        "what is not pinned is whatever is newest when the hub builds",
    ),
    Rule(
        "VCP210",
        "environment",
        "nothing is pinned that nothing needs",
        "each pin is one more thing to download, to audit and to be in conflict",
        level="advice",
    ),
    Rule(
        "VCP211",
        "static",
        "no option changes what pip resolves, and no line holds credentials",
        "the hub's resolver has to come to the same result, and everyone reads the file",
    ),
    Rule(
        "VCP212",
        "environment",
        "no pinned release was yanked",
        "its maintainers withdrew it, for a defect as a rule; some mirrors drop it",
        level="advice",
    ),
    Rule(
        "VCP213",
        "environment",
        "a pin provides each third-party module that model_code and model_spec.py import",
        "an import that only the author's machine can do fails on the hub, often late",
    ),
    Rule(
        "VCP214",
        "static",
        "hashes are on every line of requirements.txt, or on none",
        "with one hash in the file, pip refuses every line without",
    ),
    Rule(
        "VCP215",
        "static",
        "what is pinned works with the platform's MLflow in all of its parts",
        "MLflow leaves open what its servers and stores need, and later releases break them",
        level="advice",
    ),
    Rule(
        "VCP216",
        "static",
        "each distribution has one line, without another for other markers",
        "MLflow makes one line of them, which fits nowhere",
    ),
)
