"""The cost cache as one file, to carry what compilers answered from one machine to another."""

import io
import json
from pathlib import Path

from padless.cost.cache import Cache
from padless.errors import UsageError, missing_extra
from padless.files import write_atomically

KEY = 64  # hex digits


def export_answers(cache: Cache, file: Path) -> int:
    """Write all answers of `cache` to a parquet file with the columns key and value (JSON); returns how many.

    Raises UsageError where nothing is kept, or the file's name is of another kind.
    """
    _check(cache, file)
    import pyarrow
    from pyarrow import parquet

    answers = cache.all()
    cache.close()
    table = pyarrow.table({"key": list(answers), "value": [json.dumps(value) for value in answers.values()]})
    stream = io.BytesIO()
    parquet.write_table(table, stream, write_page_checksum=True)
    write_atomically(file, stream.getvalue())
    return len(answers)


def import_answers(cache: Cache, file: Path) -> int:
    """Take up the answers of such a file, all or none; returns how many. Raises UsageError for a file that is none."""
    _check(cache, file)
    from pyarrow import ArrowException, parquet

    try:
        columns = parquet.read_table(file, columns=["key", "value"], page_checksum_verification=True).to_pydict()
        answers = {key: json.loads(value) for key, value in zip(columns["key"], columns["value"], strict=True)}
        sound = all(len(key) == KEY and set(key) <= set("0123456789abcdef") for key in answers)
        if not sound or not all(isinstance(value, dict) for value in answers.values()):
            raise ValueError("its keys or values are none of a cost cache")
    except (OSError, ValueError, TypeError, ArrowException) as error:
        first = str(error).splitlines()[0]
        raise UsageError(f"{file} holds no answers: {first}. Give what `padless cache export` wrote.") from error
    cache.put(answers)
    cache.close()
    return len(answers)


def _check(cache: Cache, file: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise missing_extra("pyarrow", "sweep", "Carrying answers") from error
    if file.suffix != ".parquet":
        raise UsageError(f"{file} is no .parquet file. Give one, such as costs.parquet.")
    if cache.file is None:
        raise UsageError("This machine keeps no answers: PADLESS_CACHE is empty.")
