"""Is this plain value the record that the reader expects?

The gate for every wire body, snapshot and ledger body: a frozen dataclass goes out as a map of its
fields, and comes back only if every field is there, no other is, and each has exactly the annotated type.
Both directions are compiled once per class into closures, since agents take a snapshot at each step.

    bool, int, float, str, bytes, None      themselves; nothing is converted on reading
    np.ndarray, NDArray[np.float64]         an array; the element type is checked when it is named
    tuple[T, ...], tuple[A, B]              a list
    dict[str, T], Mapping[str, T]           a map
    Literal["a", "b"], Enum with str values the value
    a dataclass                             a map of its fields; fields with a default may be missing
    A | B of dataclasses                    the map, plus the key "@" with the class's name
    any other union, Optional               the first member that fits

On writing, an int in a field annotated float becomes a float, as Python's type checkers allow it to stand
there; numpy's scalars become Python's. A `ValueError` of a class's own `__post_init__` refuses the record.
"""

import dataclasses
import enum
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from hansa.broker.codec import Plain
from hansa.broker.errors import MalformedMessage, NotEncodable

T = TypeVar("T")

TAG = "@"  # no field can have this name

# `Any`: a compiled converter stands for one annotation, which Python's types cannot name.
_Reader = Callable[[Plain], Any]
_Writer = Callable[[Any], Plain]

_readers: dict[type, _Reader] = {}
_writers: dict[type, _Writer] = {}


def to_plain(record: object) -> Plain:
    """Write a dataclass instance as a plain map.

    Raises:
        NotEncodable: a field holds another type than its annotation; the text names the field.
        TypeError: not a dataclass, or one with an annotation that no wire value stands for.
    """
    try:
        return _record_writer(type(record))(record)
    except MalformedMessage as error:
        raise NotEncodable(f"{type(record).__name__}.{error}") from None


def from_plain(cls: type[T], plain: Plain) -> T:
    """Read a dataclass back.

    Raises:
        MalformedMessage: with the path of the field, the expected and the actual type.
        TypeError: as for `to_plain`.
    """
    record = _record_reader(cls)(plain)
    assert isinstance(record, cls)
    return record


# --- reading -------------------------------------------------------------------------------------------


def _record_reader(cls: Any) -> _Reader:
    _check_record(cls)
    if cls not in _readers:
        _readers[cls] = _compile_reader(cls)
    return _readers[cls]


def _compile_reader(cls: type) -> _Reader:
    compiled: tuple[dict[str, _Reader], frozenset[str]] | None = None

    def read(plain: Plain) -> Any:
        nonlocal compiled
        if compiled is None:  # at the first use, so that a class may contain itself
            compiled = _field_readers(cls)
        fields, required = compiled
        if type(plain) is not dict:
            raise _mismatch(cls.__name__, plain)
        values: dict[str, Any] = {}
        try:
            for name, item in plain.items():
                reader = fields.get(name)
                if reader is None:
                    raise MalformedMessage(f"{cls.__name__} has no such field")
                values[name] = reader(item)
        except MalformedMessage as error:
            raise error.under(f"{name:.60}") from None
        if not required <= values.keys():
            missing = ", ".join(sorted(required - values.keys()))
            raise MalformedMessage(f"{cls.__name__} lacks {missing}")
        try:
            return cls(**values)
        except ValueError as error:
            raise MalformedMessage(f"{cls.__name__}: {error}") from None

    return read


def _field_readers(cls: type) -> tuple[dict[str, _Reader], frozenset[str]]:
    readers: dict[str, _Reader] = {}
    required: set[str] = set()
    for field, annotation in _fields(cls):
        readers[field.name] = _reader(annotation)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            required.add(field.name)
    return readers, frozenset(required)


def _reader(annotation: Any) -> _Reader:
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation in _SCALARS:
        return _scalar_reader(annotation)
    if annotation is np.ndarray or origin is np.ndarray:
        return _array_reader(_element_type(annotation))
    if origin is tuple:
        return _series_reader(args[0]) if _is_series(args) else _tuple_reader(args)
    if origin in (dict, Mapping):
        return _map_reader(_value_type(annotation))
    if origin is Literal:
        return _literal_reader(args)
    if origin in (Union, types.UnionType):
        return _union_reader(args)
    if _is_enum(annotation):
        return _enum_reader(annotation)
    return _record_reader(annotation)


def _scalar_reader(kind: type) -> _Reader:
    def read(plain: Plain) -> Any:
        if type(plain) is not kind:
            raise _mismatch(_name(kind), plain)
        return plain

    return read


def _array_reader(element: type[np.generic] | None) -> _Reader:
    name = "array" if element is None else f"array of {element.__name__}"

    def read(plain: Plain) -> Any:
        if not isinstance(plain, np.ndarray) or not _holds(plain, element):
            raise _mismatch(name, plain)
        return plain

    return read


def _series_reader(annotation: Any) -> _Reader:
    reader = _reader(annotation)

    def read(plain: Plain) -> Any:
        if type(plain) is not list:
            raise _mismatch("list", plain)
        items = []
        try:
            for item in plain:
                items.append(reader(item))
        except MalformedMessage as error:
            raise error.under(str(len(items))) from None
        return tuple(items)

    return read


