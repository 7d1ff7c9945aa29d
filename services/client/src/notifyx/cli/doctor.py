"""``notifyx doctor``: checks a deployment step by step; reports what is wrong and what to do."""

from __future__ import annotations

import typer

from notifyx.cli.checks import Finding, examine
from notifyx.cli.options import DEFAULT_URL, Format, Output, Url
from notifyx.cli.output import Writer
from notifyx.cli.session import client, run

MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED", "skipped": "skipped"}


def doctor(url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """Check a deployment, from its name to a delivered notification, and say what is wrong and what to do."""
    failed: list[Finding] = []

    async def work(writer: Writer) -> None:
        findings: list[Finding] = []
        async with client(url) as notifyx:
            async for finding in examine(notifyx):
                findings.append(finding)
                if not writer.is_json:
                    _show(writer, finding)
        failed.extend(finding for finding in findings if finding.state == "failed")
        if writer.is_json:
            checks = [finding.to_dict() for finding in findings]
            writer.line({"url": notifyx.url, "ok": not failed, "checks": checks})
        elif not failed:
            warned = any(finding.state == "warning" for finding in findings)
            writer.text("It works; mind the warnings." if warned else "All is well.")

    run(output, work)
    if failed:
        raise typer.Exit(failed[0].exit)


def _show(writer: Writer, finding: Finding) -> None:
    writer.text(f"{MARKS[finding.state]:<8} {finding.check:<9} {finding.detail}")
    if finding.advice:
        writer.text(f"{'':18} {finding.advice}")
