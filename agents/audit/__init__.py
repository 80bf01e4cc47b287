"""Pages of an audit, each one HTML file, to be read without a network and handed in on paper."""

from hansa.agents.audit.page import page, write_page
from hansa.agents.audit.payouts import payouts_page, write_payouts

__all__ = ["page", "payouts_page", "write_page", "write_payouts"]
