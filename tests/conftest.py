"""What holds for all tests."""


def pytest_make_parametrize_id(val):
    """Bytes are named by their number: a gzip file holds the second it was made in, and each worker names the tests anew."""
    return f"{len(val)}-bytes" if isinstance(val, bytes) else None
