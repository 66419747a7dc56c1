"""The page about the scope wall is held to its table."""

import re

from scopes.davrules import TABLE, Deed, Ruling, Standing


def test_the_table_on_the_page_is_the_table(root):
    text = (root / "docs" / "dav.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z]+(?: infinity)?) \| (.*) \|$", text, flags=re.MULTILINE)
    written = {Deed(method): [Ruling(each) for each in cells.split(" | ")] for method, cells in rows}
    assert written == {asked: [row[place] for place in Standing] for asked, row in TABLE.items()}
    assert f"| method | {' | '.join(Standing)} |" in text
