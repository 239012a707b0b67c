"""Every error that wpbg reports, with the exit code it ends the program with.

::

    WpbgError                 1   it ran and something failed
     ├─ UsageError            2   wrong usage
     ├─ SiteError             3   the site, WP-CLI or the plugin cannot be used
     │   ├─ WordPressNotFound
     │   ├─ WpCliNotFound
     │   ├─ WpCliFailed
     │   └─ PluginNotReady
     ├─ QueueError            4   a queue server cannot be reached
     │   └─ QueueUnreachable
     └─ ProcessError              a PHP process broke; the runner deals with it
         ├─ NotStarted            it never said `ready`
         └─ ChannelBroken         what came out of it are not frames

A message is one line: what happened, why, and what to do about it.
"""

from __future__ import annotations


class WpbgError(Exception):
    """Something failed."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)

    @property
    def message(self) -> str:
        """The one line that a person reads."""
        return " ".join(str(self).split())


class UsageError(WpbgError):
    """The command was not called as it can be."""

    exit_code = 2


class SiteError(WpbgError):
    """The site cannot be used."""

    exit_code = 3


class WordPressNotFound(SiteError):
    """No WordPress was found."""


class WpCliNotFound(SiteError):
    """WP-CLI was not found."""


class WpCliFailed(SiteError):
    """WP-CLI could not start WordPress."""


class PluginNotReady(SiteError):
    """The Background Worker plugin is not active or older than its tables."""


class QueueError(WpbgError):
    """A queue operation failed."""

    exit_code = 4


class QueueUnreachable(QueueError):
    """The queue's server cannot be reached; what was asked for may be tried again."""


class ProcessError(WpbgError):
    """A PHP process could not do its work."""


class NotStarted(ProcessError):
    """The PHP process ended, or said nothing, before it was ready."""


class ChannelBroken(ProcessError):
    """The PHP process sent something that is not a frame of the bridge."""
