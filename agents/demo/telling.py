"""How does a demo tell its story in a terminal? In numbered parts, of sentences beside their marks."""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from hansa.agents.cli.storyteller import shows

INDENT = 3


def title(console: Console, number: int, text: str) -> None:
    """Begin a part."""
    console.print(f"\n[bold]{number}  {text}[/]", highlight=False)


def say(console: Console, text: str, sign: str = "", indent: int = INDENT) -> None:
    """Print a sentence, wrapped beside its sign."""
    table = Table.grid(padding=(0, 1))
    if sign:
        table.add_row(sign, text)
    else:
        table.add_row(text)
    console.print(Padding(table, (0, 0, 0, indent), expand=False), highlight=False)


def show(console: Console, table: Table) -> None:
    """Print a table."""
    console.print(Padding(table, (0, 0, 0, INDENT), expand=False), highlight=False)


def mark(console: Console, good: bool) -> str:
    """Return a sign for what holds, or does not."""
    if shows(console, "✓✗"):
        return "[green]✓[/]" if good else "[red]✗[/]"
    return "[green]+[/]" if good else "[red]x[/]"
