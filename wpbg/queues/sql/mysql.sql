-- ═══ MariaDB and MySQL ═══
-- For the claim index (status, queue, priority, id) and the due index (status, due_at).
-- MySQL evaluates assignments from left to right: none here reads a column that an earlier one has set.
-- Changes by id go through the primary key: through another index they would meet, and lock, the rows of others.

-- claim_candidates --
-- What is looked at here may be gone a moment later: the claim is guarded by the token.
SELECT id, priority, lease_token FROM {jobs} FORCE INDEX (claim)
WHERE status = 'queued' AND queue = :queue
  AND NOT EXISTS (SELECT 1 FROM {queues} q WHERE q.queue = :queue AND q.paused = 1)
ORDER BY priority, id
LIMIT :limit

-- claim_lock --
-- Rows that other workers are claiming are stepped over. Read in index order, so that no row is sorted;
-- the subquery reads without locks.
SELECT id, queue, payload, attempts, max_attempts, backoff, timeout, priority, blog_id, batch, callback, lease_token,
    available_at
FROM {jobs} FORCE INDEX (claim)
WHERE status = 'queued' AND queue = :queue
  AND NOT EXISTS (SELECT 1 FROM {queues} q WHERE q.queue = :queue AND q.paused = 1)
ORDER BY priority, id
LIMIT :limit
FOR UPDATE SKIP LOCKED

-- claim_locked --
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET status = 'running', attempts = attempts + 1, lease_token = lease_token + 1, worker = :worker,
    started_at = CASE WHEN id = :first THEN :now END, due_at = :until, finished_at = NULL, runtime_ms = NULL, result = NULL, error = NULL,
    output = NULL, note = NULL, progress_done = NULL, progress_total = NULL, progress_message = NULL
WHERE id IN :ids AND status = 'queued'

-- claim_guarded --
-- Compare and swap: nobody else has claimed it since it was looked at.
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET status = 'running', attempts = attempts + 1, lease_token = lease_token + 1, worker = :worker,
    started_at = CASE WHEN id = :first THEN :now END, due_at = :until, finished_at = NULL, runtime_ms = NULL, result = NULL, error = NULL,
    output = NULL, note = NULL, progress_done = NULL, progress_total = NULL, progress_message = NULL
WHERE id = :id AND status = 'queued' AND lease_token = :token

-- claimed --
SELECT id, queue, payload, attempts, max_attempts, backoff, timeout, priority, blog_id, batch, callback, lease_token,
    available_at
FROM {jobs} WHERE id = :id AND status = 'running' AND lease_token = :token

-- put --
-- With a unique key that an unfinished job has, the id of that job is the one that is inserted.
INSERT INTO {jobs} (queue, payload, status, priority, max_attempts, backoff, timeout, available_at, due_at, blog_id,
    batch, callback, unique_key, unique_hash)
VALUES (:queue, :payload, :status, :priority, :max_attempts, :backoff, :timeout, :available_at, :due_at, :blog_id,
    :batch, :callback, :unique_key, :unique_hash)
ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)

-- adopt --
-- A job that came through a broker. One that is here already stays as it is.
INSERT IGNORE INTO {jobs} (external_id, queue, payload, attempts, status, priority, max_attempts, backoff, timeout, available_at,
    due_at, started_at, lease_token, worker, blog_id, batch, callback)
VALUES (:external_id, :queue, :payload, 1, 'running', :priority, :max_attempts, :backoff, :timeout, :available_at,
    :until, :started_at, :token, :worker, :blog_id, :batch, :callback)

-- adopted --
-- Which of them are ours now, in the order of their numbers.
SELECT id, external_id FROM {jobs}
WHERE external_id IN :external_ids AND status = 'running' AND lease_token = :token
ORDER BY id

-- cancel_outside --
-- A job that still waits in a broker: a worker that is handed it finds it here, and only acknowledges it.
INSERT IGNORE INTO {jobs} (external_id, queue, payload, attempts, status, priority, max_attempts, available_at, due_at,
    finished_at, batch, callback)
VALUES (:external_id, :queue, :payload, 0, 'cancelled', :priority, :max_attempts, :now, :now, :now, :batch, :callback)

-- fill --
-- What a broker did not show of a job that was cancelled while it waited there.
UPDATE {jobs} SET queue = :queue, payload = :payload, priority = :priority, max_attempts = :max_attempts,
    batch = :batch, callback = :callback
WHERE external_id = :external_id AND status = 'cancelled' AND payload = ''

