"""Save, load, and hand over."""

from padless.deploy.export import FORMATS, export
from padless.deploy.folder import PLAN, SUMMARY, WEIGHTS, check_folder, load, read_summary, save
from padless.deploy.int8 import Int8

__all__ = ["FORMATS", "PLAN", "SUMMARY", "WEIGHTS", "Int8", "check_folder", "export", "load", "read_summary", "save"]
