"""Client of the Prometheus HTTP API: instant and range queries, with a timeout and with typed errors.

Facts: https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import aiohttp
import orjson
from pydantic import AfterValidator, Field, SecretStr

from notifyx_common.authorities import trusting
from notifyx_common.errors import NotifyxError, Unavailable
from notifyx_common.settings import ServiceSettings

_MATCHER = r'[a-zA-Z_]\w*(=|!=|=~|!~)"([^"\\\n]|\\.)*"'


class PrometheusUnavailable(Unavailable):
    """Prometheus does not answer, or what answers is not Prometheus."""

    code = "prometheus_unavailable"


class PrometheusRejected(NotifyxError):
    """Prometheus rejected a query: a defect of ours, or a wrong setting."""

    code = "prometheus_rejected"


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.netloc or parts.query or "@" in value):
        raise ValueError("this is the base URL of a Prometheus, like http://prometheus.monitoring:9090")
    return value.rstrip("/")


def _matchers(value: str) -> str:
    if value and re.fullmatch(rf"{_MATCHER}(\s*,\s*{_MATCHER})*", value) is None:
        raise ValueError('these are label matchers, like namespace="notifyx"')
    return value


class PrometheusSettings(ServiceSettings):
    """Settings of a service that queries Prometheus."""

    prometheus_url: Annotated[str, AfterValidator(_base_url)] = ""
    """Base URL of the Prometheus that scrapes this platform; empty for none."""

    prometheus_token: SecretStr = SecretStr("")
    """Bearer token for Prometheus; empty for none."""

    prometheus_ca_file: Path | None = None
    """PEM file with the authorities to trust for Prometheus, in place of the system's. Read at the start."""

    prometheus_match: Annotated[str, AfterValidator(_matchers)] = ""
    """Label matchers of this platform's series, for a Prometheus that scrapes several: ``namespace="notifyx"``."""

    prometheus_timeout: float = Field(default=5.0, gt=0, le=60)
    """Timeout of one query, in seconds."""


def _trusting(settings: PrometheusSettings) -> ssl.SSLContext | bool:
    """Return the session's own context: aiohttp's trusts no authority in a service (:mod:`notifyx_common.start`)."""
    ca_file = settings.prometheus_ca_file
    if ca_file is None and not settings.prometheus_url.startswith("https:"):
        return True
    return trusting(ca_file, setting="NOTIFYX_PROMETHEUS_CA_FILE")


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of one series at one time."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """One series over time. ``points`` are (Unix seconds, value), ascending; times without a value are left out."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """A Prometheus server, as an async context manager.

    Every query raises :class:`PrometheusUnavailable` or :class:`PrometheusRejected`.
    """

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session. Raises :class:`SettingsError` for a file without certificates."""
        token = self._settings.prometheus_token.get_secret_value()
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"} if token else {},
            connector=aiohttp.TCPConnector(ssl=_trusting(self._settings)),
            timeout=aiohttp.ClientTimeout(total=self._settings.prometheus_timeout),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def series(self, name: str, *matchers: str) -> str:
        """Return the selector of this platform's series called ``name``: ``name{matchers}``."""
        every = [one for one in (self._settings.prometheus_match, *matchers) if one]
        return f"{name}{{{','.join(every)}}}" if every else name

    async def instant(self, expression: str) -> list[Sample]:
        """Return the current value of each series."""
        data = await self._query("query", {"query": expression})
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(one["metric"], float(one["value"][1])) for one in data["result"]]

    async def range(self, expression: str, *, start: float, end: float, step: float) -> list[Series]:
        """Return the values of each series every ``step`` seconds from ``start`` to ``end`` (Unix time)."""
        parameters = {"query": expression, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        data = await self._query("query_range", parameters)
        return [
            Series(one["metric"], tuple((float(at), float(value)) for at, value in one["values"]))
            for one in data["result"]
        ]

    async def _query(self, path: str, parameters: Mapping[str, str]) -> Any:
        assert self._session is not None, "Prometheus has not been entered"
        url = f"{self._settings.prometheus_url}/api/v1/{path}"
        try:
            # A redirect would send the token to another server.
            async with self._session.post(url, data=parameters, allow_redirects=False) as response:
                answer = orjson.loads(await response.read())
                if answer["status"] == "success":
                    return answer["data"]
                status, message = response.status, str(answer.get("error", ""))[:300]
        except TimeoutError:
            seconds = self._settings.prometheus_timeout
            raise PrometheusUnavailable(f"Prometheus did not answer in {seconds:g} s.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise PrometheusUnavailable(f"Prometheus cannot be reached ({type(error).__name__}).") from None
        except (ValueError, KeyError, TypeError):
            # Not its JSON: a login page, a proxy's error.
            raise PrometheusUnavailable(f"What answered with status {response.status} is no Prometheus.") from None
        if status >= 500:
            raise PrometheusUnavailable(f"Prometheus failed: {message}")
        raise PrometheusRejected(f"Prometheus refused a query: {message}")