-- set_aside --
INSERT INTO {jobs} (queue, payload, attempts, status, max_attempts, available_at, due_at, finished_at, error)
VALUES (:queue, :payload, 0, 'failed', 1, :now, :now, :now, :error)

-- unlocked --
-- Rows that somebody else has locked are stepped over: one that a lost connection holds must not keep the heartbeat or
-- the rescue of the others waiting.
SELECT id, lease_token, cancel_requested FROM {jobs} FORCE INDEX (PRIMARY)
WHERE id IN :ids AND status = 'running'
FOR UPDATE SKIP LOCKED

-- renew --
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET due_at = :until
WHERE id = :id AND status = 'running' AND lease_token = :token

-- renewed --
-- Who holds these jobs now, and which of them somebody wants cancelled.
SELECT id, lease_token, cancel_requested FROM {jobs}
WHERE id IN :ids AND status = 'running'

-- finish --
-- `history` is a JSON list that grows at its end; past 1 MB it starts anew.
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET status = :status, due_at = :now, finished_at = :now, runtime_ms = :runtime_ms,
    started_at = COALESCE(started_at, :began),
    result = :result, error = :error, output = :output, note = :note,
    progress_done = COALESCE(:progress_done, progress_done),
    progress_total = CASE WHEN :progress_done IS NULL THEN progress_total ELSE :progress_total END,
    progress_message = CASE WHEN :progress_done IS NULL THEN progress_message ELSE :progress_message END,
    callback = COALESCE(:callback, callback), unique_hash = NULL,
    history = CASE
        WHEN :entry IS NULL THEN history
        WHEN history IS NULL OR LENGTH(history) < 3 OR LENGTH(history) > 1000000 THEN CONCAT('[', :entry, ']')
        ELSE CONCAT(LEFT(history, CHAR_LENGTH(history) - 1), ',', :entry, ']')
    END
WHERE id = :id AND status = 'running' AND lease_token = :token

-- complete --
-- `finish` for the many jobs that ended well and said nothing. The SELECT stands once for each of them, so that one
-- statement ends all; each is looked up by its id.
UPDATE (SELECT :id AS id, :token AS token, :began AS began, :runtime_ms AS runtime_ms, :result AS result, :callback AS callback) AS ended
STRAIGHT_JOIN {jobs} AS j FORCE INDEX (PRIMARY) ON j.id = ended.id
SET j.status = 'completed', j.due_at = :now, j.finished_at = :now, j.runtime_ms = ended.runtime_ms,
    j.started_at = COALESCE(j.started_at, ended.began),
    j.result = ended.result, j.error = NULL, j.output = NULL, j.note = NULL,
    j.callback = COALESCE(ended.callback, j.callback), j.unique_hash = NULL
WHERE j.status = 'running' AND j.lease_token = ended.token

-- retry --
-- Not for a job that somebody wants cancelled: `cancel_running` is for those.
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET status = :status, due_at = :due_at, available_at = :available_at, finished_at = :now, runtime_ms = :runtime_ms,
    started_at = COALESCE(started_at, :began),
    result = NULL, error = :error, output = :output, note = :note,
    callback = COALESCE(:callback, callback),
    history = CASE
        WHEN :entry IS NULL THEN history
        WHEN history IS NULL OR LENGTH(history) < 3 OR LENGTH(history) > 1000000 THEN CONCAT('[', :entry, ']')
        ELSE CONCAT(LEFT(history, CHAR_LENGTH(history) - 1), ',', :entry, ']')
    END
WHERE id = :id AND status = 'running' AND lease_token = :token AND cancel_requested = 0

-- release --
-- As if the attempt had not begun. Its place in the queue is the old one.
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET status = 'queued', due_at = 0, attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END,
    started_at = NULL, finished_at = NULL, runtime_ms = NULL, worker = NULL,
    progress_done = NULL, progress_total = NULL, progress_message = NULL
WHERE id = :id AND status = 'running' AND lease_token = :token AND cancel_requested = 0

-- cancel_running --
-- What would have gone back to the queue, had nobody asked to cancel it.
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET status = 'cancelled', due_at = :now, finished_at = :now, runtime_ms = :runtime_ms,
    result = NULL, error = :error, output = :output, note = :note,
    callback = COALESCE(:callback, callback), unique_hash = NULL,
    history = CASE
        WHEN :entry IS NULL THEN history
        WHEN history IS NULL OR LENGTH(history) < 3 OR LENGTH(history) > 1000000 THEN CONCAT('[', :entry, ']')
        ELSE CONCAT(LEFT(history, CHAR_LENGTH(history) - 1), ',', :entry, ']')
    END
