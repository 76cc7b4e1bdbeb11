"""Publish-time checks: what the sandbox's engines lack, and which effects a program asks for."""

from loglineos.runtime.sandbox.lint.findings import Finding, errors_among, refuse, told
from loglineos.runtime.sandbox.lint.javascript_check import check_javascript
from loglineos.runtime.sandbox.lint.python_check import check_python, effects_used

__all__ = [
    "Finding",
    "check_javascript",
    "check_python",
    "effects_used",
    "errors_among",
    "refuse",
    "told",
]
