"""Key pairs, and who provides them."""

from __future__ import annotations

from .environment import EnvironmentCredentials, credentials_from
from .file import FileCredentials, ProfileCredentials
from .function import CallableCredentials
from .pair import Credentials, CredentialsProvider, credentials_of

__all__ = [
    "CallableCredentials",
    "Credentials",
    "CredentialsProvider",
    "EnvironmentCredentials",
    "FileCredentials",
    "ProfileCredentials",
    "credentials_from",
    "credentials_of",
]
