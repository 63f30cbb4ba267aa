"""A fleet that shares its tokens, as a simulation: requests to the provider, commands at the Redis, a failover.

    python3 tests/model/share.py                     # the table below, for 10,000 machines and a day
    python3 tests/model/share.py MACHINES CALLERS    # a cold start of a smaller fleet, as tests/hallpass/share.rs has it

Each machine needs a token once a minute, at a moment of its own, and is a local hit while its token has more than its
margin left (src/types/token.rs). After a miss it does what src/share/session.rs does: it looks, takes the lease or waits
50 to 200 ms between two looks, and stores. Only the first caller of a machine does this; the others wait for it.

On paper: without sharing, each machine sends one request for each token, so N machines with tokens of L seconds send
N * 86400 / (L - 75) requests a day (75 s: renewed early, in the half margin before the margin). With sharing, it is
86400 / (L - 75) for all of them, if the lookups of the fleet begin during the early renewal. A token that a machine
takes has less than L left, so a machine looks up each token of the fleet once: N * 86400 / (L - 75) lookups, and a few
more when it looks during the early renewal and the token is not yet there.
"""

import heapq
import random
import sys

LIFE = 3600.0       # seconds of a token
MARGIN = 60.0       # it is not used in these last seconds
EARLY = 90.0        # one machine renews it in these
REQUEST = 0.15      # the token endpoint
REDIS = 0.0005      # one command, with the way there and back
LEASE = 2.0
DAY = 86400.0


class Fleet:
    def __init__(self, machines, period, shared, life=LIFE, failover=None, seed=1):
        self.random = random.Random(seed)
        self.shared, self.life, self.period = shared, life, period
        self.failover = failover        # (moment, seconds without a Redis; it is empty afterwards)
        self.machines = machines
        self.entry_end = 0.0            # of the token in the Redis
        self.lease = (0.0, None)        # its end and its holder
        self.requests, self.commands = [], []
        self.rest_until = [0.0] * machines
        self.waits = []
        self.events, self.number = [], 0

    def at(self, moment, what, *arguments):
        self.number += 1
        heapq.heappush(self.events, (moment, self.number, what, arguments))

    def run(self, end, spread):
        for machine in range(self.machines):
            self.at(self.random.uniform(0, spread), self.call, machine)
        while self.events:
            moment, _, what, arguments = heapq.heappop(self.events)
            if moment > end:
                break
            what(moment, *arguments)

    def is_down(self, now):
        return self.failover and self.failover[0] <= now < sum(self.failover)

    def call(self, now, machine):
        """One call on a machine, which is the only one there that asks."""
        if not self.shared or now < self.rest_until[machine]:
            self.request(now, machine, now, False)
        else:
            self.look(now, machine, now)

    def look(self, now, machine, began):
        if self.is_down(now):
            self.rest_until[machine] = now + 30
            self.request(now + 0.25, machine, began, False)
            return
        if self.failover and now >= sum(self.failover):
            self.failover = None
            self.entry_end = 0.0
        self.commands.append(now)
        now += REDIS
        left = self.entry_end - now
        if left >= EARLY:
            self.done(now, machine, self.entry_end, began)
        elif self.lease[0] <= now:
            self.commands.append(now)
            self.lease = (now + LEASE, machine)
            self.request(now + REDIS, machine, began, True)
        elif left >= MARGIN:
            self.done(now, machine, self.entry_end, began)
        else:
            self.at(now + self.random.uniform(0.05, 0.2), self.look, machine, began)

    def request(self, now, machine, began, is_holder):
        self.requests.append(now)
        self.at(now + REQUEST, self.answer, machine, now + self.life, began, is_holder)

    def answer(self, now, machine, end, began, is_holder):
        if is_holder and not self.is_down(now):
            self.commands.append(now)
            self.entry_end = end
            if self.lease[1] == machine:
                self.lease = (0.0, None)
        self.done(now, machine, end, began)

    def done(self, now, machine, end, began):
        self.waits.append(now - began)
        if self.period:
            # The calls until the early renewal are local hits, which send nothing.
            since = max(end - EARLY, now) - began
            self.at(began + self.period * (int(since / self.period) + 1), self.call, machine)


def most(moments, seconds=1.0):
    """The most moments in one such interval."""
    counts = {}
    for moment in moments:
        counts[int(moment / seconds)] = counts.get(int(moment / seconds), 0) + 1
    return max(counts.values(), default=0)


def main():
    if len(sys.argv) == 3:
        machines, callers = map(int, sys.argv[1:])
        fleet = Fleet(machines, None, True)
        fleet.run(60, 0.05)
        waits = sorted(fleet.waits)
        print(f"{machines} machines x {callers} callers, cold: {len(fleet.requests)} request(s), "
              f"{len(fleet.commands)} commands, p50 {1000 * waits[len(waits) // 2]:.0f} ms, "
              f"maximum {1000 * waits[-1]:.0f} ms")
        return
    print("10,000 machines, a call a minute, tokens of an hour, one day")
    for name, shared, failover in [
        ("not shared", False, None),
        ("shared", True, None),
        ("shared, failover of 10 s after 12 h", True, (DAY / 2, 10.0)),
        ("shared, failover of 10 s in a renewal", True, (3570.0, 10.0)),
        ("shared, Redis away for an hour", True, (DAY / 2, 3600.0)),
    ]:
        fleet = Fleet(10_000, 60.0, shared, failover=failover)
        fleet.run(DAY, 60.0)
        print(f"{name:38} requests {len(fleet.requests):7} (most in 1 s: {most(fleet.requests):5}), "
              f"commands {len(fleet.commands):8} (most in 1 s: {most(fleet.commands):6}), "
              f"longest wait {1000 * max(fleet.waits):5.0f} ms")
    for spread in (60.0, 1.0):
        fleet = Fleet(10_000, None, True)
        fleet.run(120, spread)
        print(f"a cold start of all within {spread:.0f} s: {len(fleet.requests)} request(s), "
              f"{len(fleet.commands)} commands (most in 1 s: {most(fleet.commands)})")


main()
