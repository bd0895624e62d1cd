"""Save, load, and hand over."""

from padless.deploy.export import FORMATS, export
from padless.deploy.folder import PLAN, check_folder, load, read_summary, save

__all__ = ["FORMATS", "PLAN", "check_folder", "export", "load", "read_summary", "save"]
