"""Rewards in bulk: a campaign from a file, issued exactly once however often it is interrupted."""

from .campaign import Campaign
from .outlook import Outlook
from .progress import Progress
from .source import Format, RewardFile, Rewards
from .survey import Standing

__all__ = ["Campaign", "Format", "Outlook", "Progress", "RewardFile", "Rewards", "Standing"]
