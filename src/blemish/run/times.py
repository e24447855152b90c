"""Times as people read them, and stages that take about as long."""


def kind_of(stage: str) -> str:
    """Stages that take about as long: `train@elpv/mono-glass-0` → `train glass`."""
    name, _, item = stage.partition("@")
    words = item.rsplit("-", 2)
    return f"{name} {words[1]}" if len(words) == 3 and words[2].isdigit() else name


def clock_time(seconds: float) -> str:
    """75 → 1:15."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rough_time(seconds: float) -> str:
    """An estimate, no more exact than it is."""
    if seconds < 90:
        return f"{max(1, round(seconds / 5)) * 5} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