def _tuple_reader(annotations: tuple[Any, ...]) -> _Reader:
    readers = [_reader(annotation) for annotation in annotations]

    def read(plain: Plain) -> Any:
        if type(plain) is not list or len(plain) != len(readers):
            raise _mismatch(f"list of {len(readers)}", plain)
        items: list[Any] = []
        try:
            for reader, item in zip(readers, plain, strict=True):
                items.append(reader(item))
        except MalformedMessage as error:
            raise error.under(str(len(items))) from None
        return tuple(items)

    return read


def _map_reader(annotation: Any) -> _Reader:
    reader = _reader(annotation)

    def read(plain: Plain) -> Any:
        if type(plain) is not dict:
            raise _mismatch("map", plain)
        mapping: dict[str, Any] = {}
        try:
            for key, item in plain.items():
                mapping[key] = reader(item)
        except MalformedMessage as error:
            raise error.under(f"{key:.60}") from None
        return mapping

    return read


def _literal_reader(allowed: tuple[Any, ...]) -> _Reader:
    exact = {(type(value), value) for value in allowed}

    def read(plain: Plain) -> Any:
        if type(plain) not in _SCALARS or (type(plain), plain) not in exact:
            raise MalformedMessage(f"expected one of {', '.join(map(repr, allowed))}, got {_describe(plain)}")
        return plain

    return read


def _enum_reader(cls: type[enum.Enum]) -> _Reader:
    members: dict[Plain, enum.Enum] = {member.value: member for member in cls}

    def read(plain: Plain) -> Any:
        if type(plain) is not str or plain not in members:
            raise MalformedMessage(f"expected a value of {cls.__name__}, got {_describe(plain)}")
        return members[plain]

    return read


def _union_reader(annotations: tuple[Any, ...]) -> _Reader:
    tagged, others = _split_union(annotations)
    readers = [_reader(annotation) for annotation in others]
    records = {cls.__name__: _record_reader(cls) for cls in tagged}
    name = " | ".join(map(_name, annotations))

    def read(plain: Plain) -> Any:
        if records and type(plain) is dict and TAG in plain:
            tag = plain[TAG]
            reader = records.get(tag) if isinstance(tag, str) else None
            if reader is None:
                raise MalformedMessage(f"expected {name}, got a record of another class")
            return reader({key: item for key, item in plain.items() if key != TAG})
        complaint = None
        for reader in readers:
            try:
                return reader(plain)
            except MalformedMessage as error:
                complaint = complaint if complaint and complaint.path else error
        # A complaint with a path comes from the one member that fitted at least from outside.
        raise complaint if complaint and complaint.path else _mismatch(name, plain)

    return read


# --- writing -------------------------------------------------------------------------------------------


def _record_writer(cls: Any) -> _Writer:
    _check_record(cls)
    if cls not in _writers:
        _writers[cls] = _compile_writer(cls)
    return _writers[cls]


def _compile_writer(cls: type) -> _Writer:
    fields: list[tuple[str, _Writer]] | None = None

    def write(record: Any) -> Plain:
        nonlocal fields
        if fields is None:
            fields = [(field.name, _writer(annotation)) for field, annotation in _fields(cls)]
        if type(record) is not cls:
            raise _mismatch(cls.__name__, record)
        plain: dict[str, Plain] = {}
        try:
            for name, writer in fields:
                plain[name] = writer(getattr(record, name))
        except MalformedMessage as error:
            raise error.under(name) from None
        return plain

    return write


def _writer(annotation: Any) -> _Writer:
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation in _SCALARS:
        return _scalar_writer(annotation)
    if annotation is np.ndarray or origin is np.ndarray:
        return _array_reader(_element_type(annotation))  # the same check, and the array as it is
    if origin is tuple:
        return _series_writer(args[0]) if _is_series(args) else _tuple_writer(args)
    if origin in (dict, Mapping):
        return _map_writer(_value_type(annotation))
    if origin is Literal:
        return _literal_reader(args)
    if origin in (Union, types.UnionType):
        return _union_writer(args)
    if _is_enum(annotation):
        return _enum_writer(annotation)
    return _record_writer(annotation)


def _scalar_writer(kind: Any) -> _Writer:
    numpy_kind = {bool: np.bool_, int: np.integer, float: np.floating}.get(kind)

    def write(value: Any) -> Plain:
        if type(value) is kind:
            plain: Plain = value
            return plain
        if numpy_kind is not None and isinstance(value, numpy_kind):
            converted: Plain = kind(value)
            return converted
        if kind is float and type(value) is int:
            return float(value)
        raise _mismatch(_name(kind), value)

    return write


def _series_writer(annotation: Any) -> _Writer:
    writer = _writer(annotation)

    def write(value: Any) -> Plain:
        if not isinstance(value, tuple):
            raise _mismatch("tuple", value)
        items: list[Plain] = []
        try:
            for item in value:
                items.append(writer(item))
        except MalformedMessage as error:
            raise error.under(str(len(items))) from None
        return items

    return write


