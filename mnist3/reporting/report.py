"""The report of a run: one page that carries its pictures inside and needs no other file."""

import base64
import functools
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mnist3.files import replacing
from mnist3.reporting import captions

if TYPE_CHECKING:
    import jinja2


class Table(NamedTuple):
    """A table of texts.

    Attributes:
        title: what it shows.
        columns: its header, without that of the names.
        rows: name and cells of each.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]


class Page(NamedTuple):
    """What a report says of a run beside its pictures, its command and its config.

    Attributes:
        title: what was trained on what.
        headline: the figure that matters most.
        explanation: what that figure is.
        facts: names and values, one below the other.
        table_title: what the table shows.
        columns: its header.
        rows: name and cells of each row.
        corner: what the rows of the table are.
        commands: what to paste into a terminal, each with its title.
        tables: more of them.
        epoch_columns, epoch_rows: the history; empty for a run without epochs.
    """

    title: str
    headline: str
    explanation: str
    facts: Sequence[tuple[str, str]]
    table_title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]
    corner: str = "metric"
    commands: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()
    epoch_columns: Sequence[str] = ()
    epoch_rows: Sequence[Sequence[str]] = ()


def write_page(
    path: str | os.PathLike,
    page: Page,
    *,
    config: Mapping[str, Any],
    figures: Sequence[str | os.PathLike],
    command: str,
) -> None:
    """Writes a page, whole or not at all.

    Args:
        path: the file to write, `report.html`.
        page: what to say.
        config: the resolved config.
        figures: PNG files in the order in which to show them; the name describes the picture.
        command: the command that writes the page.

    Raises:
        OSError: if a figure cannot be read or the page not be written.
    """
    pictures = {pathlib.Path(file).stem: pathlib.Path(file).read_bytes() for file in figures}
    text = render(page, config, pictures, command)
    with replacing(path, encoding="utf-8") as file:
        file.write(text)


@functools.cache
def template() -> "jinja2.Template":
    """Returns the template of the page, which takes a while at first."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mnist3.reporting", "."),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.jinja")


def render(
    page: Page, config: Mapping[str, Any], pictures: Mapping[str, bytes], command: str
) -> str:
    """Returns the page as text; pictures are PNG bytes by name."""
    return template().render(
        page._asdict(),
        pictures=[
            (name.replace("_", " "), base64.b64encode(data).decode(), captions.caption(name))
            for name, data in pictures.items()
        ],
        fact_words=captions.FACT_WORDS,
        command=command,
        config=json.dumps(config, indent=2),
    )
