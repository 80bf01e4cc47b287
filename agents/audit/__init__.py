"""The page of an audit: one HTML file, to be read without a network and handed in on paper."""

from hansa.agents.audit.page import page, write_page

__all__ = ["page", "write_page"]
