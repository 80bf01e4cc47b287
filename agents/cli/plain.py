"""What does an entry say, in the values that JSON has?"""

from typing import Any


def jsonable(value: Any) -> Any:
    """Return a plain value as JSON can hold it: bytes in hexadecimal, tuples as lists."""
    match value:
        case bytes():
            return value.hex()
        case dict():
            return {key: jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [jsonable(item) for item in value]
        case _:
            return value
