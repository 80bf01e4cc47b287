"""How does the system say in one line what it refused?"""


def one_line(error: OSError) -> str:
    """Return the file, if there is one, and what is wrong with it."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}"
