"""The restart lifetime: every job in a process that has just booted WordPress."""

from __future__ import annotations

from wpbg.errors import NotStarted, QueueUnreachable, SiteError
from wpbg.job import Ending, Job, JobError, Outcome
from wpbg.runners.base import Limits, Listener, Stop
from wpbg.runners.boot import BootFor, start
from wpbg.runners.exchange import Declined, Lifetime, Run
from wpbg.runners.stoppable import Stoppable


class RestartRunner(Stoppable):
    """Starts PHP for each job. `boot` says how, for the blog of the job (0: the site's main one)."""

    window = 1

    def __init__(self, boot: BootFor, time_limit: int, limits: Limits | None = None) -> None:
        super().__init__()
        self._boot, self._time_limit, self._limits = boot, time_limit, limits or Limits()

    def run(self, job: Job, listener: Listener) -> Outcome:
        """See `Runner.run`."""
        process = None
        try:
            process = start(self._boot(job.blog_id), {"lifetime": Lifetime.RESTART.value}, self._limits, self.starting)
            run = Run(process, job, Lifetime.RESTART, self._time_limit, self._limits, listener)
            self.running(run)
            outcome = run.result()
            if isinstance(outcome, Declined):
                outcome = Outcome(Ending.NOT_STARTED, error=JobError("NotStarted", "PHP ended before the job began."))
            if outcome.ending not in (Ending.COMPLETED, Ending.FAILED):
                process.kill()  # Whatever it started went wrong with it.
            return outcome
        except (NotStarted, SiteError, QueueUnreachable) as error:
            return self.stopped_outcome() or Outcome(
                Ending.NOT_STARTED, error=JobError(type(error).__name__, error.message)
            )
        except BaseException:
            if process is not None:
                process.kill()
            raise
        finally:
            self.done()
            if process is not None:
                process.close()

    def warm(self) -> None:
        """A process that waits for a job would not have the newest code."""

    def recycle(self) -> None:
        """Nothing outlives a job here."""

    def close(self) -> None:
        """End a run that is under way."""
        self.stop(Stop.NOW)
