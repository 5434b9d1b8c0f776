"""Planning of arenas in loops: plain functions over arrays and lists, which numba compiles where it is installed.

The live peak P bounds every plan from below. A buffer of size s that meets c others, of S bytes together, ends at or
below S + (c + 1) s: the bytes below it are occupied (at most S), or lie in gaps below the others, each smaller than s.
Buffers for which that is at most P cannot raise the head; only those matter whose bound is above, and what goes before
them in the order and meets them or each other.

Both bounds are kept per block of layers, so that of most networks only a few blocks are planned: those with a buffer
that matters, and from there on outwards as long as the tensor between two blocks may go before it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ABOUT", "block_bounds", "plan", "runs"]

#: what is kept of a block [B]: peak of its live buffers; highest end of those that only the block meets, and the least
#: size of those that may end above the peak; of its buffers that go before its input and meet it, their sum (each with
#: the input's size added) and the highest end; the same of its output; input, output; number of its rows, negative if a
#: sum reads a tensor from before the block
LIVE, BOUND, LEAST, ENTERS, ENTERS_TOP, LEAVES, LEAVES_TOP, IN, OUT, ROWS = range(10)
ABOUT = 10
UNKNOWN = 1 << 60


def plan(
    rows: Any, ends: Any, owner: Any, in_bytes: Any, out_bytes: Any, scratch: Any, skip: Any, given: int,
    later_first: bool,
    size: Any, first: Any, last: Any, order: Any, matters: Any, begin: Any, end: Any, since: Any, until: Any,
    live: Any, met: Any, came: Any, heads: Any,
) -> None:  # fmt: skip
    """Heads of runs of rows, raising those of their networks.

    owner: network of each run. given: buffers that size, first and last hold already; 0: the rows make them.
    """
    at = 0
    for run in range(len(ends)):
        n = given
        if given == 0:
            length = ends[run] - at
            size[0], first[0], last[0] = in_bytes[rows[at]], 0, 1
            n = length + 1
            for step in range(1, length + 1):
                row = rows[at + step - 1]
                size[step], first[step], last[step] = out_bytes[row], step, min(step + 1, length)
                if skip[row] > 0:
                    second = step - skip[row]
                    last[second] = max(last[second], step)
                for k in range(len(scratch[row])):
                    if scratch[row][k] > 0:
                        size[n], first[n], last[n] = scratch[row][k], step, step
                        n += 1
            at = ends[run]
        n_steps = 0
        for i in range(n):
            n_steps = max(n_steps, last[i] + 1)
        head = heads[owner[run]]
        for t in range(n_steps):
            live[t] = met[t] = came[t] = 0
        count = 0
        for i in range(n):
            for t in range(first[i], last[i] + 1):
                live[t] += size[i]
            if size[i] > 0:
                k = count
                while k > 0 and (size[order[k - 1]] < size[i] or (later_first and size[order[k - 1]] == size[i])):
                    order[k] = order[k - 1]
                    k -= 1
                order[k] = i
                count += 1
        for t in range(n_steps):
            head = max(head, live[t])
        # only what is placed before a buffer bounds its end; what lives over several of its steps counts more than once
        for t in range(n_steps):
            live[t] = 0
        for done in range(count):
            i = order[done]
            total, others = size[i], 0
            for t in range(first[i], last[i] + 1):
                total += live[t]
                others += met[t]
                live[t] += size[i]
                met[t] += 1
            matters[i] = total + others * size[i] > head
        # from the smallest up: what matters, and what lies earlier in the order and meets what matters
        for done in range(count - 1, -1, -1):
            i = order[done]
            for t in range(first[i], last[i] + 1):
                if came[t]:
                    matters[i] = 1
            if matters[i]:
                for t in range(first[i], last[i] + 1):
                    came[t] = 1
        # placed buffers by rising begin
        n_placed = 0
        for done in range(count):
            i = order[done]
            if matters[i]:
                offset = 0
                for k in range(n_placed):
                    if since[k] <= last[i] and first[i] <= until[k]:
                        if begin[k] - offset >= size[i]:
                            break
                        offset = max(offset, end[k])
                k = n_placed
                while k > 0 and begin[k - 1] > offset:
                    begin[k], end[k], since[k], until[k] = begin[k - 1], end[k - 1], since[k - 1], until[k - 1]
                    k -= 1
                begin[k], end[k], since[k], until[k] = offset, offset + size[i], first[i], last[i]
                n_placed += 1
                head = max(head, offset + size[i])
        heads[owner[run]] = head


def block_bounds(
    start: Any, length: Any, index: Any, in_bytes: Any, out_bytes: Any, scratch: Any, skip: Any, later_first: bool,
    size: Any, first: Any, last: Any, order: Any, offset: Any, top: Any, live: Any, about: Any,
) -> None:  # fmt: skip
    """Fill `about`, shape (2, n_blocks, ABOUT), with what is kept of each block behind others, and as the first one."""
    for number in range(2 * len(start)):
        leads, block = divmod(number, len(start))
        rows = length[block]
        for field in range(ABOUT):
            about[leads, block, field] = 0
        if rows == 0:
            continue
        closed, n = True, rows + 1
        size[0], first[0], last[0] = in_bytes[index[start[block]]], 0, 1
        for step in range(1, rows + 1):
            row = index[start[block] + step - 1]
            size[step], first[step], last[step] = out_bytes[row], step, min(step + 1, rows)
            if skip[row] > step:
                closed = False
            elif skip[row] > 0:
                last[step - skip[row]] = max(last[step - skip[row]], step)
            for k in range(len(scratch[row])):
                if scratch[row][k] > 0:
                    size[n], first[n], last[n] = scratch[row][k], step, step
                    n += 1
        peak = 0
        for t in range(1, rows + 1):
            live[t] = 0
        for i in range(n):
            for t in range(max(first[i], 1), last[i] + 1):
                live[t] += size[i]
                peak = max(peak, live[t])
            k = i
            while k > 0 and (size[order[k - 1]] < size[i] or (later_first and size[order[k - 1]] == size[i])):
                order[k] = order[k - 1]
                k -= 1
            order[k] = i
        bound, least = 0, peak + 1
        for done in range(n):
            i = order[done]
            inside = i != rows and (i != 0 or leads == 1)
            known, total, highest = inside, 0, 0
            for before in range(done):
                j = order[before]
                if first[j] <= last[i] and first[i] <= last[j]:
                    known = known and offset[j] >= 0
                    total += size[j] + size[i]
                    # the other end of the block may lie above what is outside
                    highest = max(highest, UNKNOWN if j == rows or (j == 0 and leads == 0) else top[j])
            if i == 0 and leads == 0:
                about[leads, block, ENTERS], about[leads, block, ENTERS_TOP] = total, highest
            elif i == rows:
                about[leads, block, LEAVES], about[leads, block, LEAVES_TOP] = total, highest
            offset[i], top[i] = -1, size[i] + total
            if known:
                # nothing outside moves what lies before it: it is placed as `plan` will
                offset[i] = 0
                moved = True
                while moved:
                    moved = False
                    for before in range(done):
                        j = order[before]
                        meets = first[j] <= last[i] and first[i] <= last[j]
                        if meets and offset[j] < offset[i] + size[i] and offset[i] < top[j]:
                            offset[i], moved = top[j], True
                top[i] = offset[i] + size[i]
            if inside and size[i] > 0:
                bound = max(bound, top[i])
                if top[i] > peak:
                    least = min(least, size[i])
        about[leads, block, LIVE], about[leads, block, BOUND], about[leads, block, LEAST] = peak, bound, least
        about[leads, block, IN], about[leads, block, OUT], about[leads, block, ROWS] = (
            size[0],
            size[rows],
            rows if closed else -rows,
        )


def runs(
    ids: Any, start: Any, index: Any, about: Any, later_first: bool,
    taken: Any, joined: Any, slots: Any, heads: Any, rows: Any, ends: Any, owner: Any,
) -> Any:  # fmt: skip
    """Live peaks of networks (into `heads`), and the runs of rows that `plan` has yet to look at; how many runs."""
    n_runs = at = 0
    for network in range(len(ids)):
        n, peak, closed = 0, 0, True
        for slot in range(len(ids[network])):
            block = ids[network, slot]
            if about[0, block, ROWS] != 0:
                slots[n] = block
                n += 1
                peak = max(peak, about[0, block, LIVE])
                closed = closed and about[0, block, ROWS] > 0
        for k in range(n):
            taken[k] = joined[k] = not closed
        for k in range(n if closed else 0):
            block = slots[k]
            # the least size of what matters in this block, its input and its output among it
            here = about[1 if k == 0 else 0, block]
            least = here[LEAST] if here[BOUND] > peak else peak + 1
            # what lies between two blocks ends below the sum of what goes before it, or right above the highest of that
            total, highest = here[ENTERS], here[ENTERS_TOP]
            if k > 0:
                total += about[1 if k == 1 else 0, slots[k - 1], LEAVES]
                highest = max(highest, about[1 if k == 1 else 0, slots[k - 1], LEAVES_TOP])
            input_matters = here[IN] + min(total, highest) > peak
            if input_matters:
                least = min(least, here[IN])
            total, highest = here[LEAVES], here[LEAVES_TOP]
            if k + 1 < n:
                total += about[0, slots[k + 1], ENTERS]
                highest = max(highest, about[0, slots[k + 1], ENTERS_TOP])
            output_matters = here[OUT] + min(total, highest) > peak
            if output_matters:
                least = min(least, here[OUT])
            if least > peak:
                continue
            taken[k] = True
            # of equal sizes, what lies outside goes before what lies inside on one side only
            i, size = k, least - (not later_first or input_matters)
            while i > 0 and about[0, slots[i], IN] > size:
                size = about[0, slots[i], IN] - (not later_first)
                i -= 1
                taken[i] = joined[i] = True
            i, size = k, least - (later_first or output_matters)
            while i + 1 < n and about[0, slots[i], OUT] > size:
                size = about[0, slots[i], OUT] - later_first
                joined[i] = True
                i += 1
                taken[i] = True
        heads[network] = peak if closed else 0
        for k in range(n):
            if taken[k]:
                block = slots[k]
                for i in range(abs(about[0, block, ROWS])):
                    rows[at] = index[start[block] + i]
                    at += 1
                if k + 1 == n or not joined[k]:
                    ends[n_runs], owner[n_runs] = at, network
                    n_runs += 1
    return n_runs
