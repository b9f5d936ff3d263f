"""The demo: a whole contact center on one machine, without a PBX or a mail server of your own.

- `customers`: 2,000 made-up customers, the same ones in each run.
- `pbx`: a PBX that plays calls recorded from a real Asterisk over real AMI.
- `mailbox`: an IMAP and SMTP server in memory, with mails that arrive.
- `center`: puts them together with the real daemon; `run` starts it.
"""

from __future__ import annotations

import asyncio
import signal


def run(port: int) -> None:
    """Run the demo on this port of the loopback (0: any free one) until Ctrl-C."""
    from config.demo.center import run_center  # noqa: PLC0415 - heavy, and only here

    async def until_signal() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await run_center(port, stop=stop)

    asyncio.run(until_signal())
