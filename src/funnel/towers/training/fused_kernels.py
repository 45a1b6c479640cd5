"""The loops of `fused`. Those over whole rows have no remainder that is worked on number by number: what does
not count is worked on too, and set to zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled

#: Sums in any order. Infinities and what is no number stay what they are.
_FAST = {"reassoc", "contract", "nsz"}
_LOG2E, _LN2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)
_ONE, _HALF, _NONE = np.float32(1), np.float32(0.5), np.float32(0)
_ROOT_HALF, _DENSITY = np.float32(0.7071067811865476), np.float32(0.3989422804014327)
#: 2 ** -126 is the smallest normal number.
_LEAST = np.float32(-125)


@compiled(inner=True, fastmath=_FAST)
def _power(x: Any, bits: Any, n: Any) -> None:
    """e ** x for x ≤ 0 in two factors: the first in place, the second, a power of two, as the `bits` of a
    float32. Cephes' expf: off by 2 in the last digit."""
    for i in range(n):
        of_two = max(x[i] * _LOG2E, _LEAST)
        whole = np.int32(of_two - _HALF)
        f = (of_two - np.float32(whole)) * _LN2
        p = np.float32(1.9875691500e-4) * f + np.float32(1.3981999507e-3)
        p = p * f + np.float32(8.3334519073e-3)
        p = p * f + np.float32(4.1665795894e-2)
        p = p * f + np.float32(1.6666665459e-1)
        p = p * f + np.float32(5.0000001201e-1)
        x[i] = p * f * f + f + _ONE
        bits[i] = (whole + np.int32(127)) << np.int32(23)


@compiled(fastmath=_FAST)
def gelu(x: Any, drawn: Any, below: Any, value: Any, slope: Any) -> None:
    """x Φ(x) into value and Φ(x) + x φ(x) into slope, both 0 where drawn < below and scaled up elsewhere.

    x, value, slope: float32 [n]; drawn: uint8 [n], not read where below is 0. Φ by formula 7.1.26 of
    Abramowitz and Stegun, off by 1.5e-7 at most.
    """
    size = 1024
    density, power = np.empty(size, np.float32), np.empty(size, np.float32)
    bits, more = power.view(np.int32), np.float32(256.0 / (256.0 - below))
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        of, out, by, chance = x[part], value[part], slope[part], drawn[part]
        n = len(of)
        for i in range(n):
            density[i] = -_HALF * of[i] * of[i]
        _power(density, bits, n)
        for i in range(n):
            tail = density[i] * power[i]
            t = np.divide(_ONE, _ONE + np.float32(0.3275911) * _ROOT_HALF * abs(of[i]))
            p = np.float32(1.061405429) * t - np.float32(1.453152027)
            p = p * t + np.float32(1.421413741)
            p = p * t - np.float32(0.284496736)
            p = p * t + np.float32(0.254829592)
            beyond = _HALF * p * t * tail  # of the normal distribution beyond |x|
            up_to = beyond if of[i] < _NONE else _ONE - beyond
            out[i] = of[i] * up_to
            by[i] = up_to + of[i] * tail * _DENSITY
        if below:
            for i in range(n):
                kept = more if chance[i] >= below else _NONE
                out[i] *= kept
                by[i] *= kept


@compiled(inner=True, fastmath=_FAST)
def _dropped(x: Any, drawn: Any, row: Any, below: Any, more: Any, out: Any) -> None:
    """What a dropout leaves of x, into out. row: that of x in drawn, which is not read where below is 0."""
    if below:
        chance = drawn[row]
        for j in range(len(x)):
            out[j] = x[j] * more if chance[j] >= below else _NONE
    else:
        for j in range(len(x)):
            out[j] = x[j]


@compiled(fastmath=_FAST)
def weights(logits: Any, bias: Any, first: Any, drawn: Any, below: Any, soft: Any, kept: Any) -> None:
    """The softmax over what each place of a row reads into soft, and what a dropout leaves of it into kept.

    Place i reads the places from first[i], where START of its list stands, to itself: logits, soft, kept:
    float32 [R, heads, n, n]; drawn: uint8 of that shape, not read where below is 0; first: int64 [R, n].
    bias: [heads, at least n + 1], a number to add for each distance back, the last one START's.
    """
    rows, heads, n, _ = logits.shape
    start, more = bias.shape[1] - 1, np.float32(256.0 / (256.0 - below))
    power, back = np.empty(n, np.float32), np.empty((heads, 2 * n), np.float32)
    bits = power.view(np.int32)
    for h in range(heads):
        for j in range(n):
            back[h, n - 1 - j], back[h, n + j] = bias[h, j], -np.inf
    for r in range(rows):
        for h in range(heads):
            for i in range(n):
                begin = first[r, i]
                of, out, left = logits[r, h, i], soft[r, h, i], kept[r, h, i]
                by = back[h, n - 1 - i : 2 * n - 1 - i]
                for j in range(n):
                    out[j] = of[j] + by[j]
                for j in range(begin):
                    out[j] = -np.inf
                out[begin] = of[begin] + bias[h, start]
                top = np.float32(-np.inf)
                for j in range(n):
                    top = max(top, out[j])
                for j in range(n):
                    out[j] -= top
                _power(out, bits, n)
                total = _NONE
                for j in range(n):
                    out[j] *= power[j]
                for j in range(begin):
                    out[j] = _NONE
                for j in range(i + 1, n):
                    out[j] = _NONE
                for j in range(n):
                    total += out[j]
                over = np.divide(_ONE, total)  # which raises nothing where training diverges
                for j in range(n):
                    out[j] *= over
                _dropped(out, drawn, (r, h, i), below, more, left)


@compiled(fastmath=_FAST)
def back_weights(
    of_kept: Any, soft: Any, first: Any, drawn: Any, below: Any, of_logits: Any, of_bias: Any
) -> None:
    """The gradients of `weights`' logits and bias, by that of what it kept."""
    rows, heads, n, _ = soft.shape
    more = np.float32(256.0 / (256.0 - below))
    back, starts = np.zeros((heads, 2 * n), np.float32), np.zeros(heads, np.float32)
    for r in range(rows):
        for h in range(heads):
            for i in range(n):
                odds, grad, out = soft[r, h, i], of_kept[r, h, i], of_logits[r, h, i]
                _dropped(grad, drawn, (r, h, i), below, more, out)
                mean = _NONE
                for j in range(n):
                    mean += out[j] * odds[j]
                for j in range(n):
                    out[j] = odds[j] * (out[j] - mean)
                begin = first[r, i]
                own = out[begin]
                starts[h] += own
                by = back[h, n - 1 - i : 2 * n - 1 - i]
                for j in range(n):
                    by[j] += out[j]
                by[begin] -= own
    for h in range(heads):
        of_bias[h, :] = _NONE
        for j in range(n):
            of_bias[h, j] = back[h, n - 1 - j]
        of_bias[h, of_bias.shape[1] - 1] = starts[h]
