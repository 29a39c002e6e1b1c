"""Numbers and names as sentences have them."""

import math

_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
METRICS = {
    "accuracy": "accuracy",
    "f1_macro": "macro F1",
    "f1_micro": "micro F1",
    "log_loss": "log loss",
    "entity_f1": "entity F1",
    "precision": "precision",
    "recall": "recall",
    "r2": "R2",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "spearman": "Spearman's correlation",
}


def count(n: int) -> str:
    """A small count in words.

    Examples:
        >>> count(5), count(12)
        ('five', '12')
    """
    return _COUNTS[n] if n < len(_COUNTS) else str(n)


def of_100(*shares: float) -> list[str]:
    """Shares as counts of 100; with a decimal if one of them would be rounded to none or all.

    Examples:
        >>> of_100(0.786, 0.75, 0.82)
        ['79', '75', '82']
        >>> of_100(0.996, 0.99, 1.0)
        ['99.6', '99.0', '100']
        >>> of_100(float("nan"))
        ['unknown']
    """
    known = [share for share in shares if math.isfinite(share)]
    fine = any(0 < share < 0.005 or 0.995 <= share < 1 for share in known)
    return [
        "unknown" if not math.isfinite(share) else f"{100 * share:.{int(fine and share not in (0, 1))}f}"
        for share in shares
    ]


def number(value: float, signed: bool = False) -> str:
    """A number in the user's unit: three significant digits, whole ones in full, no exponent where it can be helped.

    Examples:
        >>> number(0.39841), number(12345.6), number(12.0), number(-0.5, signed=True), number(0.0)
        ('0.398', '12346', '12.0', '-0.500', '0')
    """
    if not math.isfinite(value):
        return "unknown"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    sign = "+" if signed else ""
    if size < -5 or size > 8:
        return f"{value:{sign}.2e}"
    return f"{value:{sign}.{max(0, 2 - size)}f}"


def exact(value: float) -> str:
    """A number of the user's file, as it would be typed.

    Examples:
        >>> exact(3.0), exact(2.5), exact(0.1 + 0.2)
        ('3', '2.5', '0.3')
    """
    return f"{value:.6g}"


def score(value: float) -> str:
    """A score between -1 and 1, to three places.

    Examples:
        >>> score(0.7861), score(float("nan"))
        ('0.786', 'unknown')
    """
    return f"{round(value, 3) + 0.0:.3f}" if math.isfinite(value) else "unknown"  # no -0.000


def measure(metric: str, value: float) -> str:
    """A value of this metric: errors in the user's unit, scores to three places."""
    return number(value) if metric in ("mae", "rmse") else score(value)


def between(low: str, high: str) -> str:
    """The limits of an interval that are already written, or that there is none.

    Examples:
        >>> between(*of_100(0.75, 0.82))
        '75 to 82'
    """
    return "too few rows for an interval" if "unknown" in (low, high) else f"{low} to {high}"


def signed(value: float) -> str:
    """A difference of scores with its sign.

    Examples:
        >>> signed(0.0123), signed(-0.0004)
        ('+0.012', '+0.000')
    """
    return f"{round(value, 3) + 0.0:+.3f}" if math.isfinite(value) else "unknown"


def points(value: float) -> str:
    """A difference of scores in hundredths, with its sign.

    Examples:
        >>> points(0.0123), points(-0.0004)
        ('+1.2', '-0.0')
    """
    return f"{100 * value:+.1f}" if math.isfinite(value) else "unknown"
