"""How each fault has to end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

LIMIT = "Background_Worker\\Time_Limit_Exceeded"
EXIT_NOTE = "The callback called exit() with code 0."


@dataclass(frozen=True)
class End:
    """What is left of a fault. `error` is (class, part of the message); `says` and `note` are parts of what is kept.

    `on_stderr` is kept as well, in some place of that: two pipes have no order between them.

    `ends_process`: a process that many jobs share does not survive it. `in_loop` is what it says there, where a
    shutdown function runs only when the process ends, long after the job.
    """

    status: str
    error: tuple[str, str] | None = None
    says: str = ""
    on_stderr: str = ""
    result: Any = None
    note: str = ""
    timeout: int = 60
    ends_process: bool = False
    in_loop: str | None = None

    def in_lifetime(self, lifetime: str) -> End:
        return replace(self, says=self.in_loop) if lifetime == "loop" and self.in_loop is not None else self


ENDS = {
    "throws_exception": End("failed", ("Exception", "The warehouse does not answer."), "before it fails"),
    "throws_type_error": End("failed", ("TypeError", "must be of type string, array given")),
    "throws_in_output_buffer": End("failed", ("Exception", "from the buffer")),
    "exhausts_memory": End(
        "failed", ("OutOfMemory", "Allowed memory size of 134217728 bytes exhausted"), ends_process=True
    ),
    "calls_undefined_function": End("failed", ("Error", "undefined function this_function_does_not_exist()")),
    "exits_0": End("completed", says="leaving", note=EXIT_NOTE, ends_process=True),
    "exits_3": End("failed", ("Exit", "exit code 3"), "leaving", ends_process=True),
    "dies_with_text": End("completed", says="x", note=EXIT_NOTE, ends_process=True),
    "wp_dies": End("failed", ("wp_die", "You are not allowed to do this.")),
    "sends_json": End("completed", says='{"success":true,"data":{"sent":true}}', note=EXIT_NOTE, ends_process=True),
    "sleeps_past_limit": End("failed", (LIMIT, "longer than its time limit of 1 s"), timeout=1, ends_process=True),
    "computes_past_limit": End("failed", (LIMIT, "longer than its time limit of 1 s"), timeout=1, ends_process=True),
    "ignores_time_limit": End(
        "failed",
        ("TimeLimitExceeded", "its processes were killed"),
        f"{LIMIT} ignored",
        timeout=1,
        ends_process=True,
    ),
    "raises_alarm": End("completed", result=True),
    "prints_20_mb": End("completed", says="the beginning\nyyy", result="printed"),
    "writes_to_stdout": End("completed", says="one\ntwo\nthree\nfive\n", on_stderr="four\n", result="written"),
    "closes_stdout": End("completed", says="still heard", result={"in_file": ""}, ends_process=True),
    "closes_stderr": End("completed", result="closed", ends_process=True),
    "closes_all_descriptors": End("completed", result="closed", ends_process=True),
    "leaves_child": End("completed"),
    "leaves_child_on_pipes": End("completed"),
    "forks": End("completed", result="parent"),
    "fork_exits": End("completed", result=7),
    "segfaults": End("failed", ("ProcessDied", "signal 11 (SIGSEGV)"), "going down", ends_process=True),
    "segfaults_in_ffi": End("failed", ("ProcessDied", "signal 11 (SIGSEGV)"), ends_process=True),
    "killed_from_outside": End("failed", ("ProcessDied", "signal 9 (SIGKILL)"), ends_process=True),
    "reads_stdin": End("completed", result={"read": "", "child": ""}),
    "unblocks_stdout": End("completed", says="zzz", result="unblocked"),
    "ends_output_buffers": End("completed", says="past the buffers", result="ended"),
    "leaves_buffer_open": End("completed", says="in an open buffer", result="open"),
    "leaves_transaction_open": End("completed", result="open"),
    "sets_error_handler": End("completed", result="set"),
    "sets_exception_handler": End("completed", result="set"),
    "takes_handlers_down": End("completed", result="down"),
    "sets_current_user": End("completed", result=1),
    "defines_constant": End("completed", result="constant"),
    "changes_memory_limit": End("completed", result="1G"),
    "changes_object_cache": End("completed", result="by a fault"),
    "switches_locale": End("completed", result="Asia/Tokyo"),
    "closes_database": End("completed", result=True),
    "shutdown_prints": End("completed", says="printed at shutdown", result="registered", in_loop=""),
    "shutdown_fails": End("completed", says="another_function_that_does_not_exist", result="done before", in_loop=""),
    "returns_unserializable": End(
        "completed", result={"fine": 1, "handle": None, "number": 0, "text": "\ufffd"}, note="as JSON in full"
    ),
    "returns_too_much": End("completed", result=None, note="at most 1048576 are kept"),
    "prints_escapes": End("failed", ("Exception", "\x1b[31mred\x1b[0m \ufffd"), "\x1b[2J"),
}
