"""Settings for tests: a PBX on loopback, and patience measured in milliseconds."""

from __future__ import annotations

from typing import Any

from cti.settings import LinkSettings, PbxSettings

QUICK = LinkSettings(
    connect_s=2,
    login_s=2,
    booted_s=2,
    list_s=2,
    order_s=2,
    ping_every_s=60,
    ping_answer_s=2,
    retry_first_s=0.005,
    retry_most_s=0.02,
    retry_refused_s=0.02,
)
SECRET = "s3cret-of-the-events-user"


def pbx_settings(port: int, *, link: dict[str, float] | None = None, **more: Any) -> PbxSettings:
    """A PBX at this port; `link` changes some of the times."""
    return PbxSettings.model_validate(
        {
            "name": "test",
            "port": port,
            "events_user": "cti-events",
            "events_secret": SECRET,
            "actions_user": "cti-actions",
            "actions_secret": SECRET,
            "link": QUICK.model_copy(update=link or {}),
            **more,
        }
    )
