"""Pages from Jinja templates."""

from pathlib import Path
from typing import Any


def render(template: Path, **context: Any) -> str:
    """The filled template. Values are escaped for HTML, which Markdown allows too."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(context)
