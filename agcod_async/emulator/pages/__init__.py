"""Two pages for a browser: a Scratchpad that shows how a call is signed, and the account's Portal."""

from .app import PagesApp

__all__ = ["PagesApp"]