WHERE id = :id AND status = 'running' AND lease_token = :token AND cancel_requested = 1

-- settled --
-- What became of a lease whose settling was not answered.
SELECT status FROM {jobs} WHERE id = :id AND lease_token = :token

-- began --
-- A job that was held behind another one.
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET started_at = :now
WHERE id = :id AND status = 'running' AND lease_token = :token AND started_at IS NULL

-- progress --
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET progress_done = :done, progress_total = :total, progress_message = :message
WHERE id = :id AND status = 'running' AND lease_token = :token

-- due_delayed --
SELECT id FROM {jobs}
WHERE status = 'delayed' AND due_at <= :now
ORDER BY due_at
LIMIT :limit

-- promote --
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET status = 'queued', due_at = 0
WHERE id IN :ids AND status = 'delayed' AND due_at <= :now

-- expired --
SELECT id, queue, batch, attempts, max_attempts, backoff, lease_token, worker, started_at, cancel_requested, due_at
FROM {jobs}
WHERE status = 'running' AND due_at <= :now
ORDER BY due_at
LIMIT :limit

-- rescue --
-- The lease is looked at again: its worker may have renewed it, or another rescued the job, since.
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET status = :status, due_at = :due_at, finished_at = :now, runtime_ms = NULL,
    unique_hash = CASE WHEN :status = 'queued' THEN unique_hash END,
    error = :error, note = NULL,
    history = CASE
        WHEN :entry IS NULL THEN history
        WHEN history IS NULL OR LENGTH(history) < 3 OR LENGTH(history) > 1000000 THEN CONCAT('[', :entry, ']')
        ELSE CONCAT(LEFT(history, CHAR_LENGTH(history) - 1), ',', :entry, ']')
    END
WHERE id = :id AND status = 'running' AND lease_token = :token AND due_at <= :now AND cancel_requested = :cancel

-- rescue_held --
-- Its worker was lost before the job began: the attempt is given back.
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET status = 'queued', due_at = 0, attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END, worker = NULL
WHERE id = :id AND status = 'running' AND lease_token = :token AND due_at <= :now AND started_at IS NULL
    AND cancel_requested = 0

-- finished_before --
SELECT id FROM {jobs}
WHERE status = :status AND due_at <= :before
ORDER BY due_at
LIMIT :limit

-- prune --
DELETE FROM {jobs} WHERE id IN :ids AND status = :status AND due_at <= :before

-- busy --
SELECT EXISTS (
  SELECT 1 FROM {jobs} WHERE status = 'queued' AND queue = :queue
) OR EXISTS (
  SELECT 1 FROM {jobs} WHERE status = 'running' AND queue = :queue
) AS busy
FROM (SELECT 1 AS one) AS once
WHERE NOT EXISTS (SELECT 1 FROM {queues} q WHERE q.queue = :queue AND q.paused = 1)

-- paused --
SELECT queue FROM {queues} WHERE paused = 1 AND queue IN :queues

-- ═══ What people look at, and do ═══

-- job --
SELECT j.*, CAST(UNIX_TIMESTAMP(j.created_datetime) * 1000 AS SIGNED) AS created_ms FROM {jobs} j WHERE j.id = :id

-- list_jobs --
-- Newest first, without the large columns. `before` pages: only ids below it. A list given as NULL means any.
-- The head of the payload is for the label of rows that carry none.
SELECT j.id, j.queue, j.callback, j.status, j.attempts, j.max_attempts, j.priority, j.batch, j.available_at, j.due_at,
    j.started_at, j.finished_at, j.runtime_ms, j.worker, j.result, j.error, j.note, j.cancel_requested, j.unique_key,
    j.progress_done, j.progress_total, j.progress_message, j.blog_id,
    CAST(UNIX_TIMESTAMP(j.created_datetime) * 1000 AS SIGNED) AS created_ms,
    CASE WHEN j.callback IS NULL THEN SUBSTR(j.payload, 1, 4096) END AS head
FROM {jobs} j
WHERE j.id < :before
  AND (:status IS NULL OR j.status = :status)
  AND (:queue IS NULL OR j.queue = :queue)
  AND (:callback IS NULL OR j.callback = :callback)
  AND (:batch IS NULL OR j.batch = :batch)
