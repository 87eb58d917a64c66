"""What is the same in every report.html, made once before the runs that write one are forked."""

from __future__ import annotations

from pytest_vcp.report.html import rule_page, template
from pytest_vcp.rules.registry import BY_ID

template()
for rule in BY_ID:
    rule_page(rule)
