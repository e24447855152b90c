def recalibrate() -> None:
    """x"""
