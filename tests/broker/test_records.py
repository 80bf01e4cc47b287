"""Records: what goes out comes back, and nothing else does."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Optional, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.broker import MalformedMessage, NotEncodable, Plain, decode, encode, from_plain, to_plain
from tests.broker.test_codec import VALUES, same

ScalarT = TypeVar("ScalarT", bound=np.generic)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.Enum):
    LOW = 1


@dataclass(frozen=True, slots=True)
class Circle:
    radius: float


@dataclass(frozen=True, slots=True)
class Square:
    side: float
    corners: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


Shape: TypeAlias = Circle | Square | Nothing


@dataclass(frozen=True, slots=True)
class Everything:
    flag: bool
    count: int
    weight: float
    name: str
    raw: bytes
    nothing: None
    maybe: int | None
    perhaps: Optional[Circle]  # noqa: UP045 - the older spelling must work too
    pair: tuple[str, int]
    empty: tuple[()]
    many: tuple[float, ...]
    table: dict[str, tuple[int, ...]]
    mapping: Mapping[str, int]
    setting: str | int | float | bool
    word: Literal["yes", "no"]
    colour: Colour
    circle: Circle
    shape: Shape
    shapes: tuple[Shape, ...]
    optional_shape: Shape | None


@dataclass(frozen=True, slots=True)
class Arrays:
    any: np.ndarray
    doubles: npt.NDArray[np.float64]
    floats: npt.NDArray[np.floating[Any]]
    either: npt.NDArray[np.float32] | npt.NDArray[np.int64]
    anything: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tree:
    value: int
    children: tuple["Tree", ...] = ()
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Percentage:
    value: float

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 100:
            raise ValueError("a percentage lies in 0 … 100")


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SHAPES = (
    st.builds(Circle, NUMBERS)
    | st.builds(Square, NUMBERS, st.lists(st.integers()).map(tuple))
    | st.just(Nothing())
)
EVERYTHING = st.builds(
    Everything,
    weight=NUMBERS,
    many=st.lists(NUMBERS).map(tuple),
    setting=st.text() | st.integers() | NUMBERS | st.booleans(),
    circle=st.builds(Circle, NUMBERS),
    perhaps=st.none() | st.builds(Circle, NUMBERS),
    shape=SHAPES,
    shapes=st.lists(SHAPES).map(tuple),
    optional_shape=st.none() | SHAPES,
)
TREES = st.recursive(
    st.builds(Tree, st.integers()),
    lambda inner: st.builds(Tree, st.integers(), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=10,
)
EXAMPLE = Everything(
    flag=True,
    count=1,
    weight=0.5,
    name="n",
    raw=b"r",
    nothing=None,
    maybe=None,
    perhaps=None,
    pair=("a", 1),
    empty=(),
    many=(0.5,),
    table={"t": (1,)},
    mapping={"m": 1},
    setting=1,
    word="yes",
    colour=Colour.RED,
    circle=Circle(1.0),
    shape=Square(2.0, (1, 2)),
    shapes=(Circle(1.0), Nothing()),
    optional_shape=None,
)


def plain_of(record: object) -> dict[str, Plain]:
    plain = to_plain(record)
    assert isinstance(plain, dict)
    return plain


@given(EVERYTHING)
def test_records_come_back_as_they_went(record: Everything) -> None:
    back = from_plain(Everything, decode(encode(to_plain(record))))
    assert back == record
    assert type(back.setting) is type(record.setting)


@given(TREES)
def test_a_record_may_contain_its_own_kind(tree: Tree) -> None:
    assert from_plain(Tree, to_plain(tree)) == tree


@given(VALUES)
def test_no_plain_value_raises_anything_but_a_refusal(value: Plain) -> None:
    for cls in (Everything, Arrays, Tree, Nothing):
        try:
            record = from_plain(cls, value)
        except MalformedMessage:
            continue
        back = from_plain(cls, to_plain(record))
        assert type(back) is type(record)


def test_arrays_come_back_as_they_went() -> None:
    record = Arrays(
        np.array([True]), np.ones((2, 2)), np.ones(1, np.float32), np.arange(3), np.arange(3, dtype=np.uint8)
    )
    back = from_plain(Arrays, decode(encode(to_plain(record))))
    for name in Arrays.__slots__:
        assert same(getattr(back, name), getattr(record, name))


@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        ("any", [1.0], "expected array, got list of 1"),
        (
            "doubles",
            np.ones((2, 1), np.float32),
            r"expected array of float64, got array of float32 with shape \(2, 1\)",
        ),
        ("floats", np.arange(2), "expected array of floating"),
        ("either", np.ones(2), "got array of float64"),
        ("anything", None, "expected array, got None"),
    ],
)
def test_an_array_of_another_kind_is_refused(name: str, array: Any, expected: str) -> None:
    plain = plain_of(Arrays(np.ones(1), np.ones(1), np.ones(1), np.arange(1), np.ones(1)))
    with pytest.raises(MalformedMessage, match=f"^{name}: .*{expected}"):
        from_plain(Arrays, {**plain, name: array})


@pytest.mark.parametrize(
    ("name", "wrong", "complaint"),
    [
        ("flag", 1, "flag: expected bool, got int"),
        ("count", True, "count: expected int, got bool"),
        ("count", 1.0, "count: expected int, got float"),
        ("weight", 1, "weight: expected float, got int"),
        ("name", b"n", "name: expected str, got bytes"),
        ("raw", "r", "raw: expected bytes, got str"),
        ("nothing", 0, "nothing: expected None, got int"),
        ("maybe", "1", "maybe: expected int | None, got str"),
        ("perhaps", {"radius": 1}, "perhaps.radius: expected float, got int"),
        ("perhaps", {"@": "Circle", "radius": 1.0}, "perhaps.@: Circle has no such field"),
        ("pair", ["a"], "pair: expected list of 2, got list of 1"),
        ("pair", ["a", "b"], "pair.1: expected int, got str"),
        ("empty", [1], "empty: expected list of 0, got list of 1"),
        ("many", (1.0,), "many: expected list, got tuple of 1"),
        ("many", [1.0, 2.0, None], "many.2: expected float, got None"),
        ("table", [], "table: expected map, got list of 0"),
        ("table", {"t": [1, "2"]}, "table.t.1: expected int, got str"),
        ("mapping", {"m": None}, "mapping.m: expected int, got None"),
        ("setting", None, "setting: expected str | int | float | bool, got None"),
        ("word", "maybe", "word: expected one of 'yes', 'no', got str"),
        ("word", ["yes"], "word: expected one of 'yes', 'no', got list of 1"),
        ("colour", "green", "colour: expected a value of Colour, got str"),
        ("colour", ["red"], "colour: expected a value of Colour, got list of 1"),
        ("circle", {}, "circle: Circle lacks radius"),
        ("circle", {"radius": 1.0, "x": 1}, "circle.x: Circle has no such field"),
        ("circle", None, "circle: expected Circle, got None"),
        ("shape", {"radius": 1.0}, "shape: expected Circle | Square | Nothing, got map of 1"),
        ("shape", {"@": "Triangle"}, "shape: expected Circle | Square | Nothing, got a record of another"),
        ("shape", {"@": ["Circle"]}, "shape: expected Circle | Square | Nothing, got a record of another"),
        ("shape", {"@": "Circle", "radius": "1"}, "shape.radius: expected float, got str"),
        ("shapes", [{"@": "Nothing"}, {"@": "Square"}], "shapes.1: Square lacks side"),
        ("optional_shape", 1, "optional_shape: expected Circle | Square | Nothing | None, got int"),
    ],
)
def test_a_field_of_another_type_is_refused_by_its_path(name: str, wrong: Any, complaint: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        from_plain(Everything, {**plain_of(EXAMPLE), name: wrong})
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize("name", Everything.__slots__)
def test_no_field_may_be_missing(name: str) -> None:
    plain = plain_of(EXAMPLE)
    del plain[name]
    with pytest.raises(MalformedMessage, match=f"Everything lacks {name}"):
        from_plain(Everything, plain)


def test_a_field_with_a_default_may_be_missing() -> None:
    assert from_plain(Square, {"side": 1.0}) == Square(1.0)
    assert from_plain(Tree, {"value": 1}) == Tree(1)


def test_what_is_no_map_is_no_record() -> None:
    with pytest.raises(MalformedMessage, match=r"^expected Nothing, got list of 0"):
        from_plain(Nothing, [])


def test_a_class_may_refuse_its_own_values() -> None:
    with pytest.raises(MalformedMessage, match="Percentage: a percentage lies"):
        from_plain(Percentage, {"value": 101.0})


def test_the_tag_is_there_only_where_classes_must_be_told_apart() -> None:
    plain = plain_of(EXAMPLE)
    assert plain["circle"] == {"radius": 1.0}
    assert plain["shape"] == {"@": "Square", "side": 2.0, "corners": [1, 2]}


@pytest.mark.parametrize(
    ("changes", "field_name"),
    [
        ({"flag": 1}, "flag"),
        ({"count": "1"}, "count"),
        ({"count": True}, "count"),
        ({"weight": "1"}, "weight"),
        ({"weight": True}, "weight"),
        ({"pair": ("a",)}, "pair"),
        ({"pair": ["a", 1]}, "pair"),
        ({"pair": ("a", "b")}, "pair.1"),
        ({"many": [1.0]}, "many"),
        ({"many": (1.0, "2")}, "many.1"),
        ({"table": ()}, "table"),
        ({"table": {1: (1,)}}, "table"),
        ({"table": {"t": ("x",)}}, "table.t.0"),
        ({"word": "maybe"}, "word"),
        ({"colour": "red"}, "colour"),
        ({"circle": Square(1.0)}, "circle"),
        ({"circle": Circle("wide")}, "circle.radius"),  # type: ignore[arg-type]
        ({"shape": object()}, "shape"),
        ({"shapes": (Circle("wide"),)}, "shapes.0.radius"),  # type: ignore[arg-type]
        ({"perhaps": Circle("wide")}, "perhaps.radius"),  # type: ignore[arg-type]
        ({"setting": None}, "setting"),
    ],
)
def test_our_own_mistake_is_named_before_it_leaves(changes: dict[str, Any], field_name: str) -> None:
    fields = {name: getattr(EXAMPLE, name) for name in Everything.__slots__}
    with pytest.raises(NotEncodable, match=f"Everything.{field_name}: expected"):
        to_plain(Everything(**{**fields, **changes}))


def test_numbers_are_made_plain_on_the_way_out() -> None:
    square = Square(np.float32(0.5), (np.int64(3),))  # type: ignore[arg-type]
    assert from_plain(Square, decode(encode(to_plain(square)))) == Square(0.5, (3,))
    assert type(plain_of(Circle(1))["radius"]) is float
    assert plain_of(Everything(**{**vars_of(EXAMPLE), "flag": np.bool_(False)}))["flag"] is False
    assert type(plain_of(Everything(**{**vars_of(EXAMPLE), "setting": np.float64(1)}))["setting"]) is float


def vars_of(record: Everything) -> dict[str, Any]:
    return {name: getattr(record, name) for name in Everything.__slots__}


@dataclass
class HoldsSet:
    value: set[int]


@dataclass
class HoldsNumberedEnum:
    value: Level


@dataclass
class HoldsIntKeys:
    value: dict[int, str]


@dataclass
class HoldsMixedArray:
    value: npt.NDArray[np.float32 | np.float64]


@dataclass
class HoldsObject:
    value: object


def test_an_annotation_that_no_wire_value_stands_for_is_a_bug_here() -> None:
    for record in (
        HoldsSet({1}),
        HoldsNumberedEnum(Level.LOW),
        HoldsIntKeys({}),
        HoldsMixedArray(np.ones(1)),
        HoldsObject(1),
    ):
        with pytest.raises(TypeError):
            to_plain(record)
        with pytest.raises(TypeError):
            from_plain(type(record), {"value": 1})
    with pytest.raises(TypeError):
        to_plain(3)
    with pytest.raises(TypeError):
        from_plain(int, 3)


def test_two_classes_of_one_name_cannot_share_a_union() -> None:
    other: Any = dataclass(type("Circle", (), {}))

    @dataclass
    class Holder:
        value: Any

    Holder.__annotations__["value"] = Circle | other
    with pytest.raises(TypeError, match="two classes of one name"):
        from_plain(Holder, {"value": {}})


def test_a_type_variable_leaves_the_element_type_open() -> None:
    @dataclass
    class Holder:
        value: Any

    Holder.__annotations__["value"] = npt.NDArray[ScalarT]  # type: ignore[valid-type]
    assert from_plain(Holder, {"value": np.ones(1, np.int8)}).value.dtype == np.int8