ORDER BY j.id DESC
LIMIT :limit

-- retry_job --
-- A finished job starts over: all its attempts again, its history kept.
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET status = 'queued', due_at = 0, available_at = :now, attempts = 0, cancel_requested = 0, unique_hash = :unique_hash,
    started_at = NULL, finished_at = NULL, runtime_ms = NULL, worker = NULL, result = NULL, error = NULL,
    output = NULL, note = NULL, progress_done = NULL, progress_total = NULL, progress_message = NULL
WHERE id = :id AND status = :status AND lease_token = :token

-- failed_plain --
-- Failed before `now`: one that fails again meanwhile is not taken up a second time.
SELECT id FROM {jobs}
WHERE status = 'failed' AND due_at <= :now AND unique_key IS NULL AND (:queue IS NULL OR queue = :queue)
LIMIT :limit

-- retry_plain --
-- The same as `retry_job`, for many that have no unique key to get back.
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET status = 'queued', due_at = 0, available_at = :now, attempts = 0, cancel_requested = 0,
    started_at = NULL, finished_at = NULL, runtime_ms = NULL, worker = NULL, result = NULL, error = NULL,
    output = NULL, note = NULL, progress_done = NULL, progress_total = NULL, progress_message = NULL
WHERE id IN :ids AND status = 'failed' AND unique_key IS NULL

-- failed_unique --
SELECT id FROM {jobs}
WHERE status = 'failed' AND due_at <= :now AND unique_key IS NOT NULL AND (:queue IS NULL OR queue = :queue)
  AND id > :after
ORDER BY id
LIMIT :limit

-- by_external_id --
SELECT id FROM {jobs} WHERE external_id = :external_id

-- job_state --
-- `hollow`: cancelled while it waited in a broker that does not show its jobs, and it is still there.
SELECT id, queue, status, batch, unique_key, lease_token, cancel_requested,
    status = 'cancelled' AND payload = '' AND external_id IS NOT NULL AS hollow, external_id
FROM {jobs} WHERE id = :id

-- job_states --
-- Of many jobs at once, without their large columns.
SELECT id, queue, status, callback, progress_done, progress_total, progress_message FROM {jobs} WHERE id IN :ids

-- ended_since --
-- From the index of what is due: of a finished job, that is its end.
SELECT COUNT(*) AS jobs FROM {jobs}
WHERE status = :status AND due_at >= :since AND (:queue IS NULL OR queue = :queue)

-- holder_of --
-- The unfinished job of a unique key.
SELECT id FROM {jobs} WHERE unique_hash = :unique_hash

-- cancel_waiting --
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET status = 'cancelled', due_at = :now, finished_at = :now, unique_hash = NULL
WHERE id = :id AND status IN ('queued', 'delayed')

-- request_cancel --
UPDATE {jobs} FORCE INDEX (PRIMARY) SET cancel_requested = 1 WHERE id = :id AND status = 'running'

-- retry_outside --
-- A job that was cancelled while it waited in a broker, and is still there: without its row it is run from there.
DELETE FROM {jobs} WHERE id = :id AND status = 'cancelled' AND payload = ''

-- delete_job --
-- Not one that runs: its worker is told to stop first. Not one that the broker still has: without its row it would run.
DELETE FROM {jobs} WHERE id = :id AND status <> 'running' AND NOT (status = 'cancelled' AND payload = '')

-- some_ids --
SELECT id FROM {jobs} WHERE queue = :queue AND status = :status LIMIT :limit

-- delete_ids --
DELETE FROM {jobs} WHERE id IN :ids AND status = :status

-- counts --
-- From the index alone.
SELECT queue, status, priority, COUNT(*) AS jobs FROM {jobs}
WHERE status IN ('queued', 'delayed', 'running', 'failed')
GROUP BY status, queue, priority

-- oldest --
-- Among the next hundred of a queue and priority: a look at each of a million would cost a second.
SELECT MIN(since) AS since FROM (
  SELECT CASE WHEN j.available_at > 0 THEN j.available_at
      ELSE CAST(UNIX_TIMESTAMP(j.created_datetime) * 1000 AS SIGNED) END AS since
  FROM {jobs} j FORCE INDEX (claim)
  WHERE j.status = 'queued' AND j.queue = :queue AND j.priority = :priority
  ORDER BY j.id LIMIT 100
) AS first_hundred

-- queue_names --
-- Of every status: a queue whose jobs are all done is still one. The index is jumped through, not read.
SELECT DISTINCT status, queue FROM {jobs}

