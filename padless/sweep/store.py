"""Where the results of a sweep lie: a folder, or an object store that pyarrow knows by its URI."""

from pathlib import Path
from typing import Any, Protocol

from padless.choose.fields import MOST_BYTES
from padless.errors import PadlessError, UsageError, missing_extra
from padless.files import regular, write_atomically


class StoreError(PadlessError):
    """Results cannot be read or written where they are to lie."""


class Store(Protocol):
    """Files by names such as `points/0123.json`. What is written is whole or not there. Raises StoreError."""

    where: str
    folder: Path | None  # where it is one that this machine sees

    def read(self, name: str) -> bytes | None:
        """A file's content; None where there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file, over one that is there."""

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted; none where it is not there."""


def open_store(where: str) -> Store:
    """A folder, or s3://BUCKET/FOLDER, gs://… and the like. Raises UsageError where it cannot be used."""
    return Objects(where) if "://" in where else Folder(Path(where))


class Folder:
    """A folder of this machine, or one that several share."""

    def __init__(self, path: Path) -> None:
        self.folder: Path | None = path
        self.where = str(path)
        self._path = path
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file; it stays as it is. Give --out a folder.")

    def read(self, name: str) -> bytes | None:
        try:
            return regular(self._path / name, MOST_BYTES).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self._path / name} cannot be read: {error}.") from error

    def write(self, name: str, content: bytes) -> None:
        try:
            write_atomically(self._path / name, content)
        except OSError as error:
            raise StoreError(f"{self._path / name} cannot be written: {error}.") from error

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(file.name for file in (self._path / folder).iterdir() if not file.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self._path / folder} cannot be read: {error}.") from error


class Objects:
    """An object store. A put is whole by itself: nothing is moved there."""

    folder: Path | None = None

    def __init__(self, where: str) -> None:
        try:
            from pyarrow import fs
        except ImportError as error:
            raise missing_extra("pyarrow", "sweep", f"Writing to {where}") from error
        self.where, self._fs = where, fs
        try:
            self._files, self._root = fs.FileSystem.from_uri(where)
        except (ValueError, OSError) as error:
            raise UsageError(
                f"{where} is no store that can be opened: {error}. Give a folder, or s3://BUCKET/FOLDER."
            ) from error

    def read(self, name: str) -> bytes | None:
        try:
            with self._files.open_input_stream(self._path(name)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failure("read", name, error) from error

    def write(self, name: str, content: bytes) -> None:
        try:
            if self._files.type_name == "local":
                self._files.create_dir(self._path(name).rpartition("/")[0])
            with self._files.open_output_stream(self._path(name)) as stream:
                stream.write(content)
        except OSError as error:
            raise self._failure("written", name, error) from error

    def names(self, folder: str) -> list[str]:
        try:
            found = self._files.get_file_info(self._fs.FileSelector(self._path(folder), allow_not_found=True))
        except OSError as error:
            raise self._failure("read", folder, error) from error
        return sorted(info.base_name for info in found if info.type == self._fs.FileType.File)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _failure(self, done: str, name: str, error: Any) -> StoreError:
        first = (str(error).strip().splitlines() or ["no reason given"])[0]
        return StoreError(f"{self.where.partition('?')[0]}: {name} cannot be {done}: {first}")