def _tuple_writer(annotations: tuple[Any, ...]) -> _Writer:
    writers = [_writer(annotation) for annotation in annotations]

    def write(value: Any) -> Plain:
        if not isinstance(value, tuple) or len(value) != len(writers):
            raise _mismatch(f"tuple of {len(writers)}", value)
        items: list[Plain] = []
        try:
            for writer, item in zip(writers, value, strict=True):
                items.append(writer(item))
        except MalformedMessage as error:
            raise error.under(str(len(items))) from None
        return items

    return write


def _map_writer(annotation: Any) -> _Writer:
    writer = _writer(annotation)

    def write(value: Any) -> Plain:
        if not isinstance(value, Mapping):
            raise _mismatch("mapping", value)
        mapping: dict[str, Plain] = {}
        for key, item in value.items():
            if type(key) is not str:
                raise _mismatch("str as a key", key)
            try:
                mapping[key] = writer(item)
            except MalformedMessage as error:
                raise error.under(key) from None
        return mapping

    return write


def _enum_writer(cls: type[enum.Enum]) -> _Writer:
    def write(value: Any) -> Plain:
        if not isinstance(value, cls):
            raise _mismatch(cls.__name__, value)
        plain: Plain = value.value
        return plain

    return write


def _union_writer(annotations: tuple[Any, ...]) -> _Writer:
    tagged, others = _split_union(annotations)
    writers = [_writer(annotation) for annotation in others]
    exact = {kind: writer for kind, writer in zip(others, writers, strict=True) if kind in _SCALARS}
    records = {cls: _record_writer(cls) for cls in tagged}

    def write(value: Any) -> Plain:
        kind = type(value)
        if kind in records:
            plain = records[kind](value)
            assert isinstance(plain, dict)
            return {TAG: kind.__name__, **plain}
        if kind in exact:  # before anything converts: an int in `float | int` stays one
            return exact[kind](value)
        complaint = None
        for writer in writers:
            try:
                return writer(value)
            except MalformedMessage as error:
                complaint = complaint if complaint and complaint.path else error
        name = " | ".join(map(_name, annotations))
        raise complaint if complaint and complaint.path else _mismatch(name, value)

    return write


# --- annotations ---------------------------------------------------------------------------------------

_SCALARS: frozenset[Any] = frozenset({bool, int, float, str, bytes, type(None)})


def _fields(cls: type) -> list[tuple["dataclasses.Field[Any]", Any]]:
    hints = get_type_hints(cls)
    return [(field, hints[field.name]) for field in dataclasses.fields(cls)]


def _is_record(annotation: Any) -> bool:
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def _check_record(cls: Any) -> None:
    if not _is_record(cls):
        raise TypeError(f"{_name(cls)} has no form on the wire; see hansa.broker.records")


def _is_enum(annotation: Any) -> bool:
    if not (isinstance(annotation, type) and issubclass(annotation, enum.Enum)):
        return False
    if not all(type(member.value) is str for member in annotation):
        raise TypeError(f"{annotation.__name__}: only an Enum of strings has a form on the wire")
    return True


def _is_series(args: tuple[Any, ...]) -> bool:
    return len(args) == 2 and args[1] is Ellipsis


def _value_type(annotation: Any) -> Any:
    key, value = get_args(annotation)
    if key is not str:
        raise TypeError(f"{annotation}: only maps with str keys have a form on the wire")
    return value


def _element_type(annotation: Any) -> type[np.generic] | None:
    """Return the scalar type an array annotation names, or None if it leaves it open."""
    args = get_args(annotation)
    element = get_args(args[1])[0] if args else Any
    if element is Any or isinstance(element, TypeVar):
        return None
    element = get_origin(element) or element  # np.floating[Any]
    if not (isinstance(element, type) and issubclass(element, np.generic)):
        raise TypeError(f"{annotation}: an array on the wire has one element type")
    return element


def _holds(array: np.ndarray[Any, Any], element: type[np.generic] | None) -> bool:
    return element is None or np.issubdtype(array.dtype, element)


def _split_union(annotations: tuple[Any, ...]) -> tuple[list[type], list[Any]]:
    """Part a union into dataclasses that need a tag (two or more of them) and the rest."""
    records: list[type] = [each for each in annotations if _is_record(each)]
    if len(records) < 2:
        return [], list(annotations)
    if len({cls.__name__ for cls in records}) < len(records):
        raise TypeError(f"two classes of one name in {' | '.join(map(_name, annotations))}")
    return records, [each for each in annotations if each not in records]


def _name(annotation: Any) -> str:
    if annotation is type(None):
        return "None"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _mismatch(expected: str, actual: object) -> MalformedMessage:
    return MalformedMessage(f"expected {expected}, got {_describe(actual)}")


def _describe(value: object) -> str:
    """Name a value's type and size, never its content: it may be secret, or 4,000 digits long."""
    match value:
        case None:
            return "None"
        case np.ndarray():
            return f"array of {value.dtype} with shape {value.shape}"
        case list() | tuple() | dict():
            return f"{'map' if isinstance(value, dict) else type(value).__name__} of {len(value)}"
        case _:
            return type(value).__name__
