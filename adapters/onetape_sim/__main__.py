"""`python -m onetape_sim serve config.json --socket PATH`: a simulated venue as a process."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from onetape.errors import OnetapeError, SettingsError
from onetape_sim.serve import serving
from onetape_sim.world import world_of


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser("python -m onetape_sim", description="A simulated venue.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve a simulated venue at a local address")
    serve.add_argument("config", type=Path, help="a JSON file; see the README for its keys")
    serve.add_argument("--socket", help="path of a unix socket, or 127.0.0.1:port")
    given = parser.parse_args(argv)
    try:
        asyncio.run(_serve(given.config, given.socket))
    except OnetapeError as err:
        sys.stderr.write(f"{err}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


async def _serve(path: Path, where: str | None) -> None:
    try:
        config: dict[str, object] = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    except (OSError, msgspec.MsgspecError) as err:
        raise SettingsError(f"{path} cannot be read as a config: {err}") from None
    address = config.pop("address", None) if where is None else where
    if not isinstance(address, str):
        raise SettingsError("no address found; say --socket PATH, or address in the config")
    if ":" not in address:
        address = f"unix:{address}"
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(world_of(config), address):
        sys.stdout.write(f"the simulated venue listens at {address}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
