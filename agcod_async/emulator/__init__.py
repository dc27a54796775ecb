"""The gateway emulated: a model of the public facts, not Amazon."""

from agcod_async.emulator.clock import Clock
from agcod_async.emulator.gateway import Emulator
from agcod_async.emulator.settings import CardRange, Settings
from agcod_async.emulator.state import Activation, Activity, Card, Key, Load, Partner, State
from agcod_async.emulator.throttle import Rate, Throttle
from agcod_async.emulator.values import Answer, Request

__all__ = [
    "Activation",
    "Activity",
    "Answer",
    "Card",
    "CardRange",
    "Clock",
    "Emulator",
    "Key",
    "Load",
    "Partner",
    "Rate",
    "Request",
    "Settings",
    "State",
    "Throttle",
]
