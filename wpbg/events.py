"""Every event that a worker logs, and what it means: constant names that programs may look for.

A job's events carry `id`, `queue`, `callback`, `attempt` (`1/3`) and `slot`, the name of the worker's slot; those of
jobs that were found in the table carry what is known there.
"""

from __future__ import annotations

EVENTS = {
    "worker.started": "The worker takes jobs from here on. Fields: name, pid, queues, mode, slots, version.",
    "worker.recycling": "HUP: the PHP processes are replaced before their next job.",
    "worker.stopping": "TERM or Ctrl-C: no job is taken any more, the running ones may finish.",
    "worker.stopped": "The worker has ended; why, and how many runs ended how.",
    "job.started": "The callback is called, in the process `pid`. Said of jobs that take longer than half a second; "
    "of all with ABW_DEBUG.",
    "job.output": "A line that the job printed; only with ABW_DEBUG. What a job prints is always kept in its row.",
    "job.completed": "The job is done. Fields: ending, runtime_ms.",
    "job.retry": "A run failed; the job will run again, and when. Fields: ending, runtime_ms.",
    "job.failed": "A run failed and no attempt is left. Fields: ending, runtime_ms.",
    "job.cancelled": "Somebody cancelled the job while it ran. Fields: ending, runtime_ms.",
    "job.released": "The run ended through no fault of the job; it is back in its queue, the attempt not counted.",
    "job.rescued": "The job's worker was lost; the job is back in its queue.",
    "job.set_aside": "A body in the broker is damaged, or not signed by this site; it is kept as failed and never run.",
    "job.unsettled": "The outcome cannot be recorded now; it is kept, and recorded when the database is back.",
    "job.abandoned": "The outcome could not be recorded before the worker had to end; the job will run again.",
    "job.lease_lost": "Another worker has the job, or it was deleted, before its outcome was recorded.",
    "lease.lost": "The job was given to another worker while it ran here; this run is stopped.",
    "lease.not_renewed": "The leases of running jobs could not be renewed; once they run out, others may run the jobs.",
    "lease.renewed_again": "They are renewed again.",
    "batch.done": "No job of a batch waits or runs any more; a job tells WordPress of it. Field: batch.",
    "statistics.off": "The site's tables are older than this wpbg: no statistics, no actions for batches, and why.",
    "queue.lost": "The database cannot be reached; the worker tries until it can.",
    "queue.back": "The database answers again.",
    "lane.lost": "The broker (beanstalkd, Gearman) cannot be reached; jobs come through the table meanwhile.",
    "lane.error": "One question that the broker did not answer. Told to metrics only, not logged.",
    "lane.back": "The broker answers again.",
    "lane.server_lost": "One of several Gearman servers cannot be reached; the others are used. Field: server.",
    "lane.server_back": "That server answers again. Field: server.",
    "php.started": "A PHP process was started. Told to metrics only, not logged.",
    "php.not_started": "PHP did not start, or WordPress did not boot in it; the job went back, uncounted.",
    "php.recycled": "A PHP process is replaced, and why. `reason` is one of those that the metrics count.",
    "metrics.listening": "Metrics can be asked for at `address` from here on.",
    "opcache.off": "PHP boots without OPcache's file cache, and why.",
    "log.lost": "The file of BACKGROUND_WORKER_LOG cannot be written. On stderr only.",
    "log.back": "The file can be written again; how many lines are missing in it.",
}
