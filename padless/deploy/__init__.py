"""Save, load, and hand over."""

from padless.deploy.export import FORMATS, export
from padless.deploy.folder import check_folder, load, read_summary, save

__all__ = ["FORMATS", "check_folder", "export", "load", "read_summary", "save"]