-- queue_rows --
SELECT queue, paused, paused_at FROM {queues}

-- pause_queue --
INSERT INTO {queues} (queue, paused, paused_at) VALUES (:queue, 1, :now)
ON DUPLICATE KEY UPDATE paused = 1, paused_at = :now

-- resume_queue --
UPDATE {queues} SET paused = 0, paused_at = NULL WHERE queue = :queue

-- workers --
SELECT * FROM {workers} ORDER BY host, pid, slot

-- upsert_worker --
INSERT INTO {workers} (id, name, host, pid, slot, mode, queues, state, job_id, started_at, heartbeat_at,
    jobs_done, memory_bytes, version)
VALUES (:id, :name, :host, :pid, :slot, :mode, :queues, :state, :job_id, :started_at, :heartbeat_at,
    :jobs_done, :memory_bytes, :version)
ON DUPLICATE KEY UPDATE queues = :queues, state = :state, job_id = :job_id, started_at = :started_at,
    heartbeat_at = :heartbeat_at, jobs_done = :jobs_done, memory_bytes = :memory_bytes, version = :version,
    mode = :mode, name = :name

-- remove_worker --
DELETE FROM {workers} WHERE id = :id

-- remove_silent_workers --
DELETE FROM {workers} WHERE heartbeat_at < :before

-- batches --
SELECT batch, status, COUNT(*) AS jobs, MIN(id) AS first_id FROM {jobs}
WHERE batch IS NOT NULL AND (:batch IS NULL OR batch = :batch)
GROUP BY batch, status

-- ═══ Statistics, and batches as wholes ═══

-- add_statistics --
INSERT INTO {statistics} (span, starts_at, queue, completed, failed, retried, waits, waited_ms, waited_most_ms)
VALUES (:span, :starts_at, :queue, :completed, :failed, :retried, :waits, :waited_ms, :waited_most_ms)
ON DUPLICATE KEY UPDATE completed = completed + :completed, failed = failed + :failed,
    retried = retried + :retried, waits = waits + :waits, waited_ms = waited_ms + :waited_ms,
    waited_most_ms = GREATEST(waited_most_ms, :waited_most_ms)

-- add_run_times --
INSERT INTO {run_times} (starts_at, callback, bucket, runs) VALUES (:starts_at, :callback, :bucket, :runs)
ON DUPLICATE KEY UPDATE runs = runs + :runs

-- prune_statistics --
DELETE FROM {statistics} WHERE span = :span AND starts_at < :before

-- prune_run_times --
DELETE FROM {run_times} WHERE starts_at < :before

-- touch_batch --
-- A job of it was settled at `at`. A batch that was done by then and has jobs again is done a second time later.
INSERT INTO {batches} (batch, is_open, first_at, touched_at) VALUES (:batch, 1, :at, :at)
ON DUPLICATE KEY UPDATE first_at = CASE WHEN is_open = 0 AND closed_at < :at THEN :at ELSE first_at END,
    rate = CASE WHEN is_open = 0 AND closed_at < :at THEN 0 ELSE rate END, touched_at = GREATEST(touched_at, :at),
    is_open = CASE WHEN closed_at >= :at THEN is_open ELSE 1 END

-- open_batches --
SELECT batch, first_at, touched_at, closed_at, counted_at, cost_ms, rate, completed, failed, cancelled
FROM {batches} WHERE is_open = 1 ORDER BY touched_at DESC LIMIT :limit

-- batch_counts --
-- From the index alone.
SELECT status, COUNT(*) AS jobs FROM {jobs} FORCE INDEX (batch) WHERE batch = :batch GROUP BY status

-- batch_blog --
SELECT blog_id FROM {jobs} FORCE INDEX (batch) WHERE batch = :batch LIMIT 1

-- count_batch --
UPDATE {batches} SET counted_at = :now, cost_ms = :cost_ms, rate = :rate, queued = :queued, waiting_delayed = :waiting_delayed,
    running = :running, completed = :completed, failed = :failed, cancelled = :cancelled
WHERE batch = :batch

-- close_batch --
-- Of several workers that see its end, one gets it; none when a job of it has been settled or touched since.
UPDATE {batches} SET is_open = 0, closed_at = :now
WHERE batch = :batch AND is_open = 1 AND touched_at = :touched_at

-- prune_batches --
DELETE FROM {batches} WHERE is_open = 0 AND touched_at < :before
