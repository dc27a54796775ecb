"""Key pairs, and who provides them."""

from __future__ import annotations

from .environment import EnvironmentCredentials, credentials_from
from .file import FileCredentials, ProfileCredentials
from .function import CallableCredentials
from .keys import Keys
from .pair import Credentials, CredentialsProvider

__all__ = [
    "CallableCredentials",
    "Credentials",
    "CredentialsProvider",
    "EnvironmentCredentials",
    "FileCredentials",
    "Keys",
    "ProfileCredentials",
    "credentials_from",
]
