"""A check as JUnit XML, so that a CI system shows every rule as a test."""

import re
from pathlib import Path
from xml.etree import ElementTree

from shiftlens.core.manifest import write_atomic
from shiftlens.reporting.numbers import decimal
from shiftlens.study.check.judging import Checked, Judged
from shiftlens.study.check.rules import PASS

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(checked: Checked, path: str | Path) -> None:
    """Write one test case a rule; a rule that is undecided is a failure of its own type.

    Raises:
        MachineError: the disk is full.
    """
    failures = sum(one.verdict != PASS for one in checked.rules)
    suite = ElementTree.Element(
        "testsuite",
        name=_text(f"shiftlens check {checked.policy.name}"),
        tests=str(len(checked.rules)),
        failures=str(failures),
        errors="0",
    )
    for one in checked.rules:
        _case(suite, one)
    whole = ElementTree.Element("testsuites")
    whole.append(suite)
    data = ElementTree.tostring(whole, encoding="utf-8", xml_declaration=True)
    write_atomic(Path(path), data)


def _case(suite: ElementTree.Element, one: Judged) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=f"shiftlens.{one.kind}", name=_text(one.rule.name)
    )
    told = describe(one)
    if one.verdict == PASS:
        ElementTree.SubElement(case, "system-out").text = _text(told)
    else:
        ElementTree.SubElement(case, "failure", type=one.verdict, message=_text(told)).text = _text(
            one.note
        )


def describe(one: Judged) -> str:
    """One rule in one line: what was measured, the interval, the margin, what it needs."""
    needs = f", needs about {one.needs} pictures" if one.needs is not None else ""
    estimate, low, high = (decimal(value, 4) for value in (one.estimate, one.low, one.high))
    return (
        f"{one.verdict}: {one.how}: {estimate} [{low}, {high}], margin {one.rule.margin:g}{needs}"
    )


def _text(value: str) -> str:
    """Without the characters that XML cannot hold."""
    return _FORBIDDEN.sub("�", value)
