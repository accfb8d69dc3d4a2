"""Words with the mark between them in a flag: those that hold it are quoted, as in CSV."""

import csv


def words(text: str, mark: str) -> list[str]:
    """`a,"b,c"` -> a and b,c; a quote within quotes is written twice; blanks around are left out.

    As it is, cut at each mark, where the quotes don't pair up.
    """
    try:
        rows = list(csv.reader([text], delimiter=mark, skipinitialspace=True, strict=True))
    except csv.Error:
        rows = [text.split(mark)]
    return [word.strip() for row in rows for word in row]
