"""The gateway emulated: a model of the public facts, not Amazon."""

from .clock import Clock
from .faults import Fault, FaultKind, FaultPlan
from .gateway import Emulator, RunningServer
from .settings import CardRange, Settings
from .state import Activation, Activity, Card, Key, Load, Partner, State
from .throttle import Rate, Throttle
from .values import Answer, Request

__all__ = [
    "Activation",
    "Activity",
    "Answer",
    "Card",
    "CardRange",
    "Clock",
    "Emulator",
    "Fault",
    "FaultKind",
    "FaultPlan",
    "Key",
    "Load",
    "Partner",
    "Rate",
    "Request",
    "RunningServer",
    "Settings",
    "State",
    "Throttle",
]
