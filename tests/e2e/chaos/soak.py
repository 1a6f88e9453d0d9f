"""Load without kills, for long: memory and descriptors must not grow with what was served."""
import pathlib
import statistics
import time

import harness
from chaos.books import Violation
from chaos.campaign import Campaign

SAMPLES = 120
# Of the whole time. Until then caches (SQLite alone: 32 MiB), pools and the allocator's arenas fill.
WARM_UP = 0.5
# Between the medians of the first and of the last third after that. A leak of one small thing for
# each request is far more within a minute; what an allocator does by itself is less.
RSS_GROWTH_MAX = 0.06
RSS_GROWTH_MIB = 3.0
DESCRIPTORS_GROWTH = 8


def sample(process: harness.Process) -> tuple[float, int]:
    """Resident MiB and open descriptors."""
    descriptors = pathlib.Path(f"/proc/{process.process.pid}/fd")
    return process.resident_mib(), len(list(descriptors.iterdir()))


def thirds(values: list) -> tuple[float, float]:
    warm = values[int(len(values) * WARM_UP):]
    third = max(1, len(warm) // 3)
    return statistics.median(warm[:third]), statistics.median(warm[-third:])


def soak(campaign: Campaign, minutes: float) -> str:
    """Runs the load; what was seen, as a line."""
    begin, step = time.monotonic(), minutes * 60 / SAMPLES
    samples: list[tuple[float, int]] = []
    for number in range(SAMPLES):
        campaign.world.failed.wait(max(0.0, begin + number * step - time.monotonic()))
        campaign.check()
        samples.append(sample(campaign.node.process))
        if number % 10 == 9:
            rss, descriptors = samples[-1]
            print(f"soak: {(time.monotonic() - begin) / 60:5.1f} min  RSS {rss:6.1f} MiB  "
                  f"{descriptors:3} descriptors  {campaign.world.requests} requests", flush=True)
            campaign.park()
            campaign.compare()
            campaign.go_on()
    campaign.park()
    campaign.close()
    rss, descriptors = thirds([one for one, _ in samples]), thirds([one for _, one in samples])
    line = (f"RSS {rss[0]:.1f} -> {rss[1]:.1f} MiB, descriptors {descriptors[0]:.0f} -> "
            f"{descriptors[1]:.0f}")
    if rss[1] - rss[0] > max(RSS_GROWTH_MIB, rss[0] * RSS_GROWTH_MAX):
        raise Violation(f"memory grows: {line}")
    if descriptors[1] - descriptors[0] > DESCRIPTORS_GROWTH:
        raise Violation(f"descriptors are not closed: {line}")
    return line
