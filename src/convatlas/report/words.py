"""Numbers as the pages of a report say them."""


def percent(fraction: float, digits: int = 1) -> str:
    """Write a fraction in percent; the space does not break."""
    return f"{100 * fraction:.{digits}f}\N{NO-BREAK SPACE}%"


def probability(value: float) -> str:
    """Write a probability in percent; what is not certain is not written as 100 %."""
    return f"> {percent(0.999)}" if 0.9995 <= value < 1 else percent(value)


def short(number: float) -> str:
    """Write a count with three digits and a unit: 61,706 is 61.7 k."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= 0.9995 * size:
            return f"{number / size:.3g}\N{NO-BREAK SPACE}{unit}"
    return f"{number:g}"


def duration(seconds: float) -> str:
    """Write seconds as people say them."""
    if seconds < 59.95:
        return f"{seconds:.1f}\N{NO-BREAK SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\N{NO-BREAK SPACE}min {rest}\N{NO-BREAK SPACE}s"
    return f"{minutes // 60}\N{NO-BREAK SPACE}h {minutes % 60}\N{NO-BREAK SPACE}min"
