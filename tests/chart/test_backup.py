"""The CronJob of backups: what it runs, and where its archives go."""

from __future__ import annotations

import re
from typing import Any

import pytest
from typer.main import get_command

from chart.rendered import Refused, Rendering, render
from chart.test_settings import environment
from notifyx.cli.app import app
from notifyx_backup.settings import BackupSettings
from notifyx_common.settings import load


def cron_job(rendering: Rendering) -> dict[str, Any]:
    (found,) = rendering.of("CronJob").values()
    spec: dict[str, Any] = found["spec"]
    return spec


def test_there_is_none_unless_it_is_wanted(default: Rendering) -> None:
    assert not default.of("CronJob")
    assert not default.of("PersistentVolumeClaim")
    assert default.pods["store"].env["NOTIFYX_BACKUP_MAX_AGE"]["value"] == "0"


def test_one_runs_at_a_time_and_ends(everything: Rendering, external: Rendering) -> None:
    for rendering in (everything, external):
        spec = cron_job(rendering)
        assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("17 2 * * *", "Etc/UTC", "Forbid")
        job = spec["jobTemplate"]["spec"]
        assert job["activeDeadlineSeconds"] >= 21600
        assert job["template"]["spec"]["restartPolicy"] == "Never"
        assert rendering.pods["store"].env["NOTIFYX_BACKUP_MAX_AGE"]["value"] == str(50 * 3600)


def test_archives_go_to_a_volume_that_outlives_the_release(everything: Rendering) -> None:
    pod = everything.pods["backup"]
    (claim,) = everything.of("PersistentVolumeClaim").values()
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["storageClassName"] == "slow"
    volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
    assert volumes["backups"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod.container["volumeMounts"]}
    assert pod.container["args"][:3] == ["backup", "--to", mounts["backups"]]
    own = render({"backup": {"enabled": True, "persistence": {"existingClaim": "mine"}}})
    assert not own.of("PersistentVolumeClaim")
    assert {"name": "backups", "persistentVolumeClaim": {"claimName": "mine"}} in own.pods["backup"].spec["volumes"]


@pytest.mark.parametrize("variant", ["everything", "external"])
def test_the_command_accepts_what_it_is_told(
    renderings: dict[str, Rendering], variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = renderings[variant].pods["backup"]
    name, *arguments = pod.container["args"]
    command = get_command(app).get_command(None, name).real()  # type: ignore[attr-defined]
    options = command.make_context(name, list(arguments)).params
    assert (options["to"], options["keep"], options["timeout"]) == (
        ("s3://backups/of/notifyx", 30, 21600) if variant == "external" else ("/backups", 14, 21600)
    )
    for variable, value in environment(pod).items():
        monkeypatch.setenv(variable, value)
    fields = {f"NOTIFYX_BACKUP_{field}".upper() for field in BackupSettings.model_fields}
    assert {variable for variable in pod.env if variable.startswith("NOTIFYX_")} <= fields
    settings = load(BackupSettings)
    assert settings.auth_url is not None
    assert settings.store_url is not None
    assert (settings.s3_secret_key is not None) is (variant == "external")


def test_no_secret_is_named_anywhere_but_in_secrets(external: Rendering) -> None:
    env = external.pods["backup"].env
    for variable in ("S3_ACCESS_KEY", "S3_SECRET_KEY", "AUTH_URL", "STORE_URL"):
        assert set(env[f"NOTIFYX_BACKUP_{variable}"]) == {"name", "valueFrom"}


def test_a_bucket_needs_a_secret() -> None:
    with pytest.raises(Refused, match=re.escape("backup.s3.existingSecret")):
        render({"backup": {"enabled": True, "s3": {"bucket": "backups"}}})
