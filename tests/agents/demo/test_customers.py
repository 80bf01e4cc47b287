"""The vertical demo's tables alone: what `hansa demo data --of customers` writes, to try by hand."""

from pathlib import Path

import polars as pl
from click.testing import CliRunner, Result

from hansa.agents.cli import main

FILES = ("bank/customers.csv", "shop/customers.csv", "bank/newcomers.csv")


def hansa(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_customers_of_a_bank_and_a_shop_are_written_with_what_to_type_next(tmp_path: Path) -> None:
    result = hansa("demo", "data", tmp_path / "new", "--of", "customers")
    assert result.exit_code == 0, result.output
    bank, shop, newcomers = (pl.read_csv(tmp_path / "new" / file) for file in FILES)
    for file, frame in zip(FILES, (bank, shop, newcomers), strict=True):
        assert f"{tmp_path / 'new' / file}: {frame.height} rows" in result.stdout
    assert "--name customers --target diagnosis" in result.stdout
    assert set(bank["diagnosis"].unique()) == {"benign", "malignant"}
    assert not set(bank.columns) & set(shop.columns) - {"id"}
    assert not set(newcomers["id"]) & set(bank["id"])


def test_no_other_file_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "customers.csv").write_text("mine")
    result = hansa("demo", "data", tmp_path, "--of", "customers")
    assert result.exit_code == 1
    assert "customers.csv: exists; name another folder" in result.stderr
    assert [path.name for path in tmp_path.rglob("*.csv")] == ["customers.csv"]
